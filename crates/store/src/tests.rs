//! What a store promises, tried with a real file.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::*;

const TABLES: &[&str] = &["
    CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE child (
        id     INTEGER PRIMARY KEY,
        parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED
    ) STRICT;
    CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL) STRICT;
"];

type Refusal = SqlError;

/// A refusal of the work itself.
fn refusal() -> Refusal {
    SqlError::from(rusqlite::Error::InvalidQuery)
}

fn open(path: &Path) -> Store {
    Store::open(path, TABLES, Config::default()).unwrap()
}

fn insert(text: String) -> impl FnOnce(&Change<'_>) -> Result<(), Refusal> + Send + 'static {
    move |file| file.run("INSERT INTO entry (text) VALUES (?)", params![text]).map(drop)
}

async fn entries(store: &Store) -> Vec<String> {
    store
        .read(|file| -> Result<_, Refusal> { file.all("SELECT text FROM entry ORDER BY id", &[], |row| row.at(0)) })
        .await
        .unwrap()
}

/// Holds the writer on one job until the returned sender is dropped, so that what follows gathers into a group.
async fn hold(store: &Store) -> std::sync::mpsc::SyncSender<()> {
    let (release, released) = sync_channel::<()>(1);
    let (begun, begins) = oneshot::channel();
    let store = store.clone();
    tokio::spawn(async move {
        store
            .write(move |_| -> Result<(), Refusal> {
                let _ = begun.send(());
                let _ = released.recv();
                Ok(())
            })
            .await
    });
    begins.await.unwrap();
    release
}

#[tokio::test]
async fn writes_that_arrive_together_share_a_commit_and_stand_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.sqlite"));
    let held = hold(&store).await;
    let commits = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (store, commits) = (store.clone(), Arc::clone(&commits));
        waiting.spawn(async move {
            store
                .write(move |file| -> Result<(), Refusal> {
                    // Every fifth is refused, every seventh panics, each after having written.
                    let text = format!("{number:02}");
                    file.run("INSERT INTO entry (text) VALUES (?)", params![text])?;
                    let commit: Option<i64> = file.first("SELECT count(*) FROM parent", &[], |row| row.at(0))?;
                    commits.lock().unwrap().insert(commit);
                    assert!(number % 7 != 0, "as meant by the test");
                    if number % 5 == 0 { Err(refusal()) } else { Ok(()) }
                })
                .await
        });
    }
    drop(held);
    let (mut kept, mut refused, mut panicked) = (0, 0, 0);
    while let Some(answer) = waiting.join_next().await {
        match answer.unwrap() {
            Ok(()) => kept += 1,
            Err(WriteError::Refused(SqlError::Sqlite(rusqlite::Error::InvalidQuery))) => refused += 1,
            Err(WriteError::Store(StoreError::Panicked)) => panicked += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((kept, refused, panicked), (28, 6, 6));
    let texts: BTreeSet<_> = entries(&store).await.into_iter().collect();
    let expected = (0..40)
        .filter(|number| number % 5 != 0 && number % 7 != 0)
        .map(|number| format!("{number:02}"));
    assert_eq!(texts, expected.collect());
    store.close().await;
}

#[tokio::test]
async fn a_group_is_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.sqlite"));
    let held = hold(&store).await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                // A job sees what others of its group have written; from outside nothing of it is visible yet.
                store
                    .write(move |file| -> Result<Option<i64>, Refusal> {
                        let text = format!("{number}");
                        file.run("INSERT INTO entry (text) VALUES (?)", params![text])?;
                        file.first("PRAGMA data_version", &[], |row| row.at(0))
                    })
                    .await
            })
        })
        .collect();
    // All are queued: the tasks have run up to their first wait.
    while store.shared.writes.capacity() > store.shared.writes.max_capacity() - 20 {
        tokio::task::yield_now().await;
    }
    let log = || std::fs::metadata(folder.path().join("a.sqlite-wal")).map_or(0, |file| file.len());
    let before = log();
    drop(held);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    // Alone each would append its pages to the log anew: at least two frames of 4 KiB.
    let grown = log().saturating_sub(before);
    assert!(grown < 20 * 2 * 4096, "20 writes grew the log by {grown} bytes");
    store.close().await;
}

