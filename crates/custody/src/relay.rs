//! The broker's account: what it relayed where, what came back, what it refused.
//!
//! The broker holds a message only between the link's delivery and the next hop's confirm, so its journal keeps events
//! and no octets, but for what it must hold: octets that do not verify, and what the next hop does not take
//! ([`crate::held`]). Its word `relayed` names the gateway the message went to; a repeat goes there again or nowhere.
//! What it held goes in the transaction of that word: `relayed`, or `undeliverable`, is the event of that deletion.

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{Event, Reason, Stage, Subject, VerifiedEnvelope};
use viereck_observe::Trace;
use viereck_routing::{Class, CustodianId, Digest, GatewayId};
use viereck_store::{Change, Look, params};

use crate::facts;
use crate::journal::MessageKey;
use crate::machine::{self, Act};
use crate::pause::Pauses;
use crate::rows::{MessageRow, NewMessage, Side, Work};
use crate::status::Status;
use crate::{Journal, JournalError, ledger};

/// What the broker knows of a message before it relays it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: relay it.
    Nothing,
    /// Held here, or parked: it goes on by itself, and a second copy of it nowhere.
    Held,
    /// Relayed before: whoever asks has not heard of an end, so the same octets go to the same target again, which answers
    /// with what it said before.
    Relayed(GatewayId),
    /// Ended here: only the old receipts go out again.
    Answered,
    /// The id stands for other octets: refused.
    Conflict,
}

/// What stands in the journal when a message arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What is known of it.
    pub known: Known,
    /// What rests at that moment.
    pub pauses: Pauses,
    /// A gateway of the reader's has spoken of it: whoever serves the reader by now, that one alone can answer.
    pub heard: bool,
    /// How often it has come back so far.
    pub returns: u32,
}

impl Journal {
    /// Looks a message up before it is relayed.
    pub async fn known(&self, envelope: &VerifiedEnvelope) -> Result<Seen, JournalError> {
        let key = MessageKey::of(envelope.header());
        let digest = envelope.digest();
        let seen = self.store.read(move |conn| seen(conn, &key, &digest));
        Ok(seen.await?)
    }

    /// The next hop has confirmed it: `relayed` is committed, with the target. `returns` is how often it had come back
    /// when it was published: the very copy that was confirmed may be back before its confirm, and then custody is here
    /// and nothing is to be said.
    pub async fn relayed(
        &self,
        envelope: &VerifiedEnvelope,
        class: Class,
        target: GatewayId,
        returns: u32,
    ) -> Result<(), JournalError> {
        self.account(envelope, class, Stage::Relayed, Some((target, returns)), None)
            .await
    }

    /// It goes no further: `undeliverable` is committed with the reason. Of a message that stands as relayed this is
    /// only to be said once custody has come back.
    pub async fn undeliverable(
        &self,
        envelope: &VerifiedEnvelope,
        class: Class,
        reason: Reason,
    ) -> Result<(), JournalError> {
        self.account(envelope, class, Stage::Undeliverable, None, Some(reason))
            .await
    }

    /// Refuses a message that nobody may know by this id: not authorised, or an id that stands for other octets. Its
    /// gateway is told; what is known under the id stays as it is.
    pub async fn refuse_message(&self, envelope: &VerifiedEnvelope, reason: Reason) -> Result<(), JournalError> {
        let journal = self.clone();
        let refused = MessageRow::of(envelope.header(), envelope.digest(), Side::Relayed);
        let now = Timestamp::now();
        let told = self
            .store
            .write(move |tx| journal.refuse(tx, &refused, Stage::Undeliverable, reason, now))
            .await?;
        self.tell(told.into_iter().collect());
        self.shared.receipts_wanted.notify_one();
        Ok(())
    }

    /// The same message once more, already answered: the old receipts go out again.
    pub async fn answer_again(&self, envelope: &VerifiedEnvelope) -> Result<(), JournalError> {
        let journal = self.clone();
        let key = MessageKey::of(envelope.header());
        self.store
            .write(move |tx| match MessageRow::find(tx, Side::Relayed, &key)? {
                Some(row) => journal.state_again(tx, &row),
                None => Err(JournalError::Unknown),
            })
            .await?;
        self.shared.receipts_wanted.notify_one();
        Ok(())
    }

