//! What journals know, as the operations interface gives it out and the command line puts it together.

use serde::{Deserialize, Serialize};
use viereck_custody::list::{Filter, Position};
use viereck_custody::{Journal, JournalError, Lookup, MessageView};
use viereck_routing::{CaseId, ClientId, CustodianId, Digest, MessageId};

/// A message as one custodian knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    /// Who was asked.
    pub(crate) custodian: CustodianId,
    /// What it said.
    pub(crate) message: MessageView,
}

/// What the journals of one process know.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Who was asked.
    pub(crate) custodians: Vec<CustodianId>,
    /// What they know.
    pub(crate) known: Vec<Known>,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// The id of a message or of a case.
    Id(MessageId),
    /// The key under which a client posted it, as the keyed digest of one gateway.
    Key(ClientId, Digest),
    /// The client's own reference, as the keyed digest of one gateway.
    Reference(Digest),
}

/// One page of one custodian.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CustodianPage {
    /// Who was asked.
    pub(crate) custodian: CustodianId,
    /// Its messages, newest first.
    pub(crate) messages: Vec<MessageView>,
    /// Behind what the next page begins, if there is one.
    pub(crate) next: Option<String>,
}

/// Every message that these journals know by what is asked.
pub(crate) async fn find(journals: &[&Journal], asked: &Asked) -> Result<Vec<Known>, JournalError> {
    let mut all = Vec::new();
    for journal in journals {
        let found = match asked {
            Asked::Id(id) => {
                let messages = journal.find(Lookup::Message(*id)).await?;
                match (messages.is_empty(), id.to_string().parse::<CaseId>()) {
                    (true, Ok(case_id)) => journal.find(Lookup::Case(case_id)).await?,
                    _ => messages,
                }
            }
            Asked::Key(client, key) => {
                let (client, key) = (client.clone(), key.to_string());
                journal.find(Lookup::Key { client, key }).await?
            }
            Asked::Reference(digest) => journal.find(Lookup::Reference(*digest)).await?,
        };
        all.extend(found.into_iter().map(|message| Known {
            custodian: journal.custodian().clone(),
            message,
        }));
    }
    Ok(all)
}

/// A page of each of these journals.
pub(crate) async fn pages(
    journals: &[&Journal],
    filter: &Filter,
    after: Option<Position>,
    limit: u32,
) -> Result<Vec<CustodianPage>, JournalError> {
    let mut pages = Vec::new();
    for journal in journals {
        let page = journal.list(filter.clone(), after, limit).await?;
        pages.push(CustodianPage {
            custodian: journal.custodian().clone(),
            messages: page.messages,
            next: page.next.map(|next| next.to_string()),
        });
    }
    Ok(pages)
}
