//! A program of ours as an operator runs it: started, watched, frozen, told to stop, killed.
//!
//! A process ends with its handle, also when its owner panics or is killed. What breaks it from inside stands in
//! [`super::injection`] and [`super::clock`].

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::child::Child;
use super::error::NodeError;
use super::watch::Watch;

/// How a process is started, and started again.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it is called in errors.
    pub name: String,
    /// The program file.
    pub binary: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What is added to our own environment.
    pub environment: Vec<(String, String)>,
    /// Its working directory.
    pub folder: PathBuf,
    /// The file to which all that it prints is appended. Its folder has to be there.
    pub log: PathBuf,
}

/// A process that was started here.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Ends after the child.
    _watch: Arc<Watch>,
}

impl Process {
    /// Starts a program in a process group of its own. Returns at once; when it is ready is for its user to see.
    pub fn start(program: &Program) -> Result<Self, NodeError> {
        let watch = Watch::start(None)?;
        let mut command = Command::new(&program.binary);
        command
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&program.folder);
        Ok(Self {
            child: Child::start(&program.name, &mut command, &program.log, &watch)?,
            log: program.log.clone(),
            _watch: watch,
        })
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub fn status(&mut self) -> Result<Option<ExitStatus>, NodeError> {
        self.child.status()
    }

    /// SIGKILL: no farewell. Returns when it is gone.
    pub async fn kill(&mut self) -> Result<ExitStatus, NodeError> {
        self.child.kill().await
    }

    /// Freezes it (SIGSTOP): its connections stay open and it does nothing.
    pub fn freeze(&mut self) -> Result<(), NodeError> {
        self.child.freeze()
    }

    /// Ends [`Process::freeze`].
    pub fn thaw(&mut self) -> Result<(), NodeError> {
        self.child.thaw()
    }

    /// Tells it to read its tables again (SIGHUP).
    pub fn hang_up(&mut self) -> Result<(), NodeError> {
        self.child.signal(Signal::HUP)
    }

    /// Tells it to stop (SIGTERM). [`Process::ended`] waits for it.
    pub fn ask_to_stop(&mut self) -> Result<(), NodeError> {
        self.child.signal(Signal::TERM)
    }

    /// Tells it to stop and waits for its end.
    ///
    /// # Errors
    /// [`NodeError::Late`] with the end of its log.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus, NodeError> {
        self.ask_to_stop()?;
        self.ended(deadline).await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`NodeError::Late`] with the end of its log.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus, NodeError> {
        self.child.ended(deadline).await
    }

    /// The file with its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn said(&self, lines: usize) -> String {
        self.child.said(lines)
    }
}

#[cfg(test)]
mod tests;
