//! Who is asking: bearer tokens, access tokens and TLS certificates of online services and of Fachverfahren.
//!
//! Only SHA-256 digests of tokens are kept, and they are compared in constant time. Online services stand in the routing
//! table, Fachverfahren in the configuration. Whatever a client shows leads to its entry in the table, and its rights are
//! those of the entry; an access token can only lessen them by its scopes. Two things that are shown have to be of one
//! client. Nothing of a request's body is read, and no room taken for it, before its client is known. Does not say what an
//! entry permits; the steps that follow do.

use std::path::PathBuf;
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::header;
use jiff::Timestamp;
use viereck_routing::{Client, Digest, GatewayId, Proof, Tables};

use super::attempts::Attempts;
use super::oauth::{Oauth, OauthError, Refused};
use super::peer::{Asking, Authorization, Origin};
use super::problem::{Code, Problem};
use crate::config::{self, Behoerden, Shows, TokenDigest};
use crate::gateway::Gateway;

/// Who may ask a gateway, beside those whom the routing table knows.
#[derive(Debug)]
pub(crate) struct Access {
    fachverfahren: Vec<Fachverfahren>,
    /// Whose access tokens are taken too.
    pub(crate) oauth: Option<Oauth>,
    attempts: Attempts,
}

/// A system that may send replies.
#[derive(Debug)]
pub(crate) struct Fachverfahren {
    pub(crate) name: String,
    pub(crate) behoerden: Behoerden,
    token: Option<Digest>,
    certificate: Option<Digest>,
}

/// What an access token has to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// To post and to change.
    Submit,
    /// To look.
    Read,
}

/// Why nobody could be let in.
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
    /// The keys of the authorisation server.
    #[error(transparent)]
    Oauth(#[from] OauthError),
}

impl Access {
    /// Reads the digests and keys that stand in files.
    pub(crate) fn load(config: &config::Config) -> Result<Self, AccessError> {
        let load = |entry: &config::Fachverfahren| {
            let (token, certificate) = match &entry.shows {
                Shows::Token(token) => (Some(token), None),
                Shows::Certificate(certificate) => (None, Some(*certificate)),
                Shows::Both(token, certificate) => (Some(token), Some(*certificate)),
            };
            Ok(Fachverfahren {
                name: entry.name.clone(),
                behoerden: entry.behoerden.clone(),
                token: token.map(digest).transpose()?,
                certificate,
            })
        };
        Ok(Self {
            fachverfahren: config
                .fachverfahren
                .iter()
                .map(load)
                .collect::<Result<_, AccessError>>()?,
            oauth: config
                .oauth
                .as_ref()
                .map(|oauth| Oauth::new(oauth, &config.id))
                .transpose()?,
            attempts: Attempts::new(config.limits.unauthenticated_per_minute),
        })
    }

