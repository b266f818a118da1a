//! Whose key it is: the certificate in KeyInfo, the pins, the signed properties about it. The attacker has a key of its
//! own, pinned for its own name or for nobody's.

use base64_simd::STANDARD;
use viereck_envelope::{Reason, Refused};

use crate::case::Attacker::{Participant, Path, Sender};
use crate::case::Cases;
use crate::craft::{change, content, digest, element, name_certificate, sign, sign_info};
use crate::scene::{AUTHOR, Genuine, OTHER, OTHER_AUTHOR, SENDER};

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("key-info");
    whose(&mut cases, genuine);
    key_info(&mut cases, genuine);
    properties(&mut cases, genuine);
    cases
}

fn whose(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let pinned = STANDARD.encode_to_string(scene.sender.certificate.der());
    for (name, document, expected) in [
        (
            "another key under the same subject, nowhere pinned",
            sign(text, &scene.stranger),
            Refused::CertificateNotPinned,
        ),
        (
            "a certificate that is pinned for another gateway",
            sign(text, &scene.other),
            Refused::CertificateNotPinned,
        ),
        (
            "the reader's encryption certificate",
            sign(text, &scene.reader),
            Refused::CertificateNotPinned,
        ),
        (
            "the pinned certificate in KeyInfo, another key's signature",
            sign_info(&sign(text, &scene.sender), &scene.other),
            Refused::SignatureInvalid,
        ),
        (
            "the pinned certificate in KeyInfo and a stranger's in the properties",
            {
                let strange = sign(text, &scene.stranger);
                let certificate = content(&strange, "ds:X509Certificate").to_owned();
                sign_info(&change(&strange, &certificate, &pinned), &scene.stranger)
            },
            Refused::WrongSignedProperties,
        ),
        (
            "the pinned certificate in the properties and a stranger's in KeyInfo",
            {
                let certificate = STANDARD.encode_to_string(scene.stranger.certificate.der());
                sign_info(&change(text, &pinned, &certificate), &scene.stranger)
            },
            Refused::CertificateNotPinned,
        ),
    ] {
        cases.add(Participant, name, document, expected);
    }
    cases.add(
        Sender,
        "a pinned certificate that had expired when it signed",
        sign(text, &scene.expired),
        Refused::CertificateExpired,
    );
    cases.add(
        Participant,
        "the other gateway's name and signature over somebody else's author",
        sign(
            &change(text, &format!("<Gateway>{SENDER}"), &format!("<Gateway>{OTHER}")),
            &scene.other,
        ),
        Reason::T070,
    );
    cases.add(
        Participant,
        "the sender's signature under another gateway's name",
        sign(
            &change(text, &format!("<Gateway>{SENDER}"), &format!("<Gateway>{OTHER}")),
            &scene.sender,
        ),
        Refused::CertificateNotPinned,
    );
    // two pinned keys of one gateway, of two kinds: each has its own algorithm
    let named = digest(&name_certificate(text, &scene.other_kind));
    cases.add(
        Sender,
        "a pinned key of another kind under the algorithm of this one",
        sign_info(&named, &scene.other_kind),
        Refused::AlgorithmNotAllowed,
    );
    cases.add(
        Sender,
        "a pinned certificate of another kind over this key's signature",
        sign_info(&named, &scene.sender),
        Refused::AlgorithmNotAllowed,
    );
    let method = change(text, scene.sender.method(), scene.other_kind.method());
    cases.add(
        Sender,
        "this key under the algorithm of a pinned key of another kind",
        sign_info(&method, &scene.sender),
        Refused::AlgorithmNotAllowed,
    );
    let other = scene.sealed(|draft| {
        draft.gateway = OTHER.parse().unwrap();
        draft.author = AUTHOR.parse().unwrap();
    });
    cases.add(
        Participant,
        "sealed by another gateway in the name of an author it does not serve",
        other.text,
        Reason::T070,
    );
    let other = scene.sealed(|draft| {
        draft.gateway = OTHER.parse().unwrap();
        draft.author = OTHER_AUTHOR.parse().unwrap();
    });
    cases.add(
        Participant,
        "an application written by an authority, which writes none",
        other.text,
        Reason::T070,
    );
    let bescheid = scene.sealed(|draft| draft.kind = viereck_routing::Kind::Bescheid);
    cases.add(
        Sender,
        "a Bescheid written by a portal, which writes none",
        bescheid.text,
        Reason::T070,
    );
    let unserved = scene.sealed(|draft| draft.reader = OTHER_AUTHOR.parse().unwrap());
    cases.add(
        Sender,
        "a reader whom this gateway does not serve",
        unserved.text,
        Reason::T080,
    );
    let nobody = scene.sealed(|draft| draft.author = "wgp:990000000000".parse().unwrap());
    cases.add(Sender, "an author whom no table knows", nobody.text, Reason::T070);
    let nobody = scene.sealed(|draft| draft.gateway = "gw-xx-9".parse().unwrap());
    cases.add(
        Sender,
        "a gateway whom no table knows",
        nobody.text,
        Refused::CertificateNotPinned,
    );
}

