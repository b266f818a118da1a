//! The whole network in one process, with stand-ins for corners 1 and 4.
//!
//! `demo` is generated keys, the sample table and a configuration, then the same network that `run` starts, then a
//! Fachverfahren over HTTP, one that uses folders, and a Postfach. It files its applications over HTTP as any client
//! would and tells the life of each as it happens. What it shows is real in every part but the people; all of it lies
//! in a temporary folder that goes when it ends.

mod account;
pub mod applications;
pub mod samples;
pub mod site;
pub mod stand_ins;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpListener;
use viereck_custody::Occurrence;
use viereck_transport::Queue;

use self::account::{Document, Refused, Submission};
use self::applications::{Application, Client, Filed, Receipt};
use self::site::{CLIENT, RECEIVER_NW, RECEIVER_SH, SENDER, Site, Surroundings};
use self::stand_ins::{Fachverfahren, FolderFachverfahren, Postfach, ReplyRoute};
use crate::config::{AmqpUrl, Config};
use crate::failure::{Exit, Failure};
use crate::network::Network;
use crate::{output, run};

/// How long the applications of the demonstration may take altogether.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long the link may take to answer.
const REACHABLE: Duration = Duration::from_secs(15);

/// `viereck demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Send the applications, print the life of each, and end
    #[arg(long)]
    pub once: bool,
    /// One JSON document on stdout instead of the story; ends like --once
    #[arg(long)]
    pub json: bool,
    /// Use this RabbitMQ instead of the embedded link
    #[arg(long, value_name = "URL")]
    pub amqp: Option<String>,
}

/// The stand-ins of corner 4, and the citizens' mailboxes.
struct StandIns {
    http: Fachverfahren,
    folder: FolderFachverfahren,
    postfach: Postfach,
}

/// Runs the demonstration.
///
/// # Errors
/// `demo-incomplete` when not every message ended in time.
pub async fn run(args: &Args) -> Result<(), Failure> {
    if args.amqp.as_deref().is_some_and(|url| AmqpUrl::new(url).is_none()) {
        return Err(Failure::new(
            Exit::Usage,
            "url-invalid",
            "--amqp takes a URL of scheme amqp or amqps.",
        ));
    }
    let folder = tempfile::Builder::new().prefix("viereck-demo-").tempdir();
    let folder = folder.map_err(|error| Failure::of_file("make a folder in", &std::env::temp_dir(), &error))?;
    let site = Site::prepare(folder.path())?;
    let stand_ins = StandIns::start(folder.path()).await?;
    let configuration = site.configure(&Surroundings {
        amqp: args.amqp.clone(),
        listen: [loopback(); 3],
        fachverfahren_url: stand_ins.http.url(),
        fachverfahren_folder: stand_ins.folder.folder().to_owned(),
        postfach_url: stand_ins.postfach.url(),
    })?;
    let told_to_stop = run::told_to_stop()?;
    let network = Network::start(Config::load(&configuration)?).await?;
    // told to stop, it ends as any network does, and nothing is left behind
    let outcome = tokio::select! {
        outcome = tell(args, &site, &network, &stand_ins) => outcome,
        () = told_to_stop => Ok(()),
    };
    let stopped = network.stop().await;
    stand_ins.stop().await;
    outcome.and(stopped)
}

async fn tell(args: &Args, site: &Site, network: &Network, stand_ins: &StandIns) -> Result<(), Failure> {
    reachable(network).await?;
    stand_ins.reply_through(site, network)?;
    let client = Client::new(gateway_url(network, SENDER)?, site.client_token(CLIENT)?);
    let story = Story { shown: !args.json };
    let telling = story.follow(network);
    let document = file_all(args, &client, network, stand_ins, &story).await;
    telling.abort();
    let document = document?;
    if args.json {
        return output::json(&document);
    }
    story.line("");
    output::text(&document.to_text())?;
    if args.once {
        return Ok(());
    }
    let _telling = story.follow(network);
    story.line(&how_to_go_on(site, network, stand_ins)?);
    // until the signal that ends it all
    std::future::pending().await
}

