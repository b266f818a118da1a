//! Looks over what has been read as a whole: can everyone who is competent be reached, and is anything odd.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;

use jiff::civil::Date;

use super::draft::{Draft, Reading, SectionDraft};
use crate::catalogue::Code;
use crate::competence::{Competence, CompetenceList, Found, Target};
use crate::ids::BehoerdeId;
use crate::leistung::{Fallback, Leistung};
use crate::participant::{Delivery, Participant};
use crate::position::Position;
use crate::region::Ars;
use crate::tables::Section;

pub(super) fn check(reading: &Reading<'_>, draft: &Draft) {
    for section in &draft.sections {
        check_reach(reading, draft, section);
        check_coverage(reading, draft, section);
        check_lists(reading, section);
    }
    for path in reading.untouched() {
        let position = Position::start_of(path);
        if path.ends_with(".md") {
            continue;
        }
        if path.starts_with("certificates/") && path.ends_with(".pem") {
            reading.report.add(Code::CertificateNotListed, &position, &[]);
        } else {
            reading.report.add(Code::FileUnexpected, &position, &[]);
        }
    }
}

/// Every authority that is competent for a Leistung has a delivery that takes one of its schemas.
fn check_reach(reading: &Reading<'_>, draft: &Draft, section: &SectionDraft) {
    let lists: BTreeMap<&str, Vec<Competent<'_>>> = section
        .section
        .lists
        .iter()
        .map(|(name, named)| (name.as_str(), competent(&named.list, draft, reading.today)))
        .collect();
    for leistung in section.section.leistungen.values() {
        for competent in competent(&leistung.exceptions, draft, reading.today) {
            check_delivery(reading, leistung, &competent);
        }
        for competent in lists.get(leistung.uses.as_str()).into_iter().flatten() {
            check_delivery(reading, leistung, competent);
        }
    }
}

/// An authority of a list, with the first entry that names it.
struct Competent<'a> {
    participant: &'a Participant,
    entry: &'a Competence,
    deliveries: Vec<&'a Delivery>,
}

/// Each authority that a list names now or later, once. An unknown one has been reported as such.
fn competent<'a>(list: &'a CompetenceList, draft: &'a Draft, today: Date) -> Vec<Competent<'a>> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for entry in list.entries() {
        if entry.window.is_over(today) {
            continue;
        }
        for behoerde in authorities(&entry.target) {
            let Some(participant) = draft.participants.get(behoerde).filter(|_| seen.insert(behoerde)) else {
                continue;
            };
            let holds = |delivery: &&Delivery| delivery.window.overlaps(&entry.window);
            let deliveries = participant.all_deliveries().filter(holds).collect();
            all.push(Competent {
                participant,
                entry,
                deliveries,
            });
        }
    }
    all
}

fn authorities(target: &Target) -> Vec<&BehoerdeId> {
    match target {
        Target::Behoerde(behoerde) => vec![behoerde],
        Target::Refused(_) => Vec::new(),
        Target::Choices(choices) => choices.iter().map(|choice| &choice.behoerde).collect(),
    }
}

fn check_delivery(reading: &Reading<'_>, leistung: &Leistung, competent: &Competent<'_>) {
    let behoerde = &competent.participant.id;
    let exact = |delivery: &Delivery| delivery.leistungen.contains(&leistung.id);
    let named = competent.deliveries.iter().any(|delivery| exact(delivery));
    let mut fitting = competent
        .deliveries
        .iter()
        .filter(|delivery| if named { exact(delivery) } else { !delivery.exact })
        .peekable();
    if fitting.peek().is_none() {
        let arguments = [&leistung.id as &dyn Display, behoerde];
        reading
            .report
            .add(Code::DeliveryMissing, &competent.entry.position, &arguments);
    }
    for delivery in fitting {
        if !leistung.schemas.iter().any(|schema| delivery.takes(&schema.urn)) && !leistung.schemas.is_empty() {
            let arguments = [behoerde as &dyn Display, &leistung.id];
            reading
                .report
                .add(Code::SchemaNotAccepted, &delivery.position, &arguments);
        }
    }
}

