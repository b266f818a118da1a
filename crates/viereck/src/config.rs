//! The configuration of one process: which roles it runs, and with what.
//!
//! [`Config::load`] is the one way to a configuration; `run`, `config check` and `config show` all go it. Guarantees:
//! a configuration that loads is complete and free of contradictions, unknown keys are errors, every error names the
//! key and where it stands. Does not look at the table, the keys or the network: that is done when a network is
//! prepared. Sections of gateway and broker are defined by their crates; only where their keys and journals lie is
//! decided here.

pub mod commands;
mod journal;
mod keys;
mod layer;
pub mod layers;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Value, ValueKind};
use serde::{Deserialize, Serialize};
use viereck_custody::{Finding, Place, Severity};
use viereck_routing::{Environment, GatewayId};

pub use self::keys::{Keys, Revocation};
pub(crate) use self::keys::{key_file, passphrase};
use self::layers::{BUILT_IN, Layers, Sources};
use crate::failure::{Exit, Failure};
use crate::{operations, telemetry};

/// What one process is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Test or production; everything the process touches must agree.
    pub environment: Environment,
    /// Logs.
    pub log: Log,
    /// What metrics and traces there are.
    pub telemetry: Telemetry,
    /// The folder of the routing table.
    pub table: PathBuf,
    /// What opens encrypted keys.
    pub keys: Keys,
    /// Where revocation lists are kept.
    pub revocation: Revocation,
    /// How the roles reach each other.
    pub link: Link,
    /// The broker, if this process has one.
    pub broker: Option<Broker>,
    /// The gateways of this process.
    pub gateways: Vec<Gateway>,
    /// What operators see and do over HTTP, if this process has that.
    pub operations: Option<operations::Settings>,
}

/// Logs: section `log`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level or a filter.
    pub level: String,
    /// Text or JSON.
    pub format: telemetry::Format,
}

/// Metrics and traces: section `telemetry`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Whether every Behörde has metrics of its own.
    pub behoerden: bool,
    /// The OpenTelemetry collector that traces are sent to.
    pub otlp: Option<String>,
}

/// How the roles reach each other: section `link`.
#[derive(Debug, Clone)]
pub enum Link {
    /// A file of this process.
    Embedded(PathBuf),
    /// An AMQP server.
    Amqp(AmqpUrl, Option<Tls>),
}

/// The files of TLS towards the AMQP server: section `link.tls`, needed for `amqps://`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The only authority that is trusted, PEM.
    pub ca: PathBuf,
    /// The own certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// The key of the own certificate, PEM.
    pub key: Option<PathBuf>,
}

/// The URL of an AMQP server, and the further nodes of its cluster. It may hold a password, so it is shown without one.
#[derive(Clone, PartialEq, Eq)]
pub struct AmqpUrl {
    url: String,
    /// `host:port`, reached as the first one is.
    further_nodes: Vec<String>,
}

/// The broker: section `broker`.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Where its journal lies.
    pub journal: Place,
    /// What the broker itself wants to know.
    pub settings: viereck_broker::Config,
}

impl Gateway {
    /// The folder above those of all gateways of this host: the own one bears the gateway's name.
    pub fn keys_of_all(&self) -> &Path {
        above(&self.keys)
    }
}

/// The folder that holds this one.
pub(crate) fn above(folder: &Path) -> &Path {
    match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// One gateway: an element of `gateway`.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Which half of the file's network it belongs to.
    pub role: Role,
    /// Folder of its private keys; it bears the gateway's name.
    pub keys: PathBuf,
    /// Where its journal lies.
    pub journal: Place,
    /// What the gateway itself wants to know.
    pub settings: viereck_gateway::Config,
}

/// Which subcommand starts a gateway. There is one gateway program: an answer to an application uses the other half's
/// steps, so the role says no more than what the gateway is mainly there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Corner 2.
    Sender,
    /// Corner 3.
    Receiver,
}

