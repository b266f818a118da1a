//! The task that feeds one consumer of the embedded link.
//!
//! Each turn tells the file what was settled since the last one and takes as much as the consumer has room for, in one
//! transaction. A turn that fails is repeated with the same settlements: they are not forgotten, only late.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use viereck_store::{SqlError, Store, WriteError};

use crate::address::Exchange;
use crate::delivery::{Delivery, Feed, Settlement};
use crate::pace::GoingBack;
use crate::topology::Queue;

use super::bells::Bells;
use super::tables::{self, Taken, Turn, Turned};

/// The pause after the file refused a turn.
const AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Feeder {
    store: Store,
    bells: Arc<Bells>,
    queue: String,
    prefetch: usize,
    feed: Feed,
    closing: CancellationToken,
    settle: mpsc::UnboundedSender<Settlement>,
    settled: mpsc::UnboundedReceiver<Settlement>,
    /// Taken from the file and not yet settled there.
    in_hand: usize,
    going_back: GoingBack,
    turn: Turn,
}

impl Feeder {
    pub(super) fn new(
        store: Store,
        bells: Arc<Bells>,
        queue: String,
        prefetch: u16,
        feed: Feed,
        closing: CancellationToken,
    ) -> Self {
        let (settle, settled) = mpsc::unbounded_channel();
        Self {
            store,
            bells,
            queue,
            prefetch: usize::from(prefetch),
            feed,
            closing,
            settle,
            settled,
            in_hand: 0,
            going_back: GoingBack::default(),
            turn: Turn::default(),
        }
    }

    /// Feeds until the link closes, or until the consumer has been cancelled and everything in hand is settled.
    pub(super) async fn run(mut self) {
        let mut bell = self.bells.listen(&self.queue);
        loop {
            bell.borrow_and_update();
            let closing = self.closing.is_cancelled();
            let stopping = closing || self.feed.stop.is_cancelled();
            self.gather(stopping);
            // What this turn settles makes room in the same turn.
            let stays = self.in_hand.saturating_sub(self.turn.done.len() + self.turn.back.len());
            self.turn.wanted = if stopping {
                0
            } else {
                self.prefetch.saturating_sub(stays)
            };
            let failed = self.turn().await.is_err();
            if stopping {
                self.feed.stopped.cancel();
                if closing || self.in_hand == 0 {
                    return;
                }
            }
            let has_room = self.in_hand < self.prefetch && !stopping;
            tokio::select! {
                changed = bell.changed(), if has_room && !failed => {
                    // The bells live as long as this task.
                    debug_assert!(changed.is_ok());
                }
                Some(settlement) = self.settled.recv() => self.note(settlement, stopping),
                () = self.going_back.due() => {}
                () = self.feed.stop.cancelled(), if !stopping => {}
                () = self.closing.cancelled() => {}
                () = tokio::time::sleep(AGAIN), if failed => {}
            }
        }
    }

    /// Collects what has been settled, so that one transaction tells it all.
    fn gather(&mut self, stopping: bool) {
        while let Ok(settlement) = self.settled.try_recv() {
            self.note(settlement, stopping);
        }
        while let Some(id) = self.going_back.pop_due() {
            self.turn.back.push(id);
        }
    }

    fn note(&mut self, settlement: Settlement, stopping: bool) {
        match settlement {
            Settlement::Done(id) => self.turn.done.push(id),
            // Dropped because nobody wanted it any more, not because it failed: no reason to wait.
            Settlement::DropBack { tag, .. } if stopping => self.turn.back.push(tag),
            Settlement::DropBack { tag, attempt } => self.going_back.add(tag, attempt),
        }
    }

    async fn turn(&mut self) -> Result<(), WriteError<SqlError>> {
        if self.turn.wanted == 0 && self.turn.done.is_empty() && self.turn.back.is_empty() {
            return Ok(());
        }
        let (turn, queue) = (self.turn.clone(), self.queue.clone());
        let Turned { taken, parked } = self
            .store
            .write(move |file| tables::turn(file, &queue, &turn))
            .await
            .inspect_err(
                |error| tracing::warn!(%error, queue = self.queue, "the embedded link's file refused a turn"),
            )?;
        self.in_hand = self.in_hand.saturating_sub(self.turn.done.len() + self.turn.back.len()) + taken.len();
        if !self.turn.back.is_empty() {
            self.bells.ring(&self.queue);
        }
        if parked {
            self.bells.ring(&Queue::Parked.to_string());
        }
        self.turn = Turn::default();
        for taken in taken {
            // There is room for a prefetch; a consumer that is gone drops it back by dropping it.
            let _ = self.feed.deliveries.try_send(self.delivery(taken));
        }
        Ok(())
    }

    fn delivery(&self, taken: Taken) -> Delivery {
        let Taken {
            id,
            exchange,
            key,
            attempt,
            trace,
            bytes,
        } = taken;
        Delivery::new(
            Bytes::from(bytes),
            key,
            attempt,
            Exchange::named(&exchange),
            id,
            self.settle.clone(),
        )
        .within(trace)
    }
}
