//! What is wrong with, or odd about, a folder of routing tables: one finding per cause, with its place and its words.
//!
//! Everything is found at once. A finding has a stable code, points to file, line and column, and says in German or
//! English what is the matter and what to do. Texts stand in the catalogue, nowhere else.

use std::fmt;

use serde::Serialize;

use crate::catalogue::Code;
use crate::leistung::closed_words;
use crate::position::Position;

closed_words!(
    /// How much a finding matters.
    Severity {
        /// The folder is not loaded.
        Error = "error",
        /// The folder is loaded; a person should look.
        Warning = "warning",
    }
);

/// The language of sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// German, the operators' language.
    #[default]
    De,
    /// English.
    En,
}

/// One finding.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the folder can still be loaded.
    pub severity: Severity,
    /// The stable code.
    pub code: &'static str,
    /// The path below the folder; `.` for the folder itself.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    text: Code,
    arguments: Vec<String>,
}

/// Why a folder was not loaded: every finding, errors and warnings, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

/// A finding as it is shown in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// error or warning.
    pub severity: Severity,
    /// The stable code.
    pub code: &'static str,
    /// The path below the folder.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    /// What is the matter.
    pub sentence: String,
    /// What to do.
    pub hint: String,
}

impl Finding {
    pub(crate) fn new(code: Code, position: &Position, arguments: &[&dyn fmt::Display]) -> Self {
        Self {
            severity: code.severity(),
            code: code.as_str(),
            file: position.file.to_string(),
            line: position.line,
            column: position.column,
            text: code,
            arguments: arguments.iter().map(ToString::to_string).collect(),
        }
    }

    /// What is the matter.
    pub fn sentence(&self, lang: Lang) -> String {
        fill(self.text.sentence(lang), &self.arguments)
    }

    /// What to do.
    pub fn hint(&self, lang: Lang) -> String {
        fill(self.text.hint(lang), &self.arguments)
    }

    /// The finding in one language, to be serialised.
    pub fn told(&self, lang: Lang) -> Told {
        Told {
            severity: self.severity,
            code: self.code,
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            sentence: self.sentence(lang),
            hint: self.hint(lang),
        }
    }

    /// The finding as text of two or three lines.
    pub fn text(&self, lang: Lang) -> String {
        let Told { severity, code, .. } = self.told(lang);
        format!(
            "{severity}[{code}] {}:{}:{}: {}\n  help: {}",
            self.file,
            self.line,
            self.column,
            self.sentence(lang),
            self.hint(lang)
        )
    }
}

/// Puts the arguments into `{0}`, `{1}`, … in one pass, so that braces within an argument stay what they are.
fn fill(template: &str, arguments: &[String]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, from_brace) = rest.split_at(open);
        text.push_str(before);
        let argument = from_brace
            .get(1..2)
            .filter(|_| from_brace.get(2..3) == Some("}"))
            .and_then(|digit| digit.parse::<usize>().ok())
            .and_then(|index| arguments.get(index));
        match argument {
            Some(argument) => {
                text.push_str(argument);
                rest = &from_brace[3..];
            }
            None => {
                text.push('{');
                rest = &from_brace[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Lang::En))
    }
}

impl Findings {
    /// Sorts the findings by their place, so that the same folder always gives the same list.
    pub(crate) fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| {
            let place = |f: &Finding| (f.file.clone(), f.line, f.column, f.code);
            place(a).cmp(&place(b)).then_with(|| a.arguments.cmp(&b.arguments))
        });
        findings.dedup();
        Self(findings)
    }

    /// All of them, in the order of files and lines.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.0
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count()
    }

    /// The findings themselves.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the routing tables have {} errors", self.errors())?;
        let first = self.0.iter().find(|finding| finding.severity == Severity::Error);
        match first {
            Some(finding) => write!(f, ", the first: {}", finding.text(Lang::En)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Findings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_put_in_once_and_never_read_as_templates() {
        let arguments = ["{1}".to_owned(), "b".to_owned()];
        assert_eq!(fill("{0} and {1}, {2} {x} {", &arguments), "{1} and b, {2} {x} {");
    }
}
