//! The configuration of one gateway: what it listens on, what it bounds, to whom it hands over.
//!
//! Reading it is checking its form: an unknown key, a key that does not fit the adapter or a malformed value is an error
//! with the key's name. [`Config::check`] finds the rest, what is well-formed and still wrong or unwise. Secrets never
//! stand here, only the files that hold them, or a SHA-256.

mod check;
mod delivery;
pub(crate) mod oauth;
pub(crate) mod tls;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use viereck_custody::{deadlines, retention};
use viereck_routing::{BehoerdeId, Digest, GatewayId, InvalidId, LeistungId};

use crate::custody::{Inbox, Outbox, Receipts};
use crate::webhooks::Webhooks;

pub use oauth::Oauth;
pub use tls::{ClientCertificate, Outgoing, Tls};
pub use viereck_custody::{Finding, Severity};

pub use check::listener;
use check::{is_private, server_url};

/// One gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name in the routing table.
    pub id: GatewayId,
    /// Where its HTTP interface listens.
    pub listen: SocketAddr,
    /// How it is reached by https; without it, it speaks http.
    pub tls: Option<Tls>,
    /// Whether something before it ends TLS, so that it may speak http beyond this host.
    #[serde(default)]
    pub tls_in_front: bool,
    /// Whose access tokens it takes beside those of the routing table.
    pub oauth: Option<Oauth>,
    /// What it takes at most.
    #[serde(default)]
    pub limits: Limits,
    /// How long it waits at most.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Days after which a message that was not taken over has lost its purpose, 1 to 90.
    #[serde(default = "obsolete_after_days")]
    pub obsolete_after_days: u8,
    /// When nobody takes a message over: warnings, the end, and what is late.
    #[serde(default)]
    pub deadlines: deadlines::Config,
    /// How long things are kept.
    #[serde(default)]
    pub retention: retention::Config,
    /// To whom it hands over, by Behörde and Leistung.
    #[serde(default, rename = "delivery")]
    pub deliveries: Vec<Delivery>,
    /// Who may send replies.
    #[serde(default)]
    pub fachverfahren: Vec<Fachverfahren>,
    /// Telling clients of a status.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// How what is promised is published.
    #[serde(default)]
    pub outbox: Outbox,
    /// How much is taken.
    #[serde(default)]
    pub inbox: Inbox,
    /// How custody events are told.
    #[serde(default)]
    pub receipts: Receipts,
}

/// What a gateway takes at most; together they bound its memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Octets of one payload.
    pub payload_bytes: usize,
    /// Octets of one attachment.
    pub attachment_bytes: usize,
    /// Octets of payload and attachments together; an envelope carries 4 MiB.
    pub together_bytes: usize,
    /// Octets of the metadata.
    pub metadata_bytes: usize,
    /// Attachments of one request.
    pub attachments: usize,
    /// Octets of all requests that are being worked on at one moment; beyond it the answer is 503.
    pub bytes_in_flight: usize,
    /// Connections open at one moment; further ones wait to be accepted.
    pub connections: usize,
    /// Of these from one address; a further one is closed at once.
    pub connections_per_address: usize,
    /// Requests of one address in a minute that show nothing that counts; a further one is answered 429.
    pub unauthenticated_per_minute: u32,
    /// Messages that are being handed over at one moment, over all Fachverfahren.
    pub hand_overs: usize,
    /// Requests that wait for news of a submission at one moment; a further one is answered at once.
    pub waiting: usize,
}

/// How long a gateway waits at most.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For the head of a request.
    pub header_seconds: u64,
    /// For the body of a request.
    pub body_seconds: u64,
    /// For the hand-overs that are under way when the gateway is told to stop.
    pub stop_seconds: u64,
}

