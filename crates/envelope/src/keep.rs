//! The content key that a sealing gateway keeps for itself, so that it can seal the same content anew.
//!
//! The content of an envelope is encrypted for its reader alone, also in the journal of the gateway that sealed it. So
//! that it can be sealed for another key or another reader later, that gateway keeps the content key, encrypted under a
//! key of its own (AES-256-GCM, fresh nonce) and bound to the one message it belongs to. Whoever deletes the kept key
//! can no longer read the content there.
//!
//! Does not: travel. A kept key never leaves the journal of the gateway that made it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::header::Header;
use crate::wrap::ContentKey;

/// What the key for content keys is derived by, and what each of them is bound to: its purpose and version.
const CONTEXT: &str = "urn:viereck:kept-content-key:1";
const TAG_LEN: usize = 16;
const KEY_LEN: usize = 32;

/// A gateway's own key for the content keys it keeps.
pub struct KeepKey(Zeroizing<[u8; KEY_LEN]>);

/// A content key, encrypted for the gateway that keeps it. Octets of a fixed length.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptKey([u8; NONCE_LEN + KEY_LEN + TAG_LEN]);

impl KeepKey {
    /// The key derived from a secret of the gateway: HMAC-SHA-256 over its purpose.
    pub fn derived_from(secret: &[u8; 32]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), CONTEXT.as_bytes());
        let mut key = Zeroizing::new([0; KEY_LEN]);
        key.copy_from_slice(tag.as_ref());
        Self(key)
    }

    /// Encrypts the content key of the message with this header.
    pub(crate) fn keep(&self, key: &ContentKey, header: &Header) -> Result<KeptKey, Unspecified> {
        let mut sealed = Zeroizing::new(key.to_vec());
        let nonce = self
            .cipher()?
            .seal_in_place_append_tag(Aad::from(binding(header)), &mut *sealed)?;
        let mut kept = [0; NONCE_LEN + KEY_LEN + TAG_LEN];
        let (front, rest) = kept.split_at_mut(NONCE_LEN);
        front.copy_from_slice(nonce.as_ref());
        rest.copy_from_slice(&sealed);
        Ok(KeptKey(kept))
    }

    /// The content key of the message with this header.
    pub(crate) fn recall(&self, kept: &KeptKey, header: &Header) -> Result<ContentKey, Unspecified> {
        let (nonce, sealed) = kept.0.split_first_chunk::<NONCE_LEN>().ok_or(Unspecified)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .cipher()?
            .open_in_place(nonce, Aad::from(binding(header)), &mut sealed)?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        key.copy_from_slice(plain.get(..KEY_LEN).ok_or(Unspecified)?);
        Ok(key)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, Unspecified> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.as_slice())
    }
}

/// The one message that a kept key belongs to: by its own words, and by its content.
fn binding(header: &Header) -> String {
    format!(
        "{CONTEXT}|{}|{}|{}",
        header.author, header.message_id, header.commitment
    )
}

impl KeptKey {
    /// The octets, as a journal stores them.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// What a journal stored; `None` when it has another length.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self)
    }
}

impl fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptKey")
    }
}

impl fmt::Debug for KeepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeepKey")
    }
}
