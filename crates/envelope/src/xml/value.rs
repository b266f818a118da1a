//! Values: characters and their escapes, instants, numbers, digests, octets. Each has one spelling.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::refusal::Refused;

/// Checks text between tags: valid characters, in the spelling of canonicalization.
pub(super) fn check_text(raw: &str) -> Result<(), Refused> {
    if is_plain(raw.as_bytes()) {
        return Ok(());
    }
    check_characters(raw, |octet| match octet {
        b'>' | b'\r' => Some(Refused::NotCanonical),
        _ => None,
    })?;
    check_references(raw, &["amp;", "lt;", "gt;", "#xD;"])
}

/// Checks the value of an attribute.
pub(super) fn check_attribute(raw: &str) -> Result<(), Refused> {
    if is_plain(raw.as_bytes()) {
        return Ok(());
    }
    check_characters(raw, |octet| match octet {
        b'<' => Some(Refused::NotWellFormed),
        b'\t' | b'\n' | b'\r' => Some(Refused::NotCanonical),
        _ => None,
    })?;
    check_references(raw, &["amp;", "lt;", "quot;", "#x9;", "#xA;", "#xD;"])
}

/// Whether all is printable ASCII that is never escaped: the common case, and nearly all of a document. Looks at all
/// octets of a block before it decides, so that the compiler can compare many at once.
fn is_plain(octets: &[u8]) -> bool {
    let odd = |octet: u8| (octet.wrapping_sub(0x20) >= 0x5f) | (octet == b'&') | (octet == b'<') | (octet == b'>');
    octets
        .chunks(256)
        .all(|block| !block.iter().fold(false, |found, octet| found | odd(*octet)))
}

fn check_characters(raw: &str, refused: impl Fn(u8) -> Option<Refused>) -> Result<(), Refused> {
    for octet in raw.bytes() {
        if octet < 0x20 && !matches!(octet, b'\t' | b'\n' | b'\r') {
            return Err(Refused::NotWellFormed);
        }
        if let Some(refusal) = refused(octet) {
            return Err(refusal);
        }
    }
    if raw.contains(['\u{fffe}', '\u{ffff}']) {
        Err(Refused::NotWellFormed)
    } else {
        Ok(())
    }
}

fn check_references(raw: &str, allowed: &[&str]) -> Result<(), Refused> {
    let mut references = raw.split('&').skip(1);
    if references.all(|rest| allowed.iter().any(|name| rest.starts_with(name))) {
        Ok(())
    } else {
        Err(Refused::Reference)
    }
}

/// The characters that checked text or a checked value stands for.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    let mut pieces = raw.split('&');
    let Some(first) = pieces.next().filter(|first| first.len() < raw.len()) else {
        return Cow::Borrowed(raw);
    };
    let mut text = String::with_capacity(raw.len());
    text.push_str(first);
    for piece in pieces {
        let (name, rest) = piece.split_once(';').unwrap_or((piece, ""));
        text.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#x9" => '\t',
            "#xA" => '\n',
            _ => '\r',
        });
        text.push_str(rest);
    }
    Cow::Owned(text)
}

/// `instant` cut to the millisecond, as it stands on the wire; `None` before 1970.
pub(crate) fn to_millisecond(instant: Timestamp) -> Option<Timestamp> {
    Timestamp::from_millisecond(instant.as_millisecond())
        .ok()
        .filter(|instant| *instant >= Timestamp::UNIX_EPOCH)
}

/// `YYYY-MM-DDThh:mm:ss.sssZ`.
pub(crate) fn instant(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

/// Reads an instant in its one spelling.
pub(crate) fn parse_instant(text: &str) -> Option<Timestamp> {
    let parsed: Timestamp = text.parse().ok()?;
    let parsed = to_millisecond(parsed)?;
    (instant(parsed) == text).then_some(parsed)
}

/// Reads a number in its one spelling: no sign, no leading zeros.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Reads base64 in its one spelling, into exactly `N` octets.
pub(crate) fn parse_octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N.div_ceil(3) * 4 {
        return None;
    }
    base64_simd::STANDARD.decode_to_vec(text).ok()?.try_into().ok()
}

/// Octets in base64.
pub(crate) fn octets(octets: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(octets)
}
