//! Reads TOML with its places: every key and every value knows its file, line and column.
//!
//! A reader asks a table for the keys it knows; whatever nobody asked for is reported as unknown. A wrong value is
//! reported where it stands and reading goes on, so that all findings of a file come at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::catalogue::Code;
use crate::position::{Lines, Position};
use crate::report::Report;
use crate::window::{Window, start_of_day};

/// The longest text that a table may carry, in characters.
const TEXT_CHARS: usize = 1000;

/// A parsed file.
pub(crate) struct Document<'a> {
    lines: Lines<'a>,
    root: Spanned<DeTable<'a>>,
    intact: bool,
}

/// A table of which the keys are taken one by one.
pub(crate) struct Fields<'a> {
    lines: &'a Lines<'a>,
    report: &'a Report,
    table: &'a DeTable<'a>,
    position: Position,
    known: BTreeSet<&'static str>,
    intact: bool,
}

/// A value and the key it stands under.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    lines: &'a Lines<'a>,
    report: &'a Report,
    value: &'a Spanned<DeValue<'a>>,
    key: &'a str,
    intact: bool,
}

impl<'a> Document<'a> {
    /// Parses a file. What is not TOML is reported; the rest is read all the same, so that what it defines is known.
    pub(crate) fn parse(file: &Arc<str>, octets: &'a [u8], report: &Report) -> Option<Self> {
        let Ok(text) = std::str::from_utf8(octets) else {
            report.add(Code::NotUtf8, &Position::start_of(file), &[]);
            return None;
        };
        let lines = Lines::new(Arc::clone(file), text);
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let position = lines.at(error.span().map_or(0, |span| span.start));
            if is_unquoted_region(lines.line(position.line)) {
                report.add(Code::RegionNotQuoted, &position, &[]);
            } else {
                report.add(Code::Syntax, &position, &[&one_line(error.message())]);
            }
        }
        let intact = errors.is_empty();
        Some(Self { lines, root, intact })
    }

    pub(crate) fn fields<'d>(&'d self, report: &'d Report) -> Fields<'d>
    where
        'a: 'd,
    {
        Fields {
            lines: shorten(&self.lines),
            report,
            table: shorten_table(self.root.get_ref()),
            position: Position::start_of(self.lines.file()),
            known: BTreeSet::new(),
            intact: self.intact,
        }
    }
}

// Both types are covariant in their lifetime; naming the shorter one keeps the readers' signatures to one lifetime.
fn shorten<'d, 'a: 'd>(lines: &'d Lines<'a>) -> &'d Lines<'d> {
    lines
}

fn shorten_table<'d, 'a: 'd>(table: &'d DeTable<'a>) -> &'d DeTable<'d> {
    table
}

impl<'a> Fields<'a> {
    /// Where the table begins.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Whether the whole file is TOML. If not, an absent key may only have been unreadable.
    pub(crate) fn is_intact(&self) -> bool {
        self.intact
    }

