//! Many parked things requeued one after the other: a job, its items, its progress.
//!
//! A job is rows: which items, oldest first, and what became of each. [`run`] does the next item when its moment has come,
//! never faster than the job's rate, and goes on after a restart where it was. Several instances of one journal share the
//! work: an item is taken in a transaction, and one that a dead instance had taken is taken again after a minute. Doing an
//! item twice does no harm, because what is no longer parked is left alone.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use viereck_store::{Change, Row, WriteError, params};
use viereck_transport::Link;

use crate::audit::Verb;
use crate::parked::{Filter, Means, Parked, ParkedError, ParkedId, Place};
use crate::{Actor, CurrentTables, JOURNAL_PAUSE, Journal, JournalError, StatedReason, rows};

/// Items of one job at the most; what is left over is for the next job.
pub const LARGEST: usize = 100_000;

/// Items a minute at the most.
pub const FASTEST: u32 = 6000;

/// How often somebody looks for a new job, while there is none.
const IDLE: std::time::Duration = std::time::Duration::from_secs(1);

/// After this time an item that was taken and not ended is somebody else's to take.
const FORGOTTEN: SignedDuration = SignedDuration::from_secs(60);

/// Rows read at once.
const PAGE: usize = 1000;

/// Items put down in one commit, so that nobody waits long behind a large job.
const STEP: usize = 500;

/// A job as its rows say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name.
    pub id: String,
    /// What is done with each item.
    pub verb: String,
    /// Who started it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub made_at: Timestamp,
    /// Items a minute.
    pub per_minute: u32,
    /// When it was done or stopped.
    pub ended_at: Option<Timestamp>,
    /// How many items it has.
    pub items: u64,
    /// How many are still to be done.
    pub left: u64,
    /// Of those done, how many came to what.
    pub results: std::collections::BTreeMap<String, u64>,
}

impl Journal {
    /// Makes a job of everything parked that fits `filter`, oldest first. `None` when there is nothing.
    ///
    /// `per_minute` is brought into the range from 1 to [`FASTEST`].
    pub async fn start_job(
        &self,
        filter: Filter,
        per_minute: u32,
        actor: &Actor,
        reason: &StatedReason,
    ) -> Result<Option<Job>, JournalError> {
        let items = self.all_parked(&filter).await?;
        if items.is_empty() {
            return Ok(None);
        }
        let id = viereck_routing::MessageId::random().to_string();
        let (journal, actor, reason, name) = (self.clone(), actor.clone(), reason.clone(), id.clone());
        let now = Timestamp::now();
        let outcome = format!("{} items", items.len());
        let (by, why, job) = (actor.clone(), reason.clone(), id.clone());
        let made = self.store.write(move |change| {
            // as if it had been stopped, until all its items are here: a crash in between leaves one that does nothing
            change.run(
                "INSERT INTO job (id, verb, actor, reason, made_at, per_minute, next_at, ended_at)
                 VALUES (?,?,?,?,?,?,?,?)",
                params![
                    job,
                    Verb::Requeue.as_str(),
                    by.as_str(),
                    why.as_str(),
                    now.as_millisecond(),
                    per_minute.clamp(1, FASTEST),
                    now.as_millisecond(),
                    now.as_millisecond()
                ],
            )?;
            Ok::<_, JournalError>(())
        });
        made.await?;
        for (step, some) in items.chunks(STEP).enumerate() {
            let (some, job) = (some.to_vec(), id.clone());
            let filled = self.store.write(move |change| {
                for (place, item) in (step * STEP..).zip(some) {
                    change.run(
                        "INSERT INTO job_item (job, item, place) VALUES (?,?,?) ON CONFLICT DO NOTHING",
                        params![job, item.to_string(), place as i64],
                    )?;
                }
                Ok::<_, JournalError>(())
            });
            filled.await?;
        }
        let begun = self.store.write(move |change| {
            change.run("UPDATE job SET ended_at = NULL WHERE id = ?", params![name])?;
            journal.audit(change, &actor, Verb::StartJob, &name, &reason, &outcome)
        });
        begun.await?;
        Ok(self.jobs().await?.into_iter().find(|job| job.id == id))
    }

