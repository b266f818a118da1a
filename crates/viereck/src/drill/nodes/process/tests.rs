//! A process of the fault suite is started, watched, told to stop, frozen and killed as its handle promises; with shell scripts
//! for programs, on this machine only.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use tempfile::TempDir;

use super::*;
use crate::drill::nodes::child::until;

const DEADLINE: Duration = Duration::from_secs(20);

/// A shell script as a program.
fn script(folder: &TempDir, script: &str) -> Program {
    Program {
        name: "a script".to_owned(),
        binary: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: vec![("GREETING".to_owned(), "hello".to_owned())],
        folder: folder.path().to_owned(),
        log: folder.path().join("log"),
    }
}

/// Waits for something in the log.
async fn says(process: &Process, expected: &str) {
    let said = async || Ok(process.said(100).contains(expected).then_some(()));
    until(&format!("'{expected}' in the log"), DEADLINE, said)
        .await
        .unwrap();
}

/// Whether the process is there and not only waiting to be forgotten.
fn runs(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn it_gets_its_environment_and_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&script(&folder, "echo $GREETING; pwd; exit 3")).unwrap();
    let status = process.ended(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(process.said(2), format!("hello\n{}", folder.path().display()));
    assert_eq!(process.said(1), folder.path().display().to_string());
    assert!(matches!(process.freeze(), Err(NodeError::NotRunning(_))));
}

#[tokio::test]
async fn it_is_told_to_stop_and_who_does_not_obey_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let obeys = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = Process::start(&script(&folder, obeys)).unwrap();
    says(&process, "ready").await;
    assert!(process.terminate(DEADLINE).await.unwrap().success());
    assert!(process.said(1).contains("bye"));

    let deaf = "trap '' TERM; echo deaf; while :; do sleep 0.01; done";
    let mut process = Process::start(&script(&folder, deaf)).unwrap();
    says(&process, "deaf").await;
    let late = process.terminate(Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(late.code(), "node-late");
    assert!(late.to_string().contains("deaf"), "the end of the log is told: {late}");
    assert_eq!(process.kill().await.unwrap().signal(), Some(9));
}

#[tokio::test]
async fn a_frozen_process_does_nothing_until_it_thaws_and_can_be_killed() {
    let folder = tempfile::tempdir().unwrap();
    let counts = "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.005; done";
    let mut process = Process::start(&script(&folder, counts)).unwrap();
    says(&process, "3").await;
    process.freeze().unwrap();
    let stopped = async || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
        Ok(stat.contains(") T ").then_some(()))
    };
    until("the freeze", DEADLINE, stopped).await.unwrap();
    let before = process.said(1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(process.said(1), before);
    process.thaw().unwrap();
    until("the thaw", DEADLINE, async || {
        Ok((process.said(1) != before).then_some(()))
    })
    .await
    .unwrap();
    process.freeze().unwrap();
    assert_eq!(process.kill().await.unwrap().signal(), Some(9));
}

#[tokio::test]
async fn it_ends_with_its_handle_and_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&script(&folder, "sleep 1000 & echo child $!; wait")).unwrap();
    says(&process, "child").await;
    let own = process.id();
    let child: u32 = process.said(1).rsplit(' ').next().unwrap().parse().unwrap();
    assert!(runs(own) && runs(child));
    drop(process);
    until("its end", DEADLINE, async || {
        Ok((!runs(own) && !runs(child)).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_is_not_there_cannot_be_started() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Program {
        binary: folder.path().join("absent"),
        ..script(&folder, "")
    };
    assert_eq!(Process::start(&absent).unwrap_err().code(), "node-system");
}
