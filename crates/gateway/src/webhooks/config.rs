//! Webhooks in the configuration: section `[gateway.webhooks]`.

use std::time::Duration;

use ipnet::IpNet;
use jiff::SignedDuration;
use serde::Deserialize;
use viereck_custody::webhooks::Limits;
use viereck_routing::Environment;

use super::addresses::Allowed;
use crate::config::Finding;

/// What the gateway does for webhooks of its clients.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Networks that are not public and may be called all the same.
    pub allow_private: Vec<IpNet>,
    /// Whether this host itself may be called, also without TLS; only in the environment test.
    pub allow_loopback: bool,
    /// Webhooks of one client.
    pub per_client: u32,
    /// Calls under way at one moment for one client.
    pub concurrency: usize,
    /// Seconds for one call.
    pub timeout_seconds: u64,
    /// Seconds until a call is tried again that failed; doubles with each failure up to six hours.
    pub retry_seconds: u32,
    /// Hours after which an event that nobody takes is given up and its webhook disabled.
    pub give_up_hours: u32,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            allow_private: Vec::new(),
            allow_loopback: false,
            per_client: 10,
            concurrency: 4,
            timeout_seconds: 10,
            retry_seconds: 5,
            give_up_hours: 72,
        }
    }
}

impl Webhooks {
    pub(crate) fn check(&self) -> Vec<Finding> {
        let ranges = [
            ("webhooks.per_client", u64::from(self.per_client), 1000),
            ("webhooks.concurrency", self.concurrency as u64, 64),
            ("webhooks.timeout_seconds", self.timeout_seconds, 60),
            ("webhooks.retry_seconds", u64::from(self.retry_seconds), 3600),
            ("webhooks.give_up_hours", u64::from(self.give_up_hours), 24 * 30),
        ];
        let mut findings: Vec<Finding> = ranges
            .into_iter()
            .filter_map(|(key, value, most)| Finding::range(key, value, most))
            .collect();
        if self.allow_private.iter().any(|net| net.prefix_len() == 0) {
            let sentence = "A network of every address allows everything that is refused for good reasons.";
            findings.push(Finding::error("too-wide", "webhooks.allow_private", sentence));
        }
        findings
    }

    /// What is wrong in this environment only.
    pub(crate) fn check_in(&self, environment: Environment) -> Option<Finding> {
        let wrong = self.allow_loopback && environment != Environment::Test;
        let sentence = "This host itself may be called in the environment test only.";
        wrong.then(|| Finding::error("test-only", "webhooks.allow_loopback", sentence))
    }

    pub(crate) fn allowed(&self) -> Allowed {
        Allowed {
            private: self.allow_private.clone(),
            loopback: self.allow_loopback,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            give_up: SignedDuration::from_hours(self.give_up_hours.into()),
            first_pause: SignedDuration::from_secs(self.retry_seconds.into()),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}
