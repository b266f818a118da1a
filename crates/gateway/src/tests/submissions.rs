//! `POST /v1/submissions`: what is taken, and that everything else is refused by its code and leaves nothing behind.

use std::sync::Arc;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use viereck_envelope::{Role, verify};

use crate::gateway::Gateway;
use crate::testing::{EINBUERGERUNG, Network, PORTAL, SCHEMA, SENDER, Serving, WOHNGELD, token};

pub(super) fn metadata() -> Value {
    json!({ "leistung": WOHNGELD, "region": "010010000000", "payloadSchema": SCHEMA, "mediaType": "application/xml" })
}

pub(super) fn form(metadata: &Value) -> Form {
    Form::new()
        .text("metadata", metadata.to_string())
        .part("payload", part(b"<antrag/>".to_vec(), "antrag.xml"))
}

fn part(octets: Vec<u8>, name: &str) -> Part {
    Part::bytes(octets)
        .file_name(name.to_owned())
        .mime_str("application/xml")
        .unwrap()
}

struct Fixture {
    network: Network,
    gateway: Arc<Gateway>,
    serving: Serving,
}

impl Fixture {
    async fn new(more: &str) -> Self {
        let network = Network::new();
        let gateway = network.gateway(SENDER, more).await;
        let serving = Serving::start(&gateway).await;
        Self {
            network,
            gateway,
            serving,
        }
    }

    fn request(&self, key: &str) -> reqwest::RequestBuilder {
        let request = self.serving.http.post(format!("{}/v1/submissions", self.serving.base));
        request.bearer_auth(token("alles")).header("Idempotency-Key", key)
    }

    async fn post(&self, key: &str, form: Form) -> (u16, Value) {
        answer(self.request(key).multipart(form)).await
    }

    async fn stored(&self) -> usize {
        self.gateway.journal.in_flight().await.unwrap().len()
    }

    /// Sends a request that has to be refused, and looks for what it left behind.
    async fn refused(&self, request: reqwest::RequestBuilder, status: u16, code: &str) -> Value {
        let (got, body) = answer(request).await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:viereck:problem:1:{code}"));
        assert!(body["retryable"].is_boolean() && body["hint"].is_string() && body["title"].is_string());
        assert_eq!(self.stored().await, 0, "{code} left something behind");
        body
    }
}

pub(super) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn an_application_is_promised_and_only_its_reader_opens_it() {
    let here = Fixture::new("").await;
    let mut metadata = metadata();
    metadata["applicant"] = json!({ "kind": "person", "attributes": { "familyName": "Beispiel" }, "level": 3 });
    metadata["replyChannel"] = json!({ "mailbox": "0b9c7d4e-postfach", "level": 3 });
    metadata["clientReference"] = json!("REF-1");
    let form = form(&metadata).part("attachment", part(b"%PDF".to_vec(), "../Nachweis Erika.pdf"));
    let response = here.request("k1").multipart(form).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        location,
        format!("/v1/submissions/{}", body["submissionId"].as_str().unwrap())
    );
    assert_eq!(body["behoerde"], "wgb:010010000000");
    assert_eq!(body["status"], "received");
    assert_eq!(
        body["digests"]["payload"],
        viereck_routing::Digest::of(b"<antrag/>").to_string()
    );
    assert_eq!(body["digests"]["attachments"].as_array().unwrap().len(), 1);
    assert!(body["filedAt"].as_str().unwrap().ends_with('Z'));

    let case_id = body["caseId"].as_str().unwrap().parse().unwrap();
    let case = here.gateway.journal.case_of_author(&case_id).await.unwrap().unwrap();
    assert_eq!(case.client.as_ref().map(|client| client.as_str()), Some("alles"));
    assert_eq!(case.author.as_str(), PORTAL);
    let channel = here
        .gateway
        .keys()
        .reply_tokens
        .open(case.reply_token.as_ref().unwrap(), jiff::Timestamp::now())
        .unwrap();
    assert_eq!(
        (channel.mailbox.as_str(), channel.message_id),
        ("0b9c7d4e-postfach", case.application)
    );
}

