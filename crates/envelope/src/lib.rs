//! WHAT travels: the signed and encrypted XML envelope, custody events and receipt proofs.
//!
//! Pure: no I/O, no clock, no async. Time and names are arguments; keys, nonces and salts come from the system's
//! generator through aws-lc-rs. The shape of the wire format stands in `schemas/`, its rules in the modules here:
//!
//! - [`seal`]: a [`Draft`] becomes a [`SealedEnvelope`], encrypted for one reader and signed by one gateway.
//! - [`verify`]: received bytes become a [`VerifiedEnvelope`] or are [`Refused`]. Nothing else makes one.
//! - [`open`]: a verified envelope becomes an [`OpenedEnvelope`] with its files. Nothing else makes one.
//! - [`inspect`]: what an unverified document claims, as text for people.
//! - [`check_spelling`]: whether a document is in the one spelling that is taken; [`canonicalize`] brings any XML into it.
//! - [`seal_batch`], [`verify_batch`]: custody [`Event`]s in a signed Merkle tree; [`verify_event`] proves one alone.
//! - [`ReplyTokenKey`]: what a gateway seals for itself, so that a decision finds its mailbox.
//!
//! Standards: XML Signature 1.1, Exclusive XML Canonicalization 1.0, XAdES (ETSI EN 319 132-1) level B, XML
//! Encryption 1.1, NIST SP 800-56A (ConcatKDF), NIST SP 800-56C Rev. 2 (hybrid secrets), RFC 3394 (key wrap), RFC 8017
//! (RSA-PSS, RSA-OAEP), FIPS 203 and RFC 9935 (ML-KEM), RFC 9162 (Merkle tree).

mod content;
mod encryption;
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod inspect;
mod keep;
mod keys;
mod limits;
mod manifest;
mod ml_kem;
mod open;
mod padding;
mod profile;
mod receipt;
mod refusal;
mod seal;
mod signature;
mod token;
mod verify;
mod wrap;
mod xml;

pub use content::{Content, File, Role};
pub use header::{Header, MessageType};
pub use inspect::{Claims, RECIPIENT_WITHIN, inspect, is_encrypted_for};
pub use keep::{KeepKey, KeptKey};
pub use keys::{KeyError, OwnOctets, Pins, ReaderKeys, Signer};
pub use ml_kem::{ml_kem_key_of, new_ml_kem_key};
pub use open::{OpenError, OpenedEnvelope, open, open_kept};
pub use receipt::{
    BatchDraft, BatchHead, Event, Reason, SealedBatch, Stage, Subject, UnknownWord, VerifiedBatch, seal_batch,
    verify_batch, verify_event,
};
pub use refusal::Refused;
pub use seal::{Draft, SealError, SealedEnvelope, seal, seal_keeping};
pub use token::{ReplyChannel, ReplyToken, ReplyTokenKey, TokenRefused};
pub use verify::{VerifiedEnvelope, verify};
pub use xml::canonical::{Uncanonical, canonicalize};
pub use xml::check_spelling;
