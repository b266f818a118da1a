//! Looking for words in octets, in every encoding, also in what is compressed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aho_corasick::AhoCorasick;

use super::canaries::Canaries;
use super::encodings;

/// What gzip begins with.
const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];

/// Somewhere to look.
pub(super) struct Place {
    /// What it is called in the account.
    pub(super) name: &'static str,
    /// What is looked at.
    pub(super) source: Source,
    /// What stands there in the clear in any case: it tells that the right thing was looked at.
    pub(super) witness: Option<String>,
}

/// What is looked at.
pub(super) enum Source {
    /// Files, and everything below folders.
    Files(Vec<PathBuf>),
    /// What was heard, read or printed.
    Octets(Vec<u8>),
}

/// A word that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    /// The place it was typed in.
    pub(super) canary: String,
    /// How it is spelled.
    pub(super) encoding: &'static str,
    /// The first one: where, and what stands around it.
    pub(super) at: String,
}

/// What came of one place.
pub(super) struct Looked {
    /// Its name.
    pub(super) name: &'static str,
    /// How much was looked at.
    pub(super) octets: usize,
    /// What was found, each word once in each spelling and file.
    pub(super) hits: Vec<Hit>,
}

/// All words in all spellings.
pub(super) struct Scan {
    automaton: AhoCorasick,
    meanings: Vec<(String, &'static str)>,
}

impl Scan {
    /// Of all words there are by now.
    pub(super) fn of(canaries: &Canaries) -> Self {
        let (mut meanings, mut needles) = (vec![], vec![]);
        for (place, word) in canaries.all() {
            for (encoding, needle) in encodings::of(&word) {
                meanings.push((place.clone(), encoding));
                needles.push(needle);
            }
        }
        let automaton = AhoCorasick::new(&needles).unwrap();
        Self { automaton, meanings }
    }

    /// Looks at a place.
    ///
    /// # Panics
    /// When its witness is missing: then it was not looked at.
    pub(super) fn look(&self, place: &Place) -> Looked {
        let (mut octets, mut hits, mut seen) = (0, vec![], place.witness.is_none());
        let witness = place
            .witness
            .as_ref()
            .map(|witness| AhoCorasick::new([witness]).unwrap());
        let mut one = |name: &str, content: &[u8]| {
            octets += content.len();
            hits.extend(self.octets(name, content));
            seen = seen || witness.as_ref().is_some_and(|witness| witness.is_match(content));
        };
        match &place.source {
            Source::Octets(content) => one("", content),
            Source::Files(roots) => {
                for file in roots.iter().flat_map(|root| files(root)) {
                    // a file may go while one looks: what was in it stands in another one then
                    if let Ok(content) = std::fs::read(&file) {
                        one(&file.display().to_string(), &content);
                    }
                    // its name is a place too
                    one("the name of a file", file.display().to_string().as_bytes());
                }
            }
        }
        assert!(seen, "{}: its witness {:?} is not there", place.name, place.witness);
        Looked {
            name: place.name,
            octets,
            hits,
        }
    }

    /// What stands in these octets, as they are, without line breaks, and unpacked.
    pub(super) fn octets(&self, name: &str, octets: &[u8]) -> Vec<Hit> {
        let mut hits = BTreeMap::new();
        self.find(name, octets, &mut hits);
        if octets.contains(&b'\n') {
            let joined: Vec<u8> = octets
                .iter()
                .copied()
                .filter(|octet| !b"\r\n".contains(octet))
                .collect();
            self.find(&format!("{name}, lines joined"), &joined, &mut hits);
        }
        for packed in AhoCorasick::new([GZIP]).unwrap().find_iter(octets) {
            self.find(
                &format!("{name}, unpacked"),
                &unpacked(&octets[packed.start()..]),
                &mut hits,
            );
        }
        hits.into_values().collect()
    }

    fn find(&self, name: &str, octets: &[u8], hits: &mut BTreeMap<usize, Hit>) {
        for found in self.automaton.find_overlapping_iter(octets) {
            let index = found.pattern().as_usize();
            hits.entry(index).or_insert_with(|| {
                let (canary, encoding) = self.meanings[index].clone();
                let around =
                    octets[found.start().saturating_sub(120)..(found.end() + 60).min(octets.len())].escape_ascii();
                let at = format!("{name}:{}: …{around}…", found.start());
                Hit { canary, encoding, at }
            });
        }
    }
}

/// All files below a path, or the path itself.
fn files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return vec![root.to_owned()];
    };
    let mut all: Vec<PathBuf> = entries.flatten().flat_map(|entry| files(&entry.path())).collect();
    all.sort();
    all
}

/// What `gzip` makes of it; what merely looks like the beginning comes to nothing.
fn unpacked(octets: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip");
    let gzip = gzip
        .args(["-dcq"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut gzip = gzip.spawn().expect("gzip");
    let mut input = gzip.stdin.take().unwrap();
    let octets = octets.to_vec();
    // it stops reading where the packed part ends
    let writing = std::thread::spawn(move || drop(input.write_all(&octets)));
    let unpacked = gzip.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    unpacked
}
