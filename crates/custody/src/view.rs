//! What a journal shows of a message: to the API, to the command line, to tests.
//!
//! Everything here is derived from the rows at the moment of asking; nothing is kept twice.

use jiff::Timestamp;
use serde::Serialize;
use viereck_envelope::{Reason, Stage};
use viereck_routing::{BehoerdeId, CaseId, ClientId, CustodianId, GatewayId, Kind, LeistungId, MessageId, Region};
use viereck_store::{Look, params};

use crate::rows::{self, MessageRow, Side, Work};
use crate::status::{self, Flags, Parked, Status, Told};
use crate::{Entry, Journal, JournalError, facts};

/// A message as one custodian knows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// Its id.
    pub message_id: MessageId,
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
    /// When the application was filed.
    pub filed_at: Timestamp,
    /// The online service that posted it, where it was posted here.
    pub client: Option<ClientId>,
    /// The furthest stage that counts.
    pub status: Stage,
    /// Whether that is an end.
    pub terminal: bool,
    /// Published and the reader's gateway silent for longer than it should be.
    pub overdue: bool,
    /// What else is to be known of its state.
    pub flags: Flags,
    /// Who holds it now, or held it at its end.
    pub holder: CustodianId,
    /// Where it is, what happens next, and whose turn it is, for people.
    #[serde(flatten)]
    pub told: Told,
    /// Why it ended, where a reason is due.
    pub reasons: Vec<Reason>,
    /// Everything known, in the order of the stages, internal steps in between by time.
    pub events: Vec<EventView>,
}

/// One event or step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// A step that no receipt carries.
    pub internal: bool,
}

impl Journal {
    /// The message of this id that was sent from here, else the one that was taken or relayed here.
    pub async fn message(&self, id: &MessageId) -> Result<Option<MessageView>, JournalError> {
        let id = *id;
        Ok(self
            .store
            .read(move |conn| Ok::<_, JournalError>(select(conn, "message_id", &id.to_string())?.pop()))
            .await?)
    }

    /// Every message of a case that this custodian knows.
    pub async fn messages_of_case(&self, case_id: &CaseId) -> Result<Vec<MessageView>, JournalError> {
        let id = *case_id;
        Ok(self
            .store
            .read(move |conn| select(conn, "case_id", &id.to_string()))
            .await?)
    }
}

/// Sorted so that the last is the one seen from its author's side.
fn select(conn: &Look<'_>, column: &'static str, value: &str) -> Result<Vec<MessageView>, JournalError> {
    let rows = conn.all(
        &format!(
            "SELECT * FROM message WHERE {column} = ?
             ORDER BY CASE side WHEN 'relayed' THEN 0 WHEN 'taken' THEN 1 ELSE 2 END, seq"
        ),
        params![value],
        MessageRow::read,
    )?;
    let mut views: Vec<MessageView> = vec![];
    for row in rows {
        // one message seen from two sides of one gateway is one message
        views.retain(|view| view.message_id != row.key.message_id || view.author != row.key.author);
        views.push(view(conn, row)?);
    }
    Ok(views)
}

fn view(conn: &Look<'_>, row: MessageRow) -> Result<MessageView, JournalError> {
    // a message that was only just taken note of has no fact yet that counts: it stands as received
    let status = facts::status_of(conn, &row)?.unwrap_or_else(|| Status {
        stage: Stage::Received,
        holder: row.gateway.clone(),
        since: row.filed_at,
        reasons: vec![],
        conflict: false,
        reader_spoke: false,
        at: None,
    });
    let client = row
        .owner
        .as_deref()
        .and_then(|owner| owner.strip_prefix("client:"))
        .and_then(|id| id.parse().ok());
    let flags = flags(conn, &row, &status)?;
    Ok(MessageView {
        events: events(conn, &row)?,
        message_id: row.key.message_id,
        case_id: row.case_id,
        kind: row.kind,
        author: row.key.author,
        reader: row.reader,
        leistung: row.leistung,
        region: row.region,
        filed_at: row.filed_at,
        client,
        status: status.stage,
        terminal: status.stage.is_terminal(),
        overdue: flags.overdue.is_some(),
        told: status::told(status.stage, flags.hindrance()),
        flags,
        holder: status.holder,
        reasons: status.reasons,
    })
}

/// What stands in the way of the message of `row`.
fn flags(conn: &Look<'_>, row: &MessageRow, status: &Status) -> Result<Flags, JournalError> {
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
