//! The names of things: who takes part, what is applied for, what travels.
//!
//! Every type here can only hold a well-formed name, so nothing behind a parser has to check again. All are text and
//! compared as text; none is ever computed from another one. Only shape is judged here: whether a name is known is a
//! question for the tables.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A text that is not a well-formed name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed {kind}: expected {expected}")]
pub struct InvalidId {
    /// The kind of name, in the words of the lexicon.
    pub kind: &'static str,
    /// The shape it has to have.
    pub expected: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $canonical:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The canonical text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let canonical: Option<String> = $canonical(text);
                canonical.map(|text| Self(text.into())).ok_or(InvalidId { kind: $kind, expected: $expected })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// An authority (or any other participant: portal, register) and its DVDV key, `prefix:digits`,
    /// e.g. `wgb:010540880000`. Opaque: digits that look like an ARS mean nothing here.
    ///
    /// Canonical form `^[a-zäöüß]{2,6}:[0-9]{8}([0-9]{4})?$`; input may lack the colon and may be written in capitals
    /// (DVDV knows the prefix `MELDID`).
    BehoerdeId,
    "Behörde identifier",
    "a prefix of 2 to 6 letters, a colon, and 8 or 12 digits, e.g. wgb:010540880000",
    canonical_behoerde
);

text_id!(
    /// A gateway, the broker, or any other custodian: `^[a-z][a-z0-9-]{1,39}$`.
    GatewayId,
    "gateway identifier",
    "2 to 40 of a-z, 0-9 and '-', beginning with a letter, e.g. gw-sh-1",
    canonical_gateway
);

text_id!(
    /// A public service, as its 14-digit LeiKa key `99…`; input may be the URN `urn:de:fim:leika:leistung:99…`.
    LeistungId,
    "Leistung identifier",
    "a LeiKa key of 14 digits beginning with 99, or its URN",
    canonical_leistung
);

text_id!(
    /// An online service that may post applications: the same grammar as a gateway's name.
    ClientId,
    "client identifier",
    "2 to 40 of a-z, 0-9 and '-', beginning with a letter, e.g. wohngeld-online",
    canonical_gateway
);

/// Who holds a message: a gateway, or the broker, whose workers share one name of the same grammar.
pub type CustodianId = GatewayId;

impl LeistungId {
    const URN: &str = "urn:de:fim:leika:leistung:";

    /// The URN under which FIM knows this Leistung, as it stands in an envelope.
    pub fn urn(&self) -> String {
        format!("{}{}", Self::URN, self.0)
    }
}

impl BehoerdeId {
    /// The part before the colon: the kind of authority in the DVDV's list of prefixes.
    pub fn prefix(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

fn canonical_behoerde(text: &str) -> Option<String> {
    let digits_at = text.find(|c: char| c.is_ascii_digit())?;
    let (prefix, digits) = text.split_at(digits_at);
    let prefix = prefix.strip_suffix(':').unwrap_or(prefix).to_lowercase();
    let letters = prefix.chars().count();
    let fits = (2..=6).contains(&letters)
        && prefix
            .chars()
            .all(|c| c.is_ascii_lowercase() || matches!(c, 'ä' | 'ö' | 'ü' | 'ß'))
        && matches!(digits.len(), 8 | 12)
        && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| format!("{prefix}:{digits}"))
}

fn canonical_gateway(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let fits = (2..=40).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    fits.then(|| text.to_owned())
}

fn canonical_leistung(text: &str) -> Option<String> {
    let digits = text.strip_prefix(LeistungId::URN).unwrap_or(text);
    let fits = digits.len() == 14 && digits.starts_with("99") && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| digits.to_owned())
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random one.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The 16 octets, as journals keep it.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            /// Only the one spelling that is allowed on the wire: version 4, lower case, with hyphens.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { kind: $kind, expected: "a version 4 UUID in lower case with hyphens" };
                let uuid = Uuid::try_parse(text).map_err(|_| invalid.clone())?;
                let canonical = uuid.get_version_num() == 4
                    && uuid.get_variant() == uuid::Variant::RFC4122
                    && uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
                if canonical { Ok(Self(uuid)) } else { Err(invalid) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// One envelope's content and way; made by the gateway that seals. Sealing anew makes a new one.
    MessageId,
    "message identifier"
);

uuid_id!(
    /// Everything about one application; made by the sender gateway. XTA calls it ProcessRef.
    CaseId,
    "case identifier"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_behoerde_is_canonical_whatever_way_it_was_written() {
        for text in ["wgb:010540880000", "wgb010540880000", "WGB:010540880000"] {
            assert_eq!(text.parse::<BehoerdeId>().unwrap().as_str(), "wgb:010540880000");
        }
        assert_eq!("töj:01054088".parse::<BehoerdeId>().unwrap().prefix(), "töj");
        for text in [
            "",
            "wgb:",
            "w:01054088",
            "wgb:0105408",
            "wgb:0105408800001",
            "wgb:0105408x",
            "wgb::01054088",
            "wgb 01054088",
        ] {
            assert!(text.parse::<BehoerdeId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_uuid_has_one_spelling() {
        let id = MessageId::random();
        assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        assert!(id.to_string().to_uppercase().parse::<MessageId>().is_err());
        assert!(id.to_string().replace('-', "").parse::<MessageId>().is_err());
        assert!("00000000-0000-1000-8000-000000000000".parse::<MessageId>().is_err());
    }

    #[test]
    fn a_leistung_may_be_written_as_urn() {
        let id: LeistungId = "urn:de:fim:leika:leistung:99107023037000".parse().unwrap();
        assert_eq!(id.as_str(), "99107023037000");
        assert_eq!(id.urn().parse::<LeistungId>().unwrap(), id);
        assert!("98107023037000".parse::<LeistungId>().is_err());
    }
}
