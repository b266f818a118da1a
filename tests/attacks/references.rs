//! What a signature covers and how: references, transforms, digests. The sender gateway itself signs each of these, so
//! that nothing but the rule about references stands between it and the verifier.

use viereck_envelope::Refused;
use viereck_routing::Digest;

use crate::case::Attacker::{Path, Sender};
use crate::case::Cases;
use crate::craft::{change, content, digest, element, references, sign_info};
use crate::scene::Genuine;

const EXC: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("references");
    lists(&mut cases, genuine);
    uris(&mut cases, genuine);
    transforms(&mut cases, genuine);
    digests(&mut cases, genuine);
    cases
}

/// Signed by the sender; the digests of what the references still name are computed anew.
fn signed(genuine: &Genuine<'_>, text: &str) -> String {
    sign_info(&digest(text), &genuine.scene.sender)
}

fn lists(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let all = references(text).concat();
    let [header, body, properties] = references(text)[..] else {
        panic!("three references")
    };
    let key = header.replace("ref-header", "ref-key").replace("#header", "#key");
    for (name, list) in [
        ("the references in another order", [body, header, properties].concat()),
        ("the properties first", [properties, header, body].concat()),
        ("the header is not covered", [body, properties].concat()),
        ("the content is not covered", [header, properties].concat()),
        ("the properties are not covered", [header, body].concat()),
        ("only the properties are covered", properties.to_owned()),
        (
            "a reference to the key besides",
            [header, body, properties, &key].concat(),
        ),
        (
            "a reference to the key instead of the content",
            [header, &key, properties].concat(),
        ),
        (
            "the header twice, the content never",
            [header, &header.replace("ref-header", "ref-content"), properties].concat(),
        ),
        (
            "the content under the name of the header",
            [
                &body.replace("ref-content", "ref-header"),
                &header.replace("ref-header", "ref-content"),
                properties,
            ]
            .concat(),
        ),
    ] {
        cases.add(
            Sender,
            name,
            signed(genuine, &change(text, &all, &list)),
            Refused::WrongReferences,
        );
    }
    cases.add(
        Sender,
        "the same reference twice",
        signed(
            genuine,
            &change(text, &all, &[header, header, body, properties].concat()),
        ),
        Refused::DuplicateId,
    );
    cases.add(
        Sender,
        "no reference at all",
        sign_info(&change(text, &all, ""), &genuine.scene.sender),
        Refused::WrongReferences,
    );
    cases.add(
        Sender,
        "an empty SignedInfo",
        change(
            text,
            element(text, "ds:SignedInfo"),
            "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"></ds:SignedInfo>",
        ),
        Refused::MissingElement,
    );
}

fn uris(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    for (name, uri, expected) in [
        ("a reference to the whole document", "", Refused::ExternalReference),
        ("a reference to a file", "file:///etc/hosts", Refused::ExternalReference),
        (
            "a reference over HTTP",
            "http://127.0.0.1:1/",
            Refused::ExternalReference,
        ),
        ("a reference to a relative place", "header", Refused::ExternalReference),
        (
            "a reference to an external part",
            "cid:part-1",
            Refused::ExternalReference,
        ),
        ("a reference to data in itself", "data:,x", Refused::ExternalReference),
        (
            "a reference with a host before the fragment",
            "http://127.0.0.1:1/#header",
            Refused::ExternalReference,
        ),
        (
            "a reference by XPointer to the root",
            "#xpointer(/)",
            Refused::WrongReferences,
        ),
        (
            "a reference by XPointer to an Id",
            "#xpointer(id('header'))",
            Refused::WrongReferences,
        ),
        ("a reference to nothing", "#", Refused::WrongReferences),
        (
            "a reference to an Id that is not there",
            "#nowhere",
            Refused::WrongReferences,
        ),
        ("a reference to an Id in capitals", "#Header", Refused::WrongReferences),
        (
            "a reference to an Id with a space",
            "#header ",
            Refused::WrongReferences,
        ),
        ("a reference to an escaped Id", "#%68eader", Refused::WrongReferences),
    ] {
        let changed = change(text, " URI=\"#header\"", &format!(" URI=\"{uri}\""));
        cases.add(Sender, name, signed(genuine, &changed), expected);
    }
    for (name, from, to, expected) in [
        (
            "a reference without a URI",
            "Id=\"ref-header\" URI=\"#header\"",
            "Id=\"ref-header\"",
            Refused::WrongReferences,
        ),
        (
            "a reference without an Id",
            "Id=\"ref-header\" URI",
            "URI",
            Refused::WrongReferences,
        ),
        (
            "a reference of another Id",
            "Id=\"ref-header\"",
            "Id=\"ref-x\"",
            Refused::WrongReferences,
        ),
        (
            "a reference of a Type that is none of its own",
            "URI=\"#header\"",
            "Type=\"urn:x\" URI=\"#header\"",
            Refused::WrongReferences,
        ),
        (
            "the properties under another Type",
            "01903#SignedProperties",
            "01903/v1.3.2#SignedProperties",
            Refused::WrongReferences,
        ),
        (
            "the properties as a ds:Object",
            "http://uri.etsi.org/01903#SignedProperties",
            "http://www.w3.org/2000/09/xmldsig#Object",
            Refused::WrongReferences,
        ),
        (
            "the properties by a reference to the signature",
            "URI=\"#signed-properties\"",
            "URI=\"#signature\"",
            Refused::WrongReferences,
        ),
    ] {
        cases.add(Sender, name, signed(genuine, &change(text, from, to)), expected);
    }
}

