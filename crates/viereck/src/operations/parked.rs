//! `/v1/parked` and `/v1/jobs`: what is parked, put back, ended.
//!
//! Without `custodian` a request means all custodians of the process; an act on something that more than one of them has
//! parked is refused until it says which.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use viereck_custody::audit::AuditLine;
use viereck_custody::job::Job;
use viereck_custody::parked::{Filter, Group, Means, Parked, ParkedError, ParkedId, Place, What};
use viereck_custody::{Actor, EventView, Journal, JournalError, StatedReason};
use viereck_envelope::Reason;
use viereck_routing::{BehoerdeId, CustodianId, GatewayId, LeistungId, MessageId, Tables};

use super::Operations;
use super::problem::{Code, Problem};
use super::query::{Body, Query, named};

/// Items of a page, if nothing else is asked for; and at the most.
const PAGE: (usize, usize) = (50, 500);

/// Items a minute of a job, if nothing else is asked for.
const PER_MINUTE: u32 = 60;

/// The questions of `GET /v1/parked`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Question {
    custodian: Option<CustodianId>,
    cause: Option<Reason>,
    reader: Option<BehoerdeId>,
    leistung: Option<LeistungId>,
    limit: Option<usize>,
    /// One custodian's place; needs `custodian`.
    cursor: Option<String>,
}

/// The page that answers it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    pub(crate) groups: Vec<Group>,
    pub(crate) items: Vec<Item>,
    /// Where the next page of this custodian begins; absent on the last one, and over several custodians.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

/// A parked thing with the gateway it would go to now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    #[serde(flatten)]
    pub(crate) parked: Parked,
    /// The gateway that the table in force names; to be compared with `target`.
    pub(crate) target_now: Option<GatewayId>,
    /// Seconds since it was parked.
    pub(crate) age_seconds: i64,
}

/// Everything known about a parked thing, content excepted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    #[serde(flatten)]
    pub(crate) item: Item,
    /// What happened to the message, as its custodian knows it.
    pub(crate) events: Vec<EventView>,
    /// What operators did to it.
    pub(crate) audit: Vec<AuditLine>,
    /// What octets that did not verify claim to be: text for people, nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claims: Option<serde_json::Map<String, Value>>,
}

impl Item {
    pub(crate) fn of(parked: Parked, tables: Option<&Tables>, now: Timestamp) -> Self {
        Self {
            target_now: tables.and_then(|tables| parked.target_now(tables, now)),
            age_seconds: now.duration_since(parked.parked_at).as_secs(),
            parked,
        }
    }
}

/// The page of these journals; the command line asks the same of a journal that it opens itself.
pub(crate) async fn page(
    journals: &[&Journal],
    tables: Option<&Tables>,
    filter: &Filter,
    after: Place,
    limit: usize,
) -> Result<Page, JournalError> {
    let now = Timestamp::now();
    let (mut groups, mut items) = (Vec::new(), Vec::new());
    for journal in journals {
        groups.extend(journal.parked_groups().await?);
        items.extend(journal.parked(filter, after, limit).await?);
    }
    groups.retain(|group: &Group| filter.cause.is_none_or(|cause| cause == group.cause));
    groups.sort_by_key(|group| group.oldest);
    items.sort_by_key(|item: &Parked| item.parked_at);
    let cursor = match (journals, items.last()) {
        ([_], Some(last)) if items.len() == limit => Some(last.place().to_string()),
        _ => None,
    };
    items.truncate(limit);
    Ok(Page {
        groups,
        items: items.into_iter().map(|parked| Item::of(parked, tables, now)).collect(),
        cursor,
    })
}

/// Everything about the parked things of this name.
pub(crate) async fn shown(
    journals: &[&Journal],
    tables: Option<&Tables>,
    id: ParkedId,
) -> Result<Vec<Shown>, JournalError> {
    let now = Timestamp::now();
    let mut all = Vec::new();
    for journal in journals {
        for parked in journal.parked_of(id).await? {
            let (mut events, mut claims) = (Vec::new(), None);
            match id {
                ParkedId::Message(message) => {
                    events.extend(
                        journal
                            .message(&message)
                            .await?
                            .into_iter()
                            .flat_map(|view| view.events),
                    );
                }
                ParkedId::Octets(digest) => {
                    claims = journal
                        .refused_octets(digest)
                        .await?
                        .and_then(|octets| claimed(&octets));
                }
            }
            all.push(Shown {
                item: Item::of(parked, tables, now),
                events,
                audit: journal
                    .audit_trail(Timestamp::UNIX_EPOCH, Some(id.to_string()), 100)
                    .await?,
                claims,
            });
        }
    }
    Ok(all)
}

