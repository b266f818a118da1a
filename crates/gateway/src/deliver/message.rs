//! An opened message as corner 4 gets it: `message.json`, and files under names that we make.
//!
//! `message.json` is a public and stable contract: messageId, caseId, kind, author, reader, leistung, region, filedAt,
//! inReplyTo, applicant, files[{role, file, name, mediaType, length, sha256}]; keys without a value are absent. File names
//! are `payload`, `form-01`, `attachment-01`, …; the names that clients gave stand inside `message.json` and nowhere
//! else. Only an [`OpenedEnvelope`] becomes one of these.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use viereck_envelope::{OpenedEnvelope, Reason, Role};
use viereck_observe::Trace;
use viereck_routing::{BehoerdeId, CaseId, Digest, Kind, LeistungId, MessageId, Region};

use crate::sealing::instant;

/// A message ready for its adapter.
pub(crate) struct HandOver {
    pub(crate) opened: OpenedEnvelope,
    /// `message.json`.
    pub(crate) json: Bytes,
    /// The files, in order.
    pub(crate) files: Vec<HandedFile>,
    /// The trace of this attempt.
    pub(crate) trace: Option<Trace>,
}

/// One file under our name.
pub(crate) struct HandedFile {
    /// `payload`, `form-01`, `attachment-01`, …
    pub(crate) file: String,
    pub(crate) media_type: String,
    pub(crate) octets: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageJson<'a> {
    message_id: MessageId,
    case_id: CaseId,
    kind: Kind,
    author: &'a BehoerdeId,
    reader: &'a BehoerdeId,
    leistung: &'a LeistungId,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    filed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applicant: Option<Value>,
    files: Vec<FileJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileJson<'a> {
    role: Role,
    file: String,
    name: &'a str,
    media_type: &'a str,
    length: usize,
    sha256: Digest,
}

impl HandOver {
    /// Prepares an opened message.
    ///
    /// # Errors
    /// A reason to reject it: what should be JSON is none, so no authority could be told who applies.
    pub(crate) fn new(opened: OpenedEnvelope) -> Result<Self, Reason> {
        let (header, content) = (opened.header(), opened.content());
        let applicant = content
            .applicant
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|_| Reason::S999)?;
        let names = file_names(content.files.iter().map(|file| file.role));
        let files = content.files.iter().zip(&names);
        let json = MessageJson {
            message_id: header.message_id,
            case_id: header.process_ref,
            kind: header.kind,
            author: &header.author,
            reader: &header.reader,
            leistung: &header.service,
            region: header.region,
            filed_at: instant(header.filed_at),
            in_reply_to: header.in_reply_to,
            applicant,
            files: files
                .clone()
                .map(|(file, name)| FileJson {
                    role: file.role,
                    file: name.clone(),
                    name: &file.name,
                    media_type: &file.media_type,
                    length: file.octets.len(),
                    sha256: Digest::of(&file.octets),
                })
                .collect(),
        };
        let json = serde_json::to_vec(&json).map_err(|_| Reason::S999)?;
        let files = files
            .map(|(file, name)| HandedFile {
                file: name.clone(),
                media_type: file.media_type.clone(),
                octets: file.octets.clone(),
            })
            .collect();
        Ok(Self {
            json: Bytes::from(json),
            files,
            opened,
            trace: None,
        })
    }
}

/// An opened message as the files that the adapter `directory` lays down: `message.json` first, then each file under the
/// name that we make.
///
/// # Errors
/// The reason for which it would be rejected: what should be JSON is none.
pub fn as_files(opened: OpenedEnvelope) -> Result<Vec<(String, Bytes)>, Reason> {
    let HandOver { json, files, .. } = HandOver::new(opened)?;
    let files = files.into_iter().map(|file| (file.file, file.octets));
    Ok(std::iter::once(("message.json".to_owned(), json))
        .chain(files)
        .collect())
}

/// Our names for files of these roles, each once.
fn file_names(roles: impl Iterator<Item = Role>) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::new();
    roles
        .map(|role| {
            let count = counts.entry(role).and_modify(|count| *count += 1).or_insert(1_u32);
            match (role, *count) {
                (Role::Payload | Role::OriginalEnvelope | Role::OriginalManifest, 1) => role.to_string(),
                (_, count) => format!("{role}-{count:02}"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_name_of_ours_and_no_two_the_same() {
        use Role::{Attachment, Form, Payload};
        let names = file_names([Payload, Form, Attachment, Attachment, Payload].into_iter());
        assert_eq!(
            names,
            ["payload", "form-01", "attachment-01", "attachment-02", "payload-02"]
        );
    }
}
