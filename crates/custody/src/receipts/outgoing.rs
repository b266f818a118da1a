//! Events into signed batches, one chain for each destination.
//!
//! Guarantees: a batch is on disk before it is published and stays there until it is confirmed, so a crash sends the
//! same octets again and never two batches of one number. Of several instances that share a journal one does this for
//! all; one that only believes it is on duty finds its number taken. Does not: wait for anything but the link; nobody's
//! acknowledgement depends on a receipt.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use viereck_envelope::{BatchDraft, Event, Signer, seal_batch};
use viereck_routing::{Digest, GatewayId};
use viereck_store::{Look, SqlError, params};
use viereck_transport::{Address, Link};

use crate::clock::still_to_come;
use crate::outbox::{FAREWELL, doubled, pause_until};
use crate::{Duty, JOURNAL_PAUSE, Journal, JournalError};

/// The longest pause after a batch that did not go out.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// How a batch reaches its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// A gateway's way: to the broker, which verifies it and passes it on.
    ThroughBroker,
    /// The broker's own.
    Direct,
}

/// How batches are made and taken.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long events are gathered before they are signed.
    pub gather: Duration,
    /// Events in one batch at the most.
    pub largest: usize,
    /// Destinations served at once.
    pub destinations: usize,
    /// How long a batch may be missing before what it told is asked for.
    pub gap_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(100),
            largest: 1000,
            destinations: 16,
            gap_grace: Duration::from_secs(60),
        }
    }
}

/// A batch on its way: its number, and its octets while it is not confirmed.
struct Batch {
    sequence: u64,
    bytes: Bytes,
}

/// What is due for one destination.
struct Gathered {
    events: Vec<(Source, Bytes)>,
    sequence: u64,
    previous: Digest,
}

/// Where a due event stands.
#[derive(Clone, Copy)]
enum Source {
    Event(i64),
    Refusal(i64),
}

/// Sends receipts until `shutdown`; what is due then gets a moment to go out, and else goes out at the next start.
/// `signer` is asked for each batch: keys change while it runs.
///
/// # Errors
/// Only of the journal, and only what does not pass by itself. A certificate that has ended is alarmed and waited for:
/// nobody's work depends on a receipt.
pub async fn run(
    journal: Journal,
    link: Link,
    signer: impl Fn() -> Arc<Signer> + Send + Sync + 'static,
    road: Road,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), JournalError> {
    let wanted = journal.shared.receipts_wanted.clone();
    let sender = Sender {
        journal,
        link,
        signer: Box::new(signer),
        road,
        config,
    };
    let mut resting = Resting::default();
    loop {
        let sent = tokio::select! {
            sent = sender.round(&mut resting) => sent,
            () = shutdown.cancelled() => break,
        };
        let again = match sent {
            Ok(true) => continue,
            Ok(false) => pause_until(resting.next()),
            Err(error) if error.may_pass() => {
                tracing::error!(%error, alarm = "receipts-held", "receipts wait");
                JOURNAL_PAUSE
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            () = wanted.notified() => tokio::select! {
                () = tokio::time::sleep(sender.config.gather) => {}
                () = shutdown.cancelled() => {}
            },
            () = tokio::time::sleep(again) => {}
            () = shutdown.cancelled() => {}
        }
    }
    let last = async {
        while sender.round(&mut resting).await? {}
        Ok(())
    };
    tokio::time::timeout(FAREWELL, last).await.unwrap_or(Ok(()))
}

/// Destinations whose last batch did not go out: each rests for itself and holds up no other.
#[derive(Default)]
struct Resting(HashMap<GatewayId, (u32, Timestamp)>);

impl Resting {
    fn rests(&self, to: &GatewayId, now: Timestamp) -> bool {
        self.0
            .get(to)
            .is_some_and(|(_, until)| still_to_come(*until, now, LONGEST_PAUSE))
    }

    fn note(&mut self, to: GatewayId, sent: Sent, now: Timestamp) {
        if sent != Sent::NotNow {
            self.0.remove(&to);
            return;
        }
        let failures = self.0.get(&to).map_or(0, |(failures, _)| *failures);
        let pause = doubled(SignedDuration::from_millis(500), failures, LONGEST_PAUSE);
        self.0.insert(to, (failures + 1, now + pause));
    }

    fn next(&self) -> Option<Timestamp> {
        self.0.values().map(|(_, until)| *until).min()
    }
}

/// What came of one destination in one round.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Sent {
    Nothing,
    Batch,
    NotNow,
}

struct Sender {
    journal: Journal,
    link: Link,
    signer: Box<dyn Fn() -> Arc<Signer> + Send + Sync>,
    road: Road,
    config: Config,
}

