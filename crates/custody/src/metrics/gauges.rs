//! What lies in a journal at one moment, for the page of metrics.
//!
//! One look at one state of the journal: the numbers fit each other, whatever is written meanwhile. It reads the rows
//! of living messages and the small tables, never what has ended, and of octets nothing but the length of those that
//! the broker holds. What is not there is shown as 0, so that no series keeps a number that is no longer true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use viereck_observe::{Metric, SharedString};
use viereck_routing::{BehoerdeId, Class, CustodianId};
use viereck_store::{Look, Row, SqlError, WriteError, params};

use super::{
    DUE, HELD, IN_FLIGHT, LEDGER, LEDGER_DIFFERENCE, LEDGER_DIFFERENCE_OF, OLDEST, OVERDUE, PARKED, PAUSES,
    RECEIPTS_DUE, RESTORED, TARGETS, WAITING_FOR, reasons,
};
use crate::rows::Side;
use crate::{Journal, JournalError, lanes, rows};

/// What can still be to do, seen from each side; none means that another custodian has to speak.
const PLACES: [(Side, &str); 6] = [
    (Side::Sent, "publish"),
    (Side::Sent, "none"),
    (Side::Relayed, "relay"),
    (Side::Relayed, "none"),
    (Side::Taken, "hand-over"),
    (Side::Taken, "none"),
];

/// The shares of a class's time after which an operator should know, in percent.
const SHARES: [(&str, i32); 3] = [("50", 50), ("80", 80), ("100", 100)];

/// Whether every Behörde has series of its own: they may be many thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Sums only.
    Sums,
    /// Series for each Behörde of the routing table as well.
    PerBehoerde,
}

/// What lies in a journal.
#[derive(Debug)]
pub struct Gauges {
    now: Timestamp,
    living: Vec<Living>,
    /// Whether messages or octets, the reason, how many.
    parked: Vec<(&'static str, String, i64)>,
    accounts: Vec<Balance>,
    per_behoerde: Option<Vec<(BehoerdeId, i64)>>,
    held_octets: i64,
    pauses: i64,
    receipts_due: i64,
    restored: bool,
    /// Taken and not taken over, past this share of its class's time.
    late: Vec<(&'static str, Class, i64)>,
}

/// Living messages of one place and class.
#[derive(Debug)]
struct Living {
    side: Side,
    work: Option<String>,
    class: Option<Class>,
    messages: i64,
    oldest: i64,
    due: i64,
    overdue: i64,
}

/// The account of one participant, and what its rows say.
#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    received: i64,
    ended: i64,
    rows: i64,
}

#[derive(Debug)]
struct Balance {
    side: Side,
    participant: BehoerdeId,
    counted: Counted,
}

impl Journal {
    /// What lies in the journal now.
    pub async fn gauges(&self, now: Timestamp, detail: Detail) -> Result<Gauges, JournalError> {
        let look = move |look: &Look<'_>| {
            Ok::<_, JournalError>(Gauges {
                now,
                living: living(look, now)?,
                parked: parked(look)?,
                accounts: accounts(look)?,
                per_behoerde: (detail == Detail::PerBehoerde).then(|| waiting_for(look)).transpose()?,
                held_octets: number(
                    look,
                    "SELECT CAST(coalesce(sum(length(bytes)), 0) AS BIGINT) FROM sealed
                     JOIN message ON message.seq = sealed.message WHERE work = 'relay'",
                )?,
                pauses: number(look, "SELECT count(*) FROM pause")?,
                receipts_due: number(look, "SELECT count(*) FROM receipt_due")?,
                restored: number(look, "SELECT count(*) FROM identity WHERE restored = 1")? > 0,
                late: late(look, now)?,
            })
        };
        let gauges = self.store.read(look).await?;
        self.store.measure().await.map_err(from_store)?;
        Ok(gauges)
    }
}

fn from_store(error: WriteError<SqlError>) -> JournalError {
    match error {
        WriteError::Refused(error) => error.into(),
        WriteError::Store(error) => error.into(),
    }
}

