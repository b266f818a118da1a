//! Escaping, as exclusive canonicalization spells it. Documents are written straight in canonical form.

/// Why text cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotXml;

/// Appends `text` as the content of an element.
pub(crate) fn text(out: &mut String, text: &str) -> Result<(), NotXml> {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' => out.push(character),
            _ => out.push(check(character)?),
        }
    }
    Ok(())
}

/// Appends ` name="value"`.
pub(crate) fn attribute(out: &mut String, name: &str, value: &str) -> Result<(), NotXml> {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    for character in value.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(check(character)?),
        }
    }
    out.push('"');
    Ok(())
}

/// Appends `<name>text</name>`.
pub(crate) fn element(out: &mut String, name: &str, content: &str) -> Result<(), NotXml> {
    out.push('<');
    out.push_str(name);
    out.push('>');
    text(out, content)?;
    out.push_str("</");
    out.push_str(name);
    out.push('>');
    Ok(())
}

/// Appends `<name>text</name>` if there is a text.
pub(crate) fn optional(out: &mut String, name: &str, content: Option<&str>) -> Result<(), NotXml> {
    content.map_or(Ok(()), |content| element(out, name, content))
}

/// The characters of XML 1.0.
fn check(character: char) -> Result<char, NotXml> {
    match character {
        '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => Err(NotXml),
        _ => Ok(character),
    }
}
