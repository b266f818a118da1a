//! The encrypted content: algorithms, the key on its way, ciphertexts changed, exchanged, left out or added. Where the
//! form is right, the sender signs, so that only decrypting stands between the change and the reader.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepPublicEncryptingKey,
    Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use base64_simd::STANDARD;
use viereck_envelope::{OpenError, Refused};

use crate::case::Attacker::{Path, Sender};
use crate::case::Cases;
use crate::craft::{attribute, change, cipher_values, content, element, restate_binding, stated_binding};
use crate::scene::{Genuine, Kind, OTHER_READER, READER};

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("encryption");
    algorithms(&mut cases, genuine);
    structure(&mut cases, genuine);
    ciphertexts(&mut cases, genuine);
    recipients(&mut cases, genuine);
    match genuine.scene.kind {
        Kind::P256 => agreement(&mut cases, genuine),
        Kind::Rsa3072 | Kind::Rsa4096 => transport(&mut cases, genuine),
    }
    cases
}

fn algorithms(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let data = attribute(element(text, "xenc:EncryptionMethod"), "Algorithm").to_owned();
    for (name, algorithm) in [
        ("AES-256-CBC", "http://www.w3.org/2001/04/xmlenc#aes256-cbc"),
        ("AES-128-GCM", "http://www.w3.org/2009/xmlenc11#aes128-gcm"),
        ("AES-192-GCM", "http://www.w3.org/2009/xmlenc11#aes192-gcm"),
        ("Triple DES", "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"),
        ("a key wrap", "http://www.w3.org/2001/04/xmlenc#kw-aes256"),
        ("nothing", ""),
    ] {
        let changed = genuine.resigned(&format!("\"{data}\""), &format!("\"{algorithm}\""));
        cases.add(
            Sender,
            format!("the manifest encrypted by {name}"),
            changed,
            Refused::AlgorithmNotAllowed,
        );
    }
    let last = text.rfind(&data).unwrap();
    let cbc = format!(
        "{}http://www.w3.org/2001/04/xmlenc#aes256-cbc{}",
        &text[..last],
        &text[last + data.len()..]
    );
    cases.add(
        Sender,
        "the last file encrypted by AES-256-CBC",
        genuine.signed(&cbc),
        Refused::AlgorithmNotAllowed,
    );
    let key = element(text, "xenc:EncryptedKey");
    let wrap = attribute(element(key, "xenc:EncryptionMethod"), "Algorithm").to_owned();
    for (name, algorithm) in [
        ("RSA of PKCS#1 v1.5", "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
        ("RSA-OAEP with SHA-1", "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"),
        ("AES-128 key wrap", "http://www.w3.org/2001/04/xmlenc#kw-aes128"),
        ("Triple DES key wrap", "http://www.w3.org/2001/04/xmlenc#kw-tripledes"),
        (
            "AES-256 key wrap with padding",
            "http://www.w3.org/2009/xmlenc11#kw-aes-256-pad",
        ),
        ("no algorithm", ""),
    ] {
        let changed = change(key, &wrap, algorithm);
        cases.add(
            Sender,
            format!("the key wrapped by {name}"),
            genuine.resigned(key, &changed),
            Refused::AlgorithmNotAllowed,
        );
    }
}

fn structure(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let key = element(text, "xenc:EncryptedKey").to_owned();
    let second = key.replace(" Id=\"", " Id=\"second-");
    let data = text[text.find("<xenc:EncryptedData").unwrap()..]
        .split_inclusive("</xenc:EncryptedData>")
        .next()
        .unwrap()
        .to_owned();
    let method = "<xenc:EncryptionMethod ";
    let value = element(text, "xenc:CipherValue").to_owned();
    for (name, from, to, expected) in [
        ("no encrypted key", key.as_str(), String::new(), Refused::MissingElement),
        (
            "a second encrypted key",
            &key,
            format!("{key}{second}"),
            Refused::UnexpectedElement,
        ),
        (
            "a second encrypted key before the first",
            &key,
            format!("{second}{key}"),
            Refused::WrongKeyBinding,
        ),
        (
            "an encrypted key beside the encrypted data",
            "</Content>",
            format!(
                "{}</Content>",
                second.replace(
                    "<xenc:EncryptedKey ",
                    "<xenc:EncryptedKey xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" "
                )
            ),
            Refused::UnexpectedElement,
        ),
        ("no manifest", &data, String::new(), Refused::UnexpectedElement),
        (
            "the manifest behind the files",
            &data,
            String::new(),
            Refused::UnexpectedElement,
        ),
        (
            "no content",
            content(text, "Content"),
            String::new(),
            Refused::MissingElement,
        ),
        (
            "a type of the encrypted data",
            "<xenc:EncryptedData ",
            "<xenc:EncryptedData Type=\"http://www.w3.org/2001/04/xmlenc#Element\" ".to_owned(),
            Refused::NotCanonical,
        ),
        (
            "a media type of the encrypted data",
            "xmlenc#\"><xenc:EncryptionMethod",
            "xmlenc#\" MimeType=\"text/html\"><xenc:EncryptionMethod".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "an Id of the encrypted data",
            "xmlenc#\"><xenc:EncryptionMethod",
            "xmlenc#\" Id=\"data\"><xenc:EncryptionMethod".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a size of the key",
            "aes256-gcm\"></xenc:EncryptionMethod>",
            "aes256-gcm\"><xenc:KeySize>128</xenc:KeySize></xenc:EncryptionMethod>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "no method",
            method,
            "<xenc:Method ".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a ciphertext somewhere else",
            value.as_str(),
            "<xenc:CipherReference URI=\"cid:part-1\"></xenc:CipherReference>".to_owned(),
            Refused::ExternalReference,
        ),
        (
            "a ciphertext at a host",
            value.as_str(),
            "<xenc:CipherReference URI=\"http://127.0.0.1:1/\"></xenc:CipherReference>".to_owned(),
            Refused::ExternalReference,
        ),
        (
            "a ciphertext in a file behind the real one",
            "</xenc:CipherValue>",
            "</xenc:CipherValue><xenc:CipherReference URI=\"file:///etc/hosts\"></xenc:CipherReference>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "two ciphertexts in one",
            value.as_str(),
            format!("{value}{value}"),
            Refused::UnexpectedElement,
        ),
        (
            "encryption properties",
            "</xenc:CipherData></xenc:EncryptedData>",
            "</xenc:CipherData><xenc:EncryptionProperties></xenc:EncryptionProperties></xenc:EncryptedData>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a list of what the key is for",
            "</xenc:CipherData></xenc:EncryptedKey>",
            "</xenc:CipherData><xenc:ReferenceList></xenc:ReferenceList></xenc:EncryptedKey>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a carried name of the key",
            "</xenc:CipherData></xenc:EncryptedKey>",
            "</xenc:CipherData><xenc:CarriedKeyName>k</xenc:CarriedKeyName></xenc:EncryptedKey>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a name of the key before it",
            "<xenc:EncryptedKey ",
            "<ds:KeyName>k</ds:KeyName><xenc:EncryptedKey ".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a file whose key is somewhere else",
            "URI=\"#key\"",
            "URI=\"http://127.0.0.1:1/\"".to_owned(),
            Refused::ExternalReference,
        ),
        (
            "a file whose key is the signature",
            "URI=\"#key\"",
            "URI=\"#signature\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a file whose key is nothing",
            "URI=\"#key\"",
            "URI=\"#\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a file whose key is of another type",
            "Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\"",
            "Type=\"http://www.w3.org/2001/04/xmlenc#DerivedKey\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a retrieval with a transform",
            "URI=\"#key\">",
            "URI=\"#key\"><ds:Transforms></ds:Transforms>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "an encrypted element within the header",
            "</Header>",
            format!("{data}</Header>"),
            Refused::UnexpectedElement,
        ),
        (
            "plain text beside the ciphertexts",
            "</Content>",
            "<Plain></Plain></Content>".to_owned(),
            Refused::UnexpectedElement,
        ),
    ] {
        if name == "the manifest behind the files" {
            let moved = change(&change(text, &data, ""), "</Content>", &format!("{data}</Content>"));
            cases.add(Sender, name, genuine.signed(&moved), expected);
        } else {
            cases.add(Sender, name, genuine.signed(&change(text, from, &to)), expected);
        }
    }
}

fn ciphertexts(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
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
            push(
                cases,
                &name,
                genuine.resigned(value, &STANDARD.encode_to_string(shorter)),
                undecipherable.into(),
            );
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
        undecipherable,
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
            &STANDARD.encode_to_string(crate::scene::ContentKey([1; 32]).encrypt(b"x")),
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
        letters[at] = crate::references::next_letter(letters[at]);
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

fn recipients(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let recipient = format!("Recipient=\"{READER}\"");
    for (name, to, expected) in [
        (
            "a key for another recipient",
            format!("Recipient=\"{OTHER_READER}\""),
            Refused::WrongKeyBinding,
        ),
        (
            "a key for no recipient",
            "Recipient=\"\"".to_owned(),
            Refused::WrongKeyBinding,
        ),
        (
            "a key for a recipient in capitals",
            recipient.to_uppercase().replace("RECIPIENT", "Recipient"),
            Refused::WrongKeyBinding,
        ),
        ("a key without a recipient", String::new(), Refused::NotCanonical),
        (
            "a key of another Id",
            format!("Recipient=\"{READER}\""),
            Refused::WrongKeyBinding,
        ),
    ] {
        let changed = match name {
            "a key of another Id" => change(text, "Id=\"key\"", "Id=\"other\""),
            _ => change(text, &recipient, &to),
        };
        cases.add(Sender, name, genuine.signed(&changed), expected);
    }
    let named = content(text, "dsig11:X509Digest").to_owned();
    let unknown = scene.stranger.certificate.sha256();
    // who is named is bound into the derivation, so a change shows before anybody looks for a key
    let other = scene.other_reader.certificate.sha256();
    for (name, digest) in [
        ("a key for an unknown certificate", unknown),
        ("a key for the certificate of another reader", other),
    ] {
        cases.add(
            Sender,
            name,
            genuine.resigned(&named, &digest.to_base64()),
            Refused::WrongKeyBinding,
        );
        let rebound = restate_binding(&change(text, &named, &digest.to_base64()));
        let document = genuine.signed(&rebound);
        cases.add(Sender, format!("{name}, bound to it"), document, OpenError::NoKey);
    }
    let other_kind = scene.reader_of_other_kind.certificate.sha256().to_base64();
    let rebound = restate_binding(&change(text, &named, &other_kind));
    cases.add(
        Sender,
        "a key for the reader's key of another kind",
        genuine.signed(&rebound),
        OpenError::Undecipherable,
    );
    for (name, to, expected) in [
        (
            "a certificate of the reader in hex",
            scene.reader.certificate.sha256().to_string(),
            Refused::InvalidValue,
        ),
        ("no certificate of the reader", String::new(), Refused::InvalidValue),
    ] {
        cases.add(Sender, name, genuine.resigned(&named, &to), expected);
    }
    let by_issuer = "<ds:X509IssuerSerial></ds:X509IssuerSerial>";
    let digest = element(text, "dsig11:X509Digest").to_owned();
    cases.add(
        Sender,
        "the reader's certificate by issuer and number",
        genuine.resigned(&digest, by_issuer),
        Refused::UnexpectedElement,
    );
    cases.add(
        Sender,
        "the reader's certificate by SHA-1",
        genuine.resigned(
            &digest,
            &change(
                &digest,
                "http://www.w3.org/2001/04/xmlenc#sha256",
                "http://www.w3.org/2000/09/xmldsig#sha1",
            ),
        ),
        Refused::AlgorithmNotAllowed,
    );
    cases.add(
        Sender,
        "two certificates of the reader",
        genuine.resigned(&digest, &format!("{digest}{digest}")),
        Refused::UnexpectedElement,
    );
}

/// RSA-OAEP.
fn transport(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let key = element(text, "xenc:EncryptedKey").to_owned();
    let wrapped = cipher_values(text)[0].to_owned();
    let length = STANDARD.decode_to_vec(&wrapped).unwrap().len();
    let public = PublicEncryptingKey::from_der(&genuine.scene.reader.public_key_info()).unwrap();
    let oaep = OaepPublicEncryptingKey::new(public.clone()).unwrap();
    let label = STANDARD.decode_to_vec(content(text, "xenc:OAEPparams")).unwrap();
    let content_key = genuine.content_key.0;
    let encrypt = |algorithm, plain: &[u8], label: Option<&[u8]>| {
        let mut out = vec![0; length];
        oaep.encrypt(algorithm, plain, &mut out, label).unwrap();
        out
    };
    let mut by_pkcs1 = vec![0; length];
    let pkcs1 = Pkcs1PublicEncryptingKey::new(public).unwrap();
    pkcs1.encrypt(&content_key, &mut by_pkcs1).unwrap();
    let undecipherable = OpenError::Undecipherable;
    // the tool makes a good one of a good one
    let right = encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, Some(&label));
    let good = genuine.resigned(&wrapped, &STANDARD.encode_to_string(right));
    assert_eq!(genuine.scene.judge(good.into()), None, "wrapped anew");
    for (name, octets) in [
        (
            "a key wrapped without a label",
            encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, None),
        ),
        (
            "a key wrapped under another label",
            encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, Some(b"label")),
        ),
        (
            "a key wrapped under its label in base64",
            encrypt(
                &OAEP_SHA256_MGF1SHA256,
                &content_key,
                Some(content(text, "xenc:OAEPparams").as_bytes()),
            ),
        ),
        (
            "a key wrapped by OAEP with SHA-1",
            encrypt(&OAEP_SHA1_MGF1SHA1, &content_key, Some(&label)),
        ),
        (
            "a key wrapped by OAEP with SHA-512",
            encrypt(&OAEP_SHA512_MGF1SHA512, &content_key, Some(&label)),
        ),
        ("a key wrapped by PKCS#1 v1.5 in the name of OAEP", by_pkcs1),
        (
            "a wrapped key of 16 octets",
            encrypt(&OAEP_SHA256_MGF1SHA256, &content_key[..16], Some(&label)),
        ),
        (
            "a wrapped key of 31 octets",
            encrypt(&OAEP_SHA256_MGF1SHA256, &content_key[..31], Some(&label)),
        ),
        (
            "a wrapped key of 33 octets",
            encrypt(
                &OAEP_SHA256_MGF1SHA256,
                &[content_key.as_slice(), &[0]].concat(),
                Some(&label),
            ),
        ),
        (
            "a wrapped key of no octets",
            encrypt(&OAEP_SHA256_MGF1SHA256, &[], Some(&label)),
        ),
        ("a wrapped key of zeros", vec![0; length]),
        ("a wrapped key of ones, which is beyond the modulus", vec![0xff; length]),
        (
            "a wrapped key that is the number one",
            [vec![0; length - 1], vec![1]].concat(),
        ),
        ("a wrapped key of the largest modulus that there may be", vec![1; 1024]),
    ] {
        cases.add(
            Sender,
            name,
            genuine.resigned(&wrapped, &STANDARD.encode_to_string(octets)),
            undecipherable,
        );
    }
    cases.add(
        Sender,
        "a wrapped key beyond any modulus",
        genuine.resigned(&wrapped, &STANDARD.encode_to_string(vec![1; 1025])),
        Refused::InvalidValue,
    );
    cases.add(
        Sender,
        "a wrapped key of a megabyte",
        genuine.resigned(&wrapped, &STANDARD.encode_to_string(vec![1; 1 << 20])),
        Refused::InvalidValue,
    );
    let method = element(&key, "xenc:EncryptionMethod").to_owned();
    let stated = stated_binding(text).to_owned();
    let label_element = element(text, "xenc:OAEPparams").to_owned();
    let digest = element(&method, "ds:DigestMethod").to_owned();
    let mgf = element(&method, "xenc11:MGF").to_owned();
    for (name, from, to, expected) in [
        (
            "no label of the wrapped key",
            label_element.as_str(),
            String::new(),
            Refused::UnexpectedElement,
        ),
        (
            "an empty label",
            &stated,
            "<xenc:OAEPparams>".to_owned(),
            Refused::WrongKeyBinding,
        ),
        (
            "another label",
            &stated,
            format!("<xenc:OAEPparams>{}", viereck_routing::Digest::of(b"x").to_base64()),
            Refused::WrongKeyBinding,
        ),
        (
            "a label in hex",
            &stated,
            format!("<xenc:OAEPparams>{}", viereck_routing::Digest::of(b"x")),
            Refused::WrongKeyBinding,
        ),
        (
            "a label with a space",
            &stated,
            format!("{stated} "),
            Refused::WrongKeyBinding,
        ),
        (
            "two labels",
            &label_element,
            format!("{label_element}{label_element}"),
            Refused::UnexpectedElement,
        ),
        (
            "a label behind the digest",
            &format!("{label_element}{digest}"),
            format!("{digest}{label_element}"),
            Refused::UnexpectedElement,
        ),
        (
            "OAEP without its digest",
            &digest,
            String::new(),
            Refused::UnexpectedElement,
        ),
        (
            "OAEP by SHA-1",
            &digest,
            digest.replace(
                "http://www.w3.org/2001/04/xmlenc#sha256",
                "http://www.w3.org/2000/09/xmldsig#sha1",
            ),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "OAEP by SHA-512",
            &digest,
            digest.replace("xmlenc#sha256", "xmlenc#sha512"),
            Refused::AlgorithmNotAllowed,
        ),
        ("OAEP without its mask", &mgf, String::new(), Refused::MissingElement),
        (
            "OAEP with a mask by SHA-1",
            &mgf,
            mgf.replace("mgf1sha256", "mgf1sha1"),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "OAEP with two masks",
            &mgf,
            format!("{mgf}{mgf}"),
            Refused::UnexpectedElement,
        ),
    ] {
        cases.add(
            Sender,
            name,
            genuine.resigned(&method, &change(&method, from, &to)),
            expected,
        );
    }
}

