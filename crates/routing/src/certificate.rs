//! X.509 certificates as the directory pins them: one key, one validity, compared octet for octet.
//!
//! A certificate counts because an operator committed it for one participant and one purpose, never because of who
//! issued it or what it says of itself. Chains and revocation lists are judged when it is committed, not here.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as ParsedKey;

use crate::digest::Digest;
use crate::trust;
use crate::words::Purpose;

/// A pinned certificate. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(Arc<Parsed>);

#[derive(PartialEq, Eq)]
struct Parsed {
    der: Vec<u8>,
    sha256: Digest,
    subject: String,
    valid_from: Timestamp,
    valid_until: Timestamp,
    key: PublicKey,
}

/// The public key of a certificate; its kind fixes the algorithm with which it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// A point on P-256, uncompressed (65 octets, SEC 1).
    P256(Vec<u8>),
    /// An RSA key of 3072 to 8192 bits and the public exponent 65537.
    Rsa {
        /// The SubjectPublicKeyInfo in DER, as it stands in the certificate.
        spki: Vec<u8>,
        /// The size of the modulus.
        bits: usize,
    },
}

/// How long a modulus may be: the lower end is what BSI TR-02102-1 asks for, the upper what the library computes with.
const RSA_BITS: RangeInclusive<usize> = 3072..=8192;
const RSA_EXPONENT: u64 = 65537;

impl PublicKey {
    /// The octets by which two keys are told apart.
    pub fn octets(&self) -> &[u8] {
        match self {
            PublicKey::P256(point) => point,
            PublicKey::Rsa { spki, .. } => spki,
        }
    }

    /// The kind and size, in the word that `viereck keys new --algorithm` takes.
    pub fn algorithm(&self) -> String {
        match self {
            PublicKey::P256(_) => "ec-p256".to_owned(),
            PublicKey::Rsa { bits, .. } => format!("rsa-{bits}"),
        }
    }

    fn of(certificate: &X509Certificate<'_>) -> Option<Self> {
        let info = certificate.public_key();
        match info.parsed().ok()? {
            ParsedKey::EC(point) if point.data().len() == 65 && point.data()[0] == 4 && is_p256(certificate) => {
                Some(PublicKey::P256(point.data().to_vec()))
            }
            ParsedKey::RSA(key) => {
                let bits = bits(key.modulus)?;
                let allowed = RSA_BITS.contains(&bits) && key.try_exponent() == Ok(RSA_EXPONENT);
                allowed.then(|| PublicKey::Rsa {
                    spki: info.raw.to_vec(),
                    bits,
                })
            }
            _ => None,
        }
    }
}

/// The size of a DER integer that is positive and has no superfluous octet in front.
fn bits(integer: &[u8]) -> Option<usize> {
    let octets = match integer {
        [0, rest @ ..] if rest.first().is_some_and(|octet| octet & 0x80 != 0) => rest,
        [first, ..] if (1..0x80).contains(first) => integer,
        _ => return None,
    };
    Some(octets.len() * 8 - octets.first()?.leading_zeros() as usize)
}

/// Why a certificate cannot be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No single PEM block `CERTIFICATE`.
    #[error("not a PEM file with exactly one CERTIFICATE")]
    NotPem,
    /// The DER inside is no X.509 certificate.
    #[error("not an X.509 certificate")]
    NotX509,
    /// The key is of a kind or size that no profile allows.
    #[error("its key is neither ECDSA P-256 nor RSA of 3072 to 8192 bits with the exponent 65537")]
    KeyNotAllowed,
}

impl Certificate {
    /// Reads a PEM file that holds exactly one certificate.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let mut blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes());
        let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
            return Err(CertificateError::NotPem);
        };
        if block.label != "CERTIFICATE" {
            return Err(CertificateError::NotPem);
        }
        Self::from_der(block.contents)
    }

    /// Reads one DER certificate without trailing octets.
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| CertificateError::NotX509)?;
        if !rest.is_empty() {
            return Err(CertificateError::NotX509);
        }
        let instant = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| CertificateError::NotX509);
        let valid_from = instant(parsed.validity().not_before.timestamp())?;
        let valid_until = instant(parsed.validity().not_after.timestamp())?;
        let key = PublicKey::of(&parsed).ok_or(CertificateError::KeyNotAllowed)?;
        let subject = parsed.subject().to_string();
        let sha256 = Digest::of(&der);
        Ok(Self(Arc::new(Parsed {
            der,
            sha256,
            subject,
            valid_from,
            valid_until,
            key,
        })))
    }

    /// The octets, as they stand in a signature's KeyInfo.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the octets: how header, key info and directory name this certificate.
    pub fn sha256(&self) -> Digest {
        self.0.sha256
    }

    /// The subject's distinguished name, for people.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The first instant of validity.
    pub fn valid_from(&self) -> Timestamp {
        self.0.valid_from
    }

    /// The last instant of validity.
    pub fn valid_until(&self) -> Timestamp {
        self.0.valid_until
    }

    /// Whether `instant` lies within the validity, both ends included (RFC 5280, 4.1.2.5).
    pub fn valid_at(&self, instant: Timestamp) -> bool {
        self.0.valid_from <= instant && instant <= self.0.valid_until
    }

    /// Whether its key usage allows the purpose: signatures, or agreeing on (EC) or enciphering (RSA) a key.
    pub fn allows(&self, purpose: Purpose) -> bool {
        trust::allows(self, purpose)
    }

    /// The public key.
    pub fn key(&self) -> &PublicKey {
        &self.0.key
    }
}

fn is_p256(certificate: &X509Certificate<'_>) -> bool {
    let algorithm = &certificate.public_key().algorithm;
    algorithm
        .parameters
        .as_ref()
        .and_then(|p| p.as_oid().ok())
        .is_some_and(|oid| oid == x509_parser::oid_registry::OID_EC_P256)
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.0.subject, self.0.sha256)
    }
}
