//! A short drill: the binary breaks its own private network where it hurts most, and its account finds nothing wrong.

use std::process::Command;
use std::time::Duration;

use harness::process::binary;
use serde_json::Value;

/// Faults that between them strike every step of custody, and each role.
const FAULTS: &str = "kill-sender:promise,kill-broker:relay,kill-receiver:take,kill-receiver:hand-over,cut-sender:evidence,\
                      full-disk-receiver:take,full-disk-sender:promise,kill-leader:publish,fachverfahren-dying,\
                      poison-garbage,replay,behoerde-moved";
const LONGEST: Duration = Duration::from_secs(180);

#[test]
fn a_broken_network_loses_and_doubles_nothing() {
    let begun = std::time::Instant::now();
    let drill = Command::new(binary())
        .args([
            "drill",
            "--json",
            "--envelopes",
            "600",
            "--minutes",
            "2",
            "--only",
            FAULTS,
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&drill.stderr);
    let account: Value = serde_json::from_slice(&drill.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let total = &account["total"];
    println!("account: {total}");
    assert!(drill.status.success(), "{said}\n{}", account["problems"]);
    for count in ["lost", "misrouted", "mixed", "wrongReceipts", "afterTheEnd", "refused"] {
        assert_eq!(total[count], 0, "{count}: {account:#}");
    }
    assert_eq!(total["effects"]["twice"], 0);
    assert_eq!(account["skipped"], Value::Array(vec![]), "everything was struck");
    // promised = accepted and once + rejected and never
    let [sent, once, never] = [&total["sent"], &total["effects"]["once"], &total["effects"]["never"]];
    assert!(sent.as_u64().unwrap() >= 600, "{total}");
    assert_eq!(sent.as_u64(), Some(once.as_u64().unwrap() + never.as_u64().unwrap()));
    assert_eq!(total["ended"]["accepted"], *once);
    assert_eq!(total["bescheide"]["sent"], total["bescheide"]["effects"]["once"]);
    for fault in account["faults"].as_array().unwrap() {
        assert!(fault["secondsToService"].is_f64(), "no service after {fault}");
    }
    assert!(
        begun.elapsed() < LONGEST,
        "a short drill took {} s",
        begun.elapsed().as_secs()
    );
}
