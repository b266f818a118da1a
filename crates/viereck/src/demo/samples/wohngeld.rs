//! The application for Wohngeld, in XML and in JSON, and the one error in it that only an authority can see.
//!
//! Both are written from the same invented household, so that the two syntaxes say the same. The XML carries a head in
//! the layout of the XÖV-Basisnachricht g2g 1.1 and weighs about 20 KB: a family with two and a half years of income, as real
//! applications do.

use std::fmt::Write;

use serde_json::{Value, json};
use viereck_routing::BehoerdeId;

use super::{Document, WOHNGELD, WOHNGELD_JSON};

/// The code lists that the Basisnachricht prescribes in its head.
const VERZEICHNISDIENST: &str = "urn:xoev-de:kosit:codeliste:verzeichnisdienst";
const ERREICHBARKEIT: &str = "urn:de:xoev:codeliste:erreichbarkeit";

/// Codes of the sample list `wohnform`: rented flat, rented house, sublet room, home.
const WOHNFORMEN: [&str; 4] = ["01", "02", "03", "04"];
/// A code that fits the schema and stands in no list.
const UNKNOWN_WOHNFORM: &str = "99";

const NACHNAMEN: [&str; 6] = ["Beispiel", "Mustermann", "Probe", "Muster", "Exempel", "Testmann"];
const VORNAMEN: [&str; 8] = ["Erika", "Max", "Jördis", "Şirin", "Łukasz", "Ole", "Mïa", "Søren"];
/// Members of the sample household, the applicant included.
const MEMBERS: u32 = 6;
/// Months of income that each adult states.
const MONTHS: u32 = 30;

/// An invented person.
pub(super) struct Person {
    pub(super) familienname: &'static str,
    pub(super) vornamen: &'static str,
    pub(super) geburtsdatum: String,
}

impl Person {
    /// Who files application `number`.
    pub(super) fn applicant(number: u32) -> Person {
        Person::member(number, 0)
    }

    fn member(number: u32, index: u32) -> Person {
        let number = number % 10_000;
        let born = if index < 2 {
            1970 + (number + index) % 25
        } else {
            2012 + (number + index) % 10
        };
        Person {
            familienname: choose(&NACHNAMEN, number),
            vornamen: choose(&VORNAMEN, number + index),
            geburtsdatum: format!(
                "{born}-{:02}-{:02}",
                1 + (number + index) % 12,
                1 + (3 * number + index) % 28
            ),
        }
    }
}

/// What both syntaxes say.
struct Household {
    number: u32,
    wohnform: &'static str,
}

impl Household {
    fn new(number: u32) -> Household {
        Household {
            number,
            wohnform: choose(&WOHNFORMEN, number),
        }
    }

    fn street(&self) -> &'static str {
        choose(
            &["Beispielweg", "Musterstraße", "Probegasse", "Am Übungsplatz"],
            self.number,
        )
    }

    fn rent(&self) -> String {
        format!("{}.50", 480 + self.number % 300)
    }

    /// Twenty digits with a bank code that no bank has: nobody is ever paid by accident.
    fn iban(&self) -> String {
        format!("DE0000000000{:010}", self.number)
    }

    /// (month, gross) of a member; children have none.
    fn income(&self, index: u32) -> impl Iterator<Item = (String, String)> {
        let months = if index < 2 { MONTHS } else { 0 };
        let gross = 1400 + 10 * (self.number % 40) + 100 * index;
        (0..months).map(move |month| {
            let since = 6 + month;
            let name = format!("{}-{:02}", 2023 + since / 12, 1 + since % 12);
            (name, format!("{}.{:02}", gross + month, 3 * month))
        })
    }
}

/// Application `number` in XML, addressed to `reader`: about 20 KB, valid under `schemas/wohngeld-antrag-1.xsd`.
pub fn wohngeld_xml(number: u32, reader: &BehoerdeId) -> Document {
    let household = Household::new(number);
    let mut xml = Xml(String::with_capacity(24 * 1024));
    xml.0.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let root = format!(
        "wg:antrag.wohngeld.0101 xmlns:wg=\"{WOHNGELD}\" produkt=\"Beispiel-Onlinedienst\" \
         produkthersteller=\"Beispiel GmbH\" produktversion=\"1.0\" standard=\"Beispiel-Wohngeld\" test=\"Beispiel\" version=\"1\""
    );
    xml.element(0, &root, |xml| {
        head(xml, number, reader);
        application(xml, &household);
    });
    Document {
        name: "wohngeld.xml",
        media_type: "application/xml",
        octets: xml.0.into(),
    }
}

/// Application `number` in JSON, valid under `schemas/wohngeld-antrag-1.schema.json`.
pub fn wohngeld_json(number: u32) -> Document {
    json_document(&Household::new(number))
}

