//! Batches of others into facts.
//!
//! A batch counts once: the same head again changes nothing, another head of the same number is a fork and alarms, a
//! missing number shows as a gap and alarms but stops nothing, because facts need no order: what stays missing is asked
//! for, by publishing again the messages that it may have been about. Whether a custodian was
//! entitled to state an event is judged by the table in force when it arrives, and kept with the fact.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use viereck_envelope::{Event, Stage, Subject, VerifiedBatch, verify_batch};
use viereck_routing::{Digest, GatewayId, Tables};
use viereck_store::{Change, params};
use viereck_transport::{Link, Queue};

use super::outgoing::Config;
use crate::journal::{MessageKey, Occurrence};
use crate::rows::{MessageRow, Side};
use crate::{CurrentTables, JOURNAL_PAUSE, Journal, JournalError, aside, status};

/// Receipts taken at once.
const PREFETCH: u16 = 32;

/// Messages asked about again within a second, and in one commit.
const ASKED_A_SECOND: usize = 256;
/// How often gaps are looked for at the most.
const SHORTEST_GRACE: Duration = Duration::from_millis(100);

/// Whether an incoming batch was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its events are facts now.
    Taken,
    /// It does not verify, or is not for us: kept for an operator.
    Refused,
    /// It does not verify yet, for a clock that differs or a certificate that is not loaded here: it shall come again.
    NotYet,
}

/// Takes receipts from this gateway's queue until `shutdown`, and asks for those that are missing.
///
/// # Errors
/// Only of the journal. A link that is down is waited for.
pub async fn run(
    journal: Journal,
    link: Link,
    me: GatewayId,
    tables: CurrentTables,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), JournalError> {
    let mut consumer = link.consume(&Queue::Receipts(me), PREFETCH).await?;
    let mut looking = tokio::time::interval(config.gap_grace.max(SHORTEST_GRACE));
    loop {
        let delivery = tokio::select! {
            () = shutdown.cancelled() => break,
            _ = looking.tick() => {
                passes(journal.ask_for_gaps(Timestamp::now() - config.gap_grace).await)?;
                continue;
            }
            delivery = consumer.next() => delivery,
        };
        let Some(delivery) = delivery else { break };
        let in_force = tables.borrow().clone();
        match journal.take_receipts(delivery.bytes.clone(), in_force).await {
            Ok(Standing::NotYet) => delivery.drop_back(),
            Ok(Standing::Taken | Standing::Refused) => delivery.done(),
            Err(error) => {
                passes(Err(error))?;
                delivery.drop_back();
                // each further one would only be counted as an attempt
                while !shutdown.is_cancelled() && !journal.is_writable().await {
                    tokio::time::sleep(JOURNAL_PAUSE).await;
                }
            }
        }
    }
    consumer.cancel().await;
    Ok(())
}

fn passes(done: Result<(), JournalError>) -> Result<(), JournalError> {
    match done {
        Err(error) if error.may_pass() => {
            tracing::error!(%error, alarm = "journal-unavailable", "receipts not taken, again later");
            Ok(())
        }
        done => done,
    }
}

impl Journal {
    /// Takes one batch: verified, compared, folded, on disk when this returns.
    pub async fn take_receipts(&self, bytes: Bytes, tables: Arc<Tables>) -> Result<Standing, JournalError> {
        let now = Timestamp::now();
        let (octets, pins, environment) = (bytes.clone(), tables.clone(), self.environment());
        let verified = aside(bytes.len(), move || {
            verify_batch(octets, pins.as_ref(), environment, now)
        })
        .await;
        let batch = match verified {
            Ok(batch) if batch.head().destination == *self.custodian() => batch,
            Ok(batch) => {
                tracing::error!(custodian = %batch.head().custodian, alarm = "refused", "receipts for somebody else: parked");
                self.keep_refused(bytes, viereck_envelope::Reason::HeaderMismatch, None)
                    .await?;
                return Ok(Standing::Refused);
            }
            Err(refused) if refused.may_pass() => {
                tracing::warn!(
                    code = refused.code(),
                    alarm = "refused",
                    "a receipt batch does not verify yet"
                );
                return Ok(Standing::NotYet);
            }
            Err(refused) => {
                tracing::error!(
                    code = refused.code(),
                    alarm = "refused",
                    "a receipt batch does not verify: parked"
                );
                self.keep_refused(bytes, refused.reason(), None).await?;
                return Ok(Standing::Refused);
            }
        };
        self.fold_batch(batch, tables).await?;
        Ok(Standing::Taken)
    }

