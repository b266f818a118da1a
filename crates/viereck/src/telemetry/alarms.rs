//! Alarms: what an operator has to look at, counted where it is logged.
//!
//! A log line whose field `alarm` bears one of these words is an alarm, whatever level is configured. The list is
//! closed; a test compares it with every such line in the sources.

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use viereck_observe::Counters;

use super::metrics::ALARMED;

/// The name of the field.
const FIELD: &str = "alarm";

/// Every alarm with what it means.
pub const ALARMS: &[(&str, &str)] = &[
    (
        "adapter-misconfigured",
        "A delivery cannot hand a message, or anything, over until an operator mends its adapter.",
    ),
    ("certificate", "The own certificate does not allow to seal or to sign."),
    (
        "certificate-ends",
        "The last certificate of a holder ends in less than 60, 30, 14 or 7 days.",
    ),
    (
        "clock-jumped",
        "The clock has run further than the time that has passed: nothing is ended or deleted by it.",
    ),
    (
        "database-unreachable",
        "The database of a journal is away: nothing is promised until it is back.",
    ),
    (
        "deadline-near",
        "Nobody takes the messages of an authority over, and their time is running out.",
    ),
    (
        "deadline-unclear",
        "Messages are past their deadline, but a Fachverfahren may have acted on them.",
    ),
    (
        "expired",
        "Messages were not taken over in time: they are back at their authors' side.",
    ),
    ("foreign-gateway", "A gateway handed in an envelope of another gateway."),
    (
        "held-full",
        "The broker holds as much as it may for full queues, and takes nothing in.",
    ),
    (
        "instance-silent",
        "Another instance of a custodian has fallen silent; its messages were taken over.",
    ),
    (
        "intake-rests",
        "Nothing is taken from the link until the journal has room and can write.",
    ),
    ("internal", "A part of the program broke off: a mistake of ours."),
    (
        "issuer-keys",
        "The keys of the authorisation server cannot be fetched: soon its access tokens do not count.",
    ),
    ("journal-corrupt", "The journal holds what nobody wrote there."),
    (
        "journal-unavailable",
        "The journal cannot be written or read at present.",
    ),
    (
        "late",
        "Messages of an authority have used up half of the time in which they are to be taken over, or more.",
    ),
    (
        "ledger-difference",
        "What was received is not what has ended and what is in flight.",
    ),
    (
        "link-certificate",
        "The certificate of the link is not valid, or its new files cannot be used: those before stay in use.",
    ),
    ("link-closed", "The link was closed while the process was running."),
    (
        "marker-unclear",
        "A marker in the folder of a Fachverfahren says nothing that is understood.",
    ),
    ("message-id-conflict", "One message id stands for two contents."),
    ("not-entitled", "A custodian states what it may not state."),
    (
        "overdue",
        "The reader's gateway is silent about a message, which was published again.",
    ),
    ("parked", "A message cannot be published and waits for an operator."),
    (
        "queue-full",
        "The queue of a gateway takes nothing; its messages are held by the broker.",
    ),
    ("receipt-fork", "A custodian has signed two histories of its receipts."),
    ("receipt-gap", "Receipts of a custodian are missing."),
    (
        "receipts-dropped",
        "A queue takes no receipts; they are asked for again.",
    ),
    (
        "receipts-held",
        "Receipts wait, for they cannot be signed or published.",
    ),
    ("refused", "Octets do not verify and are parked, or will come again."),
    (
        "revocation",
        "Nobody can say what an issuer has revoked, or a list cannot be kept: nothing is sealed for its keys.",
    ),
    ("sealing", "Nothing can be sealed."),
    (
        "store-unavailable",
        "A request was answered 503, for the journal failed.",
    ),
    (
        "terminal-conflict",
        "Custodians state ends of one message that exclude each other.",
    ),
    (
        "tls-certificate",
        "The TLS certificate of a listener ends within a week, or its successor does not load.",
    ),
    ("undecipherable", "A message does not open although its key is known."),
    (
        "unread-kept",
        "Messages that ended unread lie at their author's gateway, and for long nobody has fetched them.",
    ),
    ("unrouted", "A message came back, for nobody is bound to take it."),
    ("webhook-disabled", "A webhook is not called any more."),
];

/// The words alone.
pub(super) fn words() -> Vec<&'static str> {
    ALARMS.iter().map(|(word, _)| *word).collect()
}

/// Counts every alarm; looks at no other event.
pub(super) fn layer<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let alarms = filter_fn(|metadata| metadata.is_event() && metadata.fields().field(FIELD).is_some());
    Counting(Counters::of(&ALARMED, vec![])).with_filter(alarms)
}

struct Counting(Counters);

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Word(&self.0));
    }
}

struct Word<'a>(&'a Counters);

impl Visit for Word<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == FIELD {
            self.0.count(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The words that stand in the sources below `folder`.
    fn logged(folder: &Path, words: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                logged(&path, words);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let opening = format!("{FIELD} = \"");
                let rest = text.split(opening.as_str()).skip(1);
                words.extend(rest.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn the_list_is_what_the_sources_log() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut found = BTreeSet::new();
        logged(crates, &mut found);
        let listed: BTreeSet<String> = words().into_iter().map(str::to_owned).collect();
        assert!(found.len() > 10, "the sources were not found");
        assert_eq!(listed, found, "ALARMS in telemetry/alarms.rs and the log lines differ");
        assert_eq!(listed.len(), ALARMS.len(), "a word is listed twice");
    }
}
