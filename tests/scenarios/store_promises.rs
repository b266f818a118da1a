//! What a store promises it promises for a file and for a schema of a server alike: one body of tests for both, with a
//! real PostgreSQL. What only a shared store promises stands in `store_shared`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use viereck_store::{Change, Config, Look, PostgresUrl, SqlError, Store, StoreError, WriteError, params};

const TABLES: &[&str] = &["
    CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE child (
        id     INTEGER PRIMARY KEY,
        parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED
    ) STRICT;
    CREATE TABLE entry (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT UNIQUE NOT NULL) STRICT;
    CREATE TABLE kind (whole INTEGER, words TEXT, octets BLOB) STRICT;
"];

/// Somewhere a store can be opened, more than once.
#[derive(Clone)]
pub(crate) enum Somewhere {
    File(PathBuf),
    Server(PostgresUrl),
}

const SCHEMA: &str = "store-test_1";

impl Somewhere {
    async fn try_open(&self, migrations: &'static [&'static str], config: Config) -> Result<Store, StoreError> {
        match self {
            Self::File(path) => Store::open(path, migrations, config),
            Self::Server(url) => Store::open_shared(url, SCHEMA, migrations, config).await,
        }
    }

    async fn open(&self) -> Store {
        self.try_open(TABLES, Config::default()).await.unwrap()
    }

    async fn look(&self, migrations: &'static [&'static str]) -> Result<Store, StoreError> {
        match self {
            Self::File(path) => Store::open_to_look(path, migrations, Config::default()),
            Self::Server(url) => Store::open_shared_to_look(url, SCHEMA, migrations, Config::default()).await,
        }
    }
}

type Refusal = SqlError;

fn refusal() -> Refusal {
    SqlError::Column {
        column: "as meant by the test".to_owned(),
        expected: "nothing",
    }
}

fn insert(text: String) -> impl FnOnce(&Change<'_>) -> Result<(), Refusal> + Send + 'static {
    move |tx| tx.run("INSERT INTO entry (text) VALUES (?)", params![text]).map(drop)
}

async fn entries(store: &Store) -> Vec<String> {
    let all = |conn: &Look<'_>| conn.all("SELECT text FROM entry ORDER BY id", &[], |row| row.at(0));
    store.read::<_, Refusal>(all).await.unwrap()
}

/// Holds the writer on one job until the returned sender is dropped, so that what follows gathers into a group.
async fn hold(store: &Store) -> SyncSender<()> {
    let (release, released) = sync_channel::<()>(1);
    let (begun, begins) = oneshot::channel();
    let store = store.clone();
    tokio::spawn(async move {
        let wait = move |_: &Change<'_>| {
            let _ = begun.send(());
            let _ = released.recv();
            Ok::<_, Refusal>(())
        };
        store.write(wait).await
    });
    begins.await.unwrap();
    release
}

/// Starts writes while the writer is held, and lets it go when all of them are queued.
async fn together<T: Send + 'static>(
    store: &Store,
    writes: Vec<impl FnOnce(&Change<'_>) -> Result<T, Refusal> + Send + 'static>,
) -> Vec<Result<T, WriteError<Refusal>>> {
    let held = hold(store).await;
    let mut tasks = vec![];
    for write in writes {
        let store = store.clone();
        let mut queued = Box::pin(async move { store.write(write).await });
        // the first poll puts it into the queue
        let answer = futures_util::FutureExt::now_or_never(&mut queued);
        assert!(answer.is_none(), "answered while the writer was held");
        tasks.push(queued);
    }
    drop(held);
    futures_util::future::join_all(tasks).await
}

