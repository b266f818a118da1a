//! Sealing anew: another message takes the place of one that did not and will not reach its reader.
//!
//! Only what was surely never published, or has ended as undeliverable, expired, or rejected for the reader's key or for
//! the way it came, may be replaced: never what is overdue, because somebody may have it. The new message names the old one (`Replaces`) in its
//! header, belongs to the same case and has the same FiledAt; the client's id stays that of the first, whose status is
//! that of the newest. The reader's gateway takes one of the two, whichever way they meet there.
//!
//! Guarantees: the old one's end, the new one's promise and the case are one transaction, and the rule is asked inside
//! it; a message that is just being published is not replaced. Does not: read a content or seal, the gateway does.

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{Header, KeptKey, Reason, SealedEnvelope, Stage};
use viereck_routing::{Class, CustodianId, MessageId};
use viereck_store::{Change, Look, params};

use crate::audit::{Actor, StatedReason, Verb};
use crate::cases::{self, Case};
use crate::claims::Candidate;
use crate::journal::{MessageKey, Occurrence};
use crate::machine::State;
use crate::rows::{self, MessageRow, NewMessage, Side, Work};
use crate::step::Step;
use crate::{Journal, JournalError, facts};

/// What the gateway needs to seal a message anew.
#[derive(Debug, Clone)]
pub struct Replaceable {
    /// Which one.
    pub key: MessageKey,
    /// The octets as they were sealed.
    pub bytes: Bytes,
    /// The key with which this gateway reads them.
    pub content_key: KeptKey,
    /// The gateway that said at its door that it does not serve the reader, if that is why it ended.
    pub turned_away_by: Option<CustodianId>,
}

/// The message that takes the place of another one.
#[derive(Debug)]
pub struct Replacement {
    /// Sealed anew, naming the one it replaces.
    pub envelope: SealedEnvelope,
    /// Its content key.
    pub content_key: KeptKey,
    /// The lane in which it waits.
    pub class: Class,
    /// The case as it stands from now on, where the replaced message opened one.
    pub case: Option<Case>,
    /// Who ordered it; nobody where it goes by rule.
    pub order: Option<Order>,
}

/// An order of an operator.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: StatedReason,
}

/// Why a message is not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// No message of this id was sent from here.
    #[error("message-unknown: no such message was sent from here")]
    Unknown,
    /// It was published, or may have been, and has not ended: somebody may have it.
    #[error("message-living: it was published and has not ended")]
    Living,
    /// It ended in a way that sealing anew does not mend.
    #[error("message-ended: it has ended as {0}")]
    Ended(Stage),
    /// It was rejected for something else than the reader's key or the way it came.
    #[error("not-mended: it was rejected for {}", rows::reasons_text(.0))]
    NotMended(Vec<Reason>),
    /// Another one has taken its place already.
    #[error("message-replaced: {0} has taken its place")]
    Replaced(MessageId),
    /// The journal no longer has its content, or never had its key.
    #[error("no-content: the content can no longer be read here")]
    NoContent,
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl ReplaceError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ReplaceError::Unknown => "message-unknown",
            ReplaceError::Living => "message-living",
            ReplaceError::Ended(_) => "message-ended",
            ReplaceError::NotMended(_) => "not-mended",
            ReplaceError::Replaced(_) => "message-replaced",
            ReplaceError::NoContent => "no-content",
            ReplaceError::Journal(_) => "journal-unavailable",
        }
    }
}

impl From<viereck_store::SqlError> for ReplaceError {
    fn from(error: viereck_store::SqlError) -> Self {
        ReplaceError::Journal(error.into())
    }
}

impl From<viereck_store::StoreError> for ReplaceError {
    fn from(error: viereck_store::StoreError) -> Self {
        ReplaceError::Journal(error.into())
    }
}

impl From<viereck_store::WriteError<ReplaceError>> for ReplaceError {
    fn from(error: viereck_store::WriteError<ReplaceError>) -> Self {
        match error {
            viereck_store::WriteError::Refused(error) => error,
            viereck_store::WriteError::Store(error) => error.into(),
        }
    }
}

impl Journal {
    /// A message that was sent from here and may be replaced.
    ///
    /// # Errors
    /// Why it may not.
    pub async fn replaceable(&self, key: &MessageKey) -> Result<Replaceable, ReplaceError> {
        let key = key.clone();
        let found = self.store.read(move |conn| {
            let row = MessageRow::find(conn, Side::Sent, &key)?.ok_or(ReplaceError::Unknown)?;
            may_be_replaced(conn, &row)?;
            let content_key = kept_key(conn, row.seq)?;
            let bytes = rows::sealed(conn, row.seq)?;
            let (bytes, content_key) = bytes.zip(content_key).ok_or(ReplaceError::NoContent)?;
            Ok::<_, ReplaceError>(Replaceable {
                turned_away_by: turned_away_by(conn, &row)?,
                key,
                bytes,
                content_key,
            })
        });
        found.await.map_err(ReplaceError::from)
    }

