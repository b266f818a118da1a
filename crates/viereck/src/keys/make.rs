//! Making the next key: its file beside the old ones, its certificate or request, its entry in the table.
//!
//! Guarantees: nothing is overwritten and nothing deleted; a key file is 0600 from its first octet and complete before
//! anything names it; an entry is taken back when the table is wrong with it in any other way than that certificates of
//! others are still to come, so a table that was complete still loads; nothing is entered that counts from a moment that has
//! passed, or never.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose};
use viereck_envelope::new_ml_kem_key;
use viereck_gateway::folder_of;
use viereck_gateway::key_files::Passphrase;
use viereck_routing::{CustodianId, Digest, MlKemKey, Purpose, day_in_berlin};
use zeroize::Zeroizing;

use super::new::{Algorithm, INDEX_HEAD};
use super::stock::{Changing, Stock};
use crate::failure::{Exit, Failure};
use crate::routes;

/// The subject and the key usage of a certificate, or of a request for one.
pub(super) fn params(holder: &str, purpose: Purpose, key: &KeyPair) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, holder);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    let is_rsa = key.is_compatible(&rcgen::PKCS_RSA_SHA256) || key.is_compatible(&rcgen::PKCS_RSA_SHA512);
    params.key_usages = vec![match (purpose, is_rsa) {
        (Purpose::Signing, _) => KeyUsagePurpose::DigitalSignature,
        (Purpose::Encryption, true) => KeyUsagePurpose::KeyEncipherment,
        (Purpose::Encryption, false) => KeyUsagePurpose::KeyAgreement,
    }];
    params
}

/// A key as it is written: encrypted when there is a passphrase.
pub(super) fn protected(pem: &str, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, Failure> {
    let Some(passphrase) = passphrase else {
        return Ok(Zeroizing::new(pem.to_owned()));
    };
    let random = || -> Result<[u8; 16], Failure> {
        let mut octets = [0; 16];
        octets.copy_from_slice(&super::new::random()?[..16]);
        Ok(octets)
    };
    passphrase.encrypt(pem, random()?, random()?).map_err(|error| {
        let sentence = format!("The key cannot be encrypted: {error}.");
        Failure::new(Exit::Unexpected, "key-failed", sentence)
    })
}

/// Where the next key of a holder goes: one file for each custodian of this host that needs it.
///
/// # Errors
/// Nobody here has such keys, or those who do have keys that the passphrase does not open, if there is one at all: the
/// next key would lie beside them in the clear, or in a form that their process does not open.
pub(super) fn places(stock: &Stock, holder: &str, purpose: Purpose) -> Result<(u32, Vec<PathBuf>), Failure> {
    let number = stock.next_number(holder, purpose)?;
    let mut folders = stock.folders();
    folders.retain(|(_, other, of, _)| other == holder && *of == purpose);
    for (custodian, ..) in &folders {
        protected_alike(stock, custodian)?;
    }
    let places: Vec<PathBuf> = folders
        .into_iter()
        .map(|(.., folder)| folder.join(format!("{purpose}-{number}.key.pem")))
        .collect();
    if places.is_empty() {
        let sentence = format!("Nobody below {} has {purpose} keys of {holder}.", stock.keys.display());
        return Err(Failure::new(Exit::NotFound, "holder-unknown", sentence).help(
            "signing belongs to gateways and brokers, encryption to those whom a gateway of this host reads for.",
        ));
    }
    Ok((number, places))
}

/// Whether the passphrase, or none, is that of every encrypted key of a custodian.
fn protected_alike(stock: &Stock, custodian: &CustodianId) -> Result<(), Failure> {
    let keys = stock.files.iter().filter(|file| file.custodian == *custodian);
    let beside = stock.beside.iter().filter(|file| file.custodian == *custodian);
    let keys = keys.map(|file| (&file.path, file.key.as_ref().err()));
    for (path, failure) in keys.chain(beside.map(|file| (&file.path, file.key.as_ref().err()))) {
        let (code, what) = match failure.map(|failure| failure.code) {
            Some(code @ "key-passphrase-missing") => (code, "is encrypted, and the next key would not be"),
            Some(code @ "key-passphrase-wrong") => (code, "is not opened by the passphrase of the next key"),
            _ => continue,
        };
        let sentence = format!("{} {what}.", path.display());
        return Err(Failure::new(Exit::Usage, code, sentence).help(
            "Name --passphrase-file with the passphrase of the keys that are there: a process has one for all.",
        ));
    }
    Ok(())
}

/// Writes a key to all its places, and the ML-KEM key beside each. All files that were written; after a failure none is
/// left.
pub(super) fn write_pair(pem: &str, ml_kem: Option<&Beside>, places: Vec<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    write_keys(pem, &places)?;
    let Some(pair) = ml_kem else { return Ok(places) };
    let beside: Vec<PathBuf> = places.iter().map(|place| of_ml_kem(place)).collect();
    write_keys(&pair.private, &beside).inspect_err(|_| take_back(&places))?;
    Ok([places, beside].concat())
}

/// Writes a key to all its places; what was written before a failure is taken back.
fn write_keys(pem: &str, places: &[PathBuf]) -> Result<(), Failure> {
    let mut written: Vec<&PathBuf> = Vec::new();
    for place in places {
        if let Err(failure) = write_new(place, pem.as_bytes(), 0o600) {
            take_back(written);
            return Err(failure);
        }
        written.push(place);
    }
    Ok(())
}

pub(super) fn take_back<'a>(written: impl IntoIterator<Item = &'a PathBuf>) {
    for file in written {
        // nothing refers to it; what cannot be removed is found by `keys check`
        let _left = std::fs::remove_file(file);
    }
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, octets: &[u8], mode: u32) -> Result<(), Failure> {
    let refuse = |error| Failure::of_file("write", path, &error);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(refuse)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(refuse)?;
    file.write_all(octets).and_then(|()| file.sync_all()).map_err(refuse)
}

