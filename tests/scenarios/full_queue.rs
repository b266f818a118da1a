//! A gateway whose queue is full holds up nobody else: what it does not take waits in the broker's journal, and the broker
//! takes nothing more in when it holds as much as it may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::custodians::{Custodians, id};
use harness::rabbitmq;
use harness::wait::until;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use viereck_broker::{Inputs, Outbox};
use viereck_custody::Journal;
use viereck_envelope::{Reason, SealedEnvelope};
use viereck_routing::{MessageId, Tables};
use viereck_transport::{Address, AmqpConfig, Link, Queue};

const DEADLINE: Duration = Duration::from_secs(30);

/// A broker over RabbitMQ, in whose virtual host the queue of one gateway takes two messages at the most.
struct Middle {
    custodians: Custodians,
    vhost: String,
    link: Link,
    journal: Journal,
    stop: CancellationToken,
    running: JoinHandle<Result<(), viereck_broker::Error>>,
    _tables: watch::Sender<Arc<Tables>>,
}

impl Middle {
    async fn start(outbox: Outbox, prefetch: u16) -> Self {
        let custodians = Custodians::prepare();
        let url = rabbitmq::vhost().await;
        let vhost = url.rsplit('/').next().unwrap().to_owned();
        let narrow = r#"{"max-length":2,"overflow":"reject-publish"}"#;
        let policy = [
            "set_policy",
            "-p",
            &vhost,
            "narrow",
            "^gateway\\.gw-sh-2$",
            narrow,
            "--priority",
            "90",
        ];
        rabbitmq::shared().await.ctl(&policy).await.unwrap();
        let link = Link::amqp(AmqpConfig::new(&url)).unwrap();
        let journal = custodians.journal("broker").await;
        let (tables, in_force) = watch::channel(custodians.tables.clone());
        let stop = CancellationToken::new();
        let config = viereck_broker::Config {
            id: id("broker"),
            keys: ".".into(),
            prefetch,
            receipt_gather_ms: 10,
            outbox,
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
        // the queues come with the first reconciliation
        until(DEADLINE, "the topology", async || {
            link.depth(&Queue::Ingress).await.ok()
        })
        .await;
        until(DEADLINE, "the queue of the gateway", async || {
            link.depth(&Queue::Gateway(id("gw-sh-2"))).await.ok()
        })
        .await;
        Self {
            custodians,
            vhost,
            link,
            journal,
            stop,
            running,
            _tables: tables,
        }
    }

    fn application(&self, gateway: &str) -> SealedEnvelope {
        let reader = self.custodians.reader_at(gateway);
        self.custodians
            .sealed(MessageId::random(), |draft| draft.reader = reader)
    }

    async fn submit(&self, envelope: &SealedEnvelope) {
        until(DEADLINE, "the link takes it", async || {
            let address = Address::Submit(id("gw-sh-1"));
            self.link.publish(&address, envelope.bytes().clone()).await.ok()
        })
        .await;
    }

    /// What arrives at a gateway, until there are `count` of it.
    async fn arrived(&self, gateway: &str, count: usize) -> Vec<Bytes> {
        let mut consumer = self.link.consume(&Queue::Gateway(id(gateway)), 8).await.unwrap();
        let mut arrived = vec![];
        while arrived.len() < count {
            let delivery = tokio::time::timeout(DEADLINE, consumer.next()).await;
            let delivery = delivery.expect("in time").expect("open");
            arrived.push(delivery.bytes.clone());
            delivery.done();
        }
        consumer.cancel().await;
        arrived
    }

    async fn held(&self, envelope: &SealedEnvelope) -> bool {
        let view = self.journal.message(&envelope.header().message_id).await.unwrap();
        view.is_some_and(|view| {
            let held = view.events.iter().find(|event| event.stage.as_str() == "held");
            view.flags.held.is_some() && held.is_some_and(|event| event.reasons == [Reason::QueueFull])
        })
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.link.close().await;
    }
}

fn octets(envelopes: &[SealedEnvelope]) -> BTreeSet<Bytes> {
    envelopes.iter().map(|envelope| envelope.bytes().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_holds_up_nobody_else() {
    let outbox = Outbox {
        retry_ms: 50,
        ..Outbox::default()
    };
    let middle = Middle::start(outbox, 4).await;
    let full: Vec<_> = (0..20).map(|_| middle.application("gw-sh-2")).collect();
    let others: Vec<_> = (0..4).map(|_| middle.application("gw-nw-1")).collect();
    for envelope in full.iter().chain(&others) {
        middle.submit(envelope).await;
    }
    // five times as many as the broker has in hand stand before them, and nobody takes those
    let arrived = middle.arrived("gw-nw-1", others.len()).await;
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), octets(&others));
    until(DEADLINE, "the last is held, with the reason", async || {
        middle.held(&full[19]).await.then_some(())
    })
    .await;
    assert!(middle.journal.held_octets().await.unwrap() >= 16 * full[0].bytes().len() as u64);

    let arrived = middle.arrived("gw-sh-2", full.len()).await;
    assert_eq!(arrived.iter().cloned().collect::<BTreeSet<_>>(), octets(&full));
    assert_eq!(arrived.len(), full.len(), "each once");
    until(DEADLINE, "nothing is held", async || {
        (middle.journal.held_octets().await.unwrap() == 0).then_some(())
    })
    .await;
    println!("account: 24 handed in, 4 past the full queue at once, 20 when it took them, each once");
    middle.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_holds_as_much_as_it_may_takes_nothing_in() {
    let outbox = Outbox {
        held_bytes: 1,
        retry_ms: 50,
        ..Outbox::default()
    };
    let middle = Middle::start(outbox, 2).await;
    let full: Vec<_> = (0..16).map(|_| middle.application("gw-sh-2")).collect();
    for envelope in &full {
        middle.submit(envelope).await;
    }
    let most = until(DEADLINE, "messages stay in the ingress", async || {
        let held = middle.journal.held_octets().await.unwrap();
        let waiting = middle.link.depth(&Queue::Ingress).await.ok()?;
        (held > 0 && waiting >= 8).then_some(held)
    })
    .await;
    // its queue takes a few, and the broker has at most two in hand when the first is held
    let size = full.iter().map(|envelope| envelope.bytes().len() as u64).max().unwrap();
    assert!(most <= 4 * size, "{most} octets held");

    let clear = ["clear_policy", "-p", &middle.vhost, "narrow"];
    rabbitmq::shared().await.ctl(&clear).await.unwrap();
    let arrived = middle.arrived("gw-sh-2", full.len()).await;
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), octets(&full));
    println!("account: 16 handed in, at most {most} octets held, all arrived");
    middle.end().await;
}
