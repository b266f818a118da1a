//! What is written validates against the published schemas, as read by a validator that is not ours.

use std::path::Path;
use std::sync::LazyLock;

use uppsala::{Parser, XsdValidator};
use viereck_envelope::Stage;
use viereck_envelope::{Reason, seal_batch};

use crate::batches::{batch_draft, event};
use crate::people::{Scene, draft, now};

/// The validator of a schema file.
fn validator(name: &str) -> XsdValidator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    XsdValidator::from_schema(&uppsala::parse(&text).unwrap()).unwrap()
}

static ENVELOPE: LazyLock<XsdValidator> = LazyLock::new(|| validator("envelope-1.xsd"));
static RECEIPT: LazyLock<XsdValidator> = LazyLock::new(|| validator("receipt-1.xsd"));

/// What the schema has against a document; a document type is not even parsed.
fn faults(validator: &XsdValidator, document: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(document).unwrap();
    match Parser::new().with_forbid_dtd(true).parse(text) {
        Ok(document) => validator.validate(&document).iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// Checks an envelope; other tests call it with whatever they seal.
pub(crate) fn assert_valid_envelope(bytes: &[u8]) {
    assert_eq!(faults(&ENVELOPE, bytes), Vec::<String>::new());
}

/// Checks a batch.
pub(crate) fn assert_valid_batch(bytes: &[u8]) {
    assert_eq!(faults(&RECEIPT, bytes), Vec::<String>::new());
}

#[test]
fn a_schema_refuses_what_it_does_not_describe() {
    let scene = Scene::new();
    let sealed = scene.seal(draft());
    assert_valid_envelope(sealed.bytes());
    let text = std::str::from_utf8(sealed.bytes()).unwrap();
    for (from, to) in [
        ("<Profile>1</Profile>", ""),
        ("<Kind>application", "<Kind>demand"),
        ("Id=\"header\"", "id=\"header\""),
        (".123Z", "Z"),
        ("<Region>01054", "<Region>0105"),
        ("</Header>", "<More></More></Header>"),
        ("<Envelope ", "<!DOCTYPE Envelope><Envelope "),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(
            !faults(&ENVELOPE, text.replacen(from, to, 1).as_bytes()).is_empty(),
            "{from} -> {to}"
        );
    }
    assert!(!faults(&RECEIPT, sealed.bytes()).is_empty());
}

#[test]
fn events_of_every_stage_and_reason_validate() {
    let scene = Scene::new();
    let reasons = Reason::ALL.iter().map(|reason| event(Stage::Rejected, vec![*reason]));
    let stages = Stage::ALL.iter().map(|stage| event(*stage, vec![]));
    let events: Vec<_> = reasons.chain(stages).map(|event| event.to_octets()).collect();
    for event in &events {
        assert_valid_batch(event);
    }
    let sealed = seal_batch(batch_draft(&events), &scene.gateway.signer(), now()).unwrap();
    assert_valid_batch(sealed.bytes());
}