fn key_info(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let info = element(&text[text.find("</ds:SignatureValue>").unwrap()..], "ds:KeyInfo").to_owned();
    let data = content(&info, "ds:X509Data").to_owned();
    let certificate = content(&info, "ds:X509Certificate").to_owned();
    let other = STANDARD.encode_to_string(scene.stranger.certificate.der());
    let mut der = scene.sender.certificate.der().to_vec();
    der.push(0);
    let longer = STANDARD.encode_to_string(&der);
    let armoured = scene.sender.certificate_pem.trim().replace("\r\n", "\n");
    let info_with = |inner: &str| format!("<ds:KeyInfo>{inner}</ds:KeyInfo>");
    let pinned = format!("<ds:X509Data>{data}</ds:X509Data>");
    let key_value = "<ds:KeyValue></ds:KeyValue>";
    for (name, changed, expected) in [
        ("no KeyInfo", String::new(), Refused::UnexpectedElement),
        ("an empty KeyInfo", info_with(""), Refused::MissingElement),
        (
            "a bare key before the certificate",
            info_with(&format!("{key_value}{pinned}")),
            Refused::UnexpectedElement,
        ),
        (
            "a bare key behind the certificate",
            info_with(&format!("{pinned}{key_value}")),
            Refused::UnexpectedElement,
        ),
        (
            "a bare key instead of the certificate",
            info_with(key_value),
            Refused::UnexpectedElement,
        ),
        (
            "a key by its name",
            info_with(&format!("<ds:KeyName>{SENDER}</ds:KeyName>")),
            Refused::UnexpectedElement,
        ),
        (
            "a certificate to be fetched",
            info_with("<ds:RetrievalMethod URI=\"http://127.0.0.1:1/\"></ds:RetrievalMethod>"),
            Refused::UnexpectedElement,
        ),
        (
            "a certificate by its subject",
            info_with(&format!(
                "<ds:X509Data><ds:X509SubjectName>CN={SENDER}</ds:X509SubjectName></ds:X509Data>"
            )),
            Refused::UnexpectedElement,
        ),
        (
            "a stranger's certificate before the pinned one",
            info_with(&format!(
                "<ds:X509Data><ds:X509Certificate>{other}</ds:X509Certificate>{data}</ds:X509Data>"
            )),
            Refused::UnexpectedElement,
        ),
        (
            "a stranger's certificate behind the pinned one",
            info_with(&format!(
                "<ds:X509Data>{data}<ds:X509Certificate>{other}</ds:X509Certificate></ds:X509Data>"
            )),
            Refused::UnexpectedElement,
        ),
        (
            "two X509Data",
            info_with(&format!("{pinned}{pinned}")),
            Refused::UnexpectedElement,
        ),
        ("two KeyInfo", format!("{info}{info}"), Refused::UnexpectedElement),
        (
            "an Id on KeyInfo",
            change(&info, "<ds:KeyInfo>", "<ds:KeyInfo Id=\"info\">"),
            Refused::WrongAttribute,
        ),
        (
            "an empty certificate",
            change(&info, &certificate, ""),
            Refused::CertificateNotPinned,
        ),
        (
            "a certificate with an octet behind it",
            change(&info, &certificate, &longer),
            Refused::CertificateNotPinned,
        ),
        (
            "a certificate without its end",
            change(&info, &certificate, &certificate[..200]),
            Refused::CertificateNotPinned,
        ),
        (
            "a certificate in its armour",
            change(&info, &certificate, &armoured),
            Refused::InvalidValue,
        ),
        (
            "a certificate in base64url",
            change(&info, &certificate, &format!("-{}", &certificate[1..])),
            Refused::InvalidValue,
        ),
        (
            "a certificate with white space that is none of XML",
            change(
                &info,
                &certificate,
                &format!("{}\u{a0}{}", &certificate[..40], &certificate[40..]),
            ),
            Refused::InvalidValue,
        ),
    ] {
        cases.add(Path, name, change(text, &info, &changed), expected);
    }
}

