//! Receipt batches: heads, trees and paths that do not fit, and what a custodian that signs rightly may not say.

use base64_simd::STANDARD;
use bytes::Bytes;
use viereck_envelope::{BatchDraft, Event, Reason, Refused, Stage, Subject, seal_batch, verify_batch, verify_event};
use viereck_routing::{CaseId, Digest, Environment, MessageId};

use crate::case::Attacker::{Custodian, Participant, Path};
use crate::case::Cases;
use crate::craft::{change, content, element, sign, with_value};
use crate::scene::{AUTHOR, Genuine, OTHER, READER, SENDER, Scene, now};

/// Five events, so that the tree is not full.
const EVENTS: usize = 5;

fn event(custodian: &str) -> Event {
    Event {
        subject: Subject::Message {
            message_id: MessageId::random(),
            envelope_digest: Digest::of(b"an envelope"),
            process_ref: CaseId::random(),
        },
        stage: Stage::Rejected,
        time: now(),
        custodian: custodian.parse().unwrap(),
        author: Some(AUTHOR.parse().unwrap()),
        reader: Some(READER.parse().unwrap()),
        deputy: None,
        target: None,
        holder: None,
        service: None,
        region: None,
        routing_table: None,
        reasons: vec![Reason::S999],
    }
}

fn octets(custodian: &str) -> Vec<Bytes> {
    (0..EVENTS).map(|_| event(custodian).to_octets()).collect()
}

fn batch(scene: &Scene, events: &[Bytes]) -> String {
    let draft = BatchDraft {
        environment: Environment::Test,
        custodian: OTHER.parse().unwrap(),
        destination: SENDER.parse().unwrap(),
        sequence: 2,
        previous: Digest::of(b"the head before"),
        from: now(),
        to: now(),
        events,
    };
    let sealed = seal_batch(draft, &scene.other.signer(), now()).unwrap();
    String::from_utf8(sealed.bytes().to_vec()).unwrap()
}

/// A genuine batch of the other gateway.
pub(crate) fn genuine(scene: &Scene) -> String {
    batch(scene, &octets(OTHER))
}

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("batches");
    let scene = genuine.scene;
    let events = octets(OTHER);
    let text = batch(scene, &events);
    assert_eq!(scene.judge_batch(Bytes::from(text.clone())), None, "the genuine batch");
    assert_eq!(
        scene.judge_batch(Bytes::from(sign(&text, &scene.other))),
        None,
        "signed again"
    );
    heads(&mut cases, scene, &text);
    entries(&mut cases, scene, &text, &events);
    forms(&mut cases, scene, &text);
    proofs(&mut cases, scene, &text, &events);
    cases
}

/// The head changed and signed again by its custodian.
fn heads(cases: &mut Cases<'_>, scene: &Scene, text: &str) {
    let size = format!("<TreeSize>{EVENTS}<");
    let root = content(text, "Root").to_owned();
    let invalid = Refused::InvalidValue;
    for (name, from, to, expected) in [
        (
            "a tree of one entry less",
            size.as_str(),
            "<TreeSize>4<",
            Refused::WrongTree,
        ),
        ("a tree of one entry more", &size, "<TreeSize>6<", Refused::WrongTree),
        ("a tree of no entry", &size, "<TreeSize>0<", Refused::WrongTree),
        (
            "a tree of 2^64 - 1 entries",
            &size,
            "<TreeSize>18446744073709551615<",
            Refused::WrongTree,
        ),
        (
            "a tree of 2^64 entries",
            &size,
            "<TreeSize>18446744073709551616<",
            invalid,
        ),
        ("a tree size with a zero before it", &size, "<TreeSize>05<", invalid),
        ("a tree size with a sign", &size, "<TreeSize>+5<", invalid),
        (
            "another root",
            &root,
            &Digest::of(b"root").to_base64(),
            Refused::WrongTree,
        ),
        ("a root of zeros", &root, &Digest::ZERO.to_base64(), Refused::WrongTree),
        (
            "the root of no entries",
            &root,
            &Digest::of(b"").to_base64(),
            Refused::WrongTree,
        ),
        ("a sequence of zero", "<Sequence>2<", "<Sequence>0<", invalid),
        (
            "a first batch with a predecessor",
            "<Sequence>2<",
            "<Sequence>1<",
            invalid,
        ),
        ("a sequence below zero", "<Sequence>2<", "<Sequence>-2<", invalid),
        (
            "a sequence beyond any number",
            "<Sequence>2<",
            "<Sequence>18446744073709551616<",
            invalid,
        ),
        (
            "a batch that goes backwards in time",
            "<To>2026-03-02T10:00:00.123Z",
            "<To>2026-03-02T10:00:00.122Z",
            invalid,
        ),
        (
            "a batch of the other environment",
            "<Environment>test",
            "<Environment>production",
            Refused::WrongEnvironment,
        ),
        (
            "a batch under another custodian's name",
            "<Custodian>gw-nw-1",
            "<Custodian>gw-sh-1",
            Refused::CertificateNotPinned,
        ),
        (
            "a batch of another profile",
            "<Profile>1",
            "<Profile>2",
            Refused::UnknownProfile,
        ),
    ] {
        cases.batch(Custodian, name, sign(&change(text, from, to), &scene.other), expected);
    }
    let previous = content(text, "Previous").to_owned();
    cases.batch(
        Custodian,
        "a later batch without a predecessor",
        sign(&change(text, &previous, &Digest::ZERO.to_base64()), &scene.other),
        invalid,
    );
    for (name, from, to) in [
        ("another sequence on the way", "<Sequence>2<", "<Sequence>3<"),
        (
            "another destination on the way",
            "<Destination>gw-sh-1",
            "<Destination>gw-sh-2",
        ),
        (
            "another predecessor on the way",
            previous.as_str(),
            &Digest::of(b"x").to_base64(),
        ),
        ("another root on the way", &root, &Digest::of(b"x").to_base64()),
    ] {
        cases.batch(Path, name, change(text, from, to), Refused::DigestMismatch);
    }
    let late = text.replace("2026-03-02T10:00:00.123Z</xades", "2026-03-02T10:06:00.123Z</xades");
    cases.batch(
        Custodian,
        "a batch signed in the future",
        sign(&late, &scene.other),
        Refused::CreatedInFuture,
    );
    cases.batch(
        Participant,
        "a batch signed by another gateway",
        sign(text, &scene.sender),
        Refused::CertificateNotPinned,
    );
    cases.batch(
        Participant,
        "a batch signed by a stranger of the same subject",
        sign(text, &scene.stranger),
        Refused::CertificateNotPinned,
    );
    let foreign = scene.other.sign(b"x");
    cases.batch(
        Path,
        "a batch with the signature of something else",
        with_value(text, &foreign),
        Refused::SignatureInvalid,
    );
}