    async fn all_parked(&self, filter: &Filter) -> Result<Vec<ParkedId>, JournalError> {
        let (mut items, mut after) = (vec![], Place::default());
        loop {
            let page: Vec<Parked> = self.parked(filter, after, PAGE).await?;
            items.extend(page.iter().map(|parked| parked.id));
            match page.last() {
                Some(last) if page.len() == PAGE && items.len() < LARGEST => after = last.place(),
                _ => break,
            }
        }
        items.truncate(LARGEST);
        Ok(items)
    }

    /// Every job, the newest first.
    pub async fn jobs(&self) -> Result<Vec<Job>, JournalError> {
        let jobs = self.store.read(|look| {
            let mut jobs = look.all("SELECT * FROM job ORDER BY made_at DESC, id", params![], Job::read)?;
            for job in &mut jobs {
                let counts = look.all(
                    "SELECT coalesce(result, '') AS result, count(*) AS items FROM job_item WHERE job = ?
                     GROUP BY coalesce(result, '')",
                    params![job.id],
                    |row| {
                        Ok::<_, JournalError>((row.get::<String>("result")?, row.get::<i64>("items")?.cast_unsigned()))
                    },
                )?;
                for (result, items) in counts {
                    job.items += items;
                    match result.is_empty() {
                        true => job.left = items,
                        false => drop(job.results.insert(result, items)),
                    }
                }
            }
            Ok::<_, JournalError>(jobs)
        });
        Ok(jobs.await?)
    }

    /// Stops a job that is under way; what it has done stays done. Whether there was one.
    pub async fn stop_job(&self, id: String, actor: &Actor, reason: &StatedReason) -> Result<bool, JournalError> {
        if !rows::is_id(&id) {
            return Ok(false);
        }
        let (journal, actor, reason) = (self.clone(), actor.clone(), reason.clone());
        let now = Timestamp::now();
        let stopped = self.store.write(move |change| {
            let stopped = change.run(
                "UPDATE job SET ended_at = ? WHERE id = ? AND ended_at IS NULL",
                params![now.as_millisecond(), id],
            )?;
            if stopped > 0 {
                journal.audit(change, &actor, Verb::StopJob, &id, &reason, "stopped")?;
            }
            Ok::<_, JournalError>(stopped > 0)
        });
        Ok(stopped.await?)
    }

    /// Takes the next item of any job whose moment has come; else says when to look again.
    async fn next_item(&self) -> Result<Next, JournalError> {
        let now = Timestamp::now();
        let under_way = "SELECT 1 FROM job WHERE ended_at IS NULL";
        // most of the time there is none, and then nothing is to be written
        if !self
            .store
            .read(move |look| look.exists(under_way, params![]))
            .await
            .map_err(flat)?
        {
            return Ok(Next::Later(IDLE));
        }
        Ok(self.store.write(move |change| take_next(change, now)).await?)
    }

    async fn item_done(&self, item: &Item, result: String) -> Result<(), JournalError> {
        let (job, name) = (item.job.clone(), item.id.to_string());
        let done = self.store.write(move |change| {
            change.run(
                "UPDATE job_item SET result = ? WHERE job = ? AND item = ?",
                params![result, job, name],
            )?;
            Ok::<_, JournalError>(())
        });
        Ok(done.await?)
    }
}

fn flat(error: WriteError<viereck_store::SqlError>) -> JournalError {
    match error {
        WriteError::Refused(error) => error.into(),
        WriteError::Store(error) => error.into(),
    }
}

/// One item in hand.
struct Item {
    job: String,
    id: ParkedId,
    actor: Actor,
    reason: StatedReason,
}

enum Next {
    Do(Item),
    Later(std::time::Duration),
}

