//! Retention: what is no longer needed is deleted, and what an author has not seen is not.
//!
//! | what | how long |
//! |---|---|
//! | sealed octets at the author's gateway | until `accepted`; after another end 30 days; of what nobody may have read until its author or an operator lets it go ([`crate::content`]), or it was sealed anew |
//! | sealed octets at the reader's gateway and at the broker | 7 days after the end |
//! | messages, events and the case | 730 days after the end of the case's last message |
//! | promises: a client's key and its first answer | 30 days |
//! | octets that did not verify | 90 days, and no more than ten thousand of them |
//! | heads of receipt batches | 90 days, and the newest of each custodian |
//!
//! What is unread keeps its rows and its case too, and is not moved anywhere: it stays in this journal. After 90 days it is
//! an alarm that says how many there are, and a number of the metrics and of the doctor, so that somebody fetches it.
//!
//! Guarantees: a filed application is never deleted unread; sealed octets go with an event, which is the step `erased` here
//! and in [`crate::content`], and the very word `accepted` or `relayed` where that made them needless ([`crate::facts`],
//! [`crate::relay`]); a row goes only together with its line in the ledger; a few rows are deleted at a time, so that nobody
//! waits; one instance does it for all. Time is an argument. Does not: delete anything of a message that has not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use viereck_routing::CaseId;
use viereck_store::{Change, params};

use crate::content::is_unread;
use crate::rows::{self, MessageRow, Side};
use crate::{Duty, Finding, Journal, JournalError, ledger};

/// How often the journal is gone through.
const EACH: Duration = Duration::from_secs(600);
/// Rows read at once.
const PAGE: usize = 256;
/// Rows changed in one commit.
const STEP: usize = 32;
/// The author of an end that comes late may have had another clock.
const CLOCKS: SignedDuration = SignedDuration::from_hours(24);
/// A message is known as long as it may come again.
const REPEATS: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Days after the end for sealed octets that were taken or held for somebody else.
    pub taken_days: u16,
    /// Days after an end other than `accepted` for sealed octets of the own author that the reader's side may have read.
    pub sent_days: u16,
    /// Days after which what nobody has read or fetched is an alarm; it is kept all the same.
    pub unread_days: u16,
    /// Days after the end of a case's last message for everything that is known of the case.
    pub case_days: u16,
    /// Days for a client's key.
    pub promise_days: u16,
    /// Days for octets that did not verify and for the heads of receipt batches, but for the newest of each custodian.
    pub evidence_days: u16,
    /// The most of such octets.
    pub refused_most: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            taken_days: 7,
            sent_days: 30,
            unread_days: 90,
            case_days: 730,
            promise_days: 30,
            evidence_days: 90,
            refused_most: 10_000,
        }
    }
}

impl Config {
    /// What ended before this and is still here has been kept unread for too long. What was read is kept for some days
    /// too, and does not count.
    pub fn unread_until(&self, now: Timestamp) -> Timestamp {
        now - days_of(self.unread_days.max(self.sent_days))
    }

    /// What is out of range.
    pub fn check(&self) -> Vec<Finding> {
        let Self {
            taken_days,
            sent_days,
            unread_days,
            case_days,
            promise_days,
            evidence_days,
            refused_most,
        } = self;
        let days = [
            ("retention.taken_days", taken_days),
            ("retention.sent_days", sent_days),
            ("retention.unread_days", unread_days),
            ("retention.case_days", case_days),
            ("retention.promise_days", promise_days),
            ("retention.evidence_days", evidence_days),
        ];
        let mut findings: Vec<Finding> = days
            .into_iter()
            .filter_map(|(key, days)| Finding::range(key, (*days).into(), 3650))
            .collect();
        findings.extend(Finding::range(
            "retention.refused_most",
            (*refused_most).into(),
            10_000_000,
        ));
        findings
    }
}

