//! The content of an envelope as it travels: ciphertexts under one fresh key, and that key wrapped for the reader.
//!
//! The first EncryptedData is the manifest and carries the one EncryptedKey; each further one is a file and refers to
//! it. All is AES-256-GCM with a nonce of its own from the system's generator, in front of the ciphertext as XML
//! Encryption 1.1 has it.
//!
//! The originator's key stands as an ECKeyValue within KeyValue, and beside it a RetrievalMethod of type ECKeyValue
//! points to that same element. Both say the same; the second is there because libxmlsec (since 1.3.3) passes over
//! KeyValue unless its caller switches it on, and then silently takes some key of its own store for the originator.
//! Through the RetrievalMethod it finds the right key, so that it opens an envelope with nothing but the reader's key.
//!
//! The grammar is read when an envelope is verified, by whoever verifies it; what was read is kept, and opening reads
//! the places found then and no XML again. External parts will add a CipherReference here.

use std::borrow::Cow;
use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use viereck_routing::Digest;

use crate::header::Header;
use crate::limits;
use crate::refusal::Refused;
use crate::wrap::{Binding, ContentKey, WrappedKey};
use crate::xml::value::{octets, parse_octets};
use crate::xml::{Cursor, Ns, Vocabulary, algorithm};

const TAG_LEN: usize = 16;

/// A content key ready to encrypt or decrypt.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    pub(crate) fn new(key: &ContentKey) -> Result<Self, Unspecified> {
        Ok(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?)))
    }

    /// Encrypts `plain`, padded with zero octets to `length`: nonce, ciphertext and tag.
    pub(crate) fn encrypt(&self, plain: &[u8], length: usize) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce)?;
        let mut out = Vec::with_capacity(NONCE_LEN + length + TAG_LEN);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        out.resize(NONCE_LEN + length.max(plain.len()), 0);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[NONCE_LEN..])?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Decrypts base64 of nonce, ciphertext and tag. The plaintext is the returned range of the octets.
    pub(crate) fn decrypt(&self, base64: &[u8]) -> Result<(Vec<u8>, Range<usize>), Unspecified> {
        let mut sealed = base64_simd::STANDARD.decode_to_vec(base64).map_err(|_| Unspecified)?;
        let (nonce, ciphertext) = sealed.split_first_chunk_mut::<NONCE_LEN>().ok_or(Unspecified)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::empty(), ciphertext)?.len();
        Ok((sealed, NONCE_LEN..NONCE_LEN + length))
    }
}

/// Appends the content element: the manifest's ciphertext first.
pub(crate) fn write(
    out: &mut String,
    ciphertexts: &[Vec<u8>],
    key: &WrappedKey,
    header: &Header,
    certificate: &Digest,
) {
    out.push_str("<Content xmlns=\"");
    out.push_str(Vocabulary::ENVELOPE.own);
    out.push_str("\" Id=\"content\">");
    for (number, ciphertext) in ciphertexts.iter().enumerate() {
        out.push_str(&format!(
            "<xenc:EncryptedData xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\">\
             <xenc:EncryptionMethod Algorithm=\"{}\"></xenc:EncryptionMethod>\
             <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">",
            algorithm::AES256_GCM,
        ));
        if number == 0 {
            write_key(out, key, header, certificate);
        } else {
            write_retrieval(out, algorithm::ENCRYPTED_KEY, "#key");
        }
        out.push_str("</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>");
        base64_simd::STANDARD.encode_append(ciphertext, out);
        out.push_str("</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>");
    }
    out.push_str("</Content>");
}