impl Sender {
    /// One batch for every destination that has events due and does not rest. Whether any went out.
    async fn round(&self, resting: &mut Resting) -> Result<bool, JournalError> {
        if !self.journal.on_duty(Duty::Receipts).await? {
            return Ok(false);
        }
        let now = Timestamp::now();
        let mut destinations = self.journal.receipt_destinations().await?;
        destinations.retain(|to| !resting.rests(to, now));
        let outcomes: Vec<(GatewayId, Result<Sent, JournalError>)> = futures_util::stream::iter(destinations)
            .map(async |to| {
                let sent = self.one(&to).await;
                (to, sent)
            })
            .buffer_unordered(self.config.destinations)
            .collect()
            .await;
        let mut any = false;
        for (to, sent) in outcomes {
            let sent = match sent {
                Err(error) if error.may_pass() => {
                    tracing::error!(destination = %to, %error, alarm = "receipts-held", "receipts wait");
                    Sent::NotNow
                }
                sent => sent?,
            };
            any |= sent == Sent::Batch;
            resting.note(to, sent, now);
        }
        Ok(any)
    }

    async fn one(&self, to: &GatewayId) -> Result<Sent, JournalError> {
        let batch = match self.journal.unconfirmed_batch(to).await? {
            Some(batch) => batch,
            None => match self
                .journal
                .make_batch(to, &(self.signer)(), self.config.largest)
                .await?
            {
                Some(batch) => batch,
                None => return Ok(Sent::Nothing),
            },
        };
        let me = self.journal.custodian().clone();
        let address = match self.road {
            Road::ThroughBroker => Address::Receipt(me),
            Road::Direct => Address::Receipts {
                from: me,
                to: to.clone(),
            },
        };
        if let Err(error) = self.link.publish(&address, batch.bytes).await {
            tracing::warn!(destination = %to, sequence = batch.sequence, %error, "receipts not published, again later");
            return Ok(Sent::NotNow);
        }
        self.journal.batch_confirmed(to, batch.sequence).await?;
        Ok(Sent::Batch)
    }
}

impl Journal {
    async fn receipt_destinations(&self) -> Result<Vec<GatewayId>, JournalError> {
        let destinations = self.store.read(|conn| {
            let mut all = vec![];
            loop {
                // a seek for each destination, however many events are due
                let last = all.last().map_or("", GatewayId::as_str);
                let next: Option<GatewayId> = conn
                    .first(NEXT_DESTINATION, params![last, last, last], |row| {
                        crate::rows::name_if_any(row, "destination")
                    })?
                    .flatten();
                match next {
                    Some(next) => all.push(next),
                    None => return Ok::<_, JournalError>(all),
                }
            }
        });
        Ok(destinations.await?)
    }

    async fn unconfirmed_batch(&self, to: &GatewayId) -> Result<Option<Batch>, JournalError> {
        let to = to.clone();
        let batch = self.store.read(move |conn| {
            conn.first(
                "SELECT sequence, bytes FROM batch_out WHERE destination = ? AND bytes IS NOT NULL
                 ORDER BY sequence LIMIT 1",
                params![to.as_str()],
                |row| {
                    Ok::<_, JournalError>(Batch {
                        sequence: row.at::<i64>(0)?.cast_unsigned(),
                        bytes: row.at(1)?,
                    })
                },
            )
        });
        Ok(batch.await?)
    }

    /// Signs what is due into the next batch and puts it on disk. `None` as well when somebody else made the batch of that
    /// number meanwhile, however long ago: of a chain the last batch always stays.
    async fn make_batch(&self, to: &GatewayId, signer: &Signer, largest: usize) -> Result<Option<Batch>, JournalError> {
        let destination = to.clone();
        let gathered = self.store.read(move |conn| gather(conn, &destination, largest)).await?;
        if gathered.events.is_empty() {
            return Ok(None);
        }
        let octets: Vec<Bytes> = gathered.events.iter().map(|(_, octets)| octets.clone()).collect();
        let now = Timestamp::now();
        let times = octets.iter().map(|octets| Ok(Event::from_octets(octets)?.time));
        let times: Vec<Timestamp> = times.collect::<Result<_, JournalError>>()?;
        let draft = BatchDraft {
            environment: self.environment(),
            custodian: self.custodian().clone(),
            destination: to.clone(),
            sequence: gathered.sequence,
            previous: gathered.previous,
            from: times.iter().min().copied().unwrap_or(now),
            to: times.iter().max().copied().unwrap_or(now),
            events: &octets,
        };
        let sealed = seal_batch(draft, signer, now)?;
        let (bytes, head, destination) = (sealed.bytes().clone(), sealed.head_digest(), to.clone());
        self.store
            .write(move |tx| {
                let sequence = gathered.sequence.cast_signed();
                if tx.exists(
                    "SELECT 1 FROM batch_out WHERE destination = ? AND sequence >= ?",
                    params![destination.as_str(), sequence],
                )? {
                    return Ok(None);
                }
                tx.run(
                    "INSERT INTO batch_out (destination, sequence, head, bytes) VALUES (?,?,?,?)",
                    params![destination.as_str(), sequence, head.octets(), &bytes[..]],
                )?;
                for (source, _) in &gathered.events {
                    match source {
                        Source::Event(seq) => tx.run(
                            "DELETE FROM receipt_due WHERE destination = ? AND event = ?",
                            params![destination.as_str(), seq],
                        )?,
                        Source::Refusal(seq) => tx.run(
                            "DELETE FROM refusal_due WHERE destination = ? AND refusal = ?",
                            params![destination.as_str(), seq],
                        )?,
                    };
                }
                Ok::<_, JournalError>(Some(Batch {
                    sequence: gathered.sequence,
                    bytes,
                }))
            })
            .await
            .map_err(JournalError::from)
    }

