//! One database with one writer thread and grouped commits: a file (SQLite), or a schema of a server (PostgreSQL) that
//! several processes share.
//!
//! What it is for: every record of Viereck that must not be lost (journals, the embedded link) lives in such a database.
//! Whoever uses it writes the same statements for both ([`Look`], [`Change`]).
//!
//! What it guarantees:
//! - a [`Store::write`] answers only after the commit that contains it is on disk;
//! - writes that arrive together share one commit, yet each stands alone: one that refuses or panics is rolled back
//!   without the others noticing;
//! - a commit that fails fails for everybody in it;
//! - one commit at a time, over all processes that share a server: a write may argue as if it were alone;
//! - memory is bounded: the queue never grows; who may say no gets [`StoreError::Busy`] from [`Store::try_write`], who
//!   must not waits;
//! - a file is written by one process at a time, beside any number that only look ([`Store::open_to_look`]); tables
//!   written by a newer release are refused.
//!
//! What it deliberately does not do: know any table, or retry on its own. What each database adds to this, or cannot
//! keep, stands in the modules `sqlite` and `postgres`.

mod error;
mod job;
pub mod metrics;
mod place;
mod postgres;
mod reader;
mod sql;
mod sqlite;
mod value;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

pub use error::{StoreError, WriteError};
pub use place::Place;
pub use postgres::{PostgresError, PostgresUrl, PostgresUrlError, Said};
pub use sql::{Change, Look, Row, SqlError};
pub use sqlite::{Integrity, copy, integrity};
pub use value::{FromValue, Param, ToParam, Value};

use crate::job::{Job, ReadJob, WriteJob};

/// The bounds of one store.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many writes may wait for the writer; one more waits for a place, or is [`StoreError::Busy`].
    pub queue: usize,
    /// How many writes share one commit at most.
    pub group: usize,
    /// Reader threads, each with a connection of its own; at least one. One more is for [`Store::survey`].
    pub readers: usize,
    /// SQLite: the pause between two checkpoint steps while there is something to do.
    pub checkpoint_pause: Duration,
    /// SQLite: a write-ahead log longer than this many pages of 4 KiB makes the writer wait for one complete checkpoint:
    /// without it the log would grow for as long as the load lasts.
    pub wal_pages: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue: 1024,
            group: 256,
            readers: 2,
            checkpoint_pause: Duration::from_millis(100),
            wal_pages: 16 * 1024,
        }
    }
}

impl Config {
    /// How many connections only look: those of the readers, and the one for surveys.
    fn connections(&self) -> usize {
        self.readers.max(1) + 1
    }
}

/// One open database. Clones share it; [`Store::close`] on any of them closes it for all.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    writes: mpsc::Sender<writer::Order>,
    reads: mpsc::Sender<reader::Order>,
    readers: usize,
    surveys: mpsc::Sender<reader::Order>,
    signals: broadcast::Sender<Signal>,
    is_shared: bool,
    /// What metrics call it.
    name: String,
}

/// What another process at the same database has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The text it signalled in a write that is committed now.
    Text(Arc<str>),
    /// The connection was away for a while: there may have been signals that nobody heard here.
    Missed,
}

/// How many signals a slow listener may lag behind.
const SIGNALS_KEPT: usize = 4096;

