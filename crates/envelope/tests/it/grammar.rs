//! Documents with elements, attributes or values where none of them belongs.

use viereck_envelope::Refused;
use viereck_routing::{Digest, Profile};

use crate::documents::{change, content, element, genuine, judge};
use crate::people::{Kinds, Scene};

type Case = (&'static str, String, Refused);

#[test]
fn a_document_of_another_grammar_is_refused() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let header = element(&text, "Header");
        let profile = element(&text, "Profile");
        let another_profile = match scene.kinds.profile() {
            Profile::P1 => "<Profile>2</Profile>",
            Profile::P2 => "<Profile>1</Profile>",
        };
        let signature = element(&text, "ds:Signature");
        let aes = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
        let data = element(&text, "xenc:EncryptedData");
        let cases = [
            (
                "another root",
                change(&change(&text, "<Envelope", "<Manifest"), "</Envelope", "</Manifest"),
                Refused::WrongRoot,
            ),
            (
                "a receipt batch",
                "<ReceiptBatch xmlns=\"urn:viereck:receipt:1\"></ReceiptBatch>".to_owned(),
                Refused::Namespace,
            ),
            ("no header", change(&text, header, ""), Refused::UnexpectedElement),
            (
                "second header",
                change(
                    &text,
                    header,
                    &format!("{header}{}", header.replace("Id=\"header\"", "Id=\"other\"")),
                ),
                Refused::UnexpectedElement,
            ),
            (
                "second header, same Id",
                change(&text, header, &format!("{header}{header}")),
                Refused::DuplicateId,
            ),
            (
                "header wrapped in an object",
                change(
                    &text,
                    "<ds:Object>",
                    &format!("<ds:Object>{}", header.replace("Id=\"header\"", "Id=\"evil\"")),
                ),
                Refused::UnexpectedElement,
            ),
            (
                "second content",
                change(
                    &text,
                    "</Content>",
                    "</Content><Content xmlns=\"urn:viereck:envelope:1\" Id=\"more\"></Content>",
                ),
                Refused::UnexpectedElement,
            ),
            (
                "attribute on the root",
                change(&text, "envelope:1\">", "envelope:1\" a=\"b\">"),
                Refused::WrongAttribute,
            ),
            (
                "surplus attribute",
                change(&text, "<Profile>", "<Profile a=\"b\">"),
                Refused::WrongAttribute,
            ),
            (
                "surplus Id",
                change(&text, "<Profile>", "<Profile Id=\"x\">"),
                Refused::WrongAttribute,
            ),
            (
                "Id of another case",
                change(&text, " Id=\"header\"", " id=\"header\""),
                Refused::WrongAttribute,
            ),
            (
                "missing element",
                change(&text, profile, ""),
                Refused::UnexpectedElement,
            ),
            (
                "element order",
                change(
                    &text,
                    &format!("{profile}<Environment>test</Environment>"),
                    &format!("<Environment>test</Environment>{profile}"),
                ),
                Refused::UnexpectedElement,
            ),
            (
                "surplus element",
                change(&text, "</Header>", "<More></More></Header>"),
                Refused::UnexpectedElement,
            ),
            (
                "external parts",
                change(&text, "</Header>", "<Parts></Parts></Header>"),
                Refused::UnexpectedElement,
            ),
            (
                "unknown profile",
                change(&text, profile, "<Profile>3</Profile>"),
                Refused::UnknownProfile,
            ),
            (
                "the key in the form of another profile",
                change(&text, profile, another_profile),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "unknown kind",
                change(&text, "<Kind>application", "<Kind>Application"),
                Refused::InvalidValue,
            ),
            (
                "unknown environment",
                change(&text, "<Environment>test", "<Environment>staging"),
                Refused::InvalidValue,
            ),
            (
                "instant without milliseconds",
                change(&text, "10:00:00.123Z</Created>", "10:00:00Z</Created>"),
                Refused::InvalidValue,
            ),
            (
                "instant of another zone",
                change(&text, "10:00:00.123Z</Created>", "10:00:00.123+00:00</Created>"),
                Refused::InvalidValue,
            ),
            (
                "Behörde without colon",
                change(&text, "<Reader>wgb:", "<Reader>wgb"),
                Refused::InvalidValue,
            ),
            (
                "Leistung without URN",
                change(&text, "<Service>urn:de:fim:leika:leistung:", "<Service>"),
                Refused::InvalidValue,
            ),
            (
                "empty optional element",
                change(&text, "<Region>01054</Region>", "<Region></Region>"),
                Refused::InvalidValue,
            ),
            (
                "digest in hex",
                change(&text, content(&text, "Commitment"), &Digest::of(b"").to_string()),
                Refused::InvalidValue,
            ),
            (
                "other base64",
                change(&text, "</ds:SignatureValue>", "=</ds:SignatureValue>"),
                Refused::InvalidValue,
            ),
            (
                "no ciphertext",
                change(&text, content(&text, "Content"), ""),
                Refused::MissingElement,
            ),
            ("no manifest", change(&text, data, ""), Refused::UnexpectedElement),
            (
                "CBC",
                change(&text, aes, "http://www.w3.org/2001/04/xmlenc#aes256-cbc"),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "3DES",
                change(&text, aes, "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "external cipher",
                change(
                    &text,
                    "<xenc:CipherValue>",
                    "<xenc:CipherReference URI=\"cid:part-1\"></xenc:CipherReference><xenc:CipherValue>",
                ),
                Refused::ExternalReference,
            ),
            (
                "external key",
                change(&text, "URI=\"#key\"", "URI=\"http://example.org/key\""),
                Refused::ExternalReference,
            ),
            (
                "key for another reader",
                change(
                    &text,
                    "Recipient=\"wgb:010540880000\"",
                    "Recipient=\"wgb:010540330000\"",
                ),
                Refused::WrongKeyBinding,
            ),
            ("no signature", change(&text, signature, ""), Refused::SignatureMissing),
            (
                "second signature",
                change(
                    &text,
                    signature,
                    &format!("{signature}{}", signature.replace(" Id=\"", " Id=\"x")),
                ),
                Refused::SecondSignature,
            ),
            (
                "signature first",
                change(&change(&text, signature, ""), "<Header", &format!("{signature}<Header")),
                Refused::UnexpectedElement,
            ),
            (
                "signature within the content",
                change(
                    &change(&text, signature, ""),
                    "</Content>",
                    &format!("{signature}</Content>"),
                ),
                Refused::UnexpectedElement,
            ),
        ];
        let of_the_key = match scene.kinds {
            Kinds::Ec => agreed_keys(&text, "http://www.w3.org/2009/xmlenc11#ECDH-ES"),
            Kinds::Hybrid => hybrid_keys(&text),
            Kinds::Rsa3072 | Kinds::Rsa4096 => transported_keys(&text),
        };
        for (name, changed, expected) in cases.into_iter().chain(of_the_key) {
            assert_eq!(
                judge(&scene, changed).unwrap_err(),
                expected,
                "{name}, {:?}",
                scene.kinds
            );
        }
    }
}

