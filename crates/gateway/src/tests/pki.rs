//! Certificates for tests: an authority, and what it issues.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use reqwest::{Certificate, Identity};
use viereck_routing::Digest;

/// Somebody who issues certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

/// A certificate and its key.
pub(super) struct Issued {
    pub(super) pem: String,
    pub(super) key: String,
    pub(super) sha256: Digest,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[], 2099);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// For a server under these names.
    pub(super) fn server(&self, names: &[&str]) -> Issued {
        self.server_until(names, 2099)
    }

    /// The same with a certificate that ends in this year.
    pub(super) fn server_until(&self, names: &[&str], year: i32) -> Issued {
        self.issue(params(names, year), ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(super) fn client(&self, name: &str) -> Issued {
        let mut params = params(&[], 2099);
        params.distinguished_name.push(DnType::CommonName, name);
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> Issued {
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            pem: certificate.pem(),
            key: key.serialize_pem(),
            sha256: Digest::of(certificate.der()),
        }
    }

    /// A client that trusts this authority alone, and shows a certificate if it has one.
    pub(super) fn trusting(&self, shown: Option<&Issued>) -> reqwest::Client {
        let authority = Certificate::from_pem(self.pem.as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .pool_max_idle_per_host(0);
        if let Some(shown) = shown {
            let pem = format!("{}\n{}", shown.pem, shown.key);
            builder = builder.identity(Identity::from_pem(pem.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }
}

impl Issued {
    /// Writes certificate and key, the key for nobody else.
    pub(super) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key.pem")),
        );
        std::fs::write(&certificate, &self.pem).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        (certificate, key)
    }
}

fn params(names: &[&str], until: i32) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 12, 31);
    params
}
