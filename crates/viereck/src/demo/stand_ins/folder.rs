//! A Fachverfahren that takes messages from a folder, as many old ones do.
//!
//! Every sub-folder named like a message id is one message. It is read, compared with its `message.json`, and answered
//! by a marker inside it: an empty file `accepted`, or `rejected` with the reason code as its one line. The folder is
//! looked at in an interval, because a share on another machine tells nobody about changes.
//!
//! A folder that has its marker is done, also after a restart. A message id that was decided before and appears once
//! more without a marker counts as an attempt without effect and gets its old marker again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::fs;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::ledger::{Ledger, Standing, Verdict, Watch};
use super::message::{Breach, DESCRIPTION, HandedOver};
use super::replies::{Replies, ReplyRoute};
use super::{Answer, Script};

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_millis(50);
const ACCEPTED: &str = "accepted";
const REJECTED: &str = "rejected";

/// How a message that was taken over is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By a marker in its folder, which stays.
    Marker,
    /// By taking the folder away; what is rejected gets its marker all the same.
    TakenAway,
}

/// A running Fachverfahren on a folder. Dropping it without [`stop`](Self::stop) leaves its tasks behind.
pub struct FolderFachverfahren {
    shutdown: CancellationToken,
    tasks: TaskTracker,
    ledger: Watch<Ledger>,
    replies: Replies,
    folder: PathBuf,
}

impl FolderFachverfahren {
    /// Takes messages from `folder`, which is made if it is not there, and answers as `script` says.
    pub async fn start(folder: PathBuf, script: Script) -> io::Result<FolderFachverfahren> {
        Self::start_ending(folder, script, Ending::Marker).await
    }

    /// The same, with a way of its own to say that it has taken something over.
    pub async fn start_ending(folder: PathBuf, script: Script, ending: Ending) -> io::Result<FolderFachverfahren> {
        fs::create_dir_all(&folder).await?;
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let ledger = Watch::<Ledger>::default();
        let (replies, writing) = Replies::new(ledger.clone());
        tasks.spawn(writing.run(shutdown.clone()));
        let reader = Reader {
            folder: folder.clone(),
            script,
            ending,
            ledger: ledger.clone(),
            replies: replies.clone(),
            present: BTreeSet::new(),
        };
        tasks.spawn(reader.run(shutdown.clone()));
        Ok(FolderFachverfahren {
            shutdown,
            tasks,
            ledger,
            replies,
            folder,
        })
    }

    /// The folder the adapter hands over into.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it saw; the keys are the folders' names.
    pub fn ledger(&self) -> &Watch<Ledger> {
        &self.ledger
    }

    /// Writes a Bescheid for every application taken over, now and before, and posts it here.
    pub fn reply_through(&self, route: ReplyRoute) {
        self.replies.through(route);
    }

    /// Posts no Bescheid until [`Self::reply_through`] is called again; none is being posted when this returns.
    pub async fn hold_replies(&self) {
        self.replies.hold().await;
    }

    /// Ends it once every message that it has seen has its answer.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Reader {
    folder: PathBuf,
    script: Script,
    ending: Ending,
    ledger: Watch<Ledger>,
    replies: Replies,
    /// Folders that were looked at and need no second look while they stay.
    present: BTreeSet<String>,
}

