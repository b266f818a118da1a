//! What we seal, a verifier that is not ours accepts and opens with nothing but the standards; what was changed on the
//! way, both refuse.
//!
//! The outside verifier is libxmlsec1. It knows neither our code nor our schemas, so its agreement shows that an
//! envelope is what it claims to be: XML Signature and XML Encryption.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use bytes::Bytes;
use harness::python::{Python, Verdict};
use harness::schema::Schema;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use viereck_envelope::{
    Content, Draft, File, MessageType, Pins, ReaderKeys, Role, SealedEnvelope, Signer, open, seal, verify,
};
use viereck_routing::{BehoerdeId, CaseId, Certificate, Digest, EncryptionKey, Environment, GatewayId, MessageId};

/// The kind of a key: with each an envelope has another form.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Ec,
    Rsa(RsaKeySize),
}

const KINDS: [Kind; 3] = [Kind::Ec, Kind::Rsa(RsaKeySize::_3072), Kind::Rsa(RsaKeySize::_4096)];

/// A fresh key with the certificate of its public half, in PEM.
struct Identity {
    key: String,
    certificate: String,
}

impl Identity {
    fn fresh(kind: Kind) -> anyhow::Result<Identity> {
        let key = match kind {
            Kind::Ec => KeyPair::generate()?,
            Kind::Rsa(size) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)?,
        };
        let certificate = CertificateParams::new(Vec::new())?.self_signed(&key)?;
        Ok(Identity {
            key: key.serialize_pem(),
            certificate: certificate.pem(),
        })
    }

    fn pinned(&self) -> anyhow::Result<Certificate> {
        Ok(Certificate::from_pem(&self.certificate)?)
    }
}

/// A directory that knows one gateway with one certificate.
struct OnePin(GatewayId, Certificate);

impl Pins for OnePin {
    fn signing_certificate(&self, custodian: &GatewayId, sha256: &Digest) -> Option<&Certificate> {
        (*custodian == self.0 && *sha256 == self.1.sha256()).then_some(&self.1)
    }

    fn is_revoked(&self, _: &Certificate, _: Timestamp) -> bool {
        false
    }
}

/// One envelope, who signed it and who may read it, in files for the outside verifier.
struct Sealed {
    envelope: SealedEnvelope,
    signer: Identity,
    reader: Identity,
    reader_id: BehoerdeId,
    files: Vec<Bytes>,
    folder: tempfile::TempDir,
}

impl Sealed {
    /// Seals two files: one that is shorter than any padding step and one of several cipher blocks.
    fn make(now: Timestamp, kind: Kind) -> anyhow::Result<Sealed> {
        let (signer, reader) = (Identity::fresh(kind)?, Identity::fresh(kind)?);
        let reader_id: BehoerdeId = "wgb:010540880000".parse()?;
        let files = vec![
            Bytes::from_static("<antrag>Jördis Beispiel</antrag>".as_bytes()),
            (0..100_003_u32).map(|n| (n * n / 7) as u8).collect(),
        ];
        let roles = [
            (Role::Payload, "antrag.xml", "application/xml"),
            (Role::Attachment, "scan.pdf", "application/pdf"),
        ];
        let draft = Draft {
            environment: Environment::Test,
            message_id: MessageId::random(),
            replaces: None,
            kind: viereck_routing::Kind::Application,
            filed_at: now,
            obsolete_after: now + SignedDuration::from_hours(24 * 14),
            gateway: "gw-sh-1".parse()?,
            author: "wgp:010000000000".parse()?,
            reader: reader_id.clone(),
            service: "99107023037000".parse()?,
            region: Some("01054".parse()?),
            message_type: MessageType {
                name: "antrag.wohngeld.0101".to_owned(),
                schema: "urn:viereck:example:wohngeld:1".to_owned(),
            },
            process_ref: CaseId::random(),
            in_reply_to: None,
            routing_table: None,
            content: Content {
                applicant: Some("{\"kind\":\"person\"}".to_owned()),
                files: roles
                    .into_iter()
                    .zip(&files)
                    .map(|((role, name, media_type), octets)| File {
                        role,
                        name: name.to_owned(),
                        media_type: media_type.to_owned(),
                        octets: octets.clone(),
                    })
                    .collect(),
                ..Content::default()
            },
        };
        let envelope = seal(
            draft,
            &EncryptionKey::classical(reader.pinned()?),
            &Signer::new(signer.pinned()?, &signer.key)?,
            now,
        )?;
        Ok(Sealed {
            envelope,
            signer,
            reader,
            reader_id,
            files,
            folder: tempfile::tempdir()?,
        })
    }

