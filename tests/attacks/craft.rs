//! The attacker's tools: change, digest, sign.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64_simd::STANDARD;
use viereck_envelope::SealedEnvelope;
use viereck_routing::Digest;

use crate::scene::{Identity, hmac_sha256};

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
        .unwrap_or_else(|| panic!("no {name}"));
    to_its_end(&text[start..], name)
}

/// The element with this Id, wherever it stands.
fn with_id<'a>(text: &'a str, id: &str) -> Option<&'a str> {
    let at = text.find(&format!(" Id=\"{id}\""))?;
    let start = text[..at].rfind('<')?;
    let name = text[start + 1..].split([' ', '>']).next()?;
    Some(to_its_end(&text[start..], name))
}

fn to_its_end<'a>(text: &'a str, name: &str) -> &'a str {
    let end = format!("</{name}>");
    let length = text.find(&end).map_or(text.len(), |at| at + end.len());
    &text[..length]
}

/// What stands between the tags of an element.
pub(crate) fn content<'a>(text: &'a str, name: &str) -> &'a str {
    let element = element(text, name);
    &element[element.find('>').unwrap() + 1..element.len() - name.len() - 3]
}

/// The value of the first attribute of this name.
pub(crate) fn attribute<'a>(text: &'a str, name: &str) -> &'a str {
    let after = text.split(&format!(" {name}=\"")).nth(1).unwrap();
    after.split('"').next().unwrap()
}

/// The base64 of the wrapped key, of the manifest and of each file.
pub(crate) fn cipher_values(text: &str) -> Vec<&str> {
    let after = text.split("<xenc:CipherValue>").skip(1);
    after.map(|rest| rest.split('<').next().unwrap()).collect()
}

/// The references of a signature, in order.
pub(crate) fn references(text: &str) -> Vec<&str> {
    let info = content(text, "ds:SignedInfo");
    let start = info.find("<ds:Reference").unwrap();
    info[start..].split_inclusive("</ds:Reference>").collect()
}

/// What the key in the document says that it is bound to: attributes or an element, with their values.
pub(crate) fn stated_binding(text: &str) -> &str {
    let (begin, last, end) = match text.contains("<xenc:OAEPparams>") {
        true => ("<xenc:OAEPparams>", "<xenc:OAEPparams>", "<"),
        false => ("PartyUInfo=\"", " PartyVInfo=\"", "\""),
    };
    let start = text.find(begin).unwrap();
    let value = text.find(last).unwrap() + last.len();
    let length = text[value..].find(end).unwrap();
    match begin == last {
        true => &text[start..value + length],
        false => &text[start..=value + length],
    }
}

/// What it has to say for these: author and message, reader and certificate.
pub(crate) fn binding(like: &str, author: &str, message: &str, reader: &str, certificate: &Digest) -> String {
    let (u, v) = (format!("{author}|{message}"), format!("{reader}|{certificate}"));
    match like.starts_with("<xenc:OAEPparams>") {
        true => {
            let label = Digest::of_parts(&[u.as_bytes(), &[0], v.as_bytes()]);
            format!("<xenc:OAEPparams>{}", label.to_base64())
        }
        false => {
            let hex = |info: &str| info.bytes().map(|octet| format!("{octet:02X}")).collect::<String>();
            format!("PartyUInfo=\"00{}\" PartyVInfo=\"00{}\"", hex(&u), hex(&v))
        }
    }
}

/// States the binding anew, as somebody does who has understood the profile: for the header and the recipient that
/// stand in the document now.
pub(crate) fn restate_binding(text: &str) -> String {
    let stated = stated_binding(text);
    let certificate = Digest::from_base64(content(text, "dsig11:X509Digest")).unwrap();
    let right = binding(
        stated,
        content(text, "Author"),
        content(text, "MessageID"),
        content(text, "Reader"),
        &certificate,
    );
    change(text, stated, &right)
}

/// Signs a changed document as `identity`: its certificate is named everywhere, all digests are right afterwards.
pub(crate) fn sign(text: &str, identity: &Identity) -> String {
    let named = name_certificate(text, identity);
    let method = element(&named, "ds:SignatureMethod").to_owned();
    let of_key = change(&method, attribute(&method, "Algorithm"), identity.method());
    sign_info(&digest(&change(&named, &method, &of_key)), identity)
}

/// Puts the certificate of `identity` into KeyInfo and its digest into the signed properties.
pub(crate) fn name_certificate(text: &str, identity: &Identity) -> String {
    let text = change(
        text,
        content(text, "ds:X509Certificate"),
        &STANDARD.encode_to_string(identity.certificate.der()),
    );
    let properties = element(&text, "xades:SignedProperties").to_owned();
    let named = content(&properties, "ds:DigestValue");
    let renamed = change(&properties, named, &identity.certificate.sha256().to_base64());
    change(&text, &properties, &renamed)
}

/// Computes the digest of every reference that names an element of the document, over its octets.
pub(crate) fn digest(text: &str) -> String {
    let info = element(text, "ds:SignedInfo");
    let mut renewed = info.to_owned();
    for reference in references(text) {
        let Some(id) = reference
            .split(" URI=\"#")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
        else {
            continue;
        };
        let Some(covered) = with_id(text, id) else { continue };
        if !reference.contains("<ds:DigestValue>") {
            continue;
        }
        let right = change(
            reference,
            content(reference, "ds:DigestValue"),
            &Digest::of(covered.as_bytes()).to_base64(),
        );
        renewed = change(&renewed, reference, &right);
    }
    change(text, info, &renewed)
}

/// Signs SignedInfo as it stands.
pub(crate) fn sign_info(text: &str, identity: &Identity) -> String {
    let value = identity.sign(element(text, "ds:SignedInfo").as_bytes());
    with_value(text, &value)
}

/// With another signature value.
pub(crate) fn with_value(text: &str, value: &[u8]) -> String {
    change(
        text,
        content(text, "ds:SignatureValue"),
        &STANDARD.encode_to_string(value),
    )
}

/// The content key of what was sealed, as its gateway keeps it for itself: that gateway may well be the attacker.
pub(crate) fn recall(sealed: &SealedEnvelope, kept: &[u8], secret: &[u8; 32]) -> [u8; 32] {
    const CONTEXT: &str = "urn:viereck:kept-content-key:1";
    let header = sealed.header();
    let bound = format!(
        "{CONTEXT}|{}|{}|{}",
        header.author, header.message_id, header.commitment
    );
    let key = UnboundKey::new(&AES_256_GCM, &hmac_sha256(secret, CONTEXT.as_bytes())).unwrap();
    let (nonce, sealed) = kept.split_first_chunk::<NONCE_LEN>().unwrap();
    let mut octets = sealed.to_vec();
    let plain = LessSafeKey::new(key).open_in_place(
        Nonce::assume_unique_for_key(*nonce),
        Aad::from(bound.as_bytes()),
        &mut octets,
    );
    plain.unwrap()[..32].try_into().unwrap()
}
