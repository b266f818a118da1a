//! All the places where something may lie, and what may lie there in the clear.

use std::path::PathBuf;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use tokio_postgres::NoTls;

use super::life::Lived;
use super::scan::{Hit, Place, Source};
use super::world::{Ground, World};

/// A word that may lie somewhere.
pub(super) struct Admitted {
    pub(super) places: &'static [&'static str],
    pub(super) canary: &'static str,
    /// Whether only its SHA-256 may, or any spelling.
    pub(super) how: How,
    pub(super) why: &'static str,
}

#[derive(PartialEq)]
pub(super) enum How {
    Any,
    Digest,
}

const fn admitted(places: &'static [&'static str], canary: &'static str, how: How, why: &'static str) -> Admitted {
    Admitted {
        places,
        canary,
        how,
        why,
    }
}

const JOURNALS: &[&str] = &[
    "journals: rows",
    "journals: files",
    "PostgreSQL: rows",
    "PostgreSQL: files",
];
const JOURNALS_AND_COPIES: &[&str] = &[
    "journals: rows",
    "journals: files",
    "PostgreSQL: rows",
    "PostgreSQL: files",
    "backups",
];
const TRAIL: &[&str] = &[
    "logs",
    "journals: rows",
    "journals: files",
    "PostgreSQL: rows",
    "PostgreSQL: files",
    "backups",
    "commands",
];

const OF_OPERATOR: &str = "an operator's own words: the trail keeps them, and they are said to whoever may look at it";
const OF_STRANGER: &str = "whoever broke into RabbitMQ wrote it there";
const EVIDENCE: &str = "octets that did not verify are kept as they came, as evidence, until an operator discards them";
const PARKED: &str = "octets that did not verify are named by their SHA-256";
const NAME: &str = "whoever writes to a queue does so under a name, at most forty letters, and that name is told";
const URL: &str =
    "the gateway has to know what it calls; it says nothing of applicants unless a client's developer does";
const RECEIPT: &str =
    "the client's receipt names the SHA-256 of what it filed, and the same request gets the same receipt";
const OF_TOKEN: &str = "nobody guesses a token of an operator from its SHA-256";

/// Every exception. Each must be found in each of its places that there is, or it is none.
pub(super) const ADMITTED: &[Admitted] = &[
    admitted(TRAIL, "reason of an operator", How::Any, OF_OPERATOR),
    admitted(TRAIL, "mistyped by an operator", How::Any, OF_OPERATOR),
    admitted(&["refusals"], "refused: an operator's mistake", How::Any, OF_OPERATOR),
    admitted(&["RabbitMQ"], "octets of a stranger", How::Any, OF_STRANGER),
    admitted(&["RabbitMQ"], "header of a stranger", How::Any, OF_STRANGER),
    admitted(&["RabbitMQ"], "content type of a stranger", How::Any, OF_STRANGER),
    admitted(&["RabbitMQ"], "message id of a stranger", How::Any, OF_STRANGER),
    admitted(&["RabbitMQ"], "app id of a stranger", How::Any, OF_STRANGER),
    admitted(&["RabbitMQ"], "reply-to of a stranger", How::Any, OF_STRANGER),
    admitted(&["RabbitMQ", "logs"], "routing key of a stranger", How::Any, NAME),
    admitted(
        &["logs", "commands", "backups"],
        "octets of a stranger",
        How::Digest,
        PARKED,
    ),
    admitted(JOURNALS, "octets of a stranger", How::Any, EVIDENCE),
    admitted(&["PostgreSQL: files"], "routing key of a stranger", How::Any, NAME),
    admitted(JOURNALS_AND_COPIES, "URL of a webhook", How::Any, URL),
    admitted(&["webhooks"], "URL of a webhook", How::Any, URL),
    admitted(JOURNALS_AND_COPIES, "attachment", How::Digest, RECEIPT),
    admitted(&["told to the client"], "attachment", How::Digest, RECEIPT),
    admitted(&["commands"], "token of operator anna", How::Digest, OF_TOKEN),
    admitted(&["commands"], "token of operator otto", How::Digest, OF_TOKEN),
];

impl Admitted {
    /// Whether it says so of this word in this place.
    pub(super) fn covers(&self, place: &str, hit: &Hit) -> bool {
        let spelled = self.how == How::Any || hit.encoding.starts_with("SHA-256");
        spelled && self.canary == hit.canary && self.places.contains(&place)
    }
}

