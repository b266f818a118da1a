//! The roles of one process, started, watched, and stopped in order.
//!
//! [`Prepared`] reads everything that can be wrong on disk: the table, the certificates, the keys. [`Network::start`]
//! then takes what has to be had: ports, journals, the link; only when all of it is there does a role begin to work, so
//! a start that fails has done nothing. [`Network::stop`] tells every role to end, waits for what is under way, and
//! closes channels and connections before journals. The demonstration and the scenario tests start their networks here
//! too.
//!
//! Does not listen to signals and does not read configuration files; `run` does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use viereck_custody::{Journal, JournalError};
use viereck_envelope::{KeyError, Signer};
use viereck_gateway::{Keys, KeysError};
use viereck_routing::{CustodianId, Digest, Environment, GatewayId, Tables, day_in_berlin};
use viereck_store::StoreError;
use viereck_transport::Link;

use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::{link, routes};

/// How much longer than its longest hand-over a process may take to end.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// A configuration whose table, certificates and keys were read and fit together.
pub struct Prepared {
    config: Config,
    tables: Tables,
    broker: Option<Arc<Signer>>,
    gateways: Vec<Keys>,
}

/// A network at work: the roles of one process.
pub struct Network {
    sources: Sources,
    addresses: BTreeMap<GatewayId, SocketAddr>,
    journals: BTreeMap<CustodianId, Journal>,
    link: Link,
    tables: watch::Sender<Arc<Tables>>,
    roles: JoinSet<(CustodianId, Result<(), Failure>)>,
    shutdown: CancellationToken,
    patience: Duration,
}

/// What is read again when the table changes.
#[derive(Clone)]
struct Sources {
    environment: Environment,
    table: PathBuf,
    keys: Vec<(GatewayId, PathBuf)>,
}

impl Prepared {
    /// Reads what the configuration names; changes nothing and connects to nobody. Blocks while it reads.
    pub fn new(config: Config) -> Result<Self, Failure> {
        let sources = Sources::of(&config);
        let tables = sources.load()?;
        let broker = config.broker.as_ref().map(|broker| broker_signer(&broker.keys, &broker.id, &tables)).transpose()?;
        let gateways = sources.keys.iter().map(|(id, folder)| gateway_keys(folder, id, &tables));
        let gateways = gateways.collect::<Result<_, Failure>>()?;
        Ok(Self { config, tables, broker, gateways })
    }
}

impl Sources {
    fn of(config: &Config) -> Self {
        let keys = config.gateways.iter().map(|gateway| (gateway.settings.id.clone(), gateway.keys.clone()));
        Self {
            environment: config.environment,
            table: config.table.clone(),
            keys: keys.collect(),
        }
    }

    fn load(&self) -> Result<Tables, Failure> {
        let loaded = routes::load(&self.table, day_in_berlin(Timestamp::now()))?;
        for warning in &loaded.warnings {
            let place = format!("{}:{}", warning.file, warning.line);
            tracing::warn!(code = warning.code, place, "{}", warning.sentence(viereck_routing::Lang::En));
        }
        let tables = loaded.tables;
        if tables.environment() != self.environment {
            let sentence = format!(
                "The table {} is for {}, the configuration for {}.",
                self.table.display(),
                tables.environment(),
                self.environment
            );
            return Err(Failure::new(Exit::Findings, "environment-mismatch", sentence)
                .help("Test and production never mix: name the table of the same environment."));
        }
        Ok(tables)
    }
}

impl Network {
    /// Starts the roles of this configuration.
    pub async fn start(config: Config) -> Result<Self, Failure> {
        let prepared = tokio::task::spawn_blocking(|| Prepared::new(config)).await.map_err(|panicked| {
            Failure::new(Exit::Unexpected, "unexpected", format!("Reading table and keys failed: {panicked}"))
        })?;
        Self::begin(prepared?).await
    }

