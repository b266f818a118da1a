//! What a journal shows of a message: to the API, to the command line, to tests.
//!
//! Everything here is derived from the rows at the moment of asking; nothing is kept twice.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{
    BehoerdeId, CaseId, ClientId, CustodianId, Digest, GatewayId, Kind, LeistungId, MessageId, Region,
};
use viereck_store::{Look, Row, ToParam, params};

use crate::rows::{self, MessageRow, Side, Work};
use crate::status::{self, Flags, Parked, Status, Told};
use crate::{Entry, Journal, JournalError, MessageKey, content, facts};

/// How often a message may be sealed anew before the last one is no longer looked for.
const CHAIN: usize = 64;

/// A message as one custodian knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// Its id.
    pub message_id: MessageId,
    /// The id that whoever posted it knows: that of the message that was sealed first.
    pub submission_id: MessageId,
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
    /// The release of the routing table that decided.
    pub release: Option<Digest>,
    /// When the application was filed.
    pub filed_at: Timestamp,
    /// When it came into this journal.
    pub entered_at: Timestamp,
    /// When it loses its purpose.
    pub obsolete_after: Timestamp,
    /// From which side this journal sees it.
    pub side: Side,
    /// The message that this one was sealed anew for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MessageId>,
    /// The message that goes on in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<MessageId>,
    /// The online service that posted it, where it was posted here.
    pub client: Option<ClientId>,
    /// The furthest stage that counts.
    pub status: Stage,
    /// Whether that is an end.
    pub terminal: bool,
    /// Whether its content is still here for its author: it ended without being taken over.
    #[serde(default)]
    pub content_kept: bool,
    /// Published and the reader's gateway silent for longer than it should be.
    pub overdue: bool,
    /// What else is to be known of its state.
    pub flags: Flags,
    /// How often it was tried here to pass it on: published, or handed over.
    pub attempts: u32,
    /// When that is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Who holds it now, or held it at its end.
    pub holder: CustodianId,
    /// Where it is, what happens next, and whose turn it is, for people.
    #[serde(flatten, skip_deserializing, default = "untold")]
    pub told: Told,
    /// Why it ended, where a reason is due.
    pub reasons: Vec<Reason>,
    /// Everything known, in the order of the stages, internal steps in between by time.
    pub events: Vec<EventView>,
}

/// One event or step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// The stage, or the internal step.
    pub stage: Entry,
    /// When, by its custodian's clock.
    pub time: Timestamp,
    /// Who stated it.
    pub custodian: CustodianId,
    /// Where it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<GatewayId>,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// A step that no receipt carries.
    pub internal: bool,
}

/// Of a view that was read back the words are missing until [`MessageView::tell`].
fn untold() -> Told {
    status::told(Stage::Received, None)
}

impl MessageView {
    /// Puts status and flags into words.
    pub fn tell(&mut self) {
        self.told = status::told(self.status, self.flags.hindrance());
    }
}

/// By what a message is looked for.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// Its id.
    Message(MessageId),
    /// The case it belongs to.
    Case(CaseId),
    /// The key under which it was posted, and by whom.
    Key {
        /// The online service.
        client: ClientId,
        /// The Idempotency-Key.
        key: String,
    },
    /// The client's own reference, as the keyed digest that stands in the journal.
    Reference(Digest),
}

/// A row with what only a look at it needs.
pub(crate) struct Seen {
    pub(crate) row: MessageRow,
    pub(crate) entered_at: Timestamp,
    obsolete_after: Timestamp,
    replaces: Option<MessageId>,
}

impl Seen {
    /// A row of `SELECT * FROM message`.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        Ok(Self {
            entered_at: rows::instant(row, "entered_at")?,
            obsolete_after: rows::instant(row, "obsolete_after")?,
            replaces: rows::name_if_any(row, "replaces")?,
            row: MessageRow::read(row)?,
        })
    }
}

impl Journal {
    /// The message of this id that was sent from here, else the one that was taken or relayed here.
    pub async fn message(&self, id: &MessageId) -> Result<Option<MessageView>, JournalError> {
        Ok(self.find(Lookup::Message(*id)).await?.pop())
    }

    /// Every message of a case that this custodian knows.
    pub async fn messages_of_case(&self, case_id: &CaseId) -> Result<Vec<MessageView>, JournalError> {
        self.find(Lookup::Case(*case_id)).await
    }

