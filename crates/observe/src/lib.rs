//! WHAT IS SEEN of it: metrics declared once, and the trace that a message belongs to. A leaf.
//!
//! What it is for: every room counts and times by the same means, and a message keeps its W3C trace context from the
//! client's request to the Fachverfahren, however many processes and hours lie between.
//!
//! What it guarantees:
//! - a [`Metric`] is declared once, with the closed list of words of each of its labels; what is not on the list is not
//!   counted, so no text from outside can become a label;
//! - counting costs an atomic addition, and nothing at all where nobody records;
//! - a [`Trace`] is taken from outside only where it is well-formed, and what is not sampled makes no [`Span`].
//!
//! What it deliberately does not do: show or send anything (the binary decides who records and who collects), or know
//! what is measured.

mod instrument;
mod metric;
mod span;
mod trace;

pub use instrument::{Counters, Histograms, record_with};
pub use metric::{Kind, Label, Metric, Unit, Values};
pub use span::{Ended, Span, SpanName, collect_with, collects};
pub use trace::Trace;

/// Handles of one series each, see [`Metric::counter`] and its siblings.
pub use metrics::{Counter, Gauge, Histogram, SharedString};
