//! The writer thread: takes what has queued up, runs it in one transaction, commits, and only then answers.
//!
//! While one commit waits for the disk the next group gathers; so the load sets the size of a group, not a timer, and a
//! lonely write waits for nobody.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use viereck_observe::{Gauge, Histogram, Histograms};

use crate::error::StoreError;
use crate::job::Write;
use crate::metrics::{COMMIT, GROUP, QUEUE};

pub(crate) enum Order {
    Run(Box<dyn Write>),
    /// Ends the writer; the sender is dropped when the database is closed.
    Stop(oneshot::Sender<()>),
}

/// One database's way of making a group of writes durable.
pub(crate) trait Commits: Send + 'static {
    /// Waits for the next order; `None` when nobody is left to give one.
    fn next(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<Order>;
    /// Runs the jobs in one transaction, each between savepoints of its own, and commits it. `Err` means that nothing of
    /// it is there, or that nobody knows, as the error says.
    fn commit(&mut self, jobs: &mut [Box<dyn Write>]) -> Result<(), StoreError>;
    /// Called when everybody in a group that was committed has been answered.
    fn answered(&mut self) {}
    /// Closes the database.
    fn close(self);
}

/// Starts the thread; it ends by [`Order::Stop`] or when the last sender is gone.
pub(crate) fn start(
    database: impl Commits,
    name: &str,
    orders: mpsc::Receiver<Order>,
    group: usize,
) -> Result<(), std::io::Error> {
    let measured = Measured::of(name);
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || run(database, orders, group.max(1), &measured))
        .map(drop)
}

/// What is measured of one writer.
struct Measured {
    commits: Histograms,
    group: Histogram,
    queue: Gauge,
}

impl Measured {
    fn of(name: &str) -> Self {
        let store = || vec![name.to_owned().into()];
        Self {
            commits: Histograms::of(&COMMIT, store()),
            group: GROUP.histogram(&store()),
            queue: QUEUE.gauge(&store()),
        }
    }
}

fn run(mut database: impl Commits, mut orders: mpsc::Receiver<Order>, group: usize, measured: &Measured) {
    let mut stop = None;
    while let Some(first) = database.next(&mut orders) {
        let mut jobs = Vec::new();
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Run(job) => jobs.push(job),
                Order::Stop(ended) => {
                    stop = Some(ended);
                    break;
                }
            }
            next = if jobs.len() < group {
                orders.try_recv().ok()
            } else {
                None
            };
        }
        if !jobs.is_empty() {
            let begun = Instant::now();
            let committed = database.commit(&mut jobs);
            let outcome = if committed.is_ok() { "committed" } else { "failed" };
            measured.commits.took(outcome, begun.elapsed());
            measured.group.record(jobs.len() as f64);
            measured.queue.set(orders.len() as f64);
            for job in jobs {
                job.answer(committed.clone());
            }
            if committed.is_ok() {
                database.answered();
            }
        }
        if stop.is_some() {
            break;
        }
    }
    // What was queued behind the stop is dropped, and with it its way back: its callers see `Closed`.
    drop(orders);
    database.close();
    drop(stop);
}
