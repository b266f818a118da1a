//! Profile 2: the content key is wrapped under what ECDH and ML-KEM agree on together, and under neither alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use base64_simd::STANDARD;
use viereck_envelope::{KeyError, OpenError, ReaderKeys, inspect, new_ml_kem_key, open, seal};
use viereck_routing::{Digest, EncryptionKey, MlKemError, MlKemKey, NotAPair, PublicKey};
use x509_parser::prelude::FromDer;

use crate::documents::{change, content, element, genuine, judge, sign};
use crate::people::{Identity, Kinds, READER, Scene, draft, now};

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn decoded(text: &str, name: &str) -> Vec<u8> {
    STANDARD.decode_to_vec(content(text, name)).unwrap()
}

fn point(identity: &Identity) -> &[u8] {
    match identity.certificate.key() {
        PublicKey::P256(point) => point,
        PublicKey::Rsa { .. } => panic!("an EC key"),
    }
}

/// Both ciphertexts and both public keys, as SuppPubInfo names them.
fn transcript(kem: &[u8], originator: &[u8], reader: &Identity) -> Digest {
    let (public, _) = reader.ml_kem.as_ref().unwrap();
    Digest::of(&[kem, public.octets(), originator, point(reader)].concat())
}

fn supp_pub_info(digest: &Digest) -> String {
    format!(" SuppPubInfo=\"00{}\"", digest.to_string().to_uppercase())
}

/// The derivation once more, from the text of the document and the private keys, with nothing of the library's own.
#[test]
fn the_key_is_derived_as_the_design_says() {
    let scene = Scene::of(Kinds::Hybrid);
    let text = genuine(&scene);
    let kem = decoded(&text, "KemCiphertext");
    let originator = decoded(&text, "dsig11:PublicKey");
    let stated = transcript(&kem, &originator, &scene.reader);
    assert!(text.contains(&supp_pub_info(&stated)));

    let pkcs8 = der(&scene.reader.ml_kem.as_ref().unwrap().1);
    let ml_kem = DecapsulationKey::new(&ML_KEM_768, &pkcs8[pkcs8.len() - 2400..]).unwrap();
    let first = ml_kem.decapsulate(Ciphertext::from(kem.as_slice())).unwrap();
    let ecdh = PrivateKey::from_private_key_der(&ECDH_P256, &der(&scene.reader.key_pem)).unwrap();
    let peer = UnparsedPublicKey::new(&ECDH_P256, &originator);
    let kek = agree(&ecdh, peer, "no agreement", |second| {
        let value = |name: &str| content(&text, name);
        let info = format!(
            "http://www.w3.org/2001/04/xmlenc#kw-aes256{}|{}{}|{}",
            value("Author"),
            value("MessageID"),
            value("Reader"),
            scene.reader.certificate.sha256(),
        );
        let hashed = [&[0, 0, 0, 1], first.as_ref(), second, info.as_bytes(), stated.octets()];
        Ok(Digest::of(&hashed.concat()))
    });
    let kek = AesKek::new(&AES_256, kek.unwrap().octets()).unwrap();
    let wrapped = decoded(element(&text, "xenc:EncryptedKey"), "xenc:CipherValue");
    let mut key = [0; 32];
    kek.unwrap(&wrapped, &mut key).unwrap();

    let behind = &text[text.find("</xenc:EncryptedKey>").unwrap()..];
    let mut manifest = decoded(behind, "xenc:CipherValue");
    let (nonce, sealed) = manifest.split_at_mut(12);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    let plain = key.open_in_place(nonce, Aad::empty(), sealed).unwrap();
    assert!(plain.starts_with(b"<Manifest xmlns=\"urn:viereck:envelope:1\">"));
}

#[test]
fn one_of_the_two_private_keys_is_not_enough() {
    let scene = Scene::of(Kinds::Hybrid);
    let verified = judge(&scene, genuine(&scene)).unwrap();
    let reader = READER.parse().unwrap();
    let certificate = || scene.reader.certificate.clone();
    let mut keys = ReaderKeys::new();
    keys.add(READER.parse().unwrap(), certificate(), &scene.reader.key_pem)
        .unwrap();
    assert_eq!(open(&verified, &keys).unwrap_err(), OpenError::Undecipherable);

    // With another ML-KEM key beside it.
    let (public, private) = new_ml_kem_key().unwrap();
    keys.add_ml_kem(&reader, &certificate().sha256(), public, &private)
        .unwrap();
    assert_eq!(open(&verified, &keys).unwrap_err(), OpenError::Undecipherable);

    let (public, private) = scene.reader.ml_kem.as_ref().unwrap();
    keys.add_ml_kem(&reader, &certificate().sha256(), public.clone(), private)
        .unwrap();
    assert!(open(&verified, &keys).is_ok());
}

/// Whoever has an older table seals in profile 1 for the same certificate.
#[test]
fn a_pair_of_keys_still_opens_profile_1() {
    let scene = Scene::of(Kinds::Hybrid);
    let classical = EncryptionKey::classical(scene.reader.certificate.clone());
    let sealed = seal(draft(), &classical, &scene.gateway.signer(), now()).unwrap();
    let verified = judge(&scene, sealed.bytes().to_vec()).unwrap();
    assert!(open(&verified, &scene.keys).is_ok());
}

