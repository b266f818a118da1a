//! Events: stating our own, taking note of those of others, and what follows from them in our rows.
//!
//! Our own event is signed into a receipt later; its octets, salt included, are made once, here, in the transaction
//! that makes it true. A fact of somebody else is kept whether it counts or not, so that nothing depends on the order
//! in which receipts arrive. An event about our id with another envelope digest is about somebody else's message.
//!
//! Where `accepted`, or any word of the reader's gateway about what the broker held, makes sealed octets needless, they go
//! in the transaction that notes it: that event is the event of their deletion, and no step is noted beside it. The step
//! `erased` is for what a clock ([`crate::retention`]) or a person ([`crate::content`]) deletes.

use bytes::Bytes;
use jiff::Timestamp;
use viereck_envelope::{Event, Reason, Stage, Subject};
use viereck_routing::{CustodianId, Digest, GatewayId};
use viereck_store::{Change, Look, params};

use crate::journal::{MessageKey, Occurrence};
use crate::machine::{self, Act, Heard};
use crate::rows::{self, MessageRow, Side, Work};
use crate::status::{self, Fact, Status};
use crate::step::{Entry, Step};
use crate::{Journal, JournalError, ledger, webhooks};

impl Journal {
    /// States an event of our own about `row`, and sees to it that the author's gateway hears of it.
    pub(crate) fn state(
        &self,
        tx: &Change<'_>,
        row: &MessageRow,
        stage: Stage,
        target: Option<&GatewayId>,
        reasons: &[Reason],
        now: Timestamp,
    ) -> Result<Occurrence, JournalError> {
        let event = Event {
            subject: Subject::Message {
                message_id: row.key.message_id,
                envelope_digest: row.envelope_digest,
                process_ref: row.case_id,
            },
            stage,
            time: now,
            custodian: self.custodian().clone(),
            author: Some(row.key.author.clone()),
            reader: Some(row.reader.clone()),
            deputy: None,
            target: target.cloned(),
            holder: None,
            service: Some(row.leistung.clone()),
            region: row.region,
            routing_table: row.routing_table,
            reasons: reasons.to_vec(),
        };
        let seq = insert(tx, &row.key, &row.envelope_digest, &event, &event.to_octets(), true)?;
        if row.gateway == *self.custodian() {
            // the author's side lives in this very journal
            settle(self, tx, &row.key, now)?;
        } else {
            tx.run(
                "INSERT INTO receipt_due (destination, event) VALUES (?, ?) ON CONFLICT DO NOTHING",
                params![row.gateway.as_str(), seq],
            )?;
        }
        Ok(self.occurrence(tx, row, stage.into(), reasons))
    }

    /// Notes an internal step.
    pub(crate) fn step(
        &self,
        tx: &Change<'_>,
        row: &MessageRow,
        step: Step,
        target: Option<&GatewayId>,
        reasons: &[Reason],
        now: Timestamp,
    ) -> Result<Occurrence, JournalError> {
        tx.run(
            "INSERT INTO event (message_id, author, envelope_digest, stage, time, custodian, target, reasons, standing)
             VALUES (?,?,?,?,?,?,?,?,1)",
            params![
                row.key.message_id.to_string(),
                row.key.author.as_str(),
                row.envelope_digest.octets(),
                step.as_str(),
                now.as_millisecond(),
                self.custodian().as_str(),
                target.map(GatewayId::as_str),
                rows::reasons_text(reasons),
            ],
        )?;
        Ok(self.occurrence(tx, row, step.into(), reasons))
    }

