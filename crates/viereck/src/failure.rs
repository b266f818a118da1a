//! How a command ends: the documented exit codes, and the one form in which an error is printed.
//!
//! A [`Failure`] is made where the cause is known and printed once, at the top of the program. It has a stable code for
//! programs, a sentence for people, a position where there is one, and the next step. No failure carries anything that a
//! client typed or a secret; sentences name files, keys of the configuration and identifiers only.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::telemetry::escaped;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something nobody foresaw.
    Unexpected = 1,
    /// The command line or the configuration cannot be understood.
    Usage = 2,
    /// What was asked for is not there.
    NotFound = 3,
    /// The thing examined has errors: a table with findings, an envelope that is refused.
    Findings = 4,
    /// There are changes that somebody has to agree to first.
    ChangesPending = 5,
    /// Not allowed, or a signature is missing.
    NotPermitted = 6,
    /// Somebody cannot be reached now; later it may work.
    Unreachable = 7,
    /// It would overwrite or collide with something that is there.
    Conflict = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A place in a text file, for people and editors: `file:line:column`, both counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file as the user named it.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The position of the octet `offset` in `text`, the content of `file`.
    pub fn in_text(file: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    /// The exit code of the process.
    pub exit: Exit,
    /// Stable, for programs: lower case with hyphens.
    pub code: &'static str,
    /// One clear sentence.
    pub sentence: String,
    /// Where the cause stands.
    pub position: Option<Position>,
    /// The next step.
    pub help: Option<String>,
}

impl Failure {
    /// A failure without position and help.
    pub fn new(exit: Exit, code: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            exit,
            code,
            sentence: sentence.into(),
            position: None,
            help: None,
        }
    }

    /// With the place of the cause.
    #[must_use]
    pub fn at(mut self, position: impl Into<Option<Position>>) -> Self {
        self.position = position.into();
        self
    }

    /// With the next step.
    #[must_use]
    pub fn help(mut self, next_step: impl Into<String>) -> Self {
        self.help = Some(next_step.into());
        self
    }

    /// A file or folder that cannot be read or written, with the exit code that fits the cause.
    pub fn of_file(verb: &str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let (exit, code) = match error.kind() {
            ErrorKind::NotFound => (Exit::NotFound, "file-not-found"),
            ErrorKind::PermissionDenied => (Exit::NotPermitted, "file-not-permitted"),
            ErrorKind::AlreadyExists => (Exit::Conflict, "file-exists"),
            _ => (Exit::Unexpected, "file-failed"),
        };
        let help = match exit {
            Exit::NotFound => "Relative paths count from the working directory; is the name right?",
            Exit::NotPermitted => "Look at the owner and the mode of the file and of its folders.",
            _ => "Look at the path, and whether the disk has room.",
        };
        Self::new(exit, code, format!("Cannot {verb} {}: {error}.", path.display())).help(help)
    }

    /// The form in which it is printed. Outside text in it (a file's name, a server's answer) can neither add a line nor
    /// steer a terminal.
    pub fn report(&self) -> String {
        let mut text = format!("error[{}]: {}\n", self.code, escaped(&self.sentence));
        if let Some(position) = &self.position {
            text.push_str(&format!("  --> {}\n", escaped(&position.to_string())));
        }
        if let Some(help) = &self.help {
            text.push_str(&format!("help: {}\n", escaped(help)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let documented = [
            Exit::Ok,
            Exit::Unexpected,
            Exit::Usage,
            Exit::NotFound,
            Exit::Findings,
            Exit::ChangesPending,
            Exit::NotPermitted,
            Exit::Unreachable,
            Exit::Conflict,
        ];
        for (number, exit) in documented.into_iter().enumerate() {
            assert_eq!(exit as usize, number);
        }
    }

    #[test]
    fn a_report_has_code_sentence_place_and_next_step() {
        let failure = Failure::new(Exit::Usage, "config-invalid", "There is no key listn.")
            .at(Position::in_text(Path::new("a.toml"), "ä = 1\nlistn = 2\n", 7))
            .help("Write listen.");
        assert_eq!(
            failure.report(),
            "error[config-invalid]: There is no key listn.\n  --> a.toml:2:1\nhelp: Write listen.\n"
        );
    }

    #[test]
    fn outside_text_cannot_add_a_line_to_a_report() {
        let report = Failure::new(Exit::Findings, "x", "a\nerror[y]: b\u{1b}[2J")
            .help("c\nd")
            .report();
        assert_eq!(report, "error[x]: a\\u000aerror[y]: b\\u001b[2J\nhelp: c\\u000ad\n");
    }

    #[test]
    fn columns_count_characters_and_offsets_beyond_the_end_do_no_harm() {
        let position = Position::in_text(Path::new("a"), "größe = x", 10);
        assert_eq!((position.line, position.column), (1, 9));
        assert_eq!(Position::in_text(Path::new("a"), "x", 99).line, 1);
    }
}
