//! What rests lies apart, so that nobody passes over it again and again.
//!
//! A message whose reader an operator has paused keeps its work. The first look that meets it among what is due takes its
//! time from it: `due_at` is NULL from then on, and it stands in no lane any more. So each is met once, however many wait
//! and however often somebody looks, and a Behörde that rests slows down nobody else. [`Journal::resume`] makes due again
//! what lies apart, in small steps; the sweep of the [`deadlines`](crate::deadlines) does the same for what a process left
//! behind that ended between two of them.
//!
//! Guarantees: a look gives out nothing that rests at its moment. A step is a few hundred rows of each lane, found by seeks,
//! and others publish between two steps. Only what is due loses its time: what is to be tried later keeps it, and is met when
//! that has come. Does not: lay apart what a pause of a whole gateway holds back; nobody looks at its lanes then. A
//! hand-over is looked for by its pair and needs none of this.

use std::collections::VecDeque;

use jiff::Timestamp;
use viereck_routing::{BehoerdeId, Class, GatewayId};
use viereck_store::{Look, Param, params};

use super::Scope;
use crate::claims::Taken;
use crate::rows::{self, MessageRow};
use crate::{Journal, JournalError, lanes};

/// Rows of one lane, or of one reader, that one commit changes.
const STEP: usize = 512;

/// Messages that are given out in one order.
#[derive(Debug, Clone)]
pub(crate) enum Lane {
    /// What is to be published, of one class.
    Publish(Class),
    /// What the broker holds for one gateway, or for none that is known, of one class.
    Relay(Option<GatewayId>, Class),
}

impl Lane {
    fn condition(&self) -> &'static str {
        match self {
            Lane::Publish(_) => "work = 'publish' AND class = ?",
            Lane::Relay(Some(_), _) => "work = 'relay' AND held_for = ? AND class = ?",
            Lane::Relay(None, _) => "work = 'relay' AND held_for IS NULL AND class = ?",
        }
    }

    /// The values of the condition, and those that stand behind it.
    fn params(&self, behind: [i64; 2]) -> Vec<Param<'_>> {
        let (gateway, class) = match self {
            Lane::Publish(class) => (None, class),
            Lane::Relay(gateway, class) => (gateway.as_ref(), class),
        };
        let gateway = gateway.map(|gateway| Param::Text(gateway.as_str()));
        let class = Param::Int(lanes::number(*class).into());
        gateway
            .into_iter()
            .chain([class])
            .chain(behind.map(Param::Int))
            .collect()
    }

    /// The first that are due, with the sizes of their octets.
    pub(crate) fn waiting(&self) -> String {
        format!(
            "SELECT message.*, coalesce(length(bytes), 0) AS octets, {RESTS} AS rests
             FROM message LEFT JOIN sealed ON sealed.message = message.seq
             WHERE {} AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
            self.condition()
        )
    }

    /// The first of all that have a time.
    pub(crate) fn first(&self) -> String {
        format!(
            "SELECT seq, due_at, {RESTS} AS rests FROM message WHERE {} AND due_at >= ? ORDER BY due_at, seq LIMIT ?",
            self.condition()
        )
    }

    /// Lays apart what rests among the first that are due.
    fn lay_apart(&self) -> String {
        format!(
            "UPDATE message SET due_at = NULL WHERE seq IN (
                SELECT seq FROM (
                    SELECT seq, reader FROM message WHERE {} AND due_at <= ? ORDER BY due_at, seq LIMIT ?
                ) AS head WHERE EXISTS (SELECT 1 FROM pause WHERE scope = 'behoerde:' || head.reader))",
            self.condition()
        )
    }
}

const RESTS: &str =
    "CASE WHEN EXISTS (SELECT 1 FROM pause WHERE scope = 'behoerde:' || message.reader) THEN 1 ELSE 0 END";

/// Makes due again what lies apart for one reader, some of it.
const ROUSE: &str = "UPDATE message SET due_at = ? WHERE seq IN (
        SELECT seq FROM message WHERE reader = ? AND work IS NOT NULL AND due_at IS NULL ORDER BY seq LIMIT ?)";

/// The first reader behind another one for whom something lies apart.
const NEXT_READER: &str = "SELECT reader FROM message
     WHERE reader > ? AND work IS NOT NULL AND due_at IS NULL ORDER BY reader LIMIT 1";

/// The heads of lanes, as one look sees them.
pub(crate) struct Heads<'a, 'b> {
    look: &'a Look<'b>,
    taken: &'a Taken,
    now: Timestamp,
    /// Lanes in which something was met that is to be laid apart, and among how many.
    met: Vec<(Lane, usize)>,
}

