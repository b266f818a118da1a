//! A message is sealed anew for another key, by order or by rule, and never when somebody may have it.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_custody::audit::Actor;
use viereck_custody::webhooks::{Entered, News};
use viereck_custody::{MessageKey, MessageView};
use viereck_envelope::{BatchDraft, Event, OpenedEnvelope, Reason, Stage, Subject, open, seal_batch, verify};
use viereck_routing::{Digest, MessageId, Profile};

use super::submissions::{answer, form, metadata};
use crate::gateway::Gateway;
use crate::sealing_anew::{self, SealAnewError, SealingAnew};
use crate::testing::{BEHOERDE, Network, PORTAL, RECEIVER, SENDER, Serving, token};

/// A submission that nobody publishes, and what others state about it.
pub(super) struct Here {
    network: Network,
    pub(super) gateway: Arc<Gateway>,
    anew: SealingAnew,
    /// What was filed: the id that its client knows.
    pub(super) first: MessageId,
    told: std::cell::Cell<(u64, Digest)>,
    /// Of the message that something was last told about.
    digest: std::cell::Cell<Option<(MessageId, Digest)>>,
}

impl Here {
    pub(super) async fn new() -> Self {
        let network = Network::new();
        let gateway = network.gateway(SENDER, "").await;
        let serving = Serving::start(&gateway).await;
        let mut metadata = metadata();
        metadata["replyChannel"] = serde_json::json!({ "mailbox": "0b9c7d4e", "level": 3 });
        let post = serving
            .http
            .post(format!("{}/v1/submissions", serving.base))
            .bearer_auth(token("alles"));
        let (status, filed) = answer(post.header("Idempotency-Key", "k").multipart(form(&metadata))).await;
        assert_eq!(status, 202, "{filed}");
        let anew = SealingAnew::new(
            &gateway.config,
            gateway.journal.clone(),
            gateway.keys().unchanging(),
            network.in_force.subscribe(),
        );
        Self {
            first: filed["submissionId"].as_str().unwrap().parse().unwrap(),
            network,
            gateway,
            anew,
            told: std::cell::Cell::new((0, Digest::ZERO)),
            digest: std::cell::Cell::new(None),
        }
    }

    pub(super) async fn order(&self, message: MessageId) -> Result<MessageId, SealAnewError> {
        let (actor, reason) = (Actor::operator("anna").unwrap(), "new key".parse().unwrap());
        self.anew.order(&key(message), None, actor, reason).await
    }

    /// The message that stands for the submission now.
    pub(super) async fn now(&self) -> MessageView {
        self.gateway.journal.submission(&self.first).await.unwrap().unwrap()
    }

    /// What its reader opens of a message, with a key that it had from the start or got since.
    async fn opened(&self, message: MessageId) -> OpenedEnvelope {
        let found = self.gateway.journal.replaceable(&key(message)).await.unwrap();
        let tables = self.network.in_force.borrow().clone();
        let verified = verify(found.bytes, tables.as_ref(), tables.environment(), Timestamp::now()).unwrap();
        let keys = crate::Keys::load(
            &self.network.folder.path().join("keys"),
            &RECEIVER.parse().unwrap(),
            &tables,
        );
        open(&verified, &keys.unwrap().readers).unwrap()
    }

