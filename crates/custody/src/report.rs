//! What was filed in a month, and what became of it: Leistung by Land by Behörde, in numbers.
//!
//! Counted from the rows of one journal: the sender's, or the receiver's where nothing was sent. An application that was
//! sealed anew counts once, as what stands for it now. Nothing here is about a person, but small numbers can be: whoever
//! shows a [`Report`] shows a [`disclosure::Table`] of it.

pub mod disclosure;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use viereck_envelope::Stage;
use viereck_routing::{BehoerdeId, LeistungId, Region};
use viereck_store::{Look, params};

use crate::rows::{self, Side};
use crate::{Journal, JournalError};

/// Rows of one step, so that nobody who writes waits for a report.
const STEP: i64 = 5000;

/// No application comes in later than this after it was filed: it has lost its purpose long before.
const LATEST: SignedDuration = SignedDuration::from_hours(24 * 100);

/// Whose numbers stand together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The Leistung.
    pub leistung: LeistungId,
    /// The two-digit key of the Land of the region that decided; `None` for the whole country, or without a region.
    pub land: Option<String>,
    /// The authority.
    pub behoerde: BehoerdeId,
}

/// The numbers of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Ended, by the kind of end; a kind that did not occur is not there.
    pub ended: BTreeMap<Stage, u64>,
    /// Filed, and not ended yet.
    pub in_flight: u64,
    /// How long each accepted one took from filing to take-over, shortest first.
    pub taken_over_after: Vec<SignedDuration>,
}

/// The numbers of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Each group with its numbers.
    pub groups: BTreeMap<Group, Numbers>,
}

impl Numbers {
    /// Everything that was filed.
    pub fn filed(&self) -> u64 {
        self.in_flight + self.ended.values().sum::<u64>()
    }

    /// The duration within which this share of the accepted ones was taken over, by nearest rank.
    pub fn within(&self, share: f64) -> Option<SignedDuration> {
        let rank = (self.taken_over_after.len() as f64 * share).ceil() as usize;
        self.taken_over_after.get(rank.max(1) - 1).copied()
    }
}

impl Journal {
    /// The applications filed from `from` on and before `until`.
    pub async fn report(&self, from: Timestamp, until: Timestamp) -> Result<Report, JournalError> {
        let sent = self.report_of(Side::Sent, from, until).await?;
        match sent.groups.is_empty() {
            true => self.report_of(Side::Taken, from, until).await,
            false => Ok(sent),
        }
    }

    async fn report_of(&self, side: Side, from: Timestamp, until: Timestamp) -> Result<Report, JournalError> {
        let mut report = Report::default();
        // whatever was filed in that time came in then or later
        let mut place = (from.as_millisecond(), 0);
        loop {
            let step = self
                .store
                .read(move |look| step(look, side, place, from, until))
                .await?;
            let Some(last) = step.last else { break };
            place = last;
            for (group, one) in step.applications {
                report.groups.entry(group).or_default().count(one);
            }
        }
        for numbers in report.groups.values_mut() {
            numbers.taken_over_after.sort();
        }
        Ok(report)
    }
}

/// What became of one application.
enum One {
    InFlight,
    Ended(Stage, SignedDuration),
}

impl Numbers {
    fn count(&mut self, one: One) {
        match one {
            One::InFlight => self.in_flight += 1,
            One::Ended(stage, after) => {
                *self.ended.entry(stage).or_default() += 1;
                if stage == Stage::Accepted {
                    self.taken_over_after.push(after);
                }
            }
        }
    }
}

/// The applications of one step, and the place behind it.
struct Step {
    applications: Vec<(Group, One)>,
    last: Option<(i64, i64)>,
}

fn step(
    look: &Look<'_>,
    side: Side,
    (entered_at, seq): (i64, i64),
    from: Timestamp,
    until: Timestamp,
) -> Result<Step, JournalError> {
    let rows = look.all(
        "SELECT seq, entered_at, kind, leistung, region, reader, filed_at, replaced_by, ended, ended_at FROM message
         WHERE side = ? AND entered_at >= ? AND (entered_at > ? OR seq > ?) AND entered_at < ?
         ORDER BY entered_at, seq LIMIT ?",
        params![
            side.as_str(),
            entered_at,
            entered_at,
            seq,
            (until + LATEST).as_millisecond(),
            STEP
        ],
        |row| {
            let place = (row.get::<i64>("entered_at")?, row.get::<i64>("seq")?);
            let filed_at = rows::instant(row, "filed_at")?;
            let kind: String = row.get("kind")?;
            let replaced: Option<String> = row.get("replaced_by")?;
            if kind != "application" || replaced.is_some() || filed_at < from || filed_at >= until {
                return Ok::<_, JournalError>((place, None));
            }
            let region: Option<Region> = rows::name_if_any(row, "region")?;
            let group = Group {
                leistung: rows::name(row, "leistung")?,
                land: region.and_then(|region| region.land().map(str::to_owned)),
                behoerde: rows::name(row, "reader")?,
            };
            let ended: Option<Stage> = rows::name_if_any(row, "ended")?;
            let one = match ended.zip(rows::instant_if_any(row, "ended_at")?) {
                None => One::InFlight,
                // clocks differ; before it was filed nothing was taken over
                Some((stage, at)) => One::Ended(stage, at.duration_since(filed_at).max(SignedDuration::ZERO)),
            };
            Ok((place, Some((group, one))))
        },
    )?;
    Ok(Step {
        last: rows.last().map(|(place, _)| *place),
        applications: rows.into_iter().filter_map(|(_, application)| application).collect(),
    })
}
