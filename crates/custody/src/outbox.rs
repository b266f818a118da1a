//! Corner 2's half of custody after the promise: publish, and ask until there is an end.
//!
//! [`run`] publishes what is promised and keeps the octets until an end is known. Silence means the same octets again:
//! at growing intervals until the reader's gateway has spoken, then at the longest one until it has said how it ended,
//! so that a receipt that was lost is always asked for again. Messages go out in the order of their [`lanes`]; what an
//! operator has paused lies apart until it is resumed.
//!
//! Octets that are no longer those that were promised are parked, never sent. So is what the link refuses for good. A
//! link that is down or full is nobody's fault but the moment's: it is tried with one message at a time.
//!
//! Does not: look into an envelope, or end a message that was published; only its present custodian does that.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use viereck_envelope::Reason;
use viereck_observe::{Span, SpanName};
use viereck_routing::{Class, Digest};
use viereck_store::params;
use viereck_transport::{Address, Link, LinkError};

use crate::claims::Candidate;
use crate::journal::Occurrence;
use crate::lanes::{self, Turn};
use crate::machine::{self, Act};
use crate::pause::Lane;
use crate::rows::{self, MessageRow, Side, Work};
use crate::step::Step;
use crate::{JOURNAL_PAUSE, Journal, JournalError, aside};

/// How long is slept at the most; a clock that jumps does no harm.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How long is slept at the least when nothing was given out: somebody else may have it in hand.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// What is in flight at the end may take this long to be confirmed. It is on disk, so nothing is lost by not waiting.
pub(crate) const FAREWELL: Duration = Duration::from_secs(3);

/// How the outbox publishes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Messages in flight at once.
    pub window: usize,
    /// Octets in flight at once; a message that is larger by itself goes alone.
    pub octets: usize,
    /// Silence of the reader's gateway after which the same octets go out again; doubles with each time.
    pub silence: SignedDuration,
    /// The longest such silence, and how long a gateway that has spoken is left alone before it is asked for the end.
    pub longest_silence: SignedDuration,
    /// Pause after a publish that the link refused; doubles with each time up to a minute.
    pub retry: SignedDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: 128,
            octets: 64 << 20,
            silence: SignedDuration::from_mins(10),
            longest_silence: SignedDuration::from_hours(6),
            retry: SignedDuration::from_millis(500),
        }
    }
}

/// `first`, doubled `times` times, at most `longest`.
pub fn doubled(first: SignedDuration, times: u32, longest: SignedDuration) -> SignedDuration {
    first
        .checked_mul(1 << times.min(20))
        .map_or(longest, |pause| pause.min(longest))
}

/// A message that is to go out.
struct Due {
    row: MessageRow,
    /// The octets, which the journal may have lost.
    bytes: Option<Bytes>,
}

impl Journal {
    /// What is due and in nobody's hands, in the order of the lanes and each lane's oldest first: at most `limit`
    /// messages, and no more octets beside those `flying` than `octets` allow.
    async fn due_publications(
        &self,
        now: Timestamp,
        turn: Turn,
        flying: usize,
        limit: usize,
        octets: usize,
    ) -> Result<Vec<Due>, JournalError> {
        let journal = self.clone();
        let look = self.look_at_heads(now, move |heads| {
            if journal.rests_as_a_whole(heads.look())? {
                return Ok(vec![]);
            }
            let mut waiting = HashMap::new();
            for class in Class::ALL {
                waiting.insert(*class, heads.waiting(Lane::Publish(*class), limit)?);
            }
            let due = |row: MessageRow| {
                let bytes = rows::sealed(heads.look(), row.seq)?;
                Ok(Candidate::new(&row.clone(), Due { row, bytes }))
            };
            let chosen = lanes::choose(waiting, turn, flying, limit, octets);
            chosen.into_iter().map(due).collect()
        });
        self.take_in_hand(Side::Sent, look.await?).await
    }

    /// When the next message may go out that nobody has in hand and nobody has paused.
    async fn next_publication(&self) -> Result<Option<Timestamp>, JournalError> {
        let journal = self.clone();
        self.look_at_heads(Timestamp::now(), move |heads| {
            if journal.rests_as_a_whole(heads.look())? {
                return Ok(None);
            }
            let mut next: Option<Timestamp> = None;
            for class in Class::ALL {
                let first = heads.first(Lane::Publish(*class))?;
                next = next.into_iter().chain(first).min();
            }
            Ok(next)
        })
        .await
    }

    /// What was promised before this start may have been on its way when the process before ended: it counts as
    /// published in whatever must not happen to a message that is out.
    async fn doubt_what_was_under_way(&self) -> Result<(), JournalError> {
        let doubted = self.store.write(|tx| {
            tx.run(
                "UPDATE message SET doubtful = 1 WHERE work = ? AND side = ? AND attempts = 0 AND doubtful = 0",
                params![Work::Publish.as_str(), Side::Sent.as_str()],
            )?;
            Ok::<_, JournalError>(())
        });
        Ok(doubted.await?)
    }

