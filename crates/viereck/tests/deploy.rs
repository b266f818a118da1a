//! `deploy/prometheus` and `deploy/grafana` use what is declared, and nothing else.
//!
//! Every metric, every label and every word that an alert rule or a panel looks for is compared with the declarations,
//! and every command that a runbook names with the command line. Where `promtool` is installed it reads the rules too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;
use viereck::telemetry::metrics::declared;
use viereck_observe::{Kind, Metric, Values};

/// What Prometheus itself adds.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy().join(file)).expect("a file of deploy is UTF-8")
}

fn metric(name: &str) -> Option<&'static Metric> {
    let find = |name: &str| declared().find(|metric| metric.name == name);
    let of_histogram = || {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))?;
        find(base).filter(|metric| matches!(metric.kind, Kind::Histogram(_)))
    };
    find(name)
        .filter(|metric| !matches!(metric.kind, Kind::Histogram(_)))
        .or_else(of_histogram)
}

/// The names of ours in an expression, each with what stands before it and what follows it.
fn names(expression: &str) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = expression[from..].find("viereck_").map(|at| at + from) {
        let end = expression[at..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(expression.len(), |end| at + end);
        found.push((&expression[at..end], &expression[..at], &expression[end..]));
        from = end;
    }
    found
}

/// `label`, operator and value of each matcher of a selector.
fn matchers(after: &str) -> Vec<(&str, &str, &str)> {
    let Some(inner) = after.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return vec![];
    };
    let parts = inner
        .0
        .split("\",")
        .map(|part| part.trim().trim_end_matches('"'))
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (label, rest) = part.split_at(part.find(['=', '!']).expect("a matcher has an operator"));
            let (operator, value) = rest.split_once('"').expect("the value stands in quotes");
            (label.trim(), operator.trim(), value)
        })
        .collect()
}

/// The labels that `by (…)` keeps.
fn kept(expression: &str) -> BTreeSet<&str> {
    let lists = expression.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    lists.flat_map(|(labels, _)| labels.split(',').map(str::trim)).collect()
}

/// Checks an expression; gives the labels that its result can have.
fn check(expression: &str, at: &str) -> BTreeSet<String> {
    let names = names(expression);
    let mut labels: BTreeSet<&str> = OF_PROMETHEUS.into_iter().collect();
    for (name, before, after) in &names {
        let metric = metric(name).unwrap_or_else(|| panic!("{at}: {name} is not declared"));
        labels.extend(metric.labels.iter().map(|label| label.name));
        let grows = ["rate(", "increase("].iter().any(|function| before.ends_with(function));
        assert_eq!(
            grows,
            metric.kind != Kind::Gauge,
            "{at}: {name} is a {}",
            metric.kind.as_str()
        );
        for (label, operator, value) in matchers(after) {
            let declared = metric.labels.iter().find(|declared| declared.name == label);
            let declared = declared.unwrap_or_else(|| panic!("{at}: {name} has no label {label}"));
            if let Values::Words(words) = &declared.values
                && !value.starts_with('$')
            {
                let words = words();
                let wanted = match operator {
                    "=" | "!=" => vec![value],
                    _ => value.split('|').collect(),
                };
                for word in wanted {
                    assert!(words.contains(&word), "{at}: {label} of {name} is never {word}");
                }
            }
        }
    }
    let kept = kept(expression);
    for label in &kept {
        assert!(labels.contains(label), "{at}: nothing has a label {label}");
    }
    let left = if kept.is_empty() { labels } else { kept };
    left.into_iter().map(str::to_owned).collect()
}

/// The labels that a text shows, between `opening` and `}}`.
fn shown(text: &str, opening: &str) -> Vec<String> {
    let places = text.split(opening).skip(1);
    let word = |place: &str| {
        let word = place.trim_start();
        let end = word
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(word.len());
        word[..end].to_owned()
    };
    places.map(word).collect()
}

