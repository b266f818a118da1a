//! Reads the lists that come from elsewhere: the municipalities, the districts of cities, the DVDV's prefixes.

use std::collections::HashSet;
use std::sync::Arc;

use super::draft::{Draft, Reading};
use crate::catalogue::Code;
use crate::fields::is_plain;
use crate::places::Municipality;
use crate::position::Position;

const MUNICIPALITIES: &str = "gemeinden.csv";
/// Districts that carry keys of their own (Berlin, Bremen, Hamburg): regions where a list says so.
const DISTRICTS: &str = "stadtbezirke.csv";
const PREFIXES: &str = "dvdv-praefixe.csv";

const PLACE_COLUMNS: [&str; 3] = ["ags", "ars", "name"];
const PREFIX_COLUMNS: [&str; 2] = ["praefix", "behoerdenkategorie"];

pub(super) fn read(reading: &Reading<'_>, draft: &mut Draft) {
    if let Some(file) = reading.required(MUNICIPALITIES) {
        read_places(reading, file, draft);
        draft.municipalities = draft
            .places
            .municipalities()
            .map(|municipality| municipality.ars)
            .collect();
        draft.municipalities.sort();
    }
    if let Some(file) = reading.optional(DISTRICTS) {
        read_places(reading, file, draft);
    }
    if let Some(file) = reading.optional(PREFIXES) {
        let mut prefixes = HashSet::new();
        rows(reading, file, PREFIX_COLUMNS, |[prefix, _], _| {
            // Identifiers are lower case; the list has one prefix in capitals.
            prefixes.insert(prefix.to_lowercase());
            true
        });
        draft.prefixes = Some(prefixes);
    }
}

fn read_places(reading: &Reading<'_>, file: (&Arc<str>, &[u8]), draft: &mut Draft) {
    rows(reading, file, PLACE_COLUMNS, |[ags, ars, name], position| {
        let (Ok(ags), Ok(ars)) = (ags.parse(), ars.parse()) else {
            return false;
        };
        if name.trim().is_empty() || !name.chars().all(is_plain) {
            return false;
        }
        let name = name.to_owned();
        if draft.places.add(Municipality { name, ags, ars }).is_err() {
            reading.report.add(Code::PlaceTwice, position, &[&ars, &ags]);
        }
        true
    });
}

/// Gives every row with exactly these columns to `take`; reports rows that are not readable or that it refuses.
fn rows<const N: usize>(
    reading: &Reading<'_>,
    (path, octets): (&Arc<str>, &[u8]),
    columns: [&str; N],
    mut take: impl FnMut([&str; N], &Position) -> bool,
) {
    let expected = columns.join(",");
    let malformed = |line: u64| {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let position = Position {
            line,
            ..Position::start_of(path)
        };
        reading.report.add(Code::CsvMalformed, &position, &[&expected]);
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(octets);
    if !reader.headers().is_ok_and(|header| header.iter().eq(columns)) {
        malformed(1);
        return;
    }
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return,
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                let position = Position {
                    line: u32::try_from(line).unwrap_or(u32::MAX),
                    ..Position::start_of(path)
                };
                let mut cells = record.iter();
                let row = [(); N].map(|()| cells.next().unwrap_or_default());
                if !take(row, &position) {
                    malformed(line);
                }
            }
            Err(error) => {
                malformed(error.position().map_or(line, csv::Position::line));
                // Reading from memory cannot fail for long: the reader goes on behind the bad row.
                if error.is_io_error() {
                    return;
                }
            }
        }
    }
}
