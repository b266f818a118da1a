//! A story on one screen of 80 columns.

use jiff::Timestamp;
use viereck_custody::EventView;
use viereck_custody::status::Flags;

use super::story::{Story, Took};

/// Columns of a screen.
const WIDTH: usize = 80;
/// Where texts begin behind their word.
const TEXT: usize = 12;
/// Where the rest of a step continues when its line is full.
const RUN: usize = 28;

/// The story of one message.
pub(super) fn told(story: &Story) -> String {
    let message = &story.message;
    let mut page = Page::default();
    page.line(format!("{} {}", message.kind, message.message_id));
    if message.submission_id != message.message_id {
        page.say("first", &format!("{} (sealed anew since)", message.submission_id));
    }
    if let Some(next) = message.replaced_by {
        page.say("replaced", &format!("by {next}"));
    }
    page.say("case", &message.case_id.to_string());
    let client = message
        .client
        .as_ref()
        .map_or_else(String::new, |client| format!(", client {client}"));
    page.say("from", &format!("{}{client}", message.author));
    let name = story
        .reader_name
        .as_ref()
        .map_or_else(String::new, |name| format!(", {name}"));
    page.say("to", &format!("{}{name}", message.reader));
    let region = message
        .region
        .map_or_else(String::new, |region| format!(", region {region}"));
    page.say("leistung", &format!("{}{region}", message.leistung));
    page.say("route", &route(story));
    page.say(
        "filed",
        &format!(
            "{:.3}, loses its purpose {:.0}",
            message.filed_at, message.obsolete_after
        ),
    );
    let names: Vec<&str> = story.known_to.iter().map(|custodian| custodian.as_str()).collect();
    page.say("known to", &names.join(", "));
    page.line(String::new());
    for run in runs(&message.events) {
        let (start, rest) = run.told();
        page.fill(start, RUN, &rest);
    }
    page.line(String::new());
    if !story.stages.is_empty() {
        page.say("took", &stages(&story.stages));
    }
    let state = if message.terminal { "ended" } else { "in flight" };
    page.say(
        "status",
        &format!("{} ({}), {state}", message.status, message.status.german()),
    );
    for reason in &message.reasons {
        page.say("because", &format!("{}: {}", reason.code(), reason.sentence()));
    }
    for at in &story.at {
        let mut parts = flags(&at.flags);
        if !message.terminal && at.attempts > 0 {
            let next = at
                .next_attempt_at
                .map_or_else(String::new, |next| format!(", next {next:.0}"));
            parts.insert(0, format!("tried {} times{next}", at.attempts));
        }
        if !parts.is_empty() {
            page.say("at", &format!("{}: {}", at.custodian, parts.join("; ")));
        }
    }
    page.say("holder", message.holder.as_str());
    page.say("is", message.told.sentence.english);
    page.say("next", message.told.next_step.english);
    if let Some(contact) = &story.contact {
        page.say("contact", contact);
    }
    page.0
}

fn route(story: &Story) -> String {
    let decision = &story.route;
    let release = decision.release.map(|release| release.to_string()[..12].to_owned());
    match (release, &decision.entry, decision.at_hand) {
        (None, ..) => "by no release of a routing table".to_owned(),
        (Some(release), Some(entry), _) => format!("release {release}, entry {entry}"),
        (Some(release), None, true) => format!("release {release}; the Behörde was named, or answered"),
        (Some(release), None, false) => format!("release {release}, which is not at hand here"),
    }
}

fn flags(flags: &Flags) -> Vec<String> {
    let parked = flags.parked.map(|parked| {
        let reason = parked.reason;
        format!(
            "parked since {:.0} because {}: {}",
            parked.since,
            reason.code(),
            reason.sentence()
        )
    });
    let since = |word: &str, at: Option<Timestamp>| at.map(|at| format!("{word} since {at:.0}"));
    let all = [
        flags.conflict.then(|| "ends that exclude each other".to_owned()),
        parked,
        since("paused", flags.paused),
        flags.deferral.map(|why| format!("waits: {}", why.as_str())),
        flags.held.map(|until| format!("held until {until:.0}")),
        since("overdue", flags.overdue),
    ];
    all.into_iter().flatten().collect()
}

fn stages(stages: &[Took]) -> String {
    let each: Vec<String> = stages
        .iter()
        .map(|took| format!("{} +{}", took.stage, duration(took.milliseconds)))
        .collect();
    let whole = stages.iter().map(|took| took.milliseconds).sum();
    format!("{}; in all {}", each.join(", "), duration(whole))
}

