//! Ciphertexts changed, exchanged, left out or added.

use base64_simd::STANDARD;
use viereck_envelope::{OpenError, Refused};

use crate::case::Attacker::{Path, Sender};
use crate::case::Cases;
use crate::craft::{change, cipher_values};
use crate::references::next_letter;
use crate::scene::{ContentKey, Genuine};

pub(super) fn add(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let values: Vec<String> = cipher_values(text).into_iter().map(str::to_owned).collect();
    let undecipherable = OpenError::Undecipherable;
    for (value, what) in values
        .iter()
        .zip(["wrapped key", "manifest", "first file", "second file", "empty file"])
    {
        let octets = STANDARD.decode_to_vec(value).unwrap();
        let mut places = vec![
            ("first octet", 0),
            ("last octet", octets.len() - 1),
            ("middle octet", octets.len() / 2),
        ];
        if what != "wrapped key" {
            places.push(("first octet behind the nonce", 12));
        }
        for (place, at) in places {
            for bit in [0, 7] {
                let mut flipped = octets.clone();
                flipped[at] ^= 1 << bit;
                let document = genuine.resigned(value, &STANDARD.encode_to_string(&flipped));
                cases.add(
                    Sender,
                    format!("bit {bit} of the {place} of the {what} flipped"),
                    document,
                    undecipherable,
                );
            }
        }
        // the same without the key to sign
        let mut flipped = octets.clone();
        flipped[20] ^= 1;
        cases.add(
            Path,
            format!("a bit of the {what} flipped on the way"),
            change(text, value, &STANDARD.encode_to_string(&flipped)),
            Refused::DigestMismatch,
        );
        if what != "wrapped key" {
            let shorter = &octets[..octets.len() - 1];
            let name = format!("the {what} without its last octet");
            // nonce and tag are 28 octets: fewer are seen without the key
            let expected = match shorter.len() < 28 {
                true => Refused::InvalidValue.into(),
                false => undecipherable.into(),
            };
            let document = genuine.resigned(value, &STANDARD.encode_to_string(shorter));
            push(cases, &name, document, expected);
            let name = format!("the {what} with an octet more");
            let longer = [octets.as_slice(), b"\0"].concat();
            push(
                cases,
                &name,
                genuine.resigned(value, &STANDARD.encode_to_string(longer)),
                undecipherable.into(),
            );
        }
    }
    let shorter = &STANDARD.decode_to_vec(&values[0]).unwrap()[..24];
    cases.add(
        Sender,
        "a wrapped key of 24 octets",
        genuine.resigned(&values[0], &STANDARD.encode_to_string(shorter)),
        Refused::InvalidValue,
    );
    cases.add(
        Sender,
        "no wrapped key",
        genuine.resigned(&values[0], ""),
        Refused::InvalidValue,
    );

    let exchanged = change(
        &change(&change(text, &values[2], "@"), &values[3], &values[2]),
        "@",
        &values[3],
    );
    cases.add(
        Sender,
        "two files exchanged",
        genuine.signed(&exchanged),
        undecipherable,
    );
    let exchanged = change(
        &change(&change(text, &values[1], "@"), &values[2], &values[1]),
        "@",
        &values[2],
    );
    cases.add(
        Sender,
        "manifest and first file exchanged",
        genuine.signed(&exchanged),
        OpenError::HeaderMismatch,
    );
    let start = text.rfind("<xenc:EncryptedData").unwrap();
    let last = text[start..text.find("</Content>").unwrap()].to_owned();
    cases.add(
        Sender,
        "the last file left out",
        genuine.resigned(&last, ""),
        undecipherable,
    );
    let fresh = STANDARD.encode_to_string(genuine.content_key.encrypt(b"more"));
    let more = change(&last, cipher_values(&last)[0], &fresh);
    cases.add(
        Sender,
        "a file that the manifest does not name",
        genuine.resigned("</Content>", &format!("{more}</Content>")),
        undecipherable,
    );
    cases.add(
        Sender,
        "the last file twice",
        genuine.resigned("</Content>", &format!("{last}</Content>")),
        Refused::EqualNonces,
    );
    let nonce = format!("{}{}", &values[1][..16], &values[2][16..]);
    cases.add(
        Sender,
        "one nonce for manifest and file",
        genuine.resigned(&values[2], &nonce),
        Refused::EqualNonces,
    );
    cases.add(
        Sender,
        "an empty ciphertext",
        genuine.resigned(&values[2], ""),
        Refused::InvalidValue,
    );
    cases.add(
        Sender,
        "a ciphertext of a nonce only",
        genuine.resigned(&values[2], &values[2][..16]),
        Refused::InvalidValue,
    );
    cases.add(
        Sender,
        "a ciphertext of 27 octets",
        genuine.resigned(&values[2], &STANDARD.encode_to_string([1; 27])),
        Refused::InvalidValue,
    );
    cases.add(
        Sender,
        "a ciphertext of nonce and tag only",
        genuine.resigned(&values[2], &STANDARD.encode_to_string([1; 28])),
        undecipherable,
    );
    cases.add(
        Sender,
        "a ciphertext under another key",
        genuine.resigned(
            &values[1],
            &STANDARD.encode_to_string(ContentKey([1; 32]).encrypt(b"x")),
        ),
        undecipherable,
    );
    for (name, value) in [
        (
            "a ciphertext with a space",
            format!("{} {}", &values[2][..20], &values[2][20..]),
        ),
        ("a ciphertext with a line feed behind it", format!("{}\n", values[2])),
        ("a ciphertext in base64url", format!("-{}", &values[2][1..])),
        (
            "a ciphertext with padding in the middle",
            format!("{}===={}", &values[2][..20], &values[2][24..]),
        ),
        (
            "a ciphertext with an umlaut in its nonce",
            format!("ä{}", &values[2][2..]),
        ),
        ("a ciphertext with an escape", format!("&lt;{}", &values[2][4..])),
    ] {
        cases.add(
            Sender,
            name,
            genuine.resigned(&values[2], &value),
            Refused::InvalidValue,
        );
    }
    for (index, what) in [
        (1, "manifest"),
        (2, "first file"),
        (3, "second file"),
        (4, "empty file"),
    ] {
        let value = &values[index];
        let padding = value.len() - value.trim_end_matches('=').len();
        if padding == 0 {
            continue;
        }
        let mut letters: Vec<char> = value.chars().collect();
        let at = letters.len() - 1 - padding;
        letters[at] = next_letter(letters[at]);
        let loose: String = letters.into_iter().collect();
        cases.add(
            Sender,
            format!("the {what} in another base64 of the same octets"),
            genuine.resigned(value, &loose),
            Refused::InvalidValue,
        );
    }
}

fn push(cases: &mut Cases<'_>, name: &str, document: String, expected: crate::case::Refusal) {
    cases.add(Sender, name, document, expected);
}
