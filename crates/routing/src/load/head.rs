//! Reads `table.toml`: format, environment, number and Gebietsstand of a version, its brokers, the owners of folders.

use super::draft::{Draft, Reading};
use crate::catalogue::Code;
use crate::fields::{Document, Fields, printable};
use crate::gateway::Broker;
use crate::position::Position;
use crate::words::Environment;

const FILE: &str = "table.toml";
const FORMAT: u64 = 1;

pub(super) fn read(reading: &Reading<'_>, draft: &mut Draft) {
    let Some((path, octets)) = reading.required(FILE) else {
        return;
    };
    let Some(document) = Document::parse(path, octets, reading.report) else {
        return;
    };
    let mut fields = document.fields(reading.report);
    if let Some(value) = fields.require("format")
        && let Some(format) = value.number(0, u64::from(u32::MAX))
        && format != FORMAT
    {
        value.object(Code::FormatUnknown, &[&format]);
    }
    draft.environment = fields
        .require("environment")
        .and_then(|value| value.word(Environment::ALL));
    draft.sequence = fields
        .require("sequence")
        .and_then(|value| value.number(1, i64::MAX as u64))
        .unwrap_or_default();
    draft.gebietsstand = fields.require("gebietsstand").and_then(|value| value.date());
    let owners = fields.get("owners").and_then(|value| value.fields());
    for (folder, position, owner) in owners.iter().flat_map(Fields::named) {
        if let Some(mut owner) = owner.fields() {
            owner.require("name").and_then(|value| value.text());
            owner.require("contact").and_then(|value| value.text());
            owner.finish();
        }
        draft.owners.push((folder.to_owned(), position));
    }
    let brokers = fields.get("broker");
    for broker in brokers.iter().flat_map(|value| value.tables()) {
        read_broker(broker, reading, draft);
    }
    if brokers.is_none() {
        reading.report.add(Code::BrokerMissing, &Position::start_of(path), &[]);
    }
    fields.finish();
}

fn read_broker(mut fields: Fields<'_>, reading: &Reading<'_>, draft: &mut Draft) {
    let position = fields.position().clone();
    let id = fields.require("id").and_then(|value| value.parse(Code::NameMalformed));
    let operator = fields.require("operator").and_then(|value| value.text());
    let contact = fields.require("contact").and_then(|value| value.text());
    fields.finish();
    let (Some(id), Some(operator), Some(contact)) = (id, operator, contact) else {
        return;
    };
    let broker = Broker {
        id,
        operator,
        contact,
        position,
    };
    if let Some(earlier) = draft.brokers.get(&broker.id) {
        let at = [&broker.id as &dyn std::fmt::Display, &earlier.position];
        reading.report.add(Code::CustodianTwice, &broker.position, &at);
        return;
    }
    draft.brokers.insert(broker.id.clone(), broker);
}

/// Each key below `[owners]` must be the path of a Land's folder or `bund`; asked once all folders are known.
pub(super) fn check_owners(reading: &Reading<'_>, draft: &Draft) {
    for (folder, position) in &draft.owners {
        let mut sections = draft.sections.iter();
        if !sections.any(|section| section.folder.trim_end_matches('/') == folder) {
            reading
                .report
                .add(Code::OwnerFolderUnknown, position, &[&printable(folder)]);
        }
    }
}
