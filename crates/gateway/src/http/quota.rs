//! How much a client may post: so many submissions a minute, counted in memory.
//!
//! A minute begins with the first submission after the last one ended. Refused requests count too, so that a client
//! that repeats in a loop does not get further than one that works. Forgets everything at a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderName;
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

impl Quotas {
    /// Counts one more submission of this client.
    pub(crate) fn count(&self, client: &Client, now: Instant) -> Result<(), Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(client.id.clone()).or_insert(Used { since: now, count: 0 });
        if now.duration_since(used.since) >= MINUTE {
            *used = Used { since: now, count: 0 };
        }
        let quota = client.quota.per_minute;
        if used.count >= quota {
            let left = MINUTE.saturating_sub(now.duration_since(used.since)).as_secs() + 1;
            // the fields of the IETF draft "RateLimit header fields for HTTP"
            return Err(Problem::of(Code::QuotaExceeded)
                .retry_after(left)
                .header(
                    HeaderName::from_static("ratelimit-policy"),
                    format!("\"submissions\";q={quota};w=60"),
                )
                .header(
                    HeaderName::from_static("ratelimit"),
                    format!("\"submissions\";r=0;t={left}"),
                ));
        }
        used.count += 1;
        Ok(())
    }
}
