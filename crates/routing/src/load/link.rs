//! Ties the parts together: every name that is used must be defined, and gateways and deliveries must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::draft::{Draft, Named, Reference, Sort};
use crate::catalogue::Code;
use crate::ids::{BehoerdeId, GatewayId};
use crate::participant::ParticipantKind;
use crate::report::Report;

pub(super) fn link(report: &Report, draft: &mut Draft) {
    check_references(report, draft);
    tie_gateways(report, draft);
    check_clients(report, draft);
}

fn check_references(report: &Report, draft: &Draft) {
    let object = |reference: &Reference, code: Code, what: &dyn Display| report.add(code, &reference.position, &[what]);
    for reference in &draft.references {
        let kind = |id: &BehoerdeId| draft.participants.get(id).map(|participant| participant.kind);
        match &reference.to {
            Named::Authority(id) => match kind(id) {
                Some(ParticipantKind::Authority) => {}
                Some(_) => object(reference, Code::NotAnAuthority, id),
                None if draft.is_entered(Sort::Participant, id) => {}
                None => object(reference, Code::BehoerdeUnknown, id),
            },
            Named::Portal(id) => match kind(id) {
                Some(ParticipantKind::Portal) => {}
                Some(_) => object(reference, Code::NotAPortal, id),
                None if draft.is_entered(Sort::Participant, id) => {}
                None => object(reference, Code::BehoerdeUnknown, id),
            },
            Named::Participant(id) if !draft.is_entered(Sort::Participant, id) => {
                object(reference, Code::BehoerdeUnknown, id)
            }
            Named::Gateway(id) if !draft.is_entered(Sort::Gateway, id) => object(reference, Code::GatewayUnknown, id),
            Named::Leistung(id) if !draft.is_entered(Sort::Leistung, id) => {
                object(reference, Code::LeistungUnknown, id)
            }
            Named::Participant(_) | Named::Gateway(_) | Named::Leistung(_) => {}
        }
    }
}

/// Fills in whom each gateway serves and speaks for; a list in its entry bounds who may deliver to it.
fn tie_gateways(report: &Report, draft: &mut Draft) {
    let mut delivered: BTreeMap<&GatewayId, BTreeSet<&BehoerdeId>> = BTreeMap::new();
    for participant in draft.participants.values() {
        for delivery in participant.all_deliveries() {
            let bounds = draft
                .gateways
                .get(&delivery.gateway)
                .and_then(|gateway| gateway.serves.as_ref());
            if bounds.is_some_and(|listed| !listed.contains(&participant.id)) {
                let arguments = [&delivery.gateway as &dyn Display, &participant.id];
                report.add(Code::GatewayDoesNotServe, &delivery.position, &arguments);
            }
            delivered.entry(&delivery.gateway).or_default().insert(&participant.id);
        }
    }
    for (id, entry) in &mut draft.gateways {
        entry.gateway.serves = match entry.serves.take() {
            Some(listed) => listed,
            None => delivered
                .get(id)
                .into_iter()
                .flatten()
                .map(|id| (*id).clone())
                .collect(),
        };
        entry.gateway.speaks_for = match entry.speaks_for.take() {
            Some(listed) => listed,
            None => entry.gateway.serves.clone(),
        };
    }
}

/// A client's gateway must be able to write as the client's portals, and a portal must have each of its Leistungen.
fn check_clients(report: &Report, draft: &Draft) {
    for client in draft.clients.values() {
        let gateway = draft.gateways.get(&client.gateway).map(|entry| &entry.gateway);
        for author in &client.authors {
            if gateway.is_some_and(|gateway| !gateway.speaks_for(author)) {
                let arguments = [&client.gateway as &dyn Display, author];
                report.add(Code::GatewayDoesNotSpeakFor, &client.position, &arguments);
            }
        }
        let portals: Vec<_> = client
            .authors
            .iter()
            .filter_map(|author| draft.participants.get(author))
            .collect();
        for leistung in &client.leistungen {
            if !portals.iter().any(|portal| portal.writes_for(leistung)) {
                report.add(Code::ClientWithoutAuthor, &client.position, &[leistung]);
            }
        }
    }
}
