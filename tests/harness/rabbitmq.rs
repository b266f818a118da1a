//! A private RabbitMQ for tests: Debian's `rabbitmq-server`, run from its package's folder on free ports of the loopback.
//!
//! Its service is neither needed nor touched: another Erlang cookie, another epmd, another place for everything it
//! writes. It starts once per test binary, some seconds after the first test asked; each test gets a virtual host of its
//! own with the policies of `deploy/rabbitmq`.
//!
//! It ends with the process that started it, however that ends: a small shell waits for the end of a pipe whose other
//! end only this process holds, and then kills what is left. Ending goes by process ids that are surely ours: those of
//! children nobody has waited for yet.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Where Debian's package keeps its versions.
const PACKAGE: &str = "/usr/lib/rabbitmq/lib";

/// How long a node may take to start. Alone it takes 4 to 7 s.
const START: Duration = Duration::from_secs(90);

/// Every process of the node binds here only.
const LOOPBACK_ONLY: &str = "-kernel inet_dist_use_interface {127,0,0,1}";

/// The AMQP URL of a new virtual host on the one node that all tests of this binary share.
///
/// # Panics
/// When RabbitMQ is not installed or does not start.
pub async fn vhost() -> String {
    let node = shared().await;
    on_a_thread(|| node.vhost())
}

/// The one node that all tests of this binary share. It must not be stopped or killed.
///
/// # Panics
/// When RabbitMQ is not installed or does not start.
pub async fn shared() -> &'static Node {
    static SHARED: OnceCell<Node> = OnceCell::const_new();
    SHARED.get_or_init(async || on_a_thread(Node::start)).await
}

/// Starting and asking a node blocks for seconds; tests run on few threads.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// One node of its own: for tests that stop, kill or freeze it.
#[derive(Debug)]
pub struct Node {
    folder: TempDir,
    scripts: PathBuf,
    amqp: u16,
    epmd_port: u16,
    distribution: u16,
    server: Mutex<Option<Child>>,
    /// Erlang's name service for this node alone.
    epmd: Mutex<Child>,
    /// The shell that outlives us for a moment.
    watch: Mutex<Child>,
    vhosts: AtomicU32,
}

