//! The way back: a Bescheid for every application that was taken over, posted to the receiver gateway.
//!
//! Where to post may become known, or change, after the first application arrived (the gateway restarts); Bescheide
//! wait until then. Each is posted under the same key until the gateway answers; a refusal (4xx) is final and logged
//! with its code, because repeating cannot help.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, SentBescheid, Watch};
use super::message::Message;
use crate::demo::samples;

/// Pause before a Bescheid that the gateway did not take is posted again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// The receiver gateway's reply API, as a Fachverfahren is told of it.
#[derive(Clone)]
pub struct ReplyRoute {
    /// Where the gateway listens, e.g. `http://127.0.0.1:8002`.
    pub gateway: String,
    /// The bearer token bound to this Fachverfahren's Behörden.
    pub token: String,
    /// Which applications are decided at all.
    pub share: Share,
}

/// Which applications get a Bescheid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Each.
    All,
    /// One in so many, told from the message's id, so that both ends know which.
    OneIn(u64),
}

impl Share {
    /// Whether the application `message_id` gets one.
    pub fn contains(self, message_id: &str) -> bool {
        match self {
            Share::All => true,
            Share::OneIn(many) => message_id
                .bytes()
                .map(u64::from)
                .sum::<u64>()
                .is_multiple_of(many.max(1)),
        }
    }
}

impl fmt::Debug for ReplyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyRoute")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

/// What is due to be decided, and where decisions go.
#[derive(Clone)]
pub(super) struct Replies {
    due: mpsc::UnboundedSender<Due>,
    route: watch::Sender<Option<ReplyRoute>>,
    posting: Arc<Mutex<()>>,
}

struct Due {
    case_id: String,
    in_reply_to: String,
}

/// The task that writes and posts.
pub(super) struct Writing {
    due: mpsc::UnboundedReceiver<Due>,
    route: watch::Receiver<Option<ReplyRoute>>,
    /// Held while one is posted.
    posting: Arc<Mutex<()>>,
    ledger: Watch<Ledger>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    message_id: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

enum Posted {
    Taken(String),
    Refused(String),
    NotNow,
}

impl Replies {
    pub(super) fn new(ledger: Watch<Ledger>) -> (Replies, Writing) {
        let (due, receiver) = mpsc::unbounded_channel();
        let (route, changes) = watch::channel(None);
        let posting = Arc::default();
        (
            Replies {
                due,
                route,
                posting: Arc::clone(&posting),
            },
            Writing {
                due: receiver,
                route: changes,
                posting,
                ledger,
            },
        )
    }

    pub(super) fn through(&self, route: ReplyRoute) {
        self.route.send_replace(Some(route));
    }

    /// Posts nothing until the way is told anew. What is being posted has its answer, or none, when this returns.
    pub(super) async fn hold(&self) {
        self.route.send_replace(None);
        drop(self.posting.lock().await);
    }

    /// An application was taken over: its decision is due. Anything else needs none.
    pub(super) fn decide(&self, message: &Message) {
        if message.kind == "application" {
            let due = Due {
                case_id: message.case_id.clone(),
                in_reply_to: message.message_id.clone(),
            };
            // Fails only when the stand-in is being stopped.
            let _ = self.due.send(due);
        }
    }
}

impl Writing {
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.write()).await;
    }

    async fn write(&mut self) {
        let client = match reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
        {
            Ok(client) => client,
            Err(error) => return tracing::error!(%error, "no Bescheid can be posted"),
        };
        while let Some(due) = self.due.recv().await {
            loop {
                if self.route.wait_for(Option::is_some).await.is_err() {
                    return;
                }
                let posting = self.posting.lock().await;
                let Some(route) = self.route.borrow().clone() else {
                    continue;
                };
                if !route.share.contains(&due.in_reply_to) {
                    break;
                }
                let posted = post(&client, &route, &due).await;
                drop(posting);
                match posted {
                    Posted::Taken(message_id) => {
                        let Due { case_id, in_reply_to } = due;
                        self.ledger.change(|ledger| {
                            ledger.bescheid(SentBescheid {
                                case_id,
                                in_reply_to,
                                message_id,
                            })
                        });
                        break;
                    }
                    Posted::Refused(code) => {
                        tracing::error!(case_id = %due.case_id, code, "the gateway refused a Bescheid");
                        break;
                    }
                    Posted::NotNow => tokio::time::sleep(AGAIN_AFTER).await,
                }
            }
        }
    }
}

async fn post(client: &reqwest::Client, route: &ReplyRoute, due: &Due) -> Posted {
    let bescheid = samples::bescheid(&due.case_id);
    let metadata = json!({"kind": "bescheid", "inReplyTo": due.in_reply_to, "title": "Ihr Bescheid (Beispiel)"});
    let payload = Part::stream(bescheid.octets)
        .file_name(bescheid.name)
        .mime_str(bescheid.media_type);
    let metadata = Part::text(metadata.to_string()).mime_str("application/json");
    let (Ok(metadata), Ok(payload)) = (metadata, payload) else {
        return Posted::Refused("media-type".to_owned());
    };
    let answer = client
        .post(format!("{}/v1/cases/{}/replies", route.gateway, due.case_id))
        .bearer_auth(&route.token)
        .header("Idempotency-Key", format!("bescheid-{}", due.in_reply_to))
        .multipart(Form::new().part("metadata", metadata).part("payload", payload))
        .send()
        .await;
    let Ok(answer) = answer else { return Posted::NotNow };
    match answer.status() {
        status if status.is_success() => match answer.json::<Taken>().await {
            Ok(taken) => Posted::Taken(taken.message_id),
            // The answer was lost on the way; the same key gets it again.
            Err(_) => Posted::NotNow,
        },
        status if status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429) => {
            let code = answer.json::<Problem>().await.map(|problem| problem.code);
            Posted::Refused(code.unwrap_or_else(|_| status.to_string()))
        }
        _ => Posted::NotNow,
    }
}
