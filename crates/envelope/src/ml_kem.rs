//! ML-KEM-768 private keys (FIPS 203): made, written and read.
//!
//! A key is a PEM file `PRIVATE KEY`: PKCS#8 in the form of RFC 9935 that holds the expanded key, because that is the form
//! the cryptographic library takes. Its DER has one spelling only, so what stands before the key is compared and not
//! parsed. A key counts only with its public half: one message is encapsulated and taken out again before it is used.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768, SharedSecret};
use viereck_routing::{MlKemKey, pem};
use zeroize::Zeroizing;

use crate::keys::{KeyError, private_key_der};

/// SEQUENCE { 0, SEQUENCE { OID 2.16.840.1.101.3.4.4.2 }, OCTET STRING { OCTET STRING of 2,400 octets } }, up to the key.
const PREFIX: [u8; 28] = [
    0x30, 0x82, 0x09, 0x78, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04,
    0x02, 0x04, 0x82, 0x09, 0x64, 0x04, 0x82, 0x09, 0x60,
];
/// The length of an expanded decapsulation key.
const LENGTH: usize = 2400;
/// Where in it the encapsulation key stands (FIPS 203, algorithm 16).
const PUBLIC: std::ops::Range<usize> = 1152..2336;
/// The length of a ciphertext.
pub(crate) const CIPHERTEXT: usize = 1088;

/// A private key with its public half.
pub(crate) struct MlKemPrivateKey {
    key: DecapsulationKey,
    public: MlKemKey,
}

impl MlKemPrivateKey {
    /// Reads an unencrypted PKCS#8 key and binds it to its public half.
    pub(crate) fn new(public: MlKemKey, pkcs8_pem: &str) -> Result<Self, KeyError> {
        let der = private_key_der(pkcs8_pem)?;
        let octets = expanded(&der)?;
        if octets.get(PUBLIC) != Some(public.octets()) {
            return Err(KeyError::NotOfCertificate);
        }
        let key = DecapsulationKey::new(&ML_KEM_768, octets).map_err(|_| KeyError::NotMlKem)?;
        let read = Self { key, public };
        read.is_consistent().map_err(|_| KeyError::NotMlKem)?;
        Ok(read)
    }

    /// Whether the private half undoes what the public half does.
    fn is_consistent(&self) -> Result<(), Unspecified> {
        let (ciphertext, secret) = encapsulate(&self.public)?;
        let found = self.decapsulate(&ciphertext)?;
        verify_slices_are_equal(secret.as_ref(), found.as_ref())
    }

    pub(crate) fn public(&self) -> &MlKemKey {
        &self.public
    }

    /// The secret in a ciphertext; another secret, and no error, if the ciphertext was made for another key.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT]) -> Result<SharedSecret, Unspecified> {
        self.key.decapsulate(Ciphertext::from(ciphertext.as_slice()))
    }
}

impl fmt::Debug for MlKemPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MlKemPrivateKey").field(&self.public).finish()
    }
}

/// A fresh secret, and the ciphertext from which the holder of `recipient` gets it.
pub(crate) fn encapsulate(recipient: &MlKemKey) -> Result<([u8; CIPHERTEXT], SharedSecret), Unspecified> {
    let key = EncapsulationKey::new(&ML_KEM_768, recipient.octets())?;
    let (ciphertext, secret) = key.encapsulate()?;
    Ok((ciphertext.as_ref().try_into().map_err(|_| Unspecified)?, secret))
}

/// The public half of a private key, PKCS#8 as PEM.
///
/// # Errors
/// It is no unencrypted ML-KEM-768 key in the form of RFC 9935 that holds the expanded key.
pub fn ml_kem_key_of(pkcs8_pem: &str) -> Result<MlKemKey, KeyError> {
    let der = private_key_der(pkcs8_pem)?;
    let public = expanded(&der)?.get(PUBLIC).ok_or(KeyError::NotMlKem)?;
    let public = MlKemKey::from_octets(public).map_err(|_| KeyError::NotMlKem)?;
    MlKemPrivateKey::new(public.clone(), pkcs8_pem)?;
    Ok(public)
}

/// The expanded key in the DER of a file.
fn expanded(der: &[u8]) -> Result<&[u8], KeyError> {
    let octets = der.strip_prefix(&PREFIX).filter(|octets| octets.len() == LENGTH);
    octets.ok_or(KeyError::NotMlKem)
}

/// Makes a key pair: the public half, and the private half as PEM.
///
/// # Errors
/// When the cryptographic library fails.
pub fn new_ml_kem_key() -> Result<(MlKemKey, Zeroizing<String>), KeyError> {
    let failed = |_| KeyError::NotMlKem;
    let key = DecapsulationKey::generate(&ML_KEM_768).map_err(failed)?;
    let public = key
        .encapsulation_key()
        .and_then(|key| key.key_bytes())
        .map_err(failed)?;
    let public = MlKemKey::from_octets(public.as_ref()).map_err(|_| KeyError::NotMlKem)?;
    let octets = key.key_bytes().map_err(failed)?;
    let der = Zeroizing::new([&PREFIX, octets.as_ref()].concat());
    Ok((public, Zeroizing::new(pem("PRIVATE KEY", &der))))
}
