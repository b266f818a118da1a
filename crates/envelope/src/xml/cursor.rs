//! Walks a fixed grammar: each call says what has to stand next, and anything else is refused.

use std::borrow::Cow;
use std::ops::Range;

use super::names::{Ns, Vocabulary};
use super::scan::{Scanner, Token};
use super::value::unescape;
use crate::refusal::Refused;

/// A position in a document that is read once, from its beginning to its end.
pub(crate) struct Cursor<'a> {
    scanner: Scanner<'a>,
    /// The next token.
    next: Token<'a>,
    /// Where the token before it ended.
    end_of_last: usize,
}

/// Whether a document in the vocabulary of envelopes is spelled as it has to arrive: the first thing that
/// [`crate::verify`] asks, before it looks at which element stands where.
///
/// For whoever writes such documents, and for comparing this rule with other people's canonicalization.
///
/// # Errors
/// The same refusal as when verifying.
pub fn check_spelling(bytes: &[u8]) -> Result<(), Refused> {
    let mut scanner = Scanner::new(bytes, Vocabulary::ENVELOPE)?;
    while scanner.next()? != Token::End {}
    Ok(())
}

impl<'a> Cursor<'a> {
    /// Begins before the root element.
    pub(crate) fn new(bytes: &'a [u8], vocabulary: Vocabulary) -> Result<Self, Refused> {
        let mut scanner = Scanner::new(bytes, vocabulary)?;
        let next = scanner.next()?;
        Ok(Self {
            scanner,
            next,
            end_of_last: 0,
        })
    }

    /// Opens the root element, which has no attributes.
    pub(crate) fn root(&mut self, local: &str) -> Result<(), Refused> {
        if self.at(Ns::Own, local) {
            self.open(Ns::Own, local)
        } else {
            Err(Refused::WrongRoot)
        }
    }

    /// Whether the next token opens this element.
    pub(crate) fn at(&self, ns: Ns, local: &str) -> bool {
        self.next == Token::Open(ns, local)
    }

    /// Whether the next token closes an element.
    pub(crate) fn at_close(&self) -> bool {
        self.next == Token::Close
    }

    /// Where the next token begins, in octets.
    pub(crate) fn position(&self) -> usize {
        self.scanner.at().start
    }

    /// From `start` to the end of what was read last.
    pub(crate) fn since(&self, start: usize) -> Range<usize> {
        start..self.end_of_last
    }

    /// The octets of a range of this document.
    pub(crate) fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.scanner.text().as_bytes().get(range.clone()).unwrap_or_default()
    }

    /// Opens an element without attributes.
    pub(crate) fn open(&mut self, ns: Ns, local: &str) -> Result<(), Refused> {
        self.attributes(ns, local, []).map(|[]| ())
    }

    /// Opens an element with exactly these attributes, named in canonical order; gives their values.
    pub(crate) fn attributes<const N: usize>(
        &mut self,
        ns: Ns,
        local: &str,
        names: [&str; N],
    ) -> Result<[Cow<'a, str>; N], Refused> {
        self.expect_open(ns, local)?;
        let found = self.scanner.attributes();
        if found.len() != N || found.iter().zip(names).any(|(attribute, name)| attribute.name != name) {
            return Err(Refused::WrongAttribute);
        }
        let mut values = [const { Cow::Borrowed("") }; N];
        for (value, attribute) in values.iter_mut().zip(found) {
            *value = unescape(attribute.value);
        }
        self.advance()?;
        Ok(values)
    }

    /// Opens an element whose attributes and values are fixed; `otherwise` is the refusal for another value.
    pub(crate) fn fixed<const N: usize>(
        &mut self,
        ns: Ns,
        local: &str,
        expected: [(&str, &str); N],
        otherwise: Refused,
    ) -> Result<(), Refused> {
        let values = self.attributes(ns, local, expected.map(|(name, _)| name))?;
        let equal = values
            .iter()
            .zip(expected)
            .all(|(value, (_, expected))| value == expected);
        if equal { Ok(()) } else { Err(otherwise) }
    }

    /// An empty element with one attribute that names an algorithm.
    pub(crate) fn algorithm(&mut self, ns: Ns, local: &str, expected: &str) -> Result<(), Refused> {
        self.fixed(ns, local, [("Algorithm", expected)], Refused::AlgorithmNotAllowed)?;
        self.close()
    }

    /// Closes the element that is open.
    pub(crate) fn close(&mut self) -> Result<(), Refused> {
        match self.next {
            Token::Close => self.advance(),
            Token::Open(..) => Err(Refused::UnexpectedElement),
            Token::Text(_) => Err(Refused::UnexpectedText),
            Token::End => Err(Refused::NotWellFormed),
        }
    }

    /// The text up to the end of the open element, which is closed. Gives its place in the document too.
    pub(crate) fn text(&mut self) -> Result<(Cow<'a, str>, Range<usize>), Refused> {
        let start = self.position();
        let raw = match self.next {
            Token::Text(raw) => {
                self.advance()?;
                raw
            }
            _ => "",
        };
        self.close()?;
        Ok((unescape(raw), start..start + raw.len()))
    }

    /// An element without attributes and its text.
    pub(crate) fn element(&mut self, ns: Ns, local: &str) -> Result<Cow<'a, str>, Refused> {
        self.open(ns, local)?;
        Ok(self.text()?.0)
    }

    /// An element of the document's own namespace whose text `parse` understands.
    pub(crate) fn value<T>(&mut self, local: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Refused> {
        let text = self.element(Ns::Own, local)?;
        parse(&text).ok_or(Refused::InvalidValue)
    }

    /// The same, if the element is there. An empty one is refused: optional elements are absent when empty.
    pub(crate) fn optional<T>(
        &mut self,
        local: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refused> {
        if !self.at(Ns::Own, local) {
            return Ok(None);
        }
        self.value(local, |text| if text.is_empty() { None } else { parse(text) })
            .map(Some)
    }

    /// Closes the root element and makes sure that nothing follows.
    pub(crate) fn finish(mut self) -> Result<(), Refused> {
        self.close()?;
        match self.next {
            Token::End => Ok(()),
            _ => Err(Refused::NotWellFormed),
        }
    }

    fn expect_open(&self, ns: Ns, local: &str) -> Result<(), Refused> {
        match self.next {
            Token::Open(found, name) if found == ns && name == local => Ok(()),
            Token::Open(..) => Err(Refused::UnexpectedElement),
            Token::Close => Err(Refused::MissingElement),
            Token::Text(_) => Err(Refused::UnexpectedText),
            Token::End => Err(Refused::NotWellFormed),
        }
    }

    fn advance(&mut self) -> Result<(), Refused> {
        self.end_of_last = self.scanner.at().end;
        self.next = self.scanner.next()?;
        Ok(())
    }
}