/// Where applications are read in the clear, because this is whom they are for; and what must have arrived there.
pub(super) const CLEAR: &[(&str, &[&str])] = &[
    (
        "corner 4 over HTTP",
        &[
            "applicant's name",
            "key of an attribute",
            "representative's name",
            "payload",
            "name of the payload",
            "mediaType of the metadata",
            "attachment",
            "name of an attachment",
            "media type of an attachment",
        ],
    ),
    (
        "corner 4 in folders",
        &["payload for a folder", "assertion", "name of a foreign file"],
    ),
    (
        "the Postfach",
        &[
            "handle of the mailbox",
            "title of a bescheid",
            "title of a question",
            "Bescheid",
            "name of a Bescheid",
            "another Bescheid",
        ],
    ),
    ("given back to the client", &["payload of a further application"]),
];

/// The places of a running network.
pub(super) async fn of(world: &World, lived: &Lived) -> Vec<Place> {
    let octets = |name, octets: Vec<u8>, witness: &str| Place {
        name,
        source: Source::Octets(octets),
        witness: Some(witness.to_owned()),
    };
    let files = |name, files: Vec<PathBuf>, witness: Option<&str>| Place {
        name,
        source: Source::Files(files),
        witness: witness.map(str::to_owned),
    };
    let id = lived.witness.as_str();
    let logs = world.operations.keys().map(|role| world.log(role)).collect();
    let mut pages = vec![];
    for role in world.operations.keys() {
        let url = format!("{}/metrics", world.operations_of(role));
        pages.extend(reqwest::get(url).await.unwrap().bytes().await.unwrap());
    }
    let mut all = vec![
        files("logs", logs, Some(id)),
        octets("metrics", pages, "gw-sh-1"),
        octets("traces", world.around.collector.0.octets(), id),
        octets("refusals", world.refusals.octets(), "urn:viereck:problem:1:"),
        octets("told to the client", world.told.octets(), id),
        octets("webhooks", world.around.webhooks.0.octets(), id),
        octets("commands", world.printed.octets(), id),
        files("temporary files", vec![world.tmp()], None),
    ];
    match (&world.postgres, world.ground) {
        (Some((server, url)), _) => {
            all.push(octets("PostgreSQL: rows", rows_of_database(url).await, id));
            all.push(files("PostgreSQL: files", vec![server.folder().to_owned()], Some(id)));
        }
        (None, _) => {
            all.push(octets("journals: rows", rows_of_files(world), id));
            all.push(files("journals: files", vec![world.var()], Some(id)));
            all.push(files("backups", vec![world.backups()], Some(id)));
        }
    }
    if let Some((node, _)) = &world.rabbitmq {
        all.push(files("RabbitMQ", vec![node.folder().to_owned()], Some(id)));
    }
    if world.ground == Ground::Embedded {
        all.push(files(
            "embedded link",
            vec![world.var().join("link.sqlite"), world.var().join("link.sqlite-wal")],
            None,
        ));
    }
    all.extend([
        octets("corner 4 over HTTP", world.around.fachverfahren.0.octets(), id),
        files("corner 4 in folders", vec![world.folder()], None),
        octets("the Postfach", world.around.postfach.0.octets(), id),
        octets("given back to the client", world.given_back.octets(), "metadata"),
    ]);
    all
}

/// Every value of every row, whole: in the file it may be cut by the end of a page.
fn rows_of_files(world: &World) -> Vec<u8> {
    let mut all = vec![];
    let files = std::fs::read_dir(world.var())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "sqlite")) {
        let journal = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut tables = journal
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
            .unwrap();
        let tables: Vec<String> = tables
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for table in tables {
            let mut select = journal.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = select.column_count();
            let mut rows = select.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..columns {
                    match row.get_ref(column).unwrap() {
                        ValueRef::Text(octets) | ValueRef::Blob(octets) => all.extend_from_slice(octets),
                        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {}
                    }
                    all.push(b'|');
                }
            }
        }
    }
    all
}

/// Every row as text, unpacked; and all that is in memory goes into the files.
async fn rows_of_database(url: &str) -> Vec<u8> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    // octets as they are, everything else as text
    let named = "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name), string_agg(CASE data_type
                 WHEN 'bytea' THEN quote_ident(column_name)
                 ELSE 'convert_to(' || quote_ident(column_name) || '::text, ''UTF8'')' END, ', ')
                 FROM information_schema.columns
                 WHERE table_schema NOT IN ('pg_catalog', 'information_schema') GROUP BY 1";
    let mut all = vec![];
    for table in client.query(named, &[]).await.unwrap() {
        let (table, columns): (&str, &str) = (table.get(0), table.get(1));
        for row in client
            .query(&format!("SELECT {columns} FROM {table}"), &[])
            .await
            .unwrap()
        {
            for column in 0..row.len() {
                all.extend_from_slice(row.get::<_, Option<&[u8]>>(column).unwrap_or_default());
                all.push(b'|');
            }
        }
    }
    client.batch_execute("CHECKPOINT").await.unwrap();
    all
}
