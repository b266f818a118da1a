//! `viereck keys import`: a certificate that an authority issued, put into the table for the key it belongs to.
//!
//! The key says for whom and for what it is; the certificate has to fit both. Certificates of the authorities between
//! may follow in the file; they have to stand in the table already, for whom to trust decides an operator. It counts from
//! now on at the earliest, however old it is: until now others sealed for the key before.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use viereck_routing::{Certificate, Digest, pem};

use super::make::{self, Entry};
use super::stock::{Place, public_key};
use crate::failure::{Exit, Failure};
use crate::{input, output};

/// `viereck keys import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The certificate as PEM, first; the chain may follow
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// From when on it counts: now, or its own first instant where that is later, if left out
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Commit its distinguished name with the entry, where it does not bear the holder's identifier
    #[arg(long)]
    accept_subject: bool,
    #[command(flatten)]
    place: Place,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Import) -> Result<(), Failure> {
    let changing = args.place.changing()?;
    let (stock, now) = (&changing.stock, changing.now);
    let text = input::text(&args.file)?;
    let malformed = || {
        let sentence = format!(
            "{} does not begin with a certificate that can be used.",
            args.file.display()
        );
        Failure::new(Exit::Findings, "certificate-wrong", sentence)
            .help("Expected is X.509 as PEM, the holder's certificate first, with a key that is allowed.")
    };
    let first = x509_parser::pem::Pem::iter_from_buffer(text.as_bytes())
        .next()
        .and_then(Result::ok)
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| block.contents)
        .ok_or_else(malformed)?;
    let certificate = Certificate::from_der(first).map_err(|_| malformed())?;
    let public = public_key(certificate.der());
    let file = stock
        .files
        .iter()
        .find(|file| file.key.as_ref().is_ok_and(|key| Some(key.public) == public))
        .ok_or_else(|| {
            let sentence = format!("No key below {} belongs to this certificate.", stock.keys.display());
            Failure::new(Exit::NotFound, "key-missing", sentence)
                .help("Import it where `viereck keys csr` made the key, with its passphrase if it has one.")
        })?;
    let (holder, purpose) = (&file.holder, file.purpose);
    if let Some(pin) = stock
        .tables
        .pinned_certificates()
        .find(|pin| pin.certificate == &certificate)
    {
        let sentence = format!("The table has this certificate already, as {}.", pin.file);
        return Err(Failure::new(Exit::Conflict, "certificate-exists", sentence).help("Nothing is left to do."));
    }
    let from = match args.from {
        Some(from) => make::not_from_the_past(from, now)?,
        None => now,
    };
    let ml_kem = stock.ml_kem_beside(file)?;
    let pem = pem("CERTIFICATE", certificate.der());
    let entry = Entry {
        holder,
        purpose,
        number: file.number,
        pem: &pem,
        sha256: Digest::of(certificate.der()),
        from: make::whole(from).max(certificate.valid_from()),
        until: certificate.valid_until(),
        subject: args.accept_subject.then(|| certificate.subject()),
        ml_kem: ml_kem.as_ref(),
    };
    let entered = make::enter(&changing, &entry)?;
    if args.json {
        return output::json(&serde_json::json!({
            "holder": holder, "purpose": purpose.as_str(), "number": file.number, "certificate": entered,
            "sha256": entry.sha256, "from": entry.from, "until": entry.until, "key": file.path,
        }));
    }
    output::text(&format!(
        "{holder} ({purpose}): {entered} counts from {:.0} until {:.0}\nrelease the table, and send SIGHUP to the processes\n",
        entry.from, entry.until
    ))
}
