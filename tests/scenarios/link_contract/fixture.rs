//! One link under test, and how it crashes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use harness::rabbitmq;
use harness::wait::until;
use tempfile::TempDir;
use viereck_routing::GatewayId;
use viereck_transport::{Address, AmqpConfig, Consumer, Delivery, Link, LinkError, PUBLISH_WINDOW, RouteKey, Topology};

/// No test of the contract may take longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) async fn within_deadline(test: impl Future<Output = ()>) {
    tokio::time::timeout(DEADLINE, test).await.expect("within the deadline");
}

/// Where a link lives, so that it can be opened, crashed and opened again.
pub(crate) enum Fixture {
    Embedded(TempDir),
    Amqp { url: String },
}

impl Fixture {
    pub(crate) fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn amqp() -> Self {
        Self::Amqp {
            url: rabbitmq::vhost().await,
        }
    }

    /// Opens the link; an embedded one as soon as its predecessor has let go of the file.
    pub(crate) async fn open(&self) -> Link {
        match self {
            Self::Embedded(folder) => {
                let file: PathBuf = folder.path().join("link.sqlite");
                until(DEADLINE, "the file is free", async || Link::embedded(&file).ok()).await
            }
            Self::Amqp { url } => Link::amqp(AmqpConfig::new(url)).unwrap(),
        }
    }

    /// Opens the link and makes the topology.
    pub(crate) async fn open_with(&self, topology: &Topology) -> Link {
        let link = self.open().await;
        link.reconcile(topology).await.unwrap();
        link
    }

    /// Breaks the link without a farewell. Embedded: as if its process were gone. AMQP: RabbitMQ ends all connections
    /// of the virtual host; the link connects again by itself.
    pub(crate) async fn crash(&self, link: Link) -> Link {
        match self {
            Self::Embedded(_) => {
                drop(link);
                self.open().await
            }
            Self::Amqp { url } => {
                cut_connections(url).await;
                link
            }
        }
    }
}

/// Has RabbitMQ end all connections of a virtual host.
pub(crate) async fn cut_connections(url: &str) {
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    let node = rabbitmq::shared().await;
    node.ctl(&["close_all_connections", "--vhost", &vhost, "a test cuts them"])
        .await
        .unwrap();
}

pub(crate) fn gateway(number: u32) -> GatewayId {
    format!("gw-{number}").parse().unwrap()
}

/// The key of an invented authority.
pub(crate) fn key(number: u32) -> RouteKey {
    RouteKey {
        reader: format!("wgb:{number:08}").parse().unwrap(),
        leistung: None,
    }
}

/// The same with a delivery of its own for one Leistung.
pub(crate) fn exact_key(number: u32) -> RouteKey {
    RouteKey {
        leistung: Some("99107023037000".parse().unwrap()),
        ..key(number)
    }
}

/// Gateways 1 to 3, and these keys.
pub(crate) fn topology(bindings: &[(RouteKey, u32)]) -> Topology {
    Topology {
        gateways: (1..=3).map(gateway).collect(),
        bindings: bindings
            .iter()
            .map(|(key, number)| (key.clone(), gateway(*number)))
            .collect(),
    }
}

pub(crate) fn submit() -> Address {
    Address::Submit(gateway(1))
}

pub(crate) fn numbered(number: u32) -> Bytes {
    Bytes::from(format!("message {number:06}"))
}

/// Publishes message after message with a full window, each until it is confirmed.
pub(crate) async fn publish_all(link: &Link, messages: impl IntoIterator<Item = (Address, Bytes)>) {
    stream::iter(messages)
        .map(|(to, bytes)| async move { publish_until_confirmed(link, &to, &bytes).await })
        .buffer_unordered(PUBLISH_WINDOW)
        .for_each(async |_| {})
        .await;
}

/// Publishes until it is confirmed, as an outbox does; the number of attempts.
pub(crate) async fn publish_until_confirmed(link: &Link, to: &Address, bytes: &Bytes) -> u32 {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    for attempt in 1.. {
        pace.tick().await;
        match link.publish(to, bytes.clone()).await {
            Ok(()) => return attempt,
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
    }
    unreachable!("the test's deadline comes first")
}

/// How often each message was delivered.
pub(crate) type Received = BTreeMap<Bytes, u32>;

/// Takes deliveries, each done at once, until `enough` different ones have come.
pub(crate) async fn receive(consumer: &mut Consumer, enough: usize) -> Received {
    let mut received = Received::new();
    while received.len() < enough {
        let delivery = next(consumer).await;
        *received.entry(delivery.bytes.clone()).or_default() += 1;
        delivery.done();
    }
    received
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(DEADLINE, consumer.next())
        .await
        .expect("a delivery in time")
        .expect("the link is open")
}

pub(crate) async fn depth_is(link: &Link, queue: &viereck_transport::Queue, expected: u64) {
    until(DEADLINE, &format!("{queue} holds {expected}"), async || {
        match link.depth(queue).await {
            Ok(depth) if depth == expected => Some(()),
            Ok(_) | Err(LinkError::Unreachable) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
}
