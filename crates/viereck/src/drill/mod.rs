//! The fault suite: a private network that is broken on purpose while applications flow through it.
//!
//! `viereck drill` starts the real binary in processes of its own over a RabbitMQ of its own, lets clients file
//! applications without pause, and strikes: every fault of [`plan`] at every step of custody where it can strike. It
//! ends with an account that compares what was promised with what took effect at corner 4. An application that was
//! promised has to take effect exactly once, or its author has to be told the truth; anything else is an error, and the
//! folder with journals and logs stays for whoever looks into it.
//!
//! The gateways repeat after minutes of silence. That would hide a broken acknowledgement, so the drill ends long
//! before: what a fault needs such a repeat for counts as lost. Only where RabbitMQ loses its disk, or a
//! journal what nobody else had heard of yet, is a repeat the way.

mod account;
mod book;
mod desk;
mod faults;
mod load;
mod member;
mod network;
pub mod nodes;
mod paper;
mod plan;
mod report;
mod seed;
mod selection;
mod stage;
mod table;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::account::Account;
use self::book::Book;
use self::load::Load;
use self::network::Network;
use self::nodes::NodeError;
use self::plan::Strike;
use self::report::{Document, Row, Skipped, Total};
use self::seed::Seed;
use self::selection::Selection;
use self::stage::Stage;
use crate::failure::{Exit, Failure};
use crate::{output, run as running};

/// How long a strike's applications may take to be filed, and service to come back.
const A_STRIKE: Duration = Duration::from_secs(120);
/// How long the last applications may take to end, once everything is repaired.
const THE_END: Duration = Duration::from_secs(180);
/// Applications under way before something breaks, at the most.
const WARM: usize = 40;

/// `viereck drill`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Applications to file, spread evenly over all strikes
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub envelopes: usize,
    /// Nodes of the private RabbitMQ
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub nodes: u8,
    /// Processes of each role; two share a journal in PostgreSQL, and one is struck at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub instances: u8,
    /// Keep the journals in a private PostgreSQL
    #[arg(long)]
    pub postgres: bool,
    /// Use the embedded link and one process instead of RabbitMQ; faults that need more are skipped
    #[arg(long)]
    pub embedded: bool,
    /// Only these faults, or FAULT:STEP for one step of one
    #[arg(long, value_name = "FAULT,…", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Strike nothing new after so many minutes; what is left then is named as skipped
    #[arg(long, value_name = "M", default_value_t = 60)]
    pub minutes: u64,
    /// Makes the choices of an earlier drill again
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Name every fault and its steps, and strike nothing
    #[arg(long)]
    pub list: bool,
    /// One JSON document on stdout instead of the table
    #[arg(long)]
    pub json: bool,
}

/// Runs the drill.
///
/// # Errors
/// `drill-findings` (exit code 4) when an application was lost, took effect twice or where it should not, or when a
/// sender was told something untrue.
pub async fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        return output::text(&selection::list());
    }
    let selection = Selection::of(args)?;
    let seed = args.seed.map_or_else(Seed::random, Seed::new);
    let folder = tempfile::Builder::new().prefix("viereck-drill-").tempdir();
    let folder = folder.map_err(|error| Failure::of_file("make a folder in", &std::env::temp_dir(), &error))?;
    let told_to_stop = running::told_to_stop()?;
    let drill = Drill { args, seed, selection };
    // told to stop, it leaves nothing behind: every process ends with its handle
    let outcome = tokio::select! {
        outcome = drill.run(folder.path()) => outcome,
        () = told_to_stop => return Ok(()),
    };
    let kept = |sentence: String| {
        let folder = folder.keep();
        format!("{sentence} Journals and logs are kept in {}.", folder.display())
    };
    let (document, broken_off) = match outcome {
        Ok(outcome) => outcome,
        Err(failure) => {
            return Err(Failure {
                sentence: kept(failure.sentence),
                ..failure
            });
        }
    };
    match args.json {
        true => output::json(&document)?,
        false => output::text(&document.to_text())?,
    }
    if document.is_right() {
        return match broken_off {
            None => Ok(()),
            // not a finding: nobody may take a drill that was not made for one that found something
            Some(failure) => Err(Failure {
                sentence: kept(failure.sentence),
                ..failure
            }),
        };
    }
    let sums = &document.total.sums;
    let sentence = format!(
        "Of {} applications {} were lost, {} took effect twice, {} in the wrong place, {} with another content; {} were \
         handed over after their end; {} senders were told something untrue, {} valid applications were turned away.",
        sums.sent,
        sums.lost,
        sums.twice(),
        sums.misrouted,
        sums.mixed,
        sums.after_the_end,
        sums.wrong_receipts,
        sums.refused
    );
    Err(Failure::new(Exit::Findings, "drill-findings", kept(sentence)))
}

