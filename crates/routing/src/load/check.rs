//! Looks over what has been read as a whole: can everyone who is competent be reached, and is anything odd.

use std::collections::HashSet;
use std::fmt::Display;

use super::draft::{Draft, Reading, SectionDraft};
use crate::catalogue::Code;
use crate::competence::{Competence, CompetenceList, Target};
use crate::ids::BehoerdeId;
use crate::leistung::Leistung;
use crate::participant::Delivery;
use crate::position::Position;

pub(super) fn check(reading: &Reading<'_>, draft: &Draft) {
    for section in &draft.sections {
        check_reach(reading, draft, section);
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
    for leistung in section.section.leistungen.values() {
        let list = section
            .section
            .lists
            .get(&leistung.uses)
            .map(|named| named.list.entries());
        let mut seen = HashSet::new();
        for entry in leistung
            .exceptions
            .entries()
            .into_iter()
            .chain(list.into_iter().flatten())
        {
            if entry.window.is_over(reading.today) {
                continue;
            }
            for behoerde in authorities(&entry.target) {
                if seen.insert(behoerde) {
                    check_delivery(reading, draft, leistung, entry, behoerde);
                }
            }
        }
    }
}

fn authorities(target: &Target) -> Vec<&BehoerdeId> {
    match target {
        Target::Behoerde(behoerde) => vec![behoerde],
        Target::Refused(_) => Vec::new(),
        Target::Choices(choices) => choices.iter().map(|choice| &choice.behoerde).collect(),
    }
}

fn check_delivery(
    reading: &Reading<'_>,
    draft: &Draft,
    leistung: &Leistung,
    entry: &Competence,
    behoerde: &BehoerdeId,
) {
    // An unknown authority has been reported as such.
    let Some(participant) = draft.participants.get(behoerde) else {
        return;
    };
    let holds = |delivery: &&Delivery| delivery.window.overlaps(&entry.window);
    let all: Vec<_> = participant.all_deliveries().filter(holds).collect();
    let exact = |delivery: &&&Delivery| delivery.leistungen.contains(&leistung.id);
    let mut fitting: Vec<_> = all.iter().filter(exact).collect();
    if fitting.is_empty() {
        fitting = all.iter().filter(|delivery| !delivery.exact).collect();
    }
    if fitting.is_empty() {
        let arguments = [&leistung.id as &dyn Display, behoerde];
        reading.report.add(Code::DeliveryMissing, &entry.position, &arguments);
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
