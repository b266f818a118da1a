//! Leaks on purpose: into each place the way something gets there, in every spelling; each has to be found where it is.

use std::process::Command;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use reqwest::Client;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

use super::around::{Heard, serve};
use super::encodings::{self, base64};
use super::life::Lived;
use super::places;
use super::scan::Scan;
use super::world::{Ground, World};

/// Plants them, looks again, and gives the number found.
pub(super) async fn plant(world: &mut World, lived: &Lived) -> usize {
    let mut planted = vec![];
    let mut of = |place: &'static str| {
        planted.push(place);
        written(&world.canaries.word(&format!("planted in {place}")))
    };

    // in what is heard and said
    let mirror = serve(Router::new().fallback(async |body: Bytes| (StatusCode::UNPROCESSABLE_ENTITY, body))).await;
    say(&world.around.collector.1, None, of("traces")).await;
    say(&world.around.webhooks.1, None, of("webhooks")).await;
    say(&mirror, Some(&world.refusals), of("refusals")).await;
    say(&mirror, Some(&world.told), of("told to the client")).await;

    // in files, which are printed, copied, or lie about
    let file = |name: &str, octets: Vec<u8>| {
        let file = world.token("x").with_file_name(name);
        std::fs::write(&file, octets).unwrap();
        file
    };
    let printed = file("printed", joined(of("commands")));
    world
        .printed
        .keep(&Command::new("cat").arg(printed).output().unwrap().stdout);
    std::fs::write(world.tmp().join("scratch"), joined(of("temporary files"))).unwrap();
    let named = world.canaries.word("planted as the name of a file");
    std::fs::write(world.tmp().join(format!("upload-{named}.tmp")), "").unwrap();
    if world.ground != Ground::Database {
        let copied = file("copied", joined(of("backups")));
        std::fs::copy(copied, world.backups().join("more.sqlite")).unwrap();
    }
    let role = world.role("sender");
    let mut log = std::fs::OpenOptions::new().append(true).open(world.log(role)).unwrap();
    for (_, octets) in of("logs") {
        std::io::Write::write_all(
            &mut log,
            &[b"{\"level\":\"TRACE\",\"body\":\"", &octets[..], b"\"}\n"].concat(),
        )
        .unwrap();
    }

    // in what RabbitMQ and the journals store
    if let Some((_, url)) = &world.rabbitmq {
        publish(url, of("RabbitMQ")).await;
    }
    let (page, written_to_database) = (
        joined(of("metrics")),
        world.postgres.as_ref().map(|_| of("PostgreSQL: rows")),
    );
    let (mut open, mut in_file) = (vec![], vec![]);
    if world.ground != Ground::Database {
        in_file.push(("gw-sh-1.sqlite", of("journals: rows"), Kept::Yes));
        in_file.push(("gw-sh-2.sqlite", of("journals: files"), Kept::Deleted));
    }
    if world.ground == Ground::Embedded {
        in_file.push(("link.sqlite", of("embedded link"), Kept::Yes));
    }
    world.stop();
    for (name, octets, kept) in in_file {
        open.push(store(&world.var().join(name), octets, kept));
    }
    if let (Some((_, url)), Some(octets)) = (&world.postgres, written_to_database) {
        insert(url, octets).await;
    }
    for address in world.operations.values() {
        let page = [b"# gw-sh-1\nviereck_x{label=\"", &page[..], b"\"} 1\n"].concat();
        let listener = TcpListener::bind(address).await.unwrap();
        let router = Router::new().fallback(async move || page.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    let scan = Scan::of(&world.canaries);
    let (mut found, mut missed) = (0, vec![]);
    let all = places::of(world, lived).await;
    let looked: Vec<_> = all.iter().map(|place| scan.look(place)).collect();
    let mut expect = |place: &str, canary: String, encoding: &str| {
        let looked = looked.iter().find(|looked| looked.name == place).unwrap();
        match looked
            .hits
            .iter()
            .any(|hit| hit.canary == canary && hit.encoding == encoding)
        {
            true => found += 1,
            false => missed.push(format!("{canary} as {encoding} in {place}")),
        }
    };
    for place in planted {
        for (encoding, _) in encodings::of("x") {
            expect(place, format!("planted in {place}"), encoding);
            // what is in a row is in a file too
            match place {
                "journals: rows" => expect("journals: files", format!("planted in {place}"), encoding),
                "PostgreSQL: rows" => expect("PostgreSQL: files", format!("planted in {place}"), encoding),
                _ => {}
            }
        }
    }
    expect("temporary files", "planted as the name of a file".to_owned(), "UTF-8");
    assert!(
        missed.is_empty(),
        "{} planted leaks were not found:\n{}",
        missed.len(),
        missed.join("\n")
    );
    found
}

/// A sentence with the word in it in every spelling. One spelling is there packed only, and one in short lines only.
fn written(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let sentence = |before: usize| format!("{}{word}, born in Husum", "-".repeat(before)).into_bytes();
    let wrapped = |text: String| text.as_bytes().chunks(8).collect::<Vec<_>>().join(&b"\r\n"[..]);
    let spell = |(encoding, needle): (&'static str, Vec<u8>)| {
        let octets = match encoding {
            "base64, first octet of three" => base64(&sentence(0)).into_bytes(),
            "base64, second octet of three" => base64(&sentence(1)).into_bytes(),
            "base64, third octet of three" => wrapped(base64(&sentence(2))),
            "hexadecimal in capitals" => gzip(&needle),
            _ => needle,
        };
        (encoding, octets)
    };
    encodings::of(word).into_iter().map(spell).collect()
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), octets).unwrap();
    Command::new("gzip").arg("-c").arg(file.path()).output().unwrap().stdout
}