    async fn published(&self, due: &MessageRow, config: &Config) -> Result<(), JournalError> {
        let now = Timestamp::now();
        let (silence, longest) = (config.silence, config.longest_silence);
        self.note_publication(due, move |journal, tx, row| {
            machine::allow(row, Act::Try)?;
            let again = match row.heard {
                true => longest,
                false => doubled(silence, row.attempts, longest),
            };
            let overdue_at = row.overdue_at.or_else(|| (!row.heard).then(|| now + silence));
            tx.run(
                "UPDATE message SET attempts = attempts + 1, due_at = ?, overdue_at = ? WHERE seq = ?",
                params![
                    row.work.map(|_| (now + again).as_millisecond()),
                    overdue_at.map(|at| at.as_millisecond()),
                    row.seq
                ],
            )?;
            if row.overdue_at.is_some_and(|since| since <= now) {
                tracing::warn!(message_id = %row.key.message_id, times = row.attempts + 1, alarm = "overdue",
                    "the reader's gateway is silent: published again");
            }
            journal.step(tx, row, Step::Published, None, &[], now).map(Some)
        })
        .await
    }

    /// Not confirmed: due again at `at`. `doubtful` says that it may be out all the same.
    async fn publish_later(&self, due: &MessageRow, at: Timestamp, doubtful: bool) -> Result<(), JournalError> {
        self.note_publication(due, move |_, tx, row| {
            machine::allow(row, Act::Defer)?;
            tx.run(
                "UPDATE message SET due_at = ?, doubtful = CASE WHEN ? = 1 THEN 1 ELSE doubtful END
                 WHERE seq = ? AND work = ?",
                params![at.as_millisecond(), doubtful, row.seq, Work::Publish.as_str()],
            )?;
            Ok(None)
        })
        .await
    }

    async fn park_publication(&self, due: &MessageRow, reason: Reason) -> Result<(), JournalError> {
        tracing::error!(message_id = %due.key.message_id, reason = reason.code(), alarm = "parked",
            "it cannot be published: parked");
        self.note_publication(due, move |journal, tx, row| {
            journal.set_aside(tx, row, reason, Timestamp::now()).map(Some)
        })
        .await
    }

    /// One change of a message that was in hand, and that it is no longer. What ended meanwhile stays as it is: a receipt
    /// may come before the confirm.
    async fn note_publication(
        &self,
        due: &MessageRow,
        change: impl FnOnce(&Journal, &viereck_store::Change<'_>, &MessageRow) -> Result<Option<Occurrence>, JournalError>
        + Send
        + 'static,
    ) -> Result<(), JournalError> {
        let (journal, key) = (self.clone(), due.key.clone());
        let told = self.store.write(move |tx| {
            let row = MessageRow::find(tx, Side::Sent, &key)?.ok_or(JournalError::Unknown)?;
            journal.release(tx, row.seq)?;
            match row.ended {
                Some(_) => Ok(None),
                None => change(&journal, tx, &row),
            }
        });
        self.tell(told.await?.into_iter().collect());
        Ok(())
    }
}

/// Publishes what is promised, until `shutdown`; what is in flight then gets a moment to be confirmed, and else goes out
/// again at the next start.
///
/// # Errors
/// Only of the journal, and only what does not pass by itself. A link that is down is no error: the messages are ours
/// and wait.
pub async fn run(
    journal: Journal,
    link: Link,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), JournalError> {
    let wanted = journal.shared.publish_wanted.clone();
    journal.ask_after(config.longest_silence);
    while let Err(error) = journal.doubt_what_was_under_way().await {
        passes(error)?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(JOURNAL_PAUSE) => {}
        }
    }
    let mut turn = Turn::default();
    let mut in_flight: HashMap<i64, usize> = HashMap::new();
    let mut publishing = FuturesUnordered::new();
    let mut failures = 0; // tries in a row, not messages
    loop {
        // a link that fails is tried with one message at a time, not with the whole backlog
        let window = if failures == 0 { config.window } else { 1 };
        let free = window.saturating_sub(publishing.len());
        let flying = in_flight.values().sum();
        let given = match free {
            0 => Ok(vec![]),
            _ => {
                let due = journal.due_publications(Timestamp::now(), turn.clone(), flying, free, config.octets);
                due.await
            }
        };
        let due = given.or_else(|error| passes(error).map(|()| vec![]))?;
        turn.pass(due.len());
        for due in due {
            in_flight.insert(due.row.seq, due.bytes.as_ref().map_or(0, Bytes::len));
            publishing.push(publish(&journal, &link, due, &config, failures));
        }
        // with something in flight its end wakes us; else new work, or the moment the next one is due
        let pause = match publishing.len() {
            0 => match journal.next_publication().await {
                Ok(next) => pause_until(next).max(SHORTEST_SLEEP),
                Err(error) => passes(error).map(|()| JOURNAL_PAUSE)?,
            },
            _ => LONGEST_SLEEP,
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = wanted.notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(tried) = publishing.next() => {
                // all that have ended before the journal is looked at again: confirms come many at a time
                let mut ended = Some(tried);
                while let Some(tried) = ended {
                    let Tried { seq, passed, failures_before } = tried?;
                    in_flight.remove(&seq);
                    failures = if passed { 0 } else { failures_before + 1 };
                    ended = publishing.next().now_or_never().flatten();
                }
            }
        }
    }
    let confirming = async {
        while let Some(tried) = publishing.next().await {
            tried?;
        }
        Ok(())
    };
    tokio::time::timeout(FAREWELL, confirming).await.unwrap_or(Ok(()))
}

