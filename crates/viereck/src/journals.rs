//! The journals that a configuration names, opened only to look.
//!
//! One place for every command that looks into a journal by itself: which there are, how a missing one or one of another
//! owner is told. The process that a journal belongs to goes on meanwhile; nothing is changed.

use std::path::Path;

use viereck_custody::{Journal, JournalError, Place};
use viereck_routing::CustodianId;

use crate::config::Config;
use crate::failure::{Exit, Failure};

impl Config {
    /// The custodians of this configuration and where their journals lie, gateways first.
    pub(crate) fn journals(&self) -> Vec<(&CustodianId, &Place)> {
        let gateways = self
            .gateways
            .iter()
            .map(|gateway| (&gateway.settings.id, &gateway.journal));
        gateways
            .chain(self.broker.iter().map(|broker| (&broker.settings.id, &broker.journal)))
            .collect()
    }
}

/// The file of a journal, where it is one.
pub(crate) fn file_of(place: &Place) -> Option<&Path> {
    match place {
        Place::File(file) => Some(file),
        Place::Postgres(_) => None,
    }
}

/// Opens one journal to look at it.
pub(crate) async fn open_to_look(config: &Config, custodian: &CustodianId, place: &Place) -> Result<Journal, Failure> {
    if file_of(place).is_some_and(|file| !file.exists()) {
        let sentence = format!("The journal of {custodian} is not there: {place}.");
        return Err(Failure::new(Exit::NotFound, "journal-missing", sentence)
            .help("Paths count from the working directory; it is made when its process starts for the first time."));
    }
    Journal::open_to_look(place, custodian.clone(), config.environment)
        .await
        .map_err(|error| failed(custodian, &error))
}

/// Opens all of them, or the one of `only`.
pub(crate) async fn open_all(config: &Config, only: Option<&CustodianId>) -> Result<Vec<Journal>, Failure> {
    let mut journals = Vec::new();
    for (custodian, place) in config.journals() {
        if only.is_none_or(|only| only == custodian) {
            journals.push(open_to_look(config, custodian, place).await?);
        }
    }
    match (journals.is_empty(), only) {
        (true, Some(only)) => Err(unknown(only)),
        _ => Ok(journals),
    }
}

/// A custodian that the configuration does not have.
pub(crate) fn unknown(custodian: &CustodianId) -> Failure {
    let sentence = format!("The configuration has no custodian {custodian}.");
    Failure::new(Exit::NotFound, "custodian-unknown", sentence).help("`viereck config check` lists the roles.")
}

/// A journal that cannot be read.
pub(crate) fn failed(custodian: &CustodianId, error: &JournalError) -> Failure {
    Failure::new(
        Exit::Unexpected,
        "journal-failed",
        format!("The journal of {custodian}: {error}."),
    )
    .help("`viereck doctor` looks at the file.")
}
