//! TLS of a listener: TLS 1.3, 1.2 only where the configuration says so, and the files behind it, which may change.
//!
//! Guarantees: files that do not load, do not fit together or have ended never replace what is in force. X25519MLKEM768 is
//! what is agreed on with whoever knows it, whatever it likes better: what is recorded today must not be read when there
//! are quantum computers. Nothing is resumed, neither by ticket nor by session, so no key outlives its connection, and
//! every connection's certificate is one that was checked for this connection. No early data, no renegotiation. What does
//! not begin like TLS gets no answer. Does not: know whose certificate a client's is; that is `access`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::config::{ClientCertificate, Tls};
use crate::key_files::{TlsKeyError, read_tls_key};

/// Octets of a file of certificates.
const LARGEST: u64 = 1 << 20;

/// The first octet of a handshake.
const HANDSHAKE: u8 = 0x16;

/// What is agreed on with those who do not know the hybrid.
const CLASSICAL: [&dyn SupportedKxGroup; 3] = [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// TLS of one listener.
#[derive(Debug)]
pub struct TlsServer {
    settings: Tls,
    current: RwLock<Current>,
}

/// What is in force.
#[derive(Debug, Clone)]
struct Current {
    /// For those who know the hybrid key exchange.
    hybrid: Arc<ServerConfig>,
    /// For everybody else.
    classical: Arc<ServerConfig>,
    until: Timestamp,
}

/// Why TLS cannot be spoken with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
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
    /// The key is not of the certificate.
    #[error("tls-key-mismatch: {key} is not the key of the first certificate in {certificate}")]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The certificate has ended, or not begun.
    #[error("tls-certificate-expired: {file} is valid from {from} until {until}")]
    NotValid {
        /// Which.
        file: PathBuf,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// The library does not take them.
    #[error("tls-refused: {file}: {error}")]
    Refused {
        /// Which.
        file: PathBuf,
        /// Why.
        error: String,
    },
}

impl TlsError {
    /// The stable word.
    pub fn code(&self) -> &'static str {
        match self {
            TlsError::Unreadable { .. } => "tls-file-unreadable",
            TlsError::Malformed { .. } => "tls-file-malformed",
            TlsError::Key(error) => error.code(),
            TlsError::Mismatch { .. } => "tls-key-mismatch",
            TlsError::NotValid { .. } => "tls-certificate-expired",
            TlsError::Refused { .. } => "tls-refused",
        }
    }
}

/// What came of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It did not begin like TLS.
    Plaintext,
    /// It was not finished in time.
    TooSlow,
    /// The two did not agree, or a certificate does not count.
    Failed,
}

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file is missing, malformed or open to others, they do not fit together, or the certificate is not valid now.
    pub fn load(settings: &Tls) -> Result<Self, TlsError> {
        Ok(Self {
            current: RwLock::new(Current::load(settings, Timestamp::now())?),
            settings: settings.clone(),
        })
    }

    /// Reads the files again; connections made from now on see what they hold. Gives the end of the certificate.
    ///
    /// # Errors
    /// As for [`TlsServer::load`]; what was in force stays so.
    pub fn reload(&self) -> Result<Timestamp, TlsError> {
        let fresh = Current::load(&self.settings, Timestamp::now())?;
        let until = fresh.until;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(until)
    }

    /// When the certificate in force ends.
    pub fn until(&self) -> Timestamp {
        self.current().until
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a connection a TLS connection, within `time`.
    pub(crate) async fn shake(&self, stream: TcpStream, time: Duration) -> Result<TlsStream<TcpStream>, Handshake> {
        let shaking = async {
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(1) if first == [HANDSHAKE] => {}
                Ok(_) | Err(_) => return Err(Handshake::Plaintext),
            }
            let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
            let begun = begun.map_err(|_| Handshake::Failed)?;
            let current = self.current();
            let config = match knows_hybrid(&begun.client_hello()) {
                true => current.hybrid,
                false => current.classical,
            };
            begun.into_stream(config).await.map_err(|_| Handshake::Failed)
        };
        tokio::time::timeout(time, shaking)
            .await
            .unwrap_or(Err(Handshake::TooSlow))
    }
}

