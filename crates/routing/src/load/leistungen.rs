//! Reads `leistungen.toml`: which Leistungen a Land, or the country, offers, and which list decides for each.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::competences::read_list;
use super::draft::{Draft, Reading, SectionDraft, Sort};
use crate::catalogue::Code;
use crate::competence::CompetenceList;
use crate::fields::{Fields, Value};
use crate::ids::LeistungId;
use crate::leistung::{Class, Fallback, Leistung, ReplySchema, Schema};
use crate::position::Position;
use crate::words::Kind;

/// What an authority may answer with.
const REPLIES: &[Kind] = &[Kind::Question, Kind::Status, Kind::Bescheid, Kind::Answer];
const LAND_FALLBACKS: &[Fallback] = &[
    Fallback::Gemeinde,
    Fallback::Verband,
    Fallback::Kreis,
    Fallback::Bezirk,
    Fallback::Land,
];

pub(super) fn read(reading: &Reading<'_>, section: &mut SectionDraft, draft: &mut Draft) {
    let Some(document) = reading.document(&format!("{}leistungen.toml", section.folder)) else {
        return;
    };
    for (_, position, value) in document.fields(reading.report).named() {
        let Some(fields) = value.fields() else { continue };
        let Some(leistung) = read_one(fields, position, reading, section, draft) else {
            continue;
        };
        let known = &mut section.section.leistungen;
        if let Some(earlier) = known.get(&leistung.id) {
            let arguments = [&leistung.id as &dyn Display, &earlier.position];
            reading.report.add(Code::LeistungTwice, &leistung.position, &arguments);
            continue;
        }
        known.insert(leistung.id.clone(), leistung);
    }
}

fn read_one(
    mut fields: Fields<'_>,
    position: Position,
    reading: &Reading<'_>,
    section: &mut SectionDraft,
    draft: &mut Draft,
) -> Option<Leistung> {
    let id = fields.require("leika").and_then(|value| {
        let id: LeistungId = value.parse(Code::LeistungMalformed)?;
        draft.note(Sort::Leistung, &id);
        Some(id)
    });
    let name = fields.require("name").and_then(|value| value.text());
    let uses = fields.require("uses").and_then(|value| {
        let list = value.text()?;
        let known = section.section.lists.contains_key(&list);
        section.used.insert(list.clone());
        if !known {
            value.object(Code::ListUnknown, &[&list]);
        }
        known.then_some(list)
    });
    let land = section.land.as_deref();
    let (words, shortest) = match land {
        Some(_) => (LAND_FALLBACKS, Fallback::Land),
        None => (Fallback::ALL, Fallback::Bund),
    };
    let fallback = optional(&mut fields, "fallback", shortest, |value| value.word(words));
    let level = optional(&mut fields, "level", 1, |value| value.number(1, 4));
    let class = optional(&mut fields, "class", Class::Normal, |value| value.word(Class::ALL));
    let schemas = fields.require("schemas").map(|value| read_schemas(&value));
    let replies = fields
        .get("replies")
        .map(|value| read_replies(&value))
        .unwrap_or_default();
    let exceptions = match fields.get("except") {
        Some(value) => read_list(&value, land, reading, draft),
        None => CompetenceList::default(),
    };
    fields.finish();
    Some(Leistung {
        id: id?,
        name: name?,
        level: u8::try_from(level?).ok()?,
        class: class?,
        schemas: schemas?,
        replies,
        fallback: fallback?,
        position,
        uses: uses?,
        exceptions,
    })
}

/// The value of a key, or `absent` without it; `None` when it is there and wrong.
fn optional<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    absent: T,
    read: impl FnOnce(&Value<'_>) -> Option<T>,
) -> Option<T> {
    match fields.get(key) {
        Some(value) => read(&value),
        None => Some(absent),
    }
}

fn read_schemas(value: &Value<'_>) -> Vec<Schema> {
    let mut seen = BTreeSet::new();
    let mut schemas = Vec::new();
    for mut fields in value.tables() {
        let urn = fields.require("urn").and_then(|value| read_urn(&value));
        let message_type = fields.require("type").and_then(|value| value.text());
        if let (Some(urn), Some(message_type)) = (urn, message_type) {
            if !seen.insert(urn.clone()) {
                fields.report(Code::SchemaTwice, fields.position(), &[&urn]);
            }
            schemas.push(Schema { urn, message_type });
        }
        fields.finish();
    }
    schemas
}

fn read_replies(value: &Value<'_>) -> Vec<ReplySchema> {
    let mut replies = Vec::new();
    for mut fields in value.tables() {
        let kind = fields.require("kind").and_then(|value| value.word(REPLIES));
        let urn = fields.require("urn").and_then(|value| read_urn(&value));
        let message_type = fields.require("type").and_then(|value| value.text());
        fields.finish();
        if let (Some(kind), Some(urn), Some(message_type)) = (kind, urn, message_type) {
            replies.push(ReplySchema {
                kind,
                urn,
                message_type,
            });
        }
    }
    replies
}

/// The name of a payload schema. It stands in an XML attribute of the envelope, so it is kept to URI characters.
pub(super) fn read_urn(value: &Value<'_>) -> Option<String> {
    let urn = value.text()?;
    let fits = urn.len() <= 200
        && urn.contains(':')
        && urn
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$()*+,;=%".contains(&b));
    if !fits {
        value.object(Code::UrnMalformed, &[&crate::fields::printable(&urn)]);
    }
    fits.then_some(urn)
}
