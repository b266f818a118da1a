//! `reference/metrics.md`, made from the declarations.

use std::collections::BTreeMap;
use std::fmt::Write;

use viereck_observe::{Kind, Metric, Values};

use super::alarms::ALARMS;
use super::metrics::rooms;

const HEAD: &str = "# Metrics\n\n\
Generated from the declarations in the code; a test compares it. `GET /metrics` of the operations interface shows them in\n\
Prometheus's text format. Counters begin at 0 with the process. Labels come from closed lists and from the operator's own\n\
files, never from a message. `deploy/prometheus/alerts.yml` and `deploy/grafana/viereck.json` use nothing else.\n";

/// The whole text.
pub fn text() -> String {
    let mut text = HEAD.to_owned();
    for (room, metrics) in rooms() {
        let _ = write!(
            text,
            "\n## {room}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n"
        );
        for metric in metrics {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
            let (kind, unit, meaning) = (metric.kind.as_str(), metric.unit.as_str(), sentence(metric));
            let _ = writeln!(
                text,
                "| `{}` | {kind} | {unit} | {} | {meaning} |",
                metric.name,
                labels.join(", ")
            );
        }
    }
    text.push_str("\n## Labels\n\n| label | of | what it can be |\n|---|---|---|\n");
    for ((label, values), of) in labels() {
        let _ = writeln!(text, "| `{label}` | {} | {values} |", of.join(", "));
    }
    text.push_str("\n## Alarms\n\nThe words of `viereck_alarms_total`, and of the field `alarm` of a log line.\n\n");
    text.push_str("| alarm | meaning |\n|---|---|\n");
    for (word, meaning) in ALARMS {
        let _ = writeln!(text, "| `{word}` | {meaning} |");
    }
    text.push_str(
        "\n## Buckets\n\nThe upper bounds of the histograms; `+Inf` follows.\n\n| metric | bounds |\n|---|---|\n",
    );
    for metric in rooms().into_iter().flat_map(|(_, metrics)| metrics) {
        if let Kind::Histogram(bounds) = metric.kind {
            let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
            let _ = writeln!(text, "| `{}` | {} |", metric.name, bounds.join(", "));
        }
    }
    text
}

/// The meaning on one line: in the source it is a comment of several.
fn sentence(metric: &Metric) -> String {
    metric.meaning.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each label once for each list of values, with the metrics that have it.
fn labels() -> BTreeMap<(&'static str, String), Vec<String>> {
    let mut labels: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for metric in rooms().into_iter().flat_map(|(_, metrics)| metrics) {
        for label in metric.labels {
            let values = match &label.values {
                Values::Words(_) if label.name == "alarm" => "see below".to_owned(),
                Values::Words(words) => {
                    let words: Vec<String> = words().iter().map(|word| format!("`{word}`")).collect();
                    words.join(" ")
                }
                Values::Named(sentence) => (*sentence).to_owned(),
            };
            labels
                .entry((label.name, values))
                .or_default()
                .push(format!("`{}`", metric.name));
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::telemetry::metrics::declared;

    /// `UPDATE_REFERENCE=1 cargo test --release -p viereck reference` writes the reference anew.
    #[test]
    fn the_reference_is_what_is_declared() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/metrics.md");
        let text = text();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == text,
            "reference/metrics.md differs from the declarations: write it anew"
        );
    }

    #[test]
    fn names_follow_the_habits_of_prometheus() {
        let mut seen = BTreeSet::new();
        for metric in declared() {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is declared twice");
            let letters = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
            assert!(name.starts_with("viereck_") && name.chars().all(letters), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(!bounds.is_empty() && bounds.is_sorted(), "{name}");
            }
            assert!(sentence(metric).ends_with('.'), "{name} has no sentence");
            for label in metric.labels {
                let words = label.values.words();
                let distinct: BTreeSet<_> = words.iter().collect();
                assert_eq!(distinct.len(), words.len(), "{name}: {} names a word twice", label.name);
                assert!(matches!(label.values, Values::Named(_)) || !words.is_empty(), "{name}");
            }
        }
    }
}
