//! The keys of an authorisation server (RFC 7517): fetched, kept, and fetched again.
//!
//! Guarantees: keys that cannot be fetched again stay in use for a while, so that tokens count while the server is away;
//! after that none counts. A key that is not known makes one fetch, and not another one for a while, however many tokens
//! name it; one task fetches, so nobody stops a fetch by going away. A set is read up to a size and a number of keys. Does
//! not: follow redirects, or use a proxy of the environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use viereck_observe::Counters;
use viereck_routing::GatewayId;

use super::ALGORITHMS;
use crate::config;
use crate::config::oauth::Jwks;
use crate::config::tls::Outgoing;
use crate::metrics::KEY_FETCHES;
use crate::outgoing::{self, OutgoingError};

/// Octets of a set of keys.
const LARGEST: usize = 256 << 10;
/// Keys of a set; further ones do not count.
const MOST: usize = 64;
/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request waits for one whose key is not known.
const WAIT: Duration = Duration::from_secs(6);
/// After a fetch that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// The keys of one authorisation server.
#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    refresh: Duration,
    unknown: Duration,
    keep: Duration,
    known: watch::Sender<Known>,
    /// Wakes the one that fetches: a key is not known.
    wanted: Notify,
    fetches: Counters,
}

#[derive(Debug)]
enum Source {
    Url(Client, Url),
    File(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Known {
    keys: Vec<Key>,
    /// When these were fetched.
    fetched: Option<Instant>,
    /// When the last fetch ended, well or not.
    looked: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    /// What it may verify.
    algorithms: Vec<Algorithm>,
    key: Arc<DecodingKey>,
}

/// What came of looking for a key.
pub(super) enum Found {
    /// This one.
    Key(Arc<DecodingKey>),
    /// The server has no such key.
    Unknown,
    /// Its keys cannot be had, so nobody can say.
    NoKeys,
}

/// Why the keys of an authorisation server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OauthError {
    /// Their file cannot be read.
    #[error("jwks-unreadable: {file}: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What they should be is no set of keys, or has none that could verify an access token.
    #[error("jwks-malformed: no set of public keys for ES256, PS256 or RS256")]
    Malformed,
    /// They cannot be fetched.
    #[error("jwks-unreachable: {0}")]
    Unreachable(reqwest::Error),
    /// The server answers, but with something else.
    #[error("jwks-refused: the server answered {0}")]
    Refused(StatusCode),
    /// The files for the way to them.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

impl Keys {
    pub(super) fn new(settings: &config::Oauth, gateway: &GatewayId) -> Result<Self, OauthError> {
        let (source, known) = match &settings.jwks {
            Jwks::File(file) => {
                let keys = parse(&read(file)?)?;
                (Source::File(file.clone()), Known::fresh(keys))
            }
            Jwks::Url(url, ca) => {
                let tls = Outgoing {
                    ca: ca.clone(),
                    identity: None,
                };
                let client = outgoing::builder(&tls)?.timeout(PATIENCE).build();
                let client = client.map_err(OutgoingError::from)?;
                (Source::Url(client, url.clone()), Known::default())
            }
        };
        Ok(Self {
            source,
            refresh: Duration::from_secs(settings.refresh_seconds),
            unknown: Duration::from_secs(settings.unknown_key_seconds),
            keep: Duration::from_secs(settings.keep_hours * 3600),
            known: watch::Sender::new(known),
            wanted: Notify::new(),
            fetches: Counters::of(&KEY_FETCHES, vec![gateway.as_str().to_owned().into()]),
        })
    }

    /// Fetches them again and again until `shutdown`.
    pub(super) async fn run(&self, shutdown: CancellationToken) {
        loop {
            let stale = tokio::select! {
                () = shutdown.cancelled() => return,
                stale = self.refresh() => stale,
            };
            let pause = match stale {
                true => AGAIN.min(self.refresh),
                false => self.refresh,
            };
            let pause = tokio::time::sleep(pause);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = pause => {}
                () = self.wanted() => {}
            }
        }
    }

    /// Waits until a key is wanted that is not known, and the last fetch is long enough ago.
    async fn wanted(&self) {
        loop {
            self.wanted.notified().await;
            if !self.known.borrow().looked_within(self.unknown) {
                return;
            }
        }
    }

    /// The key of this id for this algorithm; without an id the only one that fits.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        let mut news = self.known.subscribe();
        let first = news.borrow_and_update().find(id, algorithm, self.keep);
        if let Some(key) = first {
            return Found::Key(key);
        }
        if !self.known.borrow().looked_within(self.unknown) {
            self.wanted.notify_one();
            let _ = tokio::time::timeout(WAIT, news.changed()).await;
        }
        let known = self.known.borrow();
        match known.find(id, algorithm, self.keep) {
            Some(key) => Found::Key(key),
            None if known.is_stale() => Found::NoKeys,
            None => Found::Unknown,
        }
    }

