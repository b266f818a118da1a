//! The certificates and tokens that count: each entered by an operator for one participant, gateway, broker or client.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::{SignedDuration, Timestamp};

use crate::certificate::Certificate;
use crate::digest::Digest;
use crate::ids::{BehoerdeId, ClientId, CustodianId};
use crate::ml_kem::MlKemKey;
use crate::revocation::{Revocations, Standing};
use crate::trust::{Issued, Trust};
use crate::words::Purpose;

/// From when until when an entry counts; the first instant belongs to it, the last does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Term {
    pub(crate) fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// A pinned certificate, its term, and who issued it.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    pub(crate) certificate: Certificate,
    /// The ML-KEM key that stands beside a certificate for encryption.
    pub(crate) ml_kem: Option<MlKemKey>,
    pub(crate) term: Term,
    /// The file below `certificates/`.
    pub(crate) file: String,
}

/// The SHA-256 of what a client shows, its bearer token or its certificate, and its term.
#[derive(Debug, Clone)]
pub(crate) struct ClientPin {
    pub(crate) client: ClientId,
    pub(crate) sha256: Digest,
    pub(crate) term: Term,
}

/// Everything that is pinned.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    pub(crate) signing: BTreeMap<CustodianId, Vec<Pin>>,
    pub(crate) encryption: BTreeMap<BehoerdeId, Vec<Pin>>,
    pub(crate) tokens: Vec<ClientPin>,
    pub(crate) client_certificates: Vec<ClientPin>,
    pub(crate) trust: Trust,
    /// From each certificate, known by its digest, up to the anchor; empty where the table names no anchors.
    pub(crate) chains: BTreeMap<Digest, Vec<Issued>>,
    pub(crate) revocations: Revocations,
}

/// By how much what was signed may lie outside its entry: clocks differ, and are set, and what is being signed when a
/// custodian changes its keys ends with the key it began with.
const KEY_CHANGE: SignedDuration = SignedDuration::from_mins(5);

/// Why nothing can be sealed for a reader at this instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSealable {
    /// No certificate for encryption is in force.
    NoneValid,
    /// Every one in force was revoked.
    Revoked,
    /// Nobody can say at present whether it was revoked.
    RevocationUnknown,
}

impl Pins {
    /// This certificate, if what this custodian signed at `at` with it counts by its entry.
    pub(crate) fn signing(&self, custodian: &CustodianId, sha256: &Digest, at: Timestamp) -> Option<&Certificate> {
        let pins = self.signing.get(custodian)?;
        let pin = pins.iter().find(|pin| pin.certificate.sha256() == *sha256)?;
        let earliest = at.saturating_sub(KEY_CHANGE).unwrap_or(Timestamp::MIN);
        let latest = at.saturating_add(KEY_CHANGE).unwrap_or(Timestamp::MAX);
        (pin.term.from <= latest && earliest < pin.term.until).then_some(&pin.certificate)
    }

    pub(crate) fn current_signing(&self, custodian: &CustodianId, at: Timestamp) -> Option<&Certificate> {
        newest(self.signing.get(custodian)?, at)
    }

    pub(crate) fn current_encryption(&self, participant: &BehoerdeId, at: Timestamp) -> Option<&Certificate> {
        newest(self.encryption.get(participant)?, at)
    }

    /// The ML-KEM key beside a certificate of this participant.
    pub(crate) fn ml_kem(&self, participant: &BehoerdeId, certificate: &Digest) -> Option<&MlKemKey> {
        let pins = self.encryption.get(participant)?;
        let pin = pins.iter().find(|pin| pin.certificate.sha256() == *certificate)?;
        pin.ml_kem.as_ref()
    }

    /// The pin in force that began last and may be sealed for: one that was revoked gives way to the one before.
    pub(crate) fn sealable(&self, participant: &BehoerdeId, at: Timestamp) -> Result<&Pin, NotSealable> {
        let mut why = NotSealable::NoneValid;
        let pins = self.encryption.get(participant).ok_or(why)?;
        let mut in_force: Vec<&Pin> = pins.iter().filter(|pin| pin.is_in_force(at)).collect();
        // of equals the last, as everywhere
        in_force.sort_by_key(|pin| pin.term.from);
        for pin in in_force.into_iter().rev() {
            match self.standing(&pin.certificate.sha256(), at) {
                Standing::Good => return Ok(pin),
                Standing::Unknown => return Err(NotSealable::RevocationUnknown),
                Standing::Revoked => why = NotSealable::Revoked,
            }
        }
        Err(why)
    }

    /// What is known of the revocation of a pinned certificate; of one that is not pinned, nothing.
    pub(crate) fn standing(&self, certificate: &Digest, at: Timestamp) -> Standing {
        let chain = self.chains.get(certificate).map_or(&[][..], Vec::as_slice);
        self.revocations.standing(chain, at)
    }

    /// Every pin with its purpose, by holder.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Purpose, &Pin)> {
        let signing = self
            .signing
            .iter()
            .flat_map(|(holder, pins)| pins.iter().map(move |pin| (holder.as_str(), Purpose::Signing, pin)));
        let encryption = self
            .encryption
            .iter()
            .flat_map(|(holder, pins)| pins.iter().map(move |pin| (holder.as_str(), Purpose::Encryption, pin)));
        signing.chain(encryption)
    }

    /// Compares with every entry, in constant time each, so that the time taken tells nothing about a near miss.
    pub(crate) fn client_of(&self, token: &str, at: Timestamp) -> Option<&ClientId> {
        let presented = Digest::of(token.as_bytes());
        let mut found = None;
        for pin in &self.tokens {
            let equal = verify_slices_are_equal(presented.octets(), pin.sha256.octets()).is_ok();
            if equal && pin.term.contains(at) {
                found = Some(&pin.client);
            }
        }
        found
    }

    /// A certificate is no secret: its holder has proved to have the key.
    pub(crate) fn client_of_certificate(&self, sha256: &Digest, at: Timestamp) -> Option<&ClientId> {
        let pins = self.client_certificates.iter();
        let mut matching = pins.filter(|pin| pin.sha256 == *sha256 && pin.term.contains(at));
        matching.next().map(|pin| &pin.client)
    }
}

impl Pin {
    pub(crate) fn is_in_force(&self, at: Timestamp) -> bool {
        self.term.contains(at) && self.certificate.valid_at(at)
    }

    /// From when until when it can be used: entry and certificate both hold.
    pub(crate) fn usable(&self) -> Term {
        Term {
            from: self.term.from.max(self.certificate.valid_from()),
            until: self.term.until.min(self.certificate.valid_until()),
        }
    }
}

/// The certificate in force that began last: a successor is used as soon as it counts.
fn newest(pins: &[Pin], at: Timestamp) -> Option<&Certificate> {
    pins.iter()
        .filter(|pin| pin.is_in_force(at))
        .max_by_key(|pin| pin.term.from)
        .map(|pin| &pin.certificate)
}
