//! Reads `[trust]` of `certificates/certificates.toml`: anchors, the issuers between, and where revocation lists come
//! from.
//!
//! Without the section pins stand for themselves, as in a network for tests. Only files of the folder can be named.

use jiff::{SignedDuration, Timestamp};

use super::certificates::named_file;
use super::draft::Reading;
use crate::catalogue::Code;
use crate::fields::{Fields, Value, printable};
use crate::position::Position;
use crate::revocation::{List, ListSource, Revocations, Standing};
use crate::trust::{Authority, Issued, Trust};
use crate::window::start_of_day;

/// How long a list counts after it should have been replaced.
const GRACE_HOURS: u64 = 24;
/// The longest grace: beyond a month a list says nothing any more.
const LONGEST_GRACE_HOURS: u64 = 24 * 31;

pub(super) fn read(fields: &mut Fields<'_>, reading: &Reading<'_>) -> (Trust, Revocations) {
    let Some(mut section) = fields.get("trust").and_then(|value| value.fields()) else {
        return (Trust::default(), Revocations::default());
    };
    let anchors = section.require("anchors");
    let between = section.get("issuers");
    let listed = between.as_ref().and_then(Value::items).unwrap_or_default();
    let trusted = anchors.as_ref().and_then(Value::items);
    if let (Some(anchors), Some([])) = (&anchors, trusted.as_deref()) {
        anchors.object(Code::TrustWithoutAnchors, &[]);
    }
    let trust = Trust {
        anchors: authorities(&trusted.unwrap_or_default(), reading),
        between: authorities(&listed, reading),
    };
    let grace = section
        .get("grace_hours")
        .and_then(|value| value.number(GRACE_HOURS, LONGEST_GRACE_HOURS))
        .unwrap_or(GRACE_HOURS);
    let grace = SignedDuration::from_hours(i64::try_from(grace).unwrap_or_default());
    let mut sources: Vec<ListSource> = Vec::new();
    let mut lists = Vec::new();
    for mut entry in section.get("list").iter().flat_map(Value::tables) {
        let position = entry.position().clone();
        let issuer = entry.require("issuer").and_then(|value| {
            let issuer = authority(&value, reading)?;
            let trusted = trust.authority(&issuer.key).is_some();
            if !trusted {
                value.object(Code::RevocationIssuerUnknown, &[&printable(&issuer.subject)]);
            }
            trusted.then_some(issuer)
        });
        let (url, file) = (entry.get("url"), entry.get("file"));
        if url.is_some() == file.is_some() {
            reading.report.add(Code::RevocationSourceAmbiguous, &position, &[]);
        }
        let url = url.and_then(|value| {
            let url = value.text()?;
            let plain = url.starts_with("http://") || url.starts_with("https://");
            if !plain {
                value.object(Code::RevocationUrlMalformed, &[&printable(&url)]);
            }
            plain.then_some(url)
        });
        entry.finish();
        let Some(issuer) = issuer else { continue };
        // one issuer, one list: where several are published, the one that speaks of all certificates
        if sources.iter().any(|source| source.issuer == issuer.key) {
            let subject = printable(&issuer.subject);
            reading.report.add(Code::RevocationListTwice, &position, &[&subject]);
            continue;
        }
        if let Some(value) = file
            && let Some((at, list)) = committed(&value, &issuer, reading)
        {
            lists.push((issuer.key, at, list));
        }
        sources.push(ListSource {
            issuer: issuer.key,
            name: issuer.subject,
            url,
        });
    }
    section.finish();
    for (at, authority) in listed.iter().zip(&trust.between) {
        unlisted(&at.position(), authority, &sources, reading);
    }
    let revocations = Revocations::new(sources, grace);
    for (issuer, at, list) in lists {
        let until = list.reliable_until(grace);
        if until < instant_of(reading) {
            reading.report.add(Code::RevocationListStale, &at, &[&until]);
        }
        // the first of its issuer, who is known: nothing could speak against it
        let _taken = revocations.take(&issuer, list, None);
    }
    (trust, revocations)
}

/// An issuer without a list: what it revokes is not seen.
fn unlisted(at: &Position, authority: &Authority, sources: &[ListSource], reading: &Reading<'_>) {
    if !sources.iter().any(|source| source.issuer == authority.key) {
        reading
            .report
            .add(Code::IssuerWithoutList, at, &[&printable(&authority.subject)]);
    }
}

fn authorities(items: &[Value<'_>], reading: &Reading<'_>) -> Vec<Authority> {
    items.iter().filter_map(|item| authority(item, reading)).collect()
}

fn authority(value: &Value<'_>, reading: &Reading<'_>) -> Option<Authority> {
    let (at, octets) = named_file(value, reading)?;
    let parsed = std::str::from_utf8(octets).ok().and_then(Authority::from_pem);
    if parsed.is_none() {
        reading.report.add(Code::AuthorityWrong, &at, &[]);
    }
    parsed
}

fn committed(value: &Value<'_>, issuer: &Authority, reading: &Reading<'_>) -> Option<(Position, List)> {
    let (at, octets) = named_file(value, reading)?;
    let now = reading.today.tomorrow().ok().and_then(start_of_day);
    match List::read(octets, issuer, now.unwrap_or(Timestamp::MAX)) {
        Ok(list) => Some((at, list)),
        Err(error) => {
            reading.report.add(Code::RevocationListWrong, &at, &[&error]);
            None
        }
    }
}

/// The start of the day on which chains have to hold.
pub(super) fn instant_of(reading: &Reading<'_>) -> Timestamp {
    start_of_day(reading.today).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Warns of what a list in the folder revokes; the table loads all the same, for the others go on.
pub(super) fn tell_revoked(revocations: &Revocations, chain: &[Issued], at: &Position, reading: &Reading<'_>) {
    let standing = revocations.standing(chain, instant_of(reading));
    if standing == Standing::Revoked {
        reading.report.add(Code::CertificateRevoked, at, &[]);
    }
}
