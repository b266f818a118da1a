//! The reader threads: each has a connection of its own, so that looking never waits for the writer. Looks at very many
//! rows have a thread of their own, so that no other look waits for one of those.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::job::Read;

pub(crate) enum Order {
    Run(Box<dyn Read>),
    /// Ends one reader; the sender is dropped when its connection is closed.
    Stop(oneshot::Sender<()>),
}

/// One database's way of looking: a snapshot for each piece of work.
pub(crate) trait Looks: Send + 'static {
    /// Runs the work over one moment of the database, and answers it.
    fn look(&mut self, job: Box<dyn Read>);
    /// Closes the connection.
    fn close(self);
}

/// Starts a thread for each reader; they end by [`Order::Stop`] or when the last sender is gone.
pub(crate) fn start(readers: Vec<impl Looks>, orders: mpsc::Receiver<Order>) -> Result<(), std::io::Error> {
    let orders = Arc::new(Mutex::new(orders));
    for reader in readers {
        let orders = Arc::clone(&orders);
        std::thread::Builder::new()
            .name("store-reader".to_owned())
            .spawn(move || run(reader, &orders))?;
    }
    Ok(())
}

fn run(mut reader: impl Looks, orders: &Mutex<mpsc::Receiver<Order>>) {
    let mut ended = None;
    loop {
        // Whoever holds the lock waits for the next order; the others queue behind it. Work runs outside of it.
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match order {
            Some(Order::Run(job)) => reader.look(job),
            Some(Order::Stop(sender)) => {
                ended = Some(sender);
                break;
            }
            None => break,
        }
    }
    reader.close();
    drop(ended);
}
