//! Corner 3's last step (and corner 2's for an answer): what was taken is handed over.
//!
//! [`run`] asks the journal which pairs of Behörde and Leistung have anything due, and gives their messages to the
//! [`delivery`] of each in the order of its [`schedule`], as many as its [`health`] allows; [`hand_over`] is the way of
//! one message; the adapters are [`http`], [`directory`] and [`postfach`]; [`markers`] looks for the answers of folders;
//! [`backlog`] says how much waits and until when.
//!
//! Guarantees: no more messages are in hand than configured, and they are in nobody else's; a Fachverfahren that is slow
//! or down, or that an operator has paused, holds up no other one and costs nothing for each message that waits for it:
//! its rows are not even looked at. The last quarter of the places in hand is kept for those who have none, so that many
//! who hang at once do not keep the others out. Retry, waiting and backoff are rows of the journal: a restart forgets
//! none of them. A journal that cannot write for a while, e.g. on a full disk, ends nothing.

pub(crate) mod adapter;
pub(crate) mod backlog;
mod case;
pub(crate) mod delivery;
pub(crate) mod directory;
pub(crate) mod endpoint;
mod hand_over;
pub(crate) mod health;
pub(crate) mod http;
pub(crate) mod markers;
pub(crate) mod message;
pub(crate) mod outcome;
pub(crate) mod postfach;
mod rate;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use viereck_custody::hand_over::Queue;
use viereck_custody::{JOURNAL_PAUSE, JournalError};

use crate::gateway::Gateway;
pub(crate) use delivery::Deliveries;
use health::Room;
use schedule::Schedule;

/// How long is slept at the most: then what other instances left behind is seen, and a clock that jumps does no harm.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Looking for what is due may take one part in so many of the time.
const SHARE_OF_LOOKS: u32 = 5;
/// Messages that are given out of the journal at once.
const BATCH: usize = 32;

type Ended = Result<(), JournalError>;

/// Hands over until `shutdown`; what is under way then has the configured time to end. What does not end in time is on
/// disk as begun, and the next process tries it again under the same key.
pub(crate) async fn run(gateway: Arc<Gateway>, deliveries: Arc<Deliveries>, shutdown: CancellationToken) -> Ended {
    let mut desk = Desk::new(gateway, deliveries);
    let ended = desk.work(&shutdown).await;
    desk.give_back_all();
    ended?;
    let time = Duration::from_secs(desk.gateway.config.timeouts.stop_seconds);
    let ending = async {
        while let Some(ended) = desk.in_hand.join_next().await {
            settled(ended).or_else(passes)?;
        }
        Ok(())
    };
    tokio::time::timeout(time, ending).await.unwrap_or_else(|_| {
        tracing::warn!("hand-overs were still under way at the end; they are tried again at the next start");
        Ok(())
    })
}

/// Where messages are given out.
struct Desk {
    gateway: Arc<Gateway>,
    deliveries: Arc<Deliveries>,
    /// One for each delivery, at the same place.
    schedules: Vec<Schedule>,
    in_hand: JoinSet<Ended>,
    /// When the first message that is not due yet will be.
    next_due: Option<Timestamp>,
    /// Not before this does the journal have to be looked at again.
    next_look: Instant,
    /// At whose turn to go on.
    first: usize,
}

impl Desk {
    fn new(gateway: Arc<Gateway>, deliveries: Arc<Deliveries>) -> Self {
        let schedules = deliveries.all().iter().map(|_| Schedule::default()).collect();
        Self {
            gateway,
            deliveries,
            schedules,
            in_hand: JoinSet::new(),
            next_due: None,
            next_look: Instant::now(),
            first: 0,
        }
    }