async fn writes_stand_alone(place: Somewhere) {
    let store = place.open().await;
    let write = |number: u32| {
        move |tx: &Change<'_>| {
            // every fifth is refused, every seventh panics, each after having written
            tx.run("INSERT INTO entry (text) VALUES (?)", params![format!("{number:02}")])?;
            assert!(!number.is_multiple_of(7), "as meant by the test");
            if number.is_multiple_of(5) {
                Err(refusal())
            } else {
                Ok(())
            }
        }
    };
    let (mut kept, mut refused, mut panicked) = (0, 0, 0);
    for answer in together(&store, (0..40).map(write).collect()).await {
        match answer {
            Ok(()) => kept += 1,
            Err(WriteError::Refused(SqlError::Column { .. })) => refused += 1,
            Err(WriteError::Store(StoreError::Panicked)) => panicked += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((kept, refused, panicked), (28, 6, 6));
    let expected = (0..40).filter(|number| number % 5 != 0 && number % 7 != 0);
    let expected: BTreeSet<_> = expected.map(|number| format!("{number:02}")).collect();
    assert_eq!(entries(&store).await.into_iter().collect::<BTreeSet<_>>(), expected);

    // a statement that fails fails its own write, and the others of its group go on
    let write = |text: &'static str| move |tx: &Change<'_>| insert(text.to_owned())(tx);
    let answers = together(&store, ["before", "01", "after"].map(write).into()).await;
    assert!(
        matches!(answers[..], [Ok(()), Err(WriteError::Refused(_)), Ok(())]),
        "{answers:?}"
    );
    store.close().await;
}

async fn a_group_fails_as_a_whole(place: Somewhere) {
    let store = place.open().await;
    let write = |guilty: bool| {
        move |tx: &Change<'_>| match guilty {
            // the reference dangles until the commit looks at it
            true => tx.run("INSERT INTO child (parent) VALUES (1)", &[]).map(drop),
            false => insert("innocent".to_owned())(tx),
        }
    };
    for answer in together(&store, vec![write(false), write(true)]).await {
        assert!(
            matches!(answer, Err(WriteError::Store(StoreError::Commit(_)))),
            "{answer:?}"
        );
    }
    // a job that ends the transaction takes the others with it, and nobody is told that anything is written
    let write = |guilty: bool| {
        move |tx: &Change<'_>| match guilty {
            true => tx.run("ROLLBACK", &[]).map(drop),
            false => insert("innocent".to_owned())(tx),
        }
    };
    for answer in together(&store, vec![write(false), write(true), write(false)]).await {
        assert!(answer.is_err(), "{answer:?}");
    }
    store.write(insert("later".into())).await.unwrap();
    assert_eq!(entries(&store).await, ["later"]);
    store.close().await;
}

async fn new_work_is_refused_when_the_queue_is_full(place: Somewhere) {
    let config = Config {
        queue: 3,
        ..Config::default()
    };
    let store = place.try_open(TABLES, config).await.unwrap();
    let held = hold(&store).await;
    let mut waiting = JoinSet::new();
    for number in 0..3 {
        let mut queued = Box::pin({
            let store = store.clone();
            async move { store.write(insert(format!("{number}"))).await }
        });
        assert!(futures_util::FutureExt::now_or_never(&mut queued).is_none());
        waiting.spawn(queued);
    }
    let answer = store.try_write(insert("too many".into())).await;
    assert!(matches!(answer, Err(WriteError::Store(StoreError::Busy))), "{answer:?}");
    drop(held);
    for answer in waiting.join_all().await {
        answer.unwrap();
    }
    assert_eq!(entries(&store).await.len(), 3);
    store.close().await;
}

async fn closing_finishes_what_is_queued(place: Somewhere) {
    let store = place.open().await;
    let held = hold(&store).await;
    let mut write = Box::pin(store.write(insert("queued".into())));
    assert!(futures_util::FutureExt::now_or_never(&mut write).is_none());
    drop(held);
    store.clone().close().await;
    write.await.unwrap();
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
    let store = place.open().await;
    assert_eq!(entries(&store).await, ["queued"]);
    store.close().await;
}

