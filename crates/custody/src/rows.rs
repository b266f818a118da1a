//! Columns into types and back: the only place that knows how a name or an instant is written in the journal.
//!
//! What we wrote ourselves must read back; a column that does not is [`JournalError::Corrupt`], never a guess.

use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_envelope::{Header, KeptKey, Reason, Stage};
use viereck_observe::Trace;
use viereck_routing::{BehoerdeId, CaseId, Class, Digest, GatewayId, Kind, LeistungId, MessageId, Region};
use viereck_store::{Change, Look, Row, params};

use crate::hand_over::Deferral;
use crate::step::UnknownEntry;
use crate::{JournalError, MessageKey, lanes, ledger};

/// Whether a text may be an id that we made. Any other text of a request is its sender's own words: it names nothing here,
/// and a database that logs its statements would write it down.
pub(crate) fn is_id(text: &str) -> bool {
    text.parse::<MessageId>().is_ok()
}

/// A mandatory text column as the type it names.
pub(crate) fn name<T: FromStr>(row: &Row<'_>, column: &'static str) -> Result<T, JournalError> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| JournalError::Corrupt {
        column,
        expected: std::any::type_name::<T>(),
    })
}

/// An optional text column.
pub(crate) fn name_if_any<T: FromStr>(row: &Row<'_>, column: &'static str) -> Result<Option<T>, JournalError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        text.parse().map_err(|_| JournalError::Corrupt {
            column,
            expected: std::any::type_name::<T>(),
        })
    })
    .transpose()
}

/// A column of 32 octets.
pub(crate) fn digest(row: &Row<'_>, column: &'static str) -> Result<Digest, JournalError> {
    Ok(Digest::from_octets(row.get(column)?))
}

/// A column of milliseconds.
pub(crate) fn instant(row: &Row<'_>, column: &'static str) -> Result<Timestamp, JournalError> {
    instant_of(row.get(column)?, column)
}

/// An optional column of milliseconds.
pub(crate) fn instant_if_any(row: &Row<'_>, column: &'static str) -> Result<Option<Timestamp>, JournalError> {
    let milliseconds: Option<i64> = row.get(column)?;
    milliseconds.map(|at| instant_of(at, column)).transpose()
}

fn instant_of(milliseconds: i64, column: &'static str) -> Result<Timestamp, JournalError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| JournalError::Corrupt {
        column,
        expected: "an instant",
    })
}

/// The reasons of an event.
pub(crate) fn reasons(row: &Row<'_>) -> Result<Vec<Reason>, JournalError> {
    let text: String = row.get("reasons")?;
    let parse = |code: &str| {
        code.parse().map_err(|_| JournalError::Corrupt {
            column: "reasons",
            expected: "a reason",
        })
    };
    text.split_whitespace().map(parse).collect()
}

/// The reasons of an event as they stand in a row.
pub(crate) fn reasons_text(reasons: &[Reason]) -> String {
    reasons.iter().map(|reason| reason.code()).collect::<Vec<_>>().join(" ")
}

/// What a row of `message` says of a message, enough to state an event about it.
#[derive(Clone)]
pub(crate) struct MessageRow {
    pub(crate) seq: i64,
    pub(crate) side: Side,
    pub(crate) key: MessageKey,
    pub(crate) envelope_digest: Digest,
    pub(crate) bytes_digest: Digest,
    pub(crate) case_id: CaseId,
    pub(crate) kind: Kind,
    pub(crate) reader: BehoerdeId,
    pub(crate) leistung: LeistungId,
    pub(crate) region: Option<Region>,
    pub(crate) gateway: GatewayId,
    pub(crate) routing_table: Option<Digest>,
    pub(crate) filed_at: Timestamp,
    /// When this custodian got it, by its own clock.
    pub(crate) entered_at: Timestamp,
    pub(crate) owner: Option<String>,
    pub(crate) target: Option<GatewayId>,
    /// For whose queue the broker holds it, or held it when it was taken out of the flow.
    pub(crate) held_for: Option<GatewayId>,
    pub(crate) work: Option<Work>,
    pub(crate) attempts: u32,
    /// A publish was begun and never answered: it may be out.
    pub(crate) doubtful: bool,
    /// Attempts of which nobody knows whether the Fachverfahren acted.
    pub(crate) unsure: u32,
    /// The reader's gateway has spoken.
    pub(crate) heard: bool,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) deferral: Option<Deferral>,
    /// When the silence of the reader's gateway is longer than it should be; `None` once it has spoken.
    pub(crate) overdue_at: Option<Timestamp>,
    pub(crate) parked: Option<Reason>,
    pub(crate) parked_at: Option<Timestamp>,
    pub(crate) replaced_by: Option<MessageId>,
    pub(crate) trace: Option<Trace>,
    pub(crate) ended: Option<Stage>,
}

