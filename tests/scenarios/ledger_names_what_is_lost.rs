//! A row that is lost from a journal while its process is down is found and named, whoever lost it.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::custodians::{Custodians, due, id};
use harness::wait::until;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use viereck_custody::ledger::{DifferenceKind, LateKind, Reconciled};
use viereck_custody::{Conclusion, Idempotency, Journal, Promise, outbox};
use viereck_envelope::SealedEnvelope;
use viereck_routing::{Class, Digest, Environment, MessageId};
use viereck_transport::{Link, Topology};

const DEADLINE: Duration = Duration::from_secs(30);

async fn promise(custodians: &Custodians, sender: &Journal) -> SealedEnvelope {
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
    sealed
}

/// Promises at the sender and takes at the receiver.
async fn carry(custodians: &Custodians, sender: &Journal, receiver: &Journal) -> SealedEnvelope {
    let sealed = promise(custodians, sender).await;
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
    let verified = verified.unwrap();
    broker
        .relayed(&verified, Class::Normal, id("gw-sh-2"), 0)
        .await
        .unwrap();
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

/// Lost between the link's confirm and the broker's word: nobody has it, and its author's gateway says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_and_not_even_relayed_is_named_with_who_holds_it() {
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let message = promise(&custodians, &sender).await.header().message_id;
    let waiting = sender.reconcile_ledger(SignedDuration::ZERO).await.unwrap();
    assert!(waiting.late.is_empty(), "not published yet: {waiting:?}");
    let dir = tempfile::tempdir().unwrap();
    let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
    link.reconcile(&Topology::default()).await.unwrap();
    let stop = CancellationToken::new();
    let config = outbox::Config {
        silence: SignedDuration::from_millis(1),
        ..outbox::Config::default()
    };
    let publishing = tokio::spawn(outbox::run(sender.clone(), link, config, stop.clone()));
    // nobody consumes what is published
    let late = until(DEADLINE, "it is late", async || {
        let found = sender.reconcile_ledger(SignedDuration::ZERO).await.unwrap();
        found.late.into_iter().next()
    })
    .await;
    assert_eq!(
        (late.kind, late.message_id, late.holder.as_str(), late.side),
        (LateKind::NotRelayed, message, "gw-sh-1", "sent")
    );
    stop.cancel();
    publishing.await.unwrap().unwrap();
    println!("account: 1 published, and named as not relayed at its author's gateway");
}
