//! The one EncryptedKey: the content key, wrapped for the reader in one of the forms that the profile allows.
//!
//! For an EC key the originator's key stands as an ECKeyValue within KeyValue, and beside it a RetrievalMethod of type
//! ECKeyValue points to that same element. Both say the same; the second is there because libxmlsec (since 1.3.3) passes
//! over KeyValue unless its caller switches it on, and then silently takes some key of its own store for the originator.
//! Through the RetrievalMethod it finds the right key, so that it opens an envelope with nothing but the reader's key.
//!
//! In the hybrid form of profile 2 the ML-KEM ciphertext stands as an element of ours where XML Encryption leaves room for
//! one, and SuppPubInfo names the ciphertexts and public keys that the derivation is bound to.
//!
//! Which form a document has is seen from its EncryptionMethod. Whether it is the form of the reader's key only the
//! reader can tell, when it opens: a broker verifies without knowing that key.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use viereck_routing::Digest;

use super::{read_cipher_value, read_retrieval, write_retrieval};
use crate::header::Header;
use crate::profile::{KeyForm, allows};
use crate::refusal::Refused;
use crate::wrap::{Agreed, Binding, Encapsulated, WrappedKey, info};
use crate::xml::value::{octets, parse_octets};
use crate::xml::{Cursor, Ns, algorithm};

/// The octets of an RSA-OAEP ciphertext: as many as a modulus may have.
const TRANSPORTED: RangeInclusive<usize> = 384..=1024;

/// Appends the element.
pub(super) fn write(out: &mut String, key: &WrappedKey, header: &Header, certificate: &Digest) {
    out.push_str(&format!(
        "<xenc:EncryptedKey Id=\"key\" Recipient=\"{}\">",
        header.reader
    ));
    let binding = Binding::of(header, certificate);
    let wrapped = match key {
        WrappedKey::Agreed(agreed) => {
            write_agreed(out, agreed, None, &binding, certificate);
            octets(&agreed.octets)
        }
        WrappedKey::Hybrid(agreed, encapsulated) => {
            write_agreed(out, agreed, Some(encapsulated), &binding, certificate);
            octets(&agreed.octets)
        }
        WrappedKey::Transported(wrapped) => {
            write_transported(out, &binding, certificate);
            octets(wrapped)
        }
    };
    out.push_str(&format!(
        "<xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>"
    ));
}

fn write_agreed(
    out: &mut String,
    agreed: &Agreed,
    encapsulated: Option<&Encapsulated>,
    binding: &Binding,
    certificate: &Digest,
) {
    let [algorithm_id, party_u, party_v] = binding.attributes();
    let (agreement, public, ciphertext) = match encapsulated {
        None => (algorithm::ECDH_ES, String::new(), String::new()),
        Some(encapsulated) => (
            algorithm::ECDH_ES_ML_KEM,
            format!(" SuppPubInfo=\"{}\"", info(encapsulated.transcript.octets())),
            format!("<KemCiphertext>{}</KemCiphertext>", octets(&encapsulated.ciphertext)),
        ),
    };
    out.push_str(&format!(
        "<xenc:EncryptionMethod Algorithm=\"{kw}\"></xenc:EncryptionMethod>\
         <ds:KeyInfo><xenc:AgreementMethod Algorithm=\"{agreement}\">\
         <xenc11:KeyDerivationMethod xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" Algorithm=\"{kdf}\">\
         <xenc11:ConcatKDFParams AlgorithmID=\"{algorithm_id}\" PartyUInfo=\"{party_u}\" PartyVInfo=\"{party_v}\"{public}>\
         <ds:DigestMethod Algorithm=\"{sha256}\"></ds:DigestMethod></xenc11:ConcatKDFParams>\
         </xenc11:KeyDerivationMethod>{ciphertext}<xenc:OriginatorKeyInfo><ds:KeyValue>\
         <dsig11:ECKeyValue xmlns:dsig11=\"http://www.w3.org/2009/xmldsig11#\" Id=\"originator\">\
         <dsig11:NamedCurve URI=\"{p256}\"></dsig11:NamedCurve><dsig11:PublicKey>{point}</dsig11:PublicKey>\
         </dsig11:ECKeyValue></ds:KeyValue>",
        kw = algorithm::KW_AES256,
        kdf = algorithm::CONCAT_KDF,
        sha256 = algorithm::SHA256,
        p256 = algorithm::P256,
        point = octets(&agreed.originator),
    ));
    write_retrieval(out, algorithm::EC_KEY_VALUE, "#originator");
    out.push_str("</xenc:OriginatorKeyInfo><xenc:RecipientKeyInfo>");
    write_recipient(out, certificate);
    out.push_str("</xenc:RecipientKeyInfo></xenc:AgreementMethod></ds:KeyInfo>");
}

