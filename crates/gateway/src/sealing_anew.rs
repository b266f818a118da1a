//! Sealing anew: the same content for another key or another reader, under a new id that names the one it replaces.
//!
//! Whether a message may be replaced is custody's rule; what it is replaced by is made here. The gateway reads its own
//! octets with the content key that it kept, seals them for the certificate that the table pins now, and signs. FiledAt
//! and case stay; a reply token of this gateway is made out to the new message and its reader.
//!
//! By order of an operator ([`SealingAnew::order`]), or by rule: [`run`] does it once, by itself, for what was rejected
//! for the reader's key, as soon as the table pins another one. Guarantees: what is opened here is never written down,
//! logged or told. Does not: choose a reader by itself.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use viereck_custody::audit::{Actor, StatedReason};
use viereck_custody::replace::{Order, ReplaceError, Replaceable, Replacement};
use viereck_custody::{CurrentTables, Entry, Journal, JournalError, MessageKey, aside, lanes};
use viereck_envelope::{
    Draft, KeptKey, OpenedEnvelope, OwnOctets, ReplyToken, SealError, SealedEnvelope, Stage, VerifiedEnvelope,
    open_kept, seal_keeping, verify,
};
use viereck_routing::{BehoerdeId, EncryptionKey, MessageId, Tables, day_in_berlin};

use crate::http::form::to_the_millisecond;
use crate::{Config, CurrentKeys};

/// How many are looked at in one go.
const PAGE: usize = 64;

/// What seals anew for one gateway. Cheap to clone.
#[derive(Clone)]
pub struct SealingAnew {
    journal: Journal,
    keys: CurrentKeys,
    tables: CurrentTables,
    /// How long the new message has a purpose.
    purpose: SignedDuration,
}

/// Why a message is not sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum SealAnewError {
    /// It may not be replaced.
    #[error(transparent)]
    NotReplaceable(#[from] ReplaceError),
    /// The stored octets do not verify or do not open.
    #[error("{0}: the stored octets cannot be read")]
    Unreadable(&'static str),
    /// The table has no delivery to this reader for this Leistung, or the reader does not accept this schema.
    #[error("no-delivery: the routing table does not deliver it to {0}")]
    NoDelivery(BehoerdeId),
    /// The reader's certificate is not there or not valid, or the content cannot be sealed.
    #[error("{code}: {0}", code = .0.code())]
    Seal(#[from] SealError),
}

impl SealAnewError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SealAnewError::NotReplaceable(error) => error.code(),
            SealAnewError::Unreadable(code) => code,
            SealAnewError::NoDelivery(_) => "no-delivery",
            SealAnewError::Seal(error) => error.code(),
        }
    }
}

impl From<JournalError> for SealAnewError {
    fn from(error: JournalError) -> Self {
        SealAnewError::NotReplaceable(error.into())
    }
}

impl SealingAnew {
    /// For the gateway of this configuration and what it is given.
    pub fn new(config: &Config, journal: Journal, keys: CurrentKeys, tables: CurrentTables) -> Self {
        Self {
            journal,
            keys,
            tables,
            purpose: SignedDuration::from_hours(24 * i64::from(config.obsolete_after_days)),
        }
    }

    /// Seals a message anew by order of an operator: for its reader's present key, or for another reader. The id of the
    /// new message.
    ///
    /// # Errors
    /// Why not; nothing was changed then.
    pub async fn order(
        &self,
        message: &MessageKey,
        reader: Option<BehoerdeId>,
        actor: Actor,
        reason: StatedReason,
    ) -> Result<MessageId, SealAnewError> {
        let found = self.journal.replaceable(message).await?;
        let tables = self.tables.borrow().clone();
        let verified = self.verified(&found, &tables).await?;
        let reader = reader.unwrap_or_else(|| verified.header().reader.clone());
        let key = encryption_key(&verified, &reader, &tables)?;
        let order = Order { actor, reason };
        self.put(found, verified, reader, key, tables, Some(order)).await
    }

    /// Seals a message anew if its reader has another key now than the one it was sealed for, or another gateway than the
    /// one that turned it away: a Behörde that moved.
    async fn by_rule(&self, message: &MessageKey) -> Result<Option<MessageId>, SealAnewError> {
        let found = self.journal.replaceable(message).await?;
        let tables = self.tables.borrow().clone();
        let verified = self.verified(&found, &tables).await?;
        let reader = verified.header().reader.clone();
        let key = encryption_key(&verified, &reader, &tables)?;
        let delivery = tables.delivery(&reader, &verified.header().service, day_in_berlin(Timestamp::now()));
        let moved = found
            .turned_away_by
            .as_ref()
            .is_some_and(|by| delivery.is_some_and(|delivery| delivery.gateway != *by));
        let same_key = key.certificate().sha256() == verified.recipient() && key.profile() <= verified.header().profile;
        if same_key && !moved {
            return Ok(None);
        }
        self.put(found, verified, reader, key, tables, None).await.map(Some)
    }

    async fn verified(&self, found: &Replaceable, tables: &Arc<Tables>) -> Result<VerifiedEnvelope, SealAnewError> {
        let (bytes, pins, environment) = (found.bytes.clone(), Arc::clone(tables), self.journal.environment());
        let verified = aside(found.bytes.len(), move || {
            verify(bytes, &OwnOctets(&pins), environment, Timestamp::now())
        });
        verified
            .await
            .map_err(|refused| SealAnewError::Unreadable(refused.code()))
    }

