//! Who takes part in the tests: a gateway, a reader, the directory that pins them, and an application.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use viereck_envelope::{
    Content, Draft, File, MessageType, Pins, ReaderKeys, ReplyChannel, ReplyTokenKey, Role, SealedEnvelope, Signer,
    seal,
};
use viereck_routing::{Certificate, Digest, Environment, GatewayId, Kind, MessageId};

use crate::schema::assert_valid_envelope;

pub(crate) const READER: &str = "wgb:010540880000";

/// A key with its certificate.
pub(crate) struct Identity {
    pub(crate) certificate: Certificate,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Identity {
    /// Valid through the years 2025 and 2026.
    pub(crate) fn new(name: &str) -> Self {
        Self::valid(name, (2025, 2027))
    }

    pub(crate) fn valid(name: &str, (from, until): (i32, i32)) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate_pem = params.self_signed(&key).unwrap().pem();
        Self {
            certificate: Certificate::from_pem(&certificate_pem).unwrap(),
            certificate_pem,
            key_pem: key.serialize_pem(),
        }
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::new(self.certificate.clone(), &self.key_pem).unwrap()
    }
}

/// A directory of signing certificates.
#[derive(Default)]
pub(crate) struct Directory(BTreeMap<(GatewayId, Digest), Certificate>);

impl Directory {
    pub(crate) fn pin(&mut self, custodian: &str, identity: &Identity) {
        let key = (custodian.parse().unwrap(), identity.certificate.sha256());
        self.0.insert(key, identity.certificate.clone());
    }
}

impl Pins for Directory {
    fn signing_certificate(&self, custodian: &GatewayId, sha256: &Digest) -> Option<&Certificate> {
        self.0.get(&(custodian.clone(), *sha256))
    }
}

/// A gateway, a reader, and a directory that knows the gateway.
pub(crate) struct Scene {
    pub(crate) gateway: Identity,
    pub(crate) reader: Identity,
    pub(crate) pins: Directory,
    pub(crate) keys: ReaderKeys,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (gateway, reader) = (Identity::new("gw-sh-1"), Identity::new("Wohngeldstelle"));
        let mut pins = Directory::default();
        pins.pin("gw-sh-1", &gateway);
        let mut keys = ReaderKeys::new();
        keys.add(READER.parse().unwrap(), reader.certificate.clone(), &reader.key_pem)
            .unwrap();
        Self {
            gateway,
            reader,
            pins,
            keys,
        }
    }

    /// Seals for the reader; whatever a test seals has to be valid to the schema.
    pub(crate) fn seal(&self, draft: Draft) -> SealedEnvelope {
        let sealed = seal(draft, &self.reader.certificate, &self.gateway.signer(), now()).unwrap();
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
