//! The way of one message from the journal to its Fachverfahren.
//!
//! Looked for (a folder may say what became of an earlier attempt) -> its octets read and verified again, because what a
//! journal holds is octets and not a proof -> opened -> found to belong to its case -> attempt noted -> adapter -> end
//! or delay noted.
//!
//! Guarantees: an adapter acts only after the attempt is on disk, and never for what an operator has paused by then;
//! every attempt of a message is the same request under the same key; one attempt sees one routing table; what was
//! opened is never written down by us. Whatever fails is the message's fault (rejected), the Fachverfahren's or the
//! operator's (later), or nobody's yet (parked); none of it holds up another message.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use viereck_custody::hand_over::{Acted, Begun, GivenOut};
use viereck_custody::{Conclusion, Deferral, Journal, JournalError, MessageKey};
use viereck_envelope::{OpenedEnvelope, Reason};
use viereck_observe::{Span, SpanName};
use viereck_routing::Tables;

use super::adapter::Adapter;
use super::case::{self, InCase};
use super::delivery::Attempt;
use super::directory::{Directory, Seen};
use super::health::backoff;
use super::message::HandOver;
use super::outcome::Outcome;
use super::{http, postfach};
use crate::gateway::Gateway;
use crate::metrics;

/// Hands one message over, or notes why not. It is in nobody's hands afterwards.
pub(crate) async fn hand_over(
    gateway: Arc<Gateway>,
    mut attempt: Attempt,
    message: GivenOut,
) -> Result<(), JournalError> {
    match one(&gateway, &mut attempt, &message).await {
        // somebody else has ended it in the meantime, e.g. an operator: that end stands
        Err(JournalError::Unknown) => {
            tracing::warn!(message_id = %message.key.message_id, "it has ended while it was being handed over");
            gateway.journal.give_back(&message.key);
            Ok(())
        }
        Err(error) => {
            gateway.journal.give_back(&message.key);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

async fn one(gateway: &Gateway, attempt: &mut Attempt, message: &GivenOut) -> Result<(), JournalError> {
    let journal = &gateway.journal;
    let key = &message.key;
    if let Adapter::Directory(directory) = attempt.adapter()
        && let Some(seen) = look(gateway, directory, key).await
    {
        // nothing was begun: what an attempt of before may have done stays as unsure as it was
        return note(journal, attempt, message, seen, Acted::Perhaps).await;
    }
    let tables = gateway.tables();
    let (mut prepared, in_case) = match prepare(gateway, &tables, message).await {
        Ok(prepared) => prepared,
        Err(Stop::Ended(end)) => return journal.conclude(key, end).await,
        Err(Stop::Parked(reason)) => return journal.park(key, reason).await,
        Err(Stop::Journal(error)) => return Err(error),
    };
    match begin(journal, key, &in_case).await? {
        Begun::Yes => {}
        Begun::Paused => return Ok(()),
    }
    let custodian = gateway.config.id.as_str();
    let mut span = Span::begin_if_traced(SpanName::HandOver, message.trace.as_ref(), custodian);
    prepared.trace = span.as_ref().map(Span::trace);
    let began = Instant::now();
    let outcome = act(gateway, &tables, attempt.adapter(), key, prepared, in_case).await;
    gateway.measured.handed_over(&outcome, began.elapsed());
    if let Some(span) = &mut span {
        span.of_message(key.message_id);
        span.came_to(metrics::word(&outcome));
    }
    drop(span);
    note(journal, attempt, message, outcome, Acted::No).await
}

/// What a folder says about an earlier attempt; `None` when there was none that counts.
async fn look(gateway: &Gateway, directory: &Directory, key: &MessageKey) -> Option<Outcome> {
    let (directory, key) = (directory.clone(), key.clone());
    match gateway.aside(move || directory.look(&key)).await {
        Ok(Seen::NotHandedOver) => None,
        Ok(Seen::HandedOver(outcome)) => Some(outcome),
        Ok(Seen::Unclear(_)) => Some(Outcome::Waiting),
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
async fn prepare(gateway: &Gateway, tables: &Arc<Tables>, message: &GivenOut) -> Result<(HandOver, InCase), Stop> {
    let octets = gateway
        .journal
        .octets_taken(&message.key)
        .await
        .map_err(Stop::Journal)?;
    let opened = open(gateway, Arc::clone(tables), message, octets).await?;
    // once an adapter may have acted, only its answer says what became of it
    if message.unsure == 0 && opened.header().obsolete_at(Timestamp::now()) {
        return Err(Stop::Ended(Conclusion::Expired));
    }
    let refused = |reason| refused(message, reason);
    match case::find(&gateway.journal, &opened).await.map_err(Stop::Journal)? {
        InCase::Nowhere => Err(refused(Reason::NotOurCase)),
        in_case => Ok((HandOver::new(opened).map_err(refused)?, in_case)),
    }
}

/// It cannot be handed over for a reason of ours. Once an adapter may have acted, only its answer says what became of it:
/// then an operator looks, because the author's side would seal a rejected one anew.
fn refused(message: &GivenOut, reason: Reason) -> Stop {
    match message.unsure {
        0 => Stop::Ended(Conclusion::Rejected(vec![reason])),
        _ => Stop::Parked(reason),
    }
}

async fn open(
    gateway: &Gateway,
    tables: Arc<Tables>,
    message: &GivenOut,
    octets: Bytes,
) -> Result<OpenedEnvelope, Stop> {
    let readers = Arc::clone(&gateway.keys().readers);
    let environment = gateway.journal.environment();
    let (id, length) = (message.key.message_id, octets.len());
    // a clock that was set back since does not make it a message from the future
    let now = Timestamp::now().max(message.taken_at);
    let (me, message) = (gateway.config.id.clone(), message.clone());
    let opening = move || {
        let verified = viereck_envelope::verify(octets, tables.as_ref(), environment, now);
        let verified = verified.map_err(|refused| {
            tracing::error!(message_id = %id, code = refused.code(), alarm = "refused", "it no longer verifies: parked");
            Stop::Parked(refused.reason())
        })?;
        viereck_envelope::open(&verified, &readers).map_err(|error| {
            tracing::error!(message_id = %id, code = error.code(), alarm = "undecipherable", "it does not open");
            let serves = || tables.gateway(&me).is_some_and(|me| me.serves(&message.pair.reader));
            match error.reason() {
                // it has moved, and its key with it: its author's side seals it anew for where it is now
                Reason::T020 if !serves() => refused(&message, Reason::T080),
                reason => refused(&message, reason),
            }
        })
    };
    gateway.work(length, opening).await
}

async fn act(
    gateway: &Gateway,
    tables: &Tables,
    adapter: &Adapter,
    key: &MessageKey,
    message: HandOver,
    in_case: InCase,
) -> Outcome {
    match adapter {
        Adapter::Http(endpoint) => http::hand_over(endpoint, &message).await,
        Adapter::Postfach(endpoint) => {
            let case = match &in_case {
                InCase::Belongs(case) => Some(case),
                InCase::Opens(_) | InCase::Nowhere => None,
            };
            postfach::hand_over(endpoint, &message, case, &gateway.keys().reply_tokens, tables).await
        }
        Adapter::Directory(directory) => {
            let (directory, key) = (directory.clone(), key.clone());
            let written = gateway.aside(move || directory.hand_over(&key, &message)).await;
            written.unwrap_or_else(|error| of_files(&error))
        }
    }
}

/// A full disk may empty itself; a folder that is not there, or not ours, does not mend itself. Whether the message is in
/// its place by then, the next look tells.
fn of_files(error: &std::io::Error) -> Outcome {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotADirectory => {
            Outcome::Misconfigured(format!("the folder cannot be used ({})", error.kind()))
        }
        _ => {
            tracing::warn!(%error, "the folder cannot be written to");
            Outcome::Unclear(None)
        }
    }
}

/// Notes what became of an attempt, in the delivery and in the journal. `failed` is what a failure says of it that says
/// nothing itself.
async fn note(
    journal: &Journal,
    attempt: &mut Attempt,
    message: &GivenOut,
    outcome: Outcome,
    failed: Acted,
) -> Result<(), JournalError> {
    let (now, key) = (Timestamp::now(), &message.key);
    // random in every id, so no two messages keep step
    let spread = key.message_id.as_bytes()[15];
    attempt.note(&message.pair, &outcome, now, spread);
    let own = backoff(message.attempts, spread);
    let later = |asked: Option<std::time::Duration>| now + own.max(asked.unwrap_or_default().try_into().unwrap_or(own));
    let unavailable = Deferral::FachverfahrenUnavailable;
    match &outcome {
        Outcome::Accepted => journal.conclude(key, Conclusion::Accepted).await?,
        Outcome::Rejected(reason) => journal.conclude(key, Conclusion::Rejected(vec![*reason])).await?,
        Outcome::Waiting => return journal.handed_over(key).await,
        Outcome::Unavailable(asked) => return journal.defer(key, later(*asked), unavailable, failed).await,
        Outcome::Unclear(asked) => return journal.defer(key, later(*asked), unavailable, Acted::Perhaps).await,
        Outcome::NotUnderstood(_) | Outcome::Misconfigured(_) => {
            if let Outcome::NotUnderstood(what) = &outcome {
                tracing::error!(message_id = %key.message_id, behoerde = %message.pair.reader,
                    alarm = "adapter-misconfigured", "{what}: the Fachverfahren can make nothing of this message");
            }
            let why = Deferral::AdapterMisconfigured;
            return journal.defer(key, now + own, why, failed).await;
        }
    }
    if let Adapter::Directory(directory) = attempt.adapter() {
        directory.forget(key);
    }
    Ok(())
}

async fn begin(journal: &Journal, key: &MessageKey, in_case: &InCase) -> Result<Begun, JournalError> {
    let case = match in_case {
        InCase::Opens(case) => Some(case.clone()),
        InCase::Belongs(_) | InCase::Nowhere => None,
    };
    journal.begin_hand_over(key, case).await
}
