//! Webhooks: who wants to be told of a status, what is to be told, and what came of it.
//!
//! News of a submission is written down in the transaction of the event that makes it, so none is lost and none is told
//! that did not happen. Every status is told once for each webhook and stays here until the client's server has taken it,
//! it is given up, or its webhook has been disabled for as long as the log is kept; the order is not promised. What a
//! client entered stands here; a secret never does.
//!
//! Does not: call anybody, or know what a call looks like. The gateway does, with what [`Journal::due_calls`] gives out.

mod calls;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;
use viereck_envelope::Stage;
use viereck_routing::{CaseId, ClientId, MessageId};
use viereck_store::{Change, Look, Row, params};

pub(crate) use calls::LONGEST_PAUSE;
pub use calls::{Call, Delivery, Limits};

use crate::rows::{self, MessageRow};
use crate::status::Status;
use crate::step::UnknownEntry;
use crate::{Journal, JournalError, view};

/// A webhook as it was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub client: ClientId,
    /// Where it is called. The client's own text: not for logs.
    pub url: String,
    /// Which of its secrets counts, from 1.
    pub generation: u32,
    /// When the secret before was replaced, if there was one.
    pub rotated_at: Option<Timestamp>,
    /// Since when.
    pub made_at: Timestamp,
    /// Why it is not called any more, and since when.
    pub disabled: Option<(Disabled, Timestamp)>,
}

/// Why a webhook is not called any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disabled {
    /// Nobody took an event for days.
    GivenUp,
    /// The server says that there is nothing any more (410).
    Gone,
}

/// What became of entering a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// It is called from now on.
    New(Webhook),
    /// The client has one for this URL.
    There(Webhook),
    /// The client has as many as it may.
    Full,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id: the same for every webhook and at every attempt.
    pub id: String,
    /// When it became known here.
    pub time: Timestamp,
    /// What it says.
    pub news: News,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A submission has reached this stage.
    Status {
        /// Its id as the client knows it: that of its first message.
        submission: MessageId,
        /// Its case.
        case_id: CaseId,
        /// The stage.
        status: Stage,
    },
    /// Nothing: the client asked for a call.
    Test,
}

macro_rules! words {
    ($($kind:ty { $($variant:ident = $word:literal),+ })+) => {$(
        impl $kind {
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the journal and in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $kind {
            type Err = UnknownEntry;
            fn from_str(text: &str) -> Result<Self, UnknownEntry> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or(UnknownEntry)
            }
        }
    )+};
}
words! {
    Disabled { GivenUp = "given-up", Gone = "gone" }
}

/// What came of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it.
    Delivered,
    /// The server says that there is nothing any more.
    Gone,
    /// The server answered with another status.
    Refused(u16),
    /// The server pointed elsewhere; redirects are not followed.
    Redirected,
    /// The URL leads to an address that may not be called.
    AddressRefused,
    /// Its name has no address.
    NameNotFound,
    /// No answer in time.
    TimedOut,
    /// No connection, no TLS, or one that broke off.
    NotReached,
    /// It was not called: its owner is no client of this gateway at the moment.
    NoClient,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Delivered => f.write_str("delivered"),
            Outcome::Gone => f.write_str("gone"),
            Outcome::Refused(status) => write!(f, "status-{status}"),
            Outcome::Redirected => f.write_str("redirected"),
            Outcome::AddressRefused => f.write_str("address-refused"),
            Outcome::NameNotFound => f.write_str("name-not-found"),
            Outcome::TimedOut => f.write_str("timed-out"),
            Outcome::NotReached => f.write_str("not-reached"),
            Outcome::NoClient => f.write_str("no-client"),
        }
    }
}

impl FromStr for Outcome {
    type Err = UnknownEntry;
    fn from_str(text: &str) -> Result<Self, UnknownEntry> {
        const PLAIN: &[Outcome] = &[
            Outcome::Delivered,
            Outcome::Gone,
            Outcome::Redirected,
            Outcome::AddressRefused,
            Outcome::NameNotFound,
            Outcome::TimedOut,
            Outcome::NotReached,
            Outcome::NoClient,
        ];
        if let Some(status) = text.strip_prefix("status-") {
            return status.parse().map(Outcome::Refused).map_err(|_| UnknownEntry);
        }
        PLAIN
            .iter()
            .copied()
            .find(|one| one.to_string() == text)
            .ok_or(UnknownEntry)
    }
}

