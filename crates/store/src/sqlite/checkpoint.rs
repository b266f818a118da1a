//! Copying the write-ahead log into the file, in steps beside the writer.
//!
//! A passive checkpoint on another connection blocks nobody, but under steady load it never reaches the end of the log,
//! so the log would grow without bound. When it is longer than allowed the writer itself finishes the rest, which by
//! then is little.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::connection;
use crate::error::StoreError;
use crate::{Config, Place};

/// How long the writer stands still for readers when it empties the log; what is left over waits for the next time.
const PATIENCE: Duration = Duration::from_millis(250);

pub(crate) struct Checkpointer {
    /// Holds at most one reminder that something was committed.
    wake: SyncSender<()>,
    /// Dropped to end a pause early.
    end: SyncSender<()>,
    overlong: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    pub(crate) fn start(path: &Path, config: &Config) -> Result<Self, StoreError> {
        let connection = connection::open_for_checkpoints(path)?;
        let (wake, woken) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let overlong = Arc::new(AtomicBool::new(false));
        let steps = Steps {
            overlong: Arc::clone(&overlong),
            pause: config.checkpoint_pause,
            limit: config.wal_pages,
        };
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || steps.run(&connection, &woken, &ended))
            .map_err(|source| StoreError::Prepare {
                place: Place::File(path.to_owned()),
                source: Arc::new(source),
            })?;
        Ok(Self {
            wake,
            end,
            overlong,
            thread,
        })
    }

    /// Called by the writer after each commit, with its own connection.
    pub(crate) fn committed(&self, writer: &Connection) {
        // Full means that a reminder already waits.
        let _ = self.wake.try_send(());
        if self.overlong.swap(false, Ordering::Relaxed)
            && let Err(error) = complete(writer)
        {
            tracing::warn!(%error, "the write-ahead log could not be emptied; it keeps growing");
        }
    }

    /// Ends the thread and closes its connection.
    pub(crate) fn stop(self) {
        drop(self.wake);
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("the checkpoint thread had panicked");
        }
    }
}

struct Steps {
    overlong: Arc<AtomicBool>,
    pause: Duration,
    limit: u32,
}

impl Steps {
    fn run(&self, connection: &Connection, woken: &Receiver<()>, ended: &Receiver<()>) {
        while woken.recv().is_ok() {
            match step(connection) {
                Ok(pages) if pages > i64::from(self.limit) => self.overlong.store(true, Ordering::Relaxed),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a checkpoint step failed; the log keeps what it did not copy"),
            }
            if !matches!(ended.recv_timeout(self.pause), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }
}

/// Copies what can be copied without waiting for anybody; the length of the log in pages.
fn step(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}

/// Copies all of the log and empties it, unless readers keep it busy for longer than [`PATIENCE`]. Holds up whoever
/// wants to write, so only the writer calls it, between two commits.
pub(crate) fn complete(writer: &Connection) -> Result<(), rusqlite::Error> {
    writer.busy_timeout(PATIENCE)?;
    let copied = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    writer.busy_timeout(connection::BUSY)?;
    copied
}
