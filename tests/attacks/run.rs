//! Runs the cases one after the other, measures each, and keeps the account.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::MEMORY;
use crate::case::{Attacker, Attempt, Case, Cases, Refusal};
use crate::malleable::Variant;
use crate::protocol::{self, Effect};
use crate::scene::Scene;

/// Within this a document has to be refused, also where the workspace is compiled without optimisation.
const TIME: Duration = Duration::from_secs(2);
/// A document that took longer than this is judged again: what a busy machine adds is not the verifier's. The shortest of
/// three counts.
const DOUBTFUL: Duration = Duration::from_millis(50);
/// A case of the protocol goes through several journals on disk and through background work.
const PROTOCOL_TIME: Duration = Duration::from_secs(60);
/// What judging may allocate beyond the document: one copy of it, for what is decoded, and this.
const MEMORY_BEYOND: usize = 512 * 1024;
/// The journals of a case of the protocol, with their caches and threads.
const PROTOCOL_MEMORY: usize = 64 * 1024 * 1024;
/// After this the run is ended: something hangs.
const HANGS: Duration = Duration::from_secs(120);

/// What became of a case.
struct Row {
    kind: &'static str,
    family: &'static str,
    by: Attacker,
    name: String,
    /// The code, or what went wrong.
    outcome: Result<String, String>,
    accepted: bool,
    took: Duration,
    most_time: Duration,
    memory: usize,
    most_memory: usize,
}

