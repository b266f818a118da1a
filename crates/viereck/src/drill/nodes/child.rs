//! One started program: its signals, its end, its log.
//!
//! Guarantees that a signal never reaches somebody else's process: as long as nobody has waited for a child its id
//! belongs to it, and who waits holds the only handle.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::error::NodeError;
use super::watch::Watch;

/// How often a condition of another process is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long a process may take to vanish once it was killed.
const DEATH: Duration = Duration::from_secs(20);

/// A child in a process group of its own, so that a Ctrl-C for its owner is not one for it.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    name: String,
    log: PathBuf,
    pace: Pace,
    watch: Arc<Watch>,
}

/// Whether it gets processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Running,
    Frozen,
}

impl Child {
    /// Starts `command`; what it prints is appended to `log`.
    pub(super) fn start(name: &str, command: &mut Command, log: &Path, watch: &Arc<Watch>) -> Result<Self, NodeError> {
        let open = || File::options().create(true).append(true).open(log);
        let output = || open().map_err(NodeError::system(format!("open {}", log.display())));
        let process = command
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .process_group(0)
            .spawn()
            .map_err(NodeError::system(format!("start {name}")))?;
        watch.take(process.id());
        Ok(Self {
            process,
            name: name.to_owned(),
            log: log.to_owned(),
            pace: Pace::Running,
            watch: Arc::clone(watch),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended; `None` while it runs.
    pub(super) fn status(&mut self) -> Result<Option<ExitStatus>, NodeError> {
        let status = self
            .process
            .try_wait()
            .map_err(NodeError::system(format!("look at {}", self.name)))?;
        if status.is_some() {
            self.watch.forget(self.process.id());
        }
        Ok(status)
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus, NodeError> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if begun.elapsed() >= deadline {
                return Err(self.late("the end", deadline));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sends a signal to the process, not to what it may have started.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), NodeError> {
        match (self.status()?, self.pid()) {
            (None, Some(pid)) => kill_process(pid, signal)
                .map_err(|error| NodeError::system(format!("signal {}", self.name))(error.into())),
            _ => Err(NodeError::NotRunning(self.name.clone())),
        }
    }

    /// Stops it (SIGSTOP): its connections stay open and nobody answers.
    pub(super) fn freeze(&mut self) -> Result<(), NodeError> {
        self.signal(Signal::STOP)?;
        self.pace = Pace::Frozen;
        Ok(())
    }

    /// Ends [`Child::freeze`].
    pub(super) fn thaw(&mut self) -> Result<(), NodeError> {
        self.signal(Signal::CONT)?;
        self.pace = Pace::Running;
        Ok(())
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// SIGKILL for it and for all that it started in its group. Returns when it is gone.
    pub(super) async fn kill(&mut self) -> Result<ExitStatus, NodeError> {
        self.kill_group();
        self.ended(DEATH).await
    }

    /// The end of its log, without what it said before its last `lines` lines.
    pub(super) fn said(&self, lines: usize) -> String {
        said(&self.log, lines)
    }

    pub(super) fn late(&self, what: &str, deadline: Duration) -> NodeError {
        NodeError::Late {
            what: format!("{what} of {}", self.name),
            deadline,
            said: format!("it said ({}):\n{}", self.log.display(), self.said(15)),
        }
    }

    fn kill_group(&mut self) {
        if let (Ok(None), Some(pid)) = (self.process.try_wait(), self.pid()) {
            // It may end at this very moment.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_group();
        // Short: a killed process ends, a frozen one too.
        if self.process.wait().is_ok() {
            self.watch.forget(self.process.id());
        }
    }
}

/// The last lines of a log.
pub(super) fn said(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last: Vec<&str> = text.lines().rev().take(lines).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Waits until `look` finds something.
pub(super) async fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, NodeError>,
) -> Result<T, NodeError> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if begun.elapsed() >= deadline {
            return Err(NodeError::Late {
                what: what.to_owned(),
                deadline,
                said: String::new(),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}
