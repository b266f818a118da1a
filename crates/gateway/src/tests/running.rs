//! The whole gateway: started, used and stopped.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use viereck_custody::Journal;
use viereck_transport::{Link, Queue, Topology};

use super::submissions::{answer, form, metadata};
use crate::testing::{BEHOERDE, Network, RECEIVER, SENDER, config, token};
use crate::{AdapterError, Error, Inputs, Keys, KeysError, run};

async fn inputs(network: &Network, link: Link) -> (Inputs, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (_, tables) = watch::channel(Arc::clone(&network.tables));
    let journal = network.folder.path().join("journal.sqlite");
    let journal = Journal::open(&journal, SENDER.parse().unwrap(), network.tables.environment())
        .await
        .unwrap();
    (
        Inputs {
            tables,
            link,
            journal,
            keys: network.keys(SENDER).unchanging(),
            listener,
            tls: None,
            backlogs: crate::Backlogs::default(),
        },
        base,
    )
}

#[tokio::test]
async fn what_was_promised_is_published_and_the_gateway_stops_when_told() {
    let network = Network::new();
    let link = Link::embedded(&network.folder.path().join("link.sqlite")).unwrap();
    let gateways = ["gw-s", "gw-r"].map(|id| id.parse().unwrap()).into();
    link.reconcile(&Topology {
        gateways,
        bindings: Default::default(),
    })
    .await
    .unwrap();
    let (inputs, base) = inputs(&network, link.clone()).await;
    let journal = inputs.journal.clone();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(config(SENDER, ""), inputs, stop.clone()));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = http
        .post(format!("{base}/v1/submissions"))
        .bearer_auth(token("alles"))
        .header("Idempotency-Key", "k");
    assert_eq!(answer(post.multipart(form(&metadata()))).await.0, 202);
    let published = async {
        while link.depth(&Queue::Ingress).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), published).await.unwrap();
    stop.cancel();
    running.await.unwrap().unwrap();
    assert!(http.get(format!("{base}/healthz/live")).send().await.is_err());
    journal.close().await;
    link.close().await;
}

#[tokio::test]
async fn a_configuration_that_contradicts_itself_does_not_start() {
    let network = Network::new();
    let link = Link::embedded(&network.folder.path().join("link.sqlite")).unwrap();
    let (inputs, _) = inputs(&network, link).await;
    let config = config(SENDER, &json!({ "obsolete_after_days": 0 }).to_string());
    let error = run(config, inputs, CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Config(finding) if finding.key == "obsolete_after_days"),
        "{error}"
    );
}

#[tokio::test]
async fn a_folder_that_is_missing_stops_the_start_and_is_not_made() {
    let network = Network::new();
    let link = Link::embedded(&network.folder.path().join("link.sqlite")).unwrap();
    let (inputs, _) = inputs(&network, link).await;
    let missing = network.folder.path().join("not-mounted");
    let delivery =
        json!({ "behoerde": "default", "leistung": "default", "adapter": "directory", "folder": missing.clone() });
    let config = config(SENDER, &json!({ "delivery": [delivery] }).to_string());
    let error = run(config, inputs, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&error, Error::Adapter(AdapterError::NoFolder { folder, .. }) if *folder == missing));
    let told = error.to_string();
    assert!(
        told.starts_with("folder-missing: ") && told.contains("not-mounted"),
        "{told}"
    );
    assert!(!missing.exists());
}

#[test]
fn a_missing_or_foreign_key_is_one_clear_sentence() {
    let network = Network::new();
    let folder = network.folder.path().join("keys");
    let load = |id: &str| Keys::load(&folder, &id.parse().unwrap(), &network.tables).unwrap_err();
    assert!(matches!(load("gw-x"), KeysError::GatewayUnknown(_)));
    let (signing, other) = (
        folder.join("gw-s/signing-1.key.pem"),
        folder.join("gw-r/signing-1.key.pem"),
    );
    std::fs::copy(other, &signing).unwrap();
    let error = load("gw-s");
    assert!(matches!(error, KeysError::NoKey { purpose: "signing", .. }), "{error}");
    std::fs::write(&signing, "no key").unwrap();
    assert!(matches!(load("gw-s"), KeysError::NotAKey { .. }));
    std::fs::remove_file(folder.join("gw-r/wgb-010010000000/encryption-1.key.pem")).unwrap();
    assert!(matches!(
        load("gw-r"),
        KeysError::NoKey {
            purpose: "encryption",
            ..
        }
    ));
    std::fs::remove_dir_all(folder.join("gw-r/wgb-010010000000")).unwrap();
    assert!(matches!(load("gw-r"), KeysError::Unreadable { .. }));
}

#[test]
fn a_key_opens_until_nothing_sealed_for_it_can_be_on_its_way() {
    let network = Network::new();
    let sealed = network.sealed(|_| {});
    network.another_key(RECEIVER, BEHOERDE);
    // the first certificate of the authority ends tomorrow
    let now = Timestamp::now();
    let end = now + SignedDuration::from_hours(24);
    let index = "certificates/certificates.toml";
    let text = std::fs::read_to_string(network.folder.path().join("table").join(index)).unwrap();
    let mut entries = text.split("[[certificate]]");
    let entry = entries.find(|entry| entry.contains(BEHOERDE)).unwrap();
    let ending = entry.replace("until = 2099-12-31", &format!("until = {end:.0}"));
    let tables = network.changed(index, entry, &ending);

    let verified = viereck_envelope::verify(sealed.bytes().clone(), tables.as_ref(), tables.environment(), now);
    let verified = verified.unwrap();
    let folder = network.folder.path().join("keys");
    let opens = |days: i64| {
        let at = end + SignedDuration::from_hours(24 * days);
        let keys = Keys::unlock(&folder, &RECEIVER.parse().unwrap(), &tables, None, at).unwrap();
        viereck_envelope::open(&verified, &keys.readers).is_ok()
    };
    assert!(opens(-1) && opens(1) && opens(crate::NEEDED_DAYS - 1));
    assert!(!opens(crate::NEEDED_DAYS + 1));
}
