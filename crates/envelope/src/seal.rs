//! Sealing: a draft becomes a document that only its reader can open and everybody can attribute.
//!
//! Content key, nonces and salt are made here, fresh for each sealing, by the system's generator. The document is
//! written straight in its canonical form, so signing hashes what was written.

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use bytes::Bytes;
use jiff::Timestamp;
use viereck_routing::{
    BehoerdeId, CaseId, Digest, EncryptionKey, Environment, GatewayId, Kind, LeistungId, MessageId, NotSealable,
    Profile, Region,
};

use crate::content::Content;
use crate::encryption::{self, Cipher};
use crate::header::{Header, MessageType};
use crate::keep::{KeepKey, KeptKey};
use crate::keys::Signer;
use crate::limits;
use crate::manifest;
use crate::open::OpenedEnvelope;
use crate::padding::padded;
use crate::signature;
use crate::wrap::{self, Binding, ContentKey};
use crate::xml::Vocabulary;
use crate::xml::value::to_millisecond;
use crate::xml::write::NotXml;

/// What a gateway seals: the header's fields but those that sealing makes, and the content.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Test or production.
    pub environment: Environment,
    /// A new identifier.
    pub message_id: MessageId,
    /// The message that this one replaces.
    pub replaces: Option<MessageId>,
    /// What the message is within its case.
    pub kind: Kind,
    /// When the application (or answer) had been read completely.
    pub filed_at: Timestamp,
    /// When it loses its purpose: at most 90 days after sealing.
    pub obsolete_after: Timestamp,
    /// The gateway that seals.
    pub gateway: GatewayId,
    /// The participant that wrote it.
    pub author: BehoerdeId,
    /// The participant that may read it.
    pub reader: BehoerdeId,
    /// The public service applied for.
    pub service: LeistungId,
    /// The region of the entry that decided the route.
    pub region: Option<Region>,
    /// What the payload is.
    pub message_type: MessageType,
    /// The case.
    pub process_ref: CaseId,
    /// The message that this one answers.
    pub in_reply_to: Option<MessageId>,
    /// The release of the routing table that decided.
    pub routing_table: Option<Digest>,
    /// What only the reader gets.
    pub content: Content,
}

/// Why a draft or batch cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The signer's certificate is not valid now.
    #[error("the signing certificate is not valid now")]
    SigningCertificateNotValid,
    /// The reader's certificate is not valid now.
    #[error("the reader's encryption certificate is not valid now")]
    ReaderCertificateNotValid,
    /// The reader takes no message of the profile that its keys allow.
    #[error("the reader takes messages of a higher profile only, and no key for that is entered")]
    ProfileTooLow,
    /// The signer's certificate was revoked.
    #[error("the signing certificate was revoked")]
    SigningCertificateRevoked,
    /// The reader's certificate was revoked.
    #[error("the reader's encryption certificate was revoked")]
    ReaderCertificateRevoked,
    /// For longer than the grace nobody can say whether the reader's certificate was revoked.
    #[error("it is not known whether the reader's encryption certificate was revoked")]
    RevocationUnknown,
    /// ObsoleteAfter is not within 90 days after now.
    #[error("the time until which the message has a purpose is not within the next 90 days")]
    ObsoleteAfterOutOfRange,
    /// A text that XML cannot carry, or an instant outside the years 0 to 9999.
    #[error("a value cannot be written")]
    InvalidValue,
    /// More content than one envelope carries.
    #[error("the content is larger than one envelope carries")]
    TooLarge,
    /// The system's generator or the cryptographic library failed.
    #[error("the cryptographic library failed")]
    Cryptography,
}

impl SealError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SealError::SigningCertificateNotValid => "signing-certificate-not-valid",
            SealError::ReaderCertificateNotValid => "reader-certificate-expired",
            SealError::ProfileTooLow => "profile-too-low",
            SealError::SigningCertificateRevoked => "signing-certificate-revoked",
            SealError::ReaderCertificateRevoked => "reader-certificate-revoked",
            SealError::RevocationUnknown => "revocation-unknown",
            SealError::ObsoleteAfterOutOfRange => "obsolete-after-out-of-range",
            SealError::InvalidValue => "invalid-value",
            SealError::TooLarge => "too-large",
            SealError::Cryptography => "cryptography",
        }
    }
}

/// An envelope as its gateway made it. Only [`seal`] and [`seal_keeping`] make one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SealedEnvelope {
    bytes: Bytes,
    header: Arc<Header>,
    digest: Digest,
}

