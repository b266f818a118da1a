//! The shell that outlives its owner for a moment and ends what is left.
//!
//! It waits for the end of a pipe whose other end only the owner holds, so it notices however the owner ends, and then
//! kills what the owner still had and removes its folder. It goes by process ids that are surely the owner's: those of
//! children nobody has waited for yet.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::NodeError;

/// Each line is a process to end or, once it was waited for, to forget.
const SCRIPT: &str = r#"
    alive=" "
    while read -r what pid; do
        case $what in
        +) alive="$alive$pid " ;;
        -) alive="${alive%% "$pid" *} ${alive#* "$pid" }" ;;
        esac
    done
    for pid in $alive; do kill -9 "$pid"; done
    [ -z "$1" ] || rm -rf "$1"
"#;

/// Ends with its owner what the owner could not end.
#[derive(Debug)]
pub(super) struct Watch {
    shell: Mutex<Child>,
}

impl Watch {
    /// Starts to watch; `folder` goes last.
    pub(super) fn start(folder: Option<&Path>) -> Result<Arc<Self>, NodeError> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watch"])
            .args([folder.unwrap_or(Path::new(""))])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(NodeError::system("start a shell"))?;
        Ok(Arc::new(Self {
            shell: Mutex::new(shell),
        }))
    }

    pub(super) fn take(&self, process: u32) {
        self.tell('+', process);
    }

    pub(super) fn forget(&self, process: u32) {
        self.tell('-', process);
    }

    fn tell(&self, what: char, process: u32) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(input) = &mut shell.stdin {
            // A shell that somebody ended cannot watch any more; the owner still ends what it started.
            let _ = writeln!(input, "{what} {process}");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The end of its input ends it.
        drop(shell.stdin.take());
        let _ = shell.wait();
    }
}
