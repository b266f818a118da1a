//! Who takes part: a sender gateway, a reader, another participant, and somebody whom nobody knows; and the one genuine
//! envelope from which every attack is made.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PSS_SHA256, RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
};
use aws_lc_rs::{hmac, rand};
use base64_simd::STANDARD;
use bytes::Bytes;
use harness::custodians::Custodians;
use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd};
use viereck_custody::authorise;
use viereck_envelope::{
    Content, Draft, File, KeepKey, MessageType, OpenError, Pins, ReaderKeys, Refused, Role, SealedEnvelope, Signer,
    new_ml_kem_key, open, seal_keeping, verify, verify_batch,
};
use viereck_routing::{
    BehoerdeId, CaseId, Certificate, Digest, EncryptionKey, Environment, GatewayId, Kind as MessageKind, MessageId,
    MlKemKey,
};

use crate::case::Refusal;
use crate::craft;

/// The gateway that seals.
pub(crate) const SENDER: &str = "gw-sh-1";
/// Another gateway of the network.
pub(crate) const OTHER: &str = "gw-nw-1";
/// The reader's gateway.
pub(crate) const RECEIVER: &str = "gw-sh-2";
pub(crate) const AUTHOR: &str = "wgp:010000000000";
pub(crate) const READER: &str = "wgb:010540880000";
/// An authority for which the other gateway speaks.
pub(crate) const OTHER_AUTHOR: &str = "wgb:051110000000";
/// Another authority at the reader's gateway.
pub(crate) const OTHER_READER: &str = "wgb:010510440000";

/// The kinds of the keys with which everybody signs and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ECDSA and ECDH-ES on P-256.
    P256,
    /// RSA of 3072 bits: PSS with SHA-256, and OAEP.
    Rsa3072,
    /// RSA of 4096 bits: PSS with SHA-512, and OAEP.
    Rsa4096,
    /// ECDSA on P-256; ECDH-ES on P-256 and ML-KEM-768 together: profile 2.
    Hybrid,
}

impl Kind {
    pub(crate) const ALL: &[Kind] = &[Kind::P256, Kind::Rsa3072, Kind::Rsa4096, Kind::Hybrid];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::P256 => "P-256",
            Kind::Rsa3072 => "RSA-3072",
            Kind::Rsa4096 => "RSA-4096",
            Kind::Hybrid => "hybrid",
        }
    }

    /// A kind whose algorithms are others.
    fn another(self) -> Kind {
        match self {
            Kind::P256 | Kind::Hybrid => Kind::Rsa3072,
            Kind::Rsa3072 | Kind::Rsa4096 => Kind::P256,
        }
    }

    fn key(self) -> KeyPair {
        let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
        let key = match self {
            Kind::P256 | Kind::Hybrid => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Kind::Rsa3072 => rsa(RsaKeySize::_3072),
            Kind::Rsa4096 => rsa(RsaKeySize::_4096),
        };
        key.unwrap()
    }
}

/// A key with its certificate.
pub(crate) struct Identity {
    pub(crate) kind: Kind,
    pub(crate) certificate: Certificate,
    pub(crate) certificate_pem: String,
    key: KeyPair,
    /// Beside the key, for hybrid encryption: the public half and the private one in PEM.
    ml_kem: Option<(MlKemKey, String)>,
}

