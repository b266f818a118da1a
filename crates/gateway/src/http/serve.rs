//! Serving connections, bounded in number, in the size of a request's head and in the time it takes.
//!
//! The server stops in two steps: whoever asks for new work after `draining` is refused by the routes; after `closed` no
//! connection is accepted, idle ones are closed and running ones may end their request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::Config;

/// Octets of a request's line and headers.
const HEAD: usize = 16 << 10;
/// Headers of a request.
const HEADERS: usize = 64;
/// How long running requests may take to end once the server is closed.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// What bounds a server besides the size of a head.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at one moment.
    pub connections: usize,
    /// How long a request's line and headers may take to arrive.
    pub head: Duration,
}

impl Bounds {
    /// As the gateway's configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            connections: config.limits.connections,
            head: Duration::from_secs(config.timeouts.header_seconds),
        }
    }
}

/// Serves `router` until `closed`.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, closed: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_headers(HEADERS)
        .max_buf_size(HEAD);
    let connections = Arc::new(Semaphore::new(bounds.connections));
    let ending = GracefulShutdown::new();
    loop {
        let accepted = async {
            let seat = Arc::clone(&connections).acquire_owned().await.ok()?;
            Some((listener.accept().await, seat))
        };
        let (stream, seat) = tokio::select! {
            () = closed.cancelled() => break,
            accepted = accepted => match accepted {
                Some((Ok((stream, _)), seat)) => (stream, seat),
                Some((Err(error), _)) => {
                    // out of descriptors, or the peer has gone already: others may still be served
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                None => break,
            },
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = ending.watch(builder.serve_connection(TokioIo::new(stream), service));
        let served = async move {
            let _seat = seat;
            // a peer that breaks off is its own affair
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        };
        tokio::spawn(served.in_current_span());
    }
    drop(listener);
    if tokio::time::timeout(LAST_REQUESTS, ending.shutdown()).await.is_err() {
        tracing::warn!("requests were still running when the server closed");
    }
}
