//! Corner 2's half of custody: promise, then publish.
//!
//! [`Journal::promise`] puts the sealed octets, the case and the client's key on disk in one transaction; only then may
//! anybody say yes. [`run`] publishes what is promised and keeps the octets until the reader's gateway has spoken:
//! silence means the same octets again. Nothing is promised twice for one key, however many ask at once.
//!
//! Does not: look into an envelope, or end a message that was published; only its present custodian does that.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use viereck_envelope::{SealedEnvelope, Stage};
use viereck_routing::{Digest, GatewayId};
use viereck_store::{Look, params};
use viereck_transport::{Address, Link};

use crate::cases::Case;
use crate::claims::Candidate;
use crate::rows::{self, MessageRow, NewMessage, Side, Work};
use crate::step::Step;
use crate::{JOURNAL_PAUSE, Journal, JournalError, MessageKey, PromiseError};

/// How long is slept at the most; a clock that jumps does no harm.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What is in flight at the end may take this long to be confirmed. It is on disk, so nothing is lost by not waiting.
pub(crate) const FAREWELL: Duration = Duration::from_secs(3);

/// A key under which a client may repeat a request without a second effect.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Whose key it is: `client:<id>` or `fachverfahren:<name>`.
    pub owner: String,
    /// The key as the client chose it.
    pub key: String,
    /// Keyed digest of the request's decoded parts.
    pub fingerprint: Digest,
}

/// What is to be promised.
#[derive(Debug)]
pub struct Promise {
    /// The sealed message.
    pub envelope: SealedEnvelope,
    /// The client's key.
    pub idempotency: Idempotency,
    /// The case this message opens, where it opens one.
    pub case: Option<Case>,
    /// The answer that a repeat of the request gets.
    pub answer: String,
}

/// What became of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promised {
    /// It is on disk now.
    New,
    /// The same was promised before; this was the answer then. Nothing was stored.
    Before(String),
}

/// How the outbox publishes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Messages in flight at once.
    pub window: usize,
    /// Octets in flight at once; a message that is larger by itself goes alone.
    pub octets: usize,
    /// Silence of the reader's gateway after which the same octets go out again; doubles with each time.
    pub silence: SignedDuration,
    /// The longest such silence.
    pub longest_silence: SignedDuration,
    /// Pause after a publish that the link refused; doubles with each time up to a minute.
    pub retry: SignedDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: 128,
            octets: 64 << 20,
            silence: SignedDuration::from_mins(10),
            longest_silence: SignedDuration::from_hours(6),
            retry: SignedDuration::from_millis(500),
        }
    }
}

impl Journal {
    /// Makes the promise: on disk when it returns.
    ///
    /// # Errors
    /// [`PromiseError::KeyReused`] when the key stands for another request.
    pub async fn promise(&self, promise: Promise) -> Result<Promised, PromiseError> {
        let journal = self.clone();
        let now = Timestamp::now();
        // new work is what may be refused when the journal cannot keep up
        let told = self
            .store
            .try_write(move |tx| {
                let Idempotency {
                    owner,
                    key,
                    fingerprint,
                } = &promise.idempotency;
                if let Some(answer) = earlier_answer(tx, owner, key, fingerprint)? {
                    return Ok(Err(answer));
                }
                tx.run(
                    "INSERT INTO promise (owner, key, fingerprint, answer, author, message_id, made_at)
                     VALUES (?,?,?,?,?,?,?)",
                    params![
                        owner,
                        key,
                        fingerprint.octets(),
                        promise.answer,
                        promise.envelope.header().author.as_str(),
                        promise.envelope.header().message_id.to_string(),
                        now.as_millisecond()
                    ],
                )?;
                let envelope = &promise.envelope;
                NewMessage {
                    side: Side::Sent,
                    header: envelope.header(),
                    envelope_digest: envelope.digest(),
                    bytes: envelope.bytes(),
                    owner: Some(owner),
                    target: None,
                    work: Some((Work::Publish, now)),
                    keep: true,
                    now,
                }
                .insert(tx)?;
                if let Some(case) = &promise.case {
                    case.keep(tx, crate::cases::Side::Author)?;
                }
                let header = envelope.header();
                let key = MessageKey {
                    author: header.author.clone(),
                    message_id: header.message_id,
                };
                let row = MessageRow::find(tx, Side::Sent, &key)?.ok_or(JournalError::Unknown)?;
                Ok::<_, PromiseError>(Ok(journal.state(tx, &row, Stage::Received, None, &[], now)?))
            })
            .await?;
        match told {
            Err(answer) => Ok(Promised::Before(answer)),
            Ok(occurrence) => {
                self.tell(vec![occurrence]);
                self.shared.publish_wanted.notify_one();
                Ok(Promised::New)
            }
        }
    }

