//! The middle: topology, relay, authorisation, receipts passed on.
//!
//! The broker verifies and authorises on its own what gateways hand in, and routes it by Behörde. It holds no
//! decryption key and sees nothing but headers. It says `relayed` only when the next hop has confirmed the octets, and
//! acknowledges only when that word is on disk; a crash in between sends the same octets twice, which the reader's
//! gateway notices. Several brokers may share one journal: what one has in hand is given to no other.
//!
//! [`relay`] is the way of a message, [`held`] where it waits when the next hop takes nothing, [`receipts`] the way of
//! what custodians state about it, [`unrouted`] what happens when nobody is bound to take it, [`topology`] who is bound
//! to what.

mod config;
mod held;
pub mod metrics;
mod receipts;
mod relay;
mod topology;
mod unrouted;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use viereck_custody::{CurrentTables, JOURNAL_PAUSE, Journal, JournalError, Room, deadlines, inbox, ledger, retention};
use viereck_envelope::{Refused, Signer, VerifiedEnvelope};
use viereck_observe::Trace;
use viereck_routing::Tables;
use viereck_transport::{Address, Delivery, Link, LinkError, Origin, Queue};

pub use config::{Config, Outbox};
use held::Refusals;

/// After a pause this long between two tries a delivery goes back to its queue.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// What a broker works with.
pub struct Inputs {
    /// The routing table in force.
    pub tables: CurrentTables,
    /// The link to the gateways.
    pub link: Link,
    /// The broker's journal, made for its name.
    pub journal: Journal,
    /// With what it signs its receipts, and each later key.
    pub signer: watch::Receiver<Arc<Signer>>,
}

/// What ends a broker before it is told to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without its journal it may say yes to nothing.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The link is closed for good.
    #[error("link-unavailable: {0}")]
    Link(#[from] LinkError),
}

/// One broker at work: what every step of it needs.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) tables: CurrentTables,
    pub(crate) link: Link,
    pub(crate) journal: Journal,
    /// Asks for the topology to be made anew: something came back that should have had a way.
    pub(crate) topology_wanted: Arc<Notify>,
    /// Gateways whose queues are full.
    pub(crate) refusals: Refusals,
    /// The first pause after such a refusal.
    pub(crate) retry: SignedDuration,
    /// For what they do not take.
    pub(crate) room: Room,
}

/// Runs the broker until `shutdown`; what it has in hand then is finished, and its receipts go out.
///
/// # Errors
/// When the journal fails: the broker ends rather than say yes without a record.
pub async fn run(config: Config, inputs: Inputs, shutdown: CancellationToken) -> Result<(), Error> {
    let Inputs {
        tables,
        link,
        journal,
        signer,
    } = inputs;
    let broker = Broker {
        tables,
        link,
        journal,
        topology_wanted: Arc::new(Notify::new()),
        refusals: Refusals::default(),
        retry: config.outbox.pace().retry,
        room: Room::new(config.outbox.held_bytes),
    };
    held::count(&broker).await?;
    // one that fails takes the others with it; receipts end last, so that what was relayed last is told as well
    let (stop, stop_telling) = (shutdown.child_token(), CancellationToken::new());
    let telling = viereck_custody::receipts::run_out(
        broker.journal.clone(),
        broker.link.clone(),
        move || Arc::clone(&signer.borrow()),
        viereck_custody::receipts::Road::Direct,
        config.receipts(),
        stop_telling.clone(),
    );
    let mut telling = tokio::spawn(telling);
    let mut working = JoinSet::new();
    let topology = topology::establish(&broker, &stop).await;
    working.spawn(topology::keep(broker.clone(), topology, stop.clone()));
    working.spawn(held::keep(broker.clone(), config.outbox.pace(), stop.clone()));
    let sweep = deadlines::run(broker.journal.clone(), config.deadlines, stop.clone());
    working.spawn(async move { Ok(sweep.await?) });
    let keep = retention::run(broker.journal.clone(), config.retention, stop.clone());
    working.spawn(async move { Ok(keep.await?) });
    let (counted, until) = (broker.journal.clone(), stop.clone());
    working.spawn(async move { Ok(ledger::watch::run(counted, ledger::watch::Config::default(), until).await?) });
    for (queue, prefetch) in [
        (Queue::Ingress, config.prefetch),
        (Queue::Unrouted, config.prefetch),
        (Queue::Parked, 1),
    ] {
        working.spawn(consume(broker.clone(), queue, prefetch, stop.clone()));
    }
    let mut outcome = Ok(());
    loop {
        let ended = tokio::select! {
            told = &mut telling => joined(told).map_err(Error::from),
            ended = working.join_next() => match ended {
                Some(ended) => joined(ended),
                None => break,
            },
        };
        if outcome.is_ok() {
            outcome = ended;
        }
        stop.cancel();
        if telling.is_finished() {
            break;
        }
    }
    while let Some(ended) = working.join_next().await {
        outcome = outcome.and(joined(ended));
    }
    stop_telling.cancel();
    if !telling.is_finished() {
        outcome = outcome.and(joined(telling.await).map_err(Error::from));
    }
    outcome
}

