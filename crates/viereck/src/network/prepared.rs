//! What a network needs from disk, read and compared before anything starts: table, certificates, keys, TLS.
//!
//! Changes nothing and connects to nobody, so `config check` does the same. A key that does not belong to the certificate
//! pinned for its holder stops here, not at the first message.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use viereck_envelope::{KeyError, Signer};
use viereck_gateway::key_files::{Passphrase, read_key};
use viereck_gateway::{Keys, KeysError};
use viereck_routing::{CustodianId, Environment, GatewayId, Lang, Tables, day_in_berlin};

use super::secured::Secured;
use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::{revocation, routes};

/// A configuration whose table, certificates and keys were read and fit together.
pub struct Prepared {
    pub(super) config: Config,
    /// When the reading began: which certificates count was judged at this instant or later.
    pub(super) since: Timestamp,
    pub(super) tables: Tables,
    pub(super) broker: Option<Arc<Signer>>,
    pub(super) gateways: Vec<Keys>,
    pub(super) secured: Secured,
}

/// What is read again when the table changes.
#[derive(Clone)]
pub(super) struct Sources {
    environment: Environment,
    table: PathBuf,
    gateways: Vec<(GatewayId, PathBuf)>,
    broker: Option<(CustodianId, PathBuf)>,
    passphrase: config::Keys,
    revocation: PathBuf,
}

impl Prepared {
    /// Reads what the configuration names; changes nothing and connects to nobody. Blocks while it reads.
    pub fn new(config: Config) -> Result<Self, Failure> {
        let since = Timestamp::now();
        let sources = Sources::of(&config);
        let tables = sources.load()?;
        let broker = sources.broker(&tables)?;
        let gateways = sources.gateways.iter().map(|(id, _)| sources.gateway(id, &tables));
        let gateways = gateways.collect::<Result<_, Failure>>()?;
        for gateway in &config.gateways {
            viereck_gateway::readable(&gateway.settings).map_err(|error| {
                let sentence = format!("Gateway {}: {error}.", gateway.settings.id);
                Failure::new(Exit::NotFound, "gateway-incomplete", sentence)
                    .help("Make what the configuration names, or mend the name.")
            })?;
        }
        let secured = Secured::load(&config)?;
        Ok(Self {
            config,
            since,
            tables,
            broker,
            gateways,
            secured,
        })
    }

    /// The table alone, for whoever only looks.
    pub(crate) fn into_tables(self) -> Tables {
        self.tables
    }
}

impl Sources {
    pub(super) fn of(config: &Config) -> Self {
        let keys = config
            .gateways
            .iter()
            .map(|gateway| (gateway.settings.id.clone(), gateway.keys.clone()));
        Self {
            environment: config.environment,
            table: config.table.clone(),
            gateways: keys.collect(),
            broker: config
                .broker
                .as_ref()
                .map(|broker| (broker.settings.id.clone(), broker.settings.keys.clone())),
            passphrase: config.keys.clone(),
            revocation: config.revocation.folder.clone(),
        }
    }

    /// The keys of one of the gateways, as they are on disk now.
    pub(super) fn gateway(&self, id: &GatewayId, tables: &Tables) -> Result<Keys, Failure> {
        let own = self.gateways.iter().find(|(other, _)| other == id);
        let (_, folder) = own.ok_or_else(|| {
            let sentence = format!("The configuration has no gateway {id}.");
            Failure::new(Exit::Unexpected, "gateway-unknown", sentence)
        })?;
        let passphrase = config::passphrase(&self.passphrase)?;
        gateway_keys(folder, id, tables, passphrase.as_ref())
    }

    /// The broker's key as it is on disk now, if there is a broker.
    pub(super) fn broker(&self, tables: &Tables) -> Result<Option<Arc<Signer>>, Failure> {
        let Some((id, folder)) = &self.broker else {
            return Ok(None);
        };
        let passphrase = config::passphrase(&self.passphrase)?;
        broker_signer(folder, id, tables, passphrase.as_ref()).map(Some)
    }

    pub(super) fn load(&self) -> Result<Tables, Failure> {
        let loaded = routes::load(&self.table, day_in_berlin(Timestamp::now()))?;
        for warning in &loaded.warnings {
            let place = format!("{}:{}", warning.file, warning.line);
            tracing::warn!(code = warning.code, place, "{}", warning.sentence(Lang::En));
        }
        let tables = loaded.tables;
        revocation::restore(&self.revocation, &tables, Timestamp::now());
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

/// The keys of a gateway from its own folder; the gateway crate names that folder by its parent and the gateway's id,
/// which the configuration guarantees to be the same.
fn gateway_keys(
    folder: &Path,
    id: &GatewayId,
    tables: &Tables,
    passphrase: Option<&Passphrase>,
) -> Result<Keys, Failure> {
    Keys::unlock(config::above(folder), id, tables, passphrase, Timestamp::now()).map_err(|error| {
        let text = error.to_string();
        let (code, exit) = match &error {
            KeysError::File(error) => return config::key_file(error),
            KeysError::GatewayUnknown(_) => ("gateway-unknown", Exit::NotFound),
            KeysError::NoCertificate { .. } => ("certificate-missing", Exit::NotFound),
            KeysError::Unreadable { .. } | KeysError::NoKey { .. } | KeysError::NoMlKemKey { .. } => {
                ("key-missing", Exit::NotFound)
            }
            KeysError::NotAKey { error, .. } => (error.code(), Exit::Findings),
            KeysError::NotHex(_) => ("key-malformed", Exit::Findings),
        };
        // The gateway's texts begin with their code; here it stands in front already.
        let sentence = text.split_once(": ").map_or(text.as_str(), |(_, sentence)| sentence);
        without_keys(Failure::new(exit, code, format!("Gateway {id}: {sentence}.")))
    })
}

/// The broker's key: the first of its folder that belongs to the certificate pinned for it now.
fn broker_signer(
    folder: &Path,
    id: &CustodianId,
    tables: &Tables,
    passphrase: Option<&Passphrase>,
) -> Result<Arc<Signer>, Failure> {
    if tables.broker(id).is_none() {
        let sentence = format!("The routing table has no broker {id}.");
        return Err(
            Failure::new(Exit::NotFound, "broker-unknown", sentence).help("Enter it in table.toml, or correct id.")
        );
    }
    let certificate = tables
        .current_signing_certificate(id, Timestamp::now())
        .ok_or_else(|| {
            let sentence = format!("The routing table pins no valid signing certificate for the broker {id}.");
            without_keys(Failure::new(Exit::NotFound, "certificate-missing", sentence))
        })?;
    let unreadable = |error| without_keys(Failure::of_file("read the keys in", folder, &error));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();
    // the same names as of a gateway's keys
    let is_signing_key = |file: &&PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix("signing-")?.strip_suffix(".key.pem"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    for file in files.iter().filter(is_signing_key) {
        let pem = read_key(file, passphrase).map_err(|error| config::key_file(&error))?;
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
    failure
        .help("For a trial, `viereck keys new --table FOLDER --out FOLDER` makes all keys and certificates of a table.")
}
