//! `viereck envelope open`: a genuine envelope becomes a folder of files, for whoever has the reader's key.
//!
//! The folder is what the adapter `directory` hands to a Fachverfahren: `message.json`, and the files under names that
//! we make. Guarantees: nothing is written before all of it is verified and decrypted; the folder is new, only for its
//! owner, and nothing in it is ever overwritten. Names that others gave stand inside `message.json` and nowhere else.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use viereck_envelope::{KeyError, OpenError, ReaderKeys, VerifiedEnvelope};
use viereck_gateway::as_files;
use viereck_routing::{BehoerdeId, Digest, Environment};

use super::{certificate, ml_kem, passphrase, private_key, refusal, verdict, verified};
use crate::failure::{Exit, Failure};
use crate::output;

/// `viereck envelope open`.
#[derive(Debug, Args)]
pub struct Open {
    /// The envelope
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The certificate of the gateway that must have signed it
    #[arg(long, value_name = "PEM")]
    certificate: PathBuf,
    /// The reader's encryption certificate
    #[arg(long, value_name = "PEM")]
    reader_certificate: PathBuf,
    /// The reader's private key, PKCS#8
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// A file whose first line opens the keys, if they are encrypted
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The reader's ML-KEM-768 key, public half: for profile 2
    #[arg(long, value_name = "PEM", requires = "ml_kem_key")]
    reader_ml_kem: Option<PathBuf>,
    /// The reader's ML-KEM-768 key, private half, PKCS#8: for profile 2
    #[arg(long, value_name = "PEM", requires = "reader_ml_kem")]
    ml_kem_key: Option<PathBuf>,
    /// The folder to make; it must not be there yet
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// test or production
    #[arg(long, default_value = "test")]
    environment: Environment,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs `viereck envelope open`.
pub(super) fn run(args: &Open) -> Result<(), Failure> {
    let envelope = match verified(&args.file, &args.certificate, args.environment)? {
        Ok(envelope) => envelope,
        refused => {
            if args.json {
                output::json(&verdict(&refused))?;
            }
            return refused.map(drop).map_err(|refused| refusal(&args.file, refused));
        }
    };
    let files = match opened(&envelope, args)? {
        Ok(files) => files,
        Err((reason, failure)) => {
            if args.json {
                let document = json!({
                    "verdict": "refused",
                    "code": failure.code,
                    "reason": reason,
                    "sentence": failure.sentence,
                });
                output::json(&document)?;
            }
            return Err(failure);
        }
    };
    write(&args.out, &files)?;
    if args.json {
        return output::json(&told(&envelope, &args.out, &files));
    }
    let mut said = String::new();
    for (name, octets) in &files {
        said.push_str(&format!("{name:<18} {:>9} octets\n", octets.len()));
    }
    output::text(&said)
}

type Files = Vec<(String, Bytes)>;

/// Decrypts it; a refusal comes with the reason that a receipt would give.
fn opened(
    envelope: &VerifiedEnvelope,
    args: &Open,
) -> Result<Result<Files, (viereck_envelope::Reason, Failure)>, Failure> {
    let keys = reader_keys(&envelope.header().reader, args)?;
    let opened = match viereck_envelope::open(envelope, &keys) {
        Ok(opened) => opened,
        Err(error) => {
            let failure = Failure::new(
                Exit::Findings,
                error.code(),
                format!("{} is genuine, but {error}.", args.file.display()),
            )
            .help(match error {
                OpenError::NoKey => {
                    "It names another certificate of its reader; `viereck envelope inspect` shows which."
                }
                OpenError::Undecipherable | OpenError::HeaderMismatch => {
                    "Its author has to send it again; tell them its message id and this code."
                }
            });
            return Ok(Err((error.reason(), failure)));
        }
    };
    Ok(as_files(opened).map_err(|reason| {
        let sentence = format!("{} is genuine, but says who applies in no JSON.", args.file.display());
        let failure = Failure::new(Exit::Findings, "applicant-not-json", sentence)
            .help("Its author has to send it again; tell them its message id and this code.");
        (reason, failure)
    }))
}

/// The reader's private keys, each bound to its public half.
fn reader_keys(reader: &BehoerdeId, args: &Open) -> Result<ReaderKeys, Failure> {
    let unpaired = |key: &Path, error: KeyError, help: &'static str| {
        Failure::new(Exit::Findings, error.code(), format!("{}: {error}.", key.display())).help(help)
    };
    let certificate = certificate(&args.reader_certificate)?;
    let sha256 = certificate.sha256();
    let mut keys = ReaderKeys::new();
    let passphrase = passphrase(args.passphrase_file.as_deref())?;
    keys.add(
        reader.clone(),
        certificate,
        &private_key(&args.key, passphrase.as_ref())?,
    )
    .map_err(|error| unpaired(&args.key, error, "--key and --reader-certificate have to be a pair."))?;
    if let (Some(public), Some(private)) = (&args.reader_ml_kem, &args.ml_kem_key) {
        let key = ml_kem(public)?;
        keys.add_ml_kem(reader, &sha256, key, &private_key(private, passphrase.as_ref())?)
            .map_err(|error| unpaired(private, error, "--ml-kem-key and --reader-ml-kem have to be a pair."))?;
    }
    Ok(keys)
}

fn write(folder: &Path, files: &[(String, Bytes)]) -> Result<(), Failure> {
    DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::of_file("make", folder, &error))?;
    for (name, octets) in files {
        let path = folder.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(octets))
            .map_err(|error| Failure::of_file("write", &path, &error))?;
    }
    Ok(())
}

fn told(envelope: &VerifiedEnvelope, folder: &Path, files: &[(String, Bytes)]) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|(name, octets)| json!({ "file": name, "length": octets.len(), "sha256": Digest::of(octets) }))
        .collect();
    json!({
        "verdict": "opened",
        "code": null,
        "envelopeDigest": envelope.digest(),
        "messageId": envelope.header().message_id,
        "folder": folder,
        "files": files,
    })
}
