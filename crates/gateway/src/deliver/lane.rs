//! A lane: the messages of one Fachverfahren, and how it fares.
//!
//! Every delivery of the configuration has one, so that a Fachverfahren that is slow, down or wrongly set up holds up
//! nobody but itself. A lane works on a few messages at once, keeps a few more waiting, and sends the rest back to the
//! journal until its turn may come. After a failure it rests, longer each time, then tries one message alone before it
//! opens again. Messages that were under way together and failed together are one failure. What is wrong is told when
//! it begins and when it changes, not with every attempt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use viereck_custody::{Deferral, doubled};

use super::adapter::{Adapter, AdapterError};
use super::outcome::Outcome;
use crate::config::Delivery;

/// Messages in a lane for each one that is worked on.
const SEATS: usize = 4;
/// The first rest after a failure, doubled with each further one.
const FIRST_REST: SignedDuration = SignedDuration::from_secs(1);
/// The first rest after a failure that an operator has to mend.
const FIRST_REST_FOR_OPERATOR: SignedDuration = SignedDuration::from_secs(30);
/// The longest rest of either kind.
const LONGEST_REST: SignedDuration = SignedDuration::from_secs(300);
/// The shortest and the longest time after which a message that found no seat asks again.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The messages of one Fachverfahren.
pub(crate) struct Lane {
    pub(crate) adapter: Adapter,
    /// Its place in the configuration, for the log.
    name: String,
    seats: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    concurrency: usize,
    health: Mutex<Health>,
}

/// How the last attempts went.
struct Health {
    /// None = open.
    trouble: Option<Trouble>,
    /// When a seat was last given out, or an attempt last ended.
    moved: Timestamp,
}

/// Why a lane is not open.
struct Trouble {
    cause: Cause,
    /// In a row.
    failures: u32,
    /// Nothing is tried before.
    rests_until: Timestamp,
}

/// What is wrong with a Fachverfahren.
#[derive(PartialEq, Eq)]
enum Cause {
    /// It does not answer, or asked for a later time.
    Unavailable,
    /// An operator has to act; what is wrong.
    Misconfigured(String),
}

/// Until when a message has to wait, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Later {
    pub(crate) until: Timestamp,
    pub(crate) why: Deferral,
}

/// A seat in a lane; given back when dropped.
pub(crate) struct Seat {
    _seat: OwnedSemaphorePermit,
}

/// A turn to be worked on; given back when dropped.
pub(crate) struct Turn {
    _turn: OwnedSemaphorePermit,
}

impl Lane {
    pub(crate) fn new(index: usize, delivery: &Delivery, client: &Client) -> Result<Self, AdapterError> {
        Ok(Self {
            adapter: Adapter::new(&delivery.adapter, client)?,
            name: format!("delivery[{index}] {}", delivery.behoerde),
            seats: Arc::new(Semaphore::new(delivery.concurrency * SEATS)),
            turns: Arc::new(Semaphore::new(delivery.concurrency)),
            concurrency: delivery.concurrency,
            health: Mutex::new(Health {
                trouble: None,
                moved: Timestamp::now(),
            }),
        })
    }

    /// A seat, or when asking again makes sense.
    pub(crate) fn seat(&self, now: Timestamp) -> Result<Seat, Later> {
        let mut health = self.health();
        if let Some(later) = health.rests(now) {
            return Err(later);
        }
        // after a rest one message goes alone; the others follow once it has been taken
        let alone = health.trouble.is_none() || self.seats.available_permits() == self.concurrency * SEATS;
        let taken = alone
            .then(|| Arc::clone(&self.seats).try_acquire_owned().ok())
            .flatten();
        match taken {
            Some(seat) => {
                health.moved = now;
                Ok(Seat { _seat: seat })
            }
            // the longer nothing moves, the longer the pause: a Fachverfahren that hangs costs no work
            None => {
                let still = now.duration_since(health.moved).unsigned_abs();
                let trouble = health.trouble.as_ref();
                Err(Later {
                    until: now + still.clamp(ASK_AGAIN.0, ASK_AGAIN.1),
                    why: trouble.map_or(Deferral::Queued, |trouble| trouble.cause.deferral()),
                })
            }
        }
    }

