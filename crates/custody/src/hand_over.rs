//! Corner 3's last steps as the journal sees them: what is due, an attempt begun, its end, its delay.
//!
//! A message is in one pair of hands at a time: what [`Journal::due_hand_overs`] gave out stays out until it is
//! concluded, deferred or parked. An attempt is on disk before the adapter acts, so that the next process knows that
//! one may have acted. The end and its event are one transaction; only then does anybody hear of it.
//!
//! Does not: know what an adapter is, or open the envelope.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use viereck_envelope::{Reason, Stage};
use viereck_routing::{BehoerdeId, Kind, LeistungId};
use viereck_store::{Change, params};

use crate::cases::{self, Case};
use crate::claims::Candidate;
use crate::journal::{MessageKey, Occurrence};
use crate::rows::{self, MessageRow, Side, Work};
use crate::step::Step;
use crate::{Journal, JournalError, ledger};

/// A message that waits to be handed over.
#[derive(Debug, Clone)]
pub struct DueHandOver {
    /// Which one.
    pub key: MessageKey,
    /// For whom.
    pub reader: BehoerdeId,
    /// The Leistung, which chooses the adapter together with the reader.
    pub leistung: LeistungId,
    /// What it is within its case.
    pub kind: Kind,
    /// Attempts begun so far; more than none means that an adapter may have acted already.
    pub attempts: u32,
    /// The sealed octets.
    pub bytes: Bytes,
}

/// How a hand-over ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// The Fachverfahren has taken it over.
    Accepted,
    /// The Fachverfahren, or the gateway on its behalf, refuses it for good.
    Rejected(Vec<Reason>),
    /// Its time ran out before it was taken over.
    Expired,
}

/// Why a hand-over has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deferral {
    /// Handed over; the Fachverfahren has not said yes or no yet.
    Waiting,
    /// Others of the same Fachverfahren are before it.
    Queued,
    /// The Fachverfahren did not answer, or asked for a later time.
    FachverfahrenUnavailable,
    /// The adapter is wrong, not the message: an operator has to act.
    AdapterMisconfigured,
}

impl Deferral {
    /// Every deferral.
    pub const ALL: &[Deferral] = &[
        Deferral::Waiting,
        Deferral::Queued,
        Deferral::FachverfahrenUnavailable,
        Deferral::AdapterMisconfigured,
    ];

    /// The word in journal, log and metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Deferral::Waiting => "waiting",
            Deferral::Queued => "queued",
            Deferral::FachverfahrenUnavailable => "fachverfahren-unavailable",
            Deferral::AdapterMisconfigured => "adapter-misconfigured",
        }
    }
}

impl Journal {
    /// Wakes whoever hands over when something new was taken.
    pub fn hand_over_wanted(&self) -> std::sync::Arc<tokio::sync::Notify> {
        self.shared.hand_over_wanted.clone()
    }

    /// The oldest messages due for a hand-over, given into the caller's hands.
    pub async fn due_hand_overs(&self, now: Timestamp, limit: usize) -> Result<Vec<DueHandOver>, JournalError> {
        self.claim(Side::Taken, move |conn, taken| {
            let rows = limit + taken.len();
            let due = conn.all(
                "SELECT * FROM message WHERE work = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
                params![Work::HandOver.as_str(), now.as_millisecond(), rows as i64],
                MessageRow::read,
            )?;
            due.into_iter()
                .filter(|row| !taken.contains(row.seq))
                .take(limit)
                .map(|row| {
                    let bytes = rows::sealed(conn, row.seq)?.ok_or(JournalError::Corrupt {
                        column: "sealed.bytes",
                        expected: "the octets taken",
                    })?;
                    let due = DueHandOver {
                        key: row.key.clone(),
                        reader: row.reader.clone(),
                        leistung: row.leistung.clone(),
                        kind: row.kind,
                        attempts: row.attempts,
                        bytes,
                    };
                    Ok(Candidate::new(&row, due))
                })
                .collect()
        })
        .await
    }

    /// The moment the next deferred hand-over is due.
    pub async fn next_hand_over(&self) -> Result<Option<Timestamp>, JournalError> {
        self.look_around(|conn, taken| {
            let waiting = conn.all(
                "SELECT seq, due_at FROM message WHERE work = ? ORDER BY due_at LIMIT ?",
                params![Work::HandOver.as_str(), taken.len() as i64 + 1],
                |row| Ok::<_, JournalError>((row.get("seq")?, rows::instant(row, "due_at")?)),
            )?;
            let next = waiting.into_iter().find(|(seq, _)| !taken.contains(*seq));
            Ok(next.map(|(_, due_at)| due_at))
        })
        .await
    }

