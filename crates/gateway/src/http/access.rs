//! Who is asking: bearer tokens of online services and of Fachverfahren.
//!
//! Only SHA-256 digests of tokens are kept, and they are compared in constant time. Online services stand in the routing
//! table, Fachverfahren in the configuration. Does not say what a token permits; the steps that follow do.

use std::path::PathBuf;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use viereck_routing::{Client, Digest, GatewayId, Tables};

use super::problem::{Code, Problem};
use crate::config::{self, Behoerden, TokenDigest};

/// The Fachverfahren that may send replies.
#[derive(Debug, Default)]
pub(crate) struct Access {
    fachverfahren: Vec<Fachverfahren>,
}

/// A system that has shown its token.
#[derive(Debug)]
pub(crate) struct Fachverfahren {
    pub(crate) name: String,
    pub(crate) behoerden: Behoerden,
    token: Digest,
}

/// A file that should hold the SHA-256 of a token.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("token-unreadable: {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It holds something else.
    #[error("token-malformed: {0} does not hold the SHA-256 of a token as 64 lower-case hexadecimal digits")]
    Malformed(PathBuf),
}

impl Access {
    /// Reads the digests that stand in files.
    pub(crate) fn load(fachverfahren: &[config::Fachverfahren]) -> Result<Self, AccessError> {
        let load = |entry: &config::Fachverfahren| {
            let token = match &entry.token {
                TokenDigest::Here(digest) => *digest,
                TokenDigest::File(file) => {
                    let text = std::fs::read_to_string(file).map_err(|error| AccessError::Unreadable {
                        file: file.clone(),
                        error,
                    })?;
                    text.trim().parse().map_err(|_| AccessError::Malformed(file.clone()))?
                }
            };
            Ok(Fachverfahren {
                name: entry.name.clone(),
                behoerden: entry.behoerden.clone(),
                token,
            })
        };
        Ok(Self {
            fachverfahren: fachverfahren.iter().map(load).collect::<Result<_, _>>()?,
        })
    }

    /// The Fachverfahren that this request comes from.
    pub(crate) fn fachverfahren(&self, headers: &HeaderMap) -> Result<&Fachverfahren, Problem> {
        let shown = Digest::of(bearer(headers)?.as_bytes());
        let known = |entry: &&Fachverfahren| verify_slices_are_equal(shown.octets(), entry.token.octets()).is_ok();
        self.fachverfahren
            .iter()
            .find(known)
            .ok_or_else(|| Problem::of(Code::Unauthenticated))
    }
}

/// The online service that this request comes from; its entry has to name this gateway.
pub(crate) fn client<'a>(headers: &HeaderMap, tables: &'a Tables, me: &GatewayId) -> Result<&'a Client, Problem> {
    tables
        .client_by_token_at(bearer(headers)?, Timestamp::now())
        .filter(|client| client.gateway == *me)
        .ok_or_else(|| Problem::of(Code::Unauthenticated))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::of(Code::Unauthenticated));
    };
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .unwrap_or_default();
    match scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        true => Ok(token.trim()),
        false => Err(Problem::of(Code::Unauthenticated)),
    }
}
