//! A promise: sealed octets, the case and the client's key on disk in one transaction; only then may anybody say yes.
//!
//! Guarantees: nothing is promised twice for one key, however many ask at once; the same request gets the first answer.
//! The class of a message is that of the table at the moment of the promise. Does not: publish, [`crate::outbox`] does.

use jiff::Timestamp;
use viereck_envelope::{KeptKey, SealedEnvelope, Stage};
use viereck_observe::Trace;
use viereck_routing::{Class, Digest};
use viereck_store::{Look, params};

use crate::cases::{self, Case};
use crate::rows::{MessageRow, NewMessage, Side, Work};
use crate::{Journal, JournalError, MessageKey, PromiseError};

/// A key under which a client may repeat a request without a second effect.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Whose key it is: `client:<id>` or `fachverfahren:<name>`.
    pub owner: String,
    /// The key that the client chose; a gateway gives its keyed digest, for a client may choose words about a person.
    pub key: String,
    /// Keyed digest of the request's decoded parts.
    pub fingerprint: Digest,
}

/// What is to be promised. Beyond what [`Promise::new`] asks for, everything has a default.
#[derive(Debug)]
pub struct Promise {
    /// The sealed message.
    pub envelope: SealedEnvelope,
    /// The client's key.
    pub idempotency: Idempotency,
    /// The answer that a repeat of the request gets.
    pub answer: String,
    /// The case this message opens, where it opens one.
    pub case: Option<Case>,
    /// The lane in which it waits to be published.
    pub class: Class,
    /// The content key, kept for the gateway that sealed it; without it nothing can be sealed anew.
    pub content_key: Option<KeptKey>,
    /// Keyed digest of the client's own reference.
    pub reference: Option<Digest>,
    /// To which trace it belongs.
    pub trace: Option<Trace>,
}

impl Promise {
    /// To carry `envelope`, once for this key, with `answer` for whoever asks again.
    pub fn new(envelope: SealedEnvelope, idempotency: Idempotency, answer: String) -> Self {
        Self {
            envelope,
            idempotency,
            answer,
            case: None,
            class: Class::Normal,
            content_key: None,
            reference: None,
            trace: None,
        }
    }
}

/// What became of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promised {
    /// It is on disk now.
    New,
    /// The same was promised before; this was the answer then. Nothing was stored.
    Before(String),
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
                let envelope = &promise.envelope;
                let header = envelope.header();
                tx.run(
                    "INSERT INTO promise (owner, key, fingerprint, answer, author, message_id, made_at)
                     VALUES (?,?,?,?,?,?,?)",
                    params![
                        owner,
                        key,
                        fingerprint.octets(),
                        promise.answer,
                        header.author.as_str(),
                        header.message_id.to_string(),
                        now.as_millisecond()
                    ],
                )?;
                NewMessage {
                    owner: Some(owner),
                    work: Some((Work::Publish, now)),
                    class: promise.class,
                    content_key: promise.content_key.as_ref(),
                    reference: promise.reference,
                    trace: promise.trace,
                    ..NewMessage::of(Side::Sent, header, envelope.digest(), envelope.bytes(), now)
                }
                .insert(tx)?;
                if let Some(case) = &promise.case {
                    case.keep(tx, cases::Side::Author)?;
                }
                let key = MessageKey::of(header);
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
