//! Who this process is to RabbitMQ, and whom it trusts: the files of TLS, read again before every connection.
//!
//! What it guarantees: TLS 1.3 or nothing; only the given authority is trusted, none of the system's; the hybrid
//! post-quantum group is offered first; every connection proves the key anew (no session is resumed). Whoever replaces
//! the files needs no restart: the next connection uses them. New files that cannot be used, or that name somebody else,
//! or are not valid today, never replace what worked: that is an alarm, and the old ones stay in memory.
//!
//! What it deliberately does not do: know which rights a key's file may have, for whoever opens the link gives it a
//! [`ReadKey`]; cut a connection because its certificate was replaced or has ended, and judge the
//! certificate that it shows; RabbitMQ does that.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use lapin::tcp::RustlsConnector;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use viereck_routing::Digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::error::LinkError;

/// No file of TLS is larger.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Reads the file of a private key, or says in a sentence why it is not used.
pub type ReadKey = fn(&Path) -> Result<Zeroizing<Vec<u8>>, String>;

/// The files of TLS. Only this one authority is trusted, none of the system's.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificates of the authority of this link, PEM.
    pub ca: PathBuf,
    /// Our own certificate chain, PEM; with it the user is the certificate's name (EXTERNAL).
    pub certificate: Option<PathBuf>,
    /// The private key of our certificate, PEM.
    pub key: Option<PathBuf>,
    /// How it is read.
    pub read_key: ReadKey,
}

/// What stands in the certificate that the next connection shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkCertificate {
    /// Its common name: the user at RabbitMQ.
    pub name: String,
    /// From when on it counts.
    pub from: SystemTime,
    /// Until when.
    pub until: SystemTime,
}

impl LinkCertificate {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
        let moment = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Some(Self {
            name: name.to_owned(),
            from: moment(parsed.validity().not_before.timestamp()),
            until: moment(parsed.validity().not_after.timestamp()),
        })
    }
}

/// The files, and what was last made of them.
pub(super) struct Identity {
    files: Tls,
    current: Mutex<Current>,
}

struct Current {
    used: Loaded,
    /// The content that was refused last, so that it is told once.
    refused: Option<Digest>,
}

/// Files that can be used.
#[derive(Clone)]
struct Loaded {
    of: Digest,
    connector: RustlsConnector,
    certificate: Option<LinkCertificate>,
}

impl fmt::Debug for Identity {
    /// Without what was read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads the files for the first time.
    pub(super) fn read(files: Tls) -> Result<Self, LinkError> {
        let used = Octets::read(&files)?.load(&files)?;
        if let Some(certificate) = &used.certificate
            && !is_valid(certificate)
        {
            // No reason not to start: a gateway accepts and keeps what is its own while the link is away.
            tracing::error!(
                alarm = "link-certificate",
                name = certificate.name,
                "the certificate of the link is not valid today: RabbitMQ will refuse it"
            );
        }
        Ok(Self {
            files,
            current: Mutex::new(Current { used, refused: None }),
        })
    }

    /// What the next connection is to be made with.
    pub(super) async fn connector(self: &Arc<Self>) -> RustlsConnector {
        self.look().await;
        self.used().connector
    }

    /// What the next connection will show; nothing when there is no certificate of our own.
    pub(super) async fn certificate(self: &Arc<Self>) -> Option<LinkCertificate> {
        self.look().await;
        self.used().certificate
    }

    async fn look(self: &Arc<Self>) {
        let identity = Arc::clone(self);
        // Fails only while the runtime ends; then what is there is good enough.
        let _ = tokio::task::spawn_blocking(move || identity.read_again()).await;
    }

