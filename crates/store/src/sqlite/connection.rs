//! How a file is opened: the lock, the settings every connection needs, and the migrations.

use std::cmp::Ordering;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::Place;
use crate::error::StoreError;

/// Readers and the checkpointer wait this long for a moment of SQLite's own locks.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// Takes the lock that keeps a second opener out; it ends with the returned file, or with the process.
///
/// The lock lies on a file beside the database: closing any other handle of the database file itself would drop
/// SQLite's own POSIX locks for the whole process.
pub(crate) fn lock(path: &Path) -> Result<File, StoreError> {
    let beside = suffixed(path, ".lock");
    let prepare = |source| StoreError::Prepare {
        place: Place::File(beside.clone()),
        source: Arc::new(source),
    };
    // Nobody but the owner may read the file; SQLite gives its log the same rights.
    let private = |path: &Path| {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
    };
    private(path).map_err(prepare)?;
    let file = private(&beside).map_err(prepare)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(prepare(source)),
    }
}

/// The writer's connection; creates the file.
pub(crate) fn open_for_writing(path: &Path) -> Result<Connection, StoreError> {
    let settings = "PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        PRAGMA foreign_keys = ON;
        PRAGMA secure_delete = ON;
        PRAGMA wal_autocheckpoint = 0;
        PRAGMA journal_size_limit = 67108864;
        PRAGMA cache_size = -65536;
        PRAGMA trusted_schema = OFF;";
    open(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        settings,
    )
}

/// A connection that copies the log into the file.
pub(crate) fn open_for_checkpoints(path: &Path) -> Result<Connection, StoreError> {
    let settings = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;";
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, settings)
}

/// A reader's connection; cannot write whatever SQL it is handed.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    open(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY,
        "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;",
    )
}

fn open(path: &Path, flags: OpenFlags, settings: &str) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(settings)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(|source| StoreError::Open {
        place: Place::File(path.to_owned()),
        source: Arc::new(source.into()),
    })
}

/// Whether the file is of just the version that this program knows: who only looks cannot migrate it.
pub(crate) fn is_current(path: &Path, known: usize) -> Result<(), StoreError> {
    let connection = open_for_reading(path)?;
    let found = version(&connection).map_err(|source| StoreError::Open {
        place: Place::File(path.to_owned()),
        source: Arc::new(source.into()),
    })?;
    let place = Place::File(path.to_owned());
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::Newer { place, found, known }),
        Ordering::Less => Err(StoreError::Older { place, found, known }),
    }
}

/// How many migrations a file has seen. A negative version is nothing this program ever wrote: it counts as newer than
/// anything, so it is never migrated over.
fn version(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// Runs the migrations the file has not seen, forward only.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let path: PathBuf = connection.path().map(PathBuf::from).unwrap_or_default();
    let failed = |source: rusqlite::Error| StoreError::Open {
        place: Place::File(path.clone()),
        source: Arc::new(source.into()),
    };
    let found = version(connection).map_err(failed)?;
    if found > migrations.len() {
        return Err(StoreError::Newer {
            place: Place::File(path),
            found,
            known: migrations.len(),
        });
    }
    for (before, migration) in migrations.iter().enumerate().skip(found) {
        let mut step = || -> Result<(), rusqlite::Error> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(migration)?;
            transaction.execute_batch(&format!("PRAGMA user_version = {}", before + 1))?;
            transaction.commit()
        };
        step().map_err(failed)?;
    }
    Ok(())
}

/// The path of a file that belongs to `path`, e.g. its lock or its log.
pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
