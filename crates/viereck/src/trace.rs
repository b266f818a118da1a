//! `viereck message trace`: the whole life of a message, or of all messages of a case, on one screen.
//!
//! It asks the journals that the configurations name, with the queries that the HTTP interface uses, and puts what the
//! custodians know together: the same event seen by several of them is one event. It opens no envelope.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, Subcommand};
use serde::Serialize;
use viereck_custody::{EventView, Journal, MessageView};
use viereck_routing::{CaseId, CustodianId, Environment, MessageId};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;

/// How long to wait for a moment in which a journal can be copied.
const COPY_PATIENCE: Duration = Duration::from_secs(10);

/// `viereck message`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole life of a message or a case
    Trace(Trace),
}

/// `viereck message trace`.
#[derive(Debug, Args)]
pub struct Trace {
    /// The id of a message (a submission) or of a case
    #[arg(value_name = "ID")]
    id: MessageId,
    /// A configuration whose journals are asked; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    config: Vec<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// A message as all custodians that were asked know it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Traced {
    #[serde(flatten)]
    message: MessageView,
    /// In whose journals it stands.
    known_to: Vec<CustodianId>,
}

/// A journal that is asked.
struct Source {
    path: PathBuf,
    custodian: CustodianId,
    environment: Environment,
}

/// Runs `viereck message …`.
pub async fn run(command: &Command) -> Result<(), Failure> {
    let Command::Trace(args) = command;
    let mut messages: BTreeMap<MessageId, Traced> = BTreeMap::new();
    for source in sources(&args.config)? {
        for message in ask(&source, args.id).await? {
            match messages.get_mut(&message.message_id) {
                Some(traced) => traced.merge(message, source.custodian.clone()),
                None => {
                    let known_to = vec![source.custodian.clone()];
                    messages.insert(message.message_id, Traced { message, known_to });
                }
            }
        }
    }
    let mut messages: Vec<Traced> = messages.into_values().collect();
    messages.sort_by_key(|traced| traced.message.filed_at);
    if messages.is_empty() {
        return Err(Failure::new(Exit::NotFound, "message-unknown", format!("No journal knows {}.", args.id))
            .help("Name every configuration of the network with --config; a journal only knows what passed it."));
    }
    if args.json {
        return output::json(&messages);
    }
    output::text(&messages.iter().map(Traced::told).collect::<Vec<_>>().join("\n"))
}

fn sources(configs: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for file in configs {
        let config = Config::load(file)?;
        let broker = config.broker.map(|broker| (broker.journal, broker.id));
        let gateways = config.gateways.into_iter().map(|gateway| (gateway.journal, gateway.settings.id));
        sources.extend(gateways.chain(broker).map(|(path, custodian)| Source {
            path,
            custodian,
            environment: config.environment,
        }));
    }
    Ok(sources)
}

async fn ask(source: &Source, id: MessageId) -> Result<Vec<MessageView>, Failure> {
    let failed = |error: viereck_custody::JournalError| {
        Failure::new(Exit::Unexpected, "journal-failed", format!("The journal of {}: {error}", source.custodian))
    };
    let copy = Copy::of(source)?;
    let journal = Journal::open(&copy.file, source.custodian.clone(), source.environment).await.map_err(failed)?;
    let mut found: Vec<MessageView> = journal.message(&id).await.map_err(failed)?.into_iter().collect();
    if found.is_empty()
        && let Ok(case_id) = id.to_string().parse::<CaseId>()
    {
        found = journal.messages_of_case(&case_id).await.map_err(failed)?;
    }
    journal.close().await;
    Ok(found)
}

