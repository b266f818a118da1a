//! Doors for tests that feed the parsers of this crate with any octets. Nothing else may come in through them.
//!
//! Each parses and forgets, and gives the stable code of what was found: `ok` or the name of a refusal. They are no
//! feature of the crate because the workspace would then be compiled twice, with it and without.

use bytes::Bytes;
use futures_util::FutureExt;
use reqwest::Url;

use crate::config::Limits;
use crate::deliver::directory::reason_of;
use crate::http::form;
use crate::http::oauth::keys::is_set;
use crate::reply::Metadata as ReplyMetadata;
use crate::submit::metadata::Metadata;
use crate::webhooks::addresses::{Allowed, UrlRefused};

/// The part `metadata` of an application.
pub fn metadata(octets: &[u8]) -> &'static str {
    Metadata::parse(octets).map_or_else(|problem| problem.code.as_str(), |_| "ok")
}

/// The part `metadata` of an answer.
pub fn reply_metadata(octets: &[u8]) -> &'static str {
    ReplyMetadata::parse(octets).map_or_else(|problem| problem.code.as_str(), |_| "ok")
}

/// A posted form with the boundary `b`.
///
/// # Panics
/// When it holds more octets than were given.
pub fn multipart(body: &[u8]) -> &'static str {
    let limits = Limits::default();
    let read = form::of_octets("multipart/form-data; boundary=b", Bytes::copy_from_slice(body), &limits);
    match read.now_or_never() {
        None => "not-ready",
        Some(Err(problem)) => problem.code.as_str(),
        Some(Ok(octets)) => {
            assert!(octets <= body.len());
            "ok"
        }
    }
}

/// The keys of an authorisation server.
pub fn key_set(octets: &[u8]) -> &'static str {
    match is_set(octets) {
        true => "ok",
        false => "jwks-malformed",
    }
}

/// The first octets of a marker `rejected`.
///
/// # Panics
/// When a reason is not read back from its own spelling.
pub fn marker(octets: &[u8]) -> &'static str {
    reason_of(octets).map_or("unclear", |reason| {
        assert_eq!(reason_of(reason.code().as_bytes()), Some(reason));
        reason.code()
    })
}

/// The address of a webhook.
///
/// # Panics
/// When its own spelling is judged otherwise.
pub fn webhook_address(octets: &[u8]) -> &'static str {
    let url = std::str::from_utf8(octets).ok().and_then(|text| Url::parse(text).ok());
    let Some(url) = url else {
        return "no-url";
    };
    let verdict = Allowed::default().check(&url);
    let again = Url::parse(url.as_str()).map(|url| Allowed::default().check(&url));
    assert_eq!(again, Ok(verdict));
    match verdict {
        Ok(()) => "ok",
        Err(UrlRefused::Scheme) => "scheme",
        Err(UrlRefused::Extras) => "extras",
        Err(UrlRefused::Address) => "address",
    }
}
