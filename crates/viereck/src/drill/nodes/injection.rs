//! Failures of the disk under one file of a running process, made by `strace`.
//!
//! The process is attached to while it runs and let go of again, so a disk fails at a chosen moment and recovers. Only
//! calls on the named file (and what SQLite keeps beside it) fail; the process's other files and sockets work. While
//! somebody is attached every system call of the process is slower, so a failure is not a measure of speed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, geteuid};

use super::child::{Child, said, until};
use super::error::NodeError;
use super::process::Process;
use super::program;
use super::watch::Watch;

/// How long attaching to all threads may take, and letting go of them.
const ATTACHING: Duration = Duration::from_secs(20);

/// What a disk does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// Every `fsync` says that the disk failed (EIO).
    FailFsync,
    /// Every write says that the disk is full (ENOSPC).
    FullDisk,
    /// Every `fsync` takes this much longer.
    SlowFsync(Duration),
}

impl Injection {
    /// The system calls that it strikes, and how.
    fn calls(self) -> (&'static str, String) {
        const SYNCING: &str = "fsync,fdatasync";
        match self {
            Self::FailFsync => (SYNCING, "error=EIO".to_owned()),
            Self::FullDisk => ("write,pwrite64,pwritev,writev,fallocate", "error=ENOSPC".to_owned()),
            Self::SlowFsync(delay) => (SYNCING, format!("delay_enter={}", delay.as_micros())),
        }
    }
}

/// A failure that lasts until it is ended or dropped.
#[derive(Debug)]
pub struct Injected {
    strace: Child,
    /// Ends after the child.
    _watch: Arc<Watch>,
}

/// Whether failures can be made here.
///
/// # Errors
/// [`NodeError::Missing`] when `strace` is not installed or may not attach to processes that are not its own children.
pub fn available() -> Result<(), NodeError> {
    let missing = |why: &str| NodeError::Missing {
        tool: "strace",
        why: why.to_owned(),
    };
    if program("strace").is_none() {
        return Err(missing("it is not installed (Debian's package strace)"));
    }
    // Where the file is not there, the kernel asks for no more than the same user.
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "" | "0" => Ok(()),
        "1" | "2" if geteuid().is_root() => Ok(()),
        _ => Err(missing(
            "the kernel lets nobody attach to this process (kernel.yama.ptrace_scope)",
        )),
    }
}

impl Process {
    /// From now on the disk fails under `file`, a file that the process has open or opens.
    ///
    /// # Errors
    /// [`NodeError::Missing`] as in [`available`].
    pub async fn inject(&self, injection: Injection, file: &Path) -> Result<Injected, NodeError> {
        available()?;
        let watch = Watch::start(None)?;
        let (calls, how) = injection.calls();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", &format!("trace={calls}"), "-e", "signal=none"]);
        command.args(["-e", &format!("inject={calls}:{how}"), "-o", "/dev/null"]);
        for file in with_companions(file) {
            command.arg("-P").arg(file);
        }
        command.args(["-p", &self.id().to_string()]);
        let log = log_of(self.log());
        let mut strace = Child::start("strace", &mut command, &log, &watch)?;
        let tracer = strace.id();
        until("attaching to a process", ATTACHING, async || {
            if strace.status()?.is_some() {
                return Err(NodeError::NotStarted {
                    name: "strace".to_owned(),
                    said: said(&log, 5),
                });
            }
            Ok(is_attached(self.id(), tracer).then_some(()))
        })
        .await?;
        Ok(Injected { strace, _watch: watch })
    }
}

impl Injected {
    /// Lets go of the process: the disk works again. Returns once it does.
    pub async fn end(mut self) -> Result<(), NodeError> {
        if self.strace.status()?.is_none() {
            self.strace.signal(Signal::TERM)?;
        }
        // It may have ended with the process it was attached to.
        self.strace.ended(ATTACHING).await.map(drop)
    }
}

/// SQLite writes first into a log and an index beside its file.
fn with_companions(file: &Path) -> Vec<PathBuf> {
    ["", "-wal", "-shm", "-journal"]
        .iter()
        .map(|ending| {
            let mut name: OsString = file.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        })
        .collect()
}

fn log_of(log: &Path) -> PathBuf {
    let mut name: OsString = log.as_os_str().to_owned();
    name.push(".strace");
    PathBuf::from(name)
}

/// Whether this tracer holds every thread of the process.
fn is_attached(process: u32, tracer: u32) -> bool {
    let expected = format!("TracerPid:\t{tracer}");
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        // A thread that ended meanwhile needs no tracer.
        fs::read_to_string(thread.path().join("status"))
            .map_or(true, |status| status.lines().any(|line| line == expected))
    })
}
