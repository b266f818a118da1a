//! Receipts count only from the custodian entitled to state them, about the very octets we sent, in any order.

use bytes::Bytes;
use harness::custodians::Custodians;
use harness::receipts::{self, event};
use viereck_custody::receipts::Standing;
use viereck_custody::{Idempotency, Journal, Promise, PromiseError, Promised};
use viereck_envelope::{Event, Reason, SealedEnvelope, Stage, Subject};
use viereck_routing::{Digest, MessageId};

fn promise(envelope: SealedEnvelope, key: &str, fingerprint: &[u8], answer: &str) -> Promise {
    let idempotency = Idempotency {
        owner: "client:test".to_owned(),
        key: key.to_owned(),
        fingerprint: Digest::of(fingerprint),
    };
    Promise::new(envelope, idempotency, answer.to_owned())
}

async fn told(custodians: &Custodians, journal: &Journal, signed_by: &str, sequence: u64, event: Event) -> Standing {
    let batch = receipts::batch(custodians, signed_by, sequence, &event);
    let told = journal.take_receipts(batch, custodians.tables.clone());
    told.await.unwrap()
}

async fn status(journal: &Journal, message: &MessageId) -> Stage {
    journal.message(message).await.unwrap().unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_counts_only_from_who_may_state_it() {
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let message = MessageId::random();
    let sealed = custodians.application(message, b"{}");
    let copy = || custodians.application(message, b"{}");
    assert_eq!(
        sender.promise(promise(sealed, "k", b"1", "{}")).await.unwrap(),
        Promised::New
    );
    // the promise took the envelope: receipts name its digest as the journal shows it to whoever sends it on
    let sealed = copy();
    assert_eq!(status(&sender, &message).await, Stage::Received);

    // about other octets of the same id: somebody else's message
    told(
        &custodians,
        &sender,
        "gw-sh-2",
        1,
        event(&sealed, Stage::Rejected, "gw-sh-2", vec![Reason::S999]),
    )
    .await;
    assert_eq!(
        status(&sender, &message).await,
        Stage::Received,
        "another digest is another message"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_receipts_does_not_matter_and_strangers_do_not_count() {
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let message = MessageId::random();
    let sealed = custodians.application(message, b"{}");
    let about = |stage, custodian| event(&sealed, stage, custodian, vec![]);
    let (wrong_end, wrong_relay) = (about(Stage::Accepted, "gw-nw-1"), about(Stage::Relayed, "gw-sh-2"));
    let (accepted, relayed, delivered) = (
        about(Stage::Accepted, "gw-sh-2"),
        about(Stage::Relayed, "broker"),
        about(Stage::Delivered, "gw-sh-2"),
    );
    sender.promise(promise(sealed, "k", b"1", "{}")).await.unwrap();

    assert_eq!(
        told(&custodians, &sender, "gw-nw-1", 1, wrong_end).await,
        Standing::Taken
    );
    assert_eq!(
        told(&custodians, &sender, "gw-sh-2", 1, wrong_relay).await,
        Standing::Taken
    );
    assert_eq!(
        status(&sender, &message).await,
        Stage::Received,
        "nobody entitled has spoken"
    );
    assert_eq!(sender.ledger().await.unwrap().total_sent().in_flight, 1);

    // the end comes before the beginning
    told(&custodians, &sender, "gw-sh-2", 2, accepted.clone()).await;
    assert_eq!(status(&sender, &message).await, Stage::Accepted);
    told(&custodians, &sender, "gw-sh-2", 3, delivered).await;
    told(&custodians, &sender, "broker", 1, relayed).await;
    told(&custodians, &sender, "gw-sh-2", 4, accepted).await;
    assert_eq!(status(&sender, &message).await, Stage::Accepted);
    let account = sender.ledger().await.unwrap().total_sent();
    assert_eq!((account.received, account.ended, account.in_flight), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_promise_however_many_ask_at_once() {
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let asked: Vec<_> = (0..8)
        .map(|n| {
            let envelope = custodians.application(MessageId::random(), b"{}");
            sender.promise(promise(envelope, "same", b"1", &format!("answer {n}")))
        })
        .collect();
    let outcomes = futures_util::future::try_join_all(asked).await.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Promised::New).count(), 1);
    let answers: std::collections::HashSet<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Promised::Before(answer) => Some(answer),
            Promised::New => None,
        })
        .collect();
    assert_eq!(answers.len(), 1, "everybody gets the first answer: {answers:?}");
    let other = sender
        .promise(promise(
            custodians.application(MessageId::random(), b"{}"),
            "same",
            b"2",
            "{}",
        ))
        .await;
    assert!(matches!(other, Err(PromiseError::KeyReused)));
    let account = sender.ledger().await.unwrap().total_sent();
    assert_eq!((account.received, account.in_flight), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_a_broker_could_not_verify_end_the_message_they_were() {
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let message = MessageId::random();
    let sealed = custodians.application(message, b"{}");
    let bytes: Bytes = sealed.bytes().clone();
    let refused = Event {
        subject: Subject::Bytes(Digest::of(&bytes)),
        author: None,
        reader: None,
        service: None,
        ..event(&sealed, Stage::Undeliverable, "broker", vec![Reason::S999])
    };
    sender.promise(promise(sealed, "k", b"1", "{}")).await.unwrap();
    told(&custodians, &sender, "broker", 1, refused).await;
    let view = sender.message(&message).await.unwrap().unwrap();
    assert_eq!((view.status, view.reasons), (Stage::Undeliverable, vec![Reason::S999]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_turns_out_void_is_no_end_in_whatever_order_it_came() {
    let custodians = Custodians::prepare();
    for reader_first in [true, false] {
        let sender = custodians.journal("gw-sh-1").await;
        let message = MessageId::random();
        let sealed = custodians.application(message, b"{}");
        let delivered = event(&sealed, Stage::Delivered, "gw-sh-2", vec![]);
        let undeliverable = event(&sealed, Stage::Undeliverable, "broker", vec![Reason::NoDelivery]);
        sender.promise(promise(sealed, "k", b"1", "{}")).await.unwrap();
        if reader_first {
            told(&custodians, &sender, "gw-sh-2", 1, delivered).await;
            told(&custodians, &sender, "broker", 1, undeliverable).await;
        } else {
            told(&custodians, &sender, "broker", 1, undeliverable).await;
            assert_eq!(sender.ledger().await.unwrap().total_sent().ended, 1);
            told(&custodians, &sender, "gw-sh-2", 1, delivered).await;
        }
        assert_eq!(status(&sender, &message).await, Stage::Delivered);
        let account = sender.ledger().await.unwrap().total_sent();
        assert_eq!(
            (account.ended, account.in_flight),
            (0, 1),
            "reader first: {reader_first}"
        );
    }
}
