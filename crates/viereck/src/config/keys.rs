//! Sections `keys` and `revocation`: what opens encrypted keys, and where revocation lists are kept.
//!
//! A passphrase comes from a file or from a credential that systemd hands the process, never from a flag or a variable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use viereck_gateway::key_files::{KeyFileError, Passphrase};

use super::Config;
use super::layers::Layers;
use crate::failure::{Exit, Failure};

/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Ten hours: two fetches lie within the shortest grace, a day, so that one may fail before sealing stops.
const MOST_MINUTES: u32 = 600;

/// What opens encrypted keys: section `keys`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// A file with the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// The name of a credential of systemd.
    pub passphrase_credential: Option<String>,
}

/// Revocation lists: section `revocation`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Where fetched lists are kept, so that a restart does not begin without them.
    pub folder: PathBuf,
    /// Minutes between two fetches of a list, 600 at most.
    pub refresh_minutes: u32,
}

impl Revocation {
    pub(super) fn check(&self, layers: &Layers) -> Result<(), Failure> {
        match self.refresh_minutes {
            1..=MOST_MINUTES => Ok(()),
            _ => {
                let sentence = format!("Expected is a number from 1 to {MOST_MINUTES}.");
                Err(layers.refuse("revocation.refresh_minutes", &sentence))
            }
        }
    }

    /// The time between two fetches.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.refresh_minutes))
    }
}

impl Keys {
    pub(super) fn check(&self, layers: &Layers) -> Result<(), Failure> {
        if self.passphrase_file.is_some() && self.passphrase_credential.is_some() {
            let sentence = "Either passphrase_file or passphrase_credential is set, not both.";
            return Err(layers.refuse("keys.passphrase_credential", sentence));
        }
        let plain = |name: &String| name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !name.contains('/');
        if self.passphrase_credential.as_ref().is_some_and(|name| !plain(name)) {
            return Err(layers.refuse(
                "keys.passphrase_credential",
                "Expected is the name of a credential, not a path.",
            ));
        }
        Ok(())
    }

    /// The file that holds the passphrase, if there is to be one.
    fn file(&self) -> Result<Option<PathBuf>, Failure> {
        let Some(name) = &self.passphrase_credential else {
            return Ok(self.passphrase_file.clone());
        };
        match std::env::var_os(CREDENTIALS) {
            Some(folder) => Ok(Some(Path::new(&folder).join(name))),
            None => Err(Failure::new(
                Exit::NotFound,
                "credential-missing",
                format!("The configuration names the credential {name}, and the process was given none."),
            )
            .help("Write LoadCredentialEncrypted= into the unit of systemd, or set keys.passphrase_file instead.")),
        }
    }
}

impl Config {
    /// What opens encrypted keys, read anew.
    ///
    /// # Errors
    /// The file is not there, is open to others or empty.
    pub fn passphrase(&self) -> Result<Option<Passphrase>, Failure> {
        passphrase(&self.keys)
    }
}

/// Reads what these settings name.
pub(crate) fn passphrase(keys: &Keys) -> Result<Option<Passphrase>, Failure> {
    let file = keys.file()?;
    file.map(|file| Passphrase::read(&file).map_err(|error| key_file(&error)))
        .transpose()
}

/// A file with a secret that is not used, with its exit code.
pub(crate) fn key_file(error: &KeyFileError) -> Failure {
    let exit = match error {
        KeyFileError::Unreadable { error, .. } if error.kind() == std::io::ErrorKind::NotFound => Exit::NotFound,
        KeyFileError::Unreadable { .. } | KeyFileError::RightsTooWide { .. } => Exit::NotPermitted,
        KeyFileError::PassphraseMissing(_) | KeyFileError::PassphraseEmpty(_) => Exit::Usage,
        KeyFileError::PassphraseWrong(_) | KeyFileError::NotAllowed(_) => Exit::Findings,
    };
    let text = error.to_string();
    // these texts begin with their code; a failure has it in front already
    let sentence = text.split_once(": ").map_or(text.as_str(), |(_, sentence)| sentence);
    Failure::new(exit, error.code(), format!("{sentence}.")).help(error.help())
}