    /// The answer that was given to the same request before, if any: a repeat need not be sealed anew.
    ///
    /// # Errors
    /// [`PromiseError::KeyReused`] when the key stands for another request.
    pub async fn earlier_answer(
        &self,
        owner: &str,
        key: &str,
        fingerprint: &Digest,
    ) -> Result<Option<String>, PromiseError> {
        let (owner, key, fingerprint) = (owner.to_owned(), key.to_owned(), *fingerprint);
        Ok(self
            .store
            .read(move |conn| earlier_answer(conn, &owner, &key, &fingerprint))
            .await?)
    }

    /// What is due and not in flight, oldest first: at most `limit` messages, and no more octets beside those in flight
    /// than `octets` allow.
    async fn due_publications(
        &self,
        now: Timestamp,
        flying: usize,
        limit: usize,
        octets: usize,
    ) -> Result<Vec<Due>, JournalError> {
        self.claim(Side::Sent, move |conn, taken| {
            let mut flying = flying;
            let mut due = vec![];
            let rows = (limit + taken.len()) as i64;
            let candidates = conn.all(
                "SELECT message.*, length(bytes) AS octets FROM message JOIN sealed ON sealed.message = message.seq
                 WHERE work = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
                params![Work::Publish.as_str(), now.as_millisecond(), rows],
                |row| Ok::<_, JournalError>((MessageRow::read(row)?, row.get::<i64>("octets")?)),
            )?;
            for (row, size) in candidates {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                if taken.contains(row.seq) {
                    continue;
                }
                if due.len() == limit || flying > 0 && flying.saturating_add(size) > octets {
                    break;
                }
                flying += size;
                let missing = JournalError::Corrupt {
                    column: "sealed.bytes",
                    expected: "the octets to publish",
                };
                let bytes = rows::sealed(conn, row.seq)?.ok_or(missing)?;
                let publication = Due {
                    seq: row.seq,
                    key: row.key.clone(),
                    gateway: row.gateway.clone(),
                    attempts: row.attempts,
                    bytes,
                };
                due.push(Candidate::new(&row, publication));
            }
            Ok(due)
        })
        .await
    }

    async fn next_publication(&self) -> Result<Option<Timestamp>, JournalError> {
        let next = self.store.read(|conn| {
            let due: Option<i64> = conn.first(
                "SELECT min(due_at) FROM message WHERE work = ?",
                params![Work::Publish.as_str()],
                |row| row.at(0),
            )?;
            Ok::<_, JournalError>(due.and_then(|due| Timestamp::from_millisecond(due).ok()))
        });
        Ok(next.await?)
    }

    async fn published(&self, due: Due, config: &Config) -> Result<(), JournalError> {
        let journal = self.clone();
        let now = Timestamp::now();
        if due.attempts > 0 {
            tracing::warn!(message_id = %due.key.message_id, times = due.attempts + 1, alarm = "overdue",
                "the reader's gateway is silent: published again");
        }
        let again = now + doubled(config.silence, due.attempts, config.longest_silence);
        let told = self
            .store
            .write(move |tx| {
                let row = MessageRow::find(tx, Side::Sent, &due.key)?.ok_or(JournalError::Unknown)?;
                // a receipt may have come before the confirm: then there is nothing left to do
                tx.run(
                    "UPDATE message SET attempts = attempts + 1, due_at = ? WHERE seq = ? AND work = ?",
                    params![again.as_millisecond(), due.seq, Work::Publish.as_str()],
                )?;
                journal.release(tx, due.seq)?;
                journal.step(tx, &row, Step::Published, None, &[], now)
            })
            .await?;
        self.tell(vec![told]);
        Ok(())
    }

    async fn publish_later(&self, seq: i64, at: Timestamp) -> Result<(), JournalError> {
        let journal = self.clone();
        Ok(self
            .store
            .write(move |tx| {
                tx.run(
                    "UPDATE message SET due_at = ? WHERE seq = ? AND work = ?",
                    params![at.as_millisecond(), seq, Work::Publish.as_str()],
                )?;
                journal.release(tx, seq)
            })
            .await?)
    }
}

/// `first`, doubled `times` times, at most `longest`.
pub fn doubled(first: SignedDuration, times: u32, longest: SignedDuration) -> SignedDuration {
    first
        .checked_mul(1 << times.min(20))
        .map_or(longest, |pause| pause.min(longest))
}

