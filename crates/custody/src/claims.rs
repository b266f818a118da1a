//! Who has a message in hand: one task of one instance at a time.
//!
//! [`Journal::claim`] gives out messages that wait for work; each stays out until it is put down. Where only this
//! process has the journal, that is known in memory. Where several instances share it, it is a mark in the row
//! (`message.claimed_by`) that counts for as long as its instance lives: an instance says so every few seconds
//! ([`crate::instance`]), by the database's clock; when it falls silent, its messages are free for the others after
//! [`crate::instance::SILENCE`].
//!
//! Guarantees: a message that is in hand is given to nobody else, and what its instance does after it was given up for
//! dead disturbs nobody: [`Journal::still_claims`] says no from then on, and giving up a claim touches only the own one.
//! Does not: end anything. Whatever may happen twice because an instance came back to life carries the same key.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use viereck_store::{Change, Look, params};

use crate::journal::MessageKey;
use crate::rows::{MessageRow, Side};
use crate::{Journal, JournalError};

/// What this process has in hand.
#[derive(Default)]
pub(crate) struct Claims(Mutex<HashMap<(Side, MessageKey), i64>>);

impl Claims {
    fn held(&self) -> MutexGuard<'_, HashMap<(Side, MessageKey), i64>> {
        // the map is whole after every statement, so a panic elsewhere does not spoil it
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows this process has in hand.
    pub(crate) fn rows(&self) -> HashSet<i64> {
        self.held().values().copied().collect()
    }
}

/// The rows that are in somebody's hands, by their number.
pub(crate) struct Taken(HashSet<i64>);

impl Taken {
    /// Whether somebody has this row in hand.
    pub(crate) fn contains(&self, seq: i64) -> bool {
        self.0.contains(&seq)
    }

    /// How many there are: a look that wants n free rows asks for n more than these.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A message that was found free, with what its finder wants to know of it.
pub(crate) struct Candidate<T> {
    seq: i64,
    due_at: Option<i64>,
    key: MessageKey,
    given: T,
}

impl<T> Candidate<T> {
    pub(crate) fn new(row: &MessageRow, given: T) -> Self {
        Self {
            seq: row.seq,
            due_at: row.due_at.map(|due| due.as_millisecond()),
            key: row.key.clone(),
            given,
        }
    }
}

impl Journal {
    /// Gives out what `find` finds among the rows of `side` that nobody has in hand. Two who ask at once never get the
    /// same message.
    pub(crate) async fn claim<T: Send + 'static>(
        &self,
        side: Side,
        find: impl FnOnce(&Look<'_>, &Taken) -> Result<Vec<Candidate<T>>, JournalError> + Send + 'static,
    ) -> Result<Vec<T>, JournalError> {
        let found = self.look_around(find).await?;
        self.take_in_hand(side, found).await
    }

    /// The second half of [`Journal::claim`], for whoever has looked already: of what was found, what is free still.
    pub(crate) async fn take_in_hand<T>(&self, side: Side, found: Vec<Candidate<T>>) -> Result<Vec<T>, JournalError> {
        let mut ours = vec![];
        {
            let mut held = self.shared.claims.held();
            for candidate in found {
                // two tasks of this process at once: the message belongs to the one that inserts it
                if held.insert((side, candidate.key.clone()), candidate.seq).is_none() {
                    ours.push(candidate);
                }
            }
        }
        if ours.is_empty() {
            return Ok(vec![]);
        }
        // since the look somebody else may have had it, ended it and put it down; from here on nobody does
        let wanted = ours.iter().map(|candidate| (candidate.seq, candidate.due_at)).collect();
        let same = match self.as_found(wanted).await {
            Ok(same) => same,
            Err(error) => {
                let mut held = self.shared.claims.held();
                for candidate in ours {
                    held.remove(&(side, candidate.key));
                }
                return Err(error);
            }
        };
        let mut held = self.shared.claims.held();
        let mut given = vec![];
        for (candidate, same) in ours.into_iter().zip(same) {
            if same {
                given.push(candidate.given);
            } else {
                held.remove(&(side, candidate.key));
            }
        }
        Ok(given)
    }

