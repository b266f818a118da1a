//! Parts of one message in another: header and content, ciphertexts lifted into an envelope of one's own, what was
//! meant for one reader passed to another as if for them.

use viereck_envelope::{OpenError, Reason, Refused};

use crate::case::Attacker::{Custodian, Participant, Path, Reader, Sender};
use crate::case::Cases;
use crate::craft::{change, cipher_values, content, element, restate_binding, sign};
use crate::scene::{AUTHOR, Genuine, OTHER, OTHER_READER, READER, SENDER};

/// Another author of the sender gateway, who may write applications too.
const SECOND_AUTHOR: &str = "eip:010000000000";

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("binding");
    exchanged(&mut cases, genuine);
    lifted(&mut cases, genuine);
    forwarded(&mut cases, genuine);
    kinds(&mut cases, genuine);
    cases
}

/// Parts of two genuine messages of one sender.
fn exchanged(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let one = &genuine.text;
    let second = genuine.scene.genuine();
    let two = &second.text;
    let swap = |name: &str| change(one, element(one, name), element(two, name));
    let (header, body) = (swap("Header"), swap("Content"));
    cases.add(
        Path,
        "the header of one message on the content of another",
        header.clone(),
        Refused::WrongKeyBinding,
    );
    cases.add(
        Path,
        "the content of one message under the header of another",
        body.clone(),
        Refused::WrongKeyBinding,
    );
    cases.add(
        Path,
        "the signature of one message on another",
        change(one, element(one, "ds:Signature"), element(two, "ds:Signature")),
        Refused::DigestMismatch,
    );
    cases.add(
        Sender,
        "the header of one message on the content of another, signed",
        genuine.signed(&header),
        Refused::WrongKeyBinding,
    );
    let restated = restate_binding(&body);
    cases.add(
        Path,
        "the content of another message, bound to this header",
        restated.clone(),
        Refused::DigestMismatch,
    );
    cases.add(
        Sender,
        "the content of another message, bound to this header and signed",
        genuine.signed(&restated),
        OpenError::Undecipherable,
    );
    let (mine, others) = (cipher_values(one), cipher_values(two));
    cases.add(
        Sender,
        "the wrapped key of another message",
        genuine.resigned(mine[0], others[0]),
        OpenError::Undecipherable,
    );
    cases.add(
        Sender,
        "the manifest of another message as it was encrypted",
        genuine.resigned(mine[1], others[1]),
        OpenError::Undecipherable,
    );
    cases.add(
        Sender,
        "a file of another message as it was encrypted",
        genuine.resigned(mine[2], others[2]),
        OpenError::Undecipherable,
    );
    let all = mine
        .iter()
        .zip(&others)
        .fold(one.clone(), |text, (mine, other)| change(&text, mine, other));
    cases.add(
        Sender,
        "all ciphertexts of another message under this key's parameters",
        genuine.signed(&all),
        OpenError::Undecipherable,
    );
    let id = content(one, "MessageID").to_owned();
    let other_id = content(two, "MessageID").to_owned();
    cases.add(
        Sender,
        "another id over the same content",
        genuine.resigned(&format!("<MessageID>{id}"), &format!("<MessageID>{other_id}")),
        Refused::WrongKeyBinding,
    );
}

/// A ciphertext of somebody else in an envelope of one's own: its author would become the author of its content.
fn lifted(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let scene = genuine.scene;
    // what the attacker seals rightly, for the same reader, from its own gateway or through the victim's
    for (how, gateway, identity) in [
        ("another gateway", OTHER, &scene.other),
        ("the same gateway", SENDER, &scene.sender),
    ] {
        let own = scene.sealed(|draft| {
            draft.gateway = gateway.parse().unwrap();
            draft.author = SECOND_AUTHOR.parse().unwrap();
        });
        let body = element(&genuine.text, "Content").to_owned();
        let with_body = |text: &str| change(text, element(text, "Content"), &body);
        let lifted = sign(&with_body(&own.text), identity);
        cases.add(
            Participant,
            format!("a content lifted by {how} into an envelope of another author"),
            lifted,
            Refused::WrongKeyBinding,
        );
        {
            let restated = restate_binding(&with_body(&own.text));
            let document = sign(&restated, identity);
            let expected = match speaks(gateway) {
                true => OpenError::Undecipherable.into(),
                false => crate::case::Refusal::from(Reason::T070),
            };
            cases.add(
                Participant,
                format!("a content lifted by {how}, bound to its author"),
                document,
                expected,
            );
        }
        // the same id too: nothing differs but who says that they wrote it
        let id = content(&genuine.text, "MessageID");
        let mut own = own.text.clone();
        for name in ["MessageID", "ProcessRef", "InReplyTo", "Commitment", "Replaces"] {
            let mine = content(&own, name).to_owned();
            own = change(
                &own,
                &format!("<{name}>{mine}"),
                &format!("<{name}>{}", content(&genuine.text, name)),
            );
        }
        assert_eq!(content(&own, "MessageID"), id);
        cases.add(
            Participant,
            format!("a content lifted by {how} under the same id"),
            sign(&with_body(&own), identity),
            Refused::WrongKeyBinding,
        );
        {
            let restated = restate_binding(&with_body(&own));
            let expected = match speaks(gateway) {
                true => OpenError::Undecipherable.into(),
                false => crate::case::Refusal::from(Reason::T070),
            };
            cases.add(
                Participant,
                format!("a content lifted by {how} under the same id, bound to its author"),
                sign(&restated, identity),
                expected,
            );
        }
    }
    // an author of the same gateway who may write: only the derivation and the manifest tell them apart
    let text = &genuine.text;
    let author = change(text, &format!("<Author>{AUTHOR}"), &format!("<Author>{SECOND_AUTHOR}"));
    cases.add(
        Sender,
        "another author over the same content",
        genuine.signed(&author),
        Refused::WrongKeyBinding,
    );
    cases.add(
        Participant,
        "the genuine envelope, signed by another gateway",
        sign(
            &change(text, &format!("<Gateway>{SENDER}"), &format!("<Gateway>{OTHER}")),
            &scene.other,
        ),
        Reason::T070,
    );
}

