//! The way of one message from the journal to its Fachverfahren.
//!
//! Looked for (a folder may say what became of an earlier attempt) -> verified again, because what a journal holds is
//! octets and not a proof -> opened -> found to belong to its case -> attempt noted -> adapter -> end or delay noted.
//!
//! Guarantees: an adapter acts only after the attempt is on disk; every attempt of a message is the same request under
//! the same key; one attempt sees one routing table; what was opened is never written down by us. Whatever fails is the
//! message's fault (rejected), the Fachverfahren's or the operator's (later), or nobody's yet (parked); none of it holds
//! up another message.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use viereck_custody::{Conclusion, Deferral, DueHandOver, Journal, JournalError, MessageKey};
use viereck_envelope::{OpenedEnvelope, Reason};
use viereck_routing::Tables;

use super::adapter::Adapter;
use super::case::{self, InCase};
use super::directory::{Directory, Seen};
use super::lane::{Lane, Later, backoff};
use super::message::HandOver;
use super::outcome::Outcome;
use super::{http, postfach};
use crate::gateway::Gateway;

/// When a message without a lane is looked at again; only a changed configuration helps, and that needs a restart.
const NO_LANE: Duration = Duration::from_secs(60);

/// Hands one message over, or notes why not. It is in nobody's hands afterwards.
pub(crate) async fn hand_over(
    gateway: Arc<Gateway>,
    lane: Option<Arc<Lane>>,
    due: DueHandOver,
) -> Result<(), JournalError> {
    let key = due.key.clone();
    let ended = one(&gateway, lane, due).await;
    match ended {
        // somebody else has ended it in the meantime, e.g. an operator: that end stands
        Err(JournalError::Unknown) => {
            tracing::warn!(message_id = %key.message_id, "it has ended while it was being handed over");
            Ok(())
        }
        other => other,
    }
}

async fn one(gateway: &Gateway, lane: Option<Arc<Lane>>, due: DueHandOver) -> Result<(), JournalError> {
    let journal = &gateway.journal;
    let key = due.key.clone();
    let Some(lane) = lane else {
        tracing::error!(behoerde = %due.reader, leistung = %due.leistung, alarm = "adapter-misconfigured", "no delivery is configured for it");
        let until = Timestamp::now() + NO_LANE;
        return journal.defer(&key, until, Deferral::AdapterMisconfigured).await;
    };
    let _seat = match lane.seat(Timestamp::now()) {
        Ok(seat) => seat,
        Err(later) => return journal.defer(&key, later.until, later.why).await,
    };
    // a lane ends only with the program
    let Some(_turn) = lane.turn().await else { return Ok(()) };
    // those before it may have found out meanwhile that nobody answers
    if let Some(later) = lane.rests(Timestamp::now()) {
        return journal.defer(&key, later.until, later.why).await;
    }
    if let Adapter::Directory(directory) = &lane.adapter
        && let Some(seen) = look(gateway, directory, &key).await
    {
        return note(journal, &lane, &key, due.attempts, seen).await;
    }
    let attempts = due.attempts;
    let tables = gateway.tables();
    let (message, in_case) = match prepare(gateway, &tables, due).await {
        Ok(prepared) => prepared,
        Err(Stop::Ended(end)) => return journal.conclude(&key, end).await,
        Err(Stop::Parked(reason)) => return journal.park(&key, reason).await,
        Err(Stop::Journal(error)) => return Err(error),
    };
    begin(journal, &key, &in_case).await?;
    let outcome = attempt(gateway, &tables, &lane, &key, message, in_case).await;
    note(journal, &lane, &key, attempts, outcome).await
}

/// What a folder says about an earlier attempt; `None` when there was none that counts.
async fn look(gateway: &Gateway, directory: &Directory, key: &MessageKey) -> Option<Outcome> {
    let (directory, key) = (directory.clone(), key.clone());
    match gateway.aside(move || directory.look(&key)).await {
        Ok(Seen::NotHandedOver) => None,
        Ok(Seen::HandedOver(outcome)) => Some(outcome),
        Err(error) => Some(of_files(&error)),
    }
}

/// Why a message does not reach its adapter.
enum Stop {
    /// It comes to its end without one.
    Ended(Conclusion),
    /// An operator has to look at it.
    Parked(Reason),
    /// The journal failed.
    Journal(JournalError),
}

