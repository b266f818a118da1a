//! Webhooks from outside: entered over HTTP, called at a real server that checks the signature, refused where they lead
//! to addresses that nobody outside should reach.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64_simd::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use viereck_custody::webhooks::{Entered, Outcome};
use viereck_custody::{Idempotency, Promise};
use viereck_envelope::{BatchDraft, Event, SealedEnvelope, Signer, Stage, Subject, seal_batch};
use viereck_routing::{Digest, GatewayId};

use super::submissions::answer;
use crate::gateway::Gateway;
use crate::testing::{Asked, Network, RECEIVER, SENDER, Scripted, Serving, token};
use crate::webhooks;

/// Calls go to this host, and failures are tried again soon.
const TRIAL: &str = r#"{"webhooks":{"allow_loopback":true,"retry_seconds":1}}"#;

struct Fixture {
    network: Network,
    gateway: Arc<Gateway>,
    serving: Serving,
    stop: CancellationToken,
}

impl Fixture {
    async fn new(more: &str) -> Self {
        let network = Network::new();
        let gateway = network.gateway(SENDER, more).await;
        let serving = Serving::start(&gateway).await;
        let stop = CancellationToken::new();
        tokio::spawn(webhooks::run(Arc::clone(&gateway), stop.clone()));
        Self {
            network,
            gateway,
            serving,
            stop,
        }
    }

    fn request(&self, method: reqwest::Method, path: &str, client: &str) -> reqwest::RequestBuilder {
        let request = self
            .serving
            .http
            .request(method, format!("{}{path}", self.serving.base));
        request.bearer_auth(token(client))
    }

    async fn post(&self, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.request(reqwest::Method::POST, path, "alles");
        answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(reqwest::Method::GET, path, "alles")).await
    }

    /// Enters a webhook of a client, and gives its id and its secret.
    async fn enter(&self, client: &str, url: &str) -> (String, Vec<u8>) {
        let request = self.request(reqwest::Method::POST, "/v1/webhooks", client);
        let (status, entered) = answer(request.json(&json!({ "url": url }))).await;
        assert_eq!(status, 201, "{entered}");
        (entered["webhookId"].as_str().unwrap().to_owned(), secret(&entered))
    }

    /// Promises an application of a client.
    async fn promise(&self, client: &str) -> SealedEnvelope {
        let sealed = self.network.sealed(|_| {});
        let again = self.network.opened(&sealed, RECEIVER);
        assert_eq!(again.digest(), sealed.digest());
        let idempotency = Idempotency {
            owner: format!("client:{client}"),
            key: sealed.header().message_id.to_string(),
            fingerprint: Digest::of(b"1"),
        };
        let copy = sealed.clone();
        self.gateway
            .journal
            .promise(Promise::new(sealed, idempotency, "{}".to_owned()))
            .await
            .unwrap();
        copy
    }

    /// A custodian states something about a message, and the sender's gateway hears of it.
    async fn told(&self, about: &SealedEnvelope, stage: Stage, by: &str, sequence: u64) {
        let (header, now) = (about.header(), Timestamp::now());
        let event = Event {
            subject: Subject::Message {
                message_id: header.message_id,
                envelope_digest: about.digest(),
                process_ref: header.process_ref,
            },
            stage,
            time: now,
            custodian: by.parse().unwrap(),
            author: Some(header.author.clone()),
            reader: Some(header.reader.clone()),
            deputy: None,
            target: (stage == Stage::Relayed).then(|| RECEIVER.parse().unwrap()),
            holder: None,
            service: Some(header.service.clone()),
            region: header.region,
            routing_table: header.routing_table,
            reasons: vec![],
        };
        let by: GatewayId = by.parse().unwrap();
        let octets = [event.to_octets()];
        let draft = BatchDraft {
            environment: self.network.tables.environment(),
            custodian: by.clone(),
            destination: SENDER.parse().unwrap(),
            sequence,
            previous: if sequence == 1 {
                Digest::ZERO
            } else {
                Digest::of(b"the head before")
            },
            from: now,
            to: now,
            events: &octets,
        };
        let key = self
            .network
            .folder
            .path()
            .join("keys")
            .join(by.as_str())
            .join("signing-1.key.pem");
        let certificate = self.network.tables.current_signing_certificate(&by, now).unwrap();
        let signer = Signer::new(certificate.clone(), &std::fs::read_to_string(key).unwrap()).unwrap();
        let batch = seal_batch(draft, &signer, now).unwrap();
        let tables = self.network.tables.clone();
        self.gateway
            .journal
            .take_receipts(batch.bytes().clone(), tables)
            .await
            .unwrap();
    }

    async fn log(&self, id: &str) -> Vec<Value> {
        let (status, log) = self.get(&format!("/v1/webhooks/{id}/deliveries")).await;
        assert_eq!(status, 200, "{log}");
        log["deliveries"].as_array().unwrap().clone()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn secret(answer: &Value) -> Vec<u8> {
    let shown = answer["secret"].as_str().unwrap();
    STANDARD.decode_to_vec(shown.strip_prefix("whsec_").unwrap()).unwrap()
}

/// Looks until it is so.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "not within 15 s");
    }
}

