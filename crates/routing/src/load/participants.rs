//! Reads who takes part: `participants.toml` (portals, registers) and `behoerden/*.toml` (authorities).

use std::collections::BTreeSet;
use std::fmt::Display;

use super::draft::{Draft, Named, Reading, SectionDraft, Sort};
use super::leistungen::read_urn;
use crate::catalogue::Code;
use crate::fields::{Fields, Instant, Value};
use crate::ids::{BehoerdeId, GatewayId, LeistungId};
use crate::participant::{Delivery, Deputy, LowestProfile, Participant, ParticipantKind};
use crate::position::Position;
use crate::window::Window;
use crate::words::{Kind, Profile};

/// Portals and registers of the whole network.
pub(super) fn read_participants(reading: &Reading<'_>, draft: &mut Draft) {
    let Some(document) = reading.document("participants.toml") else {
        return;
    };
    for (key, position, value) in document.fields(reading.report).named() {
        let id = draft.enter(
            Sort::Participant,
            key,
            Code::BehoerdeMalformed,
            &position,
            reading.report,
        );
        let Some(mut fields) = value.fields() else { continue };
        let kind = fields
            .require("kind")
            .and_then(|value| value.word(&[ParticipantKind::Portal, ParticipantKind::Register]));
        // One gateway for everything is all a portal needs.
        let gateway = fields.require("gateway").and_then(|value| {
            let at = value.position();
            Some((read_gateway(&value, draft)?, at))
        });
        let leistungen = fields.get("leistungen").map(|value| read_leistungen(&value, draft));
        let delivery = gateway.map(|(gateway, position)| Delivery {
            gateway,
            exact: false,
            leistungen: Vec::new(),
            accepts: Vec::new(),
            window: Window::default(),
            deputy: None,
            position,
        });
        if let Some(mut participant) = read_common(id, position, fields, kind) {
            participant.leistungen = leistungen.map(|all| all.into_iter().collect());
            participant.deliveries.extend(delivery);
            add(participant, reading, draft);
        }
    }
}

/// The authorities of a Land, or of the Bund.
pub(super) fn read_authorities(reading: &Reading<'_>, section: &SectionDraft, draft: &mut Draft) {
    let files = reading.documents(&format!("{}behoerden/", section.folder));
    for document in files.into_iter().filter_map(|(_, _, document)| document) {
        for (key, position, value) in document.fields(reading.report).named() {
            let id = draft.enter(
                Sort::Participant,
                key,
                Code::BehoerdeMalformed,
                &position,
                reading.report,
            );
            let Some(mut fields) = value.fields() else { continue };
            let deliveries: Vec<_> = fields
                .get("delivery")
                .iter()
                .flat_map(|value| value.tables())
                .filter_map(|fields| read_delivery(fields, draft))
                .collect();
            let deputies: Vec<_> = match fields.get("deputy") {
                Some(value) if value.is_table() => value.fields().into_iter().collect(),
                Some(value) => value.tables(),
                None => Vec::new(),
            };
            let deputies: Vec<_> = deputies
                .into_iter()
                .filter_map(|fields| read_deputy(fields, draft))
                .collect();
            if let Some(mut participant) = read_common(id, position, fields, Some(ParticipantKind::Authority)) {
                check_deliveries(&deliveries, reading);
                participant.deliveries = deliveries;
                participant.deputies = deputies;
                add(participant, reading, draft);
            }
        }
    }
}

/// What every participant has: identifier, name, contact, rights.
fn read_common(
    id: Option<BehoerdeId>,
    position: Position,
    mut fields: Fields<'_>,
    kind: Option<ParticipantKind>,
) -> Option<Participant> {
    let name = fields.require("name").and_then(|value| value.text());
    let seat = fields.get("seat").and_then(|value| value.text());
    let contact = fields.get("contact").and_then(|value| value.text());
    let lowest_profile = read_lowest_profile(&mut fields);
    let authors = fields.get("may_author").and_then(|value| value.items());
    fields.finish();
    let (id, kind) = (id?, kind?);
    let authors = match authors {
        Some(words) => words.iter().filter_map(|word| read_kind(word, &id, kind)).collect(),
        None => kind.usual_kinds().iter().copied().collect(),
    };
    Some(Participant {
        id,
        name: name?,
        seat,
        contact,
        kind,
        lowest_profile,
        position,
        authors,
        leistungen: None,
        deliveries: Vec::new(),
        deputies: Vec::new(),
    })
}

/// `lowest_profile`, and `lowest_profile_from` for those created since.
fn read_lowest_profile(fields: &mut Fields<'_>) -> LowestProfile {
    let most = Profile::ALL.len() as u64;
    let number = fields.get("lowest_profile").and_then(|value| value.number(1, most));
    let from = fields.get("lowest_profile_from");
    let Some(profile) = number.and_then(|number| number.to_string().parse().ok()) else {
        if let (Some(from), None) = (from, number) {
            from.object(Code::LowestProfileFromAlone, &[]);
        }
        return LowestProfile::ANY;
    };
    LowestProfile {
        profile,
        from: from.and_then(|value| value.instant()).and_then(Instant::begins),
    }
}

