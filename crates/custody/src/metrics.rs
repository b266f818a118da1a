//! What is measured of a journal: what happens in it, and what lies in it.

mod gauges;

use viereck_envelope::{Reason, Stage};
use viereck_observe::{Counters, Histograms, Kind, Label, Values};
use viereck_routing::CustodianId;

use crate::deadlines::Level;
use crate::hand_over::Deferral;
use crate::inbox::Taken;
use crate::journal::Occurrence;
use crate::step::Step;

pub use gauges::{Detail, Gauges};

const CUSTODIAN: Label = Label {
    name: "custodian",
    values: Values::Named("the gateway or broker, as the configuration names it"),
};
const EVENT: Label = Label {
    name: "event",
    values: Values::Words(events),
};
const SIDE: Label = Label {
    name: "side",
    values: Values::Words(|| vec!["sent", "relayed", "taken"]),
};
const WORK: Label = Label {
    name: "work",
    values: Values::Words(|| vec!["publish", "relay", "hand-over", "none"]),
};
const CLASS: Label = Label {
    name: "class",
    values: Values::Words(|| vec!["urgent", "normal", "bulk"]),
};

const REASON: Label = Label {
    name: "reason",
    values: Values::Words(reasons),
};
const BEHOERDE: Label = Label {
    name: "behoerde",
    values: Values::Named("a participant of the routing table"),
};

fn stages() -> Vec<&'static str> {
    Stage::ALL.iter().map(|stage| stage.as_str()).collect()
}

fn events() -> Vec<&'static str> {
    let steps = Step::ALL.iter().map(|step| step.as_str());
    stages().into_iter().chain(steps).collect()
}

fn reasons() -> Vec<&'static str> {
    Reason::ALL.iter().map(|reason| reason.code()).collect()
}

fn deferrals() -> Vec<&'static str> {
    Deferral::ALL.iter().map(|deferral| deferral.as_str()).collect()
}

fn levels() -> Vec<&'static str> {
    Level::ALL.iter().map(|level| level.as_str()).collect()
}

/// From a second to the deadline of an application.
const FROM_A_SECOND_TO_WEEKS: Kind = Kind::Histogram(&[
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 259200.0, 1209600.0,
]);

