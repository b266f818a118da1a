//! Corner 3's half of custody: take.
//!
//! Octets become a [`VerifiedEnvelope`], are authorised again, are compared with what was taken before, and are on disk
//! with the event `delivered` before the link is told that they are done. The same message again gets its old receipts
//! and nothing else; the same id with other octets is refused and alarms. What does not verify is kept, parked, and
//! never looked at again without an operator: one poison message blocks nothing behind it.
//!
//! Does not: decrypt. Sealed octets are all that is ever written down.

use std::pin::pin;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_envelope::{Reason, Refused, Stage, VerifiedEnvelope};
use viereck_observe::{Span, SpanName, Trace};
use viereck_routing::{Class, Digest, Environment, GatewayId, Tables};
use viereck_store::{Change, params};
use viereck_transport::{Delivery, Link, Queue};

use crate::journal::Occurrence;
use crate::machine::{self, Act};
use crate::replace::{self, Met};
use crate::rows::{MessageRow, NewMessage, Side, Work};
use crate::{CurrentTables, JOURNAL_PAUSE, Journal, JournalError, Room, aside, authorise, lanes, ledger};

/// How the inbox takes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Messages taken at once; with the largest document this bounds the memory.
    pub prefetch: u16,
    /// Octets that may wait for a hand-over; beyond that nothing is taken.
    pub waiting_octets: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefetch: 32,
            waiting_octets: 16 << 30,
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Ours now; the hand-over follows.
    New,
    /// Ours already: the old receipts go out again.
    Repeated,
    /// Refused for good; the author is told.
    Refused(Reason),
    /// Does not verify: kept for an operator.
    Parked(Reason),
    /// Does not verify yet, for a clock that differs or a certificate that is not loaded here: it shall come again.
    NotYet,
}

/// Takes from this gateway's queue until `shutdown`; what was fetched by then is finished. While the journal cannot write,
/// or keeps as much as it may, nothing is fetched.
///
/// # Errors
/// Only of the journal, and only what does not pass by itself. A link that is down is waited for.
pub async fn run(
    journal: Journal,
    link: Link,
    me: GatewayId,
    tables: CurrentTables,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), JournalError> {
    let room = Room::new(config.waiting_octets);
    let intake = Intake {
        journal,
        link,
        me,
        tables,
        room,
        prefetch: config.prefetch,
    };
    loop {
        let ready = shutdown.run_until_cancelled(intake.ready()).await;
        let Some(ready) = ready else { return Ok(()) };
        ready?;
        if intake.take_in(&shutdown).await? == Rest::ForGood {
            return Ok(());
        }
        if !shutdown.is_cancelled() {
            tracing::error!(
                alarm = "intake-rests",
                "nothing is taken until the journal has room and can write"
            );
        }
    }
}

/// What a gateway takes with, and until when.
struct Intake {
    journal: Journal,
    link: Link,
    me: GatewayId,
    tables: CurrentTables,
    room: Room,
    prefetch: u16,
}

/// Why nothing more is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The journal cannot write or has no room, or it is the end.
    ForNow,
    /// The link is closed.
    ForGood,
}

impl Intake {
    /// Waits until the journal can write and has room.
    async fn ready(&self) -> Result<(), JournalError> {
        loop {
            let pause = self.count().await?;
            if tokio::time::timeout(pause, self.room.some()).await.is_ok() && self.journal.is_writable().await {
                return Ok(());
            }
            tokio::time::sleep(JOURNAL_PAUSE).await;
        }
    }

    /// Counts what waits, and says how long that may be left at.
    async fn count(&self) -> Result<std::time::Duration, JournalError> {
        match self.room.count(self.journal.waiting_octets()).await {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "what waits cannot be counted");
                Ok(Room::COUNT)
            }
            counted => counted,
        }
    }

    /// Counts again and again, until that fails for good.
    async fn keep_counting(&self) -> JournalError {
        loop {
            match self.count().await {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(error) => return error,
            }
        }
    }

    async fn take_in(&self, shutdown: &CancellationToken) -> Result<Rest, JournalError> {
        let mut consumer = self
            .link
            .consume(&Queue::Gateway(self.me.clone()), self.prefetch)
            .await?;
        let mut taking = FuturesUnordered::new();
        // beside the intake, which does not wait for it
        let mut counting = pin!(self.keep_counting());
        let mut rest = Rest::ForNow;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.room.none() => break,
                failed = &mut counting => return Err(failed),
                delivery = consumer.next(), if taking.len() < usize::from(self.prefetch) => {
                    let Some(delivery) = delivery else {
                        rest = Rest::ForGood;
                        break;
                    };
                    let now_in_force = self.tables.borrow().clone();
                    taking.push(one(&self.journal, &self.me, &self.room, now_in_force, delivery));
                }
                // with a journal that cannot write every delivery would only be counted as one more attempt
                Some(outcome) = taking.next() => if !outcome? { break },
            }
        }
        while let Some(outcome) = taking.next().await {
            outcome?;
        }
        consumer.cancel().await;
        Ok(rest)
    }
}