    async fn batch_confirmed(&self, to: &GatewayId, sequence: u64) -> Result<(), JournalError> {
        let to = to.clone();
        let confirmed = self.store.write(move |tx| {
            tx.run(
                "UPDATE batch_out SET bytes = NULL WHERE destination = ? AND sequence = ?",
                params![to.as_str(), sequence.cast_signed()],
            )?;
            // of the chain only the last head is needed to go on
            tx.run(
                "DELETE FROM batch_out WHERE destination = ? AND sequence < ? AND bytes IS NULL",
                params![to.as_str(), sequence.cast_signed()],
            )?;
            Ok::<_, JournalError>(())
        });
        Ok(confirmed.await?)
    }
}

/// The first destination behind another one that something is due for.
const NEXT_DESTINATION: &str = "SELECT min(destination) AS destination FROM (
        SELECT min(destination) AS destination FROM receipt_due WHERE destination > ?
        UNION ALL SELECT min(destination) FROM refusal_due WHERE destination > ?
        UNION ALL SELECT min(destination) FROM batch_out WHERE destination > ? AND bytes IS NOT NULL
    ) AS due";

/// The oldest that are due: in the order of the key, so that no more are read than are taken.
const OLDEST_EVENTS: &str =
    "SELECT event.seq, event.octets FROM receipt_due JOIN event ON event.seq = receipt_due.event
    WHERE destination = ? ORDER BY receipt_due.event LIMIT ?";

fn gather(conn: &Look<'_>, to: &GatewayId, largest: usize) -> Result<Gathered, JournalError> {
    let last: Option<(i64, [u8; 32])> = conn.first(
        "SELECT sequence, head FROM batch_out WHERE destination = ? ORDER BY sequence DESC LIMIT 1",
        params![to.as_str()],
        |row| Ok::<_, SqlError>((row.at(0)?, row.at(1)?)),
    )?;
    let (sequence, previous) = match last {
        Some((sequence, head)) => (sequence.cast_unsigned() + 1, Digest::from_octets(head)),
        None => (1, Digest::ZERO),
    };
    let mut events = conn.all(OLDEST_EVENTS, params![to.as_str(), largest as i64], |row| {
        Ok::<_, JournalError>((Source::Event(row.at(0)?), row.at(1)?))
    })?;
    let refusals = conn.all(
        "SELECT refused_octets.seq, octets FROM refusal_due JOIN refused_octets ON refused_octets.seq = refusal
             WHERE destination = ? ORDER BY refused_octets.seq LIMIT ?",
        params![to.as_str(), (largest - events.len()) as i64],
        |row| Ok::<_, JournalError>((Source::Refusal(row.at(0)?), row.at(1)?)),
    )?;
    events.extend(refusals);
    Ok(Gathered {
        events,
        sequence,
        previous,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{journal, searches};

    #[tokio::test]
    async fn who_is_to_hear_of_something_and_the_oldest_of_it_are_found_by_seeks() {
        let (_dir, journal) = journal("gw-a").await;
        for statement in [NEXT_DESTINATION, OLDEST_EVENTS] {
            let steps = searches(&journal, statement).await;
            let long =
                |step: &String| step.contains("TEMP B-TREE") || step.starts_with("SCAN") && !step.ends_with("due");
            assert!(!steps.iter().any(long), "{steps:?}");
        }
        let fill = journal.store.write(|change| {
            for (destination, event) in [("gw-b", 1_i64), ("gw-b", 2), ("gw-c", 1)] {
                change.run("INSERT INTO receipt_due VALUES (?, ?)", params![destination, event])?;
            }
            change.run(
                "INSERT INTO batch_out VALUES ('gw-a', 1, ?, ?)",
                params![&[0_u8; 32], &[1_u8]],
            )?;
            change.run(
                "INSERT INTO batch_out VALUES ('gw-d', 1, ?, NULL)",
                params![&[0_u8; 32]],
            )?;
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        let found = journal.receipt_destinations().await.unwrap();
        assert_eq!(
            found.iter().map(GatewayId::as_str).collect::<Vec<_>>(),
            ["gw-a", "gw-b", "gw-c"]
        );
    }
}
