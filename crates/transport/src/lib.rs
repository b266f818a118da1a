//! HOW it moves: one [`Link`], embedded or AMQP.
//!
//! What it is for: blobs from a named writer to a queue, and from a queue to whoever takes care of them.
//!
//! What it guarantees, the same for both links and tested by one set of contract tests:
//! - [`Link::publish`] answers `Ok` only once the message is safe with the link: a crash of everything loses nothing
//!   that was confirmed;
//! - a message no binding wants goes to [`Queue::Unrouted`]; nothing is ever confirmed and gone;
//! - a delivery that is not [done](Delivery::done) comes again: at least once, and in no order;
//! - no consumer holds more than its prefetch, no publisher more than its window.
//!
//! What it deliberately does not do: look into a message, retry a publish (that is the journal's work, which also knows
//! when), hold a message back for later, order anything, or take part in anybody's transaction.

mod address;
mod amqp;
mod delivery;
mod embedded;
mod error;
pub mod metrics;
mod pace;
mod renewals;
mod topology;

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use viereck_observe::Trace;

use self::metrics::MEASURED;

pub use address::{Address, Origin, RouteKey};
pub use amqp::{Amqp, AmqpConfig, LinkCertificate, ReadKey, Tls};
pub use delivery::{Consumer, Delivery};
pub use embedded::Embedded;
pub use error::LinkError;
pub use renewals::Renewals;
pub use topology::{Queue, Topology};

/// How many publishes one caller has under way at most; more bring no more throughput and more duplicates after a fault.
pub const PUBLISH_WINDOW: usize = 128;

/// The longest message a link carries. RabbitMQ would carry more, and kill the channel at a limit of its own.
pub const LARGEST_MESSAGE: usize = 8 * 1024 * 1024;

/// The way messages move. Clones share it.
#[derive(Debug, Clone)]
pub enum Link {
    /// Through a file, within one process.
    Embedded(Embedded),
    /// Through RabbitMQ.
    Amqp(Amqp),
}

impl Link {
    /// Opens or creates the file of an embedded link. One process at a time.
    pub fn embedded(path: &Path) -> Result<Self, LinkError> {
        Embedded::open(path).map(Self::Embedded)
    }

    /// Begins to connect to RabbitMQ and goes on for as long as the link lives, whether or not it is there yet.
    /// Has to be called within a tokio runtime. Fails only where the configuration makes no sense.
    pub fn amqp(config: AmqpConfig) -> Result<Self, LinkError> {
        Amqp::start(config).map(Self::Amqp)
    }

    /// Makes queues and bindings what `topology` says: unbinds first, then binds, so that in between a message falls
    /// into [`Queue::Unrouted`] and never into the old place. Idempotent; queues are never deleted.
    pub async fn reconcile(&self, topology: &Topology) -> Result<(), LinkError> {
        match self {
            Self::Embedded(link) => link.reconcile(topology).await,
            Self::Amqp(link) => link.reconcile(topology).await,
        }
    }

    /// Sends a message; `Ok` once it is confirmed and durable. After any error it may be sent again, and after
    /// [`LinkError::Unconfirmed`] it may then arrive twice.
    pub async fn publish(&self, to: &Address, bytes: Bytes) -> Result<(), LinkError> {
        self.publish_within(None, to, bytes).await
    }

    /// The same, and tells whoever takes it to which trace it belongs. Nothing may rest on that.
    pub async fn publish_within(&self, trace: Option<Trace>, to: &Address, bytes: Bytes) -> Result<(), LinkError> {
        let began = Instant::now();
        let published = match self {
            _ if bytes.len() > LARGEST_MESSAGE => Err(LinkError::TooLarge {
                length: bytes.len(),
                limit: LARGEST_MESSAGE,
            }),
            Self::Embedded(link) => link.publish(trace, to, bytes).await,
            Self::Amqp(link) => link.publish(trace, to, bytes).await,
        };
        let outcome = published.as_ref().map_or_else(LinkError::code, |()| "confirmed");
        MEASURED.published(to.into(), outcome, began.elapsed());
        published
    }

    /// Begins to take deliveries, at most `prefetch` at a time in hand. Over AMQP the queue may come later.
    pub async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Consumer, LinkError> {
        match self {
            Self::Embedded(link) => link.consume(queue, prefetch).await,
            Self::Amqp(link) => link.consume(queue, prefetch).await,
        }
    }

    /// How many messages wait in a queue, without those in hand.
    pub async fn depth(&self, queue: &Queue) -> Result<u64, LinkError> {
        match self {
            Self::Embedded(link) => link.depth(queue).await,
            Self::Amqp(link) => link.depth(queue).await,
        }
    }

    /// Tells from now on when the link has connected anew: what was declared before may be gone, so that it is time to
    /// [`Link::reconcile`].
    pub fn renewals(&self) -> Renewals {
        match self {
            // The file that holds the messages holds the topology.
            Self::Embedded(_) => Renewals::never(),
            Self::Amqp(link) => link.renewals(),
        }
    }

    /// The certificate with which the next connection is made, if the link has one. Looks at its files: new ones that
    /// cannot be used are an alarm now, and not only when the connection has to be made anew.
    pub async fn certificate(&self) -> Option<LinkCertificate> {
        match self {
            Self::Embedded(_) => None,
            Self::Amqp(link) => link.certificate().await,
        }
    }

    /// Tells the link of what is done, then closes channels, connections and files in this order, under a deadline.
    /// Ends it for all clones; consumers see no more deliveries.
    pub async fn close(self) {
        match self {
            Self::Embedded(link) => link.close().await,
            Self::Amqp(link) => link.close().await,
        }
    }
}
