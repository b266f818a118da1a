//! Reads lists of competences: region, days, and exactly one of an authority, a refusal, or a choice.

use std::collections::BTreeSet;

use super::draft::{Draft, Named, Reading, SectionDraft};
use crate::catalogue::Code;
use crate::competence::{Choice, Competence, CompetenceList, RefusedText, Target};
use crate::fields::{Fields, Value, printable};
use crate::region::Region;
use crate::tables::NamedList;

/// Every list of a Land, or of the Bund.
pub(super) fn read(reading: &Reading<'_>, section: &mut SectionDraft, draft: &mut Draft) {
    for (name, file, document) in reading.documents(&format!("{}zustaendigkeiten/", section.folder)) {
        let mut list = CompetenceList::default();
        if let Some(document) = document {
            let mut fields = document.fields(reading.report);
            if let Some(value) = fields.get("competence") {
                list = read_list(&value, section.land.as_deref(), reading, draft);
            }
            fields.finish();
        }
        section.section.lists.insert(name.to_owned(), NamedList { file, list });
    }
}

/// The entries of a list, or the exceptions of one Leistung.
pub(super) fn read_list(
    value: &Value<'_>,
    land: Option<&str>,
    reading: &Reading<'_>,
    draft: &mut Draft,
) -> CompetenceList {
    let mut list = CompetenceList::default();
    for entry in value.tables() {
        if let Some(competence) = read_entry(entry, land, draft) {
            add(&mut list, competence, reading);
        }
    }
    list
}

/// Adds an entry unless another one of its region holds on the same day.
fn add(list: &mut CompetenceList, competence: Competence, reading: &Reading<'_>) {
    let earlier = list.of(&competence.region).iter();
    let mut clashes = earlier.filter(|other| other.window.overlaps(&competence.window));
    match clashes.next() {
        Some(other) => {
            let arguments = [&competence.region as &dyn std::fmt::Display, &other.position];
            reading.report.add(Code::RegionTwice, &competence.position, &arguments);
        }
        None => list.add(competence),
    }
}

fn read_entry(mut fields: Fields<'_>, land: Option<&str>, draft: &mut Draft) -> Option<Competence> {
    let region = fields.require("region");
    let position = region
        .as_ref()
        .map_or_else(|| fields.position().clone(), Value::position);
    let region = region.and_then(|value| read_region(&value, land, draft));
    let (behoerde, refused, choices) = (fields.get("behoerde"), fields.get("refused"), fields.get("choices"));
    let window = fields.window();
    // A remark for people who review the file.
    fields.get("reason").and_then(|value| value.text());
    let named = [&behoerde, &refused, &choices].into_iter().flatten().count();
    let target = match named {
        1 => behoerde
            .and_then(|value| authority(&value, draft))
            .map(Target::Behoerde)
            .or_else(|| refused.and_then(|value| read_refused(&value)).map(Target::Refused))
            .or_else(|| {
                choices
                    .and_then(|value| read_choices(&value, draft))
                    .map(Target::Choices)
            }),
        // What a syntax error took away has been reported as that.
        0 if !fields.is_intact() => None,
        _ => {
            fields.report(Code::TargetAmbiguous, &position, &[&named]);
            None
        }
    };
    fields.finish();
    Some(Competence {
        region: region?,
        target: target?,
        window,
        position,
    })
}

fn read_region(value: &Value<'_>, land: Option<&str>, draft: &Draft) -> Option<Region> {
    if value.is_number() {
        value.object(Code::RegionNotQuoted, &[]);
        return None;
    }
    let region: Region = value.parse(Code::RegionMalformed)?;
    if let Some(land) = land
        && region.land() != Some(land)
    {
        value.object(Code::RegionForeign, &[&region, &land]);
        return None;
    }
    // Without a table of municipalities nothing is known, and that has been reported once.
    if let Some(gebietsstand) = draft.gebietsstand
        && !draft.places.is_empty()
        && !draft.places.has_region(&region)
    {
        value.object(Code::RegionUnknown, &[&region, &gebietsstand]);
        return None;
    }
    Some(region)
}

fn authority(value: &Value<'_>, draft: &mut Draft) -> Option<crate::ids::BehoerdeId> {
    let id: crate::ids::BehoerdeId = value.parse(Code::BehoerdeMalformed)?;
    draft.refer(Named::Authority(id.clone()), value.position());
    Some(id)
}

fn read_refused(value: &Value<'_>) -> Option<RefusedText> {
    let mut fields = value.fields()?;
    let reason = fields.require("reason");
    let reason = reason.and_then(|value| {
        let reason = value.text()?;
        let fits = reason.starts_with(|c: char| c.is_ascii_lowercase())
            && reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if !fits {
            value.object(Code::ReasonMalformed, &[&printable(&reason)]);
        }
        fits.then_some(reason)
    });
    let text = fields.require("text").and_then(|value| value.text());
    let url = fields.get("url").and_then(|value| value.text());
    let until = fields.get("until").and_then(|value| value.date());
    fields.finish();
    Some(RefusedText {
        reason: reason?,
        text: text?,
        url,
        until,
    })
}

fn read_choices(value: &Value<'_>, draft: &mut Draft) -> Option<Vec<Choice>> {
    let mut choices = Vec::new();
    for mut fields in value.tables() {
        let behoerde = fields.require("behoerde").and_then(|value| authority(&value, draft));
        let label = fields.require("label").and_then(|value| value.text());
        fields.finish();
        choices.push(Choice {
            behoerde: behoerde?,
            label: label?,
        });
    }
    let different: BTreeSet<_> = choices.iter().map(|choice| &choice.behoerde).collect();
    let labels: BTreeSet<_> = choices.iter().map(|choice| &choice.label).collect();
    if choices.len() < 2 || different.len() < choices.len() || labels.len() < choices.len() {
        value.object(Code::ChoicesTooFew, &[]);
        return None;
    }
    Some(choices)
}