#[tokio::test]
async fn what_travels_says_nothing_that_the_client_typed() {
    let network = Network::new();
    let envelope = network.sealed(|draft| draft.content.client_reference = Some("Erika-7".to_owned()));
    let text = String::from_utf8(envelope.bytes().to_vec()).unwrap();
    assert!(!text.contains("Erika") && !text.contains("passwd"));
    let verified = verify(
        envelope.bytes().clone(),
        network.tables.as_ref(),
        network.tables.environment(),
        jiff::Timestamp::now(),
    );
    assert!(verified.is_ok());
    let opened = network.opened(&envelope, "gw-r");
    assert_eq!(opened.content().files[0].role, Role::Payload);
}

#[tokio::test]
async fn the_same_again_gets_the_first_answer_also_at_the_same_moment() {
    let here = Fixture::new("").await;
    let (status, first) = here.post("k1", form(&metadata())).await;
    assert_eq!(status, 202, "{first}");
    assert_eq!(here.post("k1", form(&metadata())).await, (202, first.clone()));
    assert_eq!(here.stored().await, 1);

    let at_once: Vec<_> = (0..16).map(|_| here.post("k2", form(&metadata()))).collect();
    let answers = futures_util::future::join_all(at_once).await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0] && answer.0 == 202),
        "{answers:?}"
    );
    assert_ne!(answers[0].1["submissionId"], first["submissionId"]);
    assert_eq!(here.stored().await, 2);
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let here = Fixture::new("").await;
    assert_eq!(here.post("k1", form(&metadata())).await.0, 202);
    let other_payload = Form::new()
        .text("metadata", metadata().to_string())
        .part("payload", part(b"<b/>".to_vec(), "antrag.xml"));
    let mut other_metadata = metadata();
    other_metadata["clientReference"] = json!("x");
    let more = form(&metadata()).part("attachment", part(b"x".to_vec(), "a"));
    for form in [other_payload, form(&other_metadata), more] {
        let (status, body) = here.post("k1", form).await;
        assert_eq!((status, body["code"].as_str()), (422, Some("idempotency-key-reused")));
    }
    assert_eq!(here.stored().await, 1);
    // the key is the client's own: another client may use it too
    let request = here
        .serving
        .http
        .post(format!("{}/v1/submissions", here.serving.base))
        .bearer_auth(token("wenig"));
    let (status, _) = answer(request.header("Idempotency-Key", "k1").multipart(form(&metadata()))).await;
    assert_eq!((status, here.stored().await), (202, 2));
}

#[tokio::test]
async fn who_asks_has_to_be_known_and_entitled() {
    let here = Fixture::new("").await;
    let post = || {
        here.serving
            .http
            .post(format!("{}/v1/submissions", here.serving.base))
            .multipart(form(&metadata()))
    };
    let keyed = || post().header("Idempotency-Key", "k");
    here.refused(keyed(), 401, "unauthenticated").await;
    here.refused(keyed().header("Authorization", "Basic abc"), 401, "unauthenticated")
        .await;
    here.refused(keyed().bearer_auth("unknown"), 401, "unauthenticated")
        .await;
    here.refused(keyed().bearer_auth(token("fremd")), 401, "unauthenticated")
        .await;
    here.refused(post().bearer_auth(token("alles")), 400, "idempotency-key-missing")
        .await;

    let mut other = metadata();
    other["leistung"] = json!(EINBUERGERUNG);
    let few = |form| {
        here.serving
            .http
            .post(format!("{}/v1/submissions", here.serving.base))
            .bearer_auth(token("wenig"))
            .header("Idempotency-Key", "k")
            .multipart(form)
    };
    here.refused(few(form(&other)), 403, "not-permitted").await;
    let mut other = metadata();
    other["region"] = json!("051110000000");
    here.refused(few(form(&other)), 403, "not-permitted").await;
    let response = few(form(&metadata())).send().await.unwrap();
    assert_eq!(response.status(), 429);
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&seconds) && response.headers().contains_key("ratelimit"));
    assert_eq!(here.stored().await, 0);
}