    /// Waits for a turn. The lane may have come to rest meanwhile, see [`Lane::rests`].
    pub(crate) async fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .ok()
            .map(|turn| Turn { _turn: turn })
    }

    /// When it may be tried again, if it rests now.
    pub(crate) fn rests(&self, now: Timestamp) -> Option<Later> {
        self.health().rests(now)
    }

    /// Notes how an attempt went. For one that failed: when the next one may be, and why it has to wait.
    pub(crate) fn note(&self, outcome: &Outcome, now: Timestamp) -> Option<Later> {
        let mut health = self.health();
        health.moved = now;
        let before = health.trouble.take();
        let (cause, asked) = match outcome {
            Outcome::Accepted | Outcome::Rejected(_) | Outcome::Waiting(_) => {
                if before.is_some() {
                    tracing::info!(lane = self.name, "the Fachverfahren answers again");
                }
                return None;
            }
            Outcome::Unavailable(asked) => (Cause::Unavailable, asked.unwrap_or_default()),
            Outcome::Misconfigured(what) => (Cause::Misconfigured(what.clone()), Duration::ZERO),
        };
        let told = before.as_ref().is_some_and(|before| before.cause == cause);
        let (failures, rests_until) = match before {
            // it was under way when another one failed: the same failure
            Some(before) if before.rests_until > now => (before.failures, before.rests_until),
            before => {
                let failures = before.map_or(0, |before| before.failures);
                (failures.saturating_add(1), now + cause.rest(failures))
            }
        };
        let trouble = Trouble {
            cause,
            failures,
            rests_until: rests_until.max(now + asked),
        };
        trouble.tell(&self.name, told);
        health.trouble = Some(trouble);
        health.trouble.as_ref().map(Trouble::later)
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        // plain values, whole after every statement
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn rests(&self, now: Timestamp) -> Option<Later> {
        let trouble = self.trouble.as_ref();
        trouble.filter(|trouble| trouble.rests_until > now).map(Trouble::later)
    }
}

impl Trouble {
    fn later(&self) -> Later {
        Later {
            until: self.rests_until,
            why: self.cause.deferral(),
        }
    }

    /// Warns or alarms, unless this was `told` before.
    fn tell(&self, lane: &str, told: bool) {
        let (failures, until) = (self.failures, self.rests_until);
        match &self.cause {
            _ if told => tracing::debug!(lane, failures, %until, "the Fachverfahren still fails"),
            Cause::Unavailable => tracing::warn!(lane, failures, %until, "the Fachverfahren does not answer"),
            Cause::Misconfigured(what) => {
                tracing::error!(lane, failures, %until, alarm = "adapter-misconfigured", "{what}: mend the adapter");
            }
        }
    }
}

impl Cause {
    fn deferral(&self) -> Deferral {
        match self {
            Self::Unavailable => Deferral::FachverfahrenUnavailable,
            Self::Misconfigured(_) => Deferral::AdapterMisconfigured,
        }
    }

    /// The rest after a failure that this many were before.
    fn rest(&self, failures: u32) -> SignedDuration {
        let first = match self {
            Self::Unavailable => FIRST_REST,
            Self::Misconfigured(_) => FIRST_REST_FOR_OPERATOR,
        };
        doubled(first, failures, LONGEST_REST)
    }
}