    fn pins(&self) -> anyhow::Result<OnePin> {
        Ok(OnePin("gw-sh-1".parse()?, self.signer.pinned()?))
    }

    fn file(&self, name: &str, octets: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, octets)?;
        Ok(path)
    }
}

#[test]
fn it_accepts_and_opens_what_we_seal() -> anyhow::Result<()> {
    KINDS.into_iter().try_for_each(accepts_and_opens)
}

fn accepts_and_opens(kind: Kind) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let sealed = Sealed::make(now, kind)?;
    Schema::Envelope.validate(sealed.envelope.bytes())?;

    let python = Python::find()?;
    let envelope = sealed.file("envelope.xml", sealed.envelope.bytes())?;
    let certificate = sealed.file("signer.pem", sealed.signer.certificate.as_bytes())?;
    assert_eq!(
        python.verify_signature(&envelope, &certificate)?,
        Verdict::Accepted,
        "{kind:?}"
    );

    let out = sealed.folder.path().join("opened");
    let key = sealed.file("reader.key.pem", sealed.reader.key.as_bytes())?;
    assert_eq!(python.open(&envelope, &key, &out)?, Verdict::Accepted, "{kind:?}");
    assert!(std::fs::read(out.join("manifest.xml"))?.starts_with(b"<Manifest "));
    for (number, file) in (1..).zip(&sealed.files) {
        assert_eq!(&std::fs::read(out.join(format!("part-{number:02}")))?, file);
    }

    // The same octets, opened by ourselves.
    let verified = verify(sealed.envelope.bytes().clone(), &sealed.pins()?, Environment::Test, now)?;
    let mut keys = ReaderKeys::new();
    keys.add(sealed.reader_id.clone(), sealed.reader.pinned()?, &sealed.reader.key)?;
    let opened = open(&verified, &keys)?;
    let ours: Vec<&Bytes> = opened.content().files.iter().map(|file| &file.octets).collect();
    assert_eq!(ours, sealed.files.iter().collect::<Vec<_>>());
    Ok(())
}

#[test]
fn one_changed_octet_is_refused_by_both() -> anyhow::Result<()> {
    KINDS.into_iter().try_for_each(refused_by_both)
}

fn refused_by_both(kind: Kind) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let sealed = Sealed::make(now, kind)?;
    let python = Python::find()?;
    let certificate = sealed.file("signer.pem", sealed.signer.certificate.as_bytes())?;
    let pins = sealed.pins()?;
    for after in [
        "<Author>wgp:",
        "<Region>",
        "<xenc:CipherValue>",
        "<ds:SignatureValue>",
        "<xades:SigningTime>",
    ] {
        let changed = changed_behind(sealed.envelope.bytes(), after)?;
        let file = sealed.file("changed.xml", &changed)?;
        let outside = python.verify_signature(&file, &certificate)?;
        assert!(
            matches!(outside, Verdict::Refused(_)),
            "xmlsec accepts a change behind {after}, {kind:?}"
        );
        let ours = verify(changed.into(), &pins, Environment::Test, now);
        assert!(ours.is_err(), "we accept a change behind {after}, {kind:?}");
    }
    Ok(())
}

#[test]
fn the_signature_of_another_participant_is_refused_by_both() -> anyhow::Result<()> {
    let now = Timestamp::now();
    let (sealed, other) = (Sealed::make(now, Kind::Ec)?, Identity::fresh(Kind::Ec)?);
    let envelope = sealed.file("envelope.xml", sealed.envelope.bytes())?;
    let certificate = sealed.file("other.pem", other.certificate.as_bytes())?;
    let outside = Python::find()?.verify_signature(&envelope, &certificate)?;
    assert!(matches!(outside, Verdict::Refused(_)));
    let pins = OnePin("gw-sh-1".parse()?, other.pinned()?);
    assert!(verify(sealed.envelope.bytes().clone(), &pins, Environment::Test, now).is_err());
    Ok(())
}

/// A copy with one octet changed, the second one behind the first `marker`: another letter or digit, so that it stays
/// well-formed.
fn changed_behind(octets: &[u8], marker: &str) -> anyhow::Result<Vec<u8>> {
    let at = octets
        .windows(marker.len())
        .position(|window| window == marker.as_bytes());
    let at = at.with_context(|| format!("no {marker} in the envelope"))? + marker.len() + 1;
    let mut changed = octets.to_vec();
    let octet = changed.get_mut(at).context("the envelope ends too early")?;
    ensure!(
        octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/'),
        "no letter behind {marker}"
    );
    *octet = if *octet == b'1' { b'2' } else { b'1' };
    Ok(changed)
}
