//! Whether the account is right, and which message is not where it should be.
//!
//! Three things know of each message: the account, its row, and the event with which it came here. They are written in
//! one transaction and counted here each on its own, so whatever is lost from one of them shows in the others: a row
//! that is gone is named by the event that stands. What other custodians know is asked by their receipts, which stand
//! in this journal as facts: a message they are silent about, or have not ended in time, is named with who holds it.
//!
//! Goes through the journal in small looks, so that nobody who writes or reads waits for it, nor other long looks for
//! more than one of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use viereck_envelope::Stage;
use viereck_routing::{BehoerdeId, CustodianId, MessageId};
use viereck_store::{Look, params};

use super::Ledger;
use crate::rows::{self, MessageRow, Side};
use crate::{Journal, JournalError, facts};

/// Rows or events of one look.
pub(super) const STEP: i64 = 5000;

/// How many are named; the others are counted.
const NAMED: usize = 100;

/// Messages in flight that are looked at for being late, the oldest first.
const OLDEST: i64 = 1000;

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// What.
    pub kind: DifferenceKind,
    /// From which side the message was seen.
    pub side: &'static str,
    /// On whose account it stands: its author where it was sent, else its reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<BehoerdeId>,
    /// The author of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<BehoerdeId>,
    /// The message, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// What the account says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// What the rows say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Counted>,
}

/// What does not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// The event with which a message came here stands, and its row is gone.
    RowMissing,
    /// A row without the event with which its message came here.
    EventMissing,
    /// A row that has ended, and nobody has stated that end.
    EndWithoutEvent,
    /// An end that counts was stated, and the row has not ended.
    EndNotNoted,
    /// Account and rows differ.
    CountDiffers,
}

/// Two of the three numbers of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Messages that came in.
    pub received: i64,
    /// Of these the ended ones.
    pub ended: i64,
}

/// A message that others should have spoken about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Late {
    /// What is missing.
    pub kind: LateKind,
    /// From which side it is seen.
    pub side: &'static str,
    /// Its author.
    pub author: BehoerdeId,
    /// The message.
    pub message_id: MessageId,
    /// For whom it is.
    pub reader: BehoerdeId,
    /// The last stage that counts.
    pub status: Stage,
    /// Since when.
    pub since: Timestamp,
    /// Who holds it.
    pub holder: CustodianId,
}

/// What is missing of a message in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateKind {
    /// Published, and not even the broker has spoken of it.
    NotRelayed,
    /// On its way, and the reader's gateway has been silent for too long.
    Silent,
    /// The reader's gateway has it, and its time is over without an end.
    NoEnd,
}

/// The result of going through a journal.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// When it was begun.
    pub at: Timestamp,
    /// Whose journal it is.
    pub custodian: CustodianId,
    /// The accounts.
    pub ledger: Ledger,
    /// What does not add up, at most a hundred named.
    pub differences: Vec<Difference>,
    /// How many there are in all.
    pub differences_in_all: usize,
    /// What others should have spoken about, the oldest first, at most a hundred named.
    pub late: Vec<Late>,
    /// How many of the thousand oldest messages in flight are late.
    pub late_in_all: usize,
}

impl Reconciled {
    /// Whether everything adds up here; what is late is the others' matter.
    pub fn is_right(&self) -> bool {
        self.differences_in_all == 0
    }
}

/// Names the first and counts all.
#[derive(Default)]
struct Findings {
    named: Vec<Difference>,
    all: usize,
}

impl Findings {
    fn add(&mut self, found: Vec<Difference>) {
        self.all += found.len();
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(found.into_iter().take(room));
    }
}