    /// Takes a message out of the flow, for an operator to look at. It has not ended.
    pub(crate) fn set_aside(
        &self,
        tx: &Change<'_>,
        row: &MessageRow,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Occurrence, JournalError> {
        machine::allow(row, Act::Park)?;
        tx.run(
            "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, parked = ?, parked_at = ? WHERE seq = ?",
            params![reason.code(), now.as_millisecond(), row.seq],
        )?;
        self.step(tx, row, Step::Parked, None, &[reason], now)
    }

    /// Takes note of what another custodian states. `None` when it was known already.
    pub(crate) fn note(
        &self,
        tx: &Change<'_>,
        key: &MessageKey,
        envelope_digest: &Digest,
        event: &Event,
        octets: &Bytes,
        standing: bool,
    ) -> Result<Option<Occurrence>, JournalError> {
        let known = tx.exists(
            "SELECT 1 FROM event WHERE message_id = ? AND author = ? AND custodian = ? AND octets = ?",
            params![
                key.message_id.to_string(),
                key.author.as_str(),
                event.custodian.as_str(),
                &octets[..]
            ],
        )?;
        if known {
            return Ok(None);
        }
        insert(tx, key, envelope_digest, event, octets, standing)?;
        let filed_at = settle(self, tx, key, Timestamp::now())?;
        let occurrence = Occurrence {
            journal: self.custodian().clone(),
            message_id: key.message_id,
            stage: event.stage.into(),
            custodian: event.custodian.clone(),
            reasons: event.reasons.clone(),
            since_filing: filed_at.map(|filed_at| event.time.duration_since(filed_at)),
        };
        self.signal(tx, &occurrence);
        Ok(Some(occurrence))
    }

    /// Refuses a message that gets no row of its own: nothing of it may stand in the way of a genuine one of that id.
    /// A repeat is told what was told before.
    pub(crate) fn refuse(
        &self,
        tx: &Change<'_>,
        row: &MessageRow,
        stage: Stage,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Option<Occurrence>, JournalError> {
        if facts(tx, &row.key, &row.envelope_digest)?
            .iter()
            .any(|fact| fact.custodian == *self.custodian())
        {
            self.state_again(tx, row)?;
            return Ok(None);
        }
        self.state(tx, row, stage, None, &[reason], now).map(Some)
    }

    /// A repeat is answered with the receipts it was answered with before: they become due again.
    pub(crate) fn state_again(&self, tx: &Change<'_>, row: &MessageRow) -> Result<(), JournalError> {
        tx.run(
            "INSERT INTO receipt_due (destination, event)
             SELECT ?, seq FROM event
             WHERE message_id = ? AND author = ? AND envelope_digest = ? AND custodian = ? AND octets IS NOT NULL
             ON CONFLICT DO NOTHING",
            params![
                row.gateway.as_str(),
                row.key.message_id.to_string(),
                row.key.author.as_str(),
                row.envelope_digest.octets(),
                self.custodian().as_str(),
            ],
        )?;
        Ok(())
    }

    fn occurrence(&self, tx: &Change<'_>, row: &MessageRow, stage: Entry, reasons: &[Reason]) -> Occurrence {
        let occurrence = Occurrence {
            journal: self.custodian().clone(),
            message_id: row.key.message_id,
            stage,
            custodian: self.custodian().clone(),
            reasons: reasons.to_vec(),
            since_filing: Some(Timestamp::now().duration_since(row.filed_at)),
        };
        self.signal(tx, &occurrence);
        occurrence
    }
}

fn insert(
    tx: &Change<'_>,
    key: &MessageKey,
    envelope_digest: &Digest,
    event: &Event,
    octets: &Bytes,
    standing: bool,
) -> Result<i64, JournalError> {
    let given = tx.first(
        "INSERT INTO event (message_id, author, envelope_digest, stage, time, custodian, target, reasons,
            octets, standing)
         VALUES (?,?,?,?,?,?,?,?,?,?) RETURNING seq",
        params![
            key.message_id.to_string(),
            key.author.as_str(),
            envelope_digest.octets(),
            event.stage.as_str(),
            event.time.as_millisecond(),
            event.custodian.as_str(),
            event.target.as_ref().map(GatewayId::as_str),
            rows::reasons_text(&event.reasons),
            &octets[..],
            standing,
        ],
        |row| row.at::<i64>(0),
    )?;
    given.ok_or(JournalError::Unknown)
}

/// The facts about one message, internal steps left out.
pub(crate) fn facts(conn: &Look<'_>, key: &MessageKey, envelope_digest: &Digest) -> Result<Vec<Fact>, JournalError> {
    conn.all(
        "SELECT * FROM event WHERE message_id = ? AND author = ? AND envelope_digest = ? AND octets IS NOT NULL",
        params![
            key.message_id.to_string(),
            key.author.as_str(),
            envelope_digest.octets()
        ],
        |row| {
            Ok(Fact {
                stage: rows::name(row, "stage")?,
                time: rows::instant(row, "time")?,
                custodian: rows::name::<CustodianId>(row, "custodian")?,
                target: rows::name_if_any(row, "target")?,
                reasons: rows::reasons(row)?,
                standing: row.get("standing")?,
            })
        },
    )
}

/// What the facts about `row` add up to.
pub(crate) fn status_of(conn: &Look<'_>, row: &MessageRow) -> Result<Option<Status>, JournalError> {
    Ok(status::fold(&facts(conn, &row.key, &row.envelope_digest)?))
}

/// Draws the consequences of the facts about a row of one side that no longer holds the message alone: an end is an end,
/// whatever was still to be done; what the reader's gateway has is asked for at the longest interval until it says how it
/// ended; an end that turns out void is taken back. After `accepted` the octets go, and what the broker held goes with
/// any word of the reader's gateway.
fn follow(
    journal: &Journal,
    tx: &Change<'_>,
    row: &MessageRow,
    status: &Status,
    now: Timestamp,
) -> Result<(), JournalError> {
    let over = status.stage.is_terminal();
    match row.side {
        _ if over => {
            machine::allow(row, Act::Hear(Heard::Ended))?;
            if row.side == Side::Sent && status.stage == Stage::Expired && row.ended != Some(Stage::Expired) {
                tracing::error!(message_id = %row.key.message_id, behoerde = %row.reader, alarm = "expired",
                    "nobody took it over in time: it is back here, with its content");
            }
            tx.run(
                "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, overdue_at = NULL, held_for = NULL,
                    parked = NULL, parked_at = NULL WHERE seq = ?",
                params![row.seq],
            )?;
        }
        Side::Sent if status.reader_spoke && (!row.heard || row.ended.is_some()) => {
            machine::allow(row, Act::Hear(Heard::Living))?;
            // whoever erased the content after an end that turns out void has left nothing to ask with
            let can_ask = row.parked.is_none() && (row.ended.is_none() || rows::is_sealed_here(tx, row.seq)?);
            let work = can_ask.then_some(Work::Publish);
            tx.run(
                "UPDATE message SET heard = 1, overdue_at = NULL, work = ?, due_at = ? WHERE seq = ?",
                params![
                    work.map(Work::as_str),
                    work.map(|_| (now + journal.longest_silence()).as_millisecond()),
                    row.seq
                ],
            )?;
        }
        Side::Relayed if status.reader_spoke => {
            machine::allow(row, Act::Hear(Heard::Living))?;
            tx.run(
                "UPDATE message SET work = NULL, due_at = NULL, held_for = NULL WHERE seq = ?",
                params![row.seq],
            )?;
        }
        Side::Sent | Side::Relayed | Side::Taken => {}
    }
    if row.side == Side::Sent && status.at.is_some() && status.at != row.target {
        tx.run(
            // somebody has seen it: whatever this journal knows of its publishing, it is out
            "UPDATE message SET target = ?, doubtful = 1 WHERE seq = ?",
            params![status.at.as_ref().map(GatewayId::as_str), row.seq],
        )?;
    }
    let octets_go = match row.side {
        Side::Relayed => over || status.reader_spoke,
        Side::Sent | Side::Taken => status.stage == Stage::Accepted,
    };
    if octets_go {
        tx.run("DELETE FROM sealed WHERE message = ?", params![row.seq])?;
    }
    Ok(())
}

/// What the facts mean for the rows of those who do not hold the message alone any more. When the message was filed, where
/// this journal knows it.
fn settle(
    journal: &Journal,
    tx: &Change<'_>,
    key: &MessageKey,
    now: Timestamp,
) -> Result<Option<Timestamp>, JournalError> {
    let mut filed_at = None;
    for side in [Side::Sent, Side::Relayed] {
        let Some(row) = MessageRow::find(tx, side, key)? else {
            continue;
        };
        filed_at = Some(row.filed_at);
        let Some(status) = status_of(tx, &row)? else { continue };
        if status.conflict {
            tracing::error!(message_id = %key.message_id, status = %status.stage, alarm = "terminal-conflict",
                "custodians state ends that exclude each other");
        }
        follow(journal, tx, &row, &status, now)?;
        // the row says what the facts say, in whatever order they came
        let end = status.stage.is_terminal().then_some((status.stage, status.since));
        ledger::set_end(tx, side, &row, end)?;
        if side == Side::Sent {
            webhooks::announce(tx, &row, &status)?;
        }
    }
    Ok(filed_at)
}

#[cfg(test)]
mod tests {
    use viereck_routing::Environment;

