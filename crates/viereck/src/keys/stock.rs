//! What there is: the certificates of a table beside the private keys of a folder.
//!
//! The folder is laid out as a gateway reads it (`<custodian>/signing-<n>.key.pem`,
//! `<gateway>/<behoerde>/encryption-<n>.key.pem`). Changes nothing. Guarantees: every key is read through the one
//! function that refuses wide rights; a key that cannot be read is an entry with its failure, not the end of the look.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, PublicKeyData};
use viereck_envelope::ml_kem_key_of;
use viereck_gateway::key_files::{Passphrase, read_key};
use viereck_gateway::{NEEDED_DAYS, folder_of};
use viereck_routing::{CustodianId, Digest, MlKemKey, PinnedCertificate, Purpose, Standing, Tables, day_in_berlin};
use zeroize::Zeroizing;

use super::make;
use super::turn::Turn;
use crate::config::{self, key_file};
use crate::failure::{Exit, Failure};
use crate::{revocation, routes};

/// Where a table and the keys beside it lie.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The routing table
    #[arg(long, value_name = "FOLDER", default_value = "routing-tables")]
    pub(super) table: PathBuf,
    /// The folder of the private keys, with one folder for each gateway and broker of this host
    #[arg(long, value_name = "FOLDER")]
    pub(super) keys: PathBuf,
    /// A file whose first line opens, and protects, encrypted keys
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Where the process keeps revocation lists: revocation.folder of its configuration
    #[arg(long, value_name = "FOLDER")]
    pub(super) revocation: Option<PathBuf>,
}

/// One private key file.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) custodian: CustodianId,
    pub(super) holder: String,
    pub(super) purpose: Purpose,
    pub(super) number: u32,
    pub(super) key: Result<Readable, Failure>,
}

/// A key that could be read.
#[derive(Debug)]
pub(super) struct Readable {
    /// In the words of `keys new --algorithm`.
    pub(super) algorithm: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(super) public: Digest,
}

/// The private half of an ML-KEM key.
#[derive(Debug)]
pub(super) struct BesideFile {
    pub(super) path: PathBuf,
    pub(super) custodian: CustodianId,
    pub(super) holder: String,
    pub(super) key: Result<MlKemKey, Failure>,
}

/// The table, and what lies in the folder.
pub(crate) struct Stock {
    pub(super) tables: Tables,
    pub(super) files: Vec<KeyFile>,
    /// Of profile 2, beside those.
    pub(super) beside: Vec<BesideFile>,
    pub(super) passphrase: Option<Passphrase>,
    /// Whether the lists of a process are at hand; without them nothing is known of revocation, for good or bad.
    pub(super) lists: Lists,
    pub(super) keys: PathBuf,
    pub(super) table: PathBuf,
}

/// The same while nobody else changes it.
pub(crate) struct Changing {
    pub(crate) stock: Stock,
    /// When it was read: nothing that is entered counts from before.
    pub(crate) now: Timestamp,
    _turn: Turn,
}

/// What is known of revocation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    AtHand,
    NotAsked,
}

impl Place {
    /// A table and the keys beside it, none of them encrypted.
    pub(crate) fn of(table: PathBuf, keys: PathBuf) -> Self {
        Self {
            table,
            keys,
            passphrase_file: None,
            revocation: None,
        }
    }

    /// Loads the table and reads every key.
    ///
    /// # Errors
    /// The table does not load, the folder is not there, or the passphrase cannot be read.
    pub(crate) fn stock(&self, now: Timestamp) -> Result<Stock, Failure> {
        let settings = config::Keys {
            passphrase_file: self.passphrase_file.clone(),
            ..config::Keys::default()
        };
        self.stock_with(config::passphrase(&settings)?, None, now)
    }

    /// The same for whoever makes or enters something, once it is this process's turn.
    pub(crate) fn changing(&self) -> Result<Changing, Failure> {
        let turn = Turn::wait(&self.table)?;
        let now = Timestamp::now();
        Ok(Changing {
            stock: self.stock(now)?,
            now,
            _turn: turn,
        })
    }

    /// The same with a passphrase that was read already, and with the keys of one custodian alone if it is given: where
    /// each process has a user of its own, the folders beside it are closed to this one.
    pub(super) fn stock_with(
        &self,
        passphrase: Option<Passphrase>,
        only: Option<&CustodianId>,
        now: Timestamp,
    ) -> Result<Stock, Failure> {
        // whoever has just been entered gets its first certificate by these commands
        let tables = routes::load_awaiting(&self.table, day_in_berlin(now))?.tables;
        let lists = match &self.revocation {
            Some(folder) => {
                revocation::restore(folder, &tables, now);
                Lists::AtHand
            }
            None => Lists::NotAsked,
        };
        if !self.keys.is_dir() {
            let sentence = format!("There is no folder {}.", self.keys.display());
            return Err(Failure::new(Exit::NotFound, "keys-missing", sentence)
                .help("Name the folder above those of gateways and broker, as `viereck keys new --out` made it."));
        }
        let mut stock = Stock {
            tables,
            files: Vec::new(),
            beside: Vec::new(),
            passphrase,
            lists,
            keys: self.keys.clone(),
            table: self.table.clone(),
        };
        stock.read(only)?;
        Ok(stock)
    }
}

