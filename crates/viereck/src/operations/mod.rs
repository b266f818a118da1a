//! The operations interface: what operators see and do, over HTTP on a port of its own.
//!
//! | path | what | token |
//! |---|---|---|
//! | `GET /metrics` | the page for Prometheus | no |
//! | `GET /healthz/live`, `/healthz/ready` | for whoever starts and balances processes | no |
//! | `GET /v1/parked`, `/v1/parked/{id}`, `POST …/requeue`, `…/discard`, `POST /v1/parked/requeue` | what is parked | yes |
//! | `POST /v1/messages/{id}/seal-anew` | a message sealed anew | yes |
//! | `POST /v1/messages/{id}/erase` | the content of a message that ended unread erased | yes |
//! | `GET /v1/jobs`, `POST /v1/jobs/{id}/stop` | requeues of many under way | yes |
//! | `GET /v1/messages`, `/v1/messages/find` | what the journals know of messages | yes |
//! | `GET /v1/pauses`, `POST /v1/pause`, `/v1/resume` | what rests | yes |
//! | `GET /v1/ledger`, `/v1/backlogs`, `/v1/doctor`, `/v1/audit` | looks | yes |
//!
//! It works over the journals of all roles of the process, with the queries that the command line uses when it looks into
//! a journal by itself. Guarantees: whoever acts is known by a token and stands in the audit trail; nothing here shows
//! content; the server is bounded as the gateway's, and speaks TLS as it does. Does not: listen unless `[operations]` says
//! where, or in plaintext beyond this machine unless that says that something in front of it ends TLS.

mod access;
mod anew;
pub(crate) mod client;
pub(crate) mod control;
mod erase;
mod messages;
pub(crate) mod parked;
mod problem;
mod query;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use viereck_custody::{CurrentTables, Journal};
use viereck_gateway::{Backlogs, Listening, SealingAnew, TlsServer};
use viereck_routing::{CustodianId, GatewayId, Tables};
use viereck_transport::Link;

use crate::config::Config;
use crate::failure::Failure;
use crate::telemetry;

pub(crate) use self::access::Access;
pub use self::access::{May, Operator};
use self::problem::{Code, Problem};

/// Octets of a request's body: a filter and a reason.
const BODY: usize = 16 << 10;

/// Few look, and each but for a moment.
const BOUNDS: viereck_gateway::Bounds = viereck_gateway::Bounds {
    connections: 64,
    per_address: 32,
    head: Duration::from_secs(10),
};

/// Section `operations`: the interface is there when the section is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How it is reached by https; without it, it speaks http.
    pub tls: Option<viereck_gateway::Tls>,
    /// Whether something before it ends TLS, so that it may speak http beyond this host.
    #[serde(default)]
    pub tls_in_front: bool,
    /// Who may use what is behind a token.
    #[serde(default, rename = "operator")]
    pub operators: Vec<Operator>,
}

/// What the gateways of the process lend to the interface.
#[derive(Clone, Default)]
pub(crate) struct Gateways {
    /// What waits for each Fachverfahren.
    pub(crate) backlogs: BTreeMap<GatewayId, Backlogs>,
    /// What seals their messages anew.
    pub(crate) anew: BTreeMap<GatewayId, SealingAnew>,
}

/// What the interface works over: the roles of one process.
pub(crate) struct Operations {
    pub(crate) config: Config,
    pub(crate) journals: BTreeMap<CustodianId, Journal>,
    pub(crate) tables: CurrentTables,
    pub(crate) link: Link,
    gateways: Gateways,
    access: Access,
    stopping: CancellationToken,
}

impl Operations {
    /// Over these roles; reads the digests of the operators' tokens.
    pub(crate) fn new(
        config: Config,
        journals: BTreeMap<CustodianId, Journal>,
        gateways: Gateways,
        tables: CurrentTables,
        link: Link,
        stopping: CancellationToken,
    ) -> Result<Self, Failure> {
        let operators = config
            .operations
            .as_ref()
            .map_or(&[][..], |settings| &settings.operators);
        Ok(Self {
            access: Access::load(operators)?,
            config,
            journals,
            gateways,
            tables,
            link,
            stopping,
        })
    }