impl MessageRow {
    /// What `header` says of a message that has no row, because it is refused: enough to state why.
    pub(crate) fn of(header: &Header, envelope_digest: Digest, side: Side) -> Self {
        Self {
            seq: 0,
            side,
            key: MessageKey::of(header),
            envelope_digest,
            bytes_digest: Digest::ZERO,
            case_id: header.process_ref,
            kind: header.kind,
            reader: header.reader.clone(),
            leistung: header.service.clone(),
            region: header.region,
            gateway: header.gateway.clone(),
            routing_table: header.routing_table,
            filed_at: header.filed_at,
            entered_at: header.filed_at,
            owner: None,
            target: None,
            held_for: None,
            work: None,
            attempts: 0,
            doubtful: false,
            unsure: 0,
            heard: false,
            due_at: None,
            deferral: None,
            overdue_at: None,
            parked: None,
            parked_at: None,
            replaced_by: None,
            trace: None,
            ended: None,
        }
    }

    /// The row of one side, if there is one.
    pub(crate) fn find(conn: &Look<'_>, side: Side, key: &MessageKey) -> Result<Option<Self>, JournalError> {
        conn.first(
            "SELECT * FROM message WHERE side = ? AND author = ? AND message_id = ?",
            params![side.as_str(), key.author.as_str(), key.message_id.to_string()],
            Self::read,
        )
    }

    /// A row of `SELECT * FROM message`.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        let release: Option<[u8; 32]> = row.get("routing_table")?;
        Ok(Self {
            seq: row.get("seq")?,
            side: name(row, "side")?,
            key: MessageKey {
                author: name(row, "author")?,
                message_id: name(row, "message_id")?,
            },
            envelope_digest: digest(row, "envelope_digest")?,
            bytes_digest: digest(row, "bytes_digest")?,
            case_id: name(row, "case_id")?,
            kind: name(row, "kind")?,
            reader: name(row, "reader")?,
            leistung: name(row, "leistung")?,
            region: name_if_any(row, "region")?,
            gateway: name(row, "gateway")?,
            routing_table: release.map(Digest::from_octets),
            filed_at: instant(row, "filed_at")?,
            entered_at: instant(row, "entered_at")?,
            owner: row.get("owner")?,
            target: name_if_any(row, "target")?,
            held_for: name_if_any(row, "held_for")?,
            work: name_if_any(row, "work")?,
            attempts: row.get("attempts")?,
            doubtful: row.get("doubtful")?,
            unsure: row.get("unsure")?,
            heard: row.get("heard")?,
            due_at: instant_if_any(row, "due_at")?,
            deferral: name_if_any(row, "deferral")?,
            overdue_at: instant_if_any(row, "overdue_at")?,
            parked: name_if_any(row, "parked")?,
            parked_at: instant_if_any(row, "parked_at")?,
            replaced_by: name_if_any(row, "replaced_by")?,
            trace: trace(row)?,
            ended: name_if_any(row, "ended")?,
        })
    }
}

/// The trace of a row; nothing rests on it, so what does not read back is as if it were not there.
fn trace(row: &Row<'_>) -> Result<Option<Trace>, JournalError> {
    let text: Option<String> = row.get("trace")?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The sealed octets of a row.
pub(crate) fn sealed(conn: &Look<'_>, seq: i64) -> Result<Option<Bytes>, JournalError> {
    Ok(
        conn.first("SELECT bytes FROM sealed WHERE message = ?", params![seq], |row| {
            row.at::<Bytes>(0)
        })?,
    )
}

/// Whether the sealed octets of a row are here.
pub(crate) fn is_sealed_here(conn: &Look<'_>, seq: i64) -> Result<bool, JournalError> {
    Ok(conn.exists("SELECT 1 FROM sealed WHERE message = ?", params![seq])?)
}

/// A new row of `message`, whatever side it is seen from.
pub(crate) struct NewMessage<'a> {
    pub(crate) side: Side,
    pub(crate) header: &'a Header,
    pub(crate) envelope_digest: Digest,
    pub(crate) bytes: &'a [u8],
    pub(crate) owner: Option<&'a str>,
    pub(crate) target: Option<&'a str>,
    /// What is to be done with it, and from when on.
    pub(crate) work: Option<(Work, Timestamp)>,
    /// Whether the octets are kept here.
    pub(crate) keep: bool,
    /// Kept with them, where they were sealed here.
    pub(crate) content_key: Option<&'a KeptKey>,
    pub(crate) class: Class,
    pub(crate) reference: Option<Digest>,
    pub(crate) trace: Option<Trace>,
    pub(crate) now: Timestamp,
}