/// From sealed octets to a message that its adapter may act on.
async fn prepare(gateway: &Gateway, tables: &Arc<Tables>, due: DueHandOver) -> Result<(HandOver, InCase), Stop> {
    let attempts = due.attempts;
    let opened = open(gateway, Arc::clone(tables), due).await?;
    // once an adapter may have acted, only its answer says what became of it
    if attempts == 0 && opened.header().obsolete_at(Timestamp::now()) {
        return Err(Stop::Ended(Conclusion::Expired));
    }
    match case::find(&gateway.journal, &opened).await.map_err(Stop::Journal)? {
        InCase::Nowhere => Err(rejected(Reason::NotOurCase)),
        in_case => Ok((HandOver::new(opened).map_err(rejected)?, in_case)),
    }
}

fn rejected(reason: Reason) -> Stop {
    Stop::Ended(Conclusion::Rejected(vec![reason]))
}

async fn open(gateway: &Gateway, tables: Arc<Tables>, due: DueHandOver) -> Result<OpenedEnvelope, Stop> {
    let readers = Arc::clone(&gateway.keys.readers);
    let environment = gateway.journal.environment();
    let (id, octets) = (due.key.message_id, due.bytes.len());
    let opening = move || {
        let verified = viereck_envelope::verify(due.bytes, tables.as_ref(), environment, Timestamp::now());
        let verified = verified.map_err(|refused| {
            tracing::error!(message_id = %id, code = refused.code(), alarm = "refused", "it no longer verifies: parked");
            Stop::Parked(refused.reason())
        })?;
        viereck_envelope::open(&verified, &readers).map_err(|error| {
            tracing::error!(message_id = %id, code = error.code(), alarm = "undecipherable", "it does not open: rejected");
            rejected(error.reason())
        })
    };
    gateway.work(octets, opening).await
}

async fn attempt(
    gateway: &Gateway,
    tables: &Tables,
    lane: &Lane,
    key: &MessageKey,
    message: HandOver,
    in_case: InCase,
) -> Outcome {
    match &lane.adapter {
        Adapter::Http(endpoint) => http::hand_over(endpoint, &message).await,
        Adapter::Postfach(endpoint) => {
            let case = match &in_case {
                InCase::Belongs(case) => Some(case),
                InCase::Opens(_) | InCase::Nowhere => None,
            };
            postfach::hand_over(endpoint, &message, case, &gateway.keys.reply_tokens, tables).await
        }
        Adapter::Directory(directory) => {
            let (directory, key) = (directory.clone(), key.clone());
            let written = gateway.aside(move || directory.hand_over(&key, &message)).await;
            written.unwrap_or_else(|error| of_files(&error))
        }
    }
}

/// A full disk may empty itself; a folder that is not there, or not ours, does not mend itself.
fn of_files(error: &std::io::Error) -> Outcome {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotADirectory => {
            Outcome::Misconfigured(format!("the folder cannot be used ({})", error.kind()))
        }
        _ => {
            tracing::warn!(%error, "the folder cannot be written to");
            Outcome::Unavailable(None)
        }
    }
}

/// Notes what became of an attempt, in the lane and in the journal.
async fn note(
    journal: &Journal,
    lane: &Lane,
    key: &MessageKey,
    attempts: u32,
    outcome: Outcome,
) -> Result<(), JournalError> {
    let now = Timestamp::now();
    let rest = lane.note(&outcome, now);
    match outcome {
        Outcome::Accepted => journal.conclude(key, Conclusion::Accepted).await?,
        Outcome::Rejected(reason) => journal.conclude(key, Conclusion::Rejected(vec![reason])).await?,
        Outcome::Waiting(pause) => return journal.defer(key, now + pause, Deferral::Waiting).await,
        Outcome::Unavailable(_) | Outcome::Misconfigured(_) => {
            let why = Deferral::FachverfahrenUnavailable;
            let rest = rest.unwrap_or(Later { until: now, why });
            let own = now + backoff(attempts, key.message_id.as_bytes()[15]);
            return journal.defer(key, own.max(rest.until), rest.why).await;
        }
    }
    if let Adapter::Directory(directory) = &lane.adapter {
        directory.forget(key);
    }
    Ok(())
}

async fn begin(journal: &Journal, key: &MessageKey, in_case: &InCase) -> Result<(), JournalError> {
    let case = match in_case {
        InCase::Opens(case) => Some(case.clone()),
        InCase::Belongs(_) | InCase::Nowhere => None,
    };
    journal.begin_hand_over(key, case).await
}
