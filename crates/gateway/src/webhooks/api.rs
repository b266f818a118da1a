//! `/v1/webhooks`: a client enters, looks at, tries and takes out its webhooks, and reads what came of the calls.
//!
//! Only a client's own webhooks exist for it. A secret is shown once, in the answer that makes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use reqwest::Url;
use serde::Serialize;
use serde_json::{Value, json};
use viereck_custody::webhooks::{Delivery, Entered, Event, News, Outcome, Webhook};
use viereck_envelope::Stage;
use viereck_routing::{ClientId, MessageId};

use super::addresses::UrlRefused;
use super::event;
use super::previous_until;
use crate::gateway::Gateway;
use crate::http::access::{Scope, client};
use crate::http::fields::Fields;
use crate::http::page::{self, PageQuery};
use crate::http::peer::Asking;
use crate::http::problem::{Code, FieldError, Problem};
use crate::sealing::instant;

/// Octets of a request.
const BODY: usize = 4096;
/// Characters of a URL.
const URL: usize = 2000;

/// A webhook as its client sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    webhook_id: &'a str,
    url: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_because: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
    created_at: String,
    /// Only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Until then calls are signed with the secret before too.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<String>,
    links: Value,
}

/// One line of the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    delivery_id: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    submission_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Stage>,
    time: String,
    state: &'static str,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
}

/// `POST /v1/webhooks`.
pub(crate) async fn post(
    State(gateway): State<Arc<Gateway>>,
    asking: Asking,
    request: Request,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Submit).await?;
    gateway.quotas.count(&client, Instant::now())?;
    let url = read(&gateway, request).await?;
    match gateway
        .journal
        .enter_webhook(&client.id, url, gateway.config.webhooks.per_client)
        .await?
    {
        Entered::New(webhook) => {
            tracing::info!(webhook = webhook.id, client = %client.id, "a webhook was entered");
            let location = HeaderValue::try_from(format!("/v1/webhooks/{}", webhook.id));
            let location = location.map_err(|_| Problem::of(Code::Internal))?;
            let body = shown(&webhook, Some(gateway.webhooks.shown_secret(&webhook)));
            Ok((StatusCode::CREATED, secretly(), [(header::LOCATION, location)], body).into_response())
        }
        Entered::There(webhook) => Err(Problem::of(Code::WebhookExists).with("webhookId", webhook.id)),
        Entered::Full => Err(Problem::of(Code::TooManyWebhooks).with("limit", gateway.config.webhooks.per_client)),
    }
}

/// `GET /v1/webhooks`.
pub(crate) async fn list(State(gateway): State<Arc<Gateway>>, asking: Asking) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Read).await?;
    let webhooks = gateway.journal.webhooks(&client.id).await?;
    let shown: Vec<Value> = webhooks.iter().map(|webhook| shown(webhook, None).0).collect();
    Ok((secretly(), Json(json!({ "webhooks": shown }))).into_response())
}

/// `GET /v1/webhooks/{id}`.
pub(crate) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Read).await?.id;
    let webhook = find(&gateway, &id, &client).await?;
    Ok((secretly(), shown(&webhook, None)).into_response())
}

/// `DELETE /v1/webhooks/{id}`.
pub(crate) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<StatusCode, Problem> {
    let client = client(&gateway, &asking, Scope::Submit).await?;
    match gateway.journal.remove_webhook(&client.id, &id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::of(Code::NotFound)),
    }
}

/// `POST /v1/webhooks/{id}/secret`: the next secret; the one before signs too for a while.
pub(crate) async fn rotate(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Submit).await?;
    gateway.quotas.count(&client, Instant::now())?;
    let rotated = gateway.journal.rotate_webhook(&client.id, &id).await?;
    let webhook = rotated.ok_or_else(|| Problem::of(Code::NotFound))?;
    Ok((
        secretly(),
        shown(&webhook, Some(gateway.webhooks.shown_secret(&webhook))),
    )
        .into_response())
}

/// `POST /v1/webhooks/{id}/enable`: a disabled one is called again.
pub(crate) async fn enable(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Submit).await?;
    let enabled = gateway.journal.enable_webhook(&client.id, &id).await?;
    let webhook = enabled.ok_or_else(|| Problem::of(Code::NotFound))?;
    gateway.webhooks.wanted.notify_one();
    Ok((secretly(), shown(&webhook, None)).into_response())
}

/// `POST /v1/webhooks/{id}/test`: one call now, and what came of it.
pub(crate) async fn test(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Submit).await?;
    let webhook = find(&gateway, &id, &client.id).await?;
    gateway.quotas.count(&client, Instant::now())?;
    let _seat = gateway
        .webhooks
        .tests
        .try_acquire()
        .map_err(|_| Problem::of(Code::Busy))?;
    let event = Event::test(Timestamp::now());
    let secrets = gateway.webhooks.secrets(&webhook, Timestamp::now());
    let outcome = gateway.webhooks.caller.call(&webhook.url, &event, &secrets).await;
    let id = event.id.clone();
    gateway.journal.called_for_test(&webhook.id, event, outcome).await?;
    let body = json!({
        "deliveryId": id,
        "delivered": outcome == Outcome::Delivered,
        "outcome": outcome.to_string(),
    });
    Ok((secretly(), Json(body)).into_response())
}

