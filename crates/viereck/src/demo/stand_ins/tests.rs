//! The stand-ins over real sockets and folders: what they promise to those who test with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::message::tests::parts;
use super::server::Server;
use super::*;

const SOON: Duration = Duration::from_secs(10);

async fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn fachverfahren(script: Script) -> Fachverfahren {
    Fachverfahren::start(loopback().await, script).unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn send(url: &str, key: Option<&str>, parts: BTreeMap<String, Bytes>) -> (u16, Value) {
    let mut form = Form::new();
    for (name, octets) in parts {
        form = form.part(name, Part::stream(octets));
    }
    let mut request = client().post(url).multipart(form);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_key_takes_effect_once_and_is_answered_409_afterwards() {
    let fachverfahren = fachverfahren(accept_all()).await;
    let url = fachverfahren.url();
    assert_eq!(send(&url, Some("k1"), parts("m1", b"a")).await.0, 200);
    assert_eq!(send(&url, Some("k1"), parts("m1", b"a")).await.0, 409);
    let ledger = fachverfahren.ledger().now();
    assert_eq!((ledger.attempts("m1"), ledger.effects("m1")), (2, 1));
    // Another key for the same message is what the ledger is there to show.
    assert_eq!(send(&url, Some("k2"), parts("m1", b"a")).await.0, 200);
    let ledger = fachverfahren.ledger().now();
    assert_eq!((ledger.attempts("m1"), ledger.effects("m1")), (3, 2));
    fachverfahren.stop().await;
}

#[tokio::test]
async fn a_rejection_names_its_code_and_stays() {
    let fachverfahren = fachverfahren(reject_unknown_codes()).await;
    let payload: &'static [u8] = br#"{"wohnung":{"wohnform":"99"}}"#;
    for _ in 0..2 {
        let (status, problem) = send(&fachverfahren.url(), Some("k"), parts("m", payload)).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("S011")));
    }
    let ledger = fachverfahren.ledger().now();
    assert_eq!((ledger.attempts("m"), ledger.effects("m")), (2, 0));
    assert_eq!(
        ledger.of_message("m").unwrap().standing,
        Standing::Rejected("S011".to_owned())
    );
    fachverfahren.stop().await;
}

#[tokio::test]
async fn a_broken_hand_over_is_written_down_and_has_no_effect() {
    let fachverfahren = fachverfahren(accept_all()).await;
    let url = fachverfahren.url();
    let mut other = parts("m", b"a");
    other.insert("payload".to_owned(), Bytes::from_static(b"b"));
    assert_eq!(send(&url, Some("k"), other).await.0, 400);
    assert_eq!(send(&url, None, parts("m", b"a")).await.0, 400);
    let answer = client()
        .post(&url)
        .header("Idempotency-Key", "k")
        .body("no multipart")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let ledger = fachverfahren.ledger().now();
    assert_eq!(
        ledger.breaches(),
        [Breach::Differs(0), Breach::NoKey, Breach::Unreadable]
    );
    assert!(ledger.entries().is_empty());
    fachverfahren.stop().await;
}

#[tokio::test]
async fn it_can_be_down_for_a_while_and_can_keep_silent() {
    let flaky = fachverfahren(unavailable_for(2)).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(send(&flaky.url(), Some("k"), parts("m", b"a")).await.0);
    }
    assert_eq!(answers, [503, 503, 200, 409]);
    flaky.stop().await;

    let silent = fachverfahren(Arc::new(|_, _| Answer::AcceptSilently)).await;
    let url = silent.url();
    let waiting = tokio::spawn(async move { send(&url, Some("k"), parts("m", b"a")).await.0 });
    silent
        .ledger()
        .until(SOON, |ledger| ledger.effects("m") == 1)
        .await
        .unwrap();
    assert!(!waiting.is_finished());
    assert_eq!(send(&silent.url(), Some("k"), parts("m", b"a")).await.0, 409);
    silent.stop().await;
    assert_eq!(waiting.await.unwrap(), 503);
}

#[tokio::test]
async fn a_condition_that_never_comes_true_is_an_error() {
    let watch = Watch::<Ledger>::default();
    let waited = Duration::from_millis(1);
    assert!(watch.until(waited, |ledger| ledger.effects("m") > 0).await.is_err());
}

