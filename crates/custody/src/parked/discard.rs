//! The end of a parked thing by an operator's word: its author's gateway learns so by a receipt of whoever holds it.
//!
//! Guarantees: only the present custodian ends a message, with the stage that it is entitled to: `rejected` at the
//! reader's gateway, `undeliverable` at the broker, `withdrawn` of what never left its author's gateway. Of what may have
//! left it, parked or overdue, the author's gateway says so only a day after it lost its purpose, if the reader's gateway
//! has not spoken of it until then: whoever still had it would refuse it. So a message whose reader's gateway is gone for
//! good has an end, too. What a Fachverfahren may have acted on no clock ends; once it has lost its purpose the authority's
//! operator may reject it, who can look whether it is there. The sealed octets stay at the author's side as after any such end. Octets that did not verify are
//! deleted; the gateway under whose name they came was told when they were refused.

use jiff::{SignedDuration, Timestamp};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{Digest, MessageId};
use viereck_store::{Look, params};

use super::ParkedId;
use super::requeue::{ParkedError, forget_octets, parked_row};
use crate::audit::Verb;
use crate::claims::Candidate;
use crate::machine::{self, Act};
use crate::rows::{MessageRow, Side};
use crate::{Actor, Journal, JournalError, StatedReason, ledger};

/// Whoever has it may have another clock, and its word may be under way.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

impl Journal {
    /// Ends a parked thing. The stage that ended a message; none for octets.
    ///
    /// # Errors
    /// Nothing was changed then. [`JournalError::NotAllowed`](crate::JournalError::NotAllowed) when somebody else may
    /// have the message.
    pub async fn discard(
        &self,
        id: ParkedId,
        actor: &Actor,
        reason: &StatedReason,
    ) -> Result<Option<Stage>, ParkedError> {
        let stage = match id {
            ParkedId::Message(message) => Some(self.discard_message(message, actor, reason).await?),
            ParkedId::Octets(digest) => {
                self.discard_octets(digest, actor, reason).await?;
                None
            }
        };
        self.shared.receipts_wanted.notify_one();
        Ok(stage)
    }

    /// Whether there is something of this name here that [`Journal::discard`] ends.
    pub async fn may_discard(&self, id: ParkedId) -> Result<bool, JournalError> {
        if !self.parked_of(id).await?.is_empty() {
            return Ok(true);
        }
        let ParkedId::Message(id) = id else {
            return Ok(false);
        };
        let now = Timestamp::now();
        let found = self
            .store
            .read(move |look| Ok(silent_row(look, id, now)?.is_some() || stuck_row(look, id, now)?.is_some()));
        Ok(found.await?)
    }

    async fn discard_message(&self, id: MessageId, actor: &Actor, reason: &StatedReason) -> Result<Stage, ParkedError> {
        let now = Timestamp::now();
        // in our own hands, so that no attempt begins meanwhile
        let in_hand = self.claim(Side::Taken, move |look, taken| {
            let stuck = stuck_row(look, id, now)?.filter(|row| !taken.contains(row.seq));
            Ok(stuck
                .map(|row| Candidate::new(&row, (row.seq, row.key.clone())))
                .into_iter()
                .collect())
        });
        let in_hand = in_hand.await?.pop();
        let stuck = in_hand.as_ref().map(|(seq, _)| *seq);
        let discarded = self.end_by_word(id, stuck, actor, reason, now).await;
        if let Some((_, key)) = in_hand {
            self.put_down(Side::Taken, &key);
        }
        discarded
    }

    /// Ends the message of this id that is parked, that met silence for ever, or that is `stuck` and in hand.
    async fn end_by_word(
        &self,
        id: MessageId,
        stuck: Option<i64>,
        actor: &Actor,
        reason: &StatedReason,
        now: Timestamp,
    ) -> Result<Stage, ParkedError> {
        let (journal, actor, reason) = (self.clone(), actor.clone(), reason.clone());
        let (stage, told) = self
            .store
            .write(move |change| {
                let row = match parked_row(change, id) {
                    Err(ParkedError::NotParked) => {
                        let silent = silent_row(change, id, now)?;
                        let stuck = stuck_row(change, id, now)?.filter(|row| stuck == Some(row.seq));
                        silent.or(stuck).ok_or(ParkedError::NotParked)?
                    }
                    found => found?,
                };
                if row.side == Side::Taken && row.parked.is_none() && !journal.still_claims(change, row.seq)? {
                    return Err(ParkedError::NotParked);
                }
                let stage = match row.side {
                    Side::Sent => Stage::Withdrawn,
                    Side::Relayed => Stage::Undeliverable,
                    Side::Taken => Stage::Rejected,
                };
                let act = match silent_row(change, id, now)? {
                    Some(silent) if silent.seq == row.seq => Act::GiveUp,
                    _ => Act::End(stage),
                };
                machine::allow(&row, act)?;
                change.run(
                    "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, overdue_at = NULL, parked = NULL,
                        parked_at = NULL WHERE seq = ?",
                    params![row.seq],
                )?;
                ledger::set_end(change, row.side, &row, Some((stage, now)))?;
                journal.release(change, row.seq)?;
                let told = journal.state(change, &row, stage, None, &[Reason::Discarded], now)?;
                journal.audit(change, &actor, Verb::Discard, &id.to_string(), &reason, stage.as_str())?;
                Ok::<_, ParkedError>((stage, told))
            })
            .await?;
        self.tell(vec![told]);
        Ok(stage)
    }

    async fn discard_octets(&self, digest: Digest, actor: &Actor, reason: &StatedReason) -> Result<(), ParkedError> {
        let (journal, actor, reason) = (self.clone(), actor.clone(), reason.clone());
        let deleted = self.store.write(move |change| {
            let known = "SELECT 1 FROM refused_octets WHERE bytes_digest = ?";
            if !change.exists(known, params![digest.octets()])? {
                return Err(ParkedError::NotParked);
            }
            let due =
                "SELECT 1 FROM refusal_due JOIN refused_octets ON refused_octets.seq = refusal WHERE bytes_digest = ?";
            if change.exists(due, params![digest.octets()])? {
                return Err(ParkedError::NotTold);
            }
            forget_octets(change, &digest)?;
            let target = ParkedId::Octets(digest).to_string();
            Ok(journal.audit(change, &actor, Verb::Discard, &target, &reason, "deleted")?)
        });
        Ok(deleted.await?)
    }
}

/// The message of this id that went out from here, if it has lost its purpose and its reader's gateway has never spoken of
/// it.
fn silent_row(look: &Look<'_>, id: MessageId, now: Timestamp) -> Result<Option<MessageRow>, JournalError> {
    look.first(
        "SELECT * FROM message WHERE message_id = ? AND side = ? AND ended IS NULL AND heard = 0 AND obsolete_after < ?",
        params![id.to_string(), Side::Sent.as_str(), (now - MARGIN).as_millisecond()],
        MessageRow::read,
    )
}

/// The message of this id that was taken here and has lost its purpose, while its Fachverfahren may have acted on it.
fn stuck_row(look: &Look<'_>, id: MessageId, now: Timestamp) -> Result<Option<MessageRow>, JournalError> {
    look.first(
        "SELECT * FROM message WHERE message_id = ? AND side = ? AND work IS NOT NULL AND unsure > 0 AND obsolete_after < ?",
        params![id.to_string(), Side::Taken.as_str(), now.as_millisecond()],
        MessageRow::read,
    )
}
