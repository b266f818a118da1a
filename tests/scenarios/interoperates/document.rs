//! The document that goes both ways, who signs it and who may read it, and what is done to its text.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use bytes::Bytes;
use harness::peers::Verb;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use viereck_envelope::{
    Content, Draft, File, MessageType, Pins, ReaderKeys, Role, Signer, VerifiedEnvelope, new_ml_kem_key, open, seal,
    verify,
};
use viereck_routing::{
    BehoerdeId, CaseId, Certificate, Digest, EncryptionKey, Environment, GatewayId, MessageId, MlKemKey,
};

const READER: &str = "wgb:010540880000";

/// The kind of both key pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    EcP256,
    Rsa3072,
    Rsa4096,
    /// EC, and ML-KEM-768 beside it for the reader: profile 2.
    Hybrid,
}

impl Kind {
    pub(super) const ALL: &[Kind] = &[Kind::EcP256, Kind::Rsa3072, Kind::Rsa4096, Kind::Hybrid];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::EcP256 => "EC P-256",
            Kind::Rsa3072 => "RSA 3072",
            Kind::Rsa4096 => "RSA 4096",
            Kind::Hybrid => "profile 2",
        }
    }

    pub(super) fn open(self) -> Verb {
        match self {
            Kind::EcP256 | Kind::Rsa3072 | Kind::Rsa4096 => Verb::Open,
            Kind::Hybrid => Verb::OpenHybrid,
        }
    }

    pub(super) fn seal(self) -> Verb {
        match self {
            Kind::EcP256 | Kind::Rsa3072 | Kind::Rsa4096 => Verb::Seal,
            Kind::Hybrid => Verb::SealHybrid,
        }
    }

    fn generate(self) -> anyhow::Result<KeyPair> {
        Ok(match self {
            Kind::EcP256 | Kind::Hybrid => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            Kind::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072)?,
            Kind::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096)?,
        })
    }
}

/// A fresh key with the certificate of its public half, also in files for the peers.
pub(super) struct Identity {
    pub(super) key_file: PathBuf,
    pub(super) certificate_file: PathBuf,
    key: String,
    certificate: Certificate,
    ml_kem: Option<MlKem>,
}

/// An ML-KEM key beside an EC one.
struct MlKem {
    public: MlKemKey,
    private: String,
    public_file: PathBuf,
    private_file: PathBuf,
}

impl Identity {
    fn fresh(kind: Kind, folder: &Path, name: &str) -> anyhow::Result<Identity> {
        let pair = kind.generate()?;
        let pem = CertificateParams::new(Vec::new())?.self_signed(&pair)?.pem();
        let file = |what: &str, text: &str| -> anyhow::Result<PathBuf> {
            let path = folder.join(format!("{name}.{what}pem"));
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let ml_kem = if kind == Kind::Hybrid {
            let (public, private) = new_ml_kem_key()?;
            Some(MlKem {
                public_file: file("ml-kem.", &public.to_pem())?,
                private_file: file("ml-kem.key.", &private)?,
                private: private.to_string(),
                public,
            })
        } else {
            None
        };
        Ok(Identity {
            key_file: file("key.", &pair.serialize_pem())?,
            certificate_file: file("", &pem)?,
            key: pair.serialize_pem(),
            certificate: Certificate::from_pem(&pem)?,
            ml_kem,
        })
    }

    fn encryption_key(&self) -> anyhow::Result<EncryptionKey> {
        let certificate = self.certificate.clone();
        Ok(match &self.ml_kem {
            None => EncryptionKey::classical(certificate),
            Some(ml_kem) => EncryptionKey::hybrid(certificate, ml_kem.public.clone())?,
        })
    }

    /// What a peer needs to open `file`.
    pub(super) fn opening<'a>(&'a self, file: &'a Path) -> Vec<&'a Path> {
        let private = self.ml_kem.as_ref().map(|ml_kem| ml_kem.private_file.as_path());
        let always = [file, &self.certificate_file, &self.key_file];
        always.into_iter().chain(private).collect()
    }

    /// What a peer needs to seal `payload` with the header of `file`.
    pub(super) fn sealing<'a>(&'a self, file: &'a Path, payload: &'a Path) -> Vec<&'a Path> {
        let public = self.ml_kem.as_ref().map(|ml_kem| ml_kem.public_file.as_path());
        let always = [file, &self.certificate_file, payload];
        always.into_iter().chain(public).collect()
    }
}

/// One envelope, who signed it and who may read it.
pub(super) struct World {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) files: Vec<Bytes>,
    pub(super) signer: Identity,
    pub(super) reader: Identity,
    now: Timestamp,
    folder: tempfile::TempDir,
}

impl Pins for World {
    fn signing_certificate(&self, _custodian: &GatewayId, sha256: &Digest, _at: Timestamp) -> Option<&Certificate> {
        (self.signer.certificate.sha256() == *sha256).then_some(&self.signer.certificate)
    }

    fn is_revoked(&self, _: &Certificate, _: Timestamp) -> bool {
        false
    }
}

