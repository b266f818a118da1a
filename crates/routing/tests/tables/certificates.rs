//! Certificates that do not fit their entry, their holder or the day are named.

use aws_lc_rs::kem::{DecapsulationKey, ML_KEM_768};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use viereck_routing::{Certificate, CertificateError, Lang, MlKemKey, Profile, PublicKey};

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
    // Whoever gives them out can load it, but nothing else may be wrong.
    let awaiting = |fixture: &Fixture| {
        let folder = tempfile::tempdir().unwrap();
        fixture.write(folder.path());
        viereck_routing::Tables::load_awaiting(folder.path(), today())
    };
    assert!(awaiting(&bare).is_ok());
    let findings = awaiting(&Fixture::new().with(INDEX, "more = 1")).unwrap_err();
    assert!(
        findings.iter().any(|finding| finding.code == "key-unknown"),
        "{findings}"
    );

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

fn ml_kem_key() -> MlKemKey {
    let key = DecapsulationKey::generate(&ML_KEM_768).unwrap();
    let octets = key.encapsulation_key().unwrap().key_bytes().unwrap();
    MlKemKey::from_octets(octets.as_ref()).unwrap()
}

const AUTHORITY: &str = "wgb:010540880000";
const KEM_FILE: &str = "wgb-010540880000/encryption-1.ml-kem.pem";

/// Tables in which `more` stands with the certificate for encryption of one authority, and `pem` in the file.
fn with_ml_kem(more: &str, pem: &str) -> Fixture {
    let fixture = Fixture::certified().with(&format!("certificates/{KEM_FILE}"), pem);
    let index = String::from_utf8(fixture.0[INDEX].clone()).unwrap();
    let head = format!("id = \"{AUTHORITY}\"\npurpose = \"encryption\"\n");
    assert!(index.contains(&head));
    fixture.with(INDEX, index.replace(&head, &format!("{head}{more}\n")))
}

fn entry_of(key: &MlKemKey) -> String {
    format!("ml_kem = \"{KEM_FILE}\"\nml_kem_sha256 = \"{}\"", key.sha256())
}

fn codes_of(fixture: &Fixture) -> Vec<&'static str> {
    fixture.findings().iter().map(|finding| finding.code).collect()
}

#[test]
fn an_ml_kem_key_stands_beside_its_certificate() {
    let key = ml_kem_key();
    let fixture = with_ml_kem(&entry_of(&key), &key.to_pem());
    assert!(codes_of(&fixture).is_empty(), "{:?}", fixture.findings());
    let tables = fixture.load().unwrap().tables;
    let (authority, other) = (AUTHORITY.parse().unwrap(), "wgb:010540000000".parse().unwrap());
    let now = "2026-11-23T10:00:00Z".parse().unwrap();
    let certificate = tables.encryption_certificate(&authority, now).unwrap();
    assert_eq!(tables.ml_kem_key(&authority, &certificate.sha256()), Some(&key));
    assert_eq!(tables.ml_kem_key(&other, &certificate.sha256()), None);

    let pair = tables.sealable_key(&authority, &authority, now).unwrap();
    assert_eq!((pair.profile(), pair.lowest()), (Profile::P2, Profile::P1));
    assert_eq!((pair.certificate(), pair.ml_kem()), (certificate, Some(&key)));
    let alone = tables.sealable_key(&other, &other, now).unwrap();
    assert_eq!((alone.profile(), alone.ml_kem()), (Profile::P1, None));
}