/// What Standard Webhooks tells a receiver to do. Which of the signatures fits.
fn verified(asked: &Asked, secret: &[u8]) -> Option<usize> {
    let header = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
    let timestamp: i64 = header("webhook-timestamp").parse().unwrap();
    assert!((Timestamp::now().as_second() - timestamp).abs() < 60);
    let body = std::str::from_utf8(&asked.body).unwrap();
    let signed = format!("{}.{timestamp}.{body}", header("webhook-id"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    header("webhook-signature").split(' ').position(|one| {
        let tag = STANDARD.decode_to_vec(one.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
    })
}

#[tokio::test]
async fn each_status_is_told_once_signed_and_says_nothing_about_a_person() {
    let here = Fixture::new(TRIAL).await;
    let server = Scripted::start([]).await;
    let (id, secret) = here.enter("alles", &server.url).await;
    let filed = here.promise("alles").await;
    here.told(&filed, Stage::Relayed, "broker", 1).await;
    until(async || (server.asked().len() == 1).then_some(())).await;
    here.told(&filed, Stage::Accepted, RECEIVER, 1).await;
    here.told(&filed, Stage::Delivered, RECEIVER, 2).await;
    let log = until(async || {
        let log = here.log(&id).await;
        (log.len() == 2 && log.iter().all(|line| line["state"] == "delivered")).then_some(log)
    })
    .await;
    assert_eq!(server.asked().len(), 2, "a stage that is behind already is no news");

    let asked = &server.asked()[1];
    assert_eq!(verified(asked, &secret), Some(0));
    assert_eq!(verified(asked, b"another secret"), None);
    assert_eq!(
        asked.headers["content-type"],
        "application/cloudevents+json; charset=utf-8"
    );
    let event: Value = serde_json::from_slice(&asked.body).unwrap();
    let submission = filed.header().message_id.to_string();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "de.viereck.submission.status.v1");
    assert_eq!(event["source"], "urn:viereck:gateway:gw-s");
    assert_eq!(event["subject"], submission);
    assert_eq!(event["id"], asked.headers["webhook-id"].to_str().unwrap());
    let data = json!({
        "submissionId": submission, "caseId": filed.header().process_ref, "status": "accepted", "terminal": true
    });
    assert_eq!(event["data"], data);
    assert_eq!(
        (&log[0]["status"], &log[0]["submissionId"]),
        (&json!("accepted"), &json!(submission))
    );
    assert_eq!(log[0]["deliveryId"], event["id"]);

    // told again on request, under the same id
    let path = format!(
        "/v1/webhooks/{id}/deliveries/{}/redeliver",
        log[0]["deliveryId"].as_str().unwrap()
    );
    let again = here
        .request(reqwest::Method::POST, &path, "alles")
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 202);
    until(async || (server.asked().len() == 3).then_some(())).await;
    assert_eq!(server.asked()[2].headers["webhook-id"], asked.headers["webhook-id"]);
    assert_eq!(server.asked()[2].body, asked.body);
}

#[tokio::test]
async fn an_event_that_is_not_taken_comes_again_until_it_is() {
    let here = Fixture::new(TRIAL).await;
    let failing = [
        (500, vec![], String::new()),
        (302, vec![("location", "/".to_owned())], String::new()),
    ];
    let server = Scripted::start(failing).await;
    let (id, secret) = here.enter("alles", &server.url).await;
    let filed = here.promise("alles").await;
    here.told(&filed, Stage::Relayed, "broker", 1).await;
    let log = until(async || {
        let log = here.log(&id).await;
        (log.first()?["state"] == "delivered").then_some(log)
    })
    .await;
    assert_eq!((&log[0]["attempts"], log.len()), (&json!(3), 1));
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(
        asked
            .iter()
            .all(|one| verified(one, &secret) == Some(0) && one.body == asked[0].body)
    );
}

/// Its table names it no more: nothing is told, nothing waits for ever, and it hears the rest if it comes back in time.
#[tokio::test]
async fn what_is_due_to_a_client_that_is_none_any_more_is_put_off_and_given_up() {
    let here = Fixture::new(TRIAL).await;
    let server = Scripted::start([]).await;
    let (stranger, url) = ("frueher".parse().unwrap(), server.url.clone());
    let journal = &here.gateway.journal;
    let Entered::New(webhook) = journal.enter_webhook(&stranger, url, 1).await.unwrap() else {
        panic!("there was none")
    };
    let filed = here.promise("frueher").await;
    here.told(&filed, Stage::Relayed, "broker", 1).await;
    let line = until(async || {
        let log = journal.webhook_log(&webhook.id, None, 10).await.unwrap();
        log.into_iter().find(|line| line.attempts > 1)
    })
    .await;
    let (outcome, at) = line.last.unwrap();
    assert_eq!(outcome, Outcome::NoClient);
    assert!(line.due_at.unwrap() > at);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_webhook_belongs_to_one_client_and_its_secret_is_shown_once() {
    let here = Fixture::new(r#"{"webhooks":{"allow_loopback":true,"per_client":2}}"#).await;
    let server = Scripted::start([]).await;
    let (id, first) = here.enter("alles", &server.url).await;
    let path = format!("/v1/webhooks/{id}");
    let (_, shown) = here.get(&path).await;
    assert_eq!(
        (&shown["url"], &shown["status"]),
        (&json!(server.url), &json!("enabled"))
    );
    let (_, all) = here.get("/v1/webhooks").await;
    assert_eq!(all["webhooks"], json!([shown]));
    assert!(shown.get("secret").is_none());

    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        assert_eq!(answer(here.request(method, &path, "wenig")).await.0, 404);
    }
    for below in ["secret", "enable", "test"] {
        let request = here.request(reqwest::Method::POST, &format!("{path}/{below}"), "wenig");
        assert_eq!(answer(request).await.0, 404, "{below}");
    }
    let nobody = here.serving.http.get(format!("{}{path}", here.serving.base));
    assert_eq!(answer(nobody).await.0, 401);

    // one for each URL, and as many as agreed
    let (status, there) = here.post("/v1/webhooks", Some(json!({ "url": server.url }))).await;
    assert_eq!(
        (status, &there["code"], &there["webhookId"]),
        (409, &json!("webhook-exists"), &json!(id))
    );
    here.enter("alles", "https://a.example/hook").await;
    let (status, full) = here
        .post("/v1/webhooks", Some(json!({ "url": "https://b.example/hook" })))
        .await;
    assert_eq!((status, &full["code"]), (409, &json!("too-many-webhooks")));

    // a new secret; the old one signs beside it
    let (_, rotated) = here.post(&format!("{path}/secret"), None).await;
    let second = secret(&rotated);
    assert_ne!(first, second);
    assert!(rotated["previousSecretUntil"].is_string());
    let (_, tried) = here.post(&format!("{path}/test"), None).await;
    assert_eq!(
        (&tried["delivered"], &tried["outcome"]),
        (&json!(true), &json!("delivered"))
    );
    let asked = server.asked().pop().unwrap();
    assert_eq!(
        (verified(&asked, &second), verified(&asked, &first)),
        (Some(0), Some(1))
    );
    let event: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]),
        (&json!("de.viereck.webhook.test.v1"), &json!({}))
    );

    let gone = here
        .request(reqwest::Method::DELETE, &path, "alles")
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), 204);
    assert_eq!(here.get(&path).await.0, 404);
}