#[tokio::test]
async fn a_commit_that_fails_fails_for_its_whole_group_and_only_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.sqlite"));
    let held = hold(&store).await;
    let innocent = tokio::spawn({
        let store = store.clone();
        async move { store.write(insert("innocent".into())).await }
    });
    let guilty = tokio::spawn({
        let store = store.clone();
        async move {
            // The reference dangles until the commit looks at it.
            let dangling = |file: &Change<'_>| file.run("INSERT INTO child (parent) VALUES (1)", &[]).map(drop);
            store.write::<(), Refusal>(dangling).await
        }
    });
    while store.shared.writes.capacity() > store.shared.writes.max_capacity() - 2 {
        tokio::task::yield_now().await;
    }
    drop(held);
    for answer in [innocent.await.unwrap(), guilty.await.unwrap()] {
        assert!(
            matches!(answer, Err(WriteError::Store(StoreError::Commit(_)))),
            "{answer:?}"
        );
    }
    store.write(insert("later".into())).await.unwrap();
    assert_eq!(entries(&store).await, ["later"]);
    store.close().await;
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_is_not_reported_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.sqlite"));
    let held = hold(&store).await;
    let before = tokio::spawn({
        let store = store.clone();
        async move { store.write(insert("before".into())).await }
    });
    let ending = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .write::<(), Refusal>(|file| file.run("ROLLBACK", &[]).map(drop))
                .await
        }
    });
    while store.shared.writes.capacity() > store.shared.writes.max_capacity() - 2 {
        tokio::task::yield_now().await;
    }
    drop(held);
    for answer in [before.await.unwrap(), ending.await.unwrap()] {
        assert!(matches!(answer, Err(WriteError::Store(_))), "{answer:?}");
    }
    assert!(entries(&store).await.is_empty());
    store.write(insert("later".into())).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_full_disk_is_said_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.sqlite"));
    let limit = |file: &Change<'_>| file.first("PRAGMA max_page_count = 30", &[], |_| Ok(()));
    store.write::<Option<()>, Refusal>(limit).await.unwrap();
    let answer = store.write(insert("x".repeat(1 << 20))).await;
    let Err(WriteError::Refused(error)) = &answer else {
        panic!("{answer:?}")
    };
    assert!(error.is_full() && error.may_pass(), "{error}");
    store.write(insert("small".into())).await.unwrap();
    assert_eq!(entries(&store).await, ["small"]);
    store.close().await;
}

#[tokio::test]
async fn a_full_queue_refuses_new_work_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        queue: 3,
        ..Config::default()
    };
    let store = Store::open(&folder.path().join("a.sqlite"), TABLES, config).unwrap();
    let held = hold(&store).await;
    let waiting: Vec<_> = (0..3)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.write(insert(format!("{number}"))).await })
        })
        .collect();
    while store.shared.writes.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let answer = store.try_write(insert("too many".into())).await;
    assert!(matches!(answer, Err(WriteError::Store(StoreError::Busy))), "{answer:?}");
    drop(held);
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(entries(&store).await.len(), 3);
    store.close().await;
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_frees_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let store = open(&path);
    let held = hold(&store).await;
    let write = tokio::spawn({
        let store = store.clone();
        async move { store.write(insert("queued".into())).await }
    });
    while store.shared.writes.capacity() == store.shared.writes.max_capacity() {
        tokio::task::yield_now().await;
    }
    drop(held);
    store.clone().close().await;
    write.await.unwrap().unwrap();
    let answer = store.write(insert("after".into())).await;
    assert!(
        matches!(answer, Err(WriteError::Store(StoreError::Closed))),
        "{answer:?}"
    );
    let answer = store.read(|_| Ok::<_, Refusal>(())).await;
    assert!(
        matches!(answer, Err(WriteError::Store(StoreError::Closed))),
        "{answer:?}"
    );
    assert!(
        !folder.path().join("a.sqlite-wal").exists(),
        "the log was not copied into the file"
    );
    let store = open(&path);
    assert_eq!(entries(&store).await, ["queued"]);
    store.close().await;
}

#[tokio::test]
async fn a_second_opener_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let store = open(&path);
    let second = Store::open(&path, TABLES, Config::default());
    let Err(error @ StoreError::InUse { .. }) = second else {
        panic!("{second:?}")
    };
    assert!(
        error.to_string().contains("a.sqlite is in use by another process"),
        "{error}"
    );
    store.write(insert("still works".into())).await.unwrap();
    store.close().await;
    open(&path).close().await;
}

