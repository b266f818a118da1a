//! Access tokens of an authorisation server (OAuth 2.0, client credentials): JWTs of RFC 9068, checked here.
//!
//! Guarantees: only ES256, PS256 and RS256, whatever a token says about itself, so a key that is public is never taken for
//! a secret; issuer, audience, type, times, signature and, where a token is bound to a certificate (RFC 8705), that
//! certificate are all checked; a token bound in a way that is not known here is refused. The client is who `client_id`
//! names, in its absence `azp`; never `sub`, which a user might have chosen. Nothing is parsed of a token that is too
//! long, and nothing of what stands in a token goes into a log. Does not: ask the server whether a token was revoked; its
//! term is what bounds it.

pub(crate) mod keys;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use viereck_routing::{Digest, GatewayId};

use self::keys::{Found, Keys};
use super::access::Scope;
use crate::config;
use crate::config::oauth::Typ;

pub use self::keys::OauthError;

/// Octets of an access token.
const TOKEN: usize = 8 << 10;

/// Seconds by which clocks may differ.
const SKEW: u64 = 60;

/// What a token may be signed with. RFC 9068 makes RS256 a must; a key that is shared with the server is none of them.
pub(super) const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::PS256, Algorithm::RS256];

/// An authorisation server whose access tokens are taken.
#[derive(Debug)]
pub(crate) struct Oauth {
    settings: config::Oauth,
    keys: Keys,
}

/// What a token grants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// To whom, as the authorisation server calls it.
    pub(crate) client: String,
    pub(crate) scopes: Vec<String>,
}

/// Why a token is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It does not count, for this reason.
    Invalid(&'static str),
    /// Nobody can say: the server's keys cannot be had.
    NoKeys,
}

#[derive(Deserialize)]
struct Claims {
    /// One name: a list with ours in it is somebody else's token too.
    iss: String,
    client_id: Option<String>,
    azp: Option<String>,
    iat: f64,
    #[serde(default)]
    scope: String,
    cnf: Option<Confirmation>,
}

/// To what a token is bound (RFC 7800).
#[derive(Deserialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    certificate: Option<String>,
    /// What else it is bound to, which nobody here can check.
    #[serde(flatten)]
    otherwise: serde_json::Map<String, serde_json::Value>,
}

impl Oauth {
    /// Reads the keys where they are in a file; from a URL they are fetched when the gateway runs.
    pub(crate) fn new(settings: &config::Oauth, gateway: &GatewayId) -> Result<Self, OauthError> {
        Ok(Self {
            keys: Keys::new(settings, gateway)?,
            settings: settings.clone(),
        })
    }

    /// Keeps the keys fresh until `shutdown`.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        self.keys.run(shutdown).await;
    }

    /// What a token needs for this.
    pub(crate) fn scope(&self, scope: Scope) -> &str {
        match scope {
            Scope::Submit => &self.settings.submit_scope,
            Scope::Read => &self.settings.read_scope,
        }
    }

    /// Checks a token that came over a connection with this certificate of the client.
    pub(crate) async fn verify(&self, token: &str, certificate: Option<&Digest>) -> Result<Granted, Refused> {
        if token.len() > TOKEN {
            return Err(Refused::Invalid("too-long"));
        }
        let header = decode_header(token).map_err(|_| Refused::Invalid("malformed"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Refused::Invalid("algorithm"));
        }
        if !self.is_access_token(header.typ.as_deref()) {
            return Err(Refused::Invalid("type"));
        }
        // RFC 7515, 4.1.11: what has to be understood and is not
        if header.crit.is_some() {
            return Err(Refused::Invalid("critical"));
        }
        let key = match self.keys.find(header.kid.as_deref(), header.alg).await {
            Found::Key(key) => key,
            Found::Unknown => return Err(Refused::Invalid("unknown-key")),
            Found::NoKeys => return Err(Refused::NoKeys),
        };
        let mut validation = Validation::new(header.alg);
        validation.leeway = SKEW;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.settings.audience]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let claims =
            decode::<Claims>(token, &key, &validation).map_err(|error| Refused::Invalid(word(error.kind())))?;
        let claims = claims.claims;
        if claims.iss != self.settings.issuer {
            return Err(Refused::Invalid("issuer"));
        }
        if claims.iat > (Timestamp::now().as_second() as f64) + SKEW as f64 {
            return Err(Refused::Invalid("not-yet-issued"));
        }
        if let Some(bound) = &claims.cnf {
            is_held(bound, certificate)?;
        }
        let client = claims.client_id.or(claims.azp).ok_or(Refused::Invalid("no-client"))?;
        Ok(Granted {
            client,
            scopes: claims.scope.split_ascii_whitespace().map(str::to_owned).collect(),
        })
    }

    /// RFC 9068, 4: with or without `application/`, in any case of letters.
    fn is_access_token(&self, typ: Option<&str>) -> bool {
        let typ = typ.unwrap_or_default().to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        match self.settings.typ {
            Typ::AtJwt => typ == "at+jwt",
            Typ::Jwt => matches!(typ, "at+jwt" | "jwt"),
        }
    }
}

/// Whether whoever shows the token also has what it is bound to.
fn is_held(bound: &Confirmation, certificate: Option<&Digest>) -> Result<(), Refused> {
    let certificate_alone = bound.certificate.as_deref().filter(|_| bound.otherwise.is_empty());
    let wanted = certificate_alone.ok_or(Refused::Invalid("bound-otherwise"))?;
    let wanted = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(wanted);
    let wanted = wanted.map_err(|_| Refused::Invalid("malformed"))?;
    match certificate {
        Some(shown) if shown.octets()[..] == wanted[..] => Ok(()),
        Some(_) | None => Err(Refused::Invalid("another-certificate")),
    }
}

fn word(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidSignature => "signature",
        ErrorKind::ExpiredSignature => "expired",
        ErrorKind::ImmatureSignature => "not-yet-valid",
        ErrorKind::InvalidIssuer => "issuer",
        ErrorKind::InvalidAudience => "audience",
        ErrorKind::MissingRequiredClaim(_) => "claim-missing",
        ErrorKind::InvalidAlgorithm => "algorithm",
        _ => "malformed",
    }
}
