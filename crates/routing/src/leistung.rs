//! What the tables say of a Leistung: its name, what may be posted for it, and how far its competence falls back.

use std::fmt;

use serde::Serialize;

use crate::competence::CompetenceList;
use crate::ids::LeistungId;
use crate::position::Position;
use crate::region::{Ars, Region};
use crate::words::Kind;

/// A Leistung as one Land, or the country, offers it.
#[derive(Debug, Clone)]
pub struct Leistung {
    /// Its LeiKa key.
    pub id: LeistungId,
    /// Its name, for people.
    pub name: String,
    /// The lowest trust level of the applicant's identity, 1 to 4; 1 demands none.
    pub level: u8,
    /// The lane in which its messages wait.
    pub class: Class,
    /// What may be posted as payload of an application.
    pub schemas: Vec<Schema>,
    /// What an authority may answer with.
    pub replies: Vec<ReplySchema>,
    /// The shortest region that still decides.
    pub fallback: Fallback,
    /// Where it stands.
    pub position: Position,
    /// The name of the list of competences that it uses.
    pub(crate) uses: String,
    /// What differs from that list for this Leistung alone.
    pub(crate) exceptions: CompetenceList,
}

/// A payload schema and the message type that goes with it; both stand in the envelope's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The schema's URN.
    pub urn: String,
    /// The message type, as the Fachstandard names it.
    #[serde(rename = "type")]
    pub message_type: String,
}

/// A schema of what an authority answers with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplySchema {
    /// Which kind of message: bescheid, question, status or answer.
    pub kind: Kind,
    /// The schema's URN.
    pub urn: String,
    /// The message type, as the Fachstandard names it.
    #[serde(rename = "type")]
    pub message_type: String,
}

impl Leistung {
    /// The schema that a client named, if this Leistung has it.
    pub fn schema(&self, urn: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.urn == urn)
    }

    /// The first schema for answers of this kind.
    pub fn reply(&self, kind: Kind) -> Option<&ReplySchema> {
        self.replies.iter().find(|reply| reply.kind == kind)
    }
}

macro_rules! closed_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$word_doc])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word as it stands in the tables.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use closed_words;

closed_words!(
    /// The lane in which messages of a Leistung wait for their turn.
    Class {
        /// Before the others.
        Urgent = "urgent",
        /// Like most.
        Normal = "normal",
        /// After the others.
        Bulk = "bulk",
    }
);

closed_words!(
    /// The shortest region whose entry may decide; shorter ones are not tried.
    Fallback {
        /// Only the municipality itself (12 digits).
        Gemeinde = "gemeinde",
        /// Down to the association of municipalities: Amt, Samtgemeinde (9 digits).
        Verband = "verband",
        /// Down to the Kreis (5 digits).
        Kreis = "kreis",
        /// Down to the Regierungsbezirk (3 digits).
        Bezirk = "bezirk",
        /// Down to the Land (2 digits).
        Land = "land",
        /// Down to the whole country (`00`), only in the country's own lists.
        Bund = "bund",
    }
);

impl Fallback {
    /// The regions of a place that are tried, from the municipality down to this one.
    pub(crate) fn regions(self, ars: &Ars) -> impl Iterator<Item = Region> {
        let prefixes = [12, 9, 5, 3, 2]
            .into_iter()
            .filter(move |digits| *digits >= self.digits());
        let country = (self == Fallback::Bund).then_some(Region::COUNTRY);
        prefixes.filter_map(|digits| ars.prefix(digits)).chain(country)
    }

    /// How many digits the shortest region has that is still tried.
    fn digits(self) -> usize {
        match self {
            Fallback::Gemeinde => 12,
            Fallback::Verband => 9,
            Fallback::Kreis => 5,
            Fallback::Bezirk => 3,
            Fallback::Land | Fallback::Bund => 2,
        }
    }
}
