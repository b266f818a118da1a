//! A broker at work on an embedded link, with the two ends of the road in the test's hands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use viereck_broker::Inputs;
use viereck_custody::Journal;
use viereck_envelope::{Event, verify_batch};
use viereck_routing::{Environment, Tables};
use viereck_transport::{Address, Consumer, Link, Queue};

use crate::custodians::{Custodians, id};
use crate::wait::until;

/// How long the test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// The broker, and what comes out of it.
pub struct Middle {
    /// Table and keys of everybody.
    pub custodians: Custodians,
    /// The table in force at the broker.
    pub tables: watch::Sender<Arc<Tables>>,
    /// The link of all.
    pub link: Link,
    /// The broker's journal.
    pub journal: Journal,
    /// What arrives at the reader's gateway, `gw-sh-2`.
    pub to_reader: Consumer,
    /// What is told to the author's gateway, `gw-sh-1`.
    pub receipts: Consumer,
    running: JoinHandle<Result<(), viereck_broker::Error>>,
    stop: CancellationToken,
    _dir: TempDir,
}

impl Middle {
    /// Starts the broker.
    ///
    /// # Panics
    /// When it does not start; as everything here when the link or the journal fails, or what is waited for does not come.
    pub async fn start() -> Self {
        let custodians = Custodians::prepare();
        let dir = tempfile::tempdir().expect("a folder");
        let link = Link::embedded(&dir.path().join("link.sqlite")).expect("a link");
        let journal = custodians.journal("broker").await;
        let (tables, in_force) = watch::channel(custodians.tables.clone());
        let stop = CancellationToken::new();
        let config = viereck_broker::Config {
            id: id("broker"),
            keys: dir.path().to_owned(),
            prefetch: 8,
            receipt_gather_ms: 10,
            outbox: viereck_broker::Outbox::default(),
            deadlines: Default::default(),
            retention: Default::default(),
        };
        let inputs = Inputs {
            tables: in_force,
            link: link.clone(),
            journal: journal.clone(),
            signer: watch::channel(Arc::new(custodians.signer("broker"))).1,
        };
        let running = tokio::spawn(viereck_broker::run(config, inputs, stop.clone()));
        let to_reader = link.consume(&Queue::Gateway(id("gw-sh-2")), 8).await.expect("a queue");
        let receipts = link.consume(&Queue::Receipts(id("gw-sh-1")), 8).await.expect("a queue");
        Self {
            custodians,
            tables,
            link,
            journal,
            to_reader,
            receipts,
            running,
            stop,
            _dir: dir,
        }
    }

    /// Hands octets in under the name of a gateway.
    pub async fn submit(&self, under: &str, bytes: &Bytes) {
        // the queues come with the first reconciliation
        until(DEADLINE, "the link takes it", async || {
            self.link.publish(&Address::Submit(id(under)), bytes.clone()).await.ok()
        })
        .await;
    }

    /// The next octets at the reader's gateway.
    pub async fn arrives(&mut self) -> Bytes {
        next(&mut self.to_reader).await
    }

    /// The events of the next batch at the author's gateway.
    pub async fn told(&mut self) -> Vec<Event> {
        let batch = next(&mut self.receipts).await;
        self.events(batch)
    }

    /// The events that the broker tells another `gateway`, once there are `count` of them.
    pub async fn told_to(&self, gateway: &str, count: usize) -> Vec<Event> {
        let receipts = self.link.consume(&Queue::Receipts(id(gateway)), 8).await;
        let mut receipts = receipts.expect("a queue");
        let mut events = vec![];
        while events.len() < count {
            events.extend(self.events(next(&mut receipts).await));
        }
        receipts.cancel().await;
        events
    }

    fn events(&self, batch: Bytes) -> Vec<Event> {
        let tables = self.custodians.tables.as_ref();
        let batch = verify_batch(batch, tables, Environment::Test, Timestamp::now()).expect("it verifies");
        batch.entries().iter().map(|(event, _)| event.clone()).collect()
    }

    /// Ends the broker.
    pub async fn stop(self) {
        self.stop.cancel();
        self.to_reader.cancel().await;
        self.receipts.cancel().await;
        self.running.await.expect("no panic").expect("no failure");
        self.link.close().await;
    }
}

async fn next(consumer: &mut Consumer) -> Bytes {
    let delivery = tokio::time::timeout(DEADLINE, consumer.next()).await;
    let delivery = delivery.expect("in time").expect("open");
    let bytes = delivery.bytes.clone();
    delivery.done();
    bytes
}
