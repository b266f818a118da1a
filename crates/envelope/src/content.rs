//! What the reader gets: the payload, its attachments, and what the applicant said about themselves.
//!
//! Everything here is personal data. It leaves this crate only through [`crate::OpenedEnvelope`], and `Debug` shows
//! counts and lengths, never values.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::receipt::UnknownWord;
use crate::token::ReplyToken;

/// The encrypted content of a message.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The client's own name for the submission.
    pub client_reference: Option<String>,
    /// The applicant, as JSON text.
    pub applicant: Option<String>,
    /// The consents given, as JSON text.
    pub consents: Option<String>,
    /// The payment made, as JSON text.
    pub payment: Option<String>,
    /// What an answer has to return so that it finds the applicant's mailbox.
    pub reply_token: Option<ReplyToken>,
    /// The files, in order. Octets, never parsed here.
    pub files: Vec<File>,
}

/// One file of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// What the file is for.
    pub role: Role,
    /// Its name as the client gave it; never used as a path.
    pub name: String,
    /// Its media type as the client gave it.
    pub media_type: String,
    /// The octets.
    pub octets: Bytes,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The application itself, in the schema of the header's message type.
    Payload,
    /// A readable form of the application.
    Form,
    /// Anything handed in with it.
    Attachment,
    /// Header and signature of the message that a transfer passes on.
    OriginalEnvelope,
    /// The manifest of the message that a transfer passes on.
    OriginalManifest,
}

impl Role {
    /// Every role.
    pub const ALL: &[Role] = &[
        Role::Payload,
        Role::Form,
        Role::Attachment,
        Role::OriginalEnvelope,
        Role::OriginalManifest,
    ];

    /// The word on the wire and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Payload => "payload",
            Role::Form => "form",
            Role::Attachment => "attachment",
            Role::OriginalEnvelope => "original-envelope",
            Role::OriginalManifest => "original-manifest",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Role::ALL
            .iter()
            .copied()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownWord("role of a file"))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("role", &self.role)
            .field("length", &self.octets.len())
            .finish_non_exhaustive()
    }
}