impl Event {
    /// What a test call says.
    pub fn test(now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            time: now,
            news: News::Test,
        }
    }

    /// Puts it on the list of what `webhook` is to be told, from now on.
    fn enqueue(&self, tx: &Change<'_>, webhook: &str, due: Option<Timestamp>) -> Result<(), JournalError> {
        let (kind, submission, case_id, status) = match &self.news {
            News::Status {
                submission,
                case_id,
                status,
            } => (
                "status",
                Some(submission.to_string()),
                Some(case_id.to_string()),
                Some(status.as_str()),
            ),
            News::Test => ("test", None, None, None),
        };
        tx.run(
            "INSERT INTO webhook_delivery (webhook, event, kind, submission, case_id, status, time, due_at)
             VALUES (?,?,?,?,?,?,?,?)",
            params![
                webhook,
                self.id,
                kind,
                submission,
                case_id,
                status,
                self.time.as_millisecond(),
                due.map(Timestamp::as_millisecond)
            ],
        )?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        let kind: String = row.get("kind")?;
        let news = match kind.as_str() {
            "test" => News::Test,
            _ => News::Status {
                submission: rows::name(row, "submission")?,
                case_id: rows::name(row, "case_id")?,
                status: rows::name(row, "status")?,
            },
        };
        Ok(Self {
            id: row.get("event")?,
            time: rows::instant(row, "time")?,
            news,
        })
    }
}

impl Webhook {
    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        let disabled: Option<Disabled> = rows::name_if_any(row, "disabled")?;
        Ok(Self {
            id: row.get("id")?,
            client: rows::name(row, "client")?,
            url: row.get("url")?,
            generation: row.get("generation")?,
            rotated_at: rows::instant_if_any(row, "rotated_at")?,
            made_at: rows::instant(row, "made_at")?,
            disabled: disabled.zip(rows::instant_if_any(row, "disabled_at")?),
        })
    }

    fn find(look: &Look<'_>, client: &ClientId, id: &str) -> Result<Option<Self>, JournalError> {
        look.first(
            "SELECT * FROM webhook WHERE id = ? AND client = ?",
            params![id, client.as_str()],
            Self::read,
        )
    }
}

impl Journal {
    /// Enters a webhook, unless the client has `most` already.
    pub async fn enter_webhook(&self, client: &ClientId, url: String, most: u32) -> Result<Entered, JournalError> {
        let client = client.clone();
        let now = Timestamp::now();
        let entered = self.store.try_write(move |tx| {
            let all = of_client(tx, &client)?;
            if let Some(there) = all.iter().find(|webhook| webhook.url == url) {
                return Ok(Entered::There(there.clone()));
            }
            if all.len() >= most as usize {
                return Ok(Entered::Full);
            }
            let id = Uuid::new_v4().to_string();
            tx.run(
                "INSERT INTO webhook (id, client, url, made_at) VALUES (?,?,?,?)",
                params![id, client.as_str(), url, now.as_millisecond()],
            )?;
            let entered = Webhook::find(tx, &client, &id)?.ok_or(JournalError::Unknown)?;
            Ok::<_, JournalError>(Entered::New(entered))
        });
        Ok(entered.await?)
    }

    /// The webhooks of a client, in the order they were entered.
    pub async fn webhooks(&self, client: &ClientId) -> Result<Vec<Webhook>, JournalError> {
        let client = client.clone();
        Ok(self.store.read(move |look| of_client(look, &client)).await?)
    }

    /// One webhook of a client.
    pub async fn webhook(&self, client: &ClientId, id: &str) -> Result<Option<Webhook>, JournalError> {
        if !rows::is_id(id) {
            return Ok(None);
        }
        let (client, id) = (client.clone(), id.to_owned());
        Ok(self.store.read(move |look| Webhook::find(look, &client, &id)).await?)
    }

