//! Routing tables: a small copy of the sample in which one file is replaced, and lists of what its authority has revoked.
//!
//! The first octet of an input chooses the file, the rest is its content.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::date;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use viereck_routing::Tables;

/// The files that are replaced.
const FILES: [&str; 8] = [
    "table.toml",
    "participants.toml",
    "stadtbezirke.csv",
    "bund/leistungen.toml",
    "bund/zustaendigkeiten/registerbehoerde.toml",
    "bund/behoerden/registerbehoerde.toml",
    "laender/01-schleswig-holstein/clients.toml",
    "certificates/certificates.toml",
];

/// An index that loads for whoever gives out certificates: there is an authority, and nobody is certified yet.
const INDEX: &str = r#"
[trust]
anchors = ["ca.pem"]
[[trust.list]]
issuer = "ca.pem"
url = "http://crl.invalid/ca.crl"
"#;
/// What may follow.
const ENTRY: &str = r#"
[[certificate]]
id = "gw-sh-1"
purpose = "signing"
file = "ca.pem"
subject = "CN=ca"
from = 2026-01-01
until = 2026-12-31
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
"#;

struct Sample {
    folder: tempfile::TempDir,
    contents: Vec<Vec<u8>>,
    issuer: Issuer<'static, KeyPair>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../routing-tables"));
    copy(from, folder.path());
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificates = folder.path().join("certificates");
    fs::create_dir(&certificates).unwrap();
    fs::write(certificates.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(certificates.join("certificates.toml"), INDEX).unwrap();
    let contents = FILES.iter().map(|file| fs::read(folder.path().join(file)).unwrap());
    Sample {
        contents: contents.collect(),
        folder,
        issuer: Issuer::new(params, key),
    }
});

/// Copies the federal part and one Land without its Behörden, so that a load takes no longer than it has to.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        // Of the other Land only its gateway is left, which the federal part names.
        if name == "certificates" || (from.ends_with("05-nordrhein-westfalen") && name != "gateways.toml") {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(&name));
        } else if name == "gemeinden.csv" || name == "stadtbezirke.csv" {
            let all = fs::read_to_string(&path).unwrap();
            let few: Vec<&str> = all
                .lines()
                .filter(|line| line.starts_with("01") || !line.starts_with(char::is_numeric))
                .collect();
            fs::write(to.join(&name), few.join("\n") + "\n").unwrap();
        } else if path.is_file() {
            fs::copy(&path, to.join(&name)).unwrap();
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let with_choice = |(number, content): (usize, &Vec<u8>)| [&[number as u8], content.as_slice()].concat();
    let mut seeds: Vec<_> = SAMPLE.contents.iter().enumerate().map(with_choice).collect();
    seeds.push([&[FILES.len() as u8 - 1], INDEX.as_bytes(), ENTRY.as_bytes()].concat());
    seeds
}

/// Loads, or names findings that stand in files of the table.
pub(crate) fn tables(octets: &[u8]) -> &'static str {
    let Some((choice, content)) = octets.split_first() else {
        return "empty";
    };
    let choice = usize::from(*choice) % FILES.len();
    let path = SAMPLE.folder.path().join(FILES[choice]);
    fs::write(&path, content).unwrap();
    let loaded = Tables::load_awaiting(SAMPLE.folder.path(), date(2026, 3, 2));
    fs::write(&path, &SAMPLE.contents[choice]).unwrap();
    match loaded {
        Ok(_) => "ok",
        Err(findings) => findings.iter().next().map_or("no-finding", |finding| finding.code),
    }
}

/// The tables, whose authority publishes lists.
static PUBLISHED: LazyLock<Tables> = LazyLock::new(|| {
    let loaded = Tables::load_awaiting(SAMPLE.folder.path(), date(2026, 3, 2));
    loaded.unwrap_or_else(|findings| panic!("{findings}")).tables
});

fn now() -> Timestamp {
    "2026-03-02T10:00:00Z".parse().unwrap()
}

/// A whole list, and a part that says of what.
pub(crate) fn revocation_lists() -> Vec<Vec<u8>> {
    let point = CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint {
            uris: vec!["http://crl.invalid/ca.crl".to_owned()],
        },
        scope: Some(CrlScope::UserCertsOnly),
    };
    let list = |issuing_distribution_point| {
        let revoked = |serial: u64| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 3, 1),
            next_update: date_time_ymd(2026, 3, 8),
            crl_number: SerialNumber::from(7_u64),
            issuing_distribution_point,
            revoked_certs: vec![revoked(1), revoked(u64::MAX)],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&SAMPLE.issuer).unwrap()
    };
    let part = list(Some(point));
    vec![list(None).der().to_vec(), part.pem().unwrap().into_bytes()]
}

/// Takes a list or refuses it by name; what was taken is there.
pub(crate) fn revocation_list(octets: &[u8]) -> &'static str {
    let issuer = PUBLISHED.list_sources()[0].issuer;
    match PUBLISHED.take_list(&issuer, octets, now()) {
        Ok(state) => {
            assert_eq!(PUBLISHED.list_state(&issuer), Some(state));
            "ok"
        }
        Err(error) => error.code(),
    }
}