/// What one sweep deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Sealed octets of so many messages.
    pub octets: u64,
    /// So many messages with all that was known of them.
    pub messages: u64,
    /// Events of so many messages that never had a row.
    pub events: u64,
    /// So many promises.
    pub promises: u64,
    /// Octets that did not verify.
    pub refused: u64,
    /// Heads of receipt batches.
    pub heads: u64,
}

/// How far octets were gone through, by side: what ended before is not looked at again.
#[derive(Debug, Clone, Default)]
pub struct Progress(BTreeMap<&'static str, Timestamp>);

/// Goes through the journal every ten minutes until `shutdown`, on the instance that is on duty.
///
/// # Errors
/// Of the journal, and only what does not pass by itself.
pub async fn run(journal: Journal, config: Config, shutdown: CancellationToken) -> Result<(), JournalError> {
    let mut progress = Progress::default();
    let mut told = 0;
    let mut each = tokio::time::interval(EACH);
    each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = each.tick() => {}
        }
        let swept = journal.retention_round(&config, &mut progress, &mut told);
        // dropped between two small commits at the most
        match shutdown.run_until_cancelled(swept).await {
            Some(Err(error)) if JournalError::may_pass(&error) => {
                tracing::warn!(%error, "what is no longer needed is deleted later");
            }
            Some(result) => result?,
            None => return Ok(()),
        }
    }
}

impl Journal {
    /// One round, where this instance is on duty and the clock may be gone by.
    async fn retention_round(
        &self,
        config: &Config,
        progress: &mut Progress,
        told: &mut u64,
    ) -> Result<(), JournalError> {
        if !self.on_duty(Duty::Sweep).await? || !self.shared.clock.is_right() {
            return Ok(());
        }
        let deleted = self.sweep_retention(Timestamp::now(), config, progress).await?;
        if deleted != Deleted::default() {
            tracing::info!(journal = %self.custodian(), ?deleted, "deleted what is no longer needed");
        }
        let unread = self.unread_kept(config.unread_until(Timestamp::now())).await?;
        tell_unread(self, unread, told);
        Ok(())
    }

    /// Deletes what is no longer needed at `now`.
    pub async fn sweep_retention(
        &self,
        now: Timestamp,
        config: &Config,
        progress: &mut Progress,
    ) -> Result<Deleted, JournalError> {
        let mut deleted = Deleted::default();
        for side in Side::ALL {
            let days = match side {
                Side::Sent => config.sent_days,
                Side::Relayed | Side::Taken => config.taken_days,
            };
            deleted.octets += self.erase_octets(side, now - days_of(days), now, progress).await?;
            deleted.messages += self.delete_cases(side, now - days_of(config.case_days), now).await?;
        }
        deleted.events = self.delete_rowless_events(now - days_of(config.case_days)).await?;
        deleted.promises = self.delete_promises(now - days_of(config.promise_days)).await?;
        let evidence = now - days_of(config.evidence_days);
        deleted.refused = self.delete_refused(evidence, config.refused_most).await?;
        deleted.heads = self.forget_evidence(evidence).await?;
        Ok(deleted)
    }

    async fn erase_octets(
        &self,
        side: Side,
        until: Timestamp,
        now: Timestamp,
        progress: &mut Progress,
    ) -> Result<u64, JournalError> {
        let from = progress
            .0
            .get(side.as_str())
            .map_or(Timestamp::UNIX_EPOCH, |done| *done - CLOCKS);
        let mut after = (from.as_millisecond(), i64::MIN);
        let mut erased = 0;
        loop {
            let page = self.store.read(move |look| {
                look.all(
                    "SELECT seq, ended_at FROM message WHERE side = ? AND ended_at >= ? AND ended_at <= ?
                     AND (ended_at > ? OR seq > ?) AND EXISTS (SELECT 1 FROM sealed WHERE sealed.message = message.seq)
                     ORDER BY ended_at, seq LIMIT ?",
                    params![
                        side.as_str(),
                        after.0,
                        until.as_millisecond(),
                        after.0,
                        after.1,
                        PAGE as i64
                    ],
                    |row| Ok::<(i64, i64), JournalError>((row.get("ended_at")?, row.get("seq")?)),
                )
            });
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = *last;
            for few in page.chunks(STEP) {
                let seqs: Vec<i64> = few.iter().map(|(_, seq)| *seq).collect();
                let journal = self.clone();
                let change = self.store.write(move |change| {
                    let mut erased = 0;
                    for seq in seqs {
                        erased += u64::from(journal.erase(change, seq, until, now)?);
                    }
                    Ok::<_, JournalError>(erased)
                });
                erased += change.await?;
            }
        }
        progress.0.insert(side.as_str(), until);
        Ok(erased)
    }

