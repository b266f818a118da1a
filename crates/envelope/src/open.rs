//! Opening: a verified envelope becomes its content, with the reader's key.
//!
//! The key is found by the certificate that the envelope names; there is no trying of others. The binding of the key
//! is computed from the verified header and the reader's own certificate. Whatever fails while decrypting gives one
//! and the same error, so that nobody learns from it what failed.

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use bytes::Bytes;
use viereck_routing::Digest;

use crate::content::{Content, File};
use crate::encryption::Cipher;
use crate::header::Header;
use crate::keep::{KeepKey, KeptKey};
use crate::keys::ReaderKeys;
use crate::manifest::{self, Entry};
use crate::padding::padded;
use crate::receipt::Reason;
use crate::verify::VerifiedEnvelope;
use crate::wrap::{self, Binding, ContentKey};

/// Why a verified envelope does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no key of this reader with this certificate.
    #[error("there is no key for the reader's certificate")]
    NoKey,
    /// Whatever failed while decrypting; deliberately not told apart.
    #[error("the content cannot be decrypted")]
    Undecipherable,
    /// The content was sealed for another header.
    #[error("the content belongs to another header")]
    HeaderMismatch,
}

impl OpenError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            OpenError::NoKey => "no-key",
            OpenError::Undecipherable => "undecipherable",
            OpenError::HeaderMismatch => "header-mismatch",
        }
    }
    /// The reason that a receipt gives for it.
    pub fn reason(&self) -> Reason {
        match self {
            OpenError::NoKey => Reason::T020,
            OpenError::Undecipherable => Reason::Undecipherable,
            OpenError::HeaderMismatch => Reason::HeaderMismatch,
        }
    }
}

/// An opened envelope. Only [`open`] and [`open_kept`] make one.
#[derive(Debug, Clone)]
pub struct OpenedEnvelope {
    header: Arc<Header>,
    digest: Digest,
    content: Content,
}

impl OpenedEnvelope {
    /// The clear part.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The envelope digest: SHA-256 of SignedInfo.
    pub fn digest(&self) -> Digest {
        self.digest
    }
    /// What only the reader gets.
    pub fn content(&self) -> &Content {
        &self.content
    }
}

/// Decrypts a verified envelope with the key of its reader.
pub fn open(envelope: &VerifiedEnvelope, keys: &ReaderKeys) -> Result<OpenedEnvelope, OpenError> {
    let header = envelope.header();
    let encrypted = envelope.encrypted();
    let reader = keys
        .find(&header.reader, &encrypted.recipient)
        .ok_or(OpenError::NoKey)?;
    let binding = Binding::of(header, &reader.certificate.sha256());
    decrypt(envelope, &wrap::unwrap(&encrypted.key, reader, &binding)?)
}

/// Decrypts an envelope that this gateway has sealed itself, with the content key that it kept.
pub fn open_kept(envelope: &VerifiedEnvelope, kept: &KeptKey, key: &KeepKey) -> Result<OpenedEnvelope, OpenError> {
    decrypt(envelope, &key.recall(kept, envelope.header())?)
}

fn decrypt(envelope: &VerifiedEnvelope, key: &ContentKey) -> Result<OpenedEnvelope, OpenError> {
    let header = envelope.header();
    let encrypted = envelope.encrypted();
    let cipher = Cipher::new(key)?;
    let mut plaintexts = encrypted.ciphertexts.iter().map(|range| {
        let base64 = envelope.bytes().get(range.clone()).ok_or(Unspecified)?;
        let (octets, plain) = cipher.decrypt(base64)?;
        Ok::<Bytes, Unspecified>(Bytes::from(octets).slice(plain))
    });

    let manifest = plaintexts.next().ok_or(OpenError::Undecipherable)??;
    if Digest::of(&manifest) != header.commitment {
        return Err(OpenError::HeaderMismatch);
    }
    let manifest = manifest::read(&manifest, header)?;
    if manifest.files.len() + 1 != encrypted.ciphertexts.len() {
        return Err(OpenError::Undecipherable);
    }
    let mut content = manifest.content;
    for (entry, plain) in manifest.files.into_iter().zip(plaintexts) {
        content.files.push(entry.unpad(plain?)?);
    }
    Ok(OpenedEnvelope {
        header: envelope.shared_header(),
        digest: envelope.digest(),
        content,
    })
}

impl Entry {
    /// The file, if its padded octets are what the manifest says.
    fn unpad(self, plain: Bytes) -> Result<File, OpenError> {
        let octets = plain.get(..self.length).ok_or(OpenError::Undecipherable)?;
        let padding = &plain[self.length..];
        if plain.len() != padded(self.length) || padding.iter().any(|octet| *octet != 0) {
            return Err(OpenError::Undecipherable);
        }
        if Digest::of(octets) != self.digest {
            return Err(OpenError::Undecipherable);
        }
        Ok(File {
            role: self.role,
            name: self.name,
            media_type: self.media_type,
            octets: plain.slice(..self.length),
        })
    }
}

impl From<Unspecified> for OpenError {
    fn from(_: Unspecified) -> Self {
        OpenError::Undecipherable
    }
}