    /// Puts `replacement` in the place of `old`: on disk when it returns, and due to be published.
    ///
    /// # Errors
    /// Why `old` may not be replaced; nothing was changed then.
    pub async fn replace(&self, old: &MessageKey, replacement: Replacement) -> Result<(), ReplaceError> {
        // in nobody's hands while it is decided: whoever publishes it now keeps it
        let claimed = old.clone();
        let ours = self.claim(Side::Sent, move |conn, taken| {
            let row = MessageRow::find(conn, Side::Sent, &claimed)?;
            let free = row.filter(|row| row.ended.is_none() && row.work.is_some() && !taken.contains(row.seq));
            Ok(free.map(|row| Candidate::new(&row, ())).into_iter().collect())
        });
        let ours = !ours.await?.is_empty();
        let (journal, key) = (self.clone(), old.clone());
        let replaced = self.store.write(move |tx| {
            let row = MessageRow::find(tx, Side::Sent, &key)?.ok_or(ReplaceError::Unknown)?;
            if row.ended.is_none() && row.work.is_some() && !ours {
                return Err(ReplaceError::Living);
            }
            may_be_replaced(tx, &row)?;
            // erased since it was read: its author has it, and may have filed it again
            if !rows::is_sealed_here(tx, row.seq)? {
                return Err(ReplaceError::NoContent);
            }
            Ok(journal.exchange(tx, &row, &replacement, Timestamp::now())?)
        });
        let replaced = replaced.await;
        if ours {
            self.put_down(Side::Sent, old);
        }
        self.tell(replaced?);
        self.shared.publish_wanted.notify_one();
        Ok(())
    }

    fn exchange(
        &self,
        tx: &Change<'_>,
        old: &MessageRow,
        replacement: &Replacement,
        now: Timestamp,
    ) -> Result<Vec<Occurrence>, JournalError> {
        let envelope = &replacement.envelope;
        let header = envelope.header();
        let mut told = vec![];
        self.release(tx, old.seq)?;
        // before its end is stated, which is not the end of the submission
        tx.run(
            "UPDATE message SET replaced_by = ? WHERE seq = ?",
            params![header.message_id.to_string(), old.seq],
        )?;
        if old.ended.is_none() {
            told.push(self.state(tx, old, Stage::Withdrawn, None, &[Reason::Replaced], now)?);
        }
        tx.run("DELETE FROM sealed WHERE message = ?", params![old.seq])?;
        told.push(self.step(tx, old, Step::Replaced, None, &[], now)?);
        if let Some(Order { actor, reason }) = &replacement.order {
            let (target, outcome) = (old.key.message_id.to_string(), header.message_id.to_string());
            self.audit(tx, actor, Verb::SealAnew, &target, reason, &outcome)?;
        }
        NewMessage {
            owner: old.owner.as_deref(),
            work: Some((Work::Publish, now)),
            class: replacement.class,
            content_key: Some(&replacement.content_key),
            reference: reference(tx, old.seq)?,
            trace: old.trace,
            ..NewMessage::of(Side::Sent, header, envelope.digest(), envelope.bytes(), now)
        }
        .insert(tx)?;
        if let Some(case) = &replacement.case {
            case.replace(tx, cases::Side::Author)?;
        }
        let row = MessageRow::find(tx, Side::Sent, &MessageKey::of(header))?.ok_or(JournalError::Unknown)?;
        told.push(self.state(tx, &row, Stage::Received, None, &[], now)?);
        Ok(told)
    }

    /// Rejected messages, perhaps for the reader's key or the way they came, that nobody has replaced and that replace none
    /// themselves, the oldest first, from behind the number `after` on: what the rule seals anew once, as soon as the table
    /// has another key or another gateway for their reader.
    pub async fn rejected_for_key_or_way(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, MessageKey)>, JournalError> {
        let found = self.store.survey(move |conn| {
            let rows = conn.all(
                // the words stand in the text, or the index of just these rows would not serve
                "SELECT message.* FROM message JOIN sealed ON sealed.message = message.seq
                 WHERE side = 'sent' AND ended = 'rejected' AND replaced_by IS NULL AND replaces IS NULL
                 AND content_key IS NOT NULL AND seq > ? ORDER BY seq LIMIT ?",
                params![after, limit as i64],
                MessageRow::read,
            )?;
            Ok::<_, JournalError>(rows.into_iter().map(|row| (row.seq, row.key)).collect())
        });
        Ok(found.await?)
    }
}

