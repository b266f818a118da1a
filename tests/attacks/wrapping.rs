//! Signature wrapping: what is signed stays whole and is moved to where a verifier finds it by its Id, and something
//! false stands where a reader looks. The attacker has no key; the genuine signature stays as it is.

use viereck_envelope::Refused;

use crate::case::Attacker::{Participant, Path};
use crate::case::Cases;
use crate::craft::{change, cipher_values, content, element, sign};
use crate::references::next_letter;
use crate::scene::Genuine;

/// How the false element calls itself.
const IDENTITIES: [(&str, &str); 4] = [
    ("of another Id", " Id=\"false\""),
    ("without an Id", ""),
    ("of the same Id", " Id=\"{id}\""),
    ("of an Id in lower case", " id=\"{id}\""),
];

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("wrapping");
    let value = cipher_values(&genuine.text)[1];
    let false_value = format!("{}{}", next_letter(value.chars().next().unwrap()), &value[1..]);
    for (name, id, field, false_field) in [
        ("Header", "header", "<Region>01054", "<Region>01056"),
        ("Content", "content", value, &false_value),
    ] {
        moved(&mut cases, &genuine.text, name, id, field, false_field);
    }
    signatures(&mut cases, genuine);
    whole(&mut cases, genuine);
    ids(&mut cases, genuine);
    cases
}

/// The signed element in each place that a verifier by Id finds, with a false one in its own place.
fn moved(cases: &mut Cases<'_>, text: &str, name: &str, id: &str, field: &str, false_field: &str) {
    let signed = element(text, name).to_owned();
    for (how, attribute) in IDENTITIES {
        let attribute = attribute.replace("{id}", id);
        let false_one = change(
            &change(&signed, field, false_field),
            &format!(" Id=\"{id}\""),
            &attribute,
        );
        let without = change(text, &signed, &false_one);
        let same = how == "of the same Id";
        // the false one is met first, and is none
        let first = match same {
            false => Refused::WrongAttribute,
            true => Refused::DuplicateId,
        };
        // the grammar ends before a second object
        let beyond = match same {
            false => Refused::WrongAttribute,
            true => Refused::UnexpectedElement,
        };
        let mut case = |place: &str, document: String, expected: Refused| {
            cases.add(
                Path,
                format!("the signed {name} {place}, a false one {how} in its place"),
                document,
                expected,
            );
        };
        let within = |parent: &str| change(&without, parent, &format!("{parent}{signed}"));
        case("within ds:Object", within("<ds:Object>"), first);
        case(
            "after the qualifying properties",
            change(&without, "</ds:Object>", &format!("{signed}</ds:Object>")),
            first,
        );
        case("within KeyInfo", within("</ds:SignatureValue><ds:KeyInfo>"), first);
        case("within SignatureValue", within("<ds:SignatureValue>"), first);
        case(
            "within a second ds:Object",
            change(
                &without,
                "</ds:Signature>",
                &format!("<ds:Object>{signed}</ds:Object></ds:Signature>"),
            ),
            beyond,
        );
        case(
            "after the signature",
            change(&without, "</Envelope>", &format!("{signed}</Envelope>")),
            first,
        );
        case(
            "before the signature",
            change(&without, "<ds:Signature ", &format!("{signed}<ds:Signature ")),
            first,
        );
        let inside = change(
            &without,
            &false_one,
            &change(&false_one, &format!("</{name}>"), &format!("{signed}</{name}>")),
        );
        case("at the end of the false one", inside, first);
        // the signed one first: the false one stands where nothing may
        let behind = match same {
            false => Refused::UnexpectedElement,
            true => Refused::DuplicateId,
        };
        case(
            "before the false one",
            change(text, &signed, &format!("{signed}{false_one}")),
            behind,
        );
        case(
            "first of all",
            change(&without, "<Header ", &format!("{signed}<Header ")),
            match (name, same) {
                ("Header", false) => Refused::UnexpectedElement,
                ("Header", true) => Refused::DuplicateId,
                _ => Refused::UnexpectedElement,
            },
        );
    }
}