/// Whether this gateway speaks for the second author.
fn speaks(gateway: &str) -> bool {
    gateway == SENDER
}

/// A reader passes on what it may read as if it had been written to somebody else (surreptitious forwarding).
fn forwarded(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let to = format!("<Reader>{OTHER_READER}");
    let from = format!("<Reader>{READER}");
    cases.add(
        Reader,
        "another reader in the header",
        change(text, &from, &to),
        Refused::WrongKeyBinding,
    );
    cases.add(
        Reader,
        "another reader in header and key",
        change(
            &change(text, &from, &to),
            &format!("Recipient=\"{READER}\""),
            &format!("Recipient=\"{OTHER_READER}\""),
        ),
        Refused::WrongKeyBinding,
    );
    {
        // the content key wrapped anew for the other reader, as a genuine envelope to them has it
        let theirs = scene.sealed(|draft| {
            draft.reader = OTHER_READER.parse().unwrap();
            draft.message_id = content(text, "MessageID").parse().unwrap();
        });
        let key = element(&theirs.text, "xenc:EncryptedKey").to_owned();
        let forwarded = change(&change(text, element(text, "xenc:EncryptedKey"), &key), &from, &to);
        cases.add(
            Reader,
            "the key encrypted anew for another reader",
            forwarded.clone(),
            Refused::DigestMismatch,
        );
        cases.add(
            Participant,
            "the key encrypted anew for another reader, signed by the forwarder's gateway",
            sign(&forwarded, &scene.other),
            Refused::CertificateNotPinned,
        );
        // the forwarder is the sender's gateway itself, and knows the content key: the manifest still names its reader
        let known = crate::scene::ContentKey(theirs.content_key.0);
        let manifest = genuine.manifest();
        let files: Vec<Vec<u8>> = cipher_values(text)[2..]
            .iter()
            .map(|value| {
                genuine
                    .content_key
                    .decrypt(&base64_simd::STANDARD.decode_to_vec(value).unwrap())
            })
            .collect();
        let plain = std::iter::once(manifest.clone().into_bytes()).chain(files);
        let encrypted: Vec<String> = plain
            .map(|octets| base64_simd::STANDARD.encode_to_string(known.encrypt(&octets)))
            .collect();
        let all = cipher_values(text)[1..]
            .iter()
            .zip(&encrypted)
            .fold(forwarded, |text, (mine, other)| change(&text, mine, other));
        cases.add(
            Sender,
            "the whole content encrypted anew for another reader, with its manifest",
            genuine.signed(&all),
            OpenError::HeaderMismatch,
        );
    }
    let renamed = change(
        &change(text, &from, &to),
        &format!("Recipient=\"{READER}\""),
        &format!("Recipient=\"{OTHER_READER}\""),
    );
    cases.add(
        Sender,
        "another reader with the same certificate",
        genuine.signed(&restate_binding(&renamed)),
        OpenError::NoKey,
    );
}

/// Documents of one kind where another is expected.
fn kinds(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let manifest = genuine.manifest();
    let batch = crate::batches::genuine(genuine.scene);
    let event = element(&batch, "Event").to_owned();
    for (name, document, expected) in [
        ("a manifest as an envelope", manifest, Refused::WrongRoot),
        (
            "a header as an envelope",
            element(text, "Header").to_owned(),
            Refused::WrongRoot,
        ),
        (
            "a signature as an envelope",
            element(text, "ds:Signature").to_owned(),
            Refused::WrongRoot,
        ),
        ("a receipt batch as an envelope", batch, Refused::Namespace),
        ("an event as an envelope", event, Refused::Namespace),
        (
            "an empty envelope",
            "<Envelope xmlns=\"urn:viereck:envelope:1\"></Envelope>".to_owned(),
            Refused::MissingElement,
        ),
        (
            "an envelope of the next version",
            text.replace("urn:viereck:envelope:1", "urn:viereck:envelope:2"),
            Refused::Namespace,
        ),
        (
            "a page of HTML",
            "<html><body></body></html>".to_owned(),
            Refused::Namespace,
        ),
    ] {
        cases.add(Path, name, document, expected);
    }
    cases.batch(
        Custodian,
        "an envelope as a receipt batch",
        text.clone(),
        Refused::Namespace,
    );
    cases.batch(
        Custodian,
        "an envelope in the namespace of receipts as a receipt batch",
        text.replace("urn:viereck:envelope:1", "urn:viereck:receipt:1"),
        Refused::WrongRoot,
    );
}
