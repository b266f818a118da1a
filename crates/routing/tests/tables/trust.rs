//! Certificates of an authority: chains to the anchors of the table, subjects, key usages, and what was revoked.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use viereck_routing::{BehoerdeId, Digest, ListError, NotSealable, Standing, Tables};

use crate::fixture::*;

const READER: &str = "wgb:010540880000";
const URL: &str = "http://crl.invalid/ca.crl";

/// What an authority's certificate says.
fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    params
}

/// A root and an authority below it that issues to everyone.
struct Authority {
    root: String,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self::signed_with(&rcgen::PKCS_ECDSA_P384_SHA384)
    }

    fn signed_with(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate_for(algorithm).unwrap());
        let (root_params, params) = (ca("Wurzel"), ca("Zwischenstelle"));
        let root = root_params.self_signed(&root_key).unwrap().pem();
        let root_issuer = Issuer::new(root_params, root_key);
        let pem = params.signed_by(&key, &root_issuer).unwrap().pem();
        Self {
            root,
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// The fixture's certificates replaced by ones that this authority issued; numbered from 1 in the order of paths.
    fn certified(&self, section: &str) -> Fixture {
        let mut fixture = Fixture::certified();
        let index = String::from_utf8(fixture.0.remove(INDEX).unwrap()).unwrap();
        let mut parts = index.split("[[certificate]]");
        let mut written = format!("{}{section}", parts.next().unwrap());
        for (number, entry) in (1_u64..).zip(parts) {
            written.push_str("[[certificate]]");
            let field = |name: &str| {
                let (_, rest) = entry.split_once(&format!("{name} = \"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            let (id, purpose, file) = (field("id"), field("purpose"), field("file"));
            let certificate = self.issue(number, |params| named(params, &id, &purpose));
            written.push_str(&entry.replace(&field("sha256"), &Digest::of(certificate.der()).to_string()));
            fixture.put(&format!("certificates/{file}"), certificate.pem());
        }
        fixture
            .with(INDEX, written)
            .with("certificates/anchors/root.pem", &self.root)
            .with("certificates/issuers/ca.pem", &self.pem)
    }

    fn issue(&self, serial: u64, change: impl FnOnce(&mut CertificateParams)) -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2028, 1, 1));
        params.serial_number = Some(SerialNumber::from(serial));
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![URL.to_owned()],
        }];
        change(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap()
    }

    /// The tables with a second certificate of the reader, number 500, that counts `from` then; and its digest.
    fn with_another(&self, mut fixture: Fixture, from: &str) -> (Tables, Digest) {
        let other = self.issue(500, |params| named(params, READER, "encryption"));
        fixture.put("certificates/other.pem", other.pem());
        let sha256 = Digest::of(other.der());
        let entry = format!(
            "[[certificate]]\nid = \"{READER}\"\npurpose = \"encryption\"\nfile = \"other.pem\"\n{from}\n\
             until = 2027-12-31\nsha256 = \"{sha256}\"\n"
        );
        (fixture.and(INDEX, &entry).tables(), sha256)
    }

    /// A list of 1 January of a year that is due again on the 2nd.
    fn list(&self, year: i32, month: u8, revoked: &[u64]) -> Vec<u8> {
        self.list_of(None, year, month, revoked)
    }

    /// The same for certificates of this scope only.
    fn list_of(&self, scope: Option<CrlScope>, year: i32, month: u8, revoked: &[u64]) -> Vec<u8> {
        let point = scope.map(|scope| CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint {
                uris: vec![URL.to_owned()],
            },
            scope: Some(scope),
        });
        self.list_at(point, year, month, revoked)
    }

    /// The same as a part that says where it is published.
    fn list_at(&self, point: Option<CrlIssuingDistributionPoint>, year: i32, month: u8, revoked: &[u64]) -> Vec<u8> {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 6, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(year, month, 1),
            next_update: date_time_ymd(year, month, 8),
            crl_number: SerialNumber::from(7_u64),
            issuing_distribution_point: point,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn section(list: &str) -> String {
    format!("[trust]\nanchors = [\"anchors/root.pem\"]\nissuers = [\"issuers/ca.pem\"]\n{list}\n")
}

fn with_url() -> String {
    section(&format!("[[trust.list]]\nissuer = \"issuers/ca.pem\"\nurl = \"{URL}\""))
}

fn codes(fixture: &Fixture) -> BTreeSet<&'static str> {
    fixture.findings().iter().map(|finding| finding.code).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn reader() -> BehoerdeId {
    READER.parse().unwrap()
}

/// The number under which the reader's certificate was issued: certificates are entered signing first.
fn serial_of_reader(tables: &Tables) -> u64 {
    let certificate = tables
        .encryption_certificate(&reader(), at("2026-11-23T00:00:00Z"))
        .unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    parsed
        .raw_serial()
        .iter()
        .fold(0, |sum, octet| (sum << 8) | u64::from(*octet))
}

#[test]
fn a_table_with_anchors_takes_only_what_leads_to_one() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let good = Authority::signed_with(algorithm).certified(&with_url());
        assert_eq!(codes(&good), BTreeSet::new());
        assert!(good.tables().has_anchors());
    }
    let authority = Authority::new();
    let good = authority.certified(&with_url());

    let without_between = authority.certified("[trust]\nanchors = [\"anchors/root.pem\"]\n");
    assert!(codes(&without_between).contains("certificate-not-trusted"));

    let mut stranger = good.clone();
    stranger.put("certificates/anchors/root.pem", Authority::new().root);
    let findings = stranger.findings();
    let found = findings
        .iter()
        .find(|finding| finding.code == "certificate-not-trusted")
        .unwrap();
    assert_eq!(&*found.file, INDEX);
    assert!(found.line > 1, "it is told where the entry stands");

    let self_signed = Fixture::certified();
    let pins = String::from_utf8(self_signed.0[INDEX].clone()).unwrap();
    let mut mixed = self_signed.clone().with(INDEX, format!("{pins}{}", with_url()));
    mixed.put("certificates/anchors/root.pem", &authority.root);
    mixed.put("certificates/issuers/ca.pem", &authority.pem);
    assert!(codes(&mixed).contains("certificate-not-trusted"));
}