    /// The Fachverfahren that this request comes from.
    pub(crate) fn fachverfahren(&self, asking: &Asking) -> Result<&Fachverfahren, Problem> {
        let shown = match &asking.authorization {
            Authorization::Absent => None,
            Authorization::Bearer(token) => Some(Digest::of(token.as_bytes())),
            Authorization::Other => return Err(self.unknown(asking.peer.origin, unauthenticated(false))),
        };
        // a certificate of somebody else contradicts what an entry names; one of nobody here is not looked at
        let somebodys = |shown: &Digest| {
            let mut all = self.fachverfahren.iter();
            all.any(|entry| entry.certificate.as_ref() == Some(shown))
        };
        let certified = asking.peer.certificate.filter(somebodys);
        let shows = |entry: &&Fachverfahren| {
            let token = match (entry.token, shown) {
                (Some(wanted), Some(shown)) => verify_slices_are_equal(shown.octets(), wanted.octets()).is_ok(),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            token && entry.certificate == certified
        };
        let found = self.fachverfahren.iter().find(shows);
        found.ok_or_else(|| self.unknown(asking.peer.origin, unauthenticated(shown.is_some())))
    }

    /// The online service that this request comes from; its entry has to name this gateway.
    pub(crate) async fn client<'a>(
        &self,
        asking: &Asking,
        tables: &'a Tables,
        me: &GatewayId,
        scope: Scope,
    ) -> Result<&'a Client, Problem> {
        let found = self.client_of(asking, tables, me, scope).await;
        found.map_err(|problem| match problem.code {
            Code::Unauthenticated | Code::CertificateRequired => self.unknown(asking.peer.origin, problem),
            _ => problem,
        })
    }

    async fn client_of<'a>(
        &self,
        asking: &Asking,
        tables: &'a Tables,
        me: &GatewayId,
        scope: Scope,
    ) -> Result<&'a Client, Problem> {
        let now = Timestamp::now();
        let certificate = asking.peer.certificate.as_ref();
        let certified = certificate.and_then(|shown| tables.client_by_certificate_at(shown, now));
        let client = match &asking.authorization {
            Authorization::Absent => certified,
            Authorization::Bearer(token) => match tables.client_by_token_at(token, now) {
                Some(client) => Some(client),
                None => self.granted(token, certificate, tables, scope).await?,
            },
            Authorization::Other => None,
        };
        let shown = matches!(asking.authorization, Authorization::Bearer(_));
        let client = client
            .filter(|client| client.gateway == *me)
            // a certificate of somebody else contradicts the token
            .filter(|client| certified.is_none_or(|certified| certified.id == client.id))
            .ok_or_else(|| unauthenticated(shown))?;
        match client.proof {
            Proof::Certificate if certified.is_none() => Err(Problem::of(Code::CertificateRequired)),
            Proof::Certificate | Proof::Any => Ok(client),
        }
    }

    /// The client that an access token was issued to.
    async fn granted<'a>(
        &self,
        token: &str,
        certificate: Option<&Digest>,
        tables: &'a Tables,
        scope: Scope,
    ) -> Result<Option<&'a Client>, Problem> {
        let Some(oauth) = &self.oauth else {
            return Ok(None);
        };
        let granted = match oauth.verify(token, certificate).await {
            Ok(granted) => granted,
            Err(Refused::NoKeys) => return Err(Problem::of(Code::IssuerUnavailable)),
            Err(Refused::Invalid(why)) => {
                tracing::debug!(why, "an access token was refused");
                return Ok(None);
            }
        };
        let Some(client) = tables.client_by_oauth(&granted.client) else {
            return Ok(None);
        };
        let wanted = oauth.scope(scope);
        match granted.scopes.iter().any(|scope| scope == wanted) {
            true => Ok(Some(client)),
            false => {
                let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{wanted}\"");
                Err(Problem::of(Code::NotPermitted).header(header::WWW_AUTHENTICATE, challenge))
            }
        }
    }

    /// The problem, or another one where the address has had it too often.
    fn unknown(&self, origin: Origin, problem: Problem) -> Problem {
        match self.attempts.count(origin, Instant::now()) {
            None => problem,
            Some(seconds) => Problem::of(Code::TooManyAttempts).retry_after(seconds),
        }
    }
}

/// The online service that a request to `gateway` comes from. Once for each request: whatever it looks at, and however often
/// while it waits, is looked at as this client.
pub(crate) async fn client(gateway: &Gateway, asking: &Asking, scope: Scope) -> Result<Client, Problem> {
    let (tables, me) = (gateway.tables(), &gateway.config.id);
    Ok(gateway.access.client(asking, &tables, me, scope).await?.clone())
}

fn digest(token: &TokenDigest) -> Result<Digest, AccessError> {
    let file = match token {
        TokenDigest::Here(digest) => return Ok(*digest),
        TokenDigest::File(file) => file,
    };
    let text = std::fs::read_to_string(file).map_err(|error| AccessError::Unreadable {
        file: file.clone(),
        error,
    })?;
    text.trim().parse().map_err(|_| AccessError::Malformed(file.clone()))
}

/// RFC 6750, 3.1: who has shown no token is told the scheme alone, who has is told that it does not count.
fn unauthenticated(shown: bool) -> Problem {
    let problem = Problem::of(Code::Unauthenticated);
    match shown {
        true => problem.header(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"".to_owned()),
        false => problem,
    }
}
