//! How fast messages are handed over: measured over the last minute, or since the drain began.
//!
//! Guarantees: a few numbers for each pair of Behörde and Leistung, whatever the traffic. A rest is not part of what is
//! measured, so that the rate is that of the work and not that of the outage. Times are arguments.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// How long each number counts for.
const BUCKET: SignedDuration = SignedDuration::from_secs(5);
/// How many of them make the minute.
const BUCKETS: usize = 12;
/// A shorter look says too little.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// The hand-overs of one pair.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// Beginning and number, oldest first.
    buckets: VecDeque<(Timestamp, u32)>,
    /// What was measured before the last rest.
    before: Option<f64>,
}

impl Rate {
    /// One was handed over.
    pub(crate) fn count(&mut self, now: Timestamp) {
        match self.buckets.back_mut() {
            Some((since, number)) if now < *since + BUCKET => *number += 1,
            _ => {
                if self.buckets.len() == BUCKETS {
                    self.buckets.pop_front();
                }
                self.buckets.push_back((now, 1));
            }
        }
    }

    /// It rests: what was measured is kept, and measuring begins anew.
    pub(crate) fn rest(&mut self, now: Timestamp) {
        self.before = self.per_minute(now);
        self.buckets.clear();
    }

    /// Messages a minute, as far as they can be told.
    pub(crate) fn per_minute(&self, now: Timestamp) -> Option<f64> {
        let oldest = now - BUCKET * i32::try_from(BUCKETS).unwrap_or(i32::MAX);
        let mut counting = self.buckets.iter().filter(|(since, _)| *since >= oldest).peekable();
        let since = counting.peek().map(|(since, _)| *since);
        let measured = since
            .map(|since| now.duration_since(since))
            .filter(|span| *span >= SHORTEST);
        let number: u32 = counting.map(|(_, number)| number).sum();
        measured.map_or(self.before, |span| Some(f64::from(number) * 60.0 / span.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap()
    }

    fn near(measured: Option<f64>, expected: f64) {
        let measured = measured.unwrap();
        assert!(
            (measured - expected).abs() < expected / 10.0,
            "{measured}, not {expected}"
        );
    }

    #[test]
    fn it_follows_the_last_minute_and_leaves_rests_out() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_minute(at(0)), None);
        (0..1000).for_each(|n| rate.count(at(n * 100)));
        near(rate.per_minute(at(100_000)), 600.0);
        (0..120).for_each(|n| rate.count(at(100_000 + n * 1000)));
        near(rate.per_minute(at(220_000)), 60.0);
        rate.rest(at(220_000));
        near(rate.per_minute(at(900_000)), 60.0);
        (0..100).for_each(|n| rate.count(at(900_000 + n * 20)));
        near(rate.per_minute(at(902_000)), 3000.0);
    }
}