#[test]
fn what_is_wrong_in_the_section_is_named_where_it_stands() {
    let authority = Authority::new();
    assert_eq!(
        codes(&authority.certified(&section(""))),
        ["issuer-without-list"].into()
    );
    let holder = authority.issue(99, |params| named(params, "gw-1", "signing")).pem();
    let no_authority = authority
        .certified(&with_url())
        .with("certificates/issuers/ca.pem", holder);
    assert!(codes(&no_authority).contains("authority-wrong"));
    let both = "[[trust.list]]\nissuer = \"issuers/ca.pem\"\nurl = \"http://a\"\nfile = \"crl.der\"";
    assert!(codes(&authority.certified(&section(both))).contains("revocation-source-ambiguous"));
    let ftp = "[[trust.list]]\nissuer = \"issuers/ca.pem\"\nurl = \"ldap://a\"";
    assert!(codes(&authority.certified(&section(ftp))).contains("revocation-url-malformed"));
    let committed = section("[[trust.list]]\nissuer = \"issuers/ca.pem\"\nfile = \"crls/ca.crl\"");
    let foreign = Authority::new().list(2026, 11, &[]);
    let foreign = authority
        .certified(&committed)
        .with("certificates/crls/ca.crl", foreign);
    assert!(codes(&foreign).contains("revocation-list-wrong"));
    let list = authority.list(2026, 11, &[]);
    let own = |section: &str| {
        authority
            .certified(section)
            .with("certificates/crls/ca.crl", list.as_slice())
    };
    assert_eq!(codes(&own(&committed)), ["revocation-list-stale"].into());
    let patient = committed.replace("[[trust.list]]", "grace_hours = 744\n[[trust.list]]");
    assert_eq!(codes(&own(&patient)), BTreeSet::new());
    // an empty list of anchors would be no check at all
    let none = authority.certified("[trust]\nanchors = []\n");
    assert!(codes(&none).contains("trust-without-anchors"));
}

