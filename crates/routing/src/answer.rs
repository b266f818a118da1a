//! The answer to "who is competent?": the outcome, and every step that led to it.
//!
//! Serialised flat, in camelCase, as the command line and the HTTP API show it: `outcome`, `behoerde`, `gateway`,
//! `matchedRegion`, `file`, `line`, `steps` and what else the outcome has to say.

use jiff::civil::Date;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::competence::Choice;
use crate::finding::Lang;
use crate::ids::{BehoerdeId, GatewayId, LeistungId};
use crate::position::Position;
use crate::region::{Place, Region};

/// Who is competent, and why.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The Leistung asked for.
    pub leistung: LeistungId,
    /// The place asked for.
    pub place: Place,
    /// The day asked for.
    pub on: Date,
    /// The result.
    pub outcome: Outcome,
    /// Every region tried, in order.
    pub steps: Vec<Step>,
}

/// What came out.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// One Behörde, and the gateway that serves it.
    Route(Route),
    /// The operators deliberately refuse this region.
    Refused(Refusal),
    /// Nobody is entered.
    NoRoute(NoRoute),
    /// Several authorities, of which the client must pick one.
    Choices(Vec<Choice>),
}

/// One Behörde, and where its messages are delivered.
#[derive(Debug, Clone)]
pub struct Route {
    /// The competent Behörde: the reader.
    pub behoerde: BehoerdeId,
    /// Who takes the message in for it, and for whose key it is encrypted.
    pub deputy: Option<BehoerdeId>,
    /// The gateway that serves it.
    pub gateway: GatewayId,
    /// The region whose entry decided; `00` for the whole country.
    pub matched_region: Region,
    /// The Leistung.
    pub leistung: LeistungId,
    /// Whether the delivery is for this very Leistung.
    pub exact: bool,
    /// The payload schemas that may be posted.
    pub accepts: Vec<String>,
    /// Where the entry stands that decided.
    pub position: Position,
}

impl Route {
    /// Whose certificate the content is encrypted for: the deputy's while one stands in.
    pub fn key_holder(&self) -> &BehoerdeId {
        self.deputy.as_ref().unwrap_or(&self.behoerde)
    }
}

/// A deliberate refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A word, e.g. `not-connected`.
    pub reason: String,
    /// The operators' sentence.
    pub text: String,
    /// Where to read on.
    pub url: Option<String>,
    /// Until when it is expected to last; it does not end by itself.
    pub until: Option<Date>,
    /// The region whose entry decided.
    pub matched_region: Region,
    /// Where that entry stands.
    pub position: Position,
}

/// Why nobody was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRoute {
    /// No municipality of the Gebietsstand has this key.
    PlaceUnknown,
    /// No table knows this Leistung.
    LeistungUnknown,
    /// The Leistung is known, but neither in this Land nor for the whole country.
    LeistungNotHere,
    /// No entry covers this place on that day.
    NoEntry,
    /// This Behörde is competent, but has no delivery on that day.
    NoDelivery(BehoerdeId),
}

/// One region tried in one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which list.
    pub list: ListKind,
    /// The region tried.
    pub region: Region,
    /// What was found.
    pub result: StepResult,
    /// Where the entry stands, if there is one.
    pub position: Option<Position>,
    /// The file that was looked into.
    pub file: String,
}

/// Which list was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListKind {
    /// The exceptions of the Leistung in its Land.
    LandExceptions,
    /// The Land's list for this kind of authority.
    Land,
    /// The exceptions of the Leistung for the whole country.
    CountryExceptions,
    /// The country's list.
    Country,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    /// The entry that decides.
    Hit,
    /// No entry for this region.
    NoEntry,
    /// An entry that begins later: a planned change.
    NotYet(Date),
    /// An entry that has ended.
    Over(Date),
}

impl StepResult {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            StepResult::Hit => "hit",
            StepResult::NoEntry => "no-entry",
            StepResult::NotYet(_) => "not-yet",
            StepResult::Over(_) => "over",
        }
    }
}

impl Outcome {
    /// The word in JSON: route, refused, no-route or choices.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Route(_) => "route",
            Outcome::Refused(_) => "refused",
            Outcome::NoRoute(_) => "no-route",
            Outcome::Choices(_) => "choices",
        }
    }
}

