//! Documents of any vocabulary: prefixes bound and bound anew, default namespaces taken back, every spelling that XML
//! has for one thing, and now and then what is no XML.

use viereck_targets::Dice;

const NAMESPACES: [&str; 6] = [
    "urn:a",
    "urn:b",
    "http://example.org/a?b=c#d",
    "http://www.w3.org/2000/09/xmldsig#",
    "tag:x,2026:%C3%A4",
    "urn:viereck:envelope:1",
];
const PREFIXES: [&str; 5] = ["a", "b", "ds", "ä", "z-1"];
const NAMES: [&str; 6] = ["a", "b", "Größe", "x.y", "_", "xmls"];

/// A document, and an Id that stands in it once if it is what it should be.
pub(super) struct Document {
    pub(super) octets: Vec<u8>,
    pub(super) id: String,
}

pub(super) fn document(dice: &mut Dice) -> Document {
    let plain = dice.once_in(4);
    let mut writer = Writer {
        odd: dice.one(&[0, 300, 60]),
        plain,
        out: String::new(),
        ids: 0,
        dice,
    };
    writer.prologue();
    writer.element(0, &[]);
    if !plain && writer.dice.once_in(4) {
        writer.out.push_str(" \r\n");
    }
    let (ids, text) = (writer.ids, writer.out);
    let id = format!("i{}", dice.below(ids));
    let mut octets = text.into_bytes();
    if dice.once_in(6) {
        damage(dice, &mut octets);
    }
    Document { octets, id }
}

/// Changes some octets as a line or a hand might, but for the declaration: libxml2 takes `version='1.'`, which is none.
fn damage(dice: &mut Dice, octets: &mut Vec<u8>) {
    let declaration = octets
        .windows(2)
        .position(|window| window == b"?>")
        .map_or(0, |at| at + 2);
    for _ in 0..=dice.below(2) {
        let at = declaration + dice.below(octets.len() - declaration);
        match dice.below(4) {
            0 => octets[at] ^= 1 << dice.below(8),
            1 => drop(octets.remove(at)),
            2 => octets.insert(at, dice.one(b"<>&\"'/=: \r;]!?\x00\xff")),
            _ => octets.truncate(at.max(declaration + 1)),
        }
    }
}

struct Writer<'d> {
    dice: &'d mut Dice,
    /// How seldom something stands there that is no XML or that the profile forbids; 0 is never.
    odd: usize,
    /// Whether all is spelled canonically, as far as a tag on its own can be.
    plain: bool,
    out: String,
    ids: usize,
}

