//! Envelopes, manifests, batches and events, and any XML.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use viereck_envelope::{
    BatchDraft, Content, Draft, Event, File, Header, MessageType, Pins, ReaderKeys, Reason, Role, SealedEnvelope,
    Signer, Stage, Subject, check_spelling, open, seal, seal_batch, verify_batch,
};
use viereck_routing::{CaseId, Certificate, Digest, EncryptionKey, Environment, GatewayId, Kind, MessageId};

const READER: &str = "wgb:010540880000";

/// Who signs, who reads, and what was signed.
struct Scene {
    signer: Certificate,
    keys: ReaderKeys,
    envelopes: Vec<SealedEnvelope>,
    header: Header,
    content: Content,
    batches: Vec<Bytes>,
    heads: BTreeSet<Digest>,
}

impl Pins for Scene {
    fn signing_certificate(&self, _custodian: &GatewayId, sha256: &Digest, _at: Timestamp) -> Option<&Certificate> {
        (self.signer.sha256() == *sha256).then_some(&self.signer)
    }

    fn is_revoked(&self, _: &Certificate, _: Timestamp) -> bool {
        false
    }
}

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

fn now() -> Timestamp {
    "2026-03-02T10:00:00.123Z".parse().unwrap()
}

fn identity() -> (Certificate, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    let pem = params.self_signed(&key).unwrap().pem();
    (Certificate::from_pem(&pem).unwrap(), key.serialize_pem())
}

impl Scene {
    fn new() -> Scene {
        let ((signer, signing), (reader, reading)) = (identity(), identity());
        let sealed_for = EncryptionKey::classical(reader.clone());
        let signing = Signer::new(signer.clone(), &signing).unwrap();
        let mut keys = ReaderKeys::new();
        keys.add(READER.parse().unwrap(), reader.clone(), &reading).unwrap();
        let content = Content {
            client_reference: Some("A-17 <&>".to_owned()),
            applicant: Some("{}".to_owned()),
            files: vec![
                file(Role::Payload, "a.xml", b"<a/>"),
                file(Role::Attachment, "\u{e4}\"&.pdf", &[0; 100]),
            ],
            ..Content::default()
        };
        let sealed = |content: Content, full: bool| seal(draft(content, full), &sealed_for, &signing, now()).unwrap();
        let envelopes = vec![sealed(content.clone(), true), sealed(Content::default(), false)];
        let sealed = |count| {
            let events: Vec<Bytes> = (0..count).map(|number| an_event(number).to_octets()).collect();
            let batch = seal_batch(batch_draft(&events), &signing, now()).unwrap();
            (batch.bytes().clone(), batch.head_digest())
        };
        let (batches, heads) = [sealed(1), sealed(5)].into_iter().unzip();
        Scene {
            header: envelopes[0].header().clone(),
            signer,
            keys,
            envelopes,
            content,
            batches,
            heads,
        }
    }
}

fn file(role: Role, name: &str, octets: &[u8]) -> File {
    File {
        role,
        name: name.to_owned(),
        media_type: "application/pdf".to_owned(),
        octets: Bytes::copy_from_slice(octets),
    }
}

fn draft(content: Content, full: bool) -> Draft {
    Draft {
        environment: Environment::Test,
        message_id: MessageId::random(),
        replaces: full.then(MessageId::random),
        kind: Kind::Application,
        filed_at: now(),
        obsolete_after: "2026-03-16T10:00:00Z".parse().unwrap(),
        gateway: "gw-sh-1".parse().unwrap(),
        author: "wgp:010000000000".parse().unwrap(),
        reader: READER.parse().unwrap(),
        service: "99107023037000".parse().unwrap(),
        region: full.then(|| "01054".parse().unwrap()),
        message_type: MessageType {
            name: "antrag & <mehr>".to_owned(),
            schema: "urn:x:1".to_owned(),
        },
        process_ref: CaseId::random(),
        in_reply_to: full.then(MessageId::random),
        routing_table: full.then(|| Digest::of(b"release")),
        content,
    }
}

fn an_event(number: usize) -> Event {
    let stages = [
        Stage::Delivered,
        Stage::Accepted,
        Stage::Rejected,
        Stage::Transferred,
        Stage::Received,
    ];
    let subject = Subject::Message {
        message_id: MessageId::random(),
        envelope_digest: Digest::of(b"an envelope"),
        process_ref: CaseId::random(),
    };
    Event {
        subject,
        stage: stages[number % stages.len()],
        time: now(),
        custodian: "gw-sh-1".parse().unwrap(),
        author: Some("wgp:010000000000".parse().unwrap()),
        reader: Some(READER.parse().unwrap()),
        deputy: None,
        target: Some("gw-sh-2".parse().unwrap()),
        holder: Some(READER.parse().unwrap()),
        service: Some("99107023037000".parse().unwrap()),
        region: Some("01054".parse().unwrap()),
        routing_table: Some(Digest::of(b"table")),
        reasons: vec![Reason::T080, Reason::Undecipherable],
    }
}

