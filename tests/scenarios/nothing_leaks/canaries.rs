//! Words that nobody else would write: one for each place somebody can type in, so that a hit names where it came from.

use std::collections::BTreeMap;
use std::sync::Mutex;

use uuid::Uuid;

/// All words of one run, by the place they were typed in.
#[derive(Default)]
pub(super) struct Canaries(Mutex<BTreeMap<String, String>>);

impl Canaries {
    /// The word of a place; the same each time.
    pub(super) fn word(&self, place: &str) -> String {
        let mut words = self.0.lock().unwrap();
        words.entry(place.to_owned()).or_insert_with(random).clone()
    }

    /// Something that is there already and is no less secret: a token, a password.
    pub(super) fn secret(&self, what: &str, text: &str) {
        assert!(text.len() >= 12, "{what} is too short to be told from other text");
        self.0.lock().unwrap().insert(what.to_owned(), text.to_owned());
    }

    /// Every word with its place.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        let words = self.0.lock().unwrap();
        words
            .iter()
            .map(|(place, word)| (place.clone(), word.clone()))
            .collect()
    }
}

/// Twenty lower-case letters: they survive as a header name, a host name, a JSON key and a file name.
fn random() -> String {
    let random = [Uuid::new_v4(), Uuid::new_v4()];
    // the seventh and the ninth octet of such an id are not all random
    let octets = random.iter().flat_map(|id| id.as_bytes().iter().enumerate());
    let octets = octets.filter(|(index, _)| ![6, 8].contains(index));
    octets
        .map(|(_, octet)| char::from(b'a' + octet % 26))
        .take(20)
        .collect()
}
