//! The signature: XML Signature with the signed properties of XAdES level B, in one fixed form.
//!
//! Guarantees: exactly the given elements are covered, in their order, by digests of the octets that were received;
//! the signed properties name the signing time and the pinned certificate; the algorithm is fixed by the kind of the
//! pinned key, and the one in the message has to be that one. The certificate in KeyInfo is compared octet for octet
//! with the pinned one and never trusted for itself.
//!
//! What stays malleable is what no signature can cover: the other `s` of an ECDSA signature, and white space within
//! the base64 of the certificate. Neither changes the digest of SignedInfo, which is how a document is known.

mod method;

use std::borrow::Cow;

use jiff::Timestamp;
use viereck_routing::{Certificate, Digest, PublicKey};

pub(crate) use self::method::Method;
use crate::keys::Signer;
use crate::limits;
use crate::refusal::Refused;
use crate::seal::SealError;
use crate::xml::value::{instant, octets, parse_instant};
use crate::xml::{Cursor, Ns, algorithm};

const DS: &str = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
const XADES: &str = "xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\"";
const PROPERTIES: &str = "signed-properties";

/// Appends the signature over `objects` (Id and digest of each) and gives the digest of its SignedInfo.
pub(crate) fn write(
    out: &mut String,
    objects: &[(&str, Digest)],
    signing_time: Timestamp,
    signer: &Signer,
) -> Result<Digest, SealError> {
    let certificate = signer.certificate();
    let properties = signed_properties(objects, signing_time, certificate);
    let signed_info = signed_info(objects, Digest::of(properties.as_bytes()), certificate.key());
    let value = signer.sign(signed_info.as_bytes())?;
    out.push_str("<ds:Signature ");
    out.push_str(DS);
    out.push_str(" Id=\"signature\">");
    out.push_str(&signed_info);
    out.push_str("<ds:SignatureValue>");
    out.push_str(&octets(&value));
    out.push_str("</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>");
    out.push_str(&octets(certificate.der()));
    out.push_str("</ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object><xades:QualifyingProperties ");
    out.push_str(XADES);
    out.push_str(" Target=\"#signature\">");
    out.push_str(&properties);
    out.push_str("</xades:QualifyingProperties></ds:Object></ds:Signature>");
    Ok(Digest::of(signed_info.as_bytes()))
}

fn signed_info(objects: &[(&str, Digest)], properties: Digest, key: &PublicKey) -> String {
    let mut out = format!(
        "<ds:SignedInfo {DS}><ds:CanonicalizationMethod Algorithm=\"{}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>",
        algorithm::EXC_C14N,
        Method::of(key).identifier(),
    );
    for (id, digest) in objects {
        reference(&mut out, &format!("Id=\"ref-{id}\" URI=\"#{id}\""), digest);
    }
    let attributes = format!("Type=\"{}\" URI=\"#{PROPERTIES}\"", algorithm::SIGNED_PROPERTIES);
    reference(&mut out, &attributes, &properties);
    out.push_str("</ds:SignedInfo>");
    out
}

fn reference(out: &mut String, attributes: &str, digest: &Digest) {
    out.push_str(&format!(
        "<ds:Reference {attributes}><ds:Transforms><ds:Transform Algorithm=\"{}\"></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"{}\"></ds:DigestMethod><ds:DigestValue>{}</ds:DigestValue></ds:Reference>",
        algorithm::EXC_C14N,
        algorithm::SHA256,
        digest.to_base64(),
    ));
}

fn signed_properties(objects: &[(&str, Digest)], signing_time: Timestamp, certificate: &Certificate) -> String {
    let mut out = format!(
        "<xades:SignedProperties {XADES} Id=\"{PROPERTIES}\"><xades:SignedSignatureProperties><xades:SigningTime>{}\
         </xades:SigningTime><xades:SigningCertificateV2><xades:Cert><xades:CertDigest><ds:DigestMethod {DS} \
         Algorithm=\"{}\"></ds:DigestMethod><ds:DigestValue {DS}>{}</ds:DigestValue></xades:CertDigest></xades:Cert>\
         </xades:SigningCertificateV2></xades:SignedSignatureProperties><xades:SignedDataObjectProperties>",
        instant(signing_time),
        algorithm::SHA256,
        certificate.sha256().to_base64(),
    );
    for (id, _) in objects {
        out.push_str(&format!(
            "<xades:DataObjectFormat ObjectReference=\"#ref-{id}\"><xades:MimeType>application/xml</xades:MimeType>\
             </xades:DataObjectFormat>",
        ));
    }
    out.push_str("</xades:SignedDataObjectProperties></xades:SignedProperties>");
    out
}

