//! One attack: who makes it, what it does, and by what it has to be refused.

use std::fmt;

use viereck_custody::inbox::Taken;
use viereck_custody::receipts::Standing;
use viereck_envelope::{OpenError, Reason, Refused};

/// What the attacker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attacker {
    /// Sees and changes what travels, and has no key.
    Path,
    /// Another participant of the network: its own key is pinned for its own name.
    Participant,
    /// The gateway that seals the message, with its own signing key and the content key.
    Sender,
    /// A custodian that states receipts: the broker, or a reader's gateway.
    Custodian,
    /// The reader, who knows the content and wants somebody else to take it for a message to them.
    Reader,
}

impl fmt::Display for Attacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Attacker::Path => "path",
            Attacker::Participant => "participant",
            Attacker::Sender => "sender",
            Attacker::Custodian => "custodian",
            Attacker::Reader => "reader",
        })
    }
}

/// By which step, and with which code, an attack was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// [`viereck_envelope::verify`] or [`viereck_envelope::verify_batch`].
    Verify(Refused),
    /// [`viereck_envelope::open`].
    Open(OpenError),
    /// The question whether gateway, author and reader may do this: [`viereck_custody::authorise`].
    Authorise(Reason),
    /// [`viereck_envelope::verify_event`]: no proof.
    Proof,
    /// The reader's gateway, as it takes messages.
    Take(Taken),
    /// The author's gateway, as it takes receipts, and what it made of them.
    Receipt(Standing, &'static str),
    /// The hand-over: the message ends with this reason.
    HandOver(Reason),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Refusal::Verify(refused)
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        Refusal::Open(error)
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Refusal::Authorise(reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Verify(refused) => write!(f, "verify {}", refused.code()),
            Refusal::Open(error) => write!(f, "open {}", error.code()),
            Refusal::Authorise(reason) => write!(f, "authorise {}", reason.code()),
            Refusal::Proof => f.write_str("proof none"),
            Refusal::Take(Taken::Refused(reason)) => write!(f, "take {}", reason.code()),
            Refusal::Take(Taken::Parked(reason)) => write!(f, "take parked {}", reason.code()),
            Refusal::Take(Taken::Repeated) => f.write_str("take repeated"),
            Refusal::Take(Taken::NotYet) => f.write_str("take not-yet"),
            Refusal::Take(Taken::New) => f.write_str("take new"),
            Refusal::Receipt(Standing::Taken, what) => write!(f, "receipt {what}"),
            Refusal::Receipt(Standing::Refused, what) => write!(f, "receipt parked {what}"),
            Refusal::Receipt(Standing::NotYet, what) => write!(f, "receipt not-yet {what}"),
            Refusal::HandOver(reason) => write!(f, "hand-over {}", reason.code()),
        }
    }
}

/// What is judged.
pub(crate) enum Attempt<'a> {
    /// A document that wants to be an envelope.
    Envelope(Box<dyn Fn() -> Vec<u8> + 'a>),
    /// A document that wants to be a receipt batch.
    Batch(Box<dyn Fn() -> Vec<u8> + 'a>),
    /// The proof of one event: whether it is believed.
    Proof(Box<dyn Fn() -> bool + 'a>),
}

/// One attack.
pub(crate) struct Case<'a> {
    pub(crate) by: Attacker,
    /// What is done, as the end of a sentence.
    pub(crate) name: String,
    pub(crate) expected: Refusal,
    pub(crate) attempt: Attempt<'a>,
}

/// The attacks of one family.
pub(crate) struct Cases<'a> {
    pub(crate) family: &'static str,
    pub(crate) list: Vec<Case<'a>>,
}

impl<'a> Cases<'a> {
    pub(crate) fn of(family: &'static str) -> Self {
        Self { family, list: vec![] }
    }

    /// A document that wants to be an envelope.
    pub(crate) fn add(
        &mut self,
        by: Attacker,
        name: impl Into<String>,
        document: impl Into<Vec<u8>>,
        expected: impl Into<Refusal>,
    ) {
        let document: Vec<u8> = document.into();
        self.large(by, name, move || document.clone(), expected);
    }

    /// The same, made only when it is judged, because it is large.
    pub(crate) fn large<D: Into<Vec<u8>>>(
        &mut self,
        by: Attacker,
        name: impl Into<String>,
        make: impl Fn() -> D + 'a,
        expected: impl Into<Refusal>,
    ) {
        self.push(by, name, Attempt::Envelope(Box::new(move || make().into())), expected);
    }

    /// A document that wants to be a receipt batch.
    pub(crate) fn batch(
        &mut self,
        by: Attacker,
        name: impl Into<String>,
        document: impl Into<Vec<u8>>,
        expected: impl Into<Refusal>,
    ) {
        let document: Vec<u8> = document.into();
        self.push(by, name, Attempt::Batch(Box::new(move || document.clone())), expected);
    }

    /// The proof of one event.
    pub(crate) fn proof(&mut self, by: Attacker, name: impl Into<String>, believed: impl Fn() -> bool + 'a) {
        self.push(by, name, Attempt::Proof(Box::new(believed)), Refusal::Proof);
    }

    fn push(&mut self, by: Attacker, name: impl Into<String>, attempt: Attempt<'a>, expected: impl Into<Refusal>) {
        self.list.push(Case {
            by,
            name: name.into(),
            expected: expected.into(),
            attempt,
        });
    }
}