    /// Every message that `lookup` names and this custodian knows.
    pub async fn find(&self, lookup: Lookup) -> Result<Vec<MessageView>, JournalError> {
        Ok(self.store.read(move |look| find(look, &lookup)).await?)
    }

    /// The submission that a client knows by the id of its first message, as the message that stands for it now.
    pub async fn submission(&self, first: &MessageId) -> Result<Option<MessageView>, JournalError> {
        let id = first.to_string();
        let look = move |look: &Look<'_>| {
            let first = look.first(
                "SELECT * FROM message WHERE message_id = ? AND side = 'sent' AND replaces IS NULL ORDER BY seq",
                params![id],
                Seen::read,
            )?;
            first.map(|first| view(look, newest(look, first)?)).transpose()
        };
        Ok(self.store.read(look).await?)
    }
}

/// The message that stands for the one of `seen` now: the last that was sealed anew in its place.
pub(crate) fn newest(look: &Look<'_>, mut seen: Seen) -> Result<Seen, JournalError> {
    for _ in 0..CHAIN {
        let Some(next) = seen.row.replaced_by else { break };
        let next = look.first(
            "SELECT * FROM message WHERE side = 'sent' AND author = ? AND message_id = ?",
            params![seen.row.key.author.as_str(), next.to_string()],
            Seen::read,
        )?;
        match next {
            Some(next) => seen = next,
            None => break,
        }
    }
    Ok(seen)
}

/// The id of the message that was sealed first, of one that `replaces` another.
pub(crate) fn first_of(
    look: &Look<'_>,
    key: &MessageKey,
    mut replaces: Option<MessageId>,
) -> Result<MessageId, JournalError> {
    let mut first = key.message_id;
    for _ in 0..CHAIN {
        let Some(before) = replaces else { break };
        first = before;
        let row: Option<Option<MessageId>> = look.first(
            "SELECT replaces FROM message WHERE side = 'sent' AND author = ? AND message_id = ?",
            params![key.author.as_str(), before.to_string()],
            |row| rows::name_if_any(row, "replaces"),
        )?;
        replaces = row.flatten();
    }
    Ok(first)
}

/// Sorted so that the last is the one seen from its author's side.
fn find(look: &Look<'_>, lookup: &Lookup) -> Result<Vec<MessageView>, JournalError> {
    let by = |condition: &str, value: &dyn ToParam| {
        look.all(
            &format!(
                "SELECT * FROM message WHERE {condition}
                 ORDER BY CASE side WHEN 'relayed' THEN 0 WHEN 'taken' THEN 1 ELSE 2 END, seq"
            ),
            &[value.param()],
            Seen::read,
        )
    };
    let found = match lookup {
        Lookup::Message(id) => by("message_id = ?", &id.to_string())?,
        Lookup::Case(id) => by("case_id = ?", &id.to_string())?,
        Lookup::Reference(digest) => by("reference = ?", digest.octets())?,
        Lookup::Key { client, key } => {
            let promised: Option<String> = look.first(
                "SELECT message_id FROM promise WHERE owner = ? AND key = ?",
                params![owner_of(client), key],
                |row| Ok::<_, JournalError>(row.at(0)?),
            )?;
            match promised {
                Some(id) => by("message_id = ?", &id)?,
                None => Vec::new(),
            }
        }
    };
    let mut views: Vec<MessageView> = vec![];
    for seen in found {
        // one message seen from two sides of one gateway is one message
        views.retain(|view| view.message_id != seen.row.key.message_id || view.author != seen.row.key.author);
        views.push(view(look, seen)?);
    }
    Ok(views)
}

/// How an online service stands in the column `owner`.
pub(crate) fn owner_of(client: &ClientId) -> String {
    format!("client:{client}")
}

/// What the facts about a row add up to; a message that was only just taken note of has none that counts and stands as
/// received.
pub(crate) fn status_of(look: &Look<'_>, row: &MessageRow) -> Result<Status, JournalError> {
    Ok(facts::status_of(look, row)?.unwrap_or_else(|| Status {
        stage: Stage::Received,
        holder: row.gateway.clone(),
        since: row.filed_at,
        reasons: vec![],
        conflict: false,
        reader_spoke: false,
        at: None,
    }))
}

