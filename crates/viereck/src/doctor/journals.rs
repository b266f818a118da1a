//! The journals: whole, writable, open, right in their accounts, and what waits in them for somebody.

use jiff::{SignedDuration, Timestamp};
use viereck_custody::{Journal, JournalError, Place, retention};
use viereck_routing::CustodianId;
use viereck_store::Integrity;

use super::{Chart, PATIENCE, Patient, Severity};
use crate::config::Config;
use crate::journals;

/// Clocks may differ by this much without anybody noticing.
const CLOCKS: SignedDuration = SignedDuration::from_secs(2);

/// Clocks that differ by this much make good envelopes look as if they came from the future.
const CLOCKS_TOO_FAR: SignedDuration = SignedDuration::from_secs(60);

/// Silence of another custodian that the ledger names.
const SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// How many differences of a ledger are told; the first says enough.
const NAMED: usize = 10;

/// Opens a journal of the configuration beside its process.
pub(super) async fn open(
    config: &Config,
    custodian: &CustodianId,
    place: &Place,
    chart: &mut Chart,
) -> Option<Journal> {
    match journals::open_to_look(config, custodian, place).await {
        Ok(journal) => Some(journal),
        Err(failure) => {
            chart.add_failure(format!("journal of {custodian}"), &failure);
            None
        }
    }
}

pub(super) async fn examine(patient: &Patient<'_>, chart: &mut Chart) {
    for (custodian, place) in patient.config.journals() {
        integrity(custodian, place, chart).await;
    }
    for journal in patient.journals.values() {
        let subject = format!("journal of {}", journal.custodian());
        chart.looked_at(subject.clone());
        if patient.living && !journal.is_writable().await {
            chart.add(
                Severity::Error,
                "journal-unwritable",
                subject.clone(),
                "It cannot be written: whoever comes is told no.",
                "Look at the disk and at the log of the process; a process that saw an I/O error has to be started anew.",
            );
        }
        let settings = patient.config.gateways.iter().map(|gateway| &gateway.settings);
        let settings = settings.filter(|gateway| gateway.id == *journal.custodian());
        let keep = settings
            .map(|gateway| gateway.retention.clone())
            .next()
            .unwrap_or_default();
        if let Err(error) = one(journal, &keep, &subject, chart).await {
            let sentence = format!("It cannot be read: {error}.");
            let next_step = "Copy the file away, restore the last backup, and `viereck journal reconcile`.";
            chart.add(Severity::Error, "journal-failed", subject, sentence, next_step);
        }
    }
}

async fn integrity(custodian: &CustodianId, place: &Place, chart: &mut Chart) {
    let Some(file) = journals::file_of(place).filter(|file| file.exists()) else {
        return;
    };
    let subject = format!("pages of {}", file.display());
    chart.looked_at(subject.clone());
    let path = file.to_owned();
    let looked = tokio::task::spawn_blocking(move || viereck_store::integrity(&path, PATIENCE)).await;
    match looked {
        Ok(Ok(Integrity::Whole)) => {}
        Ok(Ok(Integrity::Unfinished)) => chart.add(
            Severity::Note,
            "integrity-unfinished",
            subject,
            format!("Nothing wrong in what {} s were enough for.", PATIENCE.as_secs()),
            "For the whole file: make a backup and look at the copy.",
        ),
        Ok(Ok(Integrity::Damaged(what))) => chart.add(
            Severity::Error,
            "journal-corrupt",
            subject,
            format!("The file is damaged: {}.", what.join("; ").replace('\n', " ")),
            format!(
                "Stop the process, keep the file, restore the last backup of {custodian}, then `viereck journal reconcile`."
            ),
        ),
        Ok(Err(error)) => chart.add(
            Severity::Error,
            "journal-failed",
            subject,
            format!("It cannot be looked at: {error}."),
            "Look at the owner and the mode of the file.",
        ),
        Err(panicked) => chart.add(
            Severity::Error,
            "unexpected",
            subject,
            format!("Looking at it failed: {panicked}."),
            "Tell the makers.",
        ),
    }
}

async fn one(
    journal: &Journal,
    keep: &retention::Config,
    subject: &str,
    chart: &mut Chart,
) -> Result<(), JournalError> {
    if let Some(at) = journal.restored().await? {
        chart.add(
            Severity::Error,
            "journal-restored",
            subject,
            format!("It is a copy made at {at:.0} and closed until it is reconciled."),
            "Collect `viereck journal facts` at the others, then `viereck journal reconcile`.",
        );
    }
    ledger(journal, chart).await?;
    waiting(journal, chart).await?;
    unread(journal, keep, chart).await?;
    clocks(journal, chart).await?;
    sharers(journal, subject, chart).await?;
    let check = journal.verify_audit().await?;
    if let Some(line) = check.broken {
        chart.add(
            Severity::Error,
            "audit-broken",
            format!("audit trail of {}", journal.custodian()),
            format!(
                "After {} lines the one of {} does not follow: somebody changed the file.",
                check.lines, line.time
            ),
            "Compare with the log, where every line stands with its head; find out who can write the file.",
        );
    }
    Ok(())
}

