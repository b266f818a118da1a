//! Receipts that are signed rightly and say what they may not: the author's gateway keeps its own account.

use bytes::Bytes;
use harness::alarms;
use harness::custodians::{Custodians, id};
use harness::receipts::{batch, event};
use jiff::Timestamp;
use viereck_custody::receipts::Standing;
use viereck_custody::{Idempotency, Journal, Promise};
use viereck_envelope::{BatchDraft, Event, Reason, SealedEnvelope, Stage, Subject, seal_batch};
use viereck_routing::{Digest, Environment, MessageId};

use super::{Case, Effect, case, unharmed};
use crate::case::Attacker::{Custodian, Participant, Path};
use crate::case::Refusal;
use crate::scene::{OTHER, RECEIVER, SENDER};

pub(super) fn cases() -> Vec<Case> {
    let taken = |what| Refusal::Receipt(Standing::Taken, what);
    let not_entitled = |by, name, custodian: &'static str, stage| {
        case("receipts", by, name, taken("does not count"), move || {
            stated(custodian, stage)
        })
    };
    vec![
        not_entitled(
            Participant,
            "accepted, by a gateway that does not serve the reader",
            OTHER,
            Stage::Accepted,
        ),
        not_entitled(
            Participant,
            "rejected, by a gateway that does not serve the reader",
            OTHER,
            Stage::Rejected,
        ),
        not_entitled(
            Participant,
            "delivered, by a gateway that does not serve the reader",
            OTHER,
            Stage::Delivered,
        ),
        not_entitled(
            Participant,
            "expired, by a gateway that does not serve the reader",
            OTHER,
            Stage::Expired,
        ),
        not_entitled(
            Participant,
            "transferred, by a gateway that does not serve the reader",
            OTHER,
            Stage::Transferred,
        ),
        not_entitled(
            Participant,
            "undeliverable, by a gateway that does not serve the reader",
            OTHER,
            Stage::Undeliverable,
        ),
        not_entitled(Custodian, "accepted, by the broker", "broker", Stage::Accepted),
        not_entitled(Custodian, "rejected, by the broker", "broker", Stage::Rejected),
        not_entitled(Custodian, "expired, by the broker", "broker", Stage::Expired),
        not_entitled(Custodian, "withdrawn, by the broker", "broker", Stage::Withdrawn),
        not_entitled(
            Custodian,
            "undeliverable, by the reader's gateway",
            RECEIVER,
            Stage::Undeliverable,
        ),
        not_entitled(
            Custodian,
            "withdrawn, by the reader's gateway",
            RECEIVER,
            Stage::Withdrawn,
        ),
        not_entitled(Custodian, "relayed, by the reader's gateway", RECEIVER, Stage::Relayed),
        case(
            "receipts",
            Custodian,
            "accepted, for a message that was never sent",
            taken("unknown"),
            never_sent,
        ),
        case(
            "receipts",
            Custodian,
            "accepted, for other octets of the same id",
            taken("unknown"),
            other_octets,
        ),
        case(
            "receipts",
            Custodian,
            "accepted, in the name of another author",
            taken("unknown"),
            other_author,
        ),
        case(
            "receipts",
            Participant,
            "undeliverable, over the octets, by a gateway",
            taken("does not count"),
            over_octets,
        ),
        case("receipts", Path, "the same receipt twice", taken("once"), twice),
        case(
            "receipts",
            Custodian,
            "the same event in two batches",
            taken("once"),
            in_two_batches,
        ),
        case(
            "receipts",
            Custodian,
            "two heads of one number",
            taken("alarm receipt-fork"),
            forked,
        ),
        case(
            "receipts",
            Custodian,
            "a batch whose predecessor is missing",
            taken("alarm receipt-gap"),
            gap,
        ),
        case(
            "receipts",
            Custodian,
            "a batch that names another predecessor",
            taken("alarm receipt-gap"),
            other_previous,
        ),
        case(
            "receipts",
            Custodian,
            "two ends that exclude each other",
            taken("alarm terminal-conflict"),
            two_ends,
        ),
        case(
            "receipts",
            Path,
            "a batch for another gateway",
            Refusal::Receipt(Standing::Refused, "header-mismatch"),
            elsewhere,
        ),
        case(
            "receipts",
            Path,
            "a batch changed on the way",
            Refusal::Receipt(Standing::Refused, "does not verify"),
            changed,
        ),
        case(
            "receipts",
            Path,
            "an envelope in the queue of receipts",
            Refusal::Receipt(Standing::Refused, "does not verify"),
            envelope,
        ),
        case(
            "receipts",
            Path,
            "8 MiB of nothing in the queue of receipts",
            Refusal::Receipt(Standing::Refused, "does not verify"),
            nothing,
        ),
    ]
}