impl Stock {
    /// Whose keys lie where: for each custodian of this host its own, and those of everyone it reads for.
    pub(super) fn folders(&self) -> Vec<(CustodianId, String, Purpose, PathBuf)> {
        let mut folders = Vec::new();
        for broker in self.tables.brokers() {
            let folder = self.keys.join(broker.id.as_str());
            folders.push((broker.id.clone(), broker.id.to_string(), Purpose::Signing, folder));
        }
        for gateway in self.tables.gateways() {
            let own = self.keys.join(gateway.id.as_str());
            folders.push((
                gateway.id.clone(),
                gateway.id.to_string(),
                Purpose::Signing,
                own.clone(),
            ));
            for reader in gateway.served() {
                let folder = own.join(folder_of(reader.as_str()));
                folders.push((gateway.id.clone(), reader.to_string(), Purpose::Encryption, folder));
            }
        }
        folders.retain(|(custodian, ..)| self.keys.join(custodian.as_str()).is_dir());
        folders
    }

    fn read(&mut self, only: Option<&CustodianId>) -> Result<(), Failure> {
        for (custodian, holder, purpose, folder) in self.folders() {
            if only.is_some_and(|only| *only != custodian) {
                continue;
            }
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::of_file("read the keys in", &folder, &error)),
            };
            for entry in entries {
                let path = entry
                    .map_err(|error| Failure::of_file("read the keys in", &folder, &error))?
                    .path();
                let Some(number) = number_of(&path, purpose, ".key.pem") else {
                    if purpose == Purpose::Encryption && number_of(&path, purpose, ".ml-kem.key.pem").is_some() {
                        self.beside.push(BesideFile {
                            custodian: custodian.clone(),
                            holder: holder.clone(),
                            key: self.ml_kem(&path),
                            path,
                        });
                    }
                    continue;
                };
                let key = read_key(&path, self.passphrase.as_ref()).map_err(|error| key_file(&error));
                self.files.push(KeyFile {
                    custodian: custodian.clone(),
                    holder: holder.clone(),
                    purpose,
                    number,
                    key: key.and_then(|pem| readable(&path, &pem)),
                    path,
                });
            }
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.beside.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// The pinned certificate that a key belongs to.
    pub(super) fn certificate_of(&self, file: &KeyFile) -> Option<PinnedCertificate<'_>> {
        let key = file.key.as_ref().ok()?;
        self.pins_of(&file.holder, file.purpose)
            .find(|pin| public_key(pin.certificate.der()) == Some(key.public))
    }

    /// What is pinned for a holder and purpose.
    pub(super) fn pins_of<'a>(&'a self, holder: &str, purpose: Purpose) -> impl Iterator<Item = PinnedCertificate<'a>> {
        self.tables
            .pinned_certificates()
            .filter(move |pin| pin.holder == holder && pin.purpose == purpose)
    }

    /// The certificate in use: sealed for, or signed with.
    pub(super) fn in_use(&self, holder: &str, purpose: Purpose, now: Timestamp) -> Option<Digest> {
        let certificate = match (purpose, self.lists) {
            (Purpose::Signing, _) => self.tables.current_signing_certificate(&holder.parse().ok()?, now)?,
            (Purpose::Encryption, Lists::AtHand) => {
                let holder = holder.parse().ok()?;
                let key = self.tables.sealable_key(&holder, &holder, now).ok()?;
                return Some(key.certificate().sha256());
            }
            (Purpose::Encryption, Lists::NotAsked) => self.tables.encryption_certificate(&holder.parse().ok()?, now)?,
        };
        Some(certificate.sha256())
    }

    /// The public half of the ML-KEM key that lies beside a key, if one does.
    ///
    /// # Errors
    /// It cannot be read, or is no such key.
    pub(super) fn ml_kem_beside(&self, file: &KeyFile) -> Result<Option<MlKemKey>, Failure> {
        let path = make::of_ml_kem(&file.path);
        let found = self.beside.iter().find(|beside| beside.path == path);
        found.map(|beside| beside.key.clone()).transpose()
    }

    fn ml_kem(&self, path: &Path) -> Result<MlKemKey, Failure> {
        let pem = read_key(path, self.passphrase.as_ref()).map_err(|error| key_file(&error))?;
        ml_kem_key_of(&pem).map_err(|error| {
            let sentence = format!("{} cannot be used: {error}.", path.display());
            Failure::new(Exit::Findings, error.code(), sentence).help("An ML-KEM-768 key in PKCS#8 is expected.")
        })
    }

    /// Since when the certificate in use at `now` counts, if it is a successor of this one. A successor that has ended
    /// or was revoked is none: the one before it may be in use again.
    pub(super) fn superseded(&self, pin: &PinnedCertificate<'_>, now: Timestamp) -> Option<Timestamp> {
        let in_use = self.in_use(pin.holder, pin.purpose, now)?;
        self.pins_of(pin.holder, pin.purpose)
            .find(|other| other.certificate.sha256() == in_use)
            .map(|other| other.from)
            .filter(|from| *from > pin.from)
    }

    /// Whether somebody may still need the key of a pinned certificate: it is in use or will be, or it was sealed for in
    /// the last [`NEEDED_DAYS`].
    pub(super) fn is_needed(&self, pin: &PinnedCertificate<'_>, now: Timestamp) -> bool {
        let to_come = now < pin.from && now < pin.until;
        let in_use = || self.in_use(pin.holder, pin.purpose, now) == Some(pin.certificate.sha256());
        let needed_until = |last: Timestamp| last + SignedDuration::from_hours(24 * NEEDED_DAYS);
        let in_flight = || self.last_use(pin, now).is_some_and(|last| now < needed_until(last));
        to_come || in_use() || (pin.purpose == Purpose::Encryption && in_flight())
    }

    /// Until when, at most until `now`, a certificate was the newest one of its holder that counted. One that was revoked
    /// counts as if it had never been: what was before it was in use again.
    fn last_use(&self, pin: &PinnedCertificate<'_>, now: Timestamp) -> Option<Timestamp> {
        let good =
            |other: &PinnedCertificate<'_>| self.tables.standing(&other.certificate.sha256(), now) != Standing::Revoked;
        let all = self.pins_of(pin.holder, pin.purpose);
        let later: Vec<_> = all.filter(|other| other.from > pin.from && good(other)).collect();
        let counts = |pin: &PinnedCertificate<'_>, at: Timestamp| pin.from <= at && at < pin.until;
        let used = |at: Timestamp| counts(pin, at) && !later.iter().any(|other| counts(other, at));
        let ends = later.iter().map(|other| other.from).chain([pin.until]);
        let ends = ends.filter(|end| *end <= now && used(*end - SignedDuration::from_secs(1)));
        ends.chain(used(now).then_some(now)).max()
    }

    /// The next free number for a holder and purpose: no key and no certificate bears it.
    ///
    /// # Errors
    /// `key-number-exhausted` (conflict) when a file bears the highest that there is.
    pub(super) fn next_number(&self, holder: &str, purpose: Purpose) -> Result<u32, Failure> {
        let files = self
            .files
            .iter()
            .filter(|file| file.holder == holder && file.purpose == purpose)
            .map(|file| file.number);
        let certificates = self.table.join("certificates").join(folder_of(holder));
        let pinned = std::fs::read_dir(certificates).into_iter().flatten().flatten();
        let pinned = pinned.filter_map(|entry| number_of(&entry.path(), purpose, ".pem"));
        let highest = files.chain(pinned).max().unwrap_or_default();
        highest.checked_add(1).ok_or_else(|| {
            let sentence = format!("A {purpose} file of {holder} bears {highest}, and no number comes after it.");
            Failure::new(Exit::Conflict, "key-number-exhausted", sentence)
                .help("Give it the number that follows the others; nothing but the number is in its name.")
        })
    }
}