/// Counts the municipalities for which nobody is competent today and nobody says so.
fn check_coverage(reading: &Reading<'_>, draft: &Draft, section: &SectionDraft) {
    // Many Leistungen share a list: what is said in one list alone is counted once.
    let mut counted: HashMap<(&str, Fallback), Uncovered> = HashMap::new();
    for leistung in section.section.leistungen.values() {
        let offers: Vec<&SectionDraft> = draft
            .sections
            .iter()
            // A Land's places are answered by itself or by the country, the country's by any Land too.
            .filter(|other| other.land.is_none() || section.land.is_none() || other.land == section.land)
            .filter(|other| other.section.leistungen.contains_key(&leistung.id))
            .collect();
        let count = || uncovered(draft, section, &offers, leistung, reading.today);
        let uncovered = match leistung.exceptions.is_empty() && offers.len() == 1 {
            true => *counted.entry((&leistung.uses, leistung.fallback)).or_insert_with(count),
            false => count(),
        };
        if let Some(first) = uncovered.first {
            let place = draft.places.municipality(&first);
            let place = format!("{} ({first})", place.map_or("?", |municipality| &municipality.name));
            let arguments = [&leistung.id as &dyn Display, &uncovered.count, &place];
            reading
                .report
                .add(Code::MunicipalitiesUncovered, &leistung.position, &arguments);
        }
    }
}

/// The municipalities of a section for which neither their Land nor the country has an entry today.
fn uncovered(
    draft: &Draft,
    section: &SectionDraft,
    offers: &[&SectionDraft],
    leistung: &Leistung,
    today: Date,
) -> Uncovered {
    let inside = |land: Option<&str>, ars: &Ars| land.is_none_or(|land| ars.as_str().starts_with(land));
    let answered = |ars: &Ars| {
        let mut offers = offers.iter().filter(|offer| inside(offer.land.as_deref(), ars));
        offers.any(|offer| {
            let offered = offer.section.leistungen.get(&leistung.id);
            offered.is_some_and(|leistung| covers(&offer.section, leistung, ars, today))
        })
    };
    let places = draft
        .municipalities
        .iter()
        .filter(|ars| inside(section.land.as_deref(), ars));
    places
        .filter(|ars| !answered(ars))
        .fold(Uncovered::default(), |so_far, ars| Uncovered {
            count: so_far.count + 1,
            first: so_far.first.or(Some(*ars)),
        })
}

#[derive(Debug, Clone, Copy, Default)]
struct Uncovered {
    count: usize,
    first: Option<Ars>,
}

/// Whether an entry of the Leistung or of its list decides for this place today.
fn covers(section: &Section, leistung: &Leistung, ars: &Ars, today: Date) -> bool {
    let list = section.lists.get(&leistung.uses).map(|named| &named.list);
    let mut lists = std::iter::once(&leistung.exceptions).chain(list);
    lists.any(|list| {
        leistung
            .fallback
            .regions(ars)
            .any(|region| matches!(list.find(&region, today), Found::Entry(_)))
    })
}

fn check_lists(reading: &Reading<'_>, section: &SectionDraft) {
    for (name, named) in &section.section.lists {
        if !section.used.contains(name) {
            reading
                .report
                .add(Code::ListUnused, &Position::start_of(&named.file), &[]);
        }
        check_entries(reading, &named.list);
    }
    for leistung in section.section.leistungen.values() {
        check_entries(reading, &leistung.exceptions);
    }
}

fn check_entries(reading: &Reading<'_>, list: &CompetenceList) {
    for entry in list.entries() {
        if let Some(until) = entry.window.until.filter(|_| entry.window.is_over(reading.today)) {
            reading.report.add(Code::EntryExpired, &entry.position, &[&until]);
        }
        if let Some(wider) = said_already(list, entry) {
            let arguments = [&wider.region as &dyn Display, &wider.position];
            reading.report.add(Code::EntryRedundant, &entry.position, &arguments);
        }
    }
}

/// The entry of the next wider region, if it says the same and both always hold.
fn said_already<'a>(list: &'a CompetenceList, entry: &Competence) -> Option<&'a Competence> {
    let digits = entry.region.as_str();
    let wider = [9, 5, 3, 2].into_iter().filter(|length| *length < digits.len());
    let mut regions = wider.filter_map(|length| digits.get(..length)?.parse().ok());
    let next = regions.find_map(|region| list.of(&region).first().map(|_| list.of(&region)))?;
    match next {
        [wider] => (wider.window.is_unlimited() && entry.window.is_unlimited() && wider.target == entry.target)
            .then_some(wider),
        _ => None,
    }
}
