//! Cases: all that a later answer needs, kept at both gateways until the case is closed.
//!
//! A case is named by its first author and its id together. The author's gateway learns it with the promise, the
//! reader's gateway when it first opens the application. The reply token is opaque here; only the gateway that sealed
//! it can read it.

use jiff::Timestamp;
use viereck_envelope::ReplyToken;
use viereck_routing::{BehoerdeId, CaseId, ClientId, LeistungId, MessageId, Region};
use viereck_store::{Change, Look, Row, params};

use crate::{Journal, JournalError, rows};

/// Everything about one application that outlives its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its id.
    pub case_id: CaseId,
    /// The participant that opened it: the portal.
    pub author: BehoerdeId,
    /// The authority that holds it.
    pub behoerde: BehoerdeId,
    /// What was applied for.
    pub leistung: LeistungId,
    /// The region whose entry decided; absent when the authority was named directly.
    pub region: Option<Region>,
    /// When it was filed.
    pub filed_at: Timestamp,
    /// The message that opened it.
    pub application: MessageId,
    /// The online service that filed it; only its own gateway knows.
    pub client: Option<ClientId>,
    /// What brings an answer to the citizen's mailbox.
    pub reply_token: Option<ReplyToken>,
}

/// From which side a gateway knows a case.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Author,
    Reader,
}

impl Side {
    fn as_str(self) -> &'static str {
        match self {
            Side::Author => "author",
            Side::Reader => "reader",
        }
    }
}

impl Case {
    /// Keeps the case; one that is known already stays as it is.
    pub(crate) fn keep(&self, tx: &Change<'_>, side: Side) -> Result<(), JournalError> {
        tx.run(
            "INSERT INTO case_file (side, case_id, author, behoerde, leistung, region, filed_at, application,
                client, reply_token) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            params![
                side.as_str(),
                self.case_id.to_string(),
                self.author.as_str(),
                self.behoerde.as_str(),
                self.leistung.as_str(),
                self.region.map(|region| region.to_string()),
                self.filed_at.as_millisecond(),
                self.application.to_string(),
                self.client.as_ref().map(ClientId::as_str),
                self.reply_token.as_ref().map(ToString::to_string),
            ],
        )?;
        Ok(())
    }

    /// Keeps the case as others tell of it; of one that is known already only a reply token that it lacks is added.
    pub(crate) fn complete(&self, tx: &Change<'_>, side: Side) -> Result<(), JournalError> {
        self.keep(tx, side)?;
        tx.run(
            "UPDATE case_file SET reply_token = ?
             WHERE side = ? AND case_id = ? AND author = ? AND application = ? AND reply_token IS NULL",
            params![
                self.reply_token.as_ref().map(ToString::to_string),
                side.as_str(),
                self.case_id.to_string(),
                self.author.as_str(),
                self.application.to_string(),
            ],
        )?;
        Ok(())
    }

    /// Puts the case as it stands from now on in the place of what was kept.
    pub(crate) fn replace(&self, tx: &Change<'_>, side: Side) -> Result<(), JournalError> {
        tx.run(
            "UPDATE case_file SET behoerde = ?, application = ?, reply_token = ?
             WHERE side = ? AND case_id = ? AND author = ?",
            params![
                self.behoerde.as_str(),
                self.application.to_string(),
                self.reply_token.as_ref().map(ToString::to_string),
                side.as_str(),
                self.case_id.to_string(),
                self.author.as_str(),
            ],
        )?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        Ok(Self {
            case_id: rows::name(row, "case_id")?,
            author: rows::name(row, "author")?,
            behoerde: rows::name(row, "behoerde")?,
            leistung: rows::name(row, "leistung")?,
            region: rows::name_if_any(row, "region")?,
            filed_at: rows::instant(row, "filed_at")?,
            application: rows::name(row, "application")?,
            client: rows::name_if_any(row, "client")?,
            reply_token: rows::name_if_any(row, "reply_token")?,
        })
    }
}

impl Journal {
    /// The cases of this id that authorities of this gateway hold; more than one only if two portals chose one id.
    pub async fn cases_of_reader(&self, case_id: &CaseId) -> Result<Vec<Case>, JournalError> {
        self.cases(*case_id, Side::Reader).await
    }

    /// The case of this id that one of this gateway's authors opened.
    pub async fn case_of_author(&self, case_id: &CaseId) -> Result<Option<Case>, JournalError> {
        Ok(self.cases(*case_id, Side::Author).await?.pop())
    }

    async fn cases(&self, case_id: CaseId, side: Side) -> Result<Vec<Case>, JournalError> {
        let read = move |conn: &Look<'_>| {
            conn.all(
                "SELECT * FROM case_file WHERE side = ? AND case_id = ?",
                params![side.as_str(), case_id.to_string()],
                Case::read,
            )
        };
        Ok(self.store.read(read).await?)
    }
}
