//! No input makes the loader panic, and what it calls free of errors can be asked anything.

use proptest::prelude::*;
use viereck_routing::{Lang, Severity, Tables};

use crate::fixture::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Octets changed, cut out or put in anywhere: the loader answers, and what it calls free of errors can be asked.
    #[test]
    fn no_damage_makes_the_loader_panic(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 0usize..40,
        insert in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..12),
            "[\\[\\]{}=\"'\n.,#0-9a-z-]{0,12}".prop_map(String::into_bytes),
        ],
    ) {
        let mut fixture = Fixture::new();
        let path = file.get(&fixture.0.keys().cloned().collect::<Vec<_>>()).clone();
        let octets = fixture.0.get_mut(&path).unwrap();
        let start = at.index(octets.len() + 1);
        let end = (start + length).min(octets.len());
        octets.splice(start..end, insert);
        match fixture.load() {
            Ok(loaded) => {
                let tables: Tables = loaded.tables;
                for municipality in tables.municipalities() {
                    let place = viereck_routing::Place::Ars(municipality.ars);
                    tables.resolve(&WOHNGELD.parse().unwrap(), &place, today());
                }
                tables.bindings(today());
            }
            Err(findings) => {
                prop_assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
                for finding in findings.iter() {
                    prop_assert!(!finding.text(Lang::De).is_empty());
                }
            }
        }
    }

    /// Any text at all as a file of the format.
    #[test]
    fn no_text_makes_the_loader_panic(
        file in any::<prop::sample::Index>(),
        text in "\\PC{0,200}|[\\[\\]{}=\"'\n.,#a-z0-9 -]{0,200}",
    ) {
        let mut fixture = Fixture::new();
        let path = file.get(&fixture.0.keys().cloned().collect::<Vec<_>>()).clone();
        fixture.put(&path, text);
        let _ = fixture.load();
    }
}
