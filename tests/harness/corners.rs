//! The four corners as processes over RabbitMQ, with stand-ins around them.
//!
//! One folder, one virtual host and free ports for each test, so that tests run side by side. The sender, the broker
//! and the receivers are processes of their own, started from one configuration file as an operator would, and can be
//! killed and started again on the same ports and journals.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use viereck::demo::applications::{Application, Client, Filed, Receipt};
use viereck::demo::site::{CLIENT, RECEIVER_NW, RECEIVER_SH, Site, Surroundings};
use viereck::demo::stand_ins::{Fachverfahren, FolderFachverfahren, Postfach, ReplyRoute, Script};

use crate::process::Process;
use crate::wait::until;

/// How long a process may take until it is ready, or until it has ended.
pub const READY: Duration = Duration::from_secs(30);

/// A prepared network and what stands around it.
pub struct Corners {
    /// The folder with table, keys and journals.
    pub site: Site,
    /// Schleswig-Holstein's Fachverfahren.
    pub http: Fachverfahren,
    /// The other one.
    pub folder: FolderFachverfahren,
    /// The mailboxes.
    pub postfach: Postfach,
    /// Where the gateways listen: sender, Schleswig-Holstein's receiver, the other receiver.
    pub listen: [SocketAddr; 3],
    name: String,
    dir: TempDir,
}

impl Corners {
    /// Prepares everything for the test `name` over `amqp`; starts the stand-ins and no process.
    ///
    /// # Panics
    /// When anything fails.
    pub async fn prepare(name: &str, amqp: String, http: Script, folder: Script) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let site = Site::prepare(dir.path()).expect("table and keys");
        let bind = || tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let http = Fachverfahren::start(bind().await.expect("a port"), http).expect("a stand-in");
        let postfach = Postfach::start(bind().await.expect("a port")).expect("a stand-in");
        let handed_over = dir.path().join("fachverfahren");
        let folder = FolderFachverfahren::start(handed_over, folder)
            .await
            .expect("a stand-in");
        let listen = [free_port(), free_port(), free_port()];
        site.configure(&Surroundings {
            amqp: Some(amqp),
            listen,
            fachverfahren_url: http.url(),
            fachverfahren_folder: folder.folder().to_owned(),
            postfach_url: postfach.url(),
        })
        .expect("a configuration");
        let corners = Self {
            site,
            http,
            folder,
            postfach,
            listen,
            name: name.to_owned(),
            dir,
        };
        corners.reply();
        corners
    }

    /// Each Fachverfahren posts its Bescheide through its gateway, also those that were held until now.
    ///
    /// # Panics
    /// When the token of one cannot be read.
    pub fn reply(&self) {
        let route = |gateway: &str, address: SocketAddr| ReplyRoute {
            gateway: format!("http://{address}"),
            token: self.site.fachverfahren_token(gateway).expect("a token"),
            share: viereck::demo::stand_ins::Share::All,
        };
        self.http.reply_through(route(RECEIVER_SH, self.listen[1]));
        self.folder.reply_through(route(RECEIVER_NW, self.listen[2]));
    }

    /// Starts one role (`sender`, `broker` or `receiver`) and returns once it is ready.
    pub async fn start(&self, role: &str) -> Process {
        self.start_with(role, &[]).await
    }

    /// The same, with keys of the configuration set by variables.
    pub async fn start_with(&self, role: &str, variables: &[(&str, &str)]) -> Process {
        let process = self.start_as(role, role, variables);
        let ready: &[SocketAddr] = match role {
            "sender" => &self.listen[..1],
            "receiver" => &self.listen[1..],
            _ => &[],
        };
        ready_at(&process, ready).await;
        process
    }

    /// The same under a name of its own, and without waiting for anything.
    pub fn start_as(&self, name: &str, role: &str, variables: &[(&str, &str)]) -> Process {
        let configuration = self.site.configuration();
        let configuration = configuration.to_str().expect("a path of ours");
        let variables = variables.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let environment: Vec<_> = std::iter::once(("VIERECK_LOG", "info".to_owned()))
            .chain(variables)
            .collect();
        Process::start(
            &format!("{}-{name}", self.name),
            &[role, "--config", configuration],
            &environment,
        )
    }

    /// A client of the sender gateway.
    pub fn client(&self) -> Client {
        let token = self.site.client_token(CLIENT).expect("a token");
        Client::new(format!("http://{}", self.listen[0]), token)
    }

    /// The folder of this test.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Waits until a process is ready wherever it listens.
pub(crate) async fn ready_at(process: &Process, addresses: &[SocketAddr]) {
    for address in addresses {
        let url = format!("http://{address}/healthz/ready");
        until(READY, &process.describe(), async || {
            reqwest::get(&url).await.ok().filter(|r| r.status().is_success())
        })
        .await;
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address")
}

/// Files an application that must be promised.
///
/// # Panics
/// When it is not.
pub async fn promised(client: &Client, application: &Application) -> Receipt {
    match client.file(application).await.expect("the gateway answers") {
        Filed::Promised(receipt) => receipt,
        Filed::Refused { code, detail, .. } => panic!("{}: refused: {code}: {detail}", application.about),
    }
}

/// Waits for the end of a submission and returns its status.
///
/// # Panics
/// When it does not end within `deadline`.
pub async fn ended(client: &Client, submission: &str, deadline: Duration) -> String {
    let path = format!("/v1/submissions/{submission}");
    until(deadline, &format!("{submission} ends"), async || {
        let status = client.get(&path, 2).await.ok()?;
        (status["terminal"] == true).then(|| status["status"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

/// The stages that custodians stated about a submission, in order.
pub async fn stages(client: &Client, submission: &str) -> Vec<String> {
    let events = client
        .get(&format!("/v1/submissions/{submission}/events"), 0)
        .await
        .expect("the gateway answers");
    let events = events["events"].as_array().expect("a list of events");
    let stated = events.iter().filter(|event| event["internal"] != true);
    stated
        .filter_map(|event| Some(event["stage"].as_str()?.to_owned()))
        .collect()
}
