//! A clock that is wrong by a chosen and changing amount, for the processes that are started under it.
//!
//! Made by `libfaketime`: the wall clock is shifted, the monotonic one is not, as when somebody sets a host's clock.
//! Times of files stay true. A program that sleeps until a moment of the monotonic clock cannot run under it, because
//! libfaketime refuses that call; ours sleep for a time.

use std::fs;
use std::path::PathBuf;

use jiff::SignedDuration;
use tempfile::TempDir;

use super::error::NodeError;

/// Below the folder of libraries, which is named after the machine.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A wrong clock that any number of processes may share.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    folder: TempDir,
}

/// Whether clocks can be shifted here.
///
/// # Errors
/// [`NodeError::Missing`] when `libfaketime` is not installed.
pub fn available() -> Result<(), NodeError> {
    library().map(drop)
}

impl Clock {
    /// A clock that is right for now.
    ///
    /// # Errors
    /// [`NodeError::Missing`] when `libfaketime` is not installed.
    pub fn new() -> Result<Self, NodeError> {
        let clock = Self {
            library: library()?,
            folder: tempfile::tempdir().map_err(NodeError::system("make a temporary folder"))?,
        };
        clock.set(SignedDuration::ZERO)?;
        Ok(clock)
    }

    /// Makes the clock wrong by this much, to the second: ahead when it is positive. Takes effect at once.
    pub fn set(&self, offset: SignedDuration) -> Result<(), NodeError> {
        // Renamed into place: processes read it whenever they look at the clock.
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{:+}\n", offset.as_secs()))
            .and_then(|()| fs::rename(&next, self.file()))
            .map_err(NodeError::system("set a clock"))
    }

    /// What puts a process under this clock, for [`super::process::Program::environment`].
    pub fn environment(&self) -> Vec<(String, String)> {
        let (library, file) = (self.library.display().to_string(), self.file().display().to_string());
        [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_DISABLE_SHM", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

fn library() -> Result<PathBuf, NodeError> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join(LIBRARY))
        .find(|library| library.is_file())
        .ok_or_else(|| NodeError::Missing {
            tool: "libfaketime",
            why: "it is not installed (Debian's package faketime)".to_owned(),
        })
}
