//! Who takes part in the tests: a gateway, a reader, the directory that pins them, and an application.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd};
use viereck_envelope::{
    Content, Draft, File, MessageType, Pins, ReaderKeys, ReplyChannel, ReplyTokenKey, Role, SealedEnvelope, Signer,
    new_ml_kem_key, seal,
};
use viereck_routing::{
    BehoerdeId, Certificate, Digest, EncryptionKey, Environment, GatewayId, Kind, MessageId, MlKemKey, Profile,
};

use crate::schema::assert_valid_envelope;

pub(crate) const READER: &str = "wgb:010540880000";

/// The kinds of keys that an envelope is sealed with and for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kinds {
    /// ECDSA and ECDH-ES on P-256.
    Ec,
    /// RSA of 3072 bits, for both.
    Rsa3072,
    /// RSA of 4096 bits, for both.
    Rsa4096,
    /// ECDSA on P-256; ECDH-ES on P-256 and ML-KEM-768 together.
    Hybrid,
}

impl Kinds {
    pub(crate) const ALL: [Kinds; 4] = [Kinds::Ec, Kinds::Rsa3072, Kinds::Rsa4096, Kinds::Hybrid];

    /// The profile in which is sealed for such keys.
    pub(crate) fn profile(self) -> Profile {
        match self {
            Kinds::Ec | Kinds::Rsa3072 | Kinds::Rsa4096 => Profile::P1,
            Kinds::Hybrid => Profile::P2,
        }
    }

    /// A key of this kind. EC keys are new each time; RSA keys take long to make, so each `name` has one in a process.
    fn key(self, name: &str) -> KeyPair {
        static RSA: LazyLock<Mutex<BTreeMap<(Kinds, String), String>>> = LazyLock::new(Mutex::default);
        let size = match self {
            Kinds::Ec | Kinds::Hybrid => return KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            Kinds::Rsa3072 => RsaKeySize::_3072,
            Kinds::Rsa4096 => RsaKeySize::_4096,
        };
        let mut keys = RSA.lock().unwrap();
        let pem = keys.entry((self, name.to_owned())).or_insert_with(|| {
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)
                .unwrap()
                .serialize_pem()
        });
        KeyPair::from_pem(pem).unwrap()
    }
}

/// A key with its certificate.
pub(crate) struct Identity {
    pub(crate) certificate: Certificate,
    pub(crate) key_pem: String,
    /// Beside the key, for hybrid encryption: both halves.
    pub(crate) ml_kem: Option<(MlKemKey, String)>,
}

impl Identity {
    /// Valid through the years 2025 and 2026, with an EC key of its own.
    pub(crate) fn new(name: &str) -> Self {
        Self::of(Kinds::Ec, name)
    }

    /// The same with a key of this kind.
    pub(crate) fn of(kinds: Kinds, name: &str) -> Self {
        Self::valid(kinds, name, (2025, 2027))
    }

    /// The same, valid from the beginning of one year to that of another.
    pub(crate) fn valid(kinds: Kinds, name: &str, (from, until): (i32, i32)) -> Self {
        let key = kinds.key(name);
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate_pem = params.self_signed(&key).unwrap().pem();
        Self {
            certificate: Certificate::from_pem(&certificate_pem).unwrap(),
            key_pem: key.serialize_pem(),
            ml_kem: match kinds {
                Kinds::Ec | Kinds::Rsa3072 | Kinds::Rsa4096 => None,
                Kinds::Hybrid => {
                    let (public, private) = new_ml_kem_key().unwrap();
                    Some((public, private.to_string()))
                }
            },
        }
    }

    /// What is sealed for this identity.
    pub(crate) fn encryption_key(&self) -> EncryptionKey {
        match &self.ml_kem {
            None => EncryptionKey::classical(self.certificate.clone()),
            Some((public, _)) => EncryptionKey::hybrid(self.certificate.clone(), public.clone()).unwrap(),
        }
    }

    /// Adds its private keys to those of `reader`.
    pub(crate) fn give_to(&self, reader: &str, keys: &mut ReaderKeys) {
        let reader: BehoerdeId = reader.parse().unwrap();
        keys.add(reader.clone(), self.certificate.clone(), &self.key_pem)
            .unwrap();
        if let Some((public, private)) = &self.ml_kem {
            keys.add_ml_kem(&reader, &self.certificate.sha256(), public.clone(), private)
                .unwrap();
        }
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::new(self.certificate.clone(), &self.key_pem).unwrap()
    }
}

/// A directory of signing certificates.
#[derive(Default)]
pub(crate) struct Directory(BTreeMap<(GatewayId, Digest), Certificate>, Option<Timestamp>);

