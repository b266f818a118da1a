//! What was filed and never taken over goes back to whoever filed it, as often as it is asked for, and goes when that is
//! said.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use viereck_custody::deadlines;
use viereck_envelope::{Reason, Role, Stage};

use super::sealing_anew::Here;
use super::submissions::{answer, metadata};
use crate::gateway::Gateway;
use crate::testing::{BEHOERDE, Network, SENDER, Serving, hear, token};

/// An application of which everything can be told apart.
fn everything() -> Value {
    let mut metadata = metadata();
    metadata["clientReference"] = json!("REF-1");
    metadata["applicant"] = json!({ "kind": "person", "attributes": { "familyName": "Beispiel" }, "level": 3 });
    metadata["replyChannel"] = json!({ "mailbox": "0b9c7d4e-postfach", "level": 3 });
    metadata["consents"] = json!([{ "id": "a" }]);
    metadata["payment"] = json!({ "id": "1" });
    metadata
}

fn part(octets: &'static [u8], name: &'static str, media_type: &str) -> Part {
    Part::bytes(octets).file_name(name).mime_str(media_type).unwrap()
}

/// Files it and gives the path of its status.
async fn file(serving: &Serving) -> String {
    let form = Form::new()
        .text("metadata", everything().to_string())
        .part("payload", part(b"<antrag/>", "antrag.xml", "application/xml"))
        .part(
            "attachment",
            part(b"%PDF-1", "Nachweis \u{e4} \"1\".pdf", "application/pdf"),
        )
        .part("attachment", part(b"%PDF-2", "zwei.pdf", "application/pdf"));
    let post = serving.http.post(format!("{}/v1/submissions", serving.base));
    let post = post.bearer_auth(token("alles")).header("Idempotency-Key", "k");
    let (status, filed) = answer(post.multipart(form)).await;
    assert_eq!(status, 202, "{filed}");
    format!("{}{}", serving.base, filed["links"]["self"].as_str().unwrap())
}

/// Lets everything that nobody published run out of time.
async fn expire(gateway: &Gateway) {
    let late = Timestamp::now() + SignedDuration::from_hours(24 * 15);
    let swept = gateway
        .journal
        .sweep_deadlines(late, &deadlines::Config::default())
        .await;
    assert_eq!(swept.unwrap().ended.values().sum::<u64>(), 1);
}

async fn get(serving: &Serving, path: &str, client: &str) -> reqwest::Response {
    let get = serving.http.get(path).bearer_auth(token(client));
    get.send().await.unwrap()
}

async fn delete(serving: &Serving, path: &str, client: &str) -> reqwest::Response {
    let delete = serving.http.delete(path).bearer_auth(token(client));
    delete.send().await.unwrap()
}

async fn refused(response: reqwest::Response, status: u16, code: &str) {
    let got = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{body}");
}

async fn status(serving: &Serving, path: &str) -> Value {
    answer(serving.http.get(path).bearer_auth(token("alles"))).await.1
}

