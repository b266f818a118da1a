//! How often an address may be wrong about who it is: so many times a minute, counted in memory.
//!
//! Whoever shows what counts is served all the same: behind one address there may be many (a proxy, a whole office), and
//! one of them must not lock out the others. So what is shown is looked up, and an access token verified, before it counts
//! here: what is bounded is the noise of a client that repeats in a loop, which is told when to come again, and not the
//! work. A token is not guessed, whatever the number of tries. Forgets everything at a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::peer::Origin;

const MINUTE: Duration = Duration::from_secs(60);

/// Addresses that are remembered at the most; those beyond it share one count.
const LARGEST: usize = 4096;

/// What every address has used of its minute.
#[derive(Debug)]
pub(crate) struct Attempts {
    per_minute: u32,
    /// `None` stands for all that found no place.
    used: Mutex<HashMap<Option<Origin>, Used>>,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    since: Instant,
    count: u32,
}

impl Attempts {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            used: Mutex::default(),
        }
    }

    /// Counts one more; the seconds until the next one makes sense, when these were too many.
    pub(crate) fn count(&self, origin: Origin, now: Instant) -> Option<u64> {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |used: &Used| now.duration_since(used.since) >= MINUTE;
        if all.len() >= LARGEST && !all.contains_key(&Some(origin)) {
            all.retain(|_, used| !over(used));
        }
        let place = (all.len() < LARGEST || all.contains_key(&Some(origin))).then_some(origin);
        let fresh = Used { since: now, count: 0 };
        let used = all.entry(place).or_insert(fresh);
        if over(used) {
            *used = fresh;
        }
        used.count = used.count.saturating_add(1);
        let left = MINUTE.saturating_sub(now.duration_since(used.since)).as_secs() + 1;
        (used.count > self.per_minute).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn origin(number: u32) -> Origin {
        Origin::from(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn an_address_may_be_wrong_a_few_times_a_minute() {
        let attempts = Attempts::new(2);
        let began = Instant::now();
        let later = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(attempts.count(origin(1), began), None);
        assert_eq!(attempts.count(origin(1), later(10)), None);
        assert_eq!(attempts.count(origin(1), later(20)), Some(41));
        assert_eq!(attempts.count(origin(2), later(20)), None, "another address");
        assert_eq!(attempts.count(origin(1), later(60)), None, "another minute");
    }

    #[test]
    fn memory_stays_bounded_and_nobody_gets_further_by_many_addresses() {
        let attempts = Attempts::new(2);
        let now = Instant::now();
        let refused = (0..10_000).filter(|number| attempts.count(origin(*number), now).is_some());
        // those without a place share one count
        assert_eq!(refused.count(), 10_000 - LARGEST - 2);
        assert!(attempts.used.lock().unwrap().len() <= LARGEST + 1);
        let later = now + MINUTE;
        assert_eq!(attempts.count(origin(20_000), later), None);
        assert_eq!(attempts.used.lock().unwrap().len(), 1, "the minute before is forgotten");
    }
}
