//! What is measured of a link.

use std::sync::LazyLock;

use viereck_observe::{Counters, Histograms, Kind, Label, Values};

use crate::address::{Address, Exchange};

/// For what a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An envelope to the broker.
    Submit,
    /// A receipt batch to the broker.
    Receipt,
    /// An envelope to the reader's gateway.
    Route,
    /// A receipt batch to the gateway concerned.
    Receipts,
    /// A delivery of which the link no longer knows where it was sent.
    Unknown,
}

impl Purpose {
    const ALL: [Purpose; 5] = [
        Purpose::Submit,
        Purpose::Receipt,
        Purpose::Route,
        Purpose::Receipts,
        Purpose::Unknown,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Purpose::Submit => "submit",
            Purpose::Receipt => "receipt",
            Purpose::Route => "route",
            Purpose::Receipts => "receipts",
            Purpose::Unknown => "unknown",
        }
    }

    pub(crate) fn of_delivery(exchange: Option<Exchange>, key: &str) -> Self {
        match exchange {
            Some(Exchange::Ingress) if key.starts_with("submit.") => Purpose::Submit,
            Some(Exchange::Ingress) if key.starts_with("receipt.") => Purpose::Receipt,
            Some(Exchange::Route) => Purpose::Route,
            Some(Exchange::Receipts) => Purpose::Receipts,
            _ => Purpose::Unknown,
        }
    }
}

impl From<&Address> for Purpose {
    fn from(address: &Address) -> Self {
        match address {
            Address::Submit(_) => Purpose::Submit,
            Address::Receipt(_) => Purpose::Receipt,
            Address::Route { .. } | Address::Gateway(_) => Purpose::Route,
            Address::Receipts { .. } => Purpose::Receipts,
        }
    }
}

fn purposes() -> Vec<&'static str> {
    Purpose::ALL.map(Purpose::as_str).to_vec()
}

/// The codes of a `LinkError`, and what is no error.
fn outcomes() -> Vec<&'static str> {
    vec![
        "confirmed",
        "link-configuration",
        "link-unreachable",
        "link-unconfirmed",
        "link-full",
        "link-busy",
        "link-too-large",
        "link-no-queue",
        "link-reconciling",
        "link-refused",
        "link-store-failed",
        "link-closed",
    ]
}

const PURPOSE: Label = Label {
    name: "purpose",
    values: Values::Words(purposes),
};
const LINE: Label = Label {
    name: "line",
    values: Values::Words(|| vec!["publish", "consume"]),
};

viereck_observe::declare! {
    /// Messages that were handed to the link, by what came of it.
    PUBLISHES = Kind::Counter, Count, "viereck_link_publishes_total",
        [PURPOSE, Label { name: "outcome", values: Values::Words(outcomes) }];
    /// How long the link took to confirm a message, or to say why not.
    PUBLISH = Kind::Histogram(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0]), Seconds,
        "viereck_link_publish_seconds", [PURPOSE];
    /// Messages that the link delivered, by what came of them; what was dropped back comes again.
    DELIVERIES = Kind::Counter, Count, "viereck_link_deliveries_total",
        [PURPOSE, Label { name: "outcome", values: Values::Words(|| vec!["done", "dropped-back"]) }];
    /// 1 while the connection to RabbitMQ is open, 0 while it is not.
    CONNECTED = Kind::Gauge, State, "viereck_link_connected", [LINE];
    /// Connections to RabbitMQ that were opened, could not be opened, or were lost; and times when RabbitMQ blocked
    /// publishing for want of memory or disk.
    CONNECTIONS = Kind::Counter, Count, "viereck_link_connections_total",
        [LINE, Label { name: "event", values: Values::Words(|| vec!["opened", "failed", "lost", "blocked"]) }];
}

/// The families of the one link of a process.
pub(crate) struct Measured {
    publishes: [Counters; Purpose::ALL.len()],
    publish: Histograms,
    deliveries: [Counters; Purpose::ALL.len()],
}

pub(crate) static MEASURED: LazyLock<Measured> = LazyLock::new(|| Measured {
    publishes: Purpose::ALL.map(|purpose| Counters::of(&PUBLISHES, vec![purpose.as_str().into()])),
    publish: Histograms::of(&PUBLISH, vec![]),
    deliveries: Purpose::ALL.map(|purpose| Counters::of(&DELIVERIES, vec![purpose.as_str().into()])),
});

impl Measured {
    pub(crate) fn published(&self, purpose: Purpose, outcome: &'static str, took: std::time::Duration) {
        self.publishes[purpose as usize].count(outcome);
        self.publish.took(purpose.as_str(), took);
    }

    pub(crate) fn delivered(&self, purpose: Purpose, outcome: &'static str) {
        self.deliveries[purpose as usize].count(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `LinkError::code` gives no list, so its source is compared.
    #[test]
    fn every_code_of_the_link_is_an_outcome() {
        let source = include_str!("error.rs");
        let codes: Vec<&str> = source
            .lines()
            .filter_map(|line| line.trim().split_once("=> \"link-"))
            .filter_map(|(_, rest)| rest.split_once('"'))
            .map(|(code, _)| code)
            .collect();
        let outcomes = outcomes();
        let listed: Vec<&str> = outcomes.iter().filter_map(|word| word.strip_prefix("link-")).collect();
        assert_eq!(codes, listed);
        assert_eq!(codes.len() + 1, outcomes.len());
    }

    #[test]
    fn a_delivery_has_the_purpose_it_was_sent_for() {
        let submit = Address::Submit("gw-1".parse().unwrap());
        assert_eq!(
            Purpose::of_delivery(Some(submit.exchange()), &submit.key()),
            Purpose::from(&submit)
        );
        assert_eq!(Purpose::of_delivery(None, &submit.key()), Purpose::Unknown);
        for (index, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, index);
        }
    }
}