#[tokio::test]
async fn nothing_that_is_not_public_is_called_however_it_is_named() {
    let here = Fixture::new("").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://user:secret@a.example/".to_owned(),
        "http://a.example/".to_owned(),
        "ftp://a.example/".to_owned(),
    ] {
        let (status, body) = here.post("/v1/webhooks", Some(json!({ "url": url }))).await;
        assert_eq!(
            (status, &body["code"]),
            (422, &json!("webhook-url-not-allowed")),
            "{url}"
        );
        assert!(!body.to_string().contains("secret"));
    }
    for body in [
        json!({}),
        json!({ "url": 1 }),
        json!({ "url": "https://a.example/", "more": 1 }),
        json!([]),
    ] {
        let (status, refused) = here.post("/v1/webhooks", Some(body)).await;
        assert_eq!((status, &refused["code"]), (422, &json!("payload-invalid")));
    }
    // a name says nothing about its address until it is resolved
    let (id, _) = here.enter("alles", &format!("https://localhost:{port}/")).await;
    let (_, tried) = here.post(&format!("/v1/webhooks/{id}/test"), None).await;
    assert_eq!(
        (&tried["delivered"], &tried["outcome"]),
        (&json!(false), &json!("address-refused"))
    );
    let (id, _) = here.enter("alles", "https://no-such-host.invalid/").await;
    let (_, tried) = here.post(&format!("/v1/webhooks/{id}/test"), None).await;
    assert_eq!(tried["outcome"], "name-not-found");
    let nobody = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(nobody.is_err(), "somebody connected");
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let here = Fixture::new(TRIAL).await;
    let inside = Scripted::start([]).await;
    let elsewhere = (307, vec![("location", inside.url.clone())], String::new());
    let server = Scripted::start([elsewhere]).await;
    let (id, _) = here.enter("alles", &server.url).await;
    let (_, tried) = here.post(&format!("/v1/webhooks/{id}/test"), None).await;
    assert_eq!(tried["outcome"], "redirected");
    assert_eq!((server.asked().len(), inside.asked().len()), (1, 0));
}

