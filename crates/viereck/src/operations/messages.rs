//! `/v1/messages`: what the journals of this process know of messages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use viereck_custody::list::{Filter, Position};
use viereck_envelope::Stage;
use viereck_routing::{BehoerdeId, ClientId, CustodianId, Digest, LeistungId, MessageId};

use super::Operations;
use super::problem::Problem;
use super::query::Query;
use crate::messages::known::{self, Answer, Asked};

/// Messages of a page, if nothing else is asked for; and at the most.
const LIMIT: (u32, u32) = (50, 200);

/// The questions of `GET /v1/messages/find`: an id, a client with the digest of its key, or the digest of a
/// reference.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Find {
    id: Option<MessageId>,
    client: Option<ClientId>,
    key: Option<Digest>,
    reference: Option<Digest>,
}

/// `GET /v1/messages/find`.
pub(super) async fn find(
    State(operations): State<Arc<Operations>>,
    Query(find): Query<Find>,
) -> Result<Response, Problem> {
    let asked = match (find.id, find.client, find.key, find.reference) {
        (Some(id), None, None, None) => Asked::Id(id),
        (None, Some(client), Some(key), None) => Asked::Key(client, key),
        (None, None, None, Some(digest)) => Asked::Reference(digest),
        _ => return Err(Problem::invalid("exactly one of id, client with key, and reference")),
    };
    let journals = operations.journals_of(None)?;
    let answer = Answer {
        custodians: journals.iter().map(|journal| journal.custodian().clone()).collect(),
        known: known::find(&journals, &asked).await?,
    };
    Ok(axum::Json(answer).into_response())
}

/// The questions of `GET /v1/messages`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct List {
    custodian: Option<CustodianId>,
    status: Option<Stage>,
    author: Option<BehoerdeId>,
    reader: Option<BehoerdeId>,
    leistung: Option<LeistungId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    #[serde(default)]
    overdue: bool,
    #[serde(default)]
    parked: bool,
    #[serde(default)]
    in_flight: bool,
    client: Option<ClientId>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET /v1/messages`: a page of each journal; with a cursor, of the one custodian it came from.
pub(super) async fn list(
    State(operations): State<Arc<Operations>>,
    Query(list): Query<List>,
) -> Result<Response, Problem> {
    let after = list.cursor.as_deref().map(str::parse::<Position>).transpose();
    let after = after.map_err(|expected| Problem::invalid(format!("cursor: {expected}")))?;
    if after.is_some() && list.custodian.is_none() {
        return Err(Problem::invalid("custodian: the one whose page gave the cursor"));
    }
    let filter = Filter {
        status: list.status,
        author: list.author,
        reader: list.reader,
        leistung: list.leistung,
        since: list.since,
        until: list.until,
        overdue: list.overdue,
        parked: list.parked,
        in_flight: list.in_flight,
        client: list.client,
    };
    let journals = operations.journals_of(list.custodian.as_ref())?;
    let limit = list.limit.unwrap_or(LIMIT.0).clamp(1, LIMIT.1);
    Ok(axum::Json(known::pages(&journals, &filter, after, limit).await?).into_response())
}
