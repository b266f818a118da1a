//! What the demonstration files: payloads, an attachment, a Bescheid.
//!
//! Everything is generated, so that no sample lies in the repository as a binary, and depends on nothing but the
//! arguments: the same number gives the same octets, today and on another machine. Tests compare them byte by byte at
//! the other end.
//!
//! Every person, address, account and sum is invented and says so ("Beispiel"). The XML application follows
//! `schemas/wohngeld-antrag-1.xsd`, the JSON one `schemas/wohngeld-antrag-1.schema.json`; the two small ones have no
//! schema, because nothing on the way reads a payload. No sample is looked at by a gateway or the broker.

mod pdf;
mod wohngeld;

use bytes::Bytes;
use serde_json::json;
use viereck_routing::BehoerdeId;

pub use wohngeld::{wohnform_is_known, wohngeld_json, wohngeld_json_with_unknown_code, wohngeld_xml};

/// The sample Fachstandard for Wohngeld, in XML.
pub const WOHNGELD: &str = "urn:viereck:example:wohngeld:1";
/// The same application in JSON.
pub const WOHNGELD_JSON: &str = "urn:viereck:example:wohngeld-json:1";
/// The sample Fachstandard for Einbürgerung, in XML.
pub const EINBUERGERUNG: &str = "urn:viereck:example:einbuergerung:1";
/// The sample Fachstandard for the Führungszeugnis, in JSON.
pub const FUEHRUNGSZEUGNIS: &str = "urn:viereck:example:fuehrungszeugnis-json:1";

/// About how many octets the attachment has: what a scanned tenancy agreement weighs.
pub const SCAN_OCTETS: usize = 2 * 1024 * 1024;

/// One file as a client sends it: a part of a submission, or the body of a Bescheid.
#[derive(Clone)]
pub struct Document {
    /// The file name a person would give it.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub octets: Bytes,
}

/// An application for a Führungszeugnis: JSON of a few lines.
pub fn fuehrungszeugnis(number: u32) -> Document {
    let person = wohngeld::Person::applicant(number);
    let application = json!({
        "standard": FUEHRUNGSZEUGNIS,
        "hinweis": "Beispiel: alle Angaben sind erfunden.",
        "art": if number.is_multiple_of(2) { "einfach" } else { "erweitert" },
        "antragsteller": {
            "familienname": person.familienname,
            "vornamen": person.vornamen,
            "geburtsdatum": person.geburtsdatum,
        },
        "verwendungszweck": "Ehrenamt im Beispielverein",
    });
    Document {
        name: "fuehrungszeugnis.json",
        media_type: "application/json",
        octets: application.to_string().into(),
    }
}

/// An application for Einbürgerung: XML of a few lines, addressed to `reader`.
pub fn einbuergerung(number: u32, reader: &BehoerdeId) -> Document {
    let person = wohngeld::Person::applicant(number);
    let xml = format!(
        "<eb:antrag.einbuergerung.0101 xmlns:eb=\"{EINBUERGERUNG}\" standard=\"Beispiel-Einbuergerung\" version=\"1\">\
         <leser><kennung>{reader}</kennung></leser>\
         <antragsteller><familienname>{}</familienname><vornamen>{}</vornamen><geburtsdatum>{}</geburtsdatum>\
         <staatsangehoerigkeit>Beispielland</staatsangehoerigkeit></antragsteller>\
         <hinweis>Beispiel: alle Angaben sind erfunden.</hinweis>\
         </eb:antrag.einbuergerung.0101>",
        person.familienname, person.vornamen, person.geburtsdatum
    );
    Document {
        name: "einbuergerung.xml",
        media_type: "application/xml",
        octets: xml.into(),
    }
}

/// A tenancy agreement as it comes from a scanner: a PDF of one page and 2 MiB.
pub fn mietvertrag(number: u32) -> Document {
    let octets = pdf::scan(
        &format!("Mietvertrag Nr. {number} (Beispiel)"),
        u64::from(number),
        SCAN_OCTETS,
    );
    Document {
        name: "mietvertrag.pdf",
        media_type: "application/pdf",
        octets,
    }
}

/// The decision of the case `case_id`: a PDF of one page. It names the case and nobody, for the stand-in that writes
/// it has no reason to repeat who applied.
pub fn bescheid(case_id: &str) -> Document {
    let lines = [
        "Bescheid (Beispiel)".to_owned(),
        format!("Vorgang {case_id}"),
        "Dem Antrag wird entsprochen.".to_owned(),
        "Dieses Schreiben ist erfunden und hat keine Rechtswirkung.".to_owned(),
    ];
    Document {
        name: "bescheid.pdf",
        media_type: "application/pdf",
        octets: pdf::letter(&lines),
    }
}
