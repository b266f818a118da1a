//! What a journal can fail with.

use std::time::Duration;

use viereck_envelope::{Refused, SealError};
use viereck_routing::{CustodianId, Environment};
use viereck_store::{SqlError, StoreError, WriteError};
use viereck_transport::LinkError;

use crate::NotAllowed;

/// How long whoever meets a journal that cannot write waits before trying again, see [`JournalError::may_pass`].
pub const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

/// A journal that cannot do what it was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file or its writer.
    #[error("journal-unavailable: {0}")]
    Store(#[from] StoreError),
    /// A statement failed.
    #[error("journal-unavailable: {0}")]
    Sql(#[from] SqlError),
    /// The file belongs to somebody else.
    #[error("journal-of-another: it belongs to {custodian} in {environment}")]
    OfAnother {
        /// Whose journal it is.
        custodian: CustodianId,
        /// For which environment it was made.
        environment: Environment,
    },
    /// A copy of a journal: what happened since then is not in it.
    #[error("journal-restored: it is a copy made at {at:.0}, and stays closed until it is reconciled")]
    Restored {
        /// When the copy was made.
        at: jiff::Timestamp,
    },
    /// A row does not hold what only we write there.
    #[error("journal-corrupt: column {column} holds no {expected}")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A message that this journal does not know in the state asked for.
    #[error("message-unknown: the journal holds no such message")]
    Unknown,
    /// The machine of this custodian does not have the transition asked for.
    #[error("not-allowed: {0}")]
    NotAllowed(#[from] NotAllowed),
    /// The link is closed for good.
    #[error("link-unavailable: {0}")]
    Link(#[from] LinkError),
    /// A receipt batch could not be signed, e.g. because the own certificate has ended.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// An event of our own journal does not read back.
    #[error("journal-corrupt: {0}")]
    Event(#[from] Refused),
}

impl JournalError {
    /// Whether the same may succeed a moment later: the writer's channel was full.
    pub fn is_full(&self) -> bool {
        matches!(self, JournalError::Store(StoreError::Busy))
    }
}

impl JournalError {
    /// Whether the same may succeed later without anybody restarting this process: a full disk, a failed commit, a
    /// link that is down, a certificate whose successor is on its way.
    pub fn may_pass(&self) -> bool {
        match self {
            JournalError::Store(error) => error.may_pass(),
            JournalError::Sql(error) => error.may_pass(),
            JournalError::Link(error) => error.may_pass(),
            JournalError::Seal(_) => true,
            _ => false,
        }
    }
}

impl From<WriteError<JournalError>> for JournalError {
    fn from(error: WriteError<JournalError>) -> Self {
        match error {
            WriteError::Refused(error) => error,
            WriteError::Store(error) => JournalError::Store(error),
        }
    }
}

/// Why nothing was promised.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError {
    /// The key was used before for something else.
    #[error("idempotency-key-reused")]
    KeyReused,
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<SqlError> for PromiseError {
    fn from(error: SqlError) -> Self {
        PromiseError::Journal(error.into())
    }
}

impl From<WriteError<PromiseError>> for PromiseError {
    fn from(error: WriteError<PromiseError>) -> Self {
        match error {
            WriteError::Refused(error) => error,
            WriteError::Store(error) => PromiseError::Journal(error.into()),
        }
    }
}
