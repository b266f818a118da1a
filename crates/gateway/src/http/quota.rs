//! How much a client may post: so many submissions a minute, counted in memory.
//!
//! A minute begins with the first submission after the last one ended. Refused requests count too, so that a client
//! that repeats in a loop does not get further than one that works. Forgets everything at a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use viereck_routing::{Client, ClientId};

use super::problem::{Code, Problem};

const MINUTE: Duration = Duration::from_secs(60);

/// What every client has used of its minute; one entry for each client of the routing table at the most.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<HashMap<ClientId, Used>>);

#[derive(Debug)]
struct Used {
    since: Instant,
    count: u32,
}

/// How a client stands after one more of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What it may post in a minute.
    quota: u32,
    /// What is left of it.
    left: u32,
    /// Seconds until all of it is there again.
    seconds: u64,
}

impl Quotas {
    /// Counts one more submission of this client.
    pub(crate) fn count(&self, client: &Client, now: Instant) -> Result<Standing, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(client.id.clone()).or_insert(Used { since: now, count: 0 });
        if now.duration_since(used.since) >= MINUTE {
            *used = Used { since: now, count: 0 };
        }
        let quota = client.quota.per_minute;
        let standing = |used: &Used| Standing {
            quota,
            left: quota.saturating_sub(used.count),
            seconds: MINUTE.saturating_sub(now.duration_since(used.since)).as_secs() + 1,
        };
        if used.count >= quota {
            let standing = standing(used);
            let problem = Problem::of(Code::QuotaExceeded).retry_after(standing.seconds);
            return Err(standing
                .fields()
                .into_iter()
                .fold(problem, |problem, (name, value)| problem.header(name, value)));
        }
        used.count += 1;
        Ok(standing(used))
    }
}

impl Standing {
    /// The fields of the IETF draft "RateLimit header fields for HTTP".
    fn fields(self) -> [(HeaderName, String); 2] {
        let Self { quota, left, seconds } = self;
        [
            (
                HeaderName::from_static("ratelimit-policy"),
                format!("\"submissions\";q={quota};w=60"),
            ),
            (
                HeaderName::from_static("ratelimit"),
                format!("\"submissions\";r={left};t={seconds}"),
            ),
        ]
    }

    /// Tells it with an answer, whatever that says.
    pub(crate) fn told(self, mut answer: Response) -> Response {
        for (name, value) in self.fields() {
            if let Ok(value) = HeaderValue::try_from(value) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}
