//! Documents that were signed rightly, by somebody who has a key, and are wrong all the same.

use base64_simd::STANDARD;
use jiff::SignedDuration;
use viereck_envelope::{Content, OpenError, Reason, Refused, open, verify};
use viereck_routing::{Digest, Environment};

use crate::documents::{change, content, element, genuine, judge, sign, stated_binding};
use crate::people::{Identity, Kinds, Scene, draft, now};

#[test]
fn the_tool_that_signs_bad_documents_makes_good_ones_of_good_ones() {
    for scene in Scene::all() {
        let verified = judge(&scene, sign(&genuine(&scene), &scene.gateway)).unwrap();
        assert!(open(&verified, &scene.keys).is_ok());
    }
}

#[test]
fn a_rightly_signed_document_with_a_wrong_word_is_refused() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let forge = |from: &str, to: &str| judge(&scene, sign(&change(&text, from, to), &scene.gateway)).map(|_| ());
        assert_eq!(
            forge("<Environment>test", "<Environment>production"),
            Err(Refused::WrongEnvironment)
        );
        assert_eq!(
            forge("2026-03-16T10:00:00.000Z", "2026-03-02T10:00:00.123Z"),
            Err(Refused::ObsoleteAfterOutOfRange)
        );
        assert_eq!(
            forge("2026-03-16T10:00:00.000Z", "2026-05-31T10:00:00.124Z"),
            Err(Refused::ObsoleteAfterOutOfRange)
        );
        assert_eq!(forge("2026-03-16T10:00:00.000Z", "2026-05-31T10:00:00.123Z"), Ok(()));
        assert_eq!(
            forge("<Gateway>gw-sh-1", "<Gateway>gw-nw-1"),
            Err(Refused::CertificateNotPinned)
        );
        assert_eq!(
            forge("<Author>wgp:010000000000", "<Author>wgp:020000000000"),
            Err(Refused::WrongKeyBinding)
        );
        assert_eq!(forge("<Profile>", "<Profile>0"), Err(Refused::UnknownProfile));
        // What is shown to people: one line, not turned round, and short.
        for word in ["a\nprofile 2", "a\tb", "a\u{9b}2J", "a\u{202e}b", &"ü".repeat(1_001)] {
            assert_eq!(forge("wohngeld &amp; ", word), Err(Refused::InvalidValue), "{word:?}");
        }
        assert_eq!(forge("wohngeld &amp; \"more\" &lt;1&gt;", &"ü".repeat(1_000)), Ok(()));

        let stranger = Identity::new("gw-sh-1");
        assert_eq!(
            judge(&scene, sign(&text, &stranger)).unwrap_err(),
            Refused::CertificateNotPinned
        );
    }
}

#[test]
fn time_and_validity_are_judged_at_the_signing_time() {
    for scene in Scene::all() {
        let sealed = scene.seal(draft());
        let at = |instant| verify(sealed.bytes().clone(), &scene.pins, Environment::Test, instant).map(|_| ());
        let ahead = SignedDuration::from_secs(5 * 60);
        assert_eq!(at(now() - ahead), Ok(()));
        assert_eq!(
            at(now() - ahead - SignedDuration::from_millis(1)),
            Err(Refused::CreatedInFuture)
        );
        // The certificate has expired since; it had not when it signed.
        assert_eq!(at("2028-01-01T00:00:00Z".parse().unwrap()), Ok(()));

        let mut scene = scene;
        // The directory is asked about the instant of signing too, whenever somebody looks.
        let later = now() + SignedDuration::from_hours(24);
        let judged = |scene: &Scene| verify(sealed.bytes().clone(), &scene.pins, Environment::Test, later).map(|_| ());
        scene.pins.end(now());
        assert_eq!(judged(&scene), Ok(()));
        scene.pins.end(now() - SignedDuration::from_secs(1));
        assert_eq!(judged(&scene), Err(Refused::CertificateNotPinned));

        let old = Identity::valid(scene.kinds, "gw-sh-1", (2023, 2025));
        scene.pins.end(later);
        scene.pins.pin("gw-sh-1", &old);
        let forged = sign(&genuine(&scene), &old);
        assert_eq!(judge(&scene, forged).unwrap_err(), Refused::CertificateExpired);
        assert_eq!(Refused::CertificateExpired.reason(), Reason::T000);
    }
}

#[test]
fn parts_of_different_envelopes_do_not_go_together() {
    for scene in Scene::all() {
        let (one, two) = (genuine(&scene), genuine(&scene));
        let swapped = change(&one, element(&one, "Content"), element(&two, "Content"));
        assert_eq!(judge(&scene, swapped.clone()).unwrap_err(), Refused::WrongKeyBinding);
        let header = change(&one, element(&one, "Header"), element(&two, "Header"));
        assert_eq!(judge(&scene, header).unwrap_err(), Refused::WrongKeyBinding);

        // Even with the key and with the binding stated anew, the content does not open under another header.
        let forged = sign(
            &change(&swapped, stated_binding(&two), stated_binding(&one)),
            &scene.gateway,
        );
        let verified = judge(&scene, forged).unwrap();
        assert_eq!(open(&verified, &scene.keys).unwrap_err(), OpenError::Undecipherable);

        // One file of another envelope among its own.
        let file = |text: &str| {
            text.rsplit("<xenc:CipherValue>")
                .next()
                .unwrap()
                .split('<')
                .next()
                .unwrap()
                .to_owned()
        };
        let forged = sign(&change(&one, &file(&one), &file(&two)), &scene.gateway);
        assert_eq!(
            open(&judge(&scene, forged).unwrap(), &scene.keys).unwrap_err(),
            OpenError::Undecipherable
        );
    }
}

