//! Waiting for a condition with a deadline: the only way tests wait.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// Looks every 20 ms until `look` finds something.
///
/// # Panics
/// With `what` when the deadline passes first.
pub async fn until<T>(deadline: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let mut looks = interval(Duration::from_millis(20));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            begun.elapsed() < deadline,
            "not within {} s: {what}",
            deadline.as_secs()
        );
    }
}
