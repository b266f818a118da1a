//! The characters of a document: tags cut into names and values, references, line ends, the XML declaration.

use std::borrow::Cow;

use super::{Uncanonical, is_ncname};
use crate::limits;

/// A name as it stands in a tag, and the value that it stands for.
pub(super) type Found<'a> = (&'a str, Cow<'a, str>);

/// White space of XML.
pub(super) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

pub(super) fn trim_space(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Cuts what stands between `<` and `>` into the element's name and its attributes, in their order.
pub(super) fn attributes(inner: &str) -> Result<(&str, Vec<Found<'_>>), Uncanonical> {
    let end = inner.find(is_space).unwrap_or(inner.len());
    let (name, mut rest) = inner.split_at(end);
    check_name(name)?;
    let mut found: Vec<Found<'_>> = Vec::new();
    loop {
        let trimmed = rest.trim_start_matches(is_space);
        if trimmed.is_empty() {
            return Ok((name, found));
        }
        if trimmed.len() == rest.len() {
            return Err(Uncanonical::NotWellFormed);
        }
        if found.len() >= limits::ATTRIBUTES {
            return Err(Uncanonical::TagTooLarge);
        }
        let (name, value, after) = split_attribute(trimmed)?;
        check_name(name)?;
        if found.iter().any(|(known, _)| *known == name) {
            return Err(Uncanonical::DuplicateAttribute);
        }
        found.push((name, attribute_value(value)?));
        rest = after;
    }
}

/// Splits `name = "value"` from what follows it.
fn split_attribute(text: &str) -> Result<(&str, &str, &str), Uncanonical> {
    let (name, rest) = text.split_once('=').ok_or(Uncanonical::NotWellFormed)?;
    let rest = rest.trim_start_matches(is_space);
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''));
    let quote = quote.ok_or(Uncanonical::NotWellFormed)?;
    let (value, rest) = rest[1..].split_once(quote).ok_or(Uncanonical::NotWellFormed)?;
    Ok((name.trim_end_matches(is_space), value, rest))
}

/// A name is one or two names without a colon.
fn check_name(name: &str) -> Result<(), Uncanonical> {
    let parts = name.split(':');
    if parts.clone().count() <= 2 && parts.clone().all(is_ncname) {
        return Ok(());
    }
    // XML alone lets colons stand anywhere in a name.
    let without_colons: String = std::iter::once('_').chain(name.chars().filter(|c| *c != ':')).collect();
    let starts_well = name.starts_with(':') || parts.clone().next().is_some_and(is_ncname);
    Err(if starts_well && is_ncname(&without_colons) {
        Uncanonical::NotNamespaceWellFormed
    } else {
        Uncanonical::NotWellFormed
    })
}

/// The value of an attribute: white space that stands there literally becomes spaces, references what they name.
fn attribute_value(raw: &str) -> Result<Cow<'_, str>, Uncanonical> {
    if raw.contains('<') {
        return Err(Uncanonical::NotWellFormed);
    }
    replaced(raw, |_tab_or_line_end| ' ')
}

/// Text with its references replaced and its line ends normalised.
pub(super) fn characters(raw: &str) -> Result<Cow<'_, str>, Uncanonical> {
    replaced(raw, |white| if white == '\t' { '\t' } else { '\n' })
}

/// The content of a CDATA section: no references, line ends normalised.
pub(super) fn literal(raw: &str) -> Result<Cow<'_, str>, Uncanonical> {
    check_characters(raw)?;
    Ok(if raw.contains('\r') {
        Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(raw)
    })
}

/// Replaces each literal tab and line end by what `white` makes of it, and each reference.
fn replaced(raw: &str, white: impl Fn(char) -> char) -> Result<Cow<'_, str>, Uncanonical> {
    check_characters(raw)?;
    if !raw.contains(['&', '\t', '\n', '\r']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(reference) = from.strip_prefix('&') {
            let (name, after) = reference.split_once(';').ok_or(Uncanonical::NotWellFormed)?;
            out.push(referenced(name)?);
            rest = after;
        } else if let Some(after) = from.strip_prefix("\r\n") {
            out.push(white('\n'));
            rest = after;
        } else {
            out.push(white(if from.starts_with('\t') { '\t' } else { '\n' }));
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The character that a reference names.
fn referenced(name: &str) -> Result<char, Uncanonical> {
    let number = |digits: &str, radix: u32| {
        let all = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        let number = if all {
            u32::from_str_radix(digits, radix).ok()
        } else {
            None
        };
        number
            .and_then(char::from_u32)
            .filter(|character| is_character(*character))
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(digits), _) => number(digits, 16),
            (None, Some(digits)) => number(digits, 10),
            (None, None) => None,
        },
    }
    .ok_or(Uncanonical::NotWellFormed)
}

fn check_characters(raw: &str) -> Result<(), Uncanonical> {
    if raw.chars().all(is_character) {
        Ok(())
    } else {
        Err(Uncanonical::NotWellFormed)
    }
}

/// Char of XML 1.0.
fn is_character(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`; the last two may be absent.
pub(super) fn check_declaration(raw: &str) -> Result<(), Uncanonical> {
    let inner = raw.strip_prefix("<?xml").and_then(|rest| rest.strip_suffix("?>"));
    let mut rest = inner.ok_or(Uncanonical::NotWellFormed)?;
    let mut names = ["version", "encoding", "standalone"].iter();
    let mut first = true;
    loop {
        let trimmed = rest.trim_start_matches(is_space);
        if trimmed.is_empty() && !first {
            return Ok(());
        }
        if trimmed.len() == rest.len() {
            return Err(Uncanonical::NotWellFormed);
        }
        let (name, value, after) = split_attribute(trimmed)?;
        // Each name at most once and in this order, and never without a version.
        if !names.any(|known| *known == name) || (first && name != "version") {
            return Err(Uncanonical::NotWellFormed);
        }
        match name {
            "version" if !is_version(value) => return Err(Uncanonical::NotWellFormed),
            "encoding" if !value.eq_ignore_ascii_case("UTF-8") => return Err(Uncanonical::NotUtf8),
            "standalone" if !matches!(value, "yes" | "no") => return Err(Uncanonical::NotWellFormed),
            _ => {}
        }
        first = false;
        rest = after;
    }
}

/// `1.` and a number: whatever it is, the document is read as XML 1.0.
fn is_version(value: &str) -> bool {
    let minor = value.strip_prefix("1.");
    minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|octet| octet.is_ascii_digit()))
}
