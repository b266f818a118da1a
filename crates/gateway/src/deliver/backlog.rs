//! How much waits for each authority, how fast it goes, and when what waits now will have been handed over.
//!
//! The estimate is what waits, divided by the rate measured in the last minute of work, from now on or from the end of a
//! rest: it follows the drain as it speeds up or slows down. Nobody pays for it who does not ask. Does not: guess; where
//! nothing has been measured, or an operator has paused the way, there is no estimate.

use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use viereck_custody::pause::Pause;
use viereck_custody::{Journal, JournalError};
use viereck_routing::{BehoerdeId, GatewayId, LeistungId};

use super::delivery::Deliveries;
use super::health::Breaker;

/// What waits for one authority and Leistung.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// For whom.
    pub behoerde: BehoerdeId,
    /// Of which Leistung.
    pub leistung: LeistungId,
    /// Messages not handed over yet.
    pub waiting: u64,
    /// Messages in its folder that the Fachverfahren has not answered.
    pub unanswered: u64,
    /// Messages handed over a minute, measured while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<f64>,
    /// When what waits now will have been handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// How its Fachverfahren fares; `None` when no delivery is configured for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// The pause that holds it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

/// Where a gateway says what waits in it; all clones are one. Empty until the gateway it was given to runs.
#[derive(Clone, Default)]
pub struct Backlogs(Arc<OnceLock<Source>>);

struct Source {
    journal: Journal,
    deliveries: Arc<Deliveries>,
    me: GatewayId,
}

impl Backlogs {
    pub(crate) fn begin(&self, journal: Journal, deliveries: Arc<Deliveries>, me: GatewayId) {
        // a second gateway with the same handle changes nothing: the first one's are shown
        let _ = self.0.set(Source {
            journal,
            deliveries,
            me,
        });
    }

    /// What waits at this moment, by Behörde and Leistung. It counts the rows that wait: a look of half a tenth of a second
    /// for a hundred thousand, which holds up no other look.
    ///
    /// # Errors
    /// Of the journal.
    pub async fn list(&self) -> Result<Vec<Backlog>, JournalError> {
        let Some(source) = self.0.get() else {
            return Ok(vec![]);
        };
        let counts = source.journal.count_hand_overs().await?;
        let pauses = source.journal.paused().await?;
        let now = Timestamp::now();
        Ok(counts
            .into_iter()
            .map(|count| {
                let delivery = source.deliveries.find(&count.pair);
                let breaker = delivery.map(|delivery| delivery.breaker());
                let per_minute = delivery.and_then(|delivery| delivery.per_minute(&count.pair, now));
                let paused = pauses.of(&count.pair.reader, &source.me).cloned();
                let ready_at = per_minute.filter(|_| paused.is_none());
                let ready_at = ready_at.and_then(|rate| ready_at_rate(now, breaker?, count.waiting, rate));
                Backlog {
                    behoerde: count.pair.reader,
                    leistung: count.pair.leistung,
                    waiting: count.waiting,
                    unanswered: count.unanswered,
                    per_minute,
                    ready_at,
                    breaker,
                    paused,
                }
            })
            .collect())
    }
}

impl Backlogs {
    /// The gateway, and how each of its deliveries fares; `None` until it runs.
    pub(crate) fn breakers(&self) -> Option<(&GatewayId, Vec<(&str, Breaker)>)> {
        let source = self.0.get()?;
        let all = source.deliveries.all().iter();
        Some((
            &source.me,
            all.map(|delivery| (delivery.name(), delivery.breaker())).collect(),
        ))
    }
}

fn ready_at_rate(now: Timestamp, breaker: Breaker, waiting: u64, per_minute: f64) -> Option<Timestamp> {
    let begins = match breaker {
        Breaker::Open { until } => until.max(now),
        Breaker::Closed | Breaker::HalfOpen => now,
    };
    let seconds = waiting as f64 * 60.0 / per_minute;
    begins
        .checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_begins_with_the_end_of_the_rest() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |second: i64| Some(now + SignedDuration::from_secs(second));
        assert_eq!(ready_at_rate(now, Breaker::Closed, 600, 60.0), at(600));
        let until = now + SignedDuration::from_secs(100);
        assert_eq!(ready_at_rate(now, Breaker::Open { until }, 600, 60.0), at(700));
        assert_eq!(ready_at_rate(now, Breaker::Closed, 600, 0.0), None);
    }
}
