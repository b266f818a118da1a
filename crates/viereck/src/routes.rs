//! `viereck routes`: the routing tables, asked by a person.
//!
//! Both load the folder exactly as a gateway and a broker do. `check` succeeds if it loads; `explain` answers for one
//! place on one day and shows every step, whatever the outcome is.

pub(crate) mod custodians;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use viereck_routing::{
    Ags, Answer, Ars, Finding, Lang, LeistungId, Loaded, NoRoute, Outcome, Place, Severity, StepResult, Tables,
    day_in_berlin,
};

use crate::failure::{Exit, Failure, Position};
use crate::output;

/// `viereck routes`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load a routing table and print everything that is wrong or odd
    Check(Check),
    /// Who is competent for a place on a day, and why
    Explain(Explain),
    /// Who has a user at RabbitMQ: the brokers and gateways, as deploy/rabbitmq/grant reads them
    Custodians(custodians::Custodians),
}

/// The language of sentences.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    De,
    En,
}

/// `viereck routes check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The routing table
    #[arg(value_name = "FOLDER", default_value = "routing-tables")]
    folder: PathBuf,
    /// The language of the findings
    #[arg(long, value_enum, default_value = "de")]
    lang: Language,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck routes explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The Leistung: its LeiKa key of 14 digits or its URN
    #[arg(long, value_name = "KEY")]
    leistung: LeistungId,
    #[command(flatten)]
    place: PlaceFlags,
    /// The day for which to answer; today in Germany if left out
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// The routing table
    #[arg(long, value_name = "FOLDER", default_value = "routing-tables")]
    table: PathBuf,
    /// The language of sentences
    #[arg(long, value_enum, default_value = "de")]
    lang: Language,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// The place, named in one of three ways.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PlaceFlags {
    /// The place by its Amtlicher Regionalschlüssel, 12 digits
    #[arg(long, value_name = "ARS")]
    ars: Option<Ars>,
    /// The place by its Amtlicher Gemeindeschlüssel, 8 digits
    #[arg(long, value_name = "AGS")]
    ags: Option<Ags>,
    /// The place by either key
    #[arg(long, value_name = "ARS|AGS")]
    region: Option<Place>,
}

impl From<Language> for Lang {
    fn from(language: Language) -> Self {
        match language {
            Language::De => Lang::De,
            Language::En => Lang::En,
        }
    }
}

impl PlaceFlags {
    /// The place; the command line demands exactly one of the three.
    pub fn place(&self) -> Option<Place> {
        self.ars.map(Place::Ars).or(self.ags.map(Place::Ags)).or(self.region)
    }
}

/// Runs `viereck routes …`.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check(args) => check(args),
        Command::Explain(args) => explain(args),
        Command::Custodians(args) => custodians::run(args),
    }
}

/// Loads the tables as every command and every process does.
///
/// # Errors
/// `table-missing` when there is no such folder, `table-invalid` with the number of errors and the first of them.
pub fn load(folder: &Path, today: Date) -> Result<Loaded, Failure> {
    is_there(folder)?;
    Tables::load(folder, today).map_err(|findings| invalid(folder, findings.iter(), Lang::En))
}

/// The same for whoever gives out certificates: the table may lack some, and is for nobody else.
pub(crate) fn load_awaiting(folder: &Path, today: Date) -> Result<Loaded, Failure> {
    is_there(folder)?;
    Tables::load_awaiting(folder, today).map_err(|findings| invalid(folder, findings.iter(), Lang::En))
}

/// Whether there is a folder of tables at all.
pub(crate) fn is_there(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    let sentence = format!("There is no folder {}.", folder.display());
    Err(Failure::new(Exit::NotFound, "table-missing", sentence)
        .help("Name the folder that holds table.toml, or run the command where routing-tables/ is."))
}

fn invalid<'a>(folder: &Path, findings: impl Iterator<Item = &'a Finding>, lang: Lang) -> Failure {
    let errors: Vec<_> = findings.filter(|finding| finding.severity == Severity::Error).collect();
    let count = format!("{} {}", errors.len(), plural(errors.len(), "error", "errors"));
    let table = folder.display();
    match errors.first() {
        Some(first) => {
            let sentence = format!(
                "The table {table} has {count}; the first: [{}] {}",
                first.code,
                first.sentence(lang)
            );
            let position = Position {
                file: folder.join(&first.file),
                line: first.line as usize,
                column: first.column as usize,
            };
            Failure::new(Exit::Findings, "table-invalid", sentence)
                .at(position)
                .help(format!(
                    "{} `viereck routes check {table}` shows all of them.",
                    first.hint(lang)
                ))
        }
        None => Failure::new(
            Exit::Findings,
            "table-invalid",
            format!("The table {table} does not load."),
        ),
    }
}

