//! The closed lists that header, tables and journals share: the environment and the kinds of message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::InvalidId;

/// Test or production. A mandatory field of header, table, keys, broker and journal; the two never mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Nothing here has legal effect.
    Test,
    /// Real applications of real people.
    Production,
}

/// A version of the wire format. What each allows is the envelope's business; which is the lowest that a participant
/// takes stands in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Profile {
    /// The content key is wrapped by ECDH-ES on P-256 or by RSA-OAEP.
    #[serde(rename = "1")]
    P1,
    /// The content key is wrapped by ECDH-ES on P-256 and ML-KEM-768 together.
    #[serde(rename = "2")]
    P2,
}

/// What a message is within its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The application that opens a case.
    Application,
    /// Documents handed in later by the applicant.
    Supplement,
    /// The applicant takes the application back.
    Withdrawal,
    /// The authority asks the applicant.
    Question,
    /// The authority tells how far it is.
    Status,
    /// The authority's decision.
    Bescheid,
    /// A question to a register or to another authority.
    Query,
    /// The answer to a query.
    Answer,
    /// The application passed on to the authority that is really competent.
    Transfer,
}

/// What a certificate is entered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A custodian signs with it.
    Signing,
    /// Content is encrypted for its key.
    Encryption,
}

macro_rules! closed_list {
    ($name:ident, $kind:literal, $expected:literal, $($variant:ident = $text:literal),+) => {
        impl $name {
            /// Every value, in the order of the lexicon.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word as it stands on the wire, in tables and in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err(InvalidId { kind: $kind, expected: $expected }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

closed_list!(
    Environment,
    "environment",
    "test or production",
    Test = "test",
    Production = "production"
);

closed_list!(
    Purpose,
    "purpose",
    "signing or encryption",
    Signing = "signing",
    Encryption = "encryption"
);

closed_list!(Profile, "profile", "1 or 2", P1 = "1", P2 = "2");

closed_list!(
    Kind,
    "kind of message",
    "application, supplement, withdrawal, question, status, bescheid, query, answer or transfer",
    Application = "application",
    Supplement = "supplement",
    Withdrawal = "withdrawal",
    Question = "question",
    Status = "status",
    Bescheid = "bescheid",
    Query = "query",
    Answer = "answer",
    Transfer = "transfer"
);