    async fn put(
        &self,
        found: Replaceable,
        verified: VerifiedEnvelope,
        reader: BehoerdeId,
        key: EncryptionKey,
        tables: Arc<Tables>,
        order: Option<Order>,
    ) -> Result<MessageId, SealAnewError> {
        let id = MessageId::random();
        let (sealed, token) = {
            let (me, reader, tables) = (self.clone(), reader.clone(), Arc::clone(&tables));
            let content_key = found.content_key.clone();
            aside(found.bytes.len(), move || {
                me.seal(id, &verified, &content_key, reader, &key, &tables)
            })
            .await?
        };
        let (envelope, content_key) = sealed;
        let header = envelope.header();
        let case = self.journal.case_of_author(&header.process_ref).await?;
        let mut case = case.filter(|case| case.author == header.author && case.application == found.key.message_id);
        if let Some(case) = &mut case {
            (case.behoerde, case.application, case.reply_token) = (reader, id, token);
        }
        let replacement = Replacement {
            class: lanes::class_of(header, &tables),
            envelope,
            content_key,
            case,
            order,
        };
        self.journal.replace(&found.key, replacement).await?;
        tracing::info!(message_id = %found.key.message_id, by = %id, "sealed anew");
        Ok(id)
    }

    fn seal(
        &self,
        id: MessageId,
        verified: &VerifiedEnvelope,
        content_key: &KeptKey,
        reader: BehoerdeId,
        key: &EncryptionKey,
        tables: &Tables,
    ) -> Result<((SealedEnvelope, KeptKey), Option<ReplyToken>), SealAnewError> {
        let keys = self.keys.borrow().clone();
        let opened = open_kept(verified, content_key, &keys.keep);
        let opened = opened.map_err(|error| SealAnewError::Unreadable(error.code()))?;
        let now = Timestamp::now();
        let mut draft = Draft::anew(&opened, id, reader, to_the_millisecond(now + self.purpose));
        draft.routing_table = Some(tables.release());
        draft.content.reply_token = self.token(&opened, &draft, now)?;
        let token = draft.content.reply_token.clone();
        let signer = keys.sealer(tables, now)?;
        let sealed = seal_keeping(draft, key, &signer, &keys.keep, now)?;
        Ok((sealed, token))
    }

    /// A token of ours is made out to the new message and its reader; one of another gateway travels back as it came.
    fn token(&self, opened: &OpenedEnvelope, draft: &Draft, now: Timestamp) -> Result<Option<ReplyToken>, SealError> {
        let Some(token) = &opened.content().reply_token else {
            return Ok(None);
        };
        let keys = self.keys.borrow().clone();
        let Ok(mut channel) = keys.reply_tokens.open(token, now) else {
            return Ok(Some(token.clone()));
        };
        (channel.message_id, channel.reader) = (draft.message_id, draft.reader.clone());
        keys.reply_tokens.seal(&channel).map(Some)
    }
}

/// The key for which `reader`'s messages of this kind are sealed today: its own, or its deputy's.
fn encryption_key(
    verified: &VerifiedEnvelope,
    reader: &BehoerdeId,
    tables: &Tables,
) -> Result<EncryptionKey, SealAnewError> {
    let now = Timestamp::now();
    let header = verified.header();
    let delivery = tables.delivery(reader, &header.service, day_in_berlin(now));
    let delivery = delivery.filter(|delivery| {
        *reader == header.reader
            || delivery.accepts.is_empty()
            || delivery.accepts.contains(&header.message_type.schema)
    });
    let delivery = delivery.ok_or_else(|| SealAnewError::NoDelivery(reader.clone()))?;
    let holder = delivery.deputy.as_ref().unwrap_or(reader);
    Ok(tables.sealable_key(reader, holder, now).map_err(SealError::from)?)
}

/// Seals anew by rule, whenever something was rejected or the table has changed, until `shutdown`.
///
/// # Errors
/// Only of the journal, and only what does not pass by itself.
pub(crate) async fn run(anew: SealingAnew, shutdown: CancellationToken) -> Result<(), JournalError> {
    let mut news = anew.journal.subscribe();
    let mut tables = anew.tables.clone();
    let mut changes = true;
    loop {
        if let Some(all) = shutdown.run_until_cancelled(all_by_rule(&anew)).await {
            match all {
                Err(error) if error.may_pass() => {
                    tracing::error!(%error, alarm = "journal-unavailable", "nothing can be sealed anew, again later");
                }
                all => all?,
            }
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                // a closed channel means that no other version will come
                changed = tables.changed(), if changes => {
                    changes = changed.is_ok();
                    if changes { break }
                }
                heard = news.recv() => match heard {
                    Ok(occurrence) if occurrence.stage == Entry::Stage(Stage::Rejected) => break,
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Ok(()),
                    Ok(_) => {}
                },
            }
        }
    }
}

async fn all_by_rule(anew: &SealingAnew) -> Result<(), JournalError> {
    let mut after = 0;
    loop {
        let page = anew.journal.rejected_for_key_or_way(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        for (_, message) in page {
            match anew.by_rule(&message).await {
                Ok(_) => {}
                Err(SealAnewError::NotReplaceable(ReplaceError::Journal(error))) => return Err(error),
                // rejected for another reason, or its content is gone
                Err(SealAnewError::NotReplaceable(_)) => {}
                Err(error) => {
                    tracing::warn!(message_id = %message.message_id, code = error.code(), "it is not sealed anew");
                }
            }
        }
    }
}
