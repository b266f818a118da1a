//! The signature value and its algorithm: what passes where a key is taken for one of another kind, a value is read in
//! another form, or nothing is checked at all.

use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512};
use viereck_envelope::Refused;

use crate::case::Attacker::{Participant, Path, Sender};
use crate::case::Cases;
use crate::craft::{attribute, change, content, element, sign_info, with_value};
use crate::references::next_letter;
use crate::scene::{Genuine, Kind, hmac_sha256};

/// The order of P-256.
pub(crate) const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("signature-value");
    algorithms(&mut cases, genuine);
    values(&mut cases, genuine);
    match genuine.scene.kind {
        Kind::P256 | Kind::Hybrid => elliptic(&mut cases, genuine),
        Kind::Rsa3072 | Kind::Rsa4096 => rsa(&mut cases, genuine),
    }
    cases
}

/// The identifier of the genuine algorithm.
fn method(text: &str) -> &str {
    attribute(element(text, "ds:SignatureMethod"), "Algorithm")
}

fn algorithms(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    for (name, algorithm) in [
        ("HMAC-SHA-1", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        ("HMAC-SHA-256", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        ("DSA-SHA-1", "http://www.w3.org/2000/09/xmldsig#dsa-sha1"),
        ("RSA-SHA-1", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        ("RSA-MD5", "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
        (
            "RSA-SHA-256 of PKCS#1 v1.5",
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        ),
        (
            "RSA-PSS with parameters",
            "http://www.w3.org/2007/05/xmldsig-more#rsa-pss",
        ),
        ("RSA-PSS-SHA-1", "http://www.w3.org/2007/05/xmldsig-more#sha1-rsa-MGF1"),
        (
            "RSA-PSS-SHA-256",
            "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
        ),
        (
            "RSA-PSS-SHA-512",
            "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
        ),
        ("ECDSA-SHA-1", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"),
        ("ECDSA-SHA-256", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
        ("ECDSA-SHA-512", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"),
        ("Ed25519", "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519"),
        ("none", "none"),
        ("nothing", ""),
    ] {
        if algorithm == method(text) {
            continue;
        }
        let changed = change(text, method(text), algorithm);
        cases.add(
            Sender,
            format!("signed as {name}"),
            sign_info(&changed, &scene.sender),
            Refused::AlgorithmNotAllowed,
        );
    }
    // whoever takes the public key for a shared secret verifies these
    for (name, key) in [
        ("the public key", scene.sender.public_key_info()),
        ("the certificate", scene.sender.certificate.der().to_vec()),
        ("nothing", vec![]),
    ] {
        let changed = change(text, method(text), "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256");
        let mac = hmac_sha256(&key, element(&changed, "ds:SignedInfo").as_bytes());
        cases.add(
            Path,
            format!("an HMAC with {name} as its key"),
            with_value(&changed, &mac),
            Refused::AlgorithmNotAllowed,
        );
        let mac = hmac_sha256(&key, element(text, "ds:SignedInfo").as_bytes());
        cases.add(
            Path,
            format!("an HMAC with {name} as its key under the right algorithm"),
            with_value(text, &mac),
            Refused::SignatureInvalid,
        );
    }
    let truncated = change(
        &change(text, method(text), "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        "></ds:SignatureMethod>",
        "><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>",
    );
    cases.add(
        Path,
        "an HMAC of no bits",
        with_value(&truncated, &[]),
        Refused::UnexpectedElement,
    );
}

fn values(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let value = content(text, "ds:SignatureValue").to_owned();
    let octets = scene.sender.sign(element(text, "ds:SignedInfo").as_bytes());
    let length = octets.len();
    let longer = |by: usize| [octets.as_slice(), &vec![0; by]].concat();
    let foreign = scene.other.sign(element(text, "ds:SignedInfo").as_bytes());
    let another = genuine.scene.genuine();
    for (name, octets) in [
        ("an empty signature", vec![]),
        ("a signature of zeros", vec![0; length]),
        ("a signature of ones", vec![0xff; length]),
        ("a signature of one octet", vec![0]),
        ("a signature without its last octet", octets[..length - 1].to_vec()),
        ("a signature without its first octet", octets[1..].to_vec()),
        ("a signature with an octet behind it", longer(1)),
        ("a signature with a megabyte behind it", longer(1 << 20)),
        ("a signature twice in a row", [octets.as_slice(), &octets].concat()),
        ("a signature backwards", octets.iter().rev().copied().collect()),
        ("another participant's signature", foreign),
        (
            "a signature over the header itself",
            scene.sender.sign(element(text, "Header").as_bytes()),
        ),
        (
            "a signature over the digest of SignedInfo",
            scene
                .sender
                .sign(viereck_routing::Digest::of(element(text, "ds:SignedInfo").as_bytes()).octets()),
        ),
        (
            "a signature over SignedInfo without its namespace",
            scene.sender.sign(
                change(
                    element(text, "ds:SignedInfo"),
                    " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"",
                    "",
                )
                .as_bytes(),
            ),
        ),
        (
            "a signature over SignedInfo with inherited namespaces",
            scene.sender.sign(
                change(
                    element(text, "ds:SignedInfo"),
                    "<ds:SignedInfo ",
                    "<ds:SignedInfo xmlns=\"urn:viereck:envelope:1\" ",
                )
                .as_bytes(),
            ),
        ),
    ] {
        cases.add(Path, name, with_value(text, &octets), Refused::SignatureInvalid);
    }
    cases.add(
        Path,
        "the signature of another message of the same sender",
        change(text, &value, content(&another.text, "ds:SignatureValue")),
        Refused::SignatureInvalid,
    );
    cases.add(
        Path,
        "SignedInfo and signature of another message of the same sender",
        {
            let swapped = change(
                text,
                element(text, "ds:SignedInfo"),
                element(&another.text, "ds:SignedInfo"),
            );
            change(&swapped, &value, content(&another.text, "ds:SignatureValue"))
        },
        Refused::DigestMismatch,
    );
    for (name, changed) in [
        (
            "a signature value with a space",
            format!("{} {}", &value[..10], &value[10..]),
        ),
        ("a signature value with a line feed", format!("{value}\n")),
        (
            "a signature value without padding",
            value.trim_end_matches('=').to_owned(),
        ),
        ("a signature value with more padding", format!("{value}=")),
        ("a signature value in base64url", format!("_{}", &value[1..])),
        ("a signature value in another base64 of the same octets", {
            let padding = value.len() - value.trim_end_matches('=').len();
            let mut letters: Vec<char> = value.chars().collect();
            let last = letters.len() - 1 - padding;
            letters[last] = next_letter(letters[last]);
            letters.into_iter().collect()
        }),
    ] {
        // without padding in the genuine value there is no other spelling of its octets
        let expected = match value.ends_with('=') || !name.contains("base64 of the same") {
            true if name.contains("without padding") && !value.ends_with('=') => continue,
            true => Refused::InvalidValue,
            false => Refused::SignatureInvalid,
        };
        cases.add(Path, name, change(text, &value, &changed), expected);
    }
    cases.add(
        Path,
        "an attribute on the signature value",
        change(text, "<ds:SignatureValue>", "<ds:SignatureValue Id=\"value\">"),
        Refused::WrongAttribute,
    );
    cases.add(
        Participant,
        "elements within the signature value",
        change(text, "</ds:SignatureValue>", "<ds:X></ds:X></ds:SignatureValue>"),
        Refused::UnexpectedElement,
    );
}

/// RSA: other encodings of the same key, and numbers that decrypt to anything.
fn rsa(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let info = element(text, "ds:SignedInfo").as_bytes();
    let other_hash = match scene.kind {
        Kind::Rsa4096 => &RSA_PSS_SHA256,
        _ => &RSA_PSS_SHA512,
    };
    let length = scene.sender.sign(info).len();
    let zeros = |last: u8| [vec![0; length - 1], vec![last]].concat();
    for (name, octets) in [
        (
            "a signature of PKCS#1 v1.5 in the name of PSS",
            scene.sender.sign_by(&RSA_PKCS1_SHA256, info),
        ),
        (
            "a signature of PKCS#1 v1.5 with SHA-512 in the name of PSS",
            scene.sender.sign_by(&RSA_PKCS1_SHA512, info),
        ),
        (
            "a PSS signature by another hash",
            scene.sender.sign_by(other_hash, info),
        ),
        (
            "a PSS signature by a third hash",
            scene.sender.sign_by(&RSA_PSS_SHA384, info),
        ),
        ("a signature that is the number one", zeros(1)),
        ("a signature that is the number two", zeros(2)),
        (
            "a signature with a zero before it",
            [vec![0], scene.sender.sign(info)].concat(),
        ),
        ("an ECDSA signature of zeros in the name of PSS", vec![0; 64]),
    ] {
        cases.add(Path, name, with_value(text, &octets), Refused::SignatureInvalid);
    }
}

/// ECDSA: the forms and numbers that broke others.
fn elliptic(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let raw = scene.sender.sign(element(text, "ds:SignedInfo").as_bytes());
    let (r, s) = raw.split_at(32);
    let zero = [0; 32];
    let one = {
        let mut one = [0; 32];
        one[31] = 1;
        one
    };
    let mut beyond = ORDER;
    beyond[31] += 1;
    for (name, octets) in [
        ("r of zero", [&zero, s].concat()),
        ("s of zero", [r, &zero].concat()),
        ("r and s of one", [one, one].concat()),
        ("r of the order of the curve", [&ORDER, s].concat()),
        ("s of the order of the curve", [r, &ORDER].concat()),
        ("r beyond the order of the curve", [&beyond, s].concat()),
        ("r and s of the order of the curve", [ORDER, ORDER].concat()),
        ("r and s exchanged", [s, r].concat()),
        ("an ECDSA signature in DER", der(r, s)),
        (
            "an ECDSA signature in halves of 48 octets",
            [&[0; 16], r, &[0; 16], s].concat(),
        ),
    ] {
        cases.add(Path, name, with_value(text, &octets), Refused::SignatureInvalid);
    }
}

/// SEQUENCE of two INTEGERs.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |octets: &[u8]| {
        let mut octets: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
        if octets.first().is_none_or(|octet| octet & 0x80 != 0) {
            octets.insert(0, 0);
        }
        [&[2, octets.len() as u8], octets.as_slice()].concat()
    };
    let inner = [integer(r), integer(s)].concat();
    [&[0x30, inner.len() as u8], inner.as_slice()].concat()
}
