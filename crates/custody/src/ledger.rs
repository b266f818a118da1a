//! The account: received = ended + in flight, per participant, at every moment.
//!
//! Every message is counted in the transaction that makes its row and again in the one that ends it, in a table of its own
//! that does not know the rows; what is in flight is counted from the rows. So the sum holds as long as nothing is lost,
//! and shows when something in flight is. [`Journal::reconcile_ledger`] compares what has ended as well and names what is
//! missing, [`watch`] looks by itself.

mod reconcile;
pub mod watch;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use viereck_envelope::Stage;
use viereck_routing::BehoerdeId;
use viereck_store::{Change, Look, params};

use crate::rows::{self, MessageRow, Side};
use crate::{Journal, JournalError};

pub use reconcile::{Counted, Difference, DifferenceKind, Late, LateKind, Reconciled};

/// What one participant's messages add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Promised, or taken.
    pub received: u64,
    /// Ended, whatever the end.
    pub ended: u64,
    /// Neither lost nor ended: with work to do, parked, waiting for the reader's word.
    pub in_flight: u64,
}

impl Account {
    /// Whether nothing is missing and nothing is there twice.
    pub fn adds_up(&self) -> bool {
        self.received == self.ended + self.in_flight
    }
}

impl std::ops::AddAssign for Account {
    fn add_assign(&mut self, other: Account) {
        self.received += other.received;
        self.ended += other.ended;
        self.in_flight += other.in_flight;
    }
}

/// The accounts of one journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// By author: what was sent from here.
    pub sent: BTreeMap<BehoerdeId, Account>,
    /// By reader: what was relayed here.
    pub relayed: BTreeMap<BehoerdeId, Account>,
    /// By reader: what was taken here.
    pub taken: BTreeMap<BehoerdeId, Account>,
}

impl Ledger {
    /// Everything that was sent from here.
    pub fn total_sent(&self) -> Account {
        total(self.sent.values())
    }

    /// Everything that was relayed here.
    pub fn total_relayed(&self) -> Account {
        total(self.relayed.values())
    }

    /// Everything that was taken here.
    pub fn total_taken(&self) -> Account {
        total(self.taken.values())
    }

    /// Whether every account does.
    pub fn adds_up(&self) -> bool {
        let sides = [&self.sent, &self.relayed, &self.taken];
        sides.into_iter().flat_map(BTreeMap::values).all(Account::adds_up)
    }
}

fn total<'a>(accounts: impl Iterator<Item = &'a Account>) -> Account {
    let mut total = Account::default();
    accounts.for_each(|account| total += *account);
    total
}

/// The participant on whose account a message stands: its author where it was sent, else its reader.
pub(crate) fn participant<'a>(side: Side, author: &'a BehoerdeId, reader: &'a BehoerdeId) -> &'a BehoerdeId {
    match side {
        Side::Sent => author,
        Side::Relayed | Side::Taken => reader,
    }
}

/// Counts a message that came in. To be called in the transaction that makes its row.
pub(crate) fn received(tx: &Change<'_>, side: Side, participant: &BehoerdeId) -> Result<(), JournalError> {
    count(tx, side, participant, [1, 0, 0])
}

/// Writes the end of a message and counts it, or takes an end back that turned out void. The one place that writes
/// `ended`, so that row and account cannot part. `row` is the row as it stands.
pub(crate) fn set_end(
    tx: &Change<'_>,
    side: Side,
    row: &MessageRow,
    end: Option<(Stage, Timestamp)>,
) -> Result<(), JournalError> {
    if row.ended == end.map(|(stage, _)| stage) {
        return Ok(());
    }
    tx.run(
        "UPDATE message SET ended = ?, ended_at = ? WHERE seq = ?",
        params![
            end.map(|(stage, _)| stage.as_str()),
            end.map(|(_, at)| at.as_millisecond()),
            row.seq
        ],
    )?;
    let change = i64::from(end.is_some()) - i64::from(row.ended.is_some());
    match change {
        0 => Ok(()),
        change => count(
            tx,
            side,
            participant(side, &row.key.author, &row.reader),
            [0, change, 0],
        ),
    }
}

/// Counts a message whose row is taken out because its time of retention is over; only what has ended may be.
pub(crate) fn removed(tx: &Change<'_>, side: Side, participant: &BehoerdeId) -> Result<(), JournalError> {
    count(tx, side, participant, [0, 0, 1])
}

/// Adds to received, ended and removed.
fn count(tx: &Change<'_>, side: Side, participant: &BehoerdeId, by: [i64; 3]) -> Result<(), JournalError> {
    tx.run(
        "INSERT INTO account (side, participant, received, ended, removed) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (side, participant) DO UPDATE SET received = account.received + excluded.received,
            ended = account.ended + excluded.ended, removed = account.removed + excluded.removed",
        params![side.as_str(), participant.as_str(), by[0], by[1], by[2]],
    )?;
    Ok(())
}

impl Journal {
    /// The accounts at this moment, all of one state of the journal. Costs a look at each message in flight, and at none
    /// that has ended.
    pub async fn ledger(&self) -> Result<Ledger, JournalError> {
        let ledger = self.store.survey(|look| {
            Ok::<_, JournalError>(Ledger {
                sent: accounts(look, Side::Sent)?,
                relayed: accounts(look, Side::Relayed)?,
                taken: accounts(look, Side::Taken)?,
            })
        });
        Ok(ledger.await?)
    }
}

fn accounts(look: &Look<'_>, side: Side) -> Result<BTreeMap<BehoerdeId, Account>, JournalError> {
    let counted = look.all(
        "SELECT participant, received, ended FROM account WHERE side = ?",
        params![side.as_str()],
        |row| {
            let account = Account {
                received: row.get::<i64>("received")?.cast_unsigned(),
                ended: row.get::<i64>("ended")?.cast_unsigned(),
                in_flight: 0,
            };
            Ok::<(BehoerdeId, Account), JournalError>((rows::name(row, "participant")?, account))
        },
    )?;
    let mut accounts: BTreeMap<BehoerdeId, Account> = counted.into_iter().collect();
    let in_flight = look.all(&in_flight(side), params![side.as_str()], |row| {
        Ok::<(BehoerdeId, i64), JournalError>((rows::name(row, "participant")?, row.get("in_flight")?))
    })?;
    for (participant, number) in in_flight {
        accounts.entry(participant).or_default().in_flight = number.cast_unsigned();
    }
    Ok(accounts)
}

/// What is in flight on one side, by participant.
fn in_flight(side: Side) -> String {
    let participant = match side {
        Side::Sent => "author",
        Side::Relayed | Side::Taken => "reader",
    };
    format!(
        "SELECT {participant} AS participant, count(*) AS in_flight FROM message
         WHERE side = ? AND ended IS NULL GROUP BY {participant}"
    )
}

#[cfg(test)]
mod tests;
