//! What one custodian tells of another: a file of JSON lines, made at the one and folded at the other.
//!
//! The first line is a [`Head`], the last says how many messages there are, so that a file that was cut off shows. Names
//! and digests as everywhere; sealed octets only where a message would be lost without them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_envelope::{Event, ReplyToken, Stage};
use viereck_routing::{
    BehoerdeId, CaseId, CustodianId, Digest, Environment, GatewayId, Kind, LeistungId, MessageId, Region,
};
use viereck_store::{Look, Row, params};

use crate::rows::{self, MessageRow, Side};
use crate::{Journal, JournalError};

/// Messages of one page.
const PAGE: i64 = 200;

/// The version of the file's form.
pub(super) const VERSION: u32 = 1;

/// One line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "camelCase")]
pub enum Line {
    /// The first.
    Head(Head),
    /// A batch of receipts that was seen of the other: its numbers go on after it.
    #[serde(rename_all = "camelCase")]
    Batch {
        /// For whom it was.
        destination: GatewayId,
        /// Its number.
        sequence: i64,
        /// Its head.
        head: Digest,
    },
    /// A message.
    Message(Box<Told>),
    /// The last.
    #[serde(rename_all = "camelCase")]
    End {
        /// How many messages there were.
        messages: u64,
    },
}

/// Whose facts about whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The version of the form.
    pub version: u32,
    /// Who is told of.
    pub about: CustodianId,
    /// Who tells.
    pub by: CustodianId,
    /// Test or production.
    pub environment: Environment,
    /// From when on something happened to the messages told of.
    pub since: Timestamp,
    /// When it was told.
    pub made_at: Timestamp,
}

/// A message as another custodian knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    pub(super) author: BehoerdeId,
    pub(super) message_id: MessageId,
    pub(super) envelope_digest: Digest,
    pub(super) bytes_digest: Digest,
    pub(super) case_id: CaseId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_reply_to: Option<MessageId>,
    pub(super) kind: Kind,
    pub(super) reader: BehoerdeId,
    pub(super) leistung: LeistungId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<Region>,
    pub(super) gateway: GatewayId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routing_table: Option<Digest>,
    pub(super) filed_at: Timestamp,
    pub(super) obsolete_after: Timestamp,
    pub(super) class: u32,
    pub(super) events: Vec<Stated>,
    /// What brings an answer to the citizen's mailbox, of a message that opened a case; only its author's gateway can
    /// read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply_token: Option<ReplyToken>,
    /// The sealed octets, where the teller still holds them for the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) octets: Option<Octets>,
}

/// An event with its canonical octets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Stated {
    pub(super) octets: Octets,
    /// Whether the teller found the custodian entitled to it.
    pub(super) standing: bool,
}

/// Octets, in JSON as base64.
#[derive(Debug, Clone)]
pub(super) struct Octets(pub(super) bytes::Bytes);

impl Serialize for Octets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64_simd::STANDARD.encode_to_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octets = base64_simd::STANDARD.decode_to_vec(text);
        octets
            .map(|octets| Self(octets.into()))
            .map_err(|_| serde::de::Error::custom("expected base64"))
    }
}

impl Journal {
    /// What this journal knows of `about` and its messages to which something happened since `since`: the next page of
    /// lines after the row `after`, and the row to go on after. The first page begins with head and batches.
    pub async fn facts_about(
        &self,
        about: &CustodianId,
        since: Timestamp,
        after: Option<i64>,
    ) -> Result<(Vec<Line>, Option<i64>), JournalError> {
        let head = Head {
            version: VERSION,
            about: about.clone(),
            by: self.custodian().clone(),
            environment: self.environment(),
            since,
            made_at: Timestamp::now(),
        };
        let looked = self.store.read(move |look| {
            let mut lines = vec![];
            if after.is_none() {
                lines.push(Line::Head(head.clone()));
                lines.extend(batches(look, &head.about)?);
            }
            let (told, next) = messages(look, &head, after.unwrap_or(0))?;
            lines.extend(told);
            Ok::<_, JournalError>((lines, next))
        });
        Ok(looked.await?)
    }
}

fn batches(look: &Look<'_>, about: &CustodianId) -> Result<Vec<Line>, JournalError> {
    look.all(
        "SELECT destination, sequence, head FROM batch_in WHERE custodian = ? AND sequence =
            (SELECT max(sequence) FROM batch_in AS last
             WHERE last.custodian = batch_in.custodian AND last.destination = batch_in.destination)
         ORDER BY destination, head",
        params![about.as_str()],
        |row| {
            Ok(Line::Batch {
                destination: rows::name(row, "destination")?,
                sequence: row.get("sequence")?,
                head: rows::digest(row, "head")?,
            })
        },
    )
}

