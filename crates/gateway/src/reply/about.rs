//! What an answer says about itself to people: its title, and the day until which something is awaited.
//!
//! Both may tell of a person, so they stand in no header: they travel encrypted as a file of role `form`, named
//! `reply.json`, of media type `application/vnd.viereck.reply+json`, directly behind the payload:
//! `{"title": "…", "dueDate": "2026-12-31"}`.

use std::fmt;

use bytes::Bytes;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use viereck_envelope::{Content, File, Role};

const MEDIA_TYPE: &str = "application/vnd.viereck.reply+json";

/// Title and due date of an answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    pub(crate) title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_date: Option<Date>,
}

impl About {
    /// As it travels.
    pub(crate) fn to_file(&self) -> File {
        // two plain texts: nothing that could fail
        let octets = serde_json::to_vec(self).unwrap_or_default();
        File {
            role: Role::Form,
            name: "reply.json".to_owned(),
            media_type: MEDIA_TYPE.to_owned(),
            octets: Bytes::from(octets),
        }
    }

    /// What the content of an answer says; another gateway may have left it out.
    pub(crate) fn of(content: &Content) -> Option<Self> {
        let file = content.files.iter().find(|file| Self::is_in(file))?;
        serde_json::from_slice(&file.octets).ok()
    }

    /// Whether this file holds it.
    pub(crate) fn is_in(file: &File) -> bool {
        file.role == Role::Form && file.media_type == MEDIA_TYPE
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("About").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_about_itself_arrives() {
        for due_date in [None, Some(jiff::civil::date(2026, 12, 31))] {
            let about = About {
                title: "Ihr Wohngeldbescheid".to_owned(),
                due_date,
            };
            let content = Content {
                files: vec![about.to_file()],
                ..Content::default()
            };
            assert_eq!(About::of(&content), Some(about));
        }
        assert_eq!(About::of(&Content::default()), None);
    }
}
