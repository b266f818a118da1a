//! Private keys never come into the folder of the table, which is given out to everybody.
//!
//! Guarantees: judged by where both paths really lead, before anything is written, whether the folder is there yet or not.
//! Does not look at what lies in either.

use std::path::{Component, Path, PathBuf};

use crate::failure::{Exit, Failure};

/// Refuses to put private keys into the folder of the table, which is given out to everybody, or the table among them.
pub(super) fn apart(table: &Path, out: &Path) -> Result<(), Failure> {
    let refuse = |path: &Path, error| Failure::of_file("look at", path, &error);
    let real_table = resolved(table).map_err(|error| refuse(table, error))?;
    let real_out = resolved(out).map_err(|error| refuse(out, error))?;
    if !real_out.starts_with(&real_table) && !real_table.starts_with(&real_out) {
        return Ok(());
    }
    let (table, out) = (table.display(), out.display());
    let sentence = format!("{out} and the table {table} lie in each other, and the table is given out to everybody.");
    Err(Failure::new(Exit::Usage, "keys-in-table", sentence).help("Name a folder beside the table."))
}

/// Where a path leads, whether or not it is there yet.
fn resolved(path: &Path) -> std::io::Result<PathBuf> {
    let mut real = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
        // what is not there yet is no link
        real = std::fs::canonicalize(&real).unwrap_or(real);
    }
    Ok(real)
}
