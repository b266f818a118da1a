//! `viereck config check` and `viereck config show`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use viereck_custody::Finding;

use super::layers::{DEFAULTS, Layers, Setting, Sources};
use super::{Config, without_password};
use crate::failure::{Exit, Failure};
use crate::network::Prepared;
use crate::output;

/// `viereck config`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check everything that a start would, short of opening journals, ports and the link
    Check(Check),
    /// Show every value and where it came from; secrets are masked
    Show(Show),
}

/// Which configuration, and the keys that flags can set.
#[derive(Debug, Args)]
pub struct Source {
    /// The configuration file; conf.d/*.toml beside it is read too
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Use this routing table (table.folder)
    #[arg(long, value_name = "FOLDER")]
    pub table: Option<String>,
    /// Log at this level (log.level)
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// `viereck config check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    source: Source,
    /// Check the configuration alone, not the table and the keys it names
    #[arg(long)]
    file_only: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck config show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    source: Source,
    /// Print the commented default file: the reference of all keys
    #[arg(long, conflicts_with_all = ["config", "json"])]
    default: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    key: String,
    value: serde_json::Value,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

impl Source {
    /// The layers of this file, this process's variables and these flags.
    pub fn layers(&self) -> Result<Layers, Failure> {
        let flag = |key: &str, flag: &str, value: &Option<String>| {
            value.as_ref().map(|value| Setting {
                key: key.to_owned(),
                value: value.clone(),
                origin: flag.to_owned(),
            })
        };
        let mut sources = Sources::of_process(self.config.as_deref());
        sources.flags.extend(flag("table.folder", "--table", &self.table));
        sources.flags.extend(flag("log.level", "--log-level", &self.log_level));
        Layers::read(&sources)
    }

    /// The configuration, which has to have a file, and the layers it was made of.
    pub fn load(&self) -> Result<(Config, Layers), Failure> {
        if self.config.is_none() {
            return Err(
                Failure::new(Exit::Usage, "config-missing", "There is no configuration file.")
                    .help("Name one with --config FILE; `viereck config show --default` prints every key."),
            );
        }
        let layers = self.layers()?;
        Ok((Config::from_layers(&layers)?, layers))
    }
}

/// Runs `viereck config …`.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check(args) => check(args),
        Command::Show(args) => show(args),
    }
}

fn check(args: &Check) -> Result<(), Failure> {
    let (config, layers) = args.source.load()?;
    let warnings = warnings(&config, &layers);
    let roles = roles(&config);
    if !args.file_only {
        Prepared::new(config)?;
    }
    if args.json {
        return output::json(&serde_json::json!({ "valid": true, "roles": roles, "warnings": warnings }));
    }
    let mut text = format!("valid: {}\n", roles.join(", "));
    for warning in warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    output::text(&text)
}

fn roles(config: &Config) -> Vec<String> {
    let broker = config
        .broker
        .iter()
        .map(|broker| format!("broker {}", broker.settings.id));
    let gateways = config
        .gateways
        .iter()
        .map(|gateway| format!("gateway {}", gateway.settings.id));
    broker.chain(gateways).collect()
}

/// What is allowed and worth a second thought.
fn warnings(config: &Config, layers: &Layers) -> Vec<String> {
    let told = |(key, finding): (String, Finding)| {
        let place = layers
            .position(&key)
            .map(|position| format!(" ({position})"))
            .unwrap_or_default();
        format!("[{}] {key}: {}{place}", finding.code, finding.sentence)
    };
    config.findings().into_iter().map(told).collect()
}

fn show(args: &Show) -> Result<(), Failure> {
    if args.default {
        return output::text(DEFAULTS);
    }
    let layers = args.source.layers()?;
    let shown: Vec<Shown> = layers
        .leaves()
        .into_iter()
        .map(|(key, value)| shown(&layers, key, value))
        .collect();
    if args.json {
        return output::json(&shown);
    }
    let mut text = String::new();
    for Shown {
        key,
        value,
        origin,
        line,
    } in shown
    {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        text.push_str(&format!("{:<60} # {origin}{line}\n", format!("{key} = {value}")));
    }
    output::text(&text)
}

fn shown(layers: &Layers, key: String, value: &config::Value) -> Shown {
    use config::ValueKind;
    let last = key.rsplit('.').next().unwrap_or(&key);
    let json = match &value.kind {
        ValueKind::Boolean(value) => serde_json::json!(value),
        ValueKind::I64(value) => serde_json::json!(value),
        ValueKind::U64(value) => serde_json::json!(value),
        ValueKind::Float(value) => serde_json::json!(value),
        _ if is_secret(last) => serde_json::json!("***"),
        ValueKind::String(value) => serde_json::json!(without_password(value)),
        other => serde_json::json!(other.to_string()),
    };
    let origin = value.origin().unwrap_or_default().to_owned();
    let in_file = layers
        .position(&key)
        .filter(|position| position.file.display().to_string() == origin);
    Shown {
        key,
        value: json,
        origin,
        line: in_file.map(|position| position.line),
    }
}

/// Whether a key of this name holds a secret itself, not the name of its file or its digest.
fn is_secret(name: &str) -> bool {
    ["token", "secret", "password"].iter().any(|word| name.ends_with(word))
}
