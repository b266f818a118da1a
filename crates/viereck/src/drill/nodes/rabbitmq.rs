//! A private RabbitMQ: Debian's `rabbitmq-server`, run from its package's folder on free ports of the loopback.
//!
//! Its service is neither needed nor touched: another Erlang cookie, another epmd, another place for everything it
//! writes. A [`Node`] is one server alone, a [`Cluster`] several that know each other. Virtual hosts are made with the
//! policies of `deploy/rabbitmq`.

mod cluster;
mod ground;
mod listener;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::child::{Child, Pace, said, until};
use super::error::NodeError;
use super::{free_ports, program};

pub use self::cluster::{Cluster, Vhost};
use self::ground::{Ground, LOOPBACK_ONLY, detached};
use self::listener::Listener;

/// How long a node may take to start. Alone it takes 4 to 7 s.
const START: Duration = Duration::from_secs(120);

/// How long a node may take to stop when it was asked to.
const STOP: Duration = Duration::from_secs(60);

/// What the policies of a virtual host are, with `@VHOST@` in place of its name.
const DEFINITIONS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/rabbitmq/definitions.json"
));

/// Whether RabbitMQ is installed here.
pub fn available() -> Result<(), NodeError> {
    ground::scripts().map(drop)
}

/// One node, alone or of a cluster.
#[derive(Debug)]
pub struct Node {
    ground: Arc<Ground>,
    /// Its Erlang name.
    name: String,
    /// All that it writes.
    folder: PathBuf,
    listener: Listener,
    amqp: u16,
    distribution: u16,
    server: Mutex<Option<Child>>,
    vhosts: AtomicU32,
}

impl Node {
    /// Starts a node alone and waits until it takes connections.
    ///
    /// # Errors
    /// [`NodeError::Missing`] when RabbitMQ is not installed.
    pub async fn start() -> Result<Self, NodeError> {
        Self::listening(Listener::Plain).await
    }

    /// The same, configured as `deploy/rabbitmq` has it for production: TLS and client certificates, nothing in
    /// plaintext. `files` is the folder with `ca.pem`, `node.pem` and `node.key`. It has no virtual host of Viereck and
    /// no users: `apply` and `grant` of `deploy/rabbitmq` make them, see [`Node::operator`].
    ///
    /// # Errors
    /// [`NodeError::Missing`] when RabbitMQ is not installed.
    pub async fn start_with_tls(files: &Path) -> Result<Self, NodeError> {
        Self::listening(Listener::Tls(files.to_owned())).await
    }

    async fn listening(listener: Listener) -> Result<Self, NodeError> {
        let node = Self::new(&Ground::prepare()?, "viereck@localhost".to_owned(), listener, &[])?;
        node.restart().await?;
        Ok(node)
    }

    /// A node that was not started yet. `peers` are the names of all nodes of its cluster.
    fn new(ground: &Arc<Ground>, name: String, listener: Listener, peers: &[String]) -> Result<Self, NodeError> {
        let folder = ground.path(name.split('@').next().unwrap_or(&name));
        let [amqp, distribution] = free_ports()?;
        let node = Self {
            ground: Arc::clone(ground),
            name,
            folder,
            listener,
            amqp,
            distribution,
            server: Mutex::new(None),
            vhosts: AtomicU32::new(0),
        };
        node.write_configuration(peers)
            .map_err(NodeError::system("write a configuration for RabbitMQ"))?;
        Ok(node)
    }

