//! Where a database lies.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::PostgresUrl;

/// A file of this process, or a server that several share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file; SQLite.
    File(PathBuf),
    /// A server; PostgreSQL.
    Postgres(PostgresUrl),
}

/// Never shows a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Postgres(url) => url.fmt(f),
        }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Place::File(path.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Self {
        Place::File(path.clone())
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Place::File(path)
    }
}
