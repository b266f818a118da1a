//! Looking after a file as a whole: whether its pages are whole, and a copy of it while it is written.
//!
//! Both work beside the process that the file belongs to, through a connection of their own, and change nothing in it.
//! Guarantees: a copy is one moment of the file, appears under its name only when it is complete and on disk, and is as
//! private as the original. A look at integrity ends when its time is up, and says so. A large copy holds one snapshot for
//! as long as it takes: the write-ahead log grows meanwhile. Both block; they belong on a thread of their own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::{self, suffixed};
use crate::error::StoreError;
use crate::{Place, SqlError};

/// How many findings of a damaged file are told; the first says enough.
const FINDINGS: u32 = 5;

/// Whether the pages of a file are whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// Every page that was looked at, and all were.
    Whole,
    /// What SQLite found; names of tables and numbers of pages, never contents.
    Damaged(Vec<String>),
    /// The time was up before the end; nothing wrong was found until then.
    Unfinished,
}

/// Looks at the structure of every page of the file, for at most `limit`.
pub fn integrity(path: &Path, limit: Duration) -> Result<Integrity, StoreError> {
    let connection = match connection::open_for_reading(path) {
        Ok(connection) => connection,
        Err(StoreError::Open { source, .. }) if matches!(&*source, SqlError::Sqlite(error) if is_damage(error)) => {
            return Ok(Integrity::Damaged(vec![source.to_string()]));
        }
        Err(error) => return Err(error),
    };
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = channel::<()>();
    let watch = std::thread::spawn(move || {
        if is_done
            .recv_timeout(limit)
            .is_err_and(|waited| waited == std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            interrupt.interrupt();
        }
    });
    let found = quick_check(&connection);
    drop(done);
    // it only waits and interrupts, so it cannot have panicked
    let _ = watch.join();
    match found {
        Ok(found) if found == ["ok"] => Ok(Integrity::Whole),
        Ok(found) => Ok(Integrity::Damaged(found)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(Integrity::Unfinished),
        Err(error) if is_damage(&error) => Ok(Integrity::Damaged(vec![error.to_string()])),
        Err(source) => Err(StoreError::Open {
            place: Place::File(path.to_owned()),
            source: Arc::new(source.into()),
        }),
    }
}

fn quick_check(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({FINDINGS})"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Copies the file `from`, as it is at this moment, to `to`, which must not exist, and runs `mark` in the copy before
/// anybody can see it. The length of the copy in octets.
pub fn copy(from: &Path, to: &Path, mark: &str) -> Result<u64, StoreError> {
    let prepare = |source: std::io::Error| StoreError::Prepare {
        place: Place::File(to.to_owned()),
        source: Arc::new(source),
    };
    if to.exists() {
        return Err(prepare(std::io::ErrorKind::AlreadyExists.into()));
    }
    let part = suffixed(to, ".part");
    let private = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part);
    private.map_err(prepare)?;
    let copied = copy_into(from, &part, mark).map_err(|source| StoreError::Open {
        place: Place::File(from.to_owned()),
        source: Arc::new(source.into()),
    });
    if let Err(error) = copied {
        // what is left of it is of no use, and says so by its name
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    let published = || -> std::io::Result<u64> {
        let file = File::open(&part)?;
        file.sync_all()?;
        // a link, not a rename: a file that somebody put there meanwhile stays
        std::fs::hard_link(&part, to)?;
        std::fs::remove_file(&part)?;
        let folder = to
            .parent()
            .filter(|folder| *folder != Path::new(""))
            .unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Ok(file.metadata()?.len())
    };
    published().map_err(prepare)
}

fn copy_into(from: &Path, part: &Path, mark: &str) -> Result<(), rusqlite::Error> {
    let reading = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, reading)?;
    source.busy_timeout(connection::BUSY)?;
    source.execute("VACUUM INTO ?", [part.to_string_lossy().as_ref()])?;
    drop(source);
    let copy = Connection::open_with_flags(
        part,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    copy.execute_batch(&format!(
        "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; {mark};"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{Config, SqlError, Store, params};

    const TABLE: &[&str] = &["CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"];

    async fn filled(path: &Path) -> Store {
        let store = Store::open(path, TABLE, Config::default()).unwrap();
        let fill = |change: &crate::Change<'_>| {
            for id in 0..500_i64 {
                change.run("INSERT INTO t VALUES (?, ?)", params![id, "x".repeat(200)])?;
            }
            Ok::<_, SqlError>(())
        };
        store.write(fill).await.unwrap();
        store
    }

    #[tokio::test]
    async fn a_copy_is_whole_private_marked_and_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a.sqlite"), dir.path().join("b.sqlite"));
        let store = filled(&from).await;
        // beside the process that goes on writing
        let length = copy(&from, &to, "UPDATE t SET text = 'marked' WHERE id = 0").unwrap();
        assert!(length > 100_000);
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(copy(&from, &to, "SELECT 1").is_err(), "it is there already");
        let again = Store::open(&to, TABLE, Config::default()).unwrap();
        let counted = |look: &crate::Look<'_>| {
            look.first("SELECT count(*), min(text) FROM t", params![], |row| {
                Ok::<_, SqlError>((row.at::<i64>(0)?, row.at::<String>(1)?))
            })
        };
        assert_eq!(again.read(counted).await.unwrap(), Some((500, "marked".to_owned())));
        assert_ne!(
            store.read(counted).await.unwrap().unwrap().1,
            "marked",
            "the original is as it was"
        );
        let names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert!(
            !names.iter().any(|name| name.to_string_lossy().ends_with(".part")),
            "{names:?}"
        );
        again.close().await;
        store.close().await;
    }

    #[tokio::test]
    async fn a_page_that_was_overwritten_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        filled(&path).await.close().await;
        assert_eq!(integrity(&path, Duration::from_secs(60)).unwrap(), Integrity::Whole);
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(4096 * 5)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
        drop(file);
        let found = integrity(&path, Duration::from_secs(60)).unwrap();
        assert!(
            matches!(&found, Integrity::Damaged(what) if !what.is_empty()),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_no_database_is_damage_and_what_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        std::fs::write(&path, vec![0x11; 8192]).unwrap();
        assert!(matches!(
            integrity(&path, Duration::from_secs(9)),
            Ok(Integrity::Damaged(_))
        ));
        assert!(integrity(&dir.path().join("none"), Duration::from_secs(9)).is_err());
    }
}
