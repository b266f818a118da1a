//! The adapter `postfach`: corner 2's last step for an answer, into the citizen's mailbox.
//!
//! The mailbox is named by the reply token that came back with the answer and that only this gateway can open. The
//! request has the field names of the Zentrales Bürgerpostfach: a part `message` of JSON (stork_qaa_level, mailboxUuid,
//! sender, title, content, service, applicationId, reference, attachments[{filename, sha512sum, contentLength}]) and
//! one part per attachment, `attachment-01`, `attachment-02`, … in the order of the list; the document of the answer is
//! the first. applicationId is the case, reference the message that is answered: what the online service was told when
//! it filed. Any code with 422 means that the mailbox refuses; the authority learns it and can post a letter.
//!
//! Guarantees: a token of another case, another authority or another gateway puts nothing into anybody's mailbox.

use aws_lc_rs::digest::{SHA512, digest};
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::multipart::Form;
use serde::Serialize;
use viereck_custody::Case;
use viereck_envelope::{File, OpenedEnvelope, Reason, ReplyChannel, ReplyTokenKey};
use viereck_routing::{CaseId, Kind, MessageId, Tables};

use super::endpoint::{Endpoint, part};
use super::message::HandOver;
use super::outcome::{Outcome, Verdict};
use crate::reply::about::About;
use crate::submit::resolve::land_of;

/// The message as the mailbox wants it. Names and order are the mailbox's.
#[derive(Serialize)]
struct Letter {
    stork_qaa_level: u8,
    #[serde(rename = "mailboxUuid")]
    mailbox_uuid: String,
    sender: String,
    title: String,
    content: String,
    service: String,
    #[serde(rename = "applicationId")]
    application_id: CaseId,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<MessageId>,
    attachments: Vec<Attachment>,
}

#[derive(Serialize)]
struct Attachment {
    filename: String,
    sha512sum: String,
    #[serde(rename = "contentLength")]
    content_length: usize,
}

/// Hands an answer over. `case` is the case that the answer was found to belong to.
pub(crate) async fn hand_over(
    endpoint: &Endpoint,
    message: &HandOver,
    case: Option<&Case>,
    tokens: &ReplyTokenKey,
    tables: &Tables,
) -> Outcome {
    let Some(case) = case else {
        return Outcome::Misconfigured("a mailbox takes answers only".to_owned());
    };
    let channel = match channel(&message.opened, case, tokens) {
        Ok(channel) => channel,
        Err(reason) => return Outcome::Rejected(reason),
    };
    // what the answer says about itself has become title and content
    let files: Vec<&File> = message
        .opened
        .content()
        .files
        .iter()
        .filter(|file| !About::is_in(file))
        .collect();
    let letter = Letter::new(&message.opened, channel, &files, tables);
    let Ok(json) = serde_json::to_vec(&letter) else {
        return Outcome::Rejected(Reason::S999);
    };
    let mut form = Form::new().part("message", part("message.json", "application/json", &Bytes::from(json)));
    for (index, file) in files.iter().enumerate() {
        let name = format!("attachment-{:02}", index + 1);
        let part = part(&name, &file.media_type, &file.octets);
        form = form.part(name, part);
    }
    match endpoint.post(message.opened.digest(), message.trace, form).await {
        Verdict::Ended(outcome) => outcome,
        Verdict::Refused(_) => Outcome::Rejected(Reason::MailboxRefused),
    }
}

/// Opens the token and compares it with the case: who answers has to be who was asked.
fn channel(opened: &OpenedEnvelope, case: &Case, tokens: &ReplyTokenKey) -> Result<ReplyChannel, Reason> {
    let token = opened.content().reply_token.as_ref().ok_or(Reason::NoMailbox)?;
    let channel = tokens.open(token, Timestamp::now()).map_err(|_| Reason::NoMailbox)?;
    match channel.message_id == case.application && channel.reader == opened.header().author {
        true => Ok(channel),
        false => Err(Reason::NotOurCase),
    }
}

impl Letter {
    fn new(opened: &OpenedEnvelope, channel: ReplyChannel, files: &[&File], tables: &Tables) -> Self {
        let header = opened.header();
        let author = tables.participant(&header.author);
        let sender = author.map_or_else(|| header.author.to_string(), |author| author.name.clone());
        let land = author.and_then(land_of);
        let service = tables.leistung(&header.service, land.as_deref());
        let service = service.map_or_else(|| header.service.to_string(), |leistung| leistung.name.clone());
        let about = About::of(opened.content());
        let kind = match header.kind {
            Kind::Bescheid => "Bescheid",
            Kind::Question => "Rückfrage",
            _ => "Nachricht",
        };
        let mut content = format!("{sender} schreibt Ihnen zu Ihrem Antrag „{service}“. Die Dokumente sind beigefügt.");
        if let Some(due) = about.as_ref().and_then(|about| about.due_date) {
            content.push_str(&format!(" Bitte antworten Sie bis zum {}.", due.strftime("%d.%m.%Y")));
        }
        Self {
            stork_qaa_level: channel.level,
            mailbox_uuid: channel.mailbox,
            title: about.map_or_else(|| kind.to_owned(), |about| about.title),
            sender,
            content,
            service,
            application_id: header.process_ref,
            reference: header.in_reply_to,
            attachments: files.iter().map(|file| Attachment::of(file)).collect(),
        }
    }
}

impl Attachment {
    fn of(file: &File) -> Self {
        let sum = digest(&SHA512, &file.octets);
        Self {
            filename: file.name.clone(),
            sha512sum: sum.as_ref().iter().map(|octet| format!("{octet:02x}")).collect(),
            content_length: file.octets.len(),
        }
    }
}