/// A signature whose form is right and of which nothing is verified yet.
pub(crate) struct Unchecked<'a> {
    /// The SignedInfo element.
    signed_info: &'a [u8],
    /// The signature algorithm it names.
    method: Cow<'a, str>,
    /// The digests it names: of each object, then of the signed properties.
    digests: Vec<Digest>,
    value: Vec<u8>,
    certificate: Vec<u8>,
    properties: &'a [u8],
    signing_time: Timestamp,
    certificate_digest: Digest,
}

/// Reads the signature over the elements with these Ids.
pub(crate) fn read<'a>(cursor: &mut Cursor<'a>, ids: &[&str]) -> Result<Unchecked<'a>, Refused> {
    if cursor.at_close() {
        return Err(Refused::SignatureMissing);
    }
    cursor.fixed(Ns::Ds, "Signature", [("Id", "signature")], Refused::WrongAttribute)?;

    let start = cursor.position();
    let (method, digests) = read_signed_info(cursor, ids)?;
    let signed_info = cursor.slice(&cursor.since(start));

    let value = decode(&cursor.element(Ns::Ds, "SignatureValue")?)?;

    cursor.open(Ns::Ds, "KeyInfo")?;
    cursor.open(Ns::Ds, "X509Data")?;
    let mut certificate = cursor.element(Ns::Ds, "X509Certificate")?;
    if certificate.len() > limits::CERTIFICATE {
        return Err(Refused::InvalidValue);
    }
    if certificate.contains([' ', '\t', '\n', '\r']) {
        certificate
            .to_mut()
            .retain(|character| !character.is_ascii_whitespace());
    }
    let certificate = decode(&certificate)?;
    cursor.close()?;
    cursor.close()?;

    cursor.open(Ns::Ds, "Object")?;
    cursor.fixed(
        Ns::Xades,
        "QualifyingProperties",
        [("Target", "#signature")],
        Refused::WrongSignedProperties,
    )?;
    let start = cursor.position();
    let (signing_time, certificate_digest) = read_signed_properties(cursor, ids)?;
    let properties = cursor.slice(&cursor.since(start));
    cursor.close()?;
    cursor.close()?;
    cursor.close()?;
    if cursor.at(Ns::Ds, "Signature") {
        return Err(Refused::SecondSignature);
    }
    Ok(Unchecked {
        signed_info,
        method,
        digests,
        value,
        certificate,
        properties,
        signing_time,
        certificate_digest,
    })
}

fn read_signed_info<'a>(cursor: &mut Cursor<'a>, ids: &[&str]) -> Result<(Cow<'a, str>, Vec<Digest>), Refused> {
    cursor.open(Ns::Ds, "SignedInfo")?;
    cursor.algorithm(Ns::Ds, "CanonicalizationMethod", algorithm::EXC_C14N)?;
    let [method] = cursor.attributes(Ns::Ds, "SignatureMethod", ["Algorithm"])?;
    cursor.close()?;
    let mut digests = Vec::with_capacity(ids.len() + 1);
    for id in ids {
        let names = ["Id", "URI"];
        digests.push(read_reference(
            cursor,
            names,
            [&format!("ref-{id}"), &format!("#{id}")],
        )?);
    }
    let expected = [algorithm::SIGNED_PROPERTIES, "#signed-properties"];
    digests.push(read_reference(cursor, ["Type", "URI"], expected)?);
    if cursor.at(Ns::Ds, "Reference") {
        return Err(Refused::WrongReferences);
    }
    cursor.close()?;
    Ok((method, digests))
}