struct Drill<'a> {
    args: &'a Args,
    seed: Seed,
    selection: Selection,
}

impl Drill<'_> {
    /// The account, and what broke the drill off before its end.
    async fn run(&self, folder: &std::path::Path) -> Result<(Document, Option<Failure>), Failure> {
        let strikes = &self.selection.strikes;
        output::talk(&format!("seed {}, {} strikes", self.seed.number(), strikes.len()));
        let network = Network::prepare(folder, self.selection.shape).await?;
        network.start().await?;
        let book = Arc::new(Book::default());
        let load = Load::start(
            self.seed,
            Arc::clone(&book),
            Arc::clone(&network.desk),
            Arc::clone(&network.versions),
            network.clients()?,
        );
        let stage = Stage { network, load, book };
        let begun = Instant::now();
        let mut made: Vec<Made> = vec![];
        let mut skipped = self.selection.skipped.clone();
        let mut broken_off = None;
        let last = Duration::from_secs(60 * self.args.minutes);
        for (place, strike) in strikes.iter().enumerate() {
            let reason = if begun.elapsed() > last {
                format!("after {} minutes nothing new is struck", self.args.minutes)
            } else {
                match self.strike(&stage, place, *strike).await {
                    Ok(strike) => {
                        made.push(strike);
                        continue;
                    }
                    Err(failure) => {
                        output::talk(&format!("{strike} could not be made: {}", failure.sentence));
                        broken_off = Some(failure);
                        "the drill was broken off".to_owned()
                    }
                }
            };
            // what went before has its account all the same
            skipped.extend(strikes[place..].iter().map(|strike| Skipped {
                name: strike.fault.name(),
                step: strike.step.name(),
                reason: reason.clone(),
            }));
            break;
        }
        let Stage { network, load, book } = stage;
        load.stop(THE_END).await;
        bescheide(&network).await;
        let elapsed = begun.elapsed();
        let document = Document {
            broken_off: broken_off.as_ref().map(|failure: &Failure| failure.sentence.clone()),
            ..self.document(&network, &book, made, skipped, elapsed)
        };
        network.stop().await?;
        Ok((document, broken_off))
    }

    /// One strike from the first application that counts for it to the moment when service is back.
    async fn strike(&self, stage: &Stage, place: usize, strike: Strike) -> Result<Made, Failure> {
        stage.prepare(strike).await?;
        let quota = self.quota(place);
        let first = stage.book.drawn();
        stage.load.begin(place, quota);
        let warm = WARM.min(quota / 4).max(1);
        stage
            .until("the first applications are promised", A_STRIKE, || {
                stage.book.promised_since(first) >= warm
            })
            .await?;
        // a process that is still starting cannot be struck at a step
        stage
            .until("the first of them are taken over", A_STRIKE, || {
                !stage.book.submissions_since(first, true).is_empty()
            })
            .await?;
        let arranged = stage.arrange(strike.step).await;
        let seen = arranged.seen;
        let moment = stage.strike(strike, arranged).await?;
        let service = || stage.book.service_after(moment, first);
        let back = stage
            .until("service comes back", A_STRIKE, || service().is_some())
            .await;
        let filed = stage
            .until("the load is filed", A_STRIKE, || stage.load.due() == 0)
            .await;
        let made = Made {
            strike,
            seen,
            service: service(),
        };
        let late = match (&back, &filed) {
            (Ok(()), Ok(())) => String::new(),
            _ => format!(", {} not filed in time", stage.load.forgo()),
        };
        stage.clear(strike).await?;
        output::talk(&format!(
            "{strike}: {} promised, service after {}{}{late}",
            stage.book.promised_since(first),
            made.service
                .map_or("-".to_owned(), |service| format!("{:.1} s", service.as_secs_f64())),
            if seen { "" } else { " (step not seen)" },
        ));
        Ok(made)
    }

    /// How many applications are filed for the strike at this place.
    fn quota(&self, place: usize) -> usize {
        let strikes = self.selection.strikes.len().max(1);
        let (each, rest) = (self.args.envelopes / strikes, self.args.envelopes % strikes);
        each + usize::from(place < rest)
    }

    fn document(
        &self,
        network: &Network,
        book: &Book,
        made: Vec<Made>,
        skipped: Vec<Skipped>,
        elapsed: Duration,
    ) -> Document {
        let strikes: Vec<Strike> = made.iter().map(|made| made.strike).collect();
        let Account { rows, total, problems } = Account::of(network, book, self.seed, &strikes);
        let faults: Vec<Row> = made.iter().zip(rows).map(|(made, sums)| made.row(sums)).collect();
        let longest = faults
            .iter()
            .filter_map(|row| row.seconds_to_service)
            .max_by(f64::total_cmp);
        let desk = &network.desk;
        let breaches = desk.http.ledger().look(|ledger| ledger.breaches().len())
            + desk.folder.ledger().look(|ledger| ledger.breaches().len())
            + desk.postfach.mailboxes().look(|mailboxes| mailboxes.breaches().len());
        let (contradictions, refusals) = book.read(|pages| {
            let mut refusals = BTreeMap::new();
            for code in pages.refusals() {
                *refusals.entry(code.clone()).or_default() += 1;
            }
            (pages.contradictions().to_vec(), refusals)
        });
        let members = network.members().iter();
        Document {
            seed: self.seed.number(),
            link: if network.rabbit.is_some() { "amqp" } else { "embedded" },
            nodes: self.selection.shape.nodes,
            instances: self.selection.shape.instances,
            elapsed_seconds: elapsed.as_secs_f64(),
            faults,
            total: Total {
                sums: total,
                seconds_to_service: longest,
            },
            skipped,
            restarts: members
                .map(|member| (member.name().to_owned(), member.restarts()))
                .collect(),
            contradictions,
            refusals,
            breaches,
            broken_off: None,
            problems,
        }
    }
}

/// A strike that was made.
struct Made {
    strike: Strike,
    seen: bool,
    service: Option<Duration>,
}

impl Made {
    fn row(&self, sums: account::Sums) -> Row {
        Row {
            name: self.strike.fault.name(),
            step: self.strike.step.name(),
            seen_at_step: self.seen,
            sums,
            seconds_to_service: self.service.map(|service| service.as_secs_f64()),
        }
    }
}

/// Waits for the Bescheide that are due; what does not come in time, the account finds.
async fn bescheide(network: &Network) {
    let begun = Instant::now();
    while !account::bescheide_are_there(network) && begun.elapsed() < THE_END {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let exit = match error {
            NodeError::Missing { .. } => Exit::NotFound,
            _ => Exit::Unexpected,
        };
        let mut sentence = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            sentence.push_str(&format!(": {source}"));
        }
        Failure::new(exit, error.code(), sentence)
    }
}
