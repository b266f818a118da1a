//! The manifest within the encryption: written by a sender gateway that lies to the reader. Each is encrypted under the
//! right key, committed to by the header and signed, so that only reading it stands between the lie and the reader.

use viereck_envelope::OpenError;

use crate::case::Attacker::Sender;
use crate::case::Cases;
use crate::craft::{attribute, change, content, element};
use crate::scene::Genuine;

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("manifest");
    bound(&mut cases, genuine);
    files(&mut cases, genuine);
    forms(&mut cases, genuine);
    contents(&mut cases, genuine);
    cases
}

/// The genuine manifest with a change, its padding made to fit again.
fn changed(manifest: &str, from: &str, to: &str) -> String {
    padded(&change(manifest, from, to))
}

/// Padded with spaces as a manifest pads itself.
fn padded(manifest: &str) -> String {
    let spaces = content(manifest, "Padding").to_owned();
    let bare = manifest.replace(&format!("<Padding>{spaces}</Padding>"), "<Padding></Padding>");
    let spaces = padme(bare.len()) - bare.len();
    bare.replace(
        "<Padding></Padding>",
        &format!("<Padding>{}</Padding>", " ".repeat(spaces)),
    )
}

/// The length that Padmé pads to.
fn padme(length: usize) -> usize {
    let exponent = length.ilog2();
    let mask = (1 << (exponent - (exponent.ilog2() + 1))) - 1;
    (length + mask) & !mask
}

/// What the manifest repeats of the header.
fn bound(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let manifest = genuine.manifest();
    let uuid = viereck_routing::MessageId::random().to_string();
    for (element, to) in [
        ("MessageID", uuid.as_str()),
        ("Kind", "withdrawal"),
        ("Author", "wgp:020000000000"),
        ("Reader", "wgb:010510440000"),
        ("Environment", "production"),
        ("ProcessRef", &uuid),
        ("InReplyTo", &uuid),
        ("MessageID", "../../etc/passwd"),
        ("Reader", ""),
    ] {
        let from = format!("<{element}>{}<", content(&manifest, element));
        let lie = changed(&manifest, &from, &format!("<{element}>{to}<"));
        let what = if to.is_empty() { "nothing" } else { to };
        let what = if to == uuid { "another" } else { what };
        cases.add(
            Sender,
            format!("a manifest whose {element} is {what}"),
            genuine.with_manifest(&lie),
            OpenError::HeaderMismatch,
        );
    }
    let answers = format!("<InReplyTo>{}</InReplyTo>", content(&manifest, "InReplyTo"));
    cases.add(
        Sender,
        "a manifest that answers nothing",
        genuine.with_manifest(&changed(&manifest, &answers, "")),
        OpenError::HeaderMismatch,
    );
    // the genuine manifest of another message of the same sender
    let other = genuine.scene.genuine().manifest();
    cases.add(
        Sender,
        "the manifest of another message",
        genuine.with_manifest(&other),
        OpenError::HeaderMismatch,
    );
    let text = &genuine.text;
    let commitment = content(text, "Commitment").to_owned();
    cases.add(
        Sender,
        "a header that commits to another manifest",
        genuine.resigned(&commitment, &viereck_routing::Digest::of(other.as_bytes()).to_base64()),
        OpenError::HeaderMismatch,
    );
}

