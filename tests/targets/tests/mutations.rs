//! Runs every target on inputs near genuine ones, for some seconds each, and prints the account.
//!
//! `VIERECK_SEED` makes the same changes again, of documents with fresh keys; `VIERECK_FUZZ_SECONDS` sets how long each
//! target runs (4 if not set), and `VIERECK_FUZZ_ONLY` names one target. What fails is kept in `target/fuzz-findings`.
//! Inputs that gave a code that no input before them gave become seeds too, so the search goes deeper than one step.

#![expect(clippy::unwrap_used, reason = "a panic in a test's own steps is a failed test")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use viereck_targets::{Dice, TARGETS, Target, mutated};

/// No input may take longer: they are smaller than 64 KiB.
const SLOW: Duration = Duration::from_secs(2);
/// The memory of the whole process, thread stacks and code included; an allocation beyond it ends the test.
const MEMORY: u64 = 2 << 30;

/// What became of one target.
struct Account {
    executions: u64,
    codes: BTreeMap<&'static str, u64>,
    took: Duration,
    slowest: Duration,
    findings: Vec<String>,
}

#[test]
fn no_octets_break_a_parser_or_a_law() {
    setrlimit(
        Resource::As,
        Rlimit {
            current: Some(MEMORY),
            maximum: Some(MEMORY),
        },
    )
    .unwrap();
    let seed = Dice::seed();
    let seconds = std::env::var("VIERECK_FUZZ_SECONDS").map_or(4.0, |text| text.parse().expect("a number of seconds"));
    let time = Duration::from_secs_f64(seconds);
    let only = std::env::var("VIERECK_FUZZ_ONLY").ok();
    println!("VIERECK_SEED={seed}");
    println!(
        "{:<16} {:>10} {:>8} {:>6} {:>9} {:>9}  findings",
        "target", "executions", "ok", "codes", "seconds", "slowest"
    );
    let (mut findings, mut executions, mut minutes) = (Vec::new(), 0, 0.0);
    for target in TARGETS
        .iter()
        .filter(|target| only.as_deref().is_none_or(|only| only == target.name))
    {
        let account = run(target, seed, time);
        println!(
            "{:<16} {:>10} {:>8} {:>6} {:>9.1} {:>6} ms  {}",
            target.name,
            account.executions,
            account.codes.get("ok").copied().unwrap_or_default(),
            account.codes.len(),
            account.took.as_secs_f64(),
            account.slowest.as_millis(),
            account.findings.len()
        );
        assert!(account.codes.len() > 1, "{} says the same of everything", target.name);
        // these two give what they read
        let takes = account.codes.contains_key("ok") || ["names", "marker"].contains(&target.name);
        assert!(takes, "{} takes nothing, not even what is genuine", target.name);
        executions += account.executions;
        minutes += account.took.as_secs_f64() / 60.0;
        findings.extend(account.findings);
    }
    println!(
        "{executions} executions in {minutes:.1} minutes, {} findings",
        findings.len()
    );
    assert!(executions > 0, "no target is called {only:?}");
    assert!(findings.is_empty(), "{findings:#?}");
}

fn run(target: &Target, seed: u64, time: Duration) -> Account {
    let mut dice = Dice::new(seed);
    let mut corpus = (target.seeds)();
    let mut account = Account {
        executions: 0,
        codes: BTreeMap::new(),
        took: Duration::ZERO,
        slowest: Duration::ZERO,
        findings: Vec::new(),
    };
    let mut genuine = corpus.clone().into_iter();
    while account.took < time && account.findings.len() < 5 {
        let input = genuine.next().unwrap_or_else(|| mutated(&mut dice, &corpus));
        let timed = || {
            let began = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
            (outcome, began.elapsed())
        };
        let (outcome, mut took) = timed();
        // what a busy machine adds is not the parser's: the shortest of three counts
        for _ in 0..2 {
            if took > SLOW {
                took = took.min(timed().1);
            }
        }
        account.executions += 1;
        account.took += took;
        account.slowest = account.slowest.max(took);
        match outcome {
            Ok(code) => {
                let count = account.codes.entry(code).or_default();
                *count += 1;
                if *count <= 3 && corpus.len() < 256 {
                    corpus.push(input.clone());
                }
            }
            Err(_) => account.findings.push(kept(target, "panic", &input)),
        }
        if took > SLOW {
            account.findings.push(kept(target, "slow", &input));
        }
    }
    account
}

/// Keeps what failed, and says where.
fn kept(target: &Target, what: &str, input: &[u8]) -> String {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/fuzz-findings"));
    std::fs::create_dir_all(folder).unwrap();
    let hash = input.iter().fold(0_u64, |hash, octet| {
        hash.wrapping_mul(31).wrapping_add(u64::from(*octet))
    });
    let file = folder.join(format!("{}-{what}-{hash:016x}", target.name));
    std::fs::write(&file, input).unwrap();
    format!("{what}: {}", file.display())
}
