//! What a client may look at of what it filed: `GET /v1/submissions`, `GET /v1/submissions/{id}`, its events, and the
//! content where nobody took it over.
//!
//! Only the client that filed a submission sees it; for everybody else there is nothing there. With `Prefer: wait=N`
//! (RFC 7240) the answer waits for a change, at most [`LONGEST_WAIT`], as long as what the client has (`If-None-Match`)
//! is still the newest and the submission has not ended; `Preference-Applied` says whether it did.

pub(crate) mod content;
pub(crate) mod list;
pub(crate) mod waiting;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;
use viereck_custody::MessageView;
use viereck_custody::status::Words;
use viereck_envelope::{Reason, Stage};
use viereck_routing::{BehoerdeId, CaseId, ClientId, CustodianId, Digest, LeistungId, MessageId, Region, Tables};

use crate::gateway::Gateway;
use crate::http::access::{Scope, client};
use crate::http::peer::Asking;
use crate::http::problem::{Code, Problem};
use crate::sealing::instant;

/// The longest a request waits for news.
const LONGEST_WAIT: u64 = 20;

/// A submission as its client sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Submission<'a> {
    submission_id: MessageId,
    case_id: CaseId,
    status: Stage,
    /// The same in a word, and in a sentence.
    status_text: &'static str,
    sentence: Words,
    terminal: bool,
    overdue: bool,
    holder: &'a CustodianId,
    next_step: Words,
    behoerde: &'a BehoerdeId,
    leistung: &'a LeistungId,
    region: Option<Region>,
    filed_at: String,
    reasons: Vec<Told>,
    /// Whom a person can ask.
    contact: Option<String>,
    links: serde_json::Value,
}

#[derive(Serialize)]
struct Told {
    code: Reason,
    text: &'static str,
}

/// `GET /v1/submissions/{id}`.
pub(crate) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = headers.get(header::IF_NONE_MATCH);
    let client = client(&gateway, &asking, Scope::Read).await?.id;
    let mut view = find(&gateway, &id, &client).await?;
    let newest = |view: &MessageView| seen.is_none_or(|seen| *seen == tag(&gateway, view));
    let mut applied = None;
    if let Some(seconds) = wait(&headers).filter(|_| !view.terminal && newest(&view)) {
        // with every place taken the preference is not honoured, and the answer says so by not saying that it was
        if let Some(mut place) = gateway.waiting.place(view.message_id) {
            applied = Some(seconds);
            let until = Instant::now() + Duration::from_secs(seconds);
            let before = (view.message_id, view.status);
            // the place is taken: nothing that happens from here on is missed
            view = find(&gateway, &id, &client).await?;
            while (view.message_id, view.status) == before
                && newest(&view)
                && place.news(until, &gateway.draining).await
            {
                view = find(&gateway, &id, &client).await?;
            }
        }
    }
    let body = body(&gateway, &view);
    let tag = tag_of(&body);
    let mut response = match seen.is_some_and(|seen| *seen == tag) {
        true => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response(),
        false => (private(tag), body).into_response(),
    };
    if let Some(Ok(applied)) = applied.map(|seconds| HeaderValue::try_from(format!("wait={seconds}"))) {
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

/// `GET /v1/submissions/{id}/events`.
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Read).await?.id;
    let view = find(&gateway, &id, &client).await?;
    let body = json!({ "submissionId": view.submission_id, "caseId": view.case_id, "events": view.events }).to_string();
    let tag = tag_of(&body);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|seen| *seen == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok((private(tag), body).into_response())
}

/// What `client` filed under this id.
async fn find(gateway: &Gateway, id: &str, client: &ClientId) -> Result<MessageView, Problem> {
    let missing = || Problem::of(Code::NotFound);
    let id: MessageId = id.parse().map_err(|_| missing())?;
    let view = gateway.journal.submission(&id).await?;
    view.filter(|view| view.client.as_ref() == Some(client))
        .ok_or_else(missing)
}

impl<'a> Submission<'a> {
    fn of(view: &'a MessageView, tables: &Tables) -> Self {
        let here = format!("/v1/submissions/{}", view.submission_id);
        let told = |reason: &Reason| Told {
            code: *reason,
            text: reason.sentence(),
        };
        Self {
            submission_id: view.submission_id,
            case_id: view.case_id,
            status: view.status,
            status_text: view.status.german(),
            sentence: view.told.sentence,
            terminal: view.terminal,
            overdue: view.overdue,
            holder: &view.holder,
            next_step: view.told.next_step,
            behoerde: &view.reader,
            leistung: &view.leistung,
            region: view.region,
            filed_at: instant(view.filed_at),
            reasons: view.reasons.iter().map(told).collect(),
            contact: tables
                .participant(&view.reader)
                .and_then(|behoerde| behoerde.contact.clone()),
            links: links(&here, view.content_kept),
        }
    }
}

/// Where to go from here; `content` is named while it can be fetched.
fn links(here: &str, content_kept: bool) -> serde_json::Value {
    let mut links = json!({ "self": here, "events": format!("{here}/events") });
    if content_kept {
        links["content"] = json!(format!("{here}/content"));
    }
    links
}

fn body(gateway: &Gateway, view: &MessageView) -> String {
    // plain texts under fixed names: nothing that could fail
    serde_json::to_string(&Submission::of(view, &gateway.tables())).unwrap_or_default()
}

fn tag(gateway: &Gateway, view: &MessageView) -> HeaderValue {
    tag_of(&body(gateway, view))
}

fn tag_of(body: &str) -> HeaderValue {
    let digest = Digest::of(body.as_bytes()).to_string();
    HeaderValue::try_from(format!("\"{}\"", &digest[..32])).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn private(tag: HeaderValue) -> [(header::HeaderName, HeaderValue); 3] {
    [
        (header::ETAG, tag),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ]
}

/// The seconds of `Prefer: wait=N`, bounded.
fn wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|all| all.split([',', ';']));
    let seconds = preferences
        .filter_map(|one| one.trim().strip_prefix("wait=")?.parse::<u64>().ok())
        .next()?;
    Some(seconds.min(LONGEST_WAIT))
}