    /// The reader's gateway states this of the message that stands now.
    pub(super) async fn told(&self, stage: Stage, reasons: Vec<Reason>) {
        let view = self.now().await;
        let tables = self.gateway.tables();
        let digest = self.digest.get().filter(|(id, _)| *id == view.message_id);
        let envelope_digest = match digest {
            Some((_, digest)) => digest,
            None => {
                let found = self.gateway.journal.replaceable(&key(view.message_id)).await.unwrap();
                let verified = verify(found.bytes, tables.as_ref(), tables.environment(), Timestamp::now());
                verified.unwrap().digest()
            }
        };
        self.digest.set(Some((view.message_id, envelope_digest)));
        let now = Timestamp::now();
        let event = Event {
            subject: Subject::Message {
                message_id: view.message_id,
                envelope_digest,
                process_ref: view.case_id,
            },
            stage,
            time: now,
            custodian: RECEIVER.parse().unwrap(),
            author: Some(PORTAL.parse().unwrap()),
            reader: Some(BEHOERDE.parse().unwrap()),
            deputy: None,
            target: None,
            holder: None,
            service: None,
            region: None,
            routing_table: None,
            reasons,
        };
        let octets = [event.to_octets()];
        let (sequence, previous) = self.told.get();
        let draft = BatchDraft {
            environment: tables.environment(),
            custodian: RECEIVER.parse().unwrap(),
            destination: SENDER.parse().unwrap(),
            sequence: sequence + 1,
            previous,
            from: now,
            to: now,
            events: &octets,
        };
        let batch = seal_batch(draft, &self.network.keys(RECEIVER).signer, now).unwrap();
        self.told.set((sequence + 1, batch.head_digest()));
        let taken = self.gateway.journal.take_receipts(batch.bytes().clone(), tables).await;
        taken.unwrap();
        assert_eq!(self.now().await.status, stage);
    }
}

fn key(message_id: MessageId) -> MessageKey {
    MessageKey {
        author: PORTAL.parse().unwrap(),
        message_id,
    }
}

#[tokio::test]
async fn what_was_never_published_is_sealed_anew_with_its_content_and_case() {
    let here = Here::new().await;
    let before = here.opened(here.first).await;
    let second = here.order(here.first).await.unwrap();
    let after = here.opened(second).await;
    assert_eq!(after.content().files, before.content().files);
    assert_eq!(after.content().applicant, before.content().applicant);
    let (old, new) = (before.header(), after.header());
    assert_eq!((new.message_id, new.replaces), (second, Some(here.first)));
    assert_eq!(
        (new.filed_at, new.process_ref, &new.reader),
        (old.filed_at, old.process_ref, &old.reader)
    );

    // the answer finds its way: token and case name the message that the authority will know
    let token = after.content().reply_token.as_ref().unwrap();
    let channel = here.gateway.keys().reply_tokens.open(token, Timestamp::now()).unwrap();
    assert_eq!((channel.message_id, channel.mailbox.as_str()), (second, "0b9c7d4e"));
    let case = here
        .gateway
        .journal
        .case_of_author(&new.process_ref)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((case.application, case.reply_token.as_ref()), (second, Some(token)));

    let view = here.now().await;
    assert_eq!((view.message_id, view.status), (second, Stage::Received));
    let old = here.gateway.journal.message(&here.first).await.unwrap().unwrap();
    assert_eq!((old.status, old.reasons), (Stage::Withdrawn, vec![Reason::Replaced]));
    let account = here.gateway.journal.ledger().await.unwrap().total_sent();
    assert_eq!((account.received, account.ended, account.in_flight), (2, 1, 1));
    let trail = here
        .gateway
        .journal
        .audit_trail(Timestamp::UNIX_EPOCH, None, 10)
        .await
        .unwrap();
    assert_eq!(
        (trail[0].verb.as_str(), trail[0].target.as_str()),
        ("seal-anew", here.first.to_string().as_str())
    );

    let again = here.order(here.first).await.unwrap_err();
    assert_eq!(again.code(), "message-replaced", "once");
    assert_eq!(
        here.order(MessageId::random()).await.unwrap_err().code(),
        "message-unknown"
    );
}

