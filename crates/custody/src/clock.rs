//! What a clock that jumps may do: nothing is ended or deleted by it, and nothing is held up by it for long.
//!
//! A host that wakes up weeks ahead would end everything that waits, and delete what repeats are known by. While the
//! clock has run further than the time that has passed, nothing is ended, deleted or given up, with an alarm, until both
//! agree or an operator has looked and starts the process anew.
//!
//! Times of the next try are read off the same clock. One that was days ahead leaves times behind that are still to come
//! when it is set right; no pause between two tries is that long, so such a row is due at once, and in memory such a time
//! has passed ([`still_to_come`]). What rests has no such time, and stays as it is. Does not: shorten what lies within the
//! longest pause. A clock that was some hours ahead costs up to that in a journal.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use viereck_routing::Class;
use viereck_store::params;

use crate::rows::Work;
use crate::webhooks::LONGEST_PAUSE;
use crate::{Journal, JournalError, lanes};

/// By how much the clock may run ahead of the time that has passed; setting it right is less.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// Rows changed in one commit.
const STEP: usize = 32;

/// Whether `at` is still to come, where nothing is ever put off for more than `longest`: what lies further ahead was
/// reckoned by a clock that has been set right since.
pub fn still_to_come(at: Timestamp, now: Timestamp, longest: SignedDuration) -> bool {
    at > now && at.duration_since(now) <= longest
}

/// The clock of this process, beside the time that has passed since its start.
pub(crate) struct Clock(Mutex<Clockwork>);

impl Clock {
    pub(crate) fn begin() -> Self {
        Self(Mutex::new(Clockwork::begin(Timestamp::now(), Instant::now())))
    }

    /// Whether something may be ended or deleted by this clock now; tells when that changes.
    pub(crate) fn is_right(&self) -> bool {
        // plain values, whole after every statement
        let mut clockwork = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clockwork.is_right(Timestamp::now(), Instant::now())
    }

    /// As if it had jumped by so much since the start.
    #[cfg(test)]
    pub(crate) fn jump(&self, by: SignedDuration) {
        let mut clockwork = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clockwork.wall -= by;
    }
}

/// The same with time as an argument.
struct Clockwork {
    wall: Timestamp,
    steady: Instant,
    jumped: bool,
}

impl Clockwork {
    fn begin(wall: Timestamp, steady: Instant) -> Self {
        Self {
            wall,
            steady,
            jumped: false,
        }
    }

    fn is_right(&mut self, wall: Timestamp, steady: Instant) -> bool {
        let passed = SignedDuration::try_from(steady.duration_since(self.steady)).unwrap_or(SignedDuration::MAX);
        let ahead = wall.duration_since(self.wall).saturating_sub(passed);
        let jumped = ahead > AHEAD;
        match (self.jumped, jumped) {
            (false, true) => tracing::error!(%ahead, alarm = "clock-jumped",
                "the clock has run further than the time that has passed: nothing is ended or deleted by it"),
            (true, false) => tracing::info!("the clock agrees with the time that has passed: it counts again"),
            _ => {}
        }
        self.jumped = jumped;
        !jumped
    }
}

impl Journal {
    /// Makes due what is put off further than any pause between two tries reaches. How many that were.
    pub(crate) async fn bring_forward(&self, now: Timestamp) -> Result<u64, JournalError> {
        // the longest that anybody makes; it may be spread, and is noted some moments after it was reckoned
        let longest = self.longest_silence().max(LONGEST_PAUSE) * 2;
        let mut brought = 0;
        for work in Work::ALL {
            for class in Class::ALL {
                brought += self.bring_lane_forward(work, *class, now, now + longest).await?;
            }
        }
        brought += self.bring_others_forward(now, now + longest).await?;
        if brought > 0 {
            tracing::warn!(brought, "put off by a clock that was ahead: due now");
            self.shared.wake_all();
        }
        Ok(brought)
    }

    async fn bring_lane_forward(
        &self,
        work: Work,
        class: Class,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<u64, JournalError> {
        let (lane, now, until) = (lanes::number(class), now.as_millisecond(), until.as_millisecond());
        let mut brought = 0;
        loop {
            // a look first: a sweep that finds nothing writes nothing
            let found = self.store.read(move |look| {
                Ok::<_, JournalError>(look.exists(PUT_OFF, params![work.as_str(), lane, until, 1_i64])?)
            });
            if !found.await? {
                return Ok(brought);
            }
            let step = self.store.write(move |change| {
                let sql = format!(
                    "UPDATE message SET due_at = ?, overdue_at = CASE WHEN overdue_at > ? THEN ? ELSE overdue_at END
                     WHERE seq IN ({PUT_OFF})"
                );
                Ok::<_, JournalError>(
                    change.run(&sql, params![now, until, now, work.as_str(), lane, until, STEP as i64])?,
                )
            });
            brought += step.await?;
        }
    }

    /// The same for calls of webhooks and for orders of operators.
    async fn bring_others_forward(&self, now: Timestamp, until: Timestamp) -> Result<u64, JournalError> {
        let (now, until) = (now.as_millisecond(), until.as_millisecond());
        let put_off = self.store.read(move |look| {
            let calls = look.exists(
                "SELECT 1 FROM webhook_delivery WHERE webhook IN (SELECT id FROM webhook) AND due_at > ?",
                params![until],
            )?;
            let jobs = look.exists(
                "SELECT 1 FROM job WHERE ended_at IS NULL AND next_at > ?",
                params![until],
            )?;
            Ok::<_, JournalError>(calls || jobs)
        });
        if !put_off.await? {
            return Ok(0);
        }
        let brought = self.store.write(move |change| {
            let calls = change.run(
                "UPDATE webhook_delivery SET due_at = ? WHERE webhook IN (SELECT id FROM webhook) AND due_at > ?",
                params![now, until],
            )?;
            let jobs = change.run(
                "UPDATE job SET next_at = ? WHERE ended_at IS NULL AND next_at > ?",
                params![now, until],
            )?;
            Ok::<_, JournalError>(calls + jobs)
        });
        Ok(brought.await?)
    }
}

/// A seek in the index, and nothing in it but what is put off.
const PUT_OFF: &str = "SELECT seq FROM message WHERE work = ? AND class = ? AND due_at > ? LIMIT ?";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{journal, searches};