impl Journal {
    /// Goes through the whole journal and compares accounts, rows, own events and receipts. `silence` is how long the
    /// reader's gateway may say nothing after a message was relayed.
    pub async fn reconcile_ledger(&self, silence: SignedDuration) -> Result<Reconciled, JournalError> {
        let at = Timestamp::now();
        let mut findings = Findings::default();
        findings.add(self.compare_counts().await?);
        let me = self.custodian().clone();
        self.through(
            "event",
            move |look, from, to| rows_missing(look, &me, from, to),
            |found| findings.add(found),
        )
        .await?;
        let me = self.custodian().clone();
        self.through(
            "message",
            move |look, from, to| {
                let mut found = events_missing(look, &me, from, to)?;
                found.extend(ends_without_event(look, from, to)?);
                found.extend(ends_not_noted(look, from, to)?);
                Ok(found)
            },
            |found| findings.add(found),
        )
        .await?;
        let mut late = self.store.survey(move |look| late(look, at, silence)).await?;
        let late_in_all = late.len();
        late.truncate(NAMED);
        Ok(Reconciled {
            at,
            custodian: self.custodian().clone(),
            ledger: self.ledger().await?,
            differences: findings.named,
            differences_in_all: findings.all,
            late,
            late_in_all,
        })
    }

    /// The accounts beside all rows, of what has ended as of what is in flight.
    pub(super) async fn compare_counts(&self) -> Result<Vec<Difference>, JournalError> {
        let begun = self.store.survey(|look| {
            let newest = look.first("SELECT max(seq) FROM message", params![], |row| {
                Ok::<Option<i64>, JournalError>(row.at(0)?)
            })?;
            Ok::<_, JournalError>((newest.flatten().unwrap_or_default(), balances(look)?))
        });
        let (newest, before) = begun.await?;
        let mut rows: BTreeMap<Of, i64> = BTreeMap::new();
        self.through(
            "message",
            move |look, from, to| rows_by_account(look, from, to.min(newest)),
            |some| {
                for (of, number) in some {
                    *rows.entry(of).or_default() += number;
                }
            },
        )
        .await?;
        let after = self.store.survey(balances).await?;
        let all: BTreeSet<_> = before.keys().chain(rows.keys()).chain(after.keys()).collect();
        let mut differences = Vec::new();
        for of in all {
            let balance = |at: &BTreeMap<Of, Balance>| at.get(of).copied().unwrap_or_default();
            let rows = rows.get(of).copied().unwrap_or_default();
            if let Some((counted, found)) = compare(balance(&before), rows, balance(&after)) {
                let (side, participant) = of;
                differences.push(Difference {
                    kind: DifferenceKind::CountDiffers,
                    side: side.parse::<Side>().map_err(|_| no_name("account.side"))?.as_str(),
                    participant: Some(participant.parse().map_err(|_| no_name("account.participant"))?),
                    author: None,
                    message_id: None,
                    counted: Some(counted),
                    found: Some(found),
                });
            }
        }
        Ok(differences)
    }

    /// Looks at all rows of `table` in steps, and gives what each of them finds to `found`.
    async fn through<T: Send + 'static>(
        &self,
        table: &'static str,
        look_at: impl Fn(&Look<'_>, i64, i64) -> Result<T, JournalError> + Clone + Send + 'static,
        mut found: impl FnMut(T),
    ) -> Result<(), JournalError> {
        let mut from = 0;
        loop {
            let look_at = look_at.clone();
            let step = self.store.survey(move |look| {
                // by rows there are, not by numbers: numbers have gaps
                let to: Option<i64> = look
                    .first(
                        &format!(
                            "SELECT max(seq) FROM (SELECT seq FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?) AS step"
                        ),
                        params![from, STEP],
                        |row| Ok::<Option<i64>, JournalError>(row.at(0)?),
                    )?
                    .flatten();
                let Some(to) = to else { return Ok(None) };
                Ok::<_, JournalError>(Some((to, look_at(look, from, to)?)))
            });
            let Some((to, some)) = step.await? else { return Ok(()) };
            found(some);
            from = to;
        }
    }
}

/// Whose account: a side and a participant.
type Of = (String, String);

/// An account with what was taken out of it, and the rows in flight, at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Balance {
    pub(super) received: i64,
    pub(super) ended: i64,
    pub(super) removed: i64,
    pub(super) in_flight: i64,
}

impl Balance {
    /// How many rows there have to be.
    fn kept(&self) -> i64 {
        self.received - self.removed
    }
}

