//! A row that is lost from a journal while its process is down is found and named, whoever lost it.

use std::collections::BTreeSet;

use harness::custodians::{Custodians, due, id};
use jiff::SignedDuration;
use viereck_custody::ledger::{DifferenceKind, LateKind, Reconciled};
use viereck_custody::{Conclusion, Idempotency, Journal, Promise};
use viereck_envelope::SealedEnvelope;
use viereck_routing::{Digest, Environment, MessageId};

/// Promises at the sender and takes at the receiver.
async fn carry(custodians: &Custodians, sender: &Journal, receiver: &Journal) -> SealedEnvelope {
    let message = MessageId::random();
    let sealed = custodians.application(message, b"{}");
    let idempotency = Idempotency {
        owner: "client:a".to_owned(),
        key: message.to_string(),
        fingerprint: Digest::of(b"1"),
    };
    sender
        .promise(Promise::new(sealed.clone(), idempotency, "{}".to_owned()))
        .await
        .unwrap();
    receiver
        .take(sealed.bytes().clone(), &id("gw-sh-2"), custodians.tables.clone())
        .await
        .unwrap();
    sealed
}

async fn reconciled(journal: &Journal) -> Reconciled {
    journal.reconcile_ledger(SignedDuration::from_mins(10)).await.unwrap()
}

fn kinds(reconciled: &Reconciled, message: MessageId) -> BTreeSet<DifferenceKind> {
    let about = reconciled
        .differences
        .iter()
        .filter(|one| one.message_id == Some(message));
    about.map(|one| one.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_loss_is_found_and_named() {
    let custodians = Custodians::prepare();
    let (at_sender, at_receiver) = (custodians.place("gw-sh-1").await, custodians.place("gw-sh-2").await);
    let (sender, receiver) = (at_sender.open().await, at_receiver.open().await);
    let mut carried = Vec::new();
    for _ in 0..6 {
        carried.push(carry(&custodians, &sender, &receiver).await);
    }
    for (given, sealed) in due(&receiver, 3).await.iter().zip(&carried) {
        assert_eq!(given.key.message_id, sealed.header().message_id, "the oldest first");
        receiver.begin_hand_over(&given.key, None).await.unwrap();
        receiver.conclude(&given.key, Conclusion::Accepted).await.unwrap();
    }
    for journal in [&sender, &receiver] {
        let right = reconciled(journal).await;
        assert!(right.is_right() && right.late.is_empty(), "{right:?}");
    }
    let account = receiver.ledger().await.unwrap().total_taken();
    assert_eq!((account.received, account.ended, account.in_flight), (6, 3, 3));
    sender.close().await;
    receiver.close().await;

    let [ended, other, third, waiting, _, lost_at_sender] = &carried[..] else {
        panic!("six")
    };
    let of = |sealed: &SealedEnvelope| sealed.header().message_id;
    let about = |sealed: &SealedEnvelope| format!("WHERE message_id = '{}'", of(sealed));
    for spoilt in [
        format!("DELETE FROM message {}", about(waiting)),
        format!("UPDATE message SET ended = NULL {}", about(ended)),
        format!("DELETE FROM event {} AND stage = 'accepted'", about(other)),
        format!("DELETE FROM event {} AND stage = 'delivered'", about(third)),
    ] {
        at_receiver.spoil(&spoilt).await;
    }
    at_sender
        .spoil(&format!("DELETE FROM message {}", about(lost_at_sender)))
        .await;

    let (sender, receiver) = (at_sender.open().await, at_receiver.open().await);
    let found = reconciled(&receiver).await;
    assert_eq!(kinds(&found, of(waiting)), BTreeSet::from([DifferenceKind::RowMissing]));
    assert_eq!(kinds(&found, of(ended)), BTreeSet::from([DifferenceKind::EndNotNoted]));
    assert_eq!(
        kinds(&found, of(other)),
        BTreeSet::from([DifferenceKind::EndWithoutEvent])
    );
    assert_eq!(kinds(&found, of(third)), BTreeSet::from([DifferenceKind::EventMissing]));
    let counts = found
        .differences
        .iter()
        .find(|one| one.kind == DifferenceKind::CountDiffers)
        .unwrap();
    let (counted, there) = (counts.counted.unwrap(), counts.found.unwrap());
    assert_eq!(
        (counted.received, counted.ended, there.received, there.ended),
        (6, 3, 5, 2)
    );
    assert_eq!(counts.participant.as_ref(), Some(&waiting.header().reader));
    assert_eq!(found.differences_in_all, 5);

    let found = reconciled(&sender).await;
    assert_eq!(
        kinds(&found, of(lost_at_sender)),
        BTreeSet::from([DifferenceKind::RowMissing])
    );
    assert!(!sender.ledger().await.unwrap().total_sent().adds_up());
    println!("account: 6 carried; 5 differences planted at the receiver and 1 at the sender, all named");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_should_have_spoken_about_is_named_with_who_holds_it() {
    let custodians = Custodians::prepare();
    let broker = custodians.journal("broker").await;
    let message = MessageId::random();
    let sealed = custodians.application(message, b"{}");
    let verified = viereck_envelope::verify(
        sealed.bytes().clone(),
        custodians.tables.as_ref(),
        Environment::Test,
        jiff::Timestamp::now(),
    );
    broker.relayed(&verified.unwrap(), id("gw-sh-2"), 0).await.unwrap();
    assert!(
        reconciled(&broker).await.late.is_empty(),
        "silent, but not for long enough"
    );
    let found = broker.reconcile_ledger(SignedDuration::ZERO).await.unwrap();
    assert!(found.is_right(), "{found:?}");
    let [late] = &found.late[..] else { panic!("{found:?}") };
    assert_eq!(
        (late.kind, late.message_id, late.holder.as_str()),
        (LateKind::Silent, message, "broker")
    );
    println!("account: 1 relayed, and named as silent at the broker");
}
