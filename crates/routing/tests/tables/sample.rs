//! The sample tables of this repository load without an error and give the answers that their README promises.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::civil::{Date, date};
use serde_json::Value;
use viereck_routing::{Answer, Kind, LeistungId, Outcome, Place, Severity, Tables};

const WOHNGELD: &str = "99107023037000";
const EINBUERGERUNG: &str = "99099002067003";
const FUEHRUNGSZEUGNIS: &str = "99049001001000";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../routing-tables")
}

fn today() -> Date {
    date(2026, 11, 23)
}

/// The sample tables as they are committed; a developer's own certificates are left out.
fn load() -> Tables {
    let committed = tempfile::tempdir().unwrap();
    copy(&folder(), committed.path());
    let loaded = Tables::load(committed.path(), today()).unwrap_or_else(|findings| panic!("{findings:?}"));
    assert!(
        loaded
            .warnings
            .iter()
            .all(|finding| finding.severity == Severity::Warning)
    );
    let codes: Vec<_> = loaded.warnings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["certificates-absent"], "{:?}", loaded.warnings);
    loaded.tables
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == "certificates" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn ask(tables: &Tables, leistung: &str, place: &str, on: Date) -> Answer {
    tables.resolve(&leistung.parse().unwrap(), &place.parse::<Place>().unwrap(), on)
}

fn explained(tables: &Tables, leistung: &str, place: &str, on: Date) -> Value {
    serde_json::to_value(ask(tables, leistung, place, on)).unwrap()
}

/// The line of `file` that the answer points to.
fn line_of(answer: &Value) -> String {
    let file = folder().join(answer["file"].as_str().unwrap());
    let line = usize::try_from(answer["line"].as_u64().unwrap()).unwrap();
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .nth(line - 1)
        .unwrap()
        .to_owned()
}

#[test]
fn a_municipality_with_an_entry_of_its_own() {
    let answer = explained(&load(), WOHNGELD, "010545489088", today());
    assert_eq!(answer["outcome"], "route");
    assert_eq!(answer["behoerde"], "wgb:010540880000");
    assert_eq!(answer["gateway"], "gw-sh-2");
    assert_eq!(answer["matchedRegion"], "010545489088");
    assert_eq!(
        answer["file"],
        "laender/01-schleswig-holstein/zustaendigkeiten/wohngeldbehoerden.toml"
    );
    assert!(line_of(&answer).contains("\"010545489088\""));
    assert_eq!(answer["steps"].as_array().unwrap().len(), 1);
    assert_eq!(answer["accepts"][0], "urn:viereck:example:wohngeld:1");
}

#[test]
fn an_ags_leads_to_the_same_answer_as_the_ars() {
    let tables = load();
    let by_ags = explained(&tables, WOHNGELD, "01054088", today());
    assert_eq!(by_ags["behoerde"], "wgb:010540880000");
    // The one municipality whose AGS does not follow from its ARS.
    let uder = tables.ars_of(&"16061119".parse().unwrap()).unwrap();
    assert_eq!(uder.as_str(), "160615051097");
    assert!(tables.ars_of(&"16061097".parse().unwrap()).is_none());
}

