//! stub
use bytes::Bytes;
use jiff::Timestamp;
use viereck_routing::{
    BehoerdeId, CaseId, CustodianId, Digest, GatewayId, LeistungId, MessageId, Region,
};

use super::{Reason, Stage};
use crate::refusal::Refused;

/// One statement of one custodian about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub subject: Subject,
    /// What is stated.
    pub stage: Stage,
    /// When it became true, to the millisecond.
    pub time: Timestamp,
    /// Who states it.
    pub custodian: CustodianId,
    /// The participant that wrote the message.
    pub author: Option<BehoerdeId>,
    /// The participant for which it is encrypted.
    pub reader: Option<BehoerdeId>,
    /// The participant that acted for the reader.
    pub deputy: Option<BehoerdeId>,
    /// With `relayed`: the gateway it went to.
    pub target: Option<GatewayId>,
    /// With `transferred`: who holds the case now.
    pub holder: Option<BehoerdeId>,
    /// The public service applied for.
    pub service: Option<LeistungId>,
    /// The region of the entry that decided the route.
    pub region: Option<Region>,
    /// The release of the routing table in force at the custodian.
    pub routing_table: Option<Digest>,
    /// Why, for stages that need a reason.
    pub reasons: Vec<Reason>,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A message whose envelope verified.
    Message {
        /// Its identifier.
        message_id: MessageId,
        /// SHA-256 of its SignedInfo.
        envelope_digest: Digest,
        /// Its case.
        process_ref: CaseId,
    },
    /// Bytes that did not verify, by their SHA-256.
    Bytes(Digest),
}

impl Event {
    /// The canonical octets with a fresh salt of 16 octets. Made once, when the event is committed, then kept: two
    /// calls give different octets.
    pub fn to_octets(&self) -> Bytes {
        Bytes::new()
    }

    /// Reads an event of a batch or of our own journal.
    pub fn from_octets(_octets: &[u8]) -> Result<Event, Refused> {
        Err(Refused::NotWellFormed)
    }
}