/// Lets an error pass that may pass by itself: the messages are on disk and wait.
fn passes(error: JournalError) -> Result<(), JournalError> {
    if !error.may_pass() {
        return Err(error);
    }
    tracing::error!(%error, alarm = "journal-unavailable", "nothing can be published, again soon");
    Ok(())
}

/// What came of one publish.
struct Tried {
    seq: i64,
    /// Whether the link is to be trusted with more at once: it took the message, or refused that very one for good.
    passed: bool,
    /// How many tries had failed in a row when it began.
    failures_before: u32,
}

/// One publish and its mark in the journal; many run at once, so that their commits are grouped.
async fn publish(
    journal: &Journal,
    link: &Link,
    due: Due,
    config: &Config,
    failures_before: u32,
) -> Result<Tried, JournalError> {
    let Due { row, bytes } = due;
    let marked = match intact(&row, bytes).await {
        None => journal
            .park_publication(&row, Reason::OctetsCorrupt)
            .await
            .map(|()| true),
        Some(bytes) => {
            let address = Address::Submit(row.gateway.clone());
            let mut span = Span::begin_if_traced(SpanName::Publish, row.trace.as_ref(), journal.custodian().as_str());
            let published = link
                .publish_within(span.as_ref().map(Span::trace), &address, bytes)
                .await;
            if let Some(span) = &mut span {
                span.of_message(row.key.message_id);
                span.came_to(if published.is_ok() {
                    "published"
                } else {
                    "not-published"
                });
            }
            drop(span);
            match published {
                Ok(()) => journal.published(&row, config).await.map(|()| true),
                Err(error) => not_published(journal, &row, error, config, failures_before).await,
            }
        }
    };
    // whatever becomes of the mark: this try is over
    journal.put_down(Side::Sent, &row.key);
    let passed = match marked {
        Ok(passed) => passed,
        Err(error) if error.may_pass() => {
            tracing::error!(%error, alarm = "journal-unavailable", "a publish is not marked: it goes out again");
            tokio::time::sleep(JOURNAL_PAUSE).await;
            false
        }
        Err(error) => return Err(error),
    };
    Ok(Tried {
        seq: row.seq,
        passed,
        failures_before,
    })
}

/// The octets, if they are still those that were promised.
pub(crate) async fn intact(row: &MessageRow, bytes: Option<Bytes>) -> Option<Bytes> {
    let bytes = bytes?;
    let octets = bytes.clone();
    let digest = aside(bytes.len(), move || Digest::of(&octets)).await;
    (digest == row.bytes_digest).then_some(bytes)
}

/// Told apart by kind: what is wrong with this message is parked, everything else is tried again later.
async fn not_published(
    journal: &Journal,
    row: &MessageRow,
    error: LinkError,
    config: &Config,
    failures_before: u32,
) -> Result<bool, JournalError> {
    let for_good = match &error {
        LinkError::TooLarge { .. } => Some(Reason::TooLarge),
        LinkError::Refused { .. } => Some(Reason::LinkRefused),
        _ => None,
    };
    if let Some(reason) = for_good {
        tracing::error!(message_id = %row.key.message_id, %error, "the link refuses a message for good");
        return journal.park_publication(row, reason).await.map(|()| true);
    }
    let pause = doubled(config.retry, failures_before, SignedDuration::from_mins(1));
    tracing::warn!(message_id = %row.key.message_id, %error, ?pause, "not published, again later");
    let at = Timestamp::now() + pause;
    journal
        .publish_later(row, at, error.may_have_arrived())
        .await
        .map(|()| false)
}

/// How long to sleep until `due`; a minute at the most, so that a clock that jumps does no harm.
pub(crate) fn pause_until(due: Option<Timestamp>) -> Duration {
    let longest = LONGEST_SLEEP;
    let Some(due) = due else { return longest };
    due.duration_since(Timestamp::now())
        .try_into()
        .map_or(Duration::ZERO, |pause: Duration| pause.min(longest))
}

#[cfg(test)]
mod tests;
