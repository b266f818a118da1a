//! Evidence: what this custodian committed goes out in signed batches, what others committed comes in as facts.
//!
//! [`run_out`] is the sender's proof in the making: events become a batch, the batch is on disk before it is published,
//! and its head names the one before it, so that a gap or a fork shows. [`run_in`] believes a batch only after its
//! signature, and each event in it only as far as its custodian may state it.

mod incoming;
mod outgoing;

pub use incoming::{Standing, run as run_in};
pub use outgoing::{Config, Road, run as run_out};