impl Store {
    /// Opens or creates the file and brings its tables up to date.
    ///
    /// `migrations` are SQL scripts in the order they were ever released; `user_version` counts those already run, each
    /// one together with its count in a transaction of its own. Blocks while they run.
    pub fn open(path: &Path, migrations: &'static [&'static str], config: Config) -> Result<Store, StoreError> {
        let writer = sqlite::Writer::open(path, migrations, &config)?;
        let readers = sqlite::Reader::open(path, config.connections())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let place = Place::File(path.to_owned());
        let (signals, _) = broadcast::channel(1);
        Self::start(place, &name, Some(writer), readers, signals, &config)
    }

    /// Opens a file only to look at it, while the process that it belongs to goes on writing.
    ///
    /// It takes no lock and changes nothing; every write is [`StoreError::Closed`]. A file of another version than
    /// `migrations` make is refused.
    pub fn open_to_look(path: &Path, migrations: &'static [&'static str], config: Config) -> Result<Store, StoreError> {
        sqlite::connection::is_current(path, migrations.len())?;
        let readers = sqlite::Reader::open(path, config.connections())?;
        let (signals, _) = broadcast::channel(1);
        let place = Place::File(path.to_owned());
        Self::start(place, "", None::<sqlite::Writer>, readers, signals, &config)
    }

    /// Opens or creates the schema `schema` of a server that other processes may use at the same time, and brings its
    /// tables up to date as [`Store::open`] does; the same scripts do for both.
    ///
    /// # Errors
    /// Also when the server does not put on disk what it confirms. A server that is away now is an error; one that goes
    /// away later is waited for.
    pub async fn open_shared(
        url: &PostgresUrl,
        schema: &str,
        migrations: &'static [&'static str],
        config: Config,
    ) -> Result<Store, StoreError> {
        let target = Arc::new(postgres::Target::new(url, schema)?);
        let open = move || {
            postgres::prepare(&target, migrations)?;
            let (signals, _) = broadcast::channel(SIGNALS_KEPT);
            let writer = postgres::Writer::new(&target, signals.clone())?;
            Self::start_shared(&target, Some(writer), signals, &config)
        };
        tokio::task::spawn_blocking(open)
            .await
            .unwrap_or(Err(StoreError::Panicked))
    }

    /// Opens a schema only to look at it, as [`Store::open_to_look`] does a file.
    pub async fn open_shared_to_look(
        url: &PostgresUrl,
        schema: &str,
        migrations: &'static [&'static str],
        config: Config,
    ) -> Result<Store, StoreError> {
        let target = Arc::new(postgres::Target::new(url, schema)?);
        let open = move || {
            postgres::is_current(&target, migrations.len())?;
            Self::start_shared(&target, None, broadcast::channel(1).0, &config)
        };
        tokio::task::spawn_blocking(open)
            .await
            .unwrap_or(Err(StoreError::Panicked))
    }

    fn start_shared(
        target: &Arc<postgres::Target>,
        writer: Option<postgres::Writer>,
        signals: broadcast::Sender<Signal>,
        config: &Config,
    ) -> Result<Store, StoreError> {
        let readers = postgres::Reader::new(target, config.connections())?;
        let place = Place::Postgres(target.url.clone());
        let group = postgres::group(config.group);
        let config = Config {
            group,
            ..config.clone()
        };
        Self::start(place, target.schema(), writer, readers, signals, &config)
    }

    /// Starts the threads: the configured readers, and the rest for surveys. Without a writer there is nobody at the
    /// other end of the writes.
    fn start<W: writer::Commits>(
        place: Place,
        name: &str,
        writer: Option<W>,
        mut readers: Vec<impl reader::Looks>,
        signals: broadcast::Sender<Signal>,
        config: &Config,
    ) -> Result<Store, StoreError> {
        let failed = |source| StoreError::Prepare {
            place: place.clone(),
            source: Arc::new(source),
        };
        let queue = config.queue.max(1);
        let surveyors = readers.split_off(readers.len().min(config.readers.max(1)));
        let count = readers.len();
        let (reads, orders) = mpsc::channel(queue);
        reader::start(readers, orders).map_err(failed)?;
        let (surveys, orders) = mpsc::channel(queue);
        reader::start(surveyors, orders).map_err(failed)?;
        let (writes, orders) = mpsc::channel(queue);
        if let Some(writer) = writer {
            writer::start(writer, name, orders, config.group).map_err(failed)?;
        }
        Ok(Store {
            shared: Arc::new(Shared {
                writes,
                reads,
                readers: count,
                surveys,
                signals,
                is_shared: matches!(place, Place::Postgres(_)),
                name: name.to_owned(),
            }),
        })
    }

    /// Runs `change` inside the writer's next commit and answers once that commit is on disk.
    ///
    /// An `Err` of `change` rolls back what it did and comes back as [`WriteError::Refused`]. `change` runs on the
    /// writer thread: it must be short, and must not end the transaction by SQL of its own. Deferred constraints do not
    /// belong in a schema here: they fail only at the commit, and with it everybody in the group.
    ///
    /// Dropping the returned future does not undo the write: whether it happened is then unknown to the caller.
    pub async fn write<T, E>(
        &self,
        change: impl FnOnce(&Change<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static + From<SqlError>,
    {
        let (order, answered) = order(change);
        self.shared.writes.send(order).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// The same for new work, which may be refused: [`StoreError::Busy`] at once when the queue is full.
    pub async fn try_write<T, E>(
        &self,
        change: impl FnOnce(&Change<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static + From<SqlError>,
    {
        let (order, answered) = order(change);
        self.shared.writes.try_send(order).map_err(StoreError::from)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `look` over one consistent snapshot on a reader thread. It sees every write that was answered before.
    pub async fn read<T, E>(
        &self,
        look: impl FnOnce(&Look<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static + From<SqlError>,
    {
        look_by(&self.shared.reads, look).await
    }

    /// The same for a look at very many rows: on a reader of its own, one after the other, so that no [`Store::read`]
    /// waits for it, however long it takes.
    pub async fn survey<T, E>(
        &self,
        look: impl FnOnce(&Look<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, WriteError<E>>
    where
        T: Send + 'static,
        E: Send + 'static + From<SqlError>,
    {
        look_by(&self.shared.surveys, look).await
    }

    /// Shows in the metrics how large the database is, without what waits in its log.
    pub async fn measure(&self) -> Result<(), WriteError<SqlError>> {
        let size = match self.is_shared() {
            true => metrics::SIZE_OF_SCHEMA,
            false => metrics::SIZE_OF_FILE,
        };
        let octets = self.read(move |look| look.first(size, &[], |row| row.at::<i64>(0)));
        let octets = octets.await?.unwrap_or_default();
        metrics::SIZE
            .gauge(&[self.shared.name.clone().into()])
            .set(octets as f64);
        Ok(())
    }

    /// Whether other processes may write to the same database at the same time.
    pub fn is_shared(&self) -> bool {
        self.shared.is_shared
    }

    /// What other processes at the same database signal from now on; nothing where nobody shares it.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.shared.signals.subscribe()
    }

    /// Finishes what is queued and closes the database; a file is complete then and may be opened again.
    pub async fn close(self) {
        let readers = std::iter::repeat_n(&self.shared.reads, self.shared.readers);
        for reader in readers.chain([&self.shared.surveys]) {
            let (ended, end) = oneshot::channel();
            if reader.send(reader::Order::Stop(ended)).await.is_ok() {
                // An error means that the thread is gone, which is what was asked for.
                let _ = end.await;
            }
        }
        let (ended, end) = oneshot::channel();
        if self.shared.writes.send(writer::Order::Stop(ended)).await.is_ok() {
            let _ = end.await;
        }
    }
}

async fn look_by<T, E>(
    readers: &mpsc::Sender<reader::Order>,
    look: impl FnOnce(&Look<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, WriteError<E>>
where
    T: Send + 'static,
    E: Send + 'static + From<SqlError>,
{
    let (answer, answered) = oneshot::channel();
    let order = reader::Order::Run(Box::new(ReadJob(Job::new(look, answer))));
    readers.send(order).await.map_err(|_| StoreError::Closed)?;
    answered.await.map_err(|_| StoreError::Closed)?
}

fn order<T, E>(
    change: impl FnOnce(&Change<'_>) -> Result<T, E> + Send + 'static,
) -> (writer::Order, oneshot::Receiver<Result<T, WriteError<E>>>)
where
    T: Send + 'static,
    E: Send + 'static + From<SqlError>,
{
    let (answer, answered) = oneshot::channel();
    (
        writer::Order::Run(Box::new(WriteJob(Job::new(change, answer)))),
        answered,
    )
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
