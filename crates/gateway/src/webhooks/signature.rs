//! Signatures by which a client knows that a call is the gateway's: Standard Webhooks, scheme `v1`.
//!
//! A secret is computed from the gateway's own key, the webhook's id and a number, and stands nowhere: what is shown once
//! cannot be read out of a journal or a backup afterwards. What is signed is `id.timestamp.body` with HMAC-SHA256.

use std::fmt;

use aws_lc_rs::hmac;
use base64_simd::STANDARD;

/// Sets these signatures apart from everything else that the gateway's key is used for.
const PURPOSE: &[u8] = b"viereck webhook secret\0";

/// The secret of one webhook, 32 octets. Shown as `whsec_` and base64.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// The `generation`-th secret of the webhook `id`.
    pub(crate) fn derive(key: &[u8; 32], id: &str, generation: u32) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        for part in [PURPOSE, id.as_bytes(), b"\0", &generation.to_be_bytes()] {
            context.update(part);
        }
        let mut octets = [0; 32];
        octets.copy_from_slice(context.sign().as_ref());
        Self(octets)
    }

    /// The form in which a client gets it, once.
    pub(crate) fn shown(&self) -> String {
        format!("whsec_{}", STANDARD.encode_to_string(self.0))
    }
}

fn sign(secret: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body.as_bytes());
    format!("v1,{}", STANDARD.encode_to_string(context.sign()))
}

/// The header `webhook-signature`: one signature by each secret, the newest first, so that a client may change its
/// secret at its own pace.
pub(crate) fn header(secrets: &[Secret], id: &str, timestamp: i64, body: &str) -> String {
    let sign = |secret: &Secret| sign(&secret.0, id, timestamp, body);
    let signatures: Vec<String> = secrets.iter().map(sign).collect();
    signatures.join(" ")
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn a_signature_is_what_the_specification_says() {
        let octets = STANDARD.decode_to_vec("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, timestamp, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(&octets, id, timestamp, body), expected);
    }

    #[test]
    fn secrets_differ_by_webhook_and_generation_and_do_not_show() {
        let key = [1; 32];
        let shown = |id, generation| Secret::derive(&key, id, generation).shown();
        assert_eq!(shown("a", 1), shown("a", 1));
        assert_ne!(shown("a", 1), shown("a", 2));
        assert_ne!(shown("a", 1), shown("b", 1));
        assert!(shown("a", 1).starts_with("whsec_"));
        assert_eq!(format!("{:?}", Secret::derive(&key, "a", 1)), "Secret");
        let both = header(
            &[Secret::derive(&key, "a", 2), Secret::derive(&key, "a", 1)],
            "i",
            1,
            "{}",
        );
        assert_eq!(both.split(' ').count(), 2);
    }
}
