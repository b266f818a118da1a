//! What an operator may set of deadlines: the same at a gateway and at a broker.

use jiff::SignedDuration;
use serde::Deserialize;
use viereck_routing::Class;

use crate::Finding;

/// When to warn, when to end, and what is late.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Days after which an alarm tells that nobody takes a message over, ascending.
    pub warn_days: Vec<u16>,
    /// Days after which it goes back to its author's side.
    pub expire_days: u16,
    /// Minutes in which an urgent message is to be taken over.
    pub urgent_minutes: u32,
    /// The same for a normal one.
    pub normal_minutes: u32,
    /// The same for one of the class bulk.
    pub bulk_minutes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            warn_days: vec![3, 9],
            expire_days: 14,
            urgent_minutes: 15,
            normal_minutes: 4 * 60,
            bulk_minutes: 3 * 24 * 60,
        }
    }
}

impl Config {
    /// In what time a message of this class is to be taken over.
    pub fn target(&self, class: Class) -> SignedDuration {
        let minutes = match class {
            Class::Urgent => self.urgent_minutes,
            Class::Normal => self.normal_minutes,
            Class::Bulk => self.bulk_minutes,
        };
        SignedDuration::from_mins(minutes.into())
    }

    /// What contradicts itself.
    pub fn check(&self) -> Vec<Finding> {
        let Self {
            warn_days,
            expire_days,
            urgent_minutes,
            normal_minutes,
            bulk_minutes,
        } = self;
        let mut findings = Vec::new();
        // the longest that an envelope keeps its purpose
        findings.extend(Finding::range("deadlines.expire_days", (*expire_days).into(), 90));
        let ascending = warn_days.windows(2).all(|pair| pair[0] < pair[1]);
        let within = warn_days.iter().all(|days| *days > 0 && days < expire_days);
        if !ascending || !within {
            let sentence = "Warnings come one after the other, and before the end: ascending days below expire_days.";
            findings.push(Finding::error("out-of-order", "deadlines.warn_days", sentence));
        }
        let month = 30 * 24 * 60;
        for (key, minutes) in [
            ("deadlines.urgent_minutes", urgent_minutes),
            ("deadlines.normal_minutes", normal_minutes),
            ("deadlines.bulk_minutes", bulk_minutes),
        ] {
            findings.extend(Finding::range(key, (*minutes).into(), month));
        }
        findings
    }
}