fn write_key(out: &mut String, key: &WrappedKey, header: &Header, certificate: &Digest) {
    let [algorithm_id, party_u, party_v] = Binding::of(header, certificate).attributes();
    out.push_str(&format!(
        "<xenc:EncryptedKey Id=\"key\" Recipient=\"{reader}\">\
         <xenc:EncryptionMethod Algorithm=\"{kw}\"></xenc:EncryptionMethod>\
         <ds:KeyInfo><xenc:AgreementMethod Algorithm=\"{ecdh}\">\
         <xenc11:KeyDerivationMethod xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" Algorithm=\"{kdf}\">\
         <xenc11:ConcatKDFParams AlgorithmID=\"{algorithm_id}\" PartyUInfo=\"{party_u}\" PartyVInfo=\"{party_v}\">\
         <ds:DigestMethod Algorithm=\"{sha256}\"></ds:DigestMethod></xenc11:ConcatKDFParams>\
         </xenc11:KeyDerivationMethod><xenc:OriginatorKeyInfo><ds:KeyValue>\
         <dsig11:ECKeyValue xmlns:dsig11=\"http://www.w3.org/2009/xmldsig11#\" Id=\"originator\">\
         <dsig11:NamedCurve URI=\"{p256}\"></dsig11:NamedCurve><dsig11:PublicKey>{point}</dsig11:PublicKey>\
         </dsig11:ECKeyValue></ds:KeyValue>",
        reader = header.reader,
        kw = algorithm::KW_AES256,
        ecdh = algorithm::ECDH_ES,
        kdf = algorithm::CONCAT_KDF,
        sha256 = algorithm::SHA256,
        p256 = algorithm::P256,
        point = octets(&key.originator),
    ));
    write_retrieval(out, algorithm::EC_KEY_VALUE, "#originator");
    out.push_str(&format!(
        "</xenc:OriginatorKeyInfo><xenc:RecipientKeyInfo><ds:X509Data>\
         <dsig11:X509Digest xmlns:dsig11=\"http://www.w3.org/2009/xmldsig11#\" Algorithm=\"{sha256}\">{certificate}\
         </dsig11:X509Digest></ds:X509Data></xenc:RecipientKeyInfo></xenc:AgreementMethod></ds:KeyInfo>\
         <xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>",
        sha256 = algorithm::SHA256,
        certificate = certificate.to_base64(),
        wrapped = octets(&key.octets),
    ));
}

fn write_retrieval(out: &mut String, kind: &str, uri: &str) {
    out.push_str(&format!(
        "<ds:RetrievalMethod Type=\"{kind}\" URI=\"{uri}\"></ds:RetrievalMethod>"
    ));
}

/// The content of a verified envelope: where its ciphertexts stand, and the key on its way to the reader.
pub(crate) struct Encrypted {
    /// The digest of the reader's certificate.
    pub(crate) recipient: Digest,
    pub(crate) key: WrappedKey,
    /// Where the base64 of each ciphertext stands in the document; the manifest's first.
    pub(crate) ciphertexts: Vec<Range<usize>>,
}

/// Reads the content element; gives the range that is hashed.
pub(crate) fn read(cursor: &mut Cursor<'_>, header: &Header) -> Result<(Encrypted, Range<usize>), Refused> {
    let start = cursor.position();
    cursor.fixed(Ns::Own, "Content", [("Id", "content")], Refused::WrongAttribute)?;
    let mut nonces: Vec<[u8; NONCE_LEN]> = Vec::new();
    let mut ciphertexts = Vec::new();

    open_data(cursor)?;
    let (recipient, key) = read_key(cursor, header)?;
    close_data(cursor, &mut ciphertexts, &mut nonces)?;
    while !cursor.at_close() {
        if ciphertexts.len() > limits::CIPHERTEXTS {
            return Err(Refused::TooManyParts);
        }
        open_data(cursor)?;
        read_retrieval(cursor, algorithm::ENCRYPTED_KEY, "#key")?;
        close_data(cursor, &mut ciphertexts, &mut nonces)?;
    }
    cursor.close()?;

    nonces.sort_unstable();
    if nonces.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refused::EqualNonces);
    }
    let encrypted = Encrypted {
        recipient,
        key,
        ciphertexts,
    };
    Ok((encrypted, cursor.since(start)))
}

/// Reads up to and into the KeyInfo of an EncryptedData.
fn open_data(cursor: &mut Cursor<'_>) -> Result<(), Refused> {
    cursor.open(Ns::Xenc, "EncryptedData")?;
    cursor.algorithm(Ns::Xenc, "EncryptionMethod", algorithm::AES256_GCM)?;
    cursor.open(Ns::Ds, "KeyInfo")
}

