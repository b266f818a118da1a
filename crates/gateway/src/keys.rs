//! The private keys of one gateway, read at the start and whenever the routing table or the day has others.
//!
//! Every key is bound to the certificate that the routing table pins for it: a key without one, or of another one, stops
//! the start with a sentence instead of failing on the first message. Does not make keys, and shows none in `Debug`.
//!
//! The folder: `<gateway>/signing-<n>.key.pem`, `<gateway>/<behoerde, ':' as '-'>/encryption-<n>.key.pem` for each
//! participant that it serves (or stands in for as deputy), `encryption-<n>.ml-kem.key.pem` beside it where the table enters
//! an ML-KEM key with the certificate, `<gateway>/reply-token.key` and `<gateway>/fingerprint.key` as 64 hexadecimal
//! digits. Of several numbers every one is used that a pinned certificate fits and that may still be needed, so that what
//! was sealed before a change of keys still opens ([`NEEDED_DAYS`]). What the gateway seals for itself stands under the key
//! for reply tokens, or
//! under one derived from it: mailbox handles, and the content keys with which it can seal anew.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use viereck_envelope::{KeepKey, KeyError, ReaderKeys, ReplyTokenKey, SealError, Signer};
use viereck_routing::{BehoerdeId, Certificate, Digest, GatewayId, Purpose, Standing, Tables};
use zeroize::Zeroizing;

use crate::key_files::{KeyFileError, Passphrase, read_key, read_secret};

/// For how many days after a certificate has ended its key may still be needed: the longest time until ObsoleteAfter
/// (90 days), and 30 in which a message may be known again by its id and be handed back from an operator.
pub const NEEDED_DAYS: i64 = 90 + 30;

/// The files of a gateway's folder with which it seals for itself, and knows a repeated request; no passphrase protects
/// them.
pub const OWN_SECRETS: [&str; 2] = ["reply-token.key", "fingerprint.key"];

/// The keys at this moment, and each later set: a change of keys needs no restart.
pub type CurrentKeys = watch::Receiver<Keys>;

/// The keys of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    /// Signs envelopes and receipts.
    pub signer: Arc<Signer>,
    /// Opens what came for the participants served here.
    pub readers: Arc<ReaderKeys>,
    /// Seals mailbox handles for this gateway itself.
    pub reply_tokens: Arc<ReplyTokenKey>,
    /// Keeps the content keys of what this gateway seals, for itself.
    pub keep: Arc<KeepKey>,
    /// Keys the digest by which a repeated request is known.
    pub fingerprint: [u8; 32],
}

/// Why a gateway's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The routing table has no such gateway.
    #[error("gateway-unknown: the routing table has no gateway {0}")]
    GatewayUnknown(GatewayId),
    /// The routing table came without certificates.
    #[error("certificate-missing: the routing table pins no valid {purpose} certificate for {whose}")]
    NoCertificate {
        /// Signing or encryption.
        purpose: &'static str,
        /// Who should have one.
        whose: String,
    },
    /// A folder cannot be read.
    #[error("key-unreadable: {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file with a secret is not used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// No key in the folder belongs to the certificate.
    #[error("key-missing: no {purpose}-<n>.key.pem in {folder} belongs to the certificate pinned for {whose}")]
    NoKey {
        /// Signing or encryption.
        purpose: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
        /// Whose it should be.
        whose: String,
    },
    /// The private half of an ML-KEM key is not there.
    #[error(
        "key-missing: no encryption-<n>.ml-kem.key.pem in {folder} belongs to the ML-KEM key entered beside the \
         certificate of {whose}"
    )]
    NoMlKemKey {
        /// Where it was looked for.
        folder: PathBuf,
        /// Whose it should be.
        whose: String,
    },
    /// A file does not hold a key.
    #[error("{}: {file}: {error}", .error.code())]
    NotAKey {
        /// Which.
        file: PathBuf,
        /// Why.
        error: KeyError,
    },
    /// A file does not hold 32 octets in hexadecimal digits.
    #[error("key-malformed: {0} does not hold 64 lower-case hexadecimal digits")]
    NotHex(PathBuf),
}

impl Keys {
    /// Reads the keys of gateway `id` below `folder` and binds them to the certificates that `tables` pins now.
    ///
    /// # Errors
    /// What is missing, malformed or open to others; an encrypted key, for there is no passphrase.
    pub fn load(folder: &Path, id: &GatewayId, tables: &Tables) -> Result<Self, KeysError> {
        Self::unlock(folder, id, tables, None, Timestamp::now())
    }

