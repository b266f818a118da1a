//! What an operator may set of a gateway's custody: how it publishes, how much it takes, how it tells.
//!
//! Every value has a default that suits production. A test may make silence short; an operator of a slow link may make
//! it long.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use viereck_custody::{inbox, outbox, receipts};

use crate::config::Finding;

/// The section `[gateway.outbox]`: how what is promised is published.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbox {
    /// Silence of the reader's gateway after which the same octets go out again; doubles with each time.
    pub silence_seconds: u32,
    /// The longest such silence, and how long a gateway that has spoken is left alone before it is asked for the end.
    pub longest_silence_seconds: u32,
    /// Messages on their way at once.
    pub window: usize,
    /// Octets on their way at once.
    pub bytes: usize,
    /// Milliseconds until a publish is tried again that the link did not take; doubles up to a minute.
    pub retry_ms: u32,
}

/// The section `[gateway.inbox]`: how much is taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbox {
    /// Messages taken at once; with the largest document this bounds the memory.
    pub prefetch: u16,
    /// Octets that may wait for a hand-over; beyond that nothing is taken.
    pub waiting_bytes: u64,
}

/// The section `[gateway.receipts]`: how custody events are told, and asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Receipts {
    /// Milliseconds for which events are gathered before they are signed into one batch.
    pub gather_ms: u32,
    /// Events in one batch at the most.
    pub largest: usize,
    /// Destinations that are told at once.
    pub destinations: usize,
    /// Seconds for which a batch may be missing before what it may have told is asked for.
    pub gap_seconds: u32,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            silence_seconds: 600,
            longest_silence_seconds: 6 * 3600,
            window: 128,
            bytes: 64 << 20,
            retry_ms: 500,
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            prefetch: 32,
            waiting_bytes: 16 << 30,
        }
    }
}

impl Default for Receipts {
    fn default() -> Self {
        Self {
            gather_ms: 100,
            largest: 1000,
            destinations: 16,
            gap_seconds: 60,
        }
    }
}

impl Outbox {
    pub(crate) fn config(&self) -> outbox::Config {
        outbox::Config {
            window: self.window,
            octets: self.bytes,
            silence: SignedDuration::from_secs(self.silence_seconds.into()),
            longest_silence: SignedDuration::from_secs(self.longest_silence_seconds.into()),
            retry: SignedDuration::from_millis(self.retry_ms.into()),
        }
    }

    pub(crate) fn check(&self) -> Vec<Finding> {
        let mut findings = in_range(&[
            ("outbox.silence_seconds", self.silence_seconds.into(), 24 * 3600),
            (
                "outbox.longest_silence_seconds",
                self.longest_silence_seconds.into(),
                7 * 24 * 3600,
            ),
            ("outbox.window", self.window as u64, 1024),
            ("outbox.bytes", self.bytes as u64, 1 << 34),
            ("outbox.retry_ms", self.retry_ms.into(), 60_000),
        ]);
        if self.longest_silence_seconds < self.silence_seconds {
            let sentence = "The longest silence is shorter than the first one: it counts for both.";
            findings.push(Finding::warning("never-reached", "outbox.silence_seconds", sentence));
        }
        findings
    }
}

impl Inbox {
    pub(crate) fn config(&self) -> inbox::Config {
        inbox::Config {
            prefetch: self.prefetch,
            waiting_octets: self.waiting_bytes,
        }
    }

    pub(crate) fn check(&self) -> Vec<Finding> {
        in_range(&[
            ("inbox.prefetch", self.prefetch.into(), 256),
            ("inbox.waiting_bytes", self.waiting_bytes, 1 << 50),
        ])
    }
}

impl Receipts {
    pub(crate) fn config(&self) -> receipts::Config {
        receipts::Config {
            gather: Duration::from_millis(self.gather_ms.into()),
            largest: self.largest,
            destinations: self.destinations,
            gap_grace: Duration::from_secs(self.gap_seconds.into()),
        }
    }

    pub(crate) fn check(&self) -> Vec<Finding> {
        in_range(&[
            ("receipts.gather_ms", self.gather_ms.into(), 1000),
            ("receipts.largest", self.largest as u64, 1000),
            ("receipts.destinations", self.destinations as u64, 256),
            ("receipts.gap_seconds", self.gap_seconds.into(), 24 * 3600),
        ])
    }
}

fn in_range(values: &[(&str, u64, u64)]) -> Vec<Finding> {
    let findings = values
        .iter()
        .map(|(key, value, most)| Finding::range(key, *value, *most));
    findings.flatten().collect()
}
