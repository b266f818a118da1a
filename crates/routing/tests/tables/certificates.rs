//! Certificates that do not fit their entry, their holder or the day are named.

use rcgen::{CertificateParams, KeyPair};

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