    async fn work(&mut self, shutdown: &CancellationToken) -> Ended {
        let wanted = self.gateway.journal.hand_over_wanted();
        let mut look = true;
        while !shutdown.is_cancelled() {
            let pause = match self.round(&mut look).await {
                Ok(pause) => pause,
                Err(error) => {
                    passes(error)?;
                    look = true;
                    JOURNAL_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = wanted.notified() => look = true,
                () = tokio::time::sleep(pause) => look = true,
                Some(ended) = self.in_hand.join_next() => settled(ended).or_else(passes)?,
            }
        }
        Ok(())
    }

    /// Looks at the journal if `look` says so and enough time has passed, gives out what has room, and says how long
    /// nothing more is to be done unless something happens.
    async fn round(&mut self, look: &mut bool) -> Result<Duration, JournalError> {
        let began = Instant::now();
        if *look && began >= self.next_look {
            let queue = self.gateway.journal.queue().await?;
            self.take_note(&queue, Timestamp::now());
            let took = began.elapsed();
            self.next_look = Instant::now() + (took * SHARE_OF_LOOKS).min(LONGEST_SLEEP);
            *look = false;
        }
        let next_room = self.give_out().await?;
        let now = Timestamp::now();
        let until = [self.next_due, next_room].into_iter().flatten().min();
        let until = until.map_or(LONGEST_SLEEP, |until| {
            until.duration_since(now).try_into().unwrap_or(Duration::ZERO)
        });
        let until_look = match *look {
            true => self.next_look.saturating_duration_since(Instant::now()),
            false => LONGEST_SLEEP,
        };
        Ok(until.min(until_look).min(LONGEST_SLEEP))
    }

    /// Sorts what waits by delivery. What is paused is given back.
    fn take_note(&mut self, queue: &Queue, now: Timestamp) {
        let me = &self.gateway.config.id;
        let journal = &self.gateway.journal;
        for schedule in &mut self.schedules {
            schedule.forget();
            schedule.give_back(journal, |pair| queue.pauses.of(&pair.reader, me).is_some());
        }
        self.next_due = None;
        for waiting in &queue.waiting {
            if queue.pauses.of(&waiting.pair.reader, me).is_some() {
                continue;
            }
            let place = self.deliveries.place_of_waiting(&waiting.pair);
            let Some(schedule) = place.and_then(|place| self.schedules.get_mut(place)) else {
                continue;
            };
            match waiting.due_at <= now {
                true => schedule.wants(waiting.class, waiting.pair.clone()),
                false => self.next_due = [self.next_due, Some(waiting.due_at)].into_iter().flatten().min(),
            }
        }
    }

    /// Gives out one message after the other, from delivery to delivery, as long as there is room. Says when there may be
    /// more room without anything happening.
    async fn give_out(&mut self) -> Result<Option<Timestamp>, JournalError> {
        let deliveries = Arc::clone(&self.deliveries);
        let places = deliveries.all().len();
        let mut next_room = None;
        let mut idle = 0;
        // until a whole round has found nothing to begin
        while idle < places {
            let place = self.first;
            self.first = (place + 1) % places;
            let (Some(delivery), Some(schedule)) = (deliveries.all().get(place), self.schedules.get_mut(place)) else {
                break;
            };
            idle += 1;
            if schedule.is_empty() {
                continue;
            }
            let now = Timestamp::now();
            if delivery.rests(now) {
                schedule.give_back(&self.gateway.journal, |_| true);
            }
            let most = self.gateway.config.limits.hand_overs;
            let scarce = self.in_hand.len() >= most - most / 4;
            if self.in_hand.len() >= most || scarce && !delivery.is_idle() {
                continue;
            }
            let room = match delivery.room(now) {
                Room::For(room) => room,
                Room::At(at) => {
                    next_room = [next_room, Some(at)].into_iter().flatten().min();
                    continue;
                }
                Room::Full => continue,
            };
            let batch = room.max(delivery.concurrency).min(BATCH);
            if let Some(message) = schedule.next(&self.gateway.journal, now, batch).await? {
                let attempt = delivery.begin(Timestamp::now());
                let handing_over = hand_over::hand_over(Arc::clone(&self.gateway), attempt, message);
                self.in_hand.spawn(handing_over.in_current_span());
                idle = 0;
            }
        }
        Ok(next_room)
    }

    fn give_back_all(&mut self) {
        for schedule in &mut self.schedules {
            schedule.give_back(&self.gateway.journal, |_| true);
        }
    }
}

fn settled(ended: Result<Ended, JoinError>) -> Ended {
    match ended {
        Ok(result) => result,
        // a message that breaks us is an error of ours; it stays in hand until the restart and blocks nothing
        Err(error) => {
            tracing::error!(%error, alarm = "internal", "a hand-over broke off");
            Ok(())
        }
    }
}

/// Lets an error pass that may pass by itself: nothing is lost, the journal still holds the message.
fn passes(error: JournalError) -> Ended {
    if !error.may_pass() {
        return Err(error);
    }
    tracing::warn!(%error, "the journal cannot go on with a hand-over, again soon");
    Ok(())
}

#[cfg(test)]
mod tests {
    use viereck_transport::LinkError;

    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_ends_nothing() {
        assert!(passes(LinkError::Full.into()).is_ok());
        assert!(matches!(passes(JournalError::Unknown), Err(JournalError::Unknown)));
        assert!(settled(Ok(Err(JournalError::Unknown))).is_err());
    }
}
