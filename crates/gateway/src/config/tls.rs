//! TLS in the configuration: what a listener shows, and what is shown to servers.

use std::path::PathBuf;

use serde::Deserialize;

/// TLS of a listener: sections `[gateway.tls]` and `[operations.tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, PEM, the own certificate first.
    pub certificate: PathBuf,
    /// The key of the own certificate, PEM.
    pub key: PathBuf,
    /// Whether TLS 1.2 is spoken beside 1.3.
    #[serde(default)]
    pub tls12: bool,
    /// The authorities of clients' certificates, PEM; without it nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// What happens to a client without a certificate.
    #[serde(default)]
    pub client_certificate: ClientCertificate,
}

/// What happens to a client that shows no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// It has to show who it is in another way.
    #[default]
    Optional,
    /// There is no connection.
    Required,
}

/// TLS towards a server of ours, where the host's authorities and no certificate are not what is wanted.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// The only authorities that are trusted, PEM; without it those of the host.
    pub ca: Option<PathBuf>,
    /// The own chain and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}