/// Whether both the group and a suite of TLS 1.3, the only version in which it is used, are offered.
fn knows_hybrid(hello: &ClientHello<'_>) -> bool {
    let groups = hello.named_groups().unwrap_or_default();
    let tls13 = |suite: &rustls::CipherSuite| u16::from(*suite) >> 8 == 0x13;
    groups.contains(&NamedGroup::X25519MLKEM768) && hello.cipher_suites().iter().any(tls13)
}

impl Current {
    fn load(settings: &Tls, now: Timestamp) -> Result<Self, TlsError> {
        let chain = certificates(&settings.certificate)?;
        let until = valid(&settings.certificate, &chain[0], now)?;
        let key = key(&settings.key)?;
        let provider = default_provider();
        let refused = |error: rustls::Error| TlsError::Refused {
            file: settings.certificate.clone(),
            error: error.to_string(),
        };
        let key = provider.key_provider.load_private_key(key).map_err(refused)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(TlsError::Mismatch {
                    key: settings.key.clone(),
                    certificate: settings.certificate.clone(),
                });
            }
            Err(error) => return Err(refused(error)),
        }
        let shown: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(certified));
        let clients = clients(settings, &Arc::new(provider.clone()))?;
        let classical: &[&SupportedProtocolVersion] = match settings.tls12 {
            true => &[&TLS13, &TLS12],
            false => &[&TLS13],
        };
        let make = |groups: &[&'static dyn SupportedKxGroup], versions: &[&'static SupportedProtocolVersion]| {
            let provider = Arc::new(CryptoProvider {
                kx_groups: groups.to_vec(),
                ..provider.clone()
            });
            let builder = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .map_err(refused)?;
            let builder = match &clients {
                Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
                None => builder.with_no_client_auth(),
            };
            let mut config = builder.with_cert_resolver(Arc::clone(&shown));
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config.ignore_client_order = true;
            Ok::<_, TlsError>(Arc::new(config))
        };
        Ok(Self {
            hybrid: make(&[kx_group::X25519MLKEM768], &[&TLS13])?,
            classical: make(&CLASSICAL, classical)?,
            until,
        })
    }
}

/// Who judges clients' certificates; `None` where nobody is asked for one.
fn clients(settings: &Tls, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(file) = &settings.client_ca else {
        return Ok(None);
    };
    let refused = |error: String| TlsError::Refused {
        file: file.clone(),
        error,
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(file)? {
        roots.add(authority).map_err(|error| refused(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match settings.client_certificate {
        ClientCertificate::Optional => builder.allow_unauthenticated(),
        ClientCertificate::Required => builder,
    };
    Ok(Some(builder.build().map_err(|error| refused(error.to_string()))?))
}

/// The certificates of a file, one at least.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = || TlsError::Malformed {
        file: file.to_owned(),
        what: "certificate",
    };
    let pem = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|_| malformed())?;
    match certificates.is_empty() {
        true => Err(malformed()),
        false => Ok(certificates),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read_tls_key(file)?).map_err(|_| TlsError::Malformed {
        file: file.to_owned(),
        what: "private key",
    })
}

/// Until when a certificate is valid, which it has to be now.
fn valid(file: &Path, certificate: &CertificateDer<'_>, now: Timestamp) -> Result<Timestamp, TlsError> {
    let malformed = || TlsError::Malformed {
        file: file.to_owned(),
        what: "certificate",
    };
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| malformed())?;
    let instant = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).map_err(|_| malformed());
    let validity = certificate.validity();
    let (from, until) = (instant(validity.not_before)?, instant(validity.not_after)?);
    match from <= now && now < until {
        true => Ok(until),
        false => Err(TlsError::NotValid {
            file: file.to_owned(),
            from,
            until,
        }),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut octets = Vec::new();
    let opened = File::open(file).map_err(|error| unreadable(file, error))?;
    let read = opened.take(LARGEST).read_to_end(&mut octets);
    read.map_err(|error| unreadable(file, error))?;
    Ok(octets)
}

fn unreadable(file: &Path, error: std::io::Error) -> TlsError {
    TlsError::Unreadable {
        file: file.to_owned(),
        error,
    }
}

impl Handshake {
    /// The word in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Handshake::Plaintext => "plaintext",
            Handshake::TooSlow => "too-slow",
            Handshake::Failed => "failed",
        }
    }
}
