//! The network whose traces are looked through: real processes that log everything, and all places where they leave traces.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use harness::corners::{Corners, READY, free_port};
use harness::postgres;
use harness::process::{Process, binary, log_of};
use harness::rabbitmq::Node;
use harness::wait::until;
use viereck::demo::site::{BROKER, CLIENT, RECEIVER_NW, RECEIVER_SH, SENDER};
use viereck::demo::stand_ins::Answer;
use viereck_routing::Digest;

use super::around::{Around, Heard};
use super::canaries::Canaries;

pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// What is under the network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// RabbitMQ, and a SQLite file for each journal.
    Files,
    /// RabbitMQ, and all journals in PostgreSQL.
    Database,
    /// One process with the embedded link, and SQLite files.
    Embedded,
}

impl Ground {
    fn name(self) -> &'static str {
        match self {
            Ground::Files => "nothing-leaks-files",
            Ground::Database => "nothing-leaks-database",
            Ground::Embedded => "nothing-leaks-embedded",
        }
    }

    fn roles(self) -> &'static [&'static str] {
        match self {
            Ground::Files | Ground::Database => &["broker", "receiver", "sender"],
            Ground::Embedded => &["run"],
        }
    }
}

pub(super) struct World {
    pub(super) ground: Ground,
    pub(super) canaries: Arc<Canaries>,
    pub(super) corners: Corners,
    pub(super) around: Around,
    /// Where RabbitMQ is reached, with its password, and the node itself.
    pub(super) rabbitmq: Option<(Node, String)>,
    /// The database, with its password, and the server itself.
    pub(super) postgres: Option<(postgres::Server, String)>,
    pub(super) processes: BTreeMap<&'static str, Process>,
    /// The operations interface of each role.
    pub(super) operations: BTreeMap<&'static str, SocketAddr>,
    /// Answers that are refusals.
    pub(super) refusals: Heard,
    /// What commands printed.
    pub(super) printed: Heard,
    /// What the gateway says of messages to those who filed them.
    pub(super) told: Heard,
    /// What a client got back of its own.
    pub(super) given_back: Heard,
    variables: Vec<(String, String)>,
    outside: tempfile::TempDir,
}

impl World {
    /// Starts all of it.
    pub(super) async fn start(ground: Ground) -> Self {
        let canaries = Arc::new(Canaries::default());
        let around = Around::start(&canaries).await;
        let outside = tempfile::tempdir().unwrap();
        let rabbitmq = match ground {
            Ground::Embedded => None,
            Ground::Files | Ground::Database => Some(rabbitmq(&canaries).await),
        };
        let postgres = match ground {
            Ground::Database => Some(database(&canaries).await),
            Ground::Files | Ground::Embedded => None,
        };
        let unused = Arc::new(|_: &_, _| Answer::Accept);
        let amqp = rabbitmq
            .as_ref()
            .map_or("amqp://127.0.0.1:1/none", |(_, url)| url.as_str());
        let corners = Corners::prepare(ground.name(), amqp.to_owned(), unused.clone(), unused).await;
        canaries.secret("token of the client", &corners.site.client_token(CLIENT).unwrap());
        for gateway in [RECEIVER_SH, RECEIVER_NW] {
            let token = corners.site.fachverfahren_token(gateway).unwrap();
            canaries.secret(&format!("token of the Fachverfahren at {gateway}"), &token);
        }
        for folder in ["tmp", "fachverfahren", "tokens", "backups"] {
            std::fs::create_dir_all(outside.path().join(folder)).unwrap();
        }
        let operations = ground.roles().iter().map(|role| (*role, free_port())).collect();
        let mut world = Self {
            ground,
            canaries,
            corners,
            around,
            rabbitmq,
            postgres,
            processes: BTreeMap::new(),
            operations,
            refusals: Heard::default(),
            printed: Heard::default(),
            told: Heard::default(),
            given_back: Heard::default(),
            variables: vec![],
            outside,
        };
        world.variables = world.settings();
        for role in ground.roles() {
            // lines of an earlier run would be looked through too
            let _absent = std::fs::remove_file(world.log(role));
            let process = world.start_role(role);
            world.processes.insert(role, process);
        }
        for (role, process) in &world.processes {
            let url = format!("http://{}/healthz/ready", world.operations[role]);
            until(READY, &process.describe(), async || {
                reqwest::get(&url)
                    .await
                    .ok()
                    .filter(|answer| answer.status().is_success())
            })
            .await;
        }
        world
    }

    fn start_role(&self, role: &str) -> Process {
        let listen = self.operations[role].to_string();
        let variables = self.variables.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let variables: Vec<_> = variables
            .chain([("VIERECK__OPERATIONS__LISTEN", listen.as_str())])
            .collect();
        self.corners.start_as(role, role, &variables)
    }

