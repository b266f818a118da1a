//! The AMQP link: RabbitMQ, through lapin. This file and its folder are the only ones that name lapin.
//!
//! What it guarantees beyond the promises of [`crate::Link`]: it reconnects by itself for as long as it lives, over all
//! nodes; publishing and consuming never share a connection, so back-pressure on one does not stall the other; a
//! connection that has gone silent is cut, not waited for.
//!
//! What it deliberately does not rely on, because it was seen to fail: lapin's recovery (a gap of many seconds),
//! `mandatory` returns (attached to the wrong confirm as soon as two publishes are under way; the alternate exchange
//! makes them needless), the `redelivered` flag (it says nothing), and any AMQP property (what counts is in the bytes).

mod config;
mod consumer;
mod line;
mod publisher;
mod record;
mod session;
mod tags;
mod tls;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use viereck_observe::Trace;

pub use config::AmqpConfig;
pub use tls::{LinkCertificate, ReadKey, Tls};

use crate::address::Address;
use crate::delivery::Consumer;
use crate::error::LinkError;
use crate::renewals::Renewals;
use crate::topology::{Queue, Topology};

use self::config::Settings;
use self::line::Line;
use self::publisher::Publisher;
use self::topology::Known;

/// The header of a message that names its trace; whatever else stands in headers is not looked at.
const TRACE: &str = "traceparent";

/// How long [`Amqp::close`] waits for consumers and publishers, and then again for the connections.
const CLOSING: Duration = Duration::from_secs(5);

/// The AMQP link. Clones share it.
#[derive(Debug, Clone)]
pub struct Amqp {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<Settings>,
    publishing: Line,
    consuming: Line,
    publisher: Publisher,
    /// What this process knows to be declared and bound; also keeps its reconciliations apart.
    known: Mutex<Known>,
    /// Consumers and the publisher: they end before the lines do.
    users: TaskTracker,
    lines: TaskTracker,
    closing: CancellationToken,
    /// Ends everything at once when the link is dropped without being closed.
    ended: CancellationToken,
    _end_when_dropped: DropGuard,
}

impl Amqp {
    /// Begins to connect. Has to be called within a tokio runtime.
    pub fn start(config: AmqpConfig) -> Result<Self, LinkError> {
        let settings = Arc::new(Settings::check(config)?);
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let (users, lines) = (TaskTracker::new(), TaskTracker::new());
        let publishing = Line::start(Arc::clone(&settings), "publish", &lines, ended.clone());
        let consuming = Line::start(Arc::clone(&settings), "consume", &lines, ended.clone());
        let publisher = Publisher::start(
            publishing.clone(),
            settings.patience,
            &users,
            closing.clone(),
            ended.clone(),
        );
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                publishing,
                consuming,
                publisher,
                known: Mutex::default(),
                users,
                lines,
                closing,
                _end_when_dropped: ended.clone().drop_guard(),
                ended,
            }),
        })
    }

    pub(crate) async fn reconcile(&self, topology: &Topology) -> Result<(), LinkError> {
        let mut known = self.shared.known.lock().await;
        let session = self.shared.publishing.session(self.shared.settings.patience).await?;
        topology::reconcile(&session, topology, &mut known).await
    }

    pub(crate) fn renewals(&self) -> Renewals {
        Renewals::of(self.shared.publishing.renewals())
    }

    pub(crate) async fn publish(&self, trace: Option<Trace>, to: &Address, bytes: Bytes) -> Result<(), LinkError> {
        self.shared.publisher.publish(trace, to, bytes).await
    }

    pub(crate) async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Consumer, LinkError> {
        if self.shared.closing.is_cancelled() {
            return Err(LinkError::Closed);
        }
        let (consumer, feed) = Consumer::new(prefetch);
        let feeder = consumer::Feeder {
            line: self.shared.consuming.clone(),
            queue: queue.to_string(),
            prefetch: prefetch.max(1),
            feed,
            closing: self.shared.closing.clone(),
        };
        let ended = self.shared.ended.clone();
        self.shared.users.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = feeder.run() => {}
            }
        });
        Ok(consumer)
    }

    pub(crate) async fn depth(&self, queue: &Queue) -> Result<u64, LinkError> {
        let session = self.shared.publishing.session(self.shared.settings.patience).await?;
        topology::depth(&session, &queue.to_string()).await
    }

    pub(crate) async fn certificate(&self) -> Option<LinkCertificate> {
        match &self.shared.settings.tls {
            Some(identity) => identity.certificate().await,
            None => None,
        }
    }

    pub(crate) async fn close(self) {
        self.shared.closing.cancel();
        self.shared.users.close();
        if tokio::time::timeout(CLOSING, self.shared.users.wait()).await.is_err() {
            tracing::warn!("the AMQP link closed before everything under way had ended; it will come again");
        }
        // Consumers and publishers have closed their channels by now; the lines close their connections.
        self.shared.ended.cancel();
        self.shared.lines.close();
        if tokio::time::timeout(CLOSING, self.shared.lines.wait()).await.is_err() {
            tracing::warn!("an AMQP connection did not close in time");
        }
    }
}
