//! `viereck keys link`: an authority for the link alone, and with it a certificate for RabbitMQ and for every custodian.
//!
//! Each gets a folder with all it needs: `rabbitmq/{ca,node}.pem` and `node.key`, `ID/{ca,link}.pem` and `link.key.pem`,
//! files 0600, folders 0700. The name in a certificate is the user at RabbitMQ. Guarantees: nothing is overwritten and
//! nothing half-made is left; the authority's own key is never written, so nobody can have another certificate of it.
//! Meant for tests and trials; in production certificates come from an authority that serves this link alone.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use serde::Serialize;
use viereck_routing::day_in_berlin;

use super::apart::apart;
use super::new::{Staged, Validity};
use crate::failure::{Exit, Failure};
use crate::{output, routes};

/// `viereck keys link`.
#[derive(Debug, Args)]
pub struct Link {
    /// The routing table, whose gateways and brokers get certificates
    #[arg(long, value_name = "FOLDER")]
    table: PathBuf,
    /// Where everything goes; must not exist yet
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// A name or address by which RabbitMQ is reached; may be repeated
    #[arg(long, value_name = "HOST", default_values = ["localhost", "127.0.0.1"])]
    host: Vec<String>,
    /// How long the certificates are valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// The folder of it all.
    pub folder: PathBuf,
    /// Whose certificates there are, RabbitMQ's apart.
    pub custodians: Vec<String>,
    /// The last day of validity.
    pub until: Date,
}

/// Runs `viereck keys link`.
pub(super) fn run(args: &Link) -> Result<(), Failure> {
    let made = new(&args.table, &args.out, &args.host, args.days, Timestamp::now())?;
    if args.json {
        return output::json(&made);
    }
    output::text(&format!(
        "certificates of the link for rabbitmq and {} in {}, valid until {}\n",
        made.custodians.join(", "),
        made.folder.display(),
        made.until
    ))
}

/// Makes certificates of the link for RabbitMQ on `hosts` and for everyone in the table, valid for `days` from `now`.
///
/// # Errors
/// `table-invalid` (findings) when the table does not load; `keys-exist` (conflict) when there is anything at `out`;
/// `host-invalid` (usage) for what is neither a name nor an address, `keys-in-table` (usage) when either folder would lie in
/// the other.
pub fn new(table: &Path, out: &Path, hosts: &[String], days: u16, now: Timestamp) -> Result<Made, Failure> {
    apart(table, out)?;
    if out.exists() {
        let sentence = format!("{} is there already, and keys are never overwritten.", out.display());
        return Err(Failure::new(Exit::Conflict, "keys-exist", sentence)
            .help("Move it away first, or name another folder; whoever still needs the old keys keeps them."));
    }
    let tables = routes::load(table, day_in_berlin(now))?.tables;
    let custodians: Vec<String> = routes::custodians::of(&tables).map(|(_, id)| id.to_string()).collect();
    let validity = Validity::new(now, days)?;
    let staged = Staged::new(out, 0o700)?;
    let authority = Authority::new(&validity).map_err(|error| failed("the authority", &error))?;
    authority.issue(&staged, "rabbitmq", "node.pem", "node.key", Subject::Node(hosts))?;
    for custodian in &custodians {
        authority.issue(&staged, custodian, "link.pem", "link.key.pem", Subject::User(custodian))?;
    }
    staged.finish()?;
    Ok(Made {
        folder: out.to_owned(),
        custodians,
        until: validity.until,
    })
}

/// Whose certificate it is.
enum Subject<'a> {
    /// RabbitMQ's, for the names by which it is reached.
    Node(&'a [String]),
    /// A user's.
    User(&'a str),
}

struct Authority<'a> {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    validity: &'a Validity,
}

impl<'a> Authority<'a> {
    fn new(validity: &'a Validity) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params("viereck link", validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
            validity,
        })
    }

    fn issue(&self, staged: &Staged, folder: &str, file: &str, key: &str, subject: Subject<'_>) -> Result<(), Failure> {
        let params = match subject {
            Subject::Node(hosts) => {
                let mut params = params("rabbitmq", self.validity);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                params.subject_alt_names = hosts.iter().map(|host| name_of(host)).collect::<Result<_, _>>()?;
                params
            }
            Subject::User(name) => {
                let mut params = params(name, self.validity);
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                params
            }
        };
        let (certificate, private) = self.sign(params).map_err(|error| failed(folder, &error))?;
        for (name, octets) in [("ca.pem", &self.pem), (file, &certificate), (key, &private)] {
            staged.write(&format!("{folder}/{name}"), octets.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    fn sign(&self, mut params: CertificateParams) -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn params(name: &str, validity: &Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    validity.limit(&mut params);
    params
}

fn name_of(host: &str) -> Result<SanType, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    host.try_into()
        .ok()
        .filter(|_| !host.is_empty() && host.chars().all(plain))
        .map(SanType::DnsName)
        .ok_or_else(|| {
            let sentence = format!("{host} is neither the name nor the address of a host.");
            Failure::new(Exit::Usage, "host-invalid", sentence)
                .help("Write --host as the URL of the link has it, without a port.")
        })
}

fn failed(whose: &str, error: &rcgen::Error) -> Failure {
    Failure::new(
        Exit::Unexpected,
        "key-failed",
        format!("cannot make a certificate for {whose}: {error}"),
    )
}