/// The entries: events, indices, paths.
fn entries(cases: &mut Cases<'_>, scene: &Scene, text: &str, events: &[Bytes]) {
    let all: Vec<String> = (0..EVENTS).map(|index| entry(text, index)).collect();
    let events: Vec<&str> = events.iter().map(|event| std::str::from_utf8(event).unwrap()).collect();
    let hash = element(&all[0], "Hash").to_owned();
    let path = |entry: &str| element(entry, "Path").to_owned();
    let wrong = Refused::WrongTree;
    for (name, document, expected) in [
        (
            "two leaves exchanged",
            change(
                &change(&change(text, events[0], "@"), events[1], events[0]),
                "@",
                events[1],
            ),
            wrong,
        ),
        (
            "two entries exchanged",
            change(&change(&change(text, &all[0], "@"), &all[1], &all[0]), "@", &all[1]),
            wrong,
        ),
        (
            "two entries exchanged, counted anew",
            {
                let (first, second) = (
                    all[0].replace("index=\"0\"", "index=\"1\""),
                    all[1].replace("index=\"1\"", "index=\"0\""),
                );
                change(text, &format!("{}{}", all[0], all[1]), &format!("{second}{first}"))
            },
            wrong,
        ),
        (
            "two paths exchanged",
            {
                let exchanged = change(text, &all[0], &change(&all[0], &path(&all[0]), &path(&all[2])));
                change(&exchanged, &all[2], &change(&all[2], &path(&all[2]), &path(&all[0])))
            },
            wrong,
        ),
        ("an entry left out", change(text, &all[2], ""), wrong),
        ("the last entry left out", change(text, &all[4], ""), wrong),
        ("all entries left out", change(text, &all.concat(), ""), wrong),
        (
            "an entry twice",
            change(
                text,
                &all[4],
                &format!("{}{}", all[4], all[4].replace("index=\"4\"", "index=\"5\"")),
            ),
            wrong,
        ),
        ("an index too high", change(text, "index=\"1\"", "index=\"7\""), wrong),
        (
            "an index below nothing",
            change(text, "index=\"0\"", "index=\"-1\""),
            wrong,
        ),
        (
            "an index with a zero before it",
            change(text, "index=\"1\"", "index=\"01\""),
            wrong,
        ),
        ("no index", change(text, " index=\"1\"", ""), Refused::WrongAttribute),
        ("a path that is too short", change(text, &hash, ""), wrong),
        (
            "a path that is too long",
            change(text, &hash, &format!("{hash}{hash}")),
            wrong,
        ),
        (
            "a path of another hash",
            change(text, content(&all[0], "Hash"), &Digest::of(b"x").to_base64()),
            wrong,
        ),
        ("no path", change(text, &path(&all[0]), ""), Refused::MissingElement),
        (
            "a hash in hex",
            change(text, content(&all[0], "Hash"), &Digest::of(b"x").to_string()),
            Refused::InvalidValue,
        ),
        (
            "another stage on the way",
            change(text, "<Stage>rejected", "<Stage>accepted"),
            wrong,
        ),
        (
            "another reason on the way",
            change(text, Reason::S999.urn(), Reason::T070.urn()),
            wrong,
        ),
        (
            "another salt on the way",
            change(text, content(events[0], "Salt"), &STANDARD.encode_to_string([1; 16])),
            wrong,
        ),
        (
            "a stage that is none",
            change(text, "<Stage>rejected", "<Stage>paid"),
            Refused::InvalidValue,
        ),
        (
            "two events in one entry",
            change(text, events[0], &format!("{}{}", events[0], events[0])),
            Refused::UnexpectedElement,
        ),
        (
            "a thousand reasons in one event",
            change(
                text,
                "<Reason>",
                &format!("{}<Reason>", element(text, "Reason").repeat(1_000)),
            ),
            Refused::InvalidValue,
        ),
    ] {
        cases.batch(Path, name, document, expected);
    }
    // signed rightly, over events of somebody else
    let foreign: Vec<Bytes> = octets(SENDER);
    let mut forged = text.to_owned();
    for (old, new) in events.iter().zip(&foreign) {
        forged = change(&forged, old, std::str::from_utf8(new).unwrap());
    }
    let forged = rebuilt(&forged, &foreign);
    cases.batch(
        Custodian,
        "events of another custodian, signed by this one",
        sign(&forged, &scene.other),
        Refused::ForeignEvent,
    );
    let many = format!("{}</ReceiptBatch>", entry(text, 0).repeat(2_000));
    cases.batch(
        Path,
        "two thousand entries of one index",
        change(text, "</ReceiptBatch>", &many),
        wrong,
    );
    let hashes = hash.repeat(70_000);
    cases.batch(
        Path,
        "a path of 70,000 hashes",
        change(text, &hash, &hashes),
        Refused::TooManyElements,
    );
}