fn joined(all: Vec<(&'static str, Vec<u8>)>) -> Vec<u8> {
    all.into_iter()
        .flat_map(|(_, octets)| [octets, b"\n".to_vec()].concat())
        .collect()
}

/// Posts them, and keeps the answer where one is kept.
async fn say(url: &str, kept: Option<&Heard>, all: Vec<(&'static str, Vec<u8>)>) {
    for (_, octets) in all {
        let answer = Client::new()
            .post(url)
            .body(octets)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        if let Some(kept) = kept {
            kept.keep(&answer);
        }
    }
}

/// Into a queue of the kind that all queues here are of.
async fn publish(url: &str, all: Vec<(&'static str, Vec<u8>)>) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut kind = FieldTable::default();
    kind.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare("planted".into(), options, kind).await.unwrap();
    for (_, octets) in all {
        let (options, properties) = (
            BasicPublishOptions::default(),
            BasicProperties::default().with_delivery_mode(2),
        );
        channel
            .basic_publish("".into(), "planted".into(), options, &octets, properties)
            .await
            .unwrap();
    }
    channel.close(200, "done".into()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

/// What becomes of a row.
#[derive(PartialEq)]
enum Kept {
    Yes,
    /// It was deleted, and what it held lies in pages that nothing uses.
    Deleted,
}

/// Into a file of SQLite. While the connection is open, what was written last lies in the write-ahead log only.
fn store(file: &std::path::Path, all: Vec<(&'static str, Vec<u8>)>, kept: Kept) -> rusqlite::Connection {
    let journal = rusqlite::Connection::open(file).unwrap();
    let wal: String = journal
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(wal, "wal");
    journal
        .execute_batch("CREATE TABLE planted (octets BLOB NOT NULL) STRICT")
        .unwrap();
    for (_, octets) in all {
        journal.execute("INSERT INTO planted VALUES (?)", [octets]).unwrap();
    }
    if kept == Kept::Deleted {
        journal
            .execute_batch("PRAGMA secure_delete = OFF; DROP TABLE planted")
            .unwrap();
    }
    journal
}

async fn insert(url: &str, all: Vec<(&'static str, Vec<u8>)>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE public.planted (octets BYTEA NOT NULL)")
        .await
        .unwrap();
    for (_, octets) in all {
        client
            .execute("INSERT INTO public.planted VALUES ($1)", &[&octets])
            .await
            .unwrap();
    }
}