/// A certificate that is to be entered in a table.
pub(super) struct Entry<'a> {
    pub(super) holder: &'a str,
    pub(super) purpose: Purpose,
    pub(super) number: u32,
    pub(super) pem: &'a str,
    pub(super) sha256: Digest,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// The distinguished name, where it does not bear the holder's identifier.
    pub(super) subject: Option<&'a str>,
    /// The key of profile 2 beside it.
    pub(super) ml_kem: Option<&'a MlKemKey>,
}

/// An ML-KEM key that is to stand beside another one.
pub(super) struct Beside {
    pub(super) public: MlKemKey,
    /// As it is written.
    pub(super) private: Zeroizing<String>,
}

/// Makes the ML-KEM key that stands beside an EC key for encryption.
///
/// # Errors
/// `ml-kem-needs-ec` (usage) beside any other key.
pub(super) fn beside(
    purpose: Purpose,
    algorithm: Algorithm,
    passphrase: Option<&Passphrase>,
) -> Result<Beside, Failure> {
    if purpose != Purpose::Encryption || algorithm != Algorithm::EcP256 {
        return Err(ml_kem_needs_ec());
    }
    let (public, private) = new_ml_kem_key().map_err(|error| {
        let sentence = format!("An ML-KEM key cannot be made: {error}.");
        Failure::new(Exit::Unexpected, "key-failed", sentence)
    })?;
    let private = protected(&private, passphrase)?;
    Ok(Beside { public, private })
}

pub(super) fn ml_kem_needs_ec() -> Failure {
    let sentence = "An ML-KEM key stands only beside an EC key for encryption: both together agree on one key.";
    Failure::new(Exit::Usage, "ml-kem-needs-ec", sentence).help("Leave out --ml-kem, or --algorithm and signing.")
}

/// Where the ML-KEM key lies that stands beside the key in this file.
pub(super) fn of_ml_kem(key: &Path) -> PathBuf {
    let name = key.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    key.with_file_name(name.replace(".key.pem", ".ml-kem.key.pem"))
}