/// To whom messages of one Behörde and Leistung are handed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "delivery::Keys")]
pub struct Delivery {
    /// Whose messages.
    pub behoerde: For<BehoerdeId>,
    /// Of which Leistung.
    pub leistung: For<LeistungId>,
    /// How many at once.
    pub concurrency: usize,
    /// How many a minute at most, spread evenly; unbounded where it is not set.
    pub per_minute: Option<u32>,
    /// By which adapter.
    pub adapter: Adapter,
}

/// The Behörde or the Leistung that a delivery is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum For<T> {
    /// Every one without a delivery of its own; written `default`.
    Default,
    /// This one.
    Only(T),
}

impl<T: FromStr<Err = InvalidId>> For<T> {
    fn parse(key: &str, text: &str) -> Result<Self, String> {
        match text {
            "default" => Ok(Self::Default),
            text => text
                .parse()
                .map(Self::Only)
                .map_err(|error| format!("{key}: {error}, or default")),
        }
    }
}

impl<T: fmt::Display> fmt::Display for For<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Only(one) => one.fmt(f),
        }
    }
}

/// How messages reach the Fachverfahren or the Postfach.
#[derive(Debug, Clone)]
pub enum Adapter {
    /// POST to a Fachverfahren.
    Http(Endpoint),
    /// A folder per message.
    Directory {
        /// Where the folders appear.
        folder: PathBuf,
        /// When a message counts as taken over.
        acknowledge: Acknowledge,
    },
    /// POST to a Postfach: the last step of a Bescheid.
    Postfach(Endpoint),
}

/// An HTTP server of corner 4 (or of the Postfach).
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where to post.
    pub url: Url,
    /// A file with the bearer token to show.
    pub token_file: Option<PathBuf>,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
    /// Whom to trust, and what to show, where it is not the usual.
    pub tls: Outgoing,
}

/// When a message in a folder counts as taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledge {
    /// When a marker appears in its folder, or the folder is taken away.
    Marker,
    /// As soon as its folder is in place. Nobody has looked at it then.
    Rename,
}

/// A system that may send replies for some authorities.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "delivery::FachverfahrenKeys")]
pub struct Fachverfahren {
    /// Its name in logs and idempotency keys.
    pub name: String,
    /// For whom it may reply.
    pub behoerden: Behoerden,
    /// What it has to show.
    pub shows: Shows,
}

/// What a Fachverfahren has to show.
#[derive(Debug, Clone)]
pub enum Shows {
    /// Its bearer token, of which this is the SHA-256.
    Token(TokenDigest),
    /// Its TLS certificate, of whose DER this is the SHA-256.
    Certificate(Digest),
    /// Both.
    Both(TokenDigest, Digest),
}

/// The authorities that a Fachverfahren works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behoerden {
    /// All that this gateway speaks for; written `all`.
    All,
    /// These.
    Only(BTreeSet<BehoerdeId>),
}

impl Behoerden {
    /// Whether it works for this one.
    pub fn contains(&self, behoerde: &BehoerdeId) -> bool {
        match self {
            Self::All => true,
            Self::Only(these) => these.contains(behoerde),
        }
    }
}

/// Where the SHA-256 (hex) of a bearer token stands.
#[derive(Debug, Clone)]
pub enum TokenDigest {
    /// In the configuration itself.
    Here(Digest),
    /// In this file.
    File(PathBuf),
}

/// What an envelope carries at most while its files travel inside it.
const ENVELOPE_BYTES: usize = 4 << 20;

fn obsolete_after_days() -> u8 {
    30
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes: ENVELOPE_BYTES,
            attachment_bytes: ENVELOPE_BYTES,
            together_bytes: ENVELOPE_BYTES,
            metadata_bytes: 64 << 10,
            attachments: 99,
            bytes_in_flight: 256 << 20,
            connections: 1024,
            connections_per_address: 256,
            unauthenticated_per_minute: 60,
            hand_overs: 64,
            waiting: 512,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header_seconds: 10,
            body_seconds: 60,
            stop_seconds: 20,
        }
    }
}
