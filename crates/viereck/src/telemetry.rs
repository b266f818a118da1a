//! Logs: text on a terminal, JSON lines otherwise, always to stderr. Beside them [`metrics`], [`alarms`] and [`otlp`].
//!
//! No outside text can forge a line: whatever control character (a newline, an escape sequence, a bidirectional
//! override) stands in a message or a field is written as an escape, so one event is one line. Personal data is kept out
//! where events are made, and what libraries say of the octets they carry is never written, whatever level is configured.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry, reload};

use crate::failure::{Exit, Failure};

pub mod alarms;
pub mod metrics;
pub mod otlp;
pub mod reference;

/// The variable that overrides the configured level, in the filter syntax of `tracing` (`info,viereck_custody=debug`).
pub const VARIABLE: &str = "VIERECK_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per line.
    Json,
}

/// Puts another level in force in the subscriber of this process.
type Change = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// The subscriber is the process's, so the handle that changes its level is too.
static CHANGE_LEVEL: OnceLock<Change> = OnceLock::new();

/// The filter that a configured level means.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("This is no log level or filter: {error}."))
}

/// Starts logging for this process with `level` (a filter like `info`), unless `VIERECK_LOG` says otherwise.
///
/// A second call in the same process changes nothing: a test harness may start several networks.
pub fn start(level: &str, format: Format) -> Result<(), Failure> {
    let filter = wanted(level)?;
    let json = match format {
        Format::Auto => !io::stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    let (filter, handle) = reload::Layer::new(filter);
    let filter = filter.and(filter_fn(may_be_written));
    let lines = fmt::layer().with_ansi(false).with_writer(Lines(io::stderr));
    let lines = match json {
        true => lines.json().with_filter(filter).boxed(),
        false => lines.with_target(false).with_filter(filter).boxed(),
    };
    let started = registry().with(lines).with(alarms::layer()).try_init();
    let change: Change = Box::new(move |filter| drop(handle.reload(filter)));
    if started.is_ok() {
        // The first start is the only one that gets here.
        let _first = CHANGE_LEVEL.set(change);
    }
    Ok(())
}

/// Changes the level of the running process, unless `VIERECK_LOG` fixes it.
pub fn change_level(level: &str) -> Result<(), Failure> {
    let filter = wanted(level)?;
    if let Some(change) = CHANGE_LEVEL.get() {
        change(filter);
    }
    Ok(())
}

/// Whether anything of this kind may be written at all. At `trace` libraries print what passes through them: the AMQP
/// library every frame, with the password of the connection and whole messages. No filter of an operator lets that out.
fn may_be_written(metadata: &Metadata<'_>) -> bool {
    *metadata.level() < Level::TRACE || metadata.target().starts_with("viereck")
}

fn wanted(level: &str) -> Result<EnvFilter, Failure> {
    let (wanted, from) = match std::env::var(VARIABLE) {
        Ok(wanted) if !wanted.is_empty() => (wanted, VARIABLE),
        _ => (level.to_owned(), "log.level"),
    };
    filter(&wanted).map_err(|sentence| {
        Failure::new(Exit::Usage, "log-level-invalid", format!("{from}: {sentence}"))
            .help("Use error, warn, info, debug or trace, or a filter like info,viereck_custody=debug.")
    })
}

/// Makes writers that keep one event on one line.
struct Lines<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;
    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

/// Takes one formatted event, which ends in a newline, in each write.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(one_line(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `event` as one line.
fn one_line(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    escaped(text.strip_suffix('\n').unwrap_or(&text)) + "\n"
}

/// `text` with everything escaped that could end a line or steer a terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if steers(character) {
            // Spelled as JSON does, so that a JSON line stays one; all of them lie in the basic plane.
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    line
}

/// Control characters, line and paragraph separators, and the marks that turn the direction of writing.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(json: bool, event: impl FnOnce()) -> String {
        let page = Page::default();
        let target = page.clone();
        let lines = fmt().with_ansi(false).with_writer(Lines(move || target.clone()));
        if json {
            tracing::subscriber::with_default(lines.json().finish(), event);
        } else {
            tracing::subscriber::with_default(lines.finish(), event);
        }
        let octets = page.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn outside_text_cannot_forge_a_line() {
        let forged = "x\n2026-01-01T00:00:00Z ERROR forged\u{1b}[31m\u{2028}\u{202e}\r\u{85}";
        for json in [false, true] {
            let page = written(json, || tracing::warn!(field = %forged, "{forged}"));
            assert_eq!(page.matches('\n').count(), 1, "{page:?}");
            assert!(page.ends_with('\n'));
            assert!(!page.trim_end_matches('\n').chars().any(steers), "{page:?}");
        }
    }

    #[test]
    fn ordinary_text_stays_readable() {
        let page = written(false, || {
            tracing::info!(behoerde = "wgb:010540880000", "Übernommen in Niebüll")
        });
        assert!(page.contains("Übernommen in Niebüll"), "{page}");
    }

    #[test]
    fn json_lines_stay_json() {
        let page = written(true, || tracing::info!(reason = "a\u{202e}\n\"b\"", "taken"));
        let line: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert_eq!(line["fields"]["message"], "taken");
    }

    #[test]
    fn no_library_says_what_passes_through_it_whatever_the_level_is() {
        let page = Page::default();
        let target = page.clone();
        let lines = fmt::layer().with_ansi(false).with_writer(Lines(move || target.clone()));
        let lines = lines.with_filter(EnvFilter::new("trace,lapin=trace").and(filter_fn(may_be_written)));
        tracing::subscriber::with_default(registry().with(lines), || {
            tracing::trace!(target: "lapin::channels", "a frame");
            tracing::debug!(target: "lapin::channels", "a heartbeat");
            tracing::trace!(target: "viereck_transport::amqp", "a step of ours");
        });
        let page = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(!page.contains("a frame"), "{page}");
        assert!(
            page.contains("a heartbeat") && page.contains("a step of ours"),
            "{page}"
        );
    }

    #[test]
    fn a_broken_filter_is_a_usage_error() {
        assert_eq!(start("info,=,", Format::Text).unwrap_err().exit, Exit::Usage);
    }
}
