//! The citizens' mailboxes, with the field names of the federal ZBP interface.
//!
//! `POST` multipart with the part `message` (JSON), one more part for each attachment, and the header
//! `Idempotency-Key`. 2xx means that the mailbox has it; 422 with a code that it is refused. The same key again is
//! answered as the first time and stored once.
//!
//! An attachment is found by its SHA-512 and length, not by the name of its part: two may have the same file name.
//! Mailboxes need not be opened first; one that shall refuse is named with [`Postfach::refuse`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use aws_lc_rs::digest::SHA512;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::ledger::Watch;
use super::message::{Breach, DESCRIPTION, hex};
use super::server::{Server, key, parts, problem};

/// A running Postfach. Dropping it without [`stop`](Self::stop) leaves its task behind.
pub struct Postfach {
    server: Server,
    mailboxes: Watch<Mailboxes>,
}

/// What was offered to the mailboxes and what lies in them.
#[derive(Debug, Clone, Default)]
pub struct Mailboxes {
    deliveries: BTreeMap<String, Delivery>,
    refusing: BTreeMap<String, String>,
    breaches: Vec<Breach>,
}

/// One key's deliveries.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What was delivered.
    pub mail: Mail,
    /// How often it was offered.
    pub attempts: u32,
    /// Why the mailbox did not take it, where it did not.
    pub refused: Option<String>,
}

/// A message as the person finds it.
#[derive(Clone)]
pub struct Mail {
    /// What was said about it.
    pub description: Description,
    /// Its files, in the order of the description.
    pub attachments: Vec<Bytes>,
}

/// The part `message`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The level of trust that reading it takes.
    #[serde(rename = "stork_qaa_level")]
    pub stork_qaa_level: u8,
    /// The mailbox.
    pub mailbox_uuid: String,
    /// Which authority sends it, as a person reads it.
    pub sender: String,
    /// The subject.
    pub title: String,
    /// The text.
    pub content: String,
    /// What it is about, as a person reads it.
    pub service: String,
    /// The case.
    pub application_id: String,
    /// The message that is answered, where it answers one.
    #[serde(default)]
    pub reference: Option<String>,
    /// Its files.
    #[serde(default)]
    pub attachments: Vec<AttachmentEntry>,
}

/// One file as the description states it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentEntry {
    /// Its name.
    pub filename: String,
    /// SHA-512 in lower-case hex.
    pub sha512sum: String,
    /// Its length in octets.
    pub content_length: u64,
}

impl Postfach {
    /// Takes mail on `listener`.
    pub fn start(listener: TcpListener) -> io::Result<Postfach> {
        let mailboxes = Watch::<Mailboxes>::default();
        let routes = Router::new()
            .route("/mailboxes/messages", post(take))
            .with_state(mailboxes.clone());
        let server = Server::start(listener, routes, CancellationToken::new())?;
        Ok(Postfach { server, mailboxes })
    }

    /// Where the adapter posts to.
    pub fn url(&self) -> String {
        format!("http://{}/mailboxes/messages", self.server.address)
    }

    /// What lies in it.
    pub fn mailboxes(&self) -> &Watch<Mailboxes> {
        &self.mailboxes
    }

    /// Makes `mailbox` refuse everything from now on, e.g. with `no-mailbox`.
    pub fn refuse(&self, mailbox: &str, code: &str) {
        self.mailboxes
            .change(|mailboxes| mailboxes.refusing.insert(mailbox.to_owned(), code.to_owned()));
    }

    /// Ends it.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Mailboxes {
    /// What was offered, by `Idempotency-Key`.
    pub fn deliveries(&self) -> &BTreeMap<String, Delivery> {
        &self.deliveries
    }

    /// What lies in `mailbox`.
    pub fn mail_in<'a>(&'a self, mailbox: &'a str) -> impl Iterator<Item = &'a Mail> {
        self.mail().filter(move |mail| mail.description.mailbox_uuid == mailbox)
    }

    /// What arrived in any mailbox for the case `application_id`.
    pub fn mail_of_case<'a>(&'a self, application_id: &'a str) -> impl Iterator<Item = &'a Mail> {
        self.mail()
            .filter(move |mail| mail.description.application_id == application_id)
    }

    /// Everything that lies in any mailbox.
    pub fn mail(&self) -> impl Iterator<Item = &Mail> {
        self.deliveries
            .values()
            .filter(|delivery| delivery.refused.is_none())
            .map(|delivery| &delivery.mail)
    }

    /// Contracts broken by the gateway's side; empty where all is well.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// Counts an attempt; why it is refused, if it is. Only the first attempt with a key stores anything.
    fn deliver(&mut self, key: String, mail: Mail) -> Option<String> {
        let refused = self.refusing.get(&mail.description.mailbox_uuid).cloned();
        let delivery = self.deliveries.entry(key).or_insert(Delivery {
            mail,
            attempts: 0,
            refused,
        });
        delivery.attempts += 1;
        delivery.refused.clone()
    }
}

impl fmt::Debug for Mail {
    /// The case only: mail is private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("application_id", &self.description.application_id)
            .finish_non_exhaustive()
    }
}

async fn take(State(mailboxes): State<Watch<Mailboxes>>, headers: HeaderMap, request: Request) -> Response {
    match read(&headers, request).await {
        Ok((key, mail)) => match mailboxes.change(|mailboxes| mailboxes.deliver(key, mail)) {
            None => StatusCode::CREATED.into_response(),
            Some(code) => problem(StatusCode::UNPROCESSABLE_ENTITY, &code, "the mailbox refuses it"),
        },
        Err(breach) => {
            let detail = breach.to_string();
            mailboxes.change(|mailboxes| mailboxes.breaches.push(breach));
            problem(StatusCode::BAD_REQUEST, "contract-breach", &detail)
        }
    }
}

async fn read(headers: &HeaderMap, request: Request) -> Result<(String, Mail), Breach> {
    let key = key(headers)?;
    let mut parts = parts(request).await?;
    let description = parts
        .remove(DESCRIPTION)
        .ok_or(Breach::Description { line: 0, column: 0 })?;
    let description: Description = serde_json::from_slice(&description).map_err(|error| Breach::description(&error))?;
    let mut attachments = Vec::new();
    for (index, entry) in description.attachments.iter().enumerate() {
        let fits =
            |octets: &Bytes| octets.len() as u64 == entry.content_length && hex(&SHA512, octets) == entry.sha512sum;
        let part = parts
            .iter()
            .find(|(_, octets)| fits(octets))
            .map(|(part, _)| part.clone());
        attachments.extend(part.and_then(|part| parts.remove(&part)));
        if attachments.len() == index {
            return Err(Breach::Missing(index));
        }
    }
    match parts.is_empty() {
        true => Ok((
            key,
            Mail {
                description,
                attachments,
            },
        )),
        false => Err(Breach::Undescribed),
    }
}
