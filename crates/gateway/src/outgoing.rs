//! Clients for servers that the configuration names: where a request goes is what the operator said, and nothing else.
//!
//! Guarantees: no redirect is followed and no proxy of the environment is used. TLS 1.3 or 1.2 by rustls, with the
//! authorities of the host unless others are named, then with these alone. A key that others may read is not used.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, Client, ClientBuilder, Identity, redirect};
use zeroize::Zeroizing;

use crate::config::Outgoing;
use crate::key_files::{TlsKeyError, read_tls_key};

/// Files for TLS towards a server that are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// A file cannot be read.
    #[error("tls-file-unreadable: {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("tls-file-malformed: {file} holds no {what} in PEM")]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// The file of the key is not used.
    #[error(transparent)]
    Key(#[from] TlsKeyError),
    /// The HTTP client cannot be made, e.g. because there are no root certificates.
    #[error("http-client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client to be, that trusts and shows what the configuration says.
pub(crate) fn builder(tls: &Outgoing) -> Result<ClientBuilder, OutgoingError> {
    let mut builder = Client::builder().redirect(redirect::Policy::none()).no_proxy();
    if let Some(file) = &tls.ca {
        let malformed = || OutgoingError::Malformed {
            file: file.clone(),
            what: "certificate",
        };
        let authorities = Certificate::from_pem_bundle(&read(file)?).map_err(|_| malformed())?;
        if authorities.is_empty() {
            return Err(malformed());
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let Some((certificate, key)) = &tls.identity {
        let private = read_tls_key(key)?;
        let pem = Zeroizing::new([&read(certificate)?, &b"\n"[..], &private].concat());
        let identity = Identity::from_pem(&pem).map_err(|_| OutgoingError::Malformed {
            file: key.clone(),
            what: "private key beside a certificate",
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn read(file: &Path) -> Result<Vec<u8>, OutgoingError> {
    std::fs::read(file).map_err(|error| OutgoingError::Unreadable {
        file: file.to_owned(),
        error,
    })
}
