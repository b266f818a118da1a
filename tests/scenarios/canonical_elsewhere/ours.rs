//! Documents in the vocabulary of envelopes whose spelling is canonical or not, with the parts that are hashed alone.

use viereck_targets::Dice;

const OWN: &str = "xmlns=\"urn:viereck:envelope:1\"";
const PREFIXED: [(&str, &str); 5] = [
    ("ds", "http://www.w3.org/2000/09/xmldsig#"),
    ("dsig11", "http://www.w3.org/2009/xmldsig11#"),
    ("xades", "http://uri.etsi.org/01903/v1.3.2#"),
    ("xenc", "http://www.w3.org/2001/04/xmlenc#"),
    ("xenc11", "http://www.w3.org/2009/xmlenc11#"),
];

/// A document, the parts of it that are hashed alone, and what stands around them.
pub(super) struct Document {
    pub(super) text: String,
    /// Id and octets of each part.
    pub(super) parts: Vec<(&'static str, String)>,
    /// The document with a hyphen in the place of each part.
    pub(super) around: String,
}

pub(super) fn document(dice: &mut Dice) -> Document {
    // How often something is spelled otherwise: never, seldom, often.
    let odd = dice.one(&[usize::MAX, usize::MAX, 400, 100, 25]);
    let mut parts = Vec::new();
    for (id, name, declaration) in [
        ("header", "Header", OWN.to_owned()),
        ("content", "Content", OWN.to_owned()),
        ("si", "ds:SignedInfo", declaration("ds")),
        ("sp", "xades:SignedProperties", declaration("xades")),
    ] {
        let mut writer = Writer {
            dice,
            odd,
            out: String::new(),
        };
        let rendered = vec![name.split_once(':').map_or("", |(prefix, _)| prefix)];
        writer.element(name, &[declaration, format!("Id=\"{id}\"")], 0, &rendered);
        let part = writer.out;
        parts.push((id, part));
    }
    let mut writer = Writer {
        dice,
        odd,
        out: String::new(),
    };
    writer.around();
    let around = writer.out;
    let mut text = around.clone();
    for (number, (_, part)) in parts.iter().enumerate() {
        text = text.replacen(&hole(number), part, 1);
    }
    let around = (0..parts.len()).fold(around, |around, number| around.replacen(&hole(number), "-", 1));
    Document { text, parts, around }
}

fn hole(number: usize) -> String {
    format!("@{number}@")
}

fn declaration(prefix: &str) -> String {
    let uri = PREFIXED
        .iter()
        .find(|(known, _)| *known == prefix)
        .map_or("", |(_, uri)| uri);
    format!("xmlns:{prefix}=\"{uri}\"")
}

struct Writer<'d> {
    dice: &'d mut Dice,
    odd: usize,
    out: String,
}