impl Identity {
    /// Valid through the years 2025 and 2026.
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        Self::valid(kind, kind.key(), name, (2025, 2027))
    }

    fn valid(kind: Kind, key: KeyPair, name: &str, (from, until): (i32, i32)) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate_pem = params.self_signed(&key).unwrap().pem();
        Self {
            kind,
            certificate: Certificate::from_pem(&certificate_pem).unwrap(),
            certificate_pem,
            key,
            ml_kem: (kind == Kind::Hybrid).then(|| {
                let (public, private) = new_ml_kem_key().unwrap();
                (public, private.to_string())
            }),
        }
    }

    /// What is sealed for this identity.
    pub(crate) fn encryption_key(&self) -> EncryptionKey {
        match &self.ml_kem {
            None => EncryptionKey::classical(self.certificate.clone()),
            Some((public, _)) => EncryptionKey::hybrid(self.certificate.clone(), public.clone()).unwrap(),
        }
    }

    /// The octets of the public ML-KEM key.
    pub(crate) fn ml_kem(&self) -> &[u8] {
        self.ml_kem.as_ref().unwrap().0.octets()
    }

    /// Adds its private keys to those of `reader`.
    fn give_to(&self, reader: &str, keys: &mut ReaderKeys) {
        let reader: BehoerdeId = reader.parse().unwrap();
        let pem = self.key.serialize_pem();
        keys.add(reader.clone(), self.certificate.clone(), &pem).unwrap();
        if let Some((public, private)) = &self.ml_kem {
            let certificate = self.certificate.sha256();
            keys.add_ml_kem(&reader, &certificate, public.clone(), private).unwrap();
        }
    }

    /// The same key with a certificate of other years.
    fn in_years(&self, name: &str, years: (i32, i32)) -> Self {
        let key = KeyPair::from_pem(&self.key.serialize_pem()).unwrap();
        Self::valid(self.kind, key, name, years)
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::new(self.certificate.clone(), &self.key.serialize_pem()).unwrap()
    }

    /// How a document names the algorithm with which this key signs; said here a second time, so that the crate is not
    /// judged by itself.
    pub(crate) fn method(&self) -> &'static str {
        match self.kind {
            Kind::P256 | Kind::Hybrid => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Kind::Rsa3072 => "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
            Kind::Rsa4096 => "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
        }
    }

    /// The signature over `octets` in the form of XML Signature.
    pub(crate) fn sign(&self, octets: &[u8]) -> Vec<u8> {
        match self.kind {
            Kind::P256 | Kind::Hybrid => {
                let key =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key.serialize_der()).unwrap();
                key.sign(&SystemRandom::new(), octets).unwrap().as_ref().to_vec()
            }
            Kind::Rsa3072 => self.sign_by(&RSA_PSS_SHA256, octets),
            Kind::Rsa4096 => self.sign_by(&RSA_PSS_SHA512, octets),
        }
    }

    /// An RSA signature by any encoding.
    pub(crate) fn sign_by(&self, encoding: &'static RsaSignatureEncoding, octets: &[u8]) -> Vec<u8> {
        let key = RsaKeyPair::from_pkcs8(&self.key.serialize_der()).unwrap();
        let mut value = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), octets, &mut value).unwrap();
        value
    }

    /// The public key as it stands in a certificate (SubjectPublicKeyInfo, DER).
    pub(crate) fn public_key_info(&self) -> Vec<u8> {
        use rcgen::PublicKeyData;
        self.key.subject_public_key_info()
    }
}

/// A directory of signing certificates.
#[derive(Default)]
pub(crate) struct Directory(BTreeMap<(GatewayId, Digest), Certificate>);

impl Directory {
    fn pin(&mut self, custodian: &str, identity: &Identity) {
        let key = (custodian.parse().unwrap(), identity.certificate.sha256());
        self.0.insert(key, identity.certificate.clone());
    }
}

impl Pins for Directory {
    fn signing_certificate(&self, custodian: &GatewayId, sha256: &Digest, _at: Timestamp) -> Option<&Certificate> {
        self.0.get(&(custodian.clone(), *sha256))
    }

    fn is_revoked(&self, _: &Certificate, _: Timestamp) -> bool {
        false
    }
}

/// Everybody, with keys of one kind.
pub(crate) struct Scene {
    pub(crate) kind: Kind,
    /// Pinned for [`SENDER`].
    pub(crate) sender: Identity,
    /// Pinned for [`OTHER`].
    pub(crate) other: Identity,
    /// Pinned for [`SENDER`], and expired.
    pub(crate) expired: Identity,
    /// Pinned for [`SENDER`], of another kind.
    pub(crate) other_kind: Identity,
    /// Known to nobody, with the same subject as the sender's.
    pub(crate) stranger: Identity,
    pub(crate) reader: Identity,
    /// The same reader's, of another kind.
    pub(crate) reader_of_other_kind: Identity,
    /// Of another authority, at the same gateway.
    pub(crate) other_reader: Identity,
    pub(crate) pins: Directory,
    keys: ReaderKeys,
    network: Custodians,
}

