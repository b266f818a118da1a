//! Corner 3's last steps as the journal sees them: who waits, what is given out, an attempt begun, its end, its delay.
//!
//! What waits is asked for by [`Pair`] of reader and Leistung. Which pairs have anything to do is found by going from one
//! to the next along the index, so it costs as much as there are pairs, however many messages wait in each; a pair that
//! nobody asks for costs nothing at all.
//!
//! A message is in one pair of hands at a time: what [`Journal::give_out`] gave out stays out until it is concluded,
//! deferred, parked or put down. An attempt is on disk before the adapter acts, so that the next process knows that one
//! may have acted. The end and its event are one transaction; only then does anybody hear of it. What a Fachverfahren
//! has been given but not yet answered waits apart ([`Journal::unanswered`]) and is asked about without a write.
//!
//! Does not: know what an adapter is, open the envelope, or decide which pair's turn it is.

mod queue;
mod unanswered;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_envelope::{Reason, Stage};
use viereck_observe::Trace;
use viereck_routing::{BehoerdeId, Kind, LeistungId};
use viereck_store::{Change, Look, Row, params};

use crate::cases::{self, Case};
use crate::journal::{MessageKey, Occurrence};
use crate::machine::{self, Act};
use crate::rows::{self, MessageRow, Side, Work};
use crate::step::Step;
use crate::{Journal, JournalError, ledger};

pub use queue::{Count, Queue, Waiting};
pub use unanswered::{Bookmark, Unanswered};

/// What messages of one way to a Fachverfahren have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// For whom they are.
    pub reader: BehoerdeId,
    /// The Leistung, which chooses the adapter together with the reader.
    pub leistung: LeistungId,
}

/// A message that is to be handed over.
#[derive(Debug, Clone)]
pub struct GivenOut {
    /// Which one.
    pub key: MessageKey,
    /// Whose.
    pub pair: Pair,
    /// What it is within its case.
    pub kind: Kind,
    /// Attempts begun so far.
    pub attempts: u32,
    /// Attempts of which nobody knows whether the Fachverfahren acted.
    pub unsure: u32,
    /// When it was taken, by the clock of then.
    pub taken_at: Timestamp,
    /// The trace it came in.
    pub trace: Option<Trace>,
}

/// Whether an attempt has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is on disk; the adapter may act.
    Yes,
    /// An operator has paused its reader or this gateway: it was put down, and nothing was written.
    Paused,
}

/// Whether the Fachverfahren may have acted in an attempt that did not end the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// Surely not: it said so, or was never reached.
    No,
    /// Nobody knows: no answer came, or one that says neither.
    Perhaps,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deferral {
    /// Handed over; the Fachverfahren has not said yes or no yet.
    Waiting,
    /// The Fachverfahren did not answer, or asked for a later time.
    FachverfahrenUnavailable,
    /// The adapter is wrong, not the message: an operator has to act.
    AdapterMisconfigured,
}

impl Deferral {
    /// Every deferral.
    pub const ALL: &[Deferral] = &[
        Deferral::Waiting,
        Deferral::FachverfahrenUnavailable,
        Deferral::AdapterMisconfigured,
    ];

    /// The word in journal, log and metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Deferral::Waiting => "waiting",
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

    /// Takes back what was given out and not begun. Nothing is written.
    pub fn give_back(&self, message: &MessageKey) {
        self.put_down(Side::Taken, message);
    }

    /// The sealed octets of a message that was taken.
    ///
    /// # Errors
    /// [`JournalError::Unknown`] when it has ended meanwhile.
    pub async fn octets_taken(&self, message: &MessageKey) -> Result<Bytes, JournalError> {
        let key = message.clone();
        let octets = self.store.read(move |look| {
            let row = taken(look, &key)?;
            rows::sealed(look, row.seq)?.ok_or(JournalError::Corrupt {
                column: "sealed.bytes",
                expected: "the octets taken",
            })
        });
        Ok(octets.await?)
    }

