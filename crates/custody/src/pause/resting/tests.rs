//! What rests is met once, goes on when it may, and is counted by rows, never by a clock.

use std::collections::BTreeMap;

use super::*;
use crate::deadlines;
use crate::testing::{self, searches};
use crate::{Actor, StatedReason};
use jiff::SignedDuration;

/// Whose messages rest.
const RESTS: &str = "wgb:010540880000";
/// Whose do not.
const OTHER: &str = "wgb:010010000000";
/// More than one step, and not whole steps.
const MANY: usize = 3 * STEP + 7;

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000).unwrap()
}

fn lane() -> Lane {
    Lane::Publish(Class::Normal)
}

struct Here {
    journal: Journal,
    _dir: tempfile::TempDir,
}

impl Here {
    async fn new() -> Self {
        let (_dir, journal) = testing::journal("gw-s").await;
        Self { journal, _dir }
    }

    /// So many messages that wait to be published, all due since `due`.
    async fn promised(&self, reader: &'static str, count: usize, due: Timestamp) {
        let due = due.as_millisecond();
        let fill = self.journal.store.write(move |change| {
            for _ in 0..count {
                let id = viereck_routing::MessageId::random().to_string();
                change.run(
                    "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                        leistung, gateway, filed_at, obsolete_after, entered_at, work, due_at)
                     VALUES ('sent', 'wgp:010000000000', ?, ?, ?, ?, 'application', ?, '99107023037000', 'gw-s', ?, ?, ?,
                        'publish', ?)",
                    params![id, &[0_u8; 32], &[0_u8; 32], id, reader, due, 4_000_000_000_000_i64, due, due],
                )?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
    }

    async fn pause(&self, reader: &str) {
        let (scope, why, anna) = order(reader);
        self.journal.pause(scope, why, anna).await.unwrap();
    }

    async fn resume(&self, reader: &str) {
        let (scope, why, anna) = order(reader);
        self.journal.resume(scope, why, anna).await.unwrap();
    }

    /// The readers of those that are given out, and how many looks it takes until none meets anything that rests.
    async fn given(&self, limit: usize) -> (Vec<String>, usize) {
        for looks in 1.. {
            let look = self.journal.look_at_heads(now(), move |heads| {
                let waiting = heads.waiting(lane(), limit)?;
                let readers = waiting.into_iter().map(|(row, _)| row.reader.to_string());
                Ok((readers.collect(), heads.met.is_empty()))
            });
            if let (readers, true) = look.await.unwrap() {
                return (readers, looks);
            }
        }
        unreachable!()
    }

    /// How many of a reader have a time, and how many lie apart.
    async fn with_and_without_time(&self, reader: &'static str) -> (usize, usize) {
        let counted = self.journal.store.read(move |look| {
            look.first(
                "SELECT count(due_at) AS timed, count(*) AS n FROM message WHERE reader = ? AND work IS NOT NULL",
                params![reader],
                |row| Ok::<_, JournalError>((row.get::<i64>("timed")?, row.get::<i64>("n")?)),
            )
        });
        let (timed, all) = counted.await.unwrap().unwrap();
        (timed as usize, (all - timed) as usize)
    }
}

fn order(reader: &str) -> (Scope, StatedReason, Actor) {
    let scope = Scope::Behoerde(reader.parse().unwrap());
    (scope, "ticket 1".parse().unwrap(), Actor::operator("anna").unwrap())
}

#[tokio::test]
async fn what_rests_is_met_once_and_nobody_waits_behind_it() {
    let here = Here::new().await;
    let later = now() + SignedDuration::from_hours(1);
    here.promised(RESTS, MANY, now() - SignedDuration::from_hours(2)).await;
    here.promised(RESTS, 1, later).await;
    here.promised(OTHER, 3, now() - SignedDuration::from_hours(1)).await;
    here.pause(RESTS).await;
    let looks = MANY.div_ceil(STEP) + 1;
    assert_eq!(here.given(2).await, (vec![OTHER.to_owned(); 2], looks));
    // nothing that is due stands before them any more; what is to be tried later keeps its time
    assert_eq!(here.with_and_without_time(RESTS).await, (1, MANY));
    assert_eq!(here.given(MANY).await, (vec![OTHER.to_owned(); 3], 1));

    // what comes meanwhile is met once, too
    here.promised(RESTS, 5, now() - SignedDuration::from_hours(3)).await;
    assert_eq!(here.given(9).await, (vec![OTHER.to_owned(); 3], 2));
    assert_eq!(here.with_and_without_time(RESTS).await, (1, MANY + 5));
}

/// What waits in another lane, or beside what rests, does not wait until all of it lies apart.
#[tokio::test]
async fn a_look_that_meets_what_rests_gives_out_the_others_at_once() {
    let here = Here::new().await;
    here.promised(RESTS, MANY, now()).await;
    here.promised(OTHER, 1, now() - SignedDuration::from_hours(1)).await;
    here.pause(RESTS).await;
    let first = here
        .journal
        .look_at_heads(now(), |heads| Ok(heads.waiting(lane(), 2)?.len()));
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(here.with_and_without_time(RESTS).await, (MANY - STEP + 1, STEP - 1));
}

#[tokio::test]
async fn when_the_first_is_due_is_found_past_what_rests() {
    let here = Here::new().await;
    let due = now() + SignedDuration::from_mins(5);
    here.promised(RESTS, MANY, now()).await;
    here.promised(OTHER, 1, due).await;
    here.pause(RESTS).await;
    let mut first = None;
    for _ in 0..=MANY.div_ceil(STEP) {
        let look = here.journal.look_at_heads(now(), |heads| heads.first(lane()));
        first = look.await.unwrap();
    }
    assert_eq!(first, Some(due));
    assert_eq!(here.with_and_without_time(RESTS).await, (0, MANY));
}

#[tokio::test]
async fn a_step_is_bounded_and_goes_as_far_as_the_look_went() {
    let here = Here::new().await;
    here.promised(OTHER, STEP, now() - SignedDuration::from_hours(1)).await;
    here.promised(RESTS, MANY, now()).await;
    here.pause(RESTS).await;
    let step = async |page: usize| here.journal.lay_apart(vec![(lane(), page)], now()).await.unwrap();
    assert_eq!(step(1).await, 0, "only the first are looked at");
    assert_eq!(step(STEP + 9).await, 9);
    here.pause(OTHER).await;
    assert_eq!(step(1).await, STEP as u64, "theirs");
    assert_eq!(step(1).await, STEP as u64, "and the next");
}

#[tokio::test]
async fn resumed_everything_is_due_again_behind_what_is_due_already() {
    let here = Here::new().await;
    here.promised(RESTS, MANY, Timestamp::UNIX_EPOCH).await;
    here.promised(OTHER, 1, Timestamp::from_second(1).unwrap()).await;
    here.pause(RESTS).await;
    assert_eq!(here.given(9).await.0, [OTHER]);
    here.resume(RESTS).await;
    assert_eq!(here.with_and_without_time(RESTS).await, (MANY, 0));
    let all = here.journal.look_at_heads(Timestamp::MAX, |heads| {
        let waiting = heads.waiting(lane(), 2 * MANY)?;
        Ok(waiting
            .into_iter()
            .map(|(row, _)| (row.seq, row.reader.to_string()))
            .collect::<Vec<_>>())
    });
    let all = all.await.unwrap();
    assert_eq!((all.len(), all[0].1.as_str()), (MANY + 1, OTHER));
    assert!(all[1..].is_sorted(), "in the order in which they came");
}

#[tokio::test]
async fn what_a_resume_left_behind_that_ended_half_way_is_roused_by_the_sweep() {
    let here = Here::new().await;
    here.promised(RESTS, MANY, now()).await;
    here.promised(OTHER, 2, now()).await;
    here.pause(RESTS).await;
    here.pause(OTHER).await;
    assert!(here.given(1).await.0.is_empty());
    let rouse = async || here.journal.rouse_what_was_left(now()).await.unwrap();
    assert_eq!(rouse().await, 0, "both rest");
    let half_way = here.journal.store.write(|change| {
        let gone = change.run(
            "DELETE FROM pause WHERE scope = ?",
            params![format!("behoerde:{RESTS}")],
        )?;
        assert_eq!(gone, 1);
        change.run(ROUSE, params![now().as_millisecond(), RESTS, STEP as i64])
    });
    assert_eq!(half_way.await.unwrap(), STEP as u64);
    assert_eq!(rouse().await, (MANY - STEP) as u64);
    assert_eq!(here.with_and_without_time(RESTS).await, (MANY, 0));
    assert_eq!(here.with_and_without_time(OTHER).await, (0, 2));
    // paused anew in the middle of a resume
    let reader = OTHER.parse().unwrap();
    assert_eq!(here.journal.rouse(&reader, now()).await.unwrap(), 0);
}

#[tokio::test]
async fn what_rests_ends_in_time_and_shows_no_time_of_a_next_try() {
    let here = Here::new().await;
    here.promised(RESTS, 2, now()).await;
    here.pause(RESTS).await;
    assert!(here.given(1).await.0.is_empty());
    let id = here.journal.in_flight().await.unwrap()[0];
    let view = here.journal.message(&id).await.unwrap().unwrap();
    assert_eq!((view.next_attempt_at, view.flags.paused.is_some()), (None, true));
    let days = |days: i64| now() + SignedDuration::from_hours(24 * days);
    let swept = here
        .journal
        .sweep_deadlines(days(15), &deadlines::Config::default())
        .await;
    assert_eq!(swept.unwrap().ended, BTreeMap::from([(RESTS.parse().unwrap(), 2)]));
}

#[tokio::test]
async fn every_look_is_a_seek() {
    let here = Here::new().await;
    let due = "message_due (work=? AND class=? AND due_at";
    let resting = "message_resting (reader";
    for (statement, seek) in [
        (lane().waiting(), format!("{due}<?)")),
        (lane().first(), format!("{due}>?)")),
        (lane().lay_apart(), format!("{due}<?)")),
        (ROUSE.to_owned(), format!("{resting}=?)")),
        (NEXT_READER.to_owned(), format!("{resting}>?)")),
    ] {
        let steps = searches(&here.journal, &statement).await;
        assert!(steps.iter().any(|step| step.ends_with(&seek)), "{statement}: {steps:?}");
        let through_all = |step: &String| step.starts_with("SCAN message") || step.contains("TEMP B-TREE");
        assert!(!steps.iter().any(through_all), "{statement}: {steps:?}");
    }
}
