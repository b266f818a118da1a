//! Receipt batches: what was sealed verifies, each event is provable alone, and nothing else passes.

use bytes::Bytes;
use jiff::SignedDuration;
use proptest::prelude::*;
use viereck_envelope::{
    BatchDraft, Event, Reason, Refused, SealError, SealedBatch, Stage, Subject, VerifiedBatch, seal_batch,
    verify_batch, verify_event,
};
use viereck_routing::{CaseId, Digest, Environment, MessageId};

use crate::laws::kinds;
use crate::people::{Identity, READER, Scene, now};
use crate::schema::assert_valid_batch;

pub(crate) fn event(stage: Stage, reasons: Vec<Reason>) -> Event {
    Event {
        subject: Subject::Message {
            message_id: MessageId::random(),
            envelope_digest: Digest::of(b"an envelope"),
            process_ref: CaseId::random(),
        },
        stage,
        time: now(),
        custodian: "gw-sh-1".parse().unwrap(),
        author: Some("wgp:010000000000".parse().unwrap()),
        reader: Some(READER.parse().unwrap()),
        deputy: Some(READER.parse().unwrap()),
        target: Some("gw-sh-2".parse().unwrap()),
        holder: Some(READER.parse().unwrap()),
        service: Some("99107023037000".parse().unwrap()),
        region: Some("01054".parse().unwrap()),
        routing_table: Some(Digest::of(b"table")),
        reasons,
    }
}

pub(crate) fn batch_draft(events: &[Bytes]) -> BatchDraft<'_> {
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

fn seal(scene: &Scene, events: &[Bytes]) -> SealedBatch {
    let sealed = seal_batch(batch_draft(events), &scene.gateway.signer(), now()).unwrap();
    assert_valid_batch(sealed.bytes());
    sealed
}

fn judge(scene: &Scene, bytes: impl Into<Vec<u8>>) -> Result<VerifiedBatch, Refused> {
    verify_batch(Bytes::from(bytes.into()), &scene.pins, Environment::Test, now())
}

fn octets(count: usize) -> Vec<Bytes> {
    (0..count)
        .map(|_| event(Stage::Delivered, vec![]).to_octets())
        .collect()
}

/// The hashes that stand in the document, entry by entry.
fn paths(batch: &VerifiedBatch) -> Vec<Vec<Digest>> {
    let text = std::str::from_utf8(batch.bytes()).unwrap();
    let path = |entry: &str| {
        let hashes = entry.split("<Hash>").skip(1);
        hashes
            .map(|rest| Digest::from_base64(rest.split('<').next().unwrap()).unwrap())
            .collect()
    };
    text.split("<Entry ").skip(1).map(path).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_sealed_verifies_and_each_event_is_provable_alone(count in 1_usize..40, kinds in kinds()) {
        let scene = Scene::of(kinds);
        let events = octets(count);
        let sealed = seal(&scene, &events);
        let batch = judge(&scene, sealed.bytes().to_vec()).unwrap();
        prop_assert_eq!(batch.head_digest(), sealed.head_digest());
        prop_assert_eq!(batch.head().tree_size, count as u64);
        prop_assert_eq!(batch.entries().len(), count);
        for (index, ((event, stored), path)) in batch.entries().iter().zip(paths(&batch)).enumerate() {
            prop_assert_eq!(stored, &events[index]);
            prop_assert_eq!(&Event::from_octets(stored).unwrap(), event);
            prop_assert!(verify_event(batch.head(), index as u64, stored, &path));
            prop_assert!(!verify_event(batch.head(), index as u64 + 1, stored, &path) || count == 1 && index > 0);
            prop_assert!(!verify_event(batch.head(), index as u64, b"another event", &path));
        }
    }

    #[test]
    fn any_changed_octet_is_refused(at in any::<prop::sample::Index>(), change in 1_u8.., kinds in kinds()) {
        let scene = Scene::of(kinds);
        let mut bytes = seal(&scene, &octets(3)).bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(judge(&scene, bytes).is_err(), "octet {at}");
    }
}

#[test]
fn a_full_batch_fits_one_document() {
    for scene in Scene::all() {
        let reasons = Reason::ALL[..4].to_vec();
        let events: Vec<Bytes> = (0..1_000)
            .map(|_| event(Stage::Rejected, reasons.clone()).to_octets())
            .collect();
        let sealed = seal(&scene, &events);
        assert_eq!(judge(&scene, sealed.bytes().to_vec()).unwrap().entries().len(), 1_000);
    }
}