    /// The routing table in force at this moment.
    pub(crate) fn tables(&self) -> Arc<Tables> {
        self.tables.borrow().clone()
    }

    /// The journal of one custodian of this process.
    fn journal(&self, custodian: &CustodianId) -> Result<&Journal, Problem> {
        let unknown = || Problem::of(Code::CustodianUnknown).detail(custodian.to_string());
        self.journals.get(custodian).ok_or_else(unknown)
    }

    /// The journals meant: one, or all.
    fn journals_of(&self, custodian: Option<&CustodianId>) -> Result<Vec<&Journal>, Problem> {
        match custodian {
            Some(custodian) => Ok(vec![self.journal(custodian)?]),
            None => Ok(self.journals.values().collect()),
        }
    }
}

/// Serves the interface until `closed`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsServer>>,
    operations: Operations,
    closed: CancellationToken,
) {
    let listening = Listening {
        name: "operations".to_owned(),
        listener,
        tls,
    };
    viereck_gateway::serve(listening, router(Arc::new(operations)), BOUNDS, closed).await;
}

fn router(operations: Arc<Operations>) -> Router {
    let open = Router::new()
        .route("/metrics", get(telemetry::metrics::handler))
        .route("/healthz/live", get(async || "live\n"))
        .route("/healthz/ready", get(ready));
    let behind_token = Router::new()
        .route("/v1/parked", get(parked::list))
        .route("/v1/parked/requeue", post(parked::requeue_many))
        .route("/v1/parked/{id}", get(parked::show))
        .route("/v1/parked/{id}/requeue", post(parked::requeue))
        .route("/v1/parked/{id}/discard", post(parked::discard))
        .route("/v1/messages/{id}/seal-anew", post(anew::seal_anew))
        .route("/v1/messages/{id}/erase", post(erase::erase))
        .route("/v1/jobs", get(parked::jobs))
        .route("/v1/jobs/{id}/stop", post(parked::stop_job))
        .route("/v1/messages", get(messages::list))
        .route("/v1/messages/find", get(messages::find))
        .route("/v1/pauses", get(control::pauses))
        .route("/v1/pause", post(control::pause))
        .route("/v1/resume", post(control::resume))
        .route("/v1/ledger", get(control::ledger))
        .route("/v1/backlogs", get(control::backlogs))
        .route("/v1/audit", get(control::audit))
        .route("/v1/doctor", get(control::doctor))
        .layer(middleware::from_fn_with_state(Arc::clone(&operations), known));
    open.merge(behind_token)
        .fallback(async || Problem::of(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::of(Code::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(operations)
}

/// Who asks is known before anything of the request is read; who acts while the process stops is sent away.
async fn known(State(operations): State<Arc<Operations>>, mut request: Request, next: Next) -> Response {
    let wanted = match *request.method() {
        Method::GET => May::Look,
        _ => May::Act,
    };
    let actor = match operations.access.operator(request.headers(), wanted) {
        Ok(actor) => actor,
        Err(problem) => return problem.into_response(),
    };
    if wanted == May::Act && operations.stopping.is_cancelled() {
        return Problem::of(Code::Stopping).into_response();
    }
    request.extensions_mut().insert(actor);
    next.run(request).await
}

/// Ready means: every journal of this process could be written now, and nobody has told it to stop.
async fn ready(State(operations): State<Arc<Operations>>) -> (StatusCode, String) {
    if operations.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    for (custodian, journal) in &operations.journals {
        if !journal.is_writable().await {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("store-unavailable {custodian}\n"),
            );
        }
    }
    (StatusCode::OK, "ready\n".to_owned())
}
