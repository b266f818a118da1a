//! The adapter `directory`: one folder per message, for a Fachverfahren that reads files.
//!
//! ```text
//! <folder>/<messageId>/                  message.json, payload, form-01, attachment-01, …; markers of the Fachverfahren:
//!                                        an empty file `accepted`, or `rejected` with one line, the reason code
//! <folder>/.viereck/staged/<messageId>/  being written; the Fachverfahren never looks here
//! <folder>/.viereck/handed/<messageId>   put there just before the folder moves into place; holds the author
//! ```
//!
//! Guarantees: a folder appears whole or not at all (written and fsynced beside its place, renamed, both folders
//! fsynced). What became of a message can be told from the files alone, whatever moment a crash chose, see [`look`]:
//! so it is handed over again only if the Fachverfahren never saw it. A look reads a few
//! names and writes nothing. An unknown reason code is no refusal: it alarms and waits. A folder that is taken away was
//! taken over. Two instances may share a folder: both say the same of every message in it. Does not: make the folder, or
//! delete what the Fachverfahren was given.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use viereck_custody::MessageKey;
use viereck_envelope::Reason;

use super::adapter::AdapterError;
use super::message::HandOver;
use super::outcome::Outcome;
use crate::config::Acknowledge;

/// Octets of a `rejected` marker that are read at most; a reason code is shorter.
const MARKER: u64 = 256;

/// An empty `rejected` marker may be written to for this long; after that it is unclear.
const FRESH: Duration = Duration::from_secs(60);

/// A folder that a Fachverfahren reads from.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    folder: PathBuf,
    acknowledge: Acknowledge,
}

/// What the files say about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The Fachverfahren never saw it.
    NotHandedOver,
    /// It has it, and this is how far it is.
    HandedOver(Outcome),
    /// It has it, and what it says about it cannot be understood; what is wrong.
    Unclear(&'static str),
}

impl Directory {
    /// An existing folder. One that is missing is not made: a missing mount must not be mistaken for an empty folder.
    pub(crate) fn new(folder: PathBuf, acknowledge: Acknowledge) -> Result<Self, AdapterError> {
        match fs::read_dir(&folder) {
            Ok(_) => Ok(Self { folder, acknowledge }),
            Err(error) => Err(AdapterError::NoFolder { folder, error }),
        }
    }

    /// Whether anything was ever handed over here, so that what is missing is missing: a mount that is away fails.
    pub(crate) fn is_there(&self) -> io::Result<()> {
        fs::metadata(self.folder.join(".viereck/handed")).map(|_| ())
    }

    /// What became of a message so far.
    ///
    /// | in place | staged | handed | meaning |
    /// |---|---|---|---|
    /// | yes | | yes | handed over: the markers say how far it is |
    /// | yes | | no | a folder of another message with this id: conflict |
    /// | no | yes | | a crash before the rename: not handed over |
    /// | no | no | yes | handed over and taken away: accepted |
    /// | no | no | no | not handed over |
    pub(crate) fn look(&self, key: &MessageKey) -> io::Result<Seen> {
        let place = self.place(key);
        let handed = self.handed_is_ours(key)?;
        if handed == Some(false) {
            return Ok(Seen::HandedOver(Outcome::Rejected(Reason::MessageIdConflict)));
        }
        match (exists(&place)?, exists(&self.staged(key))?, handed) {
            (true, _, Some(_)) => self.markers(&place),
            (true, _, None) => Ok(Seen::HandedOver(Outcome::Rejected(Reason::MessageIdConflict))),
            (false, false, Some(_)) => Ok(Seen::HandedOver(Outcome::Accepted)),
            (false, true, _) | (false, false, None) => Ok(Seen::NotHandedOver),
        }
    }

    /// Writes a message into its place. Call [`Directory::look`] first.
    pub(crate) fn hand_over(&self, key: &MessageKey, message: &HandOver) -> io::Result<Outcome> {
        let (staged, handed, place) = (self.staged(key), self.handed(key), self.place(key));
        // the folder itself is not made here: a mount that is missing must not be mistaken for an empty one
        for name in [".viereck", ".viereck/staged", ".viereck/handed"] {
            make(&self.folder.join(name))?;
        }
        // leftovers of a crash, which nobody has seen; the record first, because alone it would mean "taken away"
        remove(fs::remove_file(&handed))?;
        sync_parent(&handed)?;
        remove(fs::remove_dir_all(&staged))?;
        make_new(&staged)?;
        write(&staged.join("message.json"), &message.json)?;
        for file in &message.files {
            write(&staged.join(&file.file), &file.octets)?;
        }
        sync(&staged)?;
        sync_parent(&staged)?;
        // whole or not at all: half a record would be that of another author
        let whole = handed.with_extension("new");
        write(&whole, key.author.as_str().as_bytes())?;
        fs::rename(&whole, &handed)?;
        sync_parent(&handed)?;
        fs::rename(&staged, &place)?;
        sync_parent(&staged)?;
        sync_parent(&place)?;
        match self.acknowledge {
            Acknowledge::Rename => Ok(Outcome::Accepted),
            Acknowledge::Marker => Ok(Outcome::Waiting),
        }
    }

