//! `message.json` and its files, as a Fachverfahren reads them: the same in a folder and in a multipart request.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// The name of the file or part that describes the others.
pub(super) const DESCRIPTION: &str = "message";

/// The content of `message.json`. Fields that a later version adds are ignored.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The message's id.
    pub message_id: String,
    /// The case it belongs to.
    pub case_id: String,
    /// What kind of message it is, e.g. `application`.
    pub kind: String,
    /// Who wrote it.
    pub author: String,
    /// Whom it is for.
    pub reader: String,
    /// The Leistung it is about.
    pub leistung: String,
    /// The region whose entry decided, where one did.
    #[serde(default)]
    pub region: Option<String>,
    /// When the application was filed.
    pub filed_at: String,
    /// The message it answers.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    /// Who applied, as the online service stated it.
    #[serde(default)]
    pub applicant: Option<Value>,
    /// What came with it.
    pub files: Vec<FileEntry>,
}

/// One file as `message.json` describes it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// What it is for, e.g. `payload` or `attachment`.
    pub role: String,
    /// The part or file of the hand-over that holds it.
    pub file: String,
    /// The name its sender gave it.
    #[serde(default)]
    pub name: Option<String>,
    /// Its media type.
    pub media_type: String,
    /// Its length in octets.
    pub length: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
}

/// How a hand-over broke its contract. Holds no content and no foreign names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// The request or folder could not be read as a whole.
    #[error("the hand-over cannot be read")]
    Unreadable,
    /// There is no `Idempotency-Key`.
    #[error("no Idempotency-Key")]
    NoKey,
    /// The description is missing or is not what the contract says.
    #[error("no message.json, or not in the agreed form (line {line}, column {column})")]
    Description {
        /// Where reading stopped; 0 where there was nothing.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A described file did not come.
    #[error("file {0} of the description is missing")]
    Missing(usize),
    /// Something came that the description does not know.
    #[error("a file that the description does not name")]
    Undescribed,
    /// Length or digest differ from the description.
    #[error("file {0} of the description has another length or digest")]
    Differs(usize),
}

impl Breach {
    pub(super) fn description(error: &serde_json::Error) -> Breach {
        Breach::Description {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// A message with its files, each of them as long and with the digest that the description states.
#[derive(Clone)]
pub struct HandedOver {
    /// What `message.json` says.
    pub message: Message,
    /// The files by part or file name: `payload`, `attachment-01`, …
    pub files: BTreeMap<String, Bytes>,
}

impl HandedOver {
    /// Takes the description out of `parts` and compares the rest with it.
    pub(super) fn read(mut parts: BTreeMap<String, Bytes>) -> Result<HandedOver, Breach> {
        let description = parts
            .remove(DESCRIPTION)
            .ok_or(Breach::Description { line: 0, column: 0 })?;
        let message: Message = serde_json::from_slice(&description).map_err(|error| Breach::description(&error))?;
        for (index, entry) in message.files.iter().enumerate() {
            let octets = parts.get(&entry.file).ok_or(Breach::Missing(index))?;
            if octets.len() as u64 != entry.length || hex(&digest::SHA256, octets) != entry.sha256 {
                return Err(Breach::Differs(index));
            }
        }
        if parts.len() != message.files.len() {
            return Err(Breach::Undescribed);
        }
        Ok(HandedOver { message, files: parts })
    }

    /// The payload, which every application has.
    pub fn payload(&self) -> Option<&Bytes> {
        let entry = self.message.files.iter().find(|entry| entry.role == "payload")?;
        self.files.get(&entry.file)
    }
}

impl fmt::Debug for HandedOver {
    /// Ids and counts only: what was applied for is nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandedOver")
            .field("message_id", &self.message.message_id)
            .field("kind", &self.message.kind)
            .field("files", &self.files.len())
            .finish()
    }
}

/// A digest in lower-case hex.
pub(super) fn hex(algorithm: &'static digest::Algorithm, octets: &[u8]) -> String {
    digest::digest(algorithm, octets)
        .as_ref()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A hand-over as a gateway makes it.
    pub(in super::super) fn parts(message_id: &str, payload: &'static [u8]) -> BTreeMap<String, Bytes> {
        let description = json!({
            "messageId": message_id,
            "caseId": "5f0f1a90-8f41-4c6a-9a57-0d6c7b1f2a11",
            "kind": "application",
            "author": "wgp:010000000000",
            "reader": "wgb:010540880000",
            "leistung": "99107023037000",
            "region": "01054",
            "filedAt": "2026-01-15T09:30:00.000Z",
            "inReplyTo": null,
            "applicant": null,
            "files": [{
                "role": "payload",
                "file": "payload",
                "name": "antrag.xml",
                "mediaType": "application/xml",
                "length": payload.len(),
                "sha256": hex(&digest::SHA256, payload),
            }],
        });
        BTreeMap::from([
            ("message".to_owned(), Bytes::from(description.to_string())),
            ("payload".to_owned(), Bytes::from_static(payload)),
        ])
    }

    fn breach(change: impl FnOnce(&mut BTreeMap<String, Bytes>)) -> Breach {
        let mut parts = parts("m", b"<antrag/>");
        change(&mut parts);
        HandedOver::read(parts).unwrap_err()
    }

    #[test]
    fn what_the_description_says_is_compared_with_what_came() {
        assert_eq!(
            HandedOver::read(parts("m", b"<antrag/>"))
                .unwrap()
                .payload()
                .unwrap()
                .as_ref(),
            b"<antrag/>"
        );
        assert_eq!(breach(|parts| drop(parts.remove("payload"))), Breach::Missing(0));
        assert_eq!(
            breach(|parts| drop(parts.remove("message"))),
            Breach::Description { line: 0, column: 0 }
        );
        assert_eq!(
            breach(|parts| drop(parts.insert("attachment-01".into(), Bytes::new()))),
            Breach::Undescribed
        );
        let other = Bytes::from_static(b"<antraG/>");
        assert_eq!(
            breach(|parts| drop(parts.insert("payload".into(), other))),
            Breach::Differs(0)
        );
        let cut = Bytes::from_static(b"{\"messageId\": ");
        assert!(matches!(
            breach(|parts| drop(parts.insert("message".into(), cut))),
            Breach::Description { line: 1, .. }
        ));
    }
}
