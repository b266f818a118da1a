//! The HTTP interfaces: which path leads where, and what holds for all of them.
//!
//! | path | whose | module |
//! |---|---|---|
//! | `/v1/submissions`, `GET /v1/submissions/{id}` and `/events` | online services | `submit`, `status` |
//! | `GET`, `DELETE /v1/submissions/{id}/content` | online services | `status::content` |
//! | `/v1/webhooks` and what is below it | online services | `webhooks` |
//! | `GET /v1/routes` | anyone: competences are public | `routes` |
//! | `POST /v1/cases/{caseId}/replies` | Fachverfahren | `reply` |
//! | `GET /healthz/live`, `/healthz/ready` | whoever runs the gateway | here |

pub(crate) mod access;
mod attempts;
mod body;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod oauth;
pub(crate) mod page;
pub(crate) mod peer;
pub(crate) mod problem;
pub(crate) mod quota;
mod seats;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod traced;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::gateway::Gateway;
use crate::webhooks::api as webhooks;
use crate::{reply, routes, status, submit};
use problem::{Code, Problem};

/// The routes of one gateway.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/submissions", post(submit::post).get(status::list::get))
        .route("/v1/submissions/{id}", get(status::get))
        .route("/v1/submissions/{id}/events", get(status::events))
        .route(
            "/v1/submissions/{id}/content",
            get(status::content::get).delete(status::content::delete),
        )
        .route("/v1/webhooks", post(webhooks::post).get(webhooks::list))
        .route("/v1/webhooks/{id}", get(webhooks::get).delete(webhooks::delete))
        .route("/v1/webhooks/{id}/secret", post(webhooks::rotate))
        .route("/v1/webhooks/{id}/enable", post(webhooks::enable))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route(
            "/v1/webhooks/{id}/deliveries/{delivery}/redeliver",
            post(webhooks::redeliver),
        )
        .route("/v1/routes", get(routes::get))
        .route("/v1/cases/{case_id}/replies", post(reply::post))
        .route("/healthz/live", get(live))
        .route("/healthz/ready", get(ready))
        .fallback(async || Problem::of(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::of(Code::MethodNotAllowed))
        // the body of a form is counted where it is read, with the limits of the configuration
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), refuse_new_work))
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), measure))
        .with_state(gateway)
}

/// Counts and times every request, refused ones too.
async fn measure(
    State(gateway): State<Arc<Gateway>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let begun = gateway.measured.begins(path.as_ref());
    let answer = next.run(request).await;
    gateway.measured.answered(&begun, &answer);
    answer
}

/// A gateway that is being stopped still says how far things are, but takes nothing on.
async fn refuse_new_work(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    if gateway.draining.is_cancelled() && request.method() != Method::GET {
        return Problem::of(Code::Stopping).into_response();
    }
    next.run(request).await
}

async fn live() -> &'static str {
    "live\n"
}

/// Ready means: a promise could be written down now. The AMQP server may be away, the messages are ours and wait.
async fn ready(State(gateway): State<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if gateway.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match gateway.journal.is_writable().await {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable\n"),
    }
}