viereck_observe::declare! {
    /// What happened to messages: receipts stated by this custodian (own) or heard from another one (other), and steps
    /// that stay in the journal. `published` counts each repeat after silence again.
    EVENTS = Kind::Counter, Count, "viereck_events_total",
        [CUSTODIAN, Label { name: "by", values: Values::Words(|| vec!["own", "other"]) }, EVENT];
    /// Reasons that stood in receipts and steps: why messages were refused, parked, put off or could not be delivered.
    REASONS = Kind::Counter, Count, "viereck_reasons_total",
        [CUSTODIAN, REASON];
    /// How long after the filing a stage was reached, by the clock of the custodian that stated it.
    SINCE_FILING = FROM_A_SECOND_TO_WEEKS, Seconds, "viereck_stage_seconds",
        [CUSTODIAN, Label { name: "stage", values: Values::Words(stages) }];
    /// Deliveries of the link that were taken, by what came of them.
    TAKEN = Kind::Counter, Count, "viereck_taken_total",
        [CUSTODIAN, Label { name: "outcome", values: Values::Words(|| vec!["new", "repeated", "refused", "parked", "not-yet"]) }];
    /// Hand-overs that were put off, by the reason.
    DEFERRALS = Kind::Counter, Count, "viereck_deferrals_total",
        [CUSTODIAN, Label { name: "why", values: Values::Words(deferrals) }];
    /// Messages that have not ended, by the side they are seen from and what is to be done with them; none is to be done
    /// where another custodian has to speak.
    IN_FLIGHT = Kind::Gauge, Count, "viereck_in_flight", [CUSTODIAN, SIDE, WORK, CLASS];
    /// How long the oldest of them has been in this journal.
    OLDEST = Kind::Gauge, Seconds, "viereck_oldest_seconds", [CUSTODIAN, SIDE, WORK];
    /// Those whose time to be published, relayed or handed over has come.
    DUE = Kind::Gauge, Count, "viereck_due",
        [CUSTODIAN, Label { name: "work", values: Values::Words(|| vec!["publish", "relay", "hand-over"]) }];
    /// Published messages about which the reader's gateway has been silent for too long.
    OVERDUE = Kind::Gauge, Count, "viereck_overdue", [CUSTODIAN];
    /// Messages that ended unread at their author's gateway and lie there for longer than the retention says; each waits for
    /// its author to fetch it.
    UNREAD_KEPT = Kind::Gauge, Count, "viereck_unread_kept", [CUSTODIAN];
    /// What is parked, by its reason: messages, or octets that do not verify.
    PARKED = Kind::Gauge, Count, "viereck_parked",
        [CUSTODIAN, Label { name: "what", values: Values::Words(|| vec!["message", "octets"]) }, REASON];
    /// Messages taken and not yet taken over that have used up half, most (four fifths) or all (past) of the time of
    /// their class; each counts among the milder ones too.
    TARGETS = Kind::Gauge, Count, "viereck_take_over_late",
        [CUSTODIAN, CLASS, Label { name: "level", values: Values::Words(levels) }];
    /// The account of all participants: received, ended, and the rows in flight.
    LEDGER = Kind::Gauge, Count, "viereck_ledger",
        [CUSTODIAN, SIDE, Label { name: "count", values: Values::Words(|| vec!["received", "ended", "in-flight"]) }];
    /// By how many messages accounts and rows differ, over all participants; never anything but 0.
    LEDGER_DIFFERENCE = Kind::Gauge, Count, "viereck_ledger_difference", [CUSTODIAN, SIDE];
    /// Octets of envelopes that the broker holds because the next hop takes nothing.
    HELD = Kind::Gauge, Octets, "viereck_held_bytes", [CUSTODIAN];
    /// Pauses that an operator ordered and that hold.
    PAUSES = Kind::Gauge, Count, "viereck_pauses", [CUSTODIAN];
    /// Events that a destination has still to hear of.
    RECEIPTS_DUE = Kind::Gauge, Count, "viereck_receipts_due", [CUSTODIAN];
    /// 1 while the journal is a restored copy that is closed until it is reconciled.
    RESTORED = Kind::Gauge, State, "viereck_journal_restored", [CUSTODIAN];
    /// Messages that wait for work, for each reader; only with `telemetry.behoerden`.
    WAITING_FOR = Kind::Gauge, Count, "viereck_behoerde_waiting", [CUSTODIAN, BEHOERDE];
    /// By how many messages the account of a participant and its rows differ; only with `telemetry.behoerden`.
    LEDGER_DIFFERENCE_OF = Kind::Gauge, Count, "viereck_behoerde_ledger_difference", [CUSTODIAN, SIDE, BEHOERDE];
}

/// What is counted on the way of a message, in one journal.
#[derive(Debug)]
pub(crate) struct Measured {
    own: Counters,
    other: Counters,
    reasons: Counters,
    since_filing: Histograms,
    taken: Counters,
    deferrals: Counters,
}

impl Measured {
    pub(crate) fn of(custodian: &CustodianId) -> Self {
        let me = || custodian.as_str().to_owned().into();
        Self {
            own: Counters::of(&EVENTS, vec![me(), "own".into()]),
            other: Counters::of(&EVENTS, vec![me(), "other".into()]),
            reasons: Counters::of(&REASONS, vec![me()]),
            since_filing: Histograms::of(&SINCE_FILING, vec![me()]),
            taken: Counters::of(&TAKEN, vec![me()]),
            deferrals: Counters::of(&DEFERRALS, vec![me()]),
        }
    }

    /// Something was committed in this process.
    pub(crate) fn happened(&self, occurrence: &Occurrence) {
        let word = occurrence.stage.as_str();
        match occurrence.custodian == occurrence.journal {
            true => self.own.count(word),
            false => self.other.count(word),
        }
        for reason in &occurrence.reasons {
            self.reasons.count(reason.code());
        }
        if let (Some(_), Some(since)) = (occurrence.stage.stage(), occurrence.since_filing) {
            // a clock that differs makes no negative times
            self.since_filing.observe(word, since.as_secs_f64().max(0.0));
        }
    }

    pub(crate) fn taken(&self, taken: Taken) {
        self.taken.count(match taken {
            Taken::New => "new",
            Taken::Repeated => "repeated",
            Taken::Refused(_) => "refused",
            Taken::Parked(_) => "parked",
            Taken::NotYet => "not-yet",
        });
    }

    pub(crate) fn deferred(&self, why: Deferral) {
        self.deferrals.count(why.as_str());
    }
}
