//! Facts of others into a journal that was restored from a copy.
//!
//! Three sides, as everywhere: what was sent from here gets the facts of those who have it; what was relayed here gets its
//! target and its end; what was taken here ends as it had ended, or is taken again from the octets that its author's
//! gateway still holds. The cases that were opened since the copy are opened again, so that an answer finds its way. Each
//! message is one transaction.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use viereck_envelope::{Event, Stage, VerifiedEnvelope};
use viereck_routing::{BehoerdeId, CustodianId, Digest, GatewayId, Kind, MessageId, Tables};
use viereck_store::{Change, params};

use super::facts::{Head, Line, Told, VERSION};
use crate::cases::{self, Case};
use crate::rows::{MessageRow, NewMessage, Side, Work};
use crate::{Journal, JournalError, MessageKey, inbox, ledger};

/// How many missing messages are named; the others are counted.
const NAMED: usize = 1000;

/// Why facts are not folded.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The journal is in service: nothing is to be folded into it.
    #[error("journal-open: the journal is no copy that waits to be reconciled")]
    Open,
    /// A file about somebody else, of another environment or version.
    #[error("facts-foreign: the file is {0}")]
    Foreign(String),
    /// A line that is not what it should be.
    #[error("facts-malformed: {0}")]
    Malformed(&'static str),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What a message lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingKind {
    /// It was taken here and has not ended, and no file has its octets: ask its author's gateway for its facts.
    OctetsTaken,
    /// It was promised here, and the reader's gateway has not spoken: if the way in between is lost too, so is it.
    OctetsSent,
    /// The octets in the file do not verify with the table of now.
    NotVerified,
    /// Another content stands here under the same author and id.
    Conflict,
}

/// A message that others know and that is not complete here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Which one.
    pub message_id: MessageId,
    /// Its author.
    pub author: BehoerdeId,
    /// For whom it is.
    pub reader: BehoerdeId,
    /// Its author's gateway, which may still hold it.
    pub gateway: GatewayId,
    /// What it lacks.
    pub kind: MissingKind,
}

/// What the facts came to.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// Messages told of.
    pub messages: u64,
    /// Of these, those that the copy did not know.
    pub unknown_before: u64,
    /// Taken before, and ended now as they had ended.
    pub concluded: u64,
    /// Taken again from the octets of their author's gateway.
    pub taken_again: u64,
    /// On their way here, and not taken yet: they come by themselves.
    pub coming: u64,
    /// Numbers of receipts that go on where others saw them end.
    pub chains: u64,
    /// What is not complete, at most a thousand named.
    pub missing: Vec<Missing>,
    /// How many there are in all.
    pub missing_in_all: u64,
}

/// A reconciliation under way: the lines of any number of files, one after the other.
pub struct Reconciling {
    journal: Journal,
    tables: Arc<Tables>,
    messages_of_file: Option<u64>,
    told_by: Vec<CustodianId>,
    result: Reconciled,
    /// Taken and without octets so far; another file may have them.
    without: Vec<Missing>,
}

impl Reconciling {
    /// Begins with a journal that is a copy.
    ///
    /// # Errors
    /// [`FactsError::Open`] when it is in service.
    pub async fn begin(journal: Journal, tables: Arc<Tables>) -> Result<Self, FactsError> {
        if journal.restored().await?.is_none() {
            return Err(FactsError::Open);
        }
        Ok(Self {
            journal,
            tables,
            messages_of_file: None,
            told_by: vec![],
            result: Reconciled::default(),
            without: vec![],
        })
    }

    /// Folds one line.
    ///
    /// # Errors
    /// What was folded before stays; folding it again changes nothing.
    pub async fn fold(&mut self, line: Line) -> Result<(), FactsError> {
        match (line, self.messages_of_file) {
            (Line::Head(head), None) => {
                self.is_ours(&head)?;
                self.messages_of_file = Some(0);
                self.told_by.push(head.by);
                Ok(())
            }
            (Line::Head(_), Some(_)) => Err(FactsError::Malformed("a head before the end of the file before")),
            (_, None) => Err(FactsError::Malformed("a file begins with its head")),
            (
                Line::Batch {
                    destination,
                    sequence,
                    head,
                },
                Some(_),
            ) => self.batch(destination, sequence, head).await,
            (Line::Message(told), Some(messages)) => {
                self.messages_of_file = Some(messages + 1);
                self.message(*told).await
            }
            (Line::End { messages }, Some(seen)) if messages == seen => {
                self.messages_of_file = None;
                Ok(())
            }
            (Line::End { .. }, Some(_)) => Err(FactsError::Malformed("lines are missing")),
        }
    }

