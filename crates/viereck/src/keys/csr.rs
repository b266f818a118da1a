//! `viereck keys csr`: the next private key of a holder, and a request (PKCS#10) to have it certified.

use std::path::PathBuf;

use clap::Args;
use viereck_routing::Purpose;

use super::make;
use super::new::Algorithm;
use super::stock::Place;
use crate::failure::{Exit, Failure};
use crate::output;

/// `viereck keys csr`.
#[derive(Debug, Args)]
pub struct Csr {
    /// The gateway, broker or participant, as in the table
    #[arg(value_name = "HOLDER")]
    holder: String,
    /// signing or encryption
    #[arg(long, value_name = "PURPOSE")]
    purpose: Purpose,
    /// Where the request goes, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The kind of the key
    #[arg(long, value_enum, default_value_t)]
    algorithm: Algorithm,
    /// An ML-KEM-768 key beside an EC key for encryption; `keys import` enters it with the certificate
    #[arg(long)]
    ml_kem: bool,
    #[command(flatten)]
    place: Place,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Csr) -> Result<(), Failure> {
    let changing = args.place.changing()?;
    let stock = &changing.stock;
    let (number, places) = make::places(stock, &args.holder, args.purpose)?;
    let failed = |error: rcgen::Error| {
        let sentence = format!("Cannot make a request for {}: {error}.", args.holder);
        Failure::new(Exit::Unexpected, "key-failed", sentence)
    };
    let key = args.algorithm.generate().map_err(failed)?;
    let params = make::params(&args.holder, args.purpose, &key);
    let request = params
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(failed)?;
    let pem = make::protected(&key.serialize_pem(), stock.passphrase.as_ref())?;
    let ml_kem = match args.ml_kem {
        true => Some(make::beside(args.purpose, args.algorithm, stock.passphrase.as_ref())?),
        false => None,
    };
    let keys = make::write_pair(&pem, ml_kem.as_ref(), places)?;
    if let Some(out) = &args.out
        && let Err(failure) = make::write_new(out, request.as_bytes(), 0o644)
    {
        make::take_back(&keys);
        return Err(failure);
    }
    for key in &keys {
        output::talk(&format!("the private key is in {}", key.display()));
    }
    if args.json {
        return output::json(&serde_json::json!({
            "holder": args.holder, "purpose": args.purpose.as_str(), "number": number,
            "keys": keys, "request": request, "requestFile": args.out,
        }));
    }
    match &args.out {
        Some(_) => Ok(()),
        None => output::text(&request),
    }
}