fn batch_draft(events: &[Bytes]) -> BatchDraft<'_> {
    BatchDraft {
        environment: Environment::Test,
        custodian: "gw-sh-1".parse().unwrap(),
        destination: "gw-nw-1".parse().unwrap(),
        sequence: 2,
        previous: Digest::of(b"the head before"),
        from: now(),
        to: now(),
        events,
    }
}

pub(crate) fn envelopes() -> Vec<Vec<u8>> {
    SCENE
        .envelopes
        .iter()
        .map(|envelope| envelope.bytes().to_vec())
        .collect()
}

/// What verifies is one of the genuine envelopes under its own digest, canonical in every part, and opens.
pub(crate) fn verify(octets: &[u8]) -> &'static str {
    let verified = viereck_envelope::verify(Bytes::copy_from_slice(octets), &*SCENE, Environment::Test, now());
    match verified {
        Err(refused) => refused.code(),
        Ok(envelope) => {
            assert!(
                SCENE
                    .envelopes
                    .iter()
                    .any(|genuine| genuine.digest() == envelope.digest())
            );
            assert!(open(&envelope, &SCENE.keys).is_ok());
            assert_eq!(check_spelling(octets), Ok(()));
            for (id, name) in [
                ("header", "<Header "),
                ("content", "<Content "),
                ("signed-properties", "<xades:SignedP"),
            ] {
                let form = viereck_envelope::canonicalize(octets, Some(id)).unwrap();
                let at = octets
                    .windows(name.len())
                    .position(|window| window == name.as_bytes())
                    .unwrap();
                assert!(octets[at..].starts_with(form.as_bytes()));
            }
            "ok"
        }
    }
}

/// What is shown has one spelling.
pub(crate) fn inspect(octets: &[u8]) -> &'static str {
    viereck_envelope::inspect(octets).map_or_else(
        |refused| refused.code(),
        |claims| {
            assert!(!claims.fields().is_empty());
            assert_eq!(check_spelling(octets), Ok(()));
            "ok"
        },
    )
}

/// What is spelled well is well-formed, and its form differs by repeated declarations at most.
pub(crate) fn spelling(octets: &[u8]) -> &'static str {
    check_spelling(octets).map_or_else(
        |refused| refused.code(),
        |()| {
            let form = viereck_envelope::canonicalize(octets, None).unwrap();
            assert!(form.len() <= octets.len());
            "ok"
        },
    )
}

/// The form of a form is itself.
pub(crate) fn canonicalize(octets: &[u8]) -> &'static str {
    viereck_envelope::canonicalize(octets, None).map_or_else(
        |reason| reason.code(),
        |form| {
            assert_eq!(
                viereck_envelope::canonicalize(form.as_bytes(), None).as_ref(),
                Ok(&form)
            );
            "ok"
        },
    )
}

pub(crate) fn any_xml() -> Vec<Vec<u8>> {
    let mut seeds = crate::owned(&[
        "<?xml version=\"1.0\" encoding='UTF-8'?>\r\n<a xmlns='urn:a' xmlns:p=\"urn:p\" p:b = '&#9;\"'><p:c Id='x'/>&#x41;<![CDATA[<&>]]></a>\n",
        "<a xmlns=\"urn:a\"><b xmlns=\"\"><c xmlns=\"urn:c\"></c></b>&amp;&lt;&gt;&#xD;</a>",
    ]);
    seeds.extend(envelopes());
    seeds
}

pub(crate) fn manifests() -> Vec<Vec<u8>> {
    let write = |content| {
        viereck_envelope::fuzzing::manifest(&SCENE.header, content)
            .unwrap()
            .into_bytes()
    };
    vec![write(&SCENE.content), write(&Content::default())]
}

pub(crate) fn manifest(octets: &[u8]) -> &'static str {
    viereck_envelope::fuzzing::read_manifest(octets, &SCENE.header)
}

pub(crate) fn batches() -> Vec<Vec<u8>> {
    SCENE.batches.iter().map(|batch| batch.to_vec()).collect()
}

/// What verifies has the head of a genuine batch.
pub(crate) fn batch(octets: &[u8]) -> &'static str {
    let verified = verify_batch(Bytes::copy_from_slice(octets), &*SCENE, Environment::Test, now());
    verified.map_or_else(
        |refused| refused.code(),
        |batch| {
            assert!(SCENE.heads.contains(&batch.head_digest()));
            "ok"
        },
    )
}

pub(crate) fn events() -> Vec<Vec<u8>> {
    (0..5).map(|number| an_event(number).to_octets().to_vec()).collect()
}

/// An event is the same after it was written anew; only its salt is another one.
pub(crate) fn event(octets: &[u8]) -> &'static str {
    Event::from_octets(octets).map_or_else(
        |refused| refused.code(),
        |event| {
            assert_eq!(Event::from_octets(&event.to_octets()).as_ref(), Ok(&event));
            "ok"
        },
    )
}