struct Due {
    seq: i64,
    key: MessageKey,
    gateway: GatewayId,
    attempts: u32,
    bytes: Bytes,
}

fn earlier_answer(
    conn: &Look<'_>,
    owner: &str,
    key: &str,
    fingerprint: &Digest,
) -> Result<Option<String>, PromiseError> {
    let found: Option<([u8; 32], String)> = conn.first(
        "SELECT fingerprint, answer FROM promise WHERE owner = ? AND key = ?",
        params![owner, key],
        |row| Ok::<_, PromiseError>((row.at(0)?, row.at(1)?)),
    )?;
    match found {
        None => Ok(None),
        Some((before, answer)) if before == *fingerprint.octets() => Ok(Some(answer)),
        Some(_) => Err(PromiseError::KeyReused),
    }
}

/// Publishes what is promised, until `shutdown`; what is in flight then gets a moment to be confirmed, and else goes out
/// again at the next start.
///
/// # Errors
/// Only of the journal, and only what does not pass by itself. A link that is down is no error: the messages are ours
/// and wait.
pub async fn run(
    journal: Journal,
    link: Link,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), JournalError> {
    let wanted = journal.shared.publish_wanted.clone();
    let mut in_flight: HashMap<i64, usize> = HashMap::new();
    let mut publishing = FuturesUnordered::new();
    let mut failures = 0; // tries in a row, not messages
    loop {
        // a link that fails is tried with one message at a time, not with the whole backlog
        let window = if failures == 0 { config.window } else { 1 };
        let free = window.saturating_sub(publishing.len());
        let due = match free {
            0 => vec![],
            _ => {
                journal
                    .due_publications(Timestamp::now(), in_flight.values().sum(), free, config.octets)
                    .await?
            }
        };
        for due in due {
            in_flight.insert(due.seq, due.bytes.len());
            publishing.push(publish(&journal, &link, due, &config, failures));
        }
        // with something in flight its end wakes us; else new work, or the moment the next one is due
        let pause = match publishing.len() {
            0 => pause_until(journal.next_publication().await?),
            _ => LONGEST_SLEEP,
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = wanted.notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(tried) = publishing.next() => {
                let Tried { seq, confirmed, failures_before } = tried?;
                in_flight.remove(&seq);
                failures = if confirmed { 0 } else { failures_before + 1 };
            }
        }
    }
    let confirming = async {
        while let Some(tried) = publishing.next().await {
            tried?;
        }
        Ok(())
    };
    tokio::time::timeout(FAREWELL, confirming).await.unwrap_or(Ok(()))
}

/// What came of one publish.
struct Tried {
    seq: i64,
    confirmed: bool,
    /// How many tries had failed in a row when it began.
    failures_before: u32,
}

/// One publish and its mark in the journal; many run at once, so that their commits are grouped.
async fn publish(
    journal: &Journal,
    link: &Link,
    due: Due,
    config: &Config,
    failures_before: u32,
) -> Result<Tried, JournalError> {
    let (seq, key) = (due.seq, due.key.clone());
    let address = Address::Submit(due.gateway.clone());
    let marked = match link.publish(&address, due.bytes.clone()).await {
        Ok(()) => journal.published(due, config).await.map(|()| true),
        Err(error) => {
            let pause = doubled(config.retry, failures_before, SignedDuration::from_mins(1));
            tracing::warn!(message_id = %due.key.message_id, %error, ?pause, "not published, again later");
            journal
                .publish_later(seq, Timestamp::now() + pause)
                .await
                .map(|()| false)
        }
    };
    // whatever becomes of the mark: this try is over
    journal.put_down(Side::Sent, &key);
    match marked {
        Ok(confirmed) => Ok(Tried {
            seq,
            confirmed,
            failures_before,
        }),
        Err(error) if error.may_pass() => {
            tracing::error!(%error, alarm = "journal-unavailable", "a publish is not marked: it goes out again");
            tokio::time::sleep(JOURNAL_PAUSE).await;
            Ok(Tried {
                seq,
                confirmed: false,
                failures_before,
            })
        }
        Err(error) => Err(error),
    }
}

/// How long to sleep until `due`; a minute at the most, so that a clock that jumps does no harm.
pub(crate) fn pause_until(due: Option<Timestamp>) -> Duration {
    let longest = LONGEST_SLEEP;
    let Some(due) = due else { return longest };
    due.duration_since(Timestamp::now())
        .try_into()
        .map_or(Duration::ZERO, |pause: Duration| pause.min(longest))
}
