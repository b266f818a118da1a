//! Stand-ins for what is not Viereck: the authorities' Fachverfahren and the citizens' Postfach.
//!
//! They are real servers on loopback and a real reader of folders, and they know Viereck only through its public
//! contracts: the multipart hand-over, `message.json`, the markers, the reply API, ZBP's field names. They therefore
//! use none of the rooms below; what they expect is written down here a second time, so that a change of a contract
//! shows as a failure instead of moving silently on both sides.
//!
//! Each keeps a [`Ledger`] in which attempts and effects are counted apart: whether a message took effect twice is a
//! question to the authority's side, not to ours. Each can be told to misbehave as real ones do ([`Answer`]).
//!
//! They check what a contract promises (every named file there, every digest right) and write a breach down instead
//! of guessing. They do not persist anything and they authenticate nobody: they listen on loopback only.

mod folder;
mod gate;
mod http;
mod ledger;
mod message;
mod postfach;
mod replies;
mod server;
#[cfg(test)]
mod tests;

pub use folder::{Ending, FolderFachverfahren};
pub use gate::Gate;
pub use http::Fachverfahren;
pub use ledger::{Entry, Ledger, NotInTime, SentBescheid, Standing, Watch};
pub use message::{Breach, FileEntry, HandedOver, Message};
pub use postfach::{AttachmentEntry, Delivery, Description, Mail, Mailboxes, Postfach};
pub use replies::{ReplyRoute, Share};

use std::sync::Arc;
use std::time::Duration;

/// What a Fachverfahren does with one attempt to hand a message over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Takes it over.
    Accept,
    /// Takes it over after this time.
    AcceptAfter(Duration),
    /// Takes it over once the gate opens; the request stays open until then.
    AcceptWhenOpen(Gate),
    /// Takes it over, and decides twice: the same Bescheid goes out two times.
    AcceptAndDecideTwice,
    /// Takes it over, but the answer never arrives: what a crash or a cut line looks like from the gateway.
    AcceptSilently,
    /// Rejects it with this reason code.
    Reject(String),
    /// Cannot take it now.
    Unavailable,
    /// Does not let the gateway in: its token was changed and nobody told the gateway.
    Unauthorized,
    /// Does nothing and says nothing.
    Ignore,
}

/// Decides each attempt: the message with its files, and how many attempts there were with its key, this one included.
pub type Script = Arc<dyn Fn(&HandedOver, u32) -> Answer + Send + Sync>;

/// Takes over everything.
pub fn accept_all() -> Script {
    Arc::new(|_, _| Answer::Accept)
}

/// Takes over everything but what carries a code that stands in no list: that is rejected with S011.
pub fn reject_unknown_codes() -> Script {
    Arc::new(|handed_over, _| match handed_over.payload() {
        Some(payload) if !super::samples::wohnform_is_known(payload) => Answer::Reject("S011".to_owned()),
        _ => Answer::Accept,
    })
}

/// Cannot take anything the first `attempts` times, then takes it over.
pub fn unavailable_for(attempts: u32) -> Script {
    Arc::new(move |_, attempt| {
        if attempt <= attempts {
            Answer::Unavailable
        } else {
            Answer::Accept
        }
    })
}
