//! The journal of one custodian in one environment: a file, or a schema of a database that several instances share.
//!
//! Guarantees: what a call reports as done is on disk; every change and its event are one transaction. Occurrences are
//! told to whoever listens only after the commit. Does not: decide anything. The rooms beside this one do, each with
//! its own statements over the same tables (`migrations/`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::SignedDuration;
use tokio::sync::{Notify, broadcast};
use tokio::task::AbortHandle;
use viereck_envelope::{Header, Reason};
use viereck_routing::{BehoerdeId, CustodianId, Environment, MessageId};
use viereck_store::{Change, Config, Look, Place, Store, params};

use crate::claims::Claims;
use crate::clock::Clock;
use crate::duty::Duties;
use crate::metrics::Measured;
use crate::status::told;
use crate::{Entry, JournalError, instance, rows};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/1.sql")];
/// The same for a file, with what only SQLite needs.
const MIGRATIONS_OF_A_FILE: &[&str] = &[concat!(
    include_str!("../migrations/1.sql"),
    include_str!("../migrations/1-sqlite.sql")
)];

/// How many occurrences a slow listener may lag behind before it misses some; listeners only show things.
const OCCURRENCES_KEPT: usize = 4096;

/// How long a reader's gateway that has spoken is left alone, where no outbox says otherwise.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(6);

/// The journal. Cheap to clone; all clones are the same file.
#[derive(Clone)]
pub struct Journal {
    pub(crate) store: Store,
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) measured: Measured,
    pub(crate) custodian: CustodianId,
    pub(crate) environment: Environment,
    /// Wakes the outbox: something new to publish.
    pub(crate) publish_wanted: Arc<Notify>,
    /// Wakes the hand-over: something new was taken.
    pub(crate) hand_over_wanted: Arc<Notify>,
    /// Wakes the broker: something is held for a gateway.
    pub(crate) relay_wanted: Arc<Notify>,
    /// Wakes the receipts: an event somebody has to hear of.
    pub(crate) receipts_wanted: Arc<Notify>,
    /// What this process has in hand.
    pub(crate) claims: Claims,
    pub(crate) duties: Duties,
    pub(crate) clock: Clock,
    /// The name of this process among those that share the journal; none where it is the only one.
    pub(crate) instance: Option<String>,
    life: OnceLock<AbortHandle>,
    /// How long after its last word the reader's gateway is asked for the end, in milliseconds.
    longest_silence: AtomicI64,
    occurrences: broadcast::Sender<Occurrence>,
}

/// What names a message everywhere: an id counts only together with its author.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// Who wrote it.
    pub author: BehoerdeId,
    /// Its id.
    pub message_id: MessageId,
}

impl MessageKey {
    /// Of the message with this header.
    pub fn of(header: &Header) -> Self {
        Self {
            author: header.author.clone(),
            message_id: header.message_id,
        }
    }
}

/// Something that was just committed, for those who watch. Carries no personal data.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// Whose journal it was committed to.
    pub journal: CustodianId,
    /// The message.
    pub message_id: MessageId,
    /// The stage of a receipt, or an internal step.
    pub stage: Entry,
    /// Who stated it.
    pub custodian: CustodianId,
    /// Why, where a reason is due.
    pub reasons: Vec<Reason>,
    /// How long after the filing, by the clock of who stated it; `None` where this journal does not know the filing.
    pub since_filing: Option<SignedDuration>,
}

impl Journal {
    /// Opens the journal of `custodian`, or makes it. In a database each custodian has a schema of its own.
    ///
    /// # Errors
    /// [`JournalError::OfAnother`] when it was made for another custodian or environment, [`JournalError::Restored`]
    /// when it is a copy that was not reconciled.
    pub async fn open(
        place: impl Into<Place>,
        custodian: CustodianId,
        environment: Environment,
    ) -> Result<Self, JournalError> {
        let journal = Self::open_restored(place, custodian, environment).await?;
        match journal.restored().await? {
            None => Ok(journal),
            Some(at) => {
                journal.close().await;
                Err(JournalError::Restored { at })
            }
        }
    }

