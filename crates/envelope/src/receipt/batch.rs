//! Batches: events of one custodian for one destination, under one signature.
//!
//! The head is numbered and names the head before it, per custodian and destination, so that a gap or a fork shows.
//! Its signature covers the root of a tree over the events; each entry carries its path to that root. A batch is
//! verified as a whole: head, signature, root and every path. [`verify_event`] is the proof of one event alone.
//!
//! Whether a custodian may state what it states is not judged here: that is a question of roles.

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use viereck_routing::{CustodianId, Digest, Environment, GatewayId, Profile};

use super::Event;
use super::tree::{Tree, leaf_hash, path_leads_to};
use crate::header::parse;
use crate::keys::{Pins, Signer};
use crate::limits;
use crate::refusal::Refused;
use crate::seal::SealError;
use crate::signature;
use crate::verify::is_in_future;
use crate::xml::value::{instant, parse_instant, parse_number, to_millisecond};
use crate::xml::write::{self, NotXml};
use crate::xml::{Cursor, Ns, Vocabulary};

/// Nothing is encrypted in a batch, so there is one profile of them.
const PROFILE: Profile = Profile::P1;

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

/// Signs a batch of 1 to 1,000 events, at the instant `now`.
pub fn seal_batch(draft: BatchDraft<'_>, signer: &Signer, now: Timestamp) -> Result<SealedBatch, SealError> {
    if !signer.certificate().valid_at(now) {
        return Err(SealError::SigningCertificateNotValid);
    }
    if draft.events.len() > limits::BATCH_EVENTS {
        return Err(SealError::TooLarge);
    }
    let millisecond = |instant: Timestamp| to_millisecond(instant).ok_or(SealError::InvalidValue);
    let leaves = draft.events.iter().map(|event| leaf_hash(event)).collect();
    let tree = Tree::over(leaves).ok_or(SealError::InvalidValue)?;
    let head = BatchHead {
        environment: draft.environment,
        custodian: draft.custodian,
        destination: draft.destination,
        sequence: draft.sequence,
        previous: draft.previous,
        from: millisecond(draft.from)?,
        to: millisecond(draft.to)?,
        tree_size: draft.events.len() as u64,
        root: tree.root(),
    };
    if !head.is_consistent() {
        return Err(SealError::InvalidValue);
    }

    let mut out = String::with_capacity(8 * 1024 + draft.events.iter().map(|event| event.len() + 1024).sum::<usize>());
    out.push_str("<ReceiptBatch xmlns=\"");
    out.push_str(Vocabulary::BATCH.own);
    out.push_str("\">");
    let head_at = out.len();
    head.write(&mut out)?;
    let objects = [("head", Digest::of(&out.as_bytes()[head_at..]))];
    let head_digest = signature::write(&mut out, &objects, millisecond(now)?, signer)?;
    for (index, event) in draft.events.iter().enumerate() {
        // What is signed has to be readable for whoever verifies it.
        let stated = Event::from_octets(event).map_err(|_| SealError::InvalidValue)?;
        if stated.custodian != head.custodian {
            return Err(SealError::InvalidValue);
        }
        let event = std::str::from_utf8(event).map_err(|_| SealError::InvalidValue)?;
        out.push_str(&format!("<Entry index=\"{index}\">{event}<Path>"));
        for hash in tree.path(index) {
            write::element(&mut out, "Hash", &hash.to_base64())?;
        }
        out.push_str("</Path></Entry>");
    }
    out.push_str("</ReceiptBatch>");
    if out.len() > limits::DOCUMENT {
        return Err(SealError::TooLarge);
    }
    Ok(SealedBatch {
        bytes: Bytes::from(out),
        head_digest,
    })
}

/// Verifies a batch against the pinned certificates, for a verifier of this environment at `now`.
pub fn verify_batch(
    bytes: Bytes,
    pins: &impl Pins,
    environment: Environment,
    now: Timestamp,
) -> Result<VerifiedBatch, Refused> {
    let mut cursor = Cursor::new(&bytes, Vocabulary::BATCH)?;
    cursor.root("ReceiptBatch")?;
    let (head, head_at) = BatchHead::read(&mut cursor)?;
    let signature = signature::read(&mut cursor, &["head"])?;
    let mut entries = Vec::new();
    while !cursor.at_close() {
        if entries.len() >= limits::BATCH_EVENTS {
            return Err(Refused::WrongTree);
        }
        entries.push(Entry::read(&mut cursor, entries.len())?);
    }
    let head_octets = cursor.slice(&head_at);
    cursor.finish()?;

    if head.environment != environment {
        return Err(Refused::WrongEnvironment);
    }
    let pinned = pins
        .signing_certificate(
            &head.custodian,
            &signature.certificate_sha256(),
            signature.signing_time(),
        )
        .ok_or(Refused::CertificateNotPinned)?;
    if pins.is_revoked(pinned, now) {
        return Err(Refused::CertificateRevoked);
    }
    let head_digest = signature.check(&[head_octets], pinned)?;
    if is_in_future(signature.signing_time(), now) {
        return Err(Refused::CreatedInFuture);
    }
    if !head.is_consistent() {
        return Err(Refused::InvalidValue);
    }
    check_tree(&head, &entries, &bytes)?;
    if entries.iter().any(|entry| entry.event.custodian != head.custodian) {
        return Err(Refused::ForeignEvent);
    }
    let entries = entries
        .into_iter()
        .map(|entry| (entry.event, bytes.slice(entry.octets)))
        .collect();
    Ok(VerifiedBatch {
        bytes,
        head,
        head_digest,
        entries,
    })
}

