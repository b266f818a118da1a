//! Whom the commands ask: the roles of each configuration, by their running process or by their journals.

use std::path::PathBuf;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;
use viereck_custody::Journal;
use viereck_custody::list::{Filter, Position};
use viereck_routing::{CustodianId, Digest};

use super::known::{Answer, Asked, CustodianPage, Known, find, pages};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::journals;
use crate::operations::client::{Client, Reach};

/// Where is asked.
#[derive(Debug, Args)]
pub(super) struct From {
    /// A configuration whose roles are asked; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    config: Vec<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

/// The roles of one configuration, and how they are asked: those of a process that runs and lets operators look by its
/// interface, all others by their journals.
pub(super) struct Source {
    pub(super) config: Config,
    interface: Option<Client>,
}

impl From {
    /// Everyone who is to be asked; with `only`, of that custodian's configuration.
    pub(super) fn sources(&self, only: Option<&CustodianId>) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        for file in &self.config {
            let config = Config::load(file)?;
            if only.is_some_and(|only| !config.journals().iter().any(|(custodian, _)| *custodian == only)) {
                continue;
            }
            let interface = self.interface(&config).transpose()?;
            sources.push(Source { config, interface });
        }
        match (only, sources.is_empty()) {
            (Some(only), true) => Err(journals::unknown(only)),
            _ => Ok(sources),
        }
    }

    /// The interface, where it was named, or is configured and somebody has a token for it.
    fn interface(&self, config: &Config) -> Option<Result<Client, Failure>> {
        let named = self.reach.url.is_some();
        let usable = config.operations.is_some() && self.reach.has_token();
        (named || usable).then(|| Client::new(config, &self.reach))
    }
}

impl Source {
    /// Every message that they know by what is asked.
    pub(super) async fn find(&self, asked: &Asked) -> Result<Vec<Known>, Failure> {
        let mut answer = match &self.interface {
            None => Answer::default(),
            Some(client) => {
                let query = match asked {
                    Asked::Id(id) => vec![("id", id.to_string())],
                    Asked::Key(who, key) => vec![("client", who.to_string()), ("key", key.to_string())],
                    Asked::Reference(digest) => vec![("reference", digest.to_string())],
                };
                read(client.get("/v1/messages/find", &query).await?)?
            }
        };
        for journal in self.others(&answer.custodians, None).await? {
            answer.known.extend(find(&[&journal], asked).await.map_err(failed)?);
            journal.close().await;
        }
        for one in &mut answer.known {
            one.message.tell();
        }
        Ok(answer.known)
    }

    /// A page of each of them, or of the one `custodian`.
    pub(super) async fn pages(
        &self,
        custodian: Option<&CustodianId>,
        filter: &Filter,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Vec<CustodianPage>, Failure> {
        let mut all: Vec<CustodianPage> = match &self.interface {
            None => Vec::new(),
            Some(client) => {
                let mut query = words(filter);
                query.extend(custodian.map(|custodian| ("custodian", custodian.to_string())));
                query.extend(after.map(|after| ("cursor", after.to_string())));
                query.push(("limit", limit.to_string()));
                match client.get("/v1/messages", &query).await {
                    Ok(answer) => read(answer)?,
                    // of another process of this configuration
                    Err(failure) if failure.exit == Exit::NotFound && custodian.is_some() => Vec::new(),
                    Err(failure) => return Err(failure),
                }
            }
        };
        let asked: Vec<CustodianId> = all.iter().map(|page| page.custodian.clone()).collect();
        for journal in self.others(&asked, custodian).await? {
            all.extend(pages(&[&journal], filter, after, limit).await.map_err(failed)?);
            journal.close().await;
        }
        Ok(all)
    }

    /// The journals of whom nobody has asked yet. Beside a running process one that is not there is no failure: its role
    /// may run elsewhere.
    async fn others(&self, asked: &[CustodianId], only: Option<&CustodianId>) -> Result<Vec<Journal>, Failure> {
        let mut others = Vec::new();
        for (custodian, place) in self.config.journals() {
            if asked.contains(custodian) || only.is_some_and(|only| only != custodian) {
                continue;
            }
            match journals::open_to_look(&self.config, custodian, place).await {
                Ok(journal) => others.push(journal),
                Err(failure) if failure.exit == Exit::NotFound && self.interface.is_some() => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(others)
    }

    /// What a client's reference or key is in the journals of these gateways, by the way `digest` keeps it.
    pub(super) fn digests_of(
        &self,
        text: &str,
        digest: impl Fn(&[u8; 32], &str) -> Digest,
    ) -> Result<Vec<Digest>, Failure> {
        let mut digests = Vec::new();
        for gateway in &self.config.gateways {
            let folder = gateway.keys_of_all();
            let key = viereck_gateway::reference::key(folder, &gateway.settings.id).map_err(|error| {
                Failure::new(Exit::NotPermitted, "key-unreadable", format!("{error}."))
                    .help("What clients call it is kept under the gateway's key alone: look as a user who may read it.")
            })?;
            digests.push(digest(&key, text));
        }
        Ok(digests)
    }
}

fn words(filter: &Filter) -> Vec<(&'static str, String)> {
    let texts = [
        ("status", filter.status.map(|status| status.to_string())),
        ("author", filter.author.as_ref().map(ToString::to_string)),
        ("reader", filter.reader.as_ref().map(ToString::to_string)),
        ("leistung", filter.leistung.as_ref().map(ToString::to_string)),
        ("since", filter.since.map(|since| since.to_string())),
        ("until", filter.until.map(|until| until.to_string())),
        ("client", filter.client.as_ref().map(ToString::to_string)),
        ("overdue", filter.overdue.then(|| "true".to_owned())),
        ("parked", filter.parked.then(|| "true".to_owned())),
        ("inFlight", filter.in_flight.then(|| "true".to_owned())),
    ];
    texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|_| {
        let sentence = "The operations interface answers in another way than this version understands.";
        Failure::new(Exit::Unexpected, "answer-malformed", sentence).help("Use the version that the process runs.")
    })
}

fn failed(error: viereck_custody::JournalError) -> Failure {
    Failure::new(
        Exit::Unexpected,
        "journal-failed",
        format!("A journal cannot be read: {error}."),
    )
    .help("`viereck doctor` looks at the file.")
}
