//! What can go wrong with a link.
//!
//! Never says what a message holds, and never repeats a URL: it may carry a password.

use viereck_store::{SqlError, StoreError, WriteError};

/// Why a link did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The configuration makes no sense.
    #[error("the link's configuration: {0}")]
    Configuration(String),
    /// No node answered in time. Nothing was sent.
    #[error("no node of the link could be reached")]
    Unreachable,
    /// The connection broke or the answer did not come: the message may or may not have arrived. Send it again.
    #[error("the link did not confirm the message")]
    Unconfirmed,
    /// The queue is full, or the link has as much work as it may have. The message was not kept; send it again later.
    #[error("the link takes no more messages at the moment")]
    Full,
    /// As much as may be on its way is on its way and not confirmed: nothing was sent, and nobody has refused it.
    #[error("the link has not confirmed what is on its way")]
    Busy,
    /// The message is longer than any link may carry.
    #[error("a message of {length} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The longest that is carried.
        limit: usize,
    },
    /// The queue does not exist (yet): the broker has not declared it.
    #[error("there is no queue {0}")]
    NoQueue(String),
    /// Another process is reconciling the topology.
    #[error("another process is changing the topology")]
    Reconciling,
    /// The other side refuses: a permission, a type, a version.
    #[error("the link refused to {action}")]
    Refused {
        /// What was asked for, as a verb.
        action: &'static str,
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file of the embedded link failed.
    #[error("the embedded link's file failed")]
    Store(#[source] StoreError),
    /// The link was closed.
    #[error("the link is closed")]
    Closed,
}

impl LinkError {
    /// The stable code for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "link-configuration",
            Self::Unreachable => "link-unreachable",
            Self::Unconfirmed => "link-unconfirmed",
            Self::Full => "link-full",
            Self::Busy => "link-busy",
            Self::TooLarge { .. } => "link-too-large",
            Self::NoQueue(_) => "link-no-queue",
            Self::Reconciling => "link-reconciling",
            Self::Refused { .. } => "link-refused",
            Self::Store(_) => "link-store-failed",
            Self::Closed => "link-closed",
        }
    }

    /// Whether the message may be with the link although this was the answer.
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Unconfirmed | Self::Store(_))
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable | Self::Unconfirmed | Self::Full | Self::Busy | Self::NoQueue(_) | Self::Reconciling => {
                true
            }
            Self::Store(error) => error.may_pass(),
            Self::Configuration(_) | Self::TooLarge { .. } | Self::Refused { .. } | Self::Closed => false,
        }
    }
}

impl From<StoreError> for LinkError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::Full => Self::Full,
            StoreError::Closed => Self::Closed,
            other => Self::Store(other),
        }
    }
}

impl From<WriteError<SqlError>> for LinkError {
    fn from(error: WriteError<SqlError>) -> Self {
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::Refused(error) if error.is_full() => Self::Full,
            WriteError::Refused(source) => Self::Refused {
                action: "use its file",
                source: Box::new(source),
            },
        }
    }
}