    /// Takes a webhook out, with its log. Whether there was one.
    pub async fn remove_webhook(&self, client: &ClientId, id: &str) -> Result<bool, JournalError> {
        if !rows::is_id(id) {
            return Ok(false);
        }
        let (client, id) = (client.clone(), id.to_owned());
        let removed = self.store.write(move |tx| {
            let removed = tx.run(
                "DELETE FROM webhook WHERE id = ? AND client = ?",
                params![id, client.as_str()],
            )?;
            if removed > 0 {
                tx.run("DELETE FROM webhook_delivery WHERE webhook = ?", params![id])?;
            }
            Ok::<_, JournalError>(removed > 0)
        });
        Ok(removed.await?)
    }

    /// Begins the next secret of a webhook. `None` = the client has no such webhook.
    pub async fn rotate_webhook(&self, client: &ClientId, id: &str) -> Result<Option<Webhook>, JournalError> {
        let now = Timestamp::now();
        self.change_webhook(client, id, move |tx, id| {
            Ok(tx.run(
                "UPDATE webhook SET generation = generation + 1, rotated_at = ? WHERE id = ?",
                params![now.as_millisecond(), id],
            )?)
        })
        .await
    }

    /// Lets a disabled webhook be called again, with what was waiting when it was disabled and is still kept.
    pub async fn enable_webhook(&self, client: &ClientId, id: &str) -> Result<Option<Webhook>, JournalError> {
        let now = Timestamp::now();
        self.change_webhook(client, id, move |tx, id| {
            tx.run(
                "UPDATE webhook_delivery SET due_at = ?, first_at = NULL WHERE webhook = ? AND due_at IS NOT NULL",
                params![now.as_millisecond(), id],
            )?;
            Ok(tx.run(
                "UPDATE webhook SET disabled = NULL, disabled_at = NULL WHERE id = ?",
                params![id],
            )?)
        })
        .await
    }

    async fn change_webhook(
        &self,
        client: &ClientId,
        id: &str,
        change: impl FnOnce(&Change<'_>, &str) -> Result<u64, JournalError> + Send + 'static,
    ) -> Result<Option<Webhook>, JournalError> {
        if !rows::is_id(id) {
            return Ok(None);
        }
        let (client, id) = (client.clone(), id.to_owned());
        let changed = self.store.write(move |tx| {
            if Webhook::find(tx, &client, &id)?.is_none() {
                return Ok(None);
            }
            change(tx, &id)?;
            Webhook::find(tx, &client, &id)
        });
        Ok(changed.await?)
    }
}

fn of_client(look: &Look<'_>, client: &ClientId) -> Result<Vec<Webhook>, JournalError> {
    look.all(
        "SELECT * FROM webhook WHERE client = ? ORDER BY made_at, id",
        params![client.as_str()],
        Webhook::read,
    )
}

/// Writes down that the client that posted the message of `row` is to hear of its status. To be called in the
/// transaction of the event that made it so; a status that was told already is not told again.
pub(crate) fn announce(tx: &Change<'_>, row: &MessageRow, status: &Status) -> Result<(), JournalError> {
    if row.replaced_by.is_some() {
        // the submission goes on in another message, which speaks for it from then on
        return Ok(());
    }
    let client = row.owner.as_deref().and_then(|owner| owner.strip_prefix("client:"));
    let (Some(client), false) = (client, status.stage == Stage::Received) else {
        // that it was received the client has heard in the answer to its request
        return Ok(());
    };
    let webhooks: Vec<String> = tx.all(
        "SELECT id FROM webhook WHERE client = ? AND disabled IS NULL ORDER BY id",
        params![client],
        |row| Ok::<_, JournalError>(row.at(0)?),
    )?;
    if webhooks.is_empty() {
        return Ok(());
    }
    let (now, stage) = (Timestamp::now(), status.stage.as_str());
    let changed = tx.run(
        "UPDATE message SET announced = ? WHERE seq = ? AND (announced IS NULL OR announced <> ?)",
        params![stage, row.seq, stage],
    )?;
    if changed == 0 {
        return Ok(());
    }
    let event = Event {
        id: Uuid::new_v4().to_string(),
        time: now,
        news: News::Status {
            submission: view::first_of(tx, &row.key, Some(row.key.message_id))?,
            case_id: row.case_id,
            status: status.stage,
        },
    };
    for webhook in &webhooks {
        event.enqueue(tx, webhook, Some(now))?;
    }
    Ok(())
}