    async fn begin(prepared: Prepared) -> Result<Self, Failure> {
        let Prepared { config, tables, broker, gateways } = prepared;
        let sources = Sources::of(&config);
        let mut listeners = Vec::new();
        for gateway in &config.gateways {
            listeners.push(bind(&gateway.settings).await?);
        }
        let mut journals = BTreeMap::new();
        let places = config.gateways.iter().map(|gateway| (&gateway.settings.id, &gateway.journal));
        for (custodian, path) in places.chain(config.broker.iter().map(|broker| (&broker.id, &broker.journal))) {
            journals.insert(custodian.clone(), open_journal(path, custodian, config.environment).await?);
        }
        let names: Vec<&str> = journals.keys().map(CustodianId::as_str).collect();
        let link = link::open(&config.link, &names.join(" "))?;
        let stop_seconds = config.gateways.iter().map(|gateway| gateway.settings.timeouts.stop_seconds).max();
        let release = tables.release();
        let mut network = Self {
            sources,
            addresses: BTreeMap::new(),
            journals,
            link,
            tables: watch::Sender::new(Arc::new(tables)),
            roles: JoinSet::new(),
            shutdown: CancellationToken::new(),
            patience: Duration::from_secs(stop_seconds.unwrap_or_default()) + STOP_MARGIN,
        };
        tracing::info!(%release, environment = %config.environment, "routing table loaded");
        if let (Some(settings), Some(signer)) = (config.broker, broker) {
            network.spawn_broker(settings, signer)?;
        }
        for ((gateway, keys), listener) in config.gateways.into_iter().zip(gateways).zip(listeners) {
            network.spawn_gateway(gateway, keys, listener)?;
        }
        Ok(network)
    }

    fn spawn_broker(&mut self, settings: viereck_broker::Config, signer: Arc<Signer>) -> Result<(), Failure> {
        let id = settings.id.clone();
        let inputs = viereck_broker::Inputs {
            tables: self.tables.subscribe(),
            link: self.link.clone(),
            journal: self.opened(&id)?,
            signer,
        };
        let shutdown = self.shutdown.child_token();
        tracing::info!(broker = %id, "broker starts");
        self.roles.spawn(async move {
            let outcome = viereck_broker::run(settings, inputs, shutdown).await;
            (id.clone(), outcome.map_err(|error| role_failed(&id, &error)))
        });
        Ok(())
    }

    fn spawn_gateway(&mut self, gateway: config::Gateway, keys: Keys, listener: TcpListener) -> Result<(), Failure> {
        let settings = gateway.settings;
        let id = settings.id.clone();
        let address = listener.local_addr().map_err(|error| {
            Failure::new(Exit::Unexpected, "listen-failed", format!("The port of {id} cannot be told: {error}"))
        })?;
        self.addresses.insert(id.clone(), address);
        let inputs = viereck_gateway::Inputs {
            tables: self.tables.subscribe(),
            link: self.link.clone(),
            journal: self.opened(&id)?,
            keys,
            listener,
        };
        let shutdown = self.shutdown.child_token();
        tracing::info!(gateway = %id, %address, "gateway listens");
        self.roles.spawn(async move {
            let outcome = viereck_gateway::run(settings, inputs, shutdown).await;
            (id.clone(), outcome.map_err(|error| role_failed(&id, &error)))
        });
        Ok(())
    }

    fn opened(&self, custodian: &CustodianId) -> Result<Journal, Failure> {
        self.journals.get(custodian).cloned().ok_or_else(|| {
            Failure::new(Exit::Unexpected, "journal-missing", format!("{custodian} was started without a journal."))
        })
    }

    /// Where each gateway really listens; a configured port 0 is any free one.
    pub fn addresses(&self) -> &BTreeMap<GatewayId, SocketAddr> {
        &self.addresses
    }

    /// The journals of this process, by custodian.
    pub fn journals(&self) -> &BTreeMap<CustodianId, Journal> {
        &self.journals
    }

