//! The sender asks until it knows how a message ended: a receipt that was lost, whoever lost it, is asked for again.

use std::time::Duration;

use bytes::Bytes;
use harness::custodians::{Custodians, id};
use harness::wait::until;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use viereck_custody::{Idempotency, Journal, JournalError, Promise, outbox};
use viereck_envelope::{BatchDraft, Event, SealedEnvelope, Stage, Subject, seal_batch};
use viereck_routing::{Digest, Environment, MessageId};
use viereck_transport::{Consumer, Link, Queue, Topology};

const DEADLINE: Duration = Duration::from_secs(15);

/// A sender whose link ends in the test's hands.
struct Sender {
    custodians: Custodians,
    journal: Journal,
    link: Link,
    ingress: Consumer,
    stop: CancellationToken,
    publishing: JoinHandle<Result<(), JournalError>>,
    _dir: tempfile::TempDir,
}

impl Sender {
    async fn start(silence: SignedDuration, longest_silence: SignedDuration) -> Self {
        let custodians = Custodians::prepare();
        let dir = tempfile::tempdir().unwrap();
        let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
        link.reconcile(&Topology::default()).await.unwrap();
        let journal = custodians.journal("gw-sh-1").await;
        let config = outbox::Config {
            silence,
            longest_silence,
            ..outbox::Config::default()
        };
        let stop = CancellationToken::new();
        let publishing = tokio::spawn(outbox::run(journal.clone(), link.clone(), config, stop.clone()));
        let ingress = link.consume(&Queue::Ingress, 8).await.unwrap();
        Self {
            custodians,
            journal,
            link,
            ingress,
            stop,
            publishing,
            _dir: dir,
        }
    }

    async fn promise(&self) -> SealedEnvelope {
        let envelope = self.custodians.application(MessageId::random(), b"{}");
        let key = envelope.header().message_id.to_string();
        let idempotency = Idempotency {
            owner: "client:test".to_owned(),
            fingerprint: Digest::of(key.as_bytes()),
            key,
        };
        let promise = Promise::new(envelope.clone(), idempotency, "{}".to_owned());
        self.journal.promise(promise).await.unwrap();
        envelope
    }

    async fn next(&mut self) -> Bytes {
        let delivery = tokio::time::timeout(DEADLINE, self.ingress.next()).await;
        let delivery = delivery.expect("in time").expect("open");
        let bytes = delivery.bytes.clone();
        delivery.done();
        bytes
    }

    /// One batch of one event, as `custodian` would send it.
    async fn told(
        &self,
        custodian: &str,
        sequence: u64,
        previous: Digest,
        envelope: &SealedEnvelope,
        stage: Stage,
    ) -> Digest {
        let header = envelope.header();
        let event = Event {
            subject: Subject::Message {
                message_id: header.message_id,
                envelope_digest: envelope.digest(),
                process_ref: header.process_ref,
            },
            stage,
            time: Timestamp::now(),
            custodian: id(custodian),
            author: Some(header.author.clone()),
            reader: Some(header.reader.clone()),
            deputy: None,
            target: (stage == Stage::Relayed).then(|| id("gw-sh-2")),
            holder: None,
            service: Some(header.service.clone()),
            region: None,
            routing_table: None,
            reasons: vec![],
        };
        let octets = [event.to_octets()];
        let now = Timestamp::now();
        let draft = BatchDraft {
            environment: Environment::Test,
            custodian: id(custodian),
            destination: id("gw-sh-1"),
            sequence,
            previous,
            from: now,
            to: now,
            events: &octets,
        };
        let batch = seal_batch(draft, &self.custodians.signer(custodian), now).unwrap();
        let taken = self
            .journal
            .take_receipts(batch.bytes().clone(), self.custodians.tables.clone());
        taken.await.unwrap();
        batch.head_digest()
    }

    async fn end(self) {
        self.stop.cancel();
        self.publishing.await.unwrap().unwrap();
        self.ingress.cancel().await;
        self.link.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_asked_into_and_a_word_that_is_no_end_as_well() {
    let short = SignedDuration::from_millis(100);
    let mut sender = Sender::start(short, short * 2).await;
    let sealed = sender.promise().await;
    let view = async |journal: &Journal| {
        let view = journal.message(&sealed.header().message_id).await.unwrap();
        view.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(sender.next().await, *sealed.bytes(), "the same octets after silence");
    }
    assert!(
        view(&sender.journal).await.overdue,
        "published, and the reader's gateway is silent"
    );
    let since = view(&sender.journal).await.flags.overdue;
    let relayed = sender.told("broker", 1, Digest::ZERO, &sealed, Stage::Relayed).await;
    assert_eq!(
        view(&sender.journal).await.flags.overdue,
        since,
        "the broker's word changes nothing about that"
    );
    let delivered = sender.told("gw-sh-2", 1, Digest::ZERO, &sealed, Stage::Delivered).await;
    let after = view(&sender.journal).await;
    assert_eq!((after.status, after.overdue), (Stage::Delivered, false));
    // at least one of these was begun after that word
    for _ in 0..3 {
        assert_eq!(sender.next().await, *sealed.bytes(), "asked for the end");
    }
    sender.told("gw-sh-2", 2, delivered, &sealed, Stage::Accepted).await;
    assert_ne!(relayed, delivered);
    let account = sender.journal.ledger().await.unwrap().total_sent();
    assert_eq!((account.received, account.ended, account.in_flight), (1, 1, 0));
    println!("account: 1 promised, asked for at least 6 times, 1 accepted");
    sender.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_missing_batch_may_have_told_is_asked_for_once() {
    let mut sender = Sender::start(SignedDuration::from_hours(1), SignedDuration::from_hours(1)).await;
    let (lost, told) = (sender.promise().await, sender.promise().await);
    for _ in 0..2 {
        sender.next().await;
    }
    let first = sender.told("broker", 1, Digest::ZERO, &lost, Stage::Relayed).await;
    sender.told("broker", 2, first, &told, Stage::Relayed).await;
    // the batch of number 1, with the end of `lost`, never comes
    sender
        .told("gw-sh-2", 2, Digest::of(b"the head of 1"), &told, Stage::Accepted)
        .await;
    let published = async |journal: &Journal| {
        let view = journal.message(&lost.header().message_id).await.unwrap().unwrap();
        view.events
            .iter()
            .filter(|event| event.stage.as_str() == "published")
            .count()
    };
    assert_eq!(published(&sender.journal).await, 1);
    sender.journal.ask_for_gaps(Timestamp::now()).await.unwrap();
    assert_eq!(
        sender.next().await,
        *lost.bytes(),
        "only what is not known to have ended"
    );
    until(DEADLINE, "the repeat is noted", async || {
        (published(&sender.journal).await == 2).then_some(())
    })
    .await;
    sender.journal.ask_for_gaps(Timestamp::now()).await.unwrap();
    let marker = sender.promise().await;
    assert_eq!(sender.next().await, *marker.bytes(), "a gap is asked for once");
    // heads are forgotten but for the newest of each chain, and a chain goes on from there
    assert!(sender.journal.forget_evidence(Timestamp::now()).await.unwrap() > 0);
    assert_eq!(sender.journal.forget_evidence(Timestamp::now()).await.unwrap(), 0);
    sender.end().await;
}
