//! The embedded link: queues as tables of one SQLite file, for a process that is sender, broker and receiver at once.
//!
//! It promises what RabbitMQ promises and no more, so that nothing is built on it that would fail there: its file is its
//! own, no transaction spans it and a journal, a crash delivers again what was not settled on disk, and order is not
//! kept. A link that is dropped without [`Embedded::close`] behaves like a process that was killed.

mod bells;
mod feeder;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use viereck_observe::Trace;
use viereck_store::Store;

use crate::address::Address;
use crate::delivery::Consumer;
use crate::error::LinkError;
use crate::topology::{Queue, Topology};

use self::bells::Bells;
use self::feeder::Feeder;

/// How long [`Embedded::close`] waits for the feeding tasks to write down what is done.
const CLOSING: Duration = Duration::from_secs(5);

/// The embedded link. Clones share it.
#[derive(Debug, Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    bells: Arc<Bells>,
    feeders: TaskTracker,
    closing: CancellationToken,
    /// Set once the deliveries that an earlier process held are free again.
    released: OnceCell<()>,
    abandoned: CancellationToken,
    _abandon_when_dropped: DropGuard,
}

impl Embedded {
    /// Opens or creates the file; refuses one that another process has open.
    pub fn open(path: &Path) -> Result<Self, LinkError> {
        let store = Store::open(path, tables::MIGRATIONS, viereck_store::Config::default())?;
        let abandoned = CancellationToken::new();
        Ok(Self {
            shared: Arc::new(Shared {
                store,
                bells: Arc::default(),
                feeders: TaskTracker::new(),
                closing: CancellationToken::new(),
                released: OnceCell::new(),
                _abandon_when_dropped: abandoned.clone().drop_guard(),
                abandoned,
            }),
        })
    }

    pub(crate) async fn reconcile(&self, topology: &Topology) -> Result<(), LinkError> {
        let topology = topology.clone();
        Ok(self
            .shared
            .store
            .write(move |file| tables::reconcile(file, &topology))
            .await?)
    }

    pub(crate) async fn publish(&self, trace: Option<Trace>, to: &Address, bytes: Bytes) -> Result<(), LinkError> {
        let to = to.clone();
        let queue = self
            .shared
            .store
            .write(move |file| tables::put(file, trace, &to, &bytes))
            .await?;
        match queue {
            Some(queue) => self.shared.bells.ring(&queue),
            None => return Err(LinkError::NoQueue(Queue::Unrouted.to_string())),
        }
        Ok(())
    }

    pub(crate) async fn consume(&self, queue: &Queue, prefetch: u16) -> Result<Consumer, LinkError> {
        if self.shared.closing.is_cancelled() {
            return Err(LinkError::Closed);
        }
        self.release().await?;
        let (consumer, feed) = Consumer::new(prefetch);
        let feeder = Feeder::new(
            self.shared.store.clone(),
            Arc::clone(&self.shared.bells),
            queue.to_string(),
            prefetch.max(1),
            feed,
            self.shared.closing.clone(),
        );
        let abandoned = self.shared.abandoned.clone();
        self.shared.feeders.spawn(async move {
            tokio::select! {
                () = abandoned.cancelled() => {}
                () = feeder.run() => {}
            }
        });
        Ok(consumer)
    }

    pub(crate) async fn depth(&self, queue: &Queue) -> Result<u64, LinkError> {
        self.release().await?;
        let name = queue.to_string();
        let depth = self.shared.store.read(move |file| tables::depth(file, &name)).await?;
        depth.ok_or_else(|| LinkError::NoQueue(queue.to_string()))
    }

    pub(crate) async fn close(self) {
        self.shared.closing.cancel();
        self.shared.feeders.close();
        if tokio::time::timeout(CLOSING, self.shared.feeders.wait()).await.is_err() {
            tracing::warn!("the embedded link closed before everything done was written down; it will come again");
            self.shared.abandoned.cancel();
        }
        self.shared.store.clone().close().await;
    }

    /// Once per opening: what the last process held waits again.
    async fn release(&self) -> Result<(), LinkError> {
        let release = async || -> Result<(), LinkError> { Ok(self.shared.store.write(tables::release).await?) };
        self.shared.released.get_or_try_init(release).await.copied()
    }
}