fn write_transported(out: &mut String, binding: &Binding, certificate: &Digest) {
    out.push_str(&format!(
        "<xenc:EncryptionMethod Algorithm=\"{oaep}\"><xenc:OAEPparams>{label}</xenc:OAEPparams>\
         <ds:DigestMethod Algorithm=\"{sha256}\"></ds:DigestMethod>\
         <xenc11:MGF xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" Algorithm=\"{mgf}\"></xenc11:MGF>\
         </xenc:EncryptionMethod><ds:KeyInfo>",
        oaep = algorithm::RSA_OAEP,
        label = binding.label().to_base64(),
        sha256 = algorithm::SHA256,
        mgf = algorithm::MGF1_SHA256,
    ));
    write_recipient(out, certificate);
    out.push_str("</ds:KeyInfo>");
}

fn write_recipient(out: &mut String, certificate: &Digest) {
    out.push_str(&format!(
        "<ds:X509Data><dsig11:X509Digest xmlns:dsig11=\"http://www.w3.org/2009/xmldsig11#\" Algorithm=\"{}\">{}\
         </dsig11:X509Digest></ds:X509Data>",
        algorithm::SHA256,
        certificate.to_base64(),
    ));
}

/// Reads the element: the digest of the reader's certificate, and the key.
pub(super) fn read(cursor: &mut Cursor<'_>, header: &Header) -> Result<(Digest, WrappedKey), Refused> {
    let expected = [("Id", "key"), ("Recipient", header.reader.as_str())];
    cursor.fixed(Ns::Xenc, "EncryptedKey", expected, Refused::WrongKeyBinding)?;
    let [method] = cursor.attributes(Ns::Xenc, "EncryptionMethod", ["Algorithm"])?;
    let (recipient, key) = match method.as_ref() {
        algorithm::KW_AES256 => read_agreed(cursor, header)?,
        algorithm::RSA_OAEP if allows(header.profile, KeyForm::Transported) => read_transported(cursor, header)?,
        _ => return Err(Refused::AlgorithmNotAllowed),
    };
    cursor.close()?;
    Ok((recipient, key))
}

fn read_agreed(cursor: &mut Cursor<'_>, header: &Header) -> Result<(Digest, WrappedKey), Refused> {
    cursor.close()?;
    cursor.open(Ns::Ds, "KeyInfo")?;
    let [agreement] = cursor.attributes(Ns::Xenc, "AgreementMethod", ["Algorithm"])?;
    let form = match agreement.as_ref() {
        algorithm::ECDH_ES => KeyForm::Agreed,
        algorithm::ECDH_ES_ML_KEM => KeyForm::Hybrid,
        _ => return Err(Refused::AlgorithmNotAllowed),
    };
    if !allows(header.profile, form) {
        return Err(Refused::AlgorithmNotAllowed);
    }
    let kdf = [("Algorithm", algorithm::CONCAT_KDF)];
    cursor.fixed(Ns::Xenc11, "KeyDerivationMethod", kdf, Refused::AlgorithmNotAllowed)?;
    let (infos, transcript) = read_infos(cursor, form)?;
    cursor.algorithm(Ns::Ds, "DigestMethod", algorithm::SHA256)?;
    cursor.close()?;
    cursor.close()?;
    let encapsulated = match transcript {
        Some(transcript) => Some(Box::new(Encapsulated {
            ciphertext: cursor.value("KemCiphertext", parse_octets)?,
            transcript,
        })),
        None => None,
    };
    let originator = read_originator(cursor)?;
    cursor.open(Ns::Xenc, "RecipientKeyInfo")?;
    let recipient = read_recipient(cursor)?;
    for _ in 0..3 {
        cursor.close()?;
    }
    let (wrapped, _) = read_cipher_value(cursor)?;
    // Nothing is derived from these attributes; a message that states another binding is refused all the same.
    if infos != Binding::of(header, &recipient).attributes() {
        return Err(Refused::WrongKeyBinding);
    }
    let octets = parse_octets(&wrapped).ok_or(Refused::InvalidValue)?;
    let agreed = Agreed { originator, octets };
    let key = match encapsulated {
        Some(encapsulated) => WrappedKey::Hybrid(agreed, encapsulated),
        None => WrappedKey::Agreed(agreed),
    };
    Ok((recipient, key))
}