    /// Starts the node again after [`Node::kill`] or [`Node::stop`], and waits until it takes connections.
    ///
    /// # Errors
    /// [`NodeError::NotStarted`] when it ends, [`NodeError::Late`] when it does not get ready.
    pub async fn restart(&self) -> Result<(), NodeError> {
        let child = Child::start(
            &self.name,
            &mut self.command("rabbitmq-server"),
            &self.log(),
            self.ground.watch(),
        )?;
        {
            let mut server = self.server();
            if server.is_some() {
                return Err(NodeError::Running(self.name.clone()));
            }
            *server = Some(child);
        }
        // Asking with its own tools costs more than a second each time, so they are asked once it listens.
        until(&format!("the start of {}", self.name), START, async || {
            self.still_starting()?;
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, self.amqp)).ok())
        })
        .await?;
        until(&format!("the start of {}", self.name), START, async || {
            self.still_starting()?;
            let ready = self.try_ctl(&["await_startup", "--timeout", "60"]).await?;
            Ok(ready.status.success().then_some(()))
        })
        .await
    }

    fn still_starting(&self) -> Result<(), NodeError> {
        let mut server = self.server();
        match server.as_mut().map(Child::status).transpose()? {
            Some(None) => Ok(()),
            Some(Some(_)) | None => {
                *server = None;
                Err(NodeError::NotStarted {
                    name: self.name.clone(),
                    said: said(&self.log(), 30),
                })
            }
        }
    }

    /// Kills the node (SIGKILL) and waits until it is gone.
    pub async fn kill(&self) -> Result<(), NodeError> {
        self.take()?.kill().await.map(drop)
    }

    /// Stops the node as an operator would and waits until it is gone.
    pub async fn stop(&self) -> Result<(), NodeError> {
        let mut child = self.take()?;
        child.signal(Signal::TERM)?;
        child.ended(STOP).await.map(drop)
    }

    /// Freezes the node (SIGSTOP): its connections stay open and nobody answers.
    pub fn freeze(&self) -> Result<(), NodeError> {
        self.running(Child::freeze)
    }

    /// Ends [`Node::freeze`].
    pub fn thaw(&self) -> Result<(), NodeError> {
        self.running(Child::thaw)
    }

    /// Whether it was started and not yet stopped or killed.
    pub fn is_running(&self) -> bool {
        self.server().is_some()
    }

    /// Whether it runs and would answer.
    fn answers(&self) -> bool {
        self.server()
            .as_ref()
            .is_some_and(|child| child.pace() == Pace::Running)
    }

    /// The id of its process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.server().as_ref().map(Child::id)
    }

    /// The folder with all that it writes: what is stored, logs, its configuration.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The port on which it speaks AMQP.
    pub fn port(&self) -> u16 {
        self.amqp
    }

    /// Makes a virtual host with the policies of `deploy/rabbitmq` and gives its AMQP URL.
    pub async fn vhost(&self) -> Result<String, NodeError> {
        let name = format!("t{}", self.vhosts.fetch_add(1, Ordering::Relaxed));
        self.import(&name).await?;
        Ok(self.url(&name))
    }

    /// Makes the virtual host of this name, or leaves it as it is.
    async fn import(&self, vhost: &str) -> Result<(), NodeError> {
        let invalid = |error: serde_json::Error| NodeError::System {
            action: "read the policies of deploy/rabbitmq".to_owned(),
            source: error.into(),
        };
        let mut definitions: serde_json::Value =
            serde_json::from_str(&DEFINITIONS.replace("@VHOST@", vhost)).map_err(invalid)?;
        definitions["permissions"] = serde_json::json!([
            { "user": "guest", "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*" }
        ]);
        let file = self.path(&format!("{vhost}.json"));
        fs::write(&file, definitions.to_string()).map_err(NodeError::system("write definitions"))?;
        self.ctl(&["import_definitions", &file.display().to_string()])
            .await
            .map(drop)
    }

    fn url(&self, vhost: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/{vhost}", self.amqp)
    }

    /// Runs `rabbitmqctl` against this node and gives what it printed.
    ///
    /// # Errors
    /// [`NodeError::Refused`] with what it said.
    pub async fn ctl(&self, args: &[&str]) -> Result<String, NodeError> {
        let output = self.try_ctl(args).await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        Err(NodeError::Refused {
            what: format!("rabbitmqctl {}", args.join(" ")),
            said: format!("{printed}{}", String::from_utf8_lossy(&output.stderr)),
        })
    }

    async fn try_ctl(&self, args: &[&str]) -> Result<std::process::Output, NodeError> {
        let mut command = tokio::process::Command::from(self.command("rabbitmqctl"));
        command
            .args(args)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(NodeError::system("start rabbitmqctl"))
    }

    /// A command that reaches this node as an operator's shell reaches a real one: for the scripts of `deploy/rabbitmq`.
    pub fn operator(&self, program: &Path) -> Command {
        let mut command = self.in_its_environment(program);
        command.env("RABBITMQCTL", self.ground.script("rabbitmqctl"));
        command
    }

    fn command(&self, script: &str) -> Command {
        self.in_its_environment(&self.ground.script(script))
    }

    /// Nothing of `/etc/rabbitmq`.
    fn in_its_environment(&self, program: &Path) -> Command {
        let mut command = detached(program);
        command
            .env("HOME", self.ground.home())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
            .env("RABBITMQ_MNESIA_DIR", self.path("mnesia/node"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", self.path("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("enabled_plugins"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", self.path("generated"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", self.path("feature_flags"))
            .env("ERL_EPMD_PORT", self.ground.epmd_port().to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            // Idle schedulers that spin would take the processor from whoever is tested beside it.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!("{LOOPBACK_ONLY} +sbwt none +sbwtdcpu none +sbwtdio none"),
            )
            .env("RABBITMQ_CTL_ERL_ARGS", LOOPBACK_ONLY)
            // Any free port; by default all tools of a host share ten.
            .env("RABBITMQ_CTL_DIST_PORT_MIN", "0")
            .env("RABBITMQ_CTL_DIST_PORT_MAX", "0")
            // The script becomes the server instead of its parent, so its process id is the one to end.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }

    fn write_configuration(&self, peers: &[String]) -> std::io::Result<()> {
        use std::fmt::Write;
        let mut configuration = self.listener.configuration(self.amqp);
        if !peers.is_empty() {
            // As deploy/rabbitmq recommends: the smaller side of a partition stops, and a frozen node counts as lost soon.
            configuration.push_str("cluster_partition_handling = pause_minority\nnet_ticktime = 12\n");
            configuration.push_str("cluster_formation.peer_discovery_backend = classic_config\n");
        }
        for (index, peer) in peers.iter().enumerate() {
            // Into a string nothing fails.
            let _ = writeln!(
                configuration,
                "cluster_formation.classic_config.nodes.{} = {peer}",
                index + 1
            );
        }
        fs::create_dir_all(&self.folder)?;
        for (name, text) in [
            ("rabbitmq.conf", configuration.as_str()),
            ("enabled_plugins", self.listener.plugins()),
        ] {
            fs::write(self.path(name), text)?;
        }
        for name in ["mnesia", "log", "generated"] {
            fs::create_dir(self.path(name))?;
        }
        Ok(())
    }

    /// Everything that it has stored, gone.
    fn wipe(&self) -> Result<(), NodeError> {
        if self.is_running() {
            return Err(NodeError::Running(self.name.clone()));
        }
        fs::remove_dir_all(self.path("mnesia"))
            .and_then(|()| fs::create_dir(self.path("mnesia")))
            .map_err(NodeError::system("remove what RabbitMQ has stored"))?;
        // Of an old life too; it is written anew.
        let _ = fs::remove_file(self.path("feature_flags"));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn log(&self) -> PathBuf {
        self.path("out")
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Child, NodeError> {
        self.server()
            .take()
            .ok_or_else(|| NodeError::NotRunning(self.name.clone()))
    }

    fn running<T>(&self, work: impl FnOnce(&mut Child) -> Result<T, NodeError>) -> Result<T, NodeError> {
        match self.server().as_mut() {
            Some(child) => work(child),
            None => Err(NodeError::NotRunning(self.name.clone())),
        }
    }
}
