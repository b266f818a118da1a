//! One SQLite file with one writer thread and grouped commits.
//!
//! What it is for: every record of Viereck that must not be lost (journals, the embedded link) lives in such a file.
//!
//! What it guarantees:
//! - a [`Store::write`] answers only after the commit that contains it is on disk (WAL, `synchronous = FULL`);
//! - writes that arrive together share one commit, yet each stands alone: one that refuses or panics is rolled back
//!   without the others noticing;
//! - a commit that fails fails for everybody in it, and after an I/O error nothing more is written until the file is
//!   opened anew, because what the disk holds is then unknown;
//! - memory is bounded: the queue never grows; who may say no gets [`StoreError::Busy`] from [`Store::try_write`], who
//!   must not waits;
//! - one process at a time, beside any number that only look ([`Store::open_to_look`]); a file written by a newer
//!   release is refused.
//!
//! What it deliberately does not do: know any table, retry on its own, or let a second writer in.

mod checkpoint;
mod connection;
mod error;
mod job;
pub mod metrics;
mod reader;
mod sql;
mod upkeep;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

pub use error::{StoreError, WriteError};
pub use sql::{Change, FromValue, Look, Param, Row, SqlError, ToParam, Value};
pub use upkeep::{Integrity, copy, integrity};

use crate::job::{ReadJob, WriteJob};

/// The bounds of one store.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many writes may wait for the writer; one more waits for a place, or is [`StoreError::Busy`].
    pub queue: usize,
    /// How many writes share one commit at most.
    pub group: usize,
    /// Reader threads, each with a connection of its own; at least one.
    pub readers: usize,
    /// The pause between two checkpoint steps while there is something to do.
    pub checkpoint_pause: Duration,
    /// A write-ahead log longer than this many pages of 4 KiB makes the writer wait for one complete checkpoint:
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

/// One open file. Clones share it; [`Store::close`] on any of them closes it for all.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    writes: mpsc::Sender<writer::Order>,
    reads: mpsc::Sender<reader::Order>,
    readers: usize,
    signals: broadcast::Sender<Signal>,
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
        let lock = connection::lock(path)?;
        let mut connection = connection::open_for_writing(path)?;
        connection::migrate(&mut connection, migrations)?;

        let readers = config.readers.max(1);
        let (reads, orders) = mpsc::channel(config.queue.max(1));
        reader::start(path, readers, orders)?;
        let (writes, orders) = mpsc::channel(config.queue.max(1));
        writer::start(path, connection, lock, orders, &config)?;
        Ok(Store {
            shared: Arc::new(Shared {
                writes,
                reads,
                readers,
                signals: broadcast::channel(SIGNALS_KEPT).0,
            }),
        })
    }

    /// Opens a file only to look at it, while the process that it belongs to goes on writing.
    ///
    /// It takes no lock and changes nothing; every write is [`StoreError::Closed`]. A file of another version than
    /// `migrations` make is refused.
    pub fn open_to_look(path: &Path, migrations: &'static [&'static str], config: Config) -> Result<Store, StoreError> {
        connection::is_current(path, migrations.len())?;
        let readers = config.readers.max(1);
        let (reads, orders) = mpsc::channel(config.queue.max(1));
        reader::start(path, readers, orders)?;
        // nobody at the other end: there is no writer
        let (writes, _) = mpsc::channel(1);
        Ok(Store {
            shared: Arc::new(Shared {
                writes,
                reads,
                readers,
                signals: broadcast::channel(SIGNALS_KEPT).0,
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
        let (answer, answered) = oneshot::channel();
        let order = reader::Order::Run(Box::new(ReadJob::new(look, answer)));
        self.shared.reads.send(order).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Whether other processes may write to the same database at the same time.
    pub fn is_shared(&self) -> bool {
        false
    }

    /// What other processes at the same database signal from now on; nothing where nobody shares it.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.shared.signals.subscribe()
    }

    /// Finishes what is queued, copies the log into the file, closes it and gives up the lock.
    ///
    /// Returns when all of that is done; the same path may be opened again afterwards.
    pub async fn close(self) {
        for _ in 0..self.shared.readers {
            let (ended, end) = oneshot::channel();
            if self.shared.reads.send(reader::Order::Stop(ended)).await.is_ok() {
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

fn order<T, E>(
    change: impl FnOnce(&Change<'_>) -> Result<T, E> + Send + 'static,
) -> (writer::Order, oneshot::Receiver<Result<T, WriteError<E>>>)
where
    T: Send + 'static,
    E: Send + 'static + From<SqlError>,
{
    let (answer, answered) = oneshot::channel();
    (writer::Order::Run(Box::new(WriteJob::new(change, answer))), answered)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
