//! Where something stands in the routing tables: file, line and column, so that every answer and every finding can
//! be looked up by a person.

use std::fmt;
use std::sync::Arc;

/// A place in a file of the folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The path below the folder, with `/` between its parts.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
}

impl Position {
    /// The very beginning of a file: where a finding about the file as a whole points to.
    pub fn start_of(file: &Arc<str>) -> Self {
        Self {
            file: Arc::clone(file),
            line: 1,
            column: 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Columns beyond this one are not counted: no person writes such lines, and counting must not take for ever.
const COLUMNS: usize = 4096;

/// Turns octet offsets of one file into positions.
pub(crate) struct Lines<'a> {
    file: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(file: Arc<str>, text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        let starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Self { file, text, starts }
    }

    pub(crate) fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The text of a line, counted from 1.
    pub(crate) fn line(&self, line: u32) -> &'a str {
        let start = usize::try_from(line)
            .ok()
            .and_then(|line| self.starts.get(line.checked_sub(1)?));
        let rest = start.and_then(|start| self.text.get(*start..)).unwrap_or_default();
        rest.split('\n').next().unwrap_or_default()
    }

    /// The position of an offset. One beyond the end, or inside a character, gives the nearest position before it.
    pub(crate) fn at(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        Position {
            file: Arc::clone(&self.file),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().take(COLUMNS).count() + 1).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_any_offset_has_a_position() {
        let text = "a = 1\nNiebüll = 2\n";
        let lines = Lines::new("x.toml".into(), text);
        let at = |offset| {
            let position = lines.at(offset);
            (position.line, position.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(text.find('2').unwrap()), (2, 11));
        assert_eq!(at(usize::MAX), (3, 1));
        for offset in 0..text.len() + 3 {
            let _ = lines.at(offset);
        }
    }
}
