//! Exclusive canonicalization without comments, of any XML document and not only of ours: for whoever builds or looks
//! into documents of this format with other tools. Nothing here takes part in verifying, which never canonicalises.
//!
//! Standards: XML 1.0 (fifth edition), Namespaces in XML 1.0, Exclusive XML Canonicalization 1.0 without an
//! InclusiveNamespaces list.
//!
//! Guarantees: what is not well-formed, what the profile forbids (document types, comments, processing instructions,
//! the prefix `xml`, other encodings than UTF-8) and what exceeds the limits of the profile is refused by name. The same
//! limits hold for what comes out, so the canonical form of a canonical form is itself. No recursion; memory is bounded
//! by the limits.
//!
//! Does not: read document types, so every attribute is of type CDATA and the only entities are the five predefined ones;
//! know XML 1.1, whose documents are read as XML 1.0; look at what a document means.

mod lexis;
mod namespaces;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::name::is_ncname;
use super::write;
use crate::limits;
use lexis::{attributes, characters, check_declaration, is_space, trim_space};
use namespaces::{Attribute, Bindings, Name};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $sentence:literal;)+) => {
        /// Why a document has no canonical form here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Uncanonical {
            $($(#[$doc])* #[error($sentence)] $variant,)+
        }

        impl Uncanonical {
            /// Every reason.
            pub const ALL: &[Uncanonical] = &[$(Uncanonical::$variant),+];

            /// The stable code.
            pub fn code(&self) -> &'static str {
                match self { $(Uncanonical::$variant => $code),+ }
            }
        }
    };
}

reasons! {
    /// More than 8 MiB, as it came or as it would come out.
    TooLarge = "document-too-large", "the document or its canonical form is larger than 8 MiB";
    /// Octets that are not UTF-8, or a declaration of another encoding.
    NotUtf8 = "not-utf-8", "the document is not UTF-8";
    /// Not well-formed XML 1.0.
    NotWellFormed = "not-well-formed", "the document is not well-formed XML 1.0";
    /// Well-formed, but not under Namespaces in XML: a name with two colons, a reserved prefix or namespace bound anew, a
    /// prefix that is taken back.
    NotNamespaceWellFormed = "not-namespace-well-formed", "a name or declaration breaks the rules of namespaces";
    /// A prefix that nobody declared.
    UndeclaredPrefix = "undeclared-prefix", "a prefix is not declared";
    /// An attribute twice, by its name or by its namespace and local name.
    DuplicateAttribute = "duplicate-attribute", "an element has the same attribute twice";
    /// A namespace that is no absolute URI: canonicalization is not defined for it.
    RelativeNamespace = "relative-namespace", "a namespace is not an absolute URI";
    /// A document type declaration.
    Doctype = "doctype", "a document type declaration is not allowed";
    /// A comment.
    Comment = "comment", "a comment is not allowed";
    /// A processing instruction.
    ProcessingInstruction = "processing-instruction", "a processing instruction is not allowed";
    /// An attribute or element with the prefix `xml`, such as `xml:lang`.
    XmlPrefix = "xml-prefix", "the prefix xml is used";
    /// Elements nested deeper than 32.
    TooDeep = "too-deep", "elements are nested deeper than 32";
    /// More than 16 attributes on one element, or a tag longer than 16 KiB, as it came or as it would come out.
    TagTooLarge = "tag-too-large", "a tag has more than 16 attributes or is longer than 16 KiB";
    /// More than 20,000 elements.
    TooManyElements = "too-many-elements", "the document has more than 20,000 elements";
    /// Two elements with the Id that was asked for.
    DuplicateId = "duplicate-id", "two elements have this Id";
    /// No element with the Id that was asked for.
    NoSuchId = "no-such-id", "no element has this Id";
}

