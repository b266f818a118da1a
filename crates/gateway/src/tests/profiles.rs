//! Which profile a message is sealed in, which one its reader takes, and that nothing between them is lost.

use jiff::{SignedDuration, Timestamp};
use viereck_custody::inbox::Taken;
use viereck_envelope::{Reason, SealedEnvelope, open, verify};
use viereck_routing::Profile;

use super::submissions::{answer, form, metadata};
use crate::gateway::Gateway;
use crate::keys::{Keys, KeysError};
use crate::testing::{BEHOERDE, Network, RECEIVER, SENDER, Serving, token};

const AUTHORITIES: &str = "laender/01-schleswig-holstein/behoerden/a.toml";

/// The table in which the authority takes profile 2 only, from an instant on or always.
fn lowest(network: &Network, from: Option<Timestamp>) -> std::sync::Arc<viereck_routing::Tables> {
    let from = from.map_or_else(String::new, |from| format!("\nlowest_profile_from = {from}"));
    let entry = format!("name = \"Amt A\"\nlowest_profile = 2{from}");
    network.changed(AUTHORITIES, "name = \"Amt A\"", &entry)
}

async fn taken(gateway: &Gateway, envelope: &SealedEnvelope) -> Taken {
    let bytes = envelope.bytes().clone();
    let taken = gateway.journal.take(bytes, &gateway.config.id, gateway.tables()).await;
    taken.unwrap()
}

#[tokio::test]
async fn an_application_is_sealed_in_profile_2_as_soon_as_the_reader_has_the_keys_for_it() {
    let network = Network::new();
    network.in_force.send_replace(network.another_pair(RECEIVER, BEHOERDE));
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let post = serving
        .http
        .post(format!("{}/v1/submissions", serving.base))
        .bearer_auth(token("alles"));
    let (status, filed) = answer(post.header("Idempotency-Key", "k").multipart(form(&metadata()))).await;
    assert_eq!(status, 202, "{filed}");
    let key = viereck_custody::MessageKey {
        author: crate::testing::PORTAL.parse().unwrap(),
        message_id: filed["submissionId"].as_str().unwrap().parse().unwrap(),
    };
    let found = gateway.journal.replaceable(&key).await.unwrap();
    let tables = gateway.tables();
    let verified = verify(found.bytes, tables.as_ref(), tables.environment(), Timestamp::now()).unwrap();
    assert_eq!(verified.header().profile, Profile::P2);
    let keys = Keys::load(&network.folder.path().join("keys"), &RECEIVER.parse().unwrap(), &tables);
    assert!(open(&verified, &keys.unwrap().readers).is_ok());
}

#[tokio::test]
async fn what_was_sealed_before_the_day_is_taken_and_what_was_sealed_below_the_profile_since_is_not() {
    let network = Network::new();
    let gateway = network.gateway(RECEIVER, "").await;
    let (before, below) = (network.sealed(|_| {}), network.sealed(|_| {}));
    network.another_pair(RECEIVER, BEHOERDE);
    let day = Timestamp::now() + SignedDuration::from_secs(1);
    network.in_force.send_replace(lowest(&network, Some(day)));
    assert_eq!(taken(&gateway, &before).await, Taken::New);

    let always = network.changed(AUTHORITIES, &format!("\nlowest_profile_from = {day}"), "");
    network.in_force.send_replace(always);
    assert_eq!(taken(&gateway, &below).await, Taken::Refused(Reason::ProfileTooLow));
    let since = network.sealed_with(&gateway.tables(), Timestamp::now(), |_| {});
    assert_eq!(since.header().profile, Profile::P2);
    assert_eq!(taken(&gateway, &since).await, Taken::New);
}

#[test]
fn a_gateway_without_the_ml_kem_key_that_is_entered_for_it_does_not_start() {
    let network = Network::new();
    let tables = network.another_pair(RECEIVER, BEHOERDE);
    let keys = network.folder.path().join("keys");
    let load = || Keys::load(&keys, &RECEIVER.parse().unwrap(), &tables);
    assert!(load().is_ok());
    let folder = keys.join(RECEIVER).join(BEHOERDE.replace(':', "-"));
    let private = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let private = private
        .filter(|path| path.to_string_lossy().ends_with(".ml-kem.key.pem"))
        .collect::<Vec<_>>();
    assert_eq!(private.len(), 1);
    std::fs::write(&private[0], "nonsense").unwrap();
    assert!(matches!(load(), Err(KeysError::NotAKey { .. })));
    std::fs::remove_file(&private[0]).unwrap();
    assert!(matches!(load(), Err(KeysError::NoMlKemKey { .. })));
}
