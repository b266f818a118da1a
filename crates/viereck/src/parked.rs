//! `viereck parked`: what is parked, put back, ended; and what ended unread, sealed anew or erased.
//!
//! Acts go to the operations interface of the process, which knows who acts. Looks do so too where the configuration has
//! one; else they open the journals themselves, as the process goes on. What destroys or moves needs an explicit target
//! and a reason.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use viereck_custody::parked::{Filter, ParkedId, Place};
use viereck_custody::{Journal, StatedReason};
use viereck_envelope::Reason;
use viereck_routing::{BehoerdeId, CustodianId, LeistungId, MessageId, Tables, day_in_berlin};

use crate::config::Config;
use crate::config::commands::Source;
use crate::failure::{Exit, Failure};
use crate::operations::client::{Client, Reach};
use crate::operations::parked::{jobs_of, page, shown};
use crate::telemetry::escaped;
use crate::{journals, output};

/// `viereck parked`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is parked: grouped by cause, oldest first
    List(List),
    /// Everything that is known of one parked thing, content excepted
    Show(Show),
    /// Put one parked thing, or all that a filter names, back into the flow; never to another reader
    Requeue(Requeue),
    /// End one parked thing: its author's gateway is told that an operator discarded it
    Discard(Discard),
    /// Seal a message anew at its author's gateway: for its reader's present key, or for another reader
    SealAnew(SealAnew),
    /// Erase the content of a message that ended unread and lies at its author's gateway; nobody can read it again
    Erase(Erase),
    /// Requeues of many: progress and results
    Jobs(Jobs),
    /// Stop a requeue of many; what is done stays done
    Stop(Stop),
}

/// Whose process, reached how.
#[derive(Debug, Args)]
struct At {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reach: Reach,
    /// The custodian that has it, a gateway or the broker; all of the process if left out
    #[arg(long, value_name = "ID")]
    custodian: Option<CustodianId>,
}

/// `viereck parked list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    which: Which,
    /// How many to show at the most, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Where to go on: the cursor of the page before, with --custodian
    #[arg(long, value_name = "CURSOR", requires = "custodian")]
    cursor: Option<Place>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Which parked things.
#[derive(Debug, Args)]
struct Which {
    /// Only what is parked for this cause, a code of the list of reasons
    #[arg(long, value_name = "CODE")]
    cause: Option<Reason>,
    /// Only what is for this Behörde
    #[arg(long, value_name = "BEHOERDE")]
    reader: Option<BehoerdeId>,
    /// Only what is about this Leistung
    #[arg(long, value_name = "KEY")]
    leistung: Option<LeistungId>,
}

/// `viereck parked show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The id of a message, or the SHA-256 of octets that did not verify
    #[arg(value_name = "ID")]
    id: ParkedId,
    #[command(flatten)]
    at: At,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck parked requeue`.
#[derive(Debug, Args)]
pub struct Requeue {
    /// The id of a message, or the SHA-256 of octets that did not verify
    #[arg(value_name = "ID", required_unless_present_any = ["cause", "reader", "leistung", "all"])]
    id: Option<ParkedId>,
    #[command(flatten)]
    which: Which,
    /// Everything that is parked at the custodian
    #[arg(long, requires = "custodian", conflicts_with = "id")]
    all: bool,
    /// With a filter: how many a minute, 1 to 6000
    #[arg(long, value_name = "N", default_value_t = 60)]
    per_minute: u32,
    /// Why; it stands in the audit trail, so no names of people
    #[arg(long, value_name = "TEXT")]
    reason: StatedReason,
    #[command(flatten)]
    at: At,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck parked discard`.
