//! `viereck envelope …`: envelopes in files, for tests, for support, and for whoever builds them with other tools.
//!
//! Nothing here knows the wire format: sealing, verifying, opening and canonicalising are the envelope crate's, exactly
//! as gateways and brokers use them. Private keys are read by the one function that refuses wide rights. `inspect` shows what
//! a file claims and says that nobody verified it.

mod open;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use viereck_envelope::{
    Content, Draft, File, MessageType, Pins, Refused, Role, Signer, Uncanonical, VerifiedEnvelope, seal, verify,
};
use viereck_gateway::key_files::{Passphrase, read_key};
use viereck_routing::{
    BehoerdeId, CaseId, Certificate, Digest, EncryptionKey, Environment, GatewayId, Kind, LeistungId, MessageId,
    MlKemKey, Purpose, Region,
};
use zeroize::Zeroizing;

use crate::config::key_file;
use crate::failure::{Exit, Failure};
use crate::input::{octets, text};
use crate::output;

/// `viereck envelope`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a genuine envelope and write it to stdout
    Seal(Box<Seal>),
    /// Say whether an envelope is genuine
    Verify(Verify),
    /// Verify an envelope and decrypt it into a new folder
    Open(open::Open),
    /// Show what a file claims to be; nothing of it is verified
    Inspect(Inspect),
    /// Write the exclusive-canonical form of any XML document, or of one element of it, to stdout
    Canonicalize(Canonicalize),
}

/// `viereck envelope seal`.
#[derive(Debug, Args)]
pub struct Seal {
    /// The file that becomes the payload
    #[arg(value_name = "PAYLOAD")]
    payload: PathBuf,
    /// Who writes it
    #[arg(long, value_name = "ID")]
    author: BehoerdeId,
    /// Who may read it
    #[arg(long, value_name = "ID")]
    reader: BehoerdeId,
    /// The Leistung
    #[arg(long, value_name = "KEY")]
    leistung: LeistungId,
    /// The gateway that signs it
    #[arg(long, value_name = "ID")]
    gateway: GatewayId,
    /// The gateway's private key, PKCS#8
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// A file whose first line opens the key, if it is encrypted
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The gateway's certificate
    #[arg(long, value_name = "PEM")]
    certificate: PathBuf,
    /// The reader's encryption certificate
    #[arg(long, value_name = "PEM")]
    reader_certificate: PathBuf,
    /// The reader's ML-KEM-768 key beside it: seals in profile 2
    #[arg(long, value_name = "PEM")]
    reader_ml_kem: Option<PathBuf>,
    /// A file to attach; may be given several times
    #[arg(long, value_name = "FILE")]
    attachment: Vec<PathBuf>,
    /// test or production
    #[arg(long, default_value = "test")]
    environment: Environment,
    /// The kind of message
    #[arg(long, default_value = "application")]
    kind: Kind,
    /// The type of message, as the Fachstandard names it
    #[arg(long = "type", value_name = "NAME", default_value = "payload")]
    message_type: String,
    /// The schema of the payload
    #[arg(long, value_name = "URN", default_value = "urn:example:none")]
    schema: String,
    /// Days after which it has lost its purpose
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u8).range(1..=90))]
    obsolete_after_days: u8,
    /// The region whose entry decided
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
    /// The release of the routing table that decided
    #[arg(long, value_name = "SHA256")]
    routing_table: Option<Digest>,
    /// The case; a new one if left out
    #[arg(long, value_name = "UUID")]
    process_ref: Option<CaseId>,
    /// The message that this one answers
    #[arg(long, value_name = "UUID")]
    in_reply_to: Option<MessageId>,
}

