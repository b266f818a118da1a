//! The alarms that this process logs, whichever of its threads logs them.
//!
//! All tests of the binary share one ear: look for what names your own message, or a number that nobody else uses.

use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::wait::until;

static HEARD: Mutex<Vec<String>> = Mutex::new(vec![]);

static LISTENING: LazyLock<()> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Ear).expect("nobody else listens in this binary");
});

/// Hears from now on.
///
/// # Panics
/// When somebody else listens to this process.
pub fn listen() {
    LazyLock::force(&LISTENING);
}

/// Waits for the alarm of this word whose line has all of `fields`, each as `name=value`.
///
/// # Panics
/// When it does not come in time.
pub async fn raised(word: &str, fields: &[String]) {
    let alarm = format!("alarm=\"{word}\"");
    until(Duration::from_secs(15), &format!("{alarm} {fields:?}"), async || {
        let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |line: &&String| line.contains(&alarm) && fields.iter().all(|field| line.contains(field.as_str()));
        heard.iter().find(fits).map(drop)
    })
    .await;
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.fields().field("alarm").is_some()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| line.push_str(&format!("{field}={value:?} ")));
        HEARD.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
