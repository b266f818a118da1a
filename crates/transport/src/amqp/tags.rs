//! Which delivery tags of one channel are finished, and what RabbitMQ is to be told of it at once.
//!
//! Tags count from 1 without gaps. One acknowledgement for everything up to a tag costs as much as one for a single
//! message, so finished tags are told by the highest one below which nothing is unfinished. A message that takes long
//! must not hold up the telling of all behind it, or the prefetch would fill with work that is done: once half a
//! prefetch waits behind such a gap, or RabbitMQ would send nothing more, those are told one by one.

use std::collections::BTreeMap;

/// Pure bookkeeping: it knows no channel.
#[derive(Debug)]
pub(super) struct Tags {
    delivered: u64,
    /// Everything up to here is finished.
    floor: u64,
    /// Finished above the floor.
    above: BTreeMap<u64, Finished>,
    /// Going back, not yet told.
    back: Vec<u64>,
    /// The highest tag up to the floor that is done and not told.
    up_to: Option<u64>,
    prefetch: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finished {
    /// Done; RabbitMQ does not know yet.
    Untold,
    /// Told by itself, as done or as going back.
    Told,
}

/// What to tell RabbitMQ, in this order: what goes back has to be told before an acknowledgement that would cover it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) back: Vec<u64>,
    pub(super) single: Vec<u64>,
    pub(super) up_to: Option<u64>,
}

impl Tags {
    pub(super) fn new(prefetch: u16) -> Self {
        Self {
            delivered: 0,
            floor: 0,
            above: BTreeMap::new(),
            back: Vec::new(),
            up_to: None,
            prefetch: usize::from(prefetch),
        }
    }

    pub(super) fn delivered(&mut self, tag: u64) {
        self.delivered = self.delivered.max(tag);
    }

    pub(super) fn done(&mut self, tag: u64) {
        self.finish(tag, Finished::Untold);
    }

    pub(super) fn drop_back(&mut self, tag: u64) {
        self.back.push(tag);
        self.finish(tag, Finished::Told);
    }

    /// Deliveries that are not finished.
    pub(super) fn in_hand(&self) -> u64 {
        self.delivered - self.floor - self.above.len() as u64
    }

    /// What there is to tell now; the caller tells it, or the channel is dead and nothing matters any more.
    pub(super) fn take_batch(&mut self) -> Option<Batch> {
        let waiting = self
            .above
            .values()
            .filter(|finished| **finished == Finished::Untold)
            .count();
        let mut single = Vec::new();
        let unacknowledged = usize::try_from(self.in_hand())
            .unwrap_or(usize::MAX)
            .saturating_add(waiting);
        if waiting >= (self.prefetch / 2).max(1) || (waiting > 0 && unacknowledged >= self.prefetch) {
            for (tag, finished) in &mut self.above {
                if std::mem::replace(finished, Finished::Told) == Finished::Untold {
                    single.push(*tag);
                }
            }
        }
        let batch = Batch {
            back: std::mem::take(&mut self.back),
            single,
            up_to: self.up_to.take(),
        };
        (batch != Batch::default()).then_some(batch)
    }

