//! A lane: the messages of one Fachverfahren, and how it fares.
//!
//! Every delivery of the configuration has one, so that a Fachverfahren that is slow, down or wrongly set up holds up
//! nobody but itself. A lane works on a few messages at once, keeps a few more waiting, and sends the rest back to the
//! journal until its turn may come. After a failure it rests, longer each time, then tries one message alone before it
//! opens again; a failure that only an operator can mend alarms once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use viereck_custody::Deferral;

use super::directory::Directory;
use super::endpoint::{Endpoint, EndpointError};
use super::outcome::Outcome;
use crate::config::{self, Delivery};

/// Messages in a lane for each one that is worked on.
const SEATS: usize = 4;
/// The first rest after a failure, doubled with each further one.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest of a Fachverfahren that does not answer.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// The first and the longest rest after a failure that an operator has to mend.
const OPERATOR: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));
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

/// An adapter that is ready.
pub(crate) enum Adapter {
    Http(Endpoint),
    Directory(Directory),
    Postfach(Endpoint),
}

/// How the last attempts went.
#[derive(Debug, Clone, Copy)]
struct Health {
    /// In a row; none = open.
    failures: u32,
    /// Nothing is tried before.
    rests_until: Option<Timestamp>,
    /// When a seat was last given out, or an attempt last ended.
    moved: Timestamp,
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
    pub(crate) fn new(index: usize, delivery: &Delivery, client: &Client) -> Result<Self, EndpointError> {
        let endpoint = |config: &config::Endpoint| Endpoint::new(client.clone(), config.clone());
        let adapter = match &delivery.adapter {
            config::Adapter::Http(config) => Adapter::Http(endpoint(config)?),
            config::Adapter::Postfach(config) => Adapter::Postfach(endpoint(config)?),
            config::Adapter::Directory { folder, acknowledge } => {
                // once at the start, for convenience; a failure shows with the first message
                let _ = std::fs::create_dir_all(folder);
                Adapter::Directory(Directory::new(folder.clone(), *acknowledge))
            }
        };
        Ok(Self {
            adapter,
            name: format!("delivery[{index}] {}", delivery.behoerde),
            seats: Arc::new(Semaphore::new(delivery.concurrency * SEATS)),
            turns: Arc::new(Semaphore::new(delivery.concurrency)),
            concurrency: delivery.concurrency,
            health: Mutex::new(Health {
                failures: 0,
                rests_until: None,
                moved: Timestamp::now(),
            }),
        })
    }

    /// A seat, or the moment at which asking again makes sense.
    pub(crate) fn seat(&self, now: Timestamp) -> Result<Seat, Timestamp> {
        let mut health = self.health();
        if let Some(until) = health.rests_until.filter(|until| *until > now) {
            return Err(until);
        }
        // after a rest one message goes alone; the others follow once it has been taken
        let alone = health.failures == 0 || self.seats.available_permits() == self.concurrency * SEATS;
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
                Err(now + still.clamp(ASK_AGAIN.0, ASK_AGAIN.1))
            }
        }
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .ok()
            .map(|turn| Turn { _turn: turn })
    }

    /// Notes how an attempt went. For one that failed: the moment of the next one, and why it has to wait.
    pub(crate) fn note(&self, outcome: &Outcome, now: Timestamp) -> Option<(Timestamp, Deferral)> {
        let mut health = self.health();
        health.moved = now;
        let (rest, why) = match outcome {
            Outcome::Accepted | Outcome::Rejected(_) | Outcome::Waiting(_) => {
                if health.failures > 0 {
                    tracing::info!(lane = self.name, "the Fachverfahren answers again");
                }
                health.failures = 0;
                health.rests_until = None;
                return None;
            }
            Outcome::Unavailable(asked) => {
                let rest = doubled(FIRST_REST, health.failures, LONGEST_REST).max(asked.unwrap_or_default());
                tracing::warn!(
                    lane = self.name,
                    failures = health.failures + 1,
                    ?rest,
                    "the Fachverfahren does not answer"
                );
                (rest, Deferral::FachverfahrenUnavailable)
            }
            Outcome::Misconfigured(what) => {
                let rest = doubled(OPERATOR.0, health.failures, OPERATOR.1);
                tracing::error!(
                    lane = self.name,
                    alarm = "adapter-misconfigured",
                    ?rest,
                    "{what}: mend the adapter"
                );
                (rest, Deferral::AdapterMisconfigured)
            }
        };
        health.failures = health.failures.saturating_add(1);
        let until = now + rest;
        health.rests_until = Some(until);
        Some((until, why))
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        // plain numbers, whole after every statement
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `first`, doubled `times` times, at most `longest`.
pub(crate) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(longest)
}

/// The pause before the next attempt of one message: longer each time, and no two messages in step.
pub(crate) fn backoff(attempts: u32, seed: u8) -> Duration {
    let pause = doubled(FIRST_REST, attempts, LONGEST_REST);
    pause + pause / 4 * u32::from(seed) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> Lane {
        let json = r#"{"behoerde":"wgb:010010000000","leistung":"default","adapter":"http","url":"http://127.0.0.1/","concurrency":2}"#;
        Lane::new(0, &serde_json::from_str(json).unwrap(), &Client::new()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_lane_that_hangs_is_asked_less_and_less() {
        let lane = lane();
        let seats: Vec<_> = (0..2 * SEATS)
            .map(|_| lane.seat(at(0)).unwrap_or_else(|_| panic!("full")))
            .collect();
        let refused = |second| lane.seat(at(second)).err().unwrap().duration_since(at(second));
        assert_eq!(refused(0).as_millis(), 100);
        assert_eq!(refused(3).as_secs(), 3);
        assert_eq!(refused(60).as_secs(), 10);
        drop(seats);
        assert!(lane.seat(at(60)).is_ok());
    }

    #[test]
    fn after_a_failure_it_rests_then_tries_one_alone() {
        let lane = lane();
        let failed = |second| lane.note(&Outcome::Unavailable(None), at(second)).unwrap();
        assert_eq!(failed(0), (at(1), Deferral::FachverfahrenUnavailable));
        assert_eq!(failed(1), (at(3), Deferral::FachverfahrenUnavailable));
        assert_eq!(lane.seat(at(2)).err(), Some(at(3)));
        let alone = lane.seat(at(3)).unwrap_or_else(|_| panic!("rests"));
        assert!(lane.seat(at(3)).is_err());
        assert_eq!(lane.note(&Outcome::Accepted, at(4)), None);
        assert!(lane.seat(at(4)).is_ok());
        drop(alone);
        let asked = lane
            .note(&Outcome::Unavailable(Some(Duration::from_secs(90))), at(5))
            .unwrap();
        assert_eq!(asked.0, at(95));
        let wrong = lane
            .note(&Outcome::Misconfigured("answer 401".to_owned()), at(95))
            .unwrap();
        assert_eq!(wrong, (at(155), Deferral::AdapterMisconfigured));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        assert_eq!(backoff(0, 0), Duration::from_secs(1));
        assert_eq!(backoff(3, 0), Duration::from_secs(8));
        assert_eq!(backoff(u32::MAX, 0), LONGEST_REST);
        assert!(backoff(3, 255) > backoff(3, 100));
        assert!(backoff(u32::MAX, 255) <= LONGEST_REST * 5 / 4);
    }
}
