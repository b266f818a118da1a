//! PDF files from nothing: a letter and a scan.
//!
//! Written by hand after ISO 32000-1, because a sample needs one page and no library. The files have a correct
//! cross-reference table and open in ordinary viewers. Text is limited to the Latin-1 letters that the built-in fonts
//! carry; any other character becomes a question mark.

use bytes::Bytes;

/// The width of the scanned page in dots.
const SCAN_WIDTH: usize = 1024;

/// One page with `lines` below each other.
pub(super) fn letter(lines: &[String]) -> Bytes {
    let mut text = b"BT /F1 12 Tf 16 TL 72 770 Td\n".to_vec();
    for line in lines {
        text.push(b'(');
        text.extend(latin1(line));
        text.extend_from_slice(b") Tj T*\n");
    }
    text.extend_from_slice(b"ET\n");
    page(&text, None)
}

/// One page with a heading and a grey picture of noise that makes the file about `octets` long.
///
/// Noise, because a scan does not compress either, and because a lost, doubled or displaced block shows in its digest.
pub(super) fn scan(heading: &str, seed: u64, octets: usize) -> Bytes {
    let mut text = b"q 595 0 0 760 0 0 cm /Im1 Do Q BT /F1 12 Tf 72 790 Td (".to_vec();
    text.extend(latin1(heading));
    text.extend_from_slice(b") Tj ET\n");
    let height = (octets / SCAN_WIDTH).max(1);
    page(
        &text,
        Some(&Picture {
            height,
            dots: noise(seed, SCAN_WIDTH * height),
        }),
    )
}

/// Eight-bit grey dots, row by row.
struct Picture {
    height: usize,
    dots: Vec<u8>,
}

/// A document of one A4 page that draws `text` (page operators) and may use `picture` as `/Im1`.
fn page(text: &[u8], picture: Option<&Picture>) -> Bytes {
    let mut file = Writer {
        octets: b"%PDF-1.4\n%\xE2\xE3\xCF\xD3\n".to_vec(),
        objects: Vec::new(),
    };
    let pictures = if picture.is_some() {
        " /XObject << /Im1 6 0 R >>"
    } else {
        ""
    };
    file.object("<< /Type /Catalog /Pages 2 0 R >>", None);
    file.object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>", None);
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R \
         /Resources << /Font << /F1 4 0 R >>{pictures} >> >>"
    );
    file.object(&page, None);
    file.object(
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        None,
    );
    file.object(&format!("<< /Length {} >>", text.len()), Some(text));
    if let Some(Picture { height, dots }) = picture {
        let head = format!(
            "<< /Type /XObject /Subtype /Image /Width {SCAN_WIDTH} /Height {height} /ColorSpace /DeviceGray \
             /BitsPerComponent 8 /Length {} >>",
            dots.len()
        );
        file.object(&head, Some(dots));
    }
    file.finish()
}

/// Numbers the objects from 1 and remembers where each begins.
struct Writer {
    octets: Vec<u8>,
    objects: Vec<usize>,
}

impl Writer {
    fn object(&mut self, dictionary: &str, stream: Option<&[u8]>) {
        self.objects.push(self.octets.len());
        self.text(&format!("{} 0 obj\n{dictionary}\n", self.objects.len()));
        if let Some(stream) = stream {
            self.text("stream\n");
            self.octets.extend_from_slice(stream);
            self.text("\nendstream\n");
        }
        self.text("endobj\n");
    }

    fn finish(mut self) -> Bytes {
        let table = self.octets.len();
        let count = self.objects.len() + 1;
        self.text(&format!("xref\n0 {count}\n0000000000 65535 f \n"));
        for offset in std::mem::take(&mut self.objects) {
            self.text(&format!("{offset:010} 00000 n \n"));
        }
        self.text(&format!(
            "trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
        ));
        self.octets.into()
    }

    fn text(&mut self, text: &str) {
        self.octets.extend_from_slice(text.as_bytes());
    }
}

/// The octets of `text` inside a PDF string.
fn latin1(text: &str) -> impl Iterator<Item = u8> {
    text.chars().flat_map(|c| {
        let octet = u8::try_from(u32::from(c)).unwrap_or(b'?');
        let escape = matches!(octet, b'(' | b')' | b'\\').then_some(b'\\');
        escape.into_iter().chain(std::iter::once(octet))
    })
}

/// `length` octets that look like chance and are not: xorshift64 from `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the cross-reference table says object `number` begins.
    fn offset_of(file: &[u8], number: usize) -> usize {
        let tail = String::from_utf8_lossy(&file[file.len() - 64..]).into_owned();
        let table: usize = tail
            .split("startxref\n")
            .nth(1)
            .unwrap()
            .split('\n')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let head = format!(
            "xref\n0 {}\n",
            if file.windows(6).any(|w| w == b"/XObje") { 7 } else { 6 }
        );
        let line = table + head.len() + 20 * number;
        assert_eq!(&file[table..table + head.len()], head.as_bytes());
        std::str::from_utf8(&file[line..line + 10]).unwrap().parse().unwrap()
    }

    #[test]
    fn the_table_points_at_every_object() {
        let scan = scan("Überschrift (Beispiel)", 1, 64 * 1024);
        for number in 1..=6 {
            assert!(scan[offset_of(&scan, number)..].starts_with(format!("{number} 0 obj\n").as_bytes()));
        }
        let letter = letter(&["eine Zeile".to_owned()]);
        for number in 1..=5 {
            assert!(letter[offset_of(&letter, number)..].starts_with(format!("{number} 0 obj\n").as_bytes()));
        }
    }

    #[test]
    fn text_cannot_leave_its_string() {
        assert_eq!(latin1(r"a)b(c\d€").collect::<Vec<_>>(), br"a\)b\(c\\d?");
    }

    #[test]
    fn another_seed_gives_other_octets_and_the_same_seed_the_same() {
        assert_eq!(noise(7, 1000), noise(7, 1000));
        assert_ne!(noise(7, 1000), noise(8, 1000));
        // The one seed that would stand still: xorshift never leaves zero.
        assert!(noise(0x9E37_79B9_7F4A_7C16, 64).iter().any(|octet| *octet != 0));
    }
}
