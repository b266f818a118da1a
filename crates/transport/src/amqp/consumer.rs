//! The task that feeds one consumer over AMQP.
//!
//! Each connection gets a channel of its own and a fresh account of its delivery tags. What the consumer says about a
//! delivery of an earlier channel reaches nobody and needs to: RabbitMQ delivers the message again.
//!
//! Acknowledging is never waited for between two deliveries: lapin answers it only after a round trip to its own
//! thread. One acknowledgement is under way at a time, and whatever finishes meanwhile is told by the next one.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::message::Delivery as Incoming;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer as Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use viereck_observe::Trace;

use crate::address::Exchange;
use crate::delivery::{Delivery, Feed, Settlement};
use crate::pace::GoingBack;

use super::TRACE;
use super::line::{Line, backoff};
use super::session::{Session, close_channel, within_step};
use super::tags::{Batch, Tags};

/// One telling under way.
type Telling = Pin<Box<dyn Future<Output = Result<(), lapin::Error>> + Send>>;

pub(super) struct Feeder {
    pub(super) line: Line,
    pub(super) queue: String,
    pub(super) prefetch: u16,
    pub(super) feed: Feed,
    pub(super) closing: CancellationToken,
}

impl Feeder {
    /// Feeds until the link closes, or until the consumer is cancelled and everything in hand is settled.
    pub(super) async fn run(self) {
        let mut failures = 0;
        loop {
            let session = tokio::select! {
                () = self.unwanted() => break,
                session = self.line.next_session() => match session {
                    Ok(session) => session,
                    Err(_) => break,
                },
            };
            match self.serve(&session).await {
                Ok(()) => break,
                Err(error) => {
                    // A queue that is not there yet looks the same; the broker will declare it.
                    tracing::warn!(%error, queue = self.queue, failures, "consuming was interrupted");
                    failures += 1;
                }
            }
            tokio::select! {
                () = self.unwanted() => break,
                () = tokio::time::sleep(backoff(failures)) => {}
            }
        }
        self.feed.stopped.cancel();
    }

    async fn unwanted(&self) {
        tokio::select! {
            () = self.feed.stop.cancelled() => {}
            () = self.closing.cancelled() => {}
        }
    }

    /// Feeds from one channel. `Ok` when no more is wanted, `Err` when the channel failed.
    async fn serve(&self, session: &Arc<Session>) -> Result<(), lapin::Error> {
        let channel = session.channel().await?;
        let served = async {
            within_step(channel.basic_qos(self.prefetch, BasicQosOptions::default())).await?;
            let (queue, options) = (self.queue.as_str().into(), BasicConsumeOptions::default());
            let consume = channel.basic_consume(queue, ShortString::default(), options, FieldTable::default());
            let stream = within_step(consume).await?;
            Account::new(&channel, self.prefetch)
                .feed(stream, &self.feed, &self.closing)
                .await
        }
        .await;
        close_channel(&channel).await;
        served
    }
}

/// What is in hand on one channel.
struct Account<'a> {
    channel: &'a Channel,
    tags: Tags,
    going_back: GoingBack,
    settle: mpsc::UnboundedSender<Settlement>,
    settled: mpsc::UnboundedReceiver<Settlement>,
    telling: Option<Telling>,
}

impl<'a> Account<'a> {
    fn new(channel: &'a Channel, prefetch: u16) -> Self {
        let (settle, settled) = mpsc::unbounded_channel();
        Self {
            channel,
            tags: Tags::new(prefetch),
            going_back: GoingBack::default(),
            settle,
            settled,
            telling: None,
        }
    }