impl NoRoute {
    /// The word in JSON.
    pub fn reason(&self) -> &'static str {
        match self {
            NoRoute::PlaceUnknown => "place-unknown",
            NoRoute::LeistungUnknown => "leistung-unknown",
            NoRoute::LeistungNotHere => "leistung-not-here",
            NoRoute::NoEntry => "no-entry",
            NoRoute::NoDelivery(_) => "no-delivery",
        }
    }

    /// A sentence for people.
    pub fn sentence(&self, lang: Lang) -> String {
        let (german, english) = match self {
            NoRoute::PlaceUnknown => (
                "Diesen Ort kennt die Gemeindetabelle nicht.",
                "The table of municipalities does not know this place.",
            ),
            NoRoute::LeistungUnknown => (
                "Diese Leistung steht in keiner Tabelle.",
                "No table knows this Leistung.",
            ),
            NoRoute::LeistungNotHere => (
                "Diese Leistung ist weder in diesem Land noch bundesweit eingetragen.",
                "This Leistung is entered neither in this Land nor for the whole country.",
            ),
            NoRoute::NoEntry => (
                "Für diesen Ort ist an diesem Tag keine Behörde eingetragen.",
                "No authority is entered for this place on that day.",
            ),
            NoRoute::NoDelivery(behoerde) => {
                return match lang {
                    Lang::De => format!("Zuständig ist {behoerde}, sie hat an diesem Tag aber keinen Zustellweg."),
                    Lang::En => format!("{behoerde} is competent, but has no delivery on that day."),
                };
            }
        };
        match lang {
            Lang::De => german.to_owned(),
            Lang::En => english.to_owned(),
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Step", 7)?;
        fields.serialize_field("list", &self.list)?;
        fields.serialize_field("region", &self.region)?;
        fields.serialize_field("result", self.result.as_str())?;
        match self.result {
            StepResult::NotYet(from) => fields.serialize_field("from", &from)?,
            StepResult::Over(until) => fields.serialize_field("until", &until)?,
            StepResult::Hit | StepResult::NoEntry => {}
        }
        fields.serialize_field("file", &self.file)?;
        if let Some(position) = &self.position {
            fields.serialize_field("line", &position.line)?;
        }
        fields.end()
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Answer", 16)?;
        fields.serialize_field("outcome", self.outcome.as_str())?;
        fields.serialize_field("leistung", &self.leistung)?;
        fields.serialize_field("place", &self.place.to_string())?;
        fields.serialize_field("date", &self.on)?;
        match &self.outcome {
            Outcome::Route(route) => {
                fields.serialize_field("behoerde", &route.behoerde)?;
                if let Some(deputy) = &route.deputy {
                    fields.serialize_field("deputy", deputy)?;
                }
                fields.serialize_field("gateway", &route.gateway)?;
                fields.serialize_field("accepts", &route.accepts)?;
                place_of::<S>(&mut fields, route.matched_region, &route.position)?;
            }
            Outcome::Refused(refusal) => {
                fields.serialize_field("reason", &refusal.reason)?;
                fields.serialize_field("text", &refusal.text)?;
                if let Some(url) = &refusal.url {
                    fields.serialize_field("url", url)?;
                }
                if let Some(until) = &refusal.until {
                    fields.serialize_field("until", until)?;
                }
                place_of::<S>(&mut fields, refusal.matched_region, &refusal.position)?;
            }
            Outcome::NoRoute(none) => {
                fields.serialize_field("reason", none.reason())?;
                if let NoRoute::NoDelivery(behoerde) = none {
                    fields.serialize_field("behoerde", behoerde)?;
                }
                fields.serialize_field("text", &none.sentence(Lang::De))?;
            }
            Outcome::Choices(choices) => {
                fields.serialize_field("choices", choices)?;
                let hit = self.steps.iter().find(|step| step.result == StepResult::Hit);
                if let Some((step, position)) = hit.and_then(|step| step.position.as_ref().map(|at| (step, at))) {
                    place_of::<S>(&mut fields, step.region, position)?;
                }
            }
        }
        fields.serialize_field("steps", &self.steps)?;
        fields.end()
    }
}

/// The fields that say which entry decided.
fn place_of<S: Serializer>(
    fields: &mut S::SerializeStruct,
    region: Region,
    position: &Position,
) -> Result<(), S::Error> {
    fields.serialize_field("matchedRegion", &region)?;
    fields.serialize_field("file", &*position.file)?;
    fields.serialize_field("line", &position.line)
}