impl World {
    pub(super) fn new(kind: Kind, now: Timestamp) -> anyhow::Result<World> {
        let folder = tempfile::tempdir()?;
        let signer = Identity::fresh(kind, folder.path(), "signer")?;
        let reader = Identity::fresh(kind, folder.path(), "reader")?;
        let files = vec![
            Bytes::from_static("<antrag>Jördis Beispiel</antrag>".as_bytes()),
            (0..10_003_u32).map(|n| (n.wrapping_mul(n) / 7) as u8).collect(),
        ];
        let key = Signer::new(signer.certificate.clone(), &signer.key)?;
        let sealed = seal(draft(&files, now)?, &reader.encryption_key()?, &key, now)?;
        Ok(World {
            kind,
            text: String::from_utf8(sealed.bytes().to_vec())?,
            files,
            signer,
            reader,
            now,
            folder,
        })
    }

    pub(super) fn file(&self, name: &str, octets: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, octets)?;
        Ok(path)
    }

    pub(super) fn verify(&self, text: &str) -> anyhow::Result<VerifiedEnvelope> {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        Ok(verify(octets, self, Environment::Test, self.now)?)
    }

    /// Verifies and opens: the files.
    pub(super) fn open(&self, text: &str) -> anyhow::Result<Vec<Bytes>> {
        let mut keys = ReaderKeys::new();
        let (reader, certificate): (BehoerdeId, _) = (READER.parse()?, &self.reader.certificate);
        keys.add(reader.clone(), certificate.clone(), &self.reader.key)?;
        if let Some(ml_kem) = &self.reader.ml_kem {
            keys.add_ml_kem(&reader, &certificate.sha256(), ml_kem.public.clone(), &ml_kem.private)?;
        }
        let opened = open(&self.verify(text)?, &keys)?;
        Ok(opened.content().files.iter().map(|file| file.octets.clone()).collect())
    }

    /// The document with the second character behind the first `marker` changed; it stays well-formed.
    pub(super) fn changed_behind(&self, marker: &str) -> anyhow::Result<String> {
        let at = self.text.find(marker).with_context(|| format!("no {marker}"))? + marker.len() + 1;
        let old = self.text.as_bytes().get(at).context("the document ends too early")?;
        ensure!(
            old.is_ascii_alphanumeric() || b"+/".contains(old),
            "no letter behind {marker}"
        );
        let new = if *old == b'1' { "2" } else { "1" };
        Ok([&self.text[..at], new, &self.text[at + 1..]].concat())
    }
}

fn draft(files: &[Bytes], now: Timestamp) -> anyhow::Result<Draft> {
    let files = [Role::Payload, Role::Attachment].into_iter().zip(files);
    let files = files.map(|(role, octets)| File {
        role,
        name: "scan.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        octets: octets.clone(),
    });
    Ok(Draft {
        environment: Environment::Test,
        message_id: MessageId::random(),
        replaces: None,
        kind: viereck_routing::Kind::Application,
        filed_at: now,
        obsolete_after: now + SignedDuration::from_hours(24 * 14),
        gateway: "gw-sh-1".parse()?,
        author: "wgp:010000000000".parse()?,
        reader: READER.parse()?,
        service: "99107023037000".parse()?,
        region: Some("01054".parse()?),
        message_type: MessageType {
            name: "antrag & <mehr>".to_owned(),
            schema: "urn:viereck:example:wohngeld:1".to_owned(),
        },
        process_ref: CaseId::random(),
        in_reply_to: None,
        routing_table: None,
        content: Content {
            files: files.collect(),
            ..Content::default()
        },
    })
}

/// Where the three digests of SignedInfo and the signature value stand.
fn places(text: &str) -> anyhow::Result<Vec<std::ops::Range<usize>>> {
    let mut from = text.find("<ds:SignedInfo").context("no SignedInfo")?;
    let mut places = Vec::new();
    for tag in [["<ds:DigestValue>"; 3].as_slice(), &["<ds:SignatureValue>"]].concat() {
        let start = from + text[from..].find(tag).with_context(|| format!("no {tag}"))? + tag.len();
        from = start + text[start..].find('<').context("no end")?;
        places.push(start..from);
    }
    Ok(places)
}

/// The document with digests and a signature value that are those of nothing.
pub(super) fn unsigned(text: &str) -> anyhow::Result<String> {
    let places = places(text)?.into_iter();
    let nothing: Vec<String> = places.map(|place| "A".repeat(place.len())).collect();
    with_signature(text, nothing.iter().map(String::as_str))
}

/// The document with these digests and this signature value.
pub(super) fn with_signature<'a>(text: &str, values: impl Iterator<Item = &'a str>) -> anyhow::Result<String> {
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    let (places, values) = (places(text)?, values.collect::<Vec<_>>());
    ensure!(places.len() == values.len(), "{} values", values.len());
    for (place, value) in places.into_iter().zip(values) {
        out.push_str(&text[copied..place.start]);
        out.push_str(value);
        copied = place.end;
    }
    out.push_str(&text[copied..]);
    Ok(out)
}
