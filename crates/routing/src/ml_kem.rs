//! ML-KEM-768 public keys (FIPS 203), as they stand beside a certificate for encryption.
//!
//! There are no certificates of such keys yet, so a key counts, as certificates do here, because an operator committed it
//! for one participant. The file is PEM `PUBLIC KEY`: a SubjectPublicKeyInfo of RFC 9935. Its DER has one spelling only,
//! so what stands before the key is compared and not parsed.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};

use crate::digest::Digest;
use crate::pem::pem;

/// SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.4.2 }, BIT STRING of 1,184 octets }, up to the key.
const PREFIX: [u8; 22] = [
    0x30, 0x82, 0x04, 0xb2, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x02, 0x03, 0x82,
    0x04, 0xa1, 0x00,
];
/// The length of an encapsulation key.
const LENGTH: usize = 1184;

/// A pinned ML-KEM-768 encapsulation key. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct MlKemKey(Arc<[u8]>);

/// Why a file holds no ML-KEM-768 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MlKemError {
    /// No single PEM block `PUBLIC KEY`.
    #[error("not a PEM file with exactly one PUBLIC KEY")]
    NotPem,
    /// The key is of another kind, or FIPS 203 does not allow it.
    #[error("not an ML-KEM-768 public key")]
    NotAllowed,
}

impl MlKemKey {
    /// Reads a PEM file that holds exactly one key.
    pub fn from_pem(pem: &str) -> Result<Self, MlKemError> {
        let mut blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes());
        let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
            return Err(MlKemError::NotPem);
        };
        if block.label != "PUBLIC KEY" {
            return Err(MlKemError::NotPem);
        }
        let octets = block.contents.strip_prefix(&PREFIX).ok_or(MlKemError::NotAllowed)?;
        Self::from_octets(octets)
    }

    /// Takes the encapsulation key itself, if it is one that FIPS 203 allows: encapsulating checks that.
    pub fn from_octets(octets: &[u8]) -> Result<Self, MlKemError> {
        if octets.len() != LENGTH {
            return Err(MlKemError::NotAllowed);
        }
        EncapsulationKey::new(&ML_KEM_768, octets)
            .ok()
            .and_then(|key| key.encapsulate().ok())
            .ok_or(MlKemError::NotAllowed)?;
        Ok(Self(octets.into()))
    }

    /// The encapsulation key: 1,184 octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The SubjectPublicKeyInfo as PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.der())
    }

    /// SHA-256 of the SubjectPublicKeyInfo: how the directory names this key.
    pub fn sha256(&self) -> Digest {
        Digest::of(&self.der())
    }

    fn der(&self) -> Vec<u8> {
        [&PREFIX, &*self.0].concat()
    }
}

impl fmt::Debug for MlKemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MlKemKey({})", self.sha256())
    }
}
