//! What is measured of corners 2 and 3 beside their journal and their link.

use std::time::{Duration, Instant};

use axum::extract::MatchedPath;
use axum::response::Response;
use viereck_custody::JournalError;
use viereck_observe::{Counters, Histograms, Kind, Label, SharedString, Values};
use viereck_routing::GatewayId;

use crate::deliver::backlog::Backlogs;
use crate::deliver::health::Breaker;
use crate::deliver::outcome::Outcome;
use crate::http::problem::Code;

const CUSTODIAN: Label = Label {
    name: "custodian",
    values: Values::Named("the gateway or broker, as the configuration names it"),
};
const INTERFACE: Label = Label {
    name: "interface",
    values: Values::Words(interfaces),
};
const DELIVERY: Label = Label {
    name: "delivery",
    values: Values::Named("a delivery of the configuration: its place in the list and its Behörde"),
};
const ATTEMPT: Label = Label {
    name: "outcome",
    values: Values::Words(|| {
        vec![
            "accepted",
            "rejected",
            "waiting",
            "unavailable",
            "unclear",
            "not-understood",
            "misconfigured",
        ]
    }),
};

/// A part of the HTTP interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interface {
    /// `POST /v1/submissions`.
    Submissions,
    /// How far a submission is.
    Status,
    /// Who is competent.
    Routes,
    /// `POST /v1/cases/{caseId}/replies`.
    Replies,
    /// Who wants to be told.
    Webhooks,
    /// Whether the gateway works.
    Health,
    /// No such path.
    None,
}

impl Interface {
    const ALL: [Interface; 7] = [
        Interface::Submissions,
        Interface::Status,
        Interface::Routes,
        Interface::Replies,
        Interface::Webhooks,
        Interface::Health,
        Interface::None,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Interface::Submissions => "submissions",
            Interface::Status => "status",
            Interface::Routes => "routes",
            Interface::Replies => "replies",
            Interface::Webhooks => "webhooks",
            Interface::Health => "health",
            Interface::None => "none",
        }
    }

    /// By the path of the route, never by that of the request.
    fn of(path: Option<&MatchedPath>) -> Self {
        match path.map(MatchedPath::as_str) {
            Some("/v1/submissions") => Interface::Submissions,
            Some(path) if path.starts_with("/v1/submissions/") => Interface::Status,
            Some("/v1/routes") => Interface::Routes,
            Some(path) if path.starts_with("/v1/cases/") => Interface::Replies,
            Some(path) if path.starts_with("/v1/webhooks") => Interface::Webhooks,
            Some(path) if path.starts_with("/healthz/") => Interface::Health,
            _ => Interface::None,
        }
    }
}

fn interfaces() -> Vec<&'static str> {
    Interface::ALL.map(Interface::as_str).to_vec()
}

/// The codes of problems, and what is none.
fn outcomes() -> Vec<&'static str> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    ["ok"].into_iter().chain(codes).collect()
}

const LISTENER: Label = Label {
    name: "listener",
    values: Values::Named("a gateway as the configuration names it, or operations"),
};

viereck_observe::declare! {
    /// Requests by what came of them: ok, or the code of the problem that was answered.
    REQUESTS = Kind::Counter, Count, "viereck_http_requests_total",
        [CUSTODIAN, INTERFACE, Label { name: "outcome", values: Values::Words(outcomes) }];
    /// How long a request took from its head until its answer; of submissions and replies only those that were
    /// promised, so that this is the latency of a promise.
    REQUEST = Kind::Histogram(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0]), Seconds,
        "viereck_http_request_seconds", [CUSTODIAN, INTERFACE];
    /// Attempts to hand a message over, by what came of them.
    HAND_OVERS = Kind::Counter, Count, "viereck_hand_overs_total", [CUSTODIAN, ATTEMPT];
    /// How long an attempt took.
    HAND_OVER = Kind::Histogram(&[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0]), Seconds,
        "viereck_hand_over_seconds", [CUSTODIAN, ATTEMPT];
    /// 0 while a delivery works, 1 while one message is tried after a failure, 2 while it rests.
    DELIVERY_STATE = Kind::Gauge, State, "viereck_delivery_state", [CUSTODIAN, DELIVERY];
    /// When everything that waits to be handed over now will have been, by the rates that were measured; 0 while
    /// nothing waits that can be estimated.
    BACKLOG_READY = Kind::Gauge, Instant, "viereck_backlog_ready_timestamp_seconds", [CUSTODIAN];
    /// Messages that wait to be handed over and of which nobody can say when they will be: nothing was measured, or an
    /// operator has paused the way.
    BACKLOG_OPEN = Kind::Gauge, Count, "viereck_backlog_without_estimate", [CUSTODIAN];
    /// Connections by what came of their TLS handshake: ok, plaintext (it was none), too-slow, failed; too-many are those
    /// that were closed at once, with TLS or without, because their address had as many as it may have.
    HANDSHAKES = Kind::Counter, Count, "viereck_tls_handshakes_total",
        [LISTENER, Label { name: "outcome", values: Values::Words(|| vec!["ok", "plaintext", "too-slow", "failed", "too-many"]) }];
    /// Attempts to fetch the keys of the authorisation server.
    KEY_FETCHES = Kind::Counter, Count, "viereck_oauth_key_fetches_total",
        [CUSTODIAN, Label { name: "outcome", values: Values::Words(|| vec!["ok", "failed"]) }];
}