    /// An attempt begins, unless an operator has paused its way; the case of an application is kept from here on,
    /// because an answer may come at once. If this fails, the message is put down again.
    pub async fn begin_hand_over(&self, message: &MessageKey, case: Option<Case>) -> Result<Begun, JournalError> {
        let begun = self.with_taken(message, Voice::Holder, move |journal, tx, row, now| {
            // an operator who paused it has been told that nothing begins from then on
            if journal.rests(tx, &row.reader)? {
                journal.release(tx, row.seq)?;
                return Ok((Begun::Paused, None));
            }
            machine::allow(row, Act::Try)?;
            if let Some(case) = &case {
                case.keep(tx, cases::Side::Reader)?;
            }
            tx.run(
                "UPDATE message SET attempts = attempts + 1, unsure = unsure + 1 WHERE seq = ?",
                params![row.seq],
            )?;
            let told = journal.step(tx, row, Step::HandingOver, None, &[], now)?;
            Ok((Begun::Yes, Some(told)))
        });
        let begun = begun.await;
        if !matches!(begun, Ok(Begun::Yes)) {
            self.put_down(Side::Taken, message);
        }
        begun
    }

    /// The Fachverfahren has been given it and will answer in its own time: put down, and not due any more.
    pub async fn handed_over(&self, message: &MessageKey) -> Result<(), JournalError> {
        let noted = self.with_taken(message, Voice::Holder, move |journal, tx, row, now| {
            machine::allow(row, Act::Defer)?;
            tx.run(
                // it is there, whoever put it there
                "UPDATE message SET work = ?, due_at = ?, deferral = ?, unsure = CASE WHEN unsure = 0 THEN 1 ELSE unsure END
                 WHERE seq = ? AND work IS NOT NULL",
                params![
                    Work::Await.as_str(),
                    now.as_millisecond(),
                    Deferral::Waiting.as_str(),
                    row.seq
                ],
            )?;
            journal.release(tx, row.seq)?;
            Ok(((), None))
        });
        let noted = noted.await;
        self.put_down(Side::Taken, message);
        noted
    }

    /// The Fachverfahren does not have it after all: it waits for a hand-over again.
    pub async fn hand_over_again(&self, message: &MessageKey) -> Result<(), JournalError> {
        let noted = self.with_taken(message, Voice::Holder, move |journal, tx, row, now| {
            machine::allow(row, Act::Defer)?;
            tx.run(
                "UPDATE message SET work = ?, due_at = ?, deferral = NULL WHERE seq = ? AND work IS NOT NULL",
                params![Work::HandOver.as_str(), now.as_millisecond(), row.seq],
            )?;
            journal.release(tx, row.seq)?;
            Ok(((), None))
        });
        let noted = noted.await;
        self.put_down(Side::Taken, message);
        noted
    }

    /// The hand-over ended: the event is committed and its receipt is due. Whether this succeeds or not, the message is
    /// put down; after a failure it is due again, under the same key.
    pub async fn conclude(&self, message: &MessageKey, end: Conclusion) -> Result<(), JournalError> {
        let voice = match &end {
            Conclusion::Accepted => Voice::Anyone,
            Conclusion::Rejected(_) | Conclusion::Expired => Voice::Holder,
        };
        let concluded = self.with_taken(message, voice, move |journal, tx, row, now| {
            let (stage, reasons) = match &end {
                Conclusion::Accepted => (Stage::Accepted, &[][..]),
                Conclusion::Rejected(reasons) => (Stage::Rejected, &reasons[..]),
                Conclusion::Expired => (Stage::Expired, &[Reason::Obsolete][..]),
            };
            machine::allow(row, Act::End(stage))?;
            tx.run(
                "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, parked = NULL WHERE seq = ?",
                params![row.seq],
            )?;
            ledger::set_end(tx, Side::Taken, row, Some((stage, now)))?;
            journal.release(tx, row.seq)?;
            Ok(((), Some(journal.state(tx, row, stage, None, reasons, now)?)))
        });
        let concluded = concluded.await;
        self.put_down(Side::Taken, message);
        self.shared.receipts_wanted.notify_one();
        concluded
    }