#[derive(Debug, Args)]
pub struct Discard {
    /// The id of a message, or the SHA-256 of octets that did not verify
    #[arg(value_name = "ID")]
    id: ParkedId,
    /// Why; it stands in the audit trail, so no names of people
    #[arg(long, value_name = "TEXT")]
    reason: StatedReason,
    #[command(flatten)]
    at: At,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck parked seal-anew`.
#[derive(Debug, Args)]
pub struct SealAnew {
    /// The message; what never left, or ended as undeliverable, expired, or rejected for the reader's key
    #[arg(value_name = "ID")]
    id: MessageId,
    /// Another reader; the same one if left out
    #[arg(long, value_name = "BEHOERDE")]
    reader: Option<BehoerdeId>,
    /// Why; it stands in the audit trail, so no names of people
    #[arg(long, value_name = "TEXT")]
    reason: StatedReason,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reach: Reach,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck parked erase`.
#[derive(Debug, Args)]
pub struct Erase {
    /// The message; what ended without being taken over
    #[arg(value_name = "ID")]
    id: MessageId,
    /// Why; it stands in the audit trail, so no names of people
    #[arg(long, value_name = "TEXT")]
    reason: StatedReason,
    #[command(flatten)]
    at: At,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck parked jobs`.
#[derive(Debug, Args)]
pub struct Jobs {
    #[command(flatten)]
    at: At,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// `viereck parked stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,
    /// Why; it stands in the audit trail, so no names of people
    #[arg(long, value_name = "TEXT")]
    reason: StatedReason,
    #[command(flatten)]
    at: At,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs `viereck parked …`.
pub async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Requeue(args) => requeue(args).await,
        Command::Discard(args) => discard(args).await,
        Command::SealAnew(args) => seal_anew(args).await,
        Command::Erase(args) => erase(args).await,
        Command::Jobs(args) => jobs(args).await,
        Command::Stop(args) => stop(args).await,
    }
}

/// Whom a look asks.
enum Asked {
    /// The process.
    Process(Client),
    /// The journals, opened here.
    Journals(Vec<Journal>, Option<Box<Tables>>),
}

impl At {
    fn config(&self) -> Result<Config, Failure> {
        Ok(self.source.load()?.0)
    }

    fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.config()?, &self.reach)
    }

    async fn asked(&self) -> Result<Asked, Failure> {
        let config = self.config()?;
        if config.operations.is_some() || self.reach.url.is_some() {
            return Client::new(&config, &self.reach).map(Asked::Process);
        }
        // a table that does not load only means that targets are not computed
        let tables = Tables::load(&config.table, day_in_berlin(Timestamp::now())).ok();
        let journals = journals::open_all(&config, self.custodian.as_ref()).await?;
        Ok(Asked::Journals(journals, tables.map(|loaded| Box::new(loaded.tables))))
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        self.custodian
            .iter()
            .map(|custodian| ("custodian", custodian.to_string()))
            .collect()
    }

    fn body(&self, reason: &StatedReason) -> Value {
        let mut body = json!({ "reason": reason });
        if let Some(custodian) = &self.custodian {
            body["custodian"] = json!(custodian);
        }
        body
    }
}

async fn list(args: &List) -> Result<(), Failure> {
    let limit = args.limit.clamp(1, 500);
    let answer = match args.at.asked().await? {
        Asked::Process(client) => {
            let mut query = args.at.query();
            query.extend(args.which.cause.map(|cause| ("cause", cause.to_string())));
            query.extend(args.which.reader.iter().map(|reader| ("reader", reader.to_string())));
            query.extend(args.which.leistung.iter().map(|key| ("leistung", key.to_string())));
            query.extend(args.cursor.map(|cursor| ("cursor", cursor.to_string())));
            query.push(("limit", limit.to_string()));
            client.get("/v1/parked", &query).await?
        }
        Asked::Journals(journals, tables) => {
            let filter = Filter {
                cause: args.which.cause,
                reader: args.which.reader.clone(),
                leistung: args.which.leistung.clone(),
            };
            let all: Vec<&Journal> = journals.iter().collect();
            let after = args.cursor.unwrap_or_default();
            let page = page(&all, tables.as_deref(), &filter, after, limit).await;
            closing(&journals, page).await?
        }
    };
    match args.json {
        true => output::json(&answer),
        false => output::text(&told_list(&answer)),
    }
}

/// The looked-up value as JSON, and the journals closed.
async fn closing<T: serde::Serialize>(
    journals: &[Journal],
    looked: Result<T, viereck_custody::JournalError>,
) -> Result<Value, Failure> {
    for journal in journals {
        journal.clone().close().await;
    }
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Unexpected, "journal-failed", format!("A journal: {error}."))
            .help("`viereck doctor` looks at the files.")
    };
    serde_json::to_value(looked.map_err(|error| failed(&error))?).map_err(|error| failed(&error))
}

