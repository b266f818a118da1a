//! What is logged, for tests of what somebody is told and how often.

use std::fmt::Debug;

use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// Gives every log event of this thread to `heard`, as its level and its fields, until the guard is dropped.
pub(crate) fn hear(heard: impl Fn(Level, &str) + Send + Sync + 'static) -> DefaultGuard {
    tracing::subscriber::set_default(Ear(heard))
}

struct Ear<F>(F);

impl<F: Fn(Level, &str) + Send + Sync + 'static> Subscriber for Ear<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| fields.push_str(&format!("{field}={value:?} ")));
        (self.0)(*event.metadata().level(), &fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