fn messages(look: &Look<'_>, head: &Head, after: i64) -> Result<(Vec<Line>, Option<i64>), JournalError> {
    let about = head.about.as_str();
    let found = look.all(
        "SELECT * FROM message WHERE seq > ?
            AND EXISTS (SELECT 1 FROM event WHERE event.message_id = message.message_id
                AND event.author = message.author AND event.time >= ?)
            AND (gateway = ? OR target = ? OR EXISTS (SELECT 1 FROM event WHERE event.message_id = message.message_id
                AND event.author = message.author AND (event.custodian = ? OR event.target = ?)))
         ORDER BY seq LIMIT ?",
        params![after, head.since.as_millisecond(), about, about, about, about, PAGE],
        |row| Ok::<_, JournalError>((MessageRow::read(row)?, Told::read(row)?)),
    )?;
    let next = match i64::try_from(found.len()) == Ok(PAGE) {
        true => found.last().map(|(row, _)| row.seq),
        false => None,
    };
    let mut lines = vec![];
    for (row, mut told) in found {
        told.events = events(look, &row)?;
        told.reply_token = reply_token(look, &row)?;
        // what the author's gateway holds for a reader whose gateway has lost it, and only that
        if row.side == Side::Sent && row.gateway != head.about && row.ended.is_none() {
            told.octets = rows::sealed(look, row.seq)?.map(Octets);
        }
        lines.push(Line::Message(Box::new(told)));
    }
    Ok((lines, next))
}

fn events(look: &Look<'_>, row: &MessageRow) -> Result<Vec<Stated>, JournalError> {
    look.all(
        "SELECT octets, standing FROM event WHERE message_id = ? AND author = ? AND envelope_digest = ?
            AND octets IS NOT NULL ORDER BY seq",
        params![
            row.key.message_id.to_string(),
            row.key.author.as_str(),
            row.envelope_digest.octets()
        ],
        |row| {
            Ok(Stated {
                octets: Octets(row.get("octets")?),
                standing: row.get("standing")?,
            })
        },
    )
}

fn reply_token(look: &Look<'_>, row: &MessageRow) -> Result<Option<ReplyToken>, JournalError> {
    let token = look.first(
        "SELECT reply_token FROM case_file WHERE case_id = ? AND author = ? AND application = ?
            AND reply_token IS NOT NULL",
        params![
            row.case_id.to_string(),
            row.key.author.as_str(),
            row.key.message_id.to_string()
        ],
        |row| rows::name_if_any(row, "reply_token"),
    )?;
    Ok(token.flatten())
}

impl Told {
    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        let release: Option<[u8; 32]> = row.get("routing_table")?;
        Ok(Self {
            author: rows::name(row, "author")?,
            message_id: rows::name(row, "message_id")?,
            envelope_digest: rows::digest(row, "envelope_digest")?,
            bytes_digest: rows::digest(row, "bytes_digest")?,
            case_id: rows::name(row, "case_id")?,
            in_reply_to: rows::name_if_any(row, "in_reply_to")?,
            kind: rows::name(row, "kind")?,
            reader: rows::name(row, "reader")?,
            leistung: rows::name(row, "leistung")?,
            region: rows::name_if_any(row, "region")?,
            gateway: rows::name(row, "gateway")?,
            routing_table: release.map(Digest::from_octets),
            filed_at: rows::instant(row, "filed_at")?,
            obsolete_after: rows::instant(row, "obsolete_after")?,
            class: row.get("class")?,
            events: vec![],
            reply_token: None,
            octets: None,
        })
    }

    /// The events, each about this very message.
    ///
    /// # Errors
    /// What does not fit, in a few words.
    pub(super) fn read_events(&self) -> Result<Vec<(Event, bytes::Bytes, bool)>, &'static str> {
        let mut events = vec![];
        for stated in &self.events {
            let event = Event::from_octets(&stated.octets.0).map_err(|_| "an event that does not read")?;
            let about = viereck_envelope::Subject::Message {
                message_id: self.message_id,
                envelope_digest: self.envelope_digest,
                process_ref: self.case_id,
            };
            if event.subject != about || event.author.as_ref() != Some(&self.author) {
                return Err("an event of another message");
            }
            events.push((event, stated.octets.0.clone(), stated.standing));
        }
        Ok(events)
    }

    /// Whether `custodian` has stated a stage of the reader's gateway, and with which of them it ended the message.
    pub(super) fn taken_by(events: &[(Event, bytes::Bytes, bool)], custodian: &CustodianId) -> Option<Option<Event>> {
        let own = events
            .iter()
            .map(|(event, ..)| event)
            .filter(|event| event.custodian == *custodian && crate::status::is_of_reader(event.stage));
        let mut taken = false;
        let mut end = None;
        for event in own {
            taken = true;
            if event.stage.is_terminal() && event.stage != Stage::Delivered {
                end = Some(event.clone());
            }
        }
        taken.then_some(end)
    }
}
