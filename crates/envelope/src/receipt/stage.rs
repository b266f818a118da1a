//! The stages of a message's life, as custodians state them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::UnknownWord;

/// What a custodian states about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The author's gateway has it and has promised to carry it.
    Received,
    /// The broker has passed it to the reader's gateway.
    Relayed,
    /// The reader's gateway has it.
    Delivered,
    /// The Fachverfahren has taken it over; nothing is decided by that.
    Accepted,
    /// The Fachverfahren or its gateway has refused it.
    Rejected,
    /// The broker cannot deliver it.
    Undeliverable,
    /// It lost its purpose before it was taken over.
    Expired,
    /// The authority has passed it on to the one that is competent.
    Transferred,
    /// The author took it back before it was published.
    Withdrawn,
}

impl Stage {
    /// Every stage, in the order of a life.
    pub const ALL: &[Stage] = &[
        Stage::Received,
        Stage::Relayed,
        Stage::Delivered,
        Stage::Accepted,
        Stage::Rejected,
        Stage::Undeliverable,
        Stage::Expired,
        Stage::Transferred,
        Stage::Withdrawn,
    ];

    /// The word in receipts, JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Received => "received",
            Stage::Relayed => "relayed",
            Stage::Delivered => "delivered",
            Stage::Accepted => "accepted",
            Stage::Rejected => "rejected",
            Stage::Undeliverable => "undeliverable",
            Stage::Expired => "expired",
            Stage::Transferred => "transferred",
            Stage::Withdrawn => "withdrawn",
        }
    }

    /// The word shown to citizens and clerks.
    pub fn german(self) -> &'static str {
        match self {
            Stage::Received => "eingereicht",
            Stage::Relayed => "weitergeleitet",
            Stage::Delivered => "zugestellt",
            Stage::Accepted => "übernommen",
            Stage::Rejected => "zurückgewiesen (technisch)",
            Stage::Undeliverable => "unzustellbar",
            Stage::Expired => "abgelaufen",
            Stage::Transferred => "abgegeben",
            Stage::Withdrawn => "zurückgenommen",
        }
    }

    /// Whether it ends the message's way.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Stage::Received | Stage::Relayed | Stage::Delivered)
    }
}

impl FromStr for Stage {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Stage::ALL
            .iter()
            .copied()
            .find(|stage| stage.as_str() == text)
            .ok_or(UnknownWord("stage"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_leads_back_to_its_stage() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(*stage));
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
        assert!("Accepted".parse::<Stage>().is_err());
        assert!("granted".parse::<Stage>().is_err());
    }
}
