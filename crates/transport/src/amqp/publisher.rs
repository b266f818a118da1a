//! Publishing with confirms.
//!
//! One task alone publishes on a channel. lapin numbers a message and hands over its frames in two steps, so two tasks
//! publishing on one channel could swap their confirms: a refusal of one message would be reported for another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use viereck_observe::Trace;

use crate::address::Address;
use crate::error::LinkError;
use crate::{LARGEST_MESSAGE, PUBLISH_WINDOW};

use super::TRACE;
use super::line::{Line, backoff};
use super::session::{Session, close_channel};

/// All messages under way together hold at most this many units of [`UNIT`] bytes: eight of the largest.
const UNITS: usize = 8 * LARGEST_MESSAGE / UNIT;
const UNIT: usize = 1024;

const PERSISTENT: u8 = 2;

/// How long an answer to a publish may stay away before its channel is given up.
///
/// A channel of RabbitMQ remembers the leader that a queue had when the channel first published to it. If that leader was
/// dead or frozen at that moment, the channel goes on asking it: it refuses everything, or says nothing, for as long as it
/// lives. A new channel finds the new leader.
const SILENCE: Duration = Duration::from_secs(5);

/// How long after a refusal a channel is replaced, for the same reason. A queue may also be full in earnest, so it is
/// replaced without giving up anything, and not more often than this.
const REFUSED: Duration = Duration::from_secs(1);

/// How often a channel is looked at while nothing is heard from it.
const LOOK: Duration = Duration::from_millis(200);

/// A message on its way, until lapin is done with it; whether anybody still waits for it does not matter to its place in
/// the window, for lapin holds its bytes all the same.
struct Order {
    trace: Option<Trace>,
    to: Address,
    bytes: Bytes,
    answer: oneshot::Sender<Result<(), LinkError>>,
    _window: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

#[derive(Debug)]
pub(super) struct Publisher {
    orders: mpsc::Sender<Order>,
    line: Line,
    places: Arc<Semaphore>,
    units: Arc<Semaphore>,
    patience: Duration,
}

impl Publisher {
    pub(super) fn start(
        line: Line,
        patience: Duration,
        tasks: &TaskTracker,
        closing: CancellationToken,
        ended: CancellationToken,
    ) -> Self {
        let (orders, queued) = mpsc::channel(PUBLISH_WINDOW);
        let work = run(line.clone(), queued, closing);
        tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = work => {}
            }
        });
        let places = Arc::new(Semaphore::new(PUBLISH_WINDOW));
        Self {
            orders,
            line,
            places,
            units: Arc::new(Semaphore::new(UNITS)),
            patience,
        }
    }

    pub(super) async fn publish(&self, trace: Option<Trace>, to: &Address, bytes: Bytes) -> Result<(), LinkError> {
        // Without a connection nothing is sent, and the caller can be told so for certain.
        self.line.session(self.patience).await?;
        let window = tokio::time::timeout(self.patience, self.window(bytes.len()));
        // not sent, and nobody has refused it: only a nack is a queue that takes nothing
        let _window = window.await.map_err(|_| LinkError::Busy)??;
        let (answer, answered) = oneshot::channel();
        let order = Order {
            trace,
            to: to.clone(),
            bytes,
            answer,
            _window,
        };
        self.orders.send(order).await.map_err(|_| LinkError::Closed)?;
        match tokio::time::timeout(self.patience, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(LinkError::Unconfirmed),
        }
    }

    async fn window(&self, bytes: usize) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), LinkError> {
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, UNITS)).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| LinkError::Closed)?;
        let units = Arc::clone(&self.units)
            .acquire_many_owned(units)
            .await
            .map_err(|_| LinkError::Closed)?;
        Ok((place, units))
    }
}

