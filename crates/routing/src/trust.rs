//! Whom the operators trust to certify: anchors, the issuers between, and whether a certificate leads to one of them.
//!
//! A certificate still counts only because it is pinned. Where the table names anchors, one may be pinned only if its
//! chain leads to an anchor; whatever the table says, its subject has to name its holder and its key usage has to fit
//! the purpose. Guarantees: paths are built and signatures checked by `rustls-webpki`, with the algorithms below and no
//! other. Does not judge the validity of the certificate itself: that is asked at the moment of use.

use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, aws_lc_rs as algorithms};
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::Certificate;
use crate::digest::Digest;
use crate::words::Purpose;

/// What a certification authority may sign with: ECDSA, RSA-PSS (what the Verwaltungs-PKI issues), and for older
/// authorities RSA with PKCS#1 v1.5; SHA-2 throughout.
pub(crate) const SIGNED_WITH: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// One step of a chain: who issued, known by its public key, and under which number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) by: Digest,
    pub(crate) serial: Vec<u8>,
    pub(crate) to: Role,
    /// Where the certificate itself says that its revocation is published.
    pub(crate) points: Vec<String>,
}

/// Whom a certificate of a chain belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Authority,
    Holder,
}

/// A certificate of an authority as it stands in the table.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    der: CertificateDer<'static>,
    /// SHA-256 of its SubjectPublicKeyInfo: renewed certificates of one key are one issuer.
    pub(crate) key: Digest,
    pub(crate) subject: String,
}

impl Authority {
    /// Reads a PEM file that holds exactly one certificate.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let mut blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes());
        let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
            return None;
        };
        if block.label != "CERTIFICATE" {
            return None;
        }
        let (rest, parsed) = X509Certificate::from_der(&block.contents).ok()?;
        let is_authority = parsed.basic_constraints().ok()?.is_some_and(|found| found.value.ca);
        if !rest.is_empty() || !is_authority {
            return None;
        }
        let (key, subject) = (Digest::of(parsed.public_key().raw), parsed.subject().to_string());
        let der = CertificateDer::from(block.contents);
        webpki::anchor_from_trusted_cert(&der).ok()?;
        Some(Self { der, key, subject })
    }

    /// Whether `signature` over `signed` was made with this authority's key and an algorithm that is allowed.
    pub(crate) fn signed(&self, algorithm: &[u8], signed: &[u8], signature: &[u8]) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(&self.der) else {
            return false;
        };
        let candidates = SIGNED_WITH
            .iter()
            .filter(|candidate| candidate.signature_alg_id().as_ref() == algorithm);
        candidates
            .into_iter()
            .any(|candidate| certificate.verify_signature(*candidate, signed, signature).is_ok())
    }

    /// Whether it is the one that a list names as its issuer (a name in DER).
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        X509Certificate::from_der(&self.der).is_ok_and(|(_, parsed)| parsed.subject().as_raw() == name)
    }

    /// Whether it may sign lists of what it has revoked: a key usage without that bit forbids it.
    pub(crate) fn may_revoke(&self) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(&self.der) else {
            return false;
        };
        match parsed.key_usage() {
            Ok(Some(usage)) => usage.value.crl_sign(),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

/// Whom the table trusts.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    pub(crate) anchors: Vec<Authority>,
    pub(crate) between: Vec<Authority>,
}

impl Trust {
    /// The authority with this key.
    pub(crate) fn authority(&self, key: &Digest) -> Option<&Authority> {
        self.anchors
            .iter()
            .chain(&self.between)
            .find(|authority| authority.key == *key)
    }

