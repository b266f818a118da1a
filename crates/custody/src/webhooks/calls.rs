//! What is to be called, what came of it, and the log of it.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use viereck_routing::ClientId;
use viereck_store::{Row, params};

use super::{Disabled, Event, Outcome, Webhook};
use crate::outbox::doubled;
use crate::{Journal, JournalError, rows};

/// The longest pause.
pub(crate) const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(6);
/// How long the log of what has ended is kept, and what waits for a webhook that is disabled.
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

    /// When the next call is due that is not due yet. Costs as much as there are webhooks, not what waits for them.
    pub async fn next_call(&self, now: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        let next = self.store.read(move |look| {
            let next = look.all(NEXT_OF_EACH, params![now.as_millisecond()], |row| {
                rows::instant_if_any(row, "due_at")
            })?;
            Ok::<_, JournalError>(next.into_iter().flatten().min())
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
                // behind a line that is none there is nothing
                Some(event) if !rows::is_id(&event) => 0,
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
        if !rows::is_id(webhook) || !rows::is_id(event) {
            return Ok(false);
        }
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

    /// Takes out what need not be kept any longer, of the log and of what waits for webhooks that are disabled: a bounded
    /// number of lines. Whether there may be more.
    pub async fn shorten_webhook_log(&self, now: Timestamp) -> Result<bool, JournalError> {
        if !self.shared.clock.is_right() {
            return Ok(false);
        }
        let shortened = self.store.write(move |tx| {
            let mut may_be_more = false;
            for old in [OLD_LINES, LEFT_WAITING] {
                let delete = format!("DELETE FROM webhook_delivery WHERE seq IN ({old})");
                let removed = tx.run(&delete, params![(now - LOG).as_millisecond(), CHUNK])?;
                may_be_more |= removed == CHUNK as u64;
            }
            Ok::<_, JournalError>(may_be_more)
        });
        Ok(shortened.await?)
    }
}

/// The first call of each webhook that is not due yet: a seek for each.
const NEXT_OF_EACH: &str = "SELECT (SELECT told.due_at FROM webhook_delivery AS told
        WHERE told.webhook = webhook.id AND told.due_at > ? ORDER BY told.due_at LIMIT 1) AS due_at
    FROM webhook WHERE disabled IS NULL";

/// Lines of the log that ended long ago.
const OLD_LINES: &str =
    "SELECT seq FROM webhook_delivery WHERE due_at IS NULL AND last_at < ? ORDER BY last_at LIMIT ?";

/// What waits for webhooks that were disabled long ago.
const LEFT_WAITING: &str = "SELECT seq FROM webhook_delivery
    WHERE webhook IN (SELECT id FROM webhook WHERE disabled_at < ?) AND due_at IS NOT NULL LIMIT ?";

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

#[cfg(test)]
mod tests {
    use super::super::Entered;
    use super::*;
    use crate::testing::{journal, searches};

    const LIMITS: Limits = Limits {
        give_up: SignedDuration::from_hours(72),
        first_pause: SignedDuration::from_secs(5),
    };

    /// A webhook with so many events that are due at these moments.
    async fn webhook(journal: &Journal, url: &str, due: &'static [i64]) -> Webhook {
        let client = "online-a".parse().unwrap();
        let Entered::New(webhook) = journal.enter_webhook(&client, url.to_owned(), 9).await.unwrap() else {
            panic!("new")
        };
        let id = webhook.id.clone();
        let wait = journal.store.write(move |tx| {
            for due in due {
                let due = Timestamp::from_second(*due).unwrap();
                Event::test(due).enqueue(tx, &id, Some(due))?;
            }
            Ok::<_, JournalError>(())
        });
        wait.await.unwrap();
        webhook
    }

    async fn disable(journal: &Journal, webhook: &Webhook) {
        let call = journal.due_calls(at(1_000), 1, HashSet::new()).await.unwrap();
        let call = call.iter().find(|call| call.webhook.id == webhook.id).unwrap();
        let disabled = journal.called(call, Outcome::Gone, LIMITS, 0.5).await.unwrap();
        assert_eq!(disabled, Some(Disabled::Gone));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn the_next_call_is_the_first_of_those_that_are_made() {
        let (_dir, journal) = journal("gw-a").await;
        webhook(&journal, "https://a.example/", &[40, 60, 90]).await;
        let gone = webhook(&journal, "https://b.example/", &[20, 30]).await;
        let next = async |second| journal.next_call(at(second)).await.unwrap();
        assert_eq!(next(10).await, Some(at(20)));
        assert_eq!(next(30).await, Some(at(40)));
        disable(&journal, &gone).await;
        assert_eq!(next(10).await, Some(at(40)));
        assert_eq!(next(90).await, None);
    }

    #[tokio::test]
    async fn what_waits_for_a_disabled_webhook_is_kept_no_longer_than_the_log() {
        let (_dir, journal) = journal("gw-a").await;
        let called = webhook(&journal, "https://a.example/", &[40, 60]).await;
        let gone = webhook(&journal, "https://b.example/", &[20, 30, 50]).await;
        disable(&journal, &gone).await;
        let waiting = async |webhook: &Webhook| {
            let log = journal.webhook_log(&webhook.id, None, 9).await.unwrap();
            log.iter().filter(|line| line.due_at.is_some()).count()
        };
        let shorten = async |after: SignedDuration| {
            let more = journal.shorten_webhook_log(Timestamp::now() + after).await.unwrap();
            assert!(!more);
        };
        shorten(LOG - SignedDuration::from_hours(1)).await;
        assert_eq!(waiting(&gone).await, 2);
        shorten(LOG + SignedDuration::from_hours(1)).await;
        assert_eq!(waiting(&gone).await, 0);
        assert_eq!(waiting(&called).await, 2, "however long it waits: it is still tried");
        let client = "online-a".parse().unwrap();
        let enabled = journal.enable_webhook(&client, &gone.id).await.unwrap();
        assert_eq!(enabled.unwrap().disabled, None);
    }

    #[tokio::test]
    async fn what_waits_is_never_gone_through() {
        let (_dir, journal) = journal("gw-a").await;
        let statements = [
            (NEXT_OF_EACH, "webhook_due (webhook=? AND due_at>?)"),
            (OLD_LINES, "webhook_over (last_at<?)"),
            (LEFT_WAITING, "webhook_due (webhook=? AND due_at>?)"),
        ];
        for (statement, seek) in statements {
            let steps = searches(&journal, statement).await;
            assert!(steps.iter().any(|step| step.ends_with(seek)), "{statement}: {steps:?}");
            let scans = steps.iter().filter(|step| step.starts_with("SCAN"));
            assert!(
                scans.clone().all(|step| *step == "SCAN webhook"),
                "{statement}: {steps:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_clock_that_has_jumped_gives_nothing_up_and_drops_nothing() {
        let (_dir, journal) = journal("gw-a").await;
        webhook(&journal, "https://a.example/", &[0]).await;
        let begun = journal
            .store
            .write(|change| change.run("UPDATE webhook_delivery SET first_at = 0", &[]));
        begun.await.unwrap();
        let call = async || {
            journal
                .due_calls(Timestamp::MAX, 1, HashSet::new())
                .await
                .unwrap()
                .remove(0)
        };
        journal.shared.clock.jump(SignedDuration::from_hours(24 * 31));
        let failed = async |call: Call| journal.called(&call, Outcome::NotReached, LIMITS, 0.0).await.unwrap();
        assert_eq!(failed(call().await).await, None);
        journal.shared.clock.jump(-SignedDuration::from_hours(24 * 31));
        assert_eq!(failed(call().await).await, Some(Disabled::GivenUp));

        // it is disabled now, and for long by the time that is said
        let waits = journal
            .store
            .write(|change| change.run("UPDATE webhook_delivery SET due_at = 0", &[]));
        waits.await.unwrap();
        let kept = async || {
            journal.shorten_webhook_log(Timestamp::MAX).await.unwrap();
            let kept = journal
                .store
                .read(|look| look.exists("SELECT 1 FROM webhook_delivery", &[]));
            kept.await.unwrap()
        };
        journal.shared.clock.jump(SignedDuration::from_hours(24 * 31));
        assert!(kept().await);
        journal.shared.clock.jump(-SignedDuration::from_hours(24 * 31));
        assert!(!kept().await);
    }
}
