//! Keys and the certificates they belong to: who signs, who reads, whose certificate is pinned.
//!
//! A private key is only accepted together with the certificate of its public half. What algorithm a key is used with
//! is fixed by its kind, never by a message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::{self, PrivateKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair, RsaSignatureEncoding};
use jiff::Timestamp;
use viereck_routing::{BehoerdeId, Certificate, Digest, GatewayId, MlKemKey, PublicKey, Standing, Tables};
use x509_parser::pem::Pem;

use crate::ml_kem::MlKemPrivateKey;
use crate::signature::Method;

/// Why a private key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No single PEM block `PRIVATE KEY`.
    #[error("not a PEM file with exactly one unencrypted PKCS#8 PRIVATE KEY")]
    NotPem,
    /// The key is of a kind that no profile allows.
    #[error("not an ECDSA P-256 or RSA key in PKCS#8")]
    NotAllowed,
    /// The key is not the one that the certificate certifies, or not the private half of the ML-KEM key beside it.
    #[error("the key does not belong to the certificate")]
    NotOfCertificate,
    /// No ML-KEM-768 key in the form that is read here.
    #[error("not an ML-KEM-768 key in PKCS#8 that holds the expanded key")]
    NotMlKem,
}

impl KeyError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            KeyError::NotPem => "key-not-pem",
            KeyError::NotAllowed => "key-not-allowed",
            KeyError::NotOfCertificate => "key-not-of-certificate",
            KeyError::NotMlKem => "key-not-ml-kem",
        }
    }
}

/// The directory's answer to: is this certificate pinned as a signing certificate of this custodian?
pub trait Pins {
    /// The certificate of `custodian` whose DER has the digest `sha256`, if it is pinned for what was signed at `at`.
    fn signing_certificate(&self, custodian: &GatewayId, sha256: &Digest, at: Timestamp) -> Option<&Certificate>;

    /// Whether the certificate is known at `now` to be revoked. Validity is judged at SigningTime, revocation now: who
    /// has a stolen key writes any time into what it signs.
    fn is_revoked(&self, certificate: &Certificate, now: Timestamp) -> bool;
}

/// The directory for what a gateway signed itself and kept: it was verified while its key counted, and a key that was
/// revoked since, or whose entry was ended, is no reason to lose an application.
pub struct OwnOctets<'a>(pub &'a Tables);

impl Pins for OwnOctets<'_> {
    fn signing_certificate(&self, custodian: &GatewayId, sha256: &Digest, _at: Timestamp) -> Option<&Certificate> {
        self.0
            .signing_certificates(custodian)
            .find(|certificate| certificate.sha256() == *sha256)
    }

    fn is_revoked(&self, _: &Certificate, _: Timestamp) -> bool {
        false
    }
}

impl Pins for Tables {
    fn signing_certificate(&self, custodian: &GatewayId, sha256: &Digest, at: Timestamp) -> Option<&Certificate> {
        Tables::signing_certificate(self, custodian, sha256, at)
    }

    fn is_revoked(&self, certificate: &Certificate, now: Timestamp) -> bool {
        self.standing(&certificate.sha256(), now) == Standing::Revoked
    }
}

/// A custodian's signing key with its certificate.
pub struct Signer {
    certificate: Certificate,
    key: SigningKey,
}

enum SigningKey {
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
}

impl Signer {
    /// Reads an unencrypted PKCS#8 key and binds it to its certificate.
    pub fn new(certificate: Certificate, pkcs8_pem: &str) -> Result<Self, KeyError> {
        let der = private_key_der(pkcs8_pem)?;
        let ecdsa = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = match certificate.key() {
            PublicKey::P256(point) => {
                let key = EcdsaKeyPair::from_pkcs8(ecdsa, &der)
                    .map_err(|_| of_another_kind(RsaKeyPair::from_pkcs8(&der).is_ok()))?;
                if key.public_key().as_ref() != point {
                    return Err(KeyError::NotOfCertificate);
                }
                SigningKey::P256(key)
            }
            PublicKey::Rsa { spki, .. } => {
                let key = RsaKeyPair::from_pkcs8(&der)
                    .map_err(|_| of_another_kind(EcdsaKeyPair::from_pkcs8(ecdsa, &der).is_ok()))?;
                let public = key.public_key().as_der().map_err(|_| KeyError::NotAllowed)?;
                if public.as_ref() != spki {
                    return Err(KeyError::NotOfCertificate);
                }
                let encoding = Method::of(certificate.key()).rsa_encoding();
                SigningKey::Rsa(key, encoding.ok_or(KeyError::NotAllowed)?)
            }
        };
        Ok(Self { certificate, key })
    }