    /// The same for whoever reconciles a copy: it may be one.
    ///
    /// # Errors
    /// [`JournalError::OfAnother`].
    pub async fn open_restored(
        place: impl Into<Place>,
        custodian: CustodianId,
        environment: Environment,
    ) -> Result<Self, JournalError> {
        let store = match place.into() {
            Place::File(path) => Store::open(&path, MIGRATIONS_OF_A_FILE, Config::default())?,
            Place::Postgres(url) => {
                Store::open_shared(&url, &schema(&custodian), MIGRATIONS, Config::default()).await?
            }
        };
        let owner = custodian.clone();
        let me = store.is_shared().then(instance::new_name);
        let name = me.clone();
        let begin = move |tx: &Change<'_>| {
            belongs_to(tx, &owner, environment)?;
            name.map_or(Ok(()), |name| instance::beat(tx, &name))
        };
        store.write(begin).await?;
        let journal = Self::on(store, custodian, environment, me);
        if journal.shared.instance.is_some() {
            let living = tokio::spawn(instance::live(Arc::downgrade(&journal.shared), journal.store.clone()));
            // nobody else has this journal yet, so there is none
            let _ = journal.shared.life.set(living.abort_handle());
        }
        Ok(journal)
    }

    /// Opens the journal of `custodian` only to look at it, while its own process goes on; every change is refused.
    ///
    /// # Errors
    /// As [`Journal::open`]; also when there is no such journal.
    pub async fn open_to_look(
        place: impl Into<Place>,
        custodian: CustodianId,
        environment: Environment,
    ) -> Result<Self, JournalError> {
        let store = match place.into() {
            Place::File(path) => Store::open_to_look(&path, MIGRATIONS_OF_A_FILE, Config::default())?,
            Place::Postgres(url) => {
                Store::open_shared_to_look(&url, &schema(&custodian), MIGRATIONS, Config::default()).await?
            }
        };
        let owner = custodian.clone();
        store.read(move |conn| is_of(conn, &owner, environment)).await?;
        Ok(Self::on(store, custodian, environment, None))
    }

    fn on(store: Store, custodian: CustodianId, environment: Environment, instance: Option<String>) -> Self {
        let shared = Shared {
            measured: Measured::of(&custodian),
            custodian,
            environment,
            publish_wanted: Arc::new(Notify::new()),
            hand_over_wanted: Arc::new(Notify::new()),
            relay_wanted: Arc::new(Notify::new()),
            receipts_wanted: Arc::new(Notify::new()),
            claims: Claims::default(),
            duties: Duties::default(),
            clock: Clock::begin(),
            instance,
            life: OnceLock::new(),
            longest_silence: AtomicI64::new(LONGEST_SILENCE.as_secs() * 1000),
            occurrences: broadcast::channel(OCCURRENCES_KEPT).0,
        };
        Self {
            store,
            shared: Arc::new(shared),
        }
    }

    /// Whose journal this is.
    pub fn custodian(&self) -> &CustodianId {
        &self.shared.custodian
    }

    /// The environment it was made for.
    pub fn environment(&self) -> Environment {
        self.shared.environment
    }

    /// How long a reader's gateway that has spoken is left alone before it is asked for the end.
    pub(crate) fn longest_silence(&self) -> SignedDuration {
        SignedDuration::from_millis(self.shared.longest_silence.load(Ordering::Relaxed))
    }

    /// As the outbox of this journal is configured.
    pub(crate) fn ask_after(&self, silence: SignedDuration) {
        let milliseconds = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
        self.shared.longest_silence.store(milliseconds, Ordering::Relaxed);
    }

    /// Every event and step from now on, after its commit. A listener that lags misses some, never delays any.
    pub fn subscribe(&self) -> broadcast::Receiver<Occurrence> {
        self.shared.occurrences.subscribe()
    }

    /// Whether the file can be written to at this moment.
    pub async fn is_writable(&self) -> bool {
        // a row that is really written: a transaction that changes nothing succeeds on a full disk too
        let touch = self.store.write(|tx| {
            tx.run("UPDATE identity SET custodian = custodian", &[])?;
            Ok::<_, JournalError>(())
        });
        touch.await.is_ok()
    }

    /// Writes out what is queued and closes the file.
    pub async fn close(self) {
        if let Some(living) = self.shared.life.get() {
            living.abort();
        }
        self.leave().await;
        self.store.close().await;
    }

    pub(crate) fn tell(&self, occurrences: Vec<Occurrence>) {
        for occurrence in occurrences {
            tracing::info!(
                journal = %occurrence.journal,
                message_id = %occurrence.message_id,
                stage = occurrence.stage.as_str(),
                is = occurrence.stage.stage().map(|stage| told(stage, None).sentence.english),
                custodian = %occurrence.custodian,
                reasons = rows::reasons_text(&occurrence.reasons),
                "custody event"
            );
            self.shared.measured.happened(&occurrence);
            self.shared.show(occurrence);
        }
    }
}