#[tokio::test]
async fn where_it_cannot_go_is_said_by_its_own_code() {
    let here = Fixture::new("").await;
    let with = |key: &str, value: &str| {
        let mut metadata = metadata();
        metadata[key] = json!(value);
        here.request("k").multipart(form(&metadata))
    };
    let body = here.refused(with("region", "010020000000"), 422, "not-connected").await;
    assert_eq!(
        (body["text"].as_str(), body["url"].as_str()),
        (Some("Noch nicht"), Some("https://a.example"))
    );
    let body = here.refused(with("region", "010030000000"), 422, "choice-needed").await;
    assert_eq!(body["choices"].as_array().unwrap().len(), 2);
    let body = here.refused(with("region", "010040000000"), 422, "no-route").await;
    assert!(!body["steps"].as_array().unwrap().is_empty());
    here.refused(with("region", "010990990990"), 422, "no-route").await;
    here.refused(with("region", "Kiel"), 422, "payload-invalid").await;
    let body = here
        .refused(
            with("payloadSchema", "urn:example:wohngeld:2"),
            422,
            "schema-not-accepted",
        )
        .await;
    assert!(body["accepts"].as_array().unwrap().contains(&json!(SCHEMA)), "{body}");
    let body = here.refused(with("leistung", "99000000000000"), 422, "no-route").await;
    assert_eq!(body["reason"], "leistung-unknown");

    let mut level = metadata();
    level["leistung"] = json!(EINBUERGERUNG);
    level["payloadSchema"] = json!("urn:example:einbuergerung:1");
    let body = here
        .refused(here.request("k").multipart(form(&level)), 422, "level-too-low")
        .await;
    assert_eq!(body["requiredLevel"], 3);
    level["applicant"] = json!({ "kind": "person", "assertion": "eyJ", "level": 2 });
    here.refused(here.request("k").multipart(form(&level)), 422, "level-too-low")
        .await;
    level["applicant"]["level"] = json!(3);
    assert_eq!(here.post("k", form(&level)).await.0, 202);

    // one of the choices, named
    let mut named = metadata();
    named.as_object_mut().unwrap().remove("region");
    named["behoerde"] = json!("wgb:010020000000");
    let (status, body) = here.post("k2", form(&named)).await;
    assert_eq!((status, body["behoerde"].as_str()), (202, Some("wgb:010020000000")));
    // one that takes everything and is competent for nothing: naming it is no way round the table
    let not_competent = "ebb:010090000000";
    let refused = [
        ("wgb:019990000000", 422),
        (PORTAL, 422),
        (not_competent, 422),
        ("wgb:051110000000", 403),
    ];
    for (behoerde, status) in refused {
        named["behoerde"] = json!(behoerde);
        assert_eq!(here.post("k3", form(&named)).await.0, status, "{behoerde}");
    }
    assert_eq!(here.stored().await, 2);
}

/// The last part is there, the end of the request is not.
#[tokio::test]
async fn a_request_that_is_cut_off_behind_its_last_part_is_not_taken() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let here = Fixture::new("").await;
    let metadata = metadata();
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{metadata}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"payload\"\r\n\r\n<antrag/>\r\n--b--\r\n"
    );
    for missing in [0, 100] {
        let head = format!(
            "POST /v1/submissions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\nIdempotency-Key: cut\r\n\
             Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            token("alles"),
            body.len() + missing
        );
        let address = here.serving.base.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        if missing > 0 {
            stream.shutdown().await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(
            answer.starts_with("HTTP/1.1 202"),
            missing == 0,
            "{missing} octets missing: {answer}"
        );
        assert_eq!(here.stored().await, 1, "only the whole one");
    }
}

#[tokio::test]
async fn a_large_application_is_sealed_whole() {
    let here = Fixture::new("").await;
    let payload: Vec<u8> = (0..4 << 20).map(|n: u32| (n % 251) as u8).collect();
    let large = Form::new()
        .text("metadata", metadata().to_string())
        .part("payload", part(payload.clone(), "antrag.xml"));
    let (status, body) = here.post("k", large).await;
    assert_eq!(status, 202, "{body}");
    assert_eq!(
        body["digests"]["payload"],
        viereck_routing::Digest::of(&payload).to_string()
    );
    assert_eq!(here.stored().await, 1);
}

