//! The reader threads: each has a connection of its own, so that looking never waits for the writer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::connection;
use crate::error::StoreError;
use crate::job::Read;

pub(crate) enum Order {
    Run(Box<dyn Read>),
    /// Ends one reader; the sender is dropped when its connection is closed.
    Stop(oneshot::Sender<()>),
}

/// Starts the threads; they end by [`Order::Stop`] or when the last sender is gone.
pub(crate) fn start(path: &Path, readers: usize, orders: mpsc::Receiver<Order>) -> Result<(), StoreError> {
    let orders = Arc::new(Mutex::new(orders));
    for _ in 0..readers {
        let connection = connection::open_for_reading(path)?;
        let orders = Arc::clone(&orders);
        std::thread::Builder::new()
            .name("store-reader".to_owned())
            .spawn(move || run(connection, &orders))
            .map_err(|source| StoreError::Prepare {
                path: path.to_owned(),
                source: Arc::new(source),
            })?;
    }
    Ok(())
}

fn run(connection: Connection, orders: &Mutex<mpsc::Receiver<Order>>) {
    let mut ended = None;
    loop {
        // Whoever holds the lock waits for the next order; the others queue behind it. Work runs outside of it.
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match order {
            Some(Order::Run(job)) => job.run(&connection),
            Some(Order::Stop(sender)) => {
                ended = Some(sender);
                break;
            }
            None => break,
        }
    }
    drop(connection);
    drop(ended);
}
