//! What is to be called, what came of it, and the log of it.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use viereck_routing::ClientId;
use viereck_store::{Row, params};

use super::{Disabled, Event, Outcome, Webhook};
use crate::outbox::doubled;
use crate::{Journal, JournalError, rows};

/// The longest pause.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(6);
/// How long the log of what has ended is kept.
const LOG: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Lines of the log that are taken out at once.
const CHUNK: i64 = 1000;

/// A call that is due.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its number in this journal.
    pub seq: i64,
    /// Whom to call.
    pub webhook: Webhook,
    /// With what.
    pub event: Event,
}

/// One line of a webhook's log.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What was told.
    pub event: Event,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of the last attempt, and when.
    pub last: Option<(Outcome, Timestamp)>,
    /// When it is tried next; `None` once it has ended.
    pub due_at: Option<Timestamp>,
}

/// How long is tried.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// After the first attempt, until an event is given up and its webhook disabled.
    pub give_up: SignedDuration,
    /// The pause after the first failure; doubles with each further one.
    pub first_pause: SignedDuration,
}

impl Journal {
    /// The oldest calls due: at most `each` for one webhook, those in `busy` left out.
    pub async fn due_calls(&self, now: Timestamp, each: usize, busy: HashSet<i64>) -> Result<Vec<Call>, JournalError> {
        let look = move |look: &viereck_store::Look<'_>| {
            let webhooks = look.all(
                "SELECT * FROM webhook WHERE disabled IS NULL AND EXISTS
                    (SELECT 1 FROM webhook_delivery AS told WHERE told.webhook = webhook.id AND told.due_at <= ?) ORDER BY id",
                params![now.as_millisecond()],
                Webhook::read,
            )?;
            let mut calls = Vec::new();
            for webhook in webhooks {
                let due = look.all(
                    "SELECT * FROM webhook_delivery WHERE webhook = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
                    params![webhook.id, now.as_millisecond(), (each + busy.len()) as i64],
                    |row| Ok::<_, JournalError>((row.get::<i64>("seq")?, Event::read(row)?)),
                )?;
                let free = due.into_iter().filter(|(seq, _)| !busy.contains(seq)).take(each);
                calls.extend(free.map(|(seq, event)| Call {
                    seq,
                    webhook: webhook.clone(),
                    event,
                }));
            }
            Ok::<_, JournalError>(calls)
        };
        Ok(self.store.read(look).await?)
    }

    /// When the next call is due that is not due yet.
    pub async fn next_call(&self, now: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        let next = self.store.read(move |look| {
            let next = look.first(
                "SELECT min(told.due_at) AS due_at FROM webhook_delivery AS told JOIN webhook ON webhook.id = told.webhook
                 WHERE told.due_at > ? AND webhook.disabled IS NULL",
                params![now.as_millisecond()],
                |row| rows::instant_if_any(row, "due_at"),
            )?;
            Ok::<_, JournalError>(next.flatten())
        });
        Ok(next.await?)
    }

    /// Notes what came of a call. `jitter` in 0..1 spreads the next attempt.
    pub async fn called(
        &self,
        call: &Call,
        outcome: Outcome,
        limits: Limits,
        jitter: f64,
    ) -> Result<Option<Disabled>, JournalError> {
        let (seq, webhook) = (call.seq, call.webhook.id.clone());
        let now = Timestamp::now();
        let may_give_up = self.shared.clock.is_right();
        let noted = self.store.write(move |tx| {
            let row = tx.first(
                "SELECT attempts, first_at FROM webhook_delivery WHERE seq = ?",
                params![seq],
                |row| Ok::<_, JournalError>((row.get::<u32>("attempts")?, rows::instant_if_any(row, "first_at")?)),
            )?;
            // taken out by its client meanwhile
            let Some((attempts, first_at)) = row else {
                return Ok(None);
            };
            let first_at = first_at.unwrap_or(now);
            let disabled = match outcome {
                Outcome::Delivered => None,
                Outcome::Gone => Some(Disabled::Gone),
                _ if may_give_up && now.duration_since(first_at) >= limits.give_up => Some(Disabled::GivenUp),
                _ => None,
            };
            let over = disabled.is_some() || outcome == Outcome::Delivered;
            let pause =
                doubled(limits.first_pause, attempts, LONGEST_PAUSE).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
            let due = (!over).then(|| (now + pause).as_millisecond());
            tx.run(
                "UPDATE webhook_delivery SET attempts = attempts + 1, first_at = ?, outcome = ?, last_at = ?, due_at = ?
                 WHERE seq = ?",
                params![
                    first_at.as_millisecond(),
                    outcome.to_string(),
                    now.as_millisecond(),
                    due,
                    seq
                ],
            )?;
            if let Some(disabled) = disabled {
                tx.run(
                    "UPDATE webhook SET disabled = ?, disabled_at = ? WHERE id = ? AND disabled IS NULL",
                    params![disabled.as_str(), now.as_millisecond(), webhook],
                )?;
            }
            Ok::<_, JournalError>(disabled)
        });
        Ok(noted.await?)
    }

    /// Notes a call that a client asked for and that was made at once.
    pub async fn called_for_test(&self, webhook: &str, event: Event, outcome: Outcome) -> Result<(), JournalError> {
        let webhook = webhook.to_owned();
        let now = Timestamp::now();
        let noted = self.store.write(move |tx| {
            event.enqueue(tx, &webhook, None)?;
            tx.run(
                "UPDATE webhook_delivery SET attempts = 1, first_at = ?, outcome = ?, last_at = ?
                 WHERE webhook = ? AND event = ?",
                params![
                    now.as_millisecond(),
                    outcome.to_string(),
                    now.as_millisecond(),
                    webhook,
                    event.id
                ],
            )?;
            Ok::<_, JournalError>(())
        });
        Ok(noted.await?)
    }

    /// The log of a webhook, newest first, from behind the event `after` on.
    pub async fn webhook_log(
        &self,
        webhook: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Delivery>, JournalError> {
        let webhook = webhook.to_owned();
        let log = self.store.read(move |look| {
            let before = match after {
                None => i64::MAX,
                Some(event) => look
                    .first(
                        "SELECT seq FROM webhook_delivery WHERE webhook = ? AND event = ?",
                        params![webhook, event],
                        |row| Ok::<i64, JournalError>(row.at(0)?),
                    )?
                    .unwrap_or(0),
            };
            look.all(
                "SELECT * FROM webhook_delivery WHERE webhook = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                params![webhook, before, limit],
                Delivery::read,
            )
        });
        Ok(log.await?)
    }

    /// Puts an event of the log on the list again. Whether the log of this client's webhook has it.
    pub async fn redeliver(&self, client: &ClientId, webhook: &str, event: &str) -> Result<bool, JournalError> {
        let (client, webhook, event) = (client.clone(), webhook.to_owned(), event.to_owned());
        let now = Timestamp::now();
        let found = self.store.write(move |tx| {
            if Webhook::find(tx, &client, &webhook)?.is_none() {
                return Ok(false);
            }
            let changed = tx.run(
                "UPDATE webhook_delivery SET due_at = ?, first_at = NULL WHERE webhook = ? AND event = ?",
                params![now.as_millisecond(), webhook, event],
            )?;
            Ok::<_, JournalError>(changed > 0)
        });
        Ok(found.await?)
    }

    /// Takes out what the log need not keep any longer, a bounded number of lines. Whether there may be more.
    pub async fn shorten_webhook_log(&self, now: Timestamp) -> Result<bool, JournalError> {
        let removed = self.store.write(move |tx| {
            Ok::<_, JournalError>(tx.run(
                "DELETE FROM webhook_delivery WHERE seq IN (SELECT seq FROM webhook_delivery
                    WHERE due_at IS NULL AND last_at < ? ORDER BY last_at LIMIT ?)",
                params![(now - LOG).as_millisecond(), CHUNK],
            )?)
        });
        Ok(removed.await? == CHUNK as u64)
    }
}

impl Delivery {
    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        let outcome: Option<Outcome> = rows::name_if_any(row, "outcome")?;
        Ok(Self {
            event: Event::read(row)?,
            attempts: row.get("attempts")?,
            last: outcome.zip(rows::instant_if_any(row, "last_at")?),
            due_at: rows::instant_if_any(row, "due_at")?,
        })
    }
}
