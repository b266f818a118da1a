//! What is measured of a journal: what happens in it, and what lies in it.

use viereck_envelope::{Reason, Stage};
use viereck_observe::{Kind, Label, Values};

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

fn stages() -> Vec<&'static str> {
    Stage::ALL.iter().map(|stage| stage.as_str()).collect()
}

fn events() -> Vec<&'static str> {
    let steps = [
        "published",
        "held",
        "returned",
        "handing-over",
        "deferred",
        "warned",
        "parked",
        "requeued",
        "replaced",
    ];
    stages().into_iter().chain(steps).collect()
}

fn reasons() -> Vec<&'static str> {
    Reason::ALL.iter().map(|reason| reason.code()).collect()
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
    /// Reasons that stood in such an event.
    REASONS = Kind::Counter, Count, "viereck_reasons_total",
        [CUSTODIAN, EVENT, Label { name: "reason", values: Values::Words(reasons) }];
    /// How long after the filing a stage was reached, by the clock of the custodian that stated it.
    SINCE_FILING = FROM_A_SECOND_TO_WEEKS, Seconds, "viereck_stage_seconds",
        [CUSTODIAN, Label { name: "stage", values: Values::Words(stages) }];
    /// Deliveries of the link that were taken, by what came of them.
    TAKEN = Kind::Counter, Count, "viereck_taken_total",
        [CUSTODIAN, Label { name: "outcome", values: Values::Words(|| vec!["new", "repeated", "refused", "parked", "not-yet"]) }];
    /// Hand-overs that were put off, by the reason.
    DEFERRALS = Kind::Counter, Count, "viereck_deferrals_total",
        [CUSTODIAN, Label { name: "why", values: Values::Words(|| vec!["waiting", "queued", "fachverfahren-unavailable", "adapter-misconfigured"]) }];
    /// Messages that have not ended, by the side they are seen from and what is to be done with them; none is to be done
    /// where another custodian has to speak.
    IN_FLIGHT = Kind::Gauge, Count, "viereck_in_flight", [CUSTODIAN, SIDE, WORK, CLASS];
}
