//! `viereck keys new`: private keys, self-signed certificates and tokens for everyone in a routing table.
//!
//! Certificates and the digests of tokens go into the table's folder `certificates/`, private things into a folder of
//! their own: files 0600, folders 0700. Guarantees: nothing is overwritten, and nothing half-made is left under the final
//! names: both folders are written beside their places and renamed once they are complete, both or neither; private keys
//! never come into the table's folder. Meant for tests and trials;
//! in production certificates come from the Verwaltungs-PKI and are committed to the table by its operators.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde::Serialize;
use viereck_gateway::folder_of;
use viereck_gateway::key_files::Passphrase;
use viereck_routing::{BehoerdeId, ClientId, CustodianId, Digest, Purpose, Tables, day_in_berlin};
use zeroize::Zeroizing;

use super::apart::apart;
use super::make;
use crate::config::key_file;
use crate::failure::{Exit, Failure};
use crate::{output, routes};

/// `viereck keys new`.
#[derive(Debug, Args)]
pub struct New {
    /// The routing table; certificates go into its folder certificates/
    #[arg(long, value_name = "FOLDER")]
    table: PathBuf,
    /// Where the private keys and tokens go; must not exist yet
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// A file whose first line protects the private keys: they are written encrypted
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What kind of keys to make, and for how long.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wanted {
    /// How long the certificates and tokens are valid
    #[arg(long, value_name = "N", default_value_t = Self::DAYS, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub days: u16,
    /// The kind of all keys, for signing and for encryption
    #[arg(long, value_enum, default_value_t)]
    pub algorithm: Algorithm,
    /// An ML-KEM-768 key beside each EC key for encryption: a network of profile 2
    #[arg(long)]
    pub ml_kem: bool,
}

impl Wanted {
    const DAYS: u16 = 365;
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            days: Self::DAYS,
            algorithm: Algorithm::default(),
            ml_kem: false,
        }
    }
}

/// The kind of a private key. What is signed and encrypted with it follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// ECDSA and ECDH on P-256
    #[default]
    #[value(name = "ec-p256")]
    EcP256,
    /// RSA with a modulus of 3072 bits
    #[value(name = "rsa-3072")]
    Rsa3072,
    /// RSA with a modulus of 4096 bits, as the Verwaltungs-PKI issues
    #[value(name = "rsa-4096")]
    Rsa4096,
}

impl Algorithm {
    pub(super) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Algorithm::EcP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Algorithm::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
            Algorithm::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        }
    }
}

/// What was made, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Where the private keys are.
    pub keys: PathBuf,
    /// Where the certificates are.
    pub certificates: PathBuf,
    /// Signing certificates: gateways and brokers.
    pub signing: usize,
    /// Encryption certificates: participants.
    pub encryption: usize,
    /// Tokens of clients.
    pub tokens: usize,
    /// The last day of validity.
    pub until: Date,
}

/// Runs `viereck keys new`.
pub(super) fn run(args: &New) -> Result<(), Failure> {
    let passphrase = args.passphrase_file.as_deref().map(Passphrase::read).transpose();
    let passphrase = passphrase.map_err(|error| key_file(&error))?;
    let made = protected(
        &args.table,
        &args.out,
        args.wanted,
        passphrase.as_ref(),
        Timestamp::now(),
    )?;
    if args.json {
        return output::json(&made);
    }
    output::text(&format!(
        "{} signing and {} encryption certificates in {}, valid until {}\nprivate keys and {} client tokens in {}\n",
        made.signing,
        made.encryption,
        made.certificates.display(),
        made.until,
        made.tokens,
        made.keys.display(),
    ))
}

/// Makes everything that the table in `table` needs, valid from `now`.
///
/// # Errors
/// `table-invalid` (findings) when the table does not load; `keys-exist` (conflict) when there are certificates in the
/// table or anything at `out`; `keys-in-table` (usage) when either folder would lie in the other; `ml-kem-needs-ec` (usage)
/// when ML-KEM keys are wanted beside RSA keys.
pub fn new(table: &Path, out: &Path, wanted: Wanted, now: Timestamp) -> Result<Made, Failure> {
    protected(table, out, wanted, None, now)
}

