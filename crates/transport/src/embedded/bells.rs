//! Waking the feeders of a queue when something arrived in it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// One bell a queue. A ring before somebody listens is not lost on whoever looked into the queue before it.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<String, watch::Sender<u64>>>);

impl Bells {
    pub(super) fn ring(&self, queue: &str) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(queue) {
            bell.send_modify(|rings| *rings = rings.wrapping_add(1));
        }
    }

    pub(super) fn listen(&self, queue: &str) -> watch::Receiver<u64> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(queue.to_owned()).or_default().subscribe()
    }
}