/// What was measured of one act.
struct Measured<T> {
    outcome: std::thread::Result<T>,
    took: Duration,
    memory: usize,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Account {
    rows: Vec<Row>,
    names: BTreeSet<(&'static str, String)>,
    malleable: usize,
    second_effects: usize,
    wrong: Vec<String>,
}

impl Account {
    /// Runs the cases of one family.
    pub(crate) fn run(&mut self, scene: &Scene, cases: Cases<'_>) {
        for case in cases.list {
            self.one(scene, cases.family, case);
        }
    }

    fn one(&mut self, scene: &Scene, family: &'static str, case: Case<'_>) {
        let kind = scene.kind;
        assert!(
            self.names.insert((kind.as_str(), case.name.clone())),
            "two cases of one name: {}",
            case.name
        );
        let (measured, length) = match &case.attempt {
            Attempt::Envelope(make) => {
                let bytes = self.document(scene, family, case.by, &case.name, make());
                let length = bytes.len();
                (measure_document(&case.name, || scene.judge(bytes.clone())), length)
            }
            Attempt::Batch(make) => {
                let bytes = self.document(scene, family, case.by, &case.name, make());
                let length = bytes.len();
                (
                    measure_document(&case.name, || scene.judge_batch(bytes.clone())),
                    length,
                )
            }
            Attempt::Proof(believed) => (
                measure(&case.name, || if believed() { None } else { Some(Refusal::Proof) }),
                0,
            ),
        };
        let outcome = match &measured.outcome {
            Ok(Some(refusal)) if *refusal == case.expected => Ok(refusal.to_string()),
            Ok(Some(refusal)) => Err(format!("{refusal}, expected {}", case.expected)),
            Ok(None) => Err(format!("ACCEPTED, expected {}", case.expected)),
            Err(_) => Err("it panics".to_owned()),
        };
        self.rows.push(Row {
            kind: kind.as_str(),
            family,
            by: case.by,
            name: case.name,
            outcome,
            accepted: matches!(measured.outcome, Ok(None)),
            took: measured.took,
            most_time: TIME,
            memory: measured.memory,
            most_memory: length + MEMORY_BEYOND,
        });
    }

    /// Documents that say the same as the genuine one in what no signature covers: they verify, under the same digest.
    pub(crate) fn run_malleable(&mut self, scene: &Scene, variants: (String, Vec<Variant>)) {
        let (genuine, variants) = variants;
        let digest = scene.digest(Bytes::from(genuine)).unwrap();
        for variant in variants {
            self.document(
                scene,
                "malleable",
                Attacker::Path,
                &variant.name,
                variant.text.clone().into_bytes(),
            );
            let bytes = Bytes::from(variant.text);
            match scene.digest(bytes.clone()) {
                Ok(same) if same == digest && scene.opens(bytes).is_ok() => self.malleable += 1,
                Ok(_) => self.wrong.push(format!("{}: another digest", variant.name)),
                Err(refused) => self.wrong.push(format!("{}: {}", variant.name, refused.code())),
            }
        }
    }

    /// Runs the cases against journals.
    pub(crate) fn run_protocol(&mut self, cases: Vec<protocol::Case>) {
        for case in cases {
            assert!(
                self.names.insert(("", case.name.to_owned())),
                "two cases: {}",
                case.name
            );
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap();
            let act = case.act;
            let measured = measure(case.name, || runtime.block_on(act()));
            drop(runtime);
            let (mut accepted, mut outcome) = (false, Err("it panics".to_owned()));
            match measured.outcome {
                Ok(Effect::None(refusal)) if refusal == case.expected => outcome = Ok(refusal.to_string()),
                Ok(Effect::None(refusal)) => outcome = Err(format!("{refusal}, expected {}", case.expected)),
                Ok(Effect::Same(repeats)) => {
                    self.malleable += repeats;
                    continue;
                }
                Ok(Effect::Wrong(what)) => {
                    accepted = true;
                    self.second_effects += usize::from(case.family == "malleable");
                    outcome = Err(what);
                }
                Err(_) => {}
            }
            self.rows.push(Row {
                kind: "P-256",
                family: case.family,
                by: case.by,
                name: case.name.to_owned(),
                outcome,
                accepted,
                took: measured.took,
                most_time: PROTOCOL_TIME,
                memory: measured.memory,
                most_memory: PROTOCOL_MEMORY,
            });
        }
    }

    /// Writes the document where outside verifiers look for it, if anybody asked for that.
    fn document(&self, scene: &Scene, family: &str, by: Attacker, name: &str, octets: Vec<u8>) -> Bytes {
        if let Some(folder) = std::env::var_os("VIERECK_ATTACKS") {
            let kind = PathBuf::from(folder).join(scene.kind.as_str());
            let folder = kind.join(family);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, identity) in [("sender.pem", &scene.sender), ("other.pem", &scene.other)] {
                std::fs::write(kind.join(file), &identity.certificate_pem).unwrap();
            }
            let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
            let name: String = letters.collect();
            let number = self.rows.len() + self.malleable;
            std::fs::write(folder.join(format!("{number:04}-{by}-{name}.xml")), &octets).unwrap();
        }
        Bytes::from(octets)
    }

    /// The table, and the sum of it.
    pub(crate) fn print(&self) {
        println!(
            "{:<7} {:<16} {:<11} {:<34} {:>9} {:>9}  case",
            "keys", "family", "attacker", "refused by", "ms", "KiB"
        );
        for row in &self.rows {
            let outcome = match &row.outcome {
                Ok(code) => code.clone(),
                Err(wrong) => format!("!! {wrong}"),
            };
            println!(
                "{:<7} {:<16} {:<11} {:<34} {:>9.3} {:>9}  {}",
                row.kind,
                row.family,
                row.by.to_string(),
                outcome,
                row.took.as_secs_f64() * 1e3,
                row.memory.div_ceil(1024),
                row.name
            );
        }
        let documents = || self.rows.iter().filter(|row| row.most_time == TIME);
        let slowest = documents().max_by_key(|row| row.took).unwrap();
        let highest = documents().max_by_key(|row| row.memory).unwrap();
        println!(
            "attacks: {} cases, {} refused, {} accepted, slowest {:.1} ms ({}), highest memory {} KiB ({}); \
             malleable: {} verified with the same digest, {} second effects",
            self.rows.len(),
            self.rows
                .iter()
                .filter(|row| !row.accepted && row.outcome.is_ok())
                .count(),
            self.rows.iter().filter(|row| row.accepted).count(),
            slowest.took.as_secs_f64() * 1e3,
            slowest.name,
            highest.memory.div_ceil(1024),
            highest.name,
            self.malleable,
            self.second_effects,
        );
        let slowest = self
            .rows
            .iter()
            .filter(|row| row.most_time != TIME)
            .max_by_key(|row| row.took);
        if let Some(slowest) = slowest {
            println!(
                "of them {} against journals, slowest {:.0} ms ({})",
                self.rows.len() - documents().count(),
                slowest.took.as_secs_f64() * 1e3,
                slowest.name
            );
        }
    }

    /// At the end, so that the whole table stands before it.
    pub(crate) fn assert_all_refused(&self) {
        let mut wrong = self.wrong.clone();
        for row in &self.rows {
            let name = format!("{} {}: {}", row.kind, row.family, row.name);
            if let Err(what) = &row.outcome {
                wrong.push(format!("{name}: {what}"));
            }
            if row.took > row.most_time {
                wrong.push(format!("{name}: took {:?}", row.took));
            }
            if row.memory > row.most_memory {
                wrong.push(format!(
                    "{name}: allocated {} KiB of {}",
                    row.memory / 1024,
                    row.most_memory / 1024
                ));
            }
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert!(self.rows.len() >= 4_000, "{} cases only", self.rows.len());
        assert!(self.malleable > 0 && self.second_effects == 0);
    }
}

/// The same for what may be run again.
fn measure_document<T>(name: &str, act: impl Fn() -> T) -> Measured<T> {
    let mut best = measure(name, &act);
    for _ in 0..2 {
        if best.took > DOUBTFUL {
            let again = measure(name, &act);
            best.took = best.took.min(again.took);
            best.memory = best.memory.max(again.memory);
        }
    }
    best
}

/// Runs `act` with a watch over its time and memory. One that hangs ends the process, with its name.
fn measure<T>(name: &str, act: impl FnOnce() -> T) -> Measured<T> {
    let (done, waits) = mpsc::channel::<()>();
    let name = name.to_owned();
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(HANGS) == Err(mpsc::RecvTimeoutError::Timeout) {
            println!("attacks: HANGS: {name}");
            std::process::exit(70);
        }
    });
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(act));
    let took = begun.elapsed();
    let memory = MEMORY.peak_usage().saturating_sub(before);
    drop(done);
    watch.join().unwrap();
    Measured { outcome, took, memory }
}
