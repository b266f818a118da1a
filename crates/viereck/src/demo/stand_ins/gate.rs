//! A gate at a stand-in's door: what was asked stays open until somebody opens it.
//!
//! It lets a test stop the network at one exact moment: the hand-over has begun and nobody knows its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// A gate that is closed until it is opened. All clones are one gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<State>);

#[derive(Debug)]
struct State {
    open: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(Arc::new(State {
            open: watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Lets everybody through, now and from now on.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// How many have come to it while it was closed.
    pub fn came(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Waits until it is open.
    pub(super) async fn pass(&self) {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let mut door = self.0.open.subscribe();
        // cannot fail: the sender lives in `self`
        let _open = door.wait_for(|open| *open).await;
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gate {}