/// What the derivation says that it is bound to; in the hybrid form also to which ciphertexts and public keys, which only
/// the reader can compare.
fn read_infos<'a>(cursor: &mut Cursor<'a>, form: KeyForm) -> Result<([Cow<'a, str>; 3], Option<Digest>), Refused> {
    if form != KeyForm::Hybrid {
        let names = ["AlgorithmID", "PartyUInfo", "PartyVInfo"];
        return Ok((cursor.attributes(Ns::Xenc11, "ConcatKDFParams", names)?, None));
    }
    let names = ["AlgorithmID", "PartyUInfo", "PartyVInfo", "SuppPubInfo"];
    let [algorithm_id, party_u, party_v, public] = cursor.attributes(Ns::Xenc11, "ConcatKDFParams", names)?;
    let transcript: Option<Digest> = public
        .strip_prefix("00")
        .and_then(|hex| hex.to_ascii_lowercase().parse().ok());
    let transcript = transcript
        .filter(|transcript| info(transcript.octets()) == public)
        .ok_or(Refused::InvalidValue)?;
    Ok(([algorithm_id, party_u, party_v], Some(transcript)))
}

fn read_transported(cursor: &mut Cursor<'_>, header: &Header) -> Result<(Digest, WrappedKey), Refused> {
    let label = cursor.element(Ns::Xenc, "OAEPparams")?;
    cursor.algorithm(Ns::Ds, "DigestMethod", algorithm::SHA256)?;
    cursor.algorithm(Ns::Xenc11, "MGF", algorithm::MGF1_SHA256)?;
    cursor.close()?;
    cursor.open(Ns::Ds, "KeyInfo")?;
    let recipient = read_recipient(cursor)?;
    cursor.close()?;
    let (wrapped, _) = read_cipher_value(cursor)?;
    // As above: the label that counts is computed.
    if label != Binding::of(header, &recipient).label().to_base64() {
        return Err(Refused::WrongKeyBinding);
    }
    if wrapped.len() > TRANSPORTED.end().div_ceil(3) * 4 {
        return Err(Refused::InvalidValue);
    }
    let octets = base64_simd::STANDARD
        .decode_to_vec(wrapped.as_bytes())
        .ok()
        .filter(|octets| TRANSPORTED.contains(&octets.len()))
        .ok_or(Refused::InvalidValue)?;
    Ok((recipient, WrappedKey::Transported(octets)))
}

fn read_originator(cursor: &mut Cursor<'_>) -> Result<[u8; 65], Refused> {
    cursor.open(Ns::Xenc, "OriginatorKeyInfo")?;
    cursor.open(Ns::Ds, "KeyValue")?;
    cursor.fixed(
        Ns::Dsig11,
        "ECKeyValue",
        [("Id", "originator")],
        Refused::WrongAttribute,
    )?;
    cursor.fixed(
        Ns::Dsig11,
        "NamedCurve",
        [("URI", algorithm::P256)],
        Refused::AlgorithmNotAllowed,
    )?;
    cursor.close()?;
    let point = cursor.element(Ns::Dsig11, "PublicKey")?;
    let point: [u8; 65] = parse_octets(&point)
        .filter(|point: &[u8; 65]| point[0] == 4)
        .ok_or(Refused::InvalidValue)?;
    cursor.close()?;
    cursor.close()?;
    read_retrieval(cursor, algorithm::EC_KEY_VALUE, "#originator")?;
    cursor.close()?;
    Ok(point)
}

fn read_recipient(cursor: &mut Cursor<'_>) -> Result<Digest, Refused> {
    cursor.open(Ns::Ds, "X509Data")?;
    let sha256 = [("Algorithm", algorithm::SHA256)];
    cursor.fixed(Ns::Dsig11, "X509Digest", sha256, Refused::AlgorithmNotAllowed)?;
    let (text, _) = cursor.text()?;
    let recipient = Digest::from_base64(&text).ok_or(Refused::InvalidValue)?;
    cursor.close()?;
    Ok(recipient)
}
