//! Journals of custodians without a network between them: messages and receipts are carried by hand.
//!
//! For what a network shows only by accident: repeats, conflicts, statements by the wrong one. The same scenarios run
//! on both databases: where they stand once more in a module [`ON_POSTGRES`], their journals lie in PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio_postgres::NoTls;
use viereck::demo::site::Site;
use viereck_custody::{Journal, Place, PostgresUrl};
use viereck_envelope::{Content, Draft, File, MessageType, Role, SealedEnvelope, Signer, seal};
use viereck_routing::{BehoerdeId, CaseId, Environment, GatewayId, Kind, MessageId, Tables, day_in_berlin};

use crate::postgres;

/// The module whose scenarios have their journals in PostgreSQL. A test's thread bears the path of the test.
const ON_POSTGRES: &str = "on_postgres::";

/// A site whose custodians are played by the test.
pub struct Custodians {
    /// Table and keys.
    pub site: Site,
    /// The table in force.
    pub tables: Arc<Tables>,
    on_postgres: bool,
    dir: TempDir,
}

impl Custodians {
    /// Prepares table and keys.
    ///
    /// # Panics
    /// When that fails.
    pub fn prepare() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let site = Site::prepare(dir.path()).expect("table and keys");
        let loaded = Tables::load(&site.table(), day_in_berlin(Timestamp::now())).expect("the table loads");
        Self {
            site,
            tables: Arc::new(loaded.tables),
            on_postgres: std::thread::current()
                .name()
                .is_some_and(|test| test.contains(ON_POSTGRES)),
            dir,
        }
    }

    /// The table with one text of a file replaced. The one in force stays what it was.
    ///
    /// # Panics
    /// When the file does not have it, or the table does not load then.
    pub fn changed(&self, file: &str, before: &str, after: &str) -> Arc<Tables> {
        let path = self.site.table().join(file);
        let text = std::fs::read_to_string(&path).expect("a file of the sample");
        assert!(text.contains(before), "{file} has no {before}");
        std::fs::write(&path, text.replace(before, after)).expect("a folder of ours");
        let loaded = Tables::load(&self.site.table(), day_in_berlin(Timestamp::now()));
        Arc::new(loaded.expect("the table loads").tables)
    }

    /// A table in which the reader of [`Custodians::application`] has moved to the gateway `gw-nw-1`.
    pub fn moved(&self) -> Arc<Tables> {
        let file = "laender/01-schleswig-holstein/behoerden/01054-nordfriesland.toml";
        let delivery = |gateway: &str| {
            format!("[[\"wgb:010540880000\".delivery]]\nleistungen = \"default\"\ngateway = \"{gateway}\"")
        };
        self.changed(file, &delivery("gw-sh-2"), &delivery("gw-nw-1"))
    }

    /// A new journal of a custodian.
    pub async fn journal(&self, custodian: &str) -> Journal {
        self.place(custodian).await.open().await
    }

    /// Where a new journal of a custodian is to lie, for a test that opens it more than once.
    pub async fn place(&self, custodian: &str) -> JournalPlace {
        let database = match self.on_postgres {
            true => Database::Postgres(postgres::url("custodian").await),
            false => Database::File(
                self.dir
                    .path()
                    .join(format!("{custodian}-{}.sqlite", uuid::Uuid::new_v4())),
            ),
        };
        JournalPlace {
            custodian: id(custodian),
            database,
        }
    }

    /// What a custodian signs with.
    pub fn signer(&self, custodian: &str) -> Signer {
        let key = self.site.keys().join(custodian).join("signing-1.key.pem");
        let certificate = self
            .tables
            .current_signing_certificate(&id(custodian), Timestamp::now())
            .expect("pinned");
        Signer::new(certificate.clone(), &std::fs::read_to_string(key).expect("a key")).expect("they fit")
    }

    /// An application for Wohngeld in Niebüll, sealed by the sender gateway.
    pub fn application(&self, message_id: MessageId, payload: &'static [u8]) -> SealedEnvelope {
        self.sealed_by("gw-sh-1", message_id, payload)
    }

    /// The same, sealed and signed by any gateway.
    pub fn sealed_by(&self, gateway: &str, message_id: MessageId, payload: &'static [u8]) -> SealedEnvelope {
        self.sealed_at(Timestamp::now(), gateway, message_id, payload)
    }

    /// The same, by a clock that says `now`.
    pub fn sealed_at(
        &self,
        now: Timestamp,
        gateway: &str,
        message_id: MessageId,
        payload: &'static [u8],
    ) -> SealedEnvelope {
        self.seal(self.draft(now, gateway, message_id, payload), now)
    }

    /// An application by the sender gateway with a change that its test needs.
    pub fn sealed(&self, message_id: MessageId, change: impl FnOnce(&mut Draft)) -> SealedEnvelope {
        let now = Timestamp::now();
        let mut draft = self.draft(now, "gw-sh-1", message_id, b"{}");
        change(&mut draft);
        self.seal(draft, now)
    }

    fn seal(&self, draft: Draft, now: Timestamp) -> SealedEnvelope {
        let key = self
            .tables
            .sealable_key(&draft.reader, &draft.reader, now)
            .expect("pinned");
        let signer = self.signer(draft.gateway.as_str());
        seal(draft, &key, &signer, now).expect("it seals")
    }

    fn draft(&self, now: Timestamp, gateway: &str, message_id: MessageId, payload: &'static [u8]) -> Draft {
        Draft {
            environment: Environment::Test,
            message_id,
            replaces: None,
            kind: Kind::Application,
            filed_at: now,
            obsolete_after: now + SignedDuration::from_hours(24 * 30),
            gateway: id(gateway),
            author: self.author(),
            reader: "wgb:010540880000".parse().expect("well-formed"),
            service: viereck::demo::applications::WOHNGELD.parse().expect("well-formed"),
            region: None,
            message_type: MessageType {
                name: "antrag".to_owned(),
                schema: "urn:viereck:example:wohngeld:1".to_owned(),
            },
            process_ref: CaseId::random(),
            in_reply_to: None,
            routing_table: None,
            content: Content {
                client_reference: None,
                applicant: None,
                consents: None,
                payment: None,
                reply_token: None,
                files: vec![File {
                    role: Role::Payload,
                    name: "antrag.json".to_owned(),
                    media_type: "application/json".to_owned(),
                    octets: Bytes::from_static(payload),
                }],
            },
        }
    }

    /// A reader of applications for Wohngeld whom this gateway serves.
    pub fn reader_at(&self, gateway: &str) -> BehoerdeId {
        self.readers_at(gateway).into_iter().next().expect("there is one")
    }

    /// All of them.
    pub fn readers_at(&self, gateway: &str) -> Vec<BehoerdeId> {
        let wohngeld = viereck::demo::applications::WOHNGELD.parse().expect("well-formed");
        let today = day_in_berlin(Timestamp::now());
        let served = |reader: &BehoerdeId| {
            self.tables
                .delivery(reader, &wohngeld, today)
                .is_some_and(|delivery| delivery.gateway == id(gateway))
        };
        let readers = self.tables.participants().map(|participant| participant.id.clone());
        readers.filter(served).collect()
    }

    fn author(&self) -> BehoerdeId {
        let client = self
            .tables
            .client(&viereck::demo::site::CLIENT.parse().expect("well-formed"))
            .expect("there");
        let wohngeld = viereck::demo::applications::WOHNGELD.parse().expect("well-formed");
        self.tables.author_for(client, &wohngeld).expect("a portal").clone()
    }
}