    fn finish(&mut self, tag: u64, finished: Finished) {
        self.above.insert(tag, finished);
        while let Some(finished) = self.above.remove(&(self.floor + 1)) {
            self.floor += 1;
            // RabbitMQ closes the channel over a tag it has been told of already, even as the end of a range.
            if finished == Finished::Untold {
                self.up_to = Some(self.floor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(prefetch: u16, delivered: u64) -> Tags {
        let mut tags = Tags::new(prefetch);
        tags.delivered(delivered);
        tags
    }

    fn up_to(tag: u64) -> Option<Batch> {
        Some(Batch {
            up_to: Some(tag),
            ..Batch::default()
        })
    }

    #[test]
    fn many_are_told_by_their_highest() {
        let mut tags = tags(100, 10);
        for tag in [3, 1, 2, 5] {
            tags.done(tag);
        }
        assert_eq!(tags.take_batch(), up_to(3));
        assert_eq!(tags.take_batch(), None, "told twice");
        tags.done(4);
        assert_eq!(tags.take_batch(), up_to(5));
        assert_eq!(tags.in_hand(), 5);
    }

    #[test]
    fn what_goes_back_is_told_before_a_range_covers_it() {
        let mut tags = tags(100, 3);
        tags.drop_back(2);
        tags.done(1);
        tags.done(3);
        assert_eq!(
            tags.take_batch(),
            Some(Batch {
                back: vec![2],
                single: vec![],
                up_to: Some(3)
            })
        );
        assert_eq!(tags.in_hand(), 0);
    }

    #[test]
    fn a_range_never_ends_at_a_tag_that_was_told_already() {
        let mut tags = tags(100, 3);
        tags.drop_back(3);
        assert_eq!(
            tags.take_batch(),
            Some(Batch {
                back: vec![3],
                ..Batch::default()
            })
        );
        tags.done(1);
        tags.done(2);
        assert_eq!(tags.take_batch(), up_to(2));
        let mut only_back = Tags::new(100);
        only_back.delivered(1);
        only_back.drop_back(1);
        assert_eq!(
            only_back.take_batch(),
            Some(Batch {
                back: vec![1],
                ..Batch::default()
            })
        );
    }

    #[test]
    fn a_slow_message_does_not_hold_up_the_telling_of_all_behind_it() {
        let single = |tags: &[u64]| {
            Some(Batch {
                single: tags.to_vec(),
                ..Batch::default()
            })
        };
        let mut tags = tags(4, 3);
        tags.done(2);
        assert_eq!(tags.take_batch(), None, "it may soon be told in a range");
        tags.done(3);
        assert_eq!(tags.take_batch(), single(&[2, 3]), "half a prefetch waits");
        tags.delivered(5);
        tags.done(5);
        assert_eq!(tags.take_batch(), None);
        tags.delivered(6);
        assert_eq!(tags.take_batch(), single(&[5]), "nothing more would come");
        tags.done(1);
        assert_eq!(tags.take_batch(), up_to(1));
        tags.done(4);
        tags.done(6);
        assert_eq!(tags.take_batch(), up_to(6));
    }

    /// Whatever the order: everything is told exactly once, ranges end at tags that are outstanding, nothing that went
    /// back is ever acknowledged, and nothing unfinished is covered.
    #[test]
    fn rabbitmq_would_accept_any_order_of_endings() {
        for seed in 1..=500_u64 {
            let mut state = seed;
            let mut chance = |below: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut tags = Tags::new(u16::try_from(1 + chance(20)).unwrap());
            let mut outstanding: BTreeMap<u64, Option<bool>> = BTreeMap::new();
            let mut next = 1;
            while next <= 60 || outstanding.values().any(Option::is_none) {
                if next <= 60 && chance(2) == 0 {
                    tags.delivered(next);
                    outstanding.insert(next, None);
                    next += 1;
                }
                let open: Vec<u64> = outstanding
                    .iter()
                    .filter(|(_, end)| end.is_none())
                    .map(|(tag, _)| *tag)
                    .collect();
                if !open.is_empty() {
                    let tag = open[usize::try_from(chance(open.len() as u64)).unwrap()];
                    let done = chance(4) != 0;
                    outstanding.insert(tag, Some(done));
                    if done { tags.done(tag) } else { tags.drop_back(tag) }
                }
                if chance(3) == 0 {
                    tell(tags.take_batch(), &mut outstanding, seed);
                }
                let unfinished = outstanding.values().filter(|end| end.is_none()).count();
                assert_eq!(tags.in_hand(), unfinished as u64, "seed {seed}");
            }
            tell(tags.take_batch(), &mut outstanding, seed);
            assert!(outstanding.is_empty(), "seed {seed}: never told of {outstanding:?}");
        }
    }

    fn tell(batch: Option<Batch>, outstanding: &mut BTreeMap<u64, Option<bool>>, seed: u64) {
        let Some(Batch { back, single, up_to }) = batch else {
            return;
        };
        for tag in back {
            assert_eq!(outstanding.remove(&tag), Some(Some(false)), "seed {seed}: back {tag}");
        }
        for tag in single {
            assert_eq!(outstanding.remove(&tag), Some(Some(true)), "seed {seed}: single {tag}");
        }
        if let Some(end) = up_to {
            assert!(outstanding.contains_key(&end), "seed {seed}: range to unknown {end}");
            let covered: Vec<u64> = outstanding.range(..=end).map(|(tag, _)| *tag).collect();
            for tag in covered {
                assert_eq!(
                    outstanding.remove(&tag),
                    Some(Some(true)),
                    "seed {seed}: range covers {tag}"
                );
            }
        }
    }
}