    /// Which of these rows, each with when it was due, are still as they were found. Where several instances share the
    /// journal, those are marked as this one's.
    async fn as_found(&self, wanted: Vec<(i64, Option<i64>)>) -> Result<Vec<bool>, JournalError> {
        let Some(me) = self.shared.instance.clone() else {
            let look = move |conn: &Look<'_>| {
                let same = wanted.into_iter().map(|(seq, due_at)| {
                    Ok(conn.exists(
                        "SELECT 1 FROM message WHERE seq = ? AND work IS NOT NULL AND due_at IS NOT DISTINCT FROM ?",
                        params![seq, due_at],
                    )?)
                });
                same.collect::<Result<Vec<bool>, JournalError>>()
            };
            return Ok(self.store.read(look).await?);
        };
        let mark = move |tx: &Change<'_>| {
            crate::instance::beat(tx, &me)?;
            let marked = wanted.into_iter().map(|(seq, due_at)| mark(tx, &me, seq, due_at));
            marked.collect::<Result<Vec<bool>, JournalError>>()
        };
        Ok(self.store.write(mark).await?)
    }

    /// Looks at the journal together with what is in hand at that moment.
    pub(crate) async fn look_around<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Look<'_>, &Taken) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let mut taken = self.shared.claims.rows();
        let me = self.shared.instance.clone();
        let look = move |conn: &Look<'_>| {
            if let Some(me) = me {
                // a mark of our own without a message in hand is one we have put down
                taken.extend(conn.all(
                    "SELECT seq FROM message WHERE claimed_by <> ?
                     AND claimed_by IN (SELECT id FROM instance WHERE alive_until > ?)",
                    params![me, conn.clock()?],
                    |row| row.at::<i64>(0),
                )?);
            }
            look(conn, &Taken(taken))
        };
        Ok(self.store.read(look).await?)
    }

    /// Whether the message is still this instance's: what acts outside of the journal asks for it in the transaction
    /// that says so beforehand.
    pub(crate) fn still_claims(&self, tx: &Look<'_>, seq: i64) -> Result<bool, JournalError> {
        match &self.shared.instance {
            None => Ok(true),
            Some(me) => Ok(tx.exists(
                "SELECT 1 FROM message WHERE seq = ? AND claimed_by = ?",
                params![seq, me],
            )?),
        }
    }

    /// Puts a message down as part of the change that ends the work on it.
    pub(crate) fn release(&self, tx: &Change<'_>, seq: i64) -> Result<(), JournalError> {
        if let Some(me) = &self.shared.instance {
            tx.run(
                "UPDATE message SET claimed_by = NULL WHERE seq = ? AND claimed_by = ?",
                params![seq, me],
            )?;
        }
        Ok(())
    }

    /// Puts a message down, whatever became of the change that should have said so; the mark of it that may have
    /// stayed is taken back with the next sign of life.
    pub(crate) fn put_down(&self, side: Side, message: &MessageKey) {
        self.shared.claims.held().remove(&(side, message.clone()));
        if side == Side::Taken {
            self.shared.hand_over_wanted.notify_one();
        }
    }
}

/// Marks a row as `me`'s, if it is still as it was found and nobody living has it. What a dead instance had in hand may
/// have gone out without anybody noting it.
fn mark(tx: &Change<'_>, me: &str, seq: i64, due_at: Option<i64>) -> Result<bool, JournalError> {
    let marked = tx.run(
        "UPDATE message SET claimed_by = ?, doubtful = CASE WHEN claimed_by IS NULL THEN doubtful ELSE 1 END
         WHERE seq = ? AND work IS NOT NULL AND due_at IS NOT DISTINCT FROM ?
         AND (claimed_by IS NULL OR claimed_by = ?
              OR claimed_by NOT IN (SELECT id FROM instance WHERE alive_until > ?))",
        params![me, seq, due_at, me, tx.clock()?],
    )?;
    Ok(marked == 1)
}