    /// The same with what opens encrypted keys, as at the instant `now`.
    ///
    /// # Errors
    /// What is missing, malformed or open to others, or does not open.
    pub fn unlock(
        folder: &Path,
        id: &GatewayId,
        tables: &Tables,
        passphrase: Option<&Passphrase>,
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        let gateway = tables
            .gateway(id)
            .ok_or_else(|| KeysError::GatewayUnknown(id.clone()))?;
        let own = folder.join(id.as_str());
        let certificate = tables
            .current_signing_certificate(id, now)
            .ok_or_else(|| KeysError::NoCertificate {
                purpose: "signing",
                whose: id.to_string(),
            })?;
        let signer = signer(&own, id, certificate, passphrase)?;
        let mut readers = ReaderKeys::new();
        let bound = Bound {
            tables,
            passphrase,
            now,
        };
        for reader in gateway.served() {
            for holder in key_holders(tables, id, reader) {
                bound.add_reader(&mut readers, &own, reader, holder)?;
            }
        }
        let [reply_token, fingerprint] = OWN_SECRETS.map(|name| own.join(name));
        let own_secret = octets(&reply_token)?;
        Ok(Self {
            signer: Arc::new(signer),
            readers: Arc::new(readers),
            keep: Arc::new(KeepKey::derived_from(&own_secret)),
            reply_tokens: Arc::new(ReplyTokenKey::from_octets(own_secret)),
            fingerprint: octets(&fingerprint)?,
        })
    }

    /// What signs envelopes that are sealed at `now`: nothing is sealed with a certificate that was revoked.
    pub(crate) fn sealer(&self, tables: &Tables, now: Timestamp) -> Result<Arc<Signer>, SealError> {
        match tables.standing(&self.signer.certificate().sha256(), now) {
            Standing::Revoked => Err(SealError::SigningCertificateRevoked),
            Standing::Good | Standing::Unknown => Ok(Arc::clone(&self.signer)),
        }
    }

    /// The same with the signing and decryption keys of `fresh`. The other secrets are for what this gateway sealed for
    /// itself, and stay those of the start.
    #[must_use]
    pub fn renewed(&self, fresh: Keys) -> Self {
        Self {
            signer: fresh.signer,
            readers: fresh.readers,
            ..self.clone()
        }
    }

