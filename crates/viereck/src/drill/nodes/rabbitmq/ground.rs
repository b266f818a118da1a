//! What the nodes of one cluster share: a folder, a name service, a cookie, and the package they are run from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::super::search_path;
use super::{Child, NodeError, free_ports, program};
use crate::drill::nodes::watch::Watch;

/// Where Debian's package keeps its versions.
const PACKAGE: &str = "/usr/lib/rabbitmq/lib";

/// Every process of a node binds here only.
pub(super) const LOOPBACK_ONLY: &str = "-kernel inet_dist_use_interface {127,0,0,1}";

/// In the order in which it ends: the name service, what watches, the folder.
#[derive(Debug)]
pub(super) struct Ground {
    _epmd: Child,
    epmd_port: u16,
    scripts: PathBuf,
    watch: Arc<Watch>,
    folder: TempDir,
}

impl Ground {
    pub(super) fn prepare() -> Result<Arc<Self>, NodeError> {
        let scripts = scripts()?;
        let folder = tempfile::Builder::new()
            .prefix("viereck-rabbitmq-")
            .tempdir()
            .map_err(NodeError::system("make a temporary folder"))?;
        let watch = Watch::start(Some(folder.path()))?;
        let [epmd_port] = free_ports()?;
        // Otherwise each node would make a cookie of its own.
        let home = folder.path().join("home");
        let cookie = home.join(".erlang.cookie");
        fs::create_dir(&home)
            .and_then(|()| fs::write(&cookie, uuid::Uuid::new_v4().simple().to_string()))
            .and_then(|()| fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)))
            .map_err(NodeError::system("write a cookie for Erlang"))?;
        let mut command = detached(Path::new("epmd"));
        command.args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()]);
        let epmd = Child::start("epmd", &mut command, &folder.path().join("epmd.out"), &watch)?;
        Ok(Arc::new(Self {
            _epmd: epmd,
            epmd_port,
            scripts,
            watch,
            folder,
        }))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(super) fn epmd_port(&self) -> u16 {
        self.epmd_port
    }

    pub(super) fn script(&self, name: &str) -> PathBuf {
        self.scripts.join(name)
    }

    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }
}

/// The folder with the package's scripts, of the newest version.
pub(super) fn scripts() -> Result<PathBuf, NodeError> {
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
    let missing = |why: &str| NodeError::Missing {
        tool: "rabbitmq-server",
        why: why.to_owned(),
    };
    if program("epmd").is_none() {
        return Err(missing(
            "there is no epmd, which comes with Erlang (Debian's package rabbitmq-server brings both)",
        ));
    }
    versions
        .pop()
        .ok_or_else(|| missing("it is not installed (Debian's package rabbitmq-server; its service need not run)"))
}

/// A command that has nothing of ours: no environment, no input, no open file.
pub(super) fn detached(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; exec "$0" "$@""#])
        .arg(program)
        .env_clear()
        .env("PATH", search_path())
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null());
    command
}