impl Node {
    /// Starts a node and waits until it takes connections.
    ///
    /// # Panics
    /// When RabbitMQ is not installed or does not start.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("viereck-rabbitmq-")
            .tempdir()
            .expect("a temporary folder");
        let [amqp, epmd_port, distribution] = free_ports();
        let mut watch = watch_over(folder.path());
        let epmd = detached(Path::new("epmd"))
            .args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("epmd starts: it comes with Erlang, which comes with rabbitmq-server");
        tell(&mut watch, '+', &epmd);
        let node = Self {
            scripts: scripts(),
            amqp,
            epmd_port,
            distribution,
            server: Mutex::new(None),
            epmd: Mutex::new(epmd),
            watch: Mutex::new(watch),
            vhosts: AtomicU32::new(0),
            folder,
        };
        node.write_configuration();
        node.restart();
        node
    }

    /// Starts the node again after [`Node::kill`] or [`Node::stop`], and waits until it takes connections.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("out"))
            .expect("a log");
        {
            let mut server = self.server();
            assert!(server.is_none(), "the node is running");
            let child = self
                .command("rabbitmq-server")
                .stdout(log.try_clone().expect("a second handle"))
                .stderr(log)
                .spawn()
                .expect("the server script starts");
            tell(&mut self.watch(), '+', &child);
            *server = Some(child);
        }
        let begun = Instant::now();
        // The tool says "not running" until the node knows its own name, and only then begins to wait.
        while !self.try_ctl(&["await_startup", "--timeout", "60"]).status.success() {
            let ended = self
                .server()
                .as_mut()
                .is_none_or(|child| child.try_wait().expect("it is ours").is_some());
            assert!(
                !ended && begun.elapsed() < START,
                "RabbitMQ did not start (ended: {ended}); it said: {}",
                self.said()
            );
        }
    }

    /// Kills the node (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&self) {
        let mut child = self.server().take().expect("the node runs");
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        tell(&mut self.watch(), '-', &child);
    }

    /// Stops the node as an operator would and waits until it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&self) {
        let mut child = self.server().take().expect("the node runs");
        self.signal("-TERM", &child);
        child.wait().expect("it is ours");
        tell(&mut self.watch(), '-', &child);
    }

    /// Freezes the node (SIGSTOP): its connections stay open and nobody answers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        self.signal("-STOP", self.server().as_ref().expect("the node runs"));
    }

    /// Ends [`Node::freeze`].
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        self.signal("-CONT", self.server().as_ref().expect("the node runs"));
    }

    /// Makes a virtual host with the policies of `deploy/rabbitmq` and gives its AMQP URL.
    ///
    /// # Panics
    /// When RabbitMQ refuses.
    pub fn vhost(&self) -> String {
        let name = format!("t{}", self.vhosts.fetch_add(1, Ordering::Relaxed));
        let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rabbitmq/definitions.json");
        let text = fs::read_to_string(&deployed).expect("the definitions of deploy/rabbitmq");
        let mut definitions: serde_json::Value =
            serde_json::from_str(&text.replace("@VHOST@", &name)).expect("definitions are JSON");
        definitions["permissions"] = serde_json::json!([
            { "user": "guest", "vhost": name, "configure": ".*", "write": ".*", "read": ".*" }
        ]);
        let file = self.path(&format!("{name}.json"));
        fs::write(&file, definitions.to_string()).expect("the node's folder is ours");
        self.ctl(&["import_definitions", &file.display().to_string()]);
        format!("amqp://guest:guest@127.0.0.1:{}/{name}", self.amqp)
    }

    /// Runs `rabbitmqctl` against this node.
    ///
    /// # Panics
    /// When it refuses.
    pub fn ctl(&self, args: &[&str]) -> String {
        let output = self.try_ctl(args);
        assert!(
            output.status.success(),
            "rabbitmqctl {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn try_ctl(&self, args: &[&str]) -> Output {
        self.command("rabbitmqctl")
            .args(args)
            .output()
            .expect("rabbitmqctl starts")
    }

    /// A command that reaches this node as an operator's shell reaches a real one: for the scripts of `deploy/rabbitmq`.
    pub fn operator(&self, program: &Path) -> Command {
        let mut command = self.in_its_environment(program);
        command.env("RABBITMQCTL", self.scripts.join("rabbitmqctl"));
        command
    }

    fn command(&self, script: &str) -> Command {
        self.in_its_environment(&self.scripts.join(script))
    }

    /// Nothing of `/etc/rabbitmq`.
    fn in_its_environment(&self, program: &Path) -> Command {
        let mut command = detached(program);
        command
            .env("HOME", self.folder.path())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", "viereck@localhost")
            .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
            .env("RABBITMQ_MNESIA_DIR", self.path("mnesia/node"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", self.path("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("enabled_plugins"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", self.path("generated"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", self.path("feature_flags"))
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", LOOPBACK_ONLY)
            .env("RABBITMQ_CTL_ERL_ARGS", LOOPBACK_ONLY)
            // Any free port; by default all tools of a host share ten.
            .env("RABBITMQ_CTL_DIST_PORT_MIN", "0")
            .env("RABBITMQ_CTL_DIST_PORT_MAX", "0")
            // The script becomes the server instead of its parent, so its process id is the one to end.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }

    fn write_configuration(&self) {
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\n\
             disk_free_limit.absolute = 50MB\n\
             log.file.level = warning\n",
            self.amqp
        );
        for (name, text) in [("rabbitmq.conf", configuration.as_str()), ("enabled_plugins", "[].\n")] {
            fs::write(self.path(name), text).expect("the node's folder is ours");
        }
        for name in ["mnesia", "log", "generated"] {
            fs::create_dir(self.path(name)).expect("the node's folder is ours");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("out")).unwrap_or_default()
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) -> MutexGuard<'_, Child> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: &str, child: &Child) {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "the node is gone: {}",
            self.said()
        );
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut watch = self.watch();
        let mut epmd = self.epmd.lock().unwrap_or_else(PoisonError::into_inner);
        for child in self.server().as_mut().into_iter().chain([&mut *epmd]) {
            // It may have ended already. A frozen one ends by SIGKILL too.
            let _ = child.kill();
            let _ = child.wait();
            tell(&mut watch, '-', child);
        }
        // The end of its input ends it.
        drop(watch.stdin.take());
        let _ = watch.wait();
    }
}

/// The folder with the package's scripts, of the newest version.
fn scripts() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir(PACKAGE)
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("sbin"))
                .filter(|sbin| sbin.join("rabbitmq-server").is_file())
                .collect()
        })
        .unwrap_or_default();
    versions.sort();
    versions
        .pop()
        .expect("rabbitmq-server is not installed: tests/run --only prepare installs it (without starting its service)")
}

/// A command that has nothing of ours: no environment, no input, no open file. A Ctrl-C at the tests is not for it
/// either; it ends by its watch.
fn detached(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; exec "$0" "$@""#])
        .arg(program)
        .env_clear()
        .env("PATH", path())
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// Where `epmd`, `erl` and the shell's tools are; Debian's places in any case.
fn path() -> String {
    let inherited = std::env::var("PATH").unwrap_or_default();
    format!("{inherited}:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// Ports that were free a moment ago, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}

/// Starts the shell that outlives us for a moment. Each line is a process to end or, once it was waited for, to forget.
fn watch_over(folder: &Path) -> Child {
    const SCRIPT: &str = r#"
        alive=" "
        while read -r what pid; do
            case $what in
            +) alive="$alive$pid " ;;
            -) alive="${alive%% "$pid" *} ${alive#* "$pid" }" ;;
            esac
        done
        for pid in $alive; do kill -9 "$pid"; done
        rm -rf "$1"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "watch"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell")
}

fn tell(watch: &mut Child, what: char, child: &Child) {
    let input = watch.stdin.as_mut().expect("its input is a pipe");
    writeln!(input, "{what} {}", child.id()).expect("the watch reads");
}
