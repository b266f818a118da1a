//! The roles of one process, started, watched, and stopped in order.
//!
//! [`Prepared`] reads everything that can be wrong on disk: the table, the certificates, the keys. [`Network::start`]
//! then takes what has to be had: ports, journals, the link; only when all of it is there does a role begin to work, so
//! a start that fails has done nothing. [`Network::stop`] tells every role to end, waits for what is under way, and
//! closes channels and connections before journals. The demonstration and the scenario tests start their networks here
//! too.
//!
//! Does not listen to signals and does not read configuration files; `run` does.

mod expiry;
mod prepared;
mod rebind;
mod sampling;
mod secured;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use viereck_custody::metrics::Detail;
use viereck_custody::{Journal, JournalError, Place, deadlines, retention};
use viereck_envelope::Signer;
use viereck_gateway::{Keys, SealingAnew};
use viereck_routing::{CustodianId, Digest, Environment, GatewayId, Tables};
use viereck_store::StoreError;
use viereck_transport::Link;

use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::operations::{self, Operations};
use crate::{link, revocation, telemetry};

use self::expiry::Expiry;
pub use self::prepared::Prepared;
use self::prepared::Sources;
use self::rebind::InForce;
use self::sampling::Sampling;
use self::secured::{Listener, Secured};

/// How much longer than its longest hand-over a process may take to end.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// A network at work: the roles of one process.
pub struct Network {
    sources: Sources,
    addresses: BTreeMap<GatewayId, SocketAddr>,
    journals: BTreeMap<CustodianId, Journal>,
    link: Link,
    /// TLS of the listeners.
    secured: Secured,
    tables: watch::Sender<Arc<Tables>>,
    keys: InForce,
    roles: JoinSet<(CustodianId, Result<(), Failure>)>,
    /// Looks at what the roles do, and ends with them.
    sampling: JoinSet<()>,
    gateways: operations::Gateways,
    operations: Option<SocketAddr>,
    /// Cancelled when the roles have ended: operators can look until then.
    ended: CancellationToken,
    shutdown: CancellationToken,
    patience: Duration,
}

impl Network {
    /// Starts the roles of this configuration.
    pub async fn start(config: Config) -> Result<Self, Failure> {
        let prepared = tokio::task::spawn_blocking(|| Prepared::new(config))
            .await
            .map_err(|panicked| {
                Failure::new(
                    Exit::Unexpected,
                    "unexpected",
                    format!("Reading table and keys failed: {panicked}"),
                )
            })?;
        Self::begin(prepared?).await
    }

    async fn begin(prepared: Prepared) -> Result<Self, Failure> {
        let Prepared {
            config,
            since,
            tables,
            broker,
            gateways,
            secured,
        } = prepared;
        telemetry::metrics::record();
        let sources = Sources::of(&config);
        let mut listeners = Vec::new();
        for gateway in &config.gateways {
            listeners.push(bind(gateway.settings.id.as_str(), gateway.settings.listen).await?);
        }
        let operations = match &config.operations {
            Some(settings) => Some(bind("the operations interface", settings.listen).await?),
            None => None,
        };
        let whole = config.clone();
        let mut journals = BTreeMap::new();
        let places = config
            .gateways
            .iter()
            .map(|gateway| (&gateway.settings.id, &gateway.journal));
        for (custodian, place) in places.chain(
            config
                .broker
                .iter()
                .map(|broker| (&broker.settings.id, &broker.journal)),
        ) {
            journals.insert(
                custodian.clone(),
                open_journal(place, custodian, config.environment).await?,
            );
        }
        let names: Vec<&str> = journals.keys().map(CustodianId::as_str).collect();
        let link = link::open(&config.link, &names.join(" "))?;
        let times = config.gateways.iter().map(|gateway| &gateway.settings);
        let times = times.map(|gateway| {
            (
                gateway.id.clone(),
                (gateway.deadlines.clone(), gateway.retention.clone()),
            )
        });
        let of_broker = config.broker.iter().map(|broker| {
            let settings = &broker.settings;
            let times = (settings.deadlines.clone(), settings.retention.clone());
            (settings.id.clone(), times)
        });
        let times: BTreeMap<_, _> = times.chain(of_broker).collect();
        let stop_seconds = config
            .gateways
            .iter()
            .map(|gateway| gateway.settings.timeouts.stop_seconds)
            .max();
        let release = tables.release();
        let mut network = Self {
            sources,
            addresses: BTreeMap::new(),
            journals,
            link,
            secured,
            tables: watch::Sender::new(Arc::new(tables)),
            keys: InForce::default(),
            roles: JoinSet::new(),
            sampling: JoinSet::new(),
            gateways: operations::Gateways::default(),
            operations: None,
            ended: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            patience: Duration::from_secs(stop_seconds.unwrap_or_default()) + STOP_MARGIN,
        };
        tracing::info!(%release, environment = %config.environment, "routing table loaded");
        telemetry::metrics::in_force(release, None);
        if let (Some(settings), Some(signer)) = (config.broker, broker) {
            network.spawn_broker(settings.settings, signer)?;
        }
        for ((gateway, keys), listener) in config.gateways.into_iter().zip(gateways).zip(listeners) {
            network.spawn_gateway(gateway, keys, listener)?;
        }
        network.spawn_jobs();
        network.spawn_watches(&whole, since)?;
        if let Some(listener) = operations {
            network.spawn_operations(whole, listener)?;
        }
        let detail = match config.telemetry.behoerden {
            true => Detail::PerBehoerde,
            false => Detail::Sums,
        };
        network.spawn_sampling(detail, &times);
        let watch = network.secured.clone().watch(network.shutdown.child_token());
        network.sampling.spawn(watch);
        Ok(network)
    }

