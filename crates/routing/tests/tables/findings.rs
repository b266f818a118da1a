//! Each mistake leads to its finding, at its place, and to nothing else; every finding speaks both languages.

use viereck_routing::Lang;

use crate::fixture::*;

fn new() -> Fixture {
    Fixture::new()
}

/// Adds an entry to the list of competences; it begins in line 7.
fn entry(text: &str) -> Fixture {
    new().and(LIST, &format!("[[competence]]\n{text}\n"))
}

/// Adds an authority; it begins in line 11.
fn behoerde(text: &str) -> Fixture {
    new().and(BEHOERDEN, text)
}

/// Adds a delivery to Niebüll's authority; it begins in line 11.
fn delivery(text: &str) -> Fixture {
    new().and(BEHOERDEN, &format!("[[\"wgb:010540880000\".delivery]]\n{text}\n"))
}

/// Gives Niebüll's authority a deputy, in line 8.
fn deputy(deputy: &str) -> Fixture {
    let before = "[[\"wgb:010540880000\".delivery]]";
    new().replace(BEHOERDEN, before, &format!("deputy = {deputy}\n{before}"))
}

/// The findings of a folder are exactly these: code, file, line.
fn finds(fixture: Fixture, expected: &[(&str, &str, u32)]) {
    let findings = fixture.findings();
    let mut found: Vec<_> = findings.iter().map(|f| (f.code, f.file.as_str(), f.line)).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{findings:#?}");
    for finding in &findings {
        let place = format!("{}:{}:{}", finding.file, finding.line, finding.column);
        for lang in [Lang::De, Lang::En] {
            let text = finding.text(lang);
            assert!(text.contains(finding.code) && text.contains(&place), "{text}");
            assert!(!["{0}", "{1}", "{2}"].iter().any(|gap| text.contains(gap)), "{text}");
        }
    }
}

#[test]
fn tables_without_a_mistake_have_no_finding() {
    finds(new(), &[]);
    finds(Fixture::certified(), &[]);
}

#[test]
fn mistakes_in_files_are_found_where_they_stand() {
    finds(new().without("table.toml"), &[("file-missing", "table.toml", 1)]);
    finds(new().without("gemeinden.csv"), &[("file-missing", "gemeinden.csv", 1)]);
    finds(
        new().with("laender/x/leistungen.toml", ""),
        &[
            ("file-unexpected", "laender/x/leistungen.toml", 1),
            ("land-folder", "laender/x", 1),
        ],
    );
    finds(
        new().with("laender/01-zwei/leistungen.toml", ""),
        &[
            ("file-unexpected", "laender/01-zwei/leistungen.toml", 1),
            ("land-twice", "laender/01-zwei", 1),
        ],
    );
    finds(new().with("notes.txt", "x"), &[("file-unexpected", "notes.txt", 1)]);
    finds(new().with("README.md", "x"), &[]);
    finds(new().with(LIST, b"\xff\xfe"), &[("not-utf8", LIST, 1)]);
}

#[test]
fn mistakes_in_the_text_of_files_are_found_where_they_stand() {
    finds(new().and(LIST, "[[competence]\n"), &[("syntax", LIST, 7)]);
    finds(
        new().and(GATEWAYS, r#"colour = "red""#),
        &[("key-unknown", GATEWAYS, 7)],
    );
    finds(
        new().replace(GATEWAYS, r#"operator = "O""#, ""),
        &[("key-missing", GATEWAYS, 1)],
    );
    finds(
        new().replace("table.toml", "sequence = 7", r#"sequence = "7""#),
        &[("type-wrong", "table.toml", 3)],
    );
    finds(
        new().replace("table.toml", "sequence = 7", "sequence = 0"),
        &[("number-out-of-range", "table.toml", 3)],
    );
    finds(
        new().replace("table.toml", "format = 1", "format = 2"),
        &[("format-unknown", "table.toml", 1)],
    );
    finds(
        new().replace("table.toml", r#""test""#, r#""staging""#),
        &[("word-unknown", "table.toml", 2)],
    );
    finds(
        new().replace("table.toml", "2026-04-30", "2026-04-30T00:00:00Z"),
        &[("date-malformed", "table.toml", 4)],
    );
    finds(
        new().replace("table.toml", r#""bund""#, r#""mond""#),
        &[("owner-folder-unknown", "table.toml", 6)],
    );
    finds(
        new().replace("table.toml", r#""O""#, r#"" ""#),
        &[("text-not-plain", "table.toml", 9)],
    );
    finds(
        new().with(
            "table.toml",
            r#"format = 1
          environment = "test"
          sequence = 1
          gebietsstand = 2026-04-30"#,
        ),
        &[("broker-missing", "table.toml", 1)],
    );
    finds(
        new().replace("table.toml", r#""broker""#, r#""gw-1""#),
        &[("custodian-twice", GATEWAYS, 1)],
    );
}

#[test]
fn mistakes_in_lists_from_elsewhere_are_found_where_they_stand() {
    finds(
        new().and("gemeinden.csv", "1,2,3\n"),
        &[("csv-malformed", "gemeinden.csv", 7)],
    );
    finds(
        new().and("gemeinden.csv", "1\n05314000,053140000000,Bonn\n"),
        &[("csv-malformed", "gemeinden.csv", 7)],
    );
    finds(
        new().with("stadtbezirke.csv", "ars,ags,name\n"),
        &[("csv-malformed", "stadtbezirke.csv", 1)],
    );
    finds(
        new().and("gemeinden.csv", "05315001,053150000000,Köln\n"),
        &[("place-twice", "gemeinden.csv", 7)],
    );
    finds(
        new().with("dvdv-praefixe.csv", "praefix,behoerdenkategorie\nwgb,x\n"),
        &[("prefix-unknown", "participants.toml", 1)],
    );
}

#[test]
fn mistakes_in_competences_are_found_where_they_stand() {
    finds(
        entry(
            r#"region = 53
          behoerde = "wgb:010540000000""#,
        ),
        &[("region-not-quoted", LIST, 8)],
    );
    finds(
        entry(
            r#"region = 01054
          behoerde = "wgb:010540000000""#,
        ),
        &[("region-not-quoted", LIST, 8)],
    );
    finds(
        entry(
            r#"region = "0105"
          behoerde = "wgb:010540000000""#,
        ),
        &[("region-malformed", LIST, 8)],
    );
    finds(
        entry(
            r#"region = "053"
          behoerde = "wgb:010540000000""#,
        ),
        &[("region-foreign", LIST, 8)],
    );
    finds(
        entry(
            r#"region = "00"
          behoerde = "wgb:010540000000""#,
        ),
        &[("region-foreign", LIST, 8)],
    );
    finds(
        entry(
            r#"region = "01099"
          behoerde = "wgb:010540000000""#,
        ),
        &[("region-unknown", LIST, 8)],
    );
    finds(
        entry(
            r#"region = "01054"
          behoerde = "wgb:010540000000"
          from = 2027-01-01"#,
        ),
        &[("region-twice", LIST, 8)],
    );
    finds(entry(r#"region = "01060""#), &[("target-ambiguous", LIST, 8)]);
    finds(
        entry(
            r#"region = "01060"
          behoerde = "wgb:010540000000"
          refused = { reason = "a", text = "b" }"#,
        ),
        &[("target-ambiguous", LIST, 8)],
    );
    finds(
        entry(
            r#"region = "01060"
          refused = { reason = "Nicht da", text = "b" }"#,
        ),
        &[("reason-malformed", LIST, 9)],
    );
    finds(
        entry(
            r#"region = "01060"
          choices = [{ behoerde = "wgb:010540000000", label = "A" }]"#,
        ),
        &[("choices-too-few", LIST, 9)],
    );
    finds(
        entry(
            r#"region = "01060"
          behoerde = "wgb:010600000000""#,
        ),
        &[("behoerde-unknown", LIST, 9)],
    );
    finds(
        entry(
            r#"region = "01060"
          behoerde = "wgb:1""#,
        ),
        &[("behoerde-malformed", LIST, 9)],
    );
    finds(
        entry(
            r#"region = "01060"
          behoerde = "wgp:010000000000""#,
        ),
        &[("not-an-authority", LIST, 9)],
    );
    finds(
        entry(
            r#"region = "01060"
          behoerde = "wgb:010540000000"
          from = 2027-01-02
          until = 2027-01-01"#,
        ),
        &[("window-backwards", LIST, 10)],
    );
    finds(
        entry(
            r#"region = "01060"
          behoerde = "wgb:010540000000"
          until = 2026-11-22"#,
        ),
        &[("entry-expired", LIST, 8)],
    );
    finds(
        entry(
            r#"region = "010545489"
          behoerde = "wgb:010540000000""#,
        ),
        &[("entry-redundant", LIST, 8)],
    );
    finds(
        new().with("laender/01-sh/zustaendigkeiten/leer.toml", ""),
        &[("list-unused", "laender/01-sh/zustaendigkeiten/leer.toml", 1)],
    );
}

#[test]
fn mistakes_in_leistungen_are_found_where_they_stand() {
    finds(
        new().replace(LEISTUNGEN, r#""liste""#, r#""andere""#),
        &[("list-unknown", LEISTUNGEN, 4), ("list-unused", LIST, 1)],
    );
    finds(
        new().replace(LEISTUNGEN, "99107023037000", "98107023037000"),
        &[("leistung-malformed", LEISTUNGEN, 2), ("leistung-unknown", CLIENTS, 4)],
    );
    finds(
        new().and(
            LEISTUNGEN,
            r#"[zwei]
          leika = "99107023037000"
          name = "W"
          uses = "liste"
          schemas = []"#,
        ),
        &[("leistung-twice", LEISTUNGEN, 7)],
    );
    finds(
        new().replace(LEISTUNGEN, "urn:b:1", "urn:a:1"),
        &[("schema-twice", LEISTUNGEN, 6)],
    );
    finds(
        new().replace(LEISTUNGEN, "urn:b:1", "urn:<b>"),
        &[("urn-malformed", LEISTUNGEN, 6)],
    );
    finds(
        new().replace(LEISTUNGEN, r#""kreis""#, r#""bund""#),
        &[("word-unknown", LEISTUNGEN, 5)],
    );
}

#[test]
fn mistakes_in_participants_are_found_where_they_stand() {
    finds(
        behoerde(
            r#"["wgp:010000000000"]
          name = "X""#,
        ),
        &[("participant-twice", BEHOERDEN, 11)],
    );
    finds(
        behoerde(
            r#"["wgb:x"]
          name = "X""#,
        ),
        &[("behoerde-malformed", BEHOERDEN, 11)],
    );
    finds(
        new().and("participants.toml", r#"may_author = ["bescheid"]"#),
        &[("kind-not-allowed", "participants.toml", 5)],
    );
    finds(
        delivery(
            r#"leistungen = ["99107023037000"]
          gateway = "gw-9""#,
        ),
        &[("gateway-unknown", BEHOERDEN, 13)],
    );
    finds(
        delivery(
            r#"leistungen = ["99000000000000"]
          gateway = "gw-2""#,
        ),
        &[("leistung-unknown", BEHOERDEN, 12)],
    );
    finds(
        delivery(
            r#"leistungen = []
          gateway = "gw-2""#,
        ),
        &[("type-wrong", BEHOERDEN, 12)],
    );
    finds(
        delivery(
            r#"leistungen = "default"
          gateway = "gw-2""#,
        ),
        &[("delivery-twice", BEHOERDEN, 11)],
    );
    finds(
        delivery(
            r#"leistungen = ["99107023037000"]
          gateway = "gw-2"
          accepts = ["urn:c:1"]"#,
        ),
        &[("schema-not-accepted", BEHOERDEN, 11)],
    );
    finds(
        behoerde(
            r#"["wgb:010600000000"]
          name = "X""#,
        )
        .and(
            LIST,
            r#"[[competence]]
          region = "01060"
          behoerde = "wgb:010600000000""#,
        ),
        &[("delivery-missing", LIST, 8)],
    );
    finds(
        deputy(r#"{ behoerde = "wgb:010540880000" }"#),
        &[("deputy-loop", BEHOERDEN, 8)],
    );
    finds(
        deputy(r#"[{ behoerde = "wgb:010540000000" }, { behoerde = "wgb:010540000000", from = 2027-01-01 }]"#),
        &[("deputy-twice", BEHOERDEN, 8)],
    );
    finds(
        deputy(r#"{ behoerde = "wgb:010540000000" }"#).and(
            BEHOERDEN,
            r#"["wgb:010600000000"]
          name = "X"
          deputy = { behoerde = "wgb:010540880000" }"#,
        ),
        &[("deputy-chain", BEHOERDEN, 14)],
    );
    finds(
        deputy(r#"{ behoerde = "wgb:010540000000", until = 2026-12-31 }"#).and(
            BEHOERDEN,
            r#"["wgb:010600000000"]
          name = "X"
          deputy = { behoerde = "wgb:010540880000", from = 2027-01-01 }"#,
        ),
        &[],
    );
}

#[test]
fn mistakes_in_gateways_and_clients_are_found_where_they_stand() {
    finds(
        new().replace(
            GATEWAYS,
            "[gw-2]",
            r#"[gw-2]
          serves = ["wgb:010540000000"]"#,
        ),
        &[("gateway-does-not-serve", BEHOERDEN, 8)],
    );
    finds(
        new().replace(GATEWAYS, "[gw-1]", "[gw-1]\nspeaks_for = []"),
        &[("gateway-does-not-speak-for", CLIENTS, 1)],
    );
    finds(
        new().replace(
            GATEWAYS,
            "[gw-1]",
            r#"[gw-1]
          speaks_for = "alle""#,
        ),
        &[("word-unknown", GATEWAYS, 2)],
    );
    finds(
        new().replace(
            GATEWAYS,
            "[gw-1]",
            r#"[gw-1]
          environment = "production""#,
        ),
        &[("environment-mismatch", GATEWAYS, 2)],
    );
    finds(
        new().and(
            GATEWAYS,
            r#"[GW]
          operator = "O"
          contact = "c""#,
        ),
        &[("name-malformed", GATEWAYS, 7)],
    );
    finds(
        new().replace(CLIENTS, r#""wgp:010000000000""#, r#""wgb:010540000000""#),
        &[("gateway-does-not-speak-for", CLIENTS, 1), ("not-a-portal", CLIENTS, 3)],
    );
    finds(
        new().replace(CLIENTS, r#"["wgp:010000000000"]"#, "[]"),
        &[("client-without-author", CLIENTS, 1)],
    );
    finds(
        new().replace(CLIENTS, r#""01""#, r#""17""#),
        &[("land-unknown", CLIENTS, 5)],
    );
    finds(
        new().with("bund/clients.toml", Fixture::new().0[CLIENTS].clone()),
        &[("client-twice", CLIENTS, 1)],
    );
}

#[test]
fn mistakes_in_certificates_and_tokens_are_found_where_they_stand() {
    finds(
        Fixture::certified().with("certificates/x.pem", "x"),
        &[("certificate-not-listed", "certificates/x.pem", 1)],
    );
    finds(
        new().with("certificates/x.pem", "x"),
        &[
            ("certificate-not-listed", "certificates/x.pem", 1),
            ("file-missing", INDEX, 1),
        ],
    );
    finds(
        Fixture::certified().and(
            INDEX,
            r#"[[token]]
          client = "fremd"
          from = 2026-01-01
          until = 2027-01-01
          sha256 = "x""#,
        ),
        &[("client-unknown", INDEX, 49), ("digest-malformed", INDEX, 52)],
    );
    finds(
        Fixture::certified().replace(INDEX, "until = 2026-12-31", "until = 2026-11-22"),
        &[("token-missing", CLIENTS, 1)],
    );
}

#[test]
fn a_client_needs_something_of_its_own_to_show() {
    const SHA256: &str = "sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"";
    let certificate = |client: &str, until: &str| {
        format!("[[client_certificate]]\nclient = \"{client}\"\nfrom = 2026-01-01\nuntil = {until}\n{SHA256}\n")
    };
    let ended = Fixture::certified().replace(INDEX, "until = 2026-12-31", "until = 2026-11-22");
    // a certificate, or a name at the authorisation server, is as good as a token
    finds(ended.clone().and(INDEX, &certificate("dienst", "2026-12-31")), &[]);
    finds(ended.clone().and(CLIENTS, "oauth_client = \"dienst-1\"\n"), &[]);
    // unless the client has to show a certificate
    let strict = Fixture::certified().and(CLIENTS, "require = \"certificate\"\noauth_client = \"dienst-1\"\n");
    finds(strict.clone(), &[("client-certificate-missing", CLIENTS, 1)]);
    finds(
        strict.clone().and(INDEX, &certificate("dienst", "2026-11-22")),
        &[("client-certificate-missing", CLIENTS, 1)],
    );
    finds(strict.clone().and(INDEX, &certificate("dienst", "2026-12-31")), &[]);
    finds(
        Fixture::certified().and(CLIENTS, "require = \"token\"\n"),
        &[("word-unknown", CLIENTS, 7)],
    );

    let second = Fixture::new().0[CLIENTS].clone();
    let second = String::from_utf8(second).unwrap().replace("[dienst]", "[zweit]");
    let two = strict.and(CLIENTS, &format!("{second}oauth_client = \"zweit-1\"\n"));
    let both = two
        .clone()
        .and(INDEX, &certificate("dienst", "2026-12-31"))
        .and(INDEX, &certificate("zweit", "2026-12-31"));
    finds(both.clone(), &[("client-certificate-twice", INDEX, 53)]);
    let index = String::from_utf8(both.0[INDEX].clone()).unwrap();
    let tokens = both.with(INDEX, index.replace("[[client_certificate]]", "[[token]]"));
    assert!(tokens.findings().iter().any(|finding| finding.code == "token-twice"));
    let named = two
        .and(INDEX, &certificate("dienst", "2026-12-31"))
        .replace(CLIENTS, "\"zweit-1\"", "\"dienst-1\"");
    finds(
        named,
        &[("token-missing", CLIENTS, 9), ("oauth-client-twice", CLIENTS, 15)],
    );
}

#[test]
fn everything_is_found_at_once_in_the_order_of_files_and_lines() {
    let fixture = Fixture::new()
        .and(
            LIST,
            "[[competence]]\nregion = \"01099\"\nbehoerde = \"wgb:010540000000\"",
        )
        .and(LIST, "[[competence]]\nregion = 5\nbehoerde = \"wgb:9\"")
        .replace("table.toml", "sequence = 7", "sequence = 0")
        .and(CLIENTS, "colour = 1\n");
    let findings = fixture.load().unwrap_err();
    let found: Vec<_> = findings.iter().map(|f| (f.code, f.line, f.column)).collect();
    assert_eq!(
        found,
        [
            ("certificates-absent", 1, 1),
            ("key-unknown", 7, 1),
            ("municipalities-uncovered", 1, 2),
            ("region-unknown", 8, 10),
            ("region-not-quoted", 11, 10),
            ("behoerde-malformed", 12, 12),
            ("number-out-of-range", 3, 12),
        ]
    );
}

#[test]
fn municipalities_without_an_answer_are_counted() {
    let uncovered = |fixture: Fixture| {
        let warnings = fixture.load().unwrap().warnings;
        let mut found = warnings
            .iter()
            .filter(|finding| finding.code == "municipalities-uncovered");
        found.next().map(|finding| finding.sentence(Lang::En))
    };
    assert_eq!(
        uncovered(new()).unwrap(),
        "99107023037000 has no answer today for 1 municipalities, the first is Henstedt-Ulzburg (010600039039)."
    );
    let later = "region = \"01060\"\nbehoerde = \"wgb:010540000000\"\nfrom = 2027-01-01";
    assert!(uncovered(entry(later)).unwrap().contains("for 1 municipalities"));
    let refused = "region = \"01060\"\nrefused = { reason = \"nobody\", text = \"Niemand\" }";
    assert!(uncovered(entry(refused)).is_none());
    let except = "[[wohngeld.except]]\nregion = \"01060\"\nbehoerde = \"wgb:010540000000\"";
    assert!(uncovered(new().and(LEISTUNGEN, except)).is_none());
}
