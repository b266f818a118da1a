//! What stands around the network: Fachverfahren, Postfach, a client's server, a collector. They keep every octet they hear,
//! and say words of their own in every answer, for a foreign answer is outside input too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::canaries::Canaries;

/// Everything that one of them was told.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// Keeps it.
    pub(super) fn keep(&self, octets: &[u8]) {
        let mut heard = self.0.lock().unwrap();
        heard.extend_from_slice(octets);
        heard.extend_from_slice(b"\n\n");
    }

    /// All of it.
    pub(super) fn octets(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    /// Whether this was among it.
    pub(super) fn has(&self, text: &str) -> bool {
        self.0
            .lock()
            .unwrap()
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }
}

/// All of them, with where they listen.
pub(super) struct Around {
    /// Corner 4.
    pub(super) fachverfahren: (Heard, String),
    /// The mailboxes.
    pub(super) postfach: (Heard, String),
    /// The server of an online service.
    pub(super) webhooks: (Heard, String),
    /// Takes traces.
    pub(super) collector: (Heard, String),
}

impl Around {
    /// Starts them.
    pub(super) async fn start(canaries: &Arc<Canaries>) -> Self {
        let start = async |what: Speaks| {
            let heard = Heard::default();
            let desk = Desk {
                what,
                heard: heard.clone(),
                canaries: Arc::clone(canaries),
                asked: Arc::default(),
            };
            (heard, serve(Router::new().fallback(answer).with_state(desk)).await)
        };
        Self {
            fachverfahren: start(Speaks::Fachverfahren).await,
            postfach: start(Speaks::Postfach).await,
            webhooks: start(Speaks::Client).await,
            collector: start(Speaks::Collector).await,
        }
    }
}

/// Serves on a free port of the loopback.
pub(super) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    Fachverfahren,
    Postfach,
    Client,
    Collector,
}

#[derive(Clone)]
struct Desk {
    what: Speaks,
    heard: Heard,
    canaries: Arc<Canaries>,
    /// How often, by key.
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
}

async fn answer(State(desk): State<Desk>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    desk.heard.keep(format!("{method} {uri} {headers:?}").as_bytes());
    desk.heard.keep(&body);
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default();
    let first = {
        let mut asked = desk.asked.lock().unwrap();
        let times = asked.entry(key.to_owned()).or_default();
        *times += 1;
        *times == 1
    };
    let does = |what: &str| body.windows(what.len()).any(|part| part == what.as_bytes());
    let code = |code: &str| format!("{{\"code\":{code:?},\"detail\":{:?}}}", desk.said("detail"));
    match desk.what {
        Speaks::Fachverfahren if does("it-rejects") => desk.says(422, code("S011")),
        Speaks::Fachverfahren if first && does("it-is-away") => desk.says(503, desk.said("body")),
        Speaks::Fachverfahren if first && does("it-speaks-strangely") => desk.says(422, code(&desk.said("code"))),
        Speaks::Fachverfahren if first && does("it-leads-elsewhere") => desk.says(302, desk.said("body")),
        Speaks::Fachverfahren if first && does("it-knows-nobody") => desk.says(401, desk.said("body")),
        Speaks::Postfach if does("it-refuses") => desk.says(422, code(&desk.said("code"))),
        Speaks::Client if first => desk.says(500, desk.said("body")),
        _ => desk.says(200, desk.said("body")),
    }
}

impl Desk {
    fn said(&self, part: &str) -> String {
        let who = match self.what {
            Speaks::Fachverfahren => "answer of the Fachverfahren",
            Speaks::Postfach => "answer of the Postfach",
            Speaks::Client => "answer to a webhook",
            Speaks::Collector => "answer of the collector",
        };
        self.canaries.word(&format!("{who}: {part}"))
    }

    fn says(&self, status: u16, body: String) -> Response {
        let headers = [
            (
                header::CONTENT_TYPE,
                format!("application/problem+json; {}=1", self.said("media type")),
            ),
            (
                header::LOCATION,
                format!("http://127.0.0.1:9/{}", self.said("Location")),
            ),
            (
                header::RETRY_AFTER,
                if status == 503 {
                    "1".to_owned()
                } else {
                    self.said("Retry-After")
                },
            ),
            (header::WWW_AUTHENTICATE, format!("Basic realm={}", self.said("realm"))),
            (header::SET_COOKIE, format!("a={}", self.said("Set-Cookie"))),
        ];
        (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
    }
}
