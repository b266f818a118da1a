//! What can go wrong with a store, and what a caller may do about it.
//!
//! Nothing here carries a value out of the database: messages name tables and columns, never contents.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;
use tokio::sync::mpsc::error::TrySendError;

use crate::postgres::PostgresError;
use crate::sql::SqlError;
use crate::{Place, PostgresUrlError};

/// The store itself failed; what was asked for did not happen, or its fate is unknown where that is said.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The queue is full. Nothing was begun; try again later, and take no new work until then.
    #[error("the store has more work queued than it may")]
    Busy,
    /// The store was closed, or its thread has ended. A write that was under way may or may not be on disk.
    #[error("the store is closed")]
    Closed,
    /// The disk or the file is full. Nothing of the group was kept; it works again once there is room.
    #[error("there is no room left on the disk")]
    Full,
    /// The commit failed and the whole group was rolled back.
    #[error("the commit failed: {0}")]
    Commit(#[source] Arc<SqlError>),
    /// The server cannot be reached, or was lost in the middle. Whether what was under way was committed is unknown; the
    /// connection is made anew by itself.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] Arc<PostgresError>),
    /// The disk failed, now or earlier. What it holds is unknown, so nothing is written until the file is opened anew.
    #[error("the disk failed; the store writes nothing more until it is opened again")]
    Disk(#[source] Arc<SqlError>),
    /// The piece of code handed in panicked; what it did was rolled back.
    #[error("a piece of code handed to the store panicked")]
    Panicked,
    /// Another process, or another store of this process, has the file open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file that was to be opened.
        path: PathBuf,
    },
    /// The database was written by a newer release.
    #[error("{place} is of version {found}, this program knows versions up to {known}")]
    Newer {
        /// What was to be opened.
        place: Place,
        /// Migrations it has seen.
        found: usize,
        /// Migrations this program knows.
        known: usize,
    },
    /// The database was written by an older release and is only to be looked at: its owner migrates it when it starts.
    #[error("{place} is of version {found}, this program looks at version {known}")]
    Older {
        /// What was to be opened.
        place: Place,
        /// Migrations it has seen.
        found: usize,
        /// Migrations this program knows.
        known: usize,
    },
    /// The database could not be opened or brought up to date.
    #[error("{place} could not be opened: {source}")]
    Open {
        /// What was to be opened.
        place: Place,
        /// The database's reason.
        #[source]
        source: Arc<SqlError>,
    },
    /// The server does not put on disk what it confirms.
    #[error("{place} may lose what it confirmed: its setting {setting} is {value}")]
    NotDurable {
        /// The server.
        place: Place,
        /// The setting that is wrong.
        setting: &'static str,
        /// What it is.
        value: String,
    },
    /// The URL says something that cannot be.
    #[error(transparent)]
    Url(#[from] PostgresUrlError),
    /// The folder, the lock file or a thread could not be made.
    #[error("{place} could not be prepared: {source}")]
    Prepare {
        /// What was to be opened.
        place: Place,
        /// The system's reason.
        #[source]
        source: Arc<std::io::Error>,
    },
}

impl StoreError {
    /// The stable code for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy => "store-busy",
            Self::Closed => "store-closed",
            Self::Full => "store-full",
            Self::Commit(_) => "store-commit-failed",
            Self::Unreachable(_) => "store-unreachable",
            Self::Disk(_) => "store-disk-failed",
            Self::Panicked => "store-panicked",
            Self::InUse { .. } => "store-in-use",
            Self::Newer { .. } => "store-newer",
            Self::Older { .. } => "store-older",
            Self::Open { .. } => "store-open-failed",
            Self::NotDurable { .. } => "store-not-durable",
            Self::Url(_) => "store-url-invalid",
            Self::Prepare { .. } => "store-prepare-failed",
        }
    }

    /// Whether the same call may succeed later without anybody doing anything to this process.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Full | Self::Commit(_) | Self::Unreachable(_) | Self::InUse { .. }
        )
    }

    /// Sorts a failure of SQLite's by what it means for the commits after it.
    pub(crate) fn of_sqlite(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Disk(Arc::new(error.into()))
            }
            _ => Self::Commit(Arc::new(error.into())),
        }
    }

    /// Sorts a failure of PostgreSQL's. The server itself stops when its disk fails, so there is nothing after which we
    /// would have to.
    pub(crate) fn of_postgres(error: PostgresError) -> Self {
        if error.is_full() {
            Self::Full
        } else if error.ends_session() {
            Self::Unreachable(Arc::new(error))
        } else {
            Self::Commit(Arc::new(error.into()))
        }
    }
}

impl<T> From<TrySendError<T>> for StoreError {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::Busy,
            TrySendError::Closed(_) => Self::Closed,
        }
    }
}

/// Why a piece of work handed to the store did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The work itself said no; what it did was rolled back, alone.
    #[error(transparent)]
    Refused(E),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
