//! W3C Trace Context, level 1: the header `traceparent` and nothing else.
//!
//! It is taken from outside only where it is exactly what the standard writes; anything else is as if it were not there.
//! `tracestate` is not carried: it is text that others typed, and nothing of ours needs it. Nothing rests on a trace: it
//! is no part of what is signed, and a wrong one misleads nobody but whoever looks at traces.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// To which trace something belongs, and under which of its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    span: u64,
    sampled: bool,
}

/// What is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATrace;

/// The length of `traceparent` in version 00.
const LENGTH: usize = 55;

/// The flag that says that whoever made the trace records it.
const SAMPLED: u8 = 1;

impl Trace {
    /// A trace that begins here.
    pub fn begin(sampled: bool) -> Self {
        Self {
            id: Uuid::new_v4().as_u128(),
            span: new_span(),
            sampled,
        }
    }

    /// The same trace, under a span of its own.
    pub fn under(&self) -> Self {
        Self {
            span: new_span(),
            ..*self
        }
    }

    /// What a header says, if it is a well-formed `traceparent`.
    pub fn of_header(value: &[u8]) -> Option<Self> {
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// The id of the whole trace.
    pub fn id(&self) -> [u8; 16] {
        self.id.to_be_bytes()
    }

    /// The id of the span that what follows lies under.
    pub fn span(&self) -> [u8; 8] {
        self.span.to_be_bytes()
    }

    /// Whether it is to be recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

/// Never zero: the version of a UUID stands within these bits.
fn new_span() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { SAMPLED } else { 0 };
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.id, self.span)
    }
}

impl FromStr for Trace {
    type Err = NotATrace;

    fn from_str(text: &str) -> Result<Self, NotATrace> {
        let (head, rest) = text.split_at_checked(LENGTH).ok_or(NotATrace)?;
        let mut parts = head.split('-');
        let mut part = |digits: usize| {
            let lower_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            parts
                .next()
                .filter(|part| part.len() == digits && part.bytes().all(lower_hex))
                .ok_or(NotATrace)
        };
        let (version, id, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // of a later version only what is known of this one may be read, and only where it ends or goes on as it must
        let ends = match version {
            "00" => rest.is_empty(),
            "ff" => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let trace = Self {
            id: u128::from_str_radix(id, 16).map_err(|_| NotATrace)?,
            span: u64::from_str_radix(span, 16).map_err(|_| NotATrace)?,
            sampled: u8::from_str_radix(flags, 16).map_err(|_| NotATrace)? & SAMPLED == SAMPLED,
        };
        match ends && trace.id != 0 && trace.span != 0 {
            true => Ok(trace),
            false => Err(NotATrace),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_well_formed_is_read_and_written_the_same() {
        let trace: Trace = GOOD.parse().unwrap();
        assert_eq!(trace.to_string(), GOOD);
        assert!(trace.is_sampled());
        assert_eq!(trace.id()[..2], [0x4b, 0xf9]);
        assert_eq!(trace.span()[1], 0xf0);
        // flags of later versions are not ours to pass on
        let other = Trace::of_header(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe").unwrap();
        assert!(!other.is_sampled());
        assert!(other.to_string().ends_with("-00"));
        assert!(format!("cc{}-what-ever", &GOOD[2..]).parse::<Trace>().is_ok());
    }

    #[test]
    fn anything_else_is_nothing() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-01"),
            &format!("{GOOD} "),
            &format!(" {}", &GOOD[..54]),
            &GOOD.to_uppercase(),
            &format!("ff{}", &GOOD[2..]),
            &format!("cc{}x", &GOOD[2..]),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473+-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e47-3600f067aa0ba902b7-01\u{e4}\u{e4}",
            "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}",
        ] {
            assert_eq!(Trace::of_header(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Trace::of_header(&[0xff; 55]), None);
    }

    #[test]
    fn a_child_stays_in_its_trace() {
        let trace = Trace::begin(true);
        let under = trace.under();
        assert_eq!((trace.id(), true), (under.id(), under.is_sampled()));
        assert_ne!(trace.span(), under.span());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_taken_reads_back(text in "[0-9a-f-]{0,60}|\\PC{0,60}") {
            if let Ok(trace) = text.parse::<Trace>() {
                prop_assert_eq!(trace.to_string().parse(), Ok(trace));
            }
        }
    }
}