    async fn account(
        &self,
        envelope: &VerifiedEnvelope,
        class: Class,
        stage: Stage,
        target: Option<(GatewayId, u32)>,
        reason: Option<Reason>,
    ) -> Result<(), JournalError> {
        let journal = self.clone();
        let envelope = envelope.clone();
        let now = Timestamp::now();
        let (target, returns) = target.unzip();
        let told = self
            .store
            .write(move |tx| {
                let row = find_or_insert(tx, &envelope, class, None, now)?;
                journal.release(tx, row.seq)?;
                if returns.is_some_and(|returns| returns != row.attempts) {
                    tracing::warn!(message_id = %row.key.message_id, "came back before its confirm: it stays here");
                    return Ok(None);
                }
                let act = match stage.is_terminal() {
                    true => Act::End(stage),
                    false => Act::Try,
                };
                if let Err(refused) = machine::allow(&row, act) {
                    // another copy of it was faster: what became of that one stands
                    tracing::warn!(message_id = %row.key.message_id, %refused, "not said");
                    return Ok(None);
                }
                tx.run(
                    "UPDATE message SET target = coalesce(?, target), work = NULL, due_at = NULL, held_for = NULL,
                        parked = CASE WHEN ? = 1 THEN NULL ELSE parked END WHERE seq = ?",
                    params![target.as_ref().map(GatewayId::as_str), stage.is_terminal(), row.seq],
                )?;
                tx.run("DELETE FROM sealed WHERE message = ?", params![row.seq])?;
                ledger::set_end(tx, Side::Relayed, &row, stage.is_terminal().then_some((stage, now)))?;
                journal
                    .state(tx, &row, stage, target.as_ref(), reason.as_slice(), now)
                    .map(Some)
            })
            .await?;
        self.tell(told.into_iter().collect());
        self.shared.receipts_wanted.notify_one();
        Ok(())
    }
}

fn seen(conn: &Look<'_>, key: &MessageKey, digest: &Digest) -> Result<Seen, JournalError> {
    let row = MessageRow::find(conn, Side::Relayed, key)?;
    let status = row
        .as_ref()
        .map(|row| facts::status_of(conn, row))
        .transpose()?
        .flatten();
    Ok(Seen {
        returns: row.as_ref().map_or(0, |row| row.attempts),
        heard: status.as_ref().is_some_and(|status| status.reader_spoke),
        known: row.map_or(Known::Nothing, |row| known(row, status, digest)),
        pauses: Pauses::seen(conn)?,
    })
}

fn known(row: MessageRow, status: Option<Status>, digest: &Digest) -> Known {
    if row.envelope_digest != *digest {
        return Known::Conflict;
    }
    let at = status.as_ref().and_then(|status| status.at.clone());
    let ended_here = status.is_some_and(|status| status.stage.is_terminal() && !status.reader_spoke);
    match row.target.or(at) {
        _ if ended_here => Known::Answered,
        _ if row.work == Some(Work::Relay) || row.parked.is_some() => Known::Held,
        Some(target) => Known::Relayed(target),
        // taken note of, and the process ended before anything was said of it
        None => Known::Nothing,
    }
}

/// The broker's row of a message, made when it is seen for the first time, with the class that it has then.
pub(crate) fn find_or_insert(
    tx: &Change<'_>,
    envelope: &VerifiedEnvelope,
    class: Class,
    trace: Option<Trace>,
    now: Timestamp,
) -> Result<MessageRow, JournalError> {
    let key = MessageKey::of(envelope.header());
    if let Some(row) = MessageRow::find(tx, Side::Relayed, &key)? {
        return Ok(row);
    }
    NewMessage {
        keep: false,
        class,
        trace,
        ..NewMessage::of(
            Side::Relayed,
            envelope.header(),
            envelope.digest(),
            envelope.bytes(),
            now,
        )
    }
    .insert(tx)?;
    MessageRow::find(tx, Side::Relayed, &key)?.ok_or(JournalError::Unknown)
}

/// The event about octets that did not verify: nothing in them can be believed, so it names nothing but their digest.
pub(crate) fn refusal(custodian: &CustodianId, bytes_digest: Digest, reason: Reason, now: Timestamp) -> Bytes {
    Event {
        subject: Subject::Bytes(bytes_digest),
        stage: Stage::Undeliverable,
        time: now,
        custodian: custodian.clone(),
        author: None,
        reader: None,
        deputy: None,
        target: None,
        holder: None,
        service: None,
        region: None,
        routing_table: None,
        reasons: vec![reason],
    }
    .to_octets()
}
