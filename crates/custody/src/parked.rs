//! What is parked at a custodian, and what operators do with it.
//!
//! Two kinds of things wait here: messages that were taken out of the flow with a reason, and octets that did not verify,
//! of which nothing is believed. Both are named, grouped by cause and shown oldest first. [`requeue`](Journal::requeue)
//! puts a thing back into the flow, [`discard`](Journal::discard) ends it; both are audited in their own transaction.
//!
//! Guarantees: what is shown is what the clear header says, never content; a requeue never changes the reader, only the
//! gateway of the same Behörde, which is computed anew and shown beside the one then ([`Parked::target_now`]).

mod discard;
mod requeue;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use viereck_envelope::Reason;
use viereck_routing::{
    BehoerdeId, CaseId, CustodianId, Digest, GatewayId, Kind, LeistungId, MessageId, Region, Tables, day_in_berlin,
};
use viereck_store::{Look, Row, params};

use crate::rows::{self, Side};
use crate::{Journal, JournalError};

pub use requeue::{Means, ParkedError, Requeued};

/// What names a parked thing: the id of a message, or the SHA-256 of octets that did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParkedId {
    /// A message.
    Message(MessageId),
    /// Octets.
    Octets(Digest),
}

/// A name of a parked thing that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a message, or the SHA-256 of refused octets")]
pub struct InvalidParkedId;

/// Which parked things are meant; what is not set does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    /// Why they are parked.
    pub cause: Option<Reason>,
    /// For whom they are; excludes octets, of which nobody knows.
    pub reader: Option<BehoerdeId>,
    /// The Leistung; excludes octets.
    pub leistung: Option<LeistungId>,
}

/// One parked thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// Its name.
    pub id: ParkedId,
    /// Who holds it.
    pub custodian: CustodianId,
    /// Why it is parked.
    pub cause: Reason,
    /// The same as a sentence.
    pub sentence: &'static str,
    /// Since when.
    pub parked_at: Timestamp,
    /// Octets it has.
    pub size: u64,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    #[serde(skip)]
    place: Place,
}

/// What is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum What {
    /// A message whose envelope verified.
    Message(Box<ParkedMessage>),
    /// Octets that did not verify: nothing in them is believed.
    #[serde(rename_all = "camelCase")]
    Octets {
        /// The gateway under whose name they came, where that is known; it was told.
        origin: Option<GatewayId>,
    },
}

/// What the clear header and the journal say of a parked message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedMessage {
    /// From which side this custodian sees it: sent, relayed or taken.
    pub side: &'static str,
    /// Its case.
    pub case_id: CaseId,
    /// What it is within the case.
    pub kind: Kind,
    /// Who wrote it.
    pub author: BehoerdeId,
    /// For whom it is.
    pub reader: BehoerdeId,
    /// The Leistung.
    pub leistung: LeistungId,
    /// The region whose entry decided.
    pub region: Option<Region>,
    /// The author's gateway.
    pub gateway: GatewayId,
    /// When the application was filed.
    pub filed_at: Timestamp,
    /// When it loses its purpose.
    pub obsolete_after: Timestamp,
    /// Tries so far.
    pub attempts: u32,
    /// The gateway that it was meant for then: where it is, at the reader's side.
    pub target: Option<GatewayId>,
    /// The release of the routing table that routed it.
    pub routing_table: Option<Digest>,
}

/// Everything that is parked for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Who holds it.
    pub custodian: CustodianId,
    /// Why it is parked.
    pub cause: Reason,
    /// The same as a sentence.
    pub sentence: &'static str,
    /// How many messages.
    pub messages: u64,
    /// How many octets that did not verify.
    pub octets: u64,
    /// Since when the oldest has been parked.
    pub oldest: Timestamp,
}

/// A place in the order of parked things: oldest first. Text for whoever pages on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    at: i64,
    /// Twice the row's number, one more for octets: no two things share it.
    rank: i64,
}

impl Parked {
    /// Where whoever pages on continues.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The gateway to which the table in force leads a message for this reader and Leistung; what it is compared with is
    /// [`ParkedMessage::target`].
    pub fn target_now(&self, tables: &Tables, now: Timestamp) -> Option<GatewayId> {
        match &self.what {
            What::Message(message) => tables
                .delivery(&message.reader, &message.leistung, day_in_berlin(now))
                .map(|delivery| delivery.gateway.clone()),
            What::Octets { .. } => None,
        }
    }
}

