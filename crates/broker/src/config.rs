//! What an operator may set of a broker.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use viereck_routing::CustodianId;

/// The section `[broker]` of a configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name in the routing table; all workers of one broker share it.
    #[serde(default = "default_id")]
    pub id: CustodianId,
    /// The folder with its signing key.
    pub keys: PathBuf,
    /// The file of its journal.
    pub journal: PathBuf,
    /// Deliveries in hand at once, 1 to 256; with the largest document (8 MiB) this bounds the memory.
    #[serde(default = "default_prefetch")]
    pub prefetch: u16,
    /// How long custody events are gathered before they are signed into one batch, in milliseconds, at most 1000.
    #[serde(default = "default_gather")]
    pub receipt_gather_ms: u64,
}

impl Config {
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
