//! What issuers have revoked: their signed lists, how far each can still be relied on, and what follows for one
//! certificate.
//!
//! The tables name the issuers whose lists count and where they are published; whoever runs a process fetches them and
//! gives them here. Guarantees: only a list of its issuer's name and signature is taken, never an older one than that at
//! hand; one that is a part says something only of certificates that name its place (RFC 5280, 5.2.5); and a list counts
//! until a grace after its NextUpdate, or after it was last fetched, whichever comes first. Past that the standing is
//! unknown: nothing is sealed for such a key, and what it signs is still verified. Reads no clock.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::digest::Digest;
use crate::trust::{Authority, Issued, Role, uris};

/// How far ahead of this clock an issuer's may be.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What is known of a certificate's revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No list that counts names it, or its issuer has none.
    Good,
    /// It, or an issuer in its chain, was revoked.
    Revoked,
    /// There is no list that can still be relied on.
    Unknown,
}

/// Where an issuer publishes its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSource {
    /// The issuer: SHA-256 of its public key.
    pub issuer: Digest,
    /// Its name, for people.
    pub name: String,
    /// Where the list is fetched; `None` when it stands in the table's folder.
    pub url: Option<String>,
}

/// A list that was taken, for whoever fetches and shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListState {
    /// When the issuer made it.
    pub this_update: Timestamp,
    /// When the next one is due.
    pub next_update: Timestamp,
    /// When it was last fetched; `None` when it stands in the table's folder.
    pub fetched: Option<Timestamp>,
    /// Until when it is relied on.
    pub reliable_until: Timestamp,
}

/// Why a list is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The tables know no list of this issuer.
    #[error("the table has no such issuer")]
    IssuerUnknown,
    /// Not a complete list in DER or PEM without critical extensions that are not understood.
    #[error("it is no complete X.509 revocation list")]
    Malformed,
    /// Another issuer's, or the signature is wrong.
    #[error("it is not signed by its issuer")]
    NotSigned,
    /// Without NextUpdate nobody can say how long it counts.
    #[error("it does not say when the next one is due")]
    WithoutNextUpdate,
    /// ThisUpdate lies in the future.
    #[error("it was made in the future")]
    FromTheFuture,
    /// There is a newer one already.
    #[error("it is older than the one at hand")]
    Older,
}

impl ListError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ListError::IssuerUnknown => "revocation-list-issuer-unknown",
            ListError::Malformed => "revocation-list-malformed",
            ListError::NotSigned => "revocation-list-not-signed",
            ListError::WithoutNextUpdate => "revocation-list-without-next-update",
            ListError::FromTheFuture => "revocation-list-from-the-future",
            ListError::Older => "revocation-list-older",
        }
    }
}

/// A list whose signature was checked.
#[derive(Debug)]
pub(crate) struct List {
    revoked: CertRevocationList<'static>,
    this_update: Timestamp,
    next_update: Timestamp,
    scope: Scope,
    /// Where it says that it is published: it speaks of those certificates only that name one of these places. Without
    /// them it speaks of all.
    points: Option<Vec<String>>,
    fetched: Option<Timestamp>,
}

/// Whose certificates a list speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Only(Role),
}

impl List {
    /// Reads and verifies a list, PEM or DER.
    pub(crate) fn read(octets: &[u8], issuer: &Authority, now: Timestamp) -> Result<Self, ListError> {
        let pem = x509_parser::pem::parse_x509_pem(octets).ok();
        let der = match &pem {
            Some((_, block)) if block.label == "X509 CRL" => &block.contents,
            _ => octets,
        };
        // refuses deltas, indirect lists and what is critical and unknown
        let revoked = OwnedCertRevocationList::from_der(der).map_err(|_| ListError::Malformed)?;
        let (_, parsed) = CertificateRevocationList::from_der(der).map_err(|_| ListError::Malformed)?;
        let algorithm = algorithm_identifier(der).ok_or(ListError::Malformed)?;
        let signed = parsed.tbs_cert_list.as_ref();
        let named = issuer.is_named(parsed.issuer().as_raw());
        if !named || !issuer.may_revoke() || !issuer.signed(algorithm, signed, &parsed.signature_value.data) {
            return Err(ListError::NotSigned);
        }
        let instant = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| ListError::Malformed)
        };
        let this_update = instant(parsed.last_update())?;
        let next_update = parsed.next_update().ok_or(ListError::WithoutNextUpdate)?;
        if this_update > now + CLOCK_SKEW {
            return Err(ListError::FromTheFuture);
        }
        let (mut scope, mut points) = (Scope::All, None);
        for extension in parsed.extensions() {
            if let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension() {
                scope = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
                    (true, true) => return Err(ListError::Malformed),
                    (true, false) => Scope::Only(Role::Holder),
                    (false, true) => Scope::Only(Role::Authority),
                    (false, false) => scope,
                };
                points = point.distribution_point.as_ref().map(uris);
            }
        }
        Ok(Self {
            revoked: revoked.into(),
            this_update,
            next_update: instant(next_update)?,
            scope,
            points,
            fetched: None,
        })
    }

    /// Whether the list says anything of this certificate.
    fn speaks_of(&self, issued: &Issued) -> bool {
        let of_its_kind = match self.scope {
            Scope::All => true,
            Scope::Only(only) => only == issued.to,
        };
        let of_its_place = |points: &Vec<String>| points.iter().any(|point| issued.points.contains(point));
        of_its_kind && self.points.as_ref().is_none_or(of_its_place)
    }

    /// Until when it is relied on with this grace.
    pub(crate) fn reliable_until(&self, grace: SignedDuration) -> Timestamp {
        let fetched = self.fetched.unwrap_or(Timestamp::MAX);
        self.next_update
            .min(fetched)
            .saturating_add(grace)
            .unwrap_or(Timestamp::MAX)
    }
}