/// Where the journal of one custodian lies.
pub struct JournalPlace {
    custodian: GatewayId,
    database: Database,
}

enum Database {
    File(PathBuf),
    /// With its password.
    Postgres(String),
}

impl JournalPlace {
    /// Opens the journal, or makes it.
    ///
    /// # Panics
    /// When that fails.
    pub async fn open(&self) -> Journal {
        let place = match &self.database {
            Database::File(path) => Place::File(path.clone()),
            Database::Postgres(url) => Place::Postgres(PostgresUrl::parse(url).expect("an URL of ours")),
        };
        Journal::open(place, self.custodian.clone(), Environment::Test)
            .await
            .expect("a journal")
    }

    /// What somebody does to the rows while the journal is closed and nobody looks: no reference is kept.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn spoil(&self, statement: &str) {
        match &self.database {
            Database::File(path) => {
                let connection = rusqlite::Connection::open(path).expect("a file");
                let spoilt = connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {statement}"));
                spoilt.expect("the file takes it");
            }
            Database::Postgres(url) => {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
                let talking = tokio::spawn(connection);
                let schema = format!("viereck_{}", self.custodian);
                let unchecked =
                    format!("SET session_replication_role = replica; SET search_path = \"{schema}\"; {statement}");
                client.batch_execute(&unchecked).await.expect("the server takes it");
                talking.abort();
            }
        }
    }
}

/// A custodian's name.
pub fn id(custodian: &str) -> GatewayId {
    custodian.parse().expect("well-formed")
}

/// The first messages that are due at a reader's gateway, of whatever authority, given into the caller's hands.
///
/// # Panics
/// When the journal fails.
pub async fn due(journal: &Journal, limit: usize) -> Vec<viereck_custody::hand_over::GivenOut> {
    let queue = journal.queue().await.expect("the journal reads");
    let mut due = vec![];
    for waiting in queue.waiting {
        let left = limit - due.len();
        let given = journal
            .give_out(&waiting.pair, waiting.class, Timestamp::now(), left)
            .await;
        due.extend(given.expect("the journal gives out"));
    }
    due
}
