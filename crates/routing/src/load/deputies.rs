//! Works out where messages go while a deputy stands in, and refuses deputies that cannot take anything in.
//!
//! A deputy must receive itself: chains are refused, circles by their own name. So what holds for an authority on a
//! day is either its own delivery or its deputy's, and nothing has to be followed at run time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::draft::Draft;
use crate::catalogue::Code;
use crate::ids::BehoerdeId;
use crate::participant::{Delivery, Deputy, Participant};
use crate::report::Report;

/// Reports what is wrong with deputies and gives each the deliveries that count while it stands in.
pub(super) fn fill_in(report: &Report, draft: &mut Draft) {
    check(report, &draft.participants);
    let own: BTreeMap<BehoerdeId, Vec<Delivery>> = draft
        .participants
        .values()
        .flat_map(|participant| &participant.deputies)
        .filter_map(|deputy| draft.participants.get(&deputy.behoerde))
        .map(|participant| (participant.id.clone(), participant.deliveries.clone()))
        .collect();
    for deputy in draft
        .participants
        .values_mut()
        .flat_map(|participant| &mut participant.deputies)
    {
        let deliveries = own.get(&deputy.behoerde).map(Vec::as_slice).unwrap_or_default();
        deputy.deliveries = on_behalf(deputy, deliveries);
    }
}

/// A deputy's deliveries, as far as it stands in: those for named Leistungen first.
fn on_behalf(deputy: &Deputy, deliveries: &[Delivery]) -> Vec<Delivery> {
    let mut counted: Vec<Delivery> = deliveries
        .iter()
        .filter(|delivery| delivery.window.overlaps(&deputy.window))
        .filter_map(|delivery| {
            let mut leistungen = delivery.leistungen.clone();
            if !deputy.leistungen.is_empty() {
                if delivery.exact {
                    leistungen.retain(|leistung| deputy.leistungen.contains(leistung));
                } else {
                    leistungen = deputy.leistungen.iter().cloned().collect();
                }
                if leistungen.is_empty() {
                    return None;
                }
            }
            Some(Delivery {
                // For some Leistungen only, even the deputy's default delivery is one for named Leistungen: the
                // authority's own default stays bound for the others.
                exact: !leistungen.is_empty(),
                leistungen,
                window: delivery.window.intersection(&deputy.window),
                deputy: Some(deputy.behoerde.clone()),
                ..delivery.clone()
            })
        })
        .collect();
    let was_exact = |counted: &Delivery| {
        deliveries
            .iter()
            .any(|own| own.exact && own.position == counted.position)
    };
    counted.sort_by_key(|delivery| !was_exact(delivery));
    counted
}

fn check(report: &Report, participants: &BTreeMap<BehoerdeId, Participant>) {
    let mut chained: Vec<(&BehoerdeId, &Deputy)> = Vec::new();
    for participant in participants.values() {
        for (index, deputy) in participant.deputies.iter().enumerate() {
            let earlier = &participant.deputies[..index];
            if let Some(earlier) = earlier.iter().find(|earlier| at_once(earlier, deputy)) {
                report.add(Code::DeputyTwice, &deputy.position, &[&earlier.position]);
            }
            let theirs = participants
                .get(&deputy.behoerde)
                .map(|other| other.deputies.as_slice());
            if theirs.unwrap_or_default().iter().any(|theirs| at_once(deputy, theirs)) {
                chained.push((&participant.id, deputy));
            }
        }
    }
    let circles = in_circles(&chained);
    for (id, deputy) in chained {
        let circle = circles.contains(id) && circles.contains(&deputy.behoerde);
        let code = if circle { Code::DeputyLoop } else { Code::DeputyChain };
        report.add(code, &deputy.position, &[&deputy.behoerde as &dyn Display]);
    }
}

/// Whether two arrangements hold for the same Leistung on the same day.
fn at_once(a: &Deputy, b: &Deputy) -> bool {
    let same = a.leistungen.is_empty() || b.leistungen.is_empty() || !a.leistungen.is_disjoint(&b.leistungen);
    same && a.window.overlaps(&b.window)
}

/// Everyone from whom deputies lead into a circle: what is left when all whose deputies lead nowhere are taken away.
fn in_circles<'a>(edges: &[(&'a BehoerdeId, &'a Deputy)]) -> BTreeSet<&'a BehoerdeId> {
    let mut left: BTreeSet<&BehoerdeId> = edges.iter().map(|(id, _)| *id).collect();
    loop {
        let leads_on = |id: &BehoerdeId| {
            let mut outgoing = edges.iter().filter(|(from, _)| *from == id);
            outgoing.any(|(_, deputy)| left.contains(&deputy.behoerde))
        };
        let next: BTreeSet<_> = left.iter().copied().filter(|id| leads_on(id)).collect();
        if next.len() == left.len() {
            return left;
        }
        left = next;
    }
}