    use super::*;

    const ID: &str = "6f0a6f6c-8f0e-4c3e-9a53-000000000001";

    fn key() -> MessageKey {
        MessageKey {
            author: "wgp:010000000000".parse().unwrap(),
            message_id: ID.parse().unwrap(),
        }
    }

    /// The journal of `custodian` with one message, seen from this side, that waits for this work with its octets.
    async fn journal(custodian: &str, side: &'static str, work: &'static str) -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j.sqlite");
        let me = custodian.parse().unwrap();
        let journal = Journal::open(path.as_path(), me, Environment::Test).await.unwrap();
        let fill = journal.store.write(move |tx| {
            let seq: Option<i64> = tx.first(
                "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                    leistung, gateway, filed_at, obsolete_after, entered_at, work, due_at)
                 VALUES (?, ?, ?, ?, ?, ?, 'application', 'wgb:010010000000', '99107023037000', 'gw-s', 0, 0, 0, ?, 0)
                 RETURNING seq",
                params![side, key().author.as_str(), ID, &[0_u8; 32], &[0_u8; 32], ID, work],
                |row| row.at(0),
            )?;
            let octets = "INSERT INTO sealed (message, bytes) VALUES (?, ?)";
            tx.run(octets, params![seq, &[1_u8]])?;
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        (dir, journal)
    }

    /// Takes note of what an entitled custodian states.
    async fn hears(journal: &Journal, stage: Stage, custodian: &str) {
        let event = Event {
            subject: Subject::Message {
                message_id: key().message_id,
                envelope_digest: Digest::ZERO,
                process_ref: ID.parse().unwrap(),
            },
            stage,
            time: Timestamp::now(),
            custodian: custodian.parse().unwrap(),
            author: Some(key().author),
            reader: None,
            deputy: None,
            target: None,
            holder: None,
            service: None,
            region: None,
            routing_table: None,
            reasons: vec![],
        };
        let hearer = journal.clone();
        let noted = journal
            .store
            .write(move |tx| hearer.note(tx, &key(), &Digest::ZERO, &event, &event.to_octets(), true));
        assert!(noted.await.unwrap().is_some());
    }

    async fn count(journal: &Journal, sql: &'static str) -> i64 {
        let counted = journal.store.read(move |look| {
            let counted = look.first(sql, params![], |row| row.at::<i64>(0))?;
            Ok::<_, JournalError>(counted.unwrap_or_default())
        });
        counted.await.unwrap()
    }

    const SEALED: &str = "SELECT count(*) FROM sealed";

    #[tokio::test]
    async fn after_accepted_no_sealed_octets_are_left_at_the_sender_and_the_broker() {
        for (custodian, side, work) in [("gw-s", "sent", "publish"), ("broker", "relayed", "relay")] {
            let (_dir, journal) = journal(custodian, side, work).await;
            hears(&journal, Stage::Accepted, "gw-r").await;
            let ended = "SELECT count(*) FROM message WHERE ended = 'accepted'";
            assert_eq!(count(&journal, ended).await, 1);
            assert_eq!(count(&journal, SEALED).await, 0, "{custodian}");
            let steps = "SELECT count(*) FROM event WHERE octets IS NULL";
            assert_eq!(count(&journal, steps).await, 0, "the word is the event of the deletion");
        }
    }

    #[tokio::test]
    async fn an_end_that_turns_out_void_is_asked_after_only_with_octets() {
        const ASKS: &str = "SELECT count(*) FROM message WHERE ended IS NULL AND work = 'publish'";
        const LIVES: &str = "SELECT count(*) FROM message WHERE ended IS NULL AND parked IS NULL";
        for erased in [false, true] {
            let (_dir, journal) = journal("gw-s", "sent", "publish").await;
            hears(&journal, Stage::Undeliverable, "broker").await;
            assert_eq!((count(&journal, SEALED).await, count(&journal, LIVES).await), (1, 0));
            if erased {
                journal.erase_content(&key(), None).await.unwrap();
            }
            hears(&journal, Stage::Delivered, "gw-r").await;
            assert_eq!(count(&journal, LIVES).await, 1);
            assert_eq!(count(&journal, ASKS).await, i64::from(!erased));
        }
    }
}