/// The same, with private keys that a passphrase protects.
fn protected(
    table: &Path,
    out: &Path,
    wanted: Wanted,
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<Made, Failure> {
    if wanted.ml_kem && wanted.algorithm != Algorithm::EcP256 {
        return Err(make::ml_kem_needs_ec());
    }
    apart(table, out)?;
    let certificates = table.join("certificates");
    for taken in [&certificates, &out.to_owned()] {
        if taken.exists() {
            let sentence = format!("{} is there already, and keys are never overwritten.", taken.display());
            return Err(Failure::new(Exit::Conflict, "keys-exist", sentence)
                .help("Move it away first, or name another folder; whoever still needs the old keys keeps them."));
        }
    }
    let tables = routes::load(table, day_in_berlin(now))?.tables;
    let private = Staged::new(out, 0o700)?;
    let public = Staged::new(&certificates, 0o755)?;
    let mut keys = NewKeys {
        private: &private,
        public: &public,
        validity: Validity::new(now, wanted.days)?,
        wanted,
        passphrase,
        index: INDEX_HEAD.to_owned(),
        made: Made {
            keys: out.to_owned(),
            certificates,
            signing: 0,
            encryption: 0,
            tokens: 0,
            until: day_in_berlin(now),
        },
    };
    keys.make(&tables)?;
    let NewKeys {
        index,
        mut made,
        validity,
        ..
    } = keys;
    made.until = validity.until;
    public.write("certificates.toml", index.as_bytes(), 0o644)?;
    finish(private, public)?;
    Ok(made)
}

/// Gives both folders their names, or neither.
fn finish(private: Staged, public: Staged) -> Result<(), Failure> {
    let keys = private.finish()?;
    public.finish().map(drop).inspect_err(|_| {
        // nothing refers to it; a folder that is left all the same stops the next try, and says so
        let _left = std::fs::remove_dir_all(&keys);
    })
}

/// How the index of certificates begins.
pub(super) const INDEX_HEAD: &str = "\
# Which certificates and tokens count, and from when until when.
# Made by `viereck keys`; a certificate is pinned by its digest, a token stands here as its SHA-256 only.
";

/// Everything that is made in one go.
struct NewKeys<'a> {
    private: &'a Staged,
    public: &'a Staged,
    validity: Validity,
    wanted: Wanted,
    passphrase: Option<&'a Passphrase>,
    index: String,
    made: Made,
}

/// The private keys with which a participant opens messages, as PEM.
struct EncryptionKeys {
    of_certificate: Zeroizing<String>,
    ml_kem: Option<Zeroizing<String>>,
}

/// Whole days in UTC. The first is yesterday, so that a host whose clock is behind can use the keys at once.
pub(super) struct Validity {
    from: Date,
    pub(super) until: Date,
}

impl Validity {
    pub(super) fn new(now: Timestamp, days: u16) -> Result<Self, Failure> {
        let today = TimeZone::UTC.to_datetime(now).date();
        let shifted = today
            .yesterday()
            .and_then(|from| Ok((from, today.checked_add(i64::from(days).days())?)));
        let (from, until) =
            shifted.map_err(|_| Failure::new(Exit::Usage, "days-invalid", "The validity would leave the calendar."))?;
        Ok(Self { from, until })
    }

    /// Enters it in a certificate to be.
    pub(super) fn limit(&self, params: &mut CertificateParams) {
        let midnight = |day: Date| rcgen::date_time_ymd(day.year().into(), day.month() as u8, day.day() as u8);
        params.not_before = midnight(self.from);
        params.not_after = midnight(self.until);
    }
}

