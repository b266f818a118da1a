//! Documents that are not spelled as canonicalization spells them, or are beyond a limit.

use viereck_envelope::{Refused, canonicalize, check_spelling};

use crate::documents::{change, element, genuine, judge};
use crate::people::Scene;

#[test]
fn what_is_hashed_of_a_genuine_document_is_its_own_canonical_form() {
    let text = genuine(&Scene::new());
    assert_eq!(check_spelling(text.as_bytes()), Ok(()));
    let parts = ["Header", "Content", "ds:SignedInfo", "xades:SignedProperties"].map(|name| element(&text, name));
    for part in parts {
        assert_eq!(canonicalize(part.as_bytes(), None).as_deref(), Ok(part));
    }
    for (id, part) in [
        ("header", parts[0]),
        ("content", parts[1]),
        ("signed-properties", parts[3]),
    ] {
        assert_eq!(canonicalize(text.as_bytes(), Some(id)).as_deref(), Ok(part));
    }
    // Only the declarations that these elements repeat go from the whole.
    let whole = canonicalize(text.as_bytes(), None).unwrap();
    assert!(whole.len() < text.len());
    assert_eq!(check_spelling(whole.as_bytes()), Err(Refused::NotCanonical));
}

#[test]
fn a_document_of_another_spelling_is_refused() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let own = "<Envelope xmlns=\"urn:viereck:envelope:1\">";
        let c14n = "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:CanonicalizationMethod>";
        let cases = [
            (
                "XML declaration",
                own,
                format!("<?xml version=\"1.0\"?>{own}"),
                Refused::XmlDeclaration,
            ),
            (
                "document type",
                own,
                format!("<!DOCTYPE Envelope>{own}"),
                Refused::Doctype,
            ),
            (
                "internal entity",
                own,
                format!("<!DOCTYPE E [<!ENTITY a \"b\">]>{own}"),
                Refused::Doctype,
            ),
            ("comment before", own, format!("<!-- -->{own}"), Refused::Comment),
            (
                "comment after",
                "</Envelope>",
                "</Envelope><!-- -->".to_owned(),
                Refused::Comment,
            ),
            (
                "comment in a value",
                "<Profile>1",
                "<Profile><!-- -->1".to_owned(),
                Refused::Comment,
            ),
            (
                "processing instruction",
                own,
                format!("<?a b?>{own}"),
                Refused::ProcessingInstruction,
            ),
            (
                "CDATA",
                "<Profile>1",
                "<Profile><![CDATA[1]]>".to_owned(),
                Refused::Cdata,
            ),
            ("byte order mark", own, format!("\u{feff}{own}"), Refused::NotCanonical),
            (
                "line feed at the end",
                "</Envelope>",
                "</Envelope>\n".to_owned(),
                Refused::UnexpectedText,
            ),
            (
                "white space between elements",
                "</Header>",
                "</Header> ".to_owned(),
                Refused::UnexpectedText,
            ),
            (
                "white space within the header",
                "<Profile>",
                "\n<Profile>".to_owned(),
                Refused::UnexpectedText,
            ),
            (
                "white space in a tag",
                "<Profile>",
                "<Profile >".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "white space in an end tag",
                "</Profile>",
                "</Profile >".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "two spaces",
                " Id=\"header\"",
                "  Id=\"header\"".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "space around equals",
                " Id=\"header\"",
                " Id = \"header\"".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "single quotes",
                " Id=\"header\"",
                " Id='header'".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "attribute without quotes",
                " Id=\"header\"",
                " Id=header".to_owned(),
                Refused::NotWellFormed,
            ),
            (
                "empty-element tag",
                c14n,
                change(c14n, "></ds:CanonicalizationMethod>", "/>"),
                Refused::NotCanonical,
            ),
            (
                "unordered attributes",
                "Id=\"ref-header\" URI=\"#header\"",
                "URI=\"#header\" Id=\"ref-header\"".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "declaration after attribute",
                "<Header xmlns=\"urn:viereck:envelope:1\" Id=\"header\">",
                "<Header Id=\"header\" xmlns=\"urn:viereck:envelope:1\">".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "superfluous declaration",
                "<Profile>",
                "<Profile xmlns=\"urn:viereck:envelope:1\">".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "missing declaration",
                "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">",
                "<ds:SignedInfo>".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "undeclared prefix",
                "<Profile>1</Profile>",
                "<xenc:Profile>1</xenc:Profile>".to_owned(),
                Refused::Namespace,
            ),
            (
                "unknown prefix",
                "<Profile>1</Profile>",
                "<x:Profile xmlns:x=\"urn:x\">1</x:Profile>".to_owned(),
                Refused::Namespace,
            ),
            (
                "prefix of another namespace",
                "xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\"",
                "xmlns:xades=\"urn:x\"".to_owned(),
                Refused::Namespace,
            ),
            (
                "no namespace",
                "<Profile>",
                "<Profile xmlns=\"\">".to_owned(),
                Refused::Namespace,
            ),
            (
                "other version",
                "urn:viereck:envelope:1",
                "urn:viereck:envelope:2".to_owned(),
                Refused::Namespace,
            ),
            (
                "xml attribute",
                "<Profile>",
                "<Profile xml:lang=\"de\">".to_owned(),
                Refused::PrefixedAttribute,
            ),
            (
                "character reference",
                "<Profile>1",
                "<Profile>&#49;".to_owned(),
                Refused::Reference,
            ),
            (
                "hexadecimal reference",
                "&lt;1&gt;",
                "&#x3C;1&gt;".to_owned(),
                Refused::Reference,
            ),
            (
                "entity quot in text",
                "more&quot;",
                "more&quot;".to_owned(),
                Refused::Reference,
            ),
            (
                "entity apos",
                "<Profile>1",
                "<Profile>&apos;".to_owned(),
                Refused::Reference,
            ),
            (
                "unknown entity",
                "<Profile>1",
                "<Profile>&a;".to_owned(),
                Refused::Reference,
            ),
            (
                "raw greater-than",
                "&gt;</MessageType>",
                "></MessageType>".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "raw carriage return",
                "<Profile>1",
                "<Profile>1\r".to_owned(),
                Refused::NotCanonical,
            ),
            (
                "control character",
                "<Profile>1",
                "<Profile>1\u{1}".to_owned(),
                Refused::NotWellFormed,
            ),
            (
                "no character",
                "<Profile>1",
                "<Profile>1\u{fffe}".to_owned(),
                Refused::NotWellFormed,
            ),
            (
                "crossed tags",
                "</Profile>",
                "</Kind>".to_owned(),
                Refused::NotWellFormed,
            ),
            (
                "second root",
                "</Envelope>",
                "</Envelope><Envelope></Envelope>".to_owned(),
                Refused::NotWellFormed,
            ),
            (
                "duplicate attribute",
                " Id=\"header\"",
                " Id=\"header\" Id=\"header\"".to_owned(),
                Refused::DuplicateAttribute,
            ),
            (
                "duplicate declaration",
                own,
                "<Envelope xmlns=\"urn:viereck:envelope:1\" xmlns=\"urn:viereck:envelope:1\">".to_owned(),
                Refused::DuplicateAttribute,
            ),
            (
                "duplicate Id",
                " Id=\"content\"",
                " Id=\"header\"".to_owned(),
                Refused::DuplicateId,
            ),
        ];
        for (name, from, to, expected) in cases {
            let to = to.as_str();
            let from = from.replace("<Profile>1", &format!("<Profile>{}", scene.kinds.profile()));
            // A quotation mark needs no escape in text, so the genuine document has none to replace.
            let changed = if name == "entity quot in text" {
                change(&text, "\"more\"", to)
            } else {
                change(&text, &from, to)
            };
            assert_eq!(
                judge(&scene, changed).unwrap_err(),
                expected,
                "{name}, {:?}",
                scene.kinds
            );
        }
    }
}

#[test]
fn a_document_beyond_a_limit_is_refused_before_it_is_read() {
    for scene in Scene::all() {
        let text = genuine(&scene);
        let within = |inner: &str| change(&text, "<Profile>", &format!("{inner}<Profile>"));
        let attributes: String = (10..27).map(|number| format!(" a{number}=\"\"")).collect();
        let refused = |document: String| judge(&scene, document).unwrap_err();
        assert_eq!(refused(" ".repeat(8 * 1024 * 1024 + 1)), Refused::TooLarge);
        assert_eq!(judge(&scene, vec![b'<', b'a', 0xff]).unwrap_err(), Refused::NotUtf8);
        assert_eq!(refused(String::new()), Refused::NotWellFormed);
        assert_eq!(
            refused(change(&text, "<Profile>", &format!("<Profile{attributes}>"))),
            Refused::TagTooLarge
        );
        let long = format!("<Profile a=\"{}\">", "x".repeat(16 * 1024));
        assert_eq!(refused(change(&text, "<Profile>", &long)), Refused::TagTooLarge);
        // Depth and number of elements are limits of the scanner; the grammar of an envelope stops before them.
        assert_eq!(refused(within(&"<Profile>".repeat(40))), Refused::UnexpectedElement);
    }
}