    /// The link that the roles of this process share.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The routing table in force.
    pub fn tables(&self) -> Arc<Tables> {
        self.tables.borrow().clone()
    }

    /// Reads the table and its certificates again and puts them in force in one step.
    ///
    /// # Errors
    /// The old table stays in force when the new one does not load or is for another environment.
    pub async fn reload(&self) -> Result<Digest, Failure> {
        let sources = self.sources.clone();
        let read = tokio::task::spawn_blocking(move || {
            let tables = sources.load()?;
            // A key that does not fit the new certificates is an alarm, not a reason to go on with old rights.
            for (id, folder) in &sources.keys {
                if let Err(failure) = gateway_keys(folder, id, &tables) {
                    tracing::error!(gateway = %id, code = failure.code, "own keys do not fit the table: {failure}");
                }
            }
            Ok::<_, Failure>(tables)
        });
        let tables = read.await.map_err(|panicked| {
            Failure::new(Exit::Unexpected, "unexpected", format!("Reading the table failed: {panicked}"))
        })??;
        let release = tables.release();
        self.tables.send_replace(Arc::new(tables));
        Ok(release)
    }

    /// Waits until a role ends although nobody told it to.
    pub async fn ended(&mut self) -> Failure {
        match self.roles.join_next().await {
            Some(Ok((_, Err(failure)))) => failure,
            Some(Ok((id, Ok(())))) => Failure::new(Exit::Unexpected, "role-ended", format!("{id} ended by itself.")),
            Some(Err(panicked)) => Failure::new(Exit::Unexpected, "role-panicked", format!("A role failed: {panicked}")),
            None => std::future::pending().await,
        }
    }

    /// Tells every role to end and waits for them, then closes the link and the journals.
    ///
    /// # Errors
    /// The first failure of a role, or `stop-timed-out` when one did not end; everything is closed all the same.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        let mut outcome = Ok(());
        let all = async {
            while let Some(ended) = self.roles.join_next().await {
                outcome = std::mem::replace(&mut outcome, Ok(())).and(match ended {
                    Ok((_, ended)) => ended,
                    Err(panicked) => {
                        Err(Failure::new(Exit::Unexpected, "role-panicked", format!("A role failed: {panicked}")))
                    }
                });
            }
        };
        if tokio::time::timeout(self.patience, all).await.is_err() {
            self.roles.shutdown().await;
            outcome = outcome.and(Err(Failure::new(
                Exit::Unexpected,
                "stop-timed-out",
                format!("Not every role ended within {} s.", self.patience.as_secs()),
            )));
        }
        self.link.close().await;
        for (_, journal) in self.journals {
            journal.close().await;
        }
        outcome
    }
}

async fn bind(settings: &viereck_gateway::Config) -> Result<TcpListener, Failure> {
    let (id, address) = (&settings.id, settings.listen);
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::new(Exit::Conflict, "port-in-use", format!("{address} of {id} is in use by another process."))
                .help("End the other process, or set another address with listen.")
        }
        std::io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::NotPermitted, "port-not-permitted", format!("{id} may not listen on {address}."))
                .help("Choose a port above 1023, or give the process the right.")
        }
        _ => Failure::new(Exit::Unexpected, "listen-failed", format!("{id} cannot listen on {address}: {error}")),
    })
}

async fn open_journal(path: &Path, custodian: &CustodianId, environment: Environment) -> Result<Journal, Failure> {
    make_parent(path)?;
    Journal::open(path, custodian.clone(), environment).await.map_err(|error| {
        let sentence = format!("The journal {} of {custodian} cannot be opened: {error}", path.display());
        match error {
            JournalError::OfAnother { .. } => Failure::new(Exit::Conflict, "journal-of-another", sentence)
                .help("One journal serves one custodian in one environment: name another file with journal."),
            JournalError::Store(StoreError::InUse { .. }) => Failure::new(Exit::Conflict, "journal-in-use", sentence)
                .help("Another process runs this custodian; there can be only one at a time."),
            _ => Failure::new(Exit::Unexpected, "journal-failed", sentence),
        }
    })
}