    /// What it came to, and whose facts were told. What is open and taken counts from now on as tried by an attempt of
    /// which nobody knows whether the Fachverfahren acted: only an answer or an operator ends it, no clock.
    ///
    /// # Errors
    /// [`FactsError::Malformed`] when the last file was cut off.
    pub async fn end(mut self) -> Result<(Reconciled, Vec<CustodianId>), FactsError> {
        if self.messages_of_file.is_some() {
            return Err(FactsError::Malformed("the file was cut off"));
        }
        let tried = self.journal.store.write(|change| {
            // the Fachverfahren may have it since the copy was made, and the word of it may be what was lost
            change.run(
                "UPDATE message SET attempts = CASE WHEN attempts > 0 THEN attempts ELSE 1 END,
                    unsure = CASE WHEN unsure > 0 THEN unsure ELSE 1 END
                 WHERE side = 'taken' AND ended IS NULL",
                params![],
            )?;
            Ok::<_, JournalError>(())
        });
        tried.await.map_err(JournalError::from)?;
        for missing in std::mem::take(&mut self.without) {
            let key = MessageKey {
                author: missing.author.clone(),
                message_id: missing.message_id,
            };
            let found = self
                .journal
                .store
                .read(move |look| MessageRow::find(look, Side::Taken, &key));
            if found.await.map_err(JournalError::from)?.is_none() {
                self.lacks(missing);
            }
        }
        Ok((self.result, self.told_by))
    }

    fn is_ours(&self, head: &Head) -> Result<(), FactsError> {
        let journal = &self.journal;
        if head.version != VERSION {
            return Err(FactsError::Foreign(format!("of version {}", head.version)));
        }
        if head.about != *journal.custodian() || head.environment != journal.environment() {
            return Err(FactsError::Foreign(format!(
                "about {} in {}",
                head.about, head.environment
            )));
        }
        Ok(())
    }

    /// The numbers of our receipts go on after the last that somebody saw.
    async fn batch(&mut self, destination: GatewayId, sequence: i64, head: Digest) -> Result<(), FactsError> {
        let went_on = self.journal.store.write(move |change| {
            let last: Option<i64> = change.first(
                "SELECT max(sequence) AS last FROM batch_out WHERE destination = ?",
                params![destination.as_str()],
                |row| Ok::<_, JournalError>(row.get::<Option<i64>>("last")?.unwrap_or(0)),
            )?;
            if last.unwrap_or(0) > sequence {
                return Ok(false);
            }
            // whatever waited at the copy went out before the one that was seen
            change.run(
                "UPDATE batch_out SET bytes = NULL WHERE destination = ?",
                params![destination.as_str()],
            )?;
            let new = change.run(
                "INSERT INTO batch_out (destination, sequence, head, bytes) VALUES (?, ?, ?, NULL) ON CONFLICT DO NOTHING",
                params![destination.as_str(), sequence, head.octets()],
            )?;
            Ok::<_, JournalError>(new > 0)
        });
        self.result.chains += u64::from(went_on.await.map_err(JournalError::from)?);
        Ok(())
    }

    async fn message(&mut self, told: Told) -> Result<(), FactsError> {
        self.result.messages += 1;
        let events = told.read_events().map_err(FactsError::Malformed)?;
        let me = self.journal.custodian().clone();
        if told.gateway == me {
            let folded = self.fold_side(&told, &events, Side::Sent, None).await?;
            if folded == Folded::Made && !spoken(&events) {
                self.lacks(told.missing(MissingKind::OctetsSent));
            }
            self.count(&told, folded);
        }
        if self.tables.broker(&me).is_some() && events.iter().any(|(event, ..)| event.custodian == me) {
            let folded = self.fold_side(&told, &events, Side::Relayed, None).await?;
            self.count(&told, folded);
        }
        match Told::taken_by(&events, &me) {
            Some(end) => self.taken(&told, &events, end).await,
            None => {
                let on_its_way = events.iter().any(|(event, ..)| event.target.as_ref() == Some(&me));
                self.result.coming += u64::from(on_its_way);
                Ok(())
            }
        }
    }