/// A duration in the two units that matter.
pub(super) fn duration(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..=9 => format!("{}.{:03} s", seconds, milliseconds % 1000),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min {} s", seconds / 60, seconds % 60),
        7200..=172_799 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// The same step of the same custodian several times in a row: a hundred attempts are one line.
struct Run<'a> {
    event: &'a EventView,
    times: usize,
    until: Timestamp,
}

fn runs(events: &[EventView]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for event in events {
        let same = |run: &&mut Run<'_>| {
            let EventView {
                stage,
                custodian,
                target,
                reasons,
                ..
            } = run.event;
            event.internal
                && (stage, custodian, target, reasons)
                    == (&event.stage, &event.custodian, &event.target, &event.reasons)
        };
        match runs.last_mut().filter(same) {
            Some(run) => (run.times, run.until) = (run.times + 1, event.time),
            None => runs.push(Run {
                event,
                times: 1,
                until: event.time,
            }),
        }
    }
    runs
}

impl Run<'_> {
    /// The beginning of its line, and what follows as room allows.
    fn told(&self) -> (String, String) {
        let event = self.event;
        let stage = if event.internal {
            format!("({})", event.stage)
        } else {
            event.stage.to_string()
        };
        let mut rest = Vec::new();
        if let Some(target) = &event.target {
            rest.push(format!("-> {target}"));
        }
        if self.times > 1 {
            rest.push(format!("{} times, until {:.0}", self.times, self.until));
        }
        rest.extend(event.reasons.iter().map(|reason| reason.code().to_owned()));
        let start = format!("  {:.3}  {stage:<14} {}", event.time, event.custodian.as_str());
        (start, rest.join(" "))
    }
}

/// Lines of at most [`WIDTH`] columns.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: String) {
        self.0.push_str(&line);
        self.0.push('\n');
    }

    /// A word and its text, broken between words.
    fn say(&mut self, word: &str, text: &str) {
        self.fill(format!("  {word:<width$}", width = TEXT - 3), TEXT, text);
    }

    /// The beginning of a line and a text, broken between words; what does not fit continues at the column.
    fn fill(&mut self, mut line: String, column: usize, text: &str) {
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            let full = line.chars().count() + 1 + part.chars().count() > WIDTH;
            if full && !line.trim().is_empty() {
                self.line(std::mem::replace(&mut line, " ".repeat(column - 1)));
            }
            line.push(' ');
            line.push_str(part);
        }
        self.line(line);
    }
}

#[cfg(test)]
mod tests {
    use viereck_custody::status::Parked;
    use viereck_envelope::{Reason, Stage};

    use super::super::known::Known;
    use super::super::story::stories;
    use super::super::story::tests::{event, view};
    use super::*;

    #[test]
    fn a_message_that_was_parked_and_tried_a_hundred_times_fits_on_a_screen() {
        let mut events = vec![
            event("received", 10, "gw-sh-1", false),
            event("published", 20, "gw-sh-1", true),
        ];
        events.push(event("delivered", 300, "gw-sh-2", false));
        for attempt in 0..100 {
            events.push(event("handing-over", 400 + attempt * 60_000, "gw-sh-2", true));
        }
        let mut parked = event("parked", 9_000_000, "gw-sh-2", true);
        parked.reasons = vec![Reason::AdapterMisconfigured];
        events.push(parked);
        let mut message = view(Stage::Delivered, &events);
        message.attempts = 100;
        message.flags.parked = Some(Parked {
            reason: Reason::AdapterMisconfigured,
            since: Timestamp::UNIX_EPOCH,
        });
        let custodian = "gw-sh-2".parse().unwrap();
        let story = stories(vec![Known { custodian, message }], &[]).pop().unwrap();
        let text = told(&story);
        assert!(text.lines().count() <= 40, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        for part in [
            "(handing-over)",
            "100 times",
            "adapter-misconfigured",
            "parked since",
            "delivered +0.290 s",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn durations_are_told_in_two_units() {
        let told = [
            (0, "0.000 s"),
            (9_999, "9.999 s"),
            (61_000, "61 s"),
            (182_000, "3 min 2 s"),
            (7_260_000, "2 h 1 min"),
        ];
        for (milliseconds, text) in told {
            assert_eq!(duration(milliseconds), text);
        }
        assert_eq!(duration(3 * 86_400_000 + 7_200_000), "3 d 2 h");
    }
}