#[tokio::test]
async fn what_somebody_may_have_is_not_sealed_anew_and_only_the_readers_key_mends() {
    for (stage, reasons, code) in [
        (Stage::Delivered, vec![], Some("message-living")),
        (Stage::Accepted, vec![], Some("message-ended")),
        (Stage::Rejected, vec![Reason::S999], Some("not-mended")),
        (Stage::Rejected, vec![Reason::T020, Reason::S999], Some("not-mended")),
        (Stage::Rejected, vec![Reason::Undecipherable], None),
        (Stage::Rejected, vec![Reason::T080], None),
        (Stage::Expired, vec![Reason::Obsolete], None),
    ] {
        let here = Here::new().await;
        here.told(stage, reasons.clone()).await;
        let ordered = here.order(here.first).await;
        assert_eq!(
            ordered.as_ref().err().map(SealAnewError::code),
            code,
            "{stage} {reasons:?}"
        );
        let stands = here.now().await;
        match ordered {
            Ok(second) => assert_eq!((stands.message_id, stands.status), (second, Stage::Received)),
            Err(_) => assert_eq!((stands.message_id, stands.status), (here.first, stage)),
        }
    }
}

#[tokio::test]
async fn a_rejection_for_the_readers_key_is_mended_by_itself_once_there_is_another() {
    let here = Here::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(sealing_anew::run(here.anew.clone(), stop.clone()));
    here.told(Stage::Rejected, vec![Reason::T020]).await;
    assert_eq!(
        here.now().await.message_id,
        here.first,
        "the table pins the same key still"
    );

    let mut news = here.gateway.journal.subscribe();
    here.network
        .in_force
        .send(here.network.another_key(RECEIVER, BEHOERDE))
        .unwrap();
    let replaced = async {
        while here.now().await.message_id == here.first {
            let _ = news.recv().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), replaced)
        .await
        .expect("in time");
    let second = here.now().await.message_id;
    assert_eq!(here.opened(second).await.header().replaces, Some(here.first));

    // once: what was sealed anew and rejected again is for an operator
    here.told(Stage::Rejected, vec![Reason::T020]).await;
    here.network
        .in_force
        .send(here.network.another_key(RECEIVER, BEHOERDE))
        .unwrap();
    let found = here.gateway.journal.rejected_for_key_or_way(0, 10).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
    stop.cancel();
    running.await.unwrap().unwrap();
    assert!(here.order(second).await.is_ok());
}

/// Its reader takes profile 2 only by now, and has a key for it: the old message was right when it was sealed.
#[tokio::test]
async fn a_rejection_for_the_profile_is_mended_by_itself_in_the_profile_that_is_taken() {
    let here = Here::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(sealing_anew::run(here.anew.clone(), stop.clone()));
    let mut news = here.gateway.journal.subscribe();
    here.told(Stage::Rejected, vec![Reason::ProfileTooLow]).await;
    here.network.another_pair(RECEIVER, BEHOERDE);
    let lowest = here.network.changed(
        "laender/01-schleswig-holstein/behoerden/a.toml",
        "name = \"Amt A\"",
        "name = \"Amt A\"\nlowest_profile = 2",
    );
    here.network.in_force.send(lowest).unwrap();
    let replaced = async {
        while here.now().await.message_id == here.first {
            let _ = news.recv().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), replaced)
        .await
        .expect("in time");
    let opened = here.opened(here.now().await.message_id).await;
    assert_eq!(opened.header().replaces, Some(here.first));
    assert_eq!(opened.header().profile, Profile::P2);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_webhook_hears_of_the_submission_and_not_of_what_was_replaced() {
    let here = Here::new().await;
    let journal = &here.gateway.journal;
    let url = "https://portal.example/".to_owned();
    let Entered::New(webhook) = journal.enter_webhook(&"alles".parse().unwrap(), url, 1).await.unwrap() else {
        panic!("there was none")
    };
    here.order(here.first).await.unwrap();
    // the old one ended as withdrawn, and the submission goes on
    here.told(Stage::Accepted, vec![]).await;
    let log = journal.webhook_log(&webhook.id, None, 10).await.unwrap();
    let told: Vec<_> = log.iter().map(|delivery| &delivery.event.news).collect();
    assert!(
        matches!(told[..], [News::Status { submission, status: Stage::Accepted, .. }] if *submission == here.first),
        "{told:?}"
    );
}