#[tokio::test]
async fn nobody_but_the_owner_may_read_the_file_and_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.sqlite"));
    store.write(insert("private".to_owned())).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "file, log and lock");
    for file in files {
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            file.path()
        );
    }
    store.close().await;
}

#[tokio::test]
async fn who_only_looks_sees_what_is_written_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    assert!(
        Store::open_to_look(&path, TABLES, Config::default()).is_err(),
        "looking makes no file"
    );
    let owner = open(&path);
    owner.write(insert("first".to_owned())).await.unwrap();
    let onlooker = Store::open_to_look(&path, TABLES, Config::default()).unwrap();
    owner.write(insert("second".to_owned())).await.unwrap();
    assert_eq!(entries(&onlooker).await, ["first", "second"]);
    let refused = onlooker.write(insert("third".to_owned())).await;
    assert!(
        matches!(refused, Err(WriteError::Store(StoreError::Closed))),
        "{refused:?}"
    );
    onlooker.close().await;
    owner.write(insert("third".to_owned())).await.unwrap();
    owner.close().await;

    // after its owner has gone, and by a program of another version
    let onlooker = Store::open_to_look(&path, TABLES, Config::default()).unwrap();
    assert_eq!(entries(&onlooker).await.len(), 3);
    onlooker.close().await;
    let other = Store::open_to_look(&path, &["SELECT 1", "SELECT 1"], Config::default());
    assert!(
        matches!(other, Err(StoreError::Older { found: 1, known: 2, .. })),
        "{other:?}"
    );
}

