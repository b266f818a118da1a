//! Back into the flow: a message where it was taken out, octets through the same verification as at their first arrival.
//!
//! Guarantees: the reader never changes. A gateway hands over only what the table in force still lets it serve; the broker
//! asks the table for the way anew. Octets that verify now take the way of any others, those that do not stay where they
//! are. What its author's gateway was told is refused stays refused: there it is over, and may have been sealed anew. Does
//! not: open anything, or skip a question that was asked the first time.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use viereck_envelope::{Reason, VerifiedBatch, VerifiedEnvelope, verify_batch};
use viereck_routing::{Class, Digest, GatewayId, MessageId, Tables, day_in_berlin};
use viereck_store::{Change, Look, SqlError, WriteError, params};
use viereck_transport::{Address, Link, LinkError};

use super::ParkedId;
use crate::audit::Verb;
use crate::inbox::{self, Taken};
use crate::machine::{self, Act};
use crate::relay::{Known, find_or_insert};
use crate::rows::{MessageRow, Side, Work};
use crate::{Actor, Journal, JournalError, StatedReason, Step, aside, authorise, lanes};

/// With what parked things are put back.
#[derive(Clone)]
pub struct Means {
    /// The routing table in force now.
    pub tables: Arc<Tables>,
    /// The way on, for receipts that the broker had refused.
    pub link: Link,
}

/// What became of a parked thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Requeued {
    /// It is in the flow again.
    Flowing {
        /// The gateway it was meant for then.
        target_then: Option<GatewayId>,
        /// The gateway of the same Behörde that the table in force names.
        target_now: Option<GatewayId>,
    },
    /// It was known here already: whoever sent it was told the same as before.
    Known,
    /// It verifies, but may not travel: its author's gateway was told why.
    Answered {
        /// Why.
        reason: Reason,
    },
    /// It still does not verify, and stays parked.
    Still {
        /// Why.
        reason: Reason,
    },
}

/// Why a parked thing was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum ParkedError {
    /// Nothing is parked under that name.
    #[error("not-parked: nothing is parked here under this name")]
    NotParked,
    /// The table in force leads to another gateway.
    #[error("reader-elsewhere: by the table in force this gateway does not serve the reader")]
    ReaderElsewhere,
    /// The gateway that octets came from has not been told yet that they were refused.
    #[error("not-told: the gateway it came from has not been told yet")]
    NotTold,
    /// The gateway that octets came from was told that they are refused, and may have sealed the content anew.
    #[error("told: the gateway it came from was told that it is refused, and is to seal it anew")]
    Told,
    /// The link does not take it on.
    #[error("link-unavailable: {0}")]
    Link(#[from] LinkError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<SqlError> for ParkedError {
    fn from(error: SqlError) -> Self {
        ParkedError::Journal(error.into())
    }
}

impl From<WriteError<ParkedError>> for ParkedError {
    fn from(error: WriteError<ParkedError>) -> Self {
        match error {
            WriteError::Refused(error) => error,
            WriteError::Store(error) => ParkedError::Journal(error.into()),
        }
    }
}

impl Requeued {
    /// The word in the audit trail and in a job's results.
    pub fn as_str(&self) -> &'static str {
        match self {
            Requeued::Flowing { .. } => "flowing",
            Requeued::Known => "known",
            Requeued::Answered { .. } => "answered",
            Requeued::Still { .. } => "still",
        }
    }
}

impl Journal {
    /// Puts one parked thing back into the flow, and into the audit trail. Of a message parked at both sides of this
    /// gateway it is the one that came in first.
    ///
    /// # Errors
    /// Nothing was changed then.
    pub async fn requeue(
        &self,
        id: ParkedId,
        means: &Means,
        actor: &Actor,
        reason: &StatedReason,
    ) -> Result<Requeued, ParkedError> {
        let requeued = match id {
            ParkedId::Message(message) => self.requeue_message(message, means, actor, reason).await?,
            ParkedId::Octets(digest) => self.requeue_octets(digest, means, actor, reason).await?,
        };
        self.shared.wake_all();
        Ok(requeued)
    }

