//! Which prefix stands for which namespace, and which of them the canonical form has already declared.

use std::borrow::Cow;

use super::Uncanonical;
use super::lexis::Found;

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The name of an element or attribute, resolved.
#[derive(Debug, Clone)]
pub(super) struct Name<'a> {
    /// As it stands in the document.
    pub(super) qualified: &'a str,
    /// What stands before its colon, or nothing.
    pub(super) prefix: &'a str,
    pub(super) local: &'a str,
    /// Its namespace, or nothing.
    pub(super) uri: Cow<'a, str>,
}

/// An attribute that declares no namespace, and the value that it stands for.
pub(super) type Attribute<'a> = (Name<'a>, Cow<'a, str>);

/// A prefix and the namespace that it stands for.
type Binding<'a> = (&'a str, Cow<'a, str>);

/// Two stacks over the open elements: what they declare, and what was written of it.
#[derive(Debug, Default)]
pub(super) struct Bindings<'a> {
    declared: Vec<Binding<'a>>,
    rendered: Vec<Binding<'a>>,
    /// How long both were before each open element.
    marks: Vec<(usize, usize)>,
}

impl<'a> Bindings<'a> {
    /// Takes the declarations of a tag, and resolves its names.
    pub(super) fn enter(
        &mut self,
        name: &'a str,
        found: Vec<Found<'a>>,
    ) -> Result<(Name<'a>, Vec<Attribute<'a>>), Uncanonical> {
        self.marks.push((self.declared.len(), self.rendered.len()));
        let mut others = Vec::with_capacity(found.len());
        for (name, value) in found {
            match name.split_once(':') {
                None if name == "xmlns" => self.declare("", value)?,
                Some(("xmlns", prefix)) => self.declare(prefix, value)?,
                _ => others.push((name, value)),
            }
        }
        let element = self.resolve(name, true)?;
        let mut attributes: Vec<Attribute<'a>> = Vec::with_capacity(others.len());
        for (name, value) in others {
            let name = self.resolve(name, false)?;
            if attributes
                .iter()
                .any(|(known, _)| known.local == name.local && known.uri == name.uri)
            {
                return Err(Uncanonical::DuplicateAttribute);
            }
            attributes.push((name, value));
        }
        Ok((element, attributes))
    }

    /// Forgets what the element declared that is closed now.
    pub(super) fn leave(&mut self) {
        if let Some((declared, rendered)) = self.marks.pop() {
            self.declared.truncate(declared);
            self.rendered.truncate(rendered);
        }
    }

    /// The declarations that a written element with these names needs, in canonical order: of each prefix that it uses,
    /// unless an element around it has written the same one. They count as written.
    pub(super) fn render<'n>(&mut self, names: impl Iterator<Item = &'n Name<'a>>) -> Vec<Binding<'a>>
    where
        'a: 'n,
    {
        let mut needed: Vec<Binding<'a>> = Vec::new();
        for name in names {
            let rendered = self.rendered.iter().rev().find(|(prefix, _)| *prefix == name.prefix);
            // Before anything is written, the default namespace is none.
            let standing = rendered
                .map(|(_, uri)| uri.as_ref())
                .or(name.prefix.is_empty().then_some(""));
            if standing != Some(name.uri.as_ref()) && needed.iter().all(|(prefix, _)| *prefix != name.prefix) {
                needed.push((name.prefix, name.uri.clone()));
            }
        }
        needed.sort_by_key(|(prefix, _)| *prefix);
        self.rendered.extend(needed.iter().cloned());
        needed
    }

    fn declare(&mut self, prefix: &'a str, uri: Cow<'a, str>) -> Result<(), Uncanonical> {
        if prefix == "xml" && uri == XML {
            return Ok(());
        }
        if matches!(prefix, "xml" | "xmlns") || uri == XML || uri == XMLNS || (uri.is_empty() && !prefix.is_empty()) {
            return Err(Uncanonical::NotNamespaceWellFormed);
        }
        if !uri.is_empty() && !is_absolute(&uri) {
            return Err(Uncanonical::RelativeNamespace);
        }
        self.declared.push((prefix, uri));
        Ok(())
    }

    fn resolve(&self, qualified: &'a str, is_element: bool) -> Result<Name<'a>, Uncanonical> {
        let (prefix, local) = qualified.split_once(':').unwrap_or(("", qualified));
        let bound = || self.declared.iter().rev().find(|(known, _)| *known == prefix);
        let uri = match prefix {
            "xml" => return Err(Uncanonical::XmlPrefix),
            "xmlns" => return Err(Uncanonical::NotNamespaceWellFormed),
            // The default namespace is for elements only.
            "" if !is_element => Cow::Borrowed(""),
            "" => bound().map_or(Cow::Borrowed(""), |(_, uri)| uri.clone()),
            _ => bound()
                .map(|(_, uri)| uri.clone())
                .ok_or(Uncanonical::UndeclaredPrefix)?,
        };
        Ok(Name {
            qualified,
            prefix,
            local,
            uri,
        })
    }
}

/// Whether `uri` is an absolute URI of RFC 3986. `&`, `<` and `"` are refused with all that no URI holds: implementations
/// differ in how they write them. So are the brackets of IP addresses, which no namespace needs.
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let mut scheme = scheme.bytes();
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    scheme.next().is_some_and(|octet| octet.is_ascii_alphabetic())
        && scheme.all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'))
        && [rest, fragment].iter().all(|part| is_of_uri(part))
        && rest.strip_prefix("//").is_none_or(is_authority)
}

/// Whether these are characters of a path, query or fragment.
fn is_of_uri(part: &str) -> bool {
    let mut octets = part.bytes();
    while let Some(octet) = octets.next() {
        let allowed = match octet {
            b'%' => [octets.next(), octets.next()]
                .iter()
                .all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => octet.is_ascii_alphanumeric() || b"-._~:/?@!$'()*+,;=".contains(&octet),
        };
        if !allowed {
            return false;
        }
    }
    true
}

/// Whether what follows `//` begins with a host, perhaps with a user before it and a port behind it.
fn is_authority(rest: &str) -> bool {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (_, port) = host.split_once(':').unwrap_or((host, "0"));
    !user.contains('@') && (1..=5).contains(&port.len()) && port.bytes().all(|octet| octet.is_ascii_digit())
}