/// Reads the rest of an EncryptedData after its KeyInfo's content.
fn close_data(
    cursor: &mut Cursor<'_>,
    ciphertexts: &mut Vec<Range<usize>>,
    nonces: &mut Vec<[u8; NONCE_LEN]>,
) -> Result<(), Refused> {
    cursor.close()?;
    let (text, range) = read_cipher_value(cursor)?;
    cursor.close()?;
    // 12 octets of nonce are 16 characters of base64: neither shares one with its neighbour.
    let nonce = text
        .get(..NONCE_LEN / 3 * 4)
        .and_then(parse_octets)
        .ok_or(Refused::InvalidValue)?;
    if base64_simd::STANDARD.check(text.as_bytes()).is_err() || text.len() < (NONCE_LEN + TAG_LEN) / 3 * 4 {
        return Err(Refused::InvalidValue);
    }
    nonces.push(nonce);
    ciphertexts.push(range);
    Ok(())
}

fn read_cipher_value<'a>(cursor: &mut Cursor<'a>) -> Result<(Cow<'a, str>, Range<usize>), Refused> {
    cursor.open(Ns::Xenc, "CipherData")?;
    if cursor.at(Ns::Xenc, "CipherReference") {
        return Err(Refused::ExternalReference);
    }
    cursor.open(Ns::Xenc, "CipherValue")?;
    let value = cursor.text()?;
    cursor.close()?;
    Ok(value)
}

fn read_retrieval(cursor: &mut Cursor<'_>, kind: &str, uri: &str) -> Result<(), Refused> {
    let [found_kind, found_uri] = cursor.attributes(Ns::Ds, "RetrievalMethod", ["Type", "URI"])?;
    cursor.close()?;
    if !found_uri.starts_with('#') {
        return Err(Refused::ExternalReference);
    }
    if found_kind == kind && found_uri == uri {
        Ok(())
    } else {
        Err(Refused::WrongAttribute)
    }
}

fn read_key(cursor: &mut Cursor<'_>, header: &Header) -> Result<(Digest, WrappedKey), Refused> {
    let expected = [("Id", "key"), ("Recipient", header.reader.as_str())];
    cursor.fixed(Ns::Xenc, "EncryptedKey", expected, Refused::WrongKeyBinding)?;
    cursor.algorithm(Ns::Xenc, "EncryptionMethod", algorithm::KW_AES256)?;
    cursor.open(Ns::Ds, "KeyInfo")?;
    let ecdh = [("Algorithm", algorithm::ECDH_ES)];
    cursor.fixed(Ns::Xenc, "AgreementMethod", ecdh, Refused::AlgorithmNotAllowed)?;
    let kdf = [("Algorithm", algorithm::CONCAT_KDF)];
    cursor.fixed(Ns::Xenc11, "KeyDerivationMethod", kdf, Refused::AlgorithmNotAllowed)?;
    let names = ["AlgorithmID", "PartyUInfo", "PartyVInfo"];
    let infos = cursor.attributes(Ns::Xenc11, "ConcatKDFParams", names)?;
    cursor.algorithm(Ns::Ds, "DigestMethod", algorithm::SHA256)?;
    cursor.close()?;
    cursor.close()?;
    let originator = read_originator(cursor)?;
    let recipient = read_recipient(cursor)?;
    cursor.close()?;
    cursor.close()?;
    let (wrapped, _) = read_cipher_value(cursor)?;
    cursor.close()?;
    // Nothing is derived from these attributes; a message that states another binding is refused all the same.
    if infos != Binding::of(header, &recipient).attributes() {
        return Err(Refused::WrongKeyBinding);
    }
    let octets = parse_octets(&wrapped).ok_or(Refused::InvalidValue)?;
    Ok((recipient, WrappedKey { originator, octets }))
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
    cursor.open(Ns::Xenc, "RecipientKeyInfo")?;
    cursor.open(Ns::Ds, "X509Data")?;
    let sha256 = [("Algorithm", algorithm::SHA256)];
    cursor.fixed(Ns::Dsig11, "X509Digest", sha256, Refused::AlgorithmNotAllowed)?;
    let (text, _) = cursor.text()?;
    let recipient = Digest::from_base64(&text).ok_or(Refused::InvalidValue)?;
    cursor.close()?;
    cursor.close()?;
    Ok(recipient)
}