#[tokio::test]
async fn limits_are_counted_while_it_streams() {
    let limits = r#"{"limits":{"payload_bytes":1000,"attachment_bytes":2000,"together_bytes":2500,"metadata_bytes":1000,
        "attachments":2,"bytes_in_flight":100000}}"#;
    let here = Fixture::new(limits).await;
    let payload = |octets: usize| {
        Form::new()
            .text("metadata", metadata().to_string())
            .part("payload", part(vec![b'x'; octets], "p"))
    };
    let attached = |octets: &[usize]| {
        octets.iter().fold(payload(1000), |form, octets| {
            form.part("attachment", part(vec![b'y'; *octets], "a"))
        })
    };
    let request = |form| here.request("k").multipart(form);
    here.refused(request(payload(1001)), 413, "too-large").await;
    here.refused(request(payload(200_000)), 413, "too-large").await;
    here.refused(request(attached(&[2001])), 413, "too-large").await;
    here.refused(request(attached(&[1500, 1])), 413, "too-large").await;
    here.refused(request(attached(&[1, 1, 1])), 413, "too-large").await;
    let mut long = metadata();
    long["clientReference"] = json!("x".repeat(1000));
    here.refused(request(form(&long)), 413, "too-large").await;
    // without a length of its own, so that only counting can tell
    let chunks = futures_util::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1000])));
    let stream = Part::stream(reqwest::Body::wrap_stream(chunks)).file_name("p");
    let streamed = Form::new()
        .text("metadata", metadata().to_string())
        .part("payload", stream);
    here.refused(request(streamed), 413, "too-large").await;
    // a part whose head has no end
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"payload\"\r\nX: {}",
        "x".repeat(100_000)
    );
    let endless = here
        .request("k")
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body(head);
    here.refused(endless, 413, "too-large").await;
    assert_eq!(here.post("k", attached(&[1500])).await.0, 202);
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let here = Fixture::new("").await;
    let invalid = async |request: reqwest::RequestBuilder, error: &str| {
        let body = here.refused(request, 422, "payload-invalid").await;
        assert_eq!(body["errors"][0]["code"], error, "{body}");
    };
    let raw = |content_type: &str, body: &str| {
        here.request("k")
            .header("Content-Type", content_type)
            .body(body.to_owned())
    };
    invalid(raw("application/json", "{}"), "multipart-broken").await;
    invalid(raw("multipart/form-data", "x"), "multipart-broken").await;
    let torn = "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{}";
    invalid(raw("multipart/form-data; boundary=b", torn), "multipart-broken").await;
    invalid(raw("multipart/form-data; boundary=b", ""), "multipart-broken").await;
    invalid(raw("multipart/form-data; boundary=b", "--b--\r\n"), "part-missing").await;
    invalid(
        here.request("k").multipart(form(&metadata()).text("payload", "again")),
        "part-twice",
    )
    .await;
    invalid(
        here.request("k").multipart(form(&metadata()).text("Erika", "x")),
        "multipart-broken",
    )
    .await;
    let empty = Form::new()
        .text("metadata", metadata().to_string())
        .part("payload", part(vec![], "p"));
    invalid(here.request("k").multipart(empty), "part-empty").await;
    let no_json = Form::new()
        .text("metadata", "Erika")
        .part("payload", part(b"x".to_vec(), "p"));
    invalid(here.request("k").multipart(no_json), "not-json").await;

    let encoded = here
        .request("k")
        .header("Content-Encoding", "gzip")
        .multipart(form(&metadata()));
    here.refused(encoded, 415, "unsupported-encoding").await;
}

#[tokio::test]
async fn a_gateway_that_is_full_or_stopping_says_so() {
    let here = Fixture::new("").await;
    let room = here
        .gateway
        .room_for(here.gateway.config.limits.bytes_in_flight)
        .unwrap();
    here.refused(here.request("k").multipart(form(&metadata())), 503, "busy")
        .await;
    drop(room);
    let health = async |path: &str| {
        here.serving
            .http
            .get(format!("{}/healthz/{path}", here.serving.base))
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(
        (health("live").await, health("ready").await),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
    here.gateway.draining.cancel();
    here.refused(here.request("k").multipart(form(&metadata())), 503, "stopping")
        .await;
    assert_eq!(
        (health("live").await, health("ready").await),
        (200.try_into().unwrap(), 503.try_into().unwrap())
    );
    let missing = here.serving.http.get(format!("{}/nowhere", here.serving.base));
    assert_eq!(answer(missing).await.1["code"], "not-found");
    assert!(here.network.folder.path().exists());
}
