//! The account: received = ended + in flight, per participant, at every moment.
//!
//! Counted from the rows, each number on its own, so that a row that is lost or counted twice shows.

use std::collections::BTreeMap;

use serde::Serialize;
use viereck_routing::BehoerdeId;
use viereck_store::{Look, params};

use crate::rows::{self, Side};
use crate::{Journal, JournalError};

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
    /// By reader: what was taken here.
    pub taken: BTreeMap<BehoerdeId, Account>,
}

impl Ledger {
    /// Everything that was sent from here.
    pub fn total_sent(&self) -> Account {
        total(self.sent.values())
    }

    /// Everything that was taken here.
    pub fn total_taken(&self) -> Account {
        total(self.taken.values())
    }
}

fn total<'a>(accounts: impl Iterator<Item = &'a Account>) -> Account {
    let mut total = Account::default();
    accounts.for_each(|account| total += *account);
    total
}

impl Journal {
    /// The accounts at this moment, all of one state of the file.
    pub async fn ledger(&self) -> Result<Ledger, JournalError> {
        let ledger = self.store.read(|conn| {
            Ok::<_, JournalError>(Ledger {
                sent: accounts(conn, Side::Sent, "author")?,
                taken: accounts(conn, Side::Taken, "reader")?,
            })
        });
        Ok(ledger.await?)
    }
}

fn accounts(
    conn: &Look<'_>,
    side: Side,
    participant: &'static str,
) -> Result<BTreeMap<BehoerdeId, Account>, JournalError> {
    let mut accounts: BTreeMap<BehoerdeId, Account> = BTreeMap::new();
    let mut count = |condition: &str, field: fn(&mut Account) -> &mut u64| -> Result<(), JournalError> {
        let sql = format!(
            "SELECT {participant} AS participant, count(*) FROM message WHERE side = ? AND {condition} GROUP BY 1"
        );
        let counted = conn.all(&sql, params![side.as_str()], |row| {
            Ok::<(BehoerdeId, i64), JournalError>((rows::name(row, "participant")?, row.at(1)?))
        })?;
        for (participant, number) in counted {
            *field(accounts.entry(participant).or_default()) = number.cast_unsigned();
        }
        Ok(())
    };
    count("true", |account| &mut account.received)?;
    count("ended IS NOT NULL", |account| &mut account.ended)?;
    count("ended IS NULL", |account| &mut account.in_flight)?;
    Ok(accounts)
}