/// Documents whose key, agreed on by ECDH-ES, has another form.
fn agreed_keys(text: &str, agreement: &str) -> Vec<Case> {
    // Profile 1 knows transported keys as well, which look different inside.
    let in_place_of_agreement = match text.contains("<Profile>1</Profile>") {
        true => Refused::MissingElement,
        false => Refused::AlgorithmNotAllowed,
    };
    vec![
        (
            "RSA 1.5",
            change(
                text,
                "http://www.w3.org/2001/04/xmlenc#kw-aes256",
                "http://www.w3.org/2001/04/xmlenc#rsa-1_5",
            ),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "other agreement",
            change(text, agreement, "http://www.w3.org/2009/xmlenc11#dh-es"),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "other derivation",
            change(text, "xmlenc11#ConcatKDF\"", "xmlenc11#pbkdf2\""),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "other curve",
            change(text, "urn:oid:1.2.840.10045.3.1.7", "urn:oid:1.3.132.0.34"),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "key bound to another message",
            change(text, "PartyUInfo=\"00", "PartyUInfo=\"0000"),
            Refused::WrongKeyBinding,
        ),
        (
            "another key",
            change(text, "URI=\"#key\"", "URI=\"#originator\""),
            Refused::WrongAttribute,
        ),
        (
            "key transport where a key is agreed on",
            change(
                text,
                "http://www.w3.org/2001/04/xmlenc#kw-aes256",
                "http://www.w3.org/2009/xmlenc11#rsa-oaep",
            ),
            in_place_of_agreement,
        ),
    ]
}

