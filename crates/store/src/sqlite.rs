//! SQLite: one file, one process that writes to it.
//!
//! Guarantees: WAL with `synchronous = FULL`, so a commit that was answered is on disk; after an I/O error nothing more
//! is written until the file is opened anew, because what the disk holds is then unknown.

mod checkpoint;
pub(crate) mod connection;
mod upkeep;

use std::fs::File;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::mpsc;

use self::checkpoint::Checkpointer;
pub use self::upkeep::{Integrity, copy, integrity};
use crate::Config;
use crate::error::StoreError;
use crate::job::{Read, Verdict, Write};
use crate::reader::Looks;
use crate::sql::{Change, Look};
use crate::value::{Param, Value};
use crate::writer::{Commits, Order};

/// The clock of this host: nobody else writes to the file.
pub(crate) fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The one that writes.
pub(crate) struct Writer {
    connection: Connection,
    checkpointer: Checkpointer,
    lock: File,
    /// The I/O error after which nothing more is written.
    failure: Option<StoreError>,
}

impl Writer {
    /// Takes the lock, opens the file and brings its tables up to date.
    pub(crate) fn open(path: &Path, migrations: &[&str], config: &Config) -> Result<Self, StoreError> {
        let lock = connection::lock(path)?;
        let mut connection = connection::open_for_writing(path)?;
        connection::migrate(&mut connection, migrations)?;
        Ok(Self {
            connection,
            checkpointer: Checkpointer::start(path, config)?,
            lock,
            failure: None,
        })
    }
}

impl Commits for Writer {
    fn next(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<Order> {
        orders.blocking_recv()
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Write>]) -> Result<(), StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let committed = run_group(&mut self.connection, jobs);
        if let Err(failure @ StoreError::Disk(_)) = &committed {
            tracing::error!(error = %failure, code = failure.code(), "nothing more is written to this file");
            self.failure = Some(failure.clone());
        }
        committed
    }

    fn answered(&mut self) {
        self.checkpointer.committed(&self.connection);
    }

    fn close(self) {
        self.checkpointer.stop();
        if self.failure.is_none()
            && let Err(error) = checkpoint::complete(&self.connection)
        {
            tracing::warn!(%error, "the log was not copied into the file on closing; the next opening will do it");
        }
        drop(self.connection);
        drop(self.lock);
    }
}

fn run_group(connection: &mut Connection, jobs: &mut [Box<dyn Write>]) -> Result<(), StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(StoreError::of_sqlite)?;
    for job in jobs.iter_mut() {
        run_one(&transaction, job.as_mut()).map_err(StoreError::of_sqlite)?;
    }
    transaction.commit().map_err(StoreError::of_sqlite)
}

/// One job between its savepoints. `Err` means that the transaction as a whole is lost.
fn run_one(transaction: &Transaction<'_>, job: &mut dyn Write) -> Result<(), rusqlite::Error> {
    transaction.prepare_cached("SAVEPOINT one")?.execute([])?;
    let verdict = job.run(&Change::at_sqlite(transaction));
    // SQLite ends a transaction by itself after some errors (a full disk among them). Going on would then commit every
    // later statement on its own and answer for earlier ones that are gone: ROLLBACK TO fails and ends the group.
    if verdict == Verdict::RollBack {
        transaction.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    transaction.prepare_cached("RELEASE one")?.execute([])?;
    Ok(())
}

/// One that only looks.
pub(crate) struct Reader(Connection);

impl Reader {
    /// As many as are asked for.
    pub(crate) fn open(path: &Path, readers: usize) -> Result<Vec<Self>, StoreError> {
        (0..readers)
            .map(|_| connection::open_for_reading(path).map(Self))
            .collect()
    }
}

impl Looks for Reader {
    fn look(&mut self, mut job: Box<dyn Read>) {
        // one transaction, so that several statements see the same moment; dropping it ends it
        let looked = self
            .0
            .unchecked_transaction()
            .map(|snapshot| job.run(&Look::at_sqlite(&snapshot)));
        job.answer(looked.map_err(StoreError::of_sqlite));
    }

    fn close(self) {}
}

/// What SQLite holds in a column; `None` for what no table of ours has.
pub(crate) fn value(value: ValueRef<'_>) -> Option<Value<'_>> {
    match value {
        ValueRef::Null => Some(Value::Null),
        ValueRef::Integer(number) => Some(Value::Int(number)),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().map(Value::Text),
        ValueRef::Blob(octets) => Some(Value::Octets(octets)),
        ValueRef::Real(_) => None,
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Param::Null => ValueRef::Null,
            Param::Int(number) => ValueRef::Integer(*number),
            Param::Text(text) => ValueRef::Text(text.as_bytes()),
            Param::Octets(octets) => ValueRef::Blob(octets),
        }))
    }
}
