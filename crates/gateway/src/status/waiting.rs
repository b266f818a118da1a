//! Requests that wait for news of one message.
//!
//! Guarantees: at most so many wait at once; news wake those whom they are about and nobody else, however many wait; what
//! another instance of the gateway commits is heard too, because the journal tells it here. Nothing is missed between
//! asking for a place and looking: what happens in between is kept for the one who waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use viereck_custody::{Journal, JournalError};
use viereck_routing::MessageId;

/// Everybody who waits.
pub(crate) struct Waiting {
    places: Arc<Semaphore>,
    bells: Mutex<HashMap<MessageId, watch::Sender<()>>>,
}

/// A place of one request; given back when dropped.
pub(crate) struct Place<'a> {
    waiting: &'a Waiting,
    message: MessageId,
    news: Option<watch::Receiver<()>>,
    _permit: OwnedSemaphorePermit,
}

impl Waiting {
    /// Room for `places` requests.
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            bells: Mutex::default(),
        }
    }

    /// A place for one who waits for news of `message`; `None` when all are taken.
    pub(crate) fn place(&self, message: MessageId) -> Option<Place<'_>> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let news = self
            .bells()
            .entry(message)
            .or_insert_with(|| watch::Sender::new(()))
            .subscribe();
        Some(Place {
            waiting: self,
            message,
            news: Some(news),
            _permit: permit,
        })
    }

    /// About how many messages somebody waits for news.
    #[cfg(test)]
    pub(crate) fn awaited(&self) -> usize {
        self.bells().len()
    }

    /// Passes on what the journal tells, until `shutdown`.
    pub(crate) async fn run(&self, journal: Journal, shutdown: CancellationToken) -> Result<(), JournalError> {
        let mut news = journal.subscribe();
        loop {
            let occurrence = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                occurrence = news.recv() => occurrence,
            };
            match occurrence {
                Ok(occurrence) => {
                    if let Some(bell) = self.bells().get(&occurrence.message_id) {
                        bell.send_replace(());
                    }
                }
                // something was missed, and nobody knows about whom
                Err(RecvError::Lagged(_)) => self.bells().values().for_each(|bell| {
                    bell.send_replace(());
                }),
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<MessageId, watch::Sender<()>>> {
        // whole after every statement
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Waits for news since the place was taken, or since the last time. `false` = none came until then, or the gateway
    /// is being stopped.
    pub(crate) async fn news(&mut self, until: Instant, draining: &CancellationToken) -> bool {
        let Some(news) = &mut self.news else { return false };
        tokio::select! {
            () = tokio::time::sleep_until(until) => false,
            () = draining.cancelled() => false,
            changed = news.changed() => changed.is_ok(),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.news = None;
        let mut bells = self.waiting.bells();
        if bells.get(&self.message).is_some_and(|bell| bell.receiver_count() == 0) {
            bells.remove(&self.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let waiting = Waiting::new(2);
        let message = MessageId::random();
        let (first, second) = (waiting.place(message).unwrap(), waiting.place(message).unwrap());
        assert!(waiting.place(message).is_none());
        drop(first);
        assert_eq!(waiting.bells().len(), 1);
        drop(second);
        assert_eq!(waiting.bells().len(), 0);
        assert!(waiting.place(message).is_some());
    }

    #[tokio::test]
    async fn news_that_came_before_anybody_waited_for_them_are_not_missed() {
        let (waiting, draining) = (Waiting::new(2), CancellationToken::new());
        let (message, other) = (MessageId::random(), MessageId::random());
        let mut place = waiting.place(message).unwrap();
        let mut elsewhere = waiting.place(other).unwrap();
        waiting.bells().get(&message).unwrap().send_replace(());
        let soon = || Instant::now() + Duration::from_millis(50);
        assert!(place.news(soon(), &draining).await);
        assert!(!elsewhere.news(soon(), &draining).await, "about another message");
        assert!(!place.news(soon(), &draining).await, "heard once");
        draining.cancel();
        assert!(!place.news(Instant::now() + Duration::from_secs(3600), &draining).await);
    }
}
