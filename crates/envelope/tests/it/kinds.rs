//! What the kind of a key decides, and that nothing but the key decides it.

use aws_lc_rs::signature::{RSA_PSS_SHA256, RSA_PSS_SHA512, RsaPssSaltLength};
use base64_simd::STANDARD;
use viereck_envelope::{KeyError, OpenError, ReaderKeys, Refused, Signer, open};
use viereck_routing::Digest;

use crate::documents::{change, content, element, genuine, judge, rsa_value, sign, stated_binding};
use crate::people::{Identity, Kinds, READER, Scene};

#[test]
fn the_kind_and_size_of_the_key_decide_the_algorithms() {
    for (kinds, signature, encryption) in [
        (Kinds::Ec, "2001/04/xmldsig-more#ecdsa-sha256", "xmlenc11#ECDH-ES"),
        (
            Kinds::Rsa3072,
            "2007/05/xmldsig-more#sha256-rsa-MGF1",
            "xmlenc11#rsa-oaep",
        ),
        (
            Kinds::Rsa4096,
            "2007/05/xmldsig-more#sha512-rsa-MGF1",
            "xmlenc11#rsa-oaep",
        ),
    ] {
        let scene = Scene::of(kinds);
        let text = genuine(&scene);
        assert!(text.contains(&format!(
            "<ds:SignatureMethod Algorithm=\"http://www.w3.org/{signature}\">"
        )));
        assert!(
            text.contains(&format!("Algorithm=\"http://www.w3.org/2009/{encryption}\"")),
            "{kinds:?}"
        );
    }
}

#[test]
fn keys_of_different_kinds_go_together() {
    for (signing, reading) in [(Kinds::Ec, Kinds::Rsa3072), (Kinds::Rsa4096, Kinds::Ec)] {
        let mut scene = Scene::of(signing);
        let other = Scene::of(reading);
        (scene.reader, scene.keys) = (other.reader, other.keys);
        let verified = judge(&scene, genuine(&scene)).unwrap();
        assert!(open(&verified, &scene.keys).is_ok());
    }
}

/// The signature is genuine by another algorithm of the same key, and the document says so: the key allows one only.
#[test]
fn an_rsa_signature_by_another_hash_or_salt_is_refused() {
    let with = |scene: &Scene, text: &str, encoding| {
        let info = element(text, "ds:SignedInfo");
        let value = rsa_value(info.as_bytes(), &scene.gateway, encoding);
        let value = STANDARD.encode_to_string(value);
        judge(scene, change(text, content(text, "ds:SignatureValue"), &value)).map(|_| ())
    };
    for (kinds, right, wrong) in [
        (Kinds::Rsa3072, &RSA_PSS_SHA256, &RSA_PSS_SHA512),
        (Kinds::Rsa4096, &RSA_PSS_SHA512, &RSA_PSS_SHA256),
    ] {
        let scene = Scene::of(kinds);
        let text = genuine(&scene);
        assert_eq!(with(&scene, &text, right), Ok(()));
        assert_eq!(with(&scene, &text, wrong), Err(Refused::SignatureInvalid));
        let (here, there) = match kinds {
            Kinds::Rsa3072 => ("sha256-rsa-MGF1", "sha512-rsa-MGF1"),
            _ => ("sha512-rsa-MGF1", "sha256-rsa-MGF1"),
        };
        let stated = change(&text, here, there);
        assert_eq!(with(&scene, &stated, wrong), Err(Refused::AlgorithmNotAllowed));
    }
    let scene = Scene::of(Kinds::Rsa3072);
    let text = genuine(&scene);
    let unsalted = &const { RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(0)) };
    assert_eq!(with(&scene, &text, unsalted), Err(Refused::SignatureInvalid));
    let salted = &const { RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(64)) };
    assert_eq!(with(&scene, &text, salted), Err(Refused::SignatureInvalid));
}

/// A message in the form of the other kind of key, bound to this reader's certificate and rightly signed.
#[test]
fn a_key_in_the_form_of_another_kind_is_undecipherable_and_nothing_more_is_said() {
    for (form, reading) in [
        (Kinds::Ec, Kinds::Rsa3072),
        (Kinds::Rsa3072, Kinds::Ec),
        (Kinds::Rsa3072, Kinds::Rsa4096),
        (Kinds::Hybrid, Kinds::Ec),
        (Kinds::Hybrid, Kinds::Rsa3072),
        (Kinds::Ec, Kinds::Hybrid),
    ] {
        let (scene, other) = (Scene::of(form), Scene::of(reading));
        let text = genuine(&scene);
        let (from, to) = (scene.reader.certificate.sha256(), other.reader.certificate.sha256());
        let renamed = change(&text, &from.to_base64(), &to.to_base64());
        let rebound = match form {
            Kinds::Ec | Kinds::Hybrid => change(&renamed, &hex(&from.to_string()), &hex(&to.to_string())),
            _ => change(&renamed, stated_binding(&text), &label(&text, &to)),
        };
        let verified = judge(&scene, sign(&rebound, &scene.gateway)).unwrap();
        let refused = open(&verified, &other.keys).unwrap_err();
        assert_eq!(refused, OpenError::Undecipherable, "{form:?} for {reading:?}");
        assert_eq!(open(&verified, &scene.keys).unwrap_err(), OpenError::NoKey);
    }
}

/// The label for another certificate, computed once more as the design says.
fn label(text: &str, certificate: &Digest) -> String {
    let value = |name: &str| content(text, name);
    let label = format!(
        "{}|{}\0{}|{certificate}",
        value("Author"),
        value("MessageID"),
        value("Reader")
    );
    let label = Digest::of(label.as_bytes()).to_base64();
    format!("<xenc:OAEPparams>{label}</xenc:OAEPparams>")
}

/// What stands for `text` in an attribute of the key derivation.
fn hex(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02X}")).collect()
}

#[test]
fn a_private_key_counts_only_with_its_own_certificate() {
    for kinds in Kinds::ALL {
        let (own, other) = (Identity::of(kinds, "gw-sh-1"), Identity::of(kinds, "Wohngeldstelle"));
        let another_kind = Identity::of(if kinds == Kinds::Ec { Kinds::Rsa3072 } else { Kinds::Ec }, "gw-sh-1");
        let mut keys = ReaderKeys::new();
        for (pem, expected) in [
            (other.key_pem.as_str(), KeyError::NotOfCertificate),
            (another_kind.key_pem.as_str(), KeyError::NotOfCertificate),
            (NOT_A_KEY, KeyError::NotAllowed),
            ("nonsense", KeyError::NotPem),
        ] {
            let certificate = || own.certificate.clone();
            assert_eq!(Signer::new(certificate(), pem).unwrap_err(), expected, "{kinds:?}");
            let refused = keys.add(READER.parse().unwrap(), certificate(), pem);
            assert_eq!(refused.unwrap_err(), expected, "{kinds:?}");
        }
        assert_eq!(keys.readers().count(), 0);
    }
}

const NOT_A_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