    async fn feed(mut self, mut stream: Stream, feed: &Feed, closing: &CancellationToken) -> Result<(), lapin::Error> {
        let mut stopping = false;
        loop {
            tokio::select! {
                incoming = stream.next(), if !stopping => match incoming {
                    Some(incoming) => self.hand_out(incoming?, feed),
                    None => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into()),
                },
                Some(settlement) = self.settled.recv() => self.note(settlement, stopping),
                () = self.going_back.due() => {}
                told = finished(&mut self.telling) => {
                    self.telling = None;
                    told?;
                }
                () = feed.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.stop(&mut stream, feed).await?;
                }
                () = closing.cancelled() => {
                    self.stop(&mut stream, feed).await?;
                    return self.tell_all().await;
                }
            }
            self.gather(stopping);
            if self.telling.is_none() {
                self.telling = self.tags.take_batch().map(|batch| tell(self.channel.clone(), batch));
            }
            if stopping && self.tags.in_hand() == 0 {
                return self.tell_all().await;
            }
        }
    }

    fn hand_out(&mut self, incoming: Incoming, feed: &Feed) {
        let tag = incoming.delivery_tag;
        self.tags.delivered(tag);
        let attempt = attempt(&incoming);
        let exchange = exchange(&incoming);
        let key = incoming.routing_key.to_string();
        let trace = trace(&incoming);
        let delivery = Delivery::new(
            Bytes::from(incoming.data),
            key,
            attempt,
            exchange,
            tag,
            self.settle.clone(),
        )
        .within(trace);
        // There is room for a prefetch; a consumer that is gone drops it back by dropping it.
        let _ = feed.deliveries.try_send(delivery);
    }

    /// Ends the deliveries; what had been sent already goes straight back.
    async fn stop(&mut self, stream: &mut Stream, feed: &Feed) -> Result<(), lapin::Error> {
        let cancelled = within_step(self.channel.basic_cancel(stream.tag(), BasicCancelOptions::default())).await;
        while let Ok(Some(Ok(incoming))) = tokio::time::timeout(std::time::Duration::ZERO, stream.next()).await {
            self.tags.delivered(incoming.delivery_tag);
            self.tags.drop_back(incoming.delivery_tag);
        }
        feed.stopped.cancel();
        cancelled
    }

    /// Collects all that has been settled, so that one telling covers it.
    fn gather(&mut self, stopping: bool) {
        while let Ok(settlement) = self.settled.try_recv() {
            self.note(settlement, stopping);
        }
        while let Some(tag) = self.going_back.pop_due() {
            self.tags.drop_back(tag);
        }
    }

    fn note(&mut self, settlement: Settlement, stopping: bool) {
        match settlement {
            Settlement::Done(tag) => self.tags.done(tag),
            // Dropped because nobody wanted it any more, not because it failed: no reason to wait.
            Settlement::DropBack { tag, .. } if stopping => self.tags.drop_back(tag),
            Settlement::DropBack { tag, attempt } => self.going_back.add(tag, attempt),
        }
    }

    /// Tells what there is to tell and waits for it; the rest goes back when the channel closes.
    async fn tell_all(mut self) -> Result<(), lapin::Error> {
        self.gather(true);
        if let Some(telling) = self.telling.take() {
            within_step(telling).await?;
        }
        match self.tags.take_batch() {
            Some(batch) => within_step(tell(self.channel.clone(), batch)).await,
            None => Ok(()),
        }
    }
}

fn tell(channel: Channel, batch: Batch) -> Telling {
    Box::pin(async move {
        for tag in batch.back {
            channel
                .basic_nack(
                    tag,
                    BasicNackOptions {
                        multiple: false,
                        requeue: true,
                    },
                )
                .await?;
        }
        for tag in batch.single {
            channel.basic_ack(tag, BasicAckOptions { multiple: false }).await?;
        }
        if let Some(tag) = batch.up_to {
            channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        }
        Ok(())
    })
}

/// The end of a telling; never, when none is under way.
async fn finished(telling: &mut Option<Telling>) -> Result<(), lapin::Error> {
    match telling {
        Some(telling) => telling.await,
        None => std::future::pending().await,
    }
}

/// Quorum queues count in a header how often a message came back.
pub(super) fn attempt(incoming: &Incoming) -> u32 {
    let came_back = match header(incoming, "x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongUInt(count)) => *count,
        _ => 0,
    };
    came_back.saturating_add(1)
}

/// The exchange the message was first published to: one that was dead-lettered carries it in a header.
fn exchange(incoming: &Incoming) -> Option<Exchange> {
    match header(incoming, "x-first-death-exchange") {
        Some(AMQPValue::LongString(name)) => Exchange::named(std::str::from_utf8(name.as_bytes()).ok()?),
        _ => Exchange::named(incoming.exchange.as_str()),
    }
}

/// What came as a trace, if it is one.
fn trace(incoming: &Incoming) -> Option<Trace> {
    match header(incoming, TRACE) {
        Some(AMQPValue::LongString(value)) => Trace::of_header(value.as_bytes()),
        _ => None,
    }
}

fn header<'a>(incoming: &'a Incoming, name: &str) -> Option<&'a AMQPValue> {
    incoming.properties.headers().as_ref()?.inner().get(name)
}
