//! Inputs near genuine ones.

use crate::dice::Dice;

/// Pieces that mean something to one parser or another.
const WORDS: [&str; 40] = [
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x?>",
    "<!DOCTYPE a>",
    "&amp;",
    "&#xD;",
    "&#0;",
    "&a;",
    "\"",
    "'",
    " xmlns=\"\"",
    " xmlns:a=\"urn:a\"",
    "ds:",
    " Id=\"header\"",
    "\r\n",
    "\u{feff}",
    "\0",
    "--b\r\n",
    "--b--",
    "; filename=\"",
    "{",
    "}",
    "[",
    "]",
    "null",
    "1e999",
    "-1",
    "99999999999999999999",
    ",",
    "\\u0000",
    "[[",
    "= ",
    "%00",
    "\u{202e}",
];

/// The largest input that is made.
const LARGEST: usize = 64 * 1024;

/// One to four changes of one of these inputs.
pub fn mutated(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(4) {
        let (start, end) = span(dice, octets.len());
        match dice.below(9) {
            0 | 1 if !octets.is_empty() => {
                let at = dice.below(octets.len());
                octets[at] ^= 1 << dice.below(8);
            }
            2 if !octets.is_empty() => {
                let at = dice.below(octets.len());
                octets[at] = dice.any() as u8;
            }
            3 => drop(octets.drain(start..end)),
            4 => {
                let piece = octets[start..end].to_vec();
                octets.splice(end..end, piece);
            }
            5 => {
                let other = &corpus[dice.below(corpus.len())];
                let (from, to) = span(dice, other.len());
                octets.splice(start..end, other[from..to].iter().copied());
            }
            6 => {
                let piece = dice.one(&WORDS).bytes();
                octets.splice(start..start, piece);
            }
            7 => {
                let piece = dice.one(&WORDS).bytes();
                octets.splice(start..end, piece);
            }
            // Much of the same: depth, repetition, length.
            8 => {
                let piece = octets[start..end.min(start + 32)].repeat(1 << dice.below(10));
                octets.splice(start..start, piece);
            }
            _ => {}
        }
        octets.truncate(LARGEST);
    }
    octets
}

/// A span, more often short than long.
fn span(dice: &mut Dice, length: usize) -> (usize, usize) {
    let start = dice.below(length + 1);
    let longest = (length - start).min(1 << dice.below(12));
    (start, start + dice.below(longest + 1))
}
