//! What no signature covers: the other `s` of ECDSA, and how the certificate in KeyInfo is spelled. These documents
//! verify. They have to be known as the one that they are: the same digest, hence no second effect.

use crate::craft::{change, content};
use crate::scene::{Genuine, Kind};

/// A document that says the same.
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The genuine document, and all that says the same.
pub(crate) fn variants(genuine: &Genuine<'_>) -> (String, Vec<Variant>) {
    let text = &genuine.text;
    let mut variants = respelled(text);
    match genuine.scene.kind {
        Kind::Rsa3072 | Kind::Rsa4096 => {}
        Kind::P256 | Kind::Hybrid => variants.push(Variant {
            name: "the other s".to_owned(),
            text: other_s(text),
        }),
    }
    variants.push(Variant {
        name: "signed once more by the sender".to_owned(),
        text: crate::craft::sign_info(text, &genuine.scene.sender),
    });
    (text.clone(), variants)
}

/// A document with its certificate in other spellings.
pub(crate) fn respelled(text: &str) -> Vec<Variant> {
    let certificate = content(text, "ds:X509Certificate").to_owned();
    let lines = |end: &str| {
        let lines = (0..certificate.len()).step_by(64);
        let lines: Vec<&str> = lines
            .map(|at| &certificate[at..certificate.len().min(at + 64)])
            .collect();
        lines.join(end)
    };
    let spelled = |name: &str, spelling: String| Variant {
        name: name.to_owned(),
        text: change(text, &certificate, &spelling),
    };
    vec![
        spelled("the certificate in lines", lines("\n")),
        spelled(
            "the certificate in lines with escaped carriage returns",
            lines("&#xD;\n"),
        ),
        spelled("the certificate with tabs", lines("\t")),
        spelled("the certificate between spaces", format!("  {certificate}  ")),
        spelled(
            "the certificate with a space behind each letter",
            certificate.chars().flat_map(|c| [c, ' ']).collect(),
        ),
    ]
}

/// The signature (r, n - s), which verifies as (r, s) does.
pub(crate) fn other_s(text: &str) -> String {
    const ORDER: [u8; 32] = crate::signature_value::ORDER;
    let mut octets = base64_simd::STANDARD
        .decode_to_vec(content(text, "ds:SignatureValue"))
        .unwrap();
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let difference = i16::from(ORDER[at]) - i16::from(octets[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        octets[32 + at] = difference.rem_euclid(256) as u8;
    }
    crate::craft::with_value(text, &octets)
}