    /// An attempt begins; the case of an application is kept from here on, because an answer may come at once. If this
    /// fails, the message is put down again.
    pub async fn begin_hand_over(&self, message: &MessageKey, case: Option<Case>) -> Result<(), JournalError> {
        let begun = self.with_taken(message, move |journal, tx, row, now| {
            if !journal.still_claims(tx, row.seq)? {
                return Err(JournalError::Unknown);
            }
            if let Some(case) = &case {
                case.keep(tx, cases::Side::Reader)?;
            }
            tx.run(
                "UPDATE message SET attempts = attempts + 1 WHERE seq = ?",
                params![row.seq],
            )?;
            journal.step(tx, row, Step::HandingOver, None, &[], now).map(Some)
        });
        let begun = begun.await;
        if begun.is_err() {
            self.put_down(Side::Taken, message);
        }
        begun
    }

    /// The hand-over ended: the event is committed and its receipt is due. Whether this succeeds or not, the message is
    /// put down; after a failure it is due again, under the same key.
    pub async fn conclude(&self, message: &MessageKey, end: Conclusion) -> Result<(), JournalError> {
        let concluded = self.with_taken(message, move |journal, tx, row, now| {
            let (stage, reasons) = match &end {
                Conclusion::Accepted => (Stage::Accepted, &[][..]),
                Conclusion::Rejected(reasons) => (Stage::Rejected, &reasons[..]),
                Conclusion::Expired => (Stage::Expired, &[Reason::Obsolete][..]),
            };
            tx.run(
                "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, parked = NULL WHERE seq = ?",
                params![row.seq],
            )?;
            ledger::set_end(tx, Side::Taken, row, Some((stage, now)))?;
            journal.release(tx, row.seq)?;
            journal.state(tx, row, stage, None, reasons, now).map(Some)
        });
        let concluded = concluded.await;
        self.put_down(Side::Taken, message);
        self.shared.receipts_wanted.notify_one();
        concluded
    }

    /// Not now: due again at `until`, and put down. That an operator has to act is noted as a step, once and not at each
    /// attempt.
    pub async fn defer(&self, message: &MessageKey, until: Timestamp, why: Deferral) -> Result<(), JournalError> {
        let deferred = self.with_taken(message, move |journal, tx, row, now| {
            tx.run(
                "UPDATE message SET due_at = ?, deferral = ? WHERE seq = ? AND work IS NOT NULL",
                params![until.as_millisecond(), why.as_str(), row.seq],
            )?;
            journal.release(tx, row.seq)?;
            if why != Deferral::AdapterMisconfigured || row.deferral == Some(why) {
                return Ok(None);
            }
            journal
                .step(tx, row, Step::Deferred, None, &[Reason::AdapterMisconfigured], now)
                .map(Some)
        });
        let deferred = deferred.await;
        self.put_down(Side::Taken, message);
        deferred
    }

    /// Out of the flow, for an operator to look at, and put down. It has not ended.
    pub async fn park(&self, message: &MessageKey, reason: Reason) -> Result<(), JournalError> {
        let parked = self.with_taken(message, move |journal, tx, row, now| {
            tx.run(
                "UPDATE message SET work = NULL, due_at = NULL, parked = ? WHERE seq = ?",
                params![reason.code(), row.seq],
            )?;
            journal.release(tx, row.seq)?;
            journal.step(tx, row, Step::Parked, None, &[reason], now).map(Some)
        });
        let parked = parked.await;
        self.put_down(Side::Taken, message);
        parked
    }

    /// One change of a taken message that has not ended, with what it tells.
    async fn with_taken(
        &self,
        message: &MessageKey,
        change: impl FnOnce(&Journal, &Change<'_>, &MessageRow, Timestamp) -> Result<Option<Occurrence>, JournalError>
        + Send
        + 'static,
    ) -> Result<(), JournalError> {
        let journal = self.clone();
        let key = message.clone();
        let told = self
            .store
            .write(move |tx| {
                let row = taken(tx, &key)?;
                change(&journal, tx, &row, Timestamp::now())
            })
            .await?;
        self.tell(told.into_iter().collect());
        Ok(())
    }
}

/// An end is an end: a message that has one is no longer there to be changed.
fn taken(tx: &Change<'_>, key: &MessageKey) -> Result<MessageRow, JournalError> {
    MessageRow::find(tx, Side::Taken, key)?
        .filter(|row| row.ended.is_none())
        .ok_or(JournalError::Unknown)
}
