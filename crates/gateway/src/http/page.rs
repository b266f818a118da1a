//! Lists in pages: a bounded number of entries, and a link to what comes next (RFC 8288).
//!
//! A page begins behind an entry and not at a number, so that nothing is missed or shown twice because something new
//! came meanwhile. A cursor is opaque: what it spells may change.

use axum::http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;

use super::problem::{FieldError, Problem};

/// Entries of a page where nobody asks for another number, and at the most.
const USUAL: u32 = 50;
const MOST: u32 = 200;

/// The questions of a list that has no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    pub(crate) cursor: Option<String>,
    limit: Option<String>,
}

impl PageQuery {
    /// How many entries are asked for.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        limit(self.limit.as_deref()).map_err(|error| Problem::invalid(vec![error]))
    }
}

/// Entries of a page, as asked for in `limit`.
pub(crate) fn limit(text: Option<&str>) -> Result<u32, FieldError> {
    let Some(text) = text else { return Ok(USUAL) };
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| FieldError::new("/limit", "invalid", format!("a number from 1 to {MOST}")))
}

/// The header `Link` of a page of `path`: the first page, and the next one where there is one. `questions` are those of
/// this page, in texts of ours that need no escaping.
pub(crate) fn links(path: &str, questions: &[(&str, String)], next: Option<&str>) -> HeaderMap {
    let query = |more: Option<&str>| {
        let all = questions.iter().map(|(key, value)| (*key, value.as_str()));
        let all: Vec<String> = all
            .chain(more.map(|cursor| ("cursor", cursor)))
            .map(|(key, value)| format!("{key}={}", escaped(value)))
            .collect();
        if all.is_empty() {
            String::new()
        } else {
            format!("?{}", all.join("&"))
        }
    };
    let mut links = vec![format!("<{path}{}>; rel=\"first\"", query(None))];
    if let Some(cursor) = next {
        links.push(format!("<{path}{}>; rel=\"next\"", query(Some(cursor))));
    }
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(links.join(", ")) {
        headers.insert(header::LINK, value);
    }
    headers
}

/// What may stand in a query as it is stays; everything else is spelled by its octets.
fn escaped(text: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~:".contains(&octet);
    let spell = |octet: u8| {
        if plain(octet) {
            char::from(octet).to_string()
        } else {
            format!("%{octet:02X}")
        }
    };
    text.bytes().map(spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_questions_of_the_page() {
        let questions = [
            ("status", "received".to_owned()),
            ("since", "2026-01-01T00:00:00+01:00".to_owned()),
        ];
        let headers = links("/v1/x", &questions, Some("a/b"));
        assert_eq!(
            headers[header::LINK],
            "</v1/x?status=received&since=2026-01-01T00:00:00%2B01:00>; rel=\"first\", \
             </v1/x?status=received&since=2026-01-01T00:00:00%2B01:00&cursor=a%2Fb>; rel=\"next\""
        );
        assert_eq!(links("/v1/x", &[], None)[header::LINK], "</v1/x>; rel=\"first\"");
    }

    #[test]
    fn a_page_is_bounded() {
        assert_eq!(limit(None), Ok(USUAL));
        assert_eq!(limit(Some("200")), Ok(200));
        for text in ["0", "201", "-1", "x", ""] {
            assert!(limit(Some(text)).is_err(), "{text}");
        }
    }
}