#[tokio::test]
async fn a_server_that_never_answers_holds_up_nobody_else() {
    let here = Fixture::new(r#"{"webhooks":{"allow_loopback":true,"concurrency":2,"timeout_seconds":30}}"#).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    here.enter("alles", &format!("http://{}/", silent.local_addr().unwrap()))
        .await;
    let server = Scripted::start([]).await;
    here.enter("wenig", &server.url).await;
    for sequence in 0..5 {
        let filed = here.promise("alles").await;
        here.told(&filed, Stage::Relayed, "broker", sequence + 1).await;
    }
    let filed = here.promise("wenig").await;
    here.told(&filed, Stage::Relayed, "broker", 6).await;
    until(async || (server.asked().len() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_server_that_is_gone_for_good_is_not_called_any_more() {
    let here = Fixture::new(TRIAL).await;
    let server = Scripted::start([(410, vec![], String::new())]).await;
    let (id, _) = here.enter("alles", &server.url).await;
    let filed = here.promise("alles").await;
    here.told(&filed, Stage::Relayed, "broker", 1).await;
    let path = format!("/v1/webhooks/{id}");
    let disabled = until(async || {
        let (_, shown) = here.get(&path).await;
        (shown["status"] == "disabled").then_some(shown)
    })
    .await;
    assert_eq!(disabled["disabledBecause"], "gone");
    here.told(&filed, Stage::Delivered, RECEIVER, 1).await;
    assert_eq!(here.log(&id).await.len(), 1, "nothing is written down for it");
    let (_, enabled) = here.post(&format!("{path}/enable"), None).await;
    assert_eq!(enabled["status"], "enabled");
    here.told(&filed, Stage::Accepted, RECEIVER, 2).await;
    until(async || (server.asked().len() == 2).then_some(())).await;
}
