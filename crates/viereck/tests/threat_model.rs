//! `deploy/threat-model/README.md` names the tests that prove each control. What it names has to exist, and no threat may
//! stand there without a proof or a plain word that nothing detects it.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;

/// What stands where nothing detects a threat.
const NOT_DETECTED: &str = "not detected";
/// The sections, each one attacker, by the letter that its rows begin with.
const ATTACKERS: &str = "BSRCON";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A source: where it lies, and its text.
type Source = (String, String);

/// All sources below `folder`.
fn sources(folder: &Path, all: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Whether a file has the test, or, for a name in quotation marks, the case of that name.
fn has(text: &str, name: &str) -> bool {
    if name.starts_with('"') {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        return code.into_iter().any(|line| line.contains(name));
    }
    let opening = format!("fn {name}(");
    text.match_indices(&opening).any(|(at, _)| {
        // its attributes stand right above it
        let above = text[..at].rsplit('\n').skip(1).take(4).map(str::trim);
        let above: Vec<&str> = above.take_while(|line| !line.is_empty() && *line != "}").collect();
        let begins = |with: &str| above.iter().any(|line| line.starts_with(with));
        // one that is not run proves nothing
        (begins("#[test]") || begins("#[tokio::test")) && !begins("#[ignore")
    })
}

/// Everything that is wrong with a threat model.
fn mistakes(model: &str, sources: &[Source]) -> Vec<String> {
    let mut mistakes = vec![];
    let mut ids = BTreeSet::new();
    for line in model.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let id = cells[0];
        let attacker = id.chars().next().filter(|letter| ATTACKERS.contains(*letter));
        if attacker.is_none() || id[1..].parse::<u32>().is_err() {
            continue;
        }
        if !ids.insert(id.to_owned()) {
            mistakes.push(format!("{id} stands there twice"));
        }
        let [_, _stride, _threat, _control, _default, proof, _remains] = cells[..] else {
            mistakes.push(format!("{id} has {} cells instead of 7", cells.len()));
            continue;
        };
        if cells.iter().any(|cell| cell.is_empty()) {
            mistakes.push(format!("{id} has an empty cell"));
        }
        let named: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        if named.is_empty() && !proof.contains(NOT_DETECTED) {
            mistakes.push(format!("{id} names no test and does not say {NOT_DETECTED:?}"));
        }
        for name in named {
            let Some((file, test)) = name.split_once("::") else {
                mistakes.push(format!("{id}: {name} is no file.rs::test"));
                continue;
            };
            // as much of its path as tells it from others of its name
            let file = format!("/{file}");
            if !sources
                .iter()
                .any(|(path, text)| path.ends_with(&file) && has(text, test))
            {
                mistakes.push(format!("{id}: {name} does not exist"));
            }
        }
    }
    for attacker in ATTACKERS.chars() {
        if !ids.iter().any(|id| id.starts_with(attacker)) {
            mistakes.push(format!("no row begins with {attacker}"));
        }
    }
    mistakes
}

fn all_sources() -> Vec<Source> {
    let mut all = vec![];
    for folder in ["crates", "tests"] {
        sources(&root().join(folder), &mut all);
    }
    all
}

#[test]
fn every_threat_has_a_test_that_exists_or_is_said_to_go_undetected() {
    let model = std::fs::read_to_string(root().join("deploy/threat-model/README.md")).unwrap();
    let mistakes = mistakes(&model, &all_sources());
    assert!(
        mistakes.is_empty(),
        "deploy/threat-model/README.md:\n{}",
        mistakes.join("\n")
    );
}

#[test]
fn a_row_that_promises_too_much_is_found() {
    let this = "`threat_model.rs::a_row_that_promises_too_much_is_found`";
    let good = format!("| B1 | T | a | b | on | {this} | c |\n");
    let rows = |rows: &str| mistakes(&(good.clone() + rows), &all_sources());
    let others = ATTACKERS.len() - 1;
    assert_eq!(rows("").len(), others, "only the other attackers are missing");
    for bad in [
        "| B1 | T | a | b | on | not detected | c |",
        "| B2 | T | a | b | on | | c |",
        "| B2 | T | a | b | on | it is safe | c |",
        "| B2 | T | a | b | on | `threat_model.rs::a_test_that_nobody_wrote` | c |",
        "| B2 | T | a | b | on | `no_such_file.rs::has` | c |",
        "| B2 | T | a | b | on | `threat_model.rs::mistakes` | c |",
        "| B2 | T | a | b | on | `threat_model.rs` | c |",
        "| B2 | T | a | b | on | not detected |",
    ] {
        assert!(rows(bad).len() > others, "{bad}");
    }
    for good in [
        "| B2 | T | a | b | on | not detected: nobody can tell | c |".to_owned(),
        format!("| B2 | T | a | b | on | {this}, {this} | c |"),
        "| B2 | T | a | b | on | `threat_model.rs::\"not detected\"` | c |".to_owned(),
        "| header | of | another | table |".to_owned(),
    ] {
        assert_eq!(rows(&good).len(), others, "{good}");
    }
}