impl Shared {
    /// Shows an occurrence to whoever listens.
    pub(crate) fn show(&self, occurrence: Occurrence) {
        // nobody listening is fine
        let _ = self.occurrences.send(occurrence);
    }

    /// Lets everybody look for work.
    pub(crate) fn wake_all(&self) {
        let Shared {
            publish_wanted,
            hand_over_wanted,
            relay_wanted,
            receipts_wanted,
            ..
        } = self;
        for wanted in [publish_wanted, hand_over_wanted, relay_wanted, receipts_wanted] {
            wanted.notify_one();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(living) = self.life.get() {
            living.abort();
        }
    }
}

/// The schema of a custodian's journal. An id is lower-case letters, digits and `-`, so it can stand there as it is.
fn schema(custodian: &CustodianId) -> String {
    format!("viereck_{custodian}")
}

/// Makes an empty file `custodian`'s; any other has to be it already.
fn belongs_to(tx: &Change<'_>, custodian: &CustodianId, environment: Environment) -> Result<(), JournalError> {
    let nobodys = !tx.exists("SELECT 1 FROM identity", &[])?;
    if nobodys {
        tx.run(
            "INSERT INTO identity (custodian, environment) VALUES (?, ?)",
            params![custodian.as_str(), environment.as_str()],
        )?;
    }
    is_of(tx, custodian, environment)
}

fn is_of(conn: &Look<'_>, custodian: &CustodianId, environment: Environment) -> Result<(), JournalError> {
    let identity = conn.first("SELECT custodian, environment FROM identity", &[], |row| {
        Ok::<(CustodianId, Environment), JournalError>((rows::name(row, "custodian")?, rows::name(row, "environment")?))
    })?;
    let (owner, place) = identity.ok_or(JournalError::Corrupt {
        column: "identity.custodian",
        expected: "its owner",
    })?;
    match owner == *custodian && place == environment {
        true => Ok(()),
        false => Err(JournalError::OfAnother {
            custodian: owner,
            environment: place,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::journal;

    #[tokio::test]
    async fn sqlite_is_told_what_to_expect_of_every_index_of_the_messages() {
        let (_dir, journal) = journal("gw-a").await;
        let indexes = journal.store.read(|look| {
            look.all(
                "SELECT list.name AS name, (SELECT count(*) FROM pragma_index_info(list.name)) + 1 AS numbers,
                    coalesce((SELECT stat FROM sqlite_stat1 WHERE tbl = 'message' AND idx = list.name), '') AS stat
                 FROM pragma_index_list('message') AS list",
                params![],
                |row| {
                    Ok::<_, JournalError>((
                        row.get::<String>("name")?,
                        row.get::<i64>("numbers")?,
                        row.get::<String>("stat")?,
                    ))
                },
            )
        });
        for (name, numbers, stat) in indexes.await.unwrap() {
            assert_eq!(stat.split(' ').count() as i64, numbers, "{name}: {stat:?}");
        }
    }
}
