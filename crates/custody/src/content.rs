//! What nobody took over: the content of a message that has ended lies at its author's gateway until its author has it.
//!
//! Two acts, because a broken connection must not destroy the only copy: [`Journal::kept_content`] gives it out and changes
//! nothing, however often it is asked; [`Journal::erase_content`] is for the author who has it, or for an operator who
//! says that nobody wants it any more.
//!
//! Guarantees: what has not ended, and what somebody took over, is not given out and not erased here; octets and content
//! key go in one transaction with the step `erased`, and with the line of the audit trail where an operator ordered it; from
//! what is erased nothing is sealed anew. Does not: open anything, the gateway does; or erase by itself, see
//! [`crate::retention`].

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{KeptKey, Stage};
use viereck_store::{Change, Look, SqlError, StoreError, WriteError, params};

use crate::audit::Verb;
use crate::journal::{MessageKey, Occurrence};
use crate::replace::{self, Order};
use crate::rows::{self, MessageRow, Side};
use crate::step::Step;
use crate::{Journal, JournalError, facts};

/// What its author's gateway needs to give a content back.
#[derive(Debug, Clone)]
pub struct KeptContent {
    /// The octets as they were sealed.
    pub bytes: Bytes,
    /// The key with which this gateway reads them.
    pub content_key: KeptKey,
}

/// Why a content is neither given out nor erased.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// No message of this id was sent from here.
    #[error("message-unknown: no such message was sent from here")]
    Unknown,
    /// It has not ended: somebody may take it over yet.
    #[error("content-in-flight: the message has not ended")]
    InFlight,
    /// Somebody took the message over, or the content was erased or sealed anew.
    #[error("content-not-kept: the content is no longer here")]
    NotKept,
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<SqlError> for ContentError {
    fn from(error: SqlError) -> Self {
        ContentError::Journal(error.into())
    }
}

impl From<StoreError> for ContentError {
    fn from(error: StoreError) -> Self {
        ContentError::Journal(error.into())
    }
}

impl From<WriteError<ContentError>> for ContentError {
    fn from(error: WriteError<ContentError>) -> Self {
        match error {
            WriteError::Refused(error) => error,
            WriteError::Store(error) => error.into(),
        }
    }
}

impl Journal {
    /// The content of a message that was sent from here and has ended without being taken over.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn kept_content(&self, key: &MessageKey) -> Result<KeptContent, ContentError> {
        let key = key.clone();
        let found = self.store.read(move |look| {
            let row = left_over(look, &key)?;
            let content_key = replace::kept_key(look, row.seq)?;
            let kept = rows::sealed(look, row.seq)?.zip(content_key);
            let (bytes, content_key) = kept.ok_or(ContentError::NotKept)?;
            Ok::<_, ContentError>(KeptContent { bytes, content_key })
        });
        found.await.map_err(ContentError::from)
    }

    /// Erases the content of a message that has ended without being taken over: its author has it, or an operator orders it.
    ///
    /// # Errors
    /// Nothing was changed then. [`ContentError::NotKept`] when there is nothing to erase, as after the first time.
    pub async fn erase_content(&self, key: &MessageKey, order: Option<Order>) -> Result<(), ContentError> {
        let (journal, key) = (self.clone(), key.clone());
        let erased = self.store.write(move |change| {
            let row = left_over(change, &key)?;
            if !rows::is_sealed_here(change, row.seq)? {
                return Err(ContentError::NotKept);
            }
            if let Some(Order { actor, reason }) = &order {
                let target = row.key.message_id.to_string();
                journal.audit(change, actor, Verb::Erase, &target, reason, Step::Erased.as_str())?;
            }
            Ok(journal.erase_sealed(change, &row, Timestamp::now())?)
        });
        self.tell(vec![erased.await?]);
        Ok(())
    }

    /// How many messages that ended before `until` lie here because nobody read or fetched them, and when the first ended.
    pub async fn unread_kept(&self, until: Timestamp) -> Result<Option<(u64, Timestamp)>, JournalError> {
        Ok(self.store.read(move |look| unread_kept(look, until)).await?)
    }

    /// The sealed octets of a row and their key go, and their going is a step in the message's story.
    pub(crate) fn erase_sealed(
        &self,
        change: &Change<'_>,
        row: &MessageRow,
        now: Timestamp,
    ) -> Result<Occurrence, JournalError> {
        change.run("DELETE FROM sealed WHERE message = ?", params![row.seq])?;
        self.step(change, row, Step::Erased, None, &[], now)
    }
}

/// The row of a message that has ended without being taken over.
fn left_over(look: &Look<'_>, key: &MessageKey) -> Result<MessageRow, ContentError> {
    let row = MessageRow::find(look, Side::Sent, key)?.ok_or(ContentError::Unknown)?;
    match row.ended {
        None => Err(ContentError::InFlight),
        Some(ended) if was_taken_over(ended) => Err(ContentError::NotKept),
        Some(_) => Ok(row),
    }
}

/// Whether an end means that a Behörde has the content.
fn was_taken_over(ended: Stage) -> bool {
    matches!(ended, Stage::Accepted | Stage::Transferred)
}

/// Whether the content of `row` is here for its author to fetch.
pub(crate) fn is_kept(look: &Look<'_>, row: &MessageRow) -> Result<bool, JournalError> {
    let left_over = row.side == Side::Sent && row.ended.is_some_and(|ended| !was_taken_over(ended));
    Ok(left_over && rows::is_sealed_here(look, row.seq)?)
}

/// Whether a message of the own author ended before anybody at its reader's side may have read it.
pub(crate) fn is_unread(look: &Look<'_>, row: &MessageRow) -> Result<bool, JournalError> {
    Ok(match row.ended {
        Some(Stage::Expired | Stage::Undeliverable | Stage::Withdrawn) => true,
        Some(Stage::Rejected) => facts::status_of(look, row)?
            .is_some_and(|status| status.reasons.iter().any(|reason| reason.leaves_content_unread())),
        _ => false,
    })
}

/// How many messages that ended before `until` are kept because they are unread, and when the first ended. `until` lies so
/// far back that retention has erased what was read.
pub(crate) fn unread_kept(look: &Look<'_>, until: Timestamp) -> Result<Option<(u64, Timestamp)>, JournalError> {
    let counted = look.first(
        "SELECT count(*) AS messages, min(ended_at) AS first FROM message
         WHERE side = 'sent' AND ended <> 'accepted' AND replaced_by IS NULL AND ended_at <= ?
         AND EXISTS (SELECT 1 FROM sealed WHERE sealed.message = message.seq)",
        params![until.as_millisecond()],
        |row| {
            let messages = row.get::<i64>("messages")?.cast_unsigned();
            Ok::<_, JournalError>((messages, rows::instant_if_any(row, "first")?))
        },
    )?;
    Ok(counted.and_then(|(messages, first)| Some((messages, first?))))
}
