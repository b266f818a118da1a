//! A certification authority for tests, made anew each time: it certifies the keys of a table and revokes them.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SerialNumber,
};
use viereck_routing::Digest;

/// A root that issues to holders itself.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// How many days ago what it certifies began.
    pub(crate) days_before: i64,
}

/// An instant as certificates have it.
pub(crate) fn instant(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap()
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Pruefstelle");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self {
            pem,
            issuer,
            days_before: 1,
        }
    }

    /// Certifies a key until a year from now, beginning yesterday if nothing else was said.
    pub(crate) fn certify(
        &self,
        params: CertificateParams,
        key: &impl PublicKeyData,
        serial: u64,
    ) -> rcgen::Certificate {
        let mut params = params;
        let now = Timestamp::now();
        params.not_before = instant(now - SignedDuration::from_hours(24 * self.days_before));
        params.not_after = instant(now + SignedDuration::from_hours(24 * 365));
        params.serial_number = Some(SerialNumber::from(serial));
        params.signed_by(key, &self.issuer).unwrap()
    }

    /// A list of `this_update`, due again a week later.
    pub(crate) fn list(&self, this_update: Timestamp, revoked: &[u64]) -> Vec<u8> {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: instant(this_update),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: instant(this_update),
            next_update: instant(this_update + SignedDuration::from_hours(24 * 7)),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    /// Replaces every self-signed certificate of a table by one of this authority, for the same key, and names it as
    /// anchor. The serial of each, by holder and purpose.
    pub(crate) fn take_over(&self, table: &Path, keys: &Path, list: &str) -> Vec<(String, String, u64)> {
        let certificates = table.join("certificates");
        let index = certificates.join("certificates.toml");
        let text = fs::read_to_string(&index).unwrap();
        let mut parts = text.split("[[certificate]]");
        let head = parts.next().unwrap();
        let mut written = format!("{head}[trust]\nanchors = [\"anchors/root.pem\"]\n{list}\n");
        let keys: Vec<KeyPair> = files(keys)
            .iter()
            .filter_map(|file| KeyPair::from_pem(&fs::read_to_string(file).ok()?).ok())
            .collect();
        let mut serials = Vec::new();
        for (serial, entry) in (1_u64..).zip(parts) {
            let field = |name: &str| {
                let (_, rest) = entry.split_once(&format!("{name} = \"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            let (id, purpose, file) = (field("id"), field("purpose"), field("file"));
            let old = fs::read(certificates.join(&file)).unwrap();
            let (_, old) = x509_parser::pem::parse_x509_pem(&old).unwrap();
            let old = old.parse_x509().unwrap();
            let key = keys
                .iter()
                .find(|key| key.subject_public_key_info() == old.public_key().raw)
                .unwrap();
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, &id);
            params.key_usages = vec![match &*purpose {
                "signing" => KeyUsagePurpose::DigitalSignature,
                _ => KeyUsagePurpose::KeyAgreement,
            }];
            let certificate = self.certify(params, key, serial);
            fs::write(certificates.join(&file), certificate.pem()).unwrap();
            let sha256 = Digest::of(certificate.der()).to_string();
            written.push_str("[[certificate]]");
            written.push_str(&entry.replace(&field("sha256"), &sha256));
            serials.push((id, purpose, serial));
        }
        fs::create_dir_all(certificates.join("anchors")).unwrap();
        fs::write(certificates.join("anchors/root.pem"), &self.pem).unwrap();
        fs::write(&index, written).unwrap();
        serials
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}
