//! How much a custodian may keep before it takes nothing more in: back-pressure instead of growth.
//!
//! Reckoned in memory as messages come, and set right by counting every few seconds: several processes may share one
//! journal. Intake rests when there is no room and goes on when there is some; what is on its way out is never stopped.

use tokio::sync::watch;

/// Room for so many octets. Cheap to clone; all clones are the same room.
#[derive(Debug, Clone)]
pub struct Room {
    kept: watch::Sender<u64>,
    most: u64,
}

impl Room {
    /// Room for `most` octets, with nothing in it.
    pub fn new(most: u64) -> Self {
        Self {
            kept: watch::Sender::new(0),
            most,
        }
    }

    /// Waits until there is room.
    pub async fn some(&self) {
        let most = self.most;
        // the sender lives as long as this
        let _ = self.kept.subscribe().wait_for(|kept| *kept < most).await;
    }

    /// Waits until there is none.
    pub async fn none(&self) {
        let most = self.most;
        let _ = self.kept.subscribe().wait_for(|kept| *kept >= most).await;
    }

    /// So many octets came in.
    pub fn more(&self, octets: usize) {
        self.kept.send_modify(|kept| *kept = kept.saturating_add(octets as u64));
    }

    /// So many octets were counted.
    pub fn set(&self, octets: u64) {
        self.kept.send_replace(octets);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn there_is_room_below_the_bound_and_none_at_it() {
        let room = Room::new(10);
        room.some().await;
        room.more(9);
        room.some().await;
        room.more(1);
        room.none().await;
        let waits = tokio::time::timeout(Duration::from_millis(20), room.some());
        assert!(waits.await.is_err());
        room.set(3);
        room.some().await;
    }
}