    /// The certificate that goes into each signature.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The signature over `octets` in the form of XML Signature: r and s, 32 octets each, or as long as the modulus.
    pub(crate) fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.key {
            SigningKey::P256(key) => Ok(key.sign(&random, octets)?.as_ref().to_vec()),
            SigningKey::Rsa(key, encoding) => {
                let mut value = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, octets, &mut value)?;
                Ok(value)
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.certificate).finish()
    }
}

/// The decryption keys of the participants that a gateway serves, found by reader and certificate digest. Cheap to
/// clone.
#[derive(Clone, Default)]
pub struct ReaderKeys {
    keys: BTreeMap<BehoerdeId, BTreeMap<Digest, ReaderKey>>,
}

/// One participant's decryption key, or its pair of them.
#[derive(Clone)]
pub(crate) struct ReaderKey {
    pub(crate) certificate: Certificate,
    pub(crate) key: Arc<DecryptionKey>,
    pub(crate) ml_kem: Option<Arc<MlKemPrivateKey>>,
}

/// A private key for opening, of the kind of its certificate.
pub(crate) enum DecryptionKey {
    /// For ECDH-ES.
    P256(PrivateKey),
    /// For RSA-OAEP.
    Rsa(OaepPrivateDecryptingKey),
}

impl ReaderKeys {
    /// No keys yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one key of `reader`; older keys stay, so that what was sealed before a change of keys still opens.
    pub fn add(&mut self, reader: BehoerdeId, certificate: Certificate, pkcs8_pem: &str) -> Result<(), KeyError> {
        let der = private_key_der(pkcs8_pem)?;
        let key = DecryptionKey::new(&certificate, &der)?;
        let digest = certificate.sha256();
        let key = ReaderKey {
            certificate,
            key: Arc::new(key),
            ml_kem: None,
        };
        self.keys.entry(reader).or_default().insert(digest, key);
        Ok(())
    }

    /// Puts the private half of an ML-KEM key beside the key of this certificate, which has been added. Together they
    /// open what was sealed in profile 2; the other one alone still opens what was sealed in profile 1.
    pub fn add_ml_kem(
        &mut self,
        reader: &BehoerdeId,
        certificate: &Digest,
        public: MlKemKey,
        pkcs8_pem: &str,
    ) -> Result<(), KeyError> {
        let pair = self.keys.get_mut(reader).and_then(|keys| keys.get_mut(certificate));
        let pair = pair.ok_or(KeyError::NotOfCertificate)?;
        pair.ml_kem = Some(Arc::new(MlKemPrivateKey::new(public, pkcs8_pem)?));
        Ok(())
    }

    /// The participants for which there is a key.
    pub fn readers(&self) -> impl Iterator<Item = &BehoerdeId> {
        self.keys.keys()
    }

    pub(crate) fn find(&self, reader: &BehoerdeId, certificate: &Digest) -> Option<&ReaderKey> {
        self.keys.get(reader)?.get(certificate)
    }
}

impl fmt::Debug for ReaderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

impl DecryptionKey {
    fn new(certificate: &Certificate, der: &[u8]) -> Result<Self, KeyError> {
        let ecdh = || PrivateKey::from_private_key_der(&agreement::ECDH_P256, der);
        match certificate.key() {
            PublicKey::P256(point) => {
                let key = ecdh().map_err(|_| of_another_kind(PrivateDecryptingKey::from_pkcs8(der).is_ok()))?;
                let public = key.compute_public_key().map_err(|_| KeyError::NotAllowed)?;
                if public.as_ref() != point {
                    return Err(KeyError::NotOfCertificate);
                }
                Ok(DecryptionKey::P256(key))
            }
            PublicKey::Rsa { spki, .. } => {
                let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| of_another_kind(ecdh().is_ok()))?;
                let public = key.public_key().as_der().map_err(|_| KeyError::NotAllowed)?;
                if public.as_ref() != spki {
                    return Err(KeyError::NotOfCertificate);
                }
                let key = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::NotAllowed)?;
                Ok(DecryptionKey::Rsa(key))
            }
        }
    }
}

/// What to say of a key that is not of the certificate's kind: in a folder of old and new keys it may be that of another
/// certificate.
fn of_another_kind(allowed: bool) -> KeyError {
    if allowed {
        KeyError::NotOfCertificate
    } else {
        KeyError::NotAllowed
    }
}

/// The one block `PRIVATE KEY` of a PEM file.
pub(crate) fn private_key_der(pem: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, KeyError> {
    let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) if block.label == "PRIVATE KEY" => Ok(zeroize::Zeroizing::new(block.contents)),
        _ => Err(KeyError::NotPem),
    }
}
