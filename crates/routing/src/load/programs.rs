//! Reads the programs of a Land: `gateways.toml` and `clients.toml`.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::draft::{Draft, GatewayDraft, Named, Reading, SectionDraft, Sort};
use super::is_land;
use super::participants::{read_gateway, read_leistungen};
use crate::catalogue::Code;
use crate::fields::{Fields, Value, printable};
use crate::gateway::{Client, Gateway, Proof, Quota};
use crate::ids::{BehoerdeId, ClientId, GatewayId};
use crate::position::Position;
use crate::words::Environment;

/// The most that a quota may grant; a thousand a second is more than a country posts.
const QUOTA: u64 = 60_000;

pub(super) fn read(reading: &Reading<'_>, section: &SectionDraft, draft: &mut Draft) {
    if let Some(document) = reading.document(&format!("{}gateways.toml", section.folder)) {
        for (key, position, value) in document.fields(reading.report).named() {
            if let Some(fields) = value.fields() {
                read_gateway_entry(key, position, fields, reading, draft);
            }
        }
    }
    if let Some(document) = reading.document(&format!("{}clients.toml", section.folder)) {
        for (key, position, value) in document.fields(reading.report).named() {
            if let Some(fields) = value.fields() {
                read_client(key, position, fields, reading, draft);
            }
        }
    }
}

fn read_gateway_entry(key: &str, position: Position, mut fields: Fields<'_>, reading: &Reading<'_>, draft: &mut Draft) {
    let id = draft.enter::<GatewayId>(Sort::Gateway, key, Code::NameMalformed, &position, reading.report);
    let operator = fields.require("operator").and_then(|value| value.text());
    let contact = fields.require("contact").and_then(|value| value.text());
    check_environment(&mut fields, draft.environment);
    let serves = read_members(fields.get("serves"), "delivered", draft);
    let speaks_for = read_members(fields.get("speaks_for"), "served", draft);
    fields.finish();
    let (Some(id), Some(operator), Some(contact)) = (id, operator, contact) else {
        return;
    };
    let brokers = draft.brokers.get(&id).map(|broker| &broker.position);
    let earlier = brokers.or_else(|| draft.gateways.get(&id).map(|draft| &draft.gateway.position));
    if let Some(earlier) = earlier {
        reading
            .report
            .add(Code::CustodianTwice, &position, &[&id as &dyn Display, earlier]);
        return;
    }
    let gateway = Gateway {
        id: id.clone(),
        operator,
        contact,
        position,
        serves: BTreeSet::new(),
        speaks_for: BTreeSet::new(),
    };
    let gateway = GatewayDraft {
        gateway,
        serves,
        speaks_for,
    };
    draft.gateways.insert(id, gateway);
}

/// An environment written beside the one of `table.toml` must be the same.
pub(super) fn check_environment(fields: &mut Fields<'_>, ours: Option<Environment>) {
    let value = fields.get("environment");
    let environment = value.as_ref().and_then(|value| value.word(Environment::ALL));
    if let (Some(value), Some(environment), Some(ours)) = (value, environment, ours)
        && environment != ours
    {
        value.object(Code::EnvironmentMismatch, &[&environment, &ours]);
    }
}

/// A list of participants; `None` when the word for the rule stands there, or nothing.
fn read_members(value: Option<Value<'_>>, rule: &'static str, draft: &mut Draft) -> Option<BTreeSet<BehoerdeId>> {
    let value = value?;
    if value.is_text() {
        value.word(&[rule]);
        return None;
    }
    let mut members = BTreeSet::new();
    for item in value.items().unwrap_or_default() {
        let Some(id) = item.parse::<BehoerdeId>(Code::BehoerdeMalformed) else {
            continue;
        };
        draft.refer(Named::Participant(id.clone()), item.position());
        members.insert(id);
    }
    Some(members)
}

fn read_client(key: &str, position: Position, mut fields: Fields<'_>, reading: &Reading<'_>, draft: &mut Draft) {
    let id = draft.enter::<ClientId>(Sort::Client, key, Code::NameMalformed, &position, reading.report);
    let gateway = fields.require("gateway").and_then(|value| read_gateway(&value, draft));
    let mut authors = Vec::new();
    for item in fields
        .require("authors")
        .and_then(|value| value.items())
        .unwrap_or_default()
    {
        let Some(author) = item.parse::<BehoerdeId>(Code::BehoerdeMalformed) else {
            continue;
        };
        draft.refer(Named::Portal(author.clone()), item.position());
        authors.push(author);
    }
    let leistungen = fields.require("leistungen").map(|value| read_leistungen(&value, draft));
    let laender = fields.require("laender").and_then(|value| value.items());
    let laender = laender.iter().flatten().filter_map(read_land).collect();
    let quota = fields
        .require("quota")
        .and_then(|value| value.fields())
        .and_then(|mut fields| {
            let per_minute = fields.require("per_minute").and_then(|value| value.number(1, QUOTA));
            fields.finish();
            u32::try_from(per_minute?).ok()
        });
    let oauth_client = fields
        .get("oauth_client")
        .and_then(|value| read_oauth_client(&value, draft));
    let proof = fields.get("require").and_then(|value| value.word(&["certificate"]));
    let proof = proof.map_or(Proof::Any, |_| Proof::Certificate);
    fields.finish();
    let (Some(id), Some(gateway), Some(leistungen), Some(per_minute)) = (id, gateway, leistungen, quota) else {
        return;
    };
    if let Some(earlier) = draft.clients.get(&id) {
        reading
            .report
            .add(Code::ClientTwice, &position, &[&id as &dyn Display, &earlier.position]);
        return;
    }
    let client = Client {
        id: id.clone(),
        gateway,
        authors,
        leistungen: leistungen.into_iter().collect(),
        laender,
        quota: Quota { per_minute },
        oauth_client,
        proof,
        position,
    };
    draft.clients.insert(id, client);
}

/// A name may stand for one client only: it decides whose rights an access token has.
fn read_oauth_client(value: &Value<'_>, draft: &Draft) -> Option<String> {
    let name = value.text()?;
    let earlier = draft
        .clients
        .values()
        .find(|client| client.oauth_client.as_ref() == Some(&name));
    if let Some(earlier) = earlier {
        value.object(Code::OauthClientTwice, &[&printable(&name), &earlier.position]);
    }
    earlier.is_none().then_some(name)
}

fn read_land(value: &Value<'_>) -> Option<String> {
    let key = value.text()?;
    let known = key == "00" || is_land(&key);
    if !known {
        value.object(Code::LandUnknown, &[&printable(&key)]);
    }
    known.then_some(key)
}
