//! `viereck report`: what was filed in a month, what became of it, and how long the take-over took.
//!
//! Leistung by Land by Behörde, from the journal of one gateway. Small numbers are held back so that nobody is recognised
//! by one, here and in the sums; how long it took is shown only where the number of those it is about is shown. Does not
//! leave this command otherwise: what prints goes through the same table as JSON and CSV.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use viereck_custody::report::disclosure::{Shown, Table};
use viereck_custody::report::{Group, Numbers, Report};
use viereck_envelope::Stage;
use viereck_routing::{GatewayId, Tables, day_in_berlin};

use crate::config::{Config, Role};
use crate::failure::{Exit, Failure};
use crate::{journals, output};

/// What is counted of each group, before the sum.
const KINDS: [Kind; 7] = [
    Kind::Ended(Stage::Accepted),
    Kind::Ended(Stage::Rejected),
    Kind::Ended(Stage::Undeliverable),
    Kind::Ended(Stage::Expired),
    Kind::Ended(Stage::Transferred),
    Kind::Ended(Stage::Withdrawn),
    Kind::InFlight,
];

/// How a number that is held back is written.
const HIDDEN: &str = "-";

/// `viereck report`.
#[derive(Debug, Args)]
#[command(after_help = "A number from 1 to 4 is held back (-), and with it others from which it would follow.")]
pub struct Month {
    /// The month in which they were filed, by the day in Germany
    #[arg(long, value_name = "YYYY-MM")]
    month: String,
    /// The configuration with the gateway whose journal is counted
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The gateway; if left out, the only sender of the configuration, else its only gateway
    #[arg(long, value_name = "ID")]
    gateway: Option<GatewayId>,
    /// One JSON document
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// A table for a spreadsheet: UTF-8, comma, CRLF
    #[arg(long)]
    csv: bool,
}

/// What a column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ended(Stage),
    InFlight,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Ended(stage) => stage.as_str(),
            Kind::InFlight => "inFlight",
        }
    }

    fn of(self, numbers: &Numbers) -> u64 {
        match self {
            Kind::Ended(stage) => numbers.ended.get(&stage).copied().unwrap_or_default(),
            Kind::InFlight => numbers.in_flight,
        }
    }
}

/// The report as it may be shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    month: String,
    gateway: GatewayId,
    /// `null` = held back.
    rows: Vec<Row>,
    total: Counts,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    leistung: String,
    leistung_name: Option<String>,
    land: Option<String>,
    behoerde: String,
    behoerde_name: Option<String>,
    #[serde(flatten)]
    counts: Counts,
    /// Seconds from filing to take-over, of the accepted ones.
    median_seconds: Option<i64>,
    p95_seconds: Option<i64>,
}

/// The numbers of a row, a column that is held back as `null`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    filed: Option<u64>,
    ended: Ended,
    in_flight: Option<u64>,
}

/// In the order of [`KINDS`].
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Ended {
    accepted: Option<u64>,
    rejected: Option<u64>,
    undeliverable: Option<u64>,
    expired: Option<u64>,
    transferred: Option<u64>,
    withdrawn: Option<u64>,
}

/// Counts a month and prints it.
pub async fn run(args: &Month) -> Result<(), Failure> {
    let (from, until) = month(&args.month)?;
    let config = Config::load(&args.config)?;
    let gateway = gateway(&config, args.gateway.as_ref())?;
    let journals = journals::open_all(&config, Some(&gateway)).await?;
    let mut report = Report::default();
    for journal in &journals {
        let counted = journal.report(from, until).await;
        report = counted.map_err(|error| journals::failed(&gateway, &error))?;
    }
    let tables = Tables::load(&config.table, day_in_berlin(Timestamp::now()))
        .ok()
        .map(|loaded| loaded.tables);
    let document = Document::of(args.month.clone(), gateway, &report, tables.as_ref());
    match (args.json, args.csv) {
        (true, _) => output::json(&document),
        (false, true) => output::octets(&document.csv()?),
        (false, false) => output::text(&document.told()),
    }
}

/// The first moment of a month in Germany, and that of the next one.
fn month(text: &str) -> Result<(Timestamp, Timestamp), Failure> {
    let wrong = || {
        Failure::new(Exit::Usage, "month-malformed", "That is no month.").help("Write it as 2026-11: --month 2026-11.")
    };
    let plain = text.len() == 7 && text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-');
    let first: Date = format!("{text}-01").parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let next = first.last_of_month().tomorrow().map_err(|_| wrong())?;
    let berlin = TimeZone::get("Europe/Berlin").map_err(|_| wrong())?;
    let begin = |day: Date| berlin.to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| wrong());
    Ok((begin(first)?, begin(next)?))
}

