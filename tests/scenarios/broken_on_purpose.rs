//! What the fault suite breaks is really broken, only that, and whole again when it is over.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::wait::until;
use tempfile::TempDir;
use viereck::drill::nodes::clock::Clock;
use viereck::drill::nodes::injection::Injection;
use viereck::drill::nodes::postgres::Server;
use viereck::drill::nodes::process::{Process, Program};

const DEADLINE: Duration = Duration::from_secs(60);

/// Commits to a journal from a thread of its own and says how it went; does the same with a file that is not the journal.
const WRITER: &str = r#"
import os, select, sqlite3, threading, time
def write():
    journal = sqlite3.connect("journal.sqlite", isolation_level=None)
    journal.execute("PRAGMA journal_mode = WAL")
    journal.execute("PRAGMA synchronous = FULL")
    journal.execute("CREATE TABLE written (number INTEGER)")
    other = os.open("other", os.O_CREAT | os.O_WRONLY)
    number = 0
    while True:
        number += 1
        began = time.monotonic()
        try:
            journal.execute("INSERT INTO written VALUES (?)", (number,))
            print("committed", number, round(1000 * (time.monotonic() - began)), flush=True)
        except sqlite3.Error as error:
            print("failed", number, error, flush=True)
        try:
            os.write(other, b"x")
            os.fsync(other)
        except OSError as error:
            print("OTHER FILE", error, flush=True)
        select.select([], [], [], 0.01)
threading.Thread(target=write).start()
"#;

/// Says what time it is, and how long it runs. Python's sleep asks for a moment of the monotonic clock, which libfaketime
/// refuses.
const TELLER: &str = r#"
import select, time
began = time.monotonic()
while True:
    print(int(time.time()), round(time.monotonic() - began), flush=True)
    select.select([], [], [], 0.01)
"#;

fn python(folder: &TempDir, script: &str, environment: Vec<(String, String)>) -> Process {
    let program = Program {
        name: "python".to_owned(),
        binary: "python3".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment,
        folder: folder.path().to_owned(),
        log: folder.path().join("log"),
    };
    Process::start(&program).unwrap()
}

/// Waits for a line that was not there before and that `is_it`.
async fn says(process: &Process, what: &str, is_it: impl Fn(&str) -> bool) {
    let lines = || std::fs::read_to_string(process.log()).unwrap_or_default();
    let before = lines().len();
    until(DEADLINE, what, async || {
        lines()[before..].lines().any(&is_it).then_some(())
    })
    .await;
}

fn committed(line: &str) -> bool {
    line.starts_with("committed ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_fails_under_the_journal_alone_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let process = python(&folder, WRITER, Vec::new());
    let journal = folder.path().join("journal.sqlite");
    let slow = Duration::from_millis(300);
    says(&process, "it commits", committed).await;
    let mut felt = 0;
    for (injection, expected) in [
        (Injection::FailFsync, "disk I/O error"),
        (Injection::FullDisk, "database or disk is full"),
        (Injection::SlowFsync(slow), "committed"),
    ] {
        let injected = process.inject(injection, &journal).await.unwrap();
        says(&process, &format!("{injection:?} is felt"), |line| {
            let milliseconds = || line.rsplit(' ').next()?.parse::<u128>().ok();
            line.contains(expected) && (!committed(line) || milliseconds().is_some_and(|took| took >= slow.as_millis()))
        })
        .await;
        injected.end().await.unwrap();
        // More than one: the first may have been under way.
        for _ in 0..2 {
            says(&process, &format!("it commits after {injection:?}"), committed).await;
        }
        felt += 1;
    }
    let log = std::fs::read_to_string(process.log()).unwrap();
    assert!(!log.contains("OTHER FILE"), "another file was hit:\n{log}");
    assert!(!log.contains("Traceback"), "{log}");
    println!(
        "{felt} failures of the disk, each felt and each over; {} commits, {} failed",
        log.lines().filter(|line| committed(line)).count(),
        log.lines().filter(|line| line.starts_with("failed ")).count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_jumps_while_its_process_runs() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new().unwrap();
    let process = python(&folder, TELLER, clock.environment());
    let jumps = [0, 86_400, -3_600, 0];
    for seconds in jumps {
        clock.set(jiff::SignedDuration::from_secs(seconds)).unwrap();
        says(&process, &format!("the clock is off by {seconds} s"), |line| {
            let (told, running) = line.split_once(' ').unwrap_or_default();
            let off = told.parse().unwrap_or(i64::MAX) - jiff::Timestamp::now().as_second();
            // The time since its start is not touched, or every deadline would jump, too.
            let running: i64 = running.parse().unwrap_or(i64::MAX);
            (off - seconds).abs() <= 2 && (0..i64::try_from(DEADLINE.as_secs()).unwrap()).contains(&running)
        })
        .await;
    }
    println!("{} jumps of the clock, each seen by the running process", jumps.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_has_committed_survives_its_kill() {
    let server = Server::start().await.unwrap();
    let (first, second) = (server.url("first").await.unwrap(), server.url("second").await.unwrap());
    ask(&first, "CREATE TABLE kept (number INTEGER)").unwrap();
    let mut rounds = 0;
    for number in 1..=3 {
        ask(&first, &format!("INSERT INTO kept VALUES ({number})")).unwrap();
        server.kill().await.unwrap();
        assert!(ask(&first, "SELECT 1").is_err(), "it is gone");
        server.restart().await.unwrap();
        assert_eq!(ask(&first, "SELECT count(*) FROM kept").unwrap(), number.to_string());
        rounds += 1;
    }
    server.stop().await.unwrap();
    assert_eq!(server.kill().await.unwrap_err().code(), "node-not-running");
    server.restart().await.unwrap();
    assert_eq!(ask(&first, "SHOW fsync").unwrap(), "on");
    let foreign = ask(&second, "SELECT count(*) FROM kept").unwrap_err();
    assert!(foreign.contains("does not exist"), "a database of its own: {foreign}");
    println!("killed {rounds} times, {rounds} rows kept");
}

/// One statement, by the client that comes with the server.
fn ask(url: &str, statement: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args([
            url,
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--command",
            statement,
        ])
        .env("LC_ALL", "C.UTF-8")
        .current_dir(Path::new("/"))
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