/// Makes the folder of a file that is about to be created.
pub(crate) fn make_parent(path: &Path) -> Result<(), Failure> {
    match path.parent() {
        Some(parent) => {
            std::fs::create_dir_all(parent).map_err(|error| Failure::of_file("make the folder", parent, &error))
        }
        None => Ok(()),
    }
}

fn role_failed(id: &CustodianId, error: &dyn std::error::Error) -> Failure {
    let mut sentence = format!("{id} ended: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        sentence.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Failure::new(Exit::Unexpected, "role-failed", sentence)
}

/// The keys of a gateway from its own folder; the gateway crate names that folder by its parent and the gateway's id,
/// which the configuration guarantees to be the same.
fn gateway_keys(folder: &Path, id: &GatewayId, tables: &Tables) -> Result<Keys, Failure> {
    let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    Keys::load(parent, id, tables).map_err(|error| {
        let text = error.to_string();
        let (code, exit) = match &error {
            KeysError::GatewayUnknown(_) => ("gateway-unknown", Exit::NotFound),
            KeysError::NoCertificate { .. } => ("certificate-missing", Exit::NotFound),
            KeysError::Unreadable { .. } | KeysError::NoKey { .. } => ("key-missing", Exit::NotFound),
            KeysError::NotAKey { error, .. } => (error.code(), Exit::Findings),
            KeysError::NotHex(_) => ("key-malformed", Exit::Findings),
        };
        // The gateway's texts begin with their code; here it stands in front already.
        let sentence = text.split_once(": ").map_or(text.as_str(), |(_, sentence)| sentence);
        without_keys(Failure::new(exit, code, format!("Gateway {id}: {sentence}.")))
    })
}

/// The broker's key: the first of its folder that belongs to the certificate pinned for it now.
fn broker_signer(folder: &Path, id: &CustodianId, tables: &Tables) -> Result<Arc<Signer>, Failure> {
    if tables.broker(id).is_none() {
        let sentence = format!("The routing table has no broker {id}.");
        return Err(Failure::new(Exit::NotFound, "broker-unknown", sentence).help("Enter it in table.toml, or correct id."));
    }
    let certificate = tables.current_signing_certificate(id, Timestamp::now()).ok_or_else(|| {
        let sentence = format!("The routing table pins no valid signing certificate for the broker {id}.");
        without_keys(Failure::new(Exit::NotFound, "certificate-missing", sentence))
    })?;
    let unreadable = |error| without_keys(Failure::of_file("read the keys in", folder, &error));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();
    let is_signing_key = |file: &&PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("signing-") && name.ends_with(".key.pem"))
    };
    for file in files.iter().filter(is_signing_key) {
        let pem = std::fs::read_to_string(file).map_err(|error| Failure::of_file("read the key", file, &error))?;
        match Signer::new(certificate.clone(), &pem) {
            Ok(signer) => return Ok(Arc::new(signer)),
            // An older or a newer one.
            Err(KeyError::NotOfCertificate) => {}
            Err(error) => {
                let sentence = format!("Broker {id}: {}: {error}.", file.display());
                return Err(Failure::new(Exit::Findings, error.code(), sentence));
            }
        }
    }
    let sentence = format!(
        "Broker {id}: no signing-<n>.key.pem in {} belongs to the certificate pinned for it.",
        folder.display()
    );
    Err(without_keys(Failure::new(Exit::NotFound, "key-missing", sentence)))
}

fn without_keys(failure: Failure) -> Failure {
    failure.help("For a trial, `viereck keys new --table FOLDER --out FOLDER` makes all keys and certificates of a table.")
}