/// The number in `<purpose>-<n><ending>`.
fn number_of(path: &Path, purpose: Purpose, ending: &str) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let number = name
        .strip_prefix(purpose.as_str())?
        .strip_prefix('-')?
        .strip_suffix(ending)?;
    number.parse().ok()
}

fn readable(path: &Path, pem: &Zeroizing<String>) -> Result<Readable, Failure> {
    let key = KeyPair::from_pem(pem).map_err(|_| {
        let sentence = format!("{} holds no private key in PKCS#8.", path.display());
        Failure::new(Exit::Findings, "key-not-allowed", sentence).help("A P-256 or RSA key as PEM is expected.")
    })?;
    Ok(Readable {
        algorithm: algorithm_of(&key.subject_public_key_info()),
        public: Digest::of(&key.subject_public_key_info()),
    })
}

fn algorithm_of(spki: &[u8]) -> String {
    use x509_parser::prelude::FromDer;
    use x509_parser::public_key::PublicKey;
    use x509_parser::x509::SubjectPublicKeyInfo;
    let parsed = SubjectPublicKeyInfo::from_der(spki).ok();
    match parsed.as_ref().and_then(|(_, key)| key.parsed().ok()) {
        Some(PublicKey::EC(point)) => format!("ec-p{}", point.key_size()),
        Some(PublicKey::RSA(key)) => format!("rsa-{}", key.key_size()),
        _ => "not allowed".to_owned(),
    }
}

/// SHA-256 of the SubjectPublicKeyInfo of a certificate.
pub(super) fn public_key(der: &[u8]) -> Option<Digest> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(Digest::of(certificate.public_key().raw))
}

/// Whole days from `now` to `end`; negative when it has passed.
pub(super) fn days_left(end: Timestamp, now: Timestamp) -> i64 {
    end.duration_since(now).as_hours().div_euclid(24)
}
