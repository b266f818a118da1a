//! Documents that are large, deep, wide or many: each up to the 8 MiB that a link carries. All have to be refused
//! without reading on, and without memory beyond the document itself.

use viereck_envelope::Refused;

use crate::case::Attacker::Path;
use crate::case::Cases;
use crate::craft::{change, content, element};
use crate::scene::Genuine;

/// The largest document on any link.
const LARGEST: usize = 8 << 20;

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("limits");
    let text = genuine.text.clone();
    let own = "<Envelope xmlns=\"urn:viereck:envelope:1\">";
    let mut large = |name: &str, from: &'static str, make: Box<dyn Fn(usize) -> String>, expected| {
        let text = text.clone();
        // what is put in leaves room for the rest of a document of the largest size
        let room = LARGEST - text.len() - 64;
        cases.large(Path, name, move || change(&text, from, &make(room)), expected);
    };
    let fill = |piece: &'static str, room: usize| piece.repeat(room / piece.len());

    large(
        "8 MiB of nested elements of the header",
        "<Profile>",
        Box::new(move |room| fill("<Profile>", room)),
        Refused::UnexpectedElement,
    );
    large(
        "8 MiB of nested elements before the root",
        own,
        Box::new(move |room| fill("<a>", room)),
        Refused::Namespace,
    );
    large(
        "8 MiB of nested elements in one namespace",
        own,
        Box::new(move |room| own.to_owned() + &fill("<a>", room - own.len())),
        Refused::UnexpectedElement,
    );
    large(
        "8 MiB of elements side by side",
        "<Profile>",
        Box::new(move |room| fill("<a></a>", room - 9) + "<Profile>"),
        Refused::UnexpectedElement,
    );
    large(
        "8 MiB of headers' regions",
        "<Region>01054</Region>",
        Box::new(move |room| fill("<Region>01054</Region>", room)),
        Refused::UnexpectedElement,
    );
    large(
        "one attribute of 8 MiB",
        "<Profile>",
        Box::new(|room| format!("<Profile a=\"{}\">", "x".repeat(room - 20))),
        Refused::TagTooLarge,
    );
    large(
        "a million attributes",
        "<Profile>",
        Box::new(|_| {
            let all: String = (0..1_000_000).map(|n| format!(" {}=\"\"", letters(n))).collect();
            format!("<Profile{all}>")
        }),
        Refused::TagTooLarge,
    );
    large(
        "seventeen attributes",
        "<Profile>",
        Box::new(|_| {
            let all: String = (10..27).map(|n| format!(" a{n}=\"\"")).collect();
            format!("<Profile{all}>")
        }),
        Refused::TagTooLarge,
    );
    large(
        "a hundred thousand namespaces",
        own,
        Box::new(|_| {
            let all: String = (0..100_000)
                .map(|n| format!(" xmlns:{}=\"urn:x\"", letters(n)))
                .collect();
            format!("<Envelope xmlns=\"urn:viereck:envelope:1\"{all}>")
        }),
        Refused::TagTooLarge,
    );
    large(
        "redundant namespaces on each of many elements",
        "<Profile>",
        Box::new(move |room| fill("<Profile xmlns=\"urn:viereck:envelope:1\">", room)),
        Refused::NotCanonical,
    );
    large(
        "one name of 8 MiB",
        "<Profile>",
        Box::new(|room| format!("<{}>", "x".repeat(room - 10))),
        Refused::TagTooLarge,
    );
    large(
        "one value of 8 MiB",
        "<Kind>application",
        Box::new(|room| "<Kind>".to_owned() + &"x".repeat(room)),
        Refused::InvalidValue,
    );
    large(
        "8 MiB of escapes",
        "<Kind>application",
        Box::new(move |room| "<Kind>".to_owned() + &fill("&amp;", room)),
        Refused::InvalidValue,
    );
    large(
        "8 MiB of references that are none",
        "<Kind>application",
        Box::new(move |room| "<Kind>".to_owned() + &fill("&a;", room)),
        Refused::Reference,
    );
    large(
        "8 MiB of ampersands",
        "<Kind>application",
        Box::new(move |room| "<Kind>".to_owned() + &fill("&", room)),
        Refused::NotWellFormed,
    );
    large(
        "8 MiB of less-than signs",
        "<Kind>application",
        Box::new(move |room| fill("<", room)),
        Refused::TagTooLarge,
    );
    large(
        "8 MiB of comments",
        "<Kind>",
        Box::new(move |room| fill("<!---->", room) + "<Kind>"),
        Refused::Comment,
    );
    large(
        "one comment of 8 MiB",
        "<Kind>",
        Box::new(|room| format!("<!--{}--><Kind>", "x".repeat(room - 20))),
        Refused::Comment,
    );
    large(
        "one CDATA section of 8 MiB",
        "<Kind>",
        Box::new(|room| format!("<Kind><![CDATA[{}]]>", "x".repeat(room - 30))),
        Refused::Cdata,
    );
    large(
        "one processing instruction of 8 MiB",
        "<Kind>",
        Box::new(|room| format!("<?a {}?><Kind>", "x".repeat(room - 20))),
        Refused::ProcessingInstruction,
    );
    large(
        "8 MiB of white space between elements",
        "<Kind>",
        Box::new(|room| " ".repeat(room - 6) + "<Kind>"),
        Refused::UnexpectedText,
    );
    large(
        "8 MiB of white space before the root",
        own,
        Box::new(|room| " ".repeat(room - 50) + own),
        Refused::UnexpectedText,
    );
    large(
        "8 MiB of many text nodes",
        "<Kind>",
        Box::new(move |room| fill("x<a></a>", room)),
        Refused::UnexpectedText,
    );
    large(
        "8 MiB of control characters",
        "<Kind>application",
        Box::new(move |room| "<Kind>".to_owned() + &fill("\u{1}", room)),
        Refused::NotWellFormed,
    );
    large(
        "8 MiB of a document type",
        own,
        Box::new(move |room| format!("<!DOCTYPE E [{}]>{own}", fill("<!ENTITY a \"b\">", room - 80))),
        Refused::Doctype,
    );
    large(
        "8 MiB of an opened document type",
        own,
        Box::new(move |room| fill("<!DOCTYPE E [", room)),
        Refused::NotWellFormed,
    );
    large(
        "a certificate of 8 MiB",
        "<ds:X509Certificate>",
        Box::new(|room| "<ds:X509Certificate>".to_owned() + &"AAAA".repeat(room / 4 - 10)),
        Refused::InvalidValue,
    );
    large(
        "a certificate of 8 MiB of white space",
        "<ds:X509Certificate>",
        Box::new(|room| "<ds:X509Certificate>".to_owned() + &" ".repeat(room - 20)),
        Refused::InvalidValue,
    );
    large(
        "a certificate of 8 MiB with a space behind each letter",
        "<ds:X509Certificate>",
        Box::new(move |room| "<ds:X509Certificate>".to_owned() + &fill("A A A A ", room - 30)),
        Refused::InvalidValue,
    );
    large(
        "a signature value of 8 MiB",
        "<ds:SignatureValue>",
        Box::new(|room| "<ds:SignatureValue>".to_owned() + &"AAAA".repeat(room / 4 - 10)),
        Refused::SignatureInvalid,
    );
    large(
        "a ciphertext of 8 MiB of white space",
        "<xenc:CipherValue>",
        Box::new(|room| "<xenc:CipherValue>".to_owned() + &" ".repeat(room - 20)),
        Refused::InvalidValue,
    );
    large(
        "8 MiB of references",
        "<ds:Reference ",
        Box::new(move |room| fill("<ds:Reference Id=\"x\" URI=\"#x\">", room)),
        Refused::DuplicateId,
    );
    large(
        "8 MiB of objects",
        "<ds:Object>",
        Box::new(move |room| fill("<ds:Object></ds:Object>", room)),
        Refused::MissingElement,
    );

    many(&mut cases, genuine);

    let text = genuine.text.clone();
    cases.large(
        Path,
        "an octet beyond 8 MiB",
        move || {
            change(
                &text,
                "</Envelope>",
                &format!("</Envelope>{}", " ".repeat(LARGEST + 1 - text.len())),
            )
        },
        Refused::TooLarge,
    );
    cases.large(Path, "64 MiB of nothing", || vec![b' '; 64 << 20], Refused::TooLarge);
    cases.large(Path, "64 MiB of NUL", || vec![0; 64 << 20], Refused::TooLarge);
    cases.large(
        Path,
        "8 MiB that turn out at the end to be no UTF-8",
        || {
            let mut octets = vec![b' '; LARGEST];
            octets[LARGEST - 1] = 0xff;
            octets
        },
        Refused::NotUtf8,
    );
    cases
}

