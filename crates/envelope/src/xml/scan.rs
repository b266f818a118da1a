//! The strict scanner: quick-xml finds where tokens begin and end, everything else is checked here.
//!
//! Guarantees for each document that is read to its end: it is well-formed; it has no declaration, document type,
//! comment, processing instruction or CDATA section; every element is in a known namespace under its one prefix; no
//! attribute is repeated or prefixed; no Id is used twice; and every element that is hashed on its own is byte-equal
//! to its exclusive-canonical form (without comments, no InclusiveNamespaces). That form has no empty-element tags,
//! one space before each attribute, double quotes, namespace declarations first and only where first used, attributes
//! in order, and one spelling for each escaped character.
//!
//! It knows no grammar: which element may stand where is the cursor's business.

use std::collections::BTreeSet;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::name::is_ncname;
use super::names::{Ns, Vocabulary};
use super::value::{check_attribute, check_text};
use crate::limits;
use crate::refusal::Refused;

/// One token of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A start tag; its attributes are in [`Scanner::attributes`] until the next token.
    Open(Ns, &'a str),
    /// An end tag.
    Close,
    /// Text as it stands in the document, still escaped.
    Text(&'a str),
    /// The end of the document.
    End,
}

/// An attribute; the value is still escaped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

struct Open<'a> {
    name: &'a str,
    /// Namespaces declared on this element or above it.
    in_scope: u8,
    /// Namespaces declared on this element or above it, up to the element that is hashed on its own.
    rendered: u8,
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    vocabulary: Vocabulary,
    open: Vec<Open<'a>>,
    attributes: Vec<Attribute<'a>>,
    ids: BTreeSet<&'a str>,
    elements: usize,
    at: Range<usize>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], vocabulary: Vocabulary) -> Result<Self, Refused> {
        if bytes.len() > limits::DOCUMENT {
            return Err(Refused::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Refused::NotUtf8)?;
        if text.starts_with('\u{feff}') {
            return Err(Refused::NotCanonical);
        }
        Ok(Self {
            text,
            reader: Reader::from_str(text),
            vocabulary,
            open: Vec::with_capacity(16),
            attributes: Vec::with_capacity(8),
            ids: BTreeSet::new(),
            elements: 0,
            at: 0..0,
        })
    }

    /// The whole document.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Where the last token stands, in octets.
    pub(super) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The attributes of the start tag that was the last token, in canonical order.
    pub(super) fn attributes(&self) -> &[Attribute<'a>] {
        &self.attributes
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, Refused> {
        let (event, raw) = self.read()?;
        match event {
            Event::Start(_) => self.open_element(raw),
            Event::End(_) => self.close_element(raw),
            Event::Empty(_) => Err(Refused::NotCanonical),
            Event::Text(_) | Event::GeneralRef(_) => self.text_run(),
            Event::CData(_) => Err(Refused::Cdata),
            Event::Comment(_) => Err(Refused::Comment),
            Event::Decl(_) => Err(Refused::XmlDeclaration),
            Event::PI(_) => Err(Refused::ProcessingInstruction),
            Event::DocType(_) => Err(Refused::Doctype),
            Event::Eof if self.open.is_empty() && self.elements > 0 => Ok(Token::End),
            Event::Eof => Err(Refused::NotWellFormed),
        }
    }

    fn read(&mut self) -> Result<(Event<'a>, &'a str), Refused> {
        let start = self.position()?;
        let event = self.reader.read_event().map_err(|_| Refused::NotWellFormed)?;
        self.at = start..self.position()?;
        let raw = self.text.get(self.at.clone()).ok_or(Refused::NotWellFormed)?;
        Ok((event, raw))
    }

    fn position(&self) -> Result<usize, Refused> {
        usize::try_from(self.reader.buffer_position()).map_err(|_| Refused::NotWellFormed)
    }

    /// Joins what quick-xml splits at references.
    fn text_run(&mut self) -> Result<Token<'a>, Refused> {
        let start = self.at.start;
        while self
            .text
            .as_bytes()
            .get(self.at.end)
            .is_some_and(|octet| *octet != b'<')
        {
            self.read()?;
        }
        self.at.start = start;
        let raw = self.text.get(self.at.clone()).ok_or(Refused::NotWellFormed)?;
        if self.open.is_empty() {
            return Err(Refused::UnexpectedText);
        }
        check_text(raw)?;
        Ok(Token::Text(raw))
    }

    fn close_element(&mut self, raw: &str) -> Result<Token<'a>, Refused> {
        let open = self.open.pop().ok_or(Refused::NotWellFormed)?;
        let name = raw.strip_prefix("</").and_then(|rest| rest.strip_suffix('>'));
        match name {
            Some(name) if name == open.name => Ok(Token::Close),
            Some(name) if name.trim_end() == open.name => Err(Refused::NotCanonical),
            _ => Err(Refused::NotWellFormed),
        }
    }

    fn open_element(&mut self, raw: &'a str) -> Result<Token<'a>, Refused> {
        if self.open.is_empty() && self.elements > 0 {
            return Err(Refused::NotWellFormed);
        }
        if raw.len() > limits::TAG {
            return Err(Refused::TagTooLarge);
        }
        self.elements += 1;
        if self.elements > self.vocabulary.elements {
            return Err(Refused::TooManyElements);
        }
        if self.open.len() >= limits::DEPTH {
            return Err(Refused::TooDeep);
        }
        let inner = raw
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .ok_or(Refused::NotWellFormed)?;
        let end_of_name = inner.find([' ', '\t', '\n', '\r']).unwrap_or(inner.len());
        let (name, attributes) = inner.split_at(end_of_name);
        let declared = self.read_attributes(attributes)?;

        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if !is_ncname(local) || (prefix.is_empty() && name.starts_with(':')) {
            return Err(Refused::NotWellFormed);
        }
        let ns = Ns::of_prefix(prefix).ok_or(Refused::Namespace)?;
        let parent = self.open.last();
        let in_scope = parent.map_or(0, |open| open.in_scope) | declared;
        let inherited = if ns.is_apex(local) {
            0
        } else {
            parent.map_or(0, |open| open.rendered)
        };
        if in_scope & ns.bit() == 0 {
            return Err(Refused::Namespace);
        }
        // Exclusive canonicalization renders a namespace exactly where it is visibly used for the first time.
        if declared != ns.bit() & !inherited {
            return Err(Refused::NotCanonical);
        }
        let rendered = inherited | declared;
        self.open.push(Open {
            name,
            in_scope,
            rendered,
        });
        Ok(Token::Open(ns, local))
    }

    /// Reads the attributes of a tag and gives the namespaces it declares.
    fn read_attributes(&mut self, mut rest: &'a str) -> Result<u8, Refused> {
        self.attributes.clear();
        let mut declared = 0;
        let mut count = 0;
        let mut last_prefix: Option<&str> = None;
        while !rest.is_empty() {
            let (name, value, after) = split_attribute(rest)?;
            rest = after;
            count += 1;
            if count > limits::ATTRIBUTES {
                return Err(Refused::TagTooLarge);
            }
            check_attribute(value)?;
            let prefix = match name.split_once(':') {
                None if name == "xmlns" => Some(""),
                // `xmlns:=""` is no name; taken for a declaration of the default namespace it would be read here alone
                Some(("xmlns", "")) => return Err(Refused::NotWellFormed),
                Some(("xmlns", prefix)) => Some(prefix),
                Some(_) => return Err(Refused::PrefixedAttribute),
                None => None,
            };
            match prefix {
                Some(prefix) => {
                    let ns = Ns::of_prefix(prefix).ok_or(Refused::Namespace)?;
                    if value != ns.uri(&self.vocabulary) {
                        return Err(Refused::Namespace);
                    }
                    if declared & ns.bit() != 0 {
                        return Err(Refused::DuplicateAttribute);
                    }
                    if !self.attributes.is_empty() || last_prefix.is_some_and(|last| last > prefix) {
                        return Err(Refused::NotCanonical);
                    }
                    declared |= ns.bit();
                    last_prefix = Some(prefix);
                }
                None => self.push_attribute(name, value)?,
            }
        }
        Ok(declared)
    }

    fn push_attribute(&mut self, name: &'a str, value: &'a str) -> Result<(), Refused> {
        if !is_ncname(name) {
            return Err(Refused::NotWellFormed);
        }
        if self.attributes.iter().any(|attribute| attribute.name == name) {
            return Err(Refused::DuplicateAttribute);
        }
        if self.attributes.last().is_some_and(|last| last.name > name) {
            return Err(Refused::NotCanonical);
        }
        if name == "Id" && !self.ids.insert(value) {
            return Err(Refused::DuplicateId);
        }
        self.attributes.push(Attribute { name, value });
        Ok(())
    }
}