async fn ledger(journal: &Journal, chart: &mut Chart) -> Result<(), JournalError> {
    let subject = format!("ledger of {}", journal.custodian());
    chart.looked_at(subject.clone());
    let reconciled = journal.reconcile_ledger(SILENCE).await?;
    for difference in reconciled.differences.iter().take(NAMED) {
        let named = serde_json::to_string(difference).unwrap_or_default();
        chart.add(
            Severity::Error,
            "ledger-difference",
            subject.clone(),
            format!("Something does not add up: {named}."),
            "Ask the other custodians for the message with `viereck message trace`; restore a backup if rows are gone.",
        );
    }
    if reconciled.differences_in_all > NAMED {
        let more = reconciled.differences_in_all - NAMED;
        let sentence = format!("And {more} differences more.");
        chart.add(
            Severity::Error,
            "ledger-difference",
            subject.clone(),
            sentence,
            "Begin with the first.",
        );
    }
    if let Some(late) = reconciled.late.first() {
        chart.add(
            Severity::Warning,
            "ledger-late",
            subject,
            format!(
                "{} messages wait for a word of others; the oldest is {}, held by {} since {:.0}.",
                reconciled.late_in_all, late.message_id, late.holder, late.since
            ),
            "`viereck message trace` tells who has it and whom to call.",
        );
    }
    Ok(())
}

async fn waiting(journal: &Journal, chart: &mut Chart) -> Result<(), JournalError> {
    let custodian = journal.custodian();
    for group in journal.parked_groups().await? {
        let things = group.messages + group.octets;
        chart.add(
            Severity::Warning,
            "parked",
            custodian.to_string(),
            format!(
                "{things} parked since {:.0}: {} ({})",
                group.oldest, group.sentence, group.cause
            ),
            format!(
                "`viereck parked list --cause {}`, then requeue or discard.",
                group.cause
            ),
        );
    }
    if let Some((messages, since)) = journal.overdue().await? {
        chart.add(
            Severity::Warning,
            "overdue",
            custodian.to_string(),
            format!("{messages} messages are overdue, the first since {since:.0}: the reader's gateway is silent."),
            "They are sent again by themselves. Ask the operator of the gateway; `viereck message trace` names it.",
        );
    }
    for pause in journal.paused().await?.iter() {
        chart.add(
            Severity::Note,
            "paused",
            custodian.to_string(),
            format!(
                "{} rests since {:.0}: {} ({})",
                pause.scope, pause.since, pause.reason, pause.actor
            ),
            "`viereck resume` lets it go on.",
        );
    }
    Ok(())
}

async fn unread(journal: &Journal, keep: &retention::Config, chart: &mut Chart) -> Result<(), JournalError> {
    let until = keep.unread_until(Timestamp::now());
    if let Some((messages, first)) = journal.unread_kept(until).await? {
        chart.add(
            Severity::Warning,
            "unread-kept",
            journal.custodian().to_string(),
            format!("{messages} messages ended unread and nobody has fetched them, the first since {first:.0}."),
            "`viereck message list --status expired`, then undeliverable, rejected and withdrawn, says who filed them: let \
             them fetch it. What nobody wants any more: `viereck parked erase`.",
        );
    }
    Ok(())
}

async fn clocks(journal: &Journal, chart: &mut Chart) -> Result<(), JournalError> {
    chart.looked_at(format!("clock against what {} was told", journal.custodian()));
    for difference in journal.clock_differences().await? {
        if difference.behind.abs() <= CLOCKS {
            continue;
        }
        let severity = match difference.behind.abs() > CLOCKS_TOO_FAR {
            true => Severity::Error,
            false => Severity::Warning,
        };
        let which = match difference.behind.is_positive() {
            true => "behind ours",
            false => "before ours",
        };
        chart.add(
            severity,
            "clock-differs",
            format!("clock of {}", difference.custodian),
            format!("It is at least {} ms {which}.", difference.behind.abs().as_millis()),
            "Let both machines keep time by NTP.",
        );
    }
    Ok(())
}

async fn sharers(journal: &Journal, subject: &str, chart: &mut Chart) -> Result<(), JournalError> {
    let sharers = journal.sharers().await?;
    let alive = sharers.iter().filter(|sharer| sharer.alive);
    let told: Vec<String> = alive
        .map(|sharer| format!("{} ({})", sharer.instance, sharer.duties.join(", ")))
        .collect();
    if !told.is_empty() {
        let sentence = format!("{} processes share it: {}.", told.len(), told.join("; "));
        chart.add(Severity::Note, "instances", subject, sentence, "Nothing is to be done.");
    }
    Ok(())
}
