//! A step of a message's way as a span of its trace.
//!
//! A span is begun under a trace and ends when it is dropped; only then does the collector of this process hear of it.
//! Times are those of the clock on the wall, because the spans of one trace come from several machines. Where nobody
//! collects, or the trace is not sampled, a step is nothing and passes on the trace as it came.

use std::sync::OnceLock;
use std::time::SystemTime;

use crate::trace::Trace;

type Collector = Box<dyn Fn(Ended) + Send + Sync>;

/// A process has one collector, as it has one log.
static COLLECTOR: OnceLock<Collector> = OnceLock::new();

/// Makes `collector` hear of every step from now on. It is called where the step ends and must not wait.
///
/// A second call in the same process changes nothing.
pub fn collect_with(collector: impl Fn(Ended) + Send + Sync + 'static) {
    // the first one stays
    let _ = COLLECTOR.set(Box::new(collector));
}

/// Whether anybody collects steps: a trace that begins here is sampled then.
pub fn collects() -> bool {
    COLLECTOR.get().is_some()
}

/// The steps of a message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanName {
    /// A request becomes a promise; all of it.
    Accept,
    /// Who is competent.
    Resolve,
    /// Encrypted for the reader and signed.
    Seal,
    /// Put on disk.
    Promise,
    /// Handed to the broker and confirmed.
    Publish,
    /// Verified, authorised and passed to the reader's gateway.
    Relay,
    /// Verified, authorised and put on disk by the reader's gateway.
    Take,
    /// One attempt to hand it over to the Fachverfahren.
    HandOver,
}

impl SpanName {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            SpanName::Accept => "accept",
            SpanName::Resolve => "resolve",
            SpanName::Seal => "seal",
            SpanName::Promise => "promise",
            SpanName::Publish => "publish",
            SpanName::Relay => "relay",
            SpanName::Take => "take",
            SpanName::HandOver => "hand-over",
        }
    }
}

/// A step that is under way.
#[derive(Debug)]
pub struct Span {
    trace: Trace,
    ended: Option<Box<Ended>>,
}

/// A step that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Which.
    pub name: SpanName,
    /// Its trace, and its own span within it.
    pub trace: Trace,
    /// The span it lies under; `None` where the trace begins with it.
    pub parent: Option<[u8; 8]>,
    /// By whom.
    pub custodian: String,
    /// Of which message, once that is known.
    pub message_id: Option<String>,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What came of it: a stable word.
    pub outcome: Option<&'static str>,
}

impl Span {
    /// Begins a step under `parent`.
    pub fn begin(name: SpanName, parent: &Trace, custodian: &str) -> Self {
        match collects() && parent.is_sampled() {
            true => Self::new(name, parent.under(), Some(parent.span()), custodian),
            false => Self::nothing(*parent),
        }
    }

    /// Begins a step under what came with a message, if anything came.
    pub fn begin_if_traced(name: SpanName, parent: Option<&Trace>, custodian: &str) -> Option<Self> {
        parent.map(|parent| Self::begin(name, parent, custodian))
    }

    /// Begins a trace with its first step.
    pub fn begin_trace(name: SpanName, custodian: &str) -> Self {
        match collects() {
            true => Self::new(name, Trace::begin(true), None, custodian),
            false => Self::nothing(Trace::begin(false)),
        }
    }

    fn new(name: SpanName, trace: Trace, parent: Option<[u8; 8]>, custodian: &str) -> Self {
        let now = SystemTime::now();
        let ended = Ended {
            name,
            trace,
            parent,
            custodian: custodian.to_owned(),
            message_id: None,
            began: now,
            ended: now,
            outcome: None,
        };
        Self {
            trace,
            ended: Some(Box::new(ended)),
        }
    }

    fn nothing(trace: Trace) -> Self {
        Self { trace, ended: None }
    }

    /// What lies under this step belongs to this.
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// Names the message.
    pub fn of_message(&mut self, message_id: impl std::fmt::Display) {
        if let Some(ended) = &mut self.ended {
            ended.message_id = Some(message_id.to_string());
        }
    }

    /// Says what came of it.
    pub fn came_to(&mut self, outcome: &'static str) {
        if let Some(ended) = &mut self.ended {
            ended.outcome = Some(outcome);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let (Some(mut ended), Some(collector)) = (self.ended.take(), COLLECTOR.get()) {
            ended.ended = SystemTime::now();
            collector(*ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static SEEN: Mutex<Vec<Ended>> = Mutex::new(Vec::new());

    /// One test, because a process has one collector.
    #[test]
    fn a_step_is_told_at_its_end_and_only_where_the_trace_is_sampled() {
        let before = Span::begin_trace(SpanName::Accept, "gw-1");
        assert!(!before.trace().is_sampled(), "nobody collects yet");
        collect_with(|ended| SEEN.lock().unwrap().push(ended));
        drop(before);

        let unwanted = Trace::begin(false);
        assert_eq!(Span::begin(SpanName::Relay, &unwanted, "broker").trace(), unwanted);
        assert!(SEEN.lock().unwrap().is_empty());

        let mut accept = Span::begin_trace(SpanName::Accept, "gw-1");
        let seal = Span::begin(SpanName::Seal, &accept.trace(), "gw-1");
        assert_eq!(seal.trace().id(), accept.trace().id());
        drop(seal);
        accept.of_message("m");
        accept.came_to("accepted");
        let root = accept.trace();
        drop(accept);
        let seen = SEEN.lock().unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].name, seen[0].parent), (SpanName::Seal, Some(root.span())));
        assert_eq!((seen[1].parent, seen[1].outcome), (None, Some("accepted")));
        assert_eq!(seen[1].message_id.as_deref(), Some("m"));
        assert!(seen[1].ended >= seen[1].began);
    }
}
