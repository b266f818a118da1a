//! What the story of a message is made of: what custodians stated, and what happened inside one journal in between.
//!
//! Both are closed lists. A [`Stage`] travels in a receipt; a [`Step`] never leaves the journal it was noted in. Does
//! not: say what either means for the message, that is [`crate::status`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use viereck_envelope::Stage;

/// A word that is neither a stage nor a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a stage nor a step")]
pub struct UnknownEntry;

macro_rules! steps {
    ($($(#[$doc:meta])+ $variant:ident = $word:literal, $german:literal;)+) => {
        /// A step that never leaves the journal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Step { $($(#[$doc])+ $variant,)+ }

        impl Step {
            /// Every step.
            pub const ALL: &[Step] = &[$(Step::$variant),+];

            /// The word in journal, JSON, log and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Step::$variant => $word),+ }
            }

            /// The word shown to clerks.
            pub fn german(self) -> &'static str {
                match self { $(Step::$variant => $german),+ }
            }
        }
    };
}

steps! {
    /// Confirmed by the link; once more after each silence.
    Published = "published", "abgeschickt";
    /// The broker keeps it, because the next hop takes nothing at the moment.
    Held = "held", "angehalten";
    /// Came back unrouted: custody is the broker's again.
    Returned = "returned", "zurückgekommen";
    /// An attempt at a hand-over begins.
    HandingOver = "handing-over", "wird übergeben";
    /// The hand-over waits for a later time.
    Deferred = "deferred", "verschoben";
    /// Nobody has taken it over, and its time is running out.
    Warned = "warned", "angemahnt";
    /// Taken out of the flow.
    Parked = "parked", "geparkt";
    /// Put back into the flow by an operator.
    Requeued = "requeued", "wieder eingereiht";
    /// Its sealed octets are no longer kept here.
    Erased = "erased", "gelöscht";
    /// Sealed anew: another message goes on in its place.
    Replaced = "replaced", "neu versiegelt";
}

/// One entry of a message's story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// Stated by a custodian, in a receipt.
    Stage(Stage),
    /// Noted by the journal for itself.
    Step(Step),
}

impl Entry {
    /// The word in journal, JSON, log and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Entry::Stage(stage) => stage.as_str(),
            Entry::Step(step) => step.as_str(),
        }
    }

    /// The stage, where it is one.
    pub fn stage(self) -> Option<Stage> {
        match self {
            Entry::Stage(stage) => Some(stage),
            Entry::Step(_) => None,
        }
    }
}

impl From<Stage> for Entry {
    fn from(stage: Stage) -> Self {
        Entry::Stage(stage)
    }
}

impl From<Step> for Entry {
    fn from(step: Step) -> Self {
        Entry::Step(step)
    }
}

impl FromStr for Entry {
    type Err = UnknownEntry;
    fn from_str(text: &str) -> Result<Self, UnknownEntry> {
        let step = || Step::ALL.iter().copied().find(|step| step.as_str() == text);
        match text.parse() {
            Ok(stage) => Ok(Entry::Stage(stage)),
            Err(_) => step().map(Entry::Step).ok_or(UnknownEntry),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_leads_back_to_its_one_entry() {
        let entries = Stage::ALL.iter().map(|stage| Entry::Stage(*stage));
        let entries: Vec<Entry> = entries.chain(Step::ALL.iter().map(|step| Entry::Step(*step))).collect();
        for entry in &entries {
            assert_eq!(entry.as_str().parse(), Ok(*entry));
        }
        let words: BTreeSet<_> = entries.iter().map(|entry| entry.as_str()).collect();
        assert_eq!(words.len(), entries.len(), "no word stands for two entries");
        assert_eq!("lost".parse::<Entry>(), Err(UnknownEntry));
    }
}