/// What the account and the rows say, if they differ.
///
/// `rows` are those that were there at `before` and still when the walk came by. So what came in since is not among them,
/// and what retention has taken out since may be missing from them: that many are not held to be lost. The rows in flight
/// and the account at `after` are of one moment, and have to fit exactly.
pub(super) fn compare(before: Balance, rows: i64, after: Balance) -> Option<(Counted, Counted)> {
    let missing = before.kept() - rows;
    let lost = match missing > 0 {
        true => (missing - (after.removed - before.removed)).max(0),
        false => missing,
    };
    let counted = Counted {
        received: after.kept(),
        ended: after.ended - after.removed,
    };
    let received = after.kept() - lost;
    let found = Counted {
        received,
        ended: received - after.in_flight,
    };
    (counted != found).then_some((counted, found))
}

/// The accounts of all sides, each with its rows in flight.
fn balances(look: &Look<'_>) -> Result<BTreeMap<Of, Balance>, JournalError> {
    let accounts = look.all(
        "SELECT side, participant, received, ended, removed FROM account",
        params![],
        |row| {
            let balance = Balance {
                received: row.get("received")?,
                ended: row.get("ended")?,
                removed: row.get("removed")?,
                in_flight: 0,
            };
            Ok::<_, JournalError>(((row.get("side")?, row.get("participant")?), balance))
        },
    )?;
    let mut balances: BTreeMap<Of, Balance> = accounts.into_iter().collect();
    for side in Side::ALL {
        let in_flight = look.all(&super::in_flight(side), params![side.as_str()], |row| {
            Ok::<(String, i64), JournalError>((row.get("participant")?, row.get("in_flight")?))
        })?;
        for (participant, number) in in_flight {
            let of = (side.as_str().to_owned(), participant);
            balances.entry(of).or_default().in_flight = number;
        }
    }
    Ok(balances)
}

/// How many rows of each account there are in one step.
pub(super) const ROWS_BY_ACCOUNT: &str =
    "SELECT side, CASE side WHEN 'sent' THEN author ELSE reader END AS participant, count(*) AS number
     FROM message WHERE seq > ? AND seq <= ? GROUP BY side, CASE side WHEN 'sent' THEN author ELSE reader END";

fn rows_by_account(look: &Look<'_>, from: i64, to: i64) -> Result<Vec<(Of, i64)>, JournalError> {
    look.all(ROWS_BY_ACCOUNT, params![from, to], |row| {
        Ok(((row.get("side")?, row.get("participant")?), row.get("number")?))
    })
}

fn no_name(column: &'static str) -> JournalError {
    JournalError::Corrupt {
        column,
        expected: "a name",
    }
}

/// The event with which a message of one side comes here, where it is always the same.
const COMING: &[(Side, Stage)] = &[
    (Side::Sent, Stage::Received),
    (Side::Relayed, Stage::Relayed),
    (Side::Taken, Stage::Delivered),
];

/// Own events of coming in whose row is gone.
fn rows_missing(look: &Look<'_>, me: &CustodianId, from: i64, to: i64) -> Result<Vec<Difference>, JournalError> {
    let mut found = Vec::new();
    for (side, stage) in COMING {
        // a message that was relayed more than once has as many events
        found.extend(look.all(
            "SELECT DISTINCT author, message_id FROM event
             WHERE seq > ? AND seq <= ? AND custodian = ? AND stage = ? AND octets IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM message WHERE message.side = ? AND message.author = event.author
                    AND message.message_id = event.message_id AND message.envelope_digest = event.envelope_digest)
             ORDER BY author, message_id",
            params![from, to, me.as_str(), stage.as_str(), side.as_str()],
            |row| {
                Ok::<_, JournalError>(Difference {
                    kind: DifferenceKind::RowMissing,
                    side: side.as_str(),
                    participant: None,
                    author: Some(rows::name(row, "author")?),
                    message_id: Some(rows::name(row, "message_id")?),
                    counted: None,
                    found: None,
                })
            },
        )?);
    }
    Ok(found)
}

