//! Receipts: what custodians state about a message, and how each statement stays provable.
//!
//! A custodian writes down an [`Event`] once, as canonical octets with a fresh salt. Events concerning one destination
//! are grouped into a batch: a Merkle tree (RFC 9162) whose root stands in a signed head, and for each event the path
//! to that root. One event with its path and the head is a proof that stands alone and shows nothing of the others.

mod batch;
mod event;
mod reason;
mod stage;
mod tree;

pub use batch::{BatchDraft, BatchHead, SealedBatch, VerifiedBatch, seal_batch, verify_batch, verify_event};
pub use event::{Event, Subject};
pub use reason::Reason;
pub use stage::Stage;

/// A word that is not on the closed list it was looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known {0}")]
pub struct UnknownWord(pub &'static str);