async fn show(args: &Show) -> Result<(), Failure> {
    let answer = match args.at.asked().await? {
        Asked::Process(client) => {
            let path = format!("/v1/parked/{}", args.id);
            client.get(&path, &args.at.query()).await?
        }
        Asked::Journals(journals, tables) => {
            let all: Vec<&Journal> = journals.iter().collect();
            let found = shown(&all, tables.as_deref(), args.id).await;
            json!({ "parked": closing(&journals, found).await? })
        }
    };
    let found = answer["parked"].as_array().map(Vec::len).unwrap_or_default();
    if found == 0 {
        let sentence = format!("Nothing is parked under {}.", args.id);
        return Err(Failure::new(Exit::NotFound, "not-parked", sentence)
            .help("`viereck parked list` shows what is; it may have been requeued already."));
    }
    match args.json {
        true => output::json(&answer),
        false => output::text(&told_shown(&answer)),
    }
}

async fn requeue(args: &Requeue) -> Result<(), Failure> {
    let client = args.at.client()?;
    let mut body = args.at.body(&args.reason);
    if let Some(id) = args.id {
        let answer = client.post(&format!("/v1/parked/{id}/requeue"), &body).await?;
        return match args.json {
            true => output::json(&answer),
            false => output::text(&told_requeued(&answer)),
        };
    }
    if args.at.custodian.is_none() {
        return Err(Failure::new(
            Exit::Usage,
            "custodian-missing",
            "A requeue of many is at one custodian.",
        )
        .help("Name it with --custodian."));
    }
    body["perMinute"] = json!(args.per_minute);
    body["all"] = json!(args.all);
    for (name, value) in [
        ("cause", args.which.cause.map(|cause| json!(cause))),
        ("reader", args.which.reader.as_ref().map(|reader| json!(reader))),
        ("leistung", args.which.leistung.as_ref().map(|key| json!(key))),
    ] {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    let answer = client.post("/v1/parked/requeue", &body).await?;
    match args.json {
        true => output::json(&answer),
        false => output::text(&format!(
            "job {}: {} items, {} a minute\n",
            text(&answer, "id"),
            answer["items"],
            answer["perMinute"]
        )),
    }
}

async fn discard(args: &Discard) -> Result<(), Failure> {
    let path = format!("/v1/parked/{}/discard", args.id);
    let answer = args.at.client()?.post(&path, &args.at.body(&args.reason)).await?;
    match args.json {
        true => output::json(&answer),
        false => output::text(&format!(
            "{} discarded at {}: {}\n",
            args.id,
            text(&answer, "custodian"),
            answer["stage"].as_str().unwrap_or("its octets are deleted")
        )),
    }
}

async fn seal_anew(args: &SealAnew) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    let mut body = json!({ "reason": args.reason });
    if let Some(reader) = &args.reader {
        body["reader"] = json!(reader);
    }
    let path = format!("/v1/messages/{}/seal-anew", args.id);
    let answer = Client::new(&config, &args.reach)?.post(&path, &body).await?;
    match args.json {
        true => output::json(&answer),
        false => output::text(&told_requeued(&answer)),
    }
}

async fn erase(args: &Erase) -> Result<(), Failure> {
    let path = format!("/v1/messages/{}/erase", args.id);
    let answer = args.at.client()?.post(&path, &args.at.body(&args.reason)).await?;
    match args.json {
        true => output::json(&answer),
        false => output::text(&format!("{} erased at {}\n", args.id, text(&answer, "custodian"))),
    }
}

async fn jobs(args: &Jobs) -> Result<(), Failure> {
    let answer = match args.at.asked().await? {
        Asked::Process(client) => client.get("/v1/jobs", &args.at.query()).await?,
        Asked::Journals(journals, _) => {
            let all: Vec<&Journal> = journals.iter().collect();
            let found = jobs_of(&all).await;
            json!({ "jobs": closing(&journals, found).await? })
        }
    };
    if args.json {
        return output::json(&answer);
    }
    let mut told = String::new();
    for job in array(&answer, "jobs") {
        let (items, left) = (job["items"].as_u64().unwrap_or(0), job["left"].as_u64().unwrap_or(0));
        let state = match job["endedAt"].as_str() {
            Some(at) => format!("ended {at}"),
            None => format!("{} a minute", job["perMinute"]),
        };
        let results: Vec<String> = job["results"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(result, count)| format!("{count} {result}"))
            .collect();
        told.push_str(&format!(
            "{} at {}: {} of {items} done ({}), {state}, by {}: {}\n",
            text(job, "id"),
            text(job, "custodian"),
            items - left.min(items),
            results.join(", "),
            text(job, "actor"),
            text(job, "reason"),
        ));
    }
    output::text(if told.is_empty() { "no jobs\n" } else { &told })
}

