//! A small set of tables that a test changes in one place.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::{Date, date};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use viereck_routing::{Digest, Finding, Findings, Loaded, Tables};

pub(crate) const WOHNGELD: &str = "99107023037000";

pub(crate) fn today() -> Date {
    date(2026, 11, 23)
}

/// The files of a folder, in memory.
#[derive(Clone, Debug)]
pub(crate) struct Fixture(pub(crate) BTreeMap<String, Vec<u8>>);

pub(crate) const LIST: &str = "laender/01-sh/zustaendigkeiten/liste.toml";
pub(crate) const LEISTUNGEN: &str = "laender/01-sh/leistungen.toml";
pub(crate) const BEHOERDEN: &str = "laender/01-sh/behoerden/alle.toml";
pub(crate) const GATEWAYS: &str = "laender/01-sh/gateways.toml";
pub(crate) const CLIENTS: &str = "laender/01-sh/clients.toml";
pub(crate) const INDEX: &str = "certificates/certificates.toml";

/// The files of `tests/small-tables`.
const FILES: [&str; 9] = [
    "table.toml",
    "gemeinden.csv",
    "dvdv-praefixe.csv",
    "participants.toml",
    LEISTUNGEN,
    LIST,
    BEHOERDEN,
    GATEWAYS,
    CLIENTS,
];

/// An authority with one delivery for everything.
pub(crate) fn authority(id: &str, gateway: &str) -> String {
    format!("[\"{id}\"]\nname = \"X\"\n[[\"{id}\".delivery]]\nleistungen = \"default\"\ngateway = \"{gateway}\"\n")
}

impl Fixture {
    /// Tables without a finding but the one about absent certificates.
    pub(crate) fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/small-tables");
        let files = FILES
            .iter()
            .map(|path| ((*path).to_owned(), std::fs::read(folder.join(path)).unwrap()));
        Self(files.collect())
    }

    pub(crate) fn put(&mut self, path: &str, text: impl AsRef<[u8]>) {
        self.0.insert(path.to_owned(), text.as_ref().to_vec());
    }

    pub(crate) fn with(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.put(path, text);
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.0.remove(path).unwrap();
        self
    }

    /// Adds lines at the end of a file.
    pub(crate) fn and(mut self, path: &str, text: &str) -> Self {
        let octets = self.0.entry(path.to_owned()).or_default();
        octets.extend_from_slice(text.trim_end_matches('\n').as_bytes());
        octets.push(b'\n');
        self
    }

    /// Replaces a text that stands in the file exactly once.
    pub(crate) fn replace(mut self, path: &str, from: &str, to: &str) -> Self {
        let old = String::from_utf8(self.0.remove(path).unwrap()).unwrap();
        assert_eq!(old.matches(from).count(), 1, "{from} in {path}");
        self.put(path, old.replace(from, to));
        self
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (path, octets) in &self.0 {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, octets).unwrap();
        }
    }

    pub(crate) fn load(&self) -> Result<Loaded, Findings> {
        let folder: TempDir = tempfile::tempdir().unwrap();
        self.write(folder.path());
        Tables::load(folder.path(), today())
    }

    pub(crate) fn tables(&self) -> Tables {
        self.load().unwrap_or_else(|findings| panic!("{findings:?}")).tables
    }

    /// Every finding of a load, whether it succeeds or not, but the two that the small tables always have: no
    /// certificates, and nobody for Henstedt-Ulzburg.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let findings = match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(findings) => findings.into_vec(),
        };
        findings
            .into_iter()
            .filter(|finding| !["certificates-absent", "municipalities-uncovered"].contains(&finding.code))
            .collect()
    }

    /// Adds a certificate of a fresh key with an entry for it, and gives the entry's digest.
    pub(crate) fn certify(&mut self, id: &str, purpose: &str, until: &str) -> Digest {
        let number = self.0.len();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2028, 1, 1);
        named(&mut params, id, purpose);
        let certificate = params.self_signed(&key).unwrap();
        let file = format!("{}/{purpose}-{number}.pem", id.replace(':', "-"));
        self.put(&format!("certificates/{file}"), certificate.pem());
        let sha256 = Digest::of(certificate.der());
        let entry = format!(
            "[[certificate]]\nid = \"{id}\"\npurpose = \"{purpose}\"\nfile = \"{file}\"\n\
             from = 2026-02-01\nuntil = {until}\nsha256 = \"{sha256}\"\n"
        );
        self.0
            .entry(INDEX.to_owned())
            .or_default()
            .extend_from_slice(entry.as_bytes());
        sha256
    }

    /// Everything that a folder with certificates needs.
    pub(crate) fn certified() -> Self {
        let mut fixture = Self::new();
        for custodian in ["broker", "gw-1", "gw-2"] {
            fixture.certify(custodian, "signing", "2027-12-31");
        }
        for participant in ["wgp:010000000000", "wgb:010540000000", "wgb:010540880000"] {
            fixture.certify(participant, "encryption", "2027-12-31");
        }
        let sha256 = Digest::of(b"geheim");
        let token =
            format!("[[token]]\nclient = \"dienst\"\nfrom = 2026-01-01\nuntil = 2026-12-31\nsha256 = \"{sha256}\"\n");
        fixture.and(INDEX, &token)
    }
}

/// The subject and the key usage that a certificate of `id` for `purpose` has to have.
pub(crate) fn named(params: &mut CertificateParams, id: &str, purpose: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, id);
    params.key_usages = vec![match purpose {
        "signing" => rcgen::KeyUsagePurpose::DigitalSignature,
        _ => rcgen::KeyUsagePurpose::KeyAgreement,
    }];
}
