//! A copy of a journal to look at.
//!
//! A journal belongs to the one process that has it open. Looking means looking at a copy: the running process is
//! neither locked out nor slowed down, and nothing that is done to the copy reaches it. Needs the room for it in the
//! temporary folder.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Source;
use crate::failure::{Exit, Failure};

/// How long to wait for a moment in which a journal can be copied.
const PATIENCE: Duration = Duration::from_secs(10);

/// The copy.
pub(super) struct Copy {
    /// Removed when it is dropped.
    _folder: tempfile::TempDir,
    pub(super) file: PathBuf,
}

impl Copy {
    /// Copies the file and its write-ahead log. The copy is whole if the file did not change meanwhile: the log only
    /// grows until it is copied into the file, and what it lacks at its end are commits after this moment.
    pub(super) fn of(source: &Source) -> Result<Self, Failure> {
        let folder =
            tempfile::tempdir().map_err(|error| Failure::of_file("make a folder in", &std::env::temp_dir(), &error))?;
        let file = folder.path().join("journal.sqlite");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = state(source)?;
            copy_if_there(&source.path, &file)?;
            copy_if_there(&beside(&source.path), &beside(&file))?;
            if state(source)? == before {
                return Ok(Self { _folder: folder, file });
            }
            if Instant::now() > deadline {
                let sentence = format!("The journal of {} does not stand still long enough.", source.custodian);
                return Err(Failure::new(Exit::Unreachable, "journal-busy", sentence).help("Try again in a moment."));
            }
        }
    }
}

/// What tells whether the file itself was written to: its length, its time, and the salt of its log.
fn state(source: &Source) -> Result<(u64, SystemTime, Vec<u8>), Failure> {
    let metadata = match std::fs::metadata(&source.path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let sentence = format!("{} has no journal at {}.", source.custodian, source.path.display());
            return Err(Failure::new(Exit::NotFound, "journal-missing", sentence)
                .help("Paths in a configuration count from the working directory; has the process ever run?"));
        }
        Err(error) => return Err(Failure::of_file("look at", &source.path, &error)),
    };
    let mut salt = Vec::new();
    if let Ok(log) = File::open(beside(&source.path)) {
        log.take(32)
            .read_to_end(&mut salt)
            .map_err(|error| Failure::of_file("read", &source.path, &error))?;
    }
    let modified = metadata
        .modified()
        .map_err(|error| Failure::of_file("look at", &source.path, &error))?;
    Ok((metadata.len(), modified, salt))
}

fn copy_if_there(from: &Path, to: &Path) -> Result<(), Failure> {
    match std::fs::copy(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::of_file("copy", from, &error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// SQLite's write-ahead log of a file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