    /// What looks after keys, revocation lists and certificates that end.
    fn spawn_watches(&mut self, config: &Config, since: Timestamp) -> Result<(), Failure> {
        let (keys, sources) = (self.keys.clone(), self.sources.clone());
        let follow = keys.follow(sources, self.tables.subscribe(), since, self.shutdown.child_token());
        self.sampling.spawn(follow);
        let lists = revocation::Watch::new(config.revocation.clone(), self.tables.subscribe())?;
        self.sampling.spawn(lists.run(self.shutdown.child_token()));
        let detail = match config.telemetry.behoerden {
            true => Detail::PerBehoerde,
            false => Detail::Sums,
        };
        let expiry = Expiry::new(self.journals.keys().cloned().collect(), detail);
        self.sampling
            .spawn(expiry.run(self.tables.subscribe(), self.link.clone(), self.shutdown.child_token()));
        Ok(())
    }

    /// What operators started goes on wherever its journal is open.
    fn spawn_jobs(&mut self) {
        for (id, journal) in &self.journals {
            let (journal, link, tables) = (journal.clone(), self.link.clone(), self.tables.subscribe());
            let (id, shutdown) = (id.clone(), self.shutdown.child_token());
            self.roles.spawn(async move {
                let outcome = viereck_custody::job::run(journal, link, tables, shutdown).await;
                (id.clone(), outcome.map_err(|error| role_failed(&id, &error)))
            });
        }
    }

    fn spawn_operations(&mut self, config: Config, listener: TcpListener) -> Result<(), Failure> {
        let operations = Operations::new(
            config,
            self.journals.clone(),
            self.gateways.clone(),
            self.tables.subscribe(),
            self.link.clone(),
            self.shutdown.child_token(),
        )?;
        let tls = self.secured.of(&Listener::Operations);
        self.operations = listener.local_addr().ok();
        tracing::info!(
            address = self.operations.map(tracing::field::display),
            "operations interface listens"
        );
        self.sampling
            .spawn(operations::serve(listener, tls, operations, self.ended.child_token()));
        Ok(())
    }

    fn spawn_sampling(
        &mut self,
        detail: Detail,
        times: &BTreeMap<CustodianId, (deadlines::Config, retention::Config)>,
    ) {
        for journal in self.journals.values() {
            let (targets, keep) = times.get(journal.custodian()).cloned().unwrap_or_default();
            let sampling = Sampling {
                journal: journal.clone(),
                tables: self.tables.subscribe(),
                link: self.link.clone(),
                detail,
                targets,
                keep,
                backlogs: self.gateways.backlogs.get(journal.custodian()).cloned(),
            };
            self.sampling.spawn(sampling.run(self.shutdown.child_token()));
        }
    }

