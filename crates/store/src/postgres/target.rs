//! Where to connect to, and as whom: everything that stays the same for all connections of one store.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::{PostgresUrl, PostgresUrlError};

/// A server, a schema in its database, and who we are there.
pub(crate) struct Target {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: Option<MakeRustlsConnect>,
    /// Letters, digits, `_` and `-` only, so that it can stand in quotes as it is.
    pub(super) schema: String,
    /// Tells our own signals from those of others.
    pub(super) token: String,
    pub(crate) url: PostgresUrl,
}

impl Target {
    pub(crate) fn new(url: &PostgresUrl, schema: &str) -> Result<Self, PostgresUrlError> {
        let plain =
            |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, b'_' | b'-');
        if schema.is_empty() || schema.len() > 63 || !schema.bytes().all(plain) {
            return Err(PostgresUrlError::Schema);
        }
        let tls = url.has_tls().then(|| tls(url)).transpose()?;
        Ok(Self {
            config: url.config().clone(),
            tls,
            schema: schema.to_owned(),
            token: format!("{:016x}", RandomState::new().hash_one(std::process::id())),
            url: url.clone(),
        })
    }
}

impl Target {
    /// The schema, which names the database to operators.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }
}

fn tls(url: &PostgresUrl) -> Result<MakeRustlsConnect, PostgresUrlError> {
    let refuse = |reason: String| PostgresUrlError::Authorities {
        path: url.authorities().cloned().unwrap_or_else(|| "the system".into()),
        reason,
    };
    let mut roots = RootCertStore::empty();
    match url.authorities() {
        Some(path) => {
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))? {
                let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
                roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(refuse("there is no certificate in it".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
