//! Corners 2 and 3: the HTTP interfaces, sealing, opening and the hand-over to Fachverfahren and Postfach.
//!
//! One gateway is a [`Config`], what it is given ([`Inputs`]) and [`run`]. Sender and receiver are two configurations of
//! the same program: a Bescheid takes the way of an application in the other direction. What is promised, published,
//! taken and stated is custody's; this crate knows when to ask for it:
//!
//! - `submit`: an HTTP request becomes a promise, in steps that consume each other.
//! - `reply`: the same for what a Fachverfahren answers.
//! - `sealing`: what both have in common; `sealing_anew`: the same content for another key or reader.
//! - `deliver`: what was taken is opened and handed over by the adapter of its Behörde and Leistung.
//! - `status`, `routes`: what clients may look at.
//! - `webhooks`: clients' servers are told that there is something to look at.
//!
//! Guarantees: no yes before the record is on disk; nothing that a client typed in a log line, an error or a file name;
//! memory bounded by [`Limits`]. Does not: know the other corner's keys, or decide who is competent.

mod config;
mod custody;
mod deliver;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod http;
pub mod key_files;
mod keys;
pub mod metrics;
mod outgoing;
pub mod reference;
mod reply;
mod routes;
mod run;
mod sealing;
mod sealing_anew;
mod status;
mod submit;
mod webhooks;

pub use config::{
    Acknowledge, Adapter, Behoerden, ClientCertificate, Config, Delivery, Endpoint, Fachverfahren, Finding, For,
    Limits, Oauth, Outgoing, Severity, Shows, Timeouts, Tls, TokenDigest, listener,
};
pub use custody::{Inbox, Outbox, Receipts};
pub use deliver::adapter::AdapterError;
pub use deliver::backlog::{Backlog, Backlogs};
pub use deliver::health::Breaker;
pub use deliver::message::as_files;
pub use http::access::AccessError;
pub use http::oauth::OauthError;
pub use http::serve::{Bounds, Listening, serve};
pub use http::tls::{TlsError, TlsServer};
pub use keys::{CurrentKeys, Keys, KeysError, NEEDED_DAYS, OWN_SECRETS, check_own_secret, folder_of};
pub use outgoing::OutgoingError;
pub use run::{Error, Inputs, readable, run};
pub use sealing_anew::{SealAnewError, SealingAnew};
pub use webhooks::Webhooks;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