    /// Fetches the keys once; whether that failed.
    async fn refresh(&self) -> bool {
        match self.fetch().await {
            Ok(keys) => {
                self.fetches.count("ok");
                let before = self.known.send_replace(Known::fresh(keys));
                if before.is_failing() {
                    tracing::info!("the keys of the authorisation server are fetched again");
                }
                false
            }
            Err(error) => {
                self.fetches.count("failed");
                // told when it begins: every attempt after that is in the counter
                match self.known.borrow().is_failing() {
                    true => tracing::debug!(%error, "the keys of the authorisation server were not fetched again"),
                    false => tracing::error!(
                        %error,
                        alarm = "issuer-keys",
                        "the keys of the authorisation server were not fetched"
                    ),
                }
                self.known.send_modify(|known| known.looked = Some(Instant::now()));
                true
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, OauthError> {
        match &self.source {
            Source::File(file) => {
                let file = file.clone();
                let read = tokio::task::spawn_blocking(move || read(&file)).await;
                parse(&read.unwrap_or(Err(OauthError::Malformed))?)
            }
            Source::Url(client, url) => {
                let unreachable = |error: reqwest::Error| OauthError::Unreachable(error.without_url());
                let mut answer = client.get(url.clone()).send().await.map_err(unreachable)?;
                if answer.status() != StatusCode::OK {
                    return Err(OauthError::Refused(answer.status()));
                }
                let mut octets = Vec::new();
                while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
                    if octets.len() + chunk.len() > LARGEST {
                        return Err(OauthError::Malformed);
                    }
                    octets.extend_from_slice(&chunk);
                }
                parse(&octets)
            }
        }
    }
}

impl Known {
    fn fresh(keys: Vec<Key>) -> Self {
        let now = Some(Instant::now());
        Self {
            keys,
            fetched: now,
            looked: now,
        }
    }

    fn looked_within(&self, time: Duration) -> bool {
        self.looked.is_some_and(|looked| looked.elapsed() < time)
    }

    /// Whether the last fetch failed, or there was none.
    fn is_stale(&self) -> bool {
        self.fetched.is_none() || self.fetched != self.looked
    }

    /// Whether the last fetch failed.
    fn is_failing(&self) -> bool {
        self.looked.is_some() && self.is_stale()
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm, keep: Duration) -> Option<Arc<DecodingKey>> {
        self.fetched.filter(|fetched| fetched.elapsed() < keep)?;
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.algorithms.contains(&algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id)));
        let first = fitting.next()?;
        fitting.next().is_none().then(|| Arc::clone(&first.key))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, OauthError> {
    use std::io::Read;
    let unreadable = |error| OauthError::Unreadable {
        file: file.to_owned(),
        error,
    };
    let mut octets = Vec::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened
        .take(LARGEST as u64)
        .read_to_end(&mut octets)
        .map_err(unreadable)?;
    Ok(octets)
}

/// Whether octets are a set with a key that can verify an access token.
pub(crate) fn is_set(octets: &[u8]) -> bool {
    parse(octets).is_ok()
}

/// The keys of a set that can verify an access token; what else is in it is of no use here.
fn parse(octets: &[u8]) -> Result<Vec<Key>, OauthError> {
    /// What is read of a set at first: RFC 7517, 5 has one entry that is not understood spoil no other.
    #[derive(Deserialize)]
    struct Entries {
        keys: Vec<serde_json::Value>,
    }
    let set: Entries = serde_json::from_slice(octets).map_err(|_| OauthError::Malformed)?;
    let read = set
        .keys
        .into_iter()
        .filter_map(|entry| serde_json::from_value(entry).ok());
    let keys: Vec<Key> = read.filter_map(|jwk| usable(&jwk)).take(MOST).collect();
    match keys.is_empty() {
        true => Err(OauthError::Malformed),
        false => Ok(keys),
    }
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let of_kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::RSA(_) => &[Algorithm::PS256, Algorithm::RS256],
        _ => return None,
    };
    let wanted = |algorithm: &&Algorithm| {
        let named = jwk.common.key_algorithm;
        ALGORITHMS.contains(algorithm) && named.is_none_or(|named| named == KeyAlgorithm::from(**algorithm))
    };
    let algorithms: Vec<Algorithm> = of_kind.iter().filter(wanted).copied().collect();
    let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let operations = jwk.common.key_operations.as_ref();
    let verifies = operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (for_signatures && verifies && !algorithms.is_empty()).then(|| Key {
        id: jwk.common.key_id.clone(),
        algorithms,
        key: Arc::new(key),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::Level;

    use super::*;
    use crate::testing::hear;

    #[test]
    fn keys_that_cannot_be_fetched_again_count_for_their_time_and_no_longer() {
        let point = base64_simd::URL_SAFE_NO_PAD.encode_to_string([7; 32]);
        let set = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"a","x":"{point}","y":"{point}"}}]}}"#);
        let known = Known::fresh(parse(set.as_bytes()).unwrap());
        let hour = Duration::from_secs(3600);
        assert!(known.find(Some("a"), Algorithm::ES256, hour).is_some());
        assert!(
            known.find(Some("a"), Algorithm::RS256, hour).is_none(),
            "a key has its algorithms"
        );
        assert!(known.find(Some("b"), Algorithm::ES256, hour).is_none());
        assert!(known.find(Some("a"), Algorithm::ES256, Duration::ZERO).is_none());
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_told_of_when_it_goes_and_when_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        let point = base64_simd::URL_SAFE_NO_PAD.encode_to_string([7; 32]);
        let set = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{point}","y":"{point}"}}]}}"#);
        std::fs::write(&file, &set).unwrap();
        let settings = serde_json::json!({ "issuer": "i", "audience": "a", "jwks_file": file });
        let settings = serde_json::from_value(settings).unwrap();
        let keys = Keys::new(&settings, &"gw-s".parse().unwrap()).unwrap();
        let told = Arc::new(Mutex::new(vec![]));
        let _hearing = hear({
            let told = Arc::clone(&told);
            move |level, fields| {
                if fields.contains("the keys of the authorisation server") {
                    told.lock().unwrap().push((level, fields.contains("issuer-keys")));
                }
            }
        });
        let news = async |set: Option<&str>| {
            match set {
                Some(set) => std::fs::write(&file, set).unwrap(),
                None => std::fs::remove_file(&file).unwrap_or_default(),
            }
            keys.refresh().await;
            std::mem::take(&mut *told.lock().unwrap())
        };
        for _ in 0..2 {
            assert_eq!(news(Some(&set)).await, []);
            assert_eq!(news(None).await, [(Level::ERROR, true)]);
            assert_eq!(news(None).await, [(Level::DEBUG, false)]);
            assert_eq!(news(Some("{}")).await, [(Level::DEBUG, false)]);
            assert_eq!(news(Some(&set)).await, [(Level::INFO, false)]);
        }
    }

    #[test]
    fn a_key_for_something_else_is_no_key_for_tokens() {
        let point = base64_simd::URL_SAFE_NO_PAD.encode_to_string([7; 32]);
        for more in [r#""use":"enc""#, r#""alg":"ES384""#, r#""alg":"HS256""#] {
            let set = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256",{more},"x":"{point}","y":"{point}"}}]}}"#);
            assert!(parse(set.as_bytes()).is_err(), "{more}");
        }
    }
}