type Reply = (HeaderMap, BTreeMap<String, Bytes>);

/// A receiver gateway's reply API that is not ready at the first attempt.
async fn replies() -> (Server, mpsc::UnboundedReceiver<Reply>) {
    let (seen, received) = mpsc::unbounded_channel();
    let attempts = Arc::new(AtomicU32::new(0));
    let take = async move |headers: HeaderMap, request: Request| {
        seen.send((headers, server::parts(request).await.unwrap())).unwrap();
        match attempts.fetch_add(1, Ordering::Relaxed) {
            0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => Json(json!({"messageId": "b1", "caseId": "c1"})).into_response(),
        }
    };
    let routes = Router::new().route("/v1/cases/{case}/replies", post(take));
    let server = Server::start(loopback().await, routes, CancellationToken::new()).unwrap();
    (server, received)
}

#[tokio::test]
async fn an_application_taken_over_gets_its_bescheid_even_if_the_way_is_known_later() {
    let fachverfahren = fachverfahren(accept_all()).await;
    send(&fachverfahren.url(), Some("k"), parts("m1", b"a")).await;
    let (gateway, mut received) = replies().await;
    let route = ReplyRoute {
        gateway: format!("http://{}", gateway.address),
        token: "secret-token".to_owned(),
        share: Share::All,
    };
    assert!(!format!("{route:?}").contains("secret-token"));
    fachverfahren.reply_through(route);

    let (first, _) = received.recv().await.unwrap();
    let (headers, parts) = received.recv().await.unwrap();
    assert_eq!(first["idempotency-key"], headers["idempotency-key"]);
    assert_eq!(headers["authorization"], "Bearer secret-token");
    assert_eq!(headers["idempotency-key"], "bescheid-m1");
    let metadata: Value = serde_json::from_slice(&parts["metadata"]).unwrap();
    assert_eq!(
        (metadata["kind"].as_str(), metadata["inReplyTo"].as_str()),
        (Some("bescheid"), Some("m1"))
    );
    assert!(parts["payload"].starts_with(b"%PDF-1.4"));

    let ledger = fachverfahren
        .ledger()
        .until(SOON, |ledger| !ledger.bescheide().is_empty())
        .await
        .unwrap();
    assert_eq!(
        (
            ledger.bescheide()[0].in_reply_to.as_str(),
            ledger.bescheide()[0].message_id.as_str()
        ),
        ("m1", "b1")
    );
    fachverfahren.stop().await;
    gateway.stop().await;
}

fn put(folder: &Path, name: &str, parts: BTreeMap<String, Bytes>) {
    let staged = folder.join(format!(".{name}"));
    std::fs::create_dir_all(&staged).unwrap();
    for (part, octets) in parts {
        let file = if part == "message" {
            "message.json".to_owned()
        } else {
            part
        };
        std::fs::write(staged.join(file), octets).unwrap();
    }
    std::fs::rename(staged, folder.join(name)).unwrap();
}