#[tokio::test]
async fn migrations_run_once_in_order_and_never_back() {
    const FIRST: &[&str] = &["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);"];
    const SECOND: &[&str] = &[FIRST[0], "UPDATE a SET x = x * 10;", "UPDATE a SET x = x + 2;"];
    const BROKEN: &[&str] = &[
        SECOND[0],
        SECOND[1],
        SECOND[2],
        "UPDATE a SET x = 0; CREATE TABLE a (y);",
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let value = async |store: &Store| {
        let look = |file: &Look<'_>| file.first("SELECT x FROM a", &[], |row| row.at(0));
        store.read::<Option<i64>, Refusal>(look).await.unwrap()
    };
    for migrations in [FIRST, FIRST, SECOND, SECOND] {
        let store = Store::open(&path, migrations, Config::default()).unwrap();
        assert_eq!(value(&store).await, Some(if migrations.len() == 1 { 1 } else { 12 }));
        store.close().await;
    }
    let older = Store::open(&path, FIRST, Config::default());
    assert!(
        matches!(older, Err(StoreError::Newer { found: 3, known: 1, .. })),
        "{older:?}"
    );
    let broken = Store::open(&path, BROKEN, Config::default());
    assert!(matches!(broken, Err(StoreError::Open { .. })), "{broken:?}");
    let store = Store::open(&path, SECOND, Config::default()).unwrap();
    assert_eq!(value(&store).await, Some(12), "half a migration was kept");
    store.close().await;
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    std::fs::write(&path, "not a database, but long enough to look at. ".repeat(50)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&path, TABLES, Config::default());
    assert!(matches!(refused, Err(StoreError::Open { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let absent = Store::open(
        &folder.path().join("no/such/folder/a.sqlite"),
        TABLES,
        Config::default(),
    );
    assert!(matches!(absent, Err(StoreError::Prepare { .. })), "{absent:?}");
}

#[tokio::test]
async fn a_reader_cannot_write_and_does_not_wait_for_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.sqlite"));
    store.write(insert("seen".into())).await.unwrap();
    let held = hold(&store).await;
    assert_eq!(entries(&store).await, ["seen"]);
    let answer = store
        .read(|file| file.first("DELETE FROM entry RETURNING id", &[], |row| row.at::<i64>(0)))
        .await;
    assert!(matches!(answer, Err(WriteError::Refused(_))), "{answer:?}");
    let answer = store
        .read(|_| -> Result<(), Refusal> { panic!("as meant by the test") })
        .await;
    assert!(
        matches!(answer, Err(WriteError::Store(StoreError::Panicked))),
        "{answer:?}"
    );
    drop(held);
    assert_eq!(entries(&store).await, ["seen"]);
    store.close().await;
}

#[tokio::test]
async fn no_read_waits_for_a_survey() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a.sqlite"));
    let count = |file: &Look<'_>| file.first("SELECT count(*) FROM entry", &[], |row| row.at::<i64>(0));
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let long = move |file: &Look<'_>| {
        count(file)?;
        let _ = begun.send(());
        let _ = may_go.recv();
        count(file)
    };
    let surveying = tokio::spawn({
        let store = store.clone();
        async move { store.survey::<_, Refusal>(long).await }
    });
    has_begun.await.unwrap();
    let behind = tokio::spawn({
        let store = store.clone();
        async move { store.survey::<_, Refusal>(count).await }
    });
    let meanwhile = 2 * Config::default().readers;
    for number in 0..meanwhile {
        store.write(insert(number.to_string())).await.unwrap();
        assert_eq!(entries(&store).await.len(), number + 1);
    }
    assert!(!behind.is_finished(), "one after the other");
    drop(go);
    assert_eq!(surveying.await.unwrap().unwrap(), Some(0), "of one moment");
    assert_eq!(behind.await.unwrap().unwrap(), Some(meanwhile as i64));
    store.close().await;
}

#[tokio::test]
async fn what_is_deleted_is_nowhere_in_the_file_or_its_log() {
    const SECRET: &str = "what nobody may read any more";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let store = open(&path);
    let stands = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
        let octets = files.map(|file| std::fs::read(file.path()).unwrap());
        let mut parts = octets.map(|octets| octets.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
        parts.any(|found| found)
    };
    // longer than a page, so that it lies on pages of its own as well
    store.write(insert(SECRET.repeat(400))).await.unwrap();
    store.write(insert("beside it".to_owned())).await.unwrap();
    assert!(stands(), "it is looked for in the right place");
    let deleted = store.write(|file| file.run("DELETE FROM entry WHERE text <> 'beside it'", &[]));
    assert_eq!(deleted.await.unwrap(), 1);
    assert_eq!(entries(&store).await, ["beside it"]);
    // closing copies the log into the file and empties it
    store.close().await;
    assert!(!stands());
}

#[tokio::test]
async fn the_log_stays_bounded_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let config = Config {
        checkpoint_pause: Duration::from_millis(1),
        wal_pages: 100,
        ..Config::default()
    };
    let store = Store::open(&path, TABLES, config).unwrap();
    let (mut longest, mut written) = (0, 0_u64);
    for number in 0..2_000 {
        store.write(insert(format!("{number:0>8000}"))).await.unwrap();
        written += 8_000;
        longest = longest.max(std::fs::metadata(folder.path().join("a.sqlite-wal")).unwrap().len());
    }
    assert!(
        longest < written / 4,
        "the log grew to {longest} bytes for {written} written"
    );
    assert_eq!(entries(&store).await.len(), 2_000);
    store.close().await;
}

/// Not a test of its own: the process that [`what_was_answered_survives_kill_9`] kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os("VIERECK_STORE_TEST_FILE") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&path));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let store = store.clone();
            writers.spawn(async move {
                for number in 0.. {
                    let text = format!("{writer}-{number}");
                    store.write(insert(text.clone())).await.unwrap();
                    println!("written {text}");
                }
            });
        }
        writers.join_next().await;
    });
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::child_that_writes_until_it_is_killed", "--nocapture"])
        .env("VIERECK_STORE_TEST_FILE", &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answered: BTreeSet<String> = BTreeSet::new();
    let mut note = |line: std::io::Result<String>| {
        // The last line may be cut off in the middle; then its write was answered, but we do not know which it was.
        if let Some((_, text)) = line.unwrap_or_default().split_once("written ") {
            answered.insert(text.to_owned());
        }
        answered.len()
    };
    while note(lines.next().expect("the child ended by itself")) < 500 {}
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest: Vec<_> = lines.collect();
    rest.pop();
    for line in rest {
        note(line);
    }
    let store = open(&path);
    let kept: BTreeSet<_> = entries(&store).await.into_iter().collect();
    let lost: Vec<_> = answered.difference(&kept).collect();
    println!("answered {}, kept {}, lost {}", answered.len(), kept.len(), lost.len());
    assert!(lost.is_empty(), "answered and lost: {lost:?}");
    store.close().await;
}