impl Journal {
    /// What is parked here, oldest first, after `after`, at most `limit`.
    pub async fn parked(&self, filter: &Filter, after: Place, limit: usize) -> Result<Vec<Parked>, JournalError> {
        let (custodian, filter) = (self.custodian().clone(), filter.clone());
        Ok(self
            .store
            .read(move |look| select(look, &custodian, &filter, after, limit))
            .await?)
    }

    /// The parked things of this name: one message may be parked at both sides of one gateway.
    pub async fn parked_of(&self, id: ParkedId) -> Result<Vec<Parked>, JournalError> {
        let custodian = self.custodian().clone();
        Ok(self.store.read(move |look| find(look, &custodian, id)).await?)
    }

    /// What is parked here, by cause, the group with the oldest first.
    pub async fn parked_groups(&self) -> Result<Vec<Group>, JournalError> {
        let custodian = self.custodian().clone();
        let groups = self.store.read(move |look| {
            look.all(
                "SELECT cause, CAST(sum(messages) AS BIGINT) AS messages, CAST(sum(octets) AS BIGINT) AS octets,
                    min(oldest) AS oldest
                 FROM (
                    SELECT parked AS cause, count(*) AS messages, 0 AS octets, min(coalesce(parked_at, entered_at)) AS oldest
                    FROM message WHERE parked IS NOT NULL GROUP BY parked
                    UNION ALL
                    SELECT reason, 0, count(*), min(time) FROM refused_octets GROUP BY reason
                 ) AS parts GROUP BY cause ORDER BY oldest, cause",
                params![],
                |row| {
                    let cause: Reason = rows::name(row, "cause")?;
                    Ok::<_, JournalError>(Group {
                        custodian: custodian.clone(),
                        cause,
                        sentence: cause.sentence(),
                        messages: row.get::<i64>("messages")?.cast_unsigned(),
                        octets: row.get::<i64>("octets")?.cast_unsigned(),
                        oldest: rows::instant(row, "oldest")?,
                    })
                },
            )
        });
        Ok(groups.await?)
    }

    /// The octets behind a parked thing that did not verify, for whoever looks at what they claim.
    pub async fn refused_octets(&self, digest: Digest) -> Result<Option<bytes::Bytes>, JournalError> {
        let octets = self.store.read(move |look| {
            look.first(
                "SELECT bytes FROM refused_octets WHERE bytes_digest = ?",
                params![digest.octets()],
                |row| Ok::<_, JournalError>(row.get("bytes")?),
            )
        });
        Ok(octets.await?)
    }
}

const MESSAGE: &str = "SELECT message.*, coalesce(parked_at, entered_at) AS since,
    coalesce((SELECT length(bytes) FROM sealed WHERE sealed.message = message.seq), 0) AS size FROM message";

const OCTETS: &str = "SELECT seq, bytes_digest, origin, reason, time, length(bytes) AS size FROM refused_octets";

/// Two looks, each bounded, put together in their order.
fn select(
    look: &Look<'_>,
    custodian: &CustodianId,
    filter: &Filter,
    after: Place,
    limit: usize,
) -> Result<Vec<Parked>, JournalError> {
    let cause = filter.cause.map(Reason::code).unwrap_or_default();
    let reader = filter.reader.as_ref().map(BehoerdeId::as_str).unwrap_or_default();
    let leistung = filter.leistung.as_ref().map(LeistungId::as_str).unwrap_or_default();
    let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut parked = look.all(
        &format!(
            "{MESSAGE} WHERE parked IS NOT NULL AND (? = '' OR parked = ?) AND (? = '' OR reader = ?)
                AND (? = '' OR leistung = ?)
                AND (coalesce(parked_at, entered_at) > ? OR (coalesce(parked_at, entered_at) = ? AND seq * 2 > ?))
             ORDER BY coalesce(parked_at, entered_at), seq LIMIT ?"
        ),
        params![
            cause, cause, reader, reader, leistung, leistung, after.at, after.at, after.rank, limit_rows
        ],
        |row| Parked::message(row, custodian),
    )?;
    if filter.reader.is_none() && filter.leistung.is_none() {
        parked.extend(look.all(
            &format!(
                "{OCTETS} WHERE (? = '' OR reason = ?) AND (time > ? OR (time = ? AND seq * 2 + 1 > ?))
                 ORDER BY time, seq LIMIT ?"
            ),
            params![cause, cause, after.at, after.at, after.rank, limit_rows],
            |row| Parked::octets(row, custodian),
        )?);
        parked.sort_by_key(Parked::place);
        parked.truncate(limit);
    }
    Ok(parked)
}

