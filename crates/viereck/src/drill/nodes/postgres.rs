//! A private PostgreSQL: the host's binaries, a folder of its own, a free port of the loopback.
//!
//! No cluster of the package is touched. What it confirms is on disk (`fsync` is on), so that killing it means what it
//! means in production. PostgreSQL refuses to run as root; then it runs as the unprivileged user of its package.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::child::{Child, said, until};
use super::error::NodeError;
use super::watch::Watch;
use super::{free_ports, program, search_path};

/// Where Debian's packages keep their versions.
const PACKAGES: &str = "/usr/lib/postgresql";

/// Who it runs as when we are root.
const UNPRIVILEGED: &str = "postgres";

/// The role that owns everything in it.
const ROLE: &str = "viereck";

/// How long it may take to start, recovery after a kill included, and to stop.
const START: Duration = Duration::from_secs(60);

/// Whether PostgreSQL can be run here.
pub fn available() -> Result<(), NodeError> {
    binaries().map(drop)?;
    Identity::find().map(drop)
}

/// A running server, or one that was killed and can be started again.
#[derive(Debug)]
pub struct Server {
    server: Mutex<Option<Child>>,
    port: u16,
    password: String,
    binaries: PathBuf,
    identity: Identity,
    made: AtomicU32,
    watch: Arc<Watch>,
    folder: TempDir,
}

impl Server {
    /// Makes an empty server and starts it.
    ///
    /// # Errors
    /// [`NodeError::Missing`] when PostgreSQL is not installed.
    pub async fn start() -> Result<Self, NodeError> {
        let (binaries, identity) = (binaries()?, Identity::find()?);
        let folder = tempfile::Builder::new()
            .prefix("viereck-postgres-")
            .tempdir()
            .map_err(NodeError::system("make a temporary folder"))?;
        identity.own(folder.path())?;
        let watch = Watch::start(Some(folder.path()))?;
        let [port] = free_ports()?;
        let server = Self {
            server: Mutex::new(None),
            port,
            password: uuid::Uuid::new_v4().simple().to_string(),
            binaries,
            identity,
            made: AtomicU32::new(0),
            watch,
            folder,
        };
        server.initialise().await?;
        server.restart().await?;
        Ok(server)
    }

    async fn initialise(&self) -> Result<(), NodeError> {
        let secret = self.folder.path().join("password");
        fs::write(&secret, &self.password).map_err(NodeError::system("write a password"))?;
        self.identity.own(&secret)?;
        let mut command = self.command("initdb");
        command
            .arg("--pgdata")
            .arg(self.data())
            .arg("--pwfile")
            .arg(&secret)
            .args(["--username", ROLE, "--auth", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]);
        run("initdb", command).await?;
        fs::remove_file(&secret).map_err(NodeError::system("remove a password"))
    }

    /// Starts it again after [`Server::kill`] or [`Server::stop`], and waits until it takes connections.
    pub async fn restart(&self) -> Result<(), NodeError> {
        until("the start of PostgreSQL", START, async || {
            if self.begin()? {
                let status = self.ask("pg_isready", &[]).output().await;
                let ready = status.map_err(NodeError::system("start pg_isready"))?.status.success();
                return Ok(ready.then_some(()));
            }
            Ok(None)
        })
        .await
    }