fn gateway(config: &Config, named: Option<&GatewayId>) -> Result<GatewayId, Failure> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    let all: Vec<_> = config.gateways.iter().collect();
    let senders: Vec<_> = config
        .gateways
        .iter()
        .filter(|gateway| gateway.role == Role::Sender)
        .collect();
    match (&senders[..], &all[..]) {
        ([only], _) | ([], [only]) => Ok(only.settings.id.clone()),
        _ => Err(Failure::new(
            Exit::Usage,
            "gateway-missing",
            "The configuration has more than one gateway, or none.",
        )
        .help("Name the one whose journal is to be counted with --gateway.")),
    }
}

impl Document {
    fn of(month: String, gateway: GatewayId, report: &Report, tables: Option<&Tables>) -> Self {
        let numbers: Vec<Vec<u64>> = report
            .groups
            .values()
            .map(|numbers| KINDS.iter().map(|kind| kind.of(numbers)).collect())
            .collect();
        let table = Table::of(&numbers);
        let rows = report.groups.iter().enumerate();
        Self {
            month,
            gateway,
            rows: rows
                .map(|(row, (group, numbers))| Row::of(group, numbers, Counts::of(&table, row), tables))
                .collect(),
            total: match report.groups.is_empty() {
                true => Counts::NONE,
                false => Counts::of(&table, report.groups.len()),
            },
        }
    }

    /// A spreadsheet takes a text that begins like a formula for one; such a text gets a mark before it.
    fn csv(&self) -> Result<Vec<u8>, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Unexpected, "csv-failed", format!("cannot write CSV: {error}"))
        };
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        let heads = [
            "month",
            "leistung",
            "leistungName",
            "land",
            "behoerde",
            "behoerdeName",
            "filed",
        ];
        let kinds = KINDS.iter().map(|kind| kind.as_str());
        let times = ["medianSeconds", "p95Seconds"];
        writer
            .write_record(heads.into_iter().chain(kinds).chain(times))
            .map_err(|error| failed(&error))?;
        for row in &self.rows {
            let texts = [
                self.month.as_str(),
                &row.leistung,
                row.leistung_name.as_deref().unwrap_or_default(),
                row.land.as_deref().unwrap_or_default(),
                &row.behoerde,
                row.behoerde_name.as_deref().unwrap_or_default(),
            ];
            let number = |number: Option<u64>| number.map_or_else(|| HIDDEN.to_owned(), |number| number.to_string());
            let seconds = |seconds: Option<i64>| seconds.map_or_else(String::new, |seconds| seconds.to_string());
            let record = texts
                .into_iter()
                .map(harmless)
                .chain(row.counts.all().map(number))
                .chain([seconds(row.median_seconds), seconds(row.p95_seconds)]);
            writer.write_record(record).map_err(|error| failed(&error))?;
        }
        writer.into_inner().map_err(|error| failed(&error))
    }

    fn told(&self) -> String {
        let mut text = format!("Applications filed in {} through {}\n", self.month, self.gateway);
        for row in &self.rows {
            let name = |name: &Option<String>| name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
            let land = row.land.as_deref().unwrap_or("-");
            text.push_str(&format!(
                "\n{}{}, Land {land}\n  {}{}\n  {}\n",
                row.leistung,
                name(&row.leistung_name),
                row.behoerde,
                name(&row.behoerde_name),
                row.counts.told()
            ));
            if let (Some(median), Some(p95)) = (row.median_seconds, row.p95_seconds) {
                text.push_str(&format!(
                    "  taken over after {median} s (median), {p95} s (95 of 100)\n"
                ));
            }
        }
        text.push_str(&format!("\nall\n  {}\n", self.total.told()));
        text
    }
}

impl Row {
    fn of(group: &Group, numbers: &Numbers, counts: Counts, tables: Option<&Tables>) -> Self {
        let leistung = tables.and_then(|tables| tables.leistung(&group.leistung, group.land.as_deref()));
        let behoerde = tables.and_then(|tables| tables.participant(&group.behoerde));
        // zero accepted ones have no duration, and a number that is held back keeps its durations back too
        let accepted = counts.ended.accepted.is_some();
        let within = |share| {
            numbers
                .within(share)
                .filter(|_| accepted)
                .map(|within: SignedDuration| within.as_secs())
        };
        Self {
            leistung: group.leistung.to_string(),
            leistung_name: leistung.map(|leistung| leistung.name.clone()),
            land: group.land.clone(),
            behoerde: group.behoerde.to_string(),
            behoerde_name: behoerde.map(|behoerde| behoerde.name.clone()),
            median_seconds: within(0.5),
            p95_seconds: within(0.95),
            counts,
        }
    }
}

