//! The trace of a request: the client's, where it named one, else one that begins here.

use axum::http::HeaderMap;
use viereck_observe::{Span, SpanName, Trace};

/// The header of W3C Trace Context, in requests to us and in ours to a Fachverfahren.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Begins to accept a request. To be called once its client is known: nobody else can begin a span here.
pub(crate) fn accept(headers: &HeaderMap, gateway: &str) -> Span {
    let named = headers.get(TRACEPARENT);
    match named.and_then(|value| Trace::of_header(value.as_bytes())) {
        Some(trace) => Span::begin(SpanName::Accept, &trace, gateway),
        None => Span::begin_trace(SpanName::Accept, gateway),
    }
}
