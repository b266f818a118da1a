//! The adapter `postfach`: a Bescheid reaches the mailbox of its own case, and no other.

use std::sync::Arc;

use serde_json::{Value, json};
use viereck_envelope::{Reason, ReplyChannel, ReplyToken, Stage};
use viereck_routing::{CaseId, MessageId};

use super::hand_over::Delivering;
use super::http_adapter::parts;
use super::submissions::{answer, form, metadata};
use crate::gateway::Gateway;
use crate::testing::{Answer, BEHOERDE, Network, PORTAL, SENDER, Scripted, Serving, hear, take, token, until};

struct Fixture {
    network: Network,
    gateway: Arc<Gateway>,
    mailbox: Scripted,
    application: MessageId,
    case_id: CaseId,
    delivering: Delivering,
}

impl Fixture {
    async fn new(answers: impl IntoIterator<Item = Answer>, channel: bool) -> Self {
        let network = Network::new();
        let mailbox = Scripted::start(answers).await;
        let delivery = json!({ "behoerde": PORTAL, "leistung": "default", "adapter": "postfach", "url": mailbox.url });
        let gateway = network
            .gateway(SENDER, &json!({ "delivery": [delivery] }).to_string())
            .await;
        let serving = Serving::start(&gateway).await;
        let mut metadata = metadata();
        if channel {
            metadata["replyChannel"] = json!({ "mailbox": "0b9c7d4e", "level": 3 });
        }
        let post = serving
            .http
            .post(format!("{}/v1/submissions", serving.base))
            .bearer_auth(token("alles"));
        let (_, filed) = answer(post.header("Idempotency-Key", "k").multipart(form(&metadata))).await;
        let id = |key: &str| filed[key].as_str().unwrap().to_owned();
        Self {
            delivering: Delivering::start(Arc::clone(&gateway)),
            application: id("submissionId").parse().unwrap(),
            case_id: id("caseId").parse().unwrap(),
            network,
            gateway,
            mailbox,
        }
    }

    async fn own_token(&self) -> Option<ReplyToken> {
        self.gateway
            .journal
            .case_of_author(&self.case_id)
            .await
            .unwrap()
            .unwrap()
            .reply_token
    }

    /// Takes an answer in the case with this token and waits for its end.
    async fn ends(&self, token: Option<ReplyToken>, stage: Stage) -> Vec<Reason> {
        let envelope = self.network.answer(self.application, self.case_id, token);
        take(&self.gateway, &envelope).await;
        until(&self.gateway.journal, envelope.header().message_id, stage)
            .await
            .reasons
    }
}

#[tokio::test]
async fn a_bescheid_reaches_its_mailbox() {
    let here = Fixture::new([], true).await;
    let token = here.own_token().await;
    assert!(here.ends(token, Stage::Accepted).await.is_empty());
    let asked = &here.mailbox.asked()[0];
    let parts = parts(&asked.headers["content-type"], &asked.body).await;
    let message: Value = serde_json::from_slice(&parts[0].3).unwrap();
    assert_eq!(message["mailboxUuid"], "0b9c7d4e");
    assert_eq!(message["stork_qaa_level"], 3);
    assert_eq!(
        (message["sender"].as_str(), message["service"].as_str()),
        (Some("Amt A"), Some("Wohngeld"))
    );
    assert_eq!(message["title"], "Bescheid");
    assert!(message["content"].as_str().unwrap().contains("Amt A"));
    assert_eq!(message["applicationId"], here.case_id.to_string());
    assert_eq!(message["reference"], here.application.to_string());
    let attachment = &message["attachments"][0];
    assert_eq!(
        (attachment["filename"].as_str(), attachment["contentLength"].as_u64()),
        (Some("bescheid.pdf"), Some(13))
    );
    assert_eq!(attachment["sha512sum"].as_str().unwrap().len(), 128);
    assert_eq!(
        (parts[1].0.as_str(), parts[1].3.as_slice()),
        ("attachment-01", &b"%PDF-Bescheid"[..])
    );
    assert_eq!(parts.len(), 2);
    here.delivering.stop().await;
}

#[tokio::test]
async fn one_attempt_sees_one_routing_table() {
    let here = Fixture::new([], true).await;
    let token = here.own_token().await;
    let file = "laender/01-schleswig-holstein/behoerden/a.toml";
    let changed = here.network.changed(file, "Amt A", "Amt Z");
    // another table comes into force after the message was verified and before its letter is written
    let in_force = here.network.in_force.clone();
    let _hearing = hear(move |_, fields| {
        if fields.contains("stage=\"handing-over\"") {
            in_force.send_replace(Arc::clone(&changed));
        }
    });
    here.ends(token, Stage::Accepted).await;
    let asked = &here.mailbox.asked()[0];
    let parts = parts(&asked.headers["content-type"], &asked.body).await;
    let message: Value = serde_json::from_slice(&parts[0].3).unwrap();
    assert_eq!(message["sender"], "Amt A");
    let now = here.gateway.tables();
    assert_eq!(now.participant(&BEHOERDE.parse().unwrap()).unwrap().name, "Amt Z");
    here.delivering.stop().await;
}

#[tokio::test]
async fn a_mailbox_that_refuses_is_told_to_the_authority() {
    let problem = vec![("content-type", "application/problem+json".to_owned())];
    let here = Fixture::new([(422, problem, r#"{"code":"mailbox-closed"}"#.to_owned())], true).await;
    let token = here.own_token().await;
    assert_eq!(here.ends(token, Stage::Rejected).await, [Reason::MailboxRefused]);
    here.delivering.stop().await;
}

#[tokio::test]
async fn without_a_good_token_nothing_reaches_any_mailbox() {
    let here = Fixture::new([], true).await;
    assert_eq!(here.ends(None, Stage::Rejected).await, [Reason::NoMailbox]);
    let key = here.gateway.keys().reply_tokens;
    let channel = |message_id: MessageId, reader: &str, hours: i64| ReplyChannel {
        mailbox: "somebody-else".to_owned(),
        level: 3,
        message_id,
        reader: reader.parse().unwrap(),
        expires: jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours),
    };
    for (channel, reason) in [
        (channel(MessageId::random(), BEHOERDE, 1), Reason::NotOurCase),
        (channel(here.application, "wgb:010020000000", 1), Reason::NotOurCase),
        (channel(here.application, BEHOERDE, -1), Reason::NoMailbox),
    ] {
        assert_eq!(
            here.ends(Some(key.seal(&channel).unwrap()), Stage::Rejected).await,
            [reason]
        );
    }
    let foreign = "Zm9yZWlnbg".parse::<ReplyToken>().unwrap();
    assert_eq!(here.ends(Some(foreign), Stage::Rejected).await, [Reason::NoMailbox]);
    assert!(here.mailbox.asked().is_empty());
    here.delivering.stop().await;
}
