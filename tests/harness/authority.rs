//! Certificates as the tests need them: good ones, of other authorities, and of another time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that exists only in this test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// When a certificate counts.
#[derive(Clone, Copy)]
pub enum When {
    /// Yesterday and for ten days.
    Now,
    /// Until yesterday.
    Ended,
}

impl Authority {
    /// A new one with a key of its own.
    ///
    /// # Panics
    /// When there are no random numbers.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(name, When::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// For a server that is reached by these names and addresses.
    pub fn server(&self, hosts: &[&str]) -> Issued {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let names = CertificateParams::new(hosts).expect("names").subject_alt_names;
        let mut params = params("server", When::Now);
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// For a client whose user is `name`.
    pub fn user(&self, name: &str, when: When) -> Issued {
        let mut params = params(name, when);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Issued {
            certificate: params.signed_by(&key, &self.issuer).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Issued {
    /// Writes both, each in one step, as whoever replaces files in use has to; the key for its owner alone.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, certificate: &Path, key: &Path) {
        replace_within(key, &self.key, 0o600);
        replace(certificate, &self.certificate);
    }
}

/// Writes a file beside its place and renames it.
///
/// # Panics
/// When it cannot be written.
pub fn replace(file: &Path, text: &str) {
    replace_within(file, text, 0o644);
}

fn replace_within(file: &Path, text: &str, mode: u32) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).expect("a file");
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).expect("a file");
    fs::rename(&beside, file).expect("a file");
}

fn params(name: &str, when: When) -> CertificateParams {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
    let now = rcgen::date_time_ymd(1970, 1, 1) + since;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = match when {
        When::Now => (now - DAY, now + 10 * DAY),
        When::Ended => (now - 2 * DAY, now - DAY),
    };
    params
}