/// Rows without the own event of coming in. What the broker never relayed came in with another one.
fn events_missing(look: &Look<'_>, me: &CustodianId, from: i64, to: i64) -> Result<Vec<Difference>, JournalError> {
    look.all(
        "SELECT * FROM message WHERE seq > ? AND seq <= ? AND NOT EXISTS (SELECT 1 FROM event
            WHERE event.message_id = message.message_id AND event.author = message.author
                AND event.envelope_digest = message.envelope_digest AND event.custodian = ?
                AND (message.side = 'relayed' OR event.stage =
                    CASE message.side WHEN 'sent' THEN 'received' ELSE 'delivered' END))
         ORDER BY seq",
        params![from, to, me.as_str()],
        |row| Ok(of(DifferenceKind::EventMissing, &MessageRow::read(row)?)),
    )
}

/// Rows with an end that nobody stated.
fn ends_without_event(look: &Look<'_>, from: i64, to: i64) -> Result<Vec<Difference>, JournalError> {
    look.all(
        "SELECT * FROM message WHERE seq > ? AND seq <= ? AND ended IS NOT NULL AND NOT EXISTS (SELECT 1 FROM event
            WHERE event.message_id = message.message_id AND event.author = message.author
                AND event.envelope_digest = message.envelope_digest AND event.stage = message.ended
                AND event.octets IS NOT NULL)
         ORDER BY seq",
        params![from, to],
        |row| Ok(of(DifferenceKind::EndWithoutEvent, &MessageRow::read(row)?)),
    )
}

/// Rows in flight of which the facts say that they have ended.
fn ends_not_noted(look: &Look<'_>, from: i64, to: i64) -> Result<Vec<Difference>, JournalError> {
    let candidates = look.all(
        "SELECT * FROM message WHERE seq > ? AND seq <= ? AND ended IS NULL AND EXISTS (SELECT 1 FROM event
            WHERE event.message_id = message.message_id AND event.author = message.author
                AND event.envelope_digest = message.envelope_digest AND event.octets IS NOT NULL
                AND event.stage NOT IN ('received', 'relayed', 'delivered'))
         ORDER BY seq",
        params![from, to],
        MessageRow::read,
    )?;
    let mut found = Vec::new();
    for row in candidates {
        if facts::status_of(look, &row)?.is_some_and(|status| status.stage.is_terminal()) {
            found.push(of(DifferenceKind::EndNotNoted, &row));
        }
    }
    Ok(found)
}

fn of(kind: DifferenceKind, row: &MessageRow) -> Difference {
    let participant = super::participant(row.side, &row.key.author, &row.reader);
    Difference {
        kind,
        side: row.side.as_str(),
        participant: Some(participant.clone()),
        author: Some(row.key.author.clone()),
        message_id: Some(row.key.message_id),
        counted: None,
        found: None,
    }
}

/// What others should have spoken about, among the oldest that are in flight.
fn late(look: &Look<'_>, now: Timestamp, silence: SignedDuration) -> Result<Vec<Late>, JournalError> {
    let mut late = Vec::new();
    for side in [Side::Sent, Side::Relayed] {
        let oldest = look.all(
            "SELECT * FROM message WHERE side = ? AND ended IS NULL ORDER BY entered_at LIMIT ?",
            params![side.as_str(), OLDEST],
            |row| Ok::<_, JournalError>((MessageRow::read(row)?, rows::instant(row, "obsolete_after")?)),
        )?;
        for (row, obsolete_after) in oldest {
            let Some(status) = facts::status_of(look, &row)? else {
                continue;
            };
            let kind = match status.stage {
                Stage::Delivered if now > obsolete_after => LateKind::NoEnd,
                Stage::Relayed if now > status.since + silence => LateKind::Silent,
                Stage::Received if row.overdue_at.is_some_and(|overdue_at| now > overdue_at) => LateKind::NotRelayed,
                _ => continue,
            };
            late.push(Late {
                kind,
                side: side.as_str(),
                author: row.key.author,
                message_id: row.key.message_id,
                reader: row.reader,
                status: status.stage,
                since: status.since,
                holder: status.holder,
            });
        }
    }
    Ok(late)
}
