//! Who is competent: one answer for a Leistung, a place and a day, with every step that led to it.
//!
//! The exceptions of the Leistung come first, then the Land's list, then the country's; within each the municipality,
//! the association, the Kreis, the Regierungsbezirk, the Land, down to where the Leistung falls back to. Each step is
//! one hash probe. Never the first hit of several, never by name: the loader allows at most one entry a region and day.

use std::sync::Arc;

use jiff::civil::Date;

use crate::answer::{Answer, ListKind, NoRoute, Outcome, Refusal, Route, Step, StepResult};
use crate::competence::{Competence, CompetenceList, Found, Target};
use crate::ids::{BehoerdeId, LeistungId};
use crate::leistung::{Fallback, Leistung};
use crate::region::{Ars, Place};
use crate::tables::{Section, Tables};

impl Tables {
    /// Who is competent for this Leistung at this place on this day.
    ///
    /// The day is that of [`crate::day_in_berlin`] at the instant of filing.
    pub fn resolve(&self, leistung: &LeistungId, place: &Place, on: Date) -> Answer {
        let mut steps = Vec::new();
        let outcome = self.find(leistung, place, on, &mut steps);
        Answer {
            leistung: leistung.clone(),
            place: *place,
            on,
            outcome,
            steps,
        }
    }

    fn find(&self, id: &LeistungId, place: &Place, on: Date, steps: &mut Vec<Step>) -> Outcome {
        if !self.knows(id) {
            return Outcome::NoRoute(NoRoute::LeistungUnknown);
        }
        let Some(ars) = self.ars_of(place) else {
            return Outcome::NoRoute(NoRoute::PlaceUnknown);
        };
        let land = ars.as_str().get(..2).and_then(|land| self.laender.get(land));
        let sections = [
            (land, ListKind::LandExceptions, ListKind::Land),
            (Some(&self.country), ListKind::CountryExceptions, ListKind::Country),
        ];
        let mut offered = false;
        for (section, exceptions, list) in sections {
            let Some((section, leistung)) = section.and_then(|s| s.leistungen.get(id).map(|l| (s, l))) else {
                continue;
            };
            offered = true;
            let hit = probe_all(section, leistung, (exceptions, list), &ars, on, steps);
            if let Some(entry) = hit {
                return self.outcome(leistung, entry, on);
            }
        }
        Outcome::NoRoute(if offered {
            NoRoute::NoEntry
        } else {
            NoRoute::LeistungNotHere
        })
    }

    fn outcome(&self, leistung: &Leistung, entry: &Competence, on: Date) -> Outcome {
        match &entry.target {
            Target::Behoerde(behoerde) => match self.route(leistung, behoerde, entry, on) {
                Some(route) => Outcome::Route(route),
                None => Outcome::NoRoute(NoRoute::NoDelivery(behoerde.clone())),
            },
            Target::Refused(text) => Outcome::Refused(Refusal {
                reason: text.reason.clone(),
                text: text.text.clone(),
                url: text.url.clone(),
                until: text.until,
                matched_region: entry.region,
                position: entry.position.clone(),
            }),
            Target::Choices(choices) => Outcome::Choices(choices.clone()),
        }
    }

    fn route(&self, leistung: &Leistung, behoerde: &BehoerdeId, entry: &Competence, on: Date) -> Option<Route> {
        let delivery = self.delivery(behoerde, &leistung.id, on)?;
        let schemas = leistung.schemas.iter().map(|schema| &schema.urn);
        Some(Route {
            behoerde: behoerde.clone(),
            deputy: delivery.deputy.clone(),
            gateway: delivery.gateway.clone(),
            matched_region: entry.region,
            leistung: leistung.id.clone(),
            exact: delivery.exact,
            accepts: schemas.filter(|urn| delivery.takes(urn)).cloned().collect(),
            position: entry.position.clone(),
        })
    }
}

/// Tries the exceptions of a Leistung and then its list.
fn probe_all<'a>(
    section: &'a Section,
    leistung: &'a Leistung,
    (exceptions, list): (ListKind, ListKind),
    ars: &Ars,
    on: Date,
    steps: &mut Vec<Step>,
) -> Option<&'a Competence> {
    let mut probing = Probing {
        fallback: leistung.fallback,
        ars,
        on,
        steps,
    };
    let named = section.lists.get(&leistung.uses);
    let hit = match leistung.exceptions.is_empty() {
        true => None,
        false => probing.list(exceptions, &leistung.exceptions, &leistung.position.file),
    };
    hit.or_else(|| named.and_then(|named| probing.list(list, &named.list, &named.file)))
}

/// One question, put to one list after the other.
struct Probing<'q> {
    fallback: Fallback,
    ars: &'q Ars,
    on: Date,
    steps: &'q mut Vec<Step>,
}

impl Probing<'_> {
    fn list<'a>(&mut self, kind: ListKind, list: &'a CompetenceList, file: &Arc<str>) -> Option<&'a Competence> {
        for region in self.fallback.regions(self.ars) {
            let (result, entry) = match list.find(&region, self.on) {
                Found::Entry(entry) => (StepResult::Hit, Some(entry)),
                Found::NotYet(entry, from) => (StepResult::NotYet(from), Some(entry)),
                Found::Over(entry, until) => (StepResult::Over(until), Some(entry)),
                Found::Nothing => (StepResult::NoEntry, None),
            };
            self.steps.push(Step {
                list: kind,
                region,
                result,
                position: entry.map(|entry| entry.position.clone()),
                file: file.to_string(),
            });
            if result == StepResult::Hit {
                return entry;
            }
        }
        None
    }
}
