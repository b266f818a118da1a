//! `viereck message trace`: the whole life of a message, or of all messages of a case, on one screen.
//!
//! It asks the journals that the configurations name, with the queries that the HTTP interface uses, and puts what the
//! custodians know together: the same event seen by several of them is one event. It opens no envelope.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use viereck_custody::{EventView, Journal, MessageView, Place};
use viereck_envelope::Stage;
use viereck_routing::{CaseId, CustodianId, Environment, MessageId};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;

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
    place: Place,
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
        return Err(Failure::new(
            Exit::NotFound,
            "message-unknown",
            format!("No journal knows {}.", args.id),
        )
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
        let broker = config.broker.map(|broker| (broker.journal, broker.settings.id));
        let gateways = config
            .gateways
            .into_iter()
            .map(|gateway| (gateway.journal, gateway.settings.id));
        sources.extend(gateways.chain(broker).map(|(place, custodian)| Source {
            place,
            custodian,
            environment: config.environment,
        }));
    }
    Ok(sources)
}

async fn ask(source: &Source, id: MessageId) -> Result<Vec<MessageView>, Failure> {
    let failed = |error: viereck_custody::JournalError| {
        Failure::new(
            Exit::Unexpected,
            "journal-failed",
            format!("The journal of {}: {error}", source.custodian),
        )
    };
    if matches!(&source.place, Place::File(path) if !path.exists()) {
        let sentence = format!("The journal of {} is not there: {}.", source.custodian, source.place);
        return Err(Failure::new(Exit::NotFound, "journal-missing", sentence)
            .help("Paths count from the working directory; it is made when its process starts for the first time."));
    }
    let journal = Journal::open_to_look(&source.place, source.custodian.clone(), source.environment)
        .await
        .map_err(failed)?;
    let mut found: Vec<MessageView> = journal.message(&id).await.map_err(failed)?.into_iter().collect();
    if found.is_empty()
        && let Ok(case_id) = id.to_string().parse::<CaseId>()
    {
        found = journal.messages_of_case(&case_id).await.map_err(failed)?;
    }
    journal.close().await;
    Ok(found)
}

impl Traced {
    /// Adds what another custodian knows. Whoever knows most is believed about the state.
    fn merge(&mut self, mut other: MessageView, custodian: CustodianId) {
        self.known_to.push(custodian);
        if knowledge(&other) > knowledge(&self.message) {
            std::mem::swap(&mut self.message, &mut other);
        }
        let message = &mut self.message;
        message.client = message.client.take().or(other.client);
        for event in other.events {
            if !message.events.contains(&event) {
                message.events.insert(place_of(&event, &message.events), event);
            }
        }
    }

    fn told(&self) -> String {
        let message = &self.message;
        let region = message
            .region
            .map_or_else(String::new, |region| format!(", region {region}"));
        let overdue = if message.overdue { ", overdue" } else { "" };
        let state = if message.terminal { "ended" } else { "in flight" };
        let mut lines = vec![
            format!("{} {}, case {}", message.kind, message.message_id, message.case_id),
            format!(
                "  {} -> {}, Leistung {}{region}",
                message.author, message.reader, message.leistung
            ),
            format!("  filed {:.3}, known to {}", message.filed_at, names(&self.known_to)),
        ];
        lines.extend(message.events.iter().map(told_event));
        lines.push(format!(
            "  {} ({}), {state}{overdue}",
            message.status,
            message.status.german()
        ));
        lines.push(format!("  holder {}: {}", message.holder, message.told.next_step.english));
        lines.join("\n") + "\n"
    }
}

/// How much a custodian knows: the end first, then the number of stages.
fn knowledge(message: &MessageView) -> (bool, usize) {
    let stages = message.events.iter().filter(|event| !event.internal).count();
    (message.terminal, stages)
}

/// Clocks differ by more than a message takes: stages stand in their own order, a step behind what its own custodian
/// did before it.
fn place_of(event: &EventView, events: &[EventView]) -> usize {
    if event.internal {
        let before = |other: &EventView| other.custodian == event.custodian && other.time <= event.time;
        return events.iter().rposition(before).map_or(0, |at| at + 1);
    }
    let rank = |event: &EventView| Stage::ALL.iter().position(|stage| Some(*stage) == event.stage.stage());
    let after = |other: &EventView| !other.internal && rank(other) > rank(event);
    events.iter().position(after).unwrap_or(events.len())
}

fn told_event(event: &EventView) -> String {
    let stage = if event.internal {
        format!("({})", event.stage)
    } else {
        event.stage.to_string()
    };
    let target = event
        .target
        .as_ref()
        .map_or_else(String::new, |target| format!(" -> {target}"));
    let reasons: Vec<&str> = event.reasons.iter().map(|reason| reason.code()).collect();
    format!(
        "  {:.3}  {:<14} {:<12}{target} {}",
        event.time,
        stage,
        event.custodian.as_str(),
        reasons.join(" ")
    )
    .trim_end()
    .to_owned()
}

fn names(custodians: &[CustodianId]) -> String {
    custodians
        .iter()
        .map(CustodianId::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stage: &str, millisecond: i64, custodian: &str, internal: bool) -> EventView {
        EventView {
            stage: stage.parse().unwrap(),
            time: jiff::Timestamp::from_millisecond(millisecond).unwrap(),
            custodian: custodian.parse().unwrap(),
            target: None,
            reasons: vec![],
            internal,
        }
    }

    fn view(status: Stage, events: &[EventView]) -> MessageView {
        MessageView {
            message_id: "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b".parse().unwrap(),
            case_id: "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6c".parse().unwrap(),
            kind: viereck_routing::Kind::Application,
            author: "wgp:010000000000".parse().unwrap(),
            reader: "wgb:010540880000".parse().unwrap(),
            leistung: "99107023037000".parse().unwrap(),
            region: None,
            filed_at: jiff::Timestamp::UNIX_EPOCH,
            client: None,
            status,
            terminal: status.is_terminal(),
            overdue: false,
            holder: "gw-sh-1".parse().unwrap(),
            flags: Default::default(),
            told: viereck_custody::status::told(status, None),
            reasons: vec![],
            events: events.to_vec(),
        }
    }

    /// The clock of the receiver is behind, and nobody but the one who did it knows a step.
    #[test]
    fn the_story_is_the_same_whoever_is_asked_first() {
        let received = event("received", 10, "gw-sh-1", false);
        let published = event("published", 11, "gw-sh-1", true);
        let relayed = event("relayed", 12, "broker", false);
        let delivered = event("delivered", 1, "gw-sh-2", false);
        let handing_over = event("handing-over", 2, "gw-sh-2", true);
        let accepted = event("accepted", 3, "gw-sh-2", false);
        let story = [received, published, relayed, delivered, handing_over, accepted].to_vec();
        let views = [
            ("gw-sh-1", view(Stage::Relayed, &story[..3])),
            ("broker", view(Stage::Accepted, &[&story[2..4], &story[5..]].concat())),
            ("gw-sh-2", view(Stage::Accepted, &story[3..])),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let (_, first) = &views[order[0]];
            let mut traced = Traced {
                message: first.clone(),
                known_to: vec![],
            };
            for next in &order[1..] {
                let (custodian, view) = &views[*next];
                traced.merge(view.clone(), custodian.parse().unwrap());
            }
            assert_eq!(traced.message.status, Stage::Accepted, "{order:?}");
            assert_eq!(traced.message.events, story, "{order:?}");
        }
    }
}
