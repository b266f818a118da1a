//! Short drills: the binary breaks its own private network where it hurts most, or changes its keys and its profile, and
//! its account finds nothing wrong.

use std::process::Command;
use std::time::Instant;

use harness::process::binary;
use serde_json::Value;

/// Faults that between them strike every step of custody, and each role.
const FAULTS: &str = "kill-sender:promise,kill-broker:relay,kill-receiver:take,kill-receiver:hand-over,cut-sender:evidence,\
                      full-disk-receiver:take,full-disk-sender:promise,kill-leader:publish,fachverfahren-dying,\
                      poison-garbage,replay,behoerde-moved";
/// A bound and no measure: a slow machine strikes everything too. A drill on a quiet one takes less than three.
const MINUTES: &str = "10";

/// What an operator can try anywhere: nothing has to be installed for it.
#[test]
fn a_drill_on_the_embedded_link_ends_well() {
    let drill = Command::new(binary())
        .args([
            "drill",
            "--embedded",
            "--envelopes",
            "60",
            "--minutes",
            MINUTES,
            "--only",
        ])
        .arg("kill-sender:promise,fachverfahren-failing")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&drill.stderr);
    assert_eq!(drill.status.code(), Some(0), "{said}");
    println!("account: {}", String::from_utf8_lossy(&drill.stdout));
}

#[test]
fn a_broken_network_loses_and_doubles_nothing() {
    well_ended(600, &["--only", FAULTS]);
}

#[test]
fn keys_and_the_profile_change_under_load_and_nothing_is_refused() {
    let changed = "signing-keys-rotated:publish,encryption-keys-rotated:take,profile-changed:hand-over";
    well_ended(150, &["--nodes", "1", "--only", changed]);
}

/// A drill on RabbitMQ that strikes all it was asked to, and in whose account every promise was kept.
fn well_ended(envelopes: u64, more: &[&str]) {
    let begun = Instant::now();
    let drill = Command::new(binary())
        .args(["drill", "--json", "--minutes", MINUTES, "--envelopes"])
        .arg(envelopes.to_string())
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&drill.stderr);
    let account: Value = serde_json::from_slice(&drill.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let total = &account["total"];
    println!("account: {total}, in {} s", begun.elapsed().as_secs());
    assert!(drill.status.success(), "{said}\n{}", account["problems"]);
    for count in ["lost", "misrouted", "mixed", "wrongReceipts", "afterTheEnd", "refused"] {
        assert_eq!(total[count], 0, "{count}: {account:#}");
    }
    assert_eq!(total["effects"]["twice"], 0);
    assert_eq!(account["skipped"], Value::Array(vec![]), "everything was struck");
    // promised = accepted and once + rejected and never
    let [sent, once, never] = [&total["sent"], &total["effects"]["once"], &total["effects"]["never"]];
    assert!(sent.as_u64().unwrap() >= envelopes, "{total}");
    assert_eq!(sent.as_u64(), Some(once.as_u64().unwrap() + never.as_u64().unwrap()));
    assert_eq!(total["ended"]["accepted"], *once);
    assert_eq!(total["bescheide"]["sent"], total["bescheide"]["effects"]["once"]);
    for fault in account["faults"].as_array().unwrap() {
        assert!(fault["secondsToService"].is_f64(), "no service after {fault}");
    }
}