/// Waits until the link answers: without it nothing of the demonstration can end.
async fn reachable(network: &Network) -> Result<(), Failure> {
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    let answers = async {
        while network.link().depth(&Queue::Ingress).await.is_err() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(REACHABLE, answers).await.map_err(|_| {
        let sentence = format!("No RabbitMQ answered within {} s.", REACHABLE.as_secs());
        Failure::new(Exit::Unreachable, "link-unreachable", sentence).help("Is it running, and is the URL right?")
    })
}

/// Files everything and waits until every message has ended.
async fn file_all(
    args: &Args,
    client: &Client,
    network: &Network,
    stand_ins: &StandIns,
    story: &Story,
) -> Result<Document, Failure> {
    let begun = Instant::now();
    let (mut promised, mut refused) = (vec![], vec![]);
    for application in applications::all()? {
        match client.file(&application).await? {
            Filed::Promised(receipt) => {
                story.line(&format!(
                    "{}  filed: {}, for {}",
                    receipt.submission_id, application.about, receipt.behoerde
                ));
                promised.push((application, receipt));
            }
            Filed::Refused { code, detail, .. } => {
                story.line(&format!("refused ({code}): {}. {detail}", application.about));
                refused.push(Refused {
                    leistung: application.leistung,
                    region: application.region,
                    code,
                });
            }
        }
    }
    let mut submissions = vec![];
    for (application, receipt) in promised {
        submissions.push(follow_one(client, stand_ins, application, receipt, begun).await?);
    }
    let ledger = all_ended(network, begun).await?;
    Ok(Document {
        link: if args.amqp.is_some() { "amqp" } else { "embedded" },
        elapsed_seconds: begun.elapsed().as_secs_f64(),
        submissions,
        refused,
        ledger,
    })
}

/// Waits for the end of one application, and for its Bescheid where it was taken over.
async fn follow_one(
    client: &Client,
    stand_ins: &StandIns,
    application: Application,
    receipt: Receipt,
    begun: Instant,
) -> Result<Submission, Failure> {
    let path = format!("/v1/submissions/{}", receipt.submission_id);
    let status = loop {
        let status = client.get(&path, 5).await?;
        if status["terminal"] == true {
            break status;
        }
        in_time(begun, || {
            format!(
                "{} ({}) is still {}",
                receipt.submission_id, application.about, status["status"]
            )
        })?;
    };
    let mailbox = application.mailbox.to_string();
    let mut bescheid = false;
    if status["status"] == "accepted" {
        let left = DEADLINE.saturating_sub(begun.elapsed());
        let arrived = stand_ins
            .postfach
            .mailboxes()
            .until(left, |mailboxes| mailboxes.mail_in(&mailbox).next().is_some());
        bescheid = arrived.await.is_ok();
    }
    let events = all_stated(client, &path, begun).await?;
    Ok(Submission {
        leistung: application.leistung,
        region: application.region,
        behoerde: receipt.behoerde,
        status: status["status"].as_str().unwrap_or_default().to_owned(),
        reasons: codes(&status["reasons"]),
        events,
        bescheid,
        submission_id: receipt.submission_id,
        case_id: receipt.case_id,
    })
}

/// The stages that were stated, in order. Receipts come in any order, and the broker's may be the last to come.
async fn all_stated(client: &Client, path: &str, begun: Instant) -> Result<Vec<String>, Failure> {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    loop {
        looks.tick().await;
        let events = client.get(&format!("{path}/events"), 0).await?;
        let stated = events["events"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|event| event["internal"] != true);
        let stages: Vec<String> = stated
            .filter_map(|event| Some(event["stage"].as_str()?.to_owned()))
            .collect();
        if stages.iter().any(|stage| stage == "relayed") {
            return Ok(stages);
        }
        in_time(begun, || format!("no receipt of the broker has come for {path}"))?;
    }
}

/// The ledger over all gateways, once nothing is in flight.
async fn all_ended(network: &Network, begun: Instant) -> Result<viereck_custody::Account, Failure> {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    loop {
        looks.tick().await;
        let mut total = viereck_custody::Account::default();
        for journal in network.journals().values() {
            let ledger = journal.ledger().await.map_err(|error| {
                Failure::new(
                    Exit::Unexpected,
                    "journal-unreadable",
                    format!("A journal cannot be read: {error}"),
                )
            })?;
            total += ledger.total_sent();
        }
        if total.in_flight == 0 {
            return Ok(total);
        }
        in_time(begun, || {
            format!("{} of {} messages have not ended", total.in_flight, total.received)
        })?;
    }
}

fn in_time(begun: Instant, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if begun.elapsed() < DEADLINE {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Unexpected,
        "demo-incomplete",
        format!("After {} s {}.", DEADLINE.as_secs(), what()),
    )
    .help("Run it again with VIERECK_LOG=info; the log tells where each message is."))
}