impl NewKeys<'_> {
    fn make(&mut self, tables: &Tables) -> Result<(), Failure> {
        for broker in tables.brokers() {
            self.signing(&broker.id)?;
        }
        let mut encryption: BTreeMap<&BehoerdeId, EncryptionKeys> = BTreeMap::new();
        for gateway in tables.gateways() {
            self.signing(&gateway.id)?;
            for reader in gateway.served() {
                let keys = match encryption.entry(reader) {
                    Entry::Occupied(made) => made.into_mut(),
                    Entry::Vacant(place) => place.insert(self.encryption(reader)?),
                };
                let folder = format!("{}/{}", gateway.id, folder_of(reader.as_str()));
                let file = format!("{folder}/encryption-1.key.pem");
                self.private.write(&file, keys.of_certificate.as_bytes(), 0o600)?;
                if let Some(ml_kem) = &keys.ml_kem {
                    let file = format!("{folder}/encryption-1.ml-kem.key.pem");
                    self.private.write(&file, ml_kem.as_bytes(), 0o600)?;
                }
            }
            self.gateway_secrets(&gateway.id)?;
        }
        tables.clients().try_for_each(|client| self.token(&client.id))
    }

    fn signing(&mut self, custodian: &CustodianId) -> Result<(), Failure> {
        let name = custodian.as_str();
        let key = self.certificate(name, name, Purpose::Signing)?;
        self.private
            .write(&format!("{name}/signing-1.key.pem"), key.as_bytes(), 0o600)?;
        self.made.signing += 1;
        Ok(())
    }

    fn encryption(&mut self, reader: &BehoerdeId) -> Result<EncryptionKeys, Failure> {
        self.made.encryption += 1;
        let folder = folder_of(reader.as_str());
        let of_certificate = self.certificate(reader.as_str(), &folder, Purpose::Encryption)?;
        let ml_kem = match self.wanted.ml_kem {
            true => Some(self.ml_kem(&folder)?),
            false => None,
        };
        Ok(EncryptionKeys { of_certificate, ml_kem })
    }

    /// Makes an ML-KEM key, enters it with the certificate that was entered last, and returns the private half as PEM.
    fn ml_kem(&mut self, folder: &str) -> Result<Zeroizing<String>, Failure> {
        let pair = make::beside(Purpose::Encryption, self.wanted.algorithm, self.passphrase)?;
        let file = format!("{folder}/encryption-1.ml-kem.pem");
        self.public.write(&file, pair.public.to_pem().as_bytes(), 0o644)?;
        let sha256 = pair.public.sha256();
        self.index
            .push_str(&format!("ml_kem = \"{file}\"\nml_kem_sha256 = \"{sha256}\"\n"));
        Ok(pair.private)
    }

    /// Makes a key, enters its certificate and returns the key as PEM.
    fn certificate(&mut self, id: &str, folder: &str, purpose: Purpose) -> Result<Zeroizing<String>, Failure> {
        let (key, certificate) = self.self_signed(id, purpose).map_err(|error| {
            Failure::new(
                Exit::Unexpected,
                "key-failed",
                format!("cannot make a certificate for {id}: {error}"),
            )
        })?;
        let file = format!("{folder}/{purpose}-1.pem");
        self.public.write(&file, certificate.pem().as_bytes(), 0o644)?;
        let sha256 = Digest::of(certificate.der());
        let Validity { from, until } = self.validity;
        self.index.push_str(&format!(
            "\n[[certificate]]\nid = \"{id}\"\npurpose = \"{purpose}\"\nfile = \"{file}\"\n\
             from = {from}T00:00:00Z\nuntil = {until}T00:00:00Z\nsha256 = \"{sha256}\"\n"
        ));
        make::protected(&key.serialize_pem(), self.passphrase)
    }

    fn self_signed(&self, id: &str, purpose: Purpose) -> Result<(KeyPair, rcgen::Certificate), rcgen::Error> {
        let key = self.wanted.algorithm.generate()?;
        let mut params = make::params(id, purpose, &key);
        self.validity.limit(&mut params);
        let certificate = params.self_signed(&key)?;
        Ok((key, certificate))
    }

    fn gateway_secrets(&self, gateway: &CustodianId) -> Result<(), Failure> {
        for name in ["reply-token.key", "fingerprint.key"] {
            let hex: String = random()?.iter().map(|octet| format!("{octet:02x}")).collect();
            self.private
                .write(&format!("{gateway}/{name}"), hex.as_bytes(), 0o600)?;
        }
        let token = bearer_token()?;
        let sha256 = Digest::of(token.as_bytes()).to_string();
        self.private
            .write(&format!("{gateway}/fachverfahren.token"), token.as_bytes(), 0o600)?;
        self.private.write(
            &format!("{gateway}/fachverfahren.token.sha256"),
            sha256.as_bytes(),
            0o600,
        )
    }

    fn token(&mut self, client: &ClientId) -> Result<(), Failure> {
        let token = bearer_token()?;
        self.private
            .write(&format!("clients/{client}.token"), token.as_bytes(), 0o600)?;
        let sha256 = Digest::of(token.as_bytes());
        let Validity { from, until } = self.validity;
        self.index.push_str(&format!(
            "\n[[token]]\nclient = \"{client}\"\nfrom = {from}T00:00:00Z\nuntil = {until}T00:00:00Z\n\
             sha256 = \"{sha256}\"\n"
        ));
        self.made.tokens += 1;
        Ok(())
    }
}

