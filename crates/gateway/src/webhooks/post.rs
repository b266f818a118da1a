//! One call of a webhook: posted, and what came of it in one word.
//!
//! Guarantees: goes to an address that may be reached or nowhere; follows no redirect and no proxy; takes a bounded time;
//! reads nothing of an answer but its status. No text of the other side gets into a log or the journal.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, StatusCode, Url, redirect};
use viereck_custody::webhooks::{Event, Outcome};
use viereck_routing::GatewayId;

use super::addresses::{AddressRefused, Allowed, Resolver};
use super::event;
use super::signature::{self, Secret};

/// How long a connection that nobody uses is kept for the next call to the same host.
const IDLE: Duration = Duration::from_secs(30);

/// Posts events; one for the whole gateway.
pub(crate) struct Caller {
    client: Client,
    allowed: Arc<Allowed>,
    from: GatewayId,
}

impl Caller {
    /// A caller in the name of `from`.
    ///
    /// # Errors
    /// When the host's TLS cannot be set up.
    pub(crate) fn new(allowed: Allowed, timeout: Duration, from: GatewayId) -> Result<Self, reqwest::Error> {
        let allowed = Arc::new(allowed);
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .dns_resolver(Resolver(Arc::clone(&allowed)))
            .timeout(timeout)
            .connect_timeout(timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(2)
            .build()?;
        Ok(Self { client, allowed, from })
    }

    /// What the rules say of a URL.
    pub(crate) fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Calls `url` with `event`, signed by each of `secrets`.
    pub(crate) async fn call(&self, url: &str, event: &Event, secrets: &[Secret]) -> Outcome {
        let Ok(url) = url.parse::<Url>() else {
            return Outcome::AddressRefused;
        };
        // rules may have become stricter since it was entered
        if self.allowed.check(&url).is_err() {
            return Outcome::AddressRefused;
        }
        let body = event::body(&self.from, event);
        let timestamp = Timestamp::now().as_second();
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, event::MEDIA_TYPE)
            .header(USER_AGENT, "viereck")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", timestamp.to_string())
            .header(
                "webhook-signature",
                signature::header(secrets, &event.id, timestamp, &body),
            )
            .body(body);
        match request.send().await {
            // dropped unread: what they say besides is not needed
            Ok(answer) => outcome(answer.status()),
            Err(error) if AddressRefused::is_in(&error) => Outcome::AddressRefused,
            Err(error) if error.is_timeout() => Outcome::TimedOut,
            Err(error) if error.is_dns() => Outcome::NameNotFound,
            Err(_) => Outcome::NotReached,
        }
    }
}

fn outcome(status: StatusCode) -> Outcome {
    match status {
        StatusCode::GONE => Outcome::Gone,
        status if status.is_success() => Outcome::Delivered,
        status if status.is_redirection() => Outcome::Redirected,
        status => Outcome::Refused(status.as_u16()),
    }
}
