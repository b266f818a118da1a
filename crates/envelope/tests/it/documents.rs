//! Tools to make bad documents out of genuine ones.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PSS_SHA256, RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
};
use base64_simd::STANDARD;
use bytes::Bytes;
use viereck_envelope::{Refused, VerifiedEnvelope, verify};
use viereck_routing::{Digest, Environment, PublicKey};

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
    let value = value(signed_info.as_bytes(), identity);
    change(
        &text,
        content(&text, "ds:SignatureValue"),
        &STANDARD.encode_to_string(value),
    )
}

/// What the key of `identity` signs with, said a second time here so that the library's choice is not judged by itself.
fn value(octets: &[u8], identity: &Identity) -> Vec<u8> {
    match identity.certificate.key() {
        PublicKey::P256(_) => {
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8(identity)).unwrap();
            key.sign(&SystemRandom::new(), octets).unwrap().as_ref().to_vec()
        }
        PublicKey::Rsa { bits: 3072, .. } => rsa_value(octets, identity, &RSA_PSS_SHA256),
        PublicKey::Rsa { .. } => rsa_value(octets, identity, &RSA_PSS_SHA512),
    }
}

/// An RSA signature by any encoding.
pub(crate) fn rsa_value(octets: &[u8], identity: &Identity, encoding: &'static RsaSignatureEncoding) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(&pkcs8(identity)).unwrap();
    let mut value = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), octets, &mut value).unwrap();
    value
}

fn pkcs8(identity: &Identity) -> Vec<u8> {
    let pem = x509_parser::pem::parse_x509_pem(identity.key_pem.as_bytes());
    pem.unwrap().1.contents
}

/// What the key in the document says that it is bound to: the attribute or element, with its value.
pub(crate) fn stated_binding(text: &str) -> &str {
    let (begin, end) = if text.contains("PartyUInfo=\"") {
        ("PartyUInfo=\"", "\"")
    } else {
        ("<xenc:OAEPparams>", "</xenc:OAEPparams>")
    };
    let start = text.find(begin).unwrap();
    let length = text[start + begin.len()..].find(end).unwrap() + begin.len() + end.len();
    &text[start..start + length]
}