/// What is still to be done with those that are neither ended nor parked.
fn living(look: &Look<'_>, now: Timestamp) -> Result<Vec<Living>, JournalError> {
    look.all(
        "SELECT side, work, class, count(*) AS messages, min(entered_at) AS oldest,
            CAST(sum(CASE WHEN due_at <= ? THEN 1 ELSE 0 END) AS BIGINT) AS due,
            CAST(sum(CASE WHEN overdue_at <= ? THEN 1 ELSE 0 END) AS BIGINT) AS overdue
         FROM message WHERE ended IS NULL AND parked IS NULL GROUP BY side, work, class",
        params![now.as_millisecond(), now.as_millisecond()],
        |row| {
            let number: u32 = row.get("class")?;
            Ok(Living {
                side: rows::name(row, "side")?,
                work: row.get("work")?,
                class: Class::ALL.iter().copied().find(|class| lanes::number(*class) == number),
                messages: row.get("messages")?,
                oldest: row.get("oldest")?,
                due: row.get("due")?,
                overdue: row.get("overdue")?,
            })
        },
    )
}

fn parked(look: &Look<'_>) -> Result<Vec<(&'static str, String, i64)>, JournalError> {
    let of = |what: &'static str| move |row: &Row<'_>| Ok::<_, JournalError>((what, row.get("reason")?, row.get("n")?));
    let mut parked = look.all(
        "SELECT parked AS reason, count(*) AS n FROM message WHERE parked IS NOT NULL GROUP BY parked",
        &[],
        of("message"),
    )?;
    parked.extend(look.all(
        "SELECT reason, count(*) AS n FROM refused_octets GROUP BY reason",
        &[],
        of("octets"),
    )?);
    Ok(parked)
}

