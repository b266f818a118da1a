//! What the broker holds for a while: octets whose next hop takes nothing, and what came back unrouted.
//!
//! A full queue of one gateway is that gateway's matter: its messages wait here, on disk and with the reason, and the
//! ingress goes on. Held messages are given out per gateway in the order of their [`lanes`], each lane's oldest first;
//! whoever publishes them decides how many at once. [`Journal::relayed`](crate::Journal::relayed) ends the holding, and so
//! does any word of the reader's gateway.
//!
//! Guarantees: what is held is on disk before its delivery is done, and its octets are compared with what was taken
//! before they are given out. Does not: bound itself. How much is held is asked by [`Journal::held_octets`], and who
//! takes in stops in time.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{Reason, VerifiedEnvelope};
use viereck_observe::Trace;
use viereck_routing::{Class, GatewayId};
use viereck_store::{Change, Look, params};

use crate::claims::Candidate;
use crate::journal::{MessageKey, Occurrence};
use crate::lanes::{self, Turn};
use crate::machine::{self, Act};
use crate::outbox::intact;
use crate::pause::{self, Lane, Scope};
use crate::relay::find_or_insert;
use crate::rows::{self, MessageRow, Side, Work};
use crate::step::Step;
use crate::{Journal, JournalError, facts};

/// A message that the broker holds, given into the caller's hands until it is [put down](Journal::put_down_held).
#[derive(Debug, Clone)]
pub struct Held {
    /// Which one.
    pub key: MessageKey,
    /// The octets as they were taken; `None` when the journal no longer has them.
    pub bytes: Option<Bytes>,
    /// To which trace it belongs.
    pub trace: Option<Trace>,
    /// How often it has come back so far.
    pub returns: u32,
}

/// For whom messages are held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeldFor {
    /// The gateway whose queue takes nothing; `None` where none is known.
    pub gateway: Option<GatewayId>,
    /// When the first of them is due.
    pub due_at: Timestamp,
}

/// What the broker is to do with a message that came back unrouted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// It is in custody again, on disk; this is the how many-eth return.
    Again(u32),
    /// The reader's gateway has spoken, or it has ended: nothing to do.
    Over,
}

