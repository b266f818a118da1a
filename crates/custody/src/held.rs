//! What the broker holds for a while: octets whose next hop takes nothing, and what came back unrouted.
//!
//! A full queue of one gateway is that gateway's matter: its messages wait here, on disk and with the reason, and the
//! ingress goes on. Held messages are given out per gateway, the oldest first; whoever publishes them decides how many
//! at once. [`Journal::relayed`](crate::Journal::relayed) ends the holding, and so does any word of the reader's gateway.
//!
//! Guarantees: what is held is on disk before its delivery is done, and its octets are compared with what was taken
//! before they are given out. Does not: bound itself. How much is held is asked by [`Journal::held_octets`], and who
//! takes in stops in time.

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{Reason, VerifiedEnvelope};
use viereck_observe::Trace;
use viereck_routing::GatewayId;
use viereck_store::{Change, Look, params};

use crate::claims::{Candidate, Taken};
use crate::journal::{MessageKey, Occurrence};
use crate::machine::{self, Act};
use crate::outbox::intact;
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
        gateway: GatewayId,
        reason: Option<Reason>,
        due_at: Timestamp,
        trace: Option<Trace>,
    ) -> Result<(), JournalError> {
        let journal = self.clone();
        let envelope = envelope.clone();
        let now = Timestamp::now();
        let told = self.store.write(move |tx| {
            let row = find_or_insert(tx, &envelope, trace, now)?;
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
        due_at: impl FnOnce(u32) -> Timestamp + Send + 'static,
        trace: Option<Trace>,
    ) -> Result<Returned, JournalError> {
        let journal = self.clone();
        let envelope = envelope.clone();
        let now = Timestamp::now();
        let (returned, told) = self
            .store
            .write(move |tx| {
                let row = find_or_insert(tx, &envelope, trace, now)?;
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

    /// For whom messages are held that nobody has in hand.
    pub async fn held_for(&self) -> Result<Vec<HeldFor>, JournalError> {
        self.look_around(|conn, taken| {
            let mut all = vec![];
            let mut last: Option<GatewayId> = None;
            loop {
                // one seek in the index for each gateway, however many messages wait
                let gateway: Option<GatewayId> = conn.first(
                    NEXT_GATEWAY,
                    params![last.as_ref().map_or("", GatewayId::as_str)],
                    |row| rows::name(row, "held_for"),
                )?;
                if let Some(due_at) = first_due(conn, gateway.as_ref(), taken)? {
                    all.push(HeldFor {
                        gateway: gateway.clone(),
                        due_at,
                    });
                }
                match gateway {
                    Some(gateway) => last = Some(gateway),
                    None => return Ok(all),
                }
            }
        })
        .await
    }

    /// Gives out what is held for a gateway and due: the oldest first, at most `limit` messages and, beyond the first,
    /// `octets` octets.
    pub async fn due_held(
        &self,
        gateway: Option<GatewayId>,
        now: Timestamp,
        limit: usize,
        octets: usize,
    ) -> Result<Vec<Held>, JournalError> {
        let given = self.claim(Side::Relayed, move |conn, taken| {
            let for_whom = gateway.as_ref().map(GatewayId::as_str);
            let due = conn.all(
                &format!(
                    "SELECT message.*, coalesce(length(bytes), 0) AS octets
                     FROM message LEFT JOIN sealed ON sealed.message = message.seq
                     WHERE work = 'relay' AND {} AND due_at <= ? AND {NOT_PAUSED} ORDER BY due_at, seq LIMIT ?",
                    of_gateway(for_whom)
                ),
                params![
                    for_whom.unwrap_or(""),
                    now.as_millisecond(),
                    (limit + taken.len()) as i64
                ],
                |row| {
                    let size = usize::try_from(row.get::<i64>("octets")?).unwrap_or(usize::MAX);
                    Ok::<_, JournalError>((MessageRow::read(row)?, size))
                },
            )?;
            let (mut given, mut sum) = (vec![], 0_usize);
            for (row, size) in due.into_iter().filter(|(row, _)| !taken.contains(row.seq)) {
                sum = sum.saturating_add(size);
                if given.len() == limit || !given.is_empty() && sum > octets {
                    break;
                }
                let bytes = rows::sealed(conn, row.seq)?;
                given.push(Candidate::new(&row.clone(), (row, bytes)));
            }
            Ok(given)
        });
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

/// Nothing for whom an operator has paused the way.
const NOT_PAUSED: &str = "NOT EXISTS (SELECT 1 FROM pause WHERE scope = 'behoerde:' || message.reader
    OR scope = 'gateway:' || coalesce(message.held_for, ''))";

fn of_gateway(gateway: Option<&str>) -> &'static str {
    match gateway {
        Some(_) => "held_for = ?",
        // of none it is asked with the empty text, which stands for nothing
        None => "held_for IS NULL AND ? = ''",
    }
}

fn first_due(conn: &Look<'_>, gateway: Option<&GatewayId>, taken: &Taken) -> Result<Option<Timestamp>, JournalError> {
    let for_whom = gateway.map(GatewayId::as_str);
    let due = conn.all(
        &due_first(for_whom),
        params![for_whom.unwrap_or(""), taken.len() as i64 + 1],
        |row| Ok::<_, JournalError>((row.get::<i64>("seq")?, rows::instant(row, "due_at")?)),
    )?;
    let free = due.into_iter().find(|(seq, _)| !taken.contains(*seq));
    Ok(free.map(|(_, due_at)| due_at))
}

fn due_first(gateway: Option<&str>) -> String {
    format!(
        "SELECT seq, due_at FROM message WHERE work = 'relay' AND {} AND {NOT_PAUSED} ORDER BY due_at LIMIT ?",
        of_gateway(gateway)
    )
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
    use viereck_routing::Environment;

    use super::*;
    use crate::testing::searches;

    #[tokio::test]
    async fn for_whom_messages_are_held_is_found_by_seeks_however_many_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.sqlite");
        let journal = Journal::open(&path, "broker".parse().unwrap(), Environment::Test).await;
        let journal = journal.unwrap();
        let statements = [
            (NEXT_GATEWAY.to_owned(), "message_held (work=? AND held_for>?)"),
            (due_first(Some("gw-a")), "message_held (work=? AND held_for=?)"),
            (due_first(None), "message_held (work=? AND held_for=?)"),
        ];
        for (statement, seek) in statements {
            let steps = searches(&journal, &statement).await;
            assert!(steps[0].ends_with(seek), "{statement}: {steps:?}");
            assert!(
                !steps.iter().any(|step| step.contains("TEMP B-TREE")),
                "{statement}: {steps:?}"
            );
        }
    }
}