#[test]
fn what_cannot_be_sealed_is_refused_by_name() {
    let scene = Scene::new();
    let signer = scene.gateway.signer();
    let events = octets(2);
    let refusal = |draft: BatchDraft<'_>| seal_batch(draft, &signer, now()).unwrap_err();
    assert_eq!(refusal(batch_draft(&[])), SealError::InvalidValue);
    assert_eq!(refusal(batch_draft(&octets(1_001))), SealError::TooLarge);
    assert_eq!(
        refusal(batch_draft(&[Bytes::from_static(b"no event")])),
        SealError::InvalidValue
    );
    assert_eq!(
        refusal(BatchDraft {
            sequence: 0,
            ..batch_draft(&events)
        }),
        SealError::InvalidValue
    );
    assert_eq!(
        refusal(BatchDraft {
            sequence: 1,
            ..batch_draft(&events)
        }),
        SealError::InvalidValue
    );
    assert_eq!(
        refusal(BatchDraft {
            previous: Digest::ZERO,
            ..batch_draft(&events)
        }),
        SealError::InvalidValue
    );
    let custodian = "broker".parse().unwrap();
    assert_eq!(
        refusal(BatchDraft {
            custodian,
            ..batch_draft(&events)
        }),
        SealError::InvalidValue
    );
    let old = Identity::valid(scene.kinds, "gw-sh-1", (2023, 2024)).signer();
    assert_eq!(
        seal_batch(batch_draft(&events), &old, now()).unwrap_err(),
        SealError::SigningCertificateNotValid
    );
}

#[test]
fn a_batch_of_another_form_is_refused() {
    for scene in Scene::all() {
        let events = octets(3);
        let text = String::from_utf8(seal(&scene, &events).bytes().to_vec()).unwrap();
        let first = std::str::from_utf8(&events[0]).unwrap();
        let second = std::str::from_utf8(&events[1]).unwrap();
        let hash = &text[text.find("<Hash>").unwrap()..text.find("</Hash>").unwrap() + 7];
        let signature = &text[text.find("<ds:Signature ").unwrap()..text.find("</ds:Signature>").unwrap() + 15];
        let last = text.rfind("<Entry ").unwrap();
        let cases = [
            (
                "an envelope's namespace",
                "urn:viereck:receipt:1",
                "urn:viereck:envelope:1",
                Refused::Namespace,
            ),
            ("unknown profile", "<Profile>1", "<Profile>2", Refused::UnknownProfile),
            (
                "other environment",
                "<Environment>test",
                "<Environment>production",
                Refused::WrongEnvironment,
            ),
            (
                "other custodian",
                "<Custodian>gw-sh-1",
                "<Custodian>gw-sh-2",
                Refused::CertificateNotPinned,
            ),
            (
                "other destination",
                "<Destination>gw-nw-1",
                "<Destination>gw-nw-2",
                Refused::DigestMismatch,
            ),
            ("other sequence", "<Sequence>2", "<Sequence>3", Refused::DigestMismatch),
            ("leading zero", "<Sequence>2", "<Sequence>02", Refused::InvalidValue),
            ("no signature", signature, "", Refused::UnexpectedElement),
            (
                "second signature",
                "</ReceiptBatch>",
                "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"></ds:Signature></ReceiptBatch>",
                Refused::SecondSignature,
            ),
            (
                "event changed",
                "<Stage>delivered",
                "<Stage>accepted",
                Refused::WrongTree,
            ),
            ("events exchanged", first, second, Refused::WrongTree),
            ("path cut", hash, "", Refused::WrongTree),
            ("wrong index", "index=\"1\"", "index=\"2\"", Refused::WrongTree),
            (
                "entry missing",
                &text[last..text.len() - "</ReceiptBatch>".len()],
                "",
                Refused::WrongTree,
            ),
            (
                "surplus element",
                "<Path>",
                "<More></More><Path>",
                Refused::UnexpectedElement,
            ),
        ];
        for (name, from, to, expected) in cases {
            assert!(text.contains(from), "{name}");
            assert_eq!(
                judge(&scene, text.replacen(from, to, 1)).unwrap_err(),
                expected,
                "{name}"
            );
        }
    }
}

#[test]
fn a_batch_from_the_future_is_refused() {
    let scene = Scene::new();
    let sealed = seal(&scene, &octets(1));
    let early = now() - SignedDuration::from_mins(6);
    let refused = verify_batch(sealed.bytes().clone(), &scene.pins, Environment::Test, early);
    assert_eq!(refused.unwrap_err(), Refused::CreatedInFuture);
}

#[test]
fn an_envelope_is_no_batch_and_a_batch_no_envelope() {
    let scene = Scene::new();
    let envelope = scene.seal(crate::people::draft());
    assert_eq!(
        judge(&scene, envelope.bytes().to_vec()).unwrap_err(),
        Refused::Namespace
    );
    let batch = seal(&scene, &octets(1));
    let refused = viereck_envelope::verify(batch.bytes().clone(), &scene.pins, Environment::Test, now());
    assert_eq!(refused.unwrap_err(), Refused::Namespace);
}
