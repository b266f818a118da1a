//! Our two judgements about spelling are libxml2's: what arrives is taken exactly when libxml2 would hash the octets that
//! arrived, and `canonicalize` gives its exclusive-canonical form or refuses by name.
//!
//! The documents are generated, some thousands, in canonical, nearly canonical and quite other spellings. Each run
//! prints its seed; `VIERECK_SEED` repeats it and `VIERECK_DOCUMENTS` sets how many there are. A kind of verdict that is
//! rare would mean that the generator no longer asks: then the test fails.

mod general;
mod ours;

use std::collections::BTreeMap;

use harness::python::{Canonicalizer, Python};
use viereck_envelope::{Refused, Uncanonical, canonicalize, check_spelling};
use viereck_targets::Dice;

/// How many documents each test generates.
fn documents() -> usize {
    std::env::var("VIERECK_DOCUMENTS").map_or(5_000, |text| text.parse().expect("VIERECK_DOCUMENTS is a number"))
}

/// How often each verdict occurred.
#[derive(Default)]
struct Verdicts(BTreeMap<&'static str, usize>);

impl Verdicts {
    fn count(&mut self, verdict: &'static str) {
        *self.0.entry(verdict).or_default() += 1;
    }

    /// Prints all; each of these has to be at least one in twenty.
    fn account(&self, of: &str, often: &[&str]) {
        let all: usize = self.0.values().sum();
        assert!(all > 0, "{of}: nothing was compared");
        for (verdict, count) in &self.0 {
            println!("{of}: {count:>6} {verdict}");
        }
        for verdict in often {
            let count = self.0.get(verdict).copied().unwrap_or_default();
            assert!(count * 20 >= all, "{of}: only {count} of {all} are {verdict}");
        }
    }
}

#[test]
fn what_arrives_is_taken_exactly_when_libxml2_hashes_the_same_octets() -> anyhow::Result<()> {
    let seed = Dice::seed();
    println!("VIERECK_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut libxml2 = Python::find()?.canonicalizer()?;
    let mut verdicts = Verdicts::default();
    for number in 0..documents() {
        let document = ours::document(&mut dice);
        let ours = check_spelling(document.text.as_bytes());
        let theirs = hashes_what_arrived(&mut libxml2, &document)?;
        // The one thing that has a canonical form and is forbidden all the same.
        let forbidden = ours == Err(Refused::ProcessingInstruction);
        assert!(
            ours.is_ok() == theirs || forbidden,
            "document {number}: we say {ours:?}, libxml2 {theirs}:\n{}",
            document.text
        );
        verdicts.count(match ours {
            Ok(()) => "taken by both",
            Err(refused) => refused.code(),
        });
    }
    verdicts.account("spelling", &["taken by both", "not-canonical"]);
    Ok(())
}

/// Whether libxml2's form of each part that is hashed on its own, and of what stands around them, is what stands there.
fn hashes_what_arrived(libxml2: &mut Canonicalizer, document: &ours::Document) -> anyhow::Result<bool> {
    for (id, part) in &document.parts {
        if libxml2.ask(document.text.as_bytes(), id)?.as_deref() != Ok(part.as_bytes()) {
            return Ok(false);
        }
    }
    let around = libxml2.ask(document.around.as_bytes(), "")?;
    Ok(around.as_deref() == Ok(document.around.as_bytes()))
}

#[test]
fn canonicalize_gives_libxml2s_form_or_refuses_by_name() -> anyhow::Result<()> {
    let seed = Dice::seed();
    println!("VIERECK_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut libxml2 = Python::find()?.canonicalizer()?;
    let (mut whole, mut elements) = (Verdicts::default(), Verdicts::default());
    for number in 0..documents() {
        let document = general::document(&mut dice);
        for (id, verdicts) in [("", &mut whole), (document.id.as_str(), &mut elements)] {
            let wanted = Some(id).filter(|id| !id.is_empty());
            let ours = canonicalize(&document.octets, wanted);
            let theirs = libxml2.ask(&document.octets, id)?;
            let shown = || String::from_utf8_lossy(&document.octets).into_owned();
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => assert!(
                    ours.as_bytes() == theirs,
                    "document {number}, Id {id:?}:\n{}\nours   {ours}\ntheirs {}",
                    shown(),
                    String::from_utf8_lossy(theirs)
                ),
                (Ok(ours), Err(why)) => panic!("document {number}, Id {id:?}: libxml2 refuses ({why}), we say\n{ours}"),
                // What is well-formed must not be called ill-formed.
                (Err(Uncanonical::NotWellFormed), Ok(theirs)) => panic!(
                    "document {number}, Id {id:?}: called not well-formed, libxml2 says\n{}\n{}",
                    String::from_utf8_lossy(theirs),
                    shown()
                ),
                (Err(_), _) => {}
            }
            verdicts.count(match ours {
                Ok(form) if wanted.is_none() && form.as_bytes() == document.octets => "the same, and canonical already",
                Ok(_) => "the same form",
                Err(reason) => reason.code(),
            });
        }
    }
    let often = ["the same form", "the same, and canonical already", "not-well-formed"];
    whole.account("documents", &often);
    elements.account("elements", &["the same form", "not-well-formed"]);
    Ok(())
}
