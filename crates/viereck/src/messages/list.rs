//! `viereck message list`: messages by what they have in common, newest first.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use viereck_custody::MessageView;
use viereck_custody::list::{Filter, Position};
use viereck_envelope::Stage;
use viereck_routing::{BehoerdeId, ClientId, CustodianId, LeistungId, MessageId};

use super::ask::{From, Source};
use super::known::{CustodianPage, Known};
use super::story::{self, Story};
use super::told::duration;
use crate::failure::{Exit, Failure};
use crate::output;

/// Messages of one page of a journal.
const PAGE: u32 = 200;

/// `viereck message list`.
#[derive(Debug, Args)]
pub struct List {
    /// The furthest stage that counts: received, relayed, delivered, accepted, …
    #[arg(long, value_name = "STATUS")]
    status: Option<Stage>,
    /// Who wrote it
    #[arg(long, value_name = "ID")]
    author: Option<BehoerdeId>,
    /// For whom it is
    #[arg(long, value_name = "ID")]
    reader: Option<BehoerdeId>,
    /// The Leistung
    #[arg(long, value_name = "KEY")]
    leistung: Option<LeistungId>,
    /// Came in at this moment or later
    #[arg(long, value_name = "INSTANT")]
    since: Option<Timestamp>,
    /// Came in before this moment
    #[arg(long, value_name = "INSTANT")]
    until: Option<Timestamp>,
    /// Published, and the reader's gateway is silent for too long
    #[arg(long)]
    overdue: bool,
    /// Out of the flow
    #[arg(long)]
    parked: bool,
    /// Not ended
    #[arg(long)]
    in_flight: bool,
    /// The online service that posted it
    #[arg(long, value_name = "ID")]
    client: Option<ClientId>,
    /// Only what this custodian knows
    #[arg(long, value_name = "ID")]
    custodian: Option<CustodianId>,
    /// With --custodian: where the page before ended
    #[arg(long, value_name = "CURSOR", requires = "custodian")]
    cursor: Option<String>,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    from: From,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// The list as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    messages: Vec<&'a MessageView>,
    /// Behind what each custodian's next page begins; who has no more is not there.
    next: BTreeMap<CustodianId, String>,
}

/// Runs `viereck message list`.
pub(super) async fn run(args: &List) -> Result<(), Failure> {
    let after = args
        .cursor
        .as_deref()
        .map(str::parse::<Position>)
        .transpose()
        .map_err(|expected| {
            Failure::new(Exit::Usage, "cursor-malformed", "That is no cursor.").help(format!("Expected {expected}."))
        })?;
    let (mut known, mut next) = (Vec::new(), BTreeMap::new());
    for source in args.from.sources(args.custodian.as_ref())? {
        for page in pages(args, &source, after).await? {
            next.extend(page.next.map(|next| (page.custodian.clone(), next)));
            known.extend(page.messages.into_iter().map(|message| Known {
                custodian: page.custodian.clone(),
                message,
            }));
        }
    }
    let mut stories = story::stories(known, &[]);
    stories.reverse();
    // with one custodian the cursor says where it goes on; with several the oldest are cut off
    let cut = args.custodian.is_none() && stories.len() > args.limit as usize;
    if cut {
        stories.truncate(args.limit as usize);
    }
    if args.json {
        let messages = stories.iter().map(|story| &story.message).collect();
        return output::json(&Listed { messages, next });
    }
    output::text(
        &stories
            .iter()
            .map(|story| line(story, Timestamp::now()))
            .collect::<String>(),
    )?;
    if let Some((custodian, cursor)) = next.iter().next().filter(|_| args.custodian.is_some()) {
        output::talk(&format!("more: --custodian {custodian} --cursor {cursor}"));
    } else if cut || !next.is_empty() {
        output::talk("more: narrow it with a filter, raise --limit, or go through one --custodian page by page");
    }
    Ok(())
}

/// Pages of each custodian of a source until there are as many messages as asked for.
async fn pages(args: &List, source: &Source, after: Option<Position>) -> Result<Vec<CustodianPage>, Failure> {
    let filter = args.filter();
    let first = source
        .pages(args.custodian.as_ref(), &filter, after, args.limit.min(PAGE))
        .await?;
    let mut complete = Vec::new();
    for mut page in first {
        while page.messages.len() < args.limit as usize {
            let Some(Ok(after)) = page.next.as_deref().map(str::parse::<Position>) else {
                break;
            };
            let room = args.limit - page.messages.len() as u32;
            let more = source
                .pages(Some(&page.custodian), &filter, Some(after), room.min(PAGE))
                .await?;
            let Some(more) = more.into_iter().next() else { break };
            page.messages.extend(more.messages);
            page.next = more.next;
        }
        complete.push(page);
    }
    Ok(complete)
}

impl List {
    fn filter(&self) -> Filter {
        Filter {
            status: self.status,
            author: self.author.clone(),
            reader: self.reader.clone(),
            leistung: self.leistung.clone(),
            since: self.since,
            until: self.until,
            overdue: self.overdue,
            parked: self.parked,
            in_flight: self.in_flight,
            client: self.client.clone(),
        }
    }
}

/// One message on one line of 80 columns: id, status, reader, age, what stands in its way.
fn line(story: &Story, now: Timestamp) -> String {
    let message = &story.message;
    let age = now.duration_since(message.filed_at).as_millis();
    let flags = &message.flags;
    let marks = [
        (flags.parked.is_some(), "parked"),
        (flags.overdue.is_some(), "overdue"),
        (flags.paused.is_some(), "paused"),
    ];
    let mark = marks
        .into_iter()
        .find_map(|(is, word)| is.then_some(word))
        .unwrap_or_default();
    let id: MessageId = message.message_id;
    let age = duration(i64::try_from(age).unwrap_or(0).max(0));
    let line = format!(
        "{id} {:<13} {:<16} {age:>11} {mark}",
        message.status.as_str(),
        message.reader.as_str()
    );
    line.trim_end().to_owned() + "\n"
}