/// The entry of this index.
fn entry(text: &str, index: usize) -> String {
    let start = text.find(&format!("<Entry index=\"{index}\">")).unwrap();
    text[start..].split_inclusive("</Entry>").next().unwrap().to_owned()
}

/// The tree over these events in the place of the one that was there (RFC 9162, as its definition says).
fn rebuilt(text: &str, events: &[Bytes]) -> String {
    let leaves: Vec<Digest> = events.iter().map(|event| Digest::of_parts(&[&[0], event])).collect();
    let mut text = change(text, content(text, "Root"), &root(&leaves).to_base64());
    for index in 0..events.len() {
        let old = entry(&text, index);
        let hashes: String = path(&leaves, index)
            .iter()
            .map(|hash| format!("<Hash>{}</Hash>", hash.to_base64()))
            .collect();
        text = change(&text, &old, &change(&old, content(&old, "Path"), &hashes));
    }
    text
}

fn halves(leaves: &[Digest]) -> (&[Digest], &[Digest]) {
    leaves.split_at(leaves.len().next_power_of_two() / 2)
}

fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [leaf] => *leaf,
        _ => {
            let (left, right) = halves(leaves);
            Digest::of_parts(&[&[1], root(left).octets(), root(right).octets()])
        }
    }
}

fn path(leaves: &[Digest], index: usize) -> Vec<Digest> {
    if leaves.len() == 1 {
        return vec![];
    }
    let (left, right) = halves(leaves);
    let (mut within, beside) = match index < left.len() {
        true => (path(left, index), root(right)),
        false => (path(right, index - left.len()), root(left)),
    };
    within.push(beside);
    within
}

