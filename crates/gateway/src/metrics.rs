//! What is measured of corners 2 and 3 beside their journal and their link.

use viereck_observe::{Kind, Label, Values};

use crate::http::problem::Code;

const CUSTODIAN: Label = Label {
    name: "custodian",
    values: Values::Named("the gateway or broker, as the configuration names it"),
};
const INTERFACE: Label = Label {
    name: "interface",
    values: Values::Words(|| vec!["submissions", "status", "routes", "replies", "health", "none"]),
};
const DELIVERY: Label = Label {
    name: "delivery",
    values: Values::Named("a delivery of the configuration: its place in the list and its Behörde"),
};

/// The codes of problems, and what is none.
fn outcomes() -> Vec<&'static str> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    ["ok"].into_iter().chain(codes).collect()
}

/// What an attempt can come to.
fn attempts() -> Vec<&'static str> {
    vec!["accepted", "rejected", "waiting", "unavailable", "misconfigured"]
}

viereck_observe::declare! {
    /// Requests by what came of them: ok, or the code of the problem that was answered.
    REQUESTS = Kind::Counter, Count, "viereck_http_requests_total",
        [CUSTODIAN, INTERFACE, Label { name: "outcome", values: Values::Words(outcomes) }];
    /// How long a request took from its head until its answer; submissions and replies that were promised are the
    /// latency of a promise.
    REQUEST = Kind::Histogram(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0]), Seconds,
        "viereck_http_request_seconds",
        [CUSTODIAN, INTERFACE, Label { name: "promised", values: Values::Words(|| vec!["yes", "no"]) }];
    /// Attempts to hand a message over, by what came of them.
    HAND_OVERS = Kind::Counter, Count, "viereck_hand_overs_total",
        [CUSTODIAN, DELIVERY, Label { name: "outcome", values: Values::Words(attempts) }];
    /// How long an attempt took.
    HAND_OVER = Kind::Histogram(&[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0]), Seconds,
        "viereck_hand_over_seconds",
        [CUSTODIAN, Label { name: "outcome", values: Values::Words(attempts) }];
    /// 0 while a delivery works, 1 while it is tried with one message after a failure, 2 while it rests.
    DELIVERY_STATE = Kind::Gauge, State, "viereck_delivery_state", [CUSTODIAN, DELIVERY];
}
