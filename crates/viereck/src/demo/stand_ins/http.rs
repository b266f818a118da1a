//! A Fachverfahren that takes messages over HTTP.
//!
//! `POST` multipart with the parts `message`, `payload`, `attachment-01`, … and the header `Idempotency-Key`. A key
//! that took effect is answered with 409, a key that was rejected with the same rejection: whatever the gateway lives
//! through, a message acts at most once for each key.

use std::io;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, Standing, Verdict, Watch};
use super::message::{Breach, HandedOver};
use super::replies::{Replies, ReplyRoute};
use super::server::{Server, key, parts, problem};
use super::{Answer, Script};

/// A running Fachverfahren. Dropping it without [`stop`](Self::stop) leaves its tasks behind.
pub struct Fachverfahren {
    server: Server,
    ledger: Watch<Ledger>,
    replies: Replies,
}

#[derive(Clone)]
struct Desk {
    ledger: Watch<Ledger>,
    script: Script,
    replies: Replies,
    shutdown: CancellationToken,
}

impl Fachverfahren {
    /// Takes messages on `listener` and answers as `script` says.
    pub fn start(listener: TcpListener, script: Script) -> io::Result<Fachverfahren> {
        let shutdown = CancellationToken::new();
        let ledger = Watch::<Ledger>::default();
        let (replies, writing) = Replies::new(ledger.clone());
        let desk = Desk {
            ledger: ledger.clone(),
            script,
            replies: replies.clone(),
            shutdown: shutdown.clone(),
        };
        let routes = Router::new().route("/antraege", post(take)).with_state(desk);
        let server = Server::start(listener, routes, shutdown)?;
        server.tasks.spawn(writing.run(server.shutdown.clone()));
        Ok(Fachverfahren {
            server,
            ledger,
            replies,
        })
    }

    /// Where the adapter posts to.
    pub fn url(&self) -> String {
        format!("http://{}/antraege", self.server.address)
    }

    /// What it saw.
    pub fn ledger(&self) -> &Watch<Ledger> {
        &self.ledger
    }

    /// Writes a Bescheid for every application taken over, now and before, and posts it here.
    pub fn reply_through(&self, route: ReplyRoute) {
        self.replies.through(route);
    }

    /// Posts no Bescheid until [`Self::reply_through`] is called again; none is being posted when this returns.
    pub async fn hold_replies(&self) {
        self.replies.hold().await;
    }

    /// Ends it; what waits for an answer gets 503.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, request: Request) -> Response {
    match read(&headers, request).await {
        Ok((key, handed_over)) => desk.answer(&key, &handed_over).await,
        Err(breach) => {
            let detail = breach.to_string();
            desk.ledger.change(|ledger| ledger.breach(breach));
            problem(StatusCode::BAD_REQUEST, "contract-breach", &detail)
        }
    }
}

async fn read(headers: &HeaderMap, request: Request) -> Result<(String, HandedOver), Breach> {
    let key = key(headers)?;
    Ok((key, HandedOver::read(parts(request).await?)?))
}

impl Desk {
    async fn answer(&self, key: &str, handed_over: &HandedOver) -> Response {
        match self
            .ledger
            .change(|ledger| ledger.attempt(key, handed_over, &self.script))
        {
            Verdict::Settled(standing) => settled(&standing),
            Verdict::Decide(Answer::Accept) => self.settle(key, handed_over, Standing::Accepted),
            Verdict::Decide(Answer::Reject(code)) => self.settle(key, handed_over, Standing::Rejected(code)),
            Verdict::Decide(Answer::AcceptAfter(time)) => tokio::select! {
                () = tokio::time::sleep(time) => self.settle(key, handed_over, Standing::Accepted),
                answer = self.silence() => answer,
            },
            Verdict::Decide(Answer::AcceptWhenOpen(gate)) => tokio::select! {
                () = gate.pass() => self.settle(key, handed_over, Standing::Accepted),
                answer = self.silence() => answer,
            },
            Verdict::Decide(Answer::AcceptAndDecideTwice) => {
                self.replies.decide(&handed_over.message);
                self.settle(key, handed_over, Standing::Accepted)
            }
            Verdict::Decide(Answer::AcceptSilently) => {
                self.settle(key, handed_over, Standing::Accepted);
                self.silence().await
            }
            Verdict::Decide(Answer::Ignore) => self.silence().await,
            Verdict::Decide(Answer::Unavailable) => unavailable(),
            Verdict::Decide(Answer::Unauthorized) => problem(StatusCode::UNAUTHORIZED, "token-unknown", "who are you?"),
        }
    }

    fn settle(&self, key: &str, handed_over: &HandedOver, standing: Standing) -> Response {
        let answer = match &standing {
            Standing::Accepted => StatusCode::OK.into_response(),
            other => settled(other),
        };
        let takes_effect = standing == Standing::Accepted;
        if !self.ledger.change(|ledger| ledger.settle(key, standing)) {
            // Another attempt with the same key was quicker.
            return settled(&Standing::Accepted);
        }
        if takes_effect {
            self.replies.decide(&handed_over.message);
        }
        answer
    }

    /// No answer for as long as the server lives.
    async fn silence(&self) -> Response {
        self.shutdown.cancelled().await;
        unavailable()
    }
}

fn settled(standing: &Standing) -> Response {
    match standing {
        Standing::Rejected(code) => problem(StatusCode::UNPROCESSABLE_ENTITY, code, "rejected by the Fachverfahren"),
        Standing::Accepted => problem(
            StatusCode::CONFLICT,
            "already-taken-over",
            "this key took effect before",
        ),
        Standing::Open => unavailable(),
    }
}

fn unavailable() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not now")
}