impl Counts {
    const NONE: Counts = Counts {
        filed: Some(0),
        ended: Ended {
            accepted: Some(0),
            rejected: Some(0),
            undeliverable: Some(0),
            expired: Some(0),
            transferred: Some(0),
            withdrawn: Some(0),
        },
        in_flight: Some(0),
    };

    fn of(table: &Table, row: usize) -> Self {
        let at = |column| match table.at(row, column) {
            Shown::Number(number) => Some(number),
            Shown::Hidden => None,
        };
        Self {
            filed: at(KINDS.len()),
            ended: Ended {
                accepted: at(0),
                rejected: at(1),
                undeliverable: at(2),
                expired: at(3),
                transferred: at(4),
                withdrawn: at(5),
            },
            in_flight: at(6),
        }
    }

    /// Filed, and then in the order of [`KINDS`].
    fn all(&self) -> impl Iterator<Item = Option<u64>> {
        let Ended {
            accepted,
            rejected,
            undeliverable,
            expired,
            transferred,
            withdrawn,
        } = self.ended;
        let ended = [accepted, rejected, undeliverable, expired, transferred, withdrawn];
        [self.filed].into_iter().chain(ended).chain([self.in_flight])
    }

    fn told(&self) -> String {
        let words = ["filed"].into_iter().chain(KINDS.iter().map(|kind| kind.as_str()));
        let each = words.zip(self.all()).filter(|(_, number)| *number != Some(0));
        let told = each.map(|(word, number)| match number {
            Some(number) => format!("{word} {number}"),
            None => format!("{word} {HIDDEN}"),
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() {
            "filed 0".to_owned()
        } else {
            told.join(", ")
        }
    }
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn group(behoerde: &str) -> Group {
        Group {
            leistung: "99107023037000".parse().unwrap(),
            land: Some("01".to_owned()),
            behoerde: behoerde.parse().unwrap(),
        }
    }

    fn numbers(accepted: u64, rejected: u64) -> Numbers {
        Numbers {
            ended: BTreeMap::from([(Stage::Accepted, accepted), (Stage::Rejected, rejected)]),
            in_flight: 0,
            taken_over_after: (1..=accepted)
                .map(|n| SignedDuration::from_secs(n as i64 * 10))
                .collect(),
        }
    }

    fn document(groups: Vec<(Group, Numbers)>) -> Document {
        let report = Report {
            groups: groups.into_iter().collect(),
        };
        Document::of("2026-11".to_owned(), "gw-sh-1".parse().unwrap(), &report, None)
    }

    #[test]
    fn a_small_number_and_how_long_it_took_are_held_back() {
        let document = document(vec![
            (group("wgb:010540880000"), numbers(20, 0)),
            (group("wgb:010600000000"), numbers(3, 0)),
            (group("wgb:010610000000"), numbers(100, 9)),
        ]);
        let [first, second, third] = &document.rows[..] else {
            panic!("three rows")
        };
        assert_eq!(
            (second.counts.filed, second.counts.ended.accepted, second.median_seconds),
            (None, None, None)
        );
        // else the small one is the difference between the total and the others
        assert_eq!((first.counts.filed, first.median_seconds), (None, None));
        assert_eq!((third.counts.filed, third.counts.ended.rejected), (Some(109), Some(9)));
        assert_eq!((third.median_seconds, third.p95_seconds), (Some(500), Some(950)));
        assert_eq!(document.total.filed, Some(132));
        let csv = String::from_utf8(document.csv().unwrap()).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains(",wgb:010600000000,,-,-,0,"), "{csv}");
        assert!(document.told().contains("filed 132"));
    }

    #[test]
    fn nothing_filed_is_a_report_too() {
        let document = document(vec![]);
        assert_eq!(document.total, Counts::NONE);
        assert!(document.told().contains("all\n  filed 0\n"));
    }

    #[test]
    fn no_text_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("Wohngeld"), "Wohngeld");
    }

    #[test]
    fn a_month_begins_at_midnight_in_germany() {
        let (from, until) = month("2026-03").unwrap();
        assert_eq!(
            (from.to_string(), until.to_string()),
            ("2026-02-28T23:00:00Z".to_owned(), "2026-03-31T22:00:00Z".to_owned())
        );
        for text in ["2026", "2026-13", "2026-3", "x", "2026-11-01", ""] {
            assert!(month(text).is_err(), "{text}");
        }
    }
}