    /// Erases the octets of one message, if it has still ended and its author needs them no more.
    fn erase(&self, change: &Change<'_>, seq: i64, until: Timestamp, now: Timestamp) -> Result<bool, JournalError> {
        let row = change.first(
            "SELECT * FROM message WHERE seq = ? AND ended IS NOT NULL AND ended_at <= ?",
            params![seq, until.as_millisecond()],
            MessageRow::read,
        )?;
        let Some(row) = row else { return Ok(false) };
        // what nobody has read belongs to its author until another message carries its content
        if row.side == Side::Sent && row.replaced_by.is_none() && is_unread(change, &row)? {
            return Ok(false);
        }
        // nobody waits for this: it is not told
        self.erase_sealed(change, &row, now)?;
        Ok(true)
    }

    async fn delete_cases(&self, side: Side, until: Timestamp, now: Timestamp) -> Result<u64, JournalError> {
        let mut after = (i64::MIN, i64::MIN);
        let mut deleted = 0;
        loop {
            let page = self.store.read(move |look| {
                look.all(
                    "SELECT seq, ended_at, case_id FROM message WHERE side = ? AND ended_at <= ? AND ended_at >= ?
                     AND (ended_at > ? OR seq > ?) ORDER BY ended_at, seq LIMIT ?",
                    params![
                        side.as_str(),
                        until.as_millisecond(),
                        after.0,
                        after.0,
                        after.1,
                        PAGE as i64
                    ],
                    |row| {
                        Ok::<((i64, i64), CaseId), JournalError>((
                            (row.get("ended_at")?, row.get("seq")?),
                            rows::name(row, "case_id")?,
                        ))
                    },
                )
            });
            let page = page.await?;
            let Some((last, _)) = page.last() else {
                return Ok(deleted);
            };
            after = *last;
            let cases: BTreeSet<String> = page.iter().map(|(_, case)| case.to_string()).collect();
            for case in cases {
                let change = self.store.write(move |change| delete_case(change, &case, until, now));
                deleted += change.await?;
            }
        }
    }