async fn stop(args: &Stop) -> Result<(), Failure> {
    // a job's name stands in a path: nothing but what such a name is made of
    if !args
        .job
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    {
        return Err(Failure::new(Exit::Usage, "job-invalid", "This is no name of a job.")
            .help("`viereck parked jobs` shows them."));
    }
    let path = format!("/v1/jobs/{}/stop", args.job);
    let answer = args.at.client()?.post(&path, &args.at.body(&args.reason)).await?;
    match args.json {
        true => output::json(&answer),
        false => output::text(&format!("job {} stopped\n", args.job)),
    }
}

fn array<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// A text of an answer; what an unverified envelope claims is among them, so nothing in it may steer a terminal.
fn text(value: &Value, name: &str) -> String {
    value[name].as_str().map_or_else(|| "-".to_owned(), escaped)
}

/// Seconds as people say them.
fn age(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn told_list(answer: &Value) -> String {
    let mut told = String::new();
    for group in array(answer, "groups") {
        told.push_str(&format!(
            "{} at {}: {} messages, {} octets refused, oldest {}\n  {}\n",
            text(group, "cause"),
            text(group, "custodian"),
            group["messages"],
            group["octets"],
            text(group, "oldest"),
            text(group, "sentence"),
        ));
        let same = |item: &&Value| item["cause"] == group["cause"] && item["custodian"] == group["custodian"];
        for item in array(answer, "items").filter(same) {
            told.push_str(&format!("  {}\n", told_item(item)));
        }
    }
    if told.is_empty() {
        told.push_str("nothing is parked\n");
    }
    if let Some(cursor) = answer["cursor"].as_str() {
        told.push_str(&format!("more: --cursor {cursor}\n"));
    }
    told
}

fn told_item(item: &Value) -> String {
    let parked_for = age(item["ageSeconds"].as_i64().unwrap_or_default());
    let what = match text(item, "what").as_str() {
        "octets" => format!("octets of {}, {} octets", text(item, "origin"), item["size"]),
        _ => format!(
            "{} for {}, Leistung {}, target then {} now {}",
            text(item, "kind"),
            text(item, "reader"),
            text(item, "leistung"),
            text(item, "target"),
            text(item, "targetNow"),
        ),
    };
    format!("{}  {parked_for}  {what}", text(item, "id"))
}

fn told_shown(answer: &Value) -> String {
    let mut told = String::new();
    for item in array(answer, "parked") {
        told.push_str(&format!(
            "{}\n  parked at {} since {}: {} ({})\n",
            told_item(item),
            text(item, "custodian"),
            text(item, "parkedAt"),
            text(item, "sentence"),
            text(item, "cause")
        ));
        for name in [
            "side",
            "caseId",
            "author",
            "gateway",
            "filedAt",
            "obsoleteAfter",
            "routingTable",
        ] {
            if let Some(value) = item[name].as_str() {
                told.push_str(&format!("  {name:<14} {value}\n"));
            }
        }
        if let Some(claims) = item["claims"].as_object() {
            told.push_str("  It claims, and nobody has verified:\n");
            for (name, value) in claims {
                told.push_str(&format!(
                    "    {name:<18} {}\n",
                    escaped(value.as_str().unwrap_or_default())
                ));
            }
        }
        for event in array(item, "events") {
            told.push_str(&format!(
                "  {}  {:<14} {}\n",
                text(event, "time"),
                text(event, "stage"),
                text(event, "custodian")
            ));
        }
        for line in array(item, "audit") {
            told.push_str(&format!(
                "  {}  {} by {}: {} ({})\n",
                text(line, "time"),
                text(line, "verb"),
                text(line, "actor"),
                text(line, "reason"),
                text(line, "outcome")
            ));
        }
    }
    told
}

fn told_requeued(answer: &Value) -> String {
    let id = text(answer, "id");
    match text(answer, "outcome").as_str() {
        "flowing" => format!(
            "{id} is in the flow again; target then {}, now {}\n",
            text(answer, "targetThen"),
            text(answer, "targetNow")
        ),
        "sealed-anew" => format!("{id} is sealed anew as {}\n", text(answer, "replacedBy")),
        "known" => format!("{id} was known already: its sender was told the same as before\n"),
        "answered" => format!("{id} verifies but may not travel: {}\n", text(answer, "reason")),
        _ => format!(
            "{id} still does not verify and stays parked: {}\n",
            text(answer, "reason")
        ),
    }
}
