//! Signatures of another form than the profile's, or over something else.

use base64_simd::STANDARD;
use viereck_envelope::Refused;

use crate::documents::{change, content, genuine, judge};
use crate::people::{Kinds, Scene};

const ECDSA: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
const PSS_SHA256: &str = "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1";
const PSS_SHA512: &str = "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1";

/// The same number with a zero octet in front.
fn longer(base64: &str) -> String {
    let octets = STANDARD.decode_to_vec(base64).unwrap();
    STANDARD.encode_to_string([&[0], octets.as_slice()].concat())
}

#[test]
fn a_signature_of_another_form_is_refused() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let references: Vec<&str> = {
            let info = content(&text, "ds:SignedInfo");
            let start = info.find("<ds:Reference").unwrap();
            info[start..].split_inclusive("</ds:Reference>").collect()
        };
        let [header, body, properties] = references[..] else {
            panic!("three references")
        };
        let transform = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform>";
        let [method, others @ ..] = match scene.kinds {
            Kinds::Ec | Kinds::Hybrid => [ECDSA, PSS_SHA256, PSS_SHA512],
            Kinds::Rsa3072 => [PSS_SHA256, PSS_SHA512, ECDSA],
            Kinds::Rsa4096 => [PSS_SHA512, PSS_SHA256, ECDSA],
        };
        let length = match scene.kinds {
            Kinds::Ec | Kinds::Hybrid => 64,
            Kinds::Rsa3072 => 384,
            Kinds::Rsa4096 => 512,
        };
        let sha256 = "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\">";
        let in_reference = |from: &str, to: &str| change(&text, header, &change(header, from, to));
        let cases = [
            (
                "reference order",
                change(&text, &format!("{header}{body}"), &format!("{body}{header}")),
                Refused::WrongReferences,
            ),
            (
                "header not covered",
                change(&text, header, ""),
                Refused::WrongReferences,
            ),
            (
                "properties not covered",
                change(&text, properties, ""),
                Refused::WrongReferences,
            ),
            (
                "second reference",
                change(
                    &text,
                    properties,
                    &format!("{properties}<ds:Reference URI=\"#key\"></ds:Reference>"),
                ),
                Refused::WrongReferences,
            ),
            (
                "reference to the root",
                in_reference("URI=\"#header\"", "URI=\"\""),
                Refused::ExternalReference,
            ),
            (
                "reference to a file",
                in_reference("URI=\"#header\"", "URI=\"file:///etc/hosts\""),
                Refused::ExternalReference,
            ),
            (
                "reference by XPointer",
                in_reference("URI=\"#header\"", "URI=\"#xpointer(/)\""),
                Refused::WrongReferences,
            ),
            (
                "reference without Id",
                in_reference("Id=\"ref-header\" ", ""),
                Refused::WrongReferences,
            ),
            ("no transform", in_reference(transform, ""), Refused::MissingElement),
            (
                "two transforms",
                in_reference(transform, &format!("{transform}{transform}")),
                Refused::UnexpectedElement,
            ),
            (
                "XSLT",
                in_reference(
                    "http://www.w3.org/2001/10/xml-exc-c14n#",
                    "http://www.w3.org/TR/1999/REC-xslt-19991116",
                ),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "XPath",
                in_reference(
                    "http://www.w3.org/2001/10/xml-exc-c14n#",
                    "http://www.w3.org/TR/1999/REC-xpath-19991116",
                ),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "other canonicalization",
                change(
                    &text,
                    "2001/10/xml-exc-c14n#\"></ds:Can",
                    "2006/12/xml-c14n11\"></ds:Can",
                ),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "InclusiveNamespaces",
                in_reference(
                    "xml-exc-c14n#\">",
                    "xml-exc-c14n#\"><ds:InclusiveNamespaces></ds:InclusiveNamespaces>",
                ),
                Refused::UnexpectedElement,
            ),
            (
                "SHA-1 digest",
                in_reference(
                    sha256,
                    "<ds:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\">",
                ),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "MD5 digest",
                in_reference(
                    sha256,
                    "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#md5\">",
                ),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "SHA-1 signature",
                change(&text, method, "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "PKCS#1 v1.5 signature",
                change(&text, method, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "the method of another key",
                change(&text, method, others[0]),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "the method of yet another key",
                change(&text, method, others[1]),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "RSA-PSS with SHA-1",
                change(&text, method, "http://www.w3.org/2007/05/xmldsig-more#rsa-pss"),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "HMAC",
                change(&text, method, "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
                Refused::AlgorithmNotAllowed,
            ),
            (
                "other key in KeyInfo",
                change(
                    &text,
                    "<ds:X509Data><ds:X509Certificate>",
                    "<ds:KeyValue></ds:KeyValue><ds:X509Data><ds:X509Certificate>",
                ),
                Refused::UnexpectedElement,
            ),
            (
                "second certificate",
                change(
                    &text,
                    "</ds:X509Certificate>",
                    "</ds:X509Certificate><ds:X509Certificate></ds:X509Certificate>",
                ),
                Refused::UnexpectedElement,
            ),
            (
                "other target",
                change(&text, "Target=\"#signature\"", "Target=\"#header\""),
                Refused::WrongSignedProperties,
            ),
            (
                "other data format",
                change(&text, ">application/xml<", ">text/plain<"),
                Refused::WrongSignedProperties,
            ),
            (
                "data format of another reference",
                change(
                    &text,
                    "ObjectReference=\"#ref-header\"",
                    "ObjectReference=\"#ref-content\"",
                ),
                Refused::WrongSignedProperties,
            ),
            (
                "other signing time",
                change(&text, "10:00:00.123Z</xades", "10:00:00.124Z</xades"),
                Refused::WrongSignedProperties,
            ),
            (
                "header changed",
                change(&text, "<Region>01054", "<Region>01056"),
                Refused::DigestMismatch,
            ),
            (
                "signed info changed",
                change(
                    &text,
                    content(header, "ds:DigestValue"),
                    content(body, "ds:DigestValue"),
                ),
                Refused::DigestMismatch,
            ),
            (
                "zero signature",
                change(
                    &text,
                    content(&text, "ds:SignatureValue"),
                    &STANDARD.encode_to_string(vec![0; length]),
                ),
                Refused::SignatureInvalid,
            ),
            (
                "one octet too many",
                change(
                    &text,
                    content(&text, "ds:SignatureValue"),
                    &longer(content(&text, "ds:SignatureValue")),
                ),
                Refused::SignatureInvalid,
            ),
            (
                "short signature",
                change(&text, content(&text, "ds:SignatureValue"), "AAAA"),
                Refused::SignatureInvalid,
            ),
            (
                "signature of another message",
                change(
                    &text,
                    content(&text, "ds:SignatureValue"),
                    content(&genuine(&scene), "ds:SignatureValue"),
                ),
                Refused::SignatureInvalid,
            ),
        ];
        for (name, changed, expected) in cases {
            assert_eq!(
                judge(&scene, changed).unwrap_err(),
                expected,
                "{name}, {:?}",
                scene.kinds
            );
        }
    }
}