impl<'a> NewMessage<'a> {
    /// A message whose octets are kept and with which nothing is to be done; the rest is for its side to say.
    pub(crate) fn of(side: Side, header: &'a Header, envelope_digest: Digest, bytes: &'a [u8], now: Timestamp) -> Self {
        Self {
            side,
            header,
            envelope_digest,
            bytes,
            owner: None,
            target: None,
            work: None,
            keep: true,
            content_key: None,
            class: Class::Normal,
            reference: None,
            trace: None,
            now,
        }
    }
}

/// From which side a custodian sees a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// By its author's gateway.
    Sent,
    /// By the broker.
    Relayed,
    /// By its reader's gateway.
    Taken,
}

impl Side {
    pub(crate) const ALL: [Side; 3] = [Side::Sent, Side::Relayed, Side::Taken];

    /// The word in the journal and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Sent => "sent",
            Side::Relayed => "relayed",
            Side::Taken => "taken",
        }
    }
}

/// What is still to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Publish,
    Relay,
    HandOver,
    /// The Fachverfahren was given it, and has not answered.
    Await,
}

impl Work {
    pub(crate) const ALL: [Work; 4] = [Work::Publish, Work::Relay, Work::HandOver, Work::Await];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Work::Publish => "publish",
            Work::Relay => "relay",
            Work::HandOver => "hand-over",
            Work::Await => "await",
        }
    }
}

/// Reads one of a closed list of words back; what another version wrote is not guessed at.
macro_rules! read_back {
    ($($kind:ty, $all:expr;)+) => {$(
        impl FromStr for $kind {
            type Err = UnknownEntry;
            fn from_str(text: &str) -> Result<Self, UnknownEntry> {
                $all.iter().copied().find(|one| one.as_str() == text).ok_or(UnknownEntry)
            }
        }
    )+};
}
read_back! {
    Side, Side::ALL;
    Work, Work::ALL;
    Deferral, Deferral::ALL;
}

impl NewMessage<'_> {
    /// Inserts the row and returns its number.
    pub(crate) fn insert(&self, tx: &Change<'_>) -> Result<i64, JournalError> {
        let header = self.header;
        let given = tx.first(
            "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, in_reply_to, kind,
                reader, leistung, region, gateway, routing_table, filed_at, obsolete_after, entered_at,
                owner, target, work, due_at, trace, class, reference, replaces)
             VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING seq",
            params![
                self.side.as_str(),
                header.author.as_str(),
                header.message_id.to_string(),
                self.envelope_digest.octets(),
                Digest::of(self.bytes).octets(),
                header.process_ref.to_string(),
                header.in_reply_to.map(|id| id.to_string()),
                header.kind.as_str(),
                header.reader.as_str(),
                header.service.as_str(),
                header.region.map(|region| region.to_string()),
                header.gateway.as_str(),
                header.routing_table.map(|release| *release.octets()),
                header.filed_at.as_millisecond(),
                header.obsolete_after.as_millisecond(),
                self.now.as_millisecond(),
                self.owner,
                self.target,
                self.work.map(|(work, _)| work.as_str()),
                self.work.map(|(_, due)| due.as_millisecond()),
                self.trace.map(|trace| trace.to_string()),
                lanes::number(self.class),
                self.reference.map(|reference| *reference.octets()),
                header.replaces.map(|id| id.to_string()),
            ],
            |row| row.at(0),
        )?;
        let seq: i64 = given.ok_or(JournalError::Unknown)?;
        if self.keep {
            tx.run(
                "INSERT INTO sealed (message, bytes, content_key) VALUES (?, ?, ?)",
                params![seq, self.bytes, self.content_key.map(KeptKey::octets)],
            )?;
        }
        ledger::received(
            tx,
            self.side,
            ledger::participant(self.side, &header.author, &header.reader),
        )?;
        Ok(seq)
    }
}
