//! What the two HTTP stand-ins share: a server that ends when it is told to, and reading what the contracts have in
//! common.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::message::Breach;

/// The largest request a stand-in takes: more than any gateway sends today.
const LARGEST_REQUEST: usize = 64 * 1024 * 1024;

/// A running server and the tasks beside it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Server {
    /// Serves `routes` on `listener`; handlers that wait must end with `shutdown`.
    pub(super) fn start(listener: TcpListener, routes: Router, shutdown: CancellationToken) -> io::Result<Server> {
        let address = listener.local_addr()?;
        let tasks = TaskTracker::new();
        let routes = routes.layer(DefaultBodyLimit::max(LARGEST_REQUEST));
        let stopped = shutdown.clone().cancelled_owned();
        tasks.spawn(async move {
            let served = axum::serve(listener, routes).with_graceful_shutdown(stopped).await;
            if let Err(error) = served {
                tracing::error!(%error, "a stand-in's server ended");
            }
        });
        Ok(Server {
            address,
            shutdown,
            tasks,
        })
    }

    /// Answers what is being answered, then ends.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// An RFC 9457 problem with the reason code that stands in the contract.
pub(super) fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status.as_u16(), "code": code, "detail": detail});
    (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

/// The `Idempotency-Key`, without which nothing is taken.
pub(super) fn key(headers: &HeaderMap) -> Result<String, Breach> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    key.filter(|key| !key.is_empty())
        .map(str::to_owned)
        .ok_or(Breach::NoKey)
}

/// The parts of a multipart request by name; no name twice.
pub(super) async fn parts(request: Request) -> Result<BTreeMap<String, Bytes>, Breach> {
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|_| Breach::Unreadable)?;
    let mut parts = BTreeMap::new();
    while let Some(field) = multipart.next_field().await.map_err(|_| Breach::Unreadable)? {
        let name = field.name().ok_or(Breach::Unreadable)?.to_owned();
        let octets = field.bytes().await.map_err(|_| Breach::Unreadable)?;
        if parts.insert(name, octets).is_some() {
            return Err(Breach::Undescribed);
        }
    }
    Ok(parts)
}