fn codes(reasons: &Value) -> Vec<String> {
    reasons
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reason| Some(reason["code"].as_str()?.to_owned()))
        .collect()
}

/// What is told while it happens; on stderr, because stdout is the account.
#[derive(Clone, Copy)]
struct Story {
    shown: bool,
}

impl Story {
    fn line(self, text: &str) {
        if self.shown {
            output::talk(text);
        }
    }

    /// Tells every event of every custodian's own, once each.
    fn follow(self, network: &Network) -> tokio::task::JoinHandle<()> {
        let mut told = tokio::task::JoinSet::new();
        for journal in network.journals().values() {
            let mut occurrences = journal.subscribe();
            told.spawn(async move {
                loop {
                    match occurrences.recv().await {
                        // others tell their own
                        Ok(occurrence) if occurrence.custodian == occurrence.journal => self.tell(&occurrence),
                        Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                        Err(tokio::sync::broadcast::error::RecvError::Closed) => break,
                    }
                }
            });
        }
        tokio::spawn(async move { while told.join_next().await.is_some() {} })
    }

    fn tell(self, occurrence: &Occurrence) {
        let reasons: Vec<&str> = occurrence.reasons.iter().map(|reason| reason.code()).collect();
        let reasons = if reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", reasons.join(", "))
        };
        self.line(&format!(
            "{}  {:<13} {}{reasons}",
            occurrence.message_id, occurrence.stage, occurrence.custodian
        ));
    }
}

impl StandIns {
    async fn start(folder: &std::path::Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(
                Exit::Unexpected,
                "stand-in-failed",
                format!("A stand-in cannot start: {error}"),
            )
        };
        let http = TcpListener::bind(loopback()).await.map_err(failed)?;
        let postfach = TcpListener::bind(loopback()).await.map_err(failed)?;
        let outbox = folder.join("fachverfahren");
        Ok(Self {
            http: Fachverfahren::start(http, stand_ins::reject_unknown_codes()).map_err(failed)?,
            folder: FolderFachverfahren::start(outbox, stand_ins::reject_unknown_codes())
                .await
                .map_err(failed)?,
            postfach: Postfach::start(postfach).map_err(failed)?,
        })
    }

    /// Every application that is taken over gets a Bescheid, through the gateway it came from.
    fn reply_through(&self, site: &Site, network: &Network) -> Result<(), Failure> {
        let route = |gateway: &str| {
            Ok::<_, Failure>(ReplyRoute {
                gateway: gateway_url(network, gateway)?,
                token: site.fachverfahren_token(gateway)?,
                share: stand_ins::Share::All,
            })
        };
        self.http.reply_through(route(RECEIVER_SH)?);
        self.folder.reply_through(route(RECEIVER_NW)?);
        Ok(())
    }

    async fn stop(self) {
        self.http.stop().await;
        self.folder.stop().await;
        self.postfach.stop().await;
    }
}

fn how_to_go_on(site: &Site, network: &Network, stand_ins: &StandIns) -> Result<String, Failure> {
    let gateway = gateway_url(network, SENDER)?;
    let token = site.keys().join("clients").join(format!("{CLIENT}.token"));
    Ok(format!(
        r#"
The network stays up until Ctrl-C. One more, for Köln:

echo '{{"hinweis":"Beispiel"}}' > application.json
curl -sS {gateway}/v1/submissions \
  -H "Authorization: Bearer $(cat {token})" \
  -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)" \
  -F 'metadata={{"leistung":"{wohngeld}","region":"{koeln}","payloadSchema":"{schema}","applicant":{{"kind":"person","level":3,"attributes":{{}}}},"replyChannel":{{"mailbox":"mine","level":3}}}};type=application/json' \
  -F 'payload=@application.json;type=application/json'

It arrives in a folder of its own below {folder}; its Bescheid goes to the mailbox `mine`."#,
        token = token.display(),
        wohngeld = applications::WOHNGELD,
        koeln = applications::KOELN,
        schema = samples::WOHNGELD_JSON,
        folder = stand_ins.folder.folder().display(),
    ))
}

fn gateway_url(network: &Network, gateway: &str) -> Result<String, Failure> {
    let address = gateway.parse().ok().and_then(|id| network.addresses().get(&id));
    let missing = || {
        Failure::new(
            Exit::Unexpected,
            "gateway-missing",
            format!("{gateway} is not running."),
        )
    };
    Ok(format!("http://{}", address.ok_or_else(missing)?))
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}