/// The accounts beside the rows they speak of. An account without rows and rows without an account show as well.
fn accounts(look: &Look<'_>) -> Result<Vec<Balance>, JournalError> {
    let mut counted: BTreeMap<(&'static str, BehoerdeId), Counted> = BTreeMap::new();
    let kept = look.all("SELECT side, participant, received, ended FROM account", &[], |row| {
        let side: Side = rows::name(row, "side")?;
        let participant: BehoerdeId = rows::name(row, "participant")?;
        Ok::<_, JournalError>((side, participant, row.get::<i64>("received")?, row.get::<i64>("ended")?))
    })?;
    for (side, participant, received, ended) in kept {
        let counted = counted.entry((side.as_str(), participant)).or_default();
        (counted.received, counted.ended) = (received, ended);
    }
    let there = look.all(
        "SELECT side, CASE WHEN side = 'sent' THEN author ELSE reader END AS participant, count(*) AS n
         FROM message WHERE ended IS NULL GROUP BY 1, 2",
        &[],
        |row| {
            let side: Side = rows::name(row, "side")?;
            let participant: BehoerdeId = rows::name(row, "participant")?;
            Ok::<_, JournalError>((side, participant, row.get::<i64>("n")?))
        },
    )?;
    for (side, participant, rows) in there {
        counted.entry((side.as_str(), participant)).or_default().rows = rows;
    }
    let balance = |((side, participant), counted): ((&str, BehoerdeId), Counted)| {
        let side = side.parse().ok()?;
        Some(Balance {
            side,
            participant,
            counted,
        })
    };
    Ok(counted.into_iter().filter_map(balance).collect())
}

fn waiting_for(look: &Look<'_>) -> Result<Vec<(BehoerdeId, i64)>, JournalError> {
    look.all(
        "SELECT reader, count(*) AS n FROM message WHERE work IS NOT NULL GROUP BY reader",
        &[],
        |row| Ok((rows::name(row, "reader")?, row.get("n")?)),
    )
}

fn late(look: &Look<'_>, now: Timestamp) -> Result<Vec<(&'static str, Class, i64)>, JournalError> {
    let mut late = Vec::new();
    for class in Class::ALL {
        for (share, percent) in SHARES {
            let before = now - target(*class) * percent / 100;
            let found = look.first(
                "SELECT count(*) FROM message WHERE side = 'taken' AND ended IS NULL AND class = ? AND filed_at <= ?",
                params![lanes::number(*class), before.as_millisecond()],
                |row| Ok::<i64, JournalError>(row.at(0)?),
            )?;
            late.push((share, *class, found.unwrap_or_default()));
        }
    }
    Ok(late)
}

/// Within which time after its filing a message of this class should be taken over.
fn target(class: Class) -> SignedDuration {
    match class {
        Class::Urgent => SignedDuration::from_mins(15),
        Class::Normal => SignedDuration::from_hours(4),
        Class::Bulk => SignedDuration::from_hours(72),
    }
}

fn number(look: &Look<'_>, sql: &str) -> Result<i64, JournalError> {
    let found = look.first(sql, &[], |row| Ok::<i64, JournalError>(row.at(0)?))?;
    Ok(found.unwrap_or_default())
}

impl Gauges {
    /// Shows it as the numbers of `custodian`. A Behörde that `knows` does not know is not named: what nobody entered in
    /// the routing table makes no series.
    pub fn show(&self, custodian: &CustodianId, knows: impl Fn(&BehoerdeId) -> bool) {
        let me = || SharedString::from(custodian.as_str().to_owned());
        let set = |metric: &Metric, labels: &[&'static str], value: i64| {
            let labels: Vec<_> = [me()]
                .into_iter()
                .chain(labels.iter().map(|label| (*label).into()))
                .collect();
            metric.gauge(&labels).set(value as f64);
        };
        self.show_living(&set);
        for what in ["message", "octets"] {
            for reason in reasons() {
                let found = |(kind, parked, _): &&(&str, String, i64)| *kind == what && parked == reason;
                set(
                    &PARKED,
                    &[what, reason],
                    self.parked.iter().find(found).map_or(0, |(_, _, n)| *n),
                );
            }
        }
        for side in Side::ALL {
            let of_side = self
                .accounts
                .iter()
                .filter(|balance| balance.side == side)
                .map(|balance| balance.counted);
            let sums = of_side.fold([0; 4], |[received, ended, rows, difference], counted| {
                let off = (counted.received - counted.ended - counted.rows).abs();
                [
                    received + counted.received,
                    ended + counted.ended,
                    rows + counted.rows,
                    difference + off,
                ]
            });
            for (count, value) in ["received", "ended", "in-flight"].into_iter().zip(sums) {
                set(&LEDGER, &[side.as_str(), count], value);
            }
            set(&LEDGER_DIFFERENCE, &[side.as_str()], sums[3]);
        }
        set(&HELD, &[], self.held_octets);
        set(&PAUSES, &[], self.pauses);
        set(&RECEIPTS_DUE, &[], self.receipts_due);
        set(&RESTORED, &[], i64::from(self.restored));
        for (share, class, found) in &self.late {
            set(&TARGETS, &[class.as_str(), share], *found);
        }
        if let Some(waiting) = &self.per_behoerde {
            self.show_each(custodian, waiting, knows);
        }
    }

    fn show_living(&self, set: &impl Fn(&Metric, &[&'static str], i64)) {
        for (side, work) in PLACES {
            let here = |living: &&Living| living.side == side && living.work.as_deref().unwrap_or("none") == work;
            let place: Vec<_> = self.living.iter().filter(here).collect();
            for class in Class::ALL {
                let of_class = place.iter().filter(|living| living.class == Some(*class));
                let messages = of_class.map(|living| living.messages).sum();
                set(&IN_FLIGHT, &[side.as_str(), work, class.as_str()], messages);
            }
            let oldest = place.iter().map(|living| living.oldest).min();
            let age = oldest.map_or(0, |oldest| (self.now.as_millisecond() - oldest).max(0) / 1000);
            set(&OLDEST, &[side.as_str(), work], age);
            if work != "none" {
                set(&DUE, &[work], place.iter().map(|living| living.due).sum());
            }
        }
        set(&OVERDUE, &[], self.living.iter().map(|living| living.overdue).sum());
    }

    fn show_each(&self, custodian: &CustodianId, waiting: &[(BehoerdeId, i64)], knows: impl Fn(&BehoerdeId) -> bool) {
        /// Whom there are series of: those that are gone get a 0.
        static SHOWN: Mutex<BTreeSet<(CustodianId, BehoerdeId)>> = Mutex::new(BTreeSet::new());
        let me = || SharedString::from(custodian.as_str().to_owned());
        let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now: BTreeMap<BehoerdeId, i64> = waiting.iter().filter(|(of, _)| knows(of)).cloned().collect();
        for (_, behoerde) in shown.iter().filter(|(of, _)| of == custodian) {
            now.entry(behoerde.clone()).or_insert(0);
        }
        for (behoerde, messages) in now {
            WAITING_FOR
                .gauge(&[me(), behoerde.as_str().to_owned().into()])
                .set(messages as f64);
            shown.insert((custodian.clone(), behoerde));
        }
        for Balance {
            side,
            participant,
            counted,
        } in self.accounts.iter().filter(|balance| knows(&balance.participant))
        {
            let off = counted.received - counted.ended - counted.rows;
            let labels = [me(), side.as_str().into(), participant.as_str().to_owned().into()];
            LEDGER_DIFFERENCE_OF.gauge(&labels).set(off as f64);
        }
    }
}