/// What is no batch, or has more than one.
fn forms(cases: &mut Cases<'_>, scene: &Scene, text: &str) {
    let signature = element(text, "ds:Signature").to_owned();
    let head = element(text, "BatchHead").to_owned();
    for (name, document, expected) in [
        (
            "a batch without a signature",
            change(text, &signature, ""),
            Refused::UnexpectedElement,
        ),
        (
            "a batch with two signatures",
            change(
                text,
                &signature,
                &format!("{signature}{}", signature.replace(" Id=\"", " Id=\"x-")),
            ),
            Refused::SecondSignature,
        ),
        (
            "a batch with its signature last",
            change(
                &change(text, &signature, ""),
                "</ReceiptBatch>",
                &format!("{signature}</ReceiptBatch>"),
            ),
            Refused::UnexpectedElement,
        ),
        (
            "a batch with a false head before the signed one",
            change(
                text,
                &head,
                &format!("{}{head}", head.replace(" Id=\"head\"", " Id=\"false\"")),
            ),
            Refused::WrongAttribute,
        ),
        (
            "a batch with a false head and the signed one in the object",
            {
                let moved = change(
                    text,
                    &head,
                    &change(
                        &head.replace(" Id=\"head\"", " Id=\"false\""),
                        "<Sequence>2",
                        "<Sequence>3",
                    ),
                );
                change(&moved, "<ds:Object>", &format!("<ds:Object>{head}"))
            },
            Refused::WrongAttribute,
        ),
        (
            "a batch with two heads of one Id",
            change(text, &head, &format!("{head}{head}")),
            Refused::DuplicateId,
        ),
        (
            "a batch without a head",
            change(text, &head, ""),
            Refused::UnexpectedElement,
        ),
        (
            "a batch with a document type",
            format!("<!DOCTYPE B [<!ENTITY a \"b\">]>{text}"),
            Refused::Doctype,
        ),
        (
            "a batch with a comment in an event",
            change(text, "<Stage>", "<!-- --><Stage>"),
            Refused::Comment,
        ),
        (
            "a batch in the namespace of envelopes",
            text.replace("urn:viereck:receipt:1", "urn:viereck:envelope:1"),
            Refused::Namespace,
        ),
        (
            "a batch that covers the content of an envelope",
            text.replace("ref-head", "ref-header")
                .replace("#head", "#header")
                .replace(" Id=\"head\"", " Id=\"header\""),
            Refused::WrongAttribute,
        ),
    ] {
        let document = if name.contains("namespace") {
            sign(&document, &scene.other)
        } else {
            document
        };
        cases.batch(Path, name, document, expected);
    }
}

/// The proof of one event, carried without the others.
fn proofs<'a>(cases: &mut Cases<'a>, scene: &'a Scene, text: &str, events: &[Bytes]) {
    let verified = verify_batch(Bytes::from(text.to_owned()), &scene.pins, Environment::Test, now()).unwrap();
    let head = verified.head().clone();
    let leaves: Vec<Digest> = events.iter().map(|event| Digest::of_parts(&[&[0], event])).collect();
    let right = path(&leaves, 1);
    assert!(verify_event(&head, 1, &events[1], &right), "the genuine proof");
    let (left, _) = halves(&leaves);
    let node = [left[0].octets().as_slice(), left[1].octets()].concat();
    let reversed: Vec<Digest> = right.iter().rev().copied().collect();
    let longer: Vec<Digest> = right.iter().copied().chain([Digest::ZERO]).collect();
    let changed = String::from_utf8(events[1].to_vec())
        .unwrap()
        .replace("rejected", "accepted");
    let mut smaller = head.clone();
    smaller.tree_size = 2;
    let mut larger = head.clone();
    larger.tree_size = u64::MAX;
    let mut empty = head.clone();
    empty.tree_size = 0;
    let mut proof = |name: &str, head: viereck_envelope::BatchHead, index: u64, event: Vec<u8>, path: Vec<Digest>| {
        cases.proof(Custodian, name, move || verify_event(&head, index, &event, &path));
    };
    let event = events[1].to_vec();
    proof(
        "the proof of an event at another place",
        head.clone(),
        0,
        event.clone(),
        right.clone(),
    );
    proof(
        "the proof of an event beyond the tree",
        head.clone(),
        EVENTS as u64,
        event.clone(),
        right.clone(),
    );
    proof(
        "the proof of an event at the end of all numbers",
        head.clone(),
        u64::MAX,
        event.clone(),
        right.clone(),
    );
    proof(
        "the proof of another event",
        head.clone(),
        1,
        events[2].to_vec(),
        right.clone(),
    );
    proof(
        "the proof of a changed event",
        head.clone(),
        1,
        changed.into_bytes(),
        right.clone(),
    );
    proof("the proof of nothing", head.clone(), 1, vec![], right.clone());
    proof("a proof without its path", head.clone(), 1, event.clone(), vec![]);
    proof(
        "a proof with a path that is too short",
        head.clone(),
        1,
        event.clone(),
        right[..2].to_vec(),
    );
    proof(
        "a proof with a path that is too long",
        head.clone(),
        1,
        event.clone(),
        longer,
    );
    proof(
        "a proof with a path in another order",
        head.clone(),
        1,
        event.clone(),
        reversed,
    );
    proof(
        "a proof with a path of a hundred thousand hashes",
        head.clone(),
        1,
        event.clone(),
        vec![Digest::ZERO; 100_000],
    );
    proof("an inner node as an event", head, 0, node, right[1..].to_vec());
    proof("a proof in a smaller tree", smaller, 1, event.clone(), right.clone());
    proof(
        "a proof in a tree of all numbers",
        larger,
        1,
        event.clone(),
        right.clone(),
    );
    proof("a proof in a tree of nothing", empty, 0, event, right);
}
