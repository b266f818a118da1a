//! What a client says about its application: the part `metadata`.
//!
//! Leistung, place and schema decide where it goes; everything else is about people and travels encrypted only. `Debug`
//! does not exist here.

use serde_json::Value;
use viereck_routing::{BehoerdeId, LeistungId, Place};

use crate::http::fields::Fields;
use crate::http::form::is_media_type;
use crate::http::problem::Problem;

/// The metadata of a submission.
pub(crate) struct Metadata {
    pub(crate) leistung: LeistungId,
    pub(crate) destination: Destination,
    pub(crate) payload_schema: String,
    pub(crate) media_type: Option<String>,
    pub(crate) client_reference: Option<String>,
    pub(crate) applicant: Option<Applicant>,
    pub(crate) reply_channel: Option<Mailbox>,
    pub(crate) consents: Option<String>,
    pub(crate) payment: Option<String>,
}

/// Where an application is to go.
pub(crate) enum Destination {
    /// To whoever is competent for this place.
    Place(Place),
    /// To this Behörde, e.g. one of several choices.
    Behoerde(BehoerdeId),
}

/// The applicant as the account that accompanies the application knows them.
pub(crate) struct Applicant {
    /// The trust level of the identity.
    pub(crate) level: u8,
    /// Everything that was said, as JSON text.
    pub(crate) json: String,
}

/// Where an answer may go.
pub(crate) struct Mailbox {
    pub(crate) handle: String,
    pub(crate) level: u8,
}

