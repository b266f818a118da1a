//! What a client calls an application, its own reference and its Idempotency-Key: kept as keyed digests, so that they can
//! be looked for and never read.
//!
//! Either may say something about a person. Whoever knows it, and has the gateway's key, finds the message; the journal
//! alone tells nobody what it was.

use std::path::Path;

use aws_lc_rs::hmac;
use viereck_routing::{Digest, GatewayId};

use crate::keys::{KeysError, octets};

/// Sets these digests apart from each other and from those of whole requests, which are made with the same key.
const REFERENCE: &[u8] = b"viereck client reference\0";
const IDEMPOTENCY_KEY: &[u8] = b"viereck idempotency key\0";

/// The digest of a client's `reference` under the key of a gateway.
pub fn digest(key: &[u8; 32], reference: &str) -> Digest {
    keyed(key, REFERENCE, reference)
}

/// The digest of an Idempotency-Key under the key of a gateway.
pub fn digest_of_key(key: &[u8; 32], idempotency_key: &str) -> Digest {
    keyed(key, IDEMPOTENCY_KEY, idempotency_key)
}

fn keyed(key: &[u8; 32], purpose: &[u8], text: &str) -> Digest {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(purpose);
    context.update(text.as_bytes());
    let mut octets = [0; 32];
    octets.copy_from_slice(context.sign().as_ref());
    Digest::from_octets(octets)
}

/// The key of `gateway` for such digests, from the folder with the keys of all gateways.
///
/// # Errors
/// When its file is missing or malformed.
pub fn key(folder: &Path, gateway: &GatewayId) -> Result<[u8; 32], KeysError> {
    octets(&folder.join(gateway.as_str()).join("fingerprint.key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reference_is_found_under_the_same_key_only() {
        assert_eq!(digest(&[1; 32], "AZ 4711"), digest(&[1; 32], "AZ 4711"));
        assert_ne!(digest(&[1; 32], "AZ 4711"), digest(&[1; 32], "AZ 4712"));
        assert_ne!(digest(&[1; 32], "AZ 4711"), digest(&[2; 32], "AZ 4711"));
        assert_ne!(digest(&[1; 32], "AZ 4711"), digest_of_key(&[1; 32], "AZ 4711"));
    }
}