    async fn requeue_message(
        &self,
        id: MessageId,
        means: &Means,
        actor: &Actor,
        reason: &StatedReason,
    ) -> Result<Requeued, ParkedError> {
        let (journal, tables) = (self.clone(), means.tables.clone());
        let (actor, reason) = (actor.clone(), reason.clone());
        let now = Timestamp::now();
        let (requeued, told) = self
            .store
            .write(move |change| {
                let row = parked_row(change, id)?;
                let me = journal.custodian();
                let serves = tables.gateway(me).is_some_and(|gateway| gateway.serves(&row.reader));
                if row.side == Side::Taken && !serves {
                    return Err(ParkedError::ReaderElsewhere);
                }
                machine::allow(&row, Act::Requeue)?;
                let work = match row.side {
                    Side::Sent => Work::Publish,
                    Side::Relayed => Work::Relay,
                    Side::Taken => Work::HandOver,
                };
                change.run(
                    "UPDATE message SET work = ?, due_at = ?, deferral = NULL, parked = NULL, parked_at = NULL WHERE seq = ?",
                    params![work.as_str(), now.as_millisecond(), row.seq],
                )?;
                let target_now = tables
                    .delivery(&row.reader, &row.leistung, day_in_berlin(now))
                    .map(|delivery| delivery.gateway.clone());
                if row.side == Side::Relayed {
                    change.run(
                        "UPDATE message SET held_for = ? WHERE seq = ?",
                        params![target_now.as_ref().map(GatewayId::as_str), row.seq],
                    )?;
                }
                let told = journal.step(change, &row, Step::Requeued, target_now.as_ref(), row.parked.as_slice(), now)?;
                journal.audit(change, &actor, Verb::Requeue, &id.to_string(), &reason, work.as_str())?;
                let target_then = match row.side {
                    Side::Taken => Some(me.clone()),
                    Side::Sent | Side::Relayed => row.target.or(row.held_for),
                };
                Ok((Requeued::Flowing { target_then, target_now }, told))
            })
            .await?;
        self.tell(vec![told]);
        Ok(requeued)
    }

    async fn requeue_octets(
        &self,
        digest: Digest,
        means: &Means,
        actor: &Actor,
        reason: &StatedReason,
    ) -> Result<Requeued, ParkedError> {
        let Refused { bytes, origin, cause } = self.refused(digest).await?;
        let requeued = match self.read_again(bytes, means).await {
            Ok(Readable::Envelope(envelope)) => self.envelope_again(*envelope, digest, origin, means).await?,
            Ok(Readable::Receipts(batch, bytes)) => self.receipts_again(*batch, bytes, means).await?,
            Err(why) => Requeued::Still { reason: why },
        };
        let (journal, actor, reason) = (self.clone(), actor.clone(), reason.clone());
        let outcome = match &requeued {
            Requeued::Answered { reason } | Requeued::Still { reason } => format!("{} {reason}", requeued.as_str()),
            Requeued::Flowing { .. } | Requeued::Known => requeued.as_str().to_owned(),
        };
        let stays = matches!(requeued, Requeued::Still { .. });
        // a crash before this leaves the octets parked: requeued once more they are known
        self.store
            .write(move |change| {
                if !stays {
                    forget_octets(change, &digest)?;
                }
                let target = ParkedId::Octets(digest).to_string();
                journal.audit(change, &actor, Verb::Requeue, &target, &reason, &outcome)
            })
            .await
            .map_err(JournalError::from)?;
        tracing::info!(digest = %digest, cause = cause.code(), outcome = requeued.as_str(), "refused octets looked at again");
        Ok(requeued)
    }

    async fn refused(&self, digest: Digest) -> Result<Refused, ParkedError> {
        let found = self.store.read(move |look| {
            look.first(
                "SELECT bytes, origin, reason FROM refused_octets WHERE bytes_digest = ?",
                params![digest.octets()],
                |row| {
                    Ok::<_, JournalError>(Refused {
                        bytes: row.get("bytes")?,
                        origin: crate::rows::name_if_any(row, "origin")?,
                        cause: crate::rows::name(row, "reason")?,
                    })
                },
            )
        });
        found.await.map_err(JournalError::from)?.ok_or(ParkedError::NotParked)
    }

    /// An envelope or a batch of receipts, verified with the table of now.
    async fn read_again(&self, bytes: Bytes, means: &Means) -> Result<Readable, Reason> {
        let now = Timestamp::now();
        let (tables, environment) = (means.tables.clone(), self.environment());
        let refused = match inbox::verify(bytes.clone(), tables.clone(), environment, now).await {
            Ok(envelope) => return Ok(Readable::Envelope(Box::new(envelope))),
            Err(refused) => refused,
        };
        let octets = bytes.clone();
        let batch = aside(bytes.len(), move || {
            verify_batch(octets, tables.as_ref(), environment, now)
        })
        .await;
        batch
            .map(|batch| Readable::Receipts(Box::new(batch), bytes))
            .map_err(|_| refused.reason())
    }

    async fn envelope_again(
        &self,
        envelope: VerifiedEnvelope,
        refused: Digest,
        origin: Option<GatewayId>,
        means: &Means,
    ) -> Result<Requeued, ParkedError> {
        if means.tables.broker(self.custodian()).is_none() {
            return self.taken_again(envelope, means).await;
        }
        // somebody else's message under one's own name stays refused, whatever the table says now
        if origin.is_some_and(|origin| origin != envelope.header().gateway) {
            return Ok(Requeued::Still { reason: Reason::T070 });
        }
        if self
            .store
            .read(move |look| was_told(look, &refused))
            .await
            .map_err(JournalError::from)?
        {
            return Err(ParkedError::Told);
        }
        match self.known(&envelope).await?.known {
            Known::Nothing => {}
            Known::Held => return Ok(Requeued::Known),
            Known::Relayed(_) | Known::Answered => {
                self.answer_again(&envelope).await?;
                return Ok(Requeued::Known);
            }
            Known::Conflict => {
                let reason = Reason::MessageIdConflict;
                return Ok(Requeued::Still { reason });
            }
        }
        let now = Timestamp::now();
        let header = envelope.header();
        let way = means
            .tables
            .delivery(&header.reader, &header.service, day_in_berlin(now));
        let allowed = authorise::at_broker(header, &means.tables, now);
        let class = lanes::class_of(header, &means.tables);
        match (allowed, way) {
            (Err(reason), _) => {
                self.refuse_message(&envelope, reason).await?;
                Ok(Requeued::Answered { reason })
            }
            (Ok(()), None) => {
                let reason = Reason::NoDelivery;
                self.undeliverable(&envelope, class, reason).await?;
                Ok(Requeued::Answered { reason })
            }
            (Ok(()), Some(delivery)) => {
                let gateway = delivery.gateway.clone();
                self.hold_instead(refused, envelope, class, gateway.clone(), now)
                    .await?;
                Ok(Requeued::Flowing {
                    target_then: None,
                    target_now: Some(gateway),
                })
            }
        }
    }