fn take_next(change: &Change<'_>, now: Timestamp) -> Result<Next, JournalError> {
    let jobs = change.all(
        "SELECT * FROM job WHERE ended_at IS NULL ORDER BY next_at, id",
        params![],
        |row| {
            Ok::<_, JournalError>((
                row.get::<String>("id")?,
                rows::instant(row, "next_at")?,
                row.get::<u32>("per_minute")?,
                rows::name::<Actor>(row, "actor")?,
                rows::name::<StatedReason>(row, "reason")?,
            ))
        },
    )?;
    let mut soonest = IDLE;
    for (job, next_at, per_minute, actor, reason) in jobs {
        if next_at > now {
            soonest = soonest.min(next_at.duration_since(now).unsigned_abs());
            continue;
        }
        let item: Option<ParkedId> = change.first(
            "SELECT item FROM job_item WHERE job = ? AND result IS NULL AND (taken_at IS NULL OR taken_at < ?)
             ORDER BY place LIMIT 1",
            params![job, (now - FORGOTTEN).as_millisecond()],
            |row| rows::name(row, "item"),
        )?;
        let Some(id) = item else {
            end_if_done(change, &job, now)?;
            continue;
        };
        change.run(
            "UPDATE job_item SET taken_at = ? WHERE job = ? AND item = ?",
            params![now.as_millisecond(), job, id.to_string()],
        )?;
        // never a burst: what was missed while nobody worked is not caught up with
        let pace = SignedDuration::from_millis(60_000 / i64::from(per_minute.max(1)));
        let next = (next_at + pace).max(now);
        change.run(
            "UPDATE job SET next_at = ? WHERE id = ?",
            params![next.as_millisecond(), job],
        )?;
        return Ok(Next::Do(Item { job, id, actor, reason }));
    }
    Ok(Next::Later(soonest))
}

fn end_if_done(change: &Change<'_>, job: &str, now: Timestamp) -> Result<(), JournalError> {
    change.run(
        "UPDATE job SET ended_at = ? WHERE id = ? AND NOT EXISTS (SELECT 1 FROM job_item WHERE job = ? AND result IS NULL)",
        params![now.as_millisecond(), job, job],
    )?;
    Ok(())
}

impl Job {
    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        let ended_at: Option<i64> = row.get("ended_at")?;
        Ok(Self {
            id: row.get("id")?,
            verb: row.get("verb")?,
            actor: row.get("actor")?,
            reason: row.get("reason")?,
            made_at: rows::instant(row, "made_at")?,
            per_minute: row.get("per_minute")?,
            ended_at: ended_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
            items: 0,
            left: 0,
            results: std::collections::BTreeMap::new(),
        })
    }
}

/// Does the jobs of a journal until `shutdown`; the item in hand then is finished.
///
/// # Errors
/// Only of the journal, and only what does not pass by itself.
pub async fn run(
    journal: Journal,
    link: Link,
    tables: CurrentTables,
    shutdown: CancellationToken,
) -> Result<(), JournalError> {
    while !shutdown.is_cancelled() {
        let pause = match one(&journal, &link, &tables).await {
            Ok(pause) => pause,
            Err(error) if error.may_pass() => {
                tracing::error!(%error, alarm = "journal-unavailable", "a job waits");
                Some(JOURNAL_PAUSE)
            }
            Err(error) => return Err(error),
        };
        if let Some(pause) = pause {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
    Ok(())
}

/// Does the next item, or says how long to wait.
async fn one(
    journal: &Journal,
    link: &Link,
    tables: &CurrentTables,
) -> Result<Option<std::time::Duration>, JournalError> {
    let item = match journal.next_item().await? {
        Next::Do(item) => item,
        Next::Later(pause) => return Ok(Some(pause)),
    };
    let means = Means {
        tables: tables.borrow().clone(),
        link: link.clone(),
    };
    let result = match journal.requeue(item.id, &means, &item.actor, &item.reason).await {
        Ok(requeued) => requeued.as_str(),
        Err(ParkedError::NotParked) => "not-parked",
        Err(ParkedError::ReaderElsewhere) => "reader-elsewhere",
        Err(ParkedError::NotTold) => "not-told",
        Err(ParkedError::Told) => "told",
        Err(ParkedError::Journal(JournalError::NotAllowed(_))) => "not-allowed",
        Err(ParkedError::Journal(error)) if !error.may_pass() => return Err(error),
        // it is taken again when it counts as forgotten
        Err(error) => {
            tracing::warn!(%error, item = %item.id, "not requeued, again later");
            return Ok(Some(JOURNAL_PAUSE));
        }
    };
    journal.item_done(&item, result.to_owned()).await?;
    Ok(None)
}