/// Splits one ` name="value"` from what follows it.
fn split_attribute(rest: &str) -> Result<(&str, &str, &str), Refused> {
    let rest = rest.strip_prefix(' ').ok_or(Refused::NotCanonical)?;
    if rest.trim_start_matches([' ', '\t', '\n', '\r']).len() != rest.len() || rest.is_empty() {
        return Err(Refused::NotCanonical);
    }
    let (name, rest) = rest.split_once('=').ok_or(Refused::NotWellFormed)?;
    match rest.as_bytes().first() {
        Some(b'"') if !name.ends_with([' ', '\t', '\n', '\r']) => {}
        Some(b'"' | b'\'' | b' ' | b'\t' | b'\n' | b'\r') => return Err(Refused::NotCanonical),
        _ => return Err(Refused::NotWellFormed),
    }
    let (value, rest) = rest[1..].split_once('"').ok_or(Refused::NotWellFormed)?;
    Ok((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(document: &str) -> Result<usize, Refused> {
        let mut scanner = Scanner::new(document.as_bytes(), Vocabulary::ENVELOPE)?;
        let mut tokens = 0;
        while scanner.next()? != Token::End {
            tokens += 1;
        }
        Ok(tokens)
    }

    fn root(inner: &str) -> String {
        format!("<R xmlns=\"urn:viereck:envelope:1\">{inner}</R>")
    }

    #[test]
    fn limits_stand_at_their_numbers() {
        let nested = |depth: usize| root(&format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth)));
        assert!(scan(&nested(31)).is_ok());
        assert_eq!(scan(&nested(32)), Err(Refused::TooDeep));
        assert!(scan(&root(&"<a></a>".repeat(limits::ELEMENTS - 1))).is_ok());
        assert_eq!(
            scan(&root(&"<a></a>".repeat(limits::ELEMENTS))),
            Err(Refused::TooManyElements)
        );
        let attributes = |count: usize| {
            let all: String = (0..count).map(|number| format!(" a{number:02}=\"\"")).collect();
            root(&format!("<a{all}></a>"))
        };
        assert!(scan(&attributes(16)).is_ok());
        assert_eq!(scan(&attributes(17)), Err(Refused::TagTooLarge));
        let tag = |length: usize| root(&format!("<a b=\"{}\"></a>", "x".repeat(length - 8)));
        assert!(scan(&tag(limits::TAG)).is_ok());
        assert_eq!(scan(&tag(limits::TAG + 1)), Err(Refused::TagTooLarge));
    }

    #[test]
    fn a_declaration_of_no_prefix_is_none_of_the_default_namespace() {
        assert!(scan(&root("")).is_ok());
        assert_eq!(scan(&root("").replace("xmlns", "xmlns:")), Err(Refused::NotWellFormed));
    }

    #[test]
    fn an_element_that_is_hashed_alone_repeats_its_namespaces_and_no_other_does() {
        let ds = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
        assert!(scan(&root("<Header xmlns=\"urn:viereck:envelope:1\"></Header>")).is_ok());
        assert_eq!(scan(&root("<Header></Header>")), Err(Refused::NotCanonical));
        assert_eq!(
            scan(&root("<a xmlns=\"urn:viereck:envelope:1\"></a>")),
            Err(Refused::NotCanonical)
        );
        assert!(scan(&root(&format!("<ds:a {ds}><ds:b></ds:b></ds:a><ds:a {ds}></ds:a>"))).is_ok());
        assert_eq!(
            scan(&root(&format!("<ds:a {ds}></ds:a><ds:a></ds:a>"))),
            Err(Refused::Namespace)
        );
        assert_eq!(
            scan(&root(&format!("<ds:a {ds}><ds:SignedInfo></ds:SignedInfo></ds:a>"))),
            Err(Refused::NotCanonical)
        );
        assert_eq!(
            scan(&root(&format!("<a {ds}><ds:b></ds:b></a>"))),
            Err(Refused::NotCanonical)
        );
    }

    proptest! {
        #[test]
        fn what_the_writer_escapes_the_scanner_takes(text in "\\PC*|[\\t\\n\\r&<>\"']*", value in "\\PC*|[\\t\\n\\r&<>\"']*") {
            let mut out = String::from("<R xmlns=\"urn:viereck:envelope:1\"");
            crate::xml::write::attribute(&mut out, "a", &value).unwrap();
            out.push('>');
            crate::xml::write::text(&mut out, &text).unwrap();
            out.push_str("</R>");
            let mut cursor = crate::xml::Cursor::new(out.as_bytes(), Vocabulary::ENVELOPE).unwrap();
            let [read] = cursor.attributes(Ns::Own, "R", ["a"]).unwrap();
            prop_assert_eq!(read, value);
            prop_assert_eq!(cursor.text().unwrap().0, text);
        }

        #[test]
        fn no_text_makes_the_scanner_panic(text in "[<>/&;a:= \"'!?\\[\\]\\-\\PC]{0,60}") {
            let _ = scan(&text);
            let _ = scan(&root(&text));
        }
    }
}