/// A copy of a journal. A journal belongs to the one process that has it open, so looking means looking at a copy: the
/// running process is neither locked out nor slowed down.
struct Copy {
    /// Removed when it is dropped.
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Copy {
    /// Copies the file and its write-ahead log. The copy is whole if the file did not change meanwhile: the log only
    /// grows until it is copied into the file, and what it lacks at its end are commits after this moment.
    fn of(source: &Source) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| Failure::of_file("make a folder in", &std::env::temp_dir(), &error))?;
        let file = folder.path().join("journal.sqlite");
        let deadline = Instant::now() + COPY_PATIENCE;
        loop {
            let before = state(source)?;
            copy_if_there(&source.path, &file)?;
            copy_if_there(&beside(&source.path), &beside(&file))?;
            if state(source)? == before {
                return Ok(Self { _folder: folder, file });
            }
            if Instant::now() > deadline {
                let sentence = format!("The journal of {} does not stand still long enough.", source.custodian);
                return Err(Failure::new(Exit::Unreachable, "journal-busy", sentence).help("Try again in a moment."));
            }
        }
    }
}

/// What tells whether the file itself was written to: its length, its time, and the salt of its log.
fn state(source: &Source) -> Result<(u64, SystemTime, Vec<u8>), Failure> {
    let metadata = match std::fs::metadata(&source.path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let sentence = format!("{} has no journal at {}.", source.custodian, source.path.display());
            return Err(Failure::new(Exit::NotFound, "journal-missing", sentence)
                .help("Paths in a configuration count from the working directory; has the process ever run?"));
        }
        Err(error) => return Err(Failure::of_file("look at", &source.path, &error)),
    };
    let mut salt = Vec::new();
    if let Ok(log) = File::open(beside(&source.path)) {
        log.take(32).read_to_end(&mut salt).map_err(|error| Failure::of_file("read", &source.path, &error))?;
    }
    let modified = metadata.modified().map_err(|error| Failure::of_file("look at", &source.path, &error))?;
    Ok((metadata.len(), modified, salt))
}

fn copy_if_there(from: &Path, to: &Path) -> Result<(), Failure> {
    match std::fs::copy(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::of_file("copy", from, &error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// SQLite's write-ahead log of a file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

impl Traced {
    /// Adds what another custodian knows. Whoever knows the furthest stage is believed about the state.
    fn merge(&mut self, other: MessageView, custodian: CustodianId) {
        self.known_to.push(custodian);
        let mut events = std::mem::take(&mut self.message.events);
        for event in &other.events {
            if !events.contains(event) {
                events.push(event.clone());
            }
        }
        events.sort_by_key(|event| event.time);
        if furthest(&other) > furthest(&self.message) {
            self.message = MessageView {
                client: self.message.client.take().or(other.client.clone()),
                ..other
            };
        }
        self.message.events = events;
    }

    fn told(&self) -> String {
        let message = &self.message;
        let region = message.region.map_or_else(String::new, |region| format!(", region {region}"));
        let overdue = if message.overdue { ", overdue" } else { "" };
        let state = if message.terminal { "ended" } else { "in flight" };
        let mut lines = vec![
            format!("{} {}, case {}", message.kind, message.message_id, message.case_id),
            format!("  {} -> {}, Leistung {}{region}", message.author, message.reader, message.leistung),
            format!("  filed {}, known to {}", message.filed_at, names(&self.known_to)),
        ];
        lines.extend(message.events.iter().map(told_event));
        lines.push(format!("  {} ({}), {state}{overdue}", message.status, message.status.german()));
        lines.push(format!("  holder {}: {}", message.holder, message.next_step));
        lines.join("\n") + "\n"
    }
}

fn furthest(message: &MessageView) -> (bool, usize) {
    let stages = message.events.iter().filter(|event| !event.internal).count();
    (message.terminal, stages)
}

fn told_event(event: &EventView) -> String {
    let stage = if event.internal { format!("({})", event.stage) } else { event.stage.clone() };
    let target = event.target.as_ref().map_or_else(String::new, |target| format!(" -> {target}"));
    let reasons: Vec<&str> = event.reasons.iter().map(|reason| reason.code()).collect();
    format!("  {}  {:<14} {:<12}{target} {}", event.time, stage, event.custodian.as_str(), reasons.join(" "))
        .trim_end()
        .to_owned()
}

fn names(custodians: &[CustodianId]) -> String {
    custodians.iter().map(CustodianId::as_str).collect::<Vec<_>>().join(", ")
}
