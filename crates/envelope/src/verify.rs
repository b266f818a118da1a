//! Verifying: received bytes become a [`VerifiedEnvelope`], or are refused with a reason.
//!
//! In this order: the form of the whole document, the environment, the pin of the certificate, the signature over what
//! was received, the header's own rules. What comes out holds the header that was verified and the places of the
//! ciphertexts; nothing reads the document again. Whether gateway, author and reader may do this is not judged here:
//! that is a question for the directory.
//!
//! A message past its ObsoleteAfter still verifies. Its custodian has to state that it expired, and its content goes
//! back to its author.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use viereck_routing::{Digest, Environment};

use crate::encryption::{self, Encrypted};
use crate::header::Header;
use crate::keys::Pins;
use crate::limits;
use crate::refusal::Refused;
use crate::signature;
use crate::xml::{Cursor, Vocabulary};

/// An envelope that verified. Only [`verify`] makes one. Cheap to clone.
#[derive(Clone)]
pub struct VerifiedEnvelope {
    bytes: Bytes,
    verified: Arc<Verified>,
}

struct Verified {
    header: Arc<Header>,
    digest: Digest,
    encrypted: Encrypted,
}

/// Verifies received bytes against the pinned certificates, for a verifier of this environment at `now`.
pub fn verify(
    bytes: Bytes,
    pins: &impl Pins,
    environment: Environment,
    now: Timestamp,
) -> Result<VerifiedEnvelope, Refused> {
    let mut cursor = Cursor::new(&bytes, Vocabulary::ENVELOPE)?;
    cursor.root("Envelope")?;
    let (header, header_at) = Header::read(&mut cursor)?;
    let (encrypted, content_at) = encryption::read(&mut cursor, &header)?;
    let signature = signature::read(&mut cursor, &["header", "content"])?;
    let objects = [cursor.slice(&header_at), cursor.slice(&content_at)];
    cursor.finish()?;

    if header.environment != environment {
        return Err(Refused::WrongEnvironment);
    }
    let pinned = pins
        .signing_certificate(
            &header.gateway,
            &signature.certificate_sha256(),
            signature.signing_time(),
        )
        .ok_or(Refused::CertificateNotPinned)?;
    if pins.is_revoked(pinned, now) {
        return Err(Refused::CertificateRevoked);
    }
    if signature.signing_time() != header.created {
        return Err(Refused::WrongSignedProperties);
    }
    let digest = signature.check(&objects, pinned)?;
    if is_in_future(header.created, now) {
        return Err(Refused::CreatedInFuture);
    }
    if !header.has_purpose_in_time() {
        return Err(Refused::ObsoleteAfterOutOfRange);
    }
    let verified = Verified {
        header: Arc::new(header),
        digest,
        encrypted,
    };
    Ok(VerifiedEnvelope {
        bytes,
        verified: Arc::new(verified),
    })
}

/// Whether an instant lies further ahead of the verifier's clock than two clocks may differ.
pub(crate) fn is_in_future(instant: Timestamp, now: Timestamp) -> bool {
    instant.duration_since(now) > SignedDuration::from_secs(limits::CLOCK_SKEW)
}

impl VerifiedEnvelope {
    /// The clear part.
    pub fn header(&self) -> &Header {
        &self.verified.header
    }

    /// The envelope digest: SHA-256 of SignedInfo.
    pub fn digest(&self) -> Digest {
        self.verified.digest
    }

    /// The document, as received.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest of the reader's certificate for whose key the content is encrypted.
    pub fn recipient(&self) -> Digest {
        self.verified.encrypted.recipient
    }

    pub(crate) fn shared_header(&self) -> Arc<Header> {
        Arc::clone(&self.verified.header)
    }

    pub(crate) fn encrypted(&self) -> &Encrypted {
        &self.verified.encrypted
    }
}

impl fmt::Debug for VerifiedEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedEnvelope")
            .field("header", self.header())
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}
