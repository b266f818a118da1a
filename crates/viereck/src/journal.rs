//! `viereck journal`: the trail of operators, copies, and a copy's way back into service.
//!
//! `backup` and `facts` work beside the running process and change nothing. `reconcile` opens the journal itself, so its
//! process has to be stopped; it is closed anyway for as long as it is a copy.

mod reconcile;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use viereck_custody::Journal;
use viereck_custody::backup::Line;
use viereck_routing::CustodianId;

use crate::config::Config;
use crate::config::commands::Source;
use crate::failure::{Exit, Failure};
use crate::operations::client::{Client, Reach};
use crate::operations::control::trails;
use crate::telemetry::escaped;
use crate::{journals, output};

/// `viereck journal`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What operators did: who, when, what, why
    Audit(Audit),
    /// Copy a journal while its process goes on; the copy stays closed until it is reconciled
    Backup(Backup),
    /// What a journal knows of another custodian, for the one who restores that one's journal
    Facts(Facts),
    /// Fold what others know into a journal that was restored from a copy, and open it
    Reconcile(reconcile::Reconcile),
}

/// `viereck journal audit`.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reach: Reach,
    /// Only the trail of this custodian
    #[arg(long, value_name = "ID")]
    custodian: Option<CustodianId>,
    /// Only what was done to this: a message, a Behörde as behoerde:ID, a gateway as gateway:ID, a job
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only what was done since then
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// How many lines at the most, the last ones
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Follow the whole trail and say whether every line fits the one before; exit code 4 when one does not
    #[arg(long)]
    verify: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck journal backup`.
///
/// Of a journal in PostgreSQL make a copy with pg_dump of its schema, and set identity.restored in the copy before
/// anybody opens it.
#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    whose: Whose,
    /// The copy; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Whose journal.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// A gateway
    #[arg(long, value_name = "ID")]
    gateway: Option<CustodianId>,
    /// The broker of the configuration
    #[arg(long)]
    broker: bool,
}

/// `viereck journal facts`.
#[derive(Debug, Args)]
pub struct Facts {
    #[command(flatten)]
    source: Source,
    /// The custodian whose journal was lost
    #[arg(long, value_name = "ID")]
    about: CustodianId,
    /// Since when something happened: the moment of the copy, or a little before
    #[arg(long, value_name = "TIME")]
    since: Timestamp,
    /// Only what this custodian of the configuration knows
    #[arg(long, value_name = "ID")]
    custodian: Option<CustodianId>,
}

/// Runs `viereck journal …`.
pub async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Audit(args) => audit(args).await,
        Command::Backup(args) => backup(args).await,
        Command::Facts(args) => facts(args).await,
        Command::Reconcile(args) => reconcile::run(args).await,
    }
}

impl Whose {
    /// The custodian that is meant.
    fn custodian(&self, config: &Config) -> Result<CustodianId, Failure> {
        match (&self.gateway, &config.broker) {
            (Some(gateway), _) => Ok(gateway.clone()),
            (None, Some(broker)) => Ok(broker.settings.id.clone()),
            (None, None) => Err(
                Failure::new(Exit::NotFound, "role-missing", "The configuration has no [broker].")
                    .help("Name the configuration of the broker with --config."),
            ),
        }
    }
}

async fn audit(args: &Audit) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    let since = args.since.unwrap_or(Timestamp::UNIX_EPOCH);
    let limit = args.limit.clamp(1, 10_000);
    let answer = if config.operations.is_some() || args.reach.url.is_some() {
        let mut query = vec![("since", since.to_string()), ("limit", limit.to_string())];
        query.extend(
            args.custodian
                .iter()
                .map(|custodian| ("custodian", custodian.to_string())),
        );
        query.extend(args.target.iter().map(|target| ("target", target.clone())));
        query.push(("verify", args.verify.to_string()));
        Client::new(&config, &args.reach)?.get("/v1/audit", &query).await?
    } else {
        let opened = journals::open_all(&config, args.custodian.as_ref()).await?;
        let all: Vec<&Journal> = opened.iter().collect();
        let looked = trails(&all, since, args.target.clone(), limit, args.verify).await;
        for journal in &opened {
            journal.clone().close().await;
        }
        looked.map_err(|error| {
            Failure::new(Exit::Unexpected, "journal-failed", format!("A journal: {error}."))
                .help("`viereck doctor` looks at the files.")
        })?
    };
    match args.json {
        true => output::json(&answer)?,
        false => output::text(&told(&answer))?,
    }
    let trails = answer["trails"].as_array().into_iter().flatten();
    let broken: Vec<String> = trails
        .filter(|trail| trail["check"]["broken"].is_object())
        .map(|trail| trail["custodian"].as_str().map(escaped).unwrap_or_default())
        .collect();
    match broken.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Findings,
            "audit-broken",
            format!("The trail of {} was changed.", broken.join(", ")),
        )
        .help("Compare it with the log, where every line stands with its head.")),
    }
}

fn told(answer: &Value) -> String {
    let text = |value: &Value, name: &str| value[name].as_str().map_or_else(|| "-".to_owned(), escaped);
    let mut told = String::new();
    for trail in answer["trails"].as_array().into_iter().flatten() {
        told.push_str(&format!("{}\n", text(trail, "custodian")));
        for line in trail["lines"].as_array().into_iter().flatten() {
            told.push_str(&format!(
                "  {}  {:<10} {} by {}: {} ({})\n",
                text(line, "time"),
                text(line, "verb"),
                text(line, "target"),
                text(line, "actor"),
                text(line, "reason"),
                text(line, "outcome")
            ));
        }
        let check = &trail["check"];
        if check.is_object() {
            let state = match check["broken"].is_object() {
                true => "the next one does not follow",
                false => "whole",
            };
            told.push_str(&format!(
                "  {} lines, head {}: {state}\n",
                check["lines"],
                text(check, "head")
            ));
        }
    }
    told
}

async fn backup(args: &Backup) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    let custodian = args.whose.custodian(&config)?;
    let place = config
        .journals()
        .into_iter()
        .find(|(id, _)| **id == custodian)
        .map(|(_, place)| place.clone())
        .ok_or_else(|| journals::unknown(&custodian))?;
    // a file of somebody else is not copied under this name
    journals::open_to_look(&config, &custodian, &place).await?.close().await;
    let Some(file) = journals::file_of(&place) else {
        let sentence = format!("The journal of {custodian} lies in a database.");
        return Err(Failure::new(Exit::Usage, "journal-in-database", sentence)
            .help("Copy its schema with pg_dump; in the copy set identity.restored to the moment, in milliseconds."));
    };
    let (from, to) = (file.to_owned(), args.to.clone());
    let copied = tokio::task::spawn_blocking(move || viereck_custody::backup::copy(&from, &to)).await;
    let octets = match copied {
        Ok(Ok(octets)) => octets,
        Ok(Err(_)) if args.to.exists() => {
            let sentence = format!("{} is there already.", args.to.display());
            return Err(Failure::new(Exit::Conflict, "file-exists", sentence).help("Name another file with --to."));
        }
        Ok(Err(error)) => {
            let sentence = format!("The journal of {custodian} cannot be copied: {error}.");
            return Err(Failure::new(Exit::Unexpected, "backup-failed", sentence)
                .help("Is there room, and is the journal whole? `viereck doctor` looks."));
        }
        Err(panicked) => {
            let sentence = format!("Copying failed: {panicked}");
            return Err(Failure::new(Exit::Unexpected, "unexpected", sentence));
        }
    };
    output::talk(&format!("{octets} octets in {}", args.to.display()));
    Ok(())
}

async fn facts(args: &Facts) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    let mut told = 0;
    for (custodian, place) in config.journals() {
        // of itself nobody tells, and that one is lost anyway
        if *custodian == args.about || args.custodian.as_ref().is_some_and(|only| only != custodian) {
            continue;
        }
        let journal = journals::open_to_look(&config, custodian, place).await?;
        told += facts_of(&journal, args).await?;
        journal.close().await;
    }
    output::talk(&format!("{told} messages told of"));
    Ok(())
}

async fn facts_of(journal: &Journal, args: &Facts) -> Result<u64, Failure> {
    let (mut after, mut messages) = (None, 0);
    loop {
        let page = journal.facts_about(&args.about, args.since, after).await;
        let (lines, next) = page.map_err(|error| journals::failed(journal.custodian(), &error))?;
        for line in &lines {
            messages += u64::from(matches!(line, Line::Message(_)));
            write(line)?;
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    write(&Line::End { messages })?;
    Ok(messages)
}

fn write(line: &Line) -> Result<(), Failure> {
    let mut text = serde_json::to_string(&json!(line))
        .map_err(|error| Failure::new(Exit::Unexpected, "json-failed", format!("cannot write JSON: {error}")))?;
    text.push('\n');
    output::octets(text.as_bytes())
}
