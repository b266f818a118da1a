//! What PostgreSQL says went wrong, without what it quotes.
//!
//! The server's own messages carry values of rows (`DETAIL: Key (owner, key)=(…) already exists`), so of an error only
//! its code and the names it gives are taken. The one exception are errors about the text of a statement (class 42):
//! those quote our own SQL, and only it.

use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

/// Why PostgreSQL did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresError {
    /// The server said no.
    #[error("{0}")]
    Said(Said),
    /// There was no connection, or it ended.
    #[error("{0}")]
    Lost(String),
    /// The server did not answer in time.
    #[error("it does not answer")]
    TimedOut,
    /// The statement does not fit what it was given or was asked for.
    #[error("{0}")]
    Misfit(String),
}

/// An error of the server's, as far as it may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    code: String,
    about: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLSTATE {}", self.code)?;
        if let Some(meaning) = meaning(&self.code) {
            write!(f, ", {meaning}")?;
        }
        f.write_str(&self.about)
    }
}

impl PostgresError {
    pub(super) fn of(error: &Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return Self::Said(Said::of(said));
        }
        // values are checked before they are sent and after they came, so all else is about the line
        match std::error::Error::source(error) {
            Some(cause) => Self::Lost(format!("{error}: {cause}")),
            None => Self::Lost(error.to_string()),
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Said(said) => Some(&said.code),
            _ => None,
        }
    }

    /// The server's disk is full.
    pub(crate) fn is_full(&self) -> bool {
        self.code() == Some("53100")
    }

    /// Whether the connection is of no use any more, so that what was under way on it has an unknown fate.
    pub(crate) fn ends_session(&self) -> bool {
        match self {
            Self::Lost(_) | Self::TimedOut => true,
            Self::Misfit(_) => false,
            // 08: connection; 57P01 to 57P05: the server ends it; 25P03: we stood still within a transaction;
            // 0A000: a statement prepared before a migration; 25006: the server has become one that only reads
            Self::Said(said) => {
                said.code.starts_with("08")
                    || said.code.starts_with("57P")
                    || matches!(said.code.as_str(), "25P03" | "0A000" | "25006" | "53300" | "XX000")
            }
        }
    }

    /// Whether the same may succeed later by itself.
    pub(crate) fn may_pass(&self) -> bool {
        self.ends_session()
            || self.code().is_some_and(|code| {
                // 53: no room, no memory; 40: rolled back in favour of others; 57014: took too long; 55P03: locked;
                // 25P02: an earlier statement of the same write failed
                code.starts_with("53") || code.starts_with("40") || matches!(code, "57014" | "55P03" | "25P02")
            })
    }
}

impl Said {
    fn of(error: &DbError) -> Self {
        let code = error.code().code().to_owned();
        let mut about = String::new();
        if code.starts_with("42") {
            about.push_str(": ");
            about.push_str(error.message());
        }
        for (what, name) in [
            ("table", error.table()),
            ("column", error.column()),
            ("constraint", error.constraint()),
        ] {
            if let Some(name) = name {
                about.push_str(&format!(", {what} {name}"));
            }
        }
        Self { code, about }
    }
}

/// What an operator can do something about, in words.
fn meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "28000" | "28P01" => "the server refuses this user or password",
        "3D000" => "there is no such database",
        "25006" => "the server takes no writes",
        "25P03" => "this process stood still within a transaction",
        "42501" => "the user may not do this",
        "53100" => "the server's disk is full",
        "53300" => "the server has too many connections",
        "57014" => "it took too long",
        "57P01" | "57P02" => "the server is shutting down",
        "57P03" => "the server is starting or shutting down",
        _ => return None,
    })
}
