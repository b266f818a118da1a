//! What an operator may set of a broker.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use viereck_custody::{Finding, deadlines, retention};
use viereck_routing::CustodianId;

use crate::held::Pace;

/// The section `[broker]` of a configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name in the routing table; all workers of one broker share it.
    #[serde(default = "default_id")]
    pub id: CustodianId,
    /// The folder with its signing key.
    pub keys: PathBuf,
    /// Deliveries in hand at once, 1 to 256; with the largest document (8 MiB) this bounds the memory.
    #[serde(default = "default_prefetch")]
    pub prefetch: u16,
    /// How long custody events are gathered before they are signed into one batch, in milliseconds, at most 1000.
    #[serde(default = "default_gather")]
    pub receipt_gather_ms: u64,
    /// How it passes on.
    #[serde(default)]
    pub outbox: Outbox,
    /// When nobody takes over what it holds: warnings, the end, and what is late.
    #[serde(default)]
    pub deadlines: deadlines::Config,
    /// How long things are kept.
    #[serde(default)]
    pub retention: retention::Config,
}

/// The section `[broker.outbox]`: what gateways do not take at the moment waits in the journal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbox {
    /// Octets held at the most; beyond that the broker takes nothing in.
    pub held_bytes: u64,
    /// Held messages on their way to one gateway at once, when it takes messages again.
    pub window: usize,
    /// Milliseconds until a gateway whose queue is full is tried again; doubles up to a minute.
    pub retry_ms: u32,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            held_bytes: 1 << 30,
            window: 16,
            retry_ms: 500,
        }
    }
}

impl Outbox {
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            window: self.window.clamp(1, 256),
            retry: SignedDuration::from_millis(i64::from(self.retry_ms.max(1))),
        }
    }
}

impl Config {
    /// Everything that is well-formed and still wrong, in the order of the file.
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = self.deadlines.check();
        findings.extend(self.retention.check());
        findings
    }

    pub(crate) fn receipts(&self) -> viereck_custody::receipts::Config {
        viereck_custody::receipts::Config {
            gather: Duration::from_millis(self.receipt_gather_ms.min(1000)),
            ..Default::default()
        }
    }
}

fn default_id() -> CustodianId {
    // the grammar of a custodian's name admits it; a test says so
    "broker".parse().unwrap_or_else(|_| unreachable!("a well-formed name"))
}

fn default_prefetch() -> u16 {
    64
}

fn default_gather() -> u64 {
    100
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_name_is_well_formed() {
        assert_eq!(super::default_id().as_str(), "broker");
    }
}