impl Scene {
    pub(crate) fn new(kind: Kind) -> Self {
        let identity = |name| Identity::new(kind, name);
        let (sender, other, stranger) = (identity(SENDER), identity(OTHER), identity(SENDER));
        let expired = sender.in_years(SENDER, (2023, 2025));
        let other_kind = Identity::new(kind.another(), SENDER);
        let reader_of_other_kind = Identity::new(kind.another(), "reader");
        let (reader, other_reader) = (identity("reader"), identity("other reader"));
        let mut pins = Directory::default();
        pins.pin(SENDER, &sender);
        pins.pin(SENDER, &expired);
        pins.pin(SENDER, &other_kind);
        pins.pin(OTHER, &other);
        let mut keys = ReaderKeys::new();
        for (id, identity) in [
            (READER, &reader),
            (READER, &reader_of_other_kind),
            (OTHER_READER, &other_reader),
        ] {
            identity.give_to(id, &mut keys);
        }
        Self {
            kind,
            sender,
            other,
            expired,
            other_kind,
            stranger,
            reader,
            reader_of_other_kind,
            other_reader,
            pins,
            keys,
            network: Custodians::prepare(),
        }
    }

    /// Judges a document as the reader's gateway does: verified, opened, authorised. `None` is what an attacker wants.
    pub(crate) fn judge(&self, bytes: Bytes) -> Option<Refusal> {
        let verified = match verify(bytes, &self.pins, Environment::Test, now()) {
            Ok(verified) => verified,
            Err(refused) => return Some(refused.into()),
        };
        // authorised first, as in custody: what may not travel is never opened
        let me: GatewayId = RECEIVER.parse().unwrap();
        if let Err(reason) = authorise::at_reader(verified.header(), &me, &self.network.tables) {
            return Some(reason.into());
        }
        open(&verified, &self.keys).err().map(Refusal::from)
    }

    /// Judges a document as whoever takes receipts does.
    pub(crate) fn judge_batch(&self, bytes: Bytes) -> Option<Refusal> {
        let judged = verify_batch(bytes, &self.pins, Environment::Test, now());
        judged.err().map(Refusal::from)
    }

    /// The digest by which a verified document is known.
    pub(crate) fn digest(&self, bytes: Bytes) -> Result<Digest, Refused> {
        verify(bytes, &self.pins, Environment::Test, now()).map(|verified| verified.digest())
    }

    /// Whether the content of a document opens.
    pub(crate) fn opens(&self, bytes: Bytes) -> Result<(), OpenError> {
        let verified = verify(bytes, &self.pins, Environment::Test, now()).unwrap();
        open(&verified, &self.keys).map(drop)
    }

    /// Seals for a reader, and keeps the content key, as a sender gateway does.
    fn seal(&self, draft: Draft, reader: &Identity, sender: &Identity) -> (SealedEnvelope, [u8; 32]) {
        let keep = KeepKey::derived_from(&[9; 32]);
        let (sealed, kept) = seal_keeping(draft, &reader.encryption_key(), &sender.signer(), &keep, now()).unwrap();
        let content_key = craft::recall(&sealed, kept.octets(), &[9; 32]);
        (sealed, content_key)
    }

    /// The genuine envelope.
    pub(crate) fn genuine(&self) -> Genuine<'_> {
        self.sealed(|_| ())
    }

    /// Another genuine one, with a change.
    pub(crate) fn sealed(&self, change: impl FnOnce(&mut Draft)) -> Genuine<'_> {
        let mut draft = draft();
        change(&mut draft);
        let (reader, sender) = match (draft.reader.as_str(), draft.gateway.as_str()) {
            (OTHER_READER, _) => (&self.other_reader, &self.sender),
            (_, OTHER) => (&self.reader, &self.other),
            _ => (&self.reader, &self.sender),
        };
        let (sealed, content_key) = self.seal(draft, reader, sender);
        Genuine {
            scene: self,
            text: String::from_utf8(sealed.bytes().to_vec()).unwrap(),
            content_key: ContentKey(content_key),
        }
    }

    /// The tools make good documents of good ones, or all that follows would prove nothing.
    pub(crate) fn assert_genuine_passes(&self) {
        let genuine = self.genuine();
        let judge = |text: String| self.judge(Bytes::from(text));
        assert_eq!(judge(genuine.text.clone()), None, "the genuine envelope");
        assert_eq!(judge(craft::sign(&genuine.text, &self.sender)), None, "signed again");
        let manifest = genuine.manifest();
        assert_eq!(
            judge(genuine.with_manifest(&manifest)),
            None,
            "encrypted and signed again"
        );
    }
}

/// One genuine envelope, and what its sender knows.
pub(crate) struct Genuine<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) text: String,
    pub(crate) content_key: ContentKey,
}