fn read_reference(cursor: &mut Cursor<'_>, names: [&str; 2], expected: [&str; 2]) -> Result<Digest, Refused> {
    let missing = |refused| match refused {
        Refused::MissingElement | Refused::WrongAttribute => Refused::WrongReferences,
        other => other,
    };
    let [first, uri] = cursor.attributes(Ns::Ds, "Reference", names).map_err(missing)?;
    if !uri.starts_with('#') {
        return Err(Refused::ExternalReference);
    }
    if [first.as_ref(), uri.as_ref()] != expected {
        return Err(Refused::WrongReferences);
    }
    cursor.open(Ns::Ds, "Transforms")?;
    cursor.algorithm(Ns::Ds, "Transform", algorithm::EXC_C14N)?;
    cursor.close()?;
    let digest = read_digest(cursor)?;
    cursor.close()?;
    Ok(digest)
}

fn read_digest(cursor: &mut Cursor<'_>) -> Result<Digest, Refused> {
    cursor.algorithm(Ns::Ds, "DigestMethod", algorithm::SHA256)?;
    let text = cursor.element(Ns::Ds, "DigestValue")?;
    Digest::from_base64(&text).ok_or(Refused::InvalidValue)
}

fn read_signed_properties(cursor: &mut Cursor<'_>, ids: &[&str]) -> Result<(Timestamp, Digest), Refused> {
    cursor.fixed(
        Ns::Xades,
        "SignedProperties",
        [("Id", PROPERTIES)],
        Refused::WrongSignedProperties,
    )?;
    cursor.open(Ns::Xades, "SignedSignatureProperties")?;
    let text = cursor.element(Ns::Xades, "SigningTime")?;
    let signing_time = parse_instant(&text).ok_or(Refused::InvalidValue)?;
    for name in ["SigningCertificateV2", "Cert", "CertDigest"] {
        cursor.open(Ns::Xades, name)?;
    }
    let certificate_digest = read_digest(cursor)?;
    for _ in 0..4 {
        cursor.close()?;
    }
    cursor.open(Ns::Xades, "SignedDataObjectProperties")?;
    for id in ids {
        let reference = format!("#ref-{id}");
        let expected = [("ObjectReference", reference.as_str())];
        cursor.fixed(Ns::Xades, "DataObjectFormat", expected, Refused::WrongSignedProperties)?;
        if cursor.element(Ns::Xades, "MimeType")? != "application/xml" {
            return Err(Refused::WrongSignedProperties);
        }
        cursor.close()?;
    }
    cursor.close()?;
    cursor.close()?;
    Ok((signing_time, certificate_digest))
}

impl Unchecked<'_> {
    /// The digest of the certificate in KeyInfo: under this name the directory may have it pinned.
    pub(crate) fn certificate_sha256(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// When it claims to have been made.
    pub(crate) fn signing_time(&self) -> Timestamp {
        self.signing_time
    }

    /// Verifies all of it against the received octets of each object and the pinned certificate. Gives the digest of
    /// SignedInfo.
    pub(crate) fn check(&self, objects: &[&[u8]], pinned: &Certificate) -> Result<Digest, Refused> {
        if self.certificate != pinned.der() {
            return Err(Refused::CertificateNotPinned);
        }
        if self.method != Method::of(pinned.key()).identifier() {
            return Err(Refused::AlgorithmNotAllowed);
        }
        if self.certificate_digest != pinned.sha256() {
            return Err(Refused::WrongSignedProperties);
        }
        if !pinned.valid_at(self.signing_time) {
            return Err(Refused::CertificateExpired);
        }
        let covered = objects.iter().copied().chain([self.properties]);
        if !covered.map(Digest::of).eq(self.digests.iter().copied()) {
            return Err(Refused::DigestMismatch);
        }
        Method::verify(pinned.key(), self.signed_info, &self.value)?;
        Ok(Digest::of(self.signed_info))
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, Refused> {
    base64_simd::STANDARD
        .decode_to_vec(base64)
        .map_err(|_| Refused::InvalidValue)
}