    /// These keys for good, for whoever never changes them.
    pub fn unchanging(self) -> CurrentKeys {
        watch::channel(self).1
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("signer", &self.signer)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

/// Whose certificates messages for `reader` may be sealed for while they come to this gateway: its own, or a deputy's.
fn key_holders<'a>(tables: &'a Tables, id: &GatewayId, reader: &'a BehoerdeId) -> Vec<&'a BehoerdeId> {
    let here = tables
        .participant(reader)
        .into_iter()
        .flat_map(|participant| participant.all_deliveries());
    let mut holders: Vec<&BehoerdeId> = here
        .filter(|delivery| delivery.gateway == *id)
        .map(|delivery| delivery.deputy.as_ref().unwrap_or(reader))
        .collect();
    holders.sort();
    holders.dedup();
    holders
}

fn signer(
    folder: &Path,
    id: &GatewayId,
    certificate: &Certificate,
    passphrase: Option<&Passphrase>,
) -> Result<Signer, KeysError> {
    for (file, pem) in key_files(folder, "signing", ".key.pem", passphrase)? {
        match Signer::new(certificate.clone(), &pem) {
            Ok(signer) => return Ok(signer),
            // an older or a newer key
            Err(KeyError::NotOfCertificate) => {}
            Err(error) => return Err(KeysError::NotAKey { file, error }),
        }
    }
    Err(KeysError::NoKey {
        purpose: "signing",
        folder: folder.to_owned(),
        whose: id.to_string(),
    })
}

/// What keys are bound to.
struct Bound<'a> {
    tables: &'a Tables,
    passphrase: Option<&'a Passphrase>,
    now: Timestamp,
}

impl Bound<'_> {
    /// Adds every key of `holder` that one of its pinned certificates fits and that may still be needed; the current one
    /// has to be among them.
    fn add_reader(
        &self,
        readers: &mut ReaderKeys,
        own: &Path,
        reader: &BehoerdeId,
        holder: &BehoerdeId,
    ) -> Result<(), KeysError> {
        let current = self
            .tables
            .encryption_certificate(holder, self.now)
            .ok_or_else(|| KeysError::NoCertificate {
                purpose: "encryption",
                whose: holder.to_string(),
            })?
            .sha256();
        let folder = own.join(folder_of(holder.as_str()));
        let needed = |ended: Timestamp| ended + SignedDuration::from_hours(24 * NEEDED_DAYS) >= self.now;
        let pinned: Vec<_> = self
            .tables
            .pinned_certificates()
            .filter(|pin| pin.purpose == Purpose::Encryption && pin.holder == holder.as_str() && needed(pin.until))
            .collect();
        let entered = |certificate: &Certificate| self.tables.ml_kem_key(holder, &certificate.sha256()).is_some();
        // once for all certificates, and not for nothing: to open an encrypted key takes its time
        let ml_kem = match pinned.iter().any(|pin| entered(pin.certificate)) {
            true => key_files(&folder, "encryption", ".ml-kem.key.pem", self.passphrase)?,
            false => vec![],
        };
        let mut current_found = false;
        for (file, pem) in key_files(&folder, "encryption", ".key.pem", self.passphrase)? {
            for certificate in pinned.iter().map(|pin| pin.certificate) {
                match readers.add(reader.clone(), certificate.clone(), &pem) {
                    Ok(()) => {
                        let whole = self.add_ml_kem(readers, &ml_kem, reader, holder, certificate)?;
                        let is_current = certificate.sha256() == current;
                        if is_current && !whole {
                            return Err(KeysError::NoMlKemKey {
                                folder,
                                whose: holder.to_string(),
                            });
                        }
                        current_found |= is_current;
                    }
                    Err(KeyError::NotOfCertificate) => {}
                    Err(error) => return Err(KeysError::NotAKey { file, error }),
                }
            }
        }
        match current_found {
            true => Ok(()),
            false => Err(KeysError::NoKey {
                purpose: "encryption",
                folder,
                whose: holder.to_string(),
            }),
        }
    }

    /// Puts the one of `files` that belongs to the ML-KEM key entered beside `certificate` beside its private key too; says
    /// whether the pair is whole.
    fn add_ml_kem(
        &self,
        readers: &mut ReaderKeys,
        files: &[KeyFile],
        reader: &BehoerdeId,
        holder: &BehoerdeId,
        certificate: &Certificate,
    ) -> Result<bool, KeysError> {
        let Some(public) = self.tables.ml_kem_key(holder, &certificate.sha256()) else {
            return Ok(true);
        };
        for (file, pem) in files {
            match readers.add_ml_kem(reader, &certificate.sha256(), public.clone(), pem) {
                Ok(()) => return Ok(true),
                Err(KeyError::NotOfCertificate) => {}
                Err(error) => {
                    let file = file.clone();
                    return Err(KeysError::NotAKey { file, error });
                }
            }
        }
        Ok(false)
    }
}

/// A participant's identifier as the name of its folder.
pub fn folder_of(participant: &str) -> String {
    participant.replace(':', "-")
}

/// A file and what is in it.
type KeyFile = (PathBuf, Zeroizing<String>);

/// The files `<purpose>-<n><ending>` of a folder with their text, in the order of their names.
fn key_files(
    folder: &Path,
    purpose: &str,
    ending: &str,
    passphrase: Option<&Passphrase>,
) -> Result<Vec<KeyFile>, KeysError> {
    let unreadable = |error| KeysError::Unreadable {
        file: folder.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(purpose)?.strip_prefix('-')?.strip_suffix(ending));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            files.push(folder.join(name));
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let pem = read_key(&file, passphrase)?;
            Ok((file, pem))
        })
        .collect()
}

/// Whether a file of [`OWN_SECRETS`] can be used.
///
/// # Errors
/// It is missing, open to others or malformed.
pub fn check_own_secret(file: &Path) -> Result<(), KeysError> {
    octets(file).map(Zeroizing::new).map(drop)
}

pub(crate) fn octets(file: &Path) -> Result<[u8; 32], KeysError> {
    let text = read_secret(file)?;
    // a secret of 32 octets is spelled as a digest is
    let digits: Digest = text
        .trim_end()
        .parse()
        .map_err(|_| KeysError::NotHex(file.to_owned()))?;
    Ok(*digits.octets())
}