/// What is known of one issuer's list.
#[derive(Debug)]
enum Held {
    /// Asked for since then, and never had.
    Awaited(Timestamp),
    List(Box<List>),
}

/// The issuers whose lists count, and the lists.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    pub(crate) sources: Vec<ListSource>,
    pub(crate) grace: SignedDuration,
    held: RwLock<BTreeMap<Digest, Held>>,
}

impl Revocations {
    pub(crate) fn new(sources: Vec<ListSource>, grace: SignedDuration) -> Self {
        Self {
            sources,
            grace,
            held: RwLock::default(),
        }
    }

    /// That a list is asked for since then; counts while there is none.
    pub(crate) fn await_list(&self, issuer: &Digest, since: Timestamp) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let entry = held.entry(*issuer).or_insert(Held::Awaited(since));
        if let Held::Awaited(earlier) = entry {
            *earlier = since.min(*earlier);
        }
    }

    pub(crate) fn take(&self, issuer: &Digest, mut list: List, fetched: Option<Timestamp>) -> Result<(), ListError> {
        if !self.sources.iter().any(|source| source.issuer == *issuer) {
            return Err(ListError::IssuerUnknown);
        }
        list.fetched = fetched;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Held::List(earlier)) = held.get(issuer)
            && earlier.this_update > list.this_update
        {
            return Err(ListError::Older);
        }
        held.insert(*issuer, Held::List(Box::new(list)));
        Ok(())
    }

    pub(crate) fn state(&self, issuer: &Digest) -> Option<ListState> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        match held.get(issuer)? {
            Held::Awaited(_) => None,
            Held::List(list) => Some(ListState {
                this_update: list.this_update,
                next_update: list.next_update,
                fetched: list.fetched,
                reliable_until: list.reliable_until(self.grace),
            }),
        }
    }

    /// Whether anything can still be said of this issuer's certificates at `at`.
    pub(crate) fn is_reliable(&self, issuer: &Digest, at: Timestamp) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        match held.get(issuer) {
            None => false,
            Some(Held::Awaited(since)) => self.is_awaited(*since, at),
            Some(Held::List(list)) => at <= list.reliable_until(self.grace),
        }
    }

    /// The standing of a certificate with this chain: revoked wins over unknown.
    pub(crate) fn standing(&self, chain: &[Issued], at: Timestamp) -> Standing {
        let mut standing = Standing::Good;
        if self.sources.is_empty() {
            return standing;
        }
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        for issued in chain {
            if !self.sources.iter().any(|source| source.issuer == issued.by) {
                continue;
            }
            match self.step(held.get(&issued.by), issued, at) {
                Standing::Good => {}
                Standing::Unknown => standing = Standing::Unknown,
                Standing::Revoked => return Standing::Revoked,
            }
        }
        standing
    }

    /// The standing of one step of a chain, by what is held of its issuer. A list that does not speak of such certificates
    /// says nothing of it.
    fn step(&self, held: Option<&Held>, issued: &Issued, at: Timestamp) -> Standing {
        let known = match held {
            Some(Held::List(list)) if list.speaks_of(issued) => match list.revoked.find_serial(&issued.serial) {
                Ok(None) => at <= list.reliable_until(self.grace),
                // a serial that cannot be looked up is as good as revoked
                Ok(Some(_)) | Err(_) => return Standing::Revoked,
            },
            Some(Held::List(_)) | None => false,
            Some(Held::Awaited(since)) => self.is_awaited(*since, at),
        };
        match known {
            true => Standing::Good,
            false => Standing::Unknown,
        }
    }

    /// Whether a list that has been asked for since then, and never had, may still be waited for.
    fn is_awaited(&self, since: Timestamp, at: Timestamp) -> bool {
        at <= since.saturating_add(self.grace).unwrap_or(Timestamp::MAX)
    }
}

/// The contents of the outer AlgorithmIdentifier: the second member of the outer sequence.
fn algorithm_identifier(der: &[u8]) -> Option<&[u8]> {
    let (_, outer) = x509_parser::asn1_rs::Sequence::from_der(der).ok()?;
    let outer: &[u8] = match &outer.content {
        std::borrow::Cow::Borrowed(content) => content,
        std::borrow::Cow::Owned(_) => return None,
    };
    let (rest, _) = x509_parser::asn1_rs::Any::from_der(outer).ok()?;
    let (_, algorithm) = x509_parser::asn1_rs::Any::from_der(rest).ok()?;
    Some(algorithm.data)
}
