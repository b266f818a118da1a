//! A steady load on one link, while something is broken under it, and the account of both sides.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::wait::until;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use viereck_transport::{Link, Queue};

use super::fixture::*;

/// So many at once, so that something is under way whenever something breaks.
const PUBLISHERS: u32 = 16;

/// How often each publishes at most: the processors are for what is broken, not for the load.
const PACE: Duration = Duration::from_millis(10);

/// Publishers that repeat until confirmed, and one consumer, all through the same link.
pub(super) struct Load {
    counts: Arc<Counts>,
    publishers: JoinSet<Vec<Bytes>>,
    received: watch::Receiver<Received>,
    consumer: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    confirmed: AtomicU32,
    attempts: AtomicU32,
    stopped: AtomicBool,
}

/// What was confirmed, and what came of it.
pub(super) struct Account {
    pub(super) confirmed: usize,
    pub(super) attempts: u32,
    pub(super) deliveries: u32,
    pub(super) lost: usize,
}

impl Load {
    pub(super) fn start(link: &Link) -> Self {
        let counts = Arc::new(Counts::default());
        let mut publishers = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            publishers.spawn(publish(link.clone(), publisher, Arc::clone(&counts)));
        }
        let (sender, received) = watch::channel(Received::new());
        Self {
            counts,
            publishers,
            received,
            consumer: tokio::spawn(consume(link.clone(), sender)),
        }
    }

    /// Waits until this many more messages were confirmed.
    pub(super) async fn confirms(&self, more: u32) {
        let confirmed = || self.counts.confirmed.load(Ordering::Relaxed);
        let goal = confirmed() + more;
        let reached = async || (confirmed() >= goal).then_some(());
        until(DEADLINE, "publishing goes on", reached).await;
    }

    /// The longest time without a confirmed message, from now until `fault` has happened and 100 more are confirmed.
    pub(super) async fn gap_during(&self, fault: impl Future<Output = ()>) -> Duration {
        let happens = async {
            fault.await;
            self.confirms(100).await;
        };
        let mut happens = std::pin::pin!(happens);
        let (mut longest, mut last, mut since) = (Duration::ZERO, 0, Instant::now());
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        loop {
            tokio::select! {
                () = &mut happens => return longest,
                _ = looks.tick() => {
                    let now = self.counts.confirmed.load(Ordering::Relaxed);
                    longest = longest.max(since.elapsed());
                    if now != last {
                        (last, since) = (now, Instant::now());
                    }
                }
            }
        }
    }

    /// Stops publishing and waits until everything confirmed was delivered, or nothing more comes.
    pub(super) async fn stop(mut self) -> Account {
        self.counts.stopped.store(true, Ordering::Relaxed);
        let mut sent = BTreeSet::new();
        while let Some(messages) = self.publishers.join_next().await {
            sent.extend(messages.unwrap());
        }
        let all = |received: &Received| sent.iter().all(|bytes| received.contains_key(bytes));
        let arrived = tokio::time::timeout(Duration::from_secs(60), self.received.wait_for(all)).await;
        drop(arrived);
        self.consumer.abort();
        let received = self.received.borrow();
        Account {
            confirmed: sent.len(),
            attempts: self.counts.attempts.load(Ordering::Relaxed),
            deliveries: received.values().sum(),
            lost: sent.iter().filter(|bytes| !received.contains_key(*bytes)).count(),
        }
    }
}

async fn publish(link: Link, publisher: u32, counts: Arc<Counts>) -> Vec<Bytes> {
    let mut sent = Vec::new();
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !counts.stopped.load(Ordering::Relaxed) {
        pace.tick().await;
        let bytes = numbered(publisher * 1_000_000 + u32::try_from(sent.len()).unwrap());
        let attempts = publish_until_confirmed(&link, &submit(), &bytes).await;
        counts.attempts.fetch_add(attempts, Ordering::Relaxed);
        counts.confirmed.fetch_add(1, Ordering::Relaxed);
        sent.push(bytes);
    }
    sent
}

async fn consume(link: Link, received: watch::Sender<Received>) {
    let mut consumer = link.consume(&Queue::Ingress, 64).await.unwrap();
    while let Some(delivery) = consumer.next().await {
        received.send_modify(|received| *received.entry(delivery.bytes.clone()).or_default() += 1);
        delivery.done();
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            confirmed,
            attempts,
            deliveries,
            lost,
        } = self;
        write!(
            f,
            "confirmed {confirmed}, attempts {attempts}, delivered {deliveries}, lost {lost}"
        )
    }
}
