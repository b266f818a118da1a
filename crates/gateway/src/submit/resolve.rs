//! From a submission to its route: who is competent, whether this client may go there, and what is taken there.
//!
//! Competence is routing's; here its outcomes become answers, and the client's bounds are applied: its authors, its
//! Leistungen, its Länder. Message type and schema come from the table, never from the client.

use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;
use viereck_envelope::MessageType;
use viereck_routing::{
    Answer, BehoerdeId, Client, Kind, LeistungId, NoRoute, Outcome, Participant, Region, Tables, day_in_berlin,
};

use super::metadata::Destination;
use super::{Routed, Submission};
use crate::gateway::Gateway;
use crate::http::problem::{Code, FieldError, Problem};

/// Where it goes, before it is known whether it may.
struct Way {
    reader: BehoerdeId,
    key_holder: BehoerdeId,
    region: Option<Region>,
    /// The Land whose authority it is; `None` = the Bund.
    land: Option<String>,
    accepts: Vec<String>,
}

impl Submission {
    pub(super) fn resolve(self, gateway: &Gateway) -> Result<Routed, Problem> {
        let leistung = &self.metadata.leistung;
        if !self.tables.knows(leistung) {
            return Err(no_route(&NoRoute::LeistungUnknown));
        }
        let author = author(&self.client, leistung, gateway, &self.tables)?;
        let on = day_in_berlin(self.filed_at);
        let way = match &self.metadata.destination {
            Destination::Place(place) => competent(self.tables.resolve(leistung, place, on))?,
            Destination::Behoerde(behoerde) => named(behoerde, leistung, on, &self.tables)?,
        };
        if !self.client.may_reach(way.land.as_deref()) {
            return Err(not_permitted(
                "/region",
                "land",
                "an authority of a Land that this client may reach",
            ));
        }
        let message_type = self.message_type(&way)?;
        Ok(Routed {
            author,
            reader: way.reader,
            key_holder: way.key_holder,
            region: way.region,
            message_type,
            submission: self,
        })
    }

    fn message_type(&self, way: &Way) -> Result<MessageType, Problem> {
        let offered = self.tables.leistung(&self.metadata.leistung, way.land.as_deref());
        let leistung = offered.ok_or_else(|| no_route(&NoRoute::LeistungNotHere))?;
        let schema = leistung.schema(&self.metadata.payload_schema);
        let accepted = way.accepts.is_empty() || way.accepts.contains(&self.metadata.payload_schema);
        let Some(schema) = schema.filter(|_| accepted) else {
            let all = || leistung.schemas.iter().map(|schema| schema.urn.clone()).collect();
            let accepts: Vec<String> = if way.accepts.is_empty() {
                all()
            } else {
                way.accepts.clone()
            };
            return Err(Problem::of(Code::SchemaNotAccepted)
                .with("accepts", accepts)
                .naming(FieldError::new(
                    "/payloadSchema",
                    "schema-not-accepted",
                    "one of accepts",
                )));
        };
        // level 1 demands nothing of the applicant's identity
        let level = self.metadata.applicant.as_ref().map_or(1, |applicant| applicant.level);
        if level < leistung.level {
            let detail = format!("a trust level of at least {}", leistung.level);
            return Err(Problem::of(Code::LevelTooLow)
                .with("requiredLevel", leistung.level)
                .naming(FieldError::new("/applicant/level", "level-too-low", detail)));
        }
        Ok(MessageType {
            name: schema.message_type.clone(),
            schema: schema.urn.clone(),
        })
    }
}

/// The portal in whose name the client writes: it may write applications, and this gateway may sign for it.
fn author(client: &Client, leistung: &LeistungId, gateway: &Gateway, tables: &Tables) -> Result<BehoerdeId, Problem> {
    if !client.may_post(leistung) {
        return Err(not_permitted(
            "/leistung",
            "leistung",
            "a Leistung that this client may post for",
        ));
    }
    let speaks = |author: &&BehoerdeId| {
        tables
            .gateway(&gateway.config.id)
            .is_some_and(|me| me.speaks_for(author))
    };
    let writes = |author: &&BehoerdeId| {
        tables
            .participant(author)
            .is_some_and(|p| p.may_author(Kind::Application))
    };
    let author = tables.author_for(client, leistung).filter(speaks).filter(writes);
    author.cloned().ok_or_else(|| {
        not_permitted(
            "/leistung",
            "author",
            "a Leistung for which a portal of this client may write",
        )
    })
}

fn competent(answer: Answer) -> Result<Way, Problem> {
    match answer.outcome {
        Outcome::Route(route) => Ok(Way {
            key_holder: route.key_holder().clone(),
            reader: route.behoerde,
            region: Some(route.matched_region),
            land: route.matched_region.land().map(str::to_owned),
            accepts: route.accepts,
        }),
        Outcome::Refused(refusal) => Err(Problem::of(Code::NotConnected)
            .with("reason", refusal.reason)
            .with("text", refusal.text)
            .with("url", refusal.url)
            .with("until", refusal.until.map(|day| day.to_string()))),
        Outcome::NoRoute(none) => Err(no_route(&none).with("steps", json(&answer.steps))),
        Outcome::Choices(choices) => Err(Problem::of(Code::ChoiceNeeded).with("choices", json(&choices))),
    }
}

/// An authority that the client names itself, e.g. one of several choices: the tables have to name it for this Leistung
/// today, so that naming it is no way round them. No region decides.
fn named(behoerde: &BehoerdeId, leistung: &LeistungId, on: Date, tables: &Tables) -> Result<Way, Problem> {
    let missing = || no_route(&NoRoute::NoDelivery(behoerde.clone()));
    let land = tables.competent_in(behoerde, leistung, on).ok_or_else(missing)?;
    let delivery = tables.delivery(behoerde, leistung, on).ok_or_else(missing)?;
    Ok(Way {
        reader: behoerde.clone(),
        key_holder: delivery.deputy.clone().unwrap_or_else(|| behoerde.clone()),
        region: None,
        land: (land != "00").then(|| land.to_owned()),
        accepts: delivery.accepts.clone(),
    })
}

/// The Land in whose folder of the tables an authority is kept. Its identifier says nothing about that.
pub(crate) fn land_of(authority: &Participant) -> Option<String> {
    authority
        .position
        .file
        .strip_prefix("laender/")?
        .get(..2)
        .map(str::to_owned)
}

fn no_route(none: &NoRoute) -> Problem {
    Problem::of(Code::NoRoute).with("reason", none.reason())
}

fn not_permitted(pointer: &str, code: &'static str, expected: &str) -> Problem {
    Problem::of(Code::NotPermitted).naming(FieldError::new(pointer, code, expected))
}

fn json(value: &impl Serialize) -> Value {
    // plain lists of texts and numbers: nothing that could fail
    serde_json::to_value(value).unwrap_or_default()
}
