//! Places: the regional keys ARS and AGS, and the prefixes of them that a competence is written for.
//!
//! Source: Amtlicher Regionalschlüssel and Amtlicher Gemeindeschlüssel of the statistical offices. Both are text;
//! leading zeros count. Whether a municipality exists is a question for the table of municipalities.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::InvalidId;

macro_rules! text_serde {
    ($name:ident) => {
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
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Up to twelve ASCII digits without an allocation; the ground of the three types below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Digits {
    octets: [u8; 12],
    len: u8,
}

impl Digits {
    fn parse(text: &str, lengths: &[usize]) -> Option<Self> {
        let bytes = text.as_bytes();
        if !lengths.contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut octets = [0; 12];
        octets[..bytes.len()].copy_from_slice(bytes);
        Some(Self {
            octets,
            len: bytes.len() as u8,
        })
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.octets[..usize::from(self.len)]).unwrap_or_default()
    }

    fn of_a_land(&self) -> bool {
        matches!(&self.octets[..2], [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'6'])
    }
}

/// A municipality's Amtlicher Regionalschlüssel: `^(0[1-9]|1[0-6])[0-9]{10}$`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ars(Digits);

/// A municipality's Amtlicher Gemeindeschlüssel, 8 digits; only the table of municipalities knows its [`Ars`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ags(Digits);

/// What a competence is written for: an ARS prefix of 2 (Land), 3 (Regierungsbezirk), 5 (Kreis), 9 (Verband) or
/// 12 digits (Gemeinde), or `00`, the whole country.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Digits);

/// A place as a client names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// By its regional key.
    Ars(Ars),
    /// By its municipality key; resolved through the table of municipalities.
    Ags(Ags),
}

impl Ars {
    /// The 12 digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The region of `digits` digits that this place lies in.
    ///
    /// `digits` is one of 12, 9, 5, 3, 2; any other number gives `None`.
    pub fn prefix(&self, digits: usize) -> Option<Region> {
        self.as_str().get(..digits)?.parse().ok()
    }
}

impl Ags {
    /// The 8 digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Region {
    /// The whole country, written `00`.
    pub const COUNTRY: Region = Region(Digits {
        octets: [b'0', b'0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        len: 2,
    });

    /// The digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The two-digit key of the Land this region lies in; `None` for the whole country.
    pub fn land(&self) -> Option<&str> {
        (*self != Self::COUNTRY).then(|| &self.as_str()[..2])
    }

    /// Whether `place` lies in this region.
    pub fn contains(&self, place: &Ars) -> bool {
        *self == Self::COUNTRY || place.as_str().starts_with(self.as_str())
    }
}

impl FromStr for Ars {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Digits::parse(text, &[12])
            .filter(Digits::of_a_land)
            .map(Self)
            .ok_or(InvalidId {
                kind: "ARS",
                expected: "12 digits beginning with the key of a Land, 01 to 16",
            })
    }
}

impl FromStr for Ags {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Digits::parse(text, &[8])
            .filter(Digits::of_a_land)
            .map(Self)
            .ok_or(InvalidId {
                kind: "AGS",
                expected: "8 digits beginning with the key of a Land, 01 to 16",
            })
    }
}

impl FromStr for Region {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Digits::parse(text, &[2, 3, 5, 9, 12])
            .filter(|digits| digits.of_a_land() || text == "00")
            .map(Self)
            .ok_or(InvalidId {
                kind: "region",
                expected: "an ARS prefix of 2, 3, 5, 9 or 12 digits, or 00 for the whole country",
            })
    }
}

impl FromStr for Place {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let unknown = InvalidId {
            kind: "region",
            expected: "an ARS of 12 digits or an AGS of 8",
        };
        match text.len() {
            8 => text.parse().map(Place::Ags).map_err(|_| unknown),
            12 => text.parse().map(Place::Ars).map_err(|_| unknown),
            _ => Err(unknown),
        }
    }
}

impl Place {
    fn as_str(&self) -> &str {
        match self {
            Place::Ars(ars) => ars.as_str(),
            Place::Ags(ags) => ags.as_str(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_serde!(Ars);
text_serde!(Ags);
text_serde!(Region);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_prefix_that_means_something() {
        for text in ["01", "053", "01054", "010545439", "010540880088", "00"] {
            assert_eq!(text.parse::<Region>().unwrap().as_str(), text);
        }
        for text in ["", "0", "17", "0105", "00000", "010540880088 ", "01054088008x"] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_lies_in_each_of_its_prefixes_and_in_the_country() {
        let place: Ars = "010540880088".parse().unwrap();
        for digits in [2, 3, 5, 9, 12] {
            assert!(place.prefix(digits).unwrap().contains(&place));
        }
        assert!(Region::COUNTRY.contains(&place));
        assert!(place.prefix(4).is_none());
        assert_eq!(Region::COUNTRY.land(), None);
    }
}