/// Serves orders on one channel after the other until the link closes.
async fn run(line: Line, mut orders: mpsc::Receiver<Order>, closing: CancellationToken) {
    let mut failures = 0;
    while !closing.is_cancelled() {
        let session = tokio::select! {
            () = closing.cancelled() => return,
            session = line.next_session() => match session {
                Ok(session) => session,
                Err(_) => return,
            },
        };
        match session.confirming_channel().await {
            Ok(channel) => {
                let served = serve(&session, &channel, &mut orders, &closing).await;
                close_channel(&channel).await;
                failures = if served { 0 } else { failures + 1 };
            }
            Err(error) => {
                tracing::warn!(%error, "no channel to publish on");
                session.cut();
                failures += 1;
            }
        }
        tokio::select! {
            () = closing.cancelled() => return,
            () = tokio::time::sleep(backoff(failures)) => {}
        }
    }
}

/// What came of one publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// RabbitMQ keeps the message.
    Kept,
    /// RabbitMQ has refused it.
    Refused,
    /// The channel failed under it.
    Failed,
    /// Nobody says anything.
    Silent,
}

/// Publishes until the channel fails or has to be replaced, or the link closes. What is under way is waited for, unless
/// the channel failed or is silent: then it is given up, which answers it as unconfirmed. Whether anything was kept.
async fn serve(
    session: &Session,
    channel: &Channel,
    orders: &mut mpsc::Receiver<Order>,
    closing: &CancellationToken,
) -> bool {
    let mut under_way = FuturesUnordered::new();
    let mut open = true;
    let mut served = false;
    let mut replace_at = None;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            order = orders.recv(), if open => match order {
                // Nobody waits for it any more: it would only be a duplicate.
                Some(order) if order.answer.is_closed() => {}
                Some(order) => under_way.push(publish(session, channel, order)),
                None => open = false,
            },
            Some(outcome) = under_way.next() => match outcome {
                Outcome::Kept => served = true,
                Outcome::Refused => _ = replace_at.get_or_insert_with(|| Instant::now() + REFUSED),
                Outcome::Failed => {}
                Outcome::Silent => {
                    tracing::warn!(silent_for = ?SILENCE, "a publish was not answered; publishing goes on on another channel");
                    return served;
                }
            },
            // lapin leaves a publish that meets a closing channel without an answer for ever, so its end is looked for
            _ = looks.tick() => {}
            () = closing.cancelled(), if open => open = false,
        }
        if replace_at.is_some_and(|at| Instant::now() >= at) {
            open = false;
        }
        let finished = !open && under_way.is_empty();
        if finished || !channel.status().connected() {
            return served;
        }
    }
}

/// Publishes one message and answers for it.
async fn publish(session: &Session, channel: &Channel, order: Order) -> Outcome {
    let Order {
        trace,
        to,
        bytes,
        answer,
        _window,
    } = order;
    let confirmed = async {
        let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        if let Some(trace) = trace {
            let mut headers = FieldTable::default();
            headers.insert(TRACE.into(), AMQPValue::LongString(trace.to_string().into()));
            properties = properties.with_headers(headers);
        }
        let (exchange, key) = (to.exchange().name().into(), to.key().into());
        // Not mandatory: the alternate exchange leaves nothing that could be returned.
        channel
            .basic_publish(exchange, key, BasicPublishOptions::default(), &bytes, properties)
            .await?
            .await
    };
    let mut confirmed = std::pin::pin!(confirmed);
    let confirmed = loop {
        match tokio::time::timeout(SILENCE, &mut confirmed).await {
            Ok(confirmed) => break Some(confirmed),
            // It says that it takes nothing now; another channel would change nothing.
            Err(_) if session.is_blocked() => {}
            Err(_) => break None,
        }
    };
    let (result, outcome) = match confirmed {
        Some(Ok(Confirmation::Ack(_))) => (Ok(()), Outcome::Kept),
        Some(Ok(Confirmation::Nack(_))) => (Err(LinkError::Full), Outcome::Refused),
        Some(Ok(Confirmation::NotRequested)) => (Err(LinkError::Unconfirmed), Outcome::Failed),
        Some(Err(error)) => {
            tracing::debug!(%error, "a publish was not confirmed");
            (Err(LinkError::Unconfirmed), Outcome::Failed)
        }
        None => (Err(LinkError::Unconfirmed), Outcome::Silent),
    };
    // The caller may have given up waiting.
    let _ = answer.send(result);
    outcome
}