    /// Forgets a message whose end is on disk in the journal. A failure leaves a small file and nothing else.
    pub(crate) fn forget(&self, key: &MessageKey) {
        // while its folder stands, its record keeps another message of the same id out; the record of one that kept this
        // one out stays
        if matches!(exists(&self.place(key)), Ok(false)) && matches!(self.handed_is_ours(key), Ok(Some(true))) {
            let _ = fs::remove_file(self.handed(key));
        }
    }

    /// Whether the record of a message with this id is of this very one; `None` when there is no record.
    fn handed_is_ours(&self, key: &MessageKey) -> io::Result<Option<bool>> {
        match fs::read_to_string(self.handed(key)) {
            Ok(author) => Ok(Some(author == key.author.as_str())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn markers(&self, place: &Path) -> io::Result<Seen> {
        if self.acknowledge == Acknowledge::Rename {
            return Ok(Seen::HandedOver(Outcome::Accepted));
        }
        let waits = Ok(Seen::HandedOver(Outcome::Waiting));
        if !fs::symlink_metadata(place)?.is_dir() {
            return Ok(Seen::Unclear("its folder is no folder any more"));
        }
        match (
            Marker::at(&place.join("accepted"))?,
            Marker::at(&place.join("rejected"))?,
        ) {
            (Marker::Absent, Marker::Absent) => waits,
            (Marker::File { .. }, Marker::Absent) => Ok(Seen::HandedOver(Outcome::Accepted)),
            (
                Marker::Absent,
                Marker::File {
                    empty: true,
                    fresh: true,
                },
            ) => waits,
            (Marker::Absent, Marker::File { .. }) => {
                let mut line = Vec::new();
                let read = File::open(place.join("rejected"))?.take(MARKER).read_to_end(&mut line);
                match reason_of(&line) {
                    Some(reason) if read.is_ok() => Ok(Seen::HandedOver(Outcome::Rejected(reason))),
                    _ => Ok(Seen::Unclear("the marker rejected holds no reason code of the list")),
                }
            }
            (Marker::File { .. }, Marker::File { .. }) => Ok(Seen::Unclear("both markers are set")),
            (Marker::NoFile, _) | (_, Marker::NoFile) => Ok(Seen::Unclear("a marker is no plain file")),
        }
    }

    fn place(&self, key: &MessageKey) -> PathBuf {
        self.folder.join(key.message_id.to_string())
    }

    fn staged(&self, key: &MessageKey) -> PathBuf {
        self.folder.join(".viereck/staged").join(key.message_id.to_string())
    }

    fn handed(&self, key: &MessageKey) -> PathBuf {
        self.folder.join(".viereck/handed").join(key.message_id.to_string())
    }
}

/// The reason in the first octets of a marker `rejected`.
pub(crate) fn reason_of(marker: &[u8]) -> Option<Reason> {
    std::str::from_utf8(marker).ok()?.trim().parse().ok()
}

/// Who reads these folders shares a group with the gateway; nobody else is to read what stands in them.
fn make_new(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o770).create(folder)
}

fn make(folder: &Path) -> io::Result<()> {
    match make_new(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync)
}

fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What stands where a marker may stand.
enum Marker {
    Absent,
    /// A file; an empty one that is `fresh` may still be written to.
    File {
        empty: bool,
        fresh: bool,
    },
    /// A link, a folder, a pipe: nothing that says yes or no.
    NoFile,
}

impl Marker {
    fn at(path: &Path) -> io::Result<Self> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Absent),
            Err(error) => return Err(error),
        };
        if !found.is_file() {
            return Ok(Self::NoFile);
        }
        let age = found
            .modified()
            .ok()
            .and_then(|since| SystemTime::now().duration_since(since).ok());
        Ok(Self::File {
            empty: found.len() == 0,
            fresh: age.is_none_or(|age| age < FRESH),
        })
    }
}

/// What was not there need not be removed.
fn remove(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