impl Writer<'_> {
    fn is_odd(&mut self) -> bool {
        self.odd > 0 && self.dice.once_in(self.odd)
    }

    fn prologue(&mut self) {
        if self.is_odd() {
            let odd = [
                "<!DOCTYPE a>",
                "<!-- -->",
                "<?p q?>",
                " <?xml version='1.0'?>",
                "<?xml version='1.0' encoding='latin1'?>",
            ];
            self.out.push_str(self.dice.one(&odd));
        } else if !self.plain && self.dice.once_in(3) {
            let usual = [
                "<?xml version=\"1.0\"?>",
                "<?xml version='1.0' encoding='utf-8' ?>\n",
                "<?xml version=\"1.0\"\tencoding=\"UTF-8\" standalone='no'?>\r\n",
                "\u{feff}",
                "\n",
            ];
            self.out.push_str(self.dice.one(&usual));
        }
    }

    /// An element under these prefixes, the empty one for a default namespace.
    fn element(&mut self, depth: usize, known: &[&'static str]) {
        let mut known = known.to_vec();
        let mut attributes: Vec<String> = Vec::new();
        let mut prefixes = [""].iter().chain(&PREFIXES).copied().collect::<Vec<_>>();
        prefixes.retain(|_| self.dice.once_in(if depth == 0 { 2 } else { 6 }));
        if self.plain {
            // Declared where it is used and nowhere else, as far as this simple rule goes: only at the root, all used.
            prefixes.clear();
        }
        for prefix in prefixes {
            let uri = self.dice.one(&NAMESPACES);
            let uri = if prefix.is_empty() && self.dice.once_in(3) {
                ""
            } else {
                uri
            };
            let uri = if self.is_odd() {
                self.dice.one(&[
                    "relative",
                    "",
                    "a b:c",
                    "urn:&lt;",
                    "http://www.w3.org/XML/1998/namespace",
                ])
            } else {
                uri
            };
            let name = if prefix.is_empty() {
                "xmlns".to_owned()
            } else {
                format!("xmlns:{prefix}")
            };
            let attribute = self.attribute(&name, uri);
            attributes.push(attribute);
            known.push(prefix);
        }
        let prefixed: Vec<&'static str> = known.iter().copied().filter(|prefix| !prefix.is_empty()).collect();
        let name = self.name(&prefixed);
        if self.dice.once_in(3) {
            let id = format!("i{}", self.ids);
            self.ids += 1;
            attributes.push(self.attribute("Id", &id));
        }
        let mut names: Vec<String> = Vec::new();
        for _ in 0..self.dice.below(4) {
            let name = self.name(&prefixed);
            if !names.contains(&name) || self.is_odd() {
                names.push(name);
            }
        }
        if self.plain {
            names.sort_unstable();
        }
        if self.is_odd() {
            names.push(
                self.dice
                    .one(&["xml:lang", "q:undeclared", "a:b:c", "1", "xmlns:xmlns"])
                    .to_string(),
            );
        }
        for name in names {
            let value = self.value();
            attributes.push(self.attribute(&name, &value));
        }
        self.out.push('<');
        self.out.push_str(&name);
        while !attributes.is_empty() {
            let next = if self.plain {
                0
            } else {
                self.dice.below(attributes.len())
            };
            let attribute = attributes.remove(next);
            let space = if self.plain {
                " "
            } else {
                self.dice.one(&[" ", " ", "\n", "\t ", "\r\n"])
            };
            let space = if self.is_odd() { "" } else { space };
            self.out.push_str(space);
            self.out.push_str(&attribute);
        }
        self.finish(&name, depth, &known);
    }

    fn finish(&mut self, name: &str, depth: usize, known: &[&'static str]) {
        let space = if !self.plain && self.dice.once_in(8) { " " } else { "" };
        self.out.push_str(space);
        let children = if depth >= 4 { 0 } else { self.dice.below(4) };
        if children == 0 && !self.plain && self.dice.once_in(2) {
            self.out.push_str("/>");
            return;
        }
        self.out.push('>');
        self.text();
        for _ in 0..children {
            self.element(depth + 1, known);
            self.text();
        }
        let name = if self.is_odd() { "other" } else { name };
        self.out.push_str(&format!("</{name}{space}>"));
    }

    fn name(&mut self, prefixes: &[&'static str]) -> String {
        let local = self.dice.one(&NAMES);
        if prefixes.is_empty() || self.dice.once_in(2) {
            local.to_owned()
        } else {
            format!("{}:{local}", self.dice.one(prefixes))
        }
    }

    /// `name="value"` in some spelling; the value is escaped for both quotes.
    fn attribute(&mut self, name: &str, value: &str) -> String {
        if self.plain || self.dice.once_in(2) {
            return format!("{name}=\"{value}\"");
        }
        let equals = self.dice.one(&["=", " =", "= ", "\n=\t"]);
        if value.contains('\'') {
            format!("{name}{equals}\"{value}\"")
        } else {
            format!("{name}{equals}'{value}'")
        }
    }

    fn value(&mut self) -> String {
        let plain = [
            "a", "ö", " ", ">", "'", "&amp;", "&lt;", "&quot;", "&#x9;", "&#xA;", "&#xD;", "𝄞",
        ];
        let usual = [
            "\t",
            "\n",
            "\r",
            "\r\n",
            "&gt;",
            "&apos;",
            "&#34;",
            "&#xa;",
            "&#0013;",
            "&#x1D11E;",
            "&#9;",
            "]]>",
        ];
        let odd = ["<", "&b;", "&", "&#0;", "&#xD800;", "\u{b}", "\u{ffff}"];
        self.pieces(&plain, &usual, &odd)
    }

    fn text(&mut self) {
        let plain = [
            "a", "ä𝄞", " ", "\n", "\t", "&amp;", "&lt;", "&gt;", "&#xD;", "\"", "'", "]]",
        ];
        let usual = [
            ">",
            "&#62;",
            "&quot;",
            "&apos;",
            "&#xA;",
            "&#13;",
            "&#x000d;",
            "\r",
            "\r\n",
            "<![CDATA[<&>]]>",
            "<![CDATA[]]>",
            "<![CDATA[\r\n]]]>",
            "\u{2028}",
        ];
        let odd = ["<!-- -->", "<?p?>", "]]>", "&b;", "&", "&#xFFFF;", "\u{1}", "<![CDATA["];
        let text = self.pieces(&plain, &usual, &odd);
        self.out.push_str(&text);
    }

    fn pieces(&mut self, plain: &[&str], usual: &[&str], odd: &[&str]) -> String {
        let mut text = String::new();
        for _ in 0..self.dice.below(4) {
            text.push_str(if self.is_odd() {
                self.dice.one(odd)
            } else if self.plain || self.dice.once_in(2) {
                self.dice.one(plain)
            } else {
                self.dice.one(usual)
            });
        }
        text
    }
}