    /// The value of a key that may be absent.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.insert(key);
        self.table.get(key).map(|value| self.value(key, value))
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() && self.intact {
            self.report.add(Code::KeyMissing, &self.position, &[&key]);
        }
        value
    }

    /// Every key with its value and the key's place, in the order of the file: for tables whose keys are names.
    pub(crate) fn named(&self) -> Vec<(&'a str, Position, Value<'a>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| {
                let name: &'a str = key.get_ref();
                (name, self.lines.at(key.span().start), self.value(name, value))
            })
            .collect()
    }

    /// `from` and `until` of an entry; reports when they are the wrong way round.
    pub(crate) fn window(&mut self) -> Window {
        let from = self.get("from");
        let window = Window {
            from: from.as_ref().and_then(Value::date),
            until: self.get("until").and_then(|value| value.date()),
        };
        if let (Some(value), Some(start), Some(end)) = (from, window.from, window.until)
            && start > end
        {
            self.report
                .add(Code::WindowBackwards, &value.position(), &[&start, &end]);
        }
        window
    }

    /// Reports something about the table.
    pub(crate) fn report(&self, code: Code, position: &Position, arguments: &[&dyn Display]) {
        self.report.add(code, position, arguments);
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        let known = self.known.iter().copied().collect::<Vec<_>>().join(", ");
        for key in self
            .table
            .keys()
            .filter(|key| !self.known.contains(key.get_ref().as_ref()))
        {
            let position = self.lines.at(key.span().start);
            self.report
                .add(Code::KeyUnknown, &position, &[&printable(key.get_ref()), &known]);
        }
    }

    fn value(&self, key: &'a str, value: &'a Spanned<DeValue<'a>>) -> Value<'a> {
        Value {
            lines: self.lines,
            report: self.report,
            value,
            key,
            intact: self.intact,
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn position(&self) -> Position {
        self.lines.at(self.value.span().start)
    }

    /// Reports something about this value.
    pub(crate) fn object(&self, code: Code, arguments: &[&dyn Display]) {
        self.report.add(code, &self.position(), arguments);
    }

    /// A text of one line.
    pub(crate) fn text(&self) -> Option<String> {
        let text = self.string("\"…\"")?;
        let plain = is_plain_text(text);
        if !plain {
            self.object(Code::TextNotPlain, &[&self.key, &TEXT_CHARS]);
        }
        plain.then(|| text.to_owned())
    }

    /// An identifier; `malformed` is reported when it does not have its shape.
    pub(crate) fn parse<T: FromStr>(&self, malformed: Code) -> Option<T> {
        let text = self.string("\"…\"")?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.object(malformed, &[&printable(text)]);
        }
        parsed
    }

    /// One of a closed list of words.
    pub(crate) fn word<T: Copy + Display>(&self, words: &[T]) -> Option<T> {
        let text = self.string("\"…\"")?;
        let found = words.iter().find(|word| word.to_string() == text);
        if found.is_none() {
            let possible: Vec<_> = words.iter().map(ToString::to_string).collect();
            self.object(Code::WordUnknown, &[&printable(text), &possible.join(", ")]);
        }
        found.copied()
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, least: u64, most: u64) -> Option<u64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return self.wrong_type("42");
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.object(Code::NumberOutOfRange, &[&self.key, &least, &most]);
        }
        number
    }

    /// A day.
    pub(crate) fn date(&self) -> Option<Date> {
        let DeValue::Datetime(stamp) = self.value.get_ref() else {
            return self.wrong_type("2027-01-01");
        };
        let date = match (stamp.date, stamp.time, stamp.offset) {
            (Some(date), None, None) => stamp_date(&date),
            _ => None,
        };
        if date.is_none() {
            self.object(Code::DateMalformed, &[stamp]);
        }
        date
    }

    /// An instant with its offset from UTC, or a day.
    pub(crate) fn instant(&self) -> Option<Instant> {
        let DeValue::Datetime(stamp) = self.value.get_ref() else {
            return self.wrong_type("2027-01-01T00:00:00Z");
        };
        let instant = match (stamp.date, stamp.time, stamp.offset) {
            (Some(date), None, None) => stamp_date(&date).map(Instant::Day),
            (Some(_), Some(_), Some(_)) => stamp.to_string().parse().ok().map(Instant::Exact),
            _ => None,
        };
        if instant.is_none() {
            self.object(Code::DateMalformed, &[stamp]);
        }
        instant
    }

    /// The members of an array.
    pub(crate) fn items(&self) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return self.wrong_type("[ … ]");
        };
        let member = |value| Value { value, ..self.clone() };
        Some(items.iter().map(member).collect())
    }

    /// A table.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return self.wrong_type("{ … }");
        };
        Some(Fields {
            lines: self.lines,
            report: self.report,
            table,
            position: self.position(),
            known: BTreeSet::new(),
            intact: self.intact,
        })
    }

    /// The members of an array of tables.
    pub(crate) fn tables(&self) -> Vec<Fields<'a>> {
        let items = self.items().unwrap_or_default();
        items.iter().filter_map(Value::fields).collect()
    }

    /// Whether it is a text, without a word if it is not.
    pub(crate) fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// Whether it is a table, without a word if it is not.
    pub(crate) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Whether it is a number, without a word if it is not.
    pub(crate) fn is_number(&self) -> bool {
        self.value.get_ref().is_integer() || self.value.get_ref().is_float()
    }

    fn string(&self, example: &str) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type(example),
        }
    }

    fn wrong_type<T>(&self, example: &str) -> Option<T> {
        // Recovery after a syntax error leaves placeholders; the syntax error has been reported already.
        if self.intact {
            self.object(Code::TypeWrong, &[&printable(self.key), &example]);
        }
        None
    }
}

/// A point in time as a table writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instant {
    /// A whole day.
    Day(Date),
    /// To the second.
    Exact(jiff::Timestamp),
}

impl Instant {
    /// The instant, or the first one of the day where the offices are.
    pub(crate) fn begins(self) -> Option<jiff::Timestamp> {
        match self {
            Instant::Day(day) => start_of_day(day),
            Instant::Exact(instant) => Some(instant),
        }
    }
}

fn stamp_date(date: &toml::value::Date) -> Option<Date> {
    let year = i16::try_from(date.year).ok()?;
    Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}

/// Neither a control character nor one that turns the direction of writing round: names are shown on terminals and in
/// audit lines, where nothing may look like something else.
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether this is a short text of one line, without characters that make it look like something else: what people may
/// see on terminals and in lists.
pub fn is_plain_text(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().all(is_plain) && text.chars().take(TEXT_CHARS + 1).count() <= TEXT_CHARS
}

/// Text from a file as it may stand in a sentence: short and without control characters.
pub(crate) fn printable(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| is_plain(*c)).take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn one_line(message: &str) -> String {
    printable(&message.lines().collect::<Vec<_>>().join(", "))
}

/// An ARS without quotes is not even TOML, because of its leading zero: the finding should say so.
fn is_unquoted_region(line: &str) -> bool {
    let value = line.trim_start().strip_prefix("region").map(str::trim_start);
    let value = value.and_then(|rest| rest.strip_prefix('=')).map(str::trim_start);
    value.is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit()))
}
