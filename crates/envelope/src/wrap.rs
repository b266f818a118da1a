//! How the content key reaches its reader: ephemeral ECDH on P-256, ConcatKDF and AES key wrap, or RSA-OAEP, by the kind
//! of the reader's key.
//!
//! Both are bound to author, message, reader and the reader's certificate: these go into the derivation or are the label,
//! are computed from the verified header and never taken from the message, so an encrypted key that is lifted into
//! another envelope does not unwrap. Standards: NIST SP 800-56A (single-step KDF, SHA-256), XML Encryption 1.1, RFC 3394,
//! RFC 8017 (RSA-OAEP with SHA-256, also in MGF1).

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PublicEncryptingKey};
use viereck_routing::{BehoerdeId, Certificate, Digest, MessageId, PublicKey};
use zeroize::Zeroizing;

use crate::header::Header;
use crate::keys::DecryptionKey;
use crate::xml::algorithm;

/// A content key: one for each sealing.
pub(crate) type ContentKey = Zeroizing<[u8; 32]>;

/// A content key on its way to the reader.
pub(crate) enum WrappedKey {
    /// Under a key agreed on by ECDH-ES.
    Agreed(Agreed),
    /// By RSA-OAEP: as many octets as the modulus has.
    Transported(Vec<u8>),
}

/// A content key under a key that originator and reader agree on.
pub(crate) struct Agreed {
    /// The ephemeral public key, an uncompressed point.
    pub(crate) originator: [u8; 65],
    /// The wrapped key.
    pub(crate) octets: [u8; 40],
}

/// What a wrapped key is bound to.
pub(crate) struct Binding {
    party_u: String,
    party_v: String,
}

impl Binding {
    /// Of this header, for the reader's certificate with this digest.
    pub(crate) fn of(header: &Header, certificate: &Digest) -> Self {
        Self::new(&header.author, &header.message_id, &header.reader, certificate)
    }

    fn new(author: &BehoerdeId, message: &MessageId, reader: &BehoerdeId, certificate: &Digest) -> Self {
        Self {
            party_u: format!("{author}|{message}"),
            party_v: format!("{reader}|{certificate}"),
        }
    }

    /// The values of AlgorithmID, PartyUInfo and PartyVInfo: the number of padding bits as an octet, then the octets,
    /// in upper-case hex. The octet of padding bits is not part of what is hashed.
    pub(crate) fn attributes(&self) -> [String; 3] {
        self.infos().map(|info| {
            let mut out = String::with_capacity(2 + info.len() * 2);
            out.push_str("00");
            for octet in info {
                for digit in [octet >> 4, octet & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
            out
        })
    }

    fn infos(&self) -> [&[u8]; 3] {
        [
            algorithm::KW_AES256.as_bytes(),
            self.party_u.as_bytes(),
            self.party_v.as_bytes(),
        ]
    }

    /// The label of RSA-OAEP: SHA-256 over both parties, which cannot contain the octet between them.
    pub(crate) fn label(&self) -> Digest {
        Digest::of_parts(&[self.party_u.as_bytes(), &[0], self.party_v.as_bytes()])
    }

    /// ConcatKDF for one block of SHA-256.
    fn derive(&self, secret: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&1_u32.to_be_bytes());
        context.update(secret);
        for info in self.infos() {
            context.update(info);
        }
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(context.finish().as_ref());
        key
    }
}

/// Wraps `key` for the holder of `recipient`.
pub(crate) fn wrap(key: &ContentKey, recipient: &Certificate, binding: &Binding) -> Result<WrappedKey, Unspecified> {
    match recipient.key() {
        PublicKey::P256(point) => agree_and_wrap(key, point, binding).map(WrappedKey::Agreed),
        PublicKey::Rsa { spki, .. } => transport(key, spki, binding).map(WrappedKey::Transported),
    }
}

fn agree_and_wrap(key: &ContentKey, point: &[u8], binding: &Binding) -> Result<Agreed, Unspecified> {
    let ephemeral = PrivateKey::generate(&ECDH_P256)?;
    let originator = ephemeral
        .compute_public_key()?
        .as_ref()
        .try_into()
        .map_err(|_| Unspecified)?;
    let kek = agree(
        &ephemeral,
        UnparsedPublicKey::new(&ECDH_P256, point),
        Unspecified,
        |secret| Ok(binding.derive(secret)),
    )?;
    let mut octets = [0; 40];
    AesKek::new(&AES_256, kek.as_slice())?.wrap(key.as_slice(), &mut octets)?;
    Ok(Agreed { originator, octets })
}

fn transport(key: &ContentKey, spki: &[u8], binding: &Binding) -> Result<Vec<u8>, Unspecified> {
    let recipient = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(spki)?)?;
    let mut octets = vec![0; recipient.ciphertext_size()];
    let label = binding.label();
    let written = recipient.encrypt(
        &OAEP_SHA256_MGF1SHA256,
        key.as_slice(),
        &mut octets,
        Some(label.octets()),
    )?;
    let written = written.len();
    octets.truncate(written);
    Ok(octets)
}

/// Unwraps a key with the reader's private key. The error says nothing of what failed, nor whether the key was of the
/// kind that the message is for.
pub(crate) fn unwrap(
    wrapped: &WrappedKey,
    reader: &DecryptionKey,
    binding: &Binding,
) -> Result<ContentKey, Unspecified> {
    match (wrapped, reader) {
        (WrappedKey::Agreed(agreed), DecryptionKey::P256(key)) => agree_and_unwrap(agreed, key, binding),
        (WrappedKey::Transported(octets), DecryptionKey::Rsa(key)) => receive(octets, key, binding),
        (WrappedKey::Agreed(_), DecryptionKey::Rsa(_)) | (WrappedKey::Transported(_), DecryptionKey::P256(_)) => {
            Err(Unspecified)
        }
    }
}

fn agree_and_unwrap(agreed: &Agreed, reader: &PrivateKey, binding: &Binding) -> Result<ContentKey, Unspecified> {
    let originator = UnparsedPublicKey::new(&ECDH_P256, &agreed.originator);
    let kek = agree(reader, originator, Unspecified, |secret| Ok(binding.derive(secret)))?;
    let mut key = Zeroizing::new([0; 32]);
    AesKek::new(&AES_256, kek.as_slice())?.unwrap(&agreed.octets, key.as_mut_slice())?;
    Ok(key)
}

fn receive(octets: &[u8], reader: &OaepPrivateDecryptingKey, binding: &Binding) -> Result<ContentKey, Unspecified> {
    let mut plain = Zeroizing::new(vec![0; reader.min_output_size()]);
    let label = binding.label();
    let found = reader.decrypt(&OAEP_SHA256_MGF1SHA256, octets, &mut plain, Some(label.octets()))?;
    Ok(Zeroizing::new((&*found).try_into().map_err(|_| Unspecified)?))
}