/// Documents whose key, agreed on by ECDH-ES and ML-KEM together, has another form.
fn hybrid_keys(text: &str) -> Vec<Case> {
    let hybrid = "urn:viereck:algorithm:ecdh-es-p256-ml-kem-768";
    let kem = element(text, "KemCiphertext");
    let value = content(text, "KemCiphertext");
    let stated = text.split(" SuppPubInfo=\"").nth(1).unwrap();
    let stated = &stated[..stated.find('"').unwrap()];
    let originator = element(text, "xenc:OriginatorKeyInfo");
    let mut cases = agreed_keys(text, hybrid);
    cases.extend([
        (
            "agreement without ML-KEM",
            change(text, hybrid, "http://www.w3.org/2009/xmlenc11#ECDH-ES"),
            Refused::AlgorithmNotAllowed,
        ),
        ("no KemCiphertext", change(text, kem, ""), Refused::UnexpectedElement),
        (
            "two KemCiphertexts",
            change(text, kem, &format!("{kem}{kem}")),
            Refused::UnexpectedElement,
        ),
        (
            "KemCiphertext behind the originator",
            change(&change(text, kem, ""), originator, &format!("{originator}{kem}")),
            Refused::UnexpectedElement,
        ),
        ("empty KemCiphertext", change(text, value, ""), Refused::InvalidValue),
        (
            "short KemCiphertext",
            change(text, value, &value[4..]),
            Refused::InvalidValue,
        ),
        (
            "long KemCiphertext",
            change(text, value, &format!("AAAA{value}")),
            Refused::InvalidValue,
        ),
        (
            "no SuppPubInfo",
            change(text, &format!(" SuppPubInfo=\"{stated}\""), ""),
            Refused::WrongAttribute,
        ),
        ("empty SuppPubInfo", change(text, stated, ""), Refused::InvalidValue),
        (
            "SuppPubInfo with padding bits",
            change(text, stated, &format!("04{}", &stated[2..])),
            Refused::InvalidValue,
        ),
        (
            "short SuppPubInfo",
            change(text, stated, &stated[..64]),
            Refused::InvalidValue,
        ),
        (
            "SuppPubInfo in lower case",
            change(text, stated, &"00ab".repeat(17)[..66]),
            Refused::InvalidValue,
        ),
    ]);
    cases
}

/// Documents whose key, transported by RSA-OAEP, has another form.
fn transported_keys(text: &str) -> Vec<Case> {
    let oaep = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
    let digest = "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>";
    let label = element(text, "xenc:OAEPparams");
    let mgf = element(text, "xenc11:MGF");
    let key = element(text, "xenc:EncryptedKey");
    let value = content(key, "xenc:CipherValue");
    let longer = value.repeat(3);
    vec![
        (
            "RSA 1.5",
            change(text, oaep, "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "OAEP of XML Encryption 1.0",
            change(text, oaep, "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "OAEP with SHA-1",
            change(
                text,
                digest,
                &digest.replace("2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1"),
            ),
            Refused::AlgorithmNotAllowed,
        ),
        (
            "MGF1 with SHA-1",
            change(text, mgf, &mgf.replace("mgf1sha256", "mgf1sha1")),
            Refused::AlgorithmNotAllowed,
        ),
        ("no MGF", change(text, mgf, ""), Refused::MissingElement),
        ("no label", change(text, label, ""), Refused::UnexpectedElement),
        (
            "empty label",
            change(text, label, "<xenc:OAEPparams></xenc:OAEPparams>"),
            Refused::WrongKeyBinding,
        ),
        (
            "key bound to another message",
            change(
                text,
                content(text, "xenc:OAEPparams"),
                &Digest::of(b"another").to_base64(),
            ),
            Refused::WrongKeyBinding,
        ),
        (
            "agreement where a key is transported",
            change(text, oaep, "http://www.w3.org/2001/04/xmlenc#kw-aes256"),
            Refused::UnexpectedElement,
        ),
        ("no value", change(text, value, ""), Refused::InvalidValue),
        ("short value", change(text, value, "AAAA"), Refused::InvalidValue),
        (
            "a value longer than any modulus",
            change(text, value, &longer),
            Refused::InvalidValue,
        ),
        (
            "another key",
            change(text, "URI=\"#key\"", "URI=\"#content\""),
            Refused::WrongAttribute,
        ),
    ]
}
