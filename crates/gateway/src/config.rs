//! The configuration of one gateway: what it listens on, what it bounds, to whom it hands over.
//!
//! Reading it is checking its form: an unknown key, a key that does not fit the adapter or a malformed value is an error
//! with the key's name. [`Config::check`] finds the rest, what is well-formed and still wrong or unwise. Secrets never
//! stand here, only the files that hold them, or a SHA-256.

use std::collections::{BTreeMap, BTreeSet};
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

/// One gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name in the routing table.
    pub id: GatewayId,
    /// Where its HTTP interface listens.
    pub listen: SocketAddr,
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
#[serde(try_from = "DeliveryKeys")]
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
#[serde(try_from = "FachverfahrenKeys")]
pub struct Fachverfahren {
    /// Its name in logs and idempotency keys.
    pub name: String,
    /// For whom it may reply.
    pub behoerden: Behoerden,
    /// The SHA-256 of its bearer token.
    pub token: TokenDigest,
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

/// Something that is well-formed and still wrong or unwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the gateway starts with it.
    pub severity: Severity,
    /// Stable code.
    pub code: &'static str,
    /// The key, below this gateway's table.
    pub key: String,
    /// What is wrong and what helps.
    pub sentence: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It starts, but think again.
    Warning,
    /// It does not start.
    Error,
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

/// A delivery as it is written: which keys fit depends on the adapter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryKeys {
    behoerde: String,
    leistung: String,
    adapter: AdapterName,
    concurrency: Option<usize>,
    per_minute: Option<u32>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    timeout_seconds: Option<u64>,
    folder: Option<PathBuf>,
    acknowledge: Option<Acknowledge>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum AdapterName {
    Http,
    Directory,
    Postfach,
}

impl TryFrom<DeliveryKeys> for Delivery {
    type Error = String;

    fn try_from(keys: DeliveryKeys) -> Result<Self, String> {
        let behoerde = For::parse("behoerde", &keys.behoerde)?;
        let leistung = For::parse("leistung", &keys.leistung)?;
        let concurrency = keys.concurrency.unwrap_or(4);
        if !(1..=1024).contains(&concurrency) {
            return Err("concurrency: a number from 1 to 1024".to_owned());
        }
        let per_minute = keys.per_minute;
        if per_minute.is_some_and(|most| !(1..=60_000).contains(&most)) {
            return Err("per_minute: a number from 1 to 60000".to_owned());
        }
        let adapter = match keys.adapter {
            AdapterName::Http => Adapter::Http(keys.endpoint()?),
            AdapterName::Postfach => Adapter::Postfach(keys.endpoint()?),
            AdapterName::Directory => keys.directory()?,
        };
        Ok(Self {
            behoerde,
            leistung,
            concurrency,
            per_minute,
            adapter,
        })
    }
}

impl DeliveryKeys {
    fn endpoint(self) -> Result<Endpoint, String> {
        if self.folder.is_some() || self.acknowledge.is_some() {
            return Err("folder and acknowledge belong to the adapter directory".to_owned());
        }
        let url = self.url.ok_or("url: missing; this adapter posts somewhere")?;
        let url = Url::parse(&url).map_err(|_| "url: not a URL")?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err("url: an http or https URL without a password; a token stands in token_file".to_owned());
        }
        let seconds = self.timeout_seconds.unwrap_or(30);
        if !(1..=3600).contains(&seconds) {
            return Err("timeout_seconds: a number from 1 to 3600".to_owned());
        }
        let timeout = Duration::from_secs(seconds);
        Ok(Endpoint {
            url,
            token_file: self.token_file,
            timeout,
        })
    }