    /// A message that this gateway had taken: it ends as it had ended, or is taken again.
    async fn taken(
        &mut self,
        told: &Told,
        events: &[(Event, bytes::Bytes, bool)],
        end: Option<Event>,
    ) -> Result<(), FactsError> {
        if let Some(end) = end {
            let folded = self.fold_side(told, events, Side::Taken, Some(&end)).await?;
            self.result.concluded += u64::from(folded == Folded::Concluded);
            self.count(told, folded);
            return Ok(());
        }
        let key = told.key();
        let known = self
            .journal
            .store
            .read(move |look| MessageRow::find(look, Side::Taken, &key));
        if known.await.map_err(JournalError::from)?.is_some() {
            return Ok(());
        }
        let Some(octets) = &told.octets else {
            self.without.push(told.missing(MissingKind::OctetsTaken));
            return Ok(());
        };
        let (now, environment) = (Timestamp::now(), self.journal.environment());
        let verified = inbox::verify(octets.0.clone(), self.tables.clone(), environment, now).await;
        match verified {
            Ok(envelope) if envelope.digest() == told.envelope_digest => {
                self.take_again(told, events, envelope, now).await?;
                self.result.taken_again += 1;
                self.result.unknown_before += 1;
            }
            Ok(_) => return Err(FactsError::Malformed("octets of another message")),
            Err(_) => self.lacks(told.missing(MissingKind::NotVerified)),
        }
        Ok(())
    }

    async fn take_again(
        &self,
        told: &Told,
        events: &[(Event, bytes::Bytes, bool)],
        envelope: VerifiedEnvelope,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let (journal, events, key) = (self.journal.clone(), events.to_vec(), told.key());
        let taken = self.journal.store.write(move |change| {
            let seq = NewMessage {
                work: Some((Work::HandOver, now)),
                ..NewMessage::of(Side::Taken, envelope.header(), envelope.digest(), envelope.bytes(), now)
            }
            .insert(change)?;
            change.run(
                "UPDATE message SET attempts = 1, unsure = 1 WHERE seq = ?",
                params![seq],
            )?;
            journal.note_all(change, &key, &envelope.digest(), &events)
        });
        Ok(taken.await?)
    }

    /// Folds the events into the row of one side, which is made where it is gone.
    async fn fold_side(
        &mut self,
        told: &Told,
        events: &[(Event, bytes::Bytes, bool)],
        side: Side,
        end: Option<&Event>,
    ) -> Result<Folded, FactsError> {
        let (journal, told, events, end) = (self.journal.clone(), told.clone(), events.to_vec(), end.cloned());
        let folded = self.journal.store.write(move |change| {
            let key = told.key();
            let (row, made) = match MessageRow::find(change, side, &key)? {
                Some(row) if row.envelope_digest != told.envelope_digest => return Ok(Folded::Conflict),
                Some(row) => (row, false),
                None => (told.insert(change, side)?, true),
            };
            if made && side == Side::Sent {
                // our own word that we have it never left this journal: it is given again, for the moment it was seen
                let first = events.iter().map(|(event, ..)| event.time).min();
                journal.state(change, &row, Stage::Received, None, &[], first.unwrap_or(told.filed_at))?;
            }
            journal.note_all(change, &key, &told.envelope_digest, &events)?;
            told.open_case(change, side, end.as_ref())?;
            if side == Side::Relayed {
                let target = events.iter().rev().find_map(|(event, ..)| event.target.clone());
                change.run(
                    "UPDATE message SET target = coalesce(?, target) WHERE seq = ?",
                    params![target.as_ref().map(GatewayId::as_str), row.seq],
                )?;
            }
            let Some(end) = end.filter(|_| row.ended.is_none()) else {
                return Ok(if made { Folded::Made } else { Folded::Known });
            };
            change.run(
                "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, parked = NULL, parked_at = NULL WHERE seq = ?",
                params![row.seq],
            )?;
            ledger::set_end(change, side, &row, Some((end.stage, end.time)))?;
            Ok::<_, JournalError>(if made { Folded::Made } else { Folded::Concluded })
        });
        Ok(folded.await.map_err(JournalError::from)?)
    }