/// `viereck envelope verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The envelope
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The certificate of the gateway that must have signed it
    #[arg(long, value_name = "PEM")]
    certificate: PathBuf,
    /// test or production
    #[arg(long, default_value = "test")]
    environment: Environment,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck envelope inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The envelope
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck envelope canonicalize`.
#[derive(Debug, Args)]
pub struct Canonicalize {
    /// The XML document
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only the element whose attribute Id is this
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// Runs `viereck envelope …`.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Seal(args) => output::octets(&sealed(args, Timestamp::now())?),
        Command::Verify(args) => {
            let outcome = verified(&args.file, &args.certificate, args.environment)?;
            if args.json {
                output::json(&verdict(&outcome))?;
            } else if let Ok(envelope) = &outcome {
                output::text(&format!("valid, envelope digest {}\n", envelope.digest()))?;
            }
            outcome.map(drop).map_err(|refused| refusal(&args.file, refused))
        }
        Command::Open(args) => open::run(args),
        Command::Inspect(args) => inspect(args),
        Command::Canonicalize(args) => canonicalize(args),
    }
}

fn sealed(args: &Seal, now: Timestamp) -> Result<Bytes, Failure> {
    let own = certificate_for(Purpose::Signing, &args.certificate)?;
    let key = private_key(&args.key, passphrase(args.passphrase_file.as_deref())?.as_ref())?;
    let signer = Signer::new(own, &key).map_err(|error| {
        Failure::new(
            Exit::Findings,
            error.code(),
            format!("{}: {error}.", args.key.display()),
        )
        .help("--key and --certificate have to be a pair.")
    })?;
    let mut files = vec![file(Role::Payload, &args.payload)?];
    for attachment in &args.attachment {
        files.push(file(Role::Attachment, attachment)?);
    }
    let obsolete_after = now + (i64::from(args.obsolete_after_days) * 24).hours();
    let draft = Draft {
        environment: args.environment,
        message_id: MessageId::random(),
        replaces: None,
        kind: args.kind,
        filed_at: now,
        obsolete_after,
        gateway: args.gateway.clone(),
        author: args.author.clone(),
        reader: args.reader.clone(),
        service: args.leistung.clone(),
        region: args.region,
        message_type: MessageType {
            name: args.message_type.clone(),
            schema: args.schema.clone(),
        },
        process_ref: args.process_ref.unwrap_or_else(CaseId::random),
        in_reply_to: args.in_reply_to,
        routing_table: args.routing_table,
        content: Content {
            files,
            ..Content::default()
        },
    };
    let reader = reader_key(args)?;
    let envelope = seal(draft, &reader, &signer, now).map_err(|error| {
        Failure::new(
            Exit::Findings,
            error.code(),
            format!("The envelope was not sealed: {error}."),
        )
    })?;
    Ok(envelope.bytes().clone())
}

/// What the envelope is encrypted for: the certificate, with the ML-KEM key that is named beside it.
fn reader_key(args: &Seal) -> Result<EncryptionKey, Failure> {
    let certificate = certificate_for(Purpose::Encryption, &args.reader_certificate)?;
    let Some(path) = &args.reader_ml_kem else {
        return Ok(EncryptionKey::classical(certificate));
    };
    EncryptionKey::hybrid(certificate, ml_kem(path)?)
        .map_err(|error| not_ml_kem(format!("{}: {error}.", path.display())))
}

fn ml_kem(path: &Path) -> Result<MlKemKey, Failure> {
    MlKemKey::from_pem(&text(path)?).map_err(|error| not_ml_kem(format!("{} is {error}.", path.display())))
}

fn not_ml_kem(sentence: String) -> Failure {
    Failure::new(Exit::Findings, "ml-kem-invalid", sentence)
        .help("Expected is an ML-KEM-768 key as PEM `PUBLIC KEY`, beside a certificate with an ECDSA P-256 key.")
}

fn file(role: Role, path: &Path) -> Result<File, Failure> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(File {
        role,
        name,
        media_type: media_type(path).to_owned(),
        octets: octets(path)?.into(),
    })
}

/// The media type that a file's extension stands for, of the few that applications come in.
pub(crate) fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xml") => "application/xml",
        Some("json") => "application/json",
        Some("pdf") => "application/pdf",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// The one certificate that the caller trusts, whatever gateway the header names.
struct Named(Certificate);

impl Pins for Named {
    fn signing_certificate(&self, _custodian: &GatewayId, sha256: &Digest, _at: Timestamp) -> Option<&Certificate> {
        (self.0.sha256() == *sha256).then_some(&self.0)
    }

    fn is_revoked(&self, _: &Certificate, _: Timestamp) -> bool {
        false
    }
}

fn verified(
    file: &Path,
    signer: &Path,
    environment: Environment,
) -> Result<Result<VerifiedEnvelope, Refused>, Failure> {
    let pins = Named(certificate(signer)?);
    Ok(verify(octets(file)?.into(), &pins, environment, Timestamp::now()))
}

fn inspect(args: &Inspect) -> Result<(), Failure> {
    let claims = viereck_envelope::inspect(&octets(&args.file)?).map_err(|refused| refusal(&args.file, refused))?;
    if args.json {
        let mut document: serde_json::Map<String, Value> =
            [("verified".to_owned(), json!(false))].into_iter().collect();
        document.extend(
            claims
                .fields()
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value))),
        );
        return output::json(&document);
    }
    let mut text = "unverified: this is what the file claims; `viereck envelope verify` checks it\n".to_owned();
    for (name, value) in claims.fields() {
        text.push_str(&format!("{name:<18} {value}\n"));
    }
    output::text(&text)
}

fn canonicalize(args: &Canonicalize) -> Result<(), Failure> {
    let canonical = viereck_envelope::canonicalize(&octets(&args.file)?, args.id.as_deref()).map_err(|reason| {
        let (exit, help) = match reason {
            Uncanonical::NoSuchId => (
                Exit::NotFound,
                "Expected is an attribute with the name Id; upper and lower case count.",
            ),
            _ => (
                Exit::Findings,
                "Taken is well-formed XML 1.0 in UTF-8 without document type, comment and processing instruction.",
            ),
        };
        Failure::new(exit, reason.code(), format!("{}: {reason}.", args.file.display())).help(help)
    })?;
    output::text(&canonical)
}

fn verdict(outcome: &Result<VerifiedEnvelope, Refused>) -> Value {
    match outcome {
        Ok(envelope) => json!({
            "verdict": "valid",
            "code": null,
            "envelopeDigest": envelope.digest(),
            "messageId": envelope.header().message_id,
            "gateway": envelope.header().gateway,
        }),
        Err(refused) => json!({
            "verdict": "refused",
            "code": refused.code(),
            "reason": refused.reason(),
            "sentence": refused.to_string(),
        }),
    }
}

fn refusal(file: &Path, refused: Refused) -> Failure {
    Failure::new(
        Exit::Findings,
        refused.code(),
        format!("{} is refused: {refused}.", file.display()),
    )
    .help("An envelope counts only octet for octet as it was signed, by the certificate that is named.")
}

fn certificate(path: &Path) -> Result<Certificate, Failure> {
    Certificate::from_pem(&text(path)?).map_err(|error| {
        Failure::new(
            Exit::Findings,
            "certificate-invalid",
            format!("{} is {error}.", path.display()),
        )
        .help("Expected is one X.509 certificate with an ECDSA P-256 key or an RSA key of at least 3072 bits, as PEM.")
    })
}

/// The same, if its key usage allows what it is used for: no table would take it otherwise.
fn certificate_for(purpose: Purpose, path: &Path) -> Result<Certificate, Failure> {
    let certificate = certificate(path)?;
    if certificate.allows(purpose) {
        return Ok(certificate);
    }
    let sentence = format!("The key usage of {} does not allow {purpose}.", path.display());
    Err(Failure::new(Exit::Findings, "certificate-key-usage", sentence)
        .help("signing needs digitalSignature, encryption needs keyAgreement (EC) or keyEncipherment (RSA)."))
}

/// What opens encrypted keys.
fn passphrase(file: Option<&Path>) -> Result<Option<Passphrase>, Failure> {
    let read = file.map(Passphrase::read).transpose();
    read.map_err(|error| key_file(&error))
}

fn private_key(path: &Path, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, Failure> {
    read_key(path, passphrase).map_err(|error| key_file(&error))
}
