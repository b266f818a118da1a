//! The content key on its way to the reader: by key agreement, by RSA-OAEP, or by both curve and lattice together.

use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepPublicEncryptingKey,
    Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use base64_simd::STANDARD;
use viereck_envelope::{OpenError, Refused};
use viereck_routing::Digest;

use crate::case::Attacker::{Path, Sender};
use crate::case::Cases;
use crate::craft::{attribute, change, cipher_values, content, element, stated_binding};
use crate::scene::{Genuine, Kind};

const ECDH_ES: &str = "http://www.w3.org/2009/xmlenc11#ECDH-ES";

pub(super) fn add(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    profiles(cases, genuine);
    match genuine.scene.kind {
        Kind::P256 => agreement(cases, genuine),
        Kind::Rsa3072 | Kind::Rsa4096 => transport(cases, genuine),
        Kind::Hybrid => {
            agreement(cases, genuine);
            hybrid(cases, genuine);
        }
    }
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
            format!("<xenc:OAEPparams>{}", Digest::of(b"x").to_base64()),
            Refused::WrongKeyBinding,
        ),
        (
            "a label in hex",
            &stated,
            format!("<xenc:OAEPparams>{}", Digest::of(b"x")),
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
    let agreement = attribute(element(text, "xenc:AgreementMethod"), "Algorithm").to_owned();
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
            agreement.as_str(),
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
            format!("PartyVInfo=\"{v}\" SuppPrivInfo=\"00\""),
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

/// The other half of the key agreement in profile 2, and what is tried to get rid of it.
fn hybrid(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let element_of_kem = element(text, "KemCiphertext").to_owned();
    let kem = content(text, "KemCiphertext").to_owned();
    let octets = STANDARD.decode_to_vec(&kem).unwrap();
    let originator = STANDARD.decode_to_vec(content(text, "dsig11:PublicKey")).unwrap();
    let point = reader_point(genuine);
    let stated = format!(" SuppPubInfo=\"{}\"", attribute(text, "SuppPubInfo"));
    // both ciphertexts and both public keys, as the derivation is bound to them
    let transcript = |kem: &[u8]| {
        let digest = Digest::of(&[kem, scene.reader.ml_kem(), &originator, &point].concat());
        format!(" SuppPubInfo=\"00{}\"", digest.to_string().to_uppercase())
    };
    assert_eq!(stated, transcript(&octets), "the genuine transcript");
    let encapsulated = |key: &[u8]| {
        let key = EncapsulationKey::new(&ML_KEM_768, key).unwrap();
        key.encapsulate().unwrap().0.as_ref().to_vec()
    };
    let flipped = |at: usize| {
        let mut flipped = octets.clone();
        flipped[at] ^= 1;
        flipped
    };
    for (name, other) in [
        ("a ciphertext of ML-KEM with its first bit flipped", flipped(0)),
        (
            "a ciphertext of ML-KEM with its last bit flipped",
            flipped(octets.len() - 1),
        ),
        ("a ciphertext of ML-KEM of zeros", vec![0; octets.len()]),
        ("a ciphertext of ML-KEM of ones", vec![0xff; octets.len()]),
        (
            "another ciphertext for the same ML-KEM key",
            encapsulated(scene.reader.ml_kem()),
        ),
        (
            "a ciphertext for another ML-KEM key",
            encapsulated(scene.other_reader.ml_kem()),
        ),
    ] {
        let changed = change(text, &kem, &STANDARD.encode_to_string(&other));
        cases.add(Sender, name, genuine.signed(&changed), OpenError::Undecipherable);
        let own = change(&changed, &stated, &transcript(&other));
        cases.add(
            Sender,
            format!("{name}, with its own transcript"),
            genuine.signed(&own),
            OpenError::Undecipherable,
        );
    }
    let invalid = Refused::InvalidValue;
    for (name, from, to, expected) in [
        (
            "no ciphertext of ML-KEM",
            element_of_kem.as_str(),
            String::new(),
            Refused::UnexpectedElement,
        ),
        (
            "two ciphertexts of ML-KEM",
            &element_of_kem,
            format!("{element_of_kem}{element_of_kem}"),
            Refused::UnexpectedElement,
        ),
        ("an empty ciphertext of ML-KEM", &kem, String::new(), invalid),
        (
            "a ciphertext of ML-KEM without its last octet",
            &kem,
            STANDARD.encode_to_string(&octets[1..]),
            invalid,
        ),
        (
            "a ciphertext of ML-KEM with an octet more",
            &kem,
            STANDARD.encode_to_string([octets.as_slice(), &[0]].concat()),
            invalid,
        ),
        (
            "a ciphertext of ML-KEM-512",
            &kem,
            STANDARD.encode_to_string([1; 768]),
            invalid,
        ),
        (
            "a ciphertext of ML-KEM-1024",
            &kem,
            STANDARD.encode_to_string([1; 1568]),
            invalid,
        ),
        ("a ciphertext of ML-KEM with a space", &kem, format!("{kem} "), invalid),
        ("no transcript", &stated, String::new(), Refused::WrongAttribute),
        (
            "an empty transcript",
            &stated,
            " SuppPubInfo=\"00\"".to_owned(),
            invalid,
        ),
        (
            "a transcript in small hex",
            &stated,
            stated.to_lowercase().replace("supppubinfo", "SuppPubInfo"),
            invalid,
        ),
        (
            "a transcript without its octet of padding",
            &stated,
            stated.replacen("\"00", "\"", 1),
            invalid,
        ),
        (
            "the curve alone in profile 2",
            algorithm(text),
            ECDH_ES.to_owned(),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "both keys in profile 1",
            "<Profile>2",
            "<Profile>1".to_owned(),
            Refused::AlgorithmNotAllowed,
        ),
    ] {
        cases.add(Sender, name, genuine.signed(&change(text, from, &to)), expected);
    }
    cases.add(
        Sender,
        "a transcript of something else",
        genuine.resigned(&stated, &transcript(b"else")),
        OpenError::Undecipherable,
    );
    // all that profile 2 adds taken away: what is left has the form of profile 1
    let classical = change(&change(text, "<Profile>2", "<Profile>1"), algorithm(text), ECDH_ES);
    let classical = change(&change(&classical, &element_of_kem, ""), &stated, "");
    cases.add(
        Path,
        "profile 1 made of profile 2 on the way",
        classical.clone(),
        Refused::DigestMismatch,
    );
    cases.add(
        Sender,
        "profile 1 made of profile 2 and signed",
        genuine.signed(&classical),
        OpenError::Undecipherable,
    );
}

/// The identifier of the key agreement.
fn algorithm(text: &str) -> &str {
    attribute(element(text, "xenc:AgreementMethod"), "Algorithm")
}

/// Another profile in the header than the one whose key it is.
fn profiles(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let other = match genuine.scene.kind {
        Kind::P256 | Kind::Rsa3072 | Kind::Rsa4096 => ("<Profile>1", "<Profile>2"),
        Kind::Hybrid => return,
    };
    let document = genuine.resigned(other.0, other.1);
    cases.add(
        Sender,
        "a key of profile 1 in profile 2",
        document,
        Refused::AlgorithmNotAllowed,
    );
}