/// A panic of a task is a panic of the broker.
fn joined<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(outcome) => outcome,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Takes from one queue until `stop`, and rests while there is no room for what may have to be held.
async fn consume(broker: Broker, queue: Queue, prefetch: u16, stop: CancellationToken) -> Result<(), Error> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = broker.room.some() => {}
        }
        if take(&broker, &queue, prefetch, &stop).await? == Intake::Closed {
            return Ok(());
        }
        if !stop.is_cancelled() {
            tracing::error!(queue = %queue, alarm = "held-full", "the broker holds as much as it may: nothing is taken in");
        }
    }
}

/// Why nothing more is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intake {
    /// There is no room, or it is the end.
    Rests,
    /// The link is closed.
    Closed,
}

/// Takes `prefetch` deliveries at once; what was fetched by the end is finished, the rest goes back.
async fn take(broker: &Broker, queue: &Queue, prefetch: u16, stop: &CancellationToken) -> Result<Intake, Error> {
    let mut consumer = broker.link.consume(queue, prefetch).await?;
    let mut at_work = FuturesUnordered::new();
    let mut intake = Intake::Rests;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = broker.room.none() => break,
            delivery = consumer.next(), if at_work.len() < usize::from(prefetch) => match delivery {
                Some(delivery) => at_work.push(one(broker, queue, delivery, stop)),
                None => {
                    intake = Intake::Closed;
                    break;
                }
            },
            Some(outcome) = at_work.next() => outcome?,
        }
    }
    while let Some(outcome) = at_work.next().await {
        outcome?;
    }
    consumer.cancel().await;
    Ok(intake)
}

async fn one(broker: &Broker, queue: &Queue, delivery: Delivery, stop: &CancellationToken) -> Result<(), Error> {
    let handled = match handle(broker, queue, &delivery, stop).await {
        Err(Error::Journal(error)) if error.may_pass() => {
            tracing::error!(%error, alarm = "journal-unavailable", "not handled, again later");
            tokio::time::sleep(JOURNAL_PAUSE).await;
            Handled::NotNow
        }
        handled => handled?,
    };
    match handled {
        Handled::Done => delivery.done(),
        Handled::NotNow => delivery.drop_back(),
    }
    Ok(())
}

/// What a gateway handed in may come through any queue: unrouted while the topology is being made, parked as a net.
async fn handle(
    broker: &Broker,
    queue: &Queue,
    delivery: &Delivery,
    stop: &CancellationToken,
) -> Result<Handled, Error> {
    // what did not verify in all its attempts before will not any more
    let last = *queue == Queue::Parked;
    match (delivery.origin(), queue) {
        (Some(Origin::Submit(gateway)), _) => relay::message(broker, delivery, Some(gateway), last, stop).await,
        (Some(Origin::Receipt(gateway)), _) => receipts::pass_on(broker, delivery, gateway, last, stop).await,
        (_, Queue::Unrouted) => unrouted::take_back(broker, delivery).await,
        _ => relay::message(broker, delivery, None, last, stop).await,
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handled {
    /// On disk, whatever became of it.
    Done,
    /// The link did not take it on: it is delivered again.
    NotNow,
}

/// What the next hop made of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    /// Confirmed.
    Taken,
    /// Its queue takes nothing at the moment.
    Full,
    /// The link did not take it on.
    NotNow,
}

impl Broker {
    /// Verifies octets by the table that the caller goes on with.
    pub(crate) async fn verify(
        &self,
        bytes: Bytes,
        tables: &Arc<Tables>,
        now: Timestamp,
    ) -> Result<VerifiedEnvelope, Refused> {
        inbox::verify(bytes, Arc::clone(tables), self.journal.environment(), now).await
    }

    /// Publishes, with a few tries where the link fails: one that is just coming back is no reason to count an attempt at
    /// the message. A queue that is full says so at once.
    pub(crate) async fn publish(
        &self,
        trace: Option<Trace>,
        to: &Address,
        bytes: Bytes,
        stop: &CancellationToken,
    ) -> Hop {
        let mut pause = Duration::from_millis(250);
        loop {
            let error = match self.link.publish_within(trace, to, bytes.clone()).await {
                Ok(()) => return Hop::Taken,
                Err(LinkError::Full) => return Hop::Full,
                Err(error) => error,
            };
            if pause > LONGEST_PAUSE {
                return Hop::NotNow;
            }
            tracing::warn!(%error, ?pause, "not published, again later");
            tokio::select! {
                () = tokio::time::sleep(pause) => pause *= 2,
                () = stop.cancelled() => return Hop::NotNow,
            }
        }
    }
}