#[test]
fn an_ml_kem_key_that_does_not_fit_its_entry_is_named() {
    let (key, other) = (ml_kem_key(), ml_kem_key());
    let entry = entry_of(&key);
    let pem = key.to_pem();
    for (more, pem, expected) in [
        (entry.as_str(), other.to_pem().as_str(), "ml-kem-wrong"),
        (&entry, "nonsense", "ml-kem-wrong"),
        (
            &entry,
            &pem_of(b"nonsense").replace("CERTIFICATE", "PUBLIC KEY"),
            "ml-kem-wrong",
        ),
        (
            &entry.replace("encryption-1.ml-kem", "absent"),
            &pem,
            "certificate-file-missing",
        ),
        (&format!("ml_kem = \"{KEM_FILE}\""), &pem, "key-missing"),
        (&format!("ml_kem_sha256 = \"{}\"", key.sha256()), &pem, "key-unknown"),
        (&entry.replace("sha256 = \"", "sha256 = \"x"), &pem, "digest-malformed"),
    ] {
        let found = codes_of(&with_ml_kem(more, pem));
        assert!(found.contains(&expected), "{more}: {found:?}");
    }
    // The same key for a second holder.
    let fixture = with_ml_kem(&entry, &pem);
    let index = String::from_utf8(fixture.0[INDEX].clone()).unwrap();
    let head = "id = \"wgb:010540000000\"\npurpose = \"encryption\"\n";
    let twice = fixture.with(INDEX, index.replace(head, &format!("{head}{entry}\n")));
    assert_eq!(codes_of(&twice), ["certificate-twice"]);
    // Beside a key that signs.
    let fixture = with_ml_kem("", &pem);
    let index = String::from_utf8(fixture.0[INDEX].clone()).unwrap();
    let head = "id = \"gw-1\"\npurpose = \"signing\"\n";
    let signing = fixture.with(INDEX, index.replace(head, &format!("{head}{entry}\n")));
    assert_eq!(codes_of(&signing), ["ml-kem-without-pair"]);
}

#[test]
fn whoever_takes_profile_2_only_needs_an_ml_kem_key() {
    let key = ml_kem_key();
    let entered = |more: &str, fixture: Fixture| {
        let text = String::from_utf8(fixture.0[BEHOERDEN].clone()).unwrap();
        let head = format!("[\"{AUTHORITY}\"]\n");
        assert!(text.contains(&head));
        fixture.with(BEHOERDEN, text.replace(&head, &format!("{head}{more}\n")))
    };
    let whole = || with_ml_kem(&entry_of(&key), &key.to_pem());
    for (more, expected) in [
        ("lowest_profile = 1", None),
        ("lowest_profile = 2", Some("ml-kem-missing")),
        (
            "lowest_profile = 2\nlowest_profile_from = 2026-11-23",
            Some("ml-kem-missing"),
        ),
        (
            "lowest_profile = 2\nlowest_profile_from = 2026-11-24",
            Some("ml-kem-missing-soon"),
        ),
        ("lowest_profile_from = 2026-11-24", Some("lowest-profile-from-alone")),
        ("lowest_profile = 3", Some("number-out-of-range")),
    ] {
        let found = codes_of(&entered(more, Fixture::certified()));
        assert_eq!(found, Vec::from_iter(expected), "{more}");
    }
    let warned = entered(
        "lowest_profile = 2\nlowest_profile_from = 2027-03-01",
        Fixture::certified(),
    );
    let sentence = warned.findings().first().unwrap().sentence(Lang::En);
    assert!(sentence.contains("from 2027-03-01 on"), "{sentence}");

    let tables = |more: &str| {
        let fixture = entered(more, whole());
        assert!(codes_of(&fixture).is_empty(), "{more}");
        fixture.load().unwrap().tables
    };
    let lowest = |more: &str, created: &str| {
        let tables = tables(more);
        let participant = tables.participant(&AUTHORITY.parse().unwrap()).unwrap();
        participant.lowest_profile.of_created_at(created.parse().unwrap())
    };
    let always = "lowest_profile = 2";
    assert_eq!(lowest(always, "2020-01-01T00:00:00Z"), Profile::P2);
    // The day begins where the offices are.
    let since = "lowest_profile = 2\nlowest_profile_from = 2027-01-01";
    assert_eq!(lowest(since, "2026-12-31T22:59:59.999Z"), Profile::P1);
    assert_eq!(lowest(since, "2026-12-31T23:00:00Z"), Profile::P2);
    let instant = "lowest_profile = 2\nlowest_profile_from = 2027-01-01T12:00:00Z";
    assert_eq!(lowest(instant, "2027-01-01T11:59:59.999Z"), Profile::P1);
    assert_eq!(lowest(instant, "2027-01-01T12:00:00Z"), Profile::P2);

    // What is sealed for the reader keeps to it, also when a deputy without such a key would take it in.
    let tables = tables(always);
    let (authority, deputy) = (AUTHORITY.parse().unwrap(), "wgb:010540000000".parse().unwrap());
    let now = "2026-11-23T10:00:00Z".parse().unwrap();
    let key = tables.sealable_key(&authority, &deputy, now).unwrap();
    assert_eq!((key.profile(), key.lowest()), (Profile::P1, Profile::P2));
}