async fn migrations_run_once_in_order_and_never_back(place: Somewhere) {
    const FIRST: &[&str] = &["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);"];
    const SECOND: &[&str] = &[FIRST[0], "UPDATE a SET x = x * 10;", "UPDATE a SET x = x + 2;"];
    const BROKEN: &[&str] = &[
        SECOND[0],
        SECOND[1],
        SECOND[2],
        "UPDATE a SET x = 0; CREATE TABLE a (y INTEGER);",
    ];
    let value = async |store: &Store| {
        let look = |conn: &Look<'_>| conn.first("SELECT x FROM a", &[], |row| row.at(0));
        store.read::<Option<i64>, Refusal>(look).await.unwrap()
    };
    for migrations in [FIRST, FIRST, SECOND, SECOND] {
        let store = place.try_open(migrations, Config::default()).await.unwrap();
        assert_eq!(value(&store).await, Some(if migrations.len() == 1 { 1 } else { 12 }));
        store.close().await;
    }
    let older = place.try_open(FIRST, Config::default()).await;
    assert!(
        matches!(older, Err(StoreError::Newer { found: 3, known: 1, .. })),
        "{older:?}"
    );
    let broken = place.try_open(BROKEN, Config::default()).await;
    assert!(matches!(broken, Err(StoreError::Open { .. })), "{broken:?}");
    let store = place.try_open(SECOND, Config::default()).await.unwrap();
    assert_eq!(value(&store).await, Some(12), "half a migration was kept");
    store.close().await;
}

async fn a_reader_sees_one_moment_and_cannot_write(place: Somewhere) {
    let store = place.open().await;
    store.write(insert("first".into())).await.unwrap();
    let (looked, looks) = oneshot::channel();
    let (go_on, goes_on) = sync_channel::<()>(1);
    let two_looks = move |conn: &Look<'_>| {
        let count = || conn.first("SELECT count(*) FROM entry", &[], |row| row.at::<i64>(0));
        let before: Option<i64> = count()?;
        let _ = looked.send(());
        let _ = goes_on.recv();
        Ok::<_, Refusal>((before, count()?))
    };
    let reading = tokio::spawn({
        let store = store.clone();
        async move { store.read(two_looks).await }
    });
    looks.await.unwrap();
    store.write(insert("second".into())).await.unwrap();
    drop(go_on);
    assert_eq!(reading.await.unwrap().unwrap(), (Some(1), Some(1)));

    let held = hold(&store).await;
    assert_eq!(
        entries(&store).await,
        ["first", "second"],
        "a reader waits for the writer"
    );
    let write = |conn: &Look<'_>| conn.first("DELETE FROM entry RETURNING id", &[], |row| row.at::<i64>(0));
    let answer = store.read(write).await;
    assert!(matches!(answer, Err(WriteError::<Refusal>::Refused(_))), "{answer:?}");
    let answer = store
        .read(|_| -> Result<(), Refusal> { panic!("as meant by the test") })
        .await;
    assert!(
        matches!(answer, Err(WriteError::Store(StoreError::Panicked))),
        "{answer:?}"
    );
    drop(held);
    assert_eq!(entries(&store).await.len(), 2);
    store.close().await;
}

async fn who_only_looks_changes_nothing(place: Somewhere) {
    assert!(place.look(TABLES).await.is_err(), "looking makes nothing");
    let owner = place.open().await;
    owner.write(insert("first".to_owned())).await.unwrap();
    let onlooker = place.look(TABLES).await.unwrap();
    owner.write(insert("second".to_owned())).await.unwrap();
    assert_eq!(entries(&onlooker).await, ["first", "second"]);
    let refused = onlooker.write(insert("third".to_owned())).await;
    assert!(
        matches!(refused, Err(WriteError::Store(StoreError::Closed))),
        "{refused:?}"
    );
    onlooker.close().await;
    owner.close().await;
    let other = place.look(&["SELECT 1", "SELECT 1"]).await;
    assert!(
        matches!(other, Err(StoreError::Older { found: 1, known: 2, .. })),
        "{other:?}"
    );
}