/// The pause before the next attempt of one message: longer each time, and no two messages in step.
pub(crate) fn backoff(attempts: u32, seed: u8) -> SignedDuration {
    let pause = doubled(FIRST_REST, attempts, LONGEST_REST);
    pause + pause / 4 * i32::from(seed) / 255
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::testing::hear;

    fn lane() -> Lane {
        let json = r#"{"behoerde":"wgb:010010000000","leistung":"default","adapter":"http","url":"http://127.0.0.1/","concurrency":2}"#;
        Lane::new(0, &serde_json::from_str(json).unwrap(), &Client::new()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn unavailable(second: i64) -> Later {
        let why = Deferral::FachverfahrenUnavailable;
        Later { until: at(second), why }
    }

    fn misconfigured(second: i64) -> Later {
        let why = Deferral::AdapterMisconfigured;
        Later { until: at(second), why }
    }

    fn wrong(what: &str) -> Outcome {
        Outcome::Misconfigured(what.to_owned())
    }

    #[test]
    fn a_lane_that_hangs_is_asked_less_and_less() {
        let lane = lane();
        let seats: Vec<_> = (0..2 * SEATS)
            .map(|_| lane.seat(at(0)).unwrap_or_else(|_| panic!("full")))
            .collect();
        let refused = |second| {
            let later = lane.seat(at(second)).err().unwrap();
            // nobody has failed: it only has to queue
            assert_eq!(later.why, Deferral::Queued);
            later.until.duration_since(at(second))
        };
        assert_eq!(refused(0).as_millis(), 100);
        assert_eq!(refused(3).as_secs(), 3);
        assert_eq!(refused(60).as_secs(), 10);
        drop(seats);
        assert!(lane.seat(at(60)).is_ok());
    }

    #[test]
    fn after_a_failure_it_rests_then_tries_one_alone() {
        let lane = lane();
        let failed = |second| lane.note(&Outcome::Unavailable(None), at(second));
        assert_eq!(failed(0), Some(unavailable(1)));
        assert_eq!(failed(1), Some(unavailable(3)));
        assert_eq!(lane.rests(at(2)), Some(unavailable(3)));
        assert_eq!(lane.seat(at(2)).err(), Some(unavailable(3)));
        assert_eq!(lane.rests(at(3)), None);
        let alone = lane.seat(at(3)).unwrap_or_else(|_| panic!("rests"));
        let behind = lane.seat(at(3)).err().unwrap();
        assert_eq!(behind.why, Deferral::FachverfahrenUnavailable);
        assert_eq!(lane.note(&Outcome::Accepted, at(4)), None);
        assert!(lane.seat(at(4)).is_ok());
        drop(alone);
        let asked = Outcome::Unavailable(Some(Duration::from_secs(90)));
        assert_eq!(lane.note(&asked, at(5)), Some(unavailable(95)));
        assert_eq!(lane.note(&wrong("answer 401"), at(95)), Some(misconfigured(155)));
    }

    #[test]
    fn what_fails_together_is_one_failure() {
        let lane = lane();
        for _ in 0..16 {
            assert_eq!(
                lane.note(&Outcome::Unavailable(None), at(0)).map(|later| later.until),
                Some(at(1))
            );
        }
        assert_eq!(
            lane.note(&Outcome::Unavailable(None), at(1)).map(|later| later.until),
            Some(at(3))
        );
        // a time that was asked for counts also then
        let asked = Outcome::Unavailable(Some(Duration::from_secs(60)));
        assert_eq!(lane.note(&asked, at(2)).map(|later| later.until), Some(at(62)));
        assert_eq!(
            lane.note(&Outcome::Unavailable(None), at(62)).map(|later| later.until),
            Some(at(66))
        );
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_when_it_changes() {
        let lane = lane();
        let levels = Arc::new(Mutex::new(vec![]));
        let _hearing = hear({
            let levels = Arc::clone(&levels);
            move |level, _| levels.lock().unwrap().push(level)
        });
        let told = |outcome: Outcome, second| {
            lane.note(&outcome, at(second));
            std::mem::take(&mut *levels.lock().unwrap())
        };
        assert_eq!(told(wrong("answer 401"), 0), [Level::ERROR]);
        assert_eq!(told(wrong("answer 401"), 0), [Level::DEBUG]);
        assert_eq!(told(wrong("answer 401"), 100), [Level::DEBUG]);
        assert_eq!(told(wrong("answer 404"), 300), [Level::ERROR]);
        assert_eq!(told(Outcome::Unavailable(None), 600), [Level::WARN]);
        assert_eq!(told(Outcome::Unavailable(None), 1000), [Level::DEBUG]);
        assert_eq!(told(Outcome::Accepted, 1001), [Level::INFO]);
        assert!(told(Outcome::Accepted, 1002).is_empty());
        assert_eq!(told(wrong("answer 401"), 1003), [Level::ERROR]);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        assert_eq!(backoff(0, 0), FIRST_REST);
        assert_eq!(backoff(3, 0), FIRST_REST * 8);
        assert_eq!(backoff(u32::MAX, 0), LONGEST_REST);
        assert!(backoff(3, 255) > backoff(3, 100));
        assert!(backoff(u32::MAX, 255) <= LONGEST_REST * 5 / 4);
    }
}
