//! Files that somebody names on the command line.
//!
//! Guarantees: nothing but a regular file is read, for a pipe that nobody writes to would hang for ever. Private keys are
//! read elsewhere, by the one function that looks at their rights.

use std::io::{ErrorKind, Read};
use std::path::Path;

use viereck_gateway::key_files::open_regular;

use crate::failure::{Exit, Failure};

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = open_regular(path).and_then(|mut file| file.read_to_string(&mut text));
    read.map(|_| text).map_err(|error| unread(path, &error))
}

/// The octets of a file.
pub(crate) fn octets(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let read = open_regular(path).and_then(|mut file| file.read_to_end(&mut octets));
    read.map(|_| octets).map_err(|error| unread(path, &error))
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    if error.kind() != ErrorKind::InvalidInput {
        return Failure::of_file("read", path, error);
    }
    let sentence = format!("Cannot read {}: {error}.", path.display());
    Failure::new(Exit::Usage, "file-not-regular", sentence).help("Write what comes from a pipe to a file first.")
}
