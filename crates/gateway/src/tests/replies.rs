//! `POST /v1/cases/{caseId}/replies`: an answer of the authority that holds the case, and of nobody else.

use std::sync::Arc;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use viereck_custody::Actor;
use viereck_envelope::{Role, SealedEnvelope, Stage};
use viereck_routing::{CaseId, Digest, Kind};

use super::hand_over::Delivering;
use super::submissions::answer;
use crate::gateway::Gateway;
use crate::reply::about::About;
use crate::testing::{BEHOERDE, Network, PORTAL, RECEIVER, Scripted, Serving, take, token, until};

struct Fixture {
    network: Network,
    gateway: Arc<Gateway>,
    serving: Serving,
    application: SealedEnvelope,
    delivering: Delivering,
    _fachverfahren: Scripted,
}

impl Fixture {
    async fn new() -> Self {
        let network = Network::new();
        let fachverfahren = Scripted::start([]).await;
        let digest = |name: &str| Digest::of(token(name).as_bytes()).to_string();
        let gateway = network.gateway(RECEIVER, &json!({
            "delivery": [{ "behoerde": BEHOERDE, "leistung": "default", "adapter": "http", "url": fachverfahren.url }],
            "fachverfahren": [
                { "name": "fv-a", "behoerden": [BEHOERDE], "token_sha256": digest("fv-a") },
                { "name": "fv-b", "behoerden": ["wgb:010020000000"], "token_sha256": digest("fv-b") },
            ],
        }).to_string()).await;
        let serving = Serving::start(&gateway).await;
        let delivering = Delivering::start(Arc::clone(&gateway));
        let sender = network.keys("gw-s");
        let application = network.sealed(|draft| {
            let channel = viereck_envelope::ReplyChannel {
                mailbox: "0b9c7d4e".to_owned(),
                level: 3,
                message_id: draft.message_id,
                reader: draft.reader.clone(),
                expires: draft.obsolete_after,
            };
            draft.content.reply_token = Some(sender.reply_tokens.seal(&channel).unwrap());
        });
        take(&gateway, &application).await;
        until(&gateway.journal, application.header().message_id, Stage::Accepted).await;
        Self {
            network,
            gateway,
            serving,
            application,
            delivering,
            _fachverfahren: fachverfahren,
        }
    }

    fn post(&self, case_id: &str, who: &str, key: &str, metadata: &Value) -> reqwest::RequestBuilder {
        let pdf = Part::bytes(b"%PDF-1.7".to_vec())
            .file_name("Bescheid.pdf")
            .mime_str("application/pdf")
            .unwrap();
        self.serving
            .http
            .post(format!("{}/v1/cases/{case_id}/replies", self.serving.base))
            .bearer_auth(token(who))
            .header("Idempotency-Key", key)
            .multipart(Form::new().text("metadata", metadata.to_string()).part("payload", pdf))
    }

    fn case_id(&self) -> String {
        self.application.header().process_ref.to_string()
    }
}

#[tokio::test]
async fn a_bescheid_is_promised_to_the_portal() {
    let here = Fixture::new().await;
    let metadata = json!({ "kind": "bescheid", "inReplyTo": here.application.header().message_id, "title": "Ihr Bescheid", "dueDate": "2026-12-31" });
    let (status, first) = answer(here.post(&here.case_id(), "fv-a", "k", &metadata)).await;
    assert_eq!(
        (status, first["caseId"].as_str()),
        (202, Some(here.case_id().as_str())),
        "{first}"
    );
    assert_eq!(
        answer(here.post(&here.case_id(), "fv-a", "k", &metadata)).await,
        (202, first.clone())
    );
    let id = first["messageId"].as_str().unwrap().parse().unwrap();
    let view = here.gateway.journal.message(&id).await.unwrap().unwrap();
    assert_eq!(
        (view.kind, view.author.as_str(), view.reader.as_str()),
        (Kind::Bescheid, BEHOERDE, PORTAL)
    );
    assert_eq!(here.gateway.journal.in_flight().await.unwrap(), [id]);
    let mut other = metadata.clone();
    other["title"] = json!("Ein anderer");
    let (status, body) = answer(here.post(&here.case_id(), "fv-a", "k", &other)).await;
    assert_eq!((status, body["code"].as_str()), (422, Some("idempotency-key-reused")));
    here.delivering.stop().await;
}

#[tokio::test]
async fn a_case_that_is_not_there_may_come_again_after_a_restore() {
    let here = Fixture::new().await;
    let unknown = CaseId::random().to_string();
    let metadata = json!({ "kind": "bescheid", "title": "Ihr Bescheid" });
    let (status, body) = answer(here.post(&unknown, "fv-a", "k", &metadata)).await;
    assert_eq!((status, body["code"].as_str()), (404, Some("not-found")));
    let (actor, reason) = (Actor::operator("anna").unwrap(), "disk replaced".parse().unwrap());
    here.gateway.journal.reopen(&actor, &reason, "restored").await.unwrap();
    let (status, body) = answer(here.post(&unknown, "fv-a", "k", &metadata)).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("case-not-yet-known")));
    here.delivering.stop().await;
}

#[tokio::test]
async fn title_and_due_date_travel_encrypted() {
    let network = Network::new();
    let about = About {
        title: "Wohngeld für Erika".to_owned(),
        due_date: None,
    };
    let answer = network.sealed(|draft| draft.content.files.push(about.to_file()));
    assert!(!String::from_utf8_lossy(answer.bytes()).contains("Erika"));
    let opened = network.opened(&answer, RECEIVER);
    assert_eq!(About::of(opened.content()), Some(about));
    assert_eq!(opened.content().files[2].role, Role::Form);
}

#[tokio::test]
async fn only_who_holds_the_case_answers_and_only_what_makes_sense() {
    let here = Fixture::new().await;
    let good = json!({ "kind": "question", "title": "Eine Frage" });
    let case_id = here.case_id();
    let with = |key: &str, value: Value| {
        let mut metadata = good.clone();
        metadata[key] = value;
        metadata
    };
    let unknown = CaseId::random().to_string();
    for (case_id, who, metadata, status, code) in [
        (case_id.as_str(), "unknown", good.clone(), 401, "unauthenticated"),
        (&case_id, "alles", good.clone(), 401, "unauthenticated"),
        (&case_id, "fv-b", good.clone(), 404, "not-found"),
        (&unknown, "fv-a", good.clone(), 404, "not-found"),
        ("no-uuid", "fv-a", good.clone(), 404, "not-found"),
        (
            &case_id,
            "fv-a",
            with("kind", json!("application")),
            422,
            "payload-invalid",
        ),
        (
            &case_id,
            "fv-a",
            with("kind", json!("status")),
            422,
            "schema-not-accepted",
        ),
        (
            &case_id,
            "fv-a",
            with("inReplyTo", json!(unknown)),
            422,
            "payload-invalid",
        ),
        (
            &case_id,
            "fv-a",
            with("dueDate", json!("morgen")),
            422,
            "payload-invalid",
        ),
        (&case_id, "fv-a", with("mailbox", json!("x")), 422, "payload-invalid"),
        (&case_id, "fv-a", json!({ "kind": "question" }), 422, "payload-invalid"),
    ] {
        let (got, body) = answer(here.post(case_id, who, "k", &metadata)).await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{metadata}");
    }
    assert!(here.gateway.journal.in_flight().await.unwrap().is_empty());
    let (status, _) = answer(here.post(&case_id, "fv-a", "k", &good)).await;
    assert_eq!(status, 202);
    here.delivering.stop().await;
    assert!(here.network.folder.path().exists());
}
