//! How the content key reaches its reader: ephemeral ECDH on P-256, ConcatKDF and AES key wrap, or RSA-OAEP, by the kind
//! of the reader's key; and in profile 2 ECDH and ML-KEM-768 together, so that whoever breaks one of them has nothing.
//!
//! All are bound to author, message, reader and the reader's certificate: these go into the derivation or are the label,
//! are computed from the verified header and never taken from the message, so an encrypted key that is lifted into
//! another envelope does not unwrap. Standards: NIST SP 800-56A (single-step KDF, SHA-256), XML Encryption 1.1, RFC 3394,
//! RFC 8017 (RSA-OAEP with SHA-256, also in MGF1), FIPS 203 (ML-KEM), NIST SP 800-56C Rev. 2 (hybrid secret: the secret of
//! ML-KEM before that of ECDH). In the hybrid form both ciphertexts and both public keys go into the derivation as well.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PublicEncryptingKey};
use viereck_routing::{BehoerdeId, Digest, EncryptionKey, MessageId, MlKemKey, PublicKey};
use zeroize::Zeroizing;

use crate::header::Header;
use crate::keys::{DecryptionKey, ReaderKey};
use crate::ml_kem::{CIPHERTEXT, encapsulate};
use crate::xml::algorithm;

/// A content key: one for each sealing.
pub(crate) type ContentKey = Zeroizing<[u8; 32]>;

/// A content key on its way to the reader.
pub(crate) enum WrappedKey {
    /// Under a key agreed on by ECDH-ES.
    Agreed(Agreed),
    /// By RSA-OAEP: as many octets as the modulus has.
    Transported(Vec<u8>),
    /// Under a key agreed on by ECDH-ES and ML-KEM together.
    Hybrid(Agreed, Box<Encapsulated>),
}

/// What ML-KEM adds to an agreement.
pub(crate) struct Encapsulated {
    pub(crate) ciphertext: [u8; CIPHERTEXT],
    /// What the document says that both ciphertexts and public keys are, as [`transcript`] has it.
    pub(crate) transcript: Digest,
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
        self.infos().map(info)
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

    /// ConcatKDF for one block of SHA-256. `secrets` are taken one behind the other, and `public` is SuppPubInfo.
    fn derive(&self, secrets: &[&[u8]], public: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&1_u32.to_be_bytes());
        for secret in secrets {
            context.update(secret);
        }
        for info in self.infos() {
            context.update(info);
        }
        context.update(public);
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(context.finish().as_ref());
        key
    }
}

/// An attribute of the key derivation: no padding bits, then the octets.
pub(crate) fn info(octets: &[u8]) -> String {
    let mut out = String::with_capacity(2 + octets.len() * 2);
    out.push_str("00");
    for octet in octets {
        for digit in [octet >> 4, octet & 15] {
            out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
        }
    }
    out
}

/// Both ciphertexts and both public keys of a hybrid agreement: SHA-256 of the ML-KEM ciphertext, the encapsulation key,
/// the originator's point and the reader's point. All have fixed lengths.
fn transcript(ciphertext: &[u8; CIPHERTEXT], ml_kem: &MlKemKey, originator: &[u8; 65], point: &[u8]) -> Digest {
    Digest::of_parts(&[ciphertext, ml_kem.octets(), originator, point])
}

/// Wraps `key` for the holder of `recipient`.
pub(crate) fn wrap(key: &ContentKey, recipient: &EncryptionKey, binding: &Binding) -> Result<WrappedKey, Unspecified> {
    match (recipient.certificate().key(), recipient.ml_kem()) {
        (PublicKey::P256(point), None) => {
            let agreed = agree_and_wrap(key, point, |_, secret| binding.derive(&[secret], &[]))?;
            Ok(WrappedKey::Agreed(agreed))
        }
        (PublicKey::P256(point), Some(ml_kem)) => {
            let (ciphertext, first) = encapsulate(ml_kem)?;
            let mut stated = Digest::ZERO;
            let agreed = agree_and_wrap(key, point, |originator, second| {
                stated = transcript(&ciphertext, ml_kem, originator, point);
                binding.derive(&[first.as_ref(), second], stated.octets())
            })?;
            let encapsulated = Encapsulated {
                ciphertext,
                transcript: stated,
            };
            Ok(WrappedKey::Hybrid(agreed, Box::new(encapsulated)))
        }
        (PublicKey::Rsa { spki, .. }, None) => transport(key, spki, binding).map(WrappedKey::Transported),
        (PublicKey::Rsa { .. }, Some(_)) => Err(Unspecified),
    }
}

/// Agrees on a key with a fresh originator, and wraps `key` under what `derive` makes of originator and secret.
fn agree_and_wrap(
    key: &ContentKey,
    point: &[u8],
    derive: impl FnOnce(&[u8; 65], &[u8]) -> Zeroizing<[u8; 32]>,
) -> Result<Agreed, Unspecified> {
    let ephemeral = PrivateKey::generate(&ECDH_P256)?;
    let originator = ephemeral
        .compute_public_key()?
        .as_ref()
        .try_into()
        .map_err(|_| Unspecified)?;
    let recipient = UnparsedPublicKey::new(&ECDH_P256, point);
    let kek = agree(&ephemeral, recipient, Unspecified, |secret| {
        Ok(derive(&originator, secret))
    })?;
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

/// Unwraps a key with the reader's private keys. The error says nothing of what failed, nor whether the keys were of the
/// kind that the message is for.
pub(crate) fn unwrap(wrapped: &WrappedKey, reader: &ReaderKey, binding: &Binding) -> Result<ContentKey, Unspecified> {
    match (wrapped, reader.key.as_ref(), &reader.ml_kem) {
        (WrappedKey::Agreed(agreed), DecryptionKey::P256(key), _) => {
            agree_and_unwrap(agreed, key, |secret| binding.derive(&[secret], &[]))
        }
        (WrappedKey::Hybrid(agreed, encapsulated), DecryptionKey::P256(key), Some(ml_kem)) => {
            let PublicKey::P256(point) = reader.certificate.key() else {
                return Err(Unspecified);
            };
            let ciphertext = &encapsulated.ciphertext;
            let computed = transcript(ciphertext, ml_kem.public(), &agreed.originator, point);
            let first = ml_kem.decapsulate(ciphertext)?;
            let unwrapped = agree_and_unwrap(agreed, key, |second| {
                binding.derive(&[first.as_ref(), second], computed.octets())
            });
            // What counts is computed; a message that states something else is refused all the same, and only now, so that
            // it takes as long as any other that does not open.
            if computed != encapsulated.transcript {
                return Err(Unspecified);
            }
            unwrapped
        }
        (WrappedKey::Transported(octets), DecryptionKey::Rsa(key), _) => receive(octets, key, binding),
        (WrappedKey::Agreed(_) | WrappedKey::Hybrid(..), DecryptionKey::Rsa(_), _)
        | (WrappedKey::Hybrid(..), DecryptionKey::P256(_), None)
        | (WrappedKey::Transported(_), DecryptionKey::P256(_), _) => Err(Unspecified),
    }
}

fn agree_and_unwrap(
    agreed: &Agreed,
    reader: &PrivateKey,
    derive: impl FnOnce(&[u8]) -> Zeroizing<[u8; 32]>,
) -> Result<ContentKey, Unspecified> {
    let originator = UnparsedPublicKey::new(&ECDH_P256, &agreed.originator);
    let kek = agree(reader, originator, Unspecified, |secret| Ok(derive(secret)))?;
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