fn properties(cases: &mut Cases<'_>, genuine: &Genuine<'_>) {
    let (text, scene) = (&genuine.text, genuine.scene);
    let certificate = element(text, "xades:SigningCertificateV2").to_owned();
    let cert = element(text, "xades:Cert").to_owned();
    let formats = content(text, "xades:SignedDataObjectProperties").to_owned();
    let format = element(text, "xades:DataObjectFormat").to_owned();
    for (name, from, to, expected) in [
        (
            "a signing time before Created",
            "10:00:00.123Z</xades",
            "10:00:00.122Z</xades",
            Refused::WrongSignedProperties,
        ),
        (
            "a signing time a year before Created",
            "2026-03-02T10:00:00.123Z</xades",
            "2025-03-02T10:00:00.123Z</xades",
            Refused::WrongSignedProperties,
        ),
        (
            "a signing time in another spelling",
            "10:00:00.123Z</xades",
            "11:00:00.123+01:00</xades",
            Refused::InvalidValue,
        ),
        (
            "no certificate in the properties",
            certificate.as_str(),
            "",
            Refused::MissingElement,
        ),
        (
            "two certificates in the properties",
            cert.as_str(),
            &format!("{cert}{cert}"),
            Refused::UnexpectedElement,
        ),
        (
            "the older form of the signing certificate",
            "SigningCertificateV2>",
            "SigningCertificate>",
            Refused::UnexpectedElement,
        ),
        (
            "a certificate digest by SHA-1",
            "xmlenc#sha256\"></ds:DigestMethod><ds:DigestValue xmlns",
            "xmldsig#sha1\"></ds:DigestMethod><ds:DigestValue xmlns",
            Refused::AlgorithmNotAllowed,
        ),
        (
            "properties of another target",
            "Target=\"#signature\"",
            "Target=\"#header\"",
            Refused::WrongSignedProperties,
        ),
        (
            "properties of no target",
            " Target=\"#signature\"",
            "",
            Refused::WrongAttribute,
        ),
        (
            "another media type",
            ">application/xml<",
            ">text/html<",
            Refused::WrongSignedProperties,
        ),
        (
            "the formats exchanged",
            "ObjectReference=\"#ref-header\"",
            "ObjectReference=\"#ref-content\"",
            Refused::WrongSignedProperties,
        ),
        ("no formats", formats.as_str(), "", Refused::MissingElement),
        ("one format only", format.as_str(), "", Refused::WrongSignedProperties),
        (
            "a signature policy",
            "</xades:SigningCertificateV2>",
            "</xades:SigningCertificateV2><xades:SignaturePolicyIdentifier></xades:SignaturePolicyIdentifier>",
            Refused::UnexpectedElement,
        ),
        (
            "a claimed role",
            "</xades:SigningCertificateV2>",
            "</xades:SigningCertificateV2><xades:SignerRoleV2></xades:SignerRoleV2>",
            Refused::UnexpectedElement,
        ),
        (
            "unsigned properties",
            "</xades:SignedProperties>",
            "</xades:SignedProperties><xades:UnsignedProperties></xades:UnsignedProperties>",
            Refused::UnexpectedElement,
        ),
        (
            "an encoding of the data",
            "</xades:MimeType>",
            "</xades:MimeType><xades:Encoding>base64</xades:Encoding>",
            Refused::UnexpectedElement,
        ),
        (
            "properties of the older namespace",
            "http://uri.etsi.org/01903/v1.3.2#",
            "http://uri.etsi.org/01903/v1.1.1#",
            Refused::Namespace,
        ),
    ] {
        let changed = if name.ends_with("signing certificate") {
            text.replace(from, to)
        } else {
            change(text, from, to)
        };
        cases.add(Sender, name, sign_info(&digest(&changed), &scene.sender), expected);
    }
    // the other's certificate is named in the properties, the sender's key signs
    let named = name_certificate(text, &scene.other);
    let certificate = content(&named, "ds:X509Certificate").to_owned();
    let pinned = STANDARD.encode_to_string(scene.sender.certificate.der());
    cases.add(
        Sender,
        "the digest of another participant's certificate in the properties",
        sign_info(&digest(&change(&named, &certificate, &pinned)), &scene.sender),
        Refused::WrongSignedProperties,
    );
}