impl Directory {
    pub(crate) fn pin(&mut self, custodian: &str, identity: &Identity) {
        let key = (custodian.parse().unwrap(), identity.certificate.sha256());
        self.0.insert(key, identity.certificate.clone());
    }
}

impl Directory {
    /// Nothing that was signed after `until` counts any more.
    pub(crate) fn end(&mut self, until: Timestamp) {
        self.1 = Some(until);
    }
}

impl Pins for Directory {
    fn signing_certificate(&self, custodian: &GatewayId, sha256: &Digest, at: Timestamp) -> Option<&Certificate> {
        let counts = self.1.is_none_or(|until| at <= until);
        self.0.get(&(custodian.clone(), *sha256)).filter(|_| counts)
    }

    fn is_revoked(&self, _: &Certificate, _: Timestamp) -> bool {
        false
    }
}

/// A gateway, a reader, and a directory that knows the gateway.
pub(crate) struct Scene {
    pub(crate) kinds: Kinds,
    pub(crate) gateway: Identity,
    pub(crate) reader: Identity,
    pub(crate) pins: Directory,
    pub(crate) keys: ReaderKeys,
}

impl Scene {
    /// With EC keys.
    pub(crate) fn new() -> Self {
        Self::of(Kinds::Ec)
    }

    /// One for each kind of keys.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Kinds::ALL.into_iter().map(Self::of)
    }

    pub(crate) fn of(kinds: Kinds) -> Self {
        let (gateway, reader) = (Identity::of(kinds, "gw-sh-1"), Identity::of(kinds, "Wohngeldstelle"));
        let mut pins = Directory::default();
        pins.pin("gw-sh-1", &gateway);
        let mut keys = ReaderKeys::new();
        reader.give_to(READER, &mut keys);
        Self {
            kinds,
            gateway,
            reader,
            pins,
            keys,
        }
    }

    /// Seals for the reader; whatever a test seals has to be valid to the schema.
    pub(crate) fn seal(&self, draft: Draft) -> SealedEnvelope {
        let sealed = seal(draft, &self.reader.encryption_key(), &self.gateway.signer(), now()).unwrap();
        assert_valid_envelope(sealed.bytes());
        sealed
    }
}

pub(crate) fn now() -> Timestamp {
    "2026-03-02T10:00:00.123Z".parse().unwrap()
}

/// An application with everything that an application can have.
pub(crate) fn draft() -> Draft {
    Draft {
        environment: Environment::Test,
        message_id: MessageId::random(),
        replaces: Some(MessageId::random()),
        kind: Kind::Application,
        filed_at: "2026-03-02T09:59:59.5Z".parse().unwrap(),
        obsolete_after: "2026-03-16T10:00:00Z".parse().unwrap(),
        gateway: "gw-sh-1".parse().unwrap(),
        author: "wgp:010000000000".parse().unwrap(),
        reader: READER.parse().unwrap(),
        service: "99107023037000".parse().unwrap(),
        region: Some("01054".parse().unwrap()),
        message_type: MessageType {
            name: "wohngeld & \"more\" <1>".to_owned(),
            schema: "urn:example:wohngeld:1".to_owned(),
        },
        process_ref: viereck_routing::CaseId::random(),
        in_reply_to: Some(MessageId::random()),
        routing_table: Some(Digest::of(b"release")),
        content: content(),
    }
}

pub(crate) fn content() -> Content {
    let channel = ReplyChannel {
        mailbox: "mailbox-handle".to_owned(),
        level: 3,
        message_id: MessageId::random(),
        reader: READER.parse().unwrap(),
        expires: "2026-12-31T00:00:00Z".parse().unwrap(),
    };
    Content {
        client_reference: Some("A-17 <Ümlaut> & Co.\r\n\t".to_owned()),
        applicant: Some(r#"{"name":"Ada \"Lovelace\""}"#.to_owned()),
        consents: Some("[]".to_owned()),
        payment: None,
        reply_token: Some(ReplyTokenKey::from_octets([7; 32]).seal(&channel).unwrap()),
        files: vec![
            file(
                Role::Payload,
                "antrag.xml",
                "application/xml",
                b"<a>payload</a>".repeat(50),
            ),
            file(Role::Attachment, "../\"böse\"\n&.pdf", "application/pdf", vec![0; 4096]),
            file(Role::Attachment, "", "", Vec::new()),
        ],
    }
}

pub(crate) fn file(role: Role, name: &str, media_type: &str, octets: Vec<u8>) -> File {
    File {
        role,
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        octets: Bytes::from(octets),
    }
}
