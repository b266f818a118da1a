//! The writer thread: takes what has queued up, runs it in one transaction, commits, and only then answers.
//!
//! While one commit waits for the disk the next group gathers; so the load sets the size of a group, not a timer, and a
//! lonely write waits for nobody.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::Config;
use crate::checkpoint::Checkpointer;
use crate::error::StoreError;
use crate::job::{Verdict, Write};
use crate::sql::Change;

pub(crate) enum Order {
    Run(Box<dyn Write>),
    /// Ends the writer; the sender is dropped when the file is closed and the lock is given up.
    Stop(oneshot::Sender<()>),
}

/// Starts the thread; it ends by [`Order::Stop`] or when the last sender is gone.
pub(crate) fn start(
    path: &Path,
    connection: Connection,
    lock: File,
    orders: mpsc::Receiver<Order>,
    config: &Config,
) -> Result<(), StoreError> {
    let checkpointer = Checkpointer::start(path, config)?;
    let writer = Writer {
        connection,
        checkpointer,
        group: config.group.max(1),
        failure: None,
    };
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run(orders, lock))
        .map(drop)
        .map_err(|source| StoreError::Prepare {
            path: path.to_owned(),
            source: Arc::new(source),
        })
}

struct Writer {
    connection: Connection,
    checkpointer: Checkpointer,
    group: usize,
    /// The I/O error after which nothing more is written.
    failure: Option<StoreError>,
}

impl Writer {
    fn run(mut self, mut orders: mpsc::Receiver<Order>, lock: File) {
        let mut stop = None;
        while let Some(first) = orders.blocking_recv() {
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
                next = if jobs.len() < self.group {
                    orders.try_recv().ok()
                } else {
                    None
                };
            }
            if !jobs.is_empty() {
                self.commit(jobs);
            }
            if stop.is_some() {
                break;
            }
        }
        // What was queued behind the stop is dropped, and with it its way back: its callers see `Closed`.
        drop(orders);
        self.checkpointer.stop();
        if self.failure.is_none()
            && let Err(error) = crate::checkpoint::complete(&self.connection)
        {
            tracing::warn!(%error, "the log was not copied into the file on closing; the next opening will do it");
        }
        drop(self.connection);
        drop(lock);
        drop(stop);
    }

    fn commit(&mut self, mut jobs: Vec<Box<dyn Write>>) {
        let committed = match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => run_group(&mut self.connection, &mut jobs),
        };
        if let Err(failure @ StoreError::Disk(_)) = &committed
            && self.failure.is_none()
        {
            tracing::error!(error = %failure, code = failure.code(), "nothing more is written to this file");
            self.failure = Some(failure.clone());
        }
        for job in jobs {
            job.answer(committed.clone());
        }
        if committed.is_ok() {
            self.checkpointer.committed(&self.connection);
        }
    }
}

fn run_group(connection: &mut Connection, jobs: &mut [Box<dyn Write>]) -> Result<(), StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(StoreError::of_commit)?;
    for job in jobs.iter_mut() {
        run_one(&transaction, job.as_mut()).map_err(StoreError::of_commit)?;
    }
    transaction.commit().map_err(StoreError::of_commit)
}

/// One job between its savepoints. `Err` means that the transaction as a whole is lost.
fn run_one(transaction: &Transaction<'_>, job: &mut dyn Write) -> Result<(), rusqlite::Error> {
    transaction.prepare_cached("SAVEPOINT one")?.execute([])?;
    let verdict = job.run(&Change::on(transaction));
    // SQLite ends a transaction by itself after some errors (a full disk among them). Going on would then commit every
    // later statement on its own and answer for earlier ones that are gone: ROLLBACK TO fails and ends the group.
    if verdict == Verdict::RollBack {
        transaction.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    transaction.prepare_cached("RELEASE one")?.execute([])?;
    Ok(())
}