/// The exclusive-canonical form of a document, or of its one element whose attribute `Id` is `id`.
///
/// # Errors
/// A [`Uncanonical`]; with an `id` too the whole document is read and judged.
pub fn canonicalize(bytes: &[u8], id: Option<&str>) -> Result<String, Uncanonical> {
    if bytes.len() > limits::DOCUMENT {
        return Err(Uncanonical::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Uncanonical::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.starts_with('\u{feff}') {
        return Err(Uncanonical::NotWellFormed);
    }
    let mut canonicalizer = Canonicalizer {
        text,
        open: Vec::with_capacity(16),
        bindings: Bindings::default(),
        part: id.map_or(Part::Document, Part::Before),
        elements: 0,
        out: String::new(),
    };
    canonicalizer.read()?;
    match canonicalizer.part {
        Part::Before(_) => Err(Uncanonical::NoSuchId),
        Part::Document | Part::Within(..) | Part::After(_) => Ok(canonicalizer.out),
    }
}

/// What is written, and where the reader is.
#[derive(Debug, Clone, Copy)]
enum Part<'i> {
    /// All of the document.
    Document,
    /// One element, which has not come yet.
    Before(&'i str),
    /// That element, which is open at this depth.
    Within(&'i str, usize),
    /// Nothing any more.
    After(&'i str),
}

struct Canonicalizer<'a, 'i> {
    text: &'a str,
    /// The names of the open elements, as they stand in the document.
    open: Vec<&'a str>,
    bindings: Bindings<'a>,
    part: Part<'i>,
    elements: usize,
    out: String,
}

impl<'a> Canonicalizer<'a, '_> {
    fn read(&mut self) -> Result<(), Uncanonical> {
        let mut reader = Reader::from_str(self.text);
        let mut start = 0;
        loop {
            let event = reader.read_event().map_err(|_| Uncanonical::NotWellFormed)?;
            let end = usize::try_from(reader.buffer_position()).map_err(|_| Uncanonical::NotWellFormed)?;
            let raw = self.text.get(start..end).ok_or(Uncanonical::NotWellFormed)?;
            match event {
                Event::Start(_) => self.open_element(tag(raw, ">")?, raw.len())?,
                Event::Empty(_) => {
                    let inner = tag(raw, "/>")?;
                    self.open_element(inner, raw.len())?;
                    self.close_element()?;
                }
                Event::End(_) => self.end_tag(raw)?,
                Event::Text(_) | Event::GeneralRef(_) => self.character_data(raw)?,
                Event::CData(_) => self.cdata(raw)?,
                Event::Decl(_) if start == 0 => check_declaration(raw)?,
                Event::Decl(_) => return Err(Uncanonical::NotWellFormed),
                Event::Comment(_) => return Err(Uncanonical::Comment),
                Event::PI(_) => return Err(Uncanonical::ProcessingInstruction),
                Event::DocType(_) => return Err(Uncanonical::Doctype),
                Event::Eof if self.open.is_empty() && self.elements > 0 => return Ok(()),
                Event::Eof => return Err(Uncanonical::NotWellFormed),
            }
            if self.out.len() > limits::DOCUMENT {
                return Err(Uncanonical::TooLarge);
            }
            start = end;
        }
    }

    fn is_written(&self) -> bool {
        matches!(self.part, Part::Document | Part::Within(..))
    }

    fn open_element(&mut self, inner: &'a str, length: usize) -> Result<(), Uncanonical> {
        if self.open.is_empty() && self.elements > 0 {
            return Err(Uncanonical::NotWellFormed);
        }
        if length > limits::TAG {
            return Err(Uncanonical::TagTooLarge);
        }
        self.elements += 1;
        if self.elements > limits::ELEMENTS {
            return Err(Uncanonical::TooManyElements);
        }
        if self.open.len() >= limits::DEPTH {
            return Err(Uncanonical::TooDeep);
        }
        let (name, found) = attributes(inner)?;
        let id = found.iter().find(|(name, _)| *name == "Id").map(|(_, value)| value);
        match (self.part, id) {
            (Part::Before(wanted), Some(id)) if id == wanted => self.part = Part::Within(wanted, self.open.len()),
            (Part::Within(wanted, _) | Part::After(wanted), Some(id)) if id == wanted => {
                return Err(Uncanonical::DuplicateId);
            }
            _ => {}
        }
        let (element, attributes) = self.bindings.enter(name, found)?;
        self.open.push(name);
        if self.is_written() {
            self.write_tag(&element, attributes)
        } else {
            Ok(())
        }
    }

    fn write_tag(&mut self, element: &Name<'a>, mut attributes: Vec<Attribute<'a>>) -> Result<(), Uncanonical> {
        let start = self.out.len();
        self.out.push('<');
        self.out.push_str(element.qualified);
        let prefixes = attributes
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !name.prefix.is_empty());
        let declared = self.bindings.render(std::iter::once(element).chain(prefixes));
        for (prefix, uri) in &declared {
            let name = if prefix.is_empty() {
                "xmlns".to_owned()
            } else {
                format!("xmlns:{prefix}")
            };
            write_attribute(&mut self.out, &name, uri)?;
        }
        attributes.sort_by(|(one, _), (other, _)| (&one.uri, one.local).cmp(&(&other.uri, other.local)));
        for (name, value) in &attributes {
            write_attribute(&mut self.out, name.qualified, value)?;
        }
        self.out.push('>');
        if declared.len() + attributes.len() > limits::ATTRIBUTES || self.out.len() - start > limits::TAG {
            return Err(Uncanonical::TagTooLarge);
        }
        Ok(())
    }

    fn end_tag(&mut self, raw: &str) -> Result<(), Uncanonical> {
        let name = raw.strip_prefix("</").and_then(|rest| rest.strip_suffix('>'));
        let name = name.ok_or(Uncanonical::NotWellFormed)?;
        if self.open.last() != Some(&name.trim_end_matches(is_space)) {
            return Err(Uncanonical::NotWellFormed);
        }
        self.close_element()
    }

    fn close_element(&mut self) -> Result<(), Uncanonical> {
        let name = self.open.pop().ok_or(Uncanonical::NotWellFormed)?;
        self.bindings.leave();
        if self.is_written() {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
        if let Part::Within(wanted, depth) = self.part
            && depth == self.open.len()
        {
            self.part = Part::After(wanted);
        }
        Ok(())
    }

    fn character_data(&mut self, raw: &str) -> Result<(), Uncanonical> {
        if self.open.is_empty() {
            // White space may stand around the root element, and has no canonical form.
            return if trim_space(raw).is_empty() {
                Ok(())
            } else {
                Err(Uncanonical::NotWellFormed)
            };
        }
        if raw.contains("]]>") {
            return Err(Uncanonical::NotWellFormed);
        }
        let text = characters(raw)?;
        self.write_text(&text)
    }

    fn cdata(&mut self, raw: &str) -> Result<(), Uncanonical> {
        let inner = raw.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>"));
        let inner = inner
            .filter(|_| !self.open.is_empty())
            .ok_or(Uncanonical::NotWellFormed)?;
        self.write_text(&lexis::literal(inner)?)
    }

    fn write_text(&mut self, text: &str) -> Result<(), Uncanonical> {
        if self.is_written() {
            write::text(&mut self.out, text).map_err(|_| Uncanonical::NotWellFormed)?;
        }
        Ok(())
    }
}

/// What stands within a tag that ends in `end`.
fn tag<'a>(raw: &'a str, end: &str) -> Result<&'a str, Uncanonical> {
    raw.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix(end))
        .ok_or(Uncanonical::NotWellFormed)
}

fn write_attribute(out: &mut String, name: &str, value: &str) -> Result<(), Uncanonical> {
    write::attribute(out, name, value).map_err(|_| Uncanonical::NotWellFormed)
}

#[cfg(test)]
mod tests;