fn find(look: &Look<'_>, custodian: &CustodianId, id: ParkedId) -> Result<Vec<Parked>, JournalError> {
    match id {
        ParkedId::Message(id) => look.all(
            &format!("{MESSAGE} WHERE message_id = ? AND parked IS NOT NULL ORDER BY seq"),
            params![id.to_string()],
            |row| Parked::message(row, custodian),
        ),
        ParkedId::Octets(digest) => look.all(
            &format!("{OCTETS} WHERE bytes_digest = ?"),
            params![digest.octets()],
            |row| Parked::octets(row, custodian),
        ),
    }
}

impl Parked {
    fn message(row: &Row<'_>, custodian: &CustodianId) -> Result<Self, JournalError> {
        let cause: Reason = rows::name(row, "parked")?;
        let side: Side = rows::name(row, "side")?;
        let release: Option<[u8; 32]> = row.get("routing_table")?;
        Ok(Self {
            id: ParkedId::Message(rows::name(row, "message_id")?),
            custodian: custodian.clone(),
            cause,
            sentence: cause.sentence(),
            parked_at: rows::instant(row, "since")?,
            size: row.get::<i64>("size")?.cast_unsigned(),
            place: Place {
                at: row.get("since")?,
                rank: row.get::<i64>("seq")? * 2,
            },
            what: What::Message(Box::new(ParkedMessage {
                side: side.as_str(),
                case_id: rows::name(row, "case_id")?,
                kind: rows::name(row, "kind")?,
                author: rows::name(row, "author")?,
                reader: rows::name(row, "reader")?,
                leistung: rows::name(row, "leistung")?,
                region: rows::name_if_any(row, "region")?,
                gateway: rows::name(row, "gateway")?,
                filed_at: rows::instant(row, "filed_at")?,
                obsolete_after: rows::instant(row, "obsolete_after")?,
                attempts: row.get("attempts")?,
                target: match side {
                    Side::Taken => Some(custodian.clone()),
                    // what the broker holds has gone nowhere yet, and was held for somebody
                    Side::Sent | Side::Relayed => {
                        rows::name_if_any(row, "target")?.or(rows::name_if_any(row, "held_for")?)
                    }
                },
                routing_table: release.map(Digest::from_octets),
            })),
        })
    }

    fn octets(row: &Row<'_>, custodian: &CustodianId) -> Result<Self, JournalError> {
        let cause: Reason = rows::name(row, "reason")?;
        Ok(Self {
            id: ParkedId::Octets(rows::digest(row, "bytes_digest")?),
            custodian: custodian.clone(),
            cause,
            sentence: cause.sentence(),
            parked_at: rows::instant(row, "time")?,
            size: row.get::<i64>("size")?.cast_unsigned(),
            place: Place {
                at: row.get("time")?,
                rank: row.get::<i64>("seq")? * 2 + 1,
            },
            what: What::Octets {
                origin: rows::name_if_any(row, "origin")?,
            },
        })
    }
}

impl FromStr for ParkedId {
    type Err = InvalidParkedId;
    fn from_str(text: &str) -> Result<Self, InvalidParkedId> {
        let octets = || text.parse().map(ParkedId::Octets).map_err(|_| InvalidParkedId);
        text.parse().map(ParkedId::Message).or_else(|_| octets())
    }
}

impl fmt::Display for ParkedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParkedId::Message(id) => fmt::Display::fmt(id, f),
            ParkedId::Octets(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

impl Serialize for ParkedId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ParkedId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.rank)
    }
}

impl FromStr for Place {
    type Err = InvalidParkedId;
    fn from_str(text: &str) -> Result<Self, InvalidParkedId> {
        let (at, rank) = text.split_once('.').ok_or(InvalidParkedId)?;
        Ok(Self {
            at: at.parse().map_err(|_| InvalidParkedId)?,
            rank: rank.parse().map_err(|_| InvalidParkedId)?,
        })
    }
}
