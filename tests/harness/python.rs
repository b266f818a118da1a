//! Runs the verifiers that are not ours: PyPI's `xmlsec` and `jsonschema`, in the folder that `tests/run` makes.
//!
//! A missing folder is an error and never a reason to skip: a test that did not run must not look like one that passed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};

/// The exit code by which the scripts say that they looked and refuse. A crash of Python has another one (1), and so
/// has a wrong call (2): neither may count as a refusal.
const REFUSED: i32 = 4;

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
        let Output { status, stdout, stderr } = command.output().with_context(|| format!("starting {command:?}"))?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        );
        match status.code() {
            Some(0) => Ok(Verdict::Accepted),
            Some(REFUSED) => Ok(Verdict::Refused(said.trim().to_owned())),
            _ => bail!("{command:?} ended with {status}: {said}"),
        }
    }
}