impl Writer<'_> {
    fn is_odd(&mut self) -> bool {
        self.odd != usize::MAX && self.dice.once_in(self.odd)
    }

    /// The document without its parts.
    fn around(&mut self) {
        if self.is_odd() {
            self.out.push_str(
                self.dice
                    .one(&["<?xml version=\"1.0\"?>", "\u{feff}", "<!DOCTYPE Envelope>", "\n"]),
            );
        }
        let own = vec![OWN.to_owned()];
        self.tag("Envelope", &own);
        self.out.push_str(&hole(0));
        self.out.push_str(&hole(1));
        self.tag("ds:Signature", &[declaration("ds"), "Id=\"signature\"".to_owned()]);
        self.out.push_str(&hole(2));
        self.element("ds:KeyInfo", &[], 3, &["", "ds"]);
        self.tag("ds:Object", &[]);
        self.tag(
            "xades:QualifyingProperties",
            &[declaration("xades"), "Target=\"#signature\"".to_owned()],
        );
        self.out.push_str(&hole(3));
        for name in ["xades:QualifyingProperties", "ds:Object", "ds:Signature", "Envelope"] {
            self.end(name);
        }
        if self.is_odd() {
            self.out.push_str(self.dice.one(&["\n", "<!-- -->", "<?p?>"]));
        }
    }

    fn element(&mut self, name: &str, attributes: &[String], depth: usize, rendered: &[&'static str]) {
        let mut attributes = attributes.to_vec();
        if depth > 0 {
            let mut names = ["Algorithm", "Größe", "Type", "URI", "n"].to_vec();
            names.retain(|_| self.dice.once_in(4));
            names.sort_unstable();
            for name in names {
                let value = self.value();
                attributes.push(format!("{name}=\"{value}\""));
            }
        }
        let children = if depth >= 4 { 0 } else { self.dice.below(4) };
        if children == 0 && self.is_odd() {
            self.tag(name, &attributes);
            self.out.pop();
            self.out.push_str("/>");
            return;
        }
        self.tag(name, &attributes);
        self.text();
        for _ in 0..children {
            let prefix = if self.dice.once_in(2) {
                ""
            } else {
                self.dice.one(&PREFIXED).0
            };
            let local = self.dice.one(&["a", "Kind", "b-1", "Straße", "x.y"]);
            let name = if prefix.is_empty() {
                local.to_owned()
            } else {
                format!("{prefix}:{local}")
            };
            let mut inside = rendered.to_vec();
            let mut declared = Vec::new();
            // Where it is needed, and seldom where it is not or not where it is.
            if rendered.contains(&prefix) == self.is_odd() {
                declared.push(if prefix.is_empty() {
                    OWN.to_owned()
                } else {
                    declaration(prefix)
                });
                inside.push(prefix);
            }
            if self.is_odd() {
                let early = self.dice.one(&PREFIXED).0;
                if early != prefix {
                    declared.push(declaration(early));
                    declared.sort_unstable();
                }
            }
            self.element(&name, &declared, depth + 1, &inside);
            self.text();
        }
        self.end(name);
    }

    fn tag(&mut self, name: &str, attributes: &[String]) {
        let mut attributes = attributes.to_vec();
        if attributes.len() > 1 && self.is_odd() {
            let one = self.dice.below(attributes.len());
            attributes.swap(0, one);
        }
        self.out.push('<');
        self.out.push_str(name);
        for attribute in attributes {
            let space = if self.is_odd() {
                self.dice.one(&["  ", "\n", "\t"])
            } else {
                " "
            };
            self.out.push_str(space);
            if self.is_odd() && !attribute.contains('\'') {
                self.out.push_str(&attribute.replace('"', "'"));
            } else if self.is_odd() {
                self.out.push_str(&attribute.replacen('=', " = ", 1));
            } else {
                self.out.push_str(&attribute);
            }
        }
        if self.is_odd() {
            self.out.push(' ');
        }
        self.out.push('>');
    }

    fn end(&mut self, name: &str) {
        let space = if self.is_odd() { " " } else { "" };
        self.out.push_str(&format!("</{name}{space}>"));
    }

    fn text(&mut self) {
        for _ in 0..self.dice.below(4) {
            let piece = if self.is_odd() {
                self.dice.one(&[
                    ">",
                    "&#62;",
                    "&quot;",
                    "&apos;",
                    "&#xA;",
                    "&#13;",
                    "&#xd;",
                    "\r",
                    "\r\n",
                    "<![CDATA[a]]>",
                    "<!-- -->",
                    "<?p?>",
                    "&#65;",
                    "]]>",
                    "&b;",
                    "&",
                    "\u{1}",
                ])
            } else {
                self.dice.one(&[
                    "a", "ä𝄞", " ", "\n", "\t", "&amp;", "&lt;", "&gt;", "&#xD;", "\"", "'", "]]", "=",
                ])
            };
            self.out.push_str(piece);
        }
    }

    fn value(&mut self) -> String {
        let mut value = String::new();
        for _ in 0..self.dice.below(4) {
            value.push_str(if self.is_odd() {
                self.dice.one(&[
                    "\t", "\n", "\r\n", "&gt;", "&apos;", "&#34;", "&#xa;", "&#13;", "<", "&b;", "&#9;",
                ])
            } else {
                self.dice.one(&[
                    "a", "ö", " ", ">", "'", "&amp;", "&lt;", "&quot;", "&#x9;", "&#xA;", "&#xD;", "#", ":",
                ])
            });
        }
        value
    }
}
