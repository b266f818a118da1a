//! How long a dropped-back delivery is kept before the link gets it back.
//!
//! Without a pause a message whose consumer cannot take it now would spin through the queue thousands of times a second
//! and reach the delivery limit within moments. It stays in its consumer's prefetch meanwhile, so a consumer whose every
//! delivery fails slows down to the pace of the pauses.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

fn pause(attempt: u32) -> Duration {
    FIRST
        .saturating_mul(1_u32 << attempt.saturating_sub(1).min(10))
        .min(LONGEST)
}

/// The deliveries on their way back, the next one first.
#[derive(Debug, Default)]
pub(crate) struct GoingBack(BinaryHeap<Reverse<(Instant, u64)>>);

impl GoingBack {
    pub(crate) fn add(&mut self, tag: u64, attempt: u32) {
        self.0.push(Reverse((Instant::now() + pause(attempt), tag)));
    }

    /// One whose pause is over.
    pub(crate) fn pop_due(&mut self) -> Option<u64> {
        let Reverse((due, _)) = self.0.peek()?;
        if *due > Instant::now() {
            return None;
        }
        self.0.pop().map(|Reverse((_, tag))| tag)
    }

    /// Waits for the next one's time; for ever when there is none.
    pub(crate) async fn due(&self) {
        match self.0.peek() {
            Some(Reverse((due, _))) => tokio::time::sleep_until(*due).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_ends() {
        assert_eq!(pause(0), FIRST);
        assert_eq!(pause(1), FIRST);
        assert_eq!(pause(2), FIRST * 2);
        assert_eq!(pause(u32::MAX), LONGEST);
        assert!((1..200).all(|attempt| pause(attempt) <= pause(attempt + 1)));
    }

    #[tokio::test]
    async fn what_goes_back_first_was_due_first() {
        let mut back = GoingBack::default();
        back.add(1, 3);
        back.add(2, 1);
        assert_eq!(back.pop_due(), None, "before its pause is over");
        back.due().await;
        assert_eq!(back.pop_due(), Some(2));
        assert_eq!(back.pop_due(), None);
        back.due().await;
        assert_eq!(back.pop_due(), Some(1));
    }
}