impl Journal {
    /// Keeps a message for `gateway`, to which it cannot go at the moment, and gives it out from `due_at` on.
    pub async fn hold(
        &self,
        envelope: &VerifiedEnvelope,
        class: Class,
        gateway: GatewayId,
        reason: Option<Reason>,
        due_at: Timestamp,
        trace: Option<Trace>,
    ) -> Result<(), JournalError> {
        let journal = self.clone();
        let envelope = envelope.clone();
        let now = Timestamp::now();
        let told = self.store.write(move |tx| {
            let row = find_or_insert(tx, &envelope, class, trace, now)?;
            journal.hold_row(tx, &row, &envelope, &gateway, reason, due_at, now)
        });
        let told: Option<Occurrence> = told.await?;
        self.tell(told.into_iter().collect());
        self.shared.relay_wanted.notify_one();
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a hold is, in the transaction of whoever decides on it"
    )]
    pub(crate) fn hold_row(
        &self,
        tx: &Change<'_>,
        row: &MessageRow,
        envelope: &VerifiedEnvelope,
        gateway: &GatewayId,
        reason: Option<Reason>,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Occurrence>, JournalError> {
        if row.ended.is_some() || row.target.is_some() || row.parked.is_some() {
            // a copy of it has gone on meanwhile, has ended, or waits for an operator: nothing is left to be held
            return Ok(None);
        }
        machine::allow(row, Act::Hold)?;
        keep(tx, row, envelope, Some(gateway), due_at)?;
        match row.work {
            Some(_) => Ok(None),
            None => self
                .step(tx, row, Step::Held, Some(gateway), reason.as_slice(), now)
                .map(Some),
        }
    }

    /// A relayed message came back because its target is not bound: custody is the broker's again, and it is given out
    /// from `due_at` of its return on.
    pub async fn returned(
        &self,
        envelope: &VerifiedEnvelope,
        class: Class,
        due_at: impl FnOnce(u32) -> Timestamp + Send + 'static,
        trace: Option<Trace>,
    ) -> Result<Returned, JournalError> {
        let journal = self.clone();
        let envelope = envelope.clone();
        let now = Timestamp::now();
        let (returned, told) = self
            .store
            .write(move |tx| {
                let row = find_or_insert(tx, &envelope, class, trace, now)?;
                let status = facts::status_of(tx, &row)?;
                if status.is_some_and(|status| status.reader_spoke || status.stage.is_terminal()) {
                    return Ok((Returned::Over, vec![]));
                }
                machine::allow(&row, Act::Return)?;
                let times = row.attempts + 1;
                tx.run(
                    "UPDATE message SET target = NULL, attempts = ? WHERE seq = ?",
                    params![times, row.seq],
                )?;
                if row.parked.is_none() {
                    keep(tx, &row, &envelope, row.target.as_ref(), due_at(times))?;
                }
                let told = journal.step(tx, &row, Step::Returned, row.target.as_ref(), &[], now)?;
                Ok::<_, JournalError>((Returned::Again(times), vec![told]))
            })
            .await?;
        self.tell(told);
        self.shared.relay_wanted.notify_one();
        Ok(returned)
    }

    /// Wakes whoever relays what is held.
    pub fn relay_wanted(&self) -> std::sync::Arc<tokio::sync::Notify> {
        self.shared.relay_wanted.clone()
    }

    /// For whom messages are held that nobody has in hand, but for gateways that rest.
    pub async fn held_for(&self) -> Result<Vec<HeldFor>, JournalError> {
        self.look_at_heads(Timestamp::now(), |heads| {
            let mut all = vec![];
            let mut last: Option<GatewayId> = None;
            loop {
                // a few seeks in the index for each gateway, however many messages wait
                let gateway: Option<GatewayId> = heads.look().first(
                    NEXT_GATEWAY,
                    params![last.as_ref().map_or("", GatewayId::as_str)],
                    |row| rows::name(row, "held_for"),
                )?;
                if !rests(heads.look(), gateway.as_ref())? {
                    let mut first: Option<Timestamp> = None;
                    for class in Class::ALL {
                        let of_class = heads.first(Lane::Relay(gateway.clone(), *class))?;
                        first = first.into_iter().chain(of_class).min();
                    }
                    all.extend(first.map(|due_at| HeldFor {
                        gateway: gateway.clone(),
                        due_at,
                    }));
                }
                match gateway {
                    Some(gateway) => last = Some(gateway),
                    None => return Ok(all),
                }
            }
        })
        .await
    }

    /// Gives out what is held for a gateway and due, in the order of the lanes and each lane's oldest first: at most
    /// `limit` messages and, beyond the first, `octets` octets.
    pub async fn due_held(
        &self,
        gateway: Option<GatewayId>,
        now: Timestamp,
        turn: Turn,
        limit: usize,
        octets: usize,
    ) -> Result<Vec<Held>, JournalError> {
        let look = self.look_at_heads(now, move |heads| {
            if rests(heads.look(), gateway.as_ref())? {
                return Ok(vec![]);
            }
            let mut waiting = HashMap::new();
            for class in Class::ALL {
                waiting.insert(*class, heads.waiting(Lane::Relay(gateway.clone(), *class), limit)?);
            }
            let given = |row: MessageRow| {
                let bytes = rows::sealed(heads.look(), row.seq)?;
                Ok(Candidate::new(&row.clone(), (row, bytes)))
            };
            let chosen = lanes::choose(waiting, turn, 0, limit, octets);
            chosen.into_iter().map(given).collect()
        });
        let given = self.take_in_hand(Side::Relayed, look.await?);
        let mut held = vec![];
        for (row, bytes) in given.await? {
            let bytes = intact(&row, bytes).await;
            held.push(Held {
                key: row.key,
                bytes,
                trace: row.trace,
                returns: row.attempts,
            });
        }
        Ok(held)
    }

    /// Puts a message down that [`Journal::due_held`] gave out, when nothing came of it: due again at `due_at`.
    pub async fn hold_longer(
        &self,
        key: &MessageKey,
        gateway: Option<GatewayId>,
        due_at: Timestamp,
    ) -> Result<(), JournalError> {
        let (journal, message) = (self.clone(), key.clone());
        let longer = self.store.write(move |tx| {
            let row = MessageRow::find(tx, Side::Relayed, &message)?.ok_or(JournalError::Unknown)?;
            journal.release(tx, row.seq)?;
            tx.run(
                "UPDATE message SET due_at = ?, held_for = coalesce(?, held_for) WHERE seq = ? AND work = 'relay'",
                params![
                    due_at.as_millisecond(),
                    gateway.as_ref().map(GatewayId::as_str),
                    row.seq
                ],
            )?;
            Ok::<_, JournalError>(())
        });
        longer.await?;
        self.put_down_held(key);
        Ok(())
    }

    /// Takes a held message out of the flow: what the journal holds is no longer what was taken, or does not verify.
    pub async fn park_held(&self, key: &MessageKey, reason: Reason) -> Result<(), JournalError> {
        let (journal, message) = (self.clone(), key.clone());
        let told = self.store.write(move |tx| {
            let row = MessageRow::find(tx, Side::Relayed, &message)?.ok_or(JournalError::Unknown)?;
            journal.release(tx, row.seq)?;
            match row.ended {
                Some(_) => Ok(None),
                None => journal.set_aside(tx, &row, reason, Timestamp::now()).map(Some),
            }
        });
        let told: Option<Occurrence> = told.await?;
        self.tell(told.into_iter().collect());
        self.put_down_held(key);
        Ok(())
    }

    /// Puts a held message down, whatever became of it.
    pub fn put_down_held(&self, key: &MessageKey) {
        self.put_down(Side::Relayed, key);
    }

    /// How many octets are held for gateways that take nothing.
    pub async fn held_octets(&self) -> Result<u64, JournalError> {
        self.octets_of(Work::Relay).await
    }

    /// How many octets wait for a hand-over.
    pub async fn waiting_octets(&self) -> Result<u64, JournalError> {
        self.octets_of(Work::HandOver).await
    }

    async fn octets_of(&self, work: Work) -> Result<u64, JournalError> {
        let octets = self.store.survey(move |conn| {
            conn.first(
                "SELECT CAST(coalesce(sum(length(bytes)), 0) AS BIGINT) AS octets
                 FROM message JOIN sealed ON sealed.message = message.seq WHERE work = ?",
                params![work.as_str()],
                |row| Ok::<i64, JournalError>(row.get("octets")?),
            )
        });
        Ok(octets.await?.map_or(0, |octets| octets.unsigned_abs()))
    }
}