    fn at(day: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + day * 24 * 3600 * 1000).unwrap()
    }

    #[test]
    fn nothing_is_read_off_a_clock_that_has_jumped() {
        let steady = Instant::now();
        let later = |minutes: u64| steady + Duration::from_secs(60 * minutes);
        let mut clock = Clockwork::begin(at(0), steady);
        assert!(clock.is_right(at(0) + SignedDuration::from_mins(60), later(60)));
        // set right by some minutes, and back
        assert!(clock.is_right(at(0) + SignedDuration::from_mins(70), later(61)));
        assert!(clock.is_right(at(0) - SignedDuration::from_mins(70), later(62)));
        // weeks ahead, for however long
        assert!(!clock.is_right(at(14), later(63)));
        assert!(!clock.is_right(at(15), later(63 + 24 * 60)));
        assert!(clock.is_right(at(1) + SignedDuration::from_mins(64), later(64 + 24 * 60)));
    }

    #[test]
    fn a_time_further_ahead_than_any_pause_has_passed() {
        let longest = SignedDuration::from_mins(5);
        let comes = |minutes| still_to_come(at(0) + SignedDuration::from_mins(minutes), at(0), longest);
        assert_eq!(
            [-1, 0, 1, 5, 6, 9999].map(comes),
            [false, false, true, true, false, false]
        );
    }

    #[tokio::test]
    async fn what_a_clock_that_was_ahead_put_off_is_due_when_it_is_set_right() {
        let (_dir, journal) = journal("gw-s").await;
        let hours = [-1, 5, 24 * 30];
        let fill = journal.store.write(move |change| {
            for (number, hours) in (0..3 * STEP).flat_map(|_| hours).enumerate() {
                let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}");
                let due = (at(0) + SignedDuration::from_hours(hours)).as_millisecond();
                change.run(
                    "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                        leistung, gateway, filed_at, obsolete_after, entered_at, work, due_at, overdue_at)
                     VALUES ('sent', 'wgp:010000000000', ?, ?, ?, ?, 'application', 'wgb:010010000000',
                        '99107023037000', 'gw-s', 0, 0, 0, 'publish', ?, ?)",
                    params![id, &[0_u8; 32], &[0_u8; 32], id, due, due],
                )?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        let all = 3 * STEP as u64;
        assert_eq!(journal.bring_forward(at(0)).await.unwrap(), all);
        assert_eq!(journal.bring_forward(at(0)).await.unwrap(), 0);
        let now_due = journal.store.read(|look| {
            let due = (at(0).as_millisecond(), at(0).as_millisecond());
            look.first(
                "SELECT count(*) AS n FROM message WHERE due_at = ? AND overdue_at = ?",
                params![due.0, due.1],
                |row| row.get::<i64>("n"),
            )
        });
        assert_eq!(
            now_due.await.unwrap(),
            Some(all.cast_signed()),
            "the others are as they were"
        );
        let steps = searches(&journal, PUT_OFF).await;
        assert!(steps[0].ends_with("(work=? AND class=? AND due_at>?)"), "{steps:?}");
    }

    #[tokio::test]
    async fn calls_of_webhooks_and_jobs_that_were_put_off_are_due_as_well() {
        let (_dir, journal) = journal("gw-s").await;
        let hours = |hours: i64| (at(0) + SignedDuration::from_hours(hours)).as_millisecond();
        let fill = journal.store.write(move |change| {
            change.run(
                "INSERT INTO webhook (id, client, url, made_at) VALUES ('w', 'c', 'u', 0)",
                &[],
            )?;
            for (name, due) in [("soon", hours(5)), ("far", hours(24 * 30))] {
                change.run(
                    "INSERT INTO webhook_delivery (webhook, event, kind, time, due_at) VALUES ('w', ?, 'test', 0, ?)",
                    params![name, due],
                )?;
                change.run(
                    "INSERT INTO job (id, verb, actor, reason, made_at, per_minute, next_at)
                     VALUES (?, 'requeue', 'anna', 'why', 0, 60, ?)",
                    params![name, due],
                )?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        assert_eq!(journal.bring_forward(at(0)).await.unwrap(), 2);
        let due = journal.store.read(|look| {
            look.all(
                "SELECT due_at FROM webhook_delivery UNION ALL SELECT next_at FROM job",
                &[],
                |row| row.at::<i64>(0),
            )
        });
        let mut due: Vec<i64> = due.await.unwrap();
        due.sort_unstable();
        assert_eq!(due, [hours(0), hours(0), hours(5), hours(5)]);
        assert_eq!(journal.bring_forward(at(0)).await.unwrap(), 0);
    }
}
