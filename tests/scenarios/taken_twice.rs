//! The same message again gets its old receipt and has no second effect; the same id with other content is refused.

use harness::custodians::{Custodians, due, id};
use jiff::Timestamp;
use viereck_custody::Conclusion;
use viereck_custody::inbox::Taken;
use viereck_envelope::{Reason, Stage};
use viereck_routing::MessageId;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_and_handed_over_once() {
    let custodians = Custodians::prepare();
    let receiver = custodians.journal("gw-sh-2").await;
    let me = id("gw-sh-2");
    let message = MessageId::random();
    let sealed = custodians.application(message, b"{}");
    let take = |bytes: &bytes::Bytes| receiver.take(bytes.clone(), &me, custodians.tables.clone());

    // many at once, as after a fault
    let same: Vec<_> = (0..8).map(|_| take(sealed.bytes())).collect();
    let taken: Vec<Taken> = futures_util::future::try_join_all(same).await.unwrap();
    assert_eq!(
        taken.iter().filter(|taken| **taken == Taken::New).count(),
        1,
        "{taken:?}"
    );
    assert_eq!(
        taken.iter().filter(|taken| **taken == Taken::Repeated).count(),
        7,
        "{taken:?}"
    );

    let given = due(&receiver, 10).await;
    assert_eq!(given.len(), 1);
    assert!(due(&receiver, 10).await.is_empty(), "it is in one pair of hands");
    receiver.begin_hand_over(&given[0].key, None).await.unwrap();
    receiver.conclude(&given[0].key, Conclusion::Accepted).await.unwrap();

    // after the end too: the old receipts, no second hand-over
    assert_eq!(take(sealed.bytes()).await.unwrap(), Taken::Repeated);
    assert!(due(&receiver, 10).await.is_empty());
    assert!(
        receiver
            .conclude(&given[0].key, Conclusion::Rejected(vec![Reason::S999]))
            .await
            .is_err(),
        "an end is an end"
    );
    let view = receiver.message(&message).await.unwrap().unwrap();
    assert_eq!((view.status, view.terminal), (Stage::Accepted, true));
    let ledger = receiver.ledger().await.unwrap().total_taken();
    assert_eq!((ledger.received, ledger.ended, ledger.in_flight), (1, 1, 0));
    println!("account: 9 deliveries, 1 taken, 8 repeats, 1 effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_used_for_two_contents_is_refused_and_the_first_stands() {
    let custodians = Custodians::prepare();
    let receiver = custodians.journal("gw-sh-2").await;
    let me = id("gw-sh-2");
    let message = MessageId::random();
    let (first, second) = (
        custodians.application(message, b"{\"a\":1}"),
        custodians.application(message, b"{\"a\":2}"),
    );
    let take = |bytes: &bytes::Bytes| receiver.take(bytes.clone(), &me, custodians.tables.clone());
    assert_eq!(take(first.bytes()).await.unwrap(), Taken::New);
    assert_eq!(
        take(second.bytes()).await.unwrap(),
        Taken::Refused(Reason::MessageIdConflict)
    );
    let view = receiver.message(&message).await.unwrap().unwrap();
    assert_eq!(view.status, Stage::Delivered, "the first is untouched");
    assert_eq!(due(&receiver, 10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_us_or_not_from_its_author_is_refused() {
    let custodians = Custodians::prepare();
    let tables = custodians.tables.clone();
    // a gateway that does not serve the reader
    let elsewhere = custodians.journal("gw-nw-1").await;
    let sealed = custodians.application(MessageId::random(), b"{}");
    let taken = elsewhere
        .take(sealed.bytes().clone(), &id("gw-nw-1"), tables.clone())
        .await
        .unwrap();
    assert_eq!(taken, Taken::Refused(Reason::T080));
    // a valid signature of another participant: it may not speak for this author
    let receiver = custodians.journal("gw-sh-2").await;
    let forged = custodians.sealed_by("gw-nw-1", MessageId::random(), b"{}");
    let taken = receiver
        .take(forged.bytes().clone(), &id("gw-sh-2"), tables.clone())
        .await
        .unwrap();
    assert_eq!(taken, Taken::Refused(Reason::T070));
    // octets that do not verify: parked, and nothing behind them waits
    let mut broken = sealed.bytes().to_vec();
    broken[700] ^= 1;
    let taken = receiver
        .take(broken.into(), &id("gw-sh-2"), tables.clone())
        .await
        .unwrap();
    assert!(matches!(taken, Taken::Parked(_)), "{taken:?}");
    let taken = receiver
        .take(sealed.bytes().clone(), &id("gw-sh-2"), tables)
        .await
        .unwrap();
    assert_eq!(taken, Taken::New);
}

/// A clock that is ahead is no reason to say anything final: the octets come again, and later they are taken.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_yet_is_neither_taken_nor_refused() {
    let custodians = Custodians::prepare();
    let receiver = custodians.journal("gw-sh-2").await;
    let message = MessageId::random();
    let ahead = Timestamp::now() + jiff::SignedDuration::from_mins(10);
    let early = custodians.sealed_at(ahead, "gw-sh-1", message, b"{}");
    let taken = receiver
        .take(early.bytes().clone(), &id("gw-sh-2"), custodians.tables.clone())
        .await
        .unwrap();
    assert_eq!(taken, Taken::NotYet);
    assert!(
        receiver.message(&message).await.unwrap().is_none(),
        "nothing is stated about it"
    );
}