    /// Holds what verifies now, and takes back its refusal, which nobody was told yet.
    async fn hold_instead(
        &self,
        refused: Digest,
        envelope: VerifiedEnvelope,
        class: Class,
        gateway: GatewayId,
        now: Timestamp,
    ) -> Result<(), ParkedError> {
        let journal = self.clone();
        let held = self.store.write(move |tx| {
            // its receipt may have gone out since the look
            if was_told(tx, &refused)? {
                return Err(ParkedError::Told);
            }
            forget_octets(tx, &refused)?;
            let row = find_or_insert(tx, &envelope, class, None, now)?;
            Ok(journal.hold_row(tx, &row, &envelope, &gateway, None, now, now)?)
        });
        self.tell(held.await?.into_iter().collect());
        self.shared.relay_wanted.notify_one();
        Ok(())
    }

    async fn taken_again(&self, envelope: VerifiedEnvelope, means: &Means) -> Result<Requeued, ParkedError> {
        let me = self.custodian().clone();
        let taken = self.take(envelope.bytes().clone(), &me, means.tables.clone()).await?;
        Ok(match taken {
            Taken::New => Requeued::Flowing {
                target_then: Some(me.clone()),
                target_now: Some(me),
            },
            Taken::Repeated => Requeued::Known,
            Taken::Refused(reason) => Requeued::Answered { reason },
            Taken::Parked(reason) => Requeued::Still { reason },
            // it verified a moment ago: a table was replaced in between
            Taken::NotYet => Requeued::Still { reason: Reason::T002 },
        })
    }

    async fn receipts_again(&self, batch: VerifiedBatch, bytes: Bytes, means: &Means) -> Result<Requeued, ParkedError> {
        let (from, to) = (batch.head().custodian.clone(), batch.head().destination.clone());
        if to != *self.custodian() {
            if means.tables.broker(self.custodian()).is_none() {
                return Ok(Requeued::Still {
                    reason: Reason::HeaderMismatch,
                });
            }
            if means.tables.gateway(&to).is_none() {
                return Ok(Requeued::Still {
                    reason: Reason::NoDelivery,
                });
            }
            let address = Address::Receipts { from, to: to.clone() };
            means.link.publish(&address, bytes).await?;
        }
        self.fold_batch(batch, means.tables.clone()).await?;
        Ok(Requeued::Flowing {
            target_then: None,
            target_now: Some(to),
        })
    }
}

/// What refused octets are, now that they verify.
enum Readable {
    Envelope(Box<VerifiedEnvelope>),
    Receipts(Box<VerifiedBatch>, Bytes),
}

struct Refused {
    bytes: Bytes,
    origin: Option<GatewayId>,
    cause: Reason,
}

/// The message of this id that is parked; of two sides the one that came in first.
pub(super) fn parked_row(change: &Change<'_>, id: MessageId) -> Result<MessageRow, ParkedError> {
    change
        .first(
            "SELECT * FROM message WHERE message_id = ? AND parked IS NOT NULL ORDER BY seq LIMIT 1",
            params![id.to_string()],
            MessageRow::read,
        )?
        .ok_or(ParkedError::NotParked)
}

/// Whether the gateway that refused octets came from has its answer.
fn was_told(look: &Look<'_>, digest: &Digest) -> Result<bool, JournalError> {
    Ok(look.exists(
        "SELECT 1 FROM refused_octets WHERE bytes_digest = ? AND origin IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM refusal_due WHERE refusal = refused_octets.seq)",
        params![digest.octets()],
    )?)
}

/// Takes octets out of the journal, with what was still to be told about them.
pub(super) fn forget_octets(change: &Change<'_>, digest: &Digest) -> Result<(), JournalError> {
    change.run(
        "DELETE FROM refusal_due WHERE refusal IN (SELECT seq FROM refused_octets WHERE bytes_digest = ?)",
        params![digest.octets()],
    )?;
    change.run(
        "DELETE FROM refused_octets WHERE bytes_digest = ?",
        params![digest.octets()],
    )?;
    Ok(())
}