    /// What a batch that has been missing since `before` may have told is asked for again: messages that its custodian
    /// may have, or that nobody is known to have, are published once more. Each gap is asked for once.
    pub async fn ask_for_gaps(&self, before: Timestamp) -> Result<(), JournalError> {
        let me = self.custodian().clone();
        let gaps = self.store.read(move |look| {
            look.all(
                "SELECT DISTINCT custodian FROM batch_in WHERE follows = 0 AND destination = ? AND taken_at <= ?
                 ORDER BY custodian",
                params![me.as_str(), before.as_millisecond()],
                |row| Ok::<String, JournalError>(row.at(0)?),
            )
        });
        let silent = gaps.await?;
        if silent.is_empty() {
            return Ok(());
        }
        let mut asked = 0;
        for custodian in &silent {
            asked += self.ask_about(custodian).await?;
        }
        // only now: who ends in between asks once more
        let me = self.custodian().clone();
        let noted = self.store.write(move |tx| {
            tx.run(
                "UPDATE batch_in SET follows = 1 WHERE follows = 0 AND destination = ? AND taken_at <= ?",
                params![me.as_str(), before.as_millisecond()],
            )?;
            Ok::<_, JournalError>(())
        });
        noted.await?;
        for custodian in silent {
            tracing::warn!(
                custodian,
                asked,
                alarm = "receipt-gap",
                "receipts are missing: what they may have told is asked for"
            );
        }
        if asked > 0 {
            self.shared.publish_wanted.notify_one();
        }
        Ok(())
    }

    /// Publishes again what this custodian may have, so many a second: a week's backlog is not to go out at once.
    async fn ask_about(&self, custodian: &str) -> Result<u64, JournalError> {
        let (whose, now) = (custodian.to_owned(), Timestamp::now());
        let open = self.store.survey(move |look| {
            look.all(
                "SELECT seq FROM message WHERE side = 'sent' AND work = 'publish' AND attempts > 0
                 AND due_at > ? AND (target IS NULL OR target = ?) ORDER BY due_at",
                params![now.as_millisecond(), whose],
                |row| Ok::<i64, JournalError>(row.at(0)?),
            )
        });
        let mut asked = 0;
        for (second, some) in (0..).zip(open.await?.chunks(ASKED_A_SECOND)) {
            let due_at = (now + SignedDuration::from_secs(second)).as_millisecond();
            let some = some.to_vec();
            let put = self.store.write(move |tx| {
                let mut put = 0;
                for seq in some {
                    put += tx.run(
                        "UPDATE message SET due_at = ? WHERE seq = ? AND work = 'publish' AND due_at > ?",
                        params![due_at, seq, due_at],
                    )?;
                }
                Ok::<_, JournalError>(put)
            });
            asked += put.await?;
        }
        Ok(asked)
    }

