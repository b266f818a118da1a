//! Runs the verifiers that are not ours: PyPI's `xmlsec` and `jsonschema`, in the folder that `tests/run` makes.
//!
//! A missing folder is an error and never a reason to skip: a test that did not run must not look like one that passed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};

/// How a script begins its last word when it looked and refuses; its exit code is 1. A crash of Python has the same
/// code and other words: it must not count as a refusal.
const REFUSED: &str = "refused: ";

/// The interpreter with the outside verifiers.
pub struct Python {
    program: PathBuf,
    scripts: PathBuf,
}

/// What an outside verifier says of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It accepts.
    Accepted,
    /// It refuses, in its own words.
    Refused(String),
}

impl Python {
    /// The interpreter that `tests/run` prepared.
    pub fn find() -> anyhow::Result<Python> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let program = root.join("target/interop/venv/bin/python");
        if !program.exists() {
            bail!("{} is not there: run tests/run --only prepare", program.display());
        }
        Ok(Python {
            program,
            scripts: root.join("tests/interop"),
        })
    }

    /// Whether `xmlsec` accepts the signature of `envelope` under `certificate` (PEM).
    pub fn verify_signature(&self, envelope: &Path, certificate: &Path) -> anyhow::Result<Verdict> {
        self.ask(
            Command::new(&self.program)
                .arg(self.script("xmlsec_check.py"))
                .arg("verify")
                .args([envelope, certificate]),
        )
    }

    /// Lets `xmlsec` open `envelope` with the reader's key (PEM) and write what it holds into the folder `out`.
    pub fn open(&self, envelope: &Path, key: &Path, out: &Path) -> anyhow::Result<Verdict> {
        let script = self.script("xmlsec_check.py");
        self.ask(
            Command::new(&self.program)
                .arg(script)
                .arg("open")
                .args([envelope, key])
                .arg("--out")
                .arg(out),
        )
    }

    /// Whether `jsonschema` accepts the JSON file `document` under `schema`.
    pub fn validate_json(&self, schema: &Path, document: &Path) -> anyhow::Result<Verdict> {
        self.ask(
            Command::new(&self.program)
                .arg(self.script("json_schema_check.py"))
                .args([schema, document]),
        )
    }

    fn script(&self, name: &str) -> PathBuf {
        self.scripts.join(name)
    }

    fn ask(&self, command: &mut Command) -> anyhow::Result<Verdict> {
        let Output { status, stderr, .. } = command.output().with_context(|| format!("starting {command:?}"))?;
        let said = String::from_utf8_lossy(&stderr);
        match (status.code(), said.strip_prefix(REFUSED)) {
            (Some(0), _) => Ok(Verdict::Accepted),
            (Some(1), Some(reason)) => Ok(Verdict::Refused(reason.trim().to_owned())),
            _ => bail!("{command:?} ended with {status}: {said}"),
        }
    }
}