#[test]
fn an_amt_and_the_kreis_decide_for_the_rest() {
    let tables = load();
    let leck = explained(&tables, WOHNGELD, "010545489076", today());
    assert_eq!(
        (&leck["behoerde"], &leck["matchedRegion"]),
        (&"wgb:010545489000".into(), &"010545489".into())
    );
    let husum = explained(&tables, WOHNGELD, "010540056056", today());
    assert_eq!(husum["outcome"], "route");
    assert_eq!(
        (&husum["behoerde"], &husum["matchedRegion"]),
        (&"wgb:010540000000".into(), &"01054".into())
    );
    let steps: Vec<_> = husum["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (&step["region"], &step["result"]))
        .collect();
    let (none, hit) = (Value::from("no-entry"), Value::from("hit"));
    assert_eq!(
        steps,
        [
            (&"010540056056".into(), &none),
            (&"010540056".into(), &none),
            (&"01054".into(), &hit)
        ]
    );
    assert!(line_of(&husum).contains("\"01054\""));
}

#[test]
fn the_bund_decides_for_the_whole_country() {
    let tables = load();
    for place in ["010545489088", "055150000000", "091620000000"] {
        let answer = explained(&tables, FUEHRUNGSZEUGNIS, place, today());
        assert_eq!(answer["behoerde"], "dbs:000000000010", "{place}");
        assert_eq!(answer["gateway"], "gw-nw-1");
        assert_eq!(answer["matchedRegion"], "00");
        assert_eq!(answer["file"], "bund/zustaendigkeiten/registerbehoerde.toml");
    }
}

#[test]
fn a_kreis_that_is_deliberately_refused() {
    let answer = explained(&load(), WOHNGELD, "010530090090", today());
    assert_eq!(answer["outcome"], "refused");
    assert_eq!(answer["reason"], "not-connected");
    assert_eq!(answer["matchedRegion"], "01053");
    assert_eq!(answer["until"], "2027-06-30");
    assert!(answer.get("behoerde").is_none());
}

#[test]
fn a_planned_change_before_and_after_its_day() {
    let tables = load();
    let before = explained(&tables, WOHNGELD, "010600039039", date(2026, 12, 31));
    assert_eq!(before["behoerde"], "wgb:010600000000");
    assert_eq!(before["steps"][0]["result"], "not-yet");
    assert_eq!(before["steps"][0]["from"], "2027-01-01");
    let after = explained(&tables, WOHNGELD, "010600039039", date(2027, 1, 1));
    assert_eq!(after["behoerde"], "wgb:010600630000");
    assert_eq!(after["matchedRegion"], "010600039039");
}

#[test]
fn what_is_not_covered_is_said_by_name() {
    let tables = load();
    let reason = |leistung, place| explained(&tables, leistung, place, today())["reason"].clone();
    assert_eq!(reason(WOHNGELD, "091620000000"), "leistung-not-here");
    assert_eq!(reason("99000000000000", "010545489088"), "leistung-unknown");
    assert_eq!(reason(WOHNGELD, "010540880088"), "place-unknown");
}

#[test]
fn every_municipality_of_the_two_laender_has_an_answer_for_every_leistung() {
    let tables = load();
    let mut asked = 0;
    for municipality in tables.municipalities() {
        let land = &municipality.ars.as_str()[..2];
        for leistung in [WOHNGELD, EINBUERGERUNG, FUEHRUNGSZEUGNIS] {
            let answer = ask(&tables, leistung, municipality.ars.as_str(), today());
            match (&answer.outcome, leistung, land) {
                (Outcome::Route(route), ..) => {
                    assert!(!route.accepts.is_empty());
                    assert!(tables.gateway(&route.gateway).unwrap().serves(&route.behoerde));
                    assert!(route.matched_region.contains(&municipality.ars));
                }
                (Outcome::Refused(_), WOHNGELD, "01") => assert_eq!(&municipality.ars.as_str()[..5], "01053"),
                (Outcome::NoRoute(_), WOHNGELD | EINBUERGERUNG, _) if !matches!(land, "01" | "05") => {}
                other => panic!("{municipality:?}: {other:?}"),
            }
            asked += 1;
        }
    }
    assert_eq!(asked, 3 * (10_944 + 283));
}

#[test]
fn portals_apply_authorities_answer_and_clients_are_bound() {
    let tables = load();
    let participant = |id: &str| tables.participant(&id.parse().unwrap()).unwrap();
    assert!(participant("wgp:010000000000").may_author(Kind::Application));
    assert!(!participant("wgp:010000000000").may_author(Kind::Bescheid));
    assert!(participant("wgb:010540880000").may_author(Kind::Bescheid));
    assert!(!participant("wgb:010540880000").may_author(Kind::Application));
    assert!(!participant("wgb:010540880000").may_author(Kind::Query));

    let gateway = |id: &str| tables.gateway(&id.parse().unwrap()).unwrap();
    assert!(gateway("gw-sh-1").speaks_for(&"eip:010000000000".parse().unwrap()));
    assert!(!gateway("gw-sh-1").speaks_for(&"wgb:010540880000".parse().unwrap()));
    assert!(gateway("gw-sh-2").serves(&"wgb:010540880000".parse().unwrap()));
    assert!(!gateway("gw-nw-1").serves(&"wgb:010540880000".parse().unwrap()));
    assert!(gateway("gw-nw-1").serves(&"dbs:000000000010".parse().unwrap()));

    let narrow = tables.client(&"nur-wohngeld-sh".parse().unwrap()).unwrap();
    let leistung = |id: &str| id.parse::<LeistungId>().unwrap();
    assert!(narrow.may_post(&leistung(WOHNGELD)) && !narrow.may_post(&leistung(EINBUERGERUNG)));
    assert!(narrow.may_reach(Some("01")) && !narrow.may_reach(Some("05")) && !narrow.may_reach(None));
    let wide = tables.client(&"antragsportal-sh".parse().unwrap()).unwrap();
    assert!(wide.may_reach(None));
    let authors: Vec<_> = [WOHNGELD, EINBUERGERUNG, FUEHRUNGSZEUGNIS]
        .iter()
        .map(|id| tables.author_for(wide, &leistung(id)).unwrap().prefix())
        .collect();
    assert_eq!(authors, ["wgp", "eip", "lap"]);
}

#[test]
fn the_bindings_name_each_participant_once_and_exact_deliveries_their_leistung() {
    let tables = load();
    let bindings = tables.bindings(today());
    let readers: BTreeSet<_> = bindings.iter().map(|binding| &binding.behoerde).collect();
    assert_eq!(readers.len(), tables.participants().count());
    assert_eq!(bindings.len(), readers.len());
    let exact: Vec<_> = bindings
        .iter()
        .filter_map(|binding| binding.leistung.as_ref())
        .collect();
    assert_eq!(exact, [&FUEHRUNGSZEUGNIS.parse::<LeistungId>().unwrap()]);
}