    /// Forgets batches taken before `before`, but for the newest of each chain, and octets that did not verify then.
    pub async fn forget_evidence(&self, before: Timestamp) -> Result<u64, JournalError> {
        let forgotten = self.store.write(move |tx| {
            let before = before.as_millisecond();
            let batches = tx.run(
                "DELETE FROM batch_in WHERE taken_at < ? AND sequence < (SELECT max(newest.sequence) FROM batch_in newest
                    WHERE newest.custodian = batch_in.custodian AND newest.destination = batch_in.destination)",
                params![before],
            )?;
            tx.run(
                "DELETE FROM refusal_due WHERE refusal IN (SELECT seq FROM refused_octets WHERE time < ?)",
                params![before],
            )?;
            let octets = tx.run("DELETE FROM refused_octets WHERE time < ?", params![before])?;
            Ok::<_, JournalError>(batches + octets)
        });
        Ok(forgotten.await?)
    }

    /// Folds the events of a verified batch into what is known of our own messages.
    pub async fn fold_batch(&self, batch: VerifiedBatch, tables: Arc<Tables>) -> Result<(), JournalError> {
        let journal = self.clone();
        let told = self.store.write(move |tx| fold(&journal, tx, &batch, &tables)).await?;
        self.tell(told);
        Ok(())
    }
}

fn fold(
    journal: &Journal,
    tx: &Change<'_>,
    batch: &VerifiedBatch,
    tables: &Tables,
) -> Result<Vec<Occurrence>, JournalError> {
    if !remember_head(tx, batch)? {
        return Ok(vec![]);
    }
    let mut told = vec![];
    for (event, octets) in batch.entries() {
        let Some(row) = about(tx, event)? else {
            // the broker sees every batch, and only some events are about what it relayed; a gateway should know all
            tracing::debug!(custodian = %event.custodian, stage = %event.stage, "a receipt for a message not known here");
            continue;
        };
        let standing = event.custodian == batch.head().custodian && entitled(event, &row, tables);
        if !standing && !status::is_of_reader(event.stage) {
            tracing::error!(message_id = %row.key.message_id, custodian = %event.custodian, stage = %event.stage,
                alarm = "not-entitled", "a custodian states what it may not state");
        }
        told.extend(journal.note(tx, &row.key, &row.envelope_digest, event, octets, standing)?);
    }
    Ok(told)
}

/// Whether the batch is new. A gap and a fork alarm; neither keeps its facts out.
fn remember_head(tx: &Change<'_>, batch: &VerifiedBatch) -> Result<bool, JournalError> {
    let head = batch.head();
    let (custodian, destination) = (head.custodian.as_str(), head.destination.as_str());
    let digest = batch.head_digest();
    let number = head.sequence.cast_signed();
    let before: Option<[u8; 32]> = tx.first(
        "SELECT head FROM batch_in WHERE custodian = ? AND destination = ? AND sequence = ?",
        params![custodian, destination, number - 1],
        |row| row.at(0),
    )?;
    // of a chain that is known, what comes late from before the oldest that is kept opens no gap
    let late = tx.exists(
        "SELECT 1 FROM batch_in WHERE custodian = ? AND destination = ? AND sequence > ?",
        params![custodian, destination, number],
    )?;
    let follows = match before {
        Some(before) => before == *head.previous.octets(),
        None => late || head.sequence == 1 && head.previous == Digest::ZERO,
    };
    let inserted = tx.run(
        "INSERT INTO batch_in (custodian, destination, sequence, head, previous, taken_at, follows)
         VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        params![
            custodian,
            destination,
            number,
            digest.octets(),
            head.previous.octets(),
            Timestamp::now().as_millisecond(),
            follows
        ],
    )?;
    if inserted == 0 {
        return Ok(false);
    }
    // the one that was waited for: its successor follows after all
    tx.run(
        "UPDATE batch_in SET follows = 1 WHERE custodian = ? AND destination = ? AND sequence = ? AND previous = ?",
        params![custodian, destination, number + 1, digest.octets()],
    )?;
    let forked = tx.exists(
        "SELECT 1 FROM batch_in WHERE custodian = ? AND destination = ? AND sequence = ? AND head <> ?",
        params![custodian, destination, number, digest.octets()],
    )?;
    if forked {
        tracing::error!(
            custodian,
            destination,
            sequence = head.sequence,
            alarm = "receipt-fork",
            "two heads of one number"
        );
    } else if !follows {
        tracing::warn!(
            custodian,
            destination,
            sequence = head.sequence,
            alarm = "receipt-gap",
            "its predecessor is not here"
        );
    }
    Ok(true)
}

