//! `/v1/pause`, `/v1/resume` and the looks at the whole: pauses, ledger, backlogs, audit trail, doctor.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use viereck_custody::pause::{Changed, Scope};
use viereck_custody::{Actor, Journal, JournalError, StatedReason};
use viereck_routing::CustodianId;

use super::Operations;
use super::problem::{Code, Problem};
use super::query::{Body, Query};
use crate::doctor;

/// Lines of the trail that are shown, if nothing else is asked for; and at the most.
const LINES: (u32, u32) = (100, 10_000);

/// The body of a pause or a resume.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    scope: Scope,
    reason: StatedReason,
    custodian: Option<CustodianId>,
}

/// `POST /v1/pause`: in every journal of the process, unless one custodian is named.
pub(super) async fn pause(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Body(order): Body<Order>,
) -> Result<Response, Problem> {
    let journals = operations.journals_of(order.custodian.as_ref())?;
    let mut changed = Vec::new();
    for journal in journals {
        let outcome = journal.pause(order.scope.clone(), order.reason.clone(), actor.clone());
        changed.push((journal.custodian(), outcome.await?));
    }
    answer("paused", &order.scope, &changed)
}

/// `POST /v1/resume`.
pub(super) async fn resume(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Body(order): Body<Order>,
) -> Result<Response, Problem> {
    let journals = operations.journals_of(order.custodian.as_ref())?;
    let mut changed = Vec::new();
    for journal in journals {
        let outcome = journal.resume(order.scope.clone(), order.reason.clone(), actor.clone());
        changed.push((journal.custodian(), outcome.await?));
    }
    answer("resumed", &order.scope, &changed)
}

fn answer(outcome: &str, scope: &Scope, changed: &[(&CustodianId, Changed)]) -> Result<Response, Problem> {
    let now: Vec<&CustodianId> = changed
        .iter()
        .filter(|(_, changed)| *changed == Changed::Now)
        .map(|(custodian, _)| *custodian)
        .collect();
    if now.is_empty() {
        return Err(Problem::of(Code::PauseUnchanged).detail(format!("{scope} is {outcome} already")));
    }
    Ok(axum::Json(json!({ "outcome": outcome, "scope": scope, "custodians": now })).into_response())
}

/// What is asked of one custodian or all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Which {
    custodian: Option<CustodianId>,
}

/// What rests, by custodian.
pub(crate) async fn pauses_of(journals: &[&Journal]) -> Result<Value, JournalError> {
    let mut all = Vec::new();
    for journal in journals {
        for pause in journal.paused().await?.iter() {
            let mut shown = json!(pause);
            shown["custodian"] = json!(journal.custodian());
            all.push(shown);
        }
    }
    Ok(json!({ "pauses": all }))
}

/// `GET /v1/pauses`.
pub(super) async fn pauses(
    State(operations): State<Arc<Operations>>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let journals = operations.journals_of(which.custodian.as_ref())?;
    Ok(axum::Json(pauses_of(&journals).await?).into_response())
}

/// `GET /v1/ledger`.
pub(super) async fn ledger(
    State(operations): State<Arc<Operations>>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let mut all = serde_json::Map::new();
    for journal in operations.journals_of(which.custodian.as_ref())? {
        all.insert(journal.custodian().to_string(), json!(journal.ledger().await?));
    }
    Ok(axum::Json(all).into_response())
}

/// `GET /v1/backlogs`: what waits for each Fachverfahren, and when it will be worked off.
pub(super) async fn backlogs(
    State(operations): State<Arc<Operations>>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let mut all = serde_json::Map::new();
    for (gateway, backlogs) in &operations.gateways.backlogs {
        if which.custodian.as_ref().is_none_or(|wanted| wanted == gateway) {
            all.insert(gateway.to_string(), json!(backlogs.list().await?));
        }
    }
    Ok(axum::Json(all).into_response())
}

/// The questions of `GET /v1/audit`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Trail {
    custodian: Option<CustodianId>,
    since: Option<Timestamp>,
    target: Option<String>,
    limit: Option<u32>,
    #[serde(default)]
    verify: bool,
}

/// `GET /v1/audit`.
pub(super) async fn audit(
    State(operations): State<Arc<Operations>>,
    Query(trail): Query<Trail>,
) -> Result<Response, Problem> {
    let journals = operations.journals_of(trail.custodian.as_ref())?;
    let since = trail.since.unwrap_or(Timestamp::UNIX_EPOCH);
    let limit = trail.limit.unwrap_or(LINES.0).clamp(1, LINES.1);
    Ok(axum::Json(trails(&journals, since, trail.target, limit, trail.verify).await?).into_response())
}

/// The trails of these journals, and whether they are whole if `verify` asks for it.
pub(crate) async fn trails(
    journals: &[&Journal],
    since: Timestamp,
    target: Option<String>,
    limit: u32,
    verify: bool,
) -> Result<Value, JournalError> {
    let mut all = Vec::new();
    for journal in journals {
        let mut shown = json!({
            "custodian": journal.custodian(),
            "lines": journal.audit_trail(since, target.clone(), limit).await?,
        });
        if verify {
            shown["check"] = json!(journal.verify_audit().await?);
        }
        all.push(shown);
    }
    Ok(json!({ "trails": all }))
}

/// `GET /v1/doctor`.
pub(super) async fn doctor(State(operations): State<Arc<Operations>>) -> Response {
    axum::Json(doctor::examine_process(&operations).await).into_response()
}