/// The first gateway behind another one that something is held for.
const NEXT_GATEWAY: &str =
    "SELECT held_for FROM message WHERE work = 'relay' AND held_for > ? ORDER BY held_for LIMIT 1";

/// Whether an operator has paused the way to a gateway.
fn rests(look: &Look<'_>, gateway: Option<&GatewayId>) -> Result<bool, JournalError> {
    match gateway {
        Some(gateway) => pause::is_paused(look, &Scope::Gateway(gateway.clone())),
        None => Ok(false),
    }
}

/// Puts the octets beside their row, with the work to relay them.
fn keep(
    tx: &Change<'_>,
    row: &MessageRow,
    envelope: &VerifiedEnvelope,
    gateway: Option<&GatewayId>,
    due_at: Timestamp,
) -> Result<(), JournalError> {
    tx.run(
        "UPDATE message SET work = 'relay', due_at = ?, held_for = ? WHERE seq = ?",
        params![due_at.as_millisecond(), gateway.map(GatewayId::as_str), row.seq],
    )?;
    tx.run(
        "INSERT INTO sealed (message, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING",
        params![row.seq, &envelope.bytes()[..]],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{journal, searches};
    use futures_util::FutureExt;

    /// Holds so many messages of a class for `gw-a`, due one after the other from `first` on.
    async fn held(journal: &Journal, class: Class, first: i64, count: i64) {
        let fill = journal.store.write(move |change| {
            for due in first..first + count {
                let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{due:012}");
                change.run(
                    "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                        leistung, gateway, filed_at, obsolete_after, entered_at, class, work, due_at, held_for)
                     VALUES ('relayed', 'wgp:010000000000', ?, ?, ?, ?, 'application', 'wgb:010010000000',
                        '99107023037000', 'gw-s', 0, 0, 0, ?, 'relay', ?, 'gw-a')",
                    params![id, &[0_u8; 32], &[0_u8; 32], id, lanes::number(class), due],
                )?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_held_is_given_out_in_the_order_of_the_lanes_and_none_starves() {
        let (_dir, journal) = journal("broker").await;
        held(&journal, Class::Bulk, 0, 40).await;
        held(&journal, Class::Normal, 100, 40).await;
        held(&journal, Class::Urgent, 200, 40).await;
        let gateway: GatewayId = "gw-a".parse().unwrap();
        let now = Timestamp::from_millisecond(1000).unwrap();
        let mut turn = Turn::default();
        let mut order = vec![];
        for _ in 0..2 * lanes::ROUND {
            // one at a time, as when they come back one by one
            let due = journal.due_held(Some(gateway.clone()), now, turn.clone(), 1, 1).await;
            let id = due.unwrap()[0].key.message_id.to_string();
            order.push(id[24..].parse::<i64>().unwrap());
            turn.pass(1);
        }
        let of = |from: i64| {
            order
                .iter()
                .copied()
                .filter(move |due| (from..from + 100).contains(due))
        };
        assert!(
            of(0).eq(0..2) && of(100).eq(100..106) && of(200).eq(200..224),
            "{order:?}"
        );
        assert_eq!(order[0], 200, "the urgent ones came last and go first");
    }

    #[tokio::test]
    async fn what_rests_holds_up_nothing_else_that_is_held() {
        let (_dir, journal) = journal("broker").await;
        held(&journal, Class::Normal, 0, 700).await;
        held(&journal, Class::Normal, 1000, 2).await;
        held(&journal, Class::Bulk, 2000, 1).await;
        let readers = journal.store.write(|change| {
            change.run(
                "UPDATE message SET reader = 'wgb:010540880000' WHERE due_at < 1000",
                params![],
            )?;
            change.run("UPDATE message SET held_for = 'gw-b' WHERE due_at >= 2000", params![])?;
            Ok::<_, JournalError>(())
        });
        readers.await.unwrap();
        let (why, anna) = (|| "ticket 1".parse().unwrap(), crate::Actor::operator("anna").unwrap());
        let [reader, gateway]: [Scope; 2] =
            ["behoerde:wgb:010540880000", "gateway:gw-b"].map(|scope| scope.parse().unwrap());
        for scope in [&reader, &gateway] {
            journal.pause(scope.clone(), why(), anna.clone()).await.unwrap();
        }
        let wanted = journal.relay_wanted();
        let held_for = async || {
            let mut held_for = journal.held_for().await.unwrap();
            // whoever gives out looks again when it is woken
            while wanted.notified().now_or_never().is_some() {
                held_for = journal.held_for().await.unwrap();
            }
            let each = held_for.into_iter().map(|held| {
                let gateway = held.gateway.map(|gateway| gateway.to_string());
                (gateway.unwrap_or_default(), held.due_at.as_millisecond())
            });
            each.collect::<Vec<_>>()
        };
        let due_held = async |gateway: &str, limit: usize| {
            let now = Timestamp::now();
            let due = journal.due_held(Some(gateway.parse().unwrap()), now, Turn::default(), limit, 1 << 20);
            due.await.unwrap().len()
        };
        assert_eq!(held_for().await, [("gw-a".to_owned(), 1000)]);
        assert_eq!(due_held("gw-a", 900).await, 2, "and what rests is in nobody's hands");
        assert_eq!(due_held("gw-b", 900).await, 0);
        assert_eq!(held_for().await, []);
        let apart = journal.store.read(|look| {
            look.all(
                "SELECT reader, held_for FROM message WHERE due_at IS NULL",
                params![],
                |row| Ok::<_, JournalError>((row.get::<String>("reader")?, row.get::<String>("held_for")?)),
            )
        });
        let apart = apart.await.unwrap();
        assert!(apart.len() == 700 && apart.iter().all(|(_, held_for)| held_for == "gw-a"));

        journal.resume(gateway, why(), anna.clone()).await.unwrap();
        assert_eq!(
            held_for().await,
            [("gw-b".to_owned(), 2000)],
            "its time was never taken"
        );
        journal.resume(reader, why(), anna).await.unwrap();
        assert_eq!(due_held("gw-a", 900).await, 700);
    }

    #[tokio::test]
    async fn for_whom_messages_are_held_is_found_by_seeks_however_many_are() {
        let (_dir, journal) = journal("broker").await;
        let lane = |gateway: Option<&str>| Lane::Relay(gateway.map(|id| id.parse().unwrap()), Class::Normal);
        let (one, none) = (lane(Some("gw-a")), lane(None));
        let of_lane = "message_held (work=? AND held_for=? AND class=?";
        let statements = [
            (
                NEXT_GATEWAY.to_owned(),
                "message_held (work=? AND held_for>?)".to_owned(),
            ),
            (one.first(), format!("{of_lane} AND due_at>?)")),
            (none.first(), format!("{of_lane} AND due_at>?)")),
            (one.waiting(), format!("{of_lane} AND due_at<?)")),
            (none.waiting(), format!("{of_lane} AND due_at<?)")),
        ];
        for (statement, seek) in statements {
            let steps = searches(&journal, &statement).await;
            assert!(steps[0].ends_with(&seek), "{statement}: {steps:?}");
            assert!(
                !steps.iter().any(|step| step.contains("TEMP B-TREE")),
                "{statement}: {steps:?}"
            );
        }
    }
}
