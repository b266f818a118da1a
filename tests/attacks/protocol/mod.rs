//! Attacks on the protocol: against real journals of custodians, each ending in an account.

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

/// One attack.
pub(crate) struct Case {
    pub(crate) family: &'static str,
    pub(crate) by: Attacker,
    pub(crate) name: &'static str,
    pub(crate) expected: Refusal,
    pub(crate) act: Box<dyn Fn() -> Pin<Box<dyn Future<Output = Effect>>>>,
}

pub(crate) fn cases() -> Vec<Case> {
    vec![]
}
