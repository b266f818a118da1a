//! What is filed in the drill: small applications that can be told apart and compared at the other end.
//!
//! A payload is made from the drill's seed and the application's number alone: it names the number, carries some
//! content and that content's digest. Whoever finds it can tell which application it is, and whether it is the one that
//! was filed or a mixture.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use viereck_routing::Digest;

use super::book::Number;
use super::seed::Seed;
use crate::demo::applications::{Application, HUSUM, KIEL, KOELN, MUENSTER, NIEBUELL, WOHNGELD};
use crate::demo::samples::{Document, WOHNGELD_JSON};

/// The reason with which the Fachverfahren rejects what asks for it.
pub(super) const REJECTION: &str = "S011";

/// Octets of content in a payload, in hexadecimal digits.
const CONTENT: usize = 128;

/// What kind of application a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// Where.
    pub(super) region: &'static str,
    /// Whether the Fachverfahren has to reject it.
    pub(super) to_be_rejected: bool,
}

impl Kind {
    /// Whether it goes to the Fachverfahren over HTTP; the others go to the one with folders.
    pub(super) fn is_for_http(self) -> bool {
        self.region.starts_with("01")
    }
}

/// The payload of an application.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Paper {
    hinweis: String,
    seed: u64,
    /// Which application it is.
    pub(super) nummer: Number,
    /// Whether it has to be rejected.
    pub(super) abzulehnen: bool,
    inhalt: String,
    sha256: String,
}

impl Paper {
    /// The payload of number `number`.
    pub(super) fn new(seed: Seed, number: Number) -> Self {
        let mut digits = String::with_capacity(CONTENT);
        for part in 0.. {
            if digits.len() >= CONTENT {
                break;
            }
            digits.push_str(&format!("{:016x}", seed.of(number, part)));
        }
        Self {
            hinweis: "Beispiel: alle Angaben sind erfunden.".to_owned(),
            seed: seed.number(),
            nummer: number,
            abzulehnen: kind(seed, number).to_be_rejected,
            sha256: Digest::of(digits.as_bytes()).to_string(),
            inhalt: digits,
        }
    }

    /// Reads a payload that arrived; `None` for what is none of ours.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        serde_json::from_slice(octets).ok()
    }

    /// Its octets.
    pub(super) fn octets(&self) -> Bytes {
        // plain fields: nothing that could fail
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// What kind number `number` is: a third for the Behörde that may move, one in eight for the folders.
pub(super) fn kind(seed: Seed, number: Number) -> Kind {
    let region = match seed.of(number, 100) % 24 {
        0..8 => NIEBUELL,
        8..15 => HUSUM,
        15..21 => KIEL,
        21 => KOELN,
        _ => MUENSTER,
    };
    Kind {
        region,
        to_be_rejected: seed.of(number, 101).is_multiple_of(25),
    }
}

/// Application `number` as a client files it.
pub(super) fn application(seed: Seed, number: Number) -> Application {
    Application {
        about: "an application of the drill",
        leistung: WOHNGELD,
        region: kind(seed, number).region,
        schema: WOHNGELD_JSON,
        payload: Document {
            name: "antrag.json",
            media_type: "application/json",
            octets: Paper::new(seed, number).octets(),
        },
        attachments: vec![],
        mailbox: mailbox(seed, number),
    }
}

/// The mailbox of application `number`.
pub(super) fn mailbox(seed: Seed, number: Number) -> Uuid {
    Uuid::from_u64_pair(seed.number(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back_as_the_one_that_was_made() {
        let seed = Seed::new(7);
        let octets = Paper::new(seed, 42).octets();
        let paper = Paper::read(&octets).unwrap();
        assert_eq!(paper.nummer, 42);
        assert_eq!(Paper::new(seed, paper.nummer).octets(), octets);
        assert_ne!(Paper::new(seed, 43).octets(), octets);
        assert_ne!(Paper::new(Seed::new(8), 42).octets(), octets);
    }

    #[test]
    fn every_kind_occurs() {
        let kinds: Vec<Kind> = (0..500).map(|number| kind(Seed::new(1), number)).collect();
        assert!(kinds.iter().any(|kind| kind.to_be_rejected && !kind.is_for_http()));
        assert!(kinds.iter().filter(|kind| kind.region == NIEBUELL).count() > 100);
        assert!(kinds.iter().filter(|kind| !kind.is_for_http()).count() > 30);
    }
}
