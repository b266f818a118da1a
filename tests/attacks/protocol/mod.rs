//! Attacks on the protocol: against real journals of custodians, each ending in an account.
//!
//! Nothing is played here: octets are taken, receipts folded, answers handed over, by the code that runs in production,
//! on journals in a folder. A case says what refused the attack, after it has made sure that the attack had no effect:
//! nothing handed over twice, no status that nobody entitled has stated, the first of two standing.

mod answers;
mod receipts;
mod repeats;
mod replay;

use std::pin::Pin;

use crate::case::{Attacker, Refusal};

/// What came of an attack.
pub(crate) enum Effect {
    /// None: refused by this.
    None(Refusal),
    /// It says the same as what was taken before; so many times it was answered and had no effect.
    Same(usize),
    /// One that should not be, in words.
    Wrong(String),
}

/// A case while it runs.
type Act = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Effect>>>>;

/// One attack.
pub(crate) struct Case {
    pub(crate) family: &'static str,
    pub(crate) by: Attacker,
    pub(crate) name: &'static str,
    pub(crate) expected: Refusal,
    pub(crate) act: Act,
}

/// A case that `act` runs.
fn case<F: Future<Output = Effect> + 'static>(
    family: &'static str,
    by: Attacker,
    name: &'static str,
    expected: Refusal,
    act: impl Fn() -> F + 'static,
) -> Case {
    Case {
        family,
        by,
        name,
        expected,
        act: Box::new(move || Box::pin(act())),
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = replay::cases();
    cases.extend(repeats::cases());
    cases.extend(answers::cases());
    cases.extend(receipts::cases());
    cases
}

/// Compares what is with what should be; the attack is refused by `refusal` only if they are equal.
fn unharmed<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, should_be: &T, refusal: Refusal) -> Effect {
    match is == should_be {
        true => Effect::None(refusal),
        false => Effect::Wrong(format!("{what}: {is:?}, not {should_be:?}")),
    }
}
