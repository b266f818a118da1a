//! Every patch of `tests/mutations` still breaks what it was made to break: at least it applies.

use std::process::Command;

use harness::process::repository;

#[test]
fn every_mutation_still_applies() {
    let check = Command::new(repository().join("tests/mutations/run"))
        .arg("--check")
        .output()
        .unwrap();
    println!("account: {}", String::from_utf8_lossy(&check.stdout));
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(
        check.status.success(),
        "{}{said}",
        String::from_utf8_lossy(&check.stdout)
    );
}
