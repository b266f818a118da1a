//! The end of a parked thing by an operator's word: its author's gateway learns so by a receipt of whoever holds it.
//!
//! Guarantees: only the present custodian ends a message, with the stage that it is entitled to: `rejected` at the
//! reader's gateway, `undeliverable` at the broker, `withdrawn` of what never left its author's gateway. Of what may have
//! left it the author's gateway says so only a day after it lost its purpose, if nobody has spoken of it until then: whoever
//! still had it would refuse it. The sealed octets
//! stay at the author's side as after any such end. Octets that did not verify are deleted; the gateway under whose name
//! they came was told when they were refused.

use jiff::{SignedDuration, Timestamp};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{Digest, MessageId};
use viereck_store::{Look, params};

use super::ParkedId;
use super::requeue::{ParkedError, forget_octets, parked_row};
use crate::audit::Verb;
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

    async fn discard_message(&self, id: MessageId, actor: &Actor, reason: &StatedReason) -> Result<Stage, ParkedError> {
        let (journal, actor, reason) = (self.clone(), actor.clone(), reason.clone());
        let now = Timestamp::now();
        let (stage, told) = self
            .store
            .write(move |change| {
                let row = parked_row(change, id)?;
                let stage = match row.side {
                    Side::Sent => Stage::Withdrawn,
                    Side::Relayed => Stage::Undeliverable,
                    Side::Taken => Stage::Rejected,
                };
                let act = match row.side == Side::Sent && is_given_up(change, &row, now)? {
                    true => Act::GiveUp,
                    false => Act::End(stage),
                };
                machine::allow(&row, act)?;
                change.run(
                    "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, parked = NULL, parked_at = NULL
                     WHERE seq = ?",
                    params![row.seq],
                )?;
                ledger::set_end(change, row.side, &row, Some((stage, now)))?;
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

/// Whether a message has lost its purpose and nobody has ever spoken of it.
fn is_given_up(look: &Look<'_>, row: &MessageRow, now: Timestamp) -> Result<bool, JournalError> {
    Ok(look.exists(
        "SELECT 1 FROM message WHERE seq = ? AND obsolete_after < ? AND heard = 0 AND target IS NULL",
        params![row.seq, (now - MARGIN).as_millisecond()],
    )?)
}
