//! Which entry decides, what deputies and exact deliveries change, and which certificate or token counts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::date;
use proptest::prelude::*;
use viereck_routing::{Digest, ListKind, NoRoute, Outcome, Place, Proof, StepResult, Tables};

use crate::fixture::*;

fn ask(tables: &Tables, place: &str, on: jiff::civil::Date) -> Outcome {
    tables
        .resolve(&WOHNGELD.parse().unwrap(), &place.parse().unwrap(), on)
        .outcome
}

fn behoerde(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Route(route) => route.behoerde.as_str(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn exceptions_come_before_the_list_and_the_land_before_the_country() {
    let fixture = Fixture::new()
        .and(
            LEISTUNGEN,
            r#"[[wohngeld.except]]
            region = "01054"
            behoerde = "wgb:010540880000"
            until = 2026-12-31"#,
        )
        .with(
            "bund/zustaendigkeiten/b.toml",
            "[[competence]]\nregion = \"00\"\nbehoerde = \"wgb:990000000000\"\n",
        )
        .with(
            "bund/leistungen.toml",
            r#"[w]
            leika = "99107023037000"
            name = "W"
            uses = "b"
            schemas = [{ urn = "urn:a:1", type = "a" }]"#,
        )
        .with("bund/behoerden/b.toml", authority("wgb:990000000000", "gw-1"));
    let tables = fixture.tables();
    // The exception of the Kreis is older than the list's own entry for Leck's Amt or for Niebüll.
    assert_eq!(behoerde(&ask(&tables, "010545489076", today())), "wgb:010540880000");
    assert_eq!(
        behoerde(&ask(&tables, "010545489076", date(2027, 1, 1))),
        "wgb:010540000000"
    );
    // Neither the exceptions nor the list reach Segeberg; falling back ends at the Kreis; the country answers.
    let answer = tables.resolve(&WOHNGELD.parse().unwrap(), &"010600039039".parse().unwrap(), today());
    assert_eq!(behoerde(&answer.outcome), "wgb:990000000000");
    let tried: Vec<_> = answer
        .steps
        .iter()
        .map(|step| (step.list, step.region.as_str().to_owned()))
        .collect();
    let land = |list| ["010600039039", "010600039", "01060"].map(|region| (list, region.to_owned()));
    let country =
        ["010600039039", "010600039", "01060", "010", "01", "00"].map(|region| (ListKind::Country, region.to_owned()));
    let expected: Vec<_> = land(ListKind::LandExceptions)
        .into_iter()
        .chain(land(ListKind::Land))
        .chain(country)
        .collect();
    assert_eq!(tried, expected);
    assert_eq!(answer.steps.last().unwrap().result, StepResult::Hit);
}

#[test]
fn a_choice_is_left_to_the_client_and_a_gap_has_a_name() {
    let choice = r#"[[competence]]
        region = "01060"
        choices = [
            { behoerde = "wgb:010540000000", label = "A bis K" },
            { behoerde = "wgb:010540880000", label = "L bis Z" },
        ]"#;
    let tables = Fixture::new().and(LIST, choice).tables();
    let answer = tables.resolve(&WOHNGELD.parse().unwrap(), &"010600039039".parse().unwrap(), today());
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["outcome"], "choices");
    assert_eq!(json["choices"][1]["label"], "L bis Z");
    assert_eq!((&json["matchedRegion"], &json["line"]), (&"01060".into(), &8.into()));

    let none = ask(&Fixture::new().tables(), "010600039039", today());
    assert!(matches!(none, Outcome::NoRoute(NoRoute::NoEntry)));
}

#[test]
fn a_delivery_for_this_very_leistung_wins_while_it_holds() {
    let exact = r#"[["wgb:010540880000".delivery]]
        leistungen = ["99107023037000"]
        gateway = "gw-1"
        accepts = ["urn:b:1", "urn:z:1"]
        from = 2027-01-01"#;
    let tables = Fixture::new().and(BEHOERDEN, exact).tables();
    let Outcome::Route(before) = ask(&tables, "010545489088", today()) else {
        panic!()
    };
    assert_eq!((before.gateway.as_str(), before.exact), ("gw-2", false));
    assert_eq!(before.accepts, ["urn:a:1", "urn:b:1"]);
    let Outcome::Route(after) = ask(&tables, "010545489088", date(2027, 1, 1)) else {
        panic!()
    };
    assert_eq!((after.gateway.as_str(), after.exact), ("gw-1", true));
    assert_eq!(after.accepts, ["urn:b:1"]);
    let keys = |on| {
        tables
            .bindings(on)
            .iter()
            .filter(|b| b.behoerde.as_str() == "wgb:010540880000")
            .map(|b| (b.leistung.is_some(), b.gateway.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(today()), [(false, "gw-2".to_owned())]);
    assert_eq!(
        keys(date(2027, 1, 1)),
        [(false, "gw-2".to_owned()), (true, "gw-1".to_owned())]
    );
}

#[test]
fn a_deputy_takes_messages_in_and_the_competent_authority_stays_the_reader() {
    let niebuell = "[[\"wgb:010540880000\".delivery]]";
    let with = |deputy: &str| {
        Fixture::new()
            .replace(BEHOERDEN, niebuell, &format!("deputy = {deputy}\n{niebuell}"))
            .and(
                LIST,
                "[[competence]]\nregion = \"01060\"\nbehoerde = \"wgb:010600000000\"\n",
            )
            .and(BEHOERDEN, &authority("wgb:010600000000", "gw-1"))
            .tables()
    };
    let tables = with("{ behoerde = \"wgb:010600000000\", from = 2026-12-01, until = 2026-12-24 }");
    let on = |tables: &Tables, day| match ask(tables, "010545489088", day) {
        Outcome::Route(route) => (
            route.behoerde.to_string(),
            route.key_holder().to_string(),
            route.gateway.to_string(),
            route.exact,
        ),
        other => panic!("{other:?}"),
    };
    let (own, deputy) = ("wgb:010540880000".to_owned(), "wgb:010600000000".to_owned());
    assert_eq!(
        on(&tables, date(2026, 11, 30)),
        (own.clone(), own.clone(), "gw-2".to_owned(), false)
    );
    assert_eq!(
        on(&tables, date(2026, 12, 24)),
        (own.clone(), deputy.clone(), "gw-1".to_owned(), false)
    );
    assert_eq!(
        on(&tables, date(2026, 12, 25)),
        (own.clone(), own.clone(), "gw-2".to_owned(), false)
    );
    assert!(
        tables
            .gateway(&"gw-1".parse().unwrap())
            .unwrap()
            .serves(&own.parse().unwrap())
    );

    // For one Leistung only: the routing key names it, the others stay where they were.
    let tables = with("{ behoerde = \"wgb:010600000000\", leistungen = [\"99107023037000\"] }");
    assert_eq!(on(&tables, today()), (own.clone(), deputy, "gw-1".to_owned(), true));
    let bound: Vec<_> = tables
        .bindings(today())
        .into_iter()
        .filter(|binding| binding.behoerde.as_str() == own)
        .map(|b| (b.leistung.map(|l| l.to_string()), b.gateway.to_string()))
        .collect();
    assert_eq!(
        bound,
        [
            (None, "gw-2".to_owned()),
            (Some(WOHNGELD.to_owned()), "gw-1".to_owned())
        ]
    );
}

#[test]
fn certificates_and_tokens_count_for_their_holder_and_their_term() {
    let mut fixture = Fixture::certified();
    let newer = fixture.certify("gw-1", "signing", "2027-12-31");
    let later = String::from_utf8(fixture.0[INDEX].clone()).unwrap();
    let (head, tail) = later.rsplit_once("from = 2026-02-01").unwrap();
    fixture.put(INDEX, format!("{head}from = 2026-12-01T00:00:00Z{tail}"));
    let tables = fixture.tables();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let gateway = "gw-1".parse().unwrap();
    let current = |text: &str| {
        tables
            .current_signing_certificate(&gateway, at(text))
            .map(|certificate| certificate.sha256())
    };
    let older = current("2026-11-30T23:59:59Z").unwrap();
    assert_ne!(older, newer);
    assert_eq!(current("2026-12-01T00:00:00Z"), Some(newer));
    assert_eq!(current("2026-01-15T00:00:00Z"), None, "before its term");
    assert_eq!(current("2028-01-01T12:00:00Z"), None, "after the end");
    let signed = |by: &str, text: &str| {
        let custodian = by.parse().unwrap();
        tables.signing_certificate(&custodian, &older, at(text)).is_some()
    };
    assert!(signed("gw-1", "2026-12-30T00:00:00Z"), "beside its successor");
    assert!(!signed("gw-2", "2026-12-30T00:00:00Z"), "another gateway's key");
    assert!(signed("gw-1", "2026-01-31T22:56:00Z"), "by a clock that is behind");
    assert!(!signed("gw-1", "2026-01-31T22:54:00Z"), "before its entry");
    assert!(signed("gw-1", "2027-12-31T23:04:00Z"), "while the key is being changed");
    assert!(
        !signed("gw-1", "2027-12-31T23:06:00Z"),
        "after its entry, whatever the certificate says"
    );
    assert!(
        tables
            .encryption_certificate(&"wgb:010540880000".parse().unwrap(), at("2026-11-23T00:00:00Z"))
            .is_some()
    );
    assert!(
        tables
            .encryption_certificate(&"wgb:010600000000".parse().unwrap(), at("2026-11-23T00:00:00Z"))
            .is_none()
    );

    let client = |token: &str, text: &str| {
        tables
            .client_by_token_at(token, at(text))
            .map(|client| client.id.to_string())
    };
    assert_eq!(client("geheim", "2026-11-23T00:00:00Z").as_deref(), Some("dienst"));
    // The last day belongs to the term, in German time.
    assert!(client("geheim", "2026-12-31T22:59:59Z").is_some());
    assert!(client("geheim", "2026-12-31T23:00:00Z").is_none());
    for wrong in ["", "geheim ", "Geheim", &Digest::of(b"geheim").to_string()] {
        assert!(client(wrong, "2026-11-23T00:00:00Z").is_none(), "{wrong}");
    }
}

#[test]
fn a_client_is_known_by_its_certificate_and_by_its_name_at_the_authorisation_server() {
    let shown = Digest::of(b"certificate");
    let entry = format!(
        "[[client_certificate]]\nclient = \"dienst\"\nfrom = 2026-01-01\nuntil = 2026-12-31\nsha256 = \"{shown}\"\n"
    );
    let tables = Fixture::certified()
        .and(INDEX, &entry)
        .and(CLIENTS, "oauth_client = \"dienst-1\"\n")
        .tables();
    let by = |sha256: &Digest, text: &str| {
        let client = tables.client_by_certificate_at(sha256, text.parse().unwrap());
        client.map(|client| client.id.to_string())
    };
    assert_eq!(by(&shown, "2026-11-23T00:00:00Z").as_deref(), Some("dienst"));
    assert_eq!(by(&shown, "2027-01-01T00:00:00Z"), None);
    assert_eq!(by(&Digest::of(b"another"), "2026-11-23T00:00:00Z"), None);
    // the certificate is no token and the token no certificate
    let at = "2026-11-23T00:00:00Z".parse().unwrap();
    assert!(tables.client_by_token_at("certificate", at).is_none());
    assert_eq!(by(&Digest::of(b"geheim"), "2026-11-23T00:00:00Z"), None);
    let client = tables.client_by_oauth("dienst-1").unwrap();
    assert_eq!((client.id.to_string().as_str(), client.proof), ("dienst", Proof::Any));
    assert!(tables.client_by_oauth("dienst").is_none());
}

/// A list with these regions, in turn for either authority, all with the same days.
fn list(regions: &BTreeSet<&str>, days: &str) -> String {
    let entry = |(index, region): (usize, &&str)| {
        let behoerde = ["wgb:010540000000", "wgb:010540880000"][index % 2];
        format!("[[competence]]\nregion = \"{region}\"\nbehoerde = \"{behoerde}\"\n{days}\n")
    };
    regions.iter().enumerate().map(entry).collect()
}

const REGIONS: [&str; 7] = [
    "01",
    "010",
    "01054",
    "010545489",
    "010540056",
    "010545489088",
    "010600039039",
];
const PLACES: [&str; 6] = [
    "010545489088",
    "010545489076",
    "010540056056",
    "010600039039",
    "01054088",
    "010545489099",
];
/// Days of an entry, and whether they contain today.
const DAYS: [(&str, bool); 4] = [
    ("", true),
    ("until = 2026-11-22", false),
    ("until = 2026-11-23", true),
    ("from = 2027-01-01", false),
];

proptest! {
    /// Whatever is asked: one outcome, and it agrees with a plain search through all entries.
    #[test]
    fn every_question_has_the_answer_of_the_longest_entry_in_force(
        regions in prop::collection::btree_set(prop::sample::select(REGIONS.to_vec()), 0..7),
        (days, in_force) in prop::sample::select(DAYS.to_vec()),
        place in prop::sample::select(PLACES.to_vec()),
    ) {
        let fixture = Fixture::new().with(LIST, list(&regions, days));
        let tables = fixture.replace(LEISTUNGEN, "\"kreis\"", "\"land\"").tables();
        let ars = tables.ars_of(&place.parse::<Place>().unwrap());
        let covers = |region: &&&str| in_force && ars.is_some_and(|ars| ars.as_str().starts_with(**region));
        let expected = regions.iter().filter(covers).max_by_key(|region| region.len());
        match (ask(&tables, place, today()), expected) {
            (Outcome::Route(route), Some(region)) => prop_assert_eq!(route.matched_region.as_str(), *region),
            (Outcome::NoRoute(_), None) => {}
            (outcome, expected) => prop_assert!(false, "{outcome:?} instead of {expected:?}"),
        }
    }
}