#[test]
fn alert_rules_use_what_is_declared() {
    let text = read("prometheus/alerts.yml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let field = |node: &Yaml<'_>, key: &str| {
        let value = node.as_mapping_get(key).and_then(Yaml::as_str);
        value.unwrap_or_else(|| panic!("no {key} in {node:?}")).to_owned()
    };
    let commands = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/cli.txt")).unwrap();
    let mut seen = BTreeMap::new();
    let groups = documents[0]
        .as_mapping_get("groups")
        .and_then(Yaml::as_sequence)
        .unwrap();
    for rule in groups
        .iter()
        .flat_map(|group| group.as_mapping_get("rules").and_then(Yaml::as_sequence).unwrap())
    {
        let (alert, expression) = (field(rule, "alert"), field(rule, "expr"));
        let labels = match expression.contains("viereck_") {
            true => check(&expression, &alert),
            false => BTreeSet::from(["instance".to_owned()]),
        };
        let severity = field(rule.as_mapping_get("labels").unwrap(), "severity");
        assert!(["page", "ticket"].contains(&severity.as_str()), "{alert}: {severity}");
        let annotations = rule.as_mapping_get("annotations").unwrap();
        let (summary, runbook) = (field(annotations, "summary"), field(annotations, "runbook"));
        assert!(runbook.len() > 20, "{alert} has no runbook");
        for label in shown(&summary, "$labels.") {
            assert!(
                labels.contains(&label),
                "{alert} shows {label}, which its result has not"
            );
        }
        for command in runbook
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|command| command.starts_with("viereck "))
        {
            let words: Vec<&str> = command
                .split_whitespace()
                .take_while(|word| !word.contains(char::is_uppercase))
                .collect();
            let command = words.join(" ");
            assert!(commands.contains(&command), "{alert}: there is no command `{command}`");
        }
        assert!(seen.insert(alert.clone(), ()).is_none(), "{alert} is there twice");
    }
    assert!(seen.len() > 20, "the rules were not found");
}

#[test]
fn the_dashboard_uses_what_is_declared() {
    let board: Value = serde_json::from_str(&read("grafana/viereck.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let (mut expressions, mut places) = (0, BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            places.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is used twice"
        );
        let right = panel["gridPos"]["x"].as_u64().unwrap() + panel["gridPos"]["w"].as_u64().unwrap();
        assert!(right <= 24, "{title} does not fit");
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{title} is not described"
        );
        for target in panel["targets"].as_array().unwrap() {
            let labels = check(target["expr"].as_str().unwrap(), title);
            for label in shown(target["legendFormat"].as_str().unwrap(), "{{") {
                assert!(
                    labels.contains(&label),
                    "{title} shows {label}, which its result has not"
                );
            }
            expressions += 1;
        }
    }
    assert!(expressions > 40, "the panels were not found");
    for variable in board["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let (name, label) = query
                .strip_prefix("label_values(")
                .unwrap()
                .trim_end_matches(')')
                .split_once(", ")
                .unwrap();
            assert!(
                metric(name).unwrap().labels.iter().any(|of| of.name == label),
                "{query}"
            );
        }
    }
}

/// The check above can fail: each of these is a mistake that it finds.
#[test]
fn a_mistake_is_found() {
    for wrong in [
        "viereck_nothing > 0",
        "viereck_alarms_total > 0",
        "rate(viereck_overdue[5m])",
        "viereck_stage_seconds",
        "viereck_overdue{gateway=\"x\"}",
        "rate(viereck_alarms_total{alarm=\"overdu\"}[5m])",
        "rate(viereck_alarms_total{alarm=~\"overdue|nothing\"}[5m])",
        "sum by (behoerde) (viereck_overdue)",
    ] {
        let checked = std::panic::catch_unwind(|| check(wrong, "a mistake"));
        assert!(checked.is_err(), "{wrong} passed");
    }
    check(
        "sum by (custodian) (viereck_overdue{custodian=~\"$custodian\"}) > 0",
        "no mistake",
    );
}

/// Not needed, but it knows Prometheus best. Its absence is told, not hidden.
#[test]
fn promtool_reads_the_rules_where_it_is_installed() {
    match Command::new("promtool")
        .args(["check", "rules"])
        .arg(deploy().join("prometheus/alerts.yml"))
        .output()
    {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("promtool is not installed, its check is left out: {error}"),
    }
}