    fn read_again(&self) {
        let read = Octets::read(&self.files);
        let of = match &read {
            Ok(octets) => octets.digest(),
            Err(error) => Digest::of(error.to_string().as_bytes()),
        };
        if of == self.used().of {
            self.lock().refused = None;
            return;
        }
        match read
            .and_then(|octets| octets.load(&self.files))
            .and_then(|new| self.succeeds(new))
        {
            Ok(new) => {
                let name = new.certificate.as_ref().map(|certificate| certificate.name.as_str());
                tracing::info!(
                    name,
                    "new files of TLS are used from the next connection to RabbitMQ on"
                );
                *self.lock() = Current {
                    used: new,
                    refused: None,
                };
            }
            // A certificate that is not valid yet may become so: it is read again, but told once.
            Err(error) => {
                if self.lock().refused.replace(of) != Some(of) {
                    tracing::error!(
                        alarm = "link-certificate",
                        %error,
                        "new files of TLS cannot be used; those before stay in use until the process ends"
                    );
                }
            }
        }
    }

    /// Whether `new` may take the place of what is used.
    fn succeeds(&self, new: Loaded) -> Result<Loaded, LinkError> {
        let refuse = |what: &str| {
            let file = self.files.certificate.as_deref().unwrap_or(&self.files.ca);
            Err(wrong(file, what))
        };
        match (&new.certificate, &self.used().certificate) {
            (Some(new), Some(used)) if new.name != used.name => refuse("is another user's certificate"),
            (Some(new), _) if !is_valid(new) => refuse("is not valid today"),
            _ => Ok(new),
        }
    }

    fn used(&self) -> Loaded {
        self.lock().used.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_valid(certificate: &LinkCertificate) -> bool {
    let now = SystemTime::now();
    certificate.from <= now && now < certificate.until
}

/// What stands in the files.
struct Octets {
    ca: Vec<u8>,
    certificate: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Octets {
    fn read(files: &Tls) -> Result<Self, LinkError> {
        let certificate = match (&files.certificate, &files.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let private = (files.read_key)(key).map_err(LinkError::Configuration)?;
                Some((octets(certificate)?, private))
            }
            _ => {
                return Err(LinkError::Configuration(
                    "a client certificate and its key belong together".to_owned(),
                ));
            }
        };
        Ok(Self {
            ca: octets(&files.ca)?,
            certificate,
        })
    }

    fn digest(&self) -> Digest {
        let own = self.certificate.iter().flat_map(|(chain, key)| [chain, &**key]);
        let parts = std::iter::once(&self.ca).chain(own);
        let digests: String = parts.map(|part| Digest::of(part).to_string()).collect();
        Digest::of(digests.as_bytes())
    }

    /// TLS 1.3 with just the given authority.
    fn load(&self, files: &Tls) -> Result<Loaded, LinkError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca, &self.ca)? {
            roots
                .add(certificate)
                .map_err(|_| wrong(&files.ca, "holds a certificate that cannot be trusted"))?;
        }
        if roots.is_empty() {
            return Err(wrong(&files.ca, "holds no certificate"));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|_| LinkError::Configuration("TLS 1.3 is not available".to_owned()))?
            .with_root_certificates(roots);
        let (mut config, certificate) = match (&self.certificate, &files.certificate, &files.key) {
            (Some((chain, key)), Some(chain_file), Some(key_file)) => {
                let chain = certificates(chain_file, chain)?;
                let own = chain.first().and_then(|own| LinkCertificate::read(own));
                let own = own.ok_or_else(|| wrong(chain_file, "holds no certificate with a common name"))?;
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|_| wrong(key_file, "cannot be read as a PEM key"))?;
                let config = builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| wrong(key_file, "does not belong to the certificate of this link"))?;
                (config, Some(own))
            }
            _ => (builder.with_no_client_auth(), None),
        };
        config.resumption = Resumption::disabled();
        Ok(Loaded {
            of: self.digest(),
            connector: RustlsConnector::from(config),
            certificate,
        })
    }
}

/// What is recorded today is to stay closed when there are quantum computers: their group first, where the server has it.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..default_provider()
    }
}

fn octets(file: &Path) -> Result<Vec<u8>, LinkError> {
    let mut octets = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(LARGEST_FILE).read_to_end(&mut octets))
        .map_err(|_| wrong(file, "cannot be read"))?;
    Ok(octets)
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(file, "cannot be read as PEM certificates"))
}

fn wrong(file: &Path, what: &str) -> LinkError {
    LinkError::Configuration(format!("{} {what}", file.display()))
}

#[cfg(test)]
mod tests;
