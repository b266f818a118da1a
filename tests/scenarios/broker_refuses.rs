//! The broker relays only what verifies and may travel; everybody else is told why, and one poison message holds up
//! nothing behind it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::custodians::{Custodians, id};
use harness::wait::until;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use viereck_broker::Inputs;
use viereck_custody::{Idempotency, Journal, Promise};
use viereck_envelope::{Event, Reason, Stage, Subject, verify_batch};
use viereck_routing::{Digest, Environment, MessageId};
use viereck_transport::{Address, Consumer, Link, Queue};

const DEADLINE: Duration = Duration::from_secs(15);

/// A broker at work on an embedded link, with the two ends of the road in the test's hands.
struct Middle {
    custodians: Custodians,
    link: Link,
    journal: Journal,
    to_reader: Consumer,
    receipts: Consumer,
    running: tokio::task::JoinHandle<Result<(), viereck_broker::Error>>,
    stop: CancellationToken,
    // what the table in force hangs on
    _tables: watch::Sender<Arc<viereck_routing::Tables>>,
    _dir: tempfile::TempDir,
}

impl Middle {
    async fn start() -> Self {
        let custodians = Custodians::prepare();
        let dir = tempfile::tempdir().unwrap();
        let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
        let journal = custodians.journal("broker").await;
        let (tables, in_force) = watch::channel(custodians.tables.clone());
        let stop = CancellationToken::new();
        let config = viereck_broker::Config {
            id: id("broker"),
            keys: dir.path().to_owned(),
            prefetch: 8,
            receipt_gather_ms: 10,
            outbox: viereck_broker::Outbox::default(),
        };
        let signer = Arc::new(custodians.signer("broker"));
        let inputs = Inputs {
            tables: in_force,
            link: link.clone(),
            journal: journal.clone(),
            signer,
        };
        let running = tokio::spawn(viereck_broker::run(config, inputs, stop.clone()));
        let to_reader = link.consume(&Queue::Gateway(id("gw-sh-2")), 8).await.unwrap();
        let receipts = link.consume(&Queue::Receipts(id("gw-sh-1")), 8).await.unwrap();
        Self {
            custodians,
            link,
            journal,
            to_reader,
            receipts,
            running,
            stop,
            _tables: tables,
            _dir: dir,
        }
    }

    async fn submit(&self, under: &str, bytes: &Bytes) {
        // the queues come with the first reconciliation
        until(DEADLINE, "the link takes it", async || {
            self.link.publish(&Address::Submit(id(under)), bytes.clone()).await.ok()
        })
        .await;
    }

    /// The events that the broker tells `gateway`, once there are `count` of them.
    async fn told(&self, gateway: &str, count: usize) -> Vec<Event> {
        let mut receipts = self.link.consume(&Queue::Receipts(id(gateway)), 8).await.unwrap();
        let mut events = vec![];
        while events.len() < count {
            let delivery = tokio::time::timeout(DEADLINE, receipts.next())
                .await
                .expect("in time")
                .expect("open");
            let tables = self.custodians.tables.as_ref();
            let batch = verify_batch(
                delivery.bytes.clone(),
                tables,
                Environment::Test,
                jiff::Timestamp::now(),
            )
            .unwrap();
            events.extend(batch.entries().iter().map(|(event, _)| event.clone()));
            delivery.done();
        }
        receipts.cancel().await;
        events
    }

    async fn arrives(&mut self) -> Bytes {
        let delivery = tokio::time::timeout(DEADLINE, self.to_reader.next())
            .await
            .expect("in time")
            .expect("open");
        let bytes = delivery.bytes.clone();
        delivery.done();
        bytes
    }

    async fn stop(self) {
        self.stop.cancel();
        self.to_reader.cancel().await;
        self.receipts.cancel().await;
        self.running.await.unwrap().unwrap();
        self.link.close().await;
    }
}

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
    let told = middle.told("gw-nw-1", 2).await;
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
    let delivery = tokio::time::timeout(DEADLINE, middle.receipts.next())
        .await
        .expect("in time")
        .expect("open");
    let tables = middle.custodians.tables.clone();
    let batch = verify_batch(
        delivery.bytes.clone(),
        tables.as_ref(),
        Environment::Test,
        jiff::Timestamp::now(),
    )
    .unwrap();
    let (event, _) = &batch.entries()[0];
    assert_eq!(event.stage, Stage::Undeliverable);
    assert_eq!(event.subject, Subject::Bytes(Digest::of(&damaged)));
    delivery.done();
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