/// Everything about one row.
pub(crate) fn view(look: &Look<'_>, seen: Seen) -> Result<MessageView, JournalError> {
    let row = seen.row;
    let status = status_of(look, &row)?;
    let client = row
        .owner
        .as_deref()
        .and_then(|owner| owner.strip_prefix("client:"))
        .and_then(|id| id.parse().ok());
    let flags = flags(look, &row, &status)?;
    let content_kept = content::is_kept(look, &row)?;
    let submission_id = first_of(look, &row.key, seen.replaces)?;
    Ok(MessageView {
        events: events(look, &row)?,
        message_id: row.key.message_id,
        submission_id,
        case_id: row.case_id,
        kind: row.kind,
        author: row.key.author,
        reader: row.reader,
        leistung: row.leistung,
        region: row.region,
        release: row.routing_table,
        filed_at: row.filed_at,
        entered_at: seen.entered_at,
        obsolete_after: seen.obsolete_after,
        side: row.side,
        replaces: seen.replaces,
        replaced_by: row.replaced_by,
        client,
        status: status.stage,
        terminal: status.stage.is_terminal(),
        content_kept,
        overdue: flags.overdue.is_some(),
        told: status::told(status.stage, flags.hindrance()),
        flags,
        attempts: row.attempts,
        next_attempt_at: row.due_at,
        holder: status.holder,
        reasons: status.reasons,
    })
}

/// What stands in the way of the message of `row`.
pub(crate) fn flags(conn: &Look<'_>, row: &MessageRow, status: &Status) -> Result<Flags, JournalError> {
    if row.ended.is_some() {
        return Ok(Flags {
            conflict: status.conflict,
            ..Flags::default()
        });
    }
    let parked = row
        .parked
        .zip(row.parked_at.or(row.due_at))
        .map(|(reason, since)| Parked { reason, since });
    Ok(Flags {
        overdue: row.overdue_at.filter(|since| *since <= Timestamp::now()),
        parked,
        paused: paused(conn, row)?,
        held: row.due_at.filter(|_| row.work == Some(Work::Relay)),
        deferral: row.deferral.filter(|_| row.work == Some(Work::HandOver)),
        conflict: status.conflict,
    })
}

/// Since when an operator has been holding everything for the reader of `row`, or for the gateway it goes to.
fn paused(conn: &Look<'_>, row: &MessageRow) -> Result<Option<Timestamp>, JournalError> {
    let gateway = row.target.as_ref().map(|target| format!("gateway:{target}"));
    conn.first(
        "SELECT since FROM pause WHERE scope = ? OR scope = ? ORDER BY since LIMIT 1",
        params![format!("behoerde:{}", row.reader), gateway],
        |row| rows::instant(row, "since"),
    )
}

fn events(conn: &Look<'_>, row: &MessageRow) -> Result<Vec<EventView>, JournalError> {
    let mut events: Vec<EventView> = conn.all(
        "SELECT *, CASE WHEN octets IS NULL THEN 1 ELSE 0 END AS internal FROM event
             WHERE message_id = ? AND author = ? AND envelope_digest = ?",
        params![
            row.key.message_id.to_string(),
            row.key.author.as_str(),
            row.envelope_digest.octets()
        ],
        |row| {
            Ok::<_, JournalError>(EventView {
                stage: rows::name(row, "stage")?,
                time: rows::instant(row, "time")?,
                custodian: rows::name(row, "custodian")?,
                target: rows::name_if_any(row, "target")?,
                reasons: rows::reasons(row)?,
                internal: row.get("internal")?,
            })
        },
    )?;
    events.sort_by_key(|event| event.time);
    Ok(in_order_of_stages(events))
}

/// Clocks of custodians differ by more than a message takes: stages are told in their own order, and an internal step
/// stays where its own custodian's clock puts it.
fn in_order_of_stages(events: Vec<EventView>) -> Vec<EventView> {
    let (mut stages, steps): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| !event.internal);
    stages.sort_by_key(|event| Stage::ALL.iter().position(|stage| Some(*stage) == event.stage.stage()));
    for step in steps {
        let at = stages
            .iter()
            .rposition(|event| event.custodian == step.custodian && event.time <= step.time);
        stages.insert(at.map_or(0, |at| at + 1), step);
    }
    stages
}

impl Journal {
    /// Ids of the messages of one side that have not ended, oldest first; for accounts and tests.
    pub async fn in_flight(&self) -> Result<Vec<MessageId>, JournalError> {
        let ids = self.store.read(|conn| {
            conn.all(
                "SELECT message_id FROM message WHERE side = ? AND ended IS NULL ORDER BY seq",
                params![Side::Sent.as_str()],
                |row| rows::name(row, "message_id"),
            )
        });
        Ok(ids.await?)
    }
}