/// Application `number` in JSON with a code that no list knows: it fits the schema, so every gateway carries it, and
/// the Fachverfahren rejects it with S011.
pub fn wohngeld_json_with_unknown_code(number: u32) -> Document {
    json_document(&Household {
        wohnform: UNKNOWN_WOHNFORM,
        ..Household::new(number)
    })
}

/// What the sample Fachverfahren checks: whether the code for the kind of dwelling stands in its list. A payload that
/// states none (another standard, say) passes.
pub fn wohnform_is_known(payload: &[u8]) -> bool {
    let stated = match serde_json::from_slice::<Value>(payload) {
        Ok(json) => json
            .pointer("/wohnung/wohnform")
            .and_then(Value::as_str)
            .map(str::to_owned),
        Err(_) => std::str::from_utf8(payload).ok().and_then(|xml| {
            let (_, after) = xml.split_once("<wohnform ")?;
            let (_, code) = after.split_once("<code>")?;
            Some(code.split_once("</code>")?.0.to_owned())
        }),
    };
    stated.is_none_or(|code| WOHNFORMEN.contains(&code.as_str()))
}

fn head(xml: &mut Xml, number: u32, reader: &BehoerdeId) {
    xml.element(1, "nachrichtenkopf.g2g", |xml| {
        xml.element(2, "identifikation.nachricht", |xml| {
            xml.leaf(3, "nachrichtenUUID", &format!("00000000-0000-4000-8000-{number:012x}"));
            xml.code(3, "nachrichtentyp", &own_list("nachrichtentyp"), "0101");
            xml.leaf(3, "erstellungszeitpunkt", "2026-01-15T09:30:00Z");
        });
        let wgp = "wgp:010000000000";
        for (role, id, name) in [
            ("leser", reader.as_str(), "Wohngeldbehörde (Beispiel)"),
            ("autor", wgp, "Wohngeldportal (Beispiel)"),
        ] {
            xml.element(2, role, |xml| {
                xml.code(3, "verzeichnisdienst", VERZEICHNISDIENST, "DVDV");
                xml.leaf(3, "kennung", id);
                xml.leaf(3, "name", name);
                xml.element(3, "erreichbarkeit", |xml| {
                    xml.code(4, "kanal", ERREICHBARKEIT, "01");
                    xml.leaf(4, "kennung", "wohngeld@behoerde.example");
                });
            });
        }
    });
}

fn application(xml: &mut Xml, household: &Household) {
    let number = household.number;
    xml.element(1, "antrag", |xml| {
        xml.code(2, "antragsart", &own_list("antragsart"), "01");
        xml.leaf(2, "antragsdatum", "2026-01-15");
        xml.person(2, "antragsteller", &Person::applicant(number));
        xml.element(2, "wohnung", |xml| {
            xml.element(3, "anschrift", |xml| {
                xml.leaf(4, "strasse", household.street());
                xml.leaf(4, "hausnummer", &format!("{}", 1 + number % 120));
                xml.leaf(4, "postleitzahl", "00000");
                xml.leaf(4, "ort", "Beispielstadt");
            });
            xml.code(3, "wohnform", &own_list("wohnform"), household.wohnform);
            xml.leaf(3, "flaecheQuadratmeter", &format!("{}", 60 + number % 40));
            xml.leaf(3, "bezugsdatum", "2019-04-01");
            xml.leaf(3, "miete", &household.rent());
            xml.leaf(3, "nebenkosten", "140.00");
        });
        for index in 0..MEMBERS {
            xml.element(2, &format!("haushaltsmitglied nummer=\"{}\"", index + 1), |xml| {
                xml.person(3, "person", &Person::member(number, index));
                xml.code(3, "verhaeltnis", &own_list("verhaeltnis"), relation(index));
                for (month, gross) in household.income(index) {
                    xml.element(3, "einkommen", |xml| {
                        xml.code(4, "art", &own_list("einkommensart"), "01");
                        xml.leaf(4, "monat", &month);
                        xml.leaf(4, "brutto", &gross);
                        xml.leaf(4, "abzug", "83.33");
                    });
                }
            });
        }
        xml.element(2, "bankverbindung", |xml| {
            xml.leaf(3, "iban", &household.iban());
            xml.leaf(3, "kontoinhaber", Person::applicant(number).familienname);
        });
        xml.leaf(
            2,
            "erklaerung",
            "Beispiel: alle Personen, Anschriften und Beträge sind erfunden.",
        );
        xml.leaf(2, "erklaerung", "Änderungen teile ich unverzüglich mit.");
        xml.leaf(2, "anlage", "Mietvertrag");
    });
}