#[test]
fn the_subject_names_the_holder_or_what_the_entry_says() {
    let fixture = Fixture::certified();
    let file = fixture
        .0
        .keys()
        .find(|path| path.contains("gw-1/signing"))
        .unwrap()
        .clone();
    let put = |change: &dyn Fn(&mut CertificateParams), more: &str| {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2028, 1, 1));
        named(&mut params, "gw-1", "signing");
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let index = String::from_utf8(fixture.0[INDEX].clone()).unwrap();
        let entry = index
            .split("[[certificate]]")
            .find(|entry| entry.contains("\"gw-1\""))
            .unwrap();
        let (before, _) = entry.split_once("sha256").unwrap();
        let changed = format!("{before}sha256 = \"{}\"\n{more}", Digest::of(certificate.der()));
        codes(
            &fixture
                .clone()
                .with(&file, certificate.pem())
                .with(INDEX, index.replace(entry, &changed)),
        )
    };
    let stadt = |params: &mut CertificateParams| {
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Stadt Niebuell");
    };
    assert_eq!(put(&|_| {}, ""), BTreeSet::new());
    assert_eq!(put(&stadt, ""), ["certificate-subject-differs"].into());
    assert_eq!(put(&stadt, "subject = \"O=Stadt Niebuell\"\n"), BTreeSet::new());
    assert_eq!(
        put(&stadt, "subject = \"O=Stadt\"\n"),
        ["certificate-subject-differs"].into()
    );
    let other = |params: &mut CertificateParams| named(params, "gw-2", "signing");
    assert_eq!(put(&other, ""), ["certificate-subject-differs"].into());
    let encryption = |params: &mut CertificateParams| named(params, "gw-1", "encryption");
    assert_eq!(put(&encryption, ""), ["certificate-key-usage"].into());
    let none = |params: &mut CertificateParams| params.key_usages.clear();
    assert_eq!(put(&none, ""), ["certificate-key-usage"].into());
}

#[test]
fn revoked_and_unknown_keys_are_not_sealed_for() {
    let authority = Authority::new();
    let tables = authority.certified(&with_url()).tables();
    let serial = serial_of_reader(&tables);
    let source = tables.list_sources().first().unwrap().clone();
    assert_eq!((source.url.as_deref(), &*source.name), (Some(URL), "CN=Zwischenstelle"));
    let now = at("2026-11-02T00:00:00Z");
    let hours = SignedDuration::from_hours;
    let sealable = |now| {
        let key = tables.sealable_key(&reader(), &reader(), now);
        key.map(|key| key.certificate().sha256())
    };
    let sha256 = tables.encryption_certificate(&reader(), now).unwrap().sha256();

    // never had: nobody asked, or asked for longer than the grace
    assert_eq!(sealable(now), Err(NotSealable::RevocationUnknown));
    tables.await_list(&source.issuer, now);
    assert_eq!(sealable(now + hours(24)), Ok(sha256));
    assert_eq!(sealable(now + hours(25)), Err(NotSealable::RevocationUnknown));

    // had, and then unreachable
    let list = authority.list(2026, 11, &[serial + 100]);
    tables.take_list(&source.issuer, &list, now).unwrap();
    assert_eq!(sealable(now + hours(24)), Ok(sha256));
    assert_eq!(sealable(now + hours(25)), Err(NotSealable::RevocationUnknown));
    assert_eq!(tables.standing(&sha256, now + hours(25)), Standing::Unknown);

    // fetched again and again, and never replaced by its issuer
    let late = at("2026-11-08T12:00:00Z");
    tables.take_list(&source.issuer, &list, late).unwrap();
    assert_eq!(sealable(at("2026-11-09T00:00:00Z")), Ok(sha256));
    assert_eq!(
        sealable(at("2026-11-09T00:00:01Z")),
        Err(NotSealable::RevocationUnknown)
    );

    // revoked: at once, and also when the list has become old
    let list = authority.list(2026, 12, &[serial]);
    let early = tables.take_list(&source.issuer, &list, now).unwrap_err();
    assert_eq!(early, ListError::FromTheFuture);
    let now = at("2026-12-02T00:00:00Z");
    tables.take_list(&source.issuer, &list, now).unwrap();
    assert_eq!(sealable(now), Err(NotSealable::Revoked));
    assert_eq!(sealable(now + hours(999)), Err(NotSealable::Revoked));
    assert_eq!(tables.standing(&sha256, now), Standing::Revoked);

    // an older list, another's list, and no list at all change nothing
    let older = authority.list(2026, 10, &[]);
    assert_eq!(tables.take_list(&source.issuer, &older, now), Err(ListError::Older));
    let foreign = Authority::new().list(2026, 12, &[]);
    assert_eq!(
        tables.take_list(&source.issuer, &foreign, now),
        Err(ListError::NotSigned)
    );
    assert_eq!(
        tables.take_list(&source.issuer, b"<html>", now),
        Err(ListError::Malformed)
    );
    let nobody = Digest::of(b"nobody");
    assert_eq!(tables.take_list(&nobody, &list, now), Err(ListError::IssuerUnknown));
    let mut flipped = list.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    assert!(tables.take_list(&source.issuer, &flipped, now).is_err());
    assert_eq!(tables.standing(&sha256, now), Standing::Revoked);
}