fn check(args: &Check) -> Result<(), Failure> {
    let lang = args.lang.into();
    is_there(&args.folder)?;
    let (release, findings) = match Tables::load(&args.folder, day_in_berlin(Timestamp::now())) {
        Ok(loaded) => (Some(loaded.tables.release()), loaded.warnings),
        Err(findings) => (None, findings.into_vec()),
    };
    if args.json {
        let told: Vec<_> = findings.iter().map(|finding| finding.told(lang)).collect();
        output::json(&serde_json::json!({ "valid": release.is_some(), "release": release, "findings": told }))?;
    } else {
        let mut text = String::new();
        for finding in &findings {
            text.push_str(&format!("{}\n", finding.text(lang)));
        }
        let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
        let (error_word, warning_word) = match lang {
            Lang::De => ("Fehler", plural(warnings, "Warnung", "Warnungen")),
            Lang::En => (
                plural(errors, "error", "errors"),
                plural(warnings, "warning", "warnings"),
            ),
        };
        let table = args.folder.display();
        text.push_str(&format!("{table}: {errors} {error_word}, {warnings} {warning_word}\n"));
        if let Some(release) = release {
            text.push_str(&format!(
                "{} {release}\n",
                if let Lang::De = lang { "Version" } else { "release" }
            ));
        }
        output::text(&text)?;
    }
    match release {
        Some(_) => Ok(()),
        None => Err(invalid(&args.folder, findings.iter(), lang)),
    }
}

fn plural(count: usize, one: &'static str, several: &'static str) -> &'static str {
    if count == 1 { one } else { several }
}

fn explain(args: &Explain) -> Result<(), Failure> {
    let place = args
        .place
        .place()
        .ok_or_else(|| Failure::new(Exit::Usage, "place-missing", "No place is named.").help("Use --ars or --ags."))?;
    let today = day_in_berlin(Timestamp::now());
    let tables = load(&args.table, today)?.tables;
    let answer = tables.resolve(&args.leistung, &place, args.date.unwrap_or(today));
    if args.json {
        return output::json(&answer);
    }
    output::text(&told(&answer, &tables, args.lang.into()))
}

/// The answer for people: the question, the outcome, and every step.
fn told(answer: &Answer, tables: &Tables, lang: Lang) -> String {
    let municipality = tables.ars_of(&answer.place).and_then(|ars| tables.municipality(&ars));
    let name = tables.leistung(&answer.leistung, municipality.map(|place| &place.ars.as_str()[..2]));
    let mut lines = vec![format!(
        "{} ({}), {} ({}), {}",
        name.map_or("?", |leistung| leistung.name.as_str()),
        answer.leistung,
        municipality.map_or("?", |place| place.name.as_str()),
        answer.place,
        answer.on,
    )];
    match &answer.outcome {
        Outcome::Route(route) => {
            lines.push(format!("-> {}  {}", route.behoerde, name_of(tables, &route.behoerde)));
            if let Some(deputy) = &route.deputy {
                lines.push(format!(
                    "   {}: {deputy}  {}",
                    word(lang, "Vertretung", "deputy"),
                    name_of(tables, deputy)
                ));
            }
            lines.push(format!("   Gateway: {}", route.gateway));
            for schema in &route.accepts {
                lines.push(format!("   {}: {schema}", word(lang, "nimmt an", "accepts")));
            }
            let decided = word(lang, "entschieden durch Region", "decided by region");
            lines.push(format!("   {decided} {}, {}", route.matched_region, route.position));
        }
        Outcome::Refused(refusal) => {
            lines.push(format!("-> {}: {}", word(lang, "abgelehnt", "refused"), refusal.reason));
            lines.push(format!("   {}", refusal.text));
            lines.extend(refusal.url.iter().map(|url| format!("   {url}")));
            let until = word(lang, "voraussichtlich bis", "expected until");
            lines.extend(refusal.until.iter().map(|day| format!("   {until} {day}")));
            let decided = word(lang, "entschieden durch Region", "decided by region");
            lines.push(format!("   {decided} {}, {}", refusal.matched_region, refusal.position));
        }
        Outcome::NoRoute(none) => lines.push(no_route(none, lang)),
        Outcome::Choices(choices) => {
            lines.push(format!(
                "-> {}",
                word(lang, "eine davon ist zu wählen:", "one of these has to be chosen:")
            ));
            lines.extend(
                choices
                    .iter()
                    .map(|choice| format!("   {}  {}", choice.behoerde, choice.label)),
            );
        }
    }
    lines.push(word(lang, "Schritte:", "steps:").to_owned());
    for step in &answer.steps {
        let place = step
            .position
            .as_ref()
            .map_or_else(|| step.file.clone(), ToString::to_string);
        lines.push(format!(
            "   {:<12}  {:<24}  {place}",
            step.region.as_str(),
            step_result(step.result, lang)
        ));
    }
    lines.join("\n") + "\n"
}

fn no_route(none: &NoRoute, lang: Lang) -> String {
    format!("-> {} [{}]", none.sentence(lang), none.reason())
}

fn step_result(result: StepResult, lang: Lang) -> String {
    match result {
        StepResult::Hit => word(lang, "Treffer", "hit").to_owned(),
        StepResult::NoEntry => word(lang, "kein Eintrag", "no entry").to_owned(),
        StepResult::NotYet(from) => format!("{} {from}", word(lang, "erst ab", "not before")),
        StepResult::Over(until) => format!("{} {until}", word(lang, "galt bis", "ended on")),
    }
}

fn name_of<'a>(tables: &'a Tables, id: &viereck_routing::BehoerdeId) -> &'a str {
    tables
        .participant(id)
        .map_or("?", |participant| participant.name.as_str())
}

fn word(lang: Lang, german: &'static str, english: &'static str) -> &'static str {
    match lang {
        Lang::De => german,
        Lang::En => english,
    }
}