pub(super) fn random() -> Result<[u8; 32], Failure> {
    let mut octets = [0; 32];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| Failure::new(Exit::Unexpected, "random-failed", "The system gives no random numbers."))?;
    Ok(octets)
}

fn bearer_token() -> Result<String, Failure> {
    Ok(base64_simd::URL_SAFE_NO_PAD.encode_to_string(random()?))
}

/// A folder that is written under another name and gets its own when it is complete.
pub(super) struct Staged {
    place: PathBuf,
    /// Removed with all that is in it when it is dropped unfinished.
    staging: tempfile::TempDir,
    folder_mode: u32,
}

impl Staged {
    pub(super) fn new(place: &Path, folder_mode: u32) -> Result<Self, Failure> {
        let parent = match place.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let refuse = |error| Failure::of_file("write to the folder", parent, &error);
        std::fs::create_dir_all(parent).map_err(refuse)?;
        let staging = tempfile::Builder::new()
            .prefix(".keys-new-")
            .tempdir_in(parent)
            .map_err(refuse)?;
        let staged = Self {
            place: place.to_owned(),
            staging,
            folder_mode,
        };
        staged.folder(&staged.inner())?;
        Ok(staged)
    }

    /// The folder that is renamed; its parent keeps the mode and the fate of a temporary folder.
    fn inner(&self) -> PathBuf {
        self.staging.path().join("complete")
    }

    fn folder(&self, path: &Path) -> Result<(), Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(self.folder_mode)
            .create(path)
            .map_err(|error| Failure::of_file("make the folder", path, &error))
    }

    pub(super) fn write(&self, file: &str, octets: &[u8], mode: u32) -> Result<(), Failure> {
        let path = self.inner().join(file);
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(mode).open(&path);
        opened
            .and_then(|mut file| file.write_all(octets).and_then(|()| file.sync_all()))
            .map_err(|error| Failure::of_file("write", &path, &error))
    }

    /// The folder under its name.
    pub(super) fn finish(self) -> Result<PathBuf, Failure> {
        std::fs::rename(self.inner(), &self.place)
            .map_err(|error| Failure::of_file("rename the finished folder to", &self.place, &error))?;
        Ok(self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_certificates_cannot_be_put_into_place_no_key_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, certificates) = (folder.path().join("keys"), folder.path().join("certificates"));
        let staged = |place: &Path| {
            let staged = Staged::new(place, 0o700).unwrap();
            staged.write("one/file", b"x", 0o600).unwrap();
            staged
        };
        // somebody else has made the folder meanwhile
        std::fs::create_dir(&certificates).unwrap();
        std::fs::write(certificates.join("theirs"), "theirs").unwrap();
        finish(staged(&keys), staged(&certificates)).unwrap_err();
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(left, ["certificates"]);
        assert_eq!(std::fs::read(certificates.join("theirs")).unwrap(), b"theirs");
        std::fs::remove_dir_all(&certificates).unwrap();
        finish(staged(&keys), staged(&certificates)).unwrap();
        assert!(keys.join("one/file").exists() && certificates.join("one/file").exists());
    }
}
