//! What a consumer is handed, and how it says what became of it.
//!
//! A delivery is ended exactly once, because ending it consumes it: done, or dropped back. Neither waits. Both travel to
//! the task that feeds the consumer; if that task's connection is gone by then nothing happens at all, since the link
//! will deliver the message again. That is the only promise: at least once, in no order.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use viereck_observe::Trace;

use crate::address::{Exchange, Origin};
use crate::metrics::{MEASURED, Purpose};

/// One message, held by the consumer until it says what became of it.
///
/// Dropping it without a word drops it back, so an early return or a panic loses nothing.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub bytes: Bytes,
    /// The routing key it was first published with.
    pub key: String,
    /// How often it has been delivered, this time included: 1 is the first. A hint only, since a link may forget.
    pub attempt: u32,
    /// To which trace it belongs, where whoever sent it said so: for those who look at traces, and for nothing else.
    pub trace: Option<Trace>,
    exchange: Option<Exchange>,
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Ending {
    tag: u64,
    to: mpsc::UnboundedSender<Settlement>,
}

/// What became of the delivery with this tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    Done(u64),
    DropBack { tag: u64, attempt: u32 },
}

impl Delivery {
    /// `to` is unbounded but never holds more than a prefetch: each delivery sends once.
    pub(crate) fn new(
        bytes: Bytes,
        key: String,
        attempt: u32,
        exchange: Option<Exchange>,
        tag: u64,
        to: mpsc::UnboundedSender<Settlement>,
    ) -> Self {
        Self {
            bytes,
            key,
            attempt,
            trace: None,
            exchange,
            ending: Some(Ending { tag, to }),
        }
    }

    /// With the trace that came with it.
    pub(crate) fn within(mut self, trace: Option<Trace>) -> Self {
        self.trace = trace;
        self
    }

    /// The message is taken care of; the link may forget it. Never waits: the link hears of it soon, together with
    /// others, and if it does not, it delivers the message again.
    pub fn done(mut self) {
        if let Some(Ending { tag, to }) = self.ending.take() {
            // An error means that the feeding task is gone; the message will come again.
            let _ = to.send(Settlement::Done(tag));
            MEASURED.delivered(Purpose::of_delivery(self.exchange, &self.key), "done");
        }
    }

    /// The message cannot be taken care of now. It comes again, here or elsewhere, after a pause that grows with its
    /// attempts.
    pub fn drop_back(self) {
        drop(self);
    }

    /// Who wrote it, as far as its key tells.
    pub fn origin(&self) -> Option<Origin> {
        Origin::parse(self.exchange?, &self.key)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(Ending { tag, to }) = self.ending.take() {
            let _ = to.send(Settlement::DropBack {
                tag,
                attempt: self.attempt,
            });
            MEASURED.delivered(Purpose::of_delivery(self.exchange, &self.key), "dropped-back");
        }
    }
}

/// A stream of deliveries from one queue; it outlives lost connections.
///
/// Dropping it stops the deliveries, like [`Consumer::cancel`], but does not wait for that.
#[derive(Debug)]
pub struct Consumer {
    deliveries: mpsc::Receiver<Delivery>,
    stop: CancellationToken,
    stopped: CancellationToken,
    _stop_when_dropped: DropGuard,
}

/// The feeding task's half of a [`Consumer`].
#[derive(Debug)]
pub(crate) struct Feed {
    /// Has room for a prefetch, so that a send never waits.
    pub(crate) deliveries: mpsc::Sender<Delivery>,
    /// Cancelled when no more deliveries are wanted.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the task once no more will come.
    pub(crate) stopped: CancellationToken,
}

impl Consumer {
    pub(crate) fn new(prefetch: u16) -> (Self, Feed) {
        let (sender, deliveries) = mpsc::channel(usize::from(prefetch.max(1)));
        let stop = CancellationToken::new();
        let stopped = CancellationToken::new();
        let feed = Feed {
            deliveries: sender,
            stop: stop.clone(),
            stopped: stopped.clone(),
        };
        let _stop_when_dropped = stop.clone().drop_guard();
        (
            Self {
                deliveries,
                stop,
                stopped,
                _stop_when_dropped,
            },
            feed,
        )
    }

    /// The next delivery; waits through lost connections. `None` once the link is closed.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// Ends the deliveries. What was fetched and not yet handed out is dropped back; what is in hand can still be ended
    /// until the link is closed.
    pub async fn cancel(mut self) {
        self.stop.cancel();
        self.deliveries.close();
        while self.deliveries.recv().await.is_some() {}
        self.stopped.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(to: &mpsc::UnboundedSender<Settlement>) -> Delivery {
        Delivery::new(
            Bytes::from_static(b"x"),
            "submit.gw-1".into(),
            3,
            Some(Exchange::Ingress),
            7,
            to.clone(),
        )
    }

    #[test]
    fn a_delivery_is_ended_once_and_dropping_it_drops_it_back() {
        let (to, mut ends) = mpsc::unbounded_channel();
        delivery(&to).done();
        assert_eq!(ends.try_recv().unwrap(), Settlement::Done(7));
        assert!(ends.try_recv().is_err(), "done was followed by a second word");
        delivery(&to).drop_back();
        assert_eq!(ends.try_recv().unwrap(), Settlement::DropBack { tag: 7, attempt: 3 });
        drop(delivery(&to));
        assert_eq!(ends.try_recv().unwrap(), Settlement::DropBack { tag: 7, attempt: 3 });
        assert!(ends.try_recv().is_err());
    }

    #[test]
    fn ending_a_delivery_whose_feed_is_gone_is_no_error() {
        let (to, ends) = mpsc::unbounded_channel();
        let delivery = delivery(&to);
        drop(ends);
        delivery.done();
    }

    #[test]
    fn a_dead_lettered_key_without_its_exchange_names_nobody() {
        let (to, _ends) = mpsc::unbounded_channel();
        let delivery = Delivery::new(Bytes::new(), "submit.gw-1".into(), 1, None, 1, to);
        assert_eq!(delivery.origin(), None);
    }
}