    fn count(&mut self, told: &Told, folded: Folded) {
        match folded {
            Folded::Made => self.result.unknown_before += 1,
            Folded::Conflict => self.lacks(told.missing(MissingKind::Conflict)),
            Folded::Known | Folded::Concluded => {}
        }
    }

    fn lacks(&mut self, missing: Missing) {
        self.result.missing_in_all += 1;
        if self.result.missing.len() < NAMED {
            self.result.missing.push(missing);
        }
    }
}

/// What became of one side of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folded {
    /// The copy did not know it.
    Made,
    /// It did.
    Known,
    /// It did, and not that it had ended.
    Concluded,
    /// Something else stands there under that id.
    Conflict,
}

/// Whether the reader's gateway has said anything, or it has ended.
fn spoken(events: &[(Event, bytes::Bytes, bool)]) -> bool {
    let speaks = |stage: Stage| crate::status::is_of_reader(stage) || stage.is_terminal();
    events.iter().any(|(event, ..)| speaks(event.stage))
}

impl Journal {
    /// Notes events of others and of our own that the copy does not know.
    fn note_all(
        &self,
        change: &Change<'_>,
        key: &MessageKey,
        envelope_digest: &Digest,
        events: &[(Event, bytes::Bytes, bool)],
    ) -> Result<(), JournalError> {
        for (event, octets, standing) in events {
            let standing = *standing || event.custodian == *self.custodian();
            self.note(change, key, envelope_digest, event, octets, standing)?;
        }
        Ok(())
    }
}

impl Told {
    fn key(&self) -> MessageKey {
        MessageKey {
            author: self.author.clone(),
            message_id: self.message_id,
        }
    }

    fn missing(&self, kind: MissingKind) -> Missing {
        Missing {
            message_id: self.message_id,
            author: self.author.clone(),
            reader: self.reader.clone(),
            gateway: self.gateway.clone(),
            kind,
        }
    }

    /// The case that the message opened: at its author's gateway with the promise, at its reader's with the hand-over.
    fn open_case(&self, change: &Change<'_>, side: Side, end: Option<&Event>) -> Result<(), JournalError> {
        let opens = matches!(self.kind, Kind::Application | Kind::Transfer | Kind::Query);
        let side = match side {
            Side::Sent => cases::Side::Author,
            Side::Taken if end.is_some_and(|end| end.stage == Stage::Accepted) => cases::Side::Reader,
            Side::Taken | Side::Relayed => return Ok(()),
        };
        if !opens {
            return Ok(());
        }
        let case = Case {
            case_id: self.case_id,
            author: self.author.clone(),
            behoerde: self.reader.clone(),
            leistung: self.leistung.clone(),
            region: self.region,
            filed_at: self.filed_at,
            application: self.message_id,
            client: None,
            reply_token: self.reply_token.clone(),
        };
        case.complete(change, side)
    }

    /// A row without octets and without work: others have the message, or it has ended.
    fn insert(&self, change: &Change<'_>, side: Side) -> Result<MessageRow, JournalError> {
        change.run(
            "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, in_reply_to, kind,
                reader, leistung, region, gateway, routing_table, filed_at, obsolete_after, entered_at, class)
             VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            params![
                side.as_str(),
                self.author.as_str(),
                self.message_id.to_string(),
                self.envelope_digest.octets(),
                self.bytes_digest.octets(),
                self.case_id.to_string(),
                self.in_reply_to.map(|id| id.to_string()),
                self.kind.as_str(),
                self.reader.as_str(),
                self.leistung.as_str(),
                self.region.map(|region| region.to_string()),
                self.gateway.as_str(),
                self.routing_table.map(|release| *release.octets()),
                self.filed_at.as_millisecond(),
                self.obsolete_after.as_millisecond(),
                Timestamp::now().as_millisecond(),
                self.class
            ],
        )?;
        ledger::received(change, side, ledger::participant(side, &self.author, &self.reader))?;
        MessageRow::find(change, side, &self.key())?.ok_or(JournalError::Unknown)
    }
}

#[cfg(test)]
mod tests;
