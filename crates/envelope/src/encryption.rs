//! The content of an envelope as it travels: ciphertexts under one fresh key, and that key wrapped for the reader.
//!
//! The first EncryptedData is the manifest and carries the one EncryptedKey; each further one is a file and refers to
//! it. All is AES-256-GCM with a nonce of its own from the system's generator, in front of the ciphertext as XML
//! Encryption 1.1 has it.
//!
//! The grammar is read when an envelope is verified, by whoever verifies it; what was read is kept, and opening reads
//! the places found then and no XML again. External parts will add a CipherReference here.

mod encrypted_key;

use std::borrow::Cow;
use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use viereck_routing::Digest;

use crate::header::Header;
use crate::limits;
use crate::refusal::Refused;
use crate::wrap::{ContentKey, WrappedKey};
use crate::xml::value::parse_octets;
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
            encrypted_key::write(out, key, header, certificate);
        } else {
            write_retrieval(out, algorithm::ENCRYPTED_KEY, "#key");
        }
        out.push_str("</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>");
        base64_simd::STANDARD.encode_append(ciphertext, out);
        out.push_str("</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>");
    }
    out.push_str("</Content>");
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
    let (recipient, key) = encrypted_key::read(cursor, header)?;
    close_data(cursor, &mut ciphertexts, &mut nonces)?;
    while !cursor.at_close() {
        if ciphertexts.len() >= limits::CIPHERTEXTS {
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
    if base64_simd::STANDARD.check(text.as_bytes()).is_err() || text.len() < (NONCE_LEN + TAG_LEN).div_ceil(3) * 4 {
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