#[test]
fn a_list_says_nothing_of_certificates_that_it_does_not_speak_of() {
    let authority = Authority::new();
    let standing = |scope, revoked: bool| {
        let tables = authority.certified(&with_url()).tables();
        let serial = serial_of_reader(&tables);
        let now = at("2026-11-02T00:00:00Z");
        let sha256 = tables.encryption_certificate(&reader(), now).unwrap().sha256();
        let issuer = tables.list_sources()[0].issuer;
        let revoked = if revoked { vec![serial] } else { vec![] };
        let list = authority.list_of(scope, 2026, 11, &revoked);
        tables.take_list(&issuer, &list, now).unwrap();
        tables.standing(&sha256, now)
    };
    assert_eq!(standing(None, false), Standing::Good);
    assert_eq!(standing(Some(CrlScope::UserCertsOnly), false), Standing::Good);
    assert_eq!(standing(Some(CrlScope::UserCertsOnly), true), Standing::Revoked);
    for revoked in [false, true] {
        assert_eq!(standing(Some(CrlScope::CaCertsOnly), revoked), Standing::Unknown);
    }
}

#[test]
fn a_part_of_a_list_says_nothing_of_certificates_of_another_part() {
    let authority = Authority::new();
    let tables = authority.certified(&with_url()).tables();
    let serial = serial_of_reader(&tables);
    let now = at("2026-11-02T00:00:00Z");
    let sha256 = tables.encryption_certificate(&reader(), now).unwrap().sha256();
    let issuer = tables.list_sources()[0].issuer;
    let part = |uris: &[&str], month, revoked: &[u64]| {
        let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        let point = CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint { uris },
            scope: None,
        };
        authority.list_at(Some(point), 2026, month, revoked)
    };
    let list = part(&["http://crl.invalid/2.crl"], 10, &[serial]);
    tables.take_list(&issuer, &list, now).unwrap();
    assert_eq!(tables.standing(&sha256, now), Standing::Unknown);
    for (revoked, standing) in [(vec![], Standing::Good), (vec![serial], Standing::Revoked)] {
        let list = part(&["http://elsewhere.invalid/ca.crl", URL], 11, &revoked);
        tables.take_list(&issuer, &list, now).unwrap();
        assert_eq!(tables.standing(&sha256, now), standing);
    }
}

#[test]
fn a_list_bears_the_name_of_its_issuer() {
    let authority = Authority::new();
    let key = KeyPair::from_pem(&authority.issuer.key().serialize_pem()).unwrap();
    let renamed = Authority {
        root: authority.root.clone(),
        pem: authority.pem.clone(),
        issuer: Issuer::new(ca("Andere"), key),
    };
    let tables = authority.certified(&with_url()).tables();
    let (now, issuer) = (at("2026-11-02T00:00:00Z"), tables.list_sources()[0].issuer);
    let taken = |by: &Authority| tables.take_list(&issuer, &by.list(2026, 11, &[]), now);
    assert_eq!(taken(&renamed), Err(ListError::NotSigned));
    assert!(taken(&authority).is_ok());
}