impl Genuine<'_> {
    /// Signed again by its sender, with all digests as they have to be.
    pub(crate) fn signed(&self, text: &str) -> String {
        craft::sign(text, &self.scene.sender)
    }

    /// With one change, signed again by its sender.
    pub(crate) fn resigned(&self, from: &str, to: &str) -> String {
        self.signed(&craft::change(&self.text, from, to))
    }

    /// The decrypted manifest.
    pub(crate) fn manifest(&self) -> String {
        let value = craft::cipher_values(&self.text)[1];
        String::from_utf8(self.content_key.decrypt(&STANDARD.decode_to_vec(value).unwrap())).unwrap()
    }

    /// With another manifest in place of its own, to which the header commits, signed again by its sender.
    pub(crate) fn with_manifest(&self, manifest: &str) -> String {
        self.with_manifest_octets(manifest.as_bytes())
    }

    pub(crate) fn with_manifest_octets(&self, manifest: &[u8]) -> String {
        let encrypted = STANDARD.encode_to_string(self.content_key.encrypt(manifest));
        let text = craft::change(&self.text, craft::cipher_values(&self.text)[1], &encrypted);
        let commitment = craft::content(&text, "Commitment").to_owned();
        self.signed(&craft::change(&text, &commitment, &Digest::of(manifest).to_base64()))
    }

    /// With other octets in place of file `number` (from 0), signed again by its sender.
    pub(crate) fn with_file(&self, number: usize, octets: &[u8]) -> String {
        let encrypted = STANDARD.encode_to_string(self.content_key.encrypt(octets));
        self.resigned(craft::cipher_values(&self.text)[2 + number], &encrypted)
    }
}

/// A content key, as the sender has it.
pub(crate) struct ContentKey(pub(crate) [u8; 32]);

impl ContentKey {
    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).unwrap())
    }

    /// Nonce, ciphertext and tag.
    pub(crate) fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).unwrap();
        let mut sealed = plain.to_vec();
        let key = self.cipher();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .unwrap();
        [nonce.as_slice(), &sealed].concat()
    }

    pub(crate) fn decrypt(&self, sealed: &[u8]) -> Vec<u8> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().unwrap();
        let mut octets = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.cipher()
            .open_in_place(nonce, Aad::empty(), &mut octets)
            .unwrap()
            .to_vec()
    }
}

/// HMAC-SHA-256, with whatever octets as its key.
pub(crate) fn hmac_sha256(key: &[u8], octets: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, octets).as_ref().to_vec()
}

/// When everything happens.
pub(crate) fn now() -> Timestamp {
    "2026-03-02T10:00:00.123Z".parse().unwrap()
}

fn draft() -> Draft {
    Draft {
        environment: Environment::Test,
        message_id: MessageId::random(),
        replaces: Some(MessageId::random()),
        kind: MessageKind::Application,
        filed_at: "2026-03-02T09:59:59.500Z".parse().unwrap(),
        obsolete_after: "2026-03-16T10:00:00.000Z".parse().unwrap(),
        gateway: SENDER.parse().unwrap(),
        author: AUTHOR.parse().unwrap(),
        reader: READER.parse().unwrap(),
        service: "99107023037000".parse().unwrap(),
        region: Some("01054".parse().unwrap()),
        message_type: MessageType {
            name: "Größe & Maß <1>".to_owned(),
            schema: "urn:example:wohngeld:1".to_owned(),
        },
        process_ref: CaseId::random(),
        in_reply_to: Some(MessageId::random()),
        routing_table: Some(Digest::of(b"release")),
        content: Content {
            client_reference: Some("A-17".to_owned()),
            applicant: Some(r#"{"kind":"person"}"#.to_owned()),
            consents: None,
            payment: None,
            reply_token: Some("abcdefgh".parse().unwrap()),
            files: vec![
                file(Role::Payload, "antrag.xml", b"<a>payload</a>".repeat(50)),
                file(Role::Attachment, "anlage.pdf", vec![7; 4097]),
                file(Role::Attachment, "leer", vec![]),
            ],
        },
    }
}

fn file(role: Role, name: &str, octets: Vec<u8>) -> File {
    File {
        role,
        name: name.to_owned(),
        media_type: "application/octet-stream".to_owned(),
        octets: Bytes::from(octets),
    }
}
