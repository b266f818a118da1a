//! Runs the judges that are not ours and know no envelope: PyPI's `jsonschema`, and libxml2 by `lxml`, in the folder that
//! `tests/run` makes. What others make of envelopes is in `peers`.
//!
//! A missing folder is an error and never a reason to skip: a test that did not run must not look like one that passed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use anyhow::{Context, bail};

/// How a script begins its last word when it looked and refuses; its exit code is 1. A crash of Python has the same
/// code and other words: it must not count as a refusal.
const REFUSED: &str = "refused: ";

/// The interpreter with them.
pub struct Python {
    program: PathBuf,
    scripts: PathBuf,
}

/// What a judge says of a document.
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

    /// Whether `jsonschema` accepts the JSON file `document` under `schema`.
    pub fn validate_json(&self, schema: &Path, document: &Path) -> anyhow::Result<Verdict> {
        self.ask(
            Command::new(&self.program)
                .arg(self.script("json_schema_check.py"))
                .args([schema, document]),
        )
    }

    /// Starts libxml2, which canonicalizes as many documents as it is asked for.
    pub fn canonicalizer(&self) -> anyhow::Result<Canonicalizer> {
        let mut process = Command::new(&self.program)
            .arg(self.script("c14n_check.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting Python")?;
        let questions = process.stdin.take().context("no way to ask")?;
        let answers = process.stdout.take().context("no answer to read")?;
        Ok(Canonicalizer {
            process,
            questions,
            answers,
        })
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

/// libxml2 in one process of Python.
pub struct Canonicalizer {
    process: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

impl Canonicalizer {
    /// The exclusive-canonical form of a document, or of its element with this Id if one is named; or why there is none.
    pub fn ask(&mut self, document: &[u8], id: &str) -> anyhow::Result<Result<Vec<u8>, String>> {
        let mut question = Vec::with_capacity(document.len() + id.len() + 8);
        for text in [document, id.as_bytes()] {
            question.extend_from_slice(&u32::try_from(text.len())?.to_be_bytes());
            question.extend_from_slice(text);
        }
        self.questions.write_all(&question)?;
        self.questions.flush()?;
        let mut head = [0; 5];
        self.answers.read_exact(&mut head).context("Python ended")?;
        let [verdict, length @ ..] = head;
        let mut said = vec![0; u32::from_be_bytes(length) as usize];
        self.answers.read_exact(&mut said)?;
        Ok(match verdict {
            0 => Ok(said),
            _ => Err(String::from_utf8_lossy(&said).into_owned()),
        })
    }
}

impl Drop for Canonicalizer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}