    /// What the configuration says besides.
    fn settings(&self) -> Vec<(String, String)> {
        let mut all = BTreeMap::new();
        let mut set = |key: &str, value: &str| drop(all.insert(key.to_owned(), value.to_owned()));
        set("VIERECK_LOG", "trace");
        set("RUST_BACKTRACE", "full");
        set("TMPDIR", self.tmp().to_str().unwrap());
        set("VIERECK__TELEMETRY__OTLP", &self.around.collector.1);
        set("VIERECK__TELEMETRY__BEHOERDEN", "true");
        set("VIERECK__GATEWAY__0__WEBHOOKS__ALLOW_LOOPBACK", "true");
        set("VIERECK__GATEWAY__0__WEBHOOKS__PER_CLIENT", "2");
        set("VIERECK__GATEWAY__0__TIMEOUTS__BODY_SECONDS", "2");
        set(
            "VIERECK__GATEWAY__0__DELIVERY__0__URL",
            &format!("{}/postfach", self.around.postfach.1),
        );
        set(
            "VIERECK__GATEWAY__2__DELIVERY__0__FOLDER",
            self.folder().to_str().unwrap(),
        );
        let antraege = format!("{}/antraege", self.around.fachverfahren.1);
        set("VIERECK__GATEWAY__1__DELIVERY__0__URL", &antraege);
        // a delivery of its own for whoever breaks it: the breaker of one is not that of another
        for (index, behoerde) in [
            (1, "wgb:010540880000"),
            (2, "ebb:010020000000"),
            (3, "wgb:010020000000"),
        ] {
            let key = |name: &str| format!("VIERECK__GATEWAY__1__DELIVERY__{index}__{name}");
            set(&key("BEHOERDE"), behoerde);
            set(&key("LEISTUNG"), "default");
            set(&key("ADAPTER"), "http");
            set(&key("URL"), &antraege);
        }
        for (index, (who, may)) in [("anna", "act"), ("otto", "look")].into_iter().enumerate() {
            let token = self.canaries.word(&format!("token of operator {who}"));
            std::fs::write(self.token(who), &token).unwrap();
            let key = |name: &str| format!("VIERECK__OPERATIONS__OPERATOR__{index}__{name}");
            set(&key("NAME"), who);
            set(&key("MAY"), may);
            set(&key("TOKEN_SHA256"), &Digest::of(token.as_bytes()).to_string());
        }
        if let Some((_, url)) = &self.postgres {
            for key in ["BROKER", "GATEWAY__0", "GATEWAY__1", "GATEWAY__2"] {
                set(&format!("VIERECK__{key}__JOURNAL"), url);
            }
        }
        if self.ground == Ground::Embedded {
            set("VIERECK__LINK__KIND", "embedded");
            set("VIERECK__LINK__FILE", self.var().join("link.sqlite").to_str().unwrap());
        }
        all.into_iter().collect()
    }

    /// The role that speaks as a sender, a receiver, the broker.
    pub(super) fn role(&self, role: &'static str) -> &'static str {
        if self.ground == Ground::Embedded { "run" } else { role }
    }

    pub(super) fn sender(&self) -> String {
        format!("http://{}", self.corners.listen[0])
    }

    pub(super) fn receiver(&self) -> String {
        format!("http://{}", self.corners.listen[1])
    }

    pub(super) fn operations_of(&self, role: &'static str) -> String {
        format!("http://{}", self.operations[self.role(role)])
    }

    pub(super) fn client_token(&self) -> String {
        self.corners.site.client_token(CLIENT).unwrap()
    }

    /// The file with the token of an operator.
    pub(super) fn token(&self, who: &str) -> PathBuf {
        self.outside.path().join("tokens").join(who)
    }

    /// Where the second Fachverfahren reads.
    pub(super) fn folder(&self) -> PathBuf {
        self.outside.path().join("fachverfahren")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.outside.path().join("tmp")
    }

    pub(super) fn backups(&self) -> PathBuf {
        self.outside.path().join("backups")
    }

    /// Journals, and what the embedded link stores.
    pub(super) fn var(&self) -> PathBuf {
        self.corners.path().join("var")
    }

    pub(super) fn log(&self, role: &str) -> PathBuf {
        log_of(&format!("{}-{role}", self.ground.name()))
    }

    pub(super) fn custodians(&self) -> [&'static str; 4] {
        [SENDER, BROKER, RECEIVER_SH, RECEIVER_NW]
    }

    /// Runs a command as an operator with the configuration of `role`, logging everything; keeps what it prints.
    pub(super) fn command(&self, role: &'static str, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(self.outside.path())
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .env(
                "VIERECK__OPERATIONS__LISTEN",
                self.operations[self.role(role)].to_string(),
            );
        let output = command.output().unwrap();
        self.printed.keep(&output.stdout);
        self.printed.keep(&output.stderr);
        output.stdout
    }

    /// Stops all roles.
    pub(super) fn stop(&mut self) {
        for (role, process) in &mut self.processes {
            assert!(process.terminate(READY).success(), "{role}: {}", process.describe());
        }
        self.processes.clear();
    }

    /// The configuration file.
    pub(super) fn configuration(&self) -> String {
        let file: &Path = &self.corners.site.configuration();
        file.to_str().unwrap().to_owned()
    }
}

/// A RabbitMQ of our own that logs all it can, with a password that nobody guesses.
async fn rabbitmq(canaries: &Canaries) -> (Node, String) {
    let node = Node::start()
        .await
        .expect("RabbitMQ: tests/run --only prepare installs it");
    let url = node.vhost().await.unwrap();
    let vhost = url.rsplit('/').next().unwrap();
    let password = canaries.word("password for RabbitMQ");
    node.ctl(&["add_user", "viereck", &password]).await.unwrap();
    node.ctl(&["set_permissions", "-p", vhost, "viereck", ".*", ".*", ".*"])
        .await
        .unwrap();
    node.ctl(&["set_log_level", "debug"]).await.unwrap();
    let url = url.replace("guest:guest", &format!("viereck:{password}"));
    (node, url)
}

/// A PostgreSQL of our own that logs every statement with its values.
async fn database(canaries: &Canaries) -> (postgres::Server, String) {
    let server = postgres::own().await;
    let url = server.url("leaks").await.unwrap();
    let password = url.split(['@', ':']).nth(2).unwrap();
    canaries.secret("password for PostgreSQL", password);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for setting in [
        "log_statement = 'all'",
        "log_connections = on",
        "log_min_messages = 'debug1'",
    ] {
        client
            .batch_execute(&format!("ALTER SYSTEM SET {setting}"))
            .await
            .unwrap();
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    (server, url)
}