fn json_document(household: &Household) -> Document {
    let number = household.number;
    let person = |person: Person| {
        json!({
            "familienname": person.familienname,
            "vornamen": person.vornamen,
            "geburtsdatum": person.geburtsdatum,
        })
    };
    let members = (0..MEMBERS).map(|index| {
        let income = household
            .income(index)
            .map(|(month, gross)| json!({"art": "01", "monat": month, "brutto": gross, "abzug": "83.33"}));
        json!({
            "person": person(Person::member(number, index)),
            "verhaeltnis": relation(index),
            "einkommen": income.collect::<Value>(),
        })
    });
    let application = json!({
        "standard": WOHNGELD_JSON,
        "hinweis": "Beispiel: alle Personen, Anschriften und Beträge sind erfunden.",
        "antragsart": "01",
        "antragsdatum": "2026-01-15",
        "antragsteller": person(Person::applicant(number)),
        "wohnung": {
            "anschrift": {
                "strasse": household.street(),
                "hausnummer": (1 + number % 120).to_string(),
                "postleitzahl": "00000",
                "ort": "Beispielstadt",
            },
            "wohnform": household.wohnform,
            "flaecheQuadratmeter": 60 + number % 40,
            "bezugsdatum": "2019-04-01",
            "miete": household.rent(),
            "nebenkosten": "140.00",
        },
        "haushalt": members.collect::<Value>(),
        "bankverbindung": {
            "iban": household.iban(),
            "kontoinhaber": Person::applicant(number).familienname,
        },
    });
    Document {
        name: "wohngeld.json",
        media_type: "application/json",
        octets: application.to_string().into(),
    }
}

/// The URI of a code list of the sample standard.
fn own_list(name: &str) -> String {
    format!("urn:viereck:example:codeliste:{name}")
}

/// Code of the sample list `verhaeltnis`: the applicant, the partner, a child.
fn relation(index: u32) -> &'static str {
    match index {
        0 => "01",
        1 => "02",
        _ => "03",
    }
}

fn choose(from: &[&'static str], number: u32) -> &'static str {
    from[number as usize % from.len()]
}

/// Indented XML. Takes only texts of this file, which hold nothing that would have to be escaped.
struct Xml(String);

impl Xml {
    fn element(&mut self, depth: usize, tag: &str, inside: impl FnOnce(&mut Xml)) {
        let name = tag.split(' ').next().unwrap_or(tag);
        self.line(depth, format_args!("<{tag}>"));
        inside(self);
        self.line(depth, format_args!("</{name}>"));
    }

    fn leaf(&mut self, depth: usize, name: &str, text: &str) {
        self.line(depth, format_args!("<{name}>{text}</{name}>"));
    }

    fn code(&mut self, depth: usize, name: &str, list: &str, code: &str) {
        let tag = format!("{name} listURI=\"{list}\" listVersionID=\"1\"");
        self.element(depth, &tag, |xml| xml.leaf(depth + 1, "code", code));
    }

    fn person(&mut self, depth: usize, name: &str, person: &Person) {
        self.element(depth, name, |xml| {
            xml.leaf(depth + 1, "familienname", person.familienname);
            xml.leaf(depth + 1, "vornamen", person.vornamen);
            xml.leaf(depth + 1, "geburtsdatum", &person.geburtsdatum);
        });
    }

    fn line(&mut self, depth: usize, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:1$}{text}", "", 2 * depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> BehoerdeId {
        "wgb:010540880000".parse().unwrap()
    }

    #[test]
    fn the_same_number_gives_the_same_octets_and_another_one_others() {
        assert_eq!(wohngeld_xml(3, &reader()).octets, wohngeld_xml(3, &reader()).octets);
        assert_ne!(wohngeld_xml(3, &reader()).octets, wohngeld_xml(4, &reader()).octets);
        assert_eq!(wohngeld_json(3).octets, wohngeld_json(3).octets);
        assert_ne!(wohngeld_json(3).octets, wohngeld_json(4).octets);
    }

    #[test]
    fn the_xml_application_weighs_what_a_real_one_does() {
        for number in [0, 1, 999, u32::MAX] {
            let length = wohngeld_xml(number, &reader()).octets.len();
            assert!((19_000..22_000).contains(&length), "{length} octets");
        }
    }

    #[test]
    fn only_the_unknown_code_is_noticed() {
        assert!(wohnform_is_known(&wohngeld_xml(1, &reader()).octets));
        assert!(wohnform_is_known(&wohngeld_json(1).octets));
        assert!(!wohnform_is_known(&wohngeld_json_with_unknown_code(1).octets));
        let xml = String::from_utf8(wohngeld_xml(0, &reader()).octets.to_vec()).unwrap();
        let (before, wohnform) = xml.split_once("<wohnform ").unwrap();
        let broken = format!("{before}<wohnform {}", wohnform.replacen("<code>01<", "<code>99<", 1));
        assert!(!wohnform_is_known(broken.as_bytes()));
        assert!(wohnform_is_known(b"\xFF neither JSON nor XML"));
    }
}
