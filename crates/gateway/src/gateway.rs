//! What every part of one running gateway shares, and the bounds that hold for all of them together.
//!
//! Guarantees: requests in work never need more octets than configured, and long work (sealing, opening) runs on as many
//! threads as there are processors, away from the threads that serve connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use viereck_custody::{CurrentTables, Journal};
use viereck_routing::Tables;

use crate::http::access::Access;
use crate::http::quota::Quotas;
use crate::metrics::Measured;
use crate::status::waiting::Waiting;
use crate::webhooks::Calls;
use crate::{Config, CurrentKeys, Keys};

/// Octets above which sealing and opening leave the threads that serve connections.
const LONG_WORK: usize = 64 << 10;

/// The octets that one permit stands for: permits are 32-bit numbers.
const OCTETS_A_PERMIT: usize = 1024;

/// One running gateway.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) journal: Journal,
    keys: CurrentKeys,
    pub(crate) access: Access,
    pub(crate) quotas: Quotas,
    pub(crate) webhooks: Calls,
    pub(crate) waiting: Waiting,
    pub(crate) measured: Measured,
    /// Cancelled as soon as the gateway is told to stop: no new work from then on.
    pub(crate) draining: CancellationToken,
    tables: CurrentTables,
    in_flight: Arc<Semaphore>,
    processors: Arc<Semaphore>,
}

impl Gateway {
    /// # Errors
    /// When the host's TLS cannot be set up.
    pub(crate) fn new(
        config: Config,
        journal: Journal,
        keys: CurrentKeys,
        access: Access,
        tables: CurrentTables,
        draining: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        let webhooks = Calls::new(&config, &keys.borrow().fingerprint)?;
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            in_flight: Arc::new(Semaphore::new(config.limits.bytes_in_flight / OCTETS_A_PERMIT)),
            processors: Arc::new(Semaphore::new(processors)),
            quotas: Quotas::default(),
            webhooks,
            waiting: Waiting::new(config.limits.waiting),
            measured: Measured::of(&config.id),
            config,
            journal,
            keys,
            access,
            tables,
            draining,
        })
    }

    /// The routing table in force at this moment; one piece of work keeps the one it began with.
    pub(crate) fn tables(&self) -> Arc<Tables> {
        self.tables.borrow().clone()
    }

    /// The private keys at this moment; one piece of work keeps those it began with.
    pub(crate) fn keys(&self) -> Keys {
        self.keys.borrow().clone()
    }

    /// Room for a request of `octets`, given back when dropped; `None` when there is none at this moment.
    pub(crate) fn room_for(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(octets.div_ceil(OCTETS_A_PERMIT)).ok()?;
        Arc::clone(&self.in_flight).try_acquire_many_owned(permits).ok()
    }

    /// Does `work` on `octets` here when it is short, else on a thread of its own, as many as there are processors.
    pub(crate) async fn work<T: Send + 'static>(&self, octets: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
        match octets <= LONG_WORK {
            true => work(),
            false => self.aside(work).await,
        }
    }

    /// Does `work` on a thread of its own: what is long, or waits for a disk.
    pub(crate) async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        // held until the work is done, even when the one who asked has gone
        let processor = Arc::clone(&self.processors).acquire_owned().await;
        let working = tokio::task::spawn_blocking(move || {
            let _processor = processor;
            work()
        });
        match working.await {
            Ok(result) => result,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // cancelled: the runtime is ending, and with it whoever waits here
                Err(_) => std::future::pending().await,
            },
        }
    }
}
