//! What a doctor asks of a journal that nobody else does: how clocks differ, who shares it, whether it is a copy.
//!
//! Looks only, each over a bounded number of rows.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use viereck_routing::CustodianId;
use viereck_store::params;

use crate::{Entry, Journal, JournalError, rows};

/// How many of the latest events clocks are compared by.
const EVENTS: i64 = 2000;

/// How far the clock of another custodian is off at least, by what both stated about the same messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockDifference {
    /// Whose clock.
    pub custodian: CustodianId,
    /// By how much it is behind ours at least; negative when ours is behind.
    pub behind: SignedDuration,
}

/// A process that shares a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharer {
    /// Its name among them.
    pub instance: String,
    /// Whether it has given a sign of life in time.
    pub alive: bool,
    /// What only it does at present.
    pub duties: Vec<String>,
}

impl Journal {
    /// Where a later stage has an earlier time than the stage before it, the clocks of the two differ by that much at
    /// least. Only the largest difference of each custodian is told, and none where there is none.
    pub async fn clock_differences(&self) -> Result<Vec<ClockDifference>, JournalError> {
        let me = self.custodian().clone();
        let events = self.store.read(|look| {
            look.all(
                "SELECT message_id, author, stage, custodian, time FROM event WHERE octets IS NOT NULL
                 ORDER BY seq DESC LIMIT ?",
                params![EVENTS],
                |row| {
                    Ok::<_, JournalError>((
                        (row.get::<String>("message_id")?, row.get::<String>("author")?),
                        rows::name::<Entry>(row, "stage")?,
                        rows::name::<CustodianId>(row, "custodian")?,
                        rows::instant(row, "time")?,
                    ))
                },
            )
        });
        let mut messages: HashMap<_, Vec<(Entry, CustodianId, Timestamp)>> = HashMap::new();
        for (key, stage, custodian, time) in events.await? {
            messages.entry(key).or_default().push((stage, custodian, time));
        }
        let mut differences: BTreeMap<CustodianId, SignedDuration> = BTreeMap::new();
        for events in messages.values() {
            for (stage, _, time) in events.iter().filter(|(_, custodian, _)| *custodian == me) {
                for (other_stage, other, other_time) in events.iter().filter(|(_, custodian, _)| *custodian != me) {
                    // ours came first, so theirs may not be earlier, and the other way round
                    let behind = match (stage.stage() < other_stage.stage(), other_time < time) {
                        (true, true) | (false, false) => time.duration_since(*other_time),
                        _ => continue,
                    };
                    let largest = differences.entry(other.clone()).or_default();
                    if behind.abs() > largest.abs() {
                        *largest = behind;
                    }
                }
            }
        }
        let difference = |(custodian, behind)| ClockDifference { custodian, behind };
        Ok(differences.into_iter().map(difference).collect())
    }

    /// The processes that share this journal; none where one process has it alone.
    pub async fn sharers(&self) -> Result<Vec<Sharer>, JournalError> {
        let sharers = self.store.read(|look| {
            let now = look.clock()?;
            let duties = look.all(
                "SELECT name, instance FROM duty WHERE until > ? ORDER BY name",
                params![now],
                |row| Ok::<_, JournalError>((row.get::<String>("instance")?, row.get::<String>("name")?)),
            )?;
            look.all("SELECT id, alive_until FROM instance ORDER BY id", params![], |row| {
                let instance: String = row.get("id")?;
                let own = duties.iter().filter(|(holder, _)| *holder == instance);
                Ok::<_, JournalError>(Sharer {
                    duties: own.map(|(_, duty)| duty.clone()).collect(),
                    alive: row.get::<i64>("alive_until")? > now,
                    instance,
                })
            })
        });
        Ok(sharers.await?)
    }

    /// How many messages are overdue, and since when the first is.
    pub async fn overdue(&self) -> Result<Option<(u64, Timestamp)>, JournalError> {
        let now = Timestamp::now().as_millisecond();
        let overdue = self.store.survey(move |look| {
            let counted = look.first(
                "SELECT count(*) AS messages, min(overdue_at) AS first FROM message
                 WHERE overdue_at <= ? AND ended IS NULL",
                params![now],
                |row| {
                    Ok::<_, JournalError>((
                        row.get::<i64>("messages")?.cast_unsigned(),
                        row.get::<Option<i64>>("first")?,
                    ))
                },
            )?;
            Ok::<_, JournalError>(counted.and_then(|(messages, first)| {
                let first = Timestamp::from_millisecond(first?).ok()?;
                Some((messages, first))
            }))
        });
        Ok(overdue.await?)
    }

    /// When the copy was made, if this journal is one that has not been reconciled yet.
    pub async fn restored(&self) -> Result<Option<Timestamp>, JournalError> {
        let restored = self.store.read(|look| {
            look.first("SELECT restored FROM identity", params![], |row| {
                Ok::<_, JournalError>(row.get::<i64>("restored")?)
            })
        });
        let at = restored.await?.filter(|at| *at != 0);
        Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }
}