#[test]
fn a_content_sealed_for_another_header_does_not_open() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let opened = |from: &str, to: &str| {
            let forged = sign(&change(&text, from, to), &scene.gateway);
            open(&judge(&scene, forged).unwrap(), &scene.keys).map(|_| ())
        };
        assert_eq!(
            opened("<Kind>application", "<Kind>transfer"),
            Err(OpenError::HeaderMismatch)
        );
        let commitment = content(&text, "Commitment");
        assert_eq!(
            opened(commitment, &Digest::of(b"other").to_base64()),
            Err(OpenError::HeaderMismatch)
        );
        let process = content(&text, "ProcessRef");
        let other = viereck_routing::CaseId::random().to_string();
        assert_eq!(opened(process, &other), Err(OpenError::HeaderMismatch));
        let answered = element(&text, "InReplyTo");
        assert_eq!(opened(answered, ""), Err(OpenError::HeaderMismatch));
        // What the manifest does not repeat may differ without harm to the content.
        assert_eq!(opened("<Region>01054", "<Region>01056"), Ok(()));
    }
}

#[test]
fn ciphertexts_that_were_tampered_with_give_one_uniform_error() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let values: Vec<&str> = text
            .split("<xenc:CipherValue>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap())
            .collect();
        assert_eq!(values.len(), 5, "the wrapped key, the manifest and three files");
        for value in &values {
            let mut octets = STANDARD.decode_to_vec(value).unwrap();
            let last = octets.len() - 1;
            octets[last] ^= 1;
            let forged = sign(
                &change(&text, value, &STANDARD.encode_to_string(octets)),
                &scene.gateway,
            );
            let error = open(&judge(&scene, forged).unwrap(), &scene.keys).unwrap_err();
            assert_eq!(error, OpenError::Undecipherable);
        }
        // A file less than the manifest has.
        let start = text.rfind("<xenc:EncryptedData").unwrap();
        let end = text.find("</Content>").unwrap();
        let forged = sign(&change(&text, &text[start..end], ""), &scene.gateway);
        assert_eq!(
            open(&judge(&scene, forged).unwrap(), &scene.keys).unwrap_err(),
            OpenError::Undecipherable
        );
        let key = element(&text, "xenc:EncryptedKey");
        let others: Vec<String> = match scene.kinds {
            // Another originator's key, and no point of the curve.
            Kinds::Ec | Kinds::Hybrid => {
                let another = genuine(&scene);
                let point = content(&text, "dsig11:PublicKey");
                let points = [
                    content(&another, "dsig11:PublicKey"),
                    &STANDARD.encode_to_string([4; 65]),
                ];
                points.map(|other| change(&text, point, other)).to_vec()
            }
            // A key for another modulus, and a number beyond any modulus of this length.
            Kinds::Rsa3072 | Kinds::Rsa4096 => {
                let value = content(key, "xenc:CipherValue");
                let length = STANDARD.decode_to_vec(value).unwrap().len();
                let values = [vec![1; length + 1], vec![0xff; length]];
                values
                    .map(|other| change(&text, value, &STANDARD.encode_to_string(other)))
                    .to_vec()
            }
        };
        for other in others {
            let forged = judge(&scene, sign(&other, &scene.gateway)).unwrap();
            assert_eq!(open(&forged, &scene.keys).unwrap_err(), OpenError::Undecipherable);
        }
    }
}

#[test]
fn a_nonce_is_never_used_twice() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let values: Vec<&str> = text
            .split("<xenc:CipherValue>")
            .skip(2)
            .map(|rest| rest.split('<').next().unwrap())
            .collect();
        let repeated = format!("{}{}", &values[0][..16], &values[1][16..]);
        assert_eq!(
            judge(&scene, change(&text, values[1], &repeated)).unwrap_err(),
            Refused::EqualNonces
        );
        // Nothing shorter than a nonce and a tag is a ciphertext; 27 octets are one less.
        for short in ["AAAA".to_owned(), STANDARD.encode_to_string([7; 27])] {
            assert_eq!(
                judge(&scene, change(&text, values[1], &short)).unwrap_err(),
                Refused::InvalidValue
            );
        }
    }
}

#[test]
fn too_many_ciphertexts_are_refused() {
    for scene in Scene::all() {
        let mut draft = draft();
        draft.content = Content::default();
        let text = String::from_utf8(scene.seal(draft).bytes().to_vec()).unwrap();
        let data = |number: u32| {
            let mut octets = [0; 28];
            octets[..4].copy_from_slice(&number.to_be_bytes());
            format!(
                "<xenc:EncryptedData xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\"><xenc:EncryptionMethod \
             Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"></xenc:EncryptionMethod><ds:KeyInfo \
             xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:RetrievalMethod \
             Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\" URI=\"#key\"></ds:RetrievalMethod></ds:KeyInfo>\
             <xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>",
                STANDARD.encode_to_string(octets)
            )
        };
        let many = |count: u32| {
            let all: String = (0..count).map(data).collect();
            judge(&scene, change(&text, "</Content>", &format!("{all}</Content>"))).unwrap_err()
        };
        assert_eq!(many(3), Refused::DigestMismatch);
        // Each has six elements: the limit of elements is met before that of ciphertexts.
        assert_eq!(many(3_400), Refused::TooManyElements);
    }
}
