//! The adapters of a gateway, made ready at its start.
//!
//! Guarantees: what can be known before the first message is known then: a token that cannot be read or a folder that
//! is not there stops the start. Nothing is made here that an operator has to provide.

use std::path::PathBuf;

use reqwest::Client;

use super::directory::Directory;
use super::endpoint::Endpoint;
use crate::config;
use crate::outgoing::OutgoingError;

/// An adapter that is ready.
pub(crate) enum Adapter {
    Http(Endpoint),
    Directory(Directory),
    Postfach(Endpoint),
}

/// Why an adapter cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The file with the bearer token cannot be read.
    #[error("token-unreadable: {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The token cannot stand in a header.
    #[error("token-malformed: {0} holds no bearer token")]
    Malformed(PathBuf),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] OutgoingError),
    /// The folder to hand over into is not there, or nobody may look into it.
    #[error("folder-missing: {folder}: {error}; it is never made by the gateway: mount it, or make it")]
    NoFolder {
        /// Which.
        folder: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl From<reqwest::Error> for AdapterError {
    fn from(error: reqwest::Error) -> Self {
        Self::Client(error.into())
    }
}

impl Adapter {
    pub(crate) fn new(config: &config::Adapter, client: &Client) -> Result<Self, AdapterError> {
        let endpoint = |config: &config::Endpoint| Endpoint::new(client.clone(), config.clone());
        match config {
            config::Adapter::Http(config) => endpoint(config).map(Self::Http),
            config::Adapter::Postfach(config) => endpoint(config).map(Self::Postfach),
            config::Adapter::Directory { folder, acknowledge } => {
                Directory::new(folder.clone(), *acknowledge).map(Self::Directory)
            }
        }
    }
}
