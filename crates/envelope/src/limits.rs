//! Every limit of the wire format in one place. They stand before parsing: nothing larger is looked at.

/// The largest document on any link, in octets.
pub(crate) const DOCUMENT: usize = 8 * 1024 * 1024;
/// How deep elements may be nested.
pub(crate) const DEPTH: usize = 32;
/// Attributes of one element, namespace declarations included.
pub(crate) const ATTRIBUTES: usize = 16;
/// The longest tag, in octets.
pub(crate) const TAG: usize = 16 * 1024;
/// The certificate in KeyInfo in base64, white space included: no signature covers how it is spelled, so that whoever
/// passes a document on could blow it up.
pub(crate) const CERTIFICATE: usize = 64 * 1024;
/// Elements of an envelope, a manifest or an event.
pub(crate) const ELEMENTS: usize = 20_000;
/// Elements of a receipt batch: room for 1,000 events with their audit paths.
pub(crate) const BATCH_ELEMENTS: usize = 60_000;
/// Events of one receipt batch.
pub(crate) const BATCH_EVENTS: usize = 1_000;
/// Reasons of one event.
pub(crate) const REASONS: usize = 16;
/// The manifest, padding included, in octets.
pub(crate) const MANIFEST: usize = 256 * 1024;
/// Ciphertexts of one envelope: they share a content key.
pub(crate) const CIPHERTEXTS: usize = 4_096;
/// Files within the envelope, each and together, in octets. External parts will lower it.
pub(crate) const INLINE: usize = 4 * 1024 * 1024;
/// How far a document's creation may lie ahead of the verifier's clock, in seconds.
pub(crate) const CLOCK_SKEW: i64 = 5 * 60;
/// How long a message may keep its purpose, in seconds.
pub(crate) const PURPOSE: i64 = 90 * 24 * 60 * 60;
