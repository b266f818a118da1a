//! What a store on a server promises beyond one in a file: several writers take turns and hear each other, a server that
//! is gone or stands still is told at once and waited for, nothing that was answered is lost with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use harness::postgres;
use harness::wait::until;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use viereck::drill::nodes::proxy::{Proxy, Weather};
use viereck_store::{Change, Config, Look, PostgresUrl, Signal, SqlError, Store, StoreError, WriteError, params};

const DEADLINE: Duration = Duration::from_secs(30);

const TABLES: &[&str] = &["
    CREATE TABLE entry (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT UNIQUE NOT NULL) STRICT;
    CREATE TABLE number (whole INTEGER NOT NULL) STRICT;
"];

async fn open(url: &PostgresUrl) -> Store {
    try_open(url).await.expect("a store")
}

async fn try_open(url: &PostgresUrl) -> Result<Store, StoreError> {
    Store::open_shared(url, "shared", TABLES, Config::default()).await
}

async fn insert(store: &Store, text: &str) -> Result<(), WriteError<SqlError>> {
    let text = text.to_owned();
    let insert = move |tx: &Change<'_>| tx.run("INSERT INTO entry (text) VALUES (?)", params![text]).map(drop);
    store.write(insert).await
}

async fn entries(store: &Store) -> Result<BTreeSet<String>, WriteError<SqlError>> {
    let all = |conn: &Look<'_>| conn.all("SELECT text FROM entry", &[], |row| row.at(0));
    Ok(store.read::<Vec<String>, SqlError>(all).await?.into_iter().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_two_processes_take_turns_and_hear_each_other() {
    let url = postgres::database("serialised").await;
    // both make the schema at the same moment
    let (one, two) = tokio::join!(open(&url), open(&url));
    let (mut heard, mut own) = (two.signals(), one.signals());
    let raise = |tx: &Change<'_>| {
        let known = tx.first("SELECT max(whole) FROM number", &[], |row| row.at::<Option<i64>>(0))?;
        let next = known.flatten().unwrap_or(0) + 1;
        tx.run("INSERT INTO number (whole) VALUES (?)", params![next])?;
        Ok::<_, SqlError>(())
    };
    let mut tasks = JoinSet::new();
    for number in 0..200 {
        let store = if number % 2 == 0 { one.clone() } else { two.clone() };
        tasks.spawn(async move { store.write(raise).await.unwrap() });
    }
    tasks.join_all().await;
    let count = |conn: &Look<'_>| {
        conn.first("SELECT max(whole), count(DISTINCT whole) FROM number", &[], |row| {
            Ok::<_, SqlError>((row.at::<i64>(0)?, row.at::<i64>(1)?))
        })
    };
    assert_eq!(
        one.read(count).await.unwrap(),
        Some((200, 200)),
        "read, then written, by one at a time"
    );

    let refused = |tx: &Change<'_>| {
        tx.signal("refused");
        tx.run("INSERT INTO no_such_table (x) VALUES (1)", &[]).map(drop)
    };
    one.write(refused).await.unwrap_err();
    for number in 0..100 {
        let tell = move |tx: &Change<'_>| {
            tx.signal(&format!("{number} {}", "x".repeat(300)));
            Ok::<_, SqlError>(())
        };
        one.write(tell).await.unwrap();
    }
    let mut texts = vec![];
    while texts.len() < 100 {
        let signal = tokio::time::timeout(DEADLINE, heard.recv()).await.expect("in time");
        if let Signal::Text(text) = signal.unwrap() {
            texts.push(text);
        }
    }
    for (number, text) in texts.iter().enumerate() {
        assert!(text.starts_with(&format!("{number} x")), "{text}");
    }
    while let Ok(signal) = own.try_recv() {
        assert_eq!(signal, Signal::Missed, "nobody hears itself");
    }
    one.close().await;
    two.close().await;
    println!(
        "account: 200 numbers by two writers, none twice; 100 signals heard in order, 1 rolled back and not heard"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_stands_still_within_a_transaction_loses_it_and_disturbs_nobody() {
    let url = postgres::database("standstill").await;
    let (frozen, other) = (open(&url).await, open(&url).await);
    let (release, released) = sync_channel::<()>(1);
    let (begun, begins) = oneshot::channel();
    let stands = tokio::spawn({
        let frozen = frozen.clone();
        let stand = move |tx: &Change<'_>| {
            tx.run("INSERT INTO entry (text) VALUES ('frozen')", &[])?;
            let _ = begun.send(());
            let _ = released.recv();
            Ok::<_, SqlError>(())
        };
        async move { frozen.write(stand).await }
    });
    begins.await.unwrap();
    let waited = Instant::now();
    insert(&other, "other").await.unwrap();
    let waited = waited.elapsed();
    assert!(waited < Duration::from_secs(9), "held up for {waited:?}");
    drop(release);
    let answer = stands.await.unwrap();
    let Err(WriteError::Store(error)) = &answer else {
        panic!("{answer:?}")
    };
    assert!(error.may_pass(), "{error}");
    assert_eq!(entries(&frozen).await.unwrap(), ["other".to_owned()].into());
    insert(&frozen, "thawed").await.unwrap();
    frozen.close().await;
    other.close().await;
    println!("account: one stood still, the other waited {waited:?}; 2 written, 1 rolled back and told so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_keeps_what_was_answered_and_is_waited_for() {
    let server = postgres::own().await;
    let url = PostgresUrl::parse(&server.url("killed").await.unwrap()).unwrap();
    let store = open(&url).await;
    let mut signals = store.signals();
    let stop = Arc::new(AtomicBool::new(false));
    let mut lanes = JoinSet::new();
    for lane in 0..8 {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        lanes.spawn(async move {
            let (mut answered, mut failed) = (vec![], 0);
            let mut again = tokio::time::interval(Duration::from_millis(10));
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let text = format!("{lane}-{number}");
                match insert(&store, &text).await {
                    Ok(()) => answered.push(text),
                    Err(WriteError::Store(error)) => {
                        assert!(error.may_pass(), "{error}");
                        failed += 1;
                    }
                    Err(WriteError::Refused(error)) => {
                        assert!(error.may_pass(), "{error}");
                        failed += 1;
                    }
                }
                again.tick().await;
            }
            (answered, failed)
        });
    }
    let grown = async |than: usize| {
        until(DEADLINE, "the load flows", async || {
            entries(&store).await.ok().filter(|entries| entries.len() > than)
        })
        .await
        .len()
    };
    let mut kept = grown(200).await;
    for _ in 0..2 {
        server.kill().await.unwrap();
        // what is left of the old server may still answer for a moment
        let lost = until(DEADLINE, "the loss is noticed", async || {
            let asked = Instant::now();
            let answer = insert(&store, &uuid::Uuid::new_v4().to_string()).await;
            answer.err().map(|error| (error, asked.elapsed()))
        })
        .await;
        assert!(
            matches!(&lost.0, WriteError::Store(error) if error.may_pass()),
            "{lost:?}"
        );
        assert!(lost.1 < Duration::from_secs(5), "told late: {lost:?}");
        assert!(entries(&store).await.is_err(), "a reader knows it too");
        server.restart().await.unwrap();
        kept = grown(kept + 100).await;
    }
    stop.store(true, Ordering::Relaxed);
    let ended = lanes.join_all().await;
    let failed: usize = ended.iter().map(|(_, failed)| failed).sum();
    let answered: BTreeSet<String> = ended.into_iter().flat_map(|(answered, _)| answered).collect();
    let kept = entries(&store).await.unwrap();
    let lost: Vec<_> = answered.difference(&kept).collect();
    println!(
        "account: {} answered, {} kept, {} lost, {failed} told to come back",
        answered.len(),
        kept.len(),
        lost.len()
    );
    assert!(lost.is_empty(), "answered and lost: {lost:?}");
    assert!(failed > 0, "the loss was met");
    let mut missed = 0;
    while let Ok(signal) = signals.try_recv() {
        missed += usize::from(signal == Signal::Missed);
    }
    assert!(missed >= 2, "whoever listens is told that signals may have been missed");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_given_up() {
    let behind = postgres::url("stalled").await;
    let port: u16 = behind
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next())
        .unwrap()
        .parse()
        .unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await.expect("a proxy");
    let url = behind.replace(&format!(":{port}/"), &format!(":{}/", proxy.address().port()));
    let url = PostgresUrl::parse(&url).unwrap();
    let store = open(&url).await;
    insert(&store, "before").await.unwrap();
    proxy.set(Weather::Stalled);
    let asked = Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(25), insert(&store, "stalled")).await;
    let Ok(Err(WriteError::Store(error))) = answer else {
        panic!("{answer:?}")
    };
    assert!(error.may_pass(), "{error}");
    let given_up = asked.elapsed();
    proxy.set(Weather::Clear);
    until(DEADLINE, "it works again", async || insert(&store, "after").await.ok()).await;
    store.close().await;
    println!("account: given up after {given_up:?}, back at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_shows_what_is_in_a_row_and_an_unfit_server_is_refused() {
    let text = postgres::url("refused").await;
    let url = PostgresUrl::parse(&text).unwrap();
    let store = open(&url).await;
    insert(&store, "Erika Mustermann").await.unwrap();
    let twice = insert(&store, "Erika Mustermann").await.unwrap_err();
    for shown in [twice.to_string(), format!("{twice:?}")] {
        assert!(!shown.contains("Mustermann"), "{shown}");
        assert!(shown.contains("23505") && shown.contains("entry"), "{shown}");
    }
    store.close().await;

    let database = text.rsplit('/').next().unwrap();
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.unwrap();
    tokio::spawn(connection);
    let unsafe_setting = format!("ALTER DATABASE {database} SET synchronous_commit = off");
    client.batch_execute(&unsafe_setting).await.unwrap();
    let refused = try_open(&url).await;
    let Err(error @ StoreError::NotDurable { .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(error.to_string().contains("synchronous_commit is off"), "{error}");

    let password = text.split(':').nth(2).unwrap().split('@').next().unwrap();
    let wrong = PostgresUrl::parse(&text.replace(password, "wrong-password")).unwrap();
    let refused = try_open(&wrong).await.unwrap_err();
    assert!(refused.to_string().contains("28P01"), "{refused}");
    assert!(!format!("{refused:?}").contains("wrong-password"), "{refused:?}");
    println!("account: 1 row twice, 1 setting, 1 password: 3 refusals without contents");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_another_host_is_encrypted_and_its_end_is_who_it_says() {
    let server = postgres::own().await;
    let plain = server.url("encrypted").await.unwrap();
    let with = |options: &str| PostgresUrl::parse(&format!("{plain}?{options}")).unwrap();
    let refused = try_open(&with("sslmode=require")).await;
    assert!(refused.is_err(), "the server has no TLS, and plaintext is no way out");

    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (client, connection) = tokio_postgres::connect(&plain, NoTls).await.unwrap();
    tokio::spawn(connection);
    // the server writes its own files: they have to be its user's, and the key nobody else's
    for (file, text) in [
        ("server.crt", issued.cert.pem()),
        ("server.key", issued.signing_key.serialize_pem()),
    ] {
        let lines: Vec<String> = text.lines().map(|line| format!("('{line}')")).collect();
        let write = format!("COPY (VALUES {}) TO PROGRAM 'umask 077; cat > {file}'", lines.join(","));
        client.batch_execute(&write).await.unwrap();
    }
    client.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();

    let (right, wrong) = (folder.path().join("right.pem"), folder.path().join("wrong.pem"));
    std::fs::write(&right, issued.cert.pem()).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&wrong, other.cert.pem()).unwrap();
    let store = until(DEADLINE, "TLS", async || {
        try_open(&with(&format!("sslrootcert={}", right.display()))).await.ok()
    })
    .await;
    insert(&store, "encrypted").await.unwrap();
    let lines = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                 WHERE application_name = 'viereck' AND NOT ssl";
    let in_plaintext: i64 = client.query_one(lines, &[]).await.unwrap().get(0);
    assert_eq!(in_plaintext, 0);
    store.close().await;

    for options in [
        format!("sslrootcert={}", wrong.display()),
        "sslmode=verify-full".to_owned(),
    ] {
        let refused = try_open(&with(&options)).await;
        assert!(refused.is_err(), "{options}: a stranger's certificate is taken");
    }
    println!("account: 1 way encrypted and known, 3 refused");
}