    fn directory(self) -> Result<Adapter, String> {
        if self.url.is_some() || self.token_file.is_some() || self.timeout_seconds.is_some() {
            return Err("url, token_file and timeout_seconds belong to the adapters http and postfach".to_owned());
        }
        let folder = self
            .folder
            .ok_or("folder: missing; this adapter puts messages into one")?;
        Ok(Adapter::Directory {
            folder,
            acknowledge: self.acknowledge.unwrap_or(Acknowledge::Marker),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FachverfahrenKeys {
    name: String,
    behoerden: BehoerdenKeys,
    token_sha256: Option<Digest>,
    token_sha256_file: Option<PathBuf>,
}

/// `"all"` or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum BehoerdenKeys {
    Word(String),
    List(BTreeSet<BehoerdeId>),
}

impl TryFrom<BehoerdenKeys> for Behoerden {
    type Error = String;

    fn try_from(keys: BehoerdenKeys) -> Result<Self, String> {
        match keys {
            BehoerdenKeys::Word(word) if word == "all" => Ok(Self::All),
            BehoerdenKeys::Word(_) => Err("behoerden: \"all\" or a list of Behörde identifiers".to_owned()),
            BehoerdenKeys::List(these) => Ok(Self::Only(these)),
        }
    }
}

impl TryFrom<FachverfahrenKeys> for Fachverfahren {
    type Error = String;

    fn try_from(keys: FachverfahrenKeys) -> Result<Self, String> {
        let token = match (keys.token_sha256, keys.token_sha256_file) {
            (Some(digest), None) => TokenDigest::Here(digest),
            (None, Some(file)) => TokenDigest::File(file),
            _ => return Err("exactly one of token_sha256 and token_sha256_file".to_owned()),
        };
        Ok(Self {
            name: keys.name,
            behoerden: keys.behoerden.try_into()?,
            token,
        })
    }
}

impl Config {
    /// Everything that is well-formed and still wrong or unwise, in the order of the file.
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = self.limits.check();
        let Timeouts {
            header_seconds,
            body_seconds,
            stop_seconds,
        } = self.timeouts;
        findings.extend(Finding::range("timeouts.header_seconds", header_seconds, 3600));
        findings.extend(Finding::range("timeouts.body_seconds", body_seconds, 3600));
        findings.extend(Finding::range("timeouts.stop_seconds", stop_seconds, 3600));
        // what an envelope allows
        findings.extend(Finding::range(
            "obsolete_after_days",
            self.obsolete_after_days.into(),
            90,
        ));
        findings.extend(self.webhooks.check());
        findings.extend(self.outbox.check());
        findings.extend(self.inbox.check());
        findings.extend(self.receipts.check());
        findings.extend(check_deadlines(&self.deadlines));
        findings.extend(check_retention(&self.retention));
        let mut seen = BTreeMap::new();
        for (index, delivery) in self.deliveries.iter().enumerate() {
            let key = format!("delivery[{index}]");
            if let Some(first) = seen.insert((&delivery.behoerde, &delivery.leistung), index) {
                let sentence = format!("delivery[{first}] is for the same Behörde and Leistung: remove one of them.");
                findings.push(Finding::error("delivery-twice", &key, &sentence));
            }
            findings.extend(delivery.adapter.check(&key));
        }
        let mut names = BTreeSet::new();
        for (index, fachverfahren) in self.fachverfahren.iter().enumerate() {
            let key = format!("fachverfahren[{index}]");
            if !names.insert(&fachverfahren.name) {
                findings.push(Finding::error(
                    "name-twice",
                    &key,
                    "Another Fachverfahren has the same name.",
                ));
            }
            if fachverfahren.behoerden == Behoerden::Only(BTreeSet::new()) {
                findings.push(Finding::warning(
                    "no-behoerden",
                    &key,
                    "It may reply for nobody: name its Behörden.",
                ));
            }
        }
        findings
    }
}

fn check_deadlines(deadlines: &deadlines::Config) -> Vec<Finding> {
    let deadlines::Config {
        warn_days,
        expire_days,
        urgent_minutes,
        normal_minutes,
        bulk_minutes,
    } = deadlines;
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

fn check_retention(retention: &retention::Config) -> Vec<Finding> {
    let retention::Config {
        taken_days,
        sent_days,
        case_days,
        promise_days,
        evidence_days,
        refused_most,
    } = retention;
    let days = [
        ("retention.taken_days", taken_days),
        ("retention.sent_days", sent_days),
        ("retention.case_days", case_days),
        ("retention.promise_days", promise_days),
        ("retention.evidence_days", evidence_days),
    ];
    let mut findings: Vec<Finding> = days
        .into_iter()
        .filter_map(|(key, days)| Finding::range(key, (*days).into(), 3650))
        .collect();
    findings.extend(Finding::range("retention.refused_most", (*refused_most).into(), 10_000_000));
    findings
}

impl Limits {
    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.payload_bytes > self.together_bytes || self.attachment_bytes > self.together_bytes {
            let sentence = "One file may be larger than all together: the smaller limit counts.";
            findings.push(Finding::warning("never-reached", "limits.together_bytes", sentence));
        }
        if self.bytes_in_flight < self.request_bytes() {
            let sentence = format!("One request alone may need {} octets.", self.request_bytes());
            findings.push(Finding::error("out-of-range", "limits.bytes_in_flight", &sentence));
        }
        for (key, value, most) in [
            ("limits.payload_bytes", self.payload_bytes, ENVELOPE_BYTES),
            ("limits.attachment_bytes", self.attachment_bytes, ENVELOPE_BYTES),
            ("limits.together_bytes", self.together_bytes, ENVELOPE_BYTES),
            // the manifest, which carries them, has 256 KiB
            ("limits.metadata_bytes", self.metadata_bytes, 128 << 10),
            // beyond that an attachment has no name
            ("limits.attachments", self.attachments.max(1), 99),
            ("limits.bytes_in_flight", self.bytes_in_flight, 1 << 40),
            ("limits.connections", self.connections, 65_536),
            ("limits.hand_overs", self.hand_overs, 4096),
            ("limits.waiting", self.waiting, 65_536),
        ] {
            findings.extend(Finding::range(key, value as u64, most as u64));
        }
        findings
    }

    /// The octets of the largest request that may still be good: its parts, and room for their heads.
    pub(crate) fn request_bytes(&self) -> usize {
        let heads = self.attachments.saturating_add(2).saturating_mul(1024);
        self.together_bytes
            .saturating_add(self.metadata_bytes)
            .saturating_add(heads)
    }
}

impl Adapter {
    fn check(&self, key: &str) -> Option<Finding> {
        match self {
            Adapter::Directory {
                acknowledge: Acknowledge::Rename,
                ..
            } => Some(Finding::warning(
                "accepted-unseen",
                &format!("{key}.acknowledge"),
                "With rename a message counts as taken over before anybody has looked at it. Let the Fachverfahren set \
                 a marker.",
            )),
            Adapter::Http(endpoint) | Adapter::Postfach(endpoint) if !endpoint.is_private() => Some(Finding::warning(
                "plaintext",
                &format!("{key}.url"),
                "Applications would leave this host unencrypted. Use https.",
            )),
            Adapter::Http(_) | Adapter::Postfach(_) | Adapter::Directory { .. } => None,
        }
    }
}

impl Endpoint {
    /// Whether nobody between here and there can read along.
    fn is_private(&self) -> bool {
        let loopback = match self.url.host_str() {
            Some("localhost") => true,
            Some(host) => {
                let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
                address.is_ok_and(|address| address.is_loopback())
            }
            None => false,
        };
        self.url.scheme() == "https" || loopback
    }
}

impl Finding {
    pub(crate) fn range(key: &str, value: u64, most: u64) -> Option<Self> {
        let outside = !(1..=most).contains(&value);
        outside.then(|| Self::error("out-of-range", key, &format!("It is a number from 1 to {most}.")))
    }

    pub(crate) fn error(code: &'static str, key: &str, sentence: &str) -> Self {
        Self {
            severity: Severity::Error,
            code,
            key: key.to_owned(),
            sentence: sentence.to_owned(),
        }
    }

    pub(crate) fn warning(code: &'static str, key: &str, sentence: &str) -> Self {
        Self {
            severity: Severity::Warning,
            code,
            key: key.to_owned(),
            sentence: sentence.to_owned(),
        }
    }
}
