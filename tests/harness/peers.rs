//! Other people's XML Signature and XML Encryption: each a program of its own in `tests/interop/peers`.
//!
//! All speak alike: a verb and files as arguments; exit code 0 with what they found on standard output, or 1 with a line
//! that begins with `refused: `. Everything else is an error: a program that crashed has refused nothing. `tests/run`
//! prepares what they need.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail, ensure};

/// What a peer may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Whether the signature is good: file, certificate.
    Verify,
    /// The digests of the three parts and the signature value over a document: file, key.
    Sign,
    /// The SHA-256 of each file in it: file, reader's certificate, reader's key.
    Open,
    /// The same with an ML-KEM key as well: file, reader's certificate, reader's key, reader's ML-KEM key.
    OpenHybrid,
    /// The document with content of its own, unsigned: file, reader's certificate, payload.
    Seal,
    /// The same for an ML-KEM key as well: file, reader's certificate, payload, reader's ML-KEM key.
    SealHybrid,
}

/// One program.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its name in the account.
    pub name: &'static str,
    language: Language,
    script: &'static str,
    can: &'static [Verb],
    /// Why it cannot do the rest.
    pub why_not: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Language {
    Python,
    Node,
    Java,
}

/// All of them.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "xmlsec (libxmlsec)",
        language: Language::Python,
        script: "libxmlsec.py",
        can: &[Verb::Verify, Verb::Sign, Verb::Open],
        why_not: "sealing: its Python interface makes no key agreement from a template; ML-KEM is in no standard for XML",
    },
    Peer {
        name: "bergshamra",
        language: Language::Python,
        script: "bergshamra.py",
        can: &[Verb::Verify, Verb::Sign, Verb::Open],
        why_not: "sealing: encrypts each file under a key of its own; ML-KEM is in no standard for XML",
    },
    Peer {
        name: "signxml (XAdES)",
        language: Language::Python,
        script: "signxml_xades.py",
        can: &[Verb::Verify],
        why_not: "signs in a structure of its own only; has no XML Encryption",
    },
    Peer {
        name: "xml-crypto",
        language: Language::Node,
        script: "xml_crypto.js",
        can: &[Verb::Verify, Verb::Sign],
        why_not: "has no XML Encryption",
    },
    Peer {
        name: "JDK",
        language: Language::Java,
        script: "Jdk.java",
        can: &[Verb::Verify, Verb::Sign],
        why_not: "has no public interface for XML Encryption",
    },
    Peer {
        name: "the format in Python",
        language: Language::Python,
        script: "plain.py",
        can: &[
            Verb::Verify,
            Verb::Sign,
            Verb::Open,
            Verb::OpenHybrid,
            Verb::Seal,
            Verb::SealHybrid,
        ],
        why_not: "",
    },
];

/// What a peer answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It did what it was asked, and printed this.
    Done(String),
    /// It refused, in its own words.
    Refused(String),
}

impl Peer {
    /// Whether it has this verb at all.
    pub fn can(&self, verb: Verb) -> bool {
        self.can.contains(&verb)
    }

    /// Asks it.
    pub fn ask(&self, verb: Verb, files: &[&Path]) -> anyhow::Result<Answer> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let prepared = root.join("target/interop");
        let program: PathBuf = match self.language {
            Language::Python => prepared.join("venv/bin/python"),
            Language::Node => "node".into(),
            Language::Java => "java".into(),
        };
        ensure!(
            prepared.join("node/node_modules").is_dir() && prepared.join("venv").is_dir(),
            "{} is not complete: run tests/run --only prepare",
            prepared.display()
        );
        let verb = match verb {
            Verb::Verify => "verify",
            Verb::Sign => "sign",
            Verb::Open | Verb::OpenHybrid => "open",
            Verb::Seal | Verb::SealHybrid => "seal",
        };
        let mut command = Command::new(program);
        command
            .arg(root.join("tests/interop/peers").join(self.script))
            .arg(verb)
            .args(files)
            // where Node.js looks for modules: the folder, with a slash behind it
            .env("VIERECK_NODE_MODULES", prepared.canonicalize()?.join("node").join(""));
        let Output { status, stdout, stderr } = command.output().with_context(|| format!("starting {command:?}"))?;
        let said = String::from_utf8_lossy(&stderr);
        let refused = said.lines().find_map(|line| line.strip_prefix("refused: "));
        match (status.code(), refused) {
            (Some(0), _) => Ok(Answer::Done(String::from_utf8(stdout)?)),
            (Some(1), Some(reason)) => Ok(Answer::Refused(reason.to_owned())),
            _ => bail!("{command:?} ended with {status}: {said}"),
        }
    }
}