impl Heads<'_, '_> {
    /// What else is to be seen at the same moment.
    pub(crate) fn look(&self) -> &Look<'_> {
        self.look
    }

    /// Of the first `limit` of a lane that are due and in nobody's hands those that do not rest, with their sizes.
    pub(crate) fn waiting(&mut self, lane: Lane, limit: usize) -> Result<VecDeque<(MessageRow, usize)>, JournalError> {
        let page = limit + self.taken.len();
        let rows = self.look.all(
            &lane.waiting(),
            &lane.params([self.now.as_millisecond(), page as i64]),
            |row| {
                let size = usize::try_from(row.get::<i64>("octets")?).unwrap_or(usize::MAX);
                Ok::<_, JournalError>((MessageRow::read(row)?, size, row.get::<bool>("rests")?))
            },
        )?;
        if rows.iter().any(|(.., rests)| *rests) {
            self.met.push((lane, page));
        }
        let free = rows
            .into_iter()
            .filter(|(row, _, rests)| !rests && !self.taken.contains(row.seq));
        Ok(free.map(|(row, size, _)| (row, size)).collect())
    }

    /// When the first of a lane is due that is in nobody's hands. If that one rests and its time is still to come, this is
    /// when it is laid apart.
    pub(crate) fn first(&mut self, lane: Lane) -> Result<Option<Timestamp>, JournalError> {
        let page = self.taken.len() + 1;
        let rows = self.look.all(&lane.first(), &lane.params([0, page as i64]), |row| {
            let seq = row.get::<i64>("seq")?;
            Ok::<_, JournalError>((seq, rows::instant(row, "due_at")?, row.get::<bool>("rests")?))
        })?;
        let is_met = |due_at: Timestamp, rests: bool| rests && due_at <= self.now;
        if rows.iter().any(|(_, due_at, rests)| is_met(*due_at, *rests)) {
            self.met.push((lane, page));
        }
        let first = rows
            .into_iter()
            .find(|(seq, due_at, rests)| !self.taken.contains(*seq) && !is_met(*due_at, *rests));
        Ok(first.map(|(_, due_at, _)| due_at))
    }
}

impl Journal {
    /// One look at the heads of lanes. Where something rests among them, a step of it is laid apart, and whoever gives out
    /// is woken to look once more: what stands behind it is found then, and what flies meanwhile goes on.
    pub(crate) async fn look_at_heads<T: Send + 'static>(
        &self,
        now: Timestamp,
        look: impl FnOnce(&mut Heads<'_, '_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let seen = self.look_around(move |conn, taken| {
            let mut heads = Heads {
                look: conn,
                taken,
                now,
                met: vec![],
            };
            let seen = look(&mut heads)?;
            Ok((seen, heads.met))
        });
        let (seen, met) = seen.await?;
        if !met.is_empty() {
            self.lay_apart(met, now).await?;
            self.wake();
        }
        Ok(seen)
    }

    /// Lays apart what rests among the first of some lanes. Whoever has such a message in hand goes on with it: the end of
    /// that gives it a time again.
    async fn lay_apart(&self, lanes: Vec<(Lane, usize)>, now: Timestamp) -> Result<u64, JournalError> {
        let laid = self.store.write(move |change| {
            let mut laid = 0;
            for (lane, page) in &lanes {
                // at least as far as the look went, or it would meet the same again
                let limit = STEP.max(*page) as i64;
                laid += change.run(&lane.lay_apart(), &lane.params([now.as_millisecond(), limit]))?;
            }
            Ok::<_, JournalError>(laid)
        });
        Ok(laid.await?)
    }

    /// Makes due again what lies apart for `reader`, step by step, for as long as nobody pauses it anew. How many that were.
    pub(super) async fn rouse(&self, reader: &BehoerdeId, now: Timestamp) -> Result<u64, JournalError> {
        let mut all = 0;
        loop {
            let reader = reader.clone();
            let roused = self.store.write(move |change| {
                if is_paused(change, &Scope::Behoerde(reader.clone()))? {
                    return Ok(0);
                }
                Ok::<_, JournalError>(change.run(ROUSE, params![now.as_millisecond(), reader.as_str(), STEP as i64])?)
            });
            let roused = roused.await?;
            all += roused;
            if roused > 0 {
                self.wake();
            }
            if roused < STEP as u64 {
                return Ok(all);
            }
        }
    }

    /// Makes due again what lies apart although nobody has paused its reader any more. How many that were.
    pub(crate) async fn rouse_what_was_left(&self, now: Timestamp) -> Result<u64, JournalError> {
        let left = self.store.read(|look| {
            let mut left: Vec<BehoerdeId> = vec![];
            let mut last: Option<BehoerdeId> = None;
            loop {
                // one seek in the index for each reader, however many messages lie there
                let behind = last.as_ref().map_or("", BehoerdeId::as_str);
                let next: Option<BehoerdeId> =
                    look.first(NEXT_READER, params![behind], |row| rows::name(row, "reader"))?;
                let Some(reader) = next else {
                    return Ok::<_, JournalError>(left);
                };
                if !is_paused(look, &Scope::Behoerde(reader.clone()))? {
                    left.push(reader.clone());
                }
                last = Some(reader);
            }
        });
        let mut roused = 0;
        for reader in left.await? {
            roused += self.rouse(&reader, now).await?;
        }
        Ok(roused)
    }
}

/// Whether a pause of this scope holds.
pub(crate) fn is_paused(look: &Look<'_>, scope: &Scope) -> Result<bool, JournalError> {
    Ok(look.exists("SELECT 1 FROM pause WHERE scope = ?", params![scope.to_string()])?)
}

#[cfg(test)]
mod tests;
