//! The reconnect loop: keeps one connection open to some node for as long as the link lives.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use viereck_observe::Counters;

use crate::error::LinkError;
use crate::metrics::{CONNECTED, CONNECTIONS};

use super::config::Settings;
use super::session::Session;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// A connection that comes back. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    current: watch::Receiver<Option<Arc<Session>>>,
    /// How often it has come.
    renewals: watch::Receiver<u64>,
}

impl Line {
    /// Starts the loop in `tasks`; it closes its connection and ends when `ended` is cancelled.
    pub(super) fn start(
        settings: Arc<Settings>,
        role: &'static str,
        tasks: &TaskTracker,
        ended: CancellationToken,
    ) -> Self {
        let (sender, current) = watch::channel(None);
        let (renewed, renewals) = watch::channel(0);
        tasks.spawn(keep(settings, role, sender, renewed, ended));
        Self { current, renewals }
    }

    /// Changes whenever the connection has come, from now on.
    pub(super) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.clone()
    }

    /// The connection, waiting for one for at most `patience`.
    pub(super) async fn session(&self, patience: Duration) -> Result<Arc<Session>, LinkError> {
        tokio::time::timeout(patience, self.next_session())
            .await
            .unwrap_or(Err(LinkError::Unreachable))
    }

    /// The connection, waiting for one for as long as it takes.
    pub(super) async fn next_session(&self) -> Result<Arc<Session>, LinkError> {
        let mut current = self.current.clone();
        let alive = |session: &Option<Arc<Session>>| session.as_ref().is_some_and(|session| session.is_alive());
        let session = current.wait_for(alive).await.map_err(|_| LinkError::Closed)?;
        session.clone().ok_or(LinkError::Closed)
    }
}

async fn keep(
    settings: Arc<Settings>,
    role: &'static str,
    current: watch::Sender<Option<Arc<Session>>>,
    renewed: watch::Sender<u64>,
    ended: CancellationToken,
) {
    // Not every process begins at the first node.
    let first = usize::try_from(chance(u64::try_from(settings.nodes.len()).unwrap_or(1))).unwrap_or(0);
    let mut failures = 0_u32;
    let (connected, connections) = (
        CONNECTED.gauge(&[role.into()]),
        Counters::of(&CONNECTIONS, vec![role.into()]),
    );
    connected.set(0.0);
    for node in settings.nodes.iter().cycle().skip(first) {
        let opened = tokio::select! {
            () = ended.cancelled() => return,
            opened = Session::open(node, &settings, role) => opened,
        };
        match opened {
            Ok(session) => {
                tracing::info!(role, "connected to RabbitMQ");
                failures = 0;
                connections.count("opened");
                connected.set(1.0);
                let session = Arc::new(session);
                current.send_replace(Some(Arc::clone(&session)));
                renewed.send_modify(|times| *times += 1);
                let closing = tokio::select! {
                    () = ended.cancelled() => true,
                    () = session.ended() => false,
                };
                current.send_replace(None);
                connected.set(0.0);
                if closing {
                    session.close().await;
                    return;
                }
                session.cut();
                connections.count("lost");
                tracing::warn!(role, "the connection to RabbitMQ was lost");
            }
            Err(error) => {
                connections.count("failed");
                // The first failure is news, the rest of the outage is not.
                if failures == 0 {
                    tracing::warn!(role, %error, "no connection to RabbitMQ");
                } else {
                    tracing::debug!(role, %error, failures, "still no connection to RabbitMQ");
                }
                failures = failures.saturating_add(1);
            }
        }
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(backoff(failures)) => {}
        }
    }
}

/// 100 ms to 1 s, doubling with each failure, of which a random half: many gateways lose a node at the same moment and
/// must not come back at the same moment.
pub(super) fn backoff(failures: u32) -> Duration {
    let full = SHORTEST.saturating_mul(1 << failures.min(4)).min(LONGEST);
    let half = full / 2;
    half + Duration::from_micros(chance(u64::try_from(half.as_micros()).unwrap_or(u64::MAX)))
}

/// A number below `bound`. The standard library seeds its hash keys randomly, which is chance enough for jitter.
fn chance(bound: u64) -> u64 {
    RandomState::new().hash_one(0) % bound.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_stays_within_its_bounds_and_is_not_the_same_for_all() {
        for failures in [0, 1, 2, 3, 4, 5, u32::MAX] {
            let pauses: std::collections::BTreeSet<_> = (0..50).map(|_| backoff(failures)).collect();
            assert!(
                pauses.iter().all(|pause| *pause >= SHORTEST / 2 && *pause <= LONGEST),
                "{pauses:?}"
            );
            assert!(pauses.len() > 10, "no jitter: {pauses:?}");
        }
    }
}
