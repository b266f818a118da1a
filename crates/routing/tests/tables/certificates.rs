//! Certificates that do not fit their entry, their holder or the day are named.

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use viereck_routing::{Certificate, CertificateError, PublicKey};

use crate::fixture::*;

#[test]
fn certificates_that_do_not_fit_are_named() {
    let codes = |fixture: &Fixture| {
        fixture
            .findings()
            .iter()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    let index = |fixture: &Fixture| String::from_utf8(fixture.0[INDEX].clone()).unwrap();

    // Nobody's certificate is there: everyone who needs one is named.
    let bare = Fixture::new().with(INDEX, "");
    let mut expected = vec!["certificate-missing"; 6];
    expected.push("token-missing");
    let mut found = codes(&bare);
    found.sort_unstable();
    assert_eq!(found, expected);

    let certified = Fixture::certified();
    let pem = certified
        .0
        .keys()
        .find(|path| path.contains("gw-1/signing"))
        .unwrap()
        .clone();
    let missing = certified.clone().without(&pem);
    assert_eq!(codes(&missing), ["certificate-file-missing"]);
    assert_eq!(codes(&certified.clone().with(&pem, "nonsense")), ["certificate-wrong"]);

    let other = certified.0.keys().find(|path| path.contains("gw-2/signing")).unwrap();
    let swapped = certified.clone().with(&pem, &certified.0[other]);
    assert_eq!(
        codes(&swapped),
        ["certificate-wrong"],
        "another key under the entry's digest"
    );

    let weak = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let weak = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&weak)
        .unwrap()
        .pem();
    assert_eq!(codes(&certified.clone().with(&pem, weak)), ["certificate-too-weak"]);

    // The same key for a second holder.
    let file = pem.strip_prefix("certificates/").unwrap();
    let entries = index(&certified);
    let entry = entries
        .split("[[certificate]]")
        .find(|entry| entry.contains(file))
        .unwrap();
    let copied = certified.clone().and(
        INDEX,
        &format!("[[certificate]]{}", entry.replace("\"gw-1\"", "\"gw-2\"")),
    );
    assert_eq!(codes(&copied), ["certificate-twice"]);
    let stranger = certified.clone().and(
        INDEX,
        &format!("[[certificate]]{}", entry.replace("\"gw-1\"", "\"gw-7\"")),
    );
    assert_eq!(codes(&stranger), ["certificate-holder-unknown"]);

    let ended = entry.replace("2027-12-31", "2026-11-22");
    assert_eq!(
        codes(&certified.clone().with(INDEX, entries.replace(entry, &ended))),
        ["certificate-none-valid"]
    );
    let ending = entry.replace("2027-12-31", "2026-12-01");
    let mut ending = certified.clone().with(INDEX, entries.replace(entry, &ending));
    assert_eq!(codes(&ending), ["certificate-ends-soon"]);
    ending.certify("gw-1", "signing", "2027-12-31");
    assert!(codes(&ending).is_empty(), "a successor is there");
    let never = entry
        .replace("from = 2026-02-01", "from = 2029-02-01")
        .replace("2027-12-31", "2030-01-01");
    assert_eq!(
        codes(&certified.clone().with(INDEX, entries.replace(entry, &never))),
        ["certificate-wrong"]
    );
}

/// A certificate of an RSA key of `size` bits, in DER.
fn rsa_certificate(size: RsaKeySize) -> Vec<u8> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key);
    certificate.unwrap().der().to_vec()
}

/// Puts `to` in the place of the only `from`.
fn patched(der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut places = der
        .windows(from.len())
        .enumerate()
        .filter(|(_, octets)| *octets == from);
    let (at, _) = places.next().unwrap();
    assert!(places.next().is_none());
    [&der[..at], to, &der[at + from.len()..]].concat()
}

#[test]
fn an_rsa_key_counts_from_3072_bits_on_and_with_one_exponent_only() {
    let good = rsa_certificate(RsaKeySize::_3072);
    let certificate = Certificate::from_der(good.clone()).unwrap();
    let PublicKey::Rsa { spki, bits: 3072 } = certificate.key() else {
        panic!("{:?}", certificate.key())
    };
    assert!(good.windows(spki.len()).any(|octets| octets == spki));
    assert_eq!(certificate.key().algorithm(), "rsa-3072");

    let refused = |der: Vec<u8>| Certificate::from_der(der).unwrap_err();
    assert_eq!(
        refused(rsa_certificate(RsaKeySize::_2048)),
        CertificateError::KeyNotAllowed
    );
    // 65537 as DER has it, behind the modulus; nobody checks the self-signature.
    let exponent = [2, 3, 1, 0, 1];
    for other in [[2, 3, 0, 0, 3], [2, 3, 1, 0, 3]] {
        assert_eq!(
            refused(patched(&good, &exponent, &other)),
            CertificateError::KeyNotAllowed
        );
    }
    // A modulus of the right length whose first bits are zero is a shorter modulus, or none that DER allows.
    let PublicKey::Rsa { spki, .. } = certificate.key() else {
        unreachable!()
    };
    let start = [2, 0x82, 1, 0x81, 0];
    let at = spki.windows(5).position(|octets| octets == start).unwrap() + start.len();
    let from = [&start[..], &[spki[at]]].concat();
    for first in [0, 0x7f] {
        let der = patched(&good, &from, &[&start[..], &[first]].concat());
        assert_eq!(refused(der), CertificateError::KeyNotAllowed, "{first}");
    }

    let mut fixture = Fixture::certified();
    let pem = fixture
        .0
        .keys()
        .find(|path| path.contains("gw-1/signing"))
        .unwrap()
        .clone();
    let weak = pem_of(&rsa_certificate(RsaKeySize::_2048));
    fixture.put(&pem, weak);
    let findings = fixture.findings();
    assert_eq!(
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        ["certificate-too-weak"]
    );
}

fn pem_of(der: &[u8]) -> String {
    let base64 = base64_simd::STANDARD.encode_to_string(der);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}