fn files(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let manifest = genuine.manifest();
    let file = element(&manifest, "File").to_owned();
    let digest = attribute(&file, "digest").to_owned();
    let length = attribute(&file, "length").to_owned();
    for (name, from, to) in [
        ("a count of nothing", "count=\"1\"".to_owned(), "count=\"0\"".to_owned()),
        ("a count of two", "count=\"1\"".to_owned(), "count=\"2\"".to_owned()),
        (
            "a count beyond any number",
            "count=\"1\"".to_owned(),
            format!("count=\"{}\"", "9".repeat(400)),
        ),
        (
            "a count below nothing",
            "count=\"1\"".to_owned(),
            "count=\"-1\"".to_owned(),
        ),
        (
            "a first ciphertext of nothing",
            "first=\"1\"".to_owned(),
            "first=\"0\"".to_owned(),
        ),
        (
            "a first ciphertext that is another file's",
            "first=\"1\"".to_owned(),
            "first=\"2\"".to_owned(),
        ),
        (
            "a first ciphertext with a sign",
            "first=\"1\"".to_owned(),
            "first=\"+1\"".to_owned(),
        ),
        (
            "a first ciphertext with a zero before it",
            "first=\"1\"".to_owned(),
            "first=\"01\"".to_owned(),
        ),
        (
            "a first ciphertext beyond any number",
            "first=\"1\"".to_owned(),
            "first=\"18446744073709551617\"".to_owned(),
        ),
        (
            "a length below nothing",
            format!("length=\"{length}\""),
            "length=\"-1\"".to_owned(),
        ),
        (
            "a length of nothing",
            format!("length=\"{length}\""),
            "length=\"0\"".to_owned(),
        ),
        (
            "a length one less",
            format!("length=\"{length}\""),
            format!("length=\"{}\"", length.parse::<u64>().unwrap() - 1),
        ),
        (
            "a length one more",
            format!("length=\"{length}\""),
            format!("length=\"{}\"", length.parse::<u64>().unwrap() + 1),
        ),
        (
            "a length of the whole padding",
            format!("length=\"{length}\""),
            format!("length=\"{}\"", padme(length.parse().unwrap())),
        ),
        (
            "a length beyond the file",
            format!("length=\"{length}\""),
            "length=\"4096\"".to_owned(),
        ),
        (
            "a length of 4 GiB",
            format!("length=\"{length}\""),
            "length=\"4294967296\"".to_owned(),
        ),
        (
            "a length of 2^63",
            format!("length=\"{length}\""),
            "length=\"9223372036854775808\"".to_owned(),
        ),
        (
            "a length of 2^64 - 1",
            format!("length=\"{length}\""),
            "length=\"18446744073709551615\"".to_owned(),
        ),
        (
            "a length of 2^64",
            format!("length=\"{length}\""),
            "length=\"18446744073709551616\"".to_owned(),
        ),
        (
            "a length with a sign",
            format!("length=\"{length}\""),
            format!("length=\"+{length}\""),
        ),
        (
            "a length with a zero before it",
            format!("length=\"{length}\""),
            format!("length=\"0{length}\""),
        ),
        (
            "a length with a space",
            format!("length=\"{length}\""),
            format!("length=\" {length}\""),
        ),
        (
            "a length with an exponent",
            format!("length=\"{length}\""),
            "length=\"7e2\"".to_owned(),
        ),
        (
            "a length in hex",
            format!("length=\"{length}\""),
            "length=\"0x2bc\"".to_owned(),
        ),
        ("no length", format!(" length=\"{length}\""), String::new()),
        (
            "a digest of something else",
            digest.clone(),
            viereck_routing::Digest::of(b"else").to_base64(),
        ),
        (
            "a digest in hex",
            digest.clone(),
            viereck_routing::Digest::from_base64(&digest).unwrap().to_string(),
        ),
        ("no digest", format!("digest=\"{digest}\""), "digest=\"\"".to_owned()),
        (
            "an unknown role",
            "role=\"payload\"".to_owned(),
            "role=\"program\"".to_owned(),
        ),
        (
            "a role in capitals",
            "role=\"payload\"".to_owned(),
            "role=\"Payload\"".to_owned(),
        ),
        ("no role", " role=\"payload\"".to_owned(), String::new()),
        (
            "an attribute more",
            "role=\"payload\"".to_owned(),
            "role=\"payload\" url=\"x\"".to_owned(),
        ),
        ("an Id", "digest=\"".to_owned(), "Id=\"x\" digest=\"".to_owned()),
        (
            "elements in it",
            "></File>".to_owned(),
            "><File></File></File>".to_owned(),
        ),
        ("text in it", "></File>".to_owned(), ">x</File>".to_owned()),
    ] {
        let lie = changed(&manifest, &from, &to);
        cases.add(
            Sender,
            format!("a manifest whose file has {name}"),
            genuine.with_manifest(&lie),
            OpenError::Undecipherable,
        );
    }
    let all = content(&manifest, "Files").to_owned();
    let entries: Vec<&str> = all.split_inclusive("</File>").collect();
    for (name, list) in [
        ("no file", String::new()),
        ("one file less", entries[..2].concat()),
        (
            "one file more",
            format!("{all}{}", entries[2].replace("first=\"3\"", "first=\"4\"")),
        ),
        (
            "its files in another order",
            [entries[1], entries[0], entries[2]].concat(),
        ),
        (
            "its files in another order, counted anew",
            [
                entries[1].replace("first=\"2\"", "first=\"1\""),
                entries[0].replace("first=\"1\"", "first=\"2\""),
                entries[2].to_owned(),
            ]
            .concat(),
        ),
        ("one file twice", [entries[0], entries[0], entries[2]].concat()),
        ("ten thousand files", format!("{all}{}", "<File></File>".repeat(10_000))),
    ] {
        let lie = changed(&manifest, &all, &list);
        cases.add(
            Sender,
            format!("a manifest with {name}"),
            genuine.with_manifest(&lie),
            OpenError::Undecipherable,
        );
    }
}