    /// Whether it runs now. Right after a kill the processes of the old server may still be about to end; until then a
    /// new one refuses to start, so one that ended is started once more.
    fn begin(&self) -> Result<bool, NodeError> {
        let mut server = self.server();
        if let Some(child) = server.as_mut() {
            if child.status()?.is_none() {
                return Ok(true);
            }
            *server = None;
            let said = said(&self.log(), 10);
            if !said.contains("is still in use") && !said.contains("already exists") {
                return Err(NodeError::NotStarted {
                    name: "PostgreSQL".to_owned(),
                    said,
                });
            }
            return Ok(false);
        }
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "fsync=on"])
            .args(["-c", "shared_buffers=32MB"])
            .args(["-c", "max_connections=200"]);
        *server = Some(Child::start("PostgreSQL", &mut command, &self.log(), &self.watch)?);
        Ok(true)
    }

    /// Kills the server (SIGKILL) and waits until it is gone. What it has confirmed is on disk.
    pub async fn kill(&self) -> Result<(), NodeError> {
        self.take()?.kill().await.map(drop)
    }

    /// Stops it as an operator would: connections are ended, what is under way is rolled back.
    pub async fn stop(&self) -> Result<(), NodeError> {
        let mut child = self.take()?;
        child.signal(Signal::INT)?;
        child.ended(START).await.map(drop)
    }

    /// Makes a database nobody has used and gives its URL. `name` is for whoever reads the log: lower-case letters and
    /// digits.
    pub async fn url(&self, name: &str) -> Result<String, NodeError> {
        let database = format!("{name}_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut command = self.ask("createdb", &[&database]);
        let output = command.output().await.map_err(NodeError::system("start createdb"))?;
        if !output.status.success() {
            return Err(NodeError::Refused {
                what: format!("making the database {database}"),
                said: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        Ok(format!(
            "postgres://{ROLE}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        ))
    }

    /// The folder with all that it writes: databases, write-ahead logs, its own log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The end of its log.
    pub fn said(&self) -> String {
        said(&self.log(), 20)
    }

    /// A client of this server.
    fn ask(&self, tool: &str, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::from(self.command(tool));
        command
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--username",
                ROLE,
            ])
            .args(arguments)
            .env("PGPASSWORD", &self.password)
            .kill_on_drop(true);
        command
    }

    /// One of its programs, with nothing of our environment.
    fn command(&self, program: &str) -> Command {
        let mut command = self.identity.command(&self.binaries.join(program));
        command
            .env_clear()
            .env("PATH", search_path())
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Child, NodeError> {
        self.server()
            .take()
            .ok_or_else(|| NodeError::NotRunning("PostgreSQL".to_owned()))
    }
}

/// Who the server runs as.
#[derive(Debug, Clone)]
enum Identity {
    /// Whoever we are.
    Ours,
    /// Somebody less than root.
    Unprivileged { user: u32, group: u32 },
}

impl Identity {
    fn find() -> Result<Self, NodeError> {
        if !geteuid().is_root() {
            return Ok(Self::Ours);
        }
        let missing = |why: &str| NodeError::Missing {
            tool: "postgres",
            why: why.to_owned(),
        };
        if program("setpriv").is_none() {
            return Err(missing(
                "it does not run as root, and there is no setpriv (Debian's package util-linux)",
            ));
        }
        let users = fs::read_to_string("/etc/passwd").map_err(NodeError::system("read /etc/passwd"))?;
        users
            .lines()
            .find_map(|line| {
                let mut fields = line.split(':');
                let found = fields.next() == Some(UNPRIVILEGED);
                let user = fields.nth(1)?.parse().ok()?;
                let group = fields.next()?.parse().ok()?;
                found.then_some(Self::Unprivileged { user, group })
            })
            .ok_or_else(|| missing("it does not run as root, and there is no user postgres"))
    }

    fn own(&self, path: &Path) -> Result<(), NodeError> {
        match self {
            Self::Ours => Ok(()),
            Self::Unprivileged { user, group } => chown(path, Some(*user), Some(*group))
                .map_err(NodeError::system(format!("give {} away", path.display()))),
        }
    }

    /// A command that becomes `program`, so that its process id is the program's.
    fn command(&self, program: &Path) -> Command {
        match self {
            Self::Ours => Command::new(program),
            Self::Unprivileged { user, group } => {
                let mut command = Command::new("setpriv");
                command
                    .args([format!("--reuid={user}"), format!("--regid={group}")])
                    .args(["--clear-groups", "--"])
                    .arg(program);
                command
            }
        }
    }
}

/// The folder of the newest version's programs.
fn binaries() -> Result<PathBuf, NodeError> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(PACKAGES)
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| {
                    let version = entry.file_name().to_str()?.parse().ok()?;
                    Some((version, entry.path().join("bin")))
                })
                .filter(|(_, folder)| is_complete(folder))
                .collect()
        })
        .unwrap_or_default();
    versions.sort();
    let on_path = || Some(program("postgres")?.parent()?.to_owned()).filter(|folder| is_complete(folder));
    versions
        .pop()
        .map(|(_, folder)| folder)
        .or_else(on_path)
        .ok_or_else(|| NodeError::Missing {
            tool: "postgres",
            why: "it is not installed (Debian's package postgresql; its service need not run)".to_owned(),
        })
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_isready", "createdb"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

async fn run(what: &str, command: Command) -> Result<(), NodeError> {
    let output = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(NodeError::system(format!("start {what}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(NodeError::Refused {
        what: what.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