impl Reader {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Cancelled only while it waits: a message that took effect also gets its marker.
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.look().await {
                tracing::warn!(kind = %error.kind(), "the folder cannot be read");
            }
        }
    }

    async fn look(&mut self) -> io::Result<()> {
        let found = messages(&self.folder).await?;
        self.present.retain(|name| found.contains(name));
        for name in found {
            if !self.present.contains(&name) && self.take(&name).await {
                self.present.insert(name);
            }
        }
        Ok(())
    }

    /// True where the folder needs no second look.
    async fn take(&self, name: &str) -> bool {
        let folder = self.folder.join(name);
        if is_marked(&folder).await {
            return true;
        }
        let read = match read(&folder).await {
            Ok(parts) => HandedOver::read(parts),
            // Taken away while it was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Err(_) => Err(Breach::Unreadable),
        };
        let handed_over = match read {
            Ok(handed_over) => handed_over,
            Err(breach) => {
                self.ledger.change(|ledger| ledger.breach(breach));
                return true;
            }
        };
        let verdict = self
            .ledger
            .change(|ledger| ledger.attempt(name, &handed_over, &self.script));
        let standing = match verdict {
            Verdict::Settled(standing) => return self.tell(&folder, &standing).await.is_ok(),
            Verdict::Decide(Answer::Accept) => Standing::Accepted,
            Verdict::Decide(Answer::AcceptAndDecideTwice) => {
                self.replies.decide(&handed_over.message);
                Standing::Accepted
            }
            Verdict::Decide(Answer::AcceptWhenOpen(gate)) => {
                gate.pass().await;
                Standing::Accepted
            }
            Verdict::Decide(Answer::AcceptAfter(time)) => {
                tokio::time::sleep(time).await;
                Standing::Accepted
            }
            Verdict::Decide(Answer::AcceptSilently) => {
                self.settle(name, &handed_over, Standing::Accepted);
                return true;
            }
            Verdict::Decide(Answer::Reject(code)) => Standing::Rejected(code),
            Verdict::Decide(Answer::Unavailable | Answer::Unauthorized) => return false,
            Verdict::Decide(Answer::Ignore) => return true,
        };
        self.settle(name, &handed_over, standing.clone());
        self.tell(&folder, &standing).await.is_ok()
    }

    async fn tell(&self, folder: &Path, standing: &Standing) -> io::Result<()> {
        match (self.ending, standing) {
            (Ending::TakenAway, Standing::Accepted) => take_away(&self.folder, folder).await,
            _ => mark(folder, standing).await,
        }
    }

    fn settle(&self, name: &str, handed_over: &HandedOver, standing: Standing) {
        let takes_effect = standing == Standing::Accepted;
        if self.ledger.change(|ledger| ledger.settle(name, standing)) && takes_effect {
            self.replies.decide(&handed_over.message);
        }
    }
}

/// The sub-folders that are messages. Anything else in there is the gateway's own.
async fn messages(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut entries = fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        if let Some(name) = entry.file_name().to_str().filter(|name| Uuid::try_parse(name).is_ok()) {
            found.insert(name.to_owned());
        }
    }
    Ok(found)
}

async fn is_marked(folder: &Path) -> bool {
    for marker in [ACCEPTED, REJECTED] {
        if fs::try_exists(folder.join(marker)).await.unwrap_or(false) {
            return true;
        }
    }
    false
}

/// The files of one message by name, `message.json` under the name it has as a part.
async fn read(folder: &Path) -> io::Result<BTreeMap<String, Bytes>> {
    let mut parts = BTreeMap::new();
    let mut entries = fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let octets = match name.as_str() {
            name if name.starts_with('.') => continue,
            _ => Bytes::from(fs::read(entry.path()).await?),
        };
        let part = if name == "message.json" {
            DESCRIPTION.to_owned()
        } else {
            name
        };
        parts.insert(part, octets);
    }
    Ok(parts)
}

/// Takes the folder away in one step, so that nobody finds half of it.
async fn take_away(all: &Path, folder: &Path) -> io::Result<()> {
    let gone = all.join(format!(".taken-{}", Uuid::new_v4()));
    fs::rename(folder, &gone).await?;
    fs::remove_dir_all(&gone).await
}

/// Puts the marker into the folder in one step, so that nobody reads half a reason.
async fn mark(folder: &Path, standing: &Standing) -> io::Result<()> {
    let (name, content) = match standing {
        Standing::Open => return Ok(()),
        Standing::Accepted => (ACCEPTED, String::new()),
        Standing::Rejected(code) => (REJECTED, format!("{code}\n")),
    };
    let draft = folder.join(".marker");
    fs::write(&draft, content).await?;
    fs::rename(&draft, folder.join(name)).await
}
