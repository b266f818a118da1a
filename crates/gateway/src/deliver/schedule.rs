//! Whose turn it is at one delivery: by class, and within a class from pair to pair.
//!
//! Guarantees: the order of the classes is that of [`lanes`], so of any sixteen turns bulk gets at least one and normal
//! three while such messages wait; within a class the pairs take turns, so that an authority with very many messages
//! waits no less and no more than one with a single message. Messages of one pair and class go in the order in which
//! they are due. Does not: look at a clock, or at a message.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use jiff::Timestamp;
use viereck_custody::hand_over::{GivenOut, Pair};
use viereck_custody::{Journal, JournalError, lanes};
use viereck_routing::Class;

/// The turns of one delivery.
#[derive(Default)]
pub(crate) struct Schedule {
    /// Who has something due, as far as it is known.
    due: BTreeMap<Class, BTreeSet<Pair>>,
    /// Whose turn it was last, by class.
    last: BTreeMap<Class, Pair>,
    turn: lanes::Turn,
    /// Given out by the journal, and not begun.
    ready: VecDeque<GivenOut>,
}

impl Schedule {
    /// Forgets who has something due: it is about to be told anew.
    pub(crate) fn forget(&mut self) {
        self.due.clear();
    }

    /// This pair has something of this class due.
    pub(crate) fn wants(&mut self, class: Class, pair: Pair) {
        self.due.entry(class).or_default().insert(pair);
    }

    /// Whether there is anything to do here.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.due.values().all(BTreeSet::is_empty)
    }

    /// The next message, out of the journal where none is ready: as many at once as `most`.
    pub(crate) async fn next(
        &mut self,
        journal: &Journal,
        now: Timestamp,
        most: usize,
    ) -> Result<Option<GivenOut>, JournalError> {
        while self.ready.is_empty() {
            let turns = self.turns(most);
            if turns.is_empty() {
                return Ok(None);
            }
            let mut wanted: BTreeMap<&(Class, Pair), usize> = BTreeMap::new();
            turns.iter().for_each(|turn| *wanted.entry(turn).or_default() += 1);
            let mut given = BTreeMap::new();
            let mut failed = None;
            for (turn, count) in wanted {
                let (class, pair) = turn;
                match journal.give_out(pair, *class, now, count).await {
                    Ok(messages) => {
                        if messages.len() < count {
                            self.is_done(*class, pair);
                        }
                        given.insert(turn, VecDeque::from(messages));
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let in_turn = |turn| given.get_mut(turn).and_then(VecDeque::pop_front);
            self.ready.extend(turns.iter().filter_map(in_turn));
            // what was given out before it failed is ready all the same
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Gives back what was given out for those that `unwanted` names.
    pub(crate) fn give_back(&mut self, journal: &Journal, unwanted: impl Fn(&Pair) -> bool) {
        self.ready.retain(|message| {
            let back = unwanted(&message.pair);
            if back {
                journal.give_back(&message.key);
            }
            !back
        });
    }

    /// The next turns, at most so many.
    fn turns(&mut self, most: usize) -> Vec<(Class, Pair)> {
        (0..most).map_while(|_| self.turn()).collect()
    }

    fn turn(&mut self) -> Option<(Class, Pair)> {
        let due = &self.due;
        let class = self
            .turn
            .next(|class| due.get(&class).is_some_and(|pairs| !pairs.is_empty()))?;
        let pairs = due.get(&class)?;
        let behind = self.last.get(&class).map_or(Bound::Unbounded, Bound::Excluded);
        let next = pairs
            .range((behind, Bound::Unbounded))
            .next()
            .or_else(|| pairs.first())?;
        self.last.insert(class, next.clone());
        Some((class, next.clone()))
    }

    fn is_done(&mut self, class: Class, pair: &Pair) {
        if let Some(pairs) = self.due.get_mut(&class) {
            pairs.remove(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(n: u32) -> Pair {
        Pair {
            reader: format!("wgb:{n:012}").parse().unwrap(),
            leistung: "99107023037000".parse().unwrap(),
        }
    }

    #[test]
    fn pairs_of_one_class_take_turns_and_no_class_waits_for_ever() {
        let mut schedule = Schedule::default();
        (0..3).for_each(|n| schedule.wants(Class::Normal, pair(n)));
        schedule.wants(Class::Urgent, pair(3));
        schedule.wants(Class::Bulk, pair(4));
        let turns = schedule.turns(64);
        for sixteen in turns.windows(lanes::ROUND) {
            let count = |class| sixteen.iter().filter(|(of, _)| *of == class).count();
            assert!(count(Class::Bulk) >= 1 && count(Class::Normal) >= 3);
        }
        let normal: Vec<_> = turns.iter().filter(|(class, _)| *class == Class::Normal).collect();
        for three in normal.windows(3) {
            let different: BTreeSet<_> = three.iter().map(|(_, pair)| pair).collect();
            assert_eq!(different.len(), 3);
        }
        schedule.is_done(Class::Normal, &pair(1));
        schedule.is_done(Class::Urgent, &pair(3));
        schedule.is_done(Class::Bulk, &pair(4));
        let turns = schedule.turns(8);
        assert!(turns.iter().all(|(_, turn)| [pair(0), pair(2)].contains(turn)));
        schedule.forget();
        assert!(schedule.is_empty() && schedule.turns(1).is_empty());
    }
}
