//! Deadlines: what nobody takes over is warned of, and comes back to its author's side in the end.
//!
//! Two clocks run for every message that lies with this custodian. Its deadline: an alarm after three and nine days,
//! its end after fourteen, and never after ObsoleteAfter; then it is back at its author's side, where the sealed octets
//! never left, and the author's gateway alarms. And the target of its class (urgent 15 minutes, normal 4 hours, bulk 3
//! days): how many of each authority are past half of it, past four fifths, past it.
//!
//! Guarantees: only the present custodian ends a message: the author's gateway what surely never went out, the broker
//! what it still holds, the reader's gateway what it took. What a Fachverfahren may have acted on is not ended by a
//! clock: it goes on being tried under its key, or waited for, with an alarm, until its answer or an operator ends it.
//! Ten thousand that are late are one line of the log for each authority, not ten thousand. The sweep reads in pages and
//! writes a few rows at a time, so that nobody waits for it; one instance does it for all. Time is an argument.
//!
//! A clock that jumps ends nothing ([`crate::clock`]).
//!
//! Does not: end what was published and met silence. That is in flight, and is asked for again.

mod config;
mod late;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use viereck_envelope::{Reason, Stage};
use viereck_routing::BehoerdeId;
use viereck_store::params;

use crate::claims::Candidate;
use crate::journal::Occurrence;
use crate::machine::{self, Act, State};
use crate::rows::{MessageRow, Side};
use crate::step::Step;
use crate::{Duty, Journal, JournalError, MessageKey, ledger};

pub use config::Config;
pub use late::{Late, Level};

/// How often the journal is gone through.
const EACH: Duration = Duration::from_secs(60);
/// Rows read at once.
const PAGE: usize = 256;
/// Rows changed in one commit.
const STEP: usize = 32;

/// What one sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Messages warned of, by reader and by which warning it was, counted from 1.
    pub warned: BTreeMap<(BehoerdeId, u32), u64>,
    /// Messages ended, by reader.
    pub ended: BTreeMap<BehoerdeId, u64>,
    /// Messages past their deadline that a Fachverfahren may have acted on, with their reader.
    pub unsure: HashMap<MessageKey, BehoerdeId>,
}

/// Goes through the journal every minute until `shutdown`, on the instance that is on duty.
///
/// # Errors
/// Of the journal, and only what does not pass by itself.
pub async fn run(journal: Journal, config: Config, shutdown: CancellationToken) -> Result<(), JournalError> {
    let mut told = late::Told::default();
    let mut unsure = BTreeMap::new();
    let mut each = tokio::time::interval(EACH);
    each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = each.tick() => {}
        }
        let swept = async {
            if !journal.on_duty(Duty::Sweep).await? {
                return Ok(());
            }
            journal.bring_forward(Timestamp::now()).await?;
            // a resume whose process ended half-way
            journal.rouse_what_was_left(Timestamp::now()).await?;
            if !journal.shared.clock.is_right() {
                return Ok(());
            }
            journal
                .sweep_deadlines(Timestamp::now(), &config)
                .await?
                .tell(&mut unsure);
            told.tell(&journal.late(Timestamp::now(), &config).await?);
            Ok(())
        };
        // dropped between two small commits at the most
        match shutdown.run_until_cancelled(swept).await {
            Some(Err(error)) if JournalError::may_pass(&error) => {
                tracing::warn!(%error, "deadlines are looked at again later");
            }
            Some(result) => result?,
            None => return Ok(()),
        }
    }
}

impl Journal {
    /// Warns of and ends what `now` is too late for.
    pub async fn sweep_deadlines(&self, now: Timestamp, config: &Config) -> Result<Swept, JournalError> {
        let mut swept = Swept::default();
        let deadline = now - days_of(config.expire_days);
        for side in Side::ALL {
            self.expire(side, Clock::Entered, deadline, now, &mut swept).await?;
            self.expire(side, Clock::Purpose, now, now, &mut swept).await?;
        }
        for (index, days) in config.warn_days.iter().enumerate() {
            let level = u32::try_from(index + 1).unwrap_or(u32::MAX);
            for side in Side::ALL {
                self.warn(side, level, now - days_of(*days), now, &mut swept).await?;
            }
        }
        Ok(swept)
    }

