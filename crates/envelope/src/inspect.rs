//! Looking at a document that nobody has verified, for people with a file in their hands.
//!
//! What comes out is text for a screen. It cannot become a header or a proof of anything, so no program can act on what
//! a document merely claims. The form is checked as strictly as when verifying; signature, pin and times are not.

use viereck_routing::Digest;

use crate::encryption;
use crate::header::Header;
use crate::refusal::Refused;
use crate::signature;
use crate::xml::value::instant;
use crate::xml::{Cursor, Vocabulary};

/// What a document claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims(Vec<(&'static str, String)>);

impl Claims {
    /// Names and values in the order of the document; what is absent is left out.
    pub fn fields(&self) -> &[(&'static str, String)] {
        &self.0
    }
}

/// Reads what a document claims.
///
/// # Errors
/// When it has not the form of an envelope.
pub fn inspect(bytes: &[u8]) -> Result<Claims, Refused> {
    let mut cursor = Cursor::new(bytes, Vocabulary::ENVELOPE)?;
    cursor.root("Envelope")?;
    let (header, _) = Header::read(&mut cursor)?;
    let (encrypted, _) = encryption::read(&mut cursor, &header)?;
    let signature = signature::read(&mut cursor, &["header", "content"])?;
    cursor.finish()?;
    let claims = [
        ("profile", Some(header.profile.to_string())),
        ("environment", Some(header.environment.to_string())),
        ("messageId", Some(header.message_id.to_string())),
        ("replaces", header.replaces.map(|id| id.to_string())),
        ("kind", Some(header.kind.to_string())),
        ("created", Some(instant(header.created))),
        ("filedAt", Some(instant(header.filed_at))),
        ("obsoleteAfter", Some(instant(header.obsolete_after))),
        ("gateway", Some(header.gateway.to_string())),
        ("author", Some(header.author.to_string())),
        ("reader", Some(header.reader.to_string())),
        ("leistung", Some(header.service.to_string())),
        ("region", header.region.map(|region| region.to_string())),
        ("messageType", Some(header.message_type.name)),
        ("payloadSchema", Some(header.message_type.schema)),
        ("caseId", Some(header.process_ref.to_string())),
        ("inReplyTo", header.in_reply_to.map(|id| id.to_string())),
        ("routingTable", header.routing_table.map(|release| release.to_string())),
        ("commitment", Some(header.commitment.to_string())),
        ("ciphertexts", Some(encrypted.ciphertexts.len().to_string())),
        ("readerCertificate", Some(encrypted.recipient.to_string())),
        ("signerCertificate", Some(signature.certificate_sha256().to_string())),
        ("bytesDigest", Some(Digest::of(bytes).to_string())),
    ];
    Ok(Claims(
        claims
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
    ))
}

/// Within how many octets from its beginning an envelope says for which certificate it is encrypted.
pub const RECIPIENT_WITHIN: usize = 64 << 10;

/// Whether an envelope that begins with these octets says that it is encrypted for this certificate. Of one that was
/// verified once it is the truth; it stands in front of the first ciphertext, in one spelling only.
pub fn is_encrypted_for(beginning: &[u8], certificate: &Digest) -> bool {
    let name = certificate.to_base64();
    beginning.windows(name.len()).any(|octets| octets == name.as_bytes())
}