/// `GET /v1/webhooks/{id}/deliveries`.
pub(crate) async fn deliveries(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Read).await?.id;
    let webhook = find(&gateway, &id, &client).await?;
    let unknown = |_| Problem::invalid(vec![FieldError::new("", "unknown-key", "cursor, limit")]);
    let Query(query) = query.map_err(unknown)?;
    let limit = query.limit()?;
    let mut log = gateway
        .journal
        .webhook_log(&webhook.id, query.cursor, limit + 1)
        .await?;
    let more = log.len() > limit as usize;
    log.truncate(limit as usize);
    let next = log.last().filter(|_| more).map(|line| line.event.id.clone());
    let path = format!("/v1/webhooks/{}/deliveries", webhook.id);
    let links = page::links(&path, &[("limit", limit.to_string())], next.as_deref());
    let lines: Vec<Line> = log.into_iter().map(Line::of).collect();
    Ok((secretly(), links, Json(json!({ "deliveries": lines }))).into_response())
}

/// `POST /v1/webhooks/{id}/deliveries/{delivery}/redeliver`: the same event once more, under the same id.
pub(crate) async fn redeliver(
    State(gateway): State<Arc<Gateway>>,
    Path((id, delivery)): Path<(String, String)>,
    asking: Asking,
) -> Result<StatusCode, Problem> {
    let client = client(&gateway, &asking, Scope::Submit).await?;
    gateway.quotas.count(&client, Instant::now())?;
    match gateway.journal.redeliver(&client.id, &id, &delivery).await? {
        true => {
            gateway.webhooks.wanted.notify_one();
            Ok(StatusCode::ACCEPTED)
        }
        false => Err(Problem::of(Code::NotFound)),
    }
}

/// The webhook of this id that `client` entered.
async fn find(gateway: &Gateway, id: &str, client: &ClientId) -> Result<Webhook, Problem> {
    let webhook = gateway.journal.webhook(client, id).await?;
    webhook.ok_or_else(|| Problem::of(Code::NotFound))
}

/// The URL of a request, checked as far as it can be without asking anybody.
async fn read(gateway: &Gateway, request: Request) -> Result<String, Problem> {
    let patience = Duration::from_secs(gateway.config.timeouts.body_seconds);
    let body = tokio::time::timeout(patience, axum::body::to_bytes(request.into_body(), BODY)).await;
    let body = body
        .map_err(|_| Problem::of(Code::RequestTimeout))?
        .map_err(|_| Problem::of(Code::TooLarge).with("limits", json!({ "bytes": BODY })))?;
    let mut fields = Fields::parse(&body).map_err(|error| Problem::invalid(vec![error]))?;
    let url = fields.required("url", |fields, key| fields.text(key, URL));
    let errors = fields.end();
    let Some(text) = url.filter(|_| errors.is_empty()) else {
        return Err(Problem::invalid(errors));
    };
    let refused =
        |detail: &str| Problem::of(Code::WebhookUrlNotAllowed).naming(FieldError::new("/url", "invalid", detail));
    let url: Url = text.parse().map_err(|_| refused("a URL"))?;
    gateway.webhooks.caller.allowed().check(&url).map_err(|why| {
        refused(match why {
            UrlRefused::Scheme => "a URL that begins with https://",
            UrlRefused::Extras => "a URL without user, password and fragment",
            UrlRefused::Address => "a URL that leads to a public address",
        })
    })?;
    Ok(url.into())
}

fn shown(webhook: &Webhook, secret: Option<String>) -> Json<Value> {
    let here = format!("/v1/webhooks/{}", webhook.id);
    let now = Timestamp::now();
    let shown = Shown {
        webhook_id: &webhook.id,
        url: &webhook.url,
        status: if webhook.disabled.is_some() {
            "disabled"
        } else {
            "enabled"
        },
        disabled_because: webhook.disabled.map(|(why, _)| why.as_str()),
        disabled_at: webhook.disabled.map(|(_, at)| instant(at)),
        created_at: instant(webhook.made_at),
        secret,
        previous_secret_until: previous_until(webhook).filter(|until| now < *until).map(instant),
        links: json!({ "self": here, "deliveries": format!("{here}/deliveries"), "test": format!("{here}/test") }),
    };
    Json(serde_json::to_value(shown).unwrap_or_default())
}

/// Nothing of this belongs into a cache on the way.
fn secretly() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

impl Line {
    fn of(delivery: Delivery) -> Self {
        let (submission_id, status) = match delivery.event.news {
            News::Status { submission, status, .. } => (Some(submission), Some(status)),
            News::Test => (None, None),
        };
        let state = match (delivery.due_at, delivery.last) {
            (Some(_), _) => "pending",
            (None, Some((Outcome::Delivered, _))) => "delivered",
            (None, _) => "failed",
        };
        Self {
            r#type: event::type_of(&delivery.event),
            delivery_id: delivery.event.id,
            submission_id,
            status,
            time: instant(delivery.event.time),
            state,
            attempts: delivery.attempts,
            last_outcome: delivery.last.map(|(outcome, _)| outcome.to_string()),
            last_attempt_at: delivery.last.map(|(_, at)| instant(at)),
            next_attempt_at: delivery.due_at.map(instant),
        }
    }
}
