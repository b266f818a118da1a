//! Webhooks: a client's server is told that a submission has another status, so that nobody has to ask in a loop.
//!
//! Guarantees: every status is told at least once as long as the client's server takes it within days; who is called can
//! believe it (`signature`); a call says nothing about a person (`event`) and goes to no address that is not public,
//! unless the operator allows it (`addresses`, `post`); a server that is slow or down holds up nobody but its own client.
//! Does not promise an order, or that a status is told once only: a call that was answered too late is made again.

pub(crate) mod addresses;
pub(crate) mod api;
mod config;
mod event;
mod post;
mod run;
mod signature;

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, Semaphore};
use viereck_custody::webhooks::Webhook;

pub use config::Webhooks;
pub(crate) use run::run;

use post::Caller;
use signature::Secret;

/// How long the secret before still signs beside the new one.
const BOTH_SECRETS: SignedDuration = SignedDuration::from_hours(24);

/// Test calls under way at one moment.
const TEST_CALLS: usize = 8;

/// What the gateway needs to call webhooks.
pub(crate) struct Calls {
    caller: Caller,
    /// Secrets are computed from it; nothing else is done with it.
    key: [u8; 32],
    /// Wakes whoever calls: a client has changed something.
    wanted: Notify,
    tests: Semaphore,
}

impl Calls {
    /// # Errors
    /// When the host's TLS cannot be set up.
    pub(crate) fn new(config: &crate::Config, key: &[u8; 32]) -> Result<Self, reqwest::Error> {
        let mut derived = [0; 32];
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"viereck webhooks");
        derived.copy_from_slice(tag.as_ref());
        Ok(Self {
            caller: Caller::new(config.webhooks.allowed(), config.webhooks.timeout(), config.id.clone())?,
            key: derived,
            wanted: Notify::new(),
            tests: Semaphore::new(TEST_CALLS),
        })
    }

    /// What a call of `webhook` is signed with at this moment, the newest secret first.
    fn secrets(&self, webhook: &Webhook, now: Timestamp) -> Vec<Secret> {
        let secret = |generation| Secret::derive(&self.key, &webhook.id, generation);
        let mut secrets = vec![secret(webhook.generation)];
        if previous_until(webhook).is_some_and(|until| now < until) {
            secrets.push(secret(webhook.generation - 1));
        }
        secrets
    }

    /// The secret that counts, as it is shown to the client.
    fn shown_secret(&self, webhook: &Webhook) -> String {
        Secret::derive(&self.key, &webhook.id, webhook.generation).shown()
    }
}

/// Until when the secret before still signs.
fn previous_until(webhook: &Webhook) -> Option<Timestamp> {
    let rotated = webhook.rotated_at.filter(|_| webhook.generation > 1)?;
    Some(rotated + BOTH_SECRETS)
}
