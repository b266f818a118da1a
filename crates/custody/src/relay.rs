//! The broker's account: what it relayed where, what came back, what it refused.
//!
//! The broker holds a message only between the link's delivery and the next hop's confirm, so its journal keeps events
//! and no octets, but for what it must hold: octets that do not verify. Its word `relayed` names the gateway the
//! message went to; a repeat goes there again or nowhere.

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{Event, Reason, Stage, Subject, VerifiedEnvelope};
use viereck_routing::{CustodianId, Digest, GatewayId};
use viereck_store::{Change, params};

use crate::facts;
use crate::journal::MessageKey;
use crate::rows::{MessageRow, NewMessage, Side};
use crate::step::Step;
use crate::{Journal, JournalError, ledger};

/// What the broker knows of a message before it relays it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: relay it.
    Nothing,
    /// Relayed before, and the reader's gateway has not spoken: the same octets go to the same target again.
    Relayed(GatewayId),
    /// Over, or the reader's gateway has it: only the old receipts go out again.
    Answered,
    /// The id stands for other octets: refused.
    Conflict,
}

/// What the broker is to do with a message that came back unrouted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// It is in custody again; this is the how many-eth return.
    Again(u32),
    /// The reader's gateway has spoken, or it has ended: nothing to do.
    Over,
}

impl Journal {
    /// Looks a message up before it is relayed.
    pub async fn known(&self, envelope: &VerifiedEnvelope) -> Result<Known, JournalError> {
        let key = key_of(envelope);
        let digest = envelope.digest();
        let known = self.store.read(move |conn| {
            let Some(row) = MessageRow::find(conn, Side::Relayed, &key)? else {
                return Ok(Known::Nothing);
            };
            if row.envelope_digest != digest {
                return Ok(Known::Conflict);
            }
            let spoken =
                facts::status_of(conn, &row)?.is_some_and(|status| status.reader_spoke || status.stage.is_terminal());
            match row.target {
                Some(target) if !spoken => Ok(Known::Relayed(target)),
                _ => Ok::<_, JournalError>(Known::Answered),
            }
        });
        Ok(known.await?)
    }

    /// The next hop has confirmed it: `relayed` is committed, with the target.
    pub async fn relayed(&self, envelope: &VerifiedEnvelope, target: GatewayId) -> Result<(), JournalError> {
        self.account(envelope, Stage::Relayed, Some(target), None).await
    }

    /// It goes no further: `undeliverable` is committed with the reason. Of a message that stands as relayed this is
    /// only to be said once custody has come back.
    pub async fn undeliverable(&self, envelope: &VerifiedEnvelope, reason: Reason) -> Result<(), JournalError> {
        self.account(envelope, Stage::Undeliverable, None, Some(reason)).await
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
        let key = key_of(envelope);
        self.store
            .write(move |tx| match MessageRow::find(tx, Side::Relayed, &key)? {
                Some(row) => journal.state_again(tx, &row),
                None => Err(JournalError::Unknown),
            })
            .await?;
        self.shared.receipts_wanted.notify_one();
        Ok(())
    }

    /// A relayed message came back because its target is not bound: custody is the broker's again.
    pub async fn returned(&self, envelope: &VerifiedEnvelope) -> Result<Returned, JournalError> {
        let journal = self.clone();
        let envelope = envelope.clone();
        let now = Timestamp::now();
        let (returned, told) = self
            .store
            .write(move |tx| {
                let row = find_or_insert(tx, &envelope, None, now)?;
                let status = facts::status_of(tx, &row)?;
                if status.is_some_and(|status| status.reader_spoke || status.stage.is_terminal()) {
                    return Ok((Returned::Over, vec![]));
                }
                tx.run(
                    "UPDATE message SET target = NULL, attempts = attempts + 1 WHERE seq = ?",
                    params![row.seq],
                )?;
                let told = journal.step(tx, &row, Step::Returned, row.target.as_ref(), &[], now)?;
                Ok::<_, JournalError>((Returned::Again(row.attempts + 1), vec![told]))
            })
            .await?;
        self.tell(told);
        Ok(returned)
    }

    async fn account(
        &self,
        envelope: &VerifiedEnvelope,
        stage: Stage,
        target: Option<GatewayId>,
        reason: Option<Reason>,
    ) -> Result<(), JournalError> {
        let journal = self.clone();
        let envelope = envelope.clone();
        let now = Timestamp::now();
        let told = self
            .store
            .write(move |tx| {
                let row = find_or_insert(tx, &envelope, target.as_ref(), now)?;
                if row.ended.is_none() {
                    tx.run(
                        "UPDATE message SET target = coalesce(?, target) WHERE seq = ?",
                        params![target.as_ref().map(GatewayId::as_str), row.seq],
                    )?;
                    ledger::set_end(tx, Side::Relayed, &row, stage.is_terminal().then_some((stage, now)))?;
                }
                journal.state(tx, &row, stage, target.as_ref(), reason.as_slice(), now)
            })
            .await?;
        self.tell(vec![told]);
        self.shared.receipts_wanted.notify_one();
        Ok(())
    }
}

fn find_or_insert(
    tx: &Change<'_>,
    envelope: &VerifiedEnvelope,
    target: Option<&GatewayId>,
    now: Timestamp,
) -> Result<MessageRow, JournalError> {
    let key = key_of(envelope);
    if let Some(row) = MessageRow::find(tx, Side::Relayed, &key)? {
        return Ok(row);
    }
    NewMessage {
        target: target.map(GatewayId::as_str),
        keep: false,
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

fn key_of(envelope: &VerifiedEnvelope) -> MessageKey {
    let header = envelope.header();
    MessageKey {
        author: header.author.clone(),
        message_id: header.message_id,
    }
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