fn claimed(octets: &[u8]) -> Option<serde_json::Map<String, Value>> {
    let claims = viereck_envelope::inspect(octets).ok()?;
    let fields = claims.fields().iter();
    Some(fields.map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
}

/// `GET /v1/parked`.
pub(super) async fn list(
    State(operations): State<Arc<Operations>>,
    Query(question): Query<Question>,
) -> Result<Response, Problem> {
    let journals = operations.journals_of(question.custodian.as_ref())?;
    let after = match (&question.cursor, journals.len()) {
        (None, _) => Place::default(),
        (Some(cursor), 1) => named(cursor)?,
        (Some(_), _) => return Err(Problem::invalid("cursor goes with custodian")),
    };
    let filter = Filter {
        cause: question.cause,
        reader: question.reader,
        leistung: question.leistung,
    };
    let limit = question.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1);
    let tables = operations.tables();
    let page = page(&journals, Some(&tables), &filter, after, limit).await?;
    Ok(axum::Json(page).into_response())
}

/// Which custodian is meant.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Which {
    custodian: Option<CustodianId>,
}

/// `GET /v1/parked/{id}`.
pub(super) async fn show(
    State(operations): State<Arc<Operations>>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let journals = operations.journals_of(which.custodian.as_ref())?;
    let tables = operations.tables();
    let shown = shown(&journals, Some(&tables), named(&id)?).await?;
    match shown.is_empty() {
        true => Err(Problem::of(Code::NotParked)),
        false => Ok(axum::Json(json!({ "parked": shown })).into_response()),
    }
}

/// The body of an act on one thing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Act {
    reason: StatedReason,
    custodian: Option<CustodianId>,
}

/// `POST /v1/parked/{id}/requeue`.
pub(super) async fn requeue(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Body(act): Body<Act>,
) -> Result<Response, Problem> {
    let id: ParkedId = named(&id)?;
    let journal = only_one(&operations, id, act.custodian.as_ref()).await?;
    if let Some(message) = for_another_key(journal, id).await? {
        let (gateway, new) = operations.seal_anew(message, None, actor, act.reason).await?;
        let answer = json!({ "id": id, "custodian": gateway, "outcome": "sealed-anew", "replacedBy": new });
        return Ok(axum::Json(answer).into_response());
    }
    let means = Means {
        tables: operations.tables(),
        link: operations.link.clone(),
    };
    let requeued = journal.requeue(id, &means, &actor, &act.reason).await?;
    let mut answer = serde_json::to_value(&requeued).map_err(|_| Problem::of(Code::Internal))?;
    answer["id"] = json!(id);
    answer["custodian"] = json!(journal.custodian());
    Ok(axum::Json(answer).into_response())
}

/// The message, if it is parked at its author's gateway because its reader's key is not what it was sealed for: the same
/// octets would come back.
async fn for_another_key(journal: &Journal, id: ParkedId) -> Result<Option<MessageId>, Problem> {
    let key = [Reason::T020, Reason::ReaderCertificateExpired, Reason::Undecipherable];
    let parked = journal.parked_of(id).await?.into_iter().next();
    Ok(parked.and_then(|parked| match (parked.what, id) {
        (What::Message(message), ParkedId::Message(id)) if message.side == "sent" && key.contains(&parked.cause) => {
            Some(id)
        }
        _ => None,
    }))
}

/// `POST /v1/parked/{id}/discard`.
pub(super) async fn discard(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Body(act): Body<Act>,
) -> Result<Response, Problem> {
    let id: ParkedId = named(&id)?;
    let journal = only_one(&operations, id, act.custodian.as_ref()).await?;
    let stage = journal.discard(id, &actor, &act.reason).await?;
    let answer = json!({ "id": id, "custodian": journal.custodian(), "outcome": "discarded", "stage": stage });
    Ok(axum::Json(answer).into_response())
}

