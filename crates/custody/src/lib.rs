//! WHO HOLDS IT: journal, outbox, inbox, receipts, cases, duplicates, ledger.
//!
//! Every custodian (each gateway, and the broker) keeps one [`Journal`]. Nobody says yes to anything before the record
//! is on disk there; every state change and its event are one transaction; what others state is folded in as facts, in
//! any order. Retry, backoff and waiting are rows here, never states of a queue.
//!
//! The way of a message: [`outbox`] promises and publishes, [`relay`] keeps the broker's account, [`inbox`] takes,
//! [`hand_over`] ends, [`receipts`] tells those concerned. [`authorise`] is asked by the broker and the reader's gateway
//! alike, each on its own. [`status`] says what all of it means.
//!
//! Knows nothing of HTTP or of adapters, and never opens an envelope.

mod aside;
pub mod audit;
pub mod authorise;
pub mod backup;
pub mod cases;
pub mod checkup;
mod claims;
mod clock;
pub mod content;
pub mod deadlines;
mod duty;
mod error;
mod facts;
mod finding;
pub mod hand_over;
pub mod held;
pub mod inbox;
mod instance;
pub mod job;
mod journal;
pub mod lanes;
pub mod ledger;
pub mod list;
mod machine;
pub mod metrics;
mod needed;
pub mod outbox;
pub mod parked;
pub mod pause;
mod promise;
pub mod receipts;
pub mod relay;
pub mod replace;
pub mod report;
pub mod retention;
mod room;
mod rows;
pub mod status;
mod step;
#[cfg(test)]
mod testing;
mod view;
pub mod webhooks;

use std::sync::Arc;

pub use aside::aside;
pub use audit::{Actor, StatedReason};
pub use cases::Case;
pub use clock::still_to_come;
pub use duty::Duty;
pub use error::{JOURNAL_PAUSE, JournalError, PromiseError};
pub use finding::{Finding, Severity};
pub use hand_over::{Conclusion, Deferral};
pub use journal::{Journal, MessageKey, Occurrence};
pub use ledger::{Account, Ledger};
pub use machine::NotAllowed;
pub use outbox::doubled;
pub use promise::{Idempotency, Promise, Promised};
pub use room::Room;
pub use rows::Side;
pub use step::{Entry, Step, UnknownEntry};
pub use viereck_store::{Place, PostgresUrl, PostgresUrlError};
pub use view::{EventView, Lookup, MessageView};

/// The routing table in force, replaced as a whole; whoever holds it sees each new version.
pub type CurrentTables = tokio::sync::watch::Receiver<Arc<viereck_routing::Tables>>;