fn transforms(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let one = format!("<ds:Transform Algorithm=\"{EXC}\"></ds:Transform>");
    let other = |algorithm: &str| format!("<ds:Transform Algorithm=\"{algorithm}\"></ds:Transform>");
    for (name, algorithm) in [
        (
            "an enveloped-signature transform",
            "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
        ),
        ("an XSLT transform", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        ("an XPath transform", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
        ("an XPath filter", "http://www.w3.org/2002/06/xmldsig-filter2"),
        ("a base64 transform", "http://www.w3.org/2000/09/xmldsig#base64"),
        ("a decryption transform", "http://www.w3.org/2002/07/decrypt#XML"),
        (
            "inclusive canonicalization",
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        ),
        ("inclusive canonicalization 1.1", "http://www.w3.org/2006/12/xml-c14n11"),
        (
            "exclusive canonicalization with comments",
            "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        ),
        ("an unknown transform", "urn:example:none"),
    ] {
        cases.add(
            Sender,
            format!("{name} instead of the one transform"),
            signed(genuine, &change(text, &one, &other(algorithm))),
            Refused::AlgorithmNotAllowed,
        );
        if algorithm.contains("xslt") || algorithm.contains("enveloped") || algorithm.contains("xpath") {
            let both = format!("{}{one}", other(algorithm));
            cases.add(
                Sender,
                format!("{name} before the one transform"),
                signed(genuine, &change(text, &one, &both)),
                Refused::AlgorithmNotAllowed,
            );
            let both = format!("{one}{}", other(algorithm));
            cases.add(
                Sender,
                format!("{name} behind the one transform"),
                signed(genuine, &change(text, &one, &both)),
                Refused::UnexpectedElement,
            );
        }
    }
    let with_content = |inner: &str| change(text, &one, &change(&one, "></", &format!(">{inner}</")));
    for (name, changed, expected) in [
        ("no transform", change(text, &one, ""), Refused::MissingElement),
        (
            "no list of transforms",
            change(text, &format!("<ds:Transforms>{one}</ds:Transforms>"), ""),
            Refused::UnexpectedElement,
        ),
        (
            "the one transform twice",
            change(text, &one, &format!("{one}{one}")),
            Refused::UnexpectedElement,
        ),
        (
            "a hundred transforms",
            change(text, &one, &one.repeat(100)),
            Refused::UnexpectedElement,
        ),
        (
            "a transform with a prefix list",
            with_content("<ds:InclusiveNamespaces></ds:InclusiveNamespaces>"),
            Refused::UnexpectedElement,
        ),
        (
            "a transform with an expression",
            with_content("<ds:XPath>not(ancestor-or-self::Region)</ds:XPath>"),
            Refused::UnexpectedElement,
        ),
        ("a transform with text", with_content("x"), Refused::UnexpectedText),
        (
            "another canonicalization of SignedInfo",
            change(
                text,
                &format!("Method Algorithm=\"{EXC}\""),
                "Method Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"",
            ),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "canonicalization of SignedInfo with comments",
            change(
                text,
                &format!("Method Algorithm=\"{EXC}\""),
                &format!("Method Algorithm=\"{EXC}WithComments\""),
            ),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "a canonicalization of SignedInfo by XSLT",
            change(
                text,
                &format!("Method Algorithm=\"{EXC}\""),
                "Method Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"",
            ),
            Refused::AlgorithmNotAllowed,
        ),
    ] {
        cases.add(Sender, name, signed(genuine, &changed), expected);
    }
}

fn digests(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let method = format!("<ds:DigestMethod Algorithm=\"{SHA256}\">");
    for (name, algorithm) in [
        ("MD5", "http://www.w3.org/2001/04/xmldsig-more#md5"),
        ("SHA-1", "http://www.w3.org/2000/09/xmldsig#sha1"),
        ("RIPEMD-160", "http://www.w3.org/2001/04/xmlenc#ripemd160"),
        ("SHA-224", "http://www.w3.org/2001/04/xmldsig-more#sha224"),
        ("SHA-384", "http://www.w3.org/2001/04/xmldsig-more#sha384"),
        ("SHA-512", "http://www.w3.org/2001/04/xmlenc#sha512"),
        ("SHA3-256", "http://www.w3.org/2007/05/xmldsig-more#sha3-256"),
        ("no algorithm", ""),
    ] {
        let changed = change(text, &method, &format!("<ds:DigestMethod Algorithm=\"{algorithm}\">"));
        cases.add(
            Sender,
            format!("a digest by {name}"),
            signed(genuine, &changed),
            Refused::AlgorithmNotAllowed,
        );
    }
    let value = content(references(text)[0], "ds:DigestValue").to_owned();
    let body = content(references(text)[1], "ds:DigestValue").to_owned();
    let hex = Digest::from_base64(&value).unwrap().to_string();
    // the last letter carries two bits that count for nothing
    let loose = {
        let mut letters: Vec<char> = value.chars().collect();
        let last = letters.len() - 2;
        letters[last] = next_letter(letters[last]);
        letters.into_iter().collect::<String>()
    };
    for (name, to, expected) in [
        (
            "the digest of the content for the header",
            body,
            Refused::DigestMismatch,
        ),
        (
            "a digest of nothing",
            Digest::of(b"").to_base64(),
            Refused::DigestMismatch,
        ),
        ("a digest of zeros", Digest::ZERO.to_base64(), Refused::DigestMismatch),
        ("an empty digest", String::new(), Refused::InvalidValue),
        ("a digest in hex", hex, Refused::InvalidValue),
        (
            "a digest without its last octets",
            format!("{}=", &value[..39]),
            Refused::InvalidValue,
        ),
        (
            "a digest without padding",
            value.trim_end_matches('=').to_owned(),
            Refused::InvalidValue,
        ),
        (
            "a digest with a space",
            format!("{} {}", &value[..20], &value[20..]),
            Refused::InvalidValue,
        ),
        ("a digest with a line feed", format!("{value}\n"), Refused::InvalidValue),
        (
            "a digest in another base64 of the same octets",
            loose,
            Refused::InvalidValue,
        ),
        (
            "a digest with octets behind it",
            format!("{}AAAA", value.trim_end_matches('=')),
            Refused::InvalidValue,
        ),
    ] {
        let changed = change(
            text,
            &format!("<ds:DigestValue>{value}"),
            &format!("<ds:DigestValue>{to}"),
        );
        cases.add(Sender, name, sign_info(&changed, &genuine.scene.sender), expected);
    }
    for (name, from, to) in [
        ("the header changed behind its digest", "<Region>01054", "<Region>01056"),
        (
            "the time of filing changed behind its digest",
            "T09:59:59.500Z</FiledAt>",
            "T08:59:59.500Z</FiledAt>",
        ),
        (
            "an optional element taken out of the header",
            "<Region>01054</Region>",
            "",
        ),
    ] {
        cases.add(Path, name, change(text, from, to), Refused::DigestMismatch);
    }
    let replaces = element(text, "Replaces").to_owned();
    cases.add(
        Path,
        "the header without what it replaces",
        change(text, &replaces, ""),
        Refused::DigestMismatch,
    );
}

/// The next letter of the alphabet of base64.
pub(crate) fn next_letter(letter: char) -> char {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let at = ALPHABET.find(letter).unwrap();
    ALPHABET.chars().nth(at ^ 1).unwrap()
}