#[test]
fn a_clock_that_was_set_back_forgets_nothing_that_was_revoked() {
    let authority = Authority::new();
    let tables = authority.certified(&with_url()).tables();
    let (serial, issuer) = (serial_of_reader(&tables), tables.list_sources()[0].issuer);
    let (fetched, now) = (at("2026-11-02T00:00:00Z"), at("2026-10-20T00:00:00Z"));
    let sha256 = tables.encryption_certificate(&reader(), now).unwrap().sha256();
    let list = authority.list(2026, 11, &[serial]);
    assert_eq!(tables.take_list(&issuer, &list, now), Err(ListError::FromTheFuture));
    let state = tables.take_kept_list(&issuer, &list, fetched, now).unwrap();
    assert_eq!(tables.standing(&sha256, now), Standing::Revoked);
    assert_eq!(
        state.reliable_until,
        now + SignedDuration::from_hours(24),
        "and no younger"
    );
}

#[test]
fn one_list_counts_for_one_issuer_that_is_trusted() {
    let authority = Authority::new();
    let list = |issuer: &str| format!("[[trust.list]]\nissuer = \"{issuer}\"\nurl = \"{URL}\"\n");
    let twice = section(&(list("issuers/ca.pem") + &list("issuers/ca.pem")));
    assert_eq!(codes(&authority.certified(&twice)), ["revocation-list-twice"].into());
    let foreign = section(&(list("issuers/ca.pem") + &list("issuers/foreign.pem")));
    let foreign = authority
        .certified(&foreign)
        .with("certificates/issuers/foreign.pem", Authority::new().pem);
    assert_eq!(codes(&foreign), ["revocation-issuer-unknown"].into());
}

#[test]
fn of_two_entries_that_begin_together_everybody_takes_the_same() {
    let authority = Authority::new();
    let fixture = authority.certified(&with_url());
    let index = String::from_utf8(fixture.0[INDEX].clone()).unwrap();
    let entry = index
        .split("[[certificate]]")
        .find(|entry| entry.contains(&format!("id = \"{READER}\"")))
        .unwrap();
    let from = entry.lines().find(|line| line.starts_with("from")).unwrap();
    let (tables, _) = authority.with_another(fixture, from);
    let now = at("2026-11-02T00:00:00Z");
    let issuer = tables.list_sources()[0].issuer;
    tables.take_list(&issuer, &authority.list(2026, 11, &[]), now).unwrap();
    let current = tables.encryption_certificate(&reader(), now).unwrap().sha256();
    let sealable = tables.sealable_key(&reader(), &reader(), now).unwrap();
    assert_eq!(sealable.certificate().sha256(), current);
}

#[test]
fn a_revoked_successor_gives_way_to_the_key_before() {
    let authority = Authority::new();
    let (tables, successor) = authority.with_another(authority.certified(&with_url()), "from = 2026-03-01");
    let issuer = tables.list_sources()[0].issuer;
    let now = at("2026-11-02T00:00:00Z");
    let sealable = || {
        let key = tables.sealable_key(&reader(), &reader(), now);
        key.map(|key| key.certificate().sha256())
    };
    tables.take_list(&issuer, &authority.list(2026, 11, &[]), now).unwrap();
    assert_eq!(sealable(), Ok(successor));
    tables
        .take_list(&issuer, &authority.list(2026, 11, &[500]), now)
        .unwrap();
    let before = sealable().unwrap();
    assert_ne!(before, successor);
    let serial = tables
        .encryption_certificates(&reader())
        .find(|certificate| certificate.sha256() == before)
        .map(|certificate| {
            let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
            u64::from(*parsed.raw_serial().last().unwrap())
        })
        .unwrap();
    let both = authority.list(2026, 11, &[500, serial]);
    tables.take_list(&issuer, &both, now).unwrap();
    assert_eq!(sealable(), Err(NotSealable::Revoked));
}

#[test]
fn the_grace_lasts_between_two_fetches_and_not_for_ever() {
    let authority = Authority::new();
    for (hours, fits) in [(0, false), (23, false), (24, true), (744, true), (745, false)] {
        let found = codes(&authority.certified(&section(&format!("grace_hours = {hours}"))));
        assert_eq!(!found.contains("number-out-of-range"), fits, "{hours}: {found:?}");
    }
}
