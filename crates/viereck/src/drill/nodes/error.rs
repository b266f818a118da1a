//! What can go wrong with a private server or process.

use std::io;
use std::time::Duration;

/// Why something private could not be started, broken or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A program of the host is not installed, or may not be used here.
    #[error("{tool} cannot be used here: {why}")]
    Missing {
        /// The program.
        tool: &'static str,
        /// What is missing, and the package that brings it.
        why: String,
    },
    /// It ended before it was ready.
    #[error("{name} ended instead of starting; it said: {said}")]
    NotStarted {
        /// What was started.
        name: String,
        /// The end of its log.
        said: String,
    },
    /// Something did not happen in time.
    #[error("{what} took longer than {} s; {said}", .deadline.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        deadline: Duration,
        /// The end of the log of whoever was waited for.
        said: String,
    },
    /// A tool was asked for something and said no.
    #[error("{what} was refused: {said}")]
    Refused {
        /// What was asked.
        what: String,
        /// The tool's answer.
        said: String,
    },
    /// It was stopped or killed before.
    #[error("{0} does not run")]
    NotRunning(String),
    /// It was started before.
    #[error("{0} runs already")]
    Running(String),
    /// The operating system failed.
    #[error("could not {action}")]
    System {
        /// What was tried.
        action: String,
        /// Its reason.
        #[source]
        source: io::Error,
    },
}

impl NodeError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "node-missing",
            Self::NotStarted { .. } => "node-not-started",
            Self::Late { .. } => "node-late",
            Self::Refused { .. } => "node-refused",
            Self::NotRunning(_) => "node-not-running",
            Self::Running(_) => "node-running",
            Self::System { .. } => "node-system",
        }
    }

    /// A failure of the operating system to do this.
    pub(in crate::drill) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }
}