impl SealedEnvelope {
    /// The clear part.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The envelope digest: SHA-256 of SignedInfo.
    pub fn digest(&self) -> Digest {
        self.digest
    }
    /// The document.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Encrypts a draft for its reader and signs it, at the instant `now`. The reader's keys decide the profile.
///
/// Refuses a reader that takes no message of that profile, certificates that are not valid at `now`, content beyond 4 MiB
/// of files, and text that XML cannot carry. Empty optional texts are left out.
pub fn seal(
    draft: Draft,
    reader: &EncryptionKey,
    signer: &Signer,
    now: Timestamp,
) -> Result<SealedEnvelope, SealError> {
    encrypt_and_sign(draft, reader, signer, now).map(|(envelope, _)| envelope)
}

/// The same, and keeps the content key for the gateway that seals, so that it can seal the content anew.
pub fn seal_keeping(
    draft: Draft,
    reader: &EncryptionKey,
    signer: &Signer,
    keep: &KeepKey,
    now: Timestamp,
) -> Result<(SealedEnvelope, KeptKey), SealError> {
    let (envelope, key) = encrypt_and_sign(draft, reader, signer, now)?;
    let kept = keep.keep(&key, &envelope.header)?;
    Ok((envelope, kept))
}

fn encrypt_and_sign(
    draft: Draft,
    reader: &EncryptionKey,
    signer: &Signer,
    now: Timestamp,
) -> Result<(SealedEnvelope, ContentKey), SealError> {
    if !signer.certificate().valid_at(now) {
        return Err(SealError::SigningCertificateNotValid);
    }
    if !reader.certificate().valid_at(now) {
        return Err(SealError::ReaderCertificateNotValid);
    }
    if reader.profile() < reader.lowest() {
        return Err(SealError::ProfileTooLow);
    }
    let (mut header, content) = draft.divide(reader.profile(), now)?;
    let together = content
        .files
        .iter()
        .try_fold(0_usize, |sum, file| sum.checked_add(file.octets.len()));
    if together.is_none_or(|octets| octets > limits::INLINE) || content.files.len() >= limits::CIPHERTEXTS {
        return Err(SealError::TooLarge);
    }

    let manifest = manifest::write(&header, &content, random()?)?;
    header.commitment = Digest::of(manifest.as_bytes());
    let key = ContentKey::new(random()?);
    let certificate = reader.certificate().sha256();
    let binding = Binding::of(&header, &certificate);
    let wrapped = wrap::wrap(&key, reader, &binding)?;
    let cipher = Cipher::new(&key)?;
    let mut ciphertexts = Vec::with_capacity(1 + content.files.len());
    ciphertexts.push(cipher.encrypt(manifest.as_bytes(), manifest.len())?);
    for file in &content.files {
        ciphertexts.push(cipher.encrypt(&file.octets, padded(file.octets.len()))?);
    }

    let encrypted: usize = ciphertexts
        .iter()
        .map(|ciphertext| ciphertext.len() / 3 * 4 + 600)
        .sum();
    let mut out = String::with_capacity(encrypted + 8 * 1024);
    out.push_str("<Envelope xmlns=\"");
    out.push_str(Vocabulary::ENVELOPE.own);
    out.push_str("\">");
    let header_at = out.len();
    header.write(&mut out)?;
    let content_at = out.len();
    encryption::write(&mut out, &ciphertexts, &wrapped, &header, &certificate);
    let objects = [
        ("header", Digest::of(&out.as_bytes()[header_at..content_at])),
        ("content", Digest::of(&out.as_bytes()[content_at..])),
    ];
    let digest = signature::write(&mut out, &objects, header.created, signer)?;
    out.push_str("</Envelope>");
    if out.len() > limits::DOCUMENT {
        return Err(SealError::TooLarge);
    }
    let envelope = SealedEnvelope {
        bytes: Bytes::from(out),
        header: Arc::new(header),
        digest,
    };
    Ok((envelope, key))
}

impl Draft {
    /// The same content once more, under another id and for a key or reader that is to be named in the seal: same case,
    /// same FiledAt. `obsolete_after` counts anew, because the old one may have passed.
    pub fn anew(opened: &OpenedEnvelope, message_id: MessageId, reader: BehoerdeId, obsolete_after: Timestamp) -> Self {
        let header = opened.header().clone();
        Self {
            environment: header.environment,
            message_id,
            replaces: Some(header.message_id),
            kind: header.kind,
            filed_at: header.filed_at,
            obsolete_after,
            gateway: header.gateway,
            author: header.author,
            reader,
            service: header.service,
            region: header.region,
            message_type: header.message_type,
            process_ref: header.process_ref,
            in_reply_to: header.in_reply_to,
            routing_table: header.routing_table,
            content: opened.content().clone(),
        }
    }

    /// The header, still without its commitment, and the content.
    fn divide(self, profile: Profile, now: Timestamp) -> Result<(Header, Content), SealError> {
        let instant = |instant: Timestamp| to_millisecond(instant).ok_or(SealError::InvalidValue);
        let header = Header {
            profile,
            environment: self.environment,
            message_id: self.message_id,
            replaces: self.replaces,
            kind: self.kind,
            created: instant(now)?,
            filed_at: instant(self.filed_at)?,
            obsolete_after: instant(self.obsolete_after)?,
            gateway: self.gateway,
            author: self.author,
            reader: self.reader,
            service: self.service,
            region: self.region,
            message_type: self.message_type,
            process_ref: self.process_ref,
            in_reply_to: self.in_reply_to,
            routing_table: self.routing_table,
            commitment: Digest::ZERO,
        };
        if !header.has_purpose_in_time() {
            return Err(SealError::ObsoleteAfterOutOfRange);
        }
        if !header.message_type.is_plain() {
            return Err(SealError::InvalidValue);
        }
        let mut content = self.content;
        for text in [
            &mut content.client_reference,
            &mut content.applicant,
            &mut content.consents,
            &mut content.payment,
        ] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        Ok((header, content))
    }
}

/// Fresh octets from the system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut octets = [0; N];
    rand::fill(&mut octets)?;
    Ok(octets)
}

impl From<NotSealable> for SealError {
    fn from(why: NotSealable) -> Self {
        match why {
            NotSealable::NoneValid => SealError::ReaderCertificateNotValid,
            NotSealable::Revoked => SealError::ReaderCertificateRevoked,
            NotSealable::RevocationUnknown => SealError::RevocationUnknown,
        }
    }
}

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        SealError::Cryptography
    }
}

impl From<NotXml> for SealError {
    fn from(_: NotXml) -> Self {
        SealError::InvalidValue
    }
}
