//! What became of one attempt, and how the answer of an HTTP server of corner 4 says it.
//!
//! The table of answers is the contract with whoever writes a Fachverfahren: 2xx takes the message over, 409 has taken it
//! over before under the same key (the key is the digest of the message, so it can be no other), 422 with
//! `application/problem+json` and a `code` refuses it. 408, 425, 429, 5xx and silence mean again later. Everything else
//! says that the address, the credentials or the server are wrong, not the message.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use viereck_envelope::Reason;

/// Octets of an answer that are read at most.
const ANSWER: usize = 64 << 10;
/// The longest that a server can ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken over.
    Accepted,
    /// Refused for good.
    Rejected(Reason),
    /// Handed over; the Fachverfahren has not said yes or no yet. Look again after this time.
    Waiting(Duration),
    /// Not now; perhaps with a time that was asked for.
    Unavailable(Option<Duration>),
    /// An operator has to act; what is wrong, in words of ours.
    Misconfigured(String),
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
        // no connection, a broken one, or no answer in time
        Err(_) => return Verdict::Ended(Outcome::Unavailable(None)),
    };
    let status = answer.status();
    match status {
        _ if status.is_success() => Verdict::Ended(Outcome::Accepted),
        StatusCode::CONFLICT => Verdict::Ended(Outcome::Accepted),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => later(answer.headers()),
        _ if status.is_server_error() => later(answer.headers()),
        StatusCode::UNPROCESSABLE_ENTITY if is_problem(answer.headers()) => match bounded(answer).await {
            Some(body) => match serde_json::from_slice(&body) {
                Ok(ProblemJson { code: Some(code) }) => Verdict::Refused(code),
                _ => misconfigured("answer 422 without a code".to_owned()),
            },
            None => Verdict::Ended(Outcome::Unavailable(None)),
        },
        _ => misconfigured(format!("answer {}", status.as_u16())),
    }
}

fn misconfigured(what: String) -> Verdict {
    Verdict::Ended(Outcome::Misconfigured(what))
}

fn later(headers: &HeaderMap) -> Verdict {
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Verdict::Ended(Outcome::Unavailable(
        seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)),
    ))
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