    fn spawn_broker(&mut self, settings: viereck_broker::Config, signer: Arc<Signer>) -> Result<(), Failure> {
        let id = settings.id.clone();
        let signer = {
            let sender = watch::Sender::new(signer);
            let current = sender.subscribe();
            self.keys.broker = Some((id.clone(), sender));
            current
        };
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
            Failure::new(
                Exit::Unexpected,
                "listen-failed",
                format!("The port of {id} cannot be told: {error}"),
            )
        })?;
        self.addresses.insert(id.clone(), address);
        let keys = {
            let sender = watch::Sender::new(keys);
            let current = sender.subscribe();
            self.keys.gateways.insert(id.clone(), sender);
            current
        };
        let anew = SealingAnew::new(&settings, self.opened(&id)?, keys.clone(), self.tables.subscribe());
        self.gateways.anew.insert(id.clone(), anew);
        let inputs = viereck_gateway::Inputs {
            tables: self.tables.subscribe(),
            link: self.link.clone(),
            journal: self.opened(&id)?,
            keys,
            listener,
            tls: self.secured.of(&Listener::Gateway(id.clone())),
            backlogs: self.gateways.backlogs.entry(id.clone()).or_default().clone(),
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
            Failure::new(
                Exit::Unexpected,
                "journal-missing",
                format!("{custodian} was started without a journal."),
            )
        })
    }

    /// Where each gateway really listens; a configured port 0 is any free one.
    pub fn addresses(&self) -> &BTreeMap<GatewayId, SocketAddr> {
        &self.addresses
    }

    /// Where the operations interface really listens, if there is one.
    pub fn operations(&self) -> Option<SocketAddr> {
        self.operations
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

    /// Reads the table, its certificates and the own keys again and puts them in force.
    ///
    /// # Errors
    /// The old table stays in force when the new one does not load or is for another environment.
    pub async fn reload(&self) -> Result<Digest, Failure> {
        let (sources, keys) = (self.sources.clone(), self.keys.clone());
        let read = tokio::task::spawn_blocking(move || {
            let tables = sources.load()?;
            // A key that does not fit the new certificates is an alarm, not a reason to go on with old rights. New keys
            // come first: what is sealed for them by others, who may have the table already, can be opened then.
            keys.rebind(&sources, &tables);
            Ok::<_, Failure>(tables)
        });
        let tables = read.await.map_err(|panicked| {
            Failure::new(
                Exit::Unexpected,
                "unexpected",
                format!("Reading the table failed: {panicked}"),
            )
        })??;
        let release = tables.release();
        let before = self.tables.send_replace(Arc::new(tables));
        telemetry::metrics::in_force(release, Some(before.release()));
        Ok(release)
    }

    /// Reads the files of TLS again; connections made from now on see what they hold. What does not load changes nothing.
    pub async fn reload_tls(&self) {
        let secured = self.secured.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || secured.reload()).await {
            tracing::error!(%error, alarm = "internal", "reading the files of TLS broke off");
        }
    }

    /// Waits until a role ends although nobody told it to.
    pub async fn ended(&mut self) -> Failure {
        match self.roles.join_next().await {
            Some(Ok((_, Err(failure)))) => failure,
            Some(Ok((id, Ok(())))) => Failure::new(Exit::Unexpected, "role-ended", format!("{id} ended by itself.")),
            Some(Err(panicked)) => {
                Failure::new(Exit::Unexpected, "role-panicked", format!("A role failed: {panicked}"))
            }
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
                    Err(panicked) => Err(Failure::new(
                        Exit::Unexpected,
                        "role-panicked",
                        format!("A role failed: {panicked}"),
                    )),
                });
            }
            self.ended.cancel();
            while self.sampling.join_next().await.is_some() {}
        };
        if tokio::time::timeout(self.patience, all).await.is_err() {
            self.roles.shutdown().await;
            self.sampling.shutdown().await;
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

async fn bind(id: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            Exit::Conflict,
            "port-in-use",
            format!("{address} of {id} is in use by another process."),
        )
        .help("End the other process, or set another address with listen."),
        std::io::ErrorKind::PermissionDenied => Failure::new(
            Exit::NotPermitted,
            "port-not-permitted",
            format!("{id} may not listen on {address}."),
        )
        .help("Choose a port above 1023, or give the process the right."),
        _ => Failure::new(
            Exit::Unexpected,
            "listen-failed",
            format!("{id} cannot listen on {address}: {error}"),
        ),
    })
}

async fn open_journal(place: &Place, custodian: &CustodianId, environment: Environment) -> Result<Journal, Failure> {
    if let Place::File(path) = place {
        make_parent(path)?;
    }
    Journal::open(place, custodian.clone(), environment)
        .await
        .map_err(|error| {
            let sentence = format!("The journal {place} of {custodian} cannot be opened: {error}");
            match error {
                JournalError::OfAnother { .. } => Failure::new(Exit::Conflict, "journal-of-another", sentence)
                    .help("One journal serves one custodian in one environment: name another file or database."),
                JournalError::Restored { .. } => Failure::new(Exit::Conflict, "journal-restored", sentence)
                    .help("Collect `viereck journal facts` at the others, then `viereck journal reconcile`."),
                JournalError::Store(StoreError::InUse { .. }) => {
                    Failure::new(Exit::Conflict, "journal-in-use", sentence)
                        .help("Another process runs this custodian; several can only share a journal in a database.")
                }
                JournalError::Store(StoreError::NotDurable { .. }) => {
                    Failure::new(Exit::Usage, "journal-not-durable", sentence)
                        .help("A server that may lose what it confirmed cannot hold a journal: mend its configuration.")
                }
                JournalError::Store(StoreError::Url(_)) => Failure::new(Exit::Usage, "config-invalid", sentence),
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
