//! Tools to make bad documents out of genuine ones.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64_simd::STANDARD;
use bytes::Bytes;
use viereck_envelope::{Refused, VerifiedEnvelope, verify};
use viereck_routing::{Digest, Environment};

use crate::people::{Identity, Scene, draft, now};

/// A genuine envelope as text.
pub(crate) fn genuine(scene: &Scene) -> String {
    String::from_utf8(scene.seal(draft()).bytes().to_vec()).unwrap()
}

pub(crate) fn judge(scene: &Scene, text: impl Into<Vec<u8>>) -> Result<VerifiedEnvelope, Refused> {
    verify(Bytes::from(text.into()), &scene.pins, Environment::Test, now())
}

/// Replaces the first `from`, which has to be there.
pub(crate) fn change(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

/// The element from its start tag to its end tag.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> &'a str {
    let start = text
        .find(&format!("<{name} "))
        .or_else(|| text.find(&format!("<{name}>")))
        .unwrap();
    let end = format!("</{name}>");
    let length = text[start..].find(&end).unwrap() + end.len();
    &text[start..start + length]
}

/// What stands between the tags of an element.
pub(crate) fn content<'a>(text: &'a str, name: &str) -> &'a str {
    let element = element(text, name);
    &element[element.find('>').unwrap() + 1..element.len() - name.len() - 3]
}

/// Signs a changed document again, as somebody could who has the key: all digests are right afterwards.
pub(crate) fn sign(text: &str, identity: &Identity) -> String {
    let text = change(
        text,
        content(text, "ds:X509Certificate"),
        &STANDARD.encode_to_string(identity.certificate.der()),
    );
    let properties = element(&text, "xades:SignedProperties").to_owned();
    let named = content(&properties, "ds:DigestValue");
    let text = change(
        &text,
        &properties,
        &change(&properties, named, &identity.certificate.sha256().to_base64()),
    );
    let mut signed_info = element(&text, "ds:SignedInfo").to_owned();
    let digests: Vec<String> = signed_info
        .split("<ds:DigestValue>")
        .skip(1)
        .map(|rest| rest[..44].to_owned())
        .collect();
    for (name, old) in ["Header", "Content", "xades:SignedProperties"].iter().zip(&digests) {
        signed_info = change(
            &signed_info,
            old,
            &Digest::of(element(&text, name).as_bytes()).to_base64(),
        );
    }
    let text = change(&text, element(&text, "ds:SignedInfo"), &signed_info);
    let der = x509_parser::pem::parse_x509_pem(identity.key_pem.as_bytes())
        .unwrap()
        .1
        .contents;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
    let value = key.sign(&SystemRandom::new(), signed_info.as_bytes()).unwrap();
    change(
        &text,
        content(&text, "ds:SignatureValue"),
        &STANDARD.encode_to_string(value.as_ref()),
    )
}
