//! Pages of a journal are overwritten while its process is down, and a copy from before the load takes its place.
//!
//! What an operator does then is done here, with the operator's own commands: `doctor` has to name the damage; the copy
//! stands alone in its place; the others tell what they know of the custodian that was lost; `journal reconcile` folds
//! it, and only then the process starts again.
//!
//! The broker and the receivers are struck, the sender is not: what it promised since the copy and had not published is
//! nowhere else, so no reconciliation brings it back. A mirrored disk is the answer to that, and nothing else is. The
//! same holds for a Bescheid that a receiver promised, so none is posted between the copy and the restart: the
//! authorities decide afterwards, in cases that the copy knows only from what the others told.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::member::Member;
use crate::drill::plan::Role;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::{Exit, Failure};

/// How much earlier than the copy others begin to tell.
const BEFORE: SignedDuration = SignedDuration::from_mins(1);
/// How long the others may take until they have heard of everything that was told before the loss.
const HEARD: Duration = Duration::from_secs(60);
/// What stands on the pages then.
const RUBBISH: [u8; 4096] = [0xa5; 4096];

/// Copies the journals of `role` while its processes go on.
pub(super) async fn prepare(stage: &Stage, role: Role) -> Result<(), Failure> {
    stage.network.repeat_soon().await?;
    if role == Role::Receiver {
        stage.network.desk.hold_bescheide().await;
    }
    for member in stage.network.struck(role) {
        let copy = copy_of(stage, &member);
        remove(&copy)?;
        let to = copy.display().to_string();
        let arguments = [&["journal", "backup", "--to", &to], &*whose(&member)].concat();
        done(&member, "backup", &member.ask(&arguments).await?)?;
    }
    Ok(())
}

/// The journals of `role` are damaged, found to be, and restored from their copies.
pub(super) async fn overwrite(stage: &Stage, role: Role, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let members = stage.network.struck(role);
    let moment = Instant::now();
    for member in &members {
        member.kill().await?;
    }
    arranged.undo();
    for member in &members {
        for journal in &member.seat.journals {
            damage(journal).map_err(|error| Failure::of_file("overwrite", journal, &error))?;
        }
        is_named(member).await?;
    }
    // what they told before the loss reaches the others
    sleep(BROKEN_FOR).await;
    for member in &members {
        restore(stage, role, member).await?;
    }
    for member in &members {
        member.start().await?;
    }
    for member in &members {
        member.ready().await?;
    }
    if role == Role::Receiver {
        stage.network.reply_through()?;
    }
    Ok(moment)
}

/// Rubbish in the middle of the file, and all over the write-ahead log, which would heal what it knows of that.
fn damage(journal: &Path) -> std::io::Result<()> {
    let page = RUBBISH.len() as u64;
    let mut file = File::options().write(true).open(journal)?;
    let pages = file.metadata()?.len() / page;
    overwrite_pages(&mut file, pages / 3, 2 * pages / 3)?;
    let log = beside(journal, "-wal");
    if log.exists() {
        let mut file = File::options().write(true).open(log)?;
        let pages = file.metadata()?.len().div_ceil(page);
        overwrite_pages(&mut file, 0, pages)?;
    }
    Ok(())
}

fn overwrite_pages(file: &mut File, from: u64, to: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(from * RUBBISH.len() as u64))?;
    (from..to).try_for_each(|_| file.write_all(&RUBBISH))?;
    file.sync_all()
}

/// Nobody may take such a journal for a good one.
async fn is_named(member: &Member) -> Result<(), Failure> {
    let answer = member.ask(&["doctor", "--json"]).await?;
    let report: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    let findings = report["findings"].as_array().into_iter().flatten();
    let mut codes = findings.filter_map(|finding| finding["code"].as_str());
    match codes.any(|code| code == "journal-corrupt") {
        true => Ok(()),
        false => Err(refused(member, "doctor", &answer)),
    }
}

/// The copy in the place of the journal, folded with what the others know.
async fn restore(stage: &Stage, role: Role, member: &Member) -> Result<(), Failure> {
    let copy = copy_of(stage, member);
    let made = fs::metadata(&copy).and_then(|copy| copy.modified());
    let made = made.map_err(|error| Failure::of_file("look at", &copy, &error))?;
    let since = Timestamp::try_from(made).unwrap_or_default() - BEFORE;
    for journal in &member.seat.journals {
        for old in [journal.clone(), beside(journal, "-wal"), beside(journal, "-shm")] {
            remove(&old)?;
        }
        fs::copy(&copy, journal).map_err(|error| Failure::of_file("restore", journal, &error))?;
    }
    let begun = Instant::now();
    loop {
        let answer = reconcile(stage, role, member, since).await?;
        // what one of them has not heard of yet it tells the next time
        let missing = answer.status.code() == Some(Exit::Findings as i32);
        if missing && begun.elapsed() < HEARD {
            sleep(BROKEN_FOR).await;
            continue;
        }
        return done(member, "reconcile", &answer);
    }
}

async fn reconcile(stage: &Stage, role: Role, member: &Member, since: Timestamp) -> Result<Output, Failure> {
    let since = since.to_string();
    let others = stage.network.members().iter();
    let others: Vec<&Arc<Member>> = others.filter(|other| !other.seat.roles.contains(&role)).collect();
    let mut files = vec![];
    for other in others {
        let arguments = ["journal", "facts", "--about", member.name(), "--since", &since];
        let told = other.ask(&arguments).await?;
        done(other, "facts", &told)?;
        let name = format!("facts-{}-{}.jsonl", member.name(), other.name());
        let file = stage.network.site.folder().join(name);
        fs::write(&file, told.stdout).map_err(|error| Failure::of_file("write", &file, &error))?;
        files.push(file.display().to_string());
    }
    let mut arguments = vec!["journal", "reconcile", "--reason", "drill: pages overwritten", "--json"];
    arguments.extend(files.iter().flat_map(|file| ["--facts", file]));
    arguments.extend(whose(member));
    Ok(member.ask(&arguments).await?)
}

/// Whose journal is meant, for commands.
fn whose(member: &Member) -> Vec<&str> {
    match member.seat.roles.contains(&Role::Broker) {
        true => vec!["--broker"],
        false => vec!["--gateway", member.name()],
    }
}

fn copy_of(stage: &Stage, member: &Member) -> PathBuf {
    stage
        .network
        .site
        .folder()
        .join(format!("copy-of-{}.sqlite", member.name()))
}

fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(file: &Path) -> Result<(), Failure> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::of_file("remove", file, &error)),
        _ => Ok(()),
    }
}

fn done(member: &Member, command: &str, answer: &Output) -> Result<(), Failure> {
    match answer.status.success() {
        true => Ok(()),
        false => Err(refused(member, command, answer)),
    }
}

fn refused(member: &Member, command: &str, answer: &Output) -> Failure {
    let [answered, said] = [&answer.stdout, &answer.stderr].map(|octets| String::from_utf8_lossy(octets));
    let sentence = format!(
        "The damage to the journal of {} is not mended: {command} says {answered}{said}",
        member.name()
    );
    Failure::new(Exit::Unexpected, "journal-not-mended", sentence)
}