#[tokio::test]
async fn a_folder_gets_its_marker_and_a_repeated_one_the_same_marker_without_effect() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("eingang");
    let reader = FolderFachverfahren::start(folder.clone(), reject_unknown_codes())
        .await
        .unwrap();
    let good = "11111111-1111-4111-8111-111111111111";
    let bad = "22222222-2222-4222-8222-222222222222";
    let torn = "33333333-3333-4333-8333-333333333333";

    put(&folder, good, parts(good, b"a"));
    put(&folder, bad, parts(bad, br#"{"wohnung":{"wohnform":"99"}}"#));
    let mut cut = parts(torn, b"abc");
    cut.insert("payload".to_owned(), Bytes::from_static(b"ab"));
    put(&folder, torn, cut);
    let ledger = reader.ledger();
    ledger
        .until(SOON, |ledger| {
            ledger.entries().len() == 2 && ledger.breaches().len() == 1
        })
        .await
        .unwrap();
    // Settled before marked, so the marker may come a moment later; a second round proves that it came.
    std::fs::remove_dir_all(folder.join(torn)).unwrap();
    let again = "44444444-4444-4444-8444-444444444444";
    put(&folder, again, parts(again, b"a"));
    ledger.until(SOON, |ledger| ledger.effects(again) == 1).await.unwrap();
    assert_eq!(std::fs::read(folder.join(good).join("accepted")).unwrap(), b"");
    assert_eq!(std::fs::read(folder.join(bad).join("rejected")).unwrap(), b"S011\n");

    std::fs::rename(folder.join(good), place.path().join("taken")).unwrap();
    put(&folder, "55555555-5555-4555-8555-555555555555", parts("round", b"a"));
    ledger.until(SOON, |ledger| ledger.effects("round") == 1).await.unwrap();
    put(&folder, good, parts(good, b"a"));
    let seen = ledger.until(SOON, |ledger| ledger.attempts(good) == 2).await.unwrap();
    assert_eq!(seen.effects(good), 1);
    reader.stop().await;
    assert!(folder.join(good).join("accepted").exists());

    // One that starts later finds markers and does nothing again.
    let later = FolderFachverfahren::start(folder.clone(), accept_all()).await.unwrap();
    let last = "66666666-6666-4666-8666-666666666666";
    put(&folder, last, parts(last, b"a"));
    let seen = later
        .ledger()
        .until(SOON, |ledger| ledger.effects(last) == 1)
        .await
        .unwrap();
    assert_eq!(seen.entries().len(), 1);
    later.stop().await;
}

fn mail(mailbox: &str, attachments: &[&'static [u8]]) -> BTreeMap<String, Bytes> {
    let entries = attachments.iter().map(|octets| {
        json!({
            "filename": "bescheid.pdf",
            "sha512sum": message::hex(&aws_lc_rs::digest::SHA512, octets),
            "contentLength": octets.len(),
        })
    });
    let description = json!({
        "stork_qaa_level": 3, "mailboxUuid": mailbox, "sender": "s", "title": "t", "content": "c", "service": "w",
        "applicationId": "case", "reference": "b1", "attachments": entries.collect::<Value>(),
    });
    let mut parts = BTreeMap::from([("message".to_owned(), Bytes::from(description.to_string()))]);
    for (index, octets) in attachments.iter().enumerate() {
        parts.insert(format!("attachment-{:02}", index + 1), Bytes::from_static(octets));
    }
    parts
}

#[tokio::test]
async fn a_mailbox_stores_a_key_once_and_refuses_with_its_code() {
    let postfach = Postfach::start(loopback().await).unwrap();
    let url = postfach.url();
    postfach.refuse("closed", "no-mailbox");
    assert_eq!(send(&url, Some("k1"), mail("open", &[b"b", b"a"])).await.0, 201);
    assert_eq!(send(&url, Some("k1"), mail("open", &[b"b", b"a"])).await.0, 201);
    let (status, problem) = send(&url, Some("k2"), mail("closed", &[])).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("no-mailbox")));

    let mailboxes = postfach.mailboxes().now();
    assert_eq!(mailboxes.mail_in("open").count(), 1);
    assert_eq!(
        mailboxes.mail_in("open").next().unwrap().attachments,
        [&b"b"[..], &b"a"[..]]
    );
    assert_eq!(mailboxes.deliveries()["k1"].attempts, 2);
    assert_eq!(
        (
            mailboxes.mail_in("closed").count(),
            mailboxes.mail_of_case("case").count()
        ),
        (0, 1)
    );
    postfach.stop().await;
}

#[tokio::test]
async fn a_mailbox_refuses_what_its_description_does_not_fit() {
    let postfach = Postfach::start(loopback().await).unwrap();
    let mut missing = mail("m", &[b"a"]);
    missing.remove("attachment-01");
    let mut changed = mail("m", &[b"a"]);
    changed.insert("attachment-01".to_owned(), Bytes::from_static(b"b"));
    let mut more = mail("m", &[]);
    more.insert("attachment-01".to_owned(), Bytes::from_static(b"a"));
    for parts in [missing, changed, more] {
        assert_eq!(send(&postfach.url(), Some("k"), parts).await.0, 400);
    }
    let mailboxes = postfach.mailboxes().now();
    assert_eq!(
        mailboxes.breaches(),
        [Breach::Missing(0), Breach::Missing(0), Breach::Undescribed]
    );
    assert_eq!(mailboxes.mail().count(), 0);
    postfach.stop().await;
}