    /// The chain from `certificate` to an anchor, the holder first; it has to hold on `now`, or at the nearest instant
    /// at which the certificate itself is valid. A word for what is wrong otherwise.
    pub(crate) fn chain(&self, certificate: &Certificate, now: Timestamp) -> Result<Vec<Issued>, &'static str> {
        let der = CertificateDer::from(certificate.der());
        let holder = EndEntityCert::try_from(&der).map_err(told)?;
        let anchors: Result<Vec<TrustAnchor<'_>>, _> = self
            .anchors
            .iter()
            .map(|anchor| webpki::anchor_from_trusted_cert(&anchor.der))
            .collect();
        let anchors = anchors.map_err(told)?;
        let between: Vec<_> = self.between.iter().map(|authority| authority.der.clone()).collect();
        let at = now.clamp(certificate.valid_from(), certificate.valid_until());
        let seconds = u64::try_from(at.as_second()).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let path = holder
            .verify_for_usage(SIGNED_WITH, &anchors, &between, time, AnyPurpose, None, None)
            .map_err(told)?;
        let mut links = vec![link(certificate.der(), Role::Holder)?];
        for authority in path.intermediate_certificates() {
            links.push(link(&authority.der(), Role::Authority)?);
        }
        let mut chain = Vec::with_capacity(links.len());
        let issuers: Vec<Digest> = links.iter().skip(1).map(|link| link.key).collect();
        let anchor = Digest::of(webpki::spki_for_anchor(path.anchor()).as_ref());
        for (link, by) in links.into_iter().zip(issuers.into_iter().chain([anchor])) {
            let Link { serial, to, points, .. } = link;
            chain.push(Issued { by, serial, to, points });
        }
        Ok(chain)
    }
}

/// A certificate of a chain before it is known who issued it.
struct Link {
    serial: Vec<u8>,
    key: Digest,
    to: Role,
    points: Vec<String>,
}

fn link(der: &[u8], to: Role) -> Result<Link, &'static str> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| "not X.509")?;
    let mut points = Vec::new();
    for extension in parsed.extensions() {
        if let ParsedExtension::CRLDistributionPoints(found) = extension.parsed_extension() {
            let names = found
                .points
                .iter()
                .filter_map(|point| point.distribution_point.as_ref());
            points.extend(names.flat_map(uris));
        }
    }
    Ok(Link {
        serial: parsed.raw_serial().to_vec(),
        key: Digest::of(parsed.public_key().raw),
        to,
        points,
    })
}

/// The addresses in the name of a distribution point.
pub(crate) fn uris(name: &DistributionPointName<'_>) -> Vec<String> {
    let DistributionPointName::FullName(names) = name else {
        return Vec::new();
    };
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}

/// The extended key usages of the profiles of TLS mean nothing here; what the key is for says the key usage.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        purposes.into_iter().try_for_each(|purpose| purpose.map(drop))
    }
}

fn told(error: webpki::Error) -> &'static str {
    use webpki::Error;
    match error {
        Error::UnknownIssuer => "no chain to an anchor",
        Error::InvalidSignatureForPublicKey => "a signature in its chain is wrong",
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => "a certificate in its chain is not valid",
        Error::CaUsedAsEndEntity => "it is a certificate of an authority",
        Error::EndEntityUsedAsCa | Error::PathLenConstraintViolated => "an issuer may not issue it",
        Error::NameConstraintViolation => "an issuer may not issue it for this name",
        Error::UnsupportedSignatureAlgorithmContext(_) | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature algorithm in its chain is not allowed"
        }
        Error::UnsupportedCriticalExtension => "it has a critical extension that is not understood",
        _ => "its chain does not verify",
    }
}

/// Whether the subject names the holder: exactly one common name, and that is the identifier.
pub(crate) fn names(certificate: &Certificate, holder: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate.der()) else {
        return false;
    };
    let mut names = parsed.subject().iter_common_name();
    let first = names.next().and_then(|name| name.as_str().ok());
    first == Some(holder) && names.next().is_none()
}

/// Whether the key usage allows the purpose: signatures, or agreeing on (EC) or enciphering (RSA) a key. A certificate
/// without a key usage allows none.
pub(crate) fn allows(certificate: &Certificate, purpose: Purpose) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate.der()) else {
        return false;
    };
    let rsa = parsed.public_key().algorithm.algorithm == OID_PKCS1_RSAENCRYPTION;
    let Ok(Some(usage)) = parsed.key_usage() else {
        return false;
    };
    match (purpose, rsa) {
        (Purpose::Signing, _) => usage.value.digital_signature(),
        (Purpose::Encryption, true) => usage.value.key_encipherment(),
        (Purpose::Encryption, false) => usage.value.key_agreement(),
    }
}
