//! stub
use bytes::Bytes;
use jiff::Timestamp;
use viereck_routing::{CustodianId, Digest, Environment, GatewayId};

use super::Event;
use crate::keys::{Pins, Signer};
use crate::refusal::Refused;
use crate::seal::SealError;

/// What a custodian puts into one batch.
#[derive(Debug, Clone)]
pub struct BatchDraft<'a> {
    /// Test or production.
    pub environment: Environment,
    /// Who states the events and signs.
    pub custodian: CustodianId,
    /// The gateway whose messages the events are about.
    pub destination: GatewayId,
    /// Counted per custodian and destination, from 1.
    pub sequence: u64,
    /// The digest of the previous head; zeros for the first.
    pub previous: Digest,
    /// The time of the first event.
    pub from: Timestamp,
    /// The time of the last event.
    pub to: Timestamp,
    /// The canonical octets of each event, in order.
    pub events: &'a [Bytes],
}

/// The signed head of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHead {
    /// Test or production.
    pub environment: Environment,
    /// Who states the events and signs.
    pub custodian: CustodianId,
    /// The gateway whose messages the events are about.
    pub destination: GatewayId,
    /// Counted per custodian and destination, from 1.
    pub sequence: u64,
    /// The digest of the previous head; zeros for the first.
    pub previous: Digest,
    /// The time of the first event.
    pub from: Timestamp,
    /// The time of the last event.
    pub to: Timestamp,
    /// The number of events.
    pub tree_size: u64,
    /// The root of the tree over the events.
    pub root: Digest,
}

/// A batch as its custodian made it.
#[derive(Debug, Clone)]
pub struct SealedBatch {
    bytes: Bytes,
    head_digest: Digest,
}

impl SealedBatch {
    /// The document.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// SHA-256 of the head's SignedInfo: `previous` of the next batch.
    pub fn head_digest(&self) -> Digest {
        self.head_digest
    }
}

/// A batch that verified. Only [`verify_batch`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedBatch {
    bytes: Bytes,
    head: BatchHead,
    head_digest: Digest,
    entries: Vec<(Event, Bytes)>,
}

impl VerifiedBatch {
    /// The signed head.
    pub fn head(&self) -> &BatchHead {
        &self.head
    }
    /// SHA-256 of the head's SignedInfo.
    pub fn head_digest(&self) -> Digest {
        self.head_digest
    }
    /// Each event with its canonical octets, in order.
    pub fn entries(&self) -> &[(Event, Bytes)] {
        &self.entries
    }
    /// The document.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Signs a batch of events.
pub fn seal_batch(_draft: BatchDraft<'_>, _signer: &Signer, _now: Timestamp) -> Result<SealedBatch, SealError> {
    Err(SealError::TooLarge)
}

/// Verifies a batch.
pub fn verify_batch(
    _bytes: Bytes,
    _pins: &impl Pins,
    _environment: Environment,
    _now: Timestamp,
) -> Result<VerifiedBatch, Refused> {
    Err(Refused::NotWellFormed)
}
