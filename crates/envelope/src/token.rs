//! The reply token: what a gateway seals for itself, so that an answer finds its mailbox.
//!
//! The token says where an answer may go, encrypted under a key that only the sealing gateway has (AES-256-GCM, fresh
//! nonce). The authority that carries it back learns nothing from it, and cannot make, change or combine one. That an
//! answer returns the token of its own case is for the gateway to compare: the channel names message and reader.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use viereck_routing::{BehoerdeId, MessageId};
use zeroize::Zeroizing;

use crate::receipt::UnknownWord;
use crate::seal::SealError;

/// Bound to every token: what it is and its version.
const CONTEXT: &[u8] = b"urn:viereck:reply-token:1";
/// Room for a mailbox handle of 1 KiB.
const LONGEST_TOKEN: usize = 2048;

/// A sealed [`ReplyChannel`]: opaque base64url text.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ReplyToken(String);

/// Where an answer may go.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyChannel {
    /// The handle of the applicant's mailbox.
    pub mailbox: String,
    /// The level of trust that the mailbox needs.
    pub level: u8,
    /// The message that may be answered.
    pub message_id: MessageId,
    /// The participant that may answer.
    pub reader: BehoerdeId,
    /// Until when.
    pub expires: Timestamp,
}

/// A gateway's own key for reply tokens.
pub struct ReplyTokenKey(Zeroizing<[u8; 32]>);

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Not a token, or not one of this gateway.
    #[error("not a reply token of this gateway")]
    NotOurs,
    /// Its time has passed.
    #[error("the reply token has expired")]
    Expired,
}

impl TokenRefused {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            TokenRefused::NotOurs => "reply-token-not-ours",
            TokenRefused::Expired => "reply-token-expired",
        }
    }
}

impl ReplyTokenKey {
    /// The key from its 32 octets.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// Seals `channel`. Two tokens of the same channel differ.
    pub fn seal(&self, channel: &ReplyChannel) -> Result<ReplyToken, SealError> {
        let mut sealed = channel.to_text().into_bytes();
        let nonce = self
            .cipher()
            .and_then(|cipher| cipher.seal_in_place_append_tag(Aad::from(CONTEXT), &mut sealed))
            .map_err(|_| SealError::Cryptography)?;
        sealed.splice(..0, *nonce.as_ref());
        base64_simd::URL_SAFE_NO_PAD
            .encode_to_string(sealed)
            .parse()
            .map_err(|_| SealError::TooLarge)
    }

    /// Opens a token of this gateway that has not expired at `now`.
    pub fn open(&self, token: &ReplyToken, now: Timestamp) -> Result<ReplyChannel, TokenRefused> {
        let channel = self.decipher(token).ok_or(TokenRefused::NotOurs)?;
        if now > channel.expires {
            Err(TokenRefused::Expired)
        } else {
            Ok(channel)
        }
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, aws_lc_rs::error::Unspecified> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.as_slice())
    }

    fn decipher(&self, token: &ReplyToken) -> Option<ReplyChannel> {
        let mut sealed = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(&token.0).ok()?;
        let (nonce, ciphertext) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .cipher()
            .ok()?
            .open_in_place(nonce, Aad::from(CONTEXT), ciphertext)
            .ok()?;
        ReplyChannel::from_text(std::str::from_utf8(plain).ok()?)
    }
}

impl ReplyChannel {
    /// The mailbox stands last: its handle may hold any character.
    fn to_text(&self) -> String {
        let expires = self.expires.as_millisecond();
        format!(
            "{}|{}|{}|{expires}|{}",
            self.level, self.message_id, self.reader, self.mailbox
        )
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut fields = text.splitn(5, '|');
        Some(Self {
            level: fields.next()?.parse().ok()?,
            message_id: fields.next()?.parse().ok()?,
            reader: fields.next()?.parse().ok()?,
            expires: Timestamp::from_millisecond(fields.next()?.parse().ok()?).ok()?,
            mailbox: fields.next()?.to_owned(),
        })
    }
}

impl ReplyToken {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReplyToken {
    type Err = UnknownWord;
    /// Judges the shape only; whether it is a token of this gateway shows when it is opened.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let fits = (1..=LONGEST_TOKEN).contains(&text.len())
            && text
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(UnknownWord("shape of a reply token"))
        }
    }
}

impl fmt::Display for ReplyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReplyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyToken")
    }
}

impl fmt::Debug for ReplyChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyChannel")
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplyTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyTokenKey")
    }
}

impl<'de> Deserialize<'de> for ReplyToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> ReplyChannel {
        ReplyChannel {
            mailbox: "mailbox|with a bar".to_owned(),
            level: 3,
            message_id: MessageId::random(),
            reader: "wgb:010540880000".parse().unwrap(),
            expires: "2026-05-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_token_opens_only_with_its_key_and_in_its_time() {
        let (key, other) = (ReplyTokenKey::from_octets([1; 32]), ReplyTokenKey::from_octets([2; 32]));
        let token = key.seal(&channel()).unwrap();
        let (before, after) = (
            "2026-04-30T00:00:00Z".parse().unwrap(),
            "2026-05-01T00:00:00.001Z".parse().unwrap(),
        );
        assert_eq!(key.open(&token, before).unwrap().mailbox, "mailbox|with a bar");
        assert_eq!(key.open(&token, after), Err(TokenRefused::Expired));
        assert_eq!(other.open(&token, before), Err(TokenRefused::NotOurs));
        assert_ne!(token, key.seal(&channel()).unwrap());
    }

    #[test]
    fn a_changed_token_is_not_ours() {
        let key = ReplyTokenKey::from_octets([1; 32]);
        let text = key.seal(&channel()).unwrap().to_string();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let token: ReplyToken = String::from_utf8(changed).unwrap().parse().unwrap();
            assert_eq!(
                key.open(&token, Timestamp::UNIX_EPOCH),
                Err(TokenRefused::NotOurs),
                "octet {at}"
            );
        }
        for text in ["", "not base64url!", &"A".repeat(LONGEST_TOKEN + 1)] {
            assert!(text.parse::<ReplyToken>().is_err());
        }
    }

    #[test]
    fn debug_output_shows_no_mailbox() {
        let key = ReplyTokenKey::from_octets([1; 32]);
        let token = key.seal(&channel()).unwrap();
        assert!(!format!("{token:?} {:?}", channel()).contains("mailbox|"));
        assert!(!format!("{token:?}").contains(token.as_str()));
    }
}
