//! Octets that some program reads as other characters than ours, and characters that look like others.

use viereck_envelope::Refused;

use crate::case::Attacker::{Path, Sender};
use crate::case::Cases;
use crate::craft::change;
use crate::scene::Genuine;

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("encodings");
    whole(&mut cases, genuine);
    octets(&mut cases, genuine);
    characters(&mut cases, genuine);
    cases
}

/// The whole document in another encoding.
fn whole(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let utf16 = |big: bool| -> Vec<u8> {
        let units = text.encode_utf16();
        units
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    };
    let utf32: Vec<u8> = text.chars().flat_map(|c| (c as u32).to_be_bytes()).collect();
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let declared = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>{text}");
    for (name, octets, expected) in [
        (
            "a byte order mark",
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            Refused::NotCanonical,
        ),
        (
            "two byte order marks",
            [b"\xef\xbb\xbf\xef\xbb\xbf", text.as_bytes()].concat(),
            Refused::NotCanonical,
        ),
        (
            "UTF-16 with a mark, little end first",
            [b"\xff\xfe", utf16(false).as_slice()].concat(),
            Refused::NotUtf8,
        ),
        (
            "UTF-16 with a mark, big end first",
            [b"\xfe\xff", utf16(true).as_slice()].concat(),
            Refused::NotUtf8,
        ),
        ("UTF-32", utf32, Refused::NotUtf8),
        ("ISO-8859-1", latin, Refused::NotUtf8),
        (
            "UTF-7 by declaration",
            declared("UTF-7").into_bytes(),
            Refused::XmlDeclaration,
        ),
        (
            "UTF-16 by declaration only",
            declared("UTF-16").into_bytes(),
            Refused::XmlDeclaration,
        ),
        (
            "EBCDIC by declaration",
            declared("IBM037").into_bytes(),
            Refused::XmlDeclaration,
        ),
        ("nothing at all", vec![], Refused::NotWellFormed),
        ("one NUL", vec![0], Refused::UnexpectedText),
        (
            "a NUL behind the root",
            [text.as_bytes(), b"\0"].concat(),
            Refused::UnexpectedText,
        ),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), Refused::NotUtf8),
        ("JSON", b"{\"Envelope\":{}}".to_vec(), Refused::UnexpectedText),
    ] {
        cases.add(Path, name, octets, expected);
    }
    // without a mark, UTF-16 of ASCII is UTF-8 with a NUL in every second place
    let ascii: String = text.chars().filter(char::is_ascii).collect();
    let unmarked: Vec<u8> = ascii.encode_utf16().flat_map(u16::to_be_bytes).collect();
    cases.add(Path, "UTF-16 without a mark", unmarked, Refused::UnexpectedText);
}

/// Octets that are no UTF-8, within a value.
fn octets(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = genuine.text.as_bytes();
    let marker = b"<Kind>";
    let at = text.windows(marker.len()).position(|window| window == marker).unwrap() + marker.len();
    for (name, octets) in [
        ("an overlong less-than sign", &b"\xc0\xbc"[..]),
        ("an overlong NUL", b"\xc0\x80"),
        ("an overlong slash of three octets", b"\xe0\x80\xaf"),
        ("an overlong letter of four octets", b"\xf0\x80\x81\xa1"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("a character beyond Unicode", b"\xf4\x90\x80\x80"),
        ("a sequence of five octets", b"\xf8\x88\x80\x80\x80"),
        ("a continuation alone", b"\x80"),
        ("a beginning alone", b"\xe2\x82"),
        ("the octet FF", b"\xff"),
        ("an umlaut of ISO-8859-1", b"\xfc"),
    ] {
        let document = [&text[..at], octets, &text[at..]].concat();
        cases.add(Path, name, document, Refused::NotUtf8);
    }
}

/// Characters that XML forbids, that are line ends to some, or that look like others. Signed by the sender where they
/// stand in what it signs.
fn characters(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let kind = |value: &str| genuine.resigned("<Kind>application", &format!("<Kind>{value}"));
    for (name, value, expected) in [
        ("a NUL in a value", "applica\0tion", Refused::NotWellFormed),
        (
            "a control character in a value",
            "application\u{1}",
            Refused::NotWellFormed,
        ),
        (
            "an escape character in a value",
            "\u{1b}[2Japplication",
            Refused::NotWellFormed,
        ),
        ("a vertical tab in a value", "application\u{b}", Refused::NotWellFormed),
        (
            "the character FFFE in a value",
            "application\u{fffe}",
            Refused::NotWellFormed,
        ),
        (
            "the character FFFF in a value",
            "application\u{ffff}",
            Refused::NotWellFormed,
        ),
        (
            "a lone carriage return in a value",
            "application\r",
            Refused::NotCanonical,
        ),
        (
            "a carriage return with a line feed in a value",
            "application\r\n",
            Refused::NotCanonical,
        ),
        (
            "an escaped carriage return in a value",
            "application&#xD;",
            Refused::InvalidValue,
        ),
        ("a line feed in a value", "application\n", Refused::InvalidValue),
        ("a tab in a value", "\tapplication", Refused::InvalidValue),
        ("a space before a value", " application", Refused::InvalidValue),
        (
            "the line end 0085 in a value",
            "application\u{85}",
            Refused::InvalidValue,
        ),
        (
            "the line end 2028 in a value",
            "application\u{2028}",
            Refused::InvalidValue,
        ),
        (
            "a space that does not break in a value",
            "application\u{a0}",
            Refused::InvalidValue,
        ),
        (
            "a space of no width in a value",
            "appli\u{200b}cation",
            Refused::InvalidValue,
        ),
        (
            "a byte order mark in a value",
            "\u{feff}application",
            Refused::InvalidValue,
        ),
        (
            "a change of direction in a value",
            "\u{202e}noitacilppa",
            Refused::InvalidValue,
        ),
        (
            "a Cyrillic letter in a value",
            "\u{430}pplication",
            Refused::InvalidValue,
        ),
        ("wide letters in a value", "ａpplication", Refused::InvalidValue),
        (
            "a combining accent in a value",
            "application\u{301}",
            Refused::InvalidValue,
        ),
        ("a value in capitals", "APPLICATION", Refused::InvalidValue),
        ("a value with a dotless i", "applıcation", Refused::InvalidValue),
        ("a soft hyphen in a value", "appli\u{ad}cation", Refused::InvalidValue),
    ] {
        cases.add(Sender, name, kind(value), expected);
    }
    let text = &genuine.text;
    for (name, from, to, expected) in [
        (
            "an umlaut composed of two characters",
            "Größe",
            "Gro\u{308}ße",
            Refused::DigestMismatch,
        ),
        ("a sharp s spelled out", "Maß", "Mass", Refused::DigestMismatch),
        (
            "a Cyrillic letter in the name of an element",
            "<Kind>application</Kind>",
            "<Kіnd>application</Kіnd>",
            Refused::UnexpectedElement,
        ),
        (
            "a name of another case",
            "<Kind>application</Kind>",
            "<kind>application</kind>",
            Refused::UnexpectedElement,
        ),
        (
            "a space of no width in the name of an attribute",
            " Id=\"header\"",
            " I\u{200b}d=\"header\"",
            Refused::NotWellFormed,
        ),
        (
            "the line end 0085 between attributes",
            " Id=\"header\"",
            "\u{85}Id=\"header\"",
            Refused::NotCanonical,
        ),
        (
            "a space of another script between attributes",
            " Id=\"header\"",
            "\u{2003}Id=\"header\"",
            Refused::NotCanonical,
        ),
    ] {
        cases.add(Path, name, change(text, from, to), expected);
    }
}