/// Our row that the event is about: by id and envelope digest, or by the digest of octets that did not verify.
fn about(tx: &Change<'_>, event: &Event) -> Result<Option<MessageRow>, JournalError> {
    match &event.subject {
        Subject::Message {
            message_id,
            envelope_digest,
            ..
        } => {
            let Some(author) = &event.author else { return Ok(None) };
            let key = MessageKey {
                author: author.clone(),
                message_id: *message_id,
            };
            for side in [Side::Sent, Side::Relayed] {
                if let Some(row) = MessageRow::find(tx, side, &key)?
                    && row.envelope_digest == *envelope_digest
                {
                    return Ok(Some(row));
                }
            }
            Ok(None)
        }
        Subject::Bytes(digest) => tx.first(
            "SELECT * FROM message WHERE side = 'sent' AND bytes_digest = ?",
            params![digest.octets()],
            MessageRow::read,
        ),
    }
}

/// Whether the table in force lets this custodian state this stage of this message.
fn entitled(event: &Event, row: &MessageRow, tables: &Tables) -> bool {
    match event.stage {
        Stage::Relayed | Stage::Undeliverable => tables.brokers().any(|broker| broker.id == event.custodian),
        Stage::Delivered | Stage::Accepted | Stage::Rejected | Stage::Expired | Stage::Transferred => tables
            .gateway(&event.custodian)
            .is_some_and(|gateway| gateway.serves(&row.reader)),
        // our own words: nobody else may say them for us
        Stage::Received | Stage::Withdrawn => event.custodian == row.gateway,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::journal;

    #[tokio::test]
    async fn what_a_gap_may_have_told_is_asked_for_in_steps_and_of_no_other() {
        let (_dir, journal) = journal("gw-s").await;
        let later = Timestamp::now() + SignedDuration::from_hours(6);
        let own = ASKED_A_SECOND + 3;
        let fill = journal.store.write(move |change| {
            for number in 0..own + 1 {
                let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}");
                let target = if number < own { "gw-r" } else { "gw-other" };
                change.run(
                    "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                        leistung, gateway, filed_at, obsolete_after, entered_at, attempts, target, work, due_at)
                     VALUES ('sent', 'wgp:010000000000', ?, ?, ?, ?, 'application', 'wgb:010010000000',
                        '99107023037000', 'gw-s', 0, 0, 0, 1, ?, 'publish', ?)",
                    params![id, &[0_u8; 32], &[0_u8; 32], id, target, later.as_millisecond()],
                )?;
            }
            change.run(
                "INSERT INTO batch_in (custodian, destination, sequence, head, previous, taken_at, follows)
                 VALUES ('gw-r', 'gw-s', 7, ?, ?, 0, 0)",
                params![&[0_u8; 32], &[0_u8; 32]],
            )?;
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        let due = async || {
            let due = journal.store.read(|look| {
                look.all(
                    "SELECT due_at, count(*) AS n FROM message GROUP BY due_at ORDER BY due_at",
                    &[],
                    |row| Ok::<(i64, i64), JournalError>((row.get("due_at")?, row.get("n")?)),
                )
            });
            due.await.unwrap()
        };
        journal.ask_for_gaps(Timestamp::now()).await.unwrap();
        let asked = due().await;
        let [(first, most), (second, rest), (far, other)] = asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!((most, rest, other), (ASKED_A_SECOND as i64, 3, 1));
        assert_eq!((second - first, far), (1000, later.as_millisecond()));
        journal.ask_for_gaps(Timestamp::now()).await.unwrap();
        assert_eq!(due().await, asked, "each gap is asked for once");
    }
}
