//! What lies in a journal at one moment, for the page of metrics.
//!
//! One look at one state of the journal: the numbers fit each other, whatever is written meanwhile. It reads the rows
//! of living messages and the small tables, never what has ended, and of octets nothing but the length of those that
//! the broker holds. What is not there is shown as 0, so that no series keeps a number that is no longer true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use viereck_observe::{Metric, SharedString};
use viereck_routing::{BehoerdeId, Class, CustodianId};
use viereck_store::{Look, Row, SqlError, WriteError, params};

use super::{
    DUE, HELD, IN_FLIGHT, LEDGER, LEDGER_DIFFERENCE, LEDGER_DIFFERENCE_OF, OLDEST, OVERDUE, PARKED, PAUSES,
    RECEIPTS_DUE, RESTORED, TARGETS, UNREAD_KEPT, WAITING_FOR, reasons,
};
use crate::deadlines::{self, Late, Level};
use crate::rows::Side;
use crate::{Journal, JournalError, content, lanes, retention, rows};

/// What can still be to do, seen from each side; none means that another custodian has to speak.
const PLACES: [(Side, &str); 6] = [
    (Side::Sent, "publish"),
    (Side::Sent, "none"),
    (Side::Relayed, "relay"),
    (Side::Relayed, "none"),
    (Side::Taken, "hand-over"),
    (Side::Taken, "none"),
];

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
    unread_kept: u64,
    late: Vec<Late>,
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
    pub async fn gauges(
        &self,
        now: Timestamp,
        detail: Detail,
        targets: &deadlines::Config,
        keep: &retention::Config,
    ) -> Result<Gauges, JournalError> {
        let unread_until = keep.unread_until(now);
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
                restored: number(look, "SELECT count(*) FROM identity WHERE restored <> 0")? > 0,
                unread_kept: content::unread_kept(look, unread_until)?.map_or(0, |(messages, _)| messages),
                late: vec![],
            })
        };
        let mut gauges: Gauges = self.store.survey(look).await?;
        gauges.late = self.late(now, targets).await?;
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

/// What is still to be done with those that are neither ended nor parked. The time of what rests has come, too.
fn living(look: &Look<'_>, now: Timestamp) -> Result<Vec<Living>, JournalError> {
    look.all(
        "SELECT side, work, class, count(*) AS messages, min(entered_at) AS oldest,
            CAST(sum(CASE WHEN due_at <= ? OR due_at IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS due,
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
        set(&UNREAD_KEPT, &[], self.unread_kept.cast_signed());
        for class in Class::ALL {
            for level in Level::ALL {
                let of_class = self.late.iter().filter(|late| late.class == *class);
                let messages: u64 = of_class.map(|late| late.at(*level)).sum();
                set(&TARGETS, &[class.as_str(), level.as_str()], messages.cast_signed());
            }
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

#[cfg(test)]
mod tests {
    use viereck_routing::Environment;

    use super::*;

    const AUTHOR: &str = "wgp:010000000000";
    const READER: &str = "wgb:010010000000";
    const NOW: i64 = 1_800_000_000_000;

    /// Messages by their side, work, class, and when they entered, in minutes before now.
    async fn journal(rows: &'static [(&'static str, Option<&'static str>, i64, i64)]) -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gw.sqlite");
        let journal = Journal::open(path.as_path(), "gw-a".parse().unwrap(), Environment::Test).await;
        let journal = journal.unwrap();
        let fill = journal.store.write(move |change| {
            for (number, (side, work, class, minutes)) in rows.iter().enumerate() {
                let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}");
                let entered = NOW - minutes * 60_000;
                change.run(
                    "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                        leistung, gateway, filed_at, obsolete_after, entered_at, work, due_at, class)
                     VALUES (?,?,?,?,?,?,'application',?,'99107023037000','gw-s',?,?,?,?,?,?)",
                    params![
                        *side, AUTHOR, id, &[0_u8; 32], &[0_u8; 32], id, READER, entered, NOW, entered, *work, entered, *class
                    ],
                )?;
                change.run(
                    "INSERT INTO account (side, participant, received) VALUES (?, ?, 1)
                     ON CONFLICT (side, participant) DO UPDATE SET received = account.received + 1",
                    params![*side, if *side == "sent" { AUTHOR } else { READER }],
                )?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        (dir, journal)
    }

    async fn look(journal: &Journal) -> Gauges {
        let now = Timestamp::from_millisecond(NOW).unwrap();
        let (targets, keep) = (deadlines::Config::default(), retention::Config::default());
        let gauges = journal.gauges(now, Detail::PerBehoerde, &targets, &keep);
        gauges.await.unwrap()
    }

    #[tokio::test]
    async fn what_lies_in_a_journal_is_counted_by_place_class_and_age() {
        let (_dir, journal) = journal(&[
            ("sent", Some("publish"), 0, 5),
            ("sent", Some("publish"), 1, 7),
            ("taken", Some("hand-over"), 0, 13),
            ("taken", Some("hand-over"), 0, 1),
            ("taken", None, 2, 3),
        ])
        .await;
        let gauges = look(&journal).await;
        let at = |side, work: Option<&str>| {
            let here = |living: &&Living| living.side == side && living.work.as_deref() == work;
            let found = gauges.living.iter().filter(here);
            found
                .map(|living| (living.class.unwrap(), living.messages, NOW - living.oldest))
                .collect::<Vec<_>>()
        };
        let minute = 60_000;
        assert_eq!(
            at(Side::Sent, Some("publish")),
            [(Class::Urgent, 1, 5 * minute), (Class::Normal, 1, 7 * minute)]
        );
        assert_eq!(at(Side::Taken, Some("hand-over")), [(Class::Urgent, 2, 13 * minute)]);
        assert_eq!(at(Side::Taken, None), [(Class::Bulk, 1, 3 * minute)]);
        let due = |gauges: &Gauges| {
            let to_do = gauges.living.iter().filter(|living| living.work.is_some());
            to_do.map(|living| living.due).sum::<i64>()
        };
        assert_eq!(due(&gauges), 4);
        let rests = journal
            .store
            .write(|change| change.run("UPDATE message SET due_at = NULL WHERE work = 'publish'", params![]));
        rests.await.unwrap();
        assert_eq!(due(&look(&journal).await), 4, "the time of what rests has come");
        let late: Vec<_> = gauges
            .late
            .iter()
            .map(|late| (late.class, late.half, late.most, late.past))
            .collect();
        assert_eq!(late, [(Class::Urgent, 1, 1, 0)], "13 of 15 minutes");
        assert_eq!(gauges.per_behoerde, Some(vec![(READER.parse().unwrap(), 4)]));
        assert!(!gauges.restored);
    }

    #[tokio::test]
    async fn a_row_that_is_lost_shows_at_once() {
        let (_dir, journal) = journal(&[("sent", Some("publish"), 1, 5), ("taken", Some("hand-over"), 1, 5)]).await;
        let off = async || {
            let gauges = look(&journal).await;
            let off = gauges.accounts.iter().map(|balance| {
                let Counted { received, ended, rows } = balance.counted;
                (balance.side, received - ended - rows)
            });
            off.filter(|(_, difference)| *difference != 0).collect::<Vec<_>>()
        };
        assert_eq!(off().await, []);
        let lose = journal
            .store
            .write(|change| change.run("DELETE FROM message WHERE side = 'taken'", &[]));
        lose.await.unwrap();
        assert_eq!(off().await, [(Side::Taken, 1)]);
    }
}