/// A sender's journal with one promise.
struct Author {
    custodians: Custodians,
    journal: Journal,
    sealed: SealedEnvelope,
}

impl Author {
    async fn with_a_promise() -> Self {
        alarms::listen();
        let custodians = Custodians::prepare();
        let journal = custodians.journal(SENDER).await;
        let sealed = custodians.application(MessageId::random(), b"{}");
        let idempotency = Idempotency {
            owner: "client:test".to_owned(),
            key: "k".to_owned(),
            fingerprint: Digest::of(b"1"),
        };
        let promise = Promise::new(sealed.clone(), idempotency, "{}".to_owned());
        journal.promise(promise).await.unwrap();
        Self {
            custodians,
            journal,
            sealed,
        }
    }

    async fn told(&self, batch: Bytes) -> Standing {
        let taken = self.journal.take_receipts(batch, self.custodians.tables.clone());
        taken.await.unwrap()
    }

    async fn status(&self) -> Stage {
        let view = self.journal.message(&self.sealed.header().message_id).await.unwrap();
        view.unwrap().status
    }

    /// What its status, its account and its events of others are.
    async fn state(&self) -> (Stage, u64, u64) {
        let account = self.journal.ledger().await.unwrap().total_sent();
        (self.status().await, account.ended, account.in_flight)
    }

    /// How often a stage stands in its story.
    async fn count(&self, stage: Stage) -> usize {
        let view = self
            .journal
            .message(&self.sealed.header().message_id)
            .await
            .unwrap()
            .unwrap();
        view.events.iter().filter(|event| event.stage == stage.into()).count()
    }

    /// The event that `custodian` states about the promise, as its `sequence`-th batch.
    fn batch(&self, custodian: &str, sequence: u64, stage: Stage) -> Bytes {
        let reasons = match stage {
            Stage::Rejected | Stage::Undeliverable => vec![Reason::S999],
            Stage::Expired => vec![Reason::Obsolete],
            _ => vec![],
        };
        batch(
            &self.custodians,
            custodian,
            sequence,
            &event(&self.sealed, stage, custodian, reasons),
        )
    }
}

/// Nothing has happened but the promise.
const PROMISED: (Stage, u64, u64) = (Stage::Received, 0, 1);

async fn stated(custodian: &str, stage: Stage) -> Effect {
    let author = Author::with_a_promise().await;
    let standing = author.told(author.batch(custodian, 1, stage)).await;
    let refusal = Refusal::Receipt(standing, "does not count");
    unharmed("status, ended, in flight", &author.state().await, &PROMISED, refusal)
}

/// A receipt with an event that was changed before it was signed.
async fn lied(custodian: &str, what: &'static str, change: impl FnOnce(&Author, &mut Event)) -> Effect {
    let author = Author::with_a_promise().await;
    let stage = if what == "unknown" {
        Stage::Accepted
    } else {
        Stage::Undeliverable
    };
    let mut lie = event(&author.sealed, stage, custodian, vec![]);
    change(&author, &mut lie);
    let standing = author.told(batch(&author.custodians, custodian, 1, &lie)).await;
    let refusal = Refusal::Receipt(standing, what);
    unharmed("status, ended, in flight", &author.state().await, &PROMISED, refusal)
}

async fn never_sent() -> Effect {
    lied(RECEIVER, "unknown", |author, event| {
        event.subject = Subject::Message {
            message_id: MessageId::random(),
            envelope_digest: author.sealed.digest(),
            process_ref: author.sealed.header().process_ref,
        };
    })
    .await
}

async fn other_octets() -> Effect {
    lied(RECEIVER, "unknown", |author, event| {
        event.subject = Subject::Message {
            message_id: author.sealed.header().message_id,
            envelope_digest: Digest::of(b"others"),
            process_ref: author.sealed.header().process_ref,
        };
    })
    .await
}

async fn other_author() -> Effect {
    lied(RECEIVER, "unknown", |_, event| {
        event.author = Some("eip:010000000000".parse().unwrap());
    })
    .await
}

async fn over_octets() -> Effect {
    lied(OTHER, "does not count", |author, event| {
        event.subject = Subject::Bytes(Digest::of(author.sealed.bytes()));
        event.author = None;
        event.reasons = vec![Reason::S999];
    })
    .await
}

async fn twice() -> Effect {
    let author = Author::with_a_promise().await;
    let batch = author.batch(RECEIVER, 1, Stage::Delivered);
    let first = author.told(batch.clone()).await;
    let again = author.told(batch).await;
    let is = (first, author.count(Stage::Delivered).await, author.state().await);
    let should_be = (Standing::Taken, 1, (Stage::Delivered, 0, 1));
    unharmed(
        "the first, events, state",
        &is,
        &should_be,
        Refusal::Receipt(again, "once"),
    )
}

