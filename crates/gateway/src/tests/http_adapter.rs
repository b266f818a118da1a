//! The adapter `http` against a server that says everything a server can say.

use std::time::Duration;

use serde_json::Value;
use viereck_envelope::Reason;

use crate::config::{Adapter, Delivery};
use crate::deliver::endpoint::{self, Endpoint};
use crate::deliver::http;
use crate::deliver::message::HandOver;
use crate::deliver::outcome::Outcome;
use crate::testing::{Answer, Network, RECEIVER, Scripted};

pub(super) fn endpoint(url: &str, more: &str) -> Endpoint {
    let json =
        format!(r#"{{"behoerde":"wgb:010010000000","leistung":"default","adapter":"http","url":"{url}"{more}}}"#);
    let delivery: Delivery = serde_json::from_str(&json).unwrap();
    let Adapter::Http(config) = delivery.adapter else {
        unreachable!()
    };
    Endpoint::new(endpoint::client().unwrap(), config).unwrap()
}

fn plain(status: u16) -> Answer {
    (status, vec![], String::new())
}

fn problem(body: &str) -> Answer {
    (
        422,
        vec![("content-type", "application/problem+json; charset=utf-8".to_owned())],
        body.to_owned(),
    )
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let misconfigured = |answer: &str| Outcome::Misconfigured(answer.to_owned());
    let not_understood = |answer: &str| Outcome::NotUnderstood(answer.to_owned());
    let later = Outcome::Unavailable(None);
    let table: Vec<(Answer, Outcome)> = vec![
        (plain(200), Outcome::Accepted),
        (plain(201), Outcome::Accepted),
        (plain(202), Outcome::Accepted),
        (plain(204), Outcome::Accepted),
        (plain(409), Outcome::Accepted),
        (
            problem(r#"{"code":"S020","detail":"Erika"}"#),
            Outcome::Rejected(Reason::S020),
        ),
        (
            problem(r#"{"code":"schema-not-accepted"}"#),
            Outcome::Rejected(Reason::SchemaNotAccepted),
        ),
        (
            problem(r#"{"code":"Erika"}"#),
            not_understood("answer 422 with a code that is not on the list"),
        ),
        (
            problem(r#"{"detail":"x"}"#),
            not_understood("answer 422 without a code"),
        ),
        (problem("no json"), not_understood("answer 422 without a code")),
        (
            (
                422,
                vec![("content-type", "application/json".to_owned())],
                r#"{"code":"S020"}"#.to_owned(),
            ),
            not_understood("answer 422"),
        ),
        (plain(422), not_understood("answer 422")),
        (plain(408), later.clone()),
        (plain(425), later.clone()),
        (plain(429), later.clone()),
        (
            (429, vec![("retry-after", "7".to_owned())], String::new()),
            Outcome::Unavailable(Some(Duration::from_secs(7))),
        ),
        (
            (503, vec![("retry-after", "999999".to_owned())], String::new()),
            Outcome::Unavailable(Some(Duration::from_secs(3600))),
        ),
        (plain(503), later),
        (plain(500), Outcome::Unclear(None)),
        (plain(502), Outcome::Unclear(None)),
        (plain(507), Outcome::Unclear(None)),
        (
            (500, vec![("retry-after", "7".to_owned())], String::new()),
            Outcome::Unclear(Some(Duration::from_secs(7))),
        ),
        (
            (302, vec![("location", "/elsewhere".to_owned())], String::new()),
            misconfigured("answer 302"),
        ),
        (plain(400), not_understood("answer 400")),
        (plain(401), misconfigured("answer 401")),
        (plain(403), misconfigured("answer 403")),
        (plain(404), misconfigured("answer 404")),
        (plain(405), misconfigured("answer 405")),
        (plain(413), not_understood("answer 413")),
        (plain(415), not_understood("answer 415")),
    ];
    let network = Network::new();
    let message = HandOver::new(network.opened(&network.sealed(|_| {}), RECEIVER))
        .ok()
        .unwrap();
    let server = Scripted::start(table.iter().map(|(answer, _)| answer.clone())).await;
    let endpoint = endpoint(&server.url, "");
    for (answer, expected) in &table {
        assert_eq!(http::hand_over(&endpoint, &message).await, *expected, "{answer:?}");
    }
    // a redirect was not followed, and every attempt carried the same key
    let asked = server.asked();
    assert_eq!(asked.len(), table.len());
    let key = message.opened.digest().to_string();
    assert!(
        asked
            .iter()
            .all(|asked| asked.headers["idempotency-key"] == key.as_str())
    );
}

#[tokio::test]
async fn silence_and_nobody_there_mean_again_later() {
    let network = Network::new();
    let message = HandOver::new(network.opened(&network.sealed(|_| {}), RECEIVER))
        .ok()
        .unwrap();
    // accepts connections and never answers
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let outcome = http::hand_over(&endpoint(&url, r#","timeout_seconds":1"#), &message).await;
    assert_eq!(outcome, Outcome::Unclear(None), "nobody knows");
    drop(silent);
    assert_eq!(
        http::hand_over(&endpoint(&url, ""), &message).await,
        Outcome::Unavailable(None)
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let network = Network::new();
    let message = HandOver::new(network.opened(&network.sealed(|_| {}), RECEIVER))
        .ok()
        .unwrap();
    let long = format!(r#"{{"detail":"{}","code":"S020"}}"#, "x".repeat(10 << 20));
    let server = Scripted::start([problem(&long)]).await;
    let outcome = http::hand_over(&endpoint(&server.url, ""), &message).await;
    assert_eq!(outcome, Outcome::NotUnderstood("answer 422 without a code".to_owned()));
}

#[tokio::test]
async fn the_fachverfahren_gets_the_contract() {
    let network = Network::new();
    let envelope = network.sealed(|_| {});
    let message = HandOver::new(network.opened(&envelope, RECEIVER)).ok().unwrap();
    let server = Scripted::start([]).await;
    let secret = network.folder.path().join("token");
    std::fs::write(&secret, "secret\n").unwrap();
    let endpoint = endpoint(&server.url, &format!(r#","token_file":"{}""#, secret.display()));
    assert_eq!(http::hand_over(&endpoint, &message).await, Outcome::Accepted);
    let asked = &server.asked()[0];
    assert_eq!(asked.headers["authorization"], "Bearer secret");
    let parts = parts(&asked.headers["content-type"], &asked.body).await;
    let names: Vec<_> = parts
        .iter()
        .map(|(name, file, ..)| (name.as_str(), file.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("message", "message.json"),
            ("payload", "payload"),
            ("attachment-01", "attachment-01")
        ]
    );
    assert_eq!(
        (parts[1].2.as_str(), parts[1].3.as_slice()),
        ("application/xml", &b"<antrag/>"[..])
    );
    let json: Value = serde_json::from_slice(&parts[0].3).unwrap();
    let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "applicant",
            "author",
            "caseId",
            "filedAt",
            "files",
            "kind",
            "leistung",
            "messageId",
            "reader",
            "region"
        ]
    );
    assert_eq!(json["messageId"], envelope.header().message_id.to_string());
    assert_eq!(json["files"][1]["file"], "attachment-01");
    assert_eq!(json["files"][1]["name"], "../../etc/passwd");
    assert_eq!(
        json["files"][0]["sha256"],
        viereck_routing::Digest::of(b"<antrag/>").to_string()
    );
}

/// The parts of a form: name, file name, media type, octets.
pub(super) async fn parts(
    content_type: &axum::http::HeaderValue,
    body: &bytes::Bytes,
) -> Vec<(String, String, String, Vec<u8>)> {
    use axum::extract::FromRequest;
    let request = axum::http::Request::builder()
        .header("content-type", content_type)
        .body(axum::body::Body::from(body.clone()));
    let mut multipart = axum::extract::Multipart::from_request(request.unwrap(), &())
        .await
        .unwrap();
    let mut parts = vec![];
    while let Some(field) = multipart.next_field().await.unwrap() {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let (name, file, media_type) = (text(field.name()), text(field.file_name()), text(field.content_type()));
        parts.push((name, file, media_type, field.bytes().await.unwrap().to_vec()));
    }
    parts
}

#[test]
fn a_token_never_shows() {
    let json = r#"{"behoerde":"wgb:010010000000","leistung":"default","adapter":"http","url":"http://u:p@h/"}"#;
    let error = serde_json::from_str::<Delivery>(json).unwrap_err().to_string();
    assert!(error.contains("token_file") && !error.contains("u:p"), "{error}");
}
