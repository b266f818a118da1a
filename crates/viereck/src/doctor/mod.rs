//! `viereck doctor`: one look at everything that can be wrong with a process, before somebody is called.
//!
//! The same examination runs inside a process (`GET /v1/doctor`, over its own journals and its own link) and beside one
//! (the command, when no operations interface is configured or the process is not there). Guarantees: it changes nothing,
//! every part ends within a bounded time, and every finding has a stable code, a sentence and a next step. Does not: say
//! that all is well elsewhere; each process is examined by itself.

mod disk;
mod journals;
mod keys;
mod link;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_custody::Journal;
use viereck_routing::CustodianId;
use viereck_transport::Link;

use crate::config::commands::Source;
use crate::config::{Config, Part};
use crate::failure::{Exit, Failure};
use crate::operations::Operations;
use crate::operations::client::{Client, Reach};
use crate::{link as links, output};

/// How long each look at a part may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `viereck doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reach: Reach,
    /// Look from here, also when the configuration has an operations interface
    #[arg(long, conflicts_with_all = ["url", "token_file"])]
    from_here: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Something does not work, or is about to be lost.
    Error,
    /// It works, but not for long, or not for everybody.
    Warning,
    /// Worth knowing; nothing is wrong.
    Note,
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    /// Stable, for programs.
    pub(crate) code: String,
    pub(crate) severity: Severity,
    /// What it is about: a custodian, a file, a queue.
    pub(crate) subject: String,
    pub(crate) sentence: String,
    pub(crate) next_step: String,
}

/// What an examination came to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) at: Timestamp,
    /// Whether nothing is an error.
    pub(crate) healthy: bool,
    /// What was looked at, in order.
    pub(crate) looked_at: Vec<String>,
    /// The worst first.
    pub(crate) findings: Vec<Finding>,
}

/// What is examined.
pub(crate) struct Patient<'a> {
    pub(crate) config: &'a Config,
    /// The journals that could be opened, by custodian.
    pub(crate) journals: BTreeMap<CustodianId, Journal>,
    /// Whether these are the journals of the running process itself.
    pub(crate) living: bool,
    pub(crate) link: Option<Link>,
}

/// Collects findings.
#[derive(Default)]
pub(crate) struct Chart {
    looked_at: Vec<String>,
    findings: Vec<Finding>,
}

impl Chart {
    pub(crate) fn looked_at(&mut self, what: impl Into<String>) {
        self.looked_at.push(what.into());
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        code: &str,
        subject: impl Into<String>,
        sentence: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        self.findings.push(Finding {
            code: code.to_owned(),
            severity,
            subject: subject.into(),
            sentence: sentence.into(),
            next_step: next_step.into(),
        });
    }

    /// A failure that a start would end with is a finding here.
    pub(crate) fn add_failure(&mut self, subject: impl Into<String>, failure: &Failure) {
        let place = failure.position.as_ref().map(|position| format!(" ({position})"));
        let sentence = format!("{}{}", failure.sentence, place.unwrap_or_default());
        let next_step = failure.help.clone().unwrap_or_default();
        self.add(Severity::Error, failure.code, subject, sentence, next_step);
    }

    fn report(mut self) -> Report {
        self.findings.sort_by_key(|finding| finding.severity);
        Report {
            at: Timestamp::now(),
            healthy: !self.findings.iter().any(|finding| finding.severity == Severity::Error),
            looked_at: self.looked_at,
            findings: self.findings,
        }
    }
}

/// Examines the process that runs this.
pub(crate) async fn examine_process(operations: &Operations) -> Report {
    let patient = Patient {
        config: &operations.config,
        journals: operations.journals.clone(),
        living: true,
        link: Some(operations.link.clone()),
    };
    let mut chart = Chart::default();
    examine(&patient, &mut chart).await;
    chart.report()
}

/// Examines what a configuration names, beside the process that runs it.
async fn examine_from_here(config: &Config) -> Report {
    let mut chart = Chart::default();
    let mut journals = BTreeMap::new();
    for (custodian, place) in config.journals() {
        match journals::open(config, custodian, place, &mut chart).await {
            Some(journal) => drop(journals.insert(custodian.clone(), journal)),
            None => chart.looked_at(format!("journal of {custodian}")),
        }
    }
    // an embedded link belongs to one process at a time
    let link = match config.link {
        crate::config::Link::Embedded(_) => None,
        crate::config::Link::Amqp(..) => links::open(&config.link, "doctor")
            .inspect_err(|failure| chart.add_failure("link", failure))
            .ok(),
    };
    let patient = Patient {
        config,
        journals,
        living: false,
        link,
    };
    examine(&patient, &mut chart).await;
    for (_, journal) in patient.journals {
        journal.close().await;
    }
    if let Some(link) = patient.link {
        link.close().await;
    }
    chart.report()
}

async fn examine(patient: &Patient<'_>, chart: &mut Chart) {
    let tables = keys::examine(patient.config, chart).await;
    keys::worn(patient, chart).await;
    journals::examine(patient, chart).await;
    link::examine(patient, tables.map(Arc::new), chart).await;
    disk::examine(patient.config, chart);
}

/// Runs `viereck doctor`.
pub async fn run(args: &Doctor) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    let config = config.only(Part::All)?;
    let ask = !args.from_here && (config.operations.is_some() || args.reach.url.is_some());
    let report = match ask {
        false => examine_from_here(&config).await,
        true => match ask_process(&config, &args.reach).await {
            Ok(report) => report,
            // what cannot be reached is a finding, and the rest can still be looked at
            Err(failure) if failure.exit == Exit::Unreachable => {
                let mut report = examine_from_here(&config).await;
                report.healthy = false;
                let finding = Finding {
                    code: "process-unreachable".to_owned(),
                    severity: Severity::Error,
                    subject: "process".to_owned(),
                    sentence: failure.sentence.clone(),
                    next_step: "Start it with `viereck run`, or look at its log.".to_owned(),
                };
                report.findings.insert(0, finding);
                report
            }
            Err(failure) => return Err(failure),
        },
    };
    match args.json {
        true => output::json(&report)?,
        false => output::text(&told(&report))?,
    }
    match report.healthy {
        true => Ok(()),
        false => {
            let errors = report.findings.iter().filter(|one| one.severity == Severity::Error);
            let sentence = format!("{} findings are errors.", errors.count());
            Err(Failure::new(Exit::Findings, "unhealthy", sentence).help("Begin with the first."))
        }
    }
}

async fn ask_process(config: &Config, reach: &Reach) -> Result<Report, Failure> {
    let answer = Client::new(config, reach)?.get("/v1/doctor", &[]).await?;
    serde_json::from_value(answer).map_err(|_| {
        Failure::new(
            Exit::Unexpected,
            "answer-malformed",
            "The process answered something else.",
        )
        .help("Are the command and the process of the same version?")
    })
}

fn told(report: &Report) -> String {
    let mut text = format!("looked at {}\n", report.looked_at.join(", "));
    if report.findings.is_empty() {
        text.push_str("nothing found\n");
    }
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        text.push_str(&format!(
            "{word}[{}] {}: {}\n    next: {}\n",
            finding.code, finding.subject, finding.sentence, finding.next_step
        ));
    }
    text
}
