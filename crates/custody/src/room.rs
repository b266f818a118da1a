//! How much a custodian may keep before it takes nothing more in: back-pressure instead of growth.
//!
//! Reckoned in memory as messages come, and set right by counting every few seconds: several processes may share one
//! journal. Counting costs as much as there is to count, so the intake goes on beside it; what comes in meanwhile is
//! reckoned in, whether the count saw it or not. Intake rests when there is no room and goes on when there is some; what
//! is on its way out is never stopped.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Counting costs as much as there is to count: it takes no more than one part in so many of the time.
const SHARE: u32 = 100;

/// Room for so many octets. Cheap to clone; all clones are the same room.
#[derive(Debug, Clone)]
pub struct Room {
    kept: watch::Sender<Kept>,
    most: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    octets: u64,
    /// Octets that ever came in here.
    came: u64,
}

impl Room {
    /// How long a count is left at that, at the least.
    pub const COUNT: Duration = Duration::from_secs(5);

    /// Room for `most` octets, with nothing in it.
    pub fn new(most: u64) -> Self {
        Self {
            kept: watch::Sender::default(),
            most,
        }
    }

    /// Waits until there is room.
    pub async fn some(&self) {
        let most = self.most;
        // the sender lives as long as this
        let _ = self.kept.subscribe().wait_for(|kept| kept.octets < most).await;
    }

    /// Waits until there is none.
    pub async fn none(&self) {
        let most = self.most;
        let _ = self.kept.subscribe().wait_for(|kept| kept.octets >= most).await;
    }

    /// So many octets came in.
    pub fn more(&self, octets: usize) {
        self.kept.send_modify(|kept| {
            kept.octets = kept.octets.saturating_add(octets as u64);
            kept.came = kept.came.wrapping_add(octets as u64);
        });
    }

    /// Sets it right by what `counting` finds, and says how long that may be left at. Without room that is not long,
    /// because only a count finds some.
    ///
    /// # Errors
    /// Those of `counting`; then nothing is changed.
    pub async fn count<E>(&self, counting: impl Future<Output = Result<u64, E>>) -> Result<Duration, E> {
        let (begun, before) = (Instant::now(), self.kept.borrow().came);
        let counted = counting.await?;
        self.kept.send_modify(|kept| {
            kept.octets = counted.saturating_add(kept.came.wrapping_sub(before));
        });
        Ok(self.left_at(begun.elapsed()))
    }

    /// Waits until it is to be counted again: after `pause`, or soon after the room is used up, because only a count finds
    /// some then.
    pub async fn rest(&self, pause: Duration) {
        self.rest_for(pause, Self::COUNT).await;
    }

    async fn rest_for(&self, pause: Duration, soon: Duration) {
        let used_up = async {
            self.none().await;
            tokio::time::sleep(soon).await;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = used_up => {}
        }
    }

    /// How long a count that took so long is left at that.
    fn left_at(&self, took: Duration) -> Duration {
        match self.kept.borrow().octets < self.most {
            true => Self::COUNT.max(took * SHARE),
            false => Self::COUNT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_took_long_is_left_at_that_unless_there_is_no_room() {
        let room = Room::new(10);
        room.more(9);
        assert_eq!(room.left_at(Duration::from_millis(1)), Room::COUNT);
        assert_eq!(room.left_at(Duration::from_secs(1)), Duration::from_secs(100));
        room.more(1);
        assert_eq!(room.left_at(Duration::from_secs(1)), Room::COUNT);
    }

    #[tokio::test]
    async fn a_long_pause_ends_soon_after_the_room_is_used_up() {
        let (long, short) = (Duration::from_secs(100), Duration::from_millis(1));
        let ends = |room: Room, pause, soon| async move {
            let rests = room.rest_for(pause, soon);
            tokio::time::timeout(Duration::from_secs(20), rests).await.is_ok()
        };
        assert!(
            ends(Room::new(10), short, long).await,
            "there is room, and the pause is over"
        );
        let full = Room::new(10);
        full.more(10);
        assert!(ends(full, long, short).await, "only a count finds room");
        let filling = Room::new(10);
        let (rested, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(20), filling.rest_for(long, short)),
            async { filling.more(10) }
        );
        assert!(rested.is_ok(), "it was used up during the pause");
    }

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
        let counting = async {
            room.more(2);
            Ok::<_, ()>(3)
        };
        assert_eq!(room.count(counting).await, Ok(Room::COUNT));
        room.some().await;
        room.more(5);
        room.none().await;
        assert_eq!(room.count(async { Err(()) }).await, Err(()));
        room.none().await;
    }
}