    /// Events about messages that were refused and so have no row.
    async fn delete_rowless_events(&self, until: Timestamp) -> Result<u64, JournalError> {
        let mut deleted = 0;
        loop {
            let change = self.store.write(move |change| {
                // the numbers of events follow time; those of the last days are not looked at
                let newer = change.first(
                    "SELECT seq FROM event WHERE time > ? ORDER BY seq LIMIT 1",
                    params![until.as_millisecond()],
                    |row| row.at::<i64>(0),
                )?;
                let old = change.all(
                    "SELECT seq FROM event WHERE seq < ? AND NOT EXISTS (SELECT 1 FROM message
                        WHERE message.message_id = event.message_id AND message.author = event.author)
                     ORDER BY seq LIMIT ?",
                    params![newer.unwrap_or(i64::MAX), STEP as i64],
                    |row| row.at::<i64>(0),
                )?;
                for seq in &old {
                    change.run("DELETE FROM receipt_due WHERE event = ?", params![*seq])?;
                    change.run("DELETE FROM event WHERE seq = ?", params![*seq])?;
                }
                Ok::<_, JournalError>(old.len())
            });
            let few = change.await?;
            deleted += few as u64;
            if few < STEP {
                return Ok(deleted);
            }
        }
    }

    async fn delete_promises(&self, until: Timestamp) -> Result<u64, JournalError> {
        let mut deleted = 0;
        loop {
            let change = self.store.write(move |change| {
                change
                    .run(
                        "DELETE FROM promise WHERE (owner, key) IN (
                            SELECT owner, key FROM promise WHERE made_at <= ? ORDER BY made_at LIMIT ?)",
                        params![until.as_millisecond(), STEP as i64],
                    )
                    .map_err(JournalError::from)
            });
            let few = change.await?;
            deleted += few;
            if few < STEP as u64 {
                return Ok(deleted);
            }
        }
    }

    async fn delete_refused(&self, until: Timestamp, most: u32) -> Result<u64, JournalError> {
        let mut deleted = 0;
        loop {
            let change = self.store.write(move |change| {
                let beyond = change.first(
                    "SELECT seq FROM refused_octets ORDER BY seq DESC LIMIT 1 OFFSET ?",
                    params![most],
                    |row| row.at::<i64>(0),
                )?;
                let old = change.all(
                    "SELECT seq FROM refused_octets WHERE time <= ? OR seq <= ? ORDER BY seq LIMIT ?",
                    params![until.as_millisecond(), beyond.unwrap_or(i64::MIN), STEP as i64],
                    |row| row.at::<i64>(0),
                )?;
                for seq in &old {
                    change.run("DELETE FROM refusal_due WHERE refusal = ?", params![*seq])?;
                    change.run("DELETE FROM refused_octets WHERE seq = ?", params![*seq])?;
                }
                Ok::<_, JournalError>(old.len())
            });
            let few = change.await?;
            deleted += few as u64;
            if few < STEP {
                return Ok(deleted);
            }
        }
    }
}

/// Says how many are kept unread, whenever they have become more.
fn tell_unread(journal: &Journal, unread: Option<(u64, Timestamp)>, told: &mut u64) {
    let (messages, first) = unread.unzip();
    let messages = messages.unwrap_or_default();
    if messages > *told {
        tracing::error!(journal = %journal.custodian(), messages, first = first.map(tracing::field::display),
            alarm = "unread-kept", "nobody has read or fetched them: they are kept here");
    }
    *told = messages;
}

/// Deletes a case of which everything ended before `until`, and of which no octets are kept any more.
fn delete_case(change: &Change<'_>, case: &str, until: Timestamp, now: Timestamp) -> Result<u64, JournalError> {
    let needed = change.exists(
        "SELECT 1 FROM message WHERE case_id = ? AND (ended_at IS NULL OR ended_at > ? OR obsolete_after > ?
            OR EXISTS (SELECT 1 FROM sealed WHERE sealed.message = message.seq))",
        params![case, until.as_millisecond(), (now - REPEATS).as_millisecond()],
    )?;
    if needed {
        return Ok(0);
    }
    let messages = change.all(
        "SELECT * FROM message WHERE case_id = ? ORDER BY seq",
        params![case],
        MessageRow::read,
    )?;
    for row in &messages {
        let (id, author) = (row.key.message_id.to_string(), row.key.author.as_str());
        change.run(
            "DELETE FROM receipt_due WHERE event IN (SELECT seq FROM event WHERE message_id = ? AND author = ?)",
            params![id, author],
        )?;
        change.run(
            "DELETE FROM event WHERE message_id = ? AND author = ?",
            params![id, author],
        )?;
        change.run("DELETE FROM message WHERE seq = ?", params![row.seq])?;
        ledger::removed(
            change,
            row.side,
            ledger::participant(row.side, &row.key.author, &row.reader),
        )?;
    }
    // both sides named, so that it is a seek in the key
    change.run(
        "DELETE FROM case_file WHERE side IN ('author', 'reader') AND case_id = ?",
        params![case],
    )?;
    Ok(messages.len() as u64)
}

fn days_of(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

#[cfg(test)]
mod tests;