/// The key agreement on P-256.
fn agreement(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let text = &genuine.text;
    let point = content(text, "dsig11:PublicKey").to_owned();
    let octets = STANDARD.decode_to_vec(&point).unwrap();
    let (x, y) = (&octets[1..33], &octets[33..]);
    let other = content(&genuine.scene.genuine().text, "dsig11:PublicKey").to_owned();
    let compressed = [&[2 + (y[31] & 1)], x].concat();
    // p - y is the other point of the same x
    for (name, point, expected) in [
        (
            "the originator's point at infinity",
            vec![0],
            Refused::InvalidValue.into(),
        ),
        (
            "the originator's point in its short form",
            compressed,
            Refused::InvalidValue.into(),
        ),
        (
            "the originator's point in its hybrid form",
            [&[6 + (y[31] & 1)], x, y].concat(),
            Refused::InvalidValue.into(),
        ),
        (
            "an originator's point without its last octet",
            octets[..64].to_vec(),
            Refused::InvalidValue.into(),
        ),
        (
            "an originator's point with an octet behind it",
            [octets.as_slice(), b"\0"].concat(),
            Refused::InvalidValue.into(),
        ),
        ("no originator's point", vec![], Refused::InvalidValue.into()),
        (
            "an originator's point of zeros",
            [&[4][..], &[0; 64]].concat(),
            OpenError::Undecipherable.into(),
        ),
        (
            "an originator's point beyond the field",
            [&[4][..], &[0xff; 64]].concat(),
            OpenError::Undecipherable.into(),
        ),
        (
            "an originator's point beside the curve",
            {
                let mut bad = octets.clone();
                bad[64] ^= 1;
                bad
            },
            OpenError::Undecipherable.into(),
        ),
        (
            "an originator's point with its coordinates exchanged",
            [&[4][..], y, x].concat(),
            OpenError::Undecipherable.into(),
        ),
        (
            "an originator's point of another message",
            STANDARD.decode_to_vec(&other).unwrap(),
            OpenError::Undecipherable.into(),
        ),
        (
            "the generator as the originator's point",
            generator(),
            OpenError::Undecipherable.into(),
        ),
        (
            "the reader's own point as the originator's",
            reader_point(genuine),
            OpenError::Undecipherable.into(),
        ),
    ] as [(&str, Vec<u8>, crate::case::Refusal); 13]
    {
        cases.add(
            Sender,
            name,
            genuine.resigned(
                &format!("<dsig11:PublicKey>{}", content(text, "dsig11:PublicKey")),
                &format!("<dsig11:PublicKey>{}", STANDARD.encode_to_string(&point)),
            ),
            expected,
        );
    }
    let curve = "urn:oid:1.2.840.10045.3.1.7";
    let named = element(text, "dsig11:NamedCurve").to_owned();
    let (u, v) = (
        attribute(text, "PartyUInfo").to_owned(),
        attribute(text, "PartyVInfo").to_owned(),
    );
    let id = attribute(text, "AlgorithmID").to_owned();
    for (name, from, to, expected) in [
        (
            "the curve P-384",
            curve,
            "urn:oid:1.3.132.0.34".to_owned(),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "the curve of Bitcoin",
            curve,
            "urn:oid:1.3.132.0.10".to_owned(),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "a curve of explicit parameters",
            &named,
            "<dsig11:ECParameters></dsig11:ECParameters>".to_owned(),
            Refused::UnexpectedElement,
        ),
        ("no curve", &named, String::new(), Refused::UnexpectedElement),
        (
            "another key agreement",
            "http://www.w3.org/2009/xmlenc11#ECDH-ES",
            "http://www.w3.org/2001/04/xmlenc#dh".to_owned(),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "another derivation",
            "http://www.w3.org/2009/xmlenc11#ConcatKDF",
            "http://www.w3.org/2009/xmlenc11#pbkdf2".to_owned(),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "a derivation by SHA-1",
            "http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod></xenc11",
            "http://www.w3.org/2000/09/xmldsig#sha1\"></ds:DigestMethod></xenc11".to_owned(),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "a derivation for another algorithm",
            &format!("AlgorithmID=\"{id}\""),
            "AlgorithmID=\"00\"".to_owned(),
            Refused::WrongKeyBinding,
        ),
        (
            "a derivation in small hex",
            &u,
            u.to_lowercase(),
            Refused::WrongKeyBinding,
        ),
        (
            "a derivation without its octet of padding",
            &format!("PartyUInfo=\"{u}"),
            format!("PartyUInfo=\"{}", &u[2..]),
            Refused::WrongKeyBinding,
        ),
        (
            "a derivation with seven bits of padding",
            &format!("PartyUInfo=\"{u}"),
            format!("PartyUInfo=\"07{}", &u[2..]),
            Refused::WrongKeyBinding,
        ),
        (
            "a derivation with a letter moved from one party to the other",
            &format!("PartyUInfo=\"{u}\" PartyVInfo=\"{v}\""),
            format!("PartyUInfo=\"{u}{}\" PartyVInfo=\"00{}\"", &v[2..4], &v[4..]),
            Refused::WrongKeyBinding,
        ),
        (
            "a derivation with the parties exchanged",
            &format!("PartyUInfo=\"{u}\" PartyVInfo=\"{v}\""),
            format!("PartyUInfo=\"{v}\" PartyVInfo=\"{u}\""),
            Refused::WrongKeyBinding,
        ),
        (
            "a derivation without the author",
            &format!(" PartyUInfo=\"{u}\""),
            String::new(),
            Refused::WrongAttribute,
        ),
        (
            "a derivation with more information",
            &format!("PartyVInfo=\"{v}\""),
            format!("PartyVInfo=\"{v}\" SuppPubInfo=\"00\""),
            Refused::WrongAttribute,
        ),
        (
            "the originator's key somewhere else",
            "URI=\"#originator\"",
            "URI=\"http://127.0.0.1:1/\"".to_owned(),
            Refused::ExternalReference,
        ),
        (
            "the originator's key in the signature",
            "URI=\"#originator\"",
            "URI=\"#signature\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "the originator's key of another Id",
            " Id=\"originator\"",
            " Id=\"other\"".to_owned(),
            Refused::WrongAttribute,
        ),
        (
            "a certificate of the originator",
            "<xenc:OriginatorKeyInfo>",
            "<xenc:OriginatorKeyInfo><ds:X509Data></ds:X509Data>".to_owned(),
            Refused::UnexpectedElement,
        ),
        (
            "a nonce of the agreement",
            "<xenc:OriginatorKeyInfo>",
            "<xenc:KA-Nonce>AAAA</xenc:KA-Nonce><xenc:OriginatorKeyInfo>".to_owned(),
            Refused::UnexpectedElement,
        ),
    ] {
        cases.add(Sender, name, genuine.signed(&change(text, from, &to)), expected);
    }
}

/// The base point of P-256.
fn generator() -> Vec<u8> {
    const X: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    const Y: &str = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let hex = format!("04{X}{Y}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// The last 65 octets of SubjectPublicKeyInfo are the point.
fn reader_point(genuine: &Genuine<'_>) -> Vec<u8> {
    let info = genuine.scene.reader.public_key_info();
    info[info.len() - 65..].to_vec()
}