#[tokio::test]
async fn what_expired_goes_back_to_its_client_and_can_be_filed_again() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let here = file(&serving).await;
    let content = format!("{here}/content");

    // while it may be taken over it is in one place only
    assert!(status(&serving, &here).await["links"].get("content").is_none());
    refused(get(&serving, &content, "alles").await, 409, "content-in-flight").await;
    refused(delete(&serving, &content, "alles").await, 409, "content-in-flight").await;
    expire(&gateway).await;
    assert_eq!(
        format!(
            "{}{}",
            serving.base,
            status(&serving, &here).await["links"]["content"].as_str().unwrap()
        ),
        content
    );
    for client in ["wenig", "fremd"] {
        let (asked, deleted) = (
            get(&serving, &content, client).await,
            delete(&serving, &content, client).await,
        );
        let (code, status) = if client == "fremd" {
            ("unauthenticated", 401)
        } else {
            ("not-found", 404)
        };
        refused(asked, status, code).await;
        refused(deleted, status, code).await;
    }

    // as often as it is asked for, and as it was filed
    let first = get(&serving, &content, "alles").await;
    assert_eq!(
        (first.status().as_u16(), &first.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    drop(first);
    let second = get(&serving, &content, "alles").await;
    let form = second.headers()["content-type"].clone();
    assert!(form.to_str().unwrap().starts_with("multipart/form-data; boundary="));
    let octets = second.bytes().await.unwrap();
    let post = serving.http.post(format!("{}/v1/submissions", serving.base));
    let post = post.bearer_auth(token("alles")).header("Idempotency-Key", "again");
    let (code, again) = answer(post.header("Content-Type", form).body(octets)).await;
    assert_eq!(code, 202, "{again}");
    assert_eq!(again["behoerde"], BEHOERDE);
    let again = gateway
        .journal
        .message(&again["submissionId"].as_str().unwrap().parse().unwrap())
        .await;
    let again = again.unwrap().unwrap();
    let order = viereck_custody::MessageKey {
        author: again.author,
        message_id: again.message_id,
    };
    let sealed = gateway.journal.replaceable(&order).await.unwrap();
    let tables = gateway.tables();
    let verified = viereck_envelope::verify(sealed.bytes, tables.as_ref(), tables.environment(), Timestamp::now());
    let opened = viereck_envelope::open_kept(&verified.unwrap(), &sealed.content_key, &gateway.keys().keep).unwrap();
    let found = opened.content();
    let files: Vec<_> = found
        .files
        .iter()
        .map(|file| {
            (
                file.role,
                file.name.as_str(),
                file.media_type.as_str(),
                &file.octets[..],
            )
        })
        .collect();
    let expected: [(Role, &str, &str, &[u8]); 3] = [
        (Role::Payload, "antrag.xml", "application/xml", b"<antrag/>"),
        (
            Role::Attachment,
            "Nachweis \u{e4} %221%22.pdf",
            "application/pdf",
            b"%PDF-1",
        ),
        (Role::Attachment, "zwei.pdf", "application/pdf", b"%PDF-2"),
    ];
    assert_eq!(files, expected);
    let json = |text: &Option<String>| serde_json::from_str::<Value>(text.as_deref().unwrap()).unwrap();
    let filed = everything();
    assert_eq!(found.client_reference.as_deref(), Some("REF-1"));
    for (key, text) in [
        ("applicant", &found.applicant),
        ("consents", &found.consents),
        ("payment", &found.payment),
    ] {
        assert_eq!(json(text), filed[key]);
    }
    let channel = gateway
        .keys()
        .reply_tokens
        .open(found.reply_token.as_ref().unwrap(), Timestamp::now())
        .unwrap();
    assert_eq!((channel.mailbox.as_str(), channel.level), ("0b9c7d4e-postfach", 3));

    // the client has it
    for _ in 0..2 {
        assert_eq!(delete(&serving, &content, "alles").await.status().as_u16(), 204);
    }
    refused(get(&serving, &content, "alles").await, 404, "content-not-kept").await;
    let over = status(&serving, &here).await;
    assert_eq!(over["status"], "expired");
    assert!(over["links"].get("content").is_none());
    let events = status(&serving, &format!("{here}/events")).await;
    let erased = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["stage"] == "erased");
    assert_eq!(erased.count(), 1);
}

#[tokio::test]
async fn what_was_taken_over_is_not_given_back_and_what_was_refused_is() {
    for (stage, reasons, code) in [
        (Stage::Delivered, vec![], 409),
        (Stage::Accepted, vec![], 404),
        (Stage::Rejected, vec![Reason::S999], 200),
        (Stage::Expired, vec![Reason::Obsolete], 200),
    ] {
        let here = Here::new().await;
        let serving = Serving::start(&here.gateway).await;
        let content = format!("{}/v1/submissions/{}/content", serving.base, here.first);
        here.told(stage, reasons).await;
        assert_eq!(
            get(&serving, &content, "alles").await.status().as_u16(),
            code,
            "{stage}"
        );
        let deleted = if code == 409 { 409 } else { 204 };
        assert_eq!(
            delete(&serving, &content, "alles").await.status().as_u16(),
            deleted,
            "{stage}"
        );
    }
}

#[tokio::test]
async fn what_was_erased_is_not_sealed_anew() {
    let here = Here::new().await;
    let serving = Serving::start(&here.gateway).await;
    let content = format!("{}/v1/submissions/{}/content", serving.base, here.first);
    here.told(Stage::Expired, vec![Reason::Obsolete]).await;
    assert_eq!(delete(&serving, &content, "alles").await.status().as_u16(), 204);
    assert_eq!(here.order(here.first).await.unwrap_err().code(), "no-content");
}

#[tokio::test]
async fn a_content_goes_out_only_while_there_is_room() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let content = format!("{}/content", file(&serving).await);
    expire(&gateway).await;
    let all = gateway.room_for(gateway.config.limits.bytes_in_flight).unwrap();
    refused(get(&serving, &content, "alles").await, 503, "busy").await;
    drop(all);
    assert_eq!(get(&serving, &content, "alles").await.status().as_u16(), 200);
}

#[tokio::test]
async fn a_content_that_cannot_be_read_is_an_alarm_and_stays() {
    let logged = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&logged);
    let _ear = hear(move |_, fields| log.lock().unwrap().push_str(fields));
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let content = format!("{}/content", file(&serving).await);
    expire(&gateway).await;
    let journal = network.folder.path().join(format!("{SENDER}.sqlite"));
    let journal = rusqlite::Connection::open(journal).unwrap();
    journal
        .execute("UPDATE sealed SET content_key = zeroblob(length(content_key))", [])
        .unwrap();
    refused(get(&serving, &content, "alles").await, 500, "internal").await;
    let kept = journal.query_row("SELECT count(*) FROM sealed", [], |row| row.get::<_, i64>(0));
    assert_eq!(kept, Ok(1));
    let logged = logged.lock().unwrap();
    assert!(logged.contains("alarm=\"undecipherable\""));
    for personal in ["Beispiel", "REF-1", "antrag.xml", "Nachweis", "postfach"] {
        assert!(!logged.contains(personal), "{personal}");
    }
}
