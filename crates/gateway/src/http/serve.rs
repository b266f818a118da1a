//! Serving connections, bounded in number, in the size of a request's head and in the time it takes.
//!
//! The server stops in two steps: whoever asks for new work after `draining` is refused by the routes; after `closed` no
//! connection is accepted, idle ones are closed and running ones may end their request. A connection has its place from the
//! moment it is accepted, so handshakes are bounded in number with them, and each in time as a head is.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use viereck_observe::Counters;
use viereck_routing::Digest;

use super::peer::{Origin, Peer};
use super::seats::Seats;
use super::tls::TlsServer;
use crate::Config;
use crate::metrics::HANDSHAKES;

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
    /// Of these from one address; a further one is closed at once.
    pub per_address: usize,
    /// How long a handshake, and a request's line and headers, may take.
    pub head: Duration,
}

impl Bounds {
    /// As the gateway's configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            connections: config.limits.connections,
            per_address: config.limits.connections_per_address,
            head: Duration::from_secs(config.timeouts.header_seconds),
        }
    }
}

/// Where a server listens and how.
pub struct Listening {
    /// Its name in metrics.
    pub name: String,
    /// The port.
    pub listener: TcpListener,
    /// TLS; without it plain HTTP is spoken.
    pub tls: Option<Arc<TlsServer>>,
}

/// Serves `router` until `closed`.
pub async fn serve(listening: Listening, router: Router, bounds: Bounds, closed: CancellationToken) {
    let Listening { name, listener, tls } = listening;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_headers(HEADERS)
        .max_buf_size(HEAD);
    let seats = Seats::new(bounds.connections, bounds.per_address);
    let handshakes = Arc::new(Counters::of(&HANDSHAKES, vec![name.into()]));
    let ending = GracefulShutdown::new();
    loop {
        let accepted = async {
            let free = seats.free().await?;
            Some((listener.accept().await, free))
        };
        let (stream, address, free) = tokio::select! {
            () = closed.cancelled() => break,
            accepted = accepted => match accepted {
                Some((Ok((stream, address)), free)) => (stream, address, free),
                Some((Err(error), _)) => {
                    // out of descriptors, or the peer has gone already: others may still be served
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                None => break,
            },
        };
        let origin = Origin::from(address.ip());
        let Some(seat) = free.take(origin) else {
            handshakes.count("too-many");
            continue;
        };
        let connection = Connection {
            builder: builder.clone(),
            router: router.clone(),
            watcher: ending.watcher(),
            origin,
        };
        let (tls, handshakes, closed) = (tls.clone(), Arc::clone(&handshakes), closed.clone());
        let served = async move {
            let _seat = seat;
            match tls {
                None => connection.serve(stream, None).await,
                Some(tls) => {
                    // nobody is waited for who has not begun to ask
                    let secured = tokio::select! {
                        () = closed.cancelled() => return,
                        secured = secured(&tls, stream, bounds.head, &handshakes) => secured,
                    };
                    if let Some((stream, certificate)) = secured {
                        connection.serve(stream, certificate).await;
                    }
                }
            }
        };
        tokio::spawn(served.in_current_span());
    }
    drop(listener);
    if tokio::time::timeout(LAST_REQUESTS, ending.shutdown()).await.is_err() {
        tracing::warn!("requests were still running when the server closed");
    }
}

/// The connection after its handshake, with the SHA-256 of the peer's certificate; `None` when there is none to speak of.
async fn secured(
    tls: &TlsServer,
    stream: TcpStream,
    time: Duration,
    handshakes: &Counters,
) -> Option<(impl AsyncRead + AsyncWrite + Unpin + Send + use<>, Option<Digest>)> {
    match tls.shake(stream, time).await {
        Ok(stream) => {
            handshakes.count("ok");
            let shown = stream.get_ref().1.peer_certificates();
            let certificate = shown.and_then(|chain| chain.first()).map(|own| Digest::of(own));
            Some((stream, certificate))
        }
        Err(ended) => {
            handshakes.count(ended.as_str());
            tracing::debug!(outcome = ended.as_str(), "a handshake came to nothing");
            None
        }
    }
}

/// One connection that is about to be served.
struct Connection {
    builder: http1::Builder,
    router: Router,
    watcher: Watcher,
    origin: Origin,
}

impl Connection {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, certificate: Option<Digest>) {
        let peer = Peer {
            origin: self.origin,
            certificate,
        };
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        // a peer that breaks off is its own affair
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
