//! `viereck message trace`: the whole life of a message, or of all messages of a case, on one screen.

use clap::Args;
use viereck_gateway::reference::{digest, digest_of_key};
use viereck_routing::{ClientId, MessageId};

use super::ask::From;
use super::known::Asked;
use super::{route, story, told};
use crate::failure::{Exit, Failure};
use crate::output;

/// `viereck message trace`.
#[derive(Debug, Args)]
pub struct Trace {
    #[command(flatten)]
    what: What,
    /// With --key: the online service that posted it
    #[arg(long, value_name = "ID", requires = "key")]
    client: Option<ClientId>,
    #[command(flatten)]
    from: From,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What is looked for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The id of a message (a submission) or of a case
    #[arg(value_name = "ID")]
    id: Option<MessageId>,
    /// The Idempotency-Key under which it was posted
    #[arg(long, value_name = "KEY", requires = "client")]
    key: Option<String>,
    /// The client's own reference; it is looked for by its digest under the gateway's key
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
}

/// Runs `viereck message trace`.
pub(super) async fn run(args: &Trace) -> Result<(), Failure> {
    let sources = args.from.sources(None)?;
    let mut known = Vec::new();
    for source in &sources {
        for asked in args.asked(source)? {
            known.extend(source.find(&asked).await?);
        }
    }
    // a key or a reference is known to one gateway; what it names is known to others too
    if args.what.id.is_none() {
        let mut ids: Vec<MessageId> = known.iter().map(|one| one.message.message_id).collect();
        ids.sort();
        ids.dedup();
        known.clear();
        for id in ids {
            for source in &sources {
                known.extend(source.find(&Asked::Id(id)).await?);
            }
        }
    }
    let tables = route::at_hand(sources.iter().map(|source| source.config.table.as_path()));
    let stories = story::stories(known, &tables);
    if stories.is_empty() {
        // what was typed may be about a person and is not repeated
        let sentence = match args.what.id {
            Some(id) => format!("No journal knows {id}."),
            None => "No journal knows a message by that.".to_owned(),
        };
        return Err(Failure::new(Exit::NotFound, "message-unknown", sentence)
            .help("Name every configuration of the network with --config; a journal only knows what passed it."));
    }
    if args.json {
        return output::json(&stories);
    }
    output::text(&stories.iter().map(told::told).collect::<Vec<_>>().join("\n"))
}

impl Trace {
    /// What one source is asked.
    fn asked(&self, source: &super::ask::Source) -> Result<Vec<Asked>, Failure> {
        let What { id, key, reference } = &self.what;
        Ok(match (id, key.as_ref().zip(self.client.as_ref()), reference) {
            (Some(id), ..) => vec![Asked::Id(*id)],
            (None, Some((key, client)), _) => source
                .digests_of(key, digest_of_key)?
                .into_iter()
                .map(|digest| Asked::Key(client.clone(), digest))
                .collect(),
            (None, None, Some(reference)) => source
                .digests_of(reference, digest)?
                .into_iter()
                .map(Asked::Reference)
                .collect(),
            (None, None, None) => Vec::new(),
        })
    }
}
