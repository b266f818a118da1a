//! Receipts written by hand, for what custodians say only when something goes wrong.

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{BatchDraft, Event, Reason, SealedEnvelope, Stage, Subject, seal_batch};
use viereck_routing::{Digest, Environment};

use crate::custodians::{Custodians, id};

/// What `custodian` states about a message now.
pub fn event(envelope: &SealedEnvelope, stage: Stage, custodian: &str, reasons: Vec<Reason>) -> Event {
    let header = envelope.header();
    Event {
        subject: Subject::Message {
            message_id: header.message_id,
            envelope_digest: envelope.digest(),
            process_ref: header.process_ref,
        },
        stage,
        time: Timestamp::now(),
        custodian: id(custodian),
        author: Some(header.author.clone()),
        reader: Some(header.reader.clone()),
        deputy: None,
        target: (stage == Stage::Relayed).then(|| id("gw-sh-2")),
        holder: None,
        service: Some(header.service.clone()),
        region: None,
        routing_table: None,
        reasons,
    }
}

/// One event as a batch for the author's gateway, `gw-sh-1`: the `sequence`-th of whoever signs it.
///
/// # Panics
/// When nobody of that name signs.
pub fn batch(custodians: &Custodians, signed_by: &str, sequence: u64, event: &Event) -> Bytes {
    let octets = [event.to_octets()];
    let now = Timestamp::now();
    let draft = BatchDraft {
        environment: Environment::Test,
        custodian: id(signed_by),
        destination: id("gw-sh-1"),
        sequence,
        previous: match sequence {
            1 => Digest::ZERO,
            _ => Digest::of(b"the head before"),
        },
        from: now,
        to: now,
        events: &octets,
    };
    let batch = seal_batch(draft, &custodians.signer(signed_by), now).expect("it seals");
    batch.bytes().clone()
}
