//! What became of one attempt, and how the answer of an HTTP server of corner 4 says it.
//!
//! The table of answers is the contract with whoever writes a Fachverfahren: 2xx takes the message over, 409 has taken it
//! over before under the same key (the key is the digest of the message, so it can be no other), 422 with
//! `application/problem+json` and a `code` refuses it. 408, 425, 429 and 503, or no connection at all, mean again later:
//! it has not acted. 5xx of another kind and silence mean again later too, but nobody knows whether it has acted.
//! 400, 413, 415 and a 422 that names no known code say that the server can make nothing of this message: an operator has to
//! act, and the other messages go on unless the same is said of them. Everything else says that the address, the
//! credentials or the server are wrong, and of every message.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use viereck_envelope::Reason;

/// Octets of an answer that are read at most.
const ANSWER: usize = 64 << 10;
/// The longest that a server can ask us to wait.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken over.
    Accepted,
    /// Refused for good.
    Rejected(Reason),
    /// Handed over; the Fachverfahren has not said yes or no yet.
    Waiting,
    /// Not now, and surely nothing was done; perhaps with a time that was asked for.
    Unavailable(Option<Duration>),
    /// It failed, and the Fachverfahren may have acted or not; perhaps with a time that was asked for.
    Unclear(Option<Duration>),
    /// The server can make nothing of this message, and an operator has to act; what is wrong, in words of ours.
    NotUnderstood(String),
    /// An operator has to act before any message can be handed over; what is wrong, in words of ours.
    Misconfigured(String),
}

impl Outcome {
    /// Whether the Fachverfahren took the message out of our hands, whatever it says of it.
    pub(crate) fn is_taken(&self) -> bool {
        match self {
            Self::Accepted | Self::Rejected(_) | Self::Waiting => true,
            Self::Unavailable(_) | Self::Unclear(_) | Self::NotUnderstood(_) | Self::Misconfigured(_) => false,
        }
    }
}

/// What an answer says before its refusal is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The attempt is over.
    Ended(Outcome),
    /// Refused with this code of the server's.
    Refused(String),
}

#[derive(Deserialize)]
struct ProblemJson {
    code: Option<String>,
}

/// Reads an answer, or the lack of one.
pub(crate) async fn verdict(answer: Result<Response, reqwest::Error>) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_builder() => return misconfigured("the request cannot be built".to_owned()),
        // nobody was there to act
        Err(error) if error.is_connect() => return Verdict::Ended(Outcome::Unavailable(None)),
        // a connection that broke, or no answer in time
        Err(_) => return Verdict::Ended(Outcome::Unclear(None)),
    };
    let status = answer.status();
    match status {
        _ if status.is_success() => Verdict::Ended(Outcome::Accepted),
        StatusCode::CONFLICT => Verdict::Ended(Outcome::Accepted),
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE => Verdict::Ended(Outcome::Unavailable(asked(answer.headers()))),
        _ if status.is_server_error() => Verdict::Ended(Outcome::Unclear(asked(answer.headers()))),
        StatusCode::UNPROCESSABLE_ENTITY if is_problem(answer.headers()) => match bounded(answer).await {
            Some(body) => match serde_json::from_slice(&body) {
                Ok(ProblemJson { code: Some(code) }) => Verdict::Refused(code),
                _ => Verdict::Ended(Outcome::NotUnderstood("answer 422 without a code".to_owned())),
            },
            None => Verdict::Ended(Outcome::Unclear(None)),
        },
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            Verdict::Ended(Outcome::NotUnderstood(format!("answer {}", status.as_u16())))
        }
        _ => misconfigured(format!("answer {}", status.as_u16())),
    }
}

fn misconfigured(what: String) -> Verdict {
    Verdict::Ended(Outcome::Misconfigured(what))
}

/// The time that a server asks us to wait.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}

fn is_problem(headers: &HeaderMap) -> bool {
    let essence = |value: &HeaderValue| Some(value.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase());
    headers.get(CONTENT_TYPE).and_then(essence).as_deref() == Some("application/problem+json")
}

/// The body, or as much of it as is read: `None` when it broke off.
async fn bounded(mut answer: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        let room = ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER {
            break;
        }
    }
    Some(body)
}
