//! Whether an answer belongs to a case of its reader.
//!
//! A question, status, bescheid or answer is taken only if InReplyTo names a message of ours, written by the answer's
//! reader for the answer's author, in the same case. The signature says who wrote it; this says that it was asked. A
//! supplement or withdrawal belongs to a case that the same author opened here.

use viereck_custody::{Case, Journal, JournalError};
use viereck_envelope::{Header, OpenedEnvelope};
use viereck_routing::Kind;

/// The place of an opened message among the cases of this gateway.
pub(crate) enum InCase {
    /// It opens this case.
    Opens(Case),
    /// It belongs to this one.
    Belongs(Case),
    /// It belongs to none of ours.
    Nowhere,
}

/// Finds the case of an opened message.
pub(crate) async fn find(journal: &Journal, opened: &OpenedEnvelope) -> Result<InCase, JournalError> {
    let header = opened.header();
    let found = match header.kind {
        Kind::Application | Kind::Transfer | Kind::Query => return Ok(InCase::Opens(opened_by(opened))),
        Kind::Supplement | Kind::Withdrawal => {
            let cases = journal.cases_of_reader(&header.process_ref).await?;
            cases
                .into_iter()
                .find(|case| case.author == header.author && case.behoerde == header.reader)
        }
        Kind::Question | Kind::Status | Kind::Bescheid | Kind::Answer => {
            let case = journal.case_of_author(&header.process_ref).await?;
            let case = case.filter(|case| case.author == header.reader && case.behoerde == header.author);
            match case {
                Some(case) if answers(journal, header, &case).await? => Some(case),
                _ => None,
            }
        }
    };
    Ok(found.map_or(InCase::Nowhere, InCase::Belongs))
}

/// Whether InReplyTo names a message of the case in the opposite direction.
async fn answers(journal: &Journal, header: &Header, case: &Case) -> Result<bool, JournalError> {
    let Some(answered) = header.in_reply_to else {
        return Ok(false);
    };
    if answered == case.application {
        return Ok(true);
    }
    let message = journal.message(&answered).await?;
    Ok(message.is_some_and(|message| {
        message.case_id == header.process_ref && message.author == header.reader && message.reader == header.author
    }))
}

fn opened_by(opened: &OpenedEnvelope) -> Case {
    let header = opened.header();
    Case {
        case_id: header.process_ref,
        author: header.author.clone(),
        behoerde: header.reader.clone(),
        leistung: header.service.clone(),
        region: header.region,
        filed_at: header.filed_at,
        application: header.message_id,
        client: None,
        reply_token: opened.content().reply_token.clone(),
    }
}
