//! How a text may stand somewhere without being read at first sight, and still be in the clear.
//!
//! Found: each of these once, in whatever surroundings. Not found: one inside another (hexadecimal digits of base64, say),
//! and whatever takes a key.

use viereck_routing::Digest;

/// A word in every spelling, each with its name.
pub(super) fn of(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let octets = word.as_bytes();
    let each = |spell: &dyn Fn(u8) -> String| {
        octets
            .iter()
            .map(|octet| spell(*octet))
            .collect::<String>()
            .into_bytes()
    };
    let joined = |separator: &str| {
        octets
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(separator)
            .into_bytes()
    };
    let digest = Digest::of(octets);
    vec![
        ("UTF-8", octets.to_vec()),
        ("UTF-8 in capitals", word.to_uppercase().into_bytes()),
        (
            "UTF-16, little end first",
            word.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
        (
            "UTF-16, big end first",
            word.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ),
        ("base64, first octet of three", base64_within(octets, 0)),
        ("base64, second octet of three", base64_within(octets, 1)),
        ("base64, third octet of three", base64_within(octets, 2)),
        ("hexadecimal", each(&|octet| format!("{octet:02x}"))),
        ("hexadecimal in capitals", each(&|octet| format!("{octet:02X}"))),
        ("percent-encoded", each(&|octet| format!("%{octet:02x}"))),
        ("percent-encoded in capitals", each(&|octet| format!("%{octet:02X}"))),
        ("JSON escapes", each(&|octet| format!("\\u{octet:04x}"))),
        ("JSON escapes in capitals", each(&|octet| format!("\\u{octet:04X}"))),
        ("octets escaped", each(&|octet| format!("\\x{octet:02x}"))),
        ("XML references", each(&|octet| format!("&#{octet};"))),
        ("XML references, hexadecimal", each(&|octet| format!("&#x{octet:x};"))),
        // what Rust prints of a list of octets, and Erlang
        ("a list of octets", joined(", ")),
        ("a list of octets without spaces", joined(",")),
        // no key in it, so whoever guesses the word finds it
        ("SHA-256", digest.octets().to_vec()),
        ("SHA-256, hexadecimal", digest.to_string().into_bytes()),
        ("SHA-256, base64", base64(digest.octets()).into_bytes()),
    ]
}

/// The characters of base64 that say nothing but `octets`, when `before` (0, 1 or 2) octets stand before them.
fn base64_within(octets: &[u8], before: usize) -> Vec<u8> {
    let padded = [&[0_u8; 2][..before], octets].concat();
    let text = base64(&padded).into_bytes();
    text[(before * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

/// RFC 4648, without padding. Letters and digits never come to the two characters in which its alphabets differ.
pub(super) fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for sextet in 0..=three.len() {
            let index = bits >> (18 - 6 * sextet) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

#[test]
fn base64_is_that_of_the_standard() {
    for (plain, coded) in [
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"),
    ] {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