/// The part of a configuration that one process is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything in the file.
    All,
    /// The sender gateways.
    Sender,
    /// The broker.
    Broker,
    /// The receiver gateways.
    Receiver,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    environment: Environment,
    log: Log,
    telemetry: Telemetry,
    table: TableSection,
    #[serde(default)]
    keys: Keys,
    revocation: Revocation,
    link: LinkSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableSection {
    folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkSection {
    kind: LinkKind,
    url: String,
    url_file: Option<PathBuf>,
    further_nodes: Vec<String>,
    tls: Option<Tls>,
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LinkKind {
    Amqp,
    Embedded,
}

/// The keys of a gateway's section that say where its things lie.
const PLACES: &[&str] = &["role", "keys", "journal", "journal_url_file"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayPlaces {
    role: Role,
    keys: PathBuf,
    journal: Option<String>,
    journal_url_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerPlaces {
    journal: Option<String>,
    journal_url_file: Option<PathBuf>,
}

impl Config {
    /// The configuration of this file and of this process's variables.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        Self::from_layers(&Layers::read(&Sources::of_process(Some(file)))?)
    }

    /// The configuration that these layers make.
    pub fn from_layers(layers: &Layers) -> Result<Self, Failure> {
        let mut root = table_of(layers, "", layers.root().clone())?;
        let broker = root
            .remove("broker")
            .map(|value| read_broker(layers, value))
            .transpose()?;
        let gateways = root
            .remove("gateway")
            .map(|value| read_gateways(layers, value))
            .transpose()?;
        let operations = root
            .remove("operations")
            .map(|value| layers.typed("operations", value))
            .transpose()?;
        let root: Root = layers.typed("", Value::new(None, ValueKind::Table(root)))?;
        telemetry::filter(&root.log.level).map_err(|error| layers.refuse("log.level", &error))?;
        if let Some(Err(error)) = root.telemetry.otlp.as_deref().map(telemetry::otlp::address) {
            return Err(layers.refuse("telemetry.otlp", &error));
        }
        root.keys.check(layers)?;
        root.revocation.check(layers)?;
        let config = Config {
            environment: root.environment,
            log: root.log,
            telemetry: root.telemetry,
            table: root.table.folder,
            keys: root.keys,
            revocation: root.revocation,
            link: read_link(layers, root.link)?,
            broker,
            gateways: gateways.unwrap_or_default(),
            operations,
        };
        config.free_of_contradictions(layers)?;
        Ok(config)
    }

    /// The same with nothing but the roles of `part`.
    ///
    /// # Errors
    /// `role-missing` when the file has none of them.
    pub fn only(mut self, part: Part) -> Result<Self, Failure> {
        let role = match part {
            Part::All => return Ok(self),
            Part::Broker => None,
            Part::Sender => Some(Role::Sender),
            Part::Receiver => Some(Role::Receiver),
        };
        self.gateways.retain(|gateway| Some(gateway.role) == role);
        if role.is_some() {
            self.broker = None;
        }
        if self.broker.is_none() && self.gateways.is_empty() {
            let section = match part {
                Part::Broker => "[broker]",
                Part::Sender => "[[gateway]] with role = \"sender\"",
                Part::Receiver | Part::All => "[[gateway]] with role = \"receiver\"",
            };
            return Err(Failure::new(
                Exit::NotFound,
                "role-missing",
                format!("The configuration has no {section}."),
            )
            .help("Add the section, or start what the file has with `viereck run`."));
        }
        Ok(self)
    }

    /// What is well-formed and still wrong or unwise in the section of a role, with its key in the file.
    fn findings(&self) -> Vec<(String, Finding)> {
        let under = |section: String, found: Vec<Finding>| {
            found
                .into_iter()
                .map(move |finding| (format!("{section}.{}", finding.key), finding))
        };
        let broker = self.broker.iter();
        let broker = broker.flat_map(|broker| under("broker".to_owned(), broker.settings.check()));
        let gateways = self.gateways.iter().enumerate();
        let gateways =
            gateways.flat_map(|(index, gateway)| under(format!("gateway[{index}]"), gateway.settings.check()));
        let operations = self.operations.iter().flat_map(|operations| {
            let found =
                viereck_gateway::listener("", operations.listen, operations.tls.as_ref(), operations.tls_in_front);
            under("operations".to_owned(), found)
        });
        broker.chain(gateways).chain(operations).collect()
    }

    fn free_of_contradictions(&self, layers: &Layers) -> Result<(), Failure> {
        if self.broker.is_none() && self.gateways.is_empty() {
            return Err(
                Failure::new(Exit::Usage, "config-invalid", "The configuration has no role to run.")
                    .help("Add a [broker] section or a [[gateway]]."),
            );
        }
        self.link_fits(layers)?;
        if let Some((key, finding)) = self
            .findings()
            .iter()
            .find(|(_, finding)| finding.severity == Severity::Error)
        {
            return Err(layers.refuse(key, &finding.sentence));
        }
        for (index, gateway) in self.gateways.iter().enumerate() {
            if gateway.keys.file_name().and_then(|name| name.to_str()) != Some(gateway.settings.id.as_str()) {
                let sentence = format!(
                    "The folder of its keys bears the gateway's name, {}.",
                    gateway.settings.id
                );
                return Err(layers.refuse(&format!("gateway[{index}].keys"), &sentence));
            }
        }
        let mut addresses: BTreeSet<_> = self.operations.iter().map(|operations| operations.listen).collect();
        for (index, gateway) in self.gateways.iter().enumerate() {
            let address = gateway.settings.listen;
            if address.port() != 0 && !addresses.insert(address) {
                let sentence = format!("Something else of this configuration listens on {address}.");
                return Err(layers.refuse(&format!("gateway[{index}].listen"), &sentence));
            }
        }
        let mut custodians: BTreeSet<&GatewayId> = self.broker.iter().map(|broker| &broker.settings.id).collect();
        let mut journals: BTreeSet<&Path> = self
            .broker
            .iter()
            .filter_map(|broker| journal_file(&broker.journal))
            .collect();
        for (index, gateway) in self.gateways.iter().enumerate() {
            if !custodians.insert(&gateway.settings.id) {
                let sentence = format!("{} is used twice.", gateway.settings.id);
                return Err(layers.refuse(&format!("gateway[{index}].id"), &sentence));
            }
            if journal_file(&gateway.journal).is_some_and(|file| !journals.insert(file)) {
                let sentence = "Two custodians cannot share one journal.";
                return Err(layers.refuse(&format!("gateway[{index}].journal"), sentence));
            }
        }
        Ok(())
    }
}

impl Config {
    /// Nothing in production goes over an AMQP connection that somebody else could read or could have made.
    fn link_fits(&self, layers: &Layers) -> Result<(), Failure> {
        let Link::Amqp(url, tls) = &self.link else {
            return Ok(());
        };
        let certificate = tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        match (self.environment, url.is_tls(), certificate) {
            (_, false, _) if tls.is_some() => Err(layers.refuse(
                "link.tls",
                "There are files of TLS, and the URL of amqp:// would not use them: write amqps://.",
            )),
            (Environment::Production, false, _) => Err(layers.refuse(
                "link.url",
                "In production the URL must begin with amqps://, which is AMQP over TLS.",
            )),
            (Environment::Production, true, None) => {
                Err(layers.refuse("link.tls", "In production the link needs a certificate and its key."))
            }
            _ => Ok(()),
        }
    }
}

/// The file that nobody else may use; in a database each custodian has tables of its own.
fn journal_file(place: &Place) -> Option<&Path> {
    match place {
        Place::File(file) => Some(file.as_path()),
        Place::Postgres(_) => None,
    }
}

fn read_link(layers: &Layers, link: LinkSection) -> Result<Link, Failure> {
    if let LinkKind::Embedded = link.kind {
        return Ok(Link::Embedded(link.file));
    }
    let url = match link.url_file {
        None => link.url,
        Some(_) if layers.origin("link.url") != Some(BUILT_IN) => {
            return Err(layers.refuse("link.url_file", "Either url or url_file is set, not both."));
        }
        Some(file) => std::fs::read_to_string(&file)
            .map_err(|error| {
                Failure::of_file("read link.url_file", &file, &error).at(layers.position("link.url_file"))
            })?
            .trim()
            .to_owned(),
    };
    match AmqpUrl::new(&url) {
        Some(url) => Ok(Link::Amqp(url.with_further(link.further_nodes), link.tls)),
        None => Err(layers.refuse("link.url", "The URL must begin with amqp:// or amqps://.")),
    }
}

fn read_broker(layers: &Layers, value: Value) -> Result<Broker, Failure> {
    let (places, settings) = split(layers, "broker", value, journal::KEYS)?;
    let places: BrokerPlaces = layers.typed("broker", places)?;
    Ok(Broker {
        journal: journal::place(layers, "broker", places.journal, places.journal_url_file)?,
        settings: layers.typed("broker", settings)?,
    })
}

fn read_gateways(layers: &Layers, value: Value) -> Result<Vec<Gateway>, Failure> {
    let ValueKind::Array(elements) = value.kind else {
        return Err(layers.refuse("gateway", "Write each gateway as [[gateway]]."));
    };
    let read = |(index, value)| {
        let key = format!("gateway[{index}]");
        let (places, settings) = split(layers, &key, value, PLACES)?;
        let places: GatewayPlaces = layers.typed(&key, places)?;
        let settings = layers.typed(&key, settings)?;
        Ok(Gateway {
            role: places.role,
            keys: places.keys,
            journal: journal::place(layers, &key, places.journal, places.journal_url_file)?,
            settings,
        })
    };
    elements.into_iter().enumerate().map(read).collect()
}

/// A section as the keys that say where its things lie, and what the component itself wants to know.
fn split(layers: &Layers, key: &str, value: Value, names: &[&str]) -> Result<(Value, Value), Failure> {
    let table = table_of(layers, key, value)?;
    let (places, settings) = table.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
    let value = |table| Value::new(None, ValueKind::Table(table));
    Ok((value(places), value(settings)))
}

fn table_of(layers: &Layers, key: &str, value: Value) -> Result<config::Map<String, Value>, Failure> {
    match value.kind {
        ValueKind::Table(table) => Ok(table),
        _ => Err(layers.refuse(key, "Expected a section with keys.")),
    }
}

impl AmqpUrl {
    /// An URL of scheme `amqp` or `amqps`.
    pub fn new(url: &str) -> Option<Self> {
        (url.starts_with("amqp://") || url.starts_with("amqps://")).then(|| Self {
            url: url.to_owned(),
            further_nodes: vec![],
        })
    }

    /// The same with further nodes of the cluster, each as `host:port`.
    #[must_use]
    pub fn with_further(self, further_nodes: Vec<String>) -> Self {
        Self { further_nodes, ..self }
    }

    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.url.starts_with("amqps://")
    }

    /// The URL with its password, for the one who connects.
    pub fn with_password(&self) -> &str {
        &self.url
    }

    /// The URL of every node, with its password.
    pub fn nodes(&self) -> Vec<String> {
        let (before, after) = around_host(&self.url);
        let further = self.further_nodes.iter().map(|node| format!("{before}{node}{after}"));
        std::iter::once(self.url.clone()).chain(further).collect()
    }
}

impl fmt::Display for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.url))
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What stands before the host of an URL, and what behind its port.
fn around_host(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    let host = url[authority..end]
        .rfind('@')
        .map_or(authority, |at| authority + at + 1);
    (&url[..host], &url[end..])
}

/// An URL with `***` for whatever stands before the host, and for a query that names a password.
fn without_password(url: &str) -> String {
    if let Some((url, query)) = url.split_once('?')
        && url.contains("://")
        && query.contains("password")
    {
        return format!("{}?***", without_password(url));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
