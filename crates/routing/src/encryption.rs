//! What a message is encrypted for: the reader's certificate, with an ML-KEM-768 key beside it where there is one, and
//! the lowest profile that will do.
//!
//! Guarantees: an ML-KEM key stands beside an EC certificate only, because both together agree on one key. The profile
//! follows from the keys, never from a choice: whoever has both gets both.

use crate::certificate::{Certificate, PublicKey};
use crate::ml_kem::MlKemKey;
use crate::words::Profile;

/// The key pair, or the two key pairs, for which a message is encrypted: their public halves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionKey {
    certificate: Certificate,
    ml_kem: Option<MlKemKey>,
    lowest: Profile,
}

/// An ML-KEM key was put beside a certificate whose key is not on P-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an ML-KEM key goes only with a certificate for ECDH on P-256")]
pub struct NotAPair;

impl EncryptionKey {
    /// A certificate alone: profile 1.
    pub fn classical(certificate: Certificate) -> Self {
        Self {
            certificate,
            ml_kem: None,
            lowest: Profile::P1,
        }
    }

    /// A certificate with an ML-KEM key: profile 2.
    pub fn hybrid(certificate: Certificate, ml_kem: MlKemKey) -> Result<Self, NotAPair> {
        match certificate.key() {
            PublicKey::P256(_) => Ok(Self {
                certificate,
                ml_kem: Some(ml_kem),
                lowest: Profile::P1,
            }),
            PublicKey::Rsa { .. } => Err(NotAPair),
        }
    }

    /// The same, refusing whatever is below `lowest`.
    #[must_use]
    pub fn at_least(self, lowest: Profile) -> Self {
        Self {
            lowest: self.lowest.max(lowest),
            ..self
        }
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The ML-KEM key beside it.
    pub fn ml_kem(&self) -> Option<&MlKemKey> {
        self.ml_kem.as_ref()
    }

    /// The profile in which a message for these keys is sealed.
    pub fn profile(&self) -> Profile {
        match self.ml_kem {
            None => Profile::P1,
            Some(_) => Profile::P2,
        }
    }

    /// The lowest profile in which the reader takes a message.
    pub fn lowest(&self) -> Profile {
        self.lowest
    }
}