/// Whether an event's octets stand at `index` under a verified head: the proof of one event without the others.
pub fn verify_event(head: &BatchHead, index: u64, event: &[u8], path: &[Digest]) -> bool {
    path_leads_to(&head.root, leaf_hash(event), index, head.tree_size, path)
}

/// One entry as read.
struct Entry {
    event: Event,
    octets: Range<usize>,
    path: Vec<Digest>,
}

impl Entry {
    fn read(cursor: &mut Cursor<'_>, index: usize) -> Result<Self, Refused> {
        if cursor.at(Ns::Ds, "Signature") {
            return Err(Refused::SecondSignature);
        }
        cursor.fixed(Ns::Own, "Entry", [("index", &index.to_string())], Refused::WrongTree)?;
        let start = cursor.position();
        cursor.open(Ns::Own, "Event")?;
        let event = Event::read(cursor)?;
        cursor.close()?;
        let octets = cursor.since(start);
        cursor.open(Ns::Own, "Path")?;
        let mut path = Vec::with_capacity(10);
        while !cursor.at_close() {
            path.push(cursor.value("Hash", Digest::from_base64)?);
        }
        cursor.close()?;
        cursor.close()?;
        Ok(Self { event, octets, path })
    }
}

/// Compares the head's root with the entries, and each entry's path with the one that its place has.
fn check_tree(head: &BatchHead, entries: &[Entry], bytes: &[u8]) -> Result<(), Refused> {
    let leaves = entries
        .iter()
        .map(|entry| leaf_hash(&bytes[entry.octets.clone()]))
        .collect();
    let tree = Tree::over(leaves).ok_or(Refused::WrongTree)?;
    let paths_fit = entries
        .iter()
        .enumerate()
        .all(|(index, entry)| tree.path(index).eq(&entry.path));
    if head.tree_size == entries.len() as u64 && tree.root() == head.root && paths_fit {
        Ok(())
    } else {
        Err(Refused::WrongTree)
    }
}

impl BatchHead {
    /// Whether its numbers make sense: counted from 1, only the first without a predecessor, not backwards in time.
    fn is_consistent(&self) -> bool {
        self.sequence >= 1 && (self.sequence == 1) == (self.previous == Digest::ZERO) && self.from <= self.to
    }

    fn write(&self, out: &mut String) -> Result<(), NotXml> {
        out.push_str("<BatchHead xmlns=\"");
        out.push_str(Vocabulary::BATCH.own);
        out.push_str("\" Id=\"head\">");
        write::element(out, "Profile", PROFILE.as_str())?;
        write::element(out, "Environment", self.environment.as_str())?;
        write::element(out, "Custodian", self.custodian.as_str())?;
        write::element(out, "Destination", self.destination.as_str())?;
        write::element(out, "Sequence", &self.sequence.to_string())?;
        write::element(out, "Previous", &self.previous.to_base64())?;
        write::element(out, "From", &instant(self.from))?;
        write::element(out, "To", &instant(self.to))?;
        write::element(out, "TreeSize", &self.tree_size.to_string())?;
        write::element(out, "Root", &self.root.to_base64())?;
        out.push_str("</BatchHead>");
        Ok(())
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<(Self, Range<usize>), Refused> {
        let start = cursor.position();
        cursor.fixed(Ns::Own, "BatchHead", [("Id", "head")], Refused::WrongAttribute)?;
        if cursor.element(Ns::Own, "Profile")? != PROFILE.as_str() {
            return Err(Refused::UnknownProfile);
        }
        let head = Self {
            environment: cursor.value("Environment", parse)?,
            custodian: cursor.value("Custodian", parse)?,
            destination: cursor.value("Destination", parse)?,
            sequence: cursor.value("Sequence", parse_number)?,
            previous: cursor.value("Previous", Digest::from_base64)?,
            from: cursor.value("From", parse_instant)?,
            to: cursor.value("To", parse_instant)?,
            tree_size: cursor.value("TreeSize", parse_number)?,
            root: cursor.value("Root", Digest::from_base64)?,
        };
        cursor.close()?;
        Ok((head, cursor.since(start)))
    }
}