impl Metadata {
    /// Reads the octets of the part.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::parse(octets).map_err(|error| Problem::invalid(vec![error]))?;
        let leistung = fields.required("leistung", Fields::name);
        let destination = destination(&mut fields);
        let payload_schema = fields.required("payloadSchema", |fields, key| fields.text(key, 255));
        let media_type = media_type(&mut fields);
        if fields.take("caseId").is_some() {
            let detail =
                "a first application gets its caseId from here; follow-ups of a case are not taken on this path";
            fields.refuse("caseId", "not-supported", detail);
        }
        let client_reference = fields.text("clientReference", 255);
        let applicant = applicant(&mut fields);
        let reply_channel = reply_channel(&mut fields);
        let consents = list_of_objects(&mut fields, "consents");
        let payment = fields
            .object("payment", |payment| payment.take_all())
            .map(|(payment, ())| payment.to_string());
        let errors = fields.end();
        match (leistung, destination, payload_schema) {
            (Some(leistung), Some(destination), Some(payload_schema)) if errors.is_empty() => Ok(Self {
                leistung,
                destination,
                payload_schema,
                media_type,
                client_reference,
                applicant,
                reply_channel,
                consents,
                payment,
            }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

fn destination(fields: &mut Fields) -> Option<Destination> {
    match (fields.has("region"), fields.has("behoerde")) {
        (true, false) => fields.name("region").map(Destination::Place),
        (false, true) => fields.name("behoerde").map(Destination::Behoerde),
        (here, _) => {
            let code = if here { "ambiguous" } else { "missing" };
            fields.refuse("region", code, "exactly one of region (ARS or AGS) and behoerde");
            fields.take("region");
            fields.take("behoerde");
            None
        }
    }
}

fn media_type(fields: &mut Fields) -> Option<String> {
    let text = fields.text("mediaType", 255)?;
    if !is_media_type(&text) {
        fields.refuse("mediaType", "invalid", "a media type: type/subtype");
    }
    Some(text)
}

/// `{kind, assertion | attributes, level, representative?}`.
fn applicant(fields: &mut Fields) -> Option<Applicant> {
    let (value, level) = fields.object("applicant", |applicant| {
        applicant.required("kind", |fields, key| fields.text(key, 64));
        match (applicant.take("assertion"), applicant.take("attributes")) {
            (Some(Value::String(_)), None) | (None, Some(Value::Object(_))) => {}
            _ => applicant.refuse(
                "attributes",
                "invalid",
                "exactly one of assertion (a text) and attributes (an object)",
            ),
        }
        if applicant.take("representative").is_some_and(|value| !value.is_object()) {
            applicant.refuse("representative", "invalid", "an object");
        }
        applicant.required("level", Fields::level)
    })?;
    Some(Applicant {
        level: level?,
        json: value.to_string(),
    })
}

/// `{mailbox, level}`. A handle of more than 512 octets would not fit into a reply token.
fn reply_channel(fields: &mut Fields) -> Option<Mailbox> {
    let (_, channel) = fields.object("replyChannel", |channel| {
        let handle = channel.required("mailbox", |fields, key| fields.text(key, 255));
        let level = channel.required("level", Fields::level);
        handle.zip(level)
    })?;
    channel.map(|(handle, level)| Mailbox { handle, level })
}

fn list_of_objects(fields: &mut Fields, key: &str) -> Option<String> {
    let value = fields.take(key)?;
    if !value.as_array().is_some_and(|list| list.iter().all(Value::is_object)) {
        fields.refuse(key, "invalid", "a list of objects");
    }
    Some(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"leistung":"99107023037000","region":"010600005005","payloadSchema":"urn:example:wohngeld:2.1"}"#;

    fn mistakes(json: &str) -> Vec<(String, String)> {
        let Err(problem) = Metadata::parse(json.as_bytes()) else {
            return vec![];
        };
        let body = serde_json::to_value(problem.errors()).unwrap();
        let text = |error: &Value, key: &str| error[key].as_str().unwrap().to_owned();
        body.as_array()
            .unwrap()
            .iter()
            .map(|error| (text(error, "pointer"), text(error, "code")))
            .collect()
    }

    #[test]
    fn the_least_and_the_most_are_taken() {
        let least = Metadata::parse(GOOD.as_bytes()).ok().unwrap();
        assert!(matches!(least.destination, Destination::Place(Place::Ars(_))));
        let most = GOOD.replace("}", r#","mediaType":"application/xml","clientReference":"R 1",
            "applicant":{"kind":"person","attributes":{"familyName":"Beispiel"},"level":3,"representative":{"kind":"person"}},
            "replyChannel":{"mailbox":"0b9c7d4e","level":3},"consents":[{"id":"a"}],"payment":{"id":"1"}}"#);
        let most = Metadata::parse(most.replace("}}\"#", "}").as_bytes()).ok().unwrap();
        assert_eq!(most.applicant.unwrap().level, 3);
        assert_eq!(most.reply_channel.unwrap().handle, "0b9c7d4e");
        assert_eq!(most.consents.unwrap(), r#"[{"id":"a"}]"#);
    }

    #[test]
    fn every_mistake_is_named_by_its_place_and_none_is_repeated() {
        let pair = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
        assert_eq!(mistakes("{"), [pair("", "not-json")]);
        assert_eq!(mistakes("[]"), [pair("", "not-an-object")]);
        assert_eq!(
            mistakes(&GOOD.replace("leistung", "Erika")),
            [pair("/leistung", "missing"), pair("", "unknown-key")]
        );
        assert_eq!(
            mistakes(&GOOD.replace("010600005005", "Kiel")),
            [pair("/region", "invalid")]
        );
        assert_eq!(
            mistakes(&GOOD.replace("}", r#","behoerde":"wgb:010540880000"}"#)),
            [pair("/region", "ambiguous")]
        );
        assert_eq!(
            mistakes(&GOOD.replace(
                "}",
                r#","applicant":{"kind":"person","level":9,"name":"Erika"},"mediaType":"xml"}"#
            )),
            [
                pair("/mediaType", "invalid"),
                pair("/applicant/attributes", "invalid"),
                pair("/applicant/level", "invalid"),
                pair("/applicant", "unknown-key"),
            ]
        );
        assert_eq!(
            mistakes(&GOOD.replace("}", r#","caseId":"x"}"#)),
            [pair("/caseId", "not-supported")]
        );
        let problem = Metadata::parse(GOOD.replace("leistung", "Erika").as_bytes())
            .err()
            .unwrap();
        assert!(!format!("{problem:?}").contains("Erika"));
    }
}
