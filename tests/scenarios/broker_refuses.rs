//! The broker relays only what verifies and may travel; everybody else is told why, and one poison message holds up
//! nothing behind it.

use bytes::Bytes;
use harness::custodians::id;
use harness::middle::{DEADLINE, Middle};
use harness::receipts::{self, event};
use jiff::Timestamp;
use viereck_custody::{Idempotency, Promise};
use viereck_envelope::{Reason, Stage, Subject, verify_batch};
use viereck_routing::{Digest, Environment, MessageId};
use viereck_transport::Queue;

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_travel_is_answered_and_what_may_arrives() {
    let mut middle = Middle::start().await;
    let custodians = &middle.custodians;
    let [good, forged, borrowed] = std::array::from_fn(|_| MessageId::random());
    let genuine = custodians.application(good, b"{}");
    // signed by a gateway that may not speak for this author
    let by_another = custodians.sealed_by("gw-nw-1", forged, b"{}");
    // genuine, but handed in under the name of another gateway
    let under_another = custodians.application(borrowed, b"{}");

    middle.submit("gw-sh-1", &Bytes::from_static(b"<Envelope/>")).await;
    middle.submit("gw-nw-1", by_another.bytes()).await;
    middle.submit("gw-nw-1", under_another.bytes()).await;
    middle.submit("gw-sh-1", genuine.bytes()).await;

    assert_eq!(
        middle.arrives().await,
        *genuine.bytes(),
        "the same octets, and nothing before them"
    );
    let told = middle.told_to("gw-nw-1", 2).await;
    assert!(
        told.iter()
            .all(|event| event.stage == Stage::Undeliverable && event.reasons == [Reason::T070]),
        "{told:?}"
    );
    let about = |subject: &Subject| told.iter().any(|event| event.subject == *subject);
    assert!(about(&Subject::Message {
        message_id: forged,
        envelope_digest: by_another.digest(),
        process_ref: by_another.header().process_ref,
    }));
    // of the genuine message nothing is said: only of the octets that came under a foreign name
    assert!(about(&Subject::Bytes(Digest::of(under_another.bytes()))));
    for refused in [forged, borrowed] {
        assert!(
            middle.journal.message(&refused).await.unwrap().is_none(),
            "nothing stands in the way of that id"
        );
    }
    let view = middle.journal.message(&good).await.unwrap();
    assert_eq!(view.map(|view| view.status), Some(Stage::Relayed));
    println!("account: 4 handed in, 1 relayed and delivered, 3 refused, each to whom it concerns");
    middle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_do_not_verify_come_back_as_a_receipt_over_their_digest() {
    let mut middle = Middle::start().await;
    let message = MessageId::random();
    let sealed = middle.custodians.application(message, b"{}");
    // a journal that promised these octets, damaged on their way
    let mut damaged = sealed.bytes().to_vec();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    let damaged = Bytes::from(damaged);
    middle.submit("gw-sh-1", &damaged).await;
    let told = middle.told().await;
    assert_eq!(told[0].stage, Stage::Undeliverable);
    assert_eq!(told[0].subject, Subject::Bytes(Digest::of(&damaged)));
    middle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_goes_to_the_same_gateway_and_is_told_the_same() {
    let mut middle = Middle::start().await;
    let message = MessageId::random();
    let sealed = middle.custodians.application(message, b"{}");
    let sender = middle.custodians.journal("gw-sh-1").await;
    let bytes = sealed.bytes().clone();
    let idempotency = Idempotency {
        owner: "client:test".to_owned(),
        key: "k".to_owned(),
        fingerprint: Digest::of(b"k"),
    };
    sender
        .promise(Promise::new(sealed, idempotency, "{}".to_owned()))
        .await
        .unwrap();

    for _ in 0..2 {
        middle.submit("gw-sh-1", &bytes).await;
        assert_eq!(middle.arrives().await, bytes);
        let delivery = tokio::time::timeout(DEADLINE, middle.receipts.next())
            .await
            .expect("in time")
            .expect("open");
        sender
            .take_receipts(delivery.bytes.clone(), middle.custodians.tables.clone())
            .await
            .unwrap();
        delivery.done();
    }
    let view = sender.message(&message).await.unwrap().unwrap();
    let relayed = view
        .events
        .iter()
        .filter(|event| event.stage == Stage::Relayed.into())
        .count();
    assert_eq!(
        (view.status, relayed),
        (Stage::Relayed, 1),
        "one word about it, however often it is said"
    );
    middle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_follows_no_move_and_goes_where_somebody_has_spoken() {
    let mut middle = Middle::start().await;
    let [heard, silent] = std::array::from_fn(|_| middle.custodians.application(MessageId::random(), b"{}"));
    for envelope in [&heard, &silent] {
        middle.submit("gw-sh-1", envelope.bytes()).await;
        assert_eq!(middle.arrives().await, *envelope.bytes());
        assert_eq!(middle.told().await[0].stage, Stage::Relayed);
    }
    let delivered = event(&heard, Stage::Delivered, "gw-sh-2", vec![]);
    let said = receipts::batch(&middle.custodians, "gw-sh-2", 1, &delivered);
    let tables = middle.custodians.tables.clone();
    let said = verify_batch(said, tables.as_ref(), Environment::Test, Timestamp::now()).unwrap();
    middle.journal.fold_batch(said, tables).await.unwrap();
    middle.tables.send_replace(middle.custodians.moved());

    // the gateway that took it is the only one that may answer, and it may not have taken the other one
    for envelope in [&silent, &heard] {
        middle.submit("gw-sh-1", envelope.bytes()).await;
        assert_eq!(middle.told().await[0].stage, Stage::Relayed, "as before");
    }
    assert_eq!(middle.arrives().await, *heard.bytes(), "and nothing before it");
    for gateway in ["gw-sh-2", "gw-nw-1"] {
        let depth = middle.link.depth(&Queue::Gateway(id(gateway))).await;
        assert_eq!(depth.unwrap(), 0, "{gateway}");
    }
    println!("account: 2 relayed, 2 asked for again after a move, 1 published again, to where it was");
    middle.stop().await;
}
