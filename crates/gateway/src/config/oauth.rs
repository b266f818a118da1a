//! OAuth 2.0 in the configuration: whose access tokens a gateway takes, section `[gateway.oauth]`.

use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;

use super::{Finding, is_private, server_url};

/// Whose access tokens are taken beside those of the routing table.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Oauth {
    /// `iss`, to the letter.
    pub issuer: String,
    /// What has to be among `aud`.
    pub audience: String,
    /// Where its keys are.
    pub jwks: Jwks,
    /// Which tokens it issues.
    pub typ: Typ,
    /// The scope without which nothing is posted or changed.
    pub submit_scope: String,
    /// The scope without which nothing is shown.
    pub read_scope: String,
    /// Seconds until the keys are fetched again.
    pub refresh_seconds: u64,
    /// Seconds between two fetches because of a key that is not known.
    pub unknown_key_seconds: u64,
    /// Hours for which keys are used that cannot be fetched again.
    pub keep_hours: u64,
}

/// Where the keys of an authorisation server are (RFC 7517).
#[derive(Debug, Clone)]
pub enum Jwks {
    /// Here, served with a certificate of these authorities; of the host's without a file.
    Url(Url, Option<PathBuf>),
    /// In this file.
    File(PathBuf),
}

/// What stands in `typ` of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Typ {
    /// `at+jwt` (RFC 9068): no other token of the server can be taken for one.
    #[default]
    #[serde(rename = "at+jwt")]
    AtJwt,
    /// `JWT` too, of servers that do not tell their tokens apart.
    #[serde(rename = "JWT")]
    Jwt,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    issuer: String,
    audience: String,
    jwks_url: Option<String>,
    jwks_ca: Option<PathBuf>,
    jwks_file: Option<PathBuf>,
    #[serde(default)]
    typ: Typ,
    #[serde(default = "submit_scope")]
    submit_scope: String,
    #[serde(default = "read_scope")]
    read_scope: String,
    #[serde(default = "refresh_seconds")]
    refresh_seconds: u64,
    #[serde(default = "unknown_key_seconds")]
    unknown_key_seconds: u64,
    #[serde(default = "keep_hours")]
    keep_hours: u64,
}

fn submit_scope() -> String {
    "viereck:submit".to_owned()
}

fn read_scope() -> String {
    "viereck:read".to_owned()
}

fn refresh_seconds() -> u64 {
    300
}

fn unknown_key_seconds() -> u64 {
    30
}

fn keep_hours() -> u64 {
    24
}

impl TryFrom<Keys> for Oauth {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let jwks = match (keys.jwks_url, keys.jwks_file, keys.jwks_ca) {
            (Some(url), None, ca) => {
                let url = server_url(&url).ok_or("jwks_url: an https URL without a password")?;
                Jwks::Url(url, ca)
            }
            (None, Some(file), None) => Jwks::File(file),
            (None, Some(_), Some(_)) => return Err("jwks_ca belongs to jwks_url".to_owned()),
            _ => return Err("exactly one of jwks_url and jwks_file".to_owned()),
        };
        // RFC 6749, 3.3: a token of visible characters without quotes, because it stands in a header
        let is_scope = |scope: &str| {
            let fits = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\');
            (1..=128).contains(&scope.len()) && scope.bytes().all(fits)
        };
        if !is_scope(&keys.submit_scope) || !is_scope(&keys.read_scope) {
            return Err("submit_scope and read_scope: visible ASCII characters without quotes".to_owned());
        }
        if keys.issuer.is_empty() || keys.audience.is_empty() {
            return Err("issuer and audience: not empty".to_owned());
        }
        Ok(Self {
            issuer: keys.issuer,
            audience: keys.audience,
            jwks,
            typ: keys.typ,
            submit_scope: keys.submit_scope,
            read_scope: keys.read_scope,
            refresh_seconds: keys.refresh_seconds,
            unknown_key_seconds: keys.unknown_key_seconds,
            keep_hours: keys.keep_hours,
        })
    }
}

impl Oauth {
    pub(super) fn check(&self) -> Vec<Finding> {
        let ranges = [
            ("oauth.refresh_seconds", self.refresh_seconds, 86_400),
            ("oauth.unknown_key_seconds", self.unknown_key_seconds, 3600),
            ("oauth.keep_hours", self.keep_hours, 24 * 30),
        ];
        let mut findings: Vec<Finding> = ranges
            .into_iter()
            .filter_map(|(key, value, most)| Finding::range(key, value, most))
            .collect();
        match &self.jwks {
            Jwks::Url(url, _) if !is_private(url) => findings.push(Finding::error(
                "plaintext",
                "oauth.jwks_url",
                "Whoever can change the keys on their way issues tokens of their own. Use https.",
            )),
            Jwks::Url(..) | Jwks::File(_) => {}
        }
        findings
    }
}