/// Many of what may stand more than once.
fn many<'a>(cases: &mut Cases<'a>, genuine: &Genuine<'a>) {
    let text = &genuine.text;
    let key = element(text, "xenc:EncryptedKey").to_owned();
    let keys = |many: usize, same: bool| {
        let keys: String = (0..many)
            .map(|n| {
                if same {
                    key.clone()
                } else {
                    key.replace(" Id=\"", &format!(" Id=\"k{n}-"))
                }
            })
            .collect();
        change(text, &key, &format!("{key}{keys}"))
    };
    let (other, same) = (keys(500, false), keys(500, true));
    cases.add(
        Path,
        "500 encrypted keys of different Ids",
        other,
        Refused::UnexpectedElement,
    );
    cases.add(Path, "500 encrypted keys of one Id", same, Refused::DuplicateId);
    // each of them the same ciphertext, so the nonce is the same too
    let last = text.rfind("<xenc:EncryptedData").unwrap();
    let data = text[last..text.find("</Content>").unwrap()].to_owned();
    let with = |many: String| change(text, "</Content>", &format!("{many}</Content>"));
    cases.add(
        Path,
        "3,000 ciphertexts with one nonce",
        with(data.repeat(3_000)),
        Refused::EqualNonces,
    );
    let document = with(data.repeat(3_400));
    cases.add(
        Path,
        "20,000 elements of ciphertexts",
        document,
        Refused::TooManyElements,
    );
    let empty = change(&data, content(&data, "xenc:CipherValue"), "");
    cases.add(
        Path,
        "3,000 empty ciphertexts",
        with(empty.repeat(3_000)),
        Refused::InvalidValue,
    );
}

/// A number as four letters, so that a million attributes fit.
fn letters(number: usize) -> String {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digit = |place: u32| char::from(ALPHABET[number / ALPHABET.len().pow(place) % ALPHABET.len()]);
    [3, 2, 1, 0].map(digit).into_iter().collect()
}
