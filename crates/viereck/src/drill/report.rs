//! What a drill came to: the document of `--json`, and the table that people read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::account::{Effects, Sums};

/// One strike and what it came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    /// The fault.
    pub(super) name: String,
    /// The step of custody at which it struck.
    pub(super) step: &'static str,
    /// Whether messages were seen to stand at that step when it struck.
    pub(super) seen_at_step: bool,
    #[serde(flatten)]
    pub(super) sums: Sums,
    /// From the strike until the first application that was promised after it was taken over.
    pub(super) seconds_to_service: Option<f64>,
}

/// What was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    /// The fault.
    pub(super) name: String,
    /// The step, or `all`.
    pub(super) step: &'static str,
    /// Why.
    pub(super) reason: String,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem {
    /// The application's message.
    pub(super) message_id: String,
    /// The strike during which it was filed.
    pub(super) strike: String,
    /// What is wrong with it.
    pub(super) what: &'static str,
}

/// The whole account.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    /// The number from which every choice came.
    pub(super) seed: u64,
    /// `embedded` or `amqp`.
    pub(super) link: &'static str,
    /// Nodes of RabbitMQ.
    pub(super) nodes: usize,
    /// Instances of each role.
    pub(super) instances: usize,
    /// From the start of the load to the end of the last message.
    pub(super) elapsed_seconds: f64,
    /// Every strike, in the order in which they were made.
    pub(super) faults: Vec<Row>,
    /// Over all of them.
    pub(super) total: Total,
    /// What was left out.
    pub(super) skipped: Vec<Skipped>,
    /// How often a process ended by itself and was started again.
    pub(super) restarts: BTreeMap<String, usize>,
    /// Keys that were answered in two ways.
    pub(super) contradictions: Vec<String>,
    /// Codes with which valid applications were refused at the door.
    pub(super) refusals: BTreeMap<String, usize>,
    /// Contracts of corner 4 that were broken.
    pub(super) breaches: usize,
    /// Why nothing more was struck, although more was to be.
    pub(super) broken_off: Option<String>,
    /// What is wrong, by message.
    pub(super) problems: Vec<Problem>,
}

/// The sums of all strikes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Total {
    #[serde(flatten)]
    pub(super) sums: Sums,
    /// The longest of all.
    pub(super) seconds_to_service: Option<f64>,
}

impl Document {
    /// Whether nothing is wrong.
    pub(super) fn is_right(&self) -> bool {
        self.total.sums.is_right() && self.contradictions.is_empty() && self.refusals.is_empty() && self.breaches == 0
    }

    /// The account as a person reads it.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!(
            "{:<28} {:<9} {:>6} {:>8} {:>8} {:>6} {:>5} {:>5} {:>8} {:>5} {:>5} {:>5} {:>5} {:>7} {:>8}\n",
            "fault",
            "step",
            "sent",
            "accepted",
            "rejected",
            "once",
            "twice",
            "never",
            "attempts",
            "lost",
            "mis",
            "wrong",
            "after",
            "refused",
            "service"
        );
        for row in &self.faults {
            let step = if row.seen_at_step {
                row.step.to_owned()
            } else {
                format!("({})", row.step)
            };
            text.push_str(&line(&row.name, &step, &row.sums, row.seconds_to_service));
        }
        text.push_str(&line("total", "", &self.total.sums, self.total.seconds_to_service));
        let bescheide = self.total.sums.bescheide;
        let Effects { once, twice, never } = bescheide.effects;
        // writing to a String does not fail
        let _ = writeln!(
            text,
            "Bescheide: {} promised, {once} once, {twice} twice, {never} never in the Postfach",
            bescheide.sent
        );
        for Skipped { name, step, reason } in &self.skipped {
            let _ = writeln!(text, "skipped: {name} at {step}: {reason}");
        }
        for (name, times) in self.restarts.iter().filter(|(_, times)| **times > 0) {
            let _ = writeln!(text, "{name} ended by itself and was started again {times} times");
        }
        for contradiction in &self.contradictions {
            let _ = writeln!(text, "one key, two answers: {contradiction}");
        }
        for (code, times) in &self.refusals {
            let _ = writeln!(text, "refused at the door: {code}, {times} times");
        }
        if let Some(why) = &self.broken_off {
            let _ = writeln!(text, "broken off: {why}");
        }
        if self.breaches > 0 {
            let _ = writeln!(text, "{} breaches of the contracts of corner 4", self.breaches);
        }
        for Problem {
            message_id,
            strike,
            what,
        } in &self.problems
        {
            let _ = writeln!(text, "{message_id} ({strike}) {what}");
        }
        let verdict = if self.is_right() {
            match self.broken_off {
                None => "nothing is wrong",
                Some(_) => "broken off, and nothing was wrong until then",
            }
        } else {
            "SOMETHING IS WRONG"
        };
        let _ = writeln!(
            text,
            "{verdict}: seed {}, {} link, {} nodes, {} instance(s), {:.0} s",
            self.seed, self.link, self.nodes, self.instances, self.elapsed_seconds
        );
        text
    }
}

fn line(name: &str, step: &str, sums: &Sums, service: Option<f64>) -> String {
    let ended = |status: &str| sums.ended.get(status).copied().unwrap_or_default();
    let Effects { once, twice, never } = sums.effects;
    let service = service.map_or("-".to_owned(), |seconds| format!("{seconds:.1} s"));
    format!(
        "{name:<28} {step:<11} {:>4} {:>8} {:>8} {once:>6} {twice:>5} {never:>5} {:>8} {:>5} {:>5} {:>5} {:>5} {:>7} {service:>8}\n",
        sums.sent,
        ended("accepted"),
        ended("rejected"),
        sums.attempts,
        sums.lost,
        sums.misrouted,
        sums.wrong_receipts,
        sums.after_the_end,
        sums.refused,
    )
}