/// Whole seconds, as the table and certificates write them.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Refuses to let something count from before `now`: until now everybody seals for the key before and believes what it
/// signs, and from then on is counted when nobody needs that key any more.
pub(super) fn not_from_the_past(from: Timestamp, now: Timestamp) -> Result<Timestamp, Failure> {
    if from >= whole(now) {
        return Ok(from);
    }
    let sentence = format!("It cannot count from {from:.0} on: that has passed, and others used the key before it.");
    Err(Failure::new(Exit::Usage, "from-past", sentence).help("Leave out --from, or name a moment to come."))
}

/// An instant as certificates have it.
pub(super) fn instant(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(at.as_second())
}

/// Puts a certificate into the table's folder and index, which begins with the first one. The file below `certificates/`.
///
/// # Errors
/// No entry and no file of it is left then: `table-invalid` when something would be wrong with the table but for
/// certificates that are still missing, `certificate-expired` or `certificate-never-in-use` for one that would stand there
/// for nothing.
pub(super) fn enter(changing: &Changing, entry: &Entry<'_>) -> Result<String, Failure> {
    let (table, now) = (&*changing.stock.table, changing.now);
    if entry.until <= now {
        let sentence = format!("It ended at {:.0}.", entry.until);
        return Err(Failure::new(Exit::Findings, "certificate-expired", sentence).help("Ask for a new one."));
    }
    if entry.from >= entry.until {
        let sentence = format!(
            "It would count from {:.0} on, and ends at {:.0}: it would never be in use.",
            entry.from, entry.until
        );
        return Err(Failure::new(Exit::Findings, "certificate-never-in-use", sentence)
            .help("Let it count from an earlier moment, or ask for one that is valid then."));
    }
    let (holder, purpose) = (entry.holder, entry.purpose);
    let folder = folder_of(holder);
    let file = format!("{folder}/{purpose}-{}.pem", entry.number);
    let certificates = table.join("certificates");
    let index = certificates.join("certificates.toml");
    let before = match std::fs::read_to_string(&index) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::of_file("read", &index, &error)),
    };
    let subject = entry
        .subject
        .map(|subject| format!("subject = {subject:?}\n"))
        .unwrap_or_default();
    let (from, until, sha256) = (entry.from, entry.until, entry.sha256);
    let beside = format!("{folder}/{purpose}-{}.ml-kem.pem", entry.number);
    let ml_kem = entry.ml_kem.map(|key| {
        let sha256 = key.sha256();
        format!("ml_kem = \"{beside}\"\nml_kem_sha256 = \"{sha256}\"\n")
    });
    let ml_kem = ml_kem.unwrap_or_default();
    let after = format!(
        "{}\n\n[[certificate]]\nid = \"{holder}\"\npurpose = \"{purpose}\"\nfile = \"{file}\"\n{subject}{ml_kem}\
         from = {from:.0}\nuntil = {until:.0}\nsha256 = \"{sha256}\"\n",
        before.as_deref().unwrap_or(INDEX_HEAD).trim_end()
    );
    let path = certificates.join(&file);
    write_new(&path, entry.pem.as_bytes(), 0o644)?;
    let mut written = vec![path];
    if let Some(key) = entry.ml_kem {
        let path = certificates.join(&beside);
        write_new(&path, key.to_pem().as_bytes(), 0o644).inspect_err(|_| take_back(&written))?;
        written.push(path);
    }
    let entered = replace(&index, &after).and_then(|()| routes::load_awaiting(table, day_in_berlin(now)));
    match entered {
        Ok(_) => Ok(file),
        Err(failure) => {
            match &before {
                Some(before) => replace(&index, before)?,
                None => take_back([&index]),
            }
            take_back(&written);
            Err(failure)
        }
    }
}

fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let refuse = |error| Failure::of_file("write", file, &error);
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::Builder::new()
        .prefix(".certificates-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(refuse)?;
    fresh
        .write_all(text.as_bytes())
        .and_then(|()| fresh.as_file().sync_all())
        .map_err(refuse)?;
    fresh.persist(file).map_err(|error| refuse(error.error))?;
    Ok(())
}