fn read_kind(value: &Value<'_>, id: &BehoerdeId, holder: ParticipantKind) -> Option<Kind> {
    let kind = value.word(Kind::ALL)?;
    if !holder.may_be_granted(kind) {
        value.object(Code::KindNotAllowed, &[&kind, id]);
        return None;
    }
    Some(kind)
}

fn add(participant: Participant, reading: &Reading<'_>, draft: &mut Draft) {
    if let Some(earlier) = draft.participants.get(&participant.id) {
        let arguments = [&participant.id as &dyn Display, &earlier.position];
        reading
            .report
            .add(Code::ParticipantTwice, &participant.position, &arguments);
        return;
    }
    if let Some(prefixes) = &draft.prefixes
        && !prefixes.contains(participant.id.prefix())
    {
        let prefix = participant.id.prefix().to_owned();
        reading
            .report
            .add(Code::PrefixUnknown, &participant.position, &[&prefix]);
    }
    draft.participants.insert(participant.id.clone(), participant);
}

fn read_delivery(mut fields: Fields<'_>, draft: &mut Draft) -> Option<Delivery> {
    let position = fields.position().clone();
    let leistungen = fields.require("leistungen").and_then(|value| {
        if value.is_text() {
            value.word(&["default"]).map(|_| Vec::new())
        } else {
            read_some(&value, draft)
        }
    });
    let gateway = fields.require("gateway").and_then(|value| read_gateway(&value, draft));
    let accepts = fields
        .get("accepts")
        .and_then(|value| value.items())
        .unwrap_or_default();
    let accepts = accepts.iter().filter_map(read_urn).collect();
    let window = fields.window();
    fields.finish();
    let leistungen = leistungen?;
    Some(Delivery {
        gateway: gateway?,
        exact: !leistungen.is_empty(),
        leistungen,
        accepts,
        window,
        deputy: None,
        position,
    })
}

fn read_deputy(mut fields: Fields<'_>, draft: &mut Draft) -> Option<Deputy> {
    let position = fields.position().clone();
    let behoerde = fields.require("behoerde").and_then(|value| {
        let id: BehoerdeId = value.parse(Code::BehoerdeMalformed)?;
        draft.refer(Named::Authority(id.clone()), value.position());
        Some(id)
    });
    let leistungen = fields.get("leistungen").and_then(|value| read_some(&value, draft));
    let window = fields.window();
    fields.finish();
    Some(Deputy {
        behoerde: behoerde?,
        leistungen: leistungen.into_iter().flatten().collect::<BTreeSet<_>>(),
        window,
        position,
        deliveries: Vec::new(),
    })
}

/// A delivery may not compete with an earlier one of the same participant.
fn check_deliveries(deliveries: &[Delivery], reading: &Reading<'_>) {
    let compete = |a: &Delivery, b: &Delivery| {
        let same = match (a.exact, b.exact) {
            (false, false) => true,
            (true, true) => a.leistungen.iter().any(|leistung| b.leistungen.contains(leistung)),
            _ => false,
        };
        same && a.window.overlaps(&b.window)
    };
    for (index, delivery) in deliveries.iter().enumerate() {
        if let Some(earlier) = deliveries[..index].iter().find(|earlier| compete(earlier, delivery)) {
            reading
                .report
                .add(Code::DeliveryTwice, &delivery.position, &[&earlier.position]);
        }
    }
}

pub(super) fn read_gateway(value: &Value<'_>, draft: &mut Draft) -> Option<GatewayId> {
    let id: GatewayId = value.parse(Code::NameMalformed)?;
    draft.refer(Named::Gateway(id.clone()), value.position());
    Some(id)
}

/// A list that must not be empty: it would mean nothing, and an absent one means everything.
fn read_some(value: &Value<'_>, draft: &mut Draft) -> Option<Vec<LeistungId>> {
    if value.items()?.is_empty() {
        value.object(Code::TypeWrong, &[&"leistungen", &"[\"99107023037000\"]"]);
        return None;
    }
    Some(read_leistungen(value, draft))
}

pub(super) fn read_leistungen(value: &Value<'_>, draft: &mut Draft) -> Vec<LeistungId> {
    let mut leistungen = Vec::new();
    for item in value.items().unwrap_or_default() {
        let Some(id) = item.parse::<LeistungId>(Code::LeistungMalformed) else {
            continue;
        };
        draft.refer(Named::Leistung(id.clone()), item.position());
        leistungen.push(id);
    }
    leistungen
}
