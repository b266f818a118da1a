//! Which algorithm a key signs with: fixed by its kind and size, never by a message.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA512,
    RsaSignatureEncoding, UnparsedPublicKey, VerificationAlgorithm,
};
use viereck_routing::PublicKey;

use crate::refusal::Refused;
use crate::xml::algorithm;

/// From this size of the modulus on an RSA key signs with SHA-512, as the Verwaltungs-PKI does.
const SHA512_BITS: usize = 4096;

/// A signature algorithm of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// ECDSA on P-256 with SHA-256; r and s, 32 octets each.
    Ecdsa,
    /// RSA-PSS with SHA-256, also in MGF1, and a salt of 32 octets.
    PssSha256,
    /// RSA-PSS with SHA-512, also in MGF1, and a salt of 64 octets.
    PssSha512,
}

impl Method {
    /// The one method of this key.
    pub(crate) fn of(key: &PublicKey) -> Self {
        match key {
            PublicKey::P256(_) => Method::Ecdsa,
            PublicKey::Rsa { bits, .. } if *bits < SHA512_BITS => Method::PssSha256,
            PublicKey::Rsa { .. } => Method::PssSha512,
        }
    }

    /// How a document names it.
    pub(crate) fn identifier(self) -> &'static str {
        match self {
            Method::Ecdsa => algorithm::ECDSA_SHA256,
            Method::PssSha256 => algorithm::RSA_PSS_SHA256,
            Method::PssSha512 => algorithm::RSA_PSS_SHA512,
        }
    }

    /// How an RSA key signs by it; `None` for what no RSA key does.
    pub(crate) fn rsa_encoding(self) -> Option<&'static RsaSignatureEncoding> {
        match self {
            Method::Ecdsa => None,
            Method::PssSha256 => Some(&RSA_PSS_SHA256),
            Method::PssSha512 => Some(&RSA_PSS_SHA512),
        }
    }

    /// Verifies a signature value over `octets`. That an RSA key is large enough was judged when it was read.
    pub(crate) fn verify(key: &PublicKey, octets: &[u8], value: &[u8]) -> Result<(), Refused> {
        let length = match key {
            PublicKey::P256(_) => 64,
            PublicKey::Rsa { bits, .. } => bits.div_ceil(8),
        };
        if value.len() != length {
            return Err(Refused::SignatureInvalid);
        }
        let algorithm: &'static dyn VerificationAlgorithm = match Method::of(key) {
            Method::Ecdsa => &ECDSA_P256_SHA256_FIXED,
            Method::PssSha256 => &RSA_PSS_2048_8192_SHA256,
            Method::PssSha512 => &RSA_PSS_2048_8192_SHA512,
        };
        UnparsedPublicKey::new(algorithm, key.octets())
            .verify(octets, value)
            .map_err(|_| Refused::SignatureInvalid)
    }
}