/// The families of one gateway.
#[derive(Debug)]
pub(crate) struct Measured {
    requests: [Counters; Interface::ALL.len()],
    request: Histograms,
    hand_overs: Counters,
    hand_over: Histograms,
}

/// A request under way.
pub(crate) struct Request {
    interface: Interface,
    began: Instant,
}

impl Measured {
    pub(crate) fn of(gateway: &GatewayId) -> Self {
        let me = || SharedString::from(gateway.as_str().to_owned());
        Self {
            requests: Interface::ALL.map(|interface| Counters::of(&REQUESTS, vec![me(), interface.as_str().into()])),
            request: Histograms::of(&REQUEST, vec![me()]),
            hand_overs: Counters::of(&HAND_OVERS, vec![me()]),
            hand_over: Histograms::of(&HAND_OVER, vec![me()]),
        }
    }

    pub(crate) fn begins(&self, path: Option<&MatchedPath>) -> Request {
        Request {
            interface: Interface::of(path),
            began: Instant::now(),
        }
    }

    /// A problem leaves its code in the answer, so nobody has to say what came of it.
    pub(crate) fn answered(&self, request: &Request, answer: &Response) {
        let code = answer.extensions().get::<Code>();
        let interface = request.interface;
        self.requests[interface as usize].count(code.map_or("ok", |code| code.as_str()));
        if code.is_none() || !matches!(interface, Interface::Submissions | Interface::Replies) {
            self.request.took(interface.as_str(), request.began.elapsed());
        }
    }

    pub(crate) fn handed_over(&self, outcome: &Outcome, took: Duration) {
        let word = word(outcome);
        self.hand_overs.count(word);
        self.hand_over.took(word, took);
    }
}

/// The word for an outcome, in metrics and traces.
pub(crate) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Rejected(_) => "rejected",
        Outcome::Waiting => "waiting",
        Outcome::Unavailable(_) => "unavailable",
        Outcome::Unclear(_) => "unclear",
        Outcome::NotUnderstood(_) => "not-understood",
        Outcome::Misconfigured(_) => "misconfigured",
    }
}

/// Shows how the deliveries of a gateway fare, and when what waits will have been handed over.
///
/// # Errors
/// Of the journal, which is asked for what waits.
pub async fn show(backlogs: &Backlogs) -> Result<(), JournalError> {
    let Some((gateway, breakers)) = backlogs.breakers() else {
        return Ok(());
    };
    let me = || SharedString::from(gateway.as_str().to_owned());
    for (delivery, breaker) in breakers {
        let state = match breaker {
            Breaker::Closed => 0.0,
            Breaker::HalfOpen => 1.0,
            Breaker::Open { .. } => 2.0,
        };
        DELIVERY_STATE.gauge(&[me(), delivery.to_owned().into()]).set(state);
    }
    let waiting = backlogs.list().await?;
    let ready = waiting.iter().filter_map(|backlog| backlog.ready_at).max();
    BACKLOG_READY
        .gauge(&[me()])
        .set(ready.map_or(0.0, |ready| ready.as_second() as f64));
    let open = waiting.iter().filter(|backlog| backlog.ready_at.is_none());
    let open: u64 = open.map(|backlog| backlog.waiting).sum();
    BACKLOG_OPEN.gauge(&[me()]).set(open as f64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_has_its_own_place() {
        for (index, interface) in Interface::ALL.into_iter().enumerate() {
            assert_eq!(interface as usize, index);
        }
    }
}