    async fn warn(
        &self,
        side: Side,
        level: u32,
        entered: Timestamp,
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), JournalError> {
        loop {
            let journal = self.clone();
            let warned = self.store.write(move |change| {
                let rows = change.all(
                    "SELECT * FROM message WHERE side = ? AND ended IS NULL AND warned = ? AND entered_at <= ?
                     ORDER BY entered_at, seq LIMIT ?",
                    params![side.as_str(), level - 1, entered.as_millisecond(), STEP as i64],
                    MessageRow::read,
                )?;
                let mut readers = vec![];
                for row in &rows {
                    change.run("UPDATE message SET warned = ? WHERE seq = ?", params![level, row.seq])?;
                    // of what lies elsewhere its custodian warns
                    if is_here(row) {
                        journal.step(change, row, Step::Warned, None, &[], now)?;
                        readers.push(row.reader.clone());
                    }
                }
                Ok::<_, JournalError>((rows.len(), readers))
            });
            let (looked_at, readers) = warned.await?;
            for reader in readers {
                *swept.warned.entry((reader, level)).or_default() += 1;
            }
            if looked_at < STEP {
                return Ok(());
            }
        }
    }

    async fn expire(
        &self,
        side: Side,
        clock: Clock,
        until: Timestamp,
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), JournalError> {
        let mut after = None;
        loop {
            let page = self.past(side, clock, until, after).await?;
            after = page.last().map(|past| (past.at, past.row.seq));
            let full = page.len() == PAGE;
            let here = page.into_iter().filter(|past| is_here(&past.row));
            let (unsure, end): (Vec<Past>, Vec<Past>) = here.partition(|past| past.row.unsure > 0);
            swept
                .unsure
                .extend(unsure.into_iter().map(|past| (past.row.key, past.row.reader)));
            for few in end.chunks(STEP) {
                for reader in self.end(side, few, now).await? {
                    *swept.ended.entry(reader).or_default() += 1;
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// A page of what has not ended although `clock` shows `until` or earlier for it, behind `after`.
    async fn past(
        &self,
        side: Side,
        clock: Clock,
        until: Timestamp,
        after: Option<(i64, i64)>,
    ) -> Result<Vec<Past>, JournalError> {
        let (at, seq) = after.unwrap_or((i64::MIN, i64::MIN));
        let column = clock.column();
        let page = self.store.read(move |look| {
            look.all(
                &format!(
                    "SELECT * FROM message WHERE side = ? AND ended IS NULL AND {column} <= ? AND {column} >= ?
                     AND ({column} > ? OR seq > ?) ORDER BY {column}, seq LIMIT ?"
                ),
                params![side.as_str(), until.as_millisecond(), at, at, seq, PAGE as i64],
                |row| {
                    Ok::<_, JournalError>(Past {
                        at: row.get(column)?,
                        row: MessageRow::read(row)?,
                    })
                },
            )
        });
        Ok(page.await?)
    }

    /// Ends those of `few` that nobody has in hand, and says whose they were.
    async fn end(&self, side: Side, few: &[Past], now: Timestamp) -> Result<Vec<BehoerdeId>, JournalError> {
        let seqs: Vec<i64> = few.iter().map(|past| past.row.seq).collect();
        // in our own hands, so that no attempt begins meanwhile; what is parked nobody begins with
        let wanted = seqs.clone();
        let claimed = self
            .claim(side, move |look, taken| {
                let mut free = vec![];
                for seq in wanted.into_iter().filter(|seq| !taken.contains(*seq)) {
                    let row = look.first(
                        "SELECT * FROM message WHERE seq = ? AND work IS NOT NULL",
                        params![seq],
                        MessageRow::read,
                    )?;
                    free.extend(row.map(|row| Candidate::new(&row, (row.seq, row.key.clone()))));
                }
                Ok(free)
            })
            .await?;
        let journal = self.clone();
        let ours: Vec<i64> = claimed.iter().map(|(seq, _)| *seq).collect();
        let ended = self.store.write(move |change| {
            let mut told: Vec<Occurrence> = vec![];
            let mut readers = vec![];
            for seq in seqs {
                let row = change.first(
                    "SELECT * FROM message WHERE seq = ? AND ended IS NULL AND unsure = 0",
                    params![seq],
                    MessageRow::read,
                )?;
                let Some(row) = row else { continue };
                let free = ours.contains(&seq) && journal.still_claims(change, seq)? || row.parked.is_some();
                if !free || !is_here(&row) {
                    continue;
                }
                let stage = match side {
                    Side::Relayed => Stage::Undeliverable,
                    Side::Sent | Side::Taken => Stage::Expired,
                };
                machine::allow(&row, Act::End(stage))?;
                change.run(
                    "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, held_for = NULL, parked = NULL,
                        parked_at = NULL WHERE seq = ?",
                    params![row.seq],
                )?;
                ledger::set_end(change, side, &row, Some((stage, now)))?;
                journal.release(change, row.seq)?;
                told.push(journal.state(change, &row, stage, None, &[Reason::Obsolete], now)?);
                readers.push(row.reader.clone());
            }
            Ok::<_, JournalError>((told, readers))
        });
        let ended = ended.await;
        for (_, key) in claimed {
            self.put_down(side, &key);
        }
        let (told, readers) = ended?;
        self.tell(told);
        self.shared.receipts_wanted.notify_one();
        Ok(readers)
    }
}

/// What runs out for a message.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// The time since it came here.
    Entered,
    /// The time until it loses its purpose.
    Purpose,
}

impl Clock {
    fn column(self) -> &'static str {
        match self {
            Clock::Entered => "entered_at",
            Clock::Purpose => "obsolete_after",
        }
    }
}

/// A message past its deadline.
struct Past {
    row: MessageRow,
    /// What the clock shows for it.
    at: i64,
}

/// Whether this custodian holds it, and nobody else may have it.
fn is_here(row: &MessageRow) -> bool {
    match row.side {
        Side::Taken => true,
        Side::Sent | Side::Relayed => {
            matches!(State::of(row), State::Waiting | State::Parked) && (row.work.is_some() || row.parked.is_some())
        }
    }
}

fn days_of(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

impl Swept {
    /// Alarms, one line for each authority. `told` is what was told of those that nobody may end by a clock: they are told
    /// of again when there are more.
    fn tell(&self, told: &mut BTreeMap<BehoerdeId, u64>) {
        for ((behoerde, warning), messages) in &self.warned {
            tracing::error!(%behoerde, warning, messages, alarm = "deadline-near",
                "nobody takes its messages over, and their time is running out");
        }
        for (behoerde, messages) in &self.ended {
            tracing::error!(%behoerde, messages, alarm = "expired",
                "nobody took its messages over in time: they are back at their authors' side");
        }
        let mut unsure: BTreeMap<BehoerdeId, u64> = BTreeMap::new();
        for reader in self.unsure.values() {
            *unsure.entry(reader.clone()).or_default() += 1;
        }
        for (behoerde, messages) in &unsure {
            if told.get(behoerde).is_none_or(|told| told < messages) {
                tracing::error!(%behoerde, messages, alarm = "deadline-unclear",
                    "past their deadline, but its Fachverfahren may have acted on them: ask it");
            }
        }
        *told = unsure;
    }
}

#[cfg(test)]
mod tests {
    use viereck_routing::Class;

    use super::*;
    use crate::Actor;
    use crate::parked::ParkedId;
    use crate::testing::journal;

    const READER: &str = "wgb:010010000000";
    const DAY: i64 = 24 * 3600 * 1000;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + day * DAY).unwrap()
    }

    /// A message that entered on day 0, with these further columns.
    async fn message(journal: &Journal, side: &'static str, number: usize, set: &'static str) -> MessageKey {
        let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}");
        let key = MessageKey {
            author: "wgp:010000000000".parse().unwrap(),
            message_id: id.parse().unwrap(),
        };
        let work = if side == "sent" { "publish" } else { "hand-over" };
        let fill = journal.store.write(move |change| {
            change.run(
                "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                    leistung, gateway, filed_at, obsolete_after, entered_at, work, due_at)
                 VALUES (?, 'wgp:010000000000', ?, ?, ?, ?, 'application', ?, '99107023037000', 'gw-s', ?, ?, ?, ?, 0)",
                params![
                    side,
                    id,
                    &[0_u8; 32],
                    &[0_u8; 32],
                    id,
                    READER,
                    at(0).as_millisecond(),
                    at(30).as_millisecond(),
                    at(0).as_millisecond(),
                    work
                ],
            )?;
            if !set.is_empty() {
                change.run(&format!("UPDATE message SET {set} WHERE message_id = ?"), params![id])?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        key
    }

    async fn ends(journal: &Journal) -> Vec<Option<String>> {
        let ends = journal.store.read(|look| {
            look.all("SELECT ended FROM message ORDER BY seq", params![], |row| {
                Ok::<_, JournalError>(row.get("ended")?)
            })
        });
        ends.await.unwrap()
    }

    #[tokio::test]
    async fn what_nobody_takes_over_is_warned_of_once_each_and_then_ends() {
        let (_dir, journal) = journal("gw-r").await;
        for number in 0..3 * PAGE {
            message(&journal, "taken", number, "").await;
        }
        let config = Config::default();
        let reader: BehoerdeId = READER.parse().unwrap();
        let sweep = async |day| journal.sweep_deadlines(at(day), &config).await.unwrap();
        assert_eq!(sweep(2).await, Swept::default());
        let all = 3 * PAGE as u64;
        for (day, warning) in [(3, 1), (9, 2)] {
            let swept = sweep(day).await;
            assert_eq!(swept.warned, BTreeMap::from([((reader.clone(), warning), all)]));
            assert_eq!(sweep(day).await, Swept::default(), "once each");
        }
        assert_eq!(sweep(14).await.ended, BTreeMap::from([(reader, all)]));
        assert!(ends(&journal).await.iter().all(|end| end.as_deref() == Some("expired")));
        assert_eq!(sweep(20).await, Swept::default());
    }

    #[tokio::test]
    async fn what_has_lost_its_purpose_ends_and_what_somebody_may_have_acted_on_does_not() {
        let (_dir, journal) = journal("gw-r").await;
        message(&journal, "taken", 0, "obsolete_after = entered_at + 1000").await;
        message(&journal, "taken", 1, "unsure = 1, attempts = 4").await;
        message(&journal, "taken", 2, "attempts = 4").await;
        message(
            &journal,
            "taken",
            3,
            "work = NULL, due_at = NULL, parked = 'T002', parked_at = 0",
        )
        .await;
        message(&journal, "taken", 4, "work = 'await', unsure = 1, attempts = 1").await;
        let in_hand = message(&journal, "taken", 5, "class = 0").await;
        let pair = journal.queue().await.unwrap().waiting[0].pair.clone();
        let given = journal.give_out(&pair, Class::Urgent, at(0), 9).await.unwrap();
        assert_eq!(given[0].key, in_hand);
        let config = Config::default();
        let swept = journal.sweep_deadlines(at(1), &config).await.unwrap();
        assert_eq!(swept.ended.values().sum::<u64>(), 1);
        let swept = journal.sweep_deadlines(at(14), &config).await.unwrap();
        assert_eq!((swept.ended.values().sum::<u64>(), swept.unsure.len()), (2, 2));
        let expired = Some("expired".to_owned());
        assert_eq!(
            ends(&journal).await,
            [expired.clone(), None, expired.clone(), expired.clone(), None, None]
        );
        journal.give_back(&in_hand);
        let swept = journal.sweep_deadlines(at(14), &config).await.unwrap();
        assert_eq!(
            swept.ended.values().sum::<u64>(),
            1,
            "once nobody has it in hand any more"
        );
    }

    #[tokio::test]
    async fn what_somebody_may_have_acted_on_is_ended_by_an_operator_once_it_has_lost_its_purpose() {
        let (_dir, journal) = journal("gw-r").await;
        let living = message(
            &journal,
            "taken",
            0,
            "unsure = 1, attempts = 4, obsolete_after = 4000000000000",
        )
        .await;
        let stuck = message(&journal, "taken", 1, "unsure = 1, attempts = 4, obsolete_after = 1").await;
        let in_hand = message(
            &journal,
            "taken",
            2,
            "unsure = 1, attempts = 4, obsolete_after = 1, class = 0",
        )
        .await;
        let pair = journal.queue().await.unwrap().waiting[0].pair.clone();
        let given = journal.give_out(&pair, Class::Urgent, at(0), 9).await.unwrap();
        assert_eq!(given[0].key, in_hand);
        let (anna, why) = (Actor::operator("anna").unwrap(), "ticket 1".parse().unwrap());
        let mut answers = vec![];
        for key in [&living, &stuck, &in_hand] {
            let discarded = journal.discard(ParkedId::Message(key.message_id), &anna, &why).await;
            answers.push(discarded.ok().flatten());
        }
        assert_eq!(answers, [None, Some(Stage::Rejected), None]);
        assert_eq!(ends(&journal).await, [None, Some("rejected".to_owned()), None]);
        let free = journal.give_out(&pair, Class::Normal, at(0), 9).await.unwrap();
        assert_eq!(free.iter().map(|given| &given.key).collect::<Vec<_>>(), [&living]);
    }

    #[tokio::test]
    async fn the_sender_ends_only_what_surely_never_went_out() {
        let (_dir, journal) = journal("gw-s").await;
        message(&journal, "sent", 0, "").await;
        message(&journal, "sent", 1, "attempts = 1").await;
        message(&journal, "sent", 2, "doubtful = 1").await;
        let swept = journal.sweep_deadlines(at(15), &Config::default()).await.unwrap();
        assert_eq!((swept.ended.values().sum::<u64>(), swept.unsure.len()), (1, 0));
        assert!(swept.warned.is_empty(), "of what is on its way its custodian warns");
        assert_eq!(ends(&journal).await, [Some("expired".to_owned()), None, None]);
    }

    #[tokio::test]
    async fn lateness_is_counted_by_authority_and_class() {
        let (_dir, journal) = journal("gw-r").await;
        let minutes: [&'static str; 4] = ["0", "7", "3", "16"];
        for (number, minute) in minutes.into_iter().enumerate() {
            let set = match minute {
                "0" => "class = 0",
                "7" => "class = 0, filed_at = filed_at - 420000",
                "3" => "class = 0, filed_at = filed_at - 180000",
                _ => "class = 1, filed_at = filed_at - 960000",
            };
            message(&journal, "taken", number, set).await;
        }
        let config = Config::default();
        let late = async |minute: i64| {
            let now = at(0) + SignedDuration::from_mins(minute);
            let late = journal.late(now, &config).await.unwrap();
            late.iter()
                .map(|late| (late.class, late.half, late.most, late.past))
                .collect::<Vec<_>>()
        };
        assert_eq!(late(0).await, []);
        assert_eq!(late(5).await, [(Class::Urgent, 2, 1, 0)]);
        assert_eq!(late(9).await, [(Class::Urgent, 3, 2, 1)]);
        assert_eq!(late(110).await, [(Class::Urgent, 3, 3, 3), (Class::Normal, 1, 0, 0)]);
    }

    #[tokio::test]
    async fn a_late_message_is_counted_where_it_lies() {
        let (_dir, journal) = journal("gw-s").await;
        message(&journal, "sent", 0, "").await;
        message(&journal, "sent", 1, "attempts = 1").await;
        message(&journal, "sent", 2, "attempts = 1, heard = 1").await;
        message(&journal, "relayed", 3, "work = 'relay', held_for = 'gw-r'").await;
        message(&journal, "relayed", 4, "work = NULL, due_at = NULL, target = 'gw-r'").await;
        message(&journal, "taken", 5, "").await;
        message(&journal, "taken", 6, "ended = 'accepted', ended_at = 0").await;
        let late = journal.late(at(1), &Config::default()).await.unwrap();
        assert_eq!(late.iter().map(|late| late.past).collect::<Vec<_>>(), [4]);
    }

    #[tokio::test]
    async fn what_ends_between_a_look_and_its_claim_is_not_given_out() {
        let (_dir, journal) = journal("gw-s").await;
        let key = message(&journal, "sent", 1, "").await;
        let (looked, has_looked) = tokio::sync::oneshot::channel();
        let (go, may_go) = std::sync::mpsc::channel();
        let claiming = tokio::spawn({
            let journal = journal.clone();
            async move {
                let find = move |look: &viereck_store::Look<'_>, _: &crate::claims::Taken| {
                    let row = MessageRow::find(look, Side::Sent, &key)?;
                    let _ = looked.send(());
                    let _ = may_go.recv();
                    Ok(row.map(|row| Candidate::new(&row, ())).into_iter().collect())
                };
                journal.claim(Side::Sent, find).await.unwrap()
            }
        });
        has_looked.await.unwrap();
        let swept = journal.sweep_deadlines(at(40), &Config::default()).await.unwrap();
        assert_eq!(swept.ended.values().sum::<u64>(), 1);
        go.send(()).unwrap();
        assert!(claiming.await.unwrap().is_empty(), "given out after its end");
        assert!(journal.shared.claims.rows().is_empty(), "nothing stays in hand");
    }
}
