//! When a link has connected anew.
//!
//! A server that comes back may have lost everything, its exchanges and queues too. A link does not declare by itself:
//! what ought to be there is known to whoever reconciles, and that one is told here when to look again.

use tokio::sync::watch;

/// The moments at which a link connected anew.
#[derive(Debug)]
pub struct Renewals(Option<watch::Receiver<u64>>);

impl Renewals {
    /// Of a link that never loses what was declared.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    pub(crate) fn of(connected: watch::Receiver<u64>) -> Self {
        Self(Some(connected))
    }

    /// Waits for the next moment; for ever when there is none. Several that have passed count as one.
    pub async fn next(&mut self) {
        let changed = match &mut self.0 {
            Some(connected) => connected.changed().await.is_ok(),
            None => false,
        };
        // A closed link connects no more.
        if !changed {
            std::future::pending::<()>().await;
        }
    }
}