/// Other forms of the whole.
fn forms(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let manifest = genuine.manifest();
    let salt = content(&manifest, "Salt").to_owned();
    let padding = content(&manifest, "Padding").to_owned();
    let token = format!("<ReplyToken>{}</ReplyToken>", content(&manifest, "ReplyToken"));
    for (name, from, to) in [
        ("a short salt", salt.as_str(), &salt[..24]),
        ("no salt", &format!("<Salt>{salt}</Salt>"), ""),
        ("a payment of nothing", &token, "<Payment></Payment>"),
        ("a token that is none", &token, "<ReplyToken>../../etc</ReplyToken>"),
        ("a token of nothing", &token, "<ReplyToken></ReplyToken>"),
        ("two tokens", &token, &format!("{token}{token}")),
        ("no list of files", "Files>", "Filez>"),
        ("an element that nobody knows", "</Files>", "</Files><More></More>"),
        (
            "external parts, which this profile has not",
            "<ClientReference>",
            "<Parts></Parts><ClientReference>",
        ),
        ("a comment", "<Kind>", "<!-- --><Kind>"),
        (
            "a document type",
            "<Manifest ",
            "<!DOCTYPE M [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><Manifest ",
        ),
        ("an XML declaration", "<Manifest ", "<?xml version=\"1.0\"?><Manifest "),
        ("a character reference", "<Kind>application", "<Kind>&#97;pplication"),
        ("a CDATA section", "<Kind>application", "<Kind><![CDATA[application]]>"),
        ("another namespace", "urn:viereck:envelope:1", "urn:viereck:receipt:1"),
        ("white space between elements", "<Kind>", " <Kind>"),
        ("an attribute on its root", "envelope:1\">", "envelope:1\" Id=\"x\">"),
        ("something behind its root", "</Manifest>", "</Manifest> "),
    ] {
        let lie = changed(&manifest, from, to);
        cases.add(
            Sender,
            format!("a manifest with {name}"),
            genuine.with_manifest(&lie),
            OpenError::Undecipherable,
        );
    }
    let text = |inner: &str| {
        manifest.replace(
            &format!("<Padding>{padding}</Padding>"),
            &format!("<Padding>{inner}</Padding>"),
        )
    };
    let half = |size: usize| " ".repeat(size);
    for (name, octets) in [
        ("without its padding", text("").into_bytes()),
        (
            "with elements in its padding",
            text(&format!("<a></a>{}", &padding[..padding.len().saturating_sub(7)])).into_bytes(),
        ),
        ("with a space too many", text(&format!("{padding} ")).into_bytes()),
        (
            "with padding that says something",
            text(&format!("x{}", &padding[..padding.len().saturating_sub(1)])).into_bytes(),
        ),
        ("padded to 256 KiB and more", text(&half(300 * 1024)).into_bytes()),
        ("padded to 5 MiB", text(&half(5 << 20)).into_bytes()),
        ("of nothing", vec![]),
        ("of one octet", vec![b'<']),
        ("of zeros", vec![0; 1024]),
        (
            "in UTF-16",
            manifest.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
        (
            "with a byte order mark",
            [b"\xef\xbb\xbf", manifest.as_bytes()].concat(),
        ),
        ("that is no UTF-8", [manifest.as_bytes(), b"\xff"].concat()),
        ("that is an envelope", genuine.text.clone().into_bytes()),
        ("that is cut off", manifest.as_bytes()[..200].to_vec()),
        ("twice in a row", manifest.repeat(2).into_bytes()),
        (
            "of nested elements",
            format!("<Manifest xmlns=\"urn:viereck:envelope:1\">{}", "<a>".repeat(60_000)).into_bytes(),
        ),
    ] {
        cases.add(
            Sender,
            format!("a manifest {name}"),
            genuine.with_manifest_octets(&octets),
            OpenError::Undecipherable,
        );
    }
}

/// Files that are not what the manifest says.
fn contents(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let payload = b"<a>payload</a>".repeat(50);
    let full = padme(payload.len());
    let with = |tail: &[u8]| [payload.as_slice(), tail].concat();
    let zeros = |count: usize| vec![0; count];
    let mut other = with(&zeros(full - payload.len()));
    other[0] = b'(';
    let mut noisy = with(&zeros(full - payload.len()));
    noisy[full - 1] = 1;
    for (name, octets) in [
        ("another file of the same length", other),
        ("a file with something in its padding", noisy),
        ("a file without its padding", payload.clone()),
        (
            "a file padded by an octet too many",
            with(&zeros(full - payload.len() + 1)),
        ),
        (
            "a file padded to the next step",
            with(&zeros(padme(full + 1) - payload.len())),
        ),
        ("a file that is cut off", payload[..100].to_vec()),
        ("a file of nothing", vec![]),
        ("a file of 3 MiB", zeros(3 << 20)),
        ("a file that is its own manifest", genuine.manifest().into_bytes()),
    ] {
        cases.add(Sender, name, genuine.with_file(0, &octets), OpenError::Undecipherable);
    }
    cases.add(
        Sender,
        "an empty file that is not empty",
        genuine.with_file(2, b"x"),
        OpenError::Undecipherable,
    );
}
