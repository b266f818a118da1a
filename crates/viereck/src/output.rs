//! stdout is data: the one place that writes to it.
//!
//! A reader that goes away (`viereck … | head`) is no error; the command ends as if all had been read.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::failure::{Exit, Failure};

/// Writes `text` as it is.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    octets(text.as_bytes())
}

/// Writes one JSON document and a newline.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut document = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(Exit::Unexpected, "json-failed", format!("cannot write JSON: {error}")))?;
    document.push('\n');
    text(&document)
}

/// Tells a person a line, on stderr.
pub(crate) fn talk(line: &str) {
    // nobody is left to be told when stderr is gone
    let _gone = writeln!(std::io::stderr(), "{line}");
}

/// Writes `octets` as they are.
pub(crate) fn octets(octets: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(octets).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Unexpected,
            "stdout-failed",
            format!("cannot write to stdout: {error}"),
        )),
        _ => Ok(()),
    }
}