#[test]
fn another_ciphertext_or_another_transcript_is_undecipherable() {
    let scene = Scene::of(Kinds::Hybrid);
    let text = genuine(&scene);
    let opened = |text: &str| {
        let verified = judge(&scene, sign(text, &scene.gateway)).unwrap();
        open(&verified, &scene.keys).map(|_| ()).unwrap_err()
    };
    let kem = decoded(&text, "KemCiphertext");
    let originator = decoded(&text, "dsig11:PublicKey");
    let stated = supp_pub_info(&transcript(&kem, &originator, &scene.reader));
    // Stated wrongly, while everything that counts is right.
    let wrong = change(&text, &stated, &supp_pub_info(&Digest::of(b"another")));
    assert_eq!(opened(&wrong), OpenError::Undecipherable);

    // A ciphertext of the same key, of another key, and one with a bit turned; each also with its own transcript.
    let (public, _) = scene.reader.ml_kem.as_ref().unwrap();
    let encapsulated = |key: &[u8]| {
        let key = EncapsulationKey::new(&ML_KEM_768, key).unwrap();
        key.encapsulate().unwrap().0.as_ref().to_vec()
    };
    let mut turned = kem.clone();
    turned[100] ^= 1;
    let (other, _) = new_ml_kem_key().unwrap();
    for another in [encapsulated(public.octets()), encapsulated(other.octets()), turned] {
        let exchanged = change(
            &text,
            content(&text, "KemCiphertext"),
            &STANDARD.encode_to_string(&another),
        );
        assert_eq!(opened(&exchanged), OpenError::Undecipherable);
        let own = supp_pub_info(&transcript(&another, &originator, &scene.reader));
        assert_eq!(opened(&change(&exchanged, &stated, &own)), OpenError::Undecipherable);
    }
}

#[test]
fn a_public_key_is_written_and_read_in_one_spelling() {
    let (public, _) = new_ml_kem_key().unwrap();
    let pem = public.to_pem();
    let read = MlKemKey::from_pem(&pem).unwrap();
    assert_eq!((read.octets(), read.sha256()), (public.octets(), public.sha256()));
    assert_eq!(public.sha256(), Digest::of(&der(&pem)));
    // As any reader of DER sees it.
    let der = der(&pem);
    let (rest, info) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&der).unwrap();
    assert!(rest.is_empty() && info.algorithm.parameters.is_none());
    assert_eq!(info.algorithm.algorithm.to_id_string(), "2.16.840.1.101.3.4.4.2");
    assert_eq!(&*info.subject_public_key.data, public.octets());

    let of = |der: &[u8], label: &str| {
        let base64 = STANDARD.encode_to_string(der);
        MlKemKey::from_pem(&format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n"))
    };
    assert_eq!(of(&der, "PUBLIC KEY"), Ok(read));
    assert_eq!(of(&der, "CERTIFICATE"), Err(MlKemError::NotPem));
    assert_eq!(MlKemKey::from_pem(&format!("{pem}{pem}")), Err(MlKemError::NotPem));
    assert_eq!(
        of(&[&der[..], &[0]].concat(), "PUBLIC KEY"),
        Err(MlKemError::NotAllowed)
    );
    assert_eq!(of(&der[..der.len() - 1], "PUBLIC KEY"), Err(MlKemError::NotAllowed));
    // A coefficient beyond the modulus, which FIPS 203 has refused.
    let mut beyond = der.clone();
    let last = beyond.len() - 32;
    beyond[last - 3..last].fill(0xff);
    assert_eq!(of(&beyond, "PUBLIC KEY"), Err(MlKemError::NotAllowed));
}

#[test]
fn a_private_key_counts_only_with_its_public_half() {
    let scene = Scene::of(Kinds::Hybrid);
    let reader = READER.parse().unwrap();
    let certificate = scene.reader.certificate.sha256();
    let (public, private) = scene.reader.ml_kem.as_ref().unwrap();
    let mut keys = ReaderKeys::new();
    let nobody = keys.add_ml_kem(&reader, &certificate, public.clone(), private);
    assert_eq!(
        nobody.unwrap_err(),
        KeyError::NotOfCertificate,
        "no certificate to stand beside"
    );
    keys.add(
        READER.parse().unwrap(),
        scene.reader.certificate.clone(),
        &scene.reader.key_pem,
    )
    .unwrap();

    let (_, others) = new_ml_kem_key().unwrap();
    let whole = der(private);
    let changed = |at: usize| {
        let mut octets = whole.clone();
        octets[at] ^= 1;
        let base64 = STANDARD.encode_to_string(&octets);
        format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n")
    };
    let secret = whole.len() - 2400;
    for (pem, expected) in [
        (others.to_string(), KeyError::NotOfCertificate),
        (scene.reader.key_pem.clone(), KeyError::NotMlKem),
        ("nonsense".to_owned(), KeyError::NotPem),
        (changed(3), KeyError::NotMlKem),
        // In the secret, in the public half that stands in it, and in its digest.
        (changed(secret + 5), KeyError::NotMlKem),
        (changed(secret + 1152 + 5), KeyError::NotOfCertificate),
        (changed(secret + 2336 + 5), KeyError::NotMlKem),
    ] {
        let refused = keys.add_ml_kem(&reader, &certificate, public.clone(), &pem);
        assert_eq!(refused.unwrap_err(), expected);
    }
    keys.add_ml_kem(&reader, &certificate, public.clone(), private).unwrap();
}

#[test]
fn an_ml_kem_key_stands_only_beside_an_ec_key() {
    let rsa = Identity::of(Kinds::Rsa3072, "Wohngeldstelle");
    let (public, _) = new_ml_kem_key().unwrap();
    assert_eq!(EncryptionKey::hybrid(rsa.certificate, public), Err(NotAPair));
}

#[test]
fn the_profile_is_shown() {
    for scene in Scene::all() {
        let claims = inspect(genuine(&scene).as_bytes()).unwrap();
        assert_eq!(claims.fields()[0], ("profile", scene.kinds.profile().to_string()));
    }
}