/// One delivery. Whether the journal could write.
async fn one(
    journal: &Journal,
    me: &GatewayId,
    room: &Room,
    tables: std::sync::Arc<Tables>,
    delivery: Delivery,
) -> Result<bool, JournalError> {
    let span = Span::begin_if_traced(SpanName::Take, delivery.trace.as_ref(), me.as_str());
    let within = span.as_ref().map(Span::trace);
    match journal.take_within(within, delivery.bytes.clone(), me, tables).await {
        Ok(taken) => {
            journal.shared.measured.taken(taken);
            if taken == Taken::New {
                room.more(delivery.bytes.len());
            }
            match taken {
                Taken::NotYet => delivery.drop_back(),
                _ => delivery.done(),
            }
            Ok(true)
        }
        Err(error) if error.may_pass() => {
            tracing::error!(%error, alarm = "journal-unavailable", "not taken, again later");
            delivery.drop_back();
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Verifies, aside from the async threads where it would hold them up.
pub async fn verify(
    bytes: Bytes,
    tables: std::sync::Arc<Tables>,
    environment: Environment,
    now: Timestamp,
) -> Result<VerifiedEnvelope, Refused> {
    aside(bytes.len(), move || {
        viereck_envelope::verify(bytes, tables.as_ref(), environment, now)
    })
    .await
}

impl Journal {
    /// Takes one delivery: on disk, whatever became of it, when this returns.
    pub async fn take(
        &self,
        bytes: Bytes,
        me: &GatewayId,
        tables: std::sync::Arc<Tables>,
    ) -> Result<Taken, JournalError> {
        self.take_within(None, bytes, me, tables).await
    }

    /// The same for a delivery that belongs to a trace.
    pub async fn take_within(
        &self,
        trace: Option<Trace>,
        bytes: Bytes,
        me: &GatewayId,
        tables: std::sync::Arc<Tables>,
    ) -> Result<Taken, JournalError> {
        let now = Timestamp::now();
        let verified = verify(bytes.clone(), tables.clone(), self.environment(), now).await;
        let envelope = match verified {
            Ok(envelope) => envelope,
            Err(refused) if refused.may_pass() => {
                tracing::warn!(
                    code = refused.code(),
                    alarm = "refused",
                    "an envelope does not verify yet"
                );
                return Ok(Taken::NotYet);
            }
            Err(refused) => {
                tracing::error!(
                    code = refused.code(),
                    alarm = "refused",
                    "an envelope does not verify: parked"
                );
                self.keep_refused(bytes, refused.reason(), None).await?;
                return Ok(Taken::Parked(refused.reason()));
            }
        };
        let authorised = authorise::at_reader(envelope.header(), me, &tables);
        let class = lanes::class_of(envelope.header(), &tables);
        let journal = self.clone();
        let (taken, told) = self
            .store
            .write(move |tx| take_verified(&journal, tx, &envelope, authorised, class, trace, now))
            .await?;
        self.tell(told);
        self.shared.receipts_wanted.notify_one();
        if taken == Taken::New {
            self.shared.hand_over_wanted.notify_one();
        }
        Ok(taken)
    }
}

fn take_verified(
    journal: &Journal,
    tx: &Change<'_>,
    envelope: &VerifiedEnvelope,
    authorised: Result<(), Reason>,
    class: Class,
    trace: Option<Trace>,
    now: Timestamp,
) -> Result<(Taken, Vec<Occurrence>), JournalError> {
    let header = envelope.header();
    let refused = MessageRow::of(header, envelope.digest(), Side::Taken);
    if let Err(reason) = authorised {
        let told = journal.refuse(tx, &refused, Stage::Rejected, reason, now)?;
        return Ok((Taken::Refused(reason), told.into_iter().collect()));
    }
    let key = refused.key.clone();
    if let Some(row) = MessageRow::find(tx, Side::Taken, &key)? {
        if row.envelope_digest == envelope.digest() {
            journal.state_again(tx, &row)?;
            return Ok((Taken::Repeated, vec![]));
        }
        // told about the new octets; what was taken under this id stays as it is
        tracing::error!(message_id = %key.message_id, alarm = "message-id-conflict", "an id used for two contents");
        let told = journal.refuse(tx, &refused, Stage::Rejected, Reason::MessageIdConflict, now)?;
        return Ok((Taken::Refused(Reason::MessageIdConflict), told.into_iter().collect()));
    }
    let mut told = vec![];
    let met = match replace::meet(tx, header)? {
        Met::Nothing => Ok(()),
        Met::Replaced => Err(Reason::Replaced),
        Met::HandedOver => Err(Reason::S100),
        Met::Living => Err(Reason::ReplacedLives),
        Met::Waiting(seq) => {
            told.push(journal.give_way(tx, seq, now)?);
            Ok(())
        }
    };
    if let Err(reason) = met {
        tracing::warn!(message_id = %key.message_id, reason = reason.code(), "of a message sealed anew one is taken");
        told.extend(journal.refuse(tx, &refused, Stage::Rejected, reason, now)?);
        return Ok((Taken::Refused(reason), told));
    }
    let in_time = authorise::in_time(header, now);
    NewMessage {
        work: in_time.is_ok().then_some((Work::HandOver, now)),
        keep: in_time.is_ok(),
        class,
        trace,
        ..NewMessage::of(Side::Taken, header, envelope.digest(), envelope.bytes(), now)
    }
    .insert(tx)?;
    let row = MessageRow::find(tx, Side::Taken, &key)?.ok_or(JournalError::Unknown)?;
    told.push(journal.state(tx, &row, Stage::Delivered, None, &[], now)?);
    let Err(reason) = in_time else {
        return Ok((Taken::New, told));
    };
    ledger::set_end(tx, Side::Taken, &row, Some((Stage::Expired, now)))?;
    told.push(journal.state(tx, &row, Stage::Expired, None, &[reason], now)?);
    Ok((Taken::Refused(reason), told))
}

impl Journal {
    /// A message that waits and was never tried ends, because the one that replaces it has come.
    fn give_way(&self, tx: &Change<'_>, seq: i64, now: Timestamp) -> Result<Occurrence, JournalError> {
        let row = tx.first("SELECT * FROM message WHERE seq = ?", params![seq], MessageRow::read)?;
        let row = row.ok_or(JournalError::Unknown)?;
        machine::allow(&row, Act::End(Stage::Rejected))?;
        tx.run(
            "UPDATE message SET work = NULL, due_at = NULL, deferral = NULL, parked = NULL WHERE seq = ?",
            params![seq],
        )?;
        ledger::set_end(tx, Side::Taken, &row, Some((Stage::Rejected, now)))?;
        self.state(tx, &row, Stage::Rejected, None, &[Reason::Replaced], now)
    }
}

impl Journal {
    /// Keeps octets that did not verify, once, and tells the gateway under whose name they came, if that is known.
    pub async fn keep_refused(
        &self,
        bytes: Bytes,
        reason: Reason,
        origin: Option<GatewayId>,
    ) -> Result<(), JournalError> {
        let custodian = self.custodian().clone();
        let now = Timestamp::now();
        self.store
            .write(move |tx| {
                let digest = Digest::of(&bytes);
                let octets = origin
                    .as_ref()
                    .map(|_| crate::relay::refusal(&custodian, digest, reason, now));
                tx.run(
                    "INSERT INTO refused_octets (bytes_digest, origin, reason, time, bytes, octets)
                     VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                    params![
                        digest.octets(),
                        origin.as_ref().map(GatewayId::as_str),
                        reason.code(),
                        now.as_millisecond(),
                        &bytes[..],
                        octets.as_deref(),
                    ],
                )?;
                // a repeat gets the old answer again, as everywhere
                tx.run(
                    "INSERT INTO refusal_due (destination, refusal)
                     SELECT origin, seq FROM refused_octets WHERE bytes_digest = ? AND octets IS NOT NULL
                     ON CONFLICT DO NOTHING",
                    params![digest.octets()],
                )?;
                Ok::<_, JournalError>(())
            })
            .await?;
        self.shared.receipts_wanted.notify_one();
        Ok(())
    }
}