async fn values_come_back_as_they_went_in(place: Somewhere) {
    let store = place.open().await;
    let octets: Vec<u8> = (0..=255).collect();
    let sent = octets.clone();
    let answer = store
        .write(move |tx| {
            let inserted = tx.run(
                "INSERT INTO kind (whole, words, octets) VALUES (?, ?, ?), (?, ?, ?)",
                params![
                    i64::MIN,
                    "Straße 'x' ?",
                    sent,
                    None::<i64>,
                    None::<&str>,
                    None::<Vec<u8>>
                ],
            )?;
            assert_eq!(inserted, 2);
            let full = tx.first("SELECT * FROM kind WHERE whole = ?", params![i64::MIN], |row| {
                assert!(row.get::<String>("whole").is_err(), "a number is no text");
                assert!(row.get::<u32>("whole").is_err(), "it does not fit");
                assert!(row.get::<i64>("nothing").is_err(), "there is no such column");
                assert!(row.get::<[u8; 32]>("octets").is_err(), "they are 256");
                Ok::<_, Refusal>((
                    row.get::<i64>("whole")?,
                    row.get::<String>("words")?,
                    row.get::<Vec<u8>>("octets")?,
                ))
            })?;
            let empty = tx.first("SELECT * FROM kind WHERE whole IS NULL", &[], |row| {
                assert!(row.at::<i64>(0).is_err(), "nothing is no number");
                Ok::<_, Refusal>((
                    row.at::<Option<i64>>(0)?,
                    row.at::<Option<String>>(1)?,
                    row.at::<Option<Vec<u8>>>(2)?,
                ))
            })?;
            let truth = tx.first(
                "SELECT EXISTS (SELECT 1 FROM kind), count(*), length(words), CAST(sum(whole) AS BIGINT) FROM kind
                 WHERE words IS NOT NULL GROUP BY words",
                &[],
                |row| {
                    Ok::<_, Refusal>((
                        row.at::<bool>(0)?,
                        row.at::<u32>(1)?,
                        row.at::<i64>(2)?,
                        row.at::<i64>(3)?,
                    ))
                },
            )?;
            assert!(tx.run("INSERT INTO kind (whole) VALUES (?)", params!["word"]).is_err());
            Ok::<_, Refusal>((full, empty, truth))
        })
        .await;
    match answer {
        // PostgreSQL looks at the value before it is sent, so the write may go on; SQLite refuses it in the table
        Ok((full, empty, truth)) => {
            assert_eq!(full, Some((i64::MIN, "Straße 'x' ?".to_owned(), octets)));
            assert_eq!(empty, Some((None, None, None)));
            assert_eq!(truth, Some((true, 1, 12, i64::MIN)));
        }
        Err(error) => panic!("{error}"),
    }
    let clock = store.read(|conn| conn.clock()).await.unwrap();
    assert!(clock > 1_700_000_000_000, "milliseconds since 1970: {clock}");
    store.close().await;
}

macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        mod in_a_file {
            $(#[tokio::test]
            async fn $promise() {
                let folder = super::TempDir::new().unwrap();
                super::$promise(super::Somewhere::File(folder.path().join("a.sqlite"))).await;
            })+
        }

        mod on_a_server {
            $(#[tokio::test]
            async fn $promise() {
                let url = harness::postgres::database(stringify!($promise)).await;
                super::$promise(super::Somewhere::Server(url)).await;
            })+
        }
    };
}

promises! {
    writes_stand_alone,
    a_group_fails_as_a_whole,
    new_work_is_refused_when_the_queue_is_full,
    closing_finishes_what_is_queued,
    migrations_run_once_in_order_and_never_back,
    a_reader_sees_one_moment_and_cannot_write,
    who_only_looks_changes_nothing,
    values_come_back_as_they_went_in,
}