/// The rule.
fn may_be_replaced(conn: &Look<'_>, row: &MessageRow) -> Result<(), ReplaceError> {
    if let Some(by) = row.replaced_by {
        return Err(ReplaceError::Replaced(by));
    }
    let Some(ended) = row.ended else {
        return match State::of(row) {
            State::Waiting | State::Parked => Ok(()),
            State::Tried | State::ParkedTried | State::Ended => Err(ReplaceError::Living),
        };
    };
    match ended {
        Stage::Undeliverable | Stage::Expired => Ok(()),
        Stage::Rejected => {
            let reasons = facts::status_of(conn, row)?.map_or_else(Vec::new, |status| status.reasons);
            let mends = |reason: &Reason| reason.is_of_readers_key() || reason.is_of_the_way();
            match !reasons.is_empty() && reasons.iter().all(mends) {
                true => Ok(()),
                false => Err(ReplaceError::NotMended(reasons)),
            }
        }
        ended => Err(ReplaceError::Ended(ended)),
    }
}

fn turned_away_by(conn: &Look<'_>, row: &MessageRow) -> Result<Option<CustodianId>, JournalError> {
    let status = facts::status_of(conn, row)?.filter(|status| status.reasons == [Reason::T080]);
    Ok(status.map(|status| status.holder))
}

/// The key of sealed octets, where they were sealed here.
pub(crate) fn kept_key(conn: &Look<'_>, seq: i64) -> Result<Option<KeptKey>, JournalError> {
    let octets = conn.first(
        "SELECT content_key FROM sealed WHERE message = ?",
        params![seq],
        |row| row.at::<Option<Vec<u8>>>(0),
    )?;
    Ok(octets.flatten().and_then(|octets| KeptKey::from_octets(&octets)))
}

fn reference(conn: &Look<'_>, seq: i64) -> Result<Option<viereck_routing::Digest>, JournalError> {
    let octets = conn.first("SELECT reference FROM message WHERE seq = ?", params![seq], |row| {
        row.at::<Option<[u8; 32]>>(0)
    })?;
    Ok(octets.flatten().map(viereck_routing::Digest::from_octets))
}

/// What the reader's gateway finds of the messages that `header` replaces, or is replaced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// Nothing that stands in its way.
    Nothing,
    /// A message that replaces it was taken before.
    Replaced,
    /// What it replaces has been handed over.
    HandedOver,
    /// What it replaces may have been handed over: an attempt has begun.
    Living,
    /// What it replaces waits and was never tried: that one ends.
    Waiting(i64),
}

/// Each part by its own index, and the rows of those few: in one condition, or joined in the other order (which a cross
/// join rules out), it would be a look at everything the author ever sent here.
const CHAIN: &str = "SELECT message.* FROM (
        SELECT seq FROM message WHERE message_id = ?
        UNION SELECT seq FROM message WHERE replaces = ?
        UNION SELECT seq FROM message WHERE case_id = ? AND kind = ? AND kind = 'application'
    ) AS chain CROSS JOIN message
    WHERE message.seq = chain.seq AND message.side = 'taken' AND message.author = ? AND message.message_id <> ?
    ORDER BY message.seq";

/// Looks for the other messages of `header`'s chain among those taken here. An application has a case of its own, so its
/// whole case is looked at: a chain counts even where one of its links never came.
pub(crate) fn meet(conn: &Look<'_>, header: &Header) -> Result<Met, JournalError> {
    let of_chain = conn.all(
        CHAIN,
        params![
            header.replaces.map(|id| id.to_string()),
            header.message_id.to_string(),
            header.process_ref.to_string(),
            header.kind.as_str(),
            header.author.as_str(),
            header.message_id.to_string()
        ],
        |row| {
            Ok::<_, JournalError>((
                MessageRow::read(row)?,
                row.get::<Option<String>>("replaces")?,
                rows::instant(row, "obsolete_after")?,
            ))
        },
    )?;
    let me = header.message_id.to_string();
    let mut met = Met::Nothing;
    for (row, replaces, obsolete_after) in &of_chain {
        // whoever was sealed later replaces; times count anew with each sealing
        if replaces.as_ref() == Some(&me) || replaces.is_some() && *obsolete_after > header.obsolete_after {
            return Ok(Met::Replaced);
        }
        if header.replaces.is_none() {
            continue;
        }
        met = match (State::of(row), row.ended) {
            (_, Some(Stage::Accepted | Stage::Transferred)) => return Ok(Met::HandedOver),
            (State::Ended, _) => met,
            (State::Tried | State::ParkedTried, _) => Met::Living,
            (State::Waiting | State::Parked, _) if met == Met::Living => met,
            (State::Waiting | State::Parked, _) => Met::Waiting(row.seq),
        };
    }
    Ok(met)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{journal, searches};

    #[tokio::test]
    async fn a_chain_is_found_by_seeks_however_much_its_author_ever_sent() {
        let (_dir, journal) = journal("gw-r").await;
        let steps = searches(&journal, CHAIN).await;
        assert!(
            steps
                .iter()
                .any(|step| step == "SEARCH message USING INTEGER PRIMARY KEY (rowid=?)"),
            "{steps:?}"
        );
        assert!(!steps.iter().any(|step| step.contains("author=?")), "{steps:?}");
    }
}
