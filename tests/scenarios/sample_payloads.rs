//! The sample payloads are what they claim to be, by validators that did not write them.

use std::path::Path;

use harness::python::{Python, Verdict};
use harness::schema::Schema;
use viereck::demo::samples;

const JSON_SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/wohngeld-antrag-1.schema.json");

#[test]
fn the_xml_application_is_valid_and_has_the_head_of_a_basisnachricht() -> anyhow::Result<()> {
    let application = samples::wohngeld_xml(7, &"wgb:010540880000".parse()?);
    Schema::Wohngeld.validate(&application.octets)?;

    let document = uppsala::parse(std::str::from_utf8(&application.octets)?)?;
    // The elements of the head in XÖV-Basisnachricht g2g 1.1, which the sample schema rebuilds.
    let head = [
        "nachrichtenkopf.g2g",
        "identifikation.nachricht",
        "nachrichtenUUID",
        "nachrichtentyp",
        "erstellungszeitpunkt",
        "leser",
        "autor",
    ];
    for element in head {
        assert_eq!(document.get_elements_by_tag_name(element).len(), 1, "{element}");
    }
    Ok(())
}

#[test]
fn an_xml_application_without_its_reader_is_invalid() -> anyhow::Result<()> {
    let application = samples::wohngeld_xml(7, &"wgb:010540880000".parse()?);
    let text = std::str::from_utf8(&application.octets)?;
    let without = text.replacen("<kennung>wgb:010540880000</kennung>", "", 1);
    assert!(Schema::Wohngeld.validate(without.as_bytes()).is_err());
    Ok(())
}

#[test]
fn a_document_type_declaration_is_refused_before_anything_else() {
    let refused = Schema::Wohngeld.validate(b"<!DOCTYPE a><a/>").unwrap_err();
    assert!(refused.to_string().contains("DOCTYPE"), "{refused}");
}

#[test]
fn another_root_is_no_application() {
    assert!(Schema::Wohngeld.validate(b"<a/>").is_err());
}

#[test]
fn the_json_application_is_valid_and_the_schema_refuses_a_wrong_one() -> anyhow::Result<()> {
    let python = Python::find()?;
    let folder = tempfile::tempdir()?;
    let document = folder.path().join("application.json");
    let valid = samples::wohngeld_json(7).octets;
    // An unknown code is the Fachverfahren's to find: the schema accepts it.
    for octets in [&valid, &samples::wohngeld_json_with_unknown_code(7).octets] {
        std::fs::write(&document, octets)?;
        assert_eq!(
            python.validate_json(Path::new(JSON_SCHEMA), &document)?,
            Verdict::Accepted
        );
    }
    let mut wrong: serde_json::Value = serde_json::from_slice(&valid)?;
    wrong["wohnung"]["miete"] = serde_json::json!(481.5);
    std::fs::write(&document, wrong.to_string())?;
    let verdict = python.validate_json(Path::new(JSON_SCHEMA), &document)?;
    assert!(
        matches!(&verdict, Verdict::Refused(said) if said.contains("$.wohnung.miete")),
        "{verdict:?}"
    );
    Ok(())
}
