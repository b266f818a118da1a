//! Who decides: a list of regions, each with the Behörde that is competent for it, a deliberate refusal, or a choice.
//!
//! A list is written once per kind of authority and shared by every Leistung that uses it. At most one entry of a
//! region holds on any day; the loader refuses anything else, so a lookup needs no tie-break.

use std::collections::HashMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::ids::BehoerdeId;
use crate::position::Position;
use crate::region::Region;
use crate::window::Window;

/// One entry of a list of competences.
#[derive(Debug, Clone)]
pub(crate) struct Competence {
    pub(crate) region: Region,
    pub(crate) target: Target,
    pub(crate) window: Window,
    pub(crate) position: Position,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Behoerde(BehoerdeId),
    Refused(RefusedText),
    Choices(Vec<Choice>),
}

/// Why a region deliberately has no route, in the operators' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedText {
    pub(crate) reason: String,
    pub(crate) text: String,
    pub(crate) url: Option<String>,
    pub(crate) until: Option<Date>,
}

/// One of several authorities of which the client must pick one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The authority.
    pub behoerde: BehoerdeId,
    /// What tells it from the others, e.g. "Nachnamen A bis K".
    pub label: String,
}

/// The entries of one file, found by region.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompetenceList {
    by_region: HashMap<Region, Vec<Competence>>,
}

/// What a list says about one region on one day.
pub(crate) enum Found<'a> {
    Entry(&'a Competence),
    /// Only entries that begin later; the earliest of them.
    NotYet(&'a Competence, Date),
    /// Only entries that have ended; the latest of them.
    Over(&'a Competence, Date),
    Nothing,
}

impl CompetenceList {
    pub(crate) fn add(&mut self, competence: Competence) {
        self.by_region.entry(competence.region).or_default().push(competence);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_region.is_empty()
    }

    /// The entries of one region.
    pub(crate) fn of(&self, region: &Region) -> &[Competence] {
        self.by_region.get(region).map(Vec::as_slice).unwrap_or_default()
    }

    /// All entries, in the order in which they stand in the file.
    pub(crate) fn entries(&self) -> Vec<&Competence> {
        let mut entries: Vec<_> = self.by_region.values().flatten().collect();
        entries.sort_by(|a, b| a.position.cmp(&b.position));
        entries
    }

    /// Whether any entry that holds on this day names this authority, alone or among others.
    pub(crate) fn names(&self, behoerde: &BehoerdeId, on: Date) -> bool {
        self.by_region
            .values()
            .flatten()
            .filter(|entry| entry.window.contains(on))
            .any(|entry| match &entry.target {
                Target::Behoerde(named) => named == behoerde,
                Target::Choices(choices) => choices.iter().any(|choice| choice.behoerde == *behoerde),
                Target::Refused(_) => false,
            })
    }

    /// One hash probe.
    pub(crate) fn find(&self, region: &Region, on: Date) -> Found<'_> {
        let entries = self.of(region);
        if let Some(entry) = entries.iter().find(|entry| entry.window.contains(on)) {
            return Found::Entry(entry);
        }
        let begins = |entry: &Competence| entry.window.from.filter(|from| on < *from);
        let ended = |entry: &Competence| entry.window.until.filter(|until| *until < on);
        let next = entries
            .iter()
            .filter_map(|e| begins(e).map(|from| (e, from)))
            .min_by_key(|(_, from)| *from);
        let last = entries
            .iter()
            .filter_map(|e| ended(e).map(|until| (e, until)))
            .max_by_key(|(_, until)| *until);
        match (next, last) {
            (Some((entry, from)), _) => Found::NotYet(entry, from),
            (None, Some((entry, until))) => Found::Over(entry, until),
            (None, None) => Found::Nothing,
        }
    }
}
