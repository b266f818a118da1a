//! Where a custodian's journal lies: a file of this process, or a database that several processes share.
//!
//! The URL of a database may hold a password: it is shown without one, and is better read from a file of its own
//! (`journal_url_file`) or from a variable.

use std::path::PathBuf;

use viereck_custody::{Place, PostgresUrl};

use super::layers::Layers;
use crate::failure::Failure;

/// The keys of a section that say it.
pub(super) const KEYS: &[&str] = &["journal", "journal_url_file"];

/// The place that the section `section` names.
pub(super) fn place(
    layers: &Layers,
    section: &str,
    journal: Option<String>,
    url_file: Option<PathBuf>,
) -> Result<Place, Failure> {
    let (key, file_key) = (format!("{section}.journal"), format!("{section}.journal_url_file"));
    match (journal, url_file) {
        (Some(_), Some(_)) => Err(layers.refuse(&file_key, "Either journal or journal_url_file is set, not both.")),
        (None, None) => Err(layers.refuse(section, "The key journal is missing: a file, or the URL of a database.")),
        (Some(journal), None) if journal.contains("://") => database(layers, &key, &journal),
        (Some(journal), None) => Ok(Place::File(PathBuf::from(journal))),
        (None, Some(file)) => {
            let url = std::fs::read_to_string(&file).map_err(|error| {
                Failure::of_file("read journal_url_file", &file, &error).at(layers.position(&file_key))
            })?;
            database(layers, &file_key, url.trim())
        }
    }
}

fn database(layers: &Layers, key: &str, url: &str) -> Result<Place, Failure> {
    let url = PostgresUrl::parse(url).map_err(|error| layers.refuse(key, &format!("Not an URL: {error}.")))?;
    Ok(Place::Postgres(url))
}