    /// Not now: due again at `until`, and put down. That an operator has to act is noted as a step, once and not at each
    /// attempt. What surely did not act leaves the message as if it had not been tried.
    pub async fn defer(
        &self,
        message: &MessageKey,
        until: Timestamp,
        why: Deferral,
        acted: Acted,
    ) -> Result<(), JournalError> {
        let deferred = self.with_taken(message, Voice::Holder, move |journal, tx, row, now| {
            machine::allow(row, Act::Defer)?;
            let sure = u32::from(acted == Acted::No);
            tx.run(
                "UPDATE message SET work = ?, due_at = ?, deferral = ?, unsure = CASE WHEN unsure > 0 THEN unsure - ? ELSE 0 END
                 WHERE seq = ? AND work IS NOT NULL",
                params![
                    Work::HandOver.as_str(),
                    until.as_millisecond(),
                    why.as_str(),
                    sure,
                    row.seq
                ],
            )?;
            journal.release(tx, row.seq)?;
            if why != Deferral::AdapterMisconfigured || row.deferral == Some(why) {
                return Ok(((), None));
            }
            let reasons = [Reason::AdapterMisconfigured];
            Ok(((), Some(journal.step(tx, row, Step::Deferred, None, &reasons, now)?)))
        });
        let deferred = deferred.await;
        self.put_down(Side::Taken, message);
        self.shared.measured.deferred(why);
        deferred
    }

    /// Out of the flow, for an operator to look at, and put down. It has not ended.
    pub async fn park(&self, message: &MessageKey, reason: Reason) -> Result<(), JournalError> {
        let parked = self.with_taken(message, Voice::Holder, move |journal, tx, row, now| {
            machine::allow(row, Act::Park)?;
            tx.run(
                "UPDATE message SET work = NULL, due_at = NULL, parked = ?, parked_at = ? WHERE seq = ?",
                params![reason.code(), now.as_millisecond(), row.seq],
            )?;
            journal.release(tx, row.seq)?;
            Ok(((), Some(journal.step(tx, row, Step::Parked, None, &[reason], now)?)))
        });
        let parked = parked.await;
        self.put_down(Side::Taken, message);
        parked
    }

    /// One change of a taken message that has not ended, with what it tells.
    async fn with_taken<T: Send + 'static>(
        &self,
        message: &MessageKey,
        voice: Voice,
        change: impl FnOnce(&Journal, &Change<'_>, &MessageRow, Timestamp) -> Result<(T, Option<Occurrence>), JournalError>
        + Send
        + 'static,
    ) -> Result<T, JournalError> {
        let journal = self.clone();
        let key = message.clone();
        let (result, told) = self
            .store
            .write(move |tx| {
                let row = taken(tx, &key)?;
                if voice == Voice::Holder && !journal.still_claims(tx, row.seq)? {
                    return Err(JournalError::Unknown);
                }
                change(&journal, tx, &row, Timestamp::now())
            })
            .await?;
        self.tell(told.into_iter().collect());
        Ok(result)
    }
}

/// Whose word counts about a taken message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// That of the instance that has it in hand: for one that was given up for dead, another one speaks.
    Holder,
    /// Anybody's: that the Fachverfahren has it is true whoever heard of it.
    Anyone,
}

/// An end is an end: a message that has one is no longer there to be changed.
fn taken(look: &Look<'_>, key: &MessageKey) -> Result<MessageRow, JournalError> {
    MessageRow::find(look, Side::Taken, key)?
        .filter(|row| row.ended.is_none())
        .ok_or(JournalError::Unknown)
}

impl GivenOut {
    fn of(row: &MessageRow) -> Self {
        Self {
            key: row.key.clone(),
            pair: Pair {
                reader: row.reader.clone(),
                leistung: row.leistung.clone(),
            },
            kind: row.kind,
            attempts: row.attempts,
            unsure: row.unsure,
            taken_at: row.entered_at,
            trace: row.trace,
        }
    }
}

impl Pair {
    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        Ok(Self {
            reader: rows::name(row, "reader")?,
            leistung: rows::name(row, "leistung")?,
        })
    }
}
