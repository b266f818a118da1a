//! `viereck journal reconcile`: a copy is compared with what others know, and opened.
//!
//! Nothing is sent or handed over meanwhile. What others know and this journal cannot make whole is named, and then the
//! journal stays closed until the operator says that it is to be opened all the same.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use viereck_custody::backup::{FactsError, Line, Reconciled, Reconciling};
use viereck_custody::{Actor, Journal, JournalError, StatedReason};
use viereck_routing::{CustodianId, Tables, day_in_berlin};
use viereck_store::StoreError;

use super::Whose;
use crate::config::Config;
use crate::config::commands::Source;
use crate::failure::{Exit, Failure};
use crate::{journals, output, routes};

/// Octets of the longest line: the largest envelope in base64, and its events.
const LONGEST_LINE: u64 = 16 << 20;

/// `viereck journal reconcile`.
///
/// Collect `viereck journal facts --about ID --since TIME` at the broker first; for a gateway that lost messages it had
/// taken also at the gateways of their authors, which still hold the octets.
#[derive(Debug, Args)]
pub struct Reconcile {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    whose: Whose,
    /// What another custodian knows, made by `viereck journal facts` there; give it once for each
    #[arg(long, value_name = "FILE", required = true)]
    facts: Vec<PathBuf>,
    /// Why; it stands in the audit trail, so no names of people
    #[arg(long, value_name = "TEXT")]
    reason: StatedReason,
    /// Open the journal although messages are missing; they are named in any case
    #[arg(long)]
    leave_missing: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs `viereck journal reconcile`.
pub(super) async fn run(args: &Reconcile) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    let custodian = args.whose.custodian(&config)?;
    let tables = Arc::new(routes::load(&config.table, day_in_berlin(Timestamp::now()))?.tables);
    let journal = open(&config, &custodian).await?;
    let reconciled = reconcile(args, &journal, tables).await;
    journal.close().await;
    let (result, opened) = reconciled?;
    if args.json {
        let mut document = json!(result);
        document["opened"] = json!(opened);
        output::json(&document)?;
    } else {
        output::text(&told(&result, opened))?;
    }
    match opened {
        true => Ok(()),
        false => {
            let sentence = format!(
                "{} messages are missing; the journal stays closed.",
                result.missing_in_all
            );
            Err(Failure::new(Exit::Findings, "messages-missing", sentence)
                .help("Add the facts of the gateways that are named; or open it all the same with --leave-missing."))
        }
    }
}

async fn open(config: &Config, custodian: &CustodianId) -> Result<Journal, Failure> {
    let place = config
        .journals()
        .into_iter()
        .find(|(id, _)| *id == custodian)
        .map(|(_, place)| place.clone())
        .ok_or_else(|| journals::unknown(custodian))?;
    if journals::file_of(&place).is_some_and(|file| !file.exists()) {
        let sentence = format!("The journal of {custodian} is not there: {place}.");
        return Err(Failure::new(Exit::NotFound, "journal-missing", sentence)
            .help("Put the copy in its place first, and nothing else beside it."));
    }
    Journal::open_restored(place, custodian.clone(), config.environment)
        .await
        .map_err(|error| match error {
            JournalError::Store(StoreError::InUse { .. }) => {
                let sentence = format!("The journal of {custodian} is in use by its process.");
                Failure::new(Exit::Conflict, "journal-in-use", sentence).help("Stop the process first.")
            }
            error => journals::failed(custodian, &error),
        })
}

/// What it came to, and whether the journal is open now.
async fn reconcile(args: &Reconcile, journal: &Journal, tables: Arc<Tables>) -> Result<(Reconciled, bool), Failure> {
    let broker_is_lost = tables.broker(journal.custodian()).is_some();
    let mut reconciling = Reconciling::begin(journal.clone(), tables.clone())
        .await
        .map_err(|error| of_facts(None, &error))?;
    for file in &args.facts {
        fold(file, &mut reconciling).await?;
    }
    let (result, told_by) = reconciling.end().await.map_err(|error| of_facts(None, &error))?;
    // the broker has seen every message and every receipt: without its word nothing is known to be whole
    if !broker_is_lost && !told_by.iter().any(|by| tables.broker(by).is_some()) {
        return Err(Failure::new(
            Exit::Usage,
            "facts-of-broker-missing",
            "None of the files is of the broker.",
        )
        .help("Run `viereck journal facts` with the broker's configuration too; what was folded so far stays."));
    }
    if result.missing_in_all > 0 && !args.leave_missing {
        return Ok((result, false));
    }
    let outcome = format!(
        "{} told of, {} unknown before, {} concluded, {} taken again, {} missing",
        result.messages, result.unknown_before, result.concluded, result.taken_again, result.missing_in_all
    );
    let reopened = journal.reopen(&me()?, &args.reason, &outcome).await;
    reopened.map_err(|error| journals::failed(journal.custodian(), &error))?;
    Ok((result, true))
}

/// The user under whose number this runs: the kernel says so, and nobody else.
fn me() -> Result<Actor, Failure> {
    let process = Path::new("/proc/self");
    let uid = std::fs::metadata(process).map_err(|error| Failure::of_file("look at", process, &error))?;
    Ok(Actor::local(uid.uid()))
}

async fn fold(file: &Path, reconciling: &mut Reconciling) -> Result<(), Failure> {
    let opened = File::open(file).map_err(|error| Failure::of_file("read the facts", file, &error))?;
    let mut reader = BufReader::new(opened);
    let mut number = 0_usize;
    loop {
        let mut line = Vec::new();
        number += 1;
        let place = format!("{}:{number}", file.display());
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::of_file("read the facts", file, &error))? == 0 {
            return Ok(());
        }
        let parsed: Option<Line> = serde_json::from_slice(&line).ok();
        let parsed = parsed.ok_or_else(|| of_facts(Some(&place), &FactsError::Malformed("no line of facts")))?;
        reconciling
            .fold(parsed)
            .await
            .map_err(|error| of_facts(Some(&place), &error))?;
    }
}

fn of_facts(place: Option<&str>, error: &FactsError) -> Failure {
    let at = place.map(|place| format!("{place}: ")).unwrap_or_default();
    let (exit, code, help) = match error {
        FactsError::Open => (Exit::Conflict, "journal-open", "Only a copy is reconciled, once."),
        FactsError::Foreign(_) => (
            Exit::Findings,
            "facts-foreign",
            "Make the facts with --about this custodian.",
        ),
        FactsError::Malformed(_) => (
            Exit::Findings,
            "facts-malformed",
            "Make the file again with `viereck journal facts`, and carry it as it is.",
        ),
        FactsError::Journal(_) => (
            Exit::Unexpected,
            "journal-failed",
            "`viereck doctor` looks at the file.",
        ),
    };
    Failure::new(exit, code, format!("{at}{error}.")).help(help)
}

fn told(result: &Reconciled, opened: bool) -> String {
    let mut told = format!(
        "{} messages told of: {} unknown to the copy, {} ended meanwhile, {} taken again, {} still on their way\n",
        result.messages, result.unknown_before, result.concluded, result.taken_again, result.coming
    );
    for missing in &result.missing {
        let kind = serde_json::to_value(missing.kind).unwrap_or_default();
        told.push_str(&format!(
            "missing: {} of {} for {}, from {}: {}\n",
            missing.message_id,
            missing.author,
            missing.reader,
            missing.gateway,
            kind.as_str().unwrap_or_default()
        ));
    }
    told.push_str(if opened {
        "the journal is open\n"
    } else {
        "the journal stays closed\n"
    });
    told
}