async fn in_two_batches() -> Effect {
    let author = Author::with_a_promise().await;
    let stated = event(&author.sealed, Stage::Accepted, RECEIVER, vec![]);
    author.told(batch(&author.custodians, RECEIVER, 1, &stated)).await;
    let again = author.told(batch(&author.custodians, RECEIVER, 2, &stated)).await;
    let refusal = Refusal::Receipt(again, "once");
    unharmed(
        "status, ended, in flight",
        &author.state().await,
        &(Stage::Accepted, 1, 0),
        refusal,
    )
}

/// A number that no other case of this process uses, so that its alarm is known.
fn number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000);
    NEXT.fetch_add(1_000, Ordering::Relaxed)
}

async fn forked() -> Effect {
    let (author, number) = (Author::with_a_promise().await, number());
    author.told(author.batch(RECEIVER, number, Stage::Delivered)).await;
    // another head of the same number, which says something about another message
    let other = author.custodians.application(MessageId::random(), b"{}");
    let other = event(&other, Stage::Accepted, RECEIVER, vec![]);
    let standing = author.told(batch(&author.custodians, RECEIVER, number, &other)).await;
    alarms::raised("receipt-fork", &[format!("sequence={number} ")]).await;
    let refusal = Refusal::Receipt(standing, "alarm receipt-fork");
    unharmed(
        "status, ended, in flight",
        &author.state().await,
        &(Stage::Delivered, 0, 1),
        refusal,
    )
}

async fn gap() -> Effect {
    let (author, number) = (Author::with_a_promise().await, number());
    let standing = author.told(author.batch(OTHER, number, Stage::Accepted)).await;
    alarms::raised("receipt-gap", &[format!("sequence={number} ")]).await;
    let refusal = Refusal::Receipt(standing, "alarm receipt-gap");
    unharmed("status, ended, in flight", &author.state().await, &PROMISED, refusal)
}

async fn other_previous() -> Effect {
    let (author, number) = (Author::with_a_promise().await, number());
    author.told(author.batch(RECEIVER, number, Stage::Delivered)).await;
    let standing = author.told(author.batch(RECEIVER, number + 1, Stage::Relayed)).await;
    alarms::raised("receipt-gap", &[format!("sequence={} ", number + 1)]).await;
    let refusal = Refusal::Receipt(standing, "alarm receipt-gap");
    unharmed(
        "status, ended, in flight",
        &author.state().await,
        &(Stage::Delivered, 0, 1),
        refusal,
    )
}

async fn two_ends() -> Effect {
    let author = Author::with_a_promise().await;
    author.told(author.batch(RECEIVER, 1, Stage::Rejected)).await;
    let standing = author.told(author.batch(RECEIVER, 2, Stage::Accepted)).await;
    let message = author.sealed.header().message_id;
    alarms::raised("terminal-conflict", &[format!("message_id={message} ")]).await;
    let refusal = Refusal::Receipt(standing, "alarm terminal-conflict");
    unharmed(
        "status, ended, in flight",
        &author.state().await,
        &(Stage::Accepted, 1, 0),
        refusal,
    )
}

/// Octets in the queue of receipts that are no receipts for this gateway.
async fn octets(make: impl FnOnce(&Author) -> Bytes, what: &'static str) -> Effect {
    let author = Author::with_a_promise().await;
    let standing = author.told(make(&author)).await;
    let refusal = Refusal::Receipt(standing, what);
    unharmed("status, ended, in flight", &author.state().await, &PROMISED, refusal)
}

async fn elsewhere() -> Effect {
    octets(
        |author| {
            let events = [event(&author.sealed, Stage::Accepted, RECEIVER, vec![]).to_octets()];
            let now = Timestamp::now();
            let draft = BatchDraft {
                environment: Environment::Test,
                custodian: id(RECEIVER),
                destination: id(OTHER),
                sequence: 1,
                previous: Digest::ZERO,
                from: now,
                to: now,
                events: &events,
            };
            let sealed = seal_batch(draft, &author.custodians.signer(RECEIVER), now).unwrap();
            sealed.bytes().clone()
        },
        "header-mismatch",
    )
    .await
}

async fn changed() -> Effect {
    octets(
        |author| {
            let batch = author.batch(RECEIVER, 1, Stage::Delivered);
            let text = String::from_utf8(batch.to_vec()).unwrap();
            Bytes::from(text.replace("<Stage>delivered", "<Stage>accepted"))
        },
        "does not verify",
    )
    .await
}

async fn envelope() -> Effect {
    octets(|author| author.sealed.bytes().clone(), "does not verify").await
}

async fn nothing() -> Effect {
    octets(|_| Bytes::from(vec![b' '; 8 << 20]), "does not verify").await
}
