//! The certificates and tokens that count: each entered by an operator for one participant, gateway, broker or client.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::digest::Digest;
use crate::ids::{BehoerdeId, ClientId, CustodianId};
use crate::ml_kem::MlKemKey;

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

/// A pinned certificate and its term.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    pub(crate) certificate: Certificate,
    /// The ML-KEM key that stands beside a certificate for encryption.
    pub(crate) ml_kem: Option<MlKemKey>,
    pub(crate) term: Term,
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
}

impl Pins {
    pub(crate) fn signing(&self, custodian: &CustodianId, sha256: &Digest) -> Option<&Certificate> {
        let pins = self.signing.get(custodian)?;
        let pin = pins.iter().find(|pin| pin.certificate.sha256() == *sha256)?;
        Some(&pin.certificate)
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

/// The certificate in force that began last: a successor is used as soon as it counts.
fn newest(pins: &[Pin], at: Timestamp) -> Option<&Certificate> {
    pins.iter()
        .filter(|pin| pin.term.contains(at) && pin.certificate.valid_at(at))
        .max_by_key(|pin| pin.term.from)
        .map(|pin| &pin.certificate)
}