/// The one journal in which it is parked, or may be discarded although it is not.
async fn only_one<'a>(
    operations: &'a Operations,
    id: ParkedId,
    custodian: Option<&CustodianId>,
) -> Result<&'a Journal, Problem> {
    let mut holders = Vec::new();
    for journal in operations.journals_of(custodian)? {
        if journal.may_discard(id).await? {
            holders.push(journal);
        }
    }
    match holders[..] {
        [] => Err(Problem::of(Code::NotParked)),
        [only] => Ok(only),
        _ => {
            let names: Vec<&str> = holders.iter().map(|journal| journal.custodian().as_str()).collect();
            Err(Problem::of(Code::CustodianAmbiguous).detail(names.join(", ")))
        }
    }
}

/// The body of a requeue of many: at least one of `cause`, `reader`, `leistung` and `all`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Many {
    custodian: CustodianId,
    reason: StatedReason,
    cause: Option<Reason>,
    reader: Option<BehoerdeId>,
    leistung: Option<LeistungId>,
    #[serde(default)]
    all: bool,
    per_minute: Option<u32>,
}

/// `POST /v1/parked/requeue`.
pub(super) async fn requeue_many(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Body(many): Body<Many>,
) -> Result<Response, Problem> {
    let filter = Filter {
        cause: many.cause,
        reader: many.reader,
        leistung: many.leistung,
    };
    if filter == Filter::default() && !many.all {
        return Err(Problem::invalid("cause, reader or leistung; or all, set to true"));
    }
    let journal = operations.journal(&many.custodian)?;
    let per_minute = many.per_minute.unwrap_or(PER_MINUTE);
    match journal.start_job(filter, per_minute, &actor, &many.reason).await? {
        Some(job) => Ok((StatusCode::ACCEPTED, axum::Json(job)).into_response()),
        None => Err(Problem::of(Code::NothingMatches)),
    }
}

/// A job and whose journal it stands in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobOf {
    pub(crate) custodian: CustodianId,
    #[serde(flatten)]
    pub(crate) job: Job,
}

/// The jobs of these journals.
pub(crate) async fn jobs_of(journals: &[&Journal]) -> Result<Vec<JobOf>, JournalError> {
    let mut all = Vec::new();
    for journal in journals {
        let of = |job| JobOf {
            custodian: journal.custodian().clone(),
            job,
        };
        all.extend(journal.jobs().await?.into_iter().map(of));
    }
    Ok(all)
}

/// `GET /v1/jobs`.
pub(super) async fn jobs(
    State(operations): State<Arc<Operations>>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let jobs = jobs_of(&operations.journals_of(which.custodian.as_ref())?).await?;
    Ok(axum::Json(json!({ "jobs": jobs })).into_response())
}

/// `POST /v1/jobs/{id}/stop`.
pub(super) async fn stop_job(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Body(act): Body<Act>,
) -> Result<Response, Problem> {
    for journal in operations.journals_of(act.custodian.as_ref())? {
        if journal.stop_job(id.clone(), &actor, &act.reason).await? {
            let answer = json!({ "id": id, "custodian": journal.custodian(), "outcome": "stopped" });
            return Ok(axum::Json(answer).into_response());
        }
    }
    Err(Problem::of(Code::JobUnknown))
}

impl From<ParkedError> for Problem {
    fn from(error: ParkedError) -> Self {
        let detail = error.to_string();
        match error {
            ParkedError::NotParked => Problem::of(Code::NotParked),
            ParkedError::ReaderElsewhere => Problem::of(Code::ReaderElsewhere),
            ParkedError::NotTold | ParkedError::Told => Problem::of(Code::NotAllowed).detail(detail),
            ParkedError::Link(_) => Problem::of(Code::LinkUnavailable).detail(detail),
            ParkedError::Journal(JournalError::NotAllowed(_)) => Problem::of(Code::NotAllowed).detail(detail),
            ParkedError::Journal(error) => error.into(),
        }
    }
}
