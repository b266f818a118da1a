//! One at a time: whoever makes a key or enters a certificate waits for whoever is at it.
//!
//! Guarantees: two commands never choose the same number, and no entry is written over by another. The system holds the
//! lock and lets go of it when the process ends, however it ends; it lies on the table's folder itself, so nothing is left
//! in what operators commit. Does not keep out an editor, or a command on another host that shares the folder.

use std::fs::File;
use std::path::Path;

use crate::failure::Failure;
use crate::routes;

/// While this lives, it is this process's turn.
#[derive(Debug)]
pub(super) struct Turn {
    _folder: File,
}

impl Turn {
    /// Waits until nobody else is at this table.
    ///
    /// # Errors
    /// There is no such folder, or it cannot be locked.
    pub(super) fn wait(table: &Path) -> Result<Self, Failure> {
        routes::is_there(table)?;
        let refuse = |error| Failure::of_file("lock", table, &error);
        let folder = File::open(table).map_err(refuse)?;
        folder.lock().map_err(refuse)?;
        Ok(Self { _folder: folder })
    }
}