fn signatures(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let signature = element(text, "ds:Signature").to_owned();
    let second = signature
        .replace(" Id=\"signature\"", " Id=\"second\"")
        .replace("signed-properties", "second-properties")
        .replace("\"ref-", "\"second-");
    // a signature that is right, of somebody else who has a key
    let other = sign(&change(text, "<Region>01054", "<Region>01056"), &genuine.scene.other);
    let others = element(&other, "ds:Signature").to_owned();
    let unsigned = change(text, &signature, "");
    let mut case = |name: &str, document: String, expected| cases.add(Path, name, document, expected);
    case(
        "two signatures, the second with other Ids",
        change(text, &signature, &format!("{signature}{second}")),
        Refused::SecondSignature,
    );
    case(
        "two signatures, the genuine one last",
        change(text, &signature, &format!("{second}{signature}")),
        Refused::WrongAttribute,
    );
    case(
        "the same signature twice",
        change(text, &signature, &format!("{signature}{signature}")),
        Refused::DuplicateId,
    );
    case("no signature at all", unsigned.clone(), Refused::SignatureMissing);
    case(
        "the signature before the header",
        change(&unsigned, "<Header ", &format!("{signature}<Header ")),
        Refused::UnexpectedElement,
    );
    case(
        "the signature between header and content",
        change(&unsigned, "<Content ", &format!("{signature}<Content ")),
        Refused::UnexpectedElement,
    );
    case(
        "the signature within the header",
        change(&unsigned, "</Header>", &format!("{signature}</Header>")),
        Refused::UnexpectedElement,
    );
    case(
        "the signature within the content",
        change(&unsigned, "</Content>", &format!("{signature}</Content>")),
        Refused::UnexpectedElement,
    );
    case(
        "a signature within the object of the signature",
        change(
            text,
            "<ds:Object>",
            &format!(
                "<ds:Object>{}",
                change(&second, " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"", "")
            ),
        ),
        Refused::UnexpectedElement,
    );
    case(
        "a second SignedInfo before the genuine one",
        change(
            text,
            "<ds:SignedInfo ",
            &format!("{}<ds:SignedInfo ", element(&other, "ds:SignedInfo")),
        ),
        Refused::UnexpectedElement,
    );
    case(
        "a second SignedInfo behind the genuine one",
        change(
            text,
            "<ds:SignatureValue>",
            &format!("{}<ds:SignatureValue>", element(&second, "ds:SignedInfo")),
        ),
        Refused::UnexpectedElement,
    );
    case(
        "a second SignatureValue",
        change(
            text,
            "</ds:SignatureValue>",
            &format!("</ds:SignatureValue>{}", element(&other, "ds:SignatureValue")),
        ),
        Refused::UnexpectedElement,
    );
    case(
        "second signed properties before the genuine ones",
        change(
            text,
            "<xades:SignedProperties ",
            &format!("{}<xades:SignedProperties ", element(&second, "xades:SignedProperties")),
        ),
        Refused::WrongSignedProperties,
    );
    case(
        "second signed properties behind the genuine ones",
        change(
            text,
            "</xades:SignedProperties>",
            &format!(
                "</xades:SignedProperties>{}",
                element(&second, "xades:SignedProperties")
            ),
        ),
        Refused::UnexpectedElement,
    );
    case(
        "second qualifying properties",
        change(
            text,
            "</xades:QualifyingProperties>",
            &format!(
                "</xades:QualifyingProperties>{}",
                element(&second, "xades:QualifyingProperties")
            ),
        ),
        Refused::UnexpectedElement,
    );
    case(
        "a counter signature in unsigned properties",
        change(
            text,
            "</xades:SignedProperties>",
            &format!(
                "</xades:SignedProperties><xades:UnsignedProperties><xades:UnsignedSignatureProperties>\
                 <xades:CounterSignature>{second}</xades:CounterSignature></xades:UnsignedSignatureProperties>\
                 </xades:UnsignedProperties>"
            ),
        ),
        Refused::UnexpectedElement,
    );
    case(
        "an object before the signature value",
        change(
            text,
            "<ds:SignatureValue>",
            "<ds:Object></ds:Object><ds:SignatureValue>",
        ),
        Refused::UnexpectedElement,
    );
    cases.add(
        Participant,
        "the signature of another participant in the place of the genuine one",
        change(text, &signature, &others),
        Refused::CertificateNotPinned,
    );
    cases.add(
        Participant,
        "the signature of another participant behind the genuine one",
        change(
            text,
            &signature,
            &format!("{signature}{}", others.replace(" Id=\"", " Id=\"other-")),
        ),
        Refused::SecondSignature,
    );
}

/// The whole genuine envelope within something else.
fn whole(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let own = " xmlns=\"urn:viereck:envelope:1\"";
    let mut case = |name: &str, document: String, expected| cases.add(Path, name, document, expected);
    case(
        "an envelope within an envelope",
        format!("<Envelope{own}>{}</Envelope>", change(text, own, "")),
        Refused::UnexpectedElement,
    );
    case(
        "an envelope within a root of another name",
        format!("<Wrapper{own}>{}</Wrapper>", change(text, own, "")),
        Refused::WrongRoot,
    );
    case(
        "an envelope within a root of another namespace",
        format!("<w:Wrapper xmlns:w=\"urn:w\">{text}</w:Wrapper>"),
        Refused::Namespace,
    );
    case(
        "an envelope within a SOAP body",
        format!("<S:Envelope xmlns:S=\"http://www.w3.org/2003/05/soap-envelope\"><S:Body>{text}</S:Body></S:Envelope>"),
        Refused::Namespace,
    );
    let header = element(text, "Header").to_owned();
    case(
        "an envelope within the object of another",
        change(
            text,
            "<ds:Object>",
            &format!("<ds:Object>{}", text.replace(" Id=\"", " Id=\"inner-")),
        ),
        Refused::NotCanonical,
    );
    case(
        "two envelopes one after the other",
        format!("{text}{text}"),
        Refused::NotWellFormed,
    );
    case(
        "header and content within one element",
        change(
            &change(text, "<Header ", "<Signed><Header "),
            "</Content>",
            "</Content></Signed>",
        ),
        Refused::UnexpectedElement,
    );
    case(
        "the header within the content",
        change(&change(text, &header, ""), "</Content>", &format!("{header}</Content>")),
        Refused::UnexpectedElement,
    );
    case(
        "a ds:Manifest of references in the object",
        change(
            text,
            "<ds:Object>",
            "<ds:Object><ds:Manifest><ds:Reference URI=\"#header\"></ds:Reference></ds:Manifest>",
        ),
        Refused::UnexpectedElement,
    );
    case(
        "signature properties in the object",
        change(
            text,
            "</ds:Object>",
            "<ds:SignatureProperties></ds:SignatureProperties></ds:Object>",
        ),
        Refused::UnexpectedElement,
    );
    case(
        "only the end of the envelope is missing",
        change(text, "</Envelope>", ""),
        Refused::NotWellFormed,
    );
    case(
        "cut in the middle of the content",
        text[..text.find("</Content>").unwrap() - 100].to_owned(),
        Refused::NotWellFormed,
    );
}

/// The same Id twice, and what passes for an Id elsewhere.
fn ids(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let mut case = |name: &str, document: String, expected| cases.add(Path, name, document, expected);
    for (name, from, to, expected) in [
        (
            "header and content of one Id",
            " Id=\"content\"",
            " Id=\"header\"",
            Refused::DuplicateId,
        ),
        (
            "the key of the header's Id",
            " Id=\"key\"",
            " Id=\"header\"",
            Refused::DuplicateId,
        ),
        (
            "the signature of the header's Id",
            " Id=\"signature\"",
            " Id=\"header\"",
            Refused::DuplicateId,
        ),
        (
            "the signed properties of the header's Id",
            "Id=\"signed-properties\"",
            "Id=\"header\"",
            Refused::DuplicateId,
        ),
        (
            "an Id on the root",
            "envelope:1\">",
            "envelope:1\" Id=\"root\">",
            Refused::WrongAttribute,
        ),
        (
            "the header's Id on the root",
            "envelope:1\">",
            "envelope:1\" Id=\"header\">",
            Refused::WrongAttribute,
        ),
        (
            "an xml:id besides",
            " Id=\"header\"",
            " Id=\"header\" xml:id=\"x\"",
            Refused::PrefixedAttribute,
        ),
        (
            "an xml:id instead",
            " Id=\"header\"",
            " xml:id=\"header\"",
            Refused::PrefixedAttribute,
        ),
        (
            "an ID in capitals",
            " Id=\"header\"",
            " ID=\"header\"",
            Refused::WrongAttribute,
        ),
        (
            "an ID in capitals besides",
            " Id=\"header\"",
            " ID=\"x\" Id=\"header\"",
            Refused::WrongAttribute,
        ),
        (
            "an Id with a space",
            " Id=\"header\"",
            " Id=\" header\"",
            Refused::WrongAttribute,
        ),
        (
            "an Id with a path",
            " Id=\"header\"",
            " Id=\"../header\"",
            Refused::WrongAttribute,
        ),
        (
            "an Id that is escaped",
            " Id=\"header\"",
            " Id=\"&#x68;eader\"",
            Refused::Reference,
        ),
        (
            "the same attribute twice",
            " Id=\"header\"",
            " Id=\"header\" Id=\"x\"",
            Refused::DuplicateAttribute,
        ),
        (
            "an Id of another namespace",
            " Id=\"header\"",
            " xmlns:wsu=\"urn:wsu\" wsu:Id=\"header\"",
            Refused::Namespace,
        ),
    ] {
        case(name, change(text, from, to), expected);
    }
    let digest = content(text, "Commitment").to_owned();
    case(
        "an Id on an element of the header",
        change(
            text,
            &format!("<Commitment>{digest}"),
            &format!("<Commitment Id=\"c\">{digest}"),
        ),
        Refused::WrongAttribute,
    );
}
