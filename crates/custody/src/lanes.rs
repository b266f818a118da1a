//! The order of the classes urgent, normal and bulk: whoever is urgent goes first, and nobody waits for ever.
//!
//! Of any sixteen slots in a row at least one is bulk's and three are normal's while such messages wait; all others go
//! to the most urgent that waits. A slot that its class has no message for is the next one's: no slot is ever left
//! empty. So a class that waits is served at the latest after fifteen (bulk) or five (normal) others. Within a class
//! the oldest goes first.
//!
//! Lanes are an order of the journal, never queues. Does not: look at a message, or reach over a restart; a lane's turn
//! is a matter of sixteen messages.

use std::collections::{HashMap, VecDeque};

use viereck_envelope::Header;
use viereck_routing::{Class, Region, Tables};

/// How many slots make a round.
pub const ROUND: usize = 16;

/// To whom each slot of a round belongs, if that class waits. Spread, so that the promise holds of any sixteen slots.
const ROUND_OF: [Class; ROUND] = {
    let mut round = [Class::Urgent; ROUND];
    round[3] = Class::Normal;
    round[8] = Class::Normal;
    round[13] = Class::Normal;
    round[15] = Class::Bulk;
    round
};

/// Whose turn it is. One for each place where messages are given out.
#[derive(Debug, Clone, Default)]
pub struct Turn(usize);

impl Turn {
    /// The class of the next slot, of those that `waits` says have a message; `None` when none has.
    pub fn next(&mut self, waits: impl Fn(Class) -> bool) -> Option<Class> {
        let owner = ROUND_OF[self.0];
        let order = std::iter::once(owner).chain(Class::ALL.iter().copied());
        let class = order.into_iter().find(|class| waits(*class))?;
        self.pass(1);
        Some(class)
    }

    /// So many slots have been given.
    pub fn pass(&mut self, slots: usize) {
        self.0 = (self.0 + slots) % ROUND;
    }
}

/// Fills `limit` free slots from the lanes, whose entries stand beside their octets. One that does not fit beside those
/// that fly is waited for: whoever came after it does not overtake it. One goes alone whatever its size.
pub(crate) fn choose<T>(
    mut lanes: HashMap<Class, VecDeque<(T, usize)>>,
    mut turn: Turn,
    mut flying: usize,
    limit: usize,
    octets: usize,
) -> Vec<T> {
    let mut chosen = vec![];
    while chosen.len() < limit {
        let waits = |class: Class| lanes.get(&class).is_some_and(|lane| !lane.is_empty());
        let Some(lane) = turn.next(waits).and_then(|class| lanes.get_mut(&class)) else {
            break;
        };
        let fits = |size: usize| flying == 0 || flying.saturating_add(size) <= octets;
        let Some((entry, size)) = lane.pop_front().filter(|(_, size)| fits(*size)) else {
            break;
        };
        flying += size;
        chosen.push(entry);
    }
    chosen
}

/// The class of a message: what the table says of its Leistung, in the Land of its region or of its reader.
pub fn class_of(header: &Header, tables: &Tables) -> Class {
    let region = header.region.as_ref().and_then(Region::land);
    let of_reader = || {
        let reader = tables.participant(&header.reader)?;
        reader.position.file.strip_prefix("laender/")?.get(..2)
    };
    let leistung = tables.leistung(&header.service, region.or_else(of_reader));
    leistung.map_or(Class::Normal, |leistung| leistung.class)
}

/// The number of a class as it stands in a journal.
pub(crate) fn number(class: Class) -> u32 {
    match class {
        Class::Urgent => 0,
        Class::Normal => 1,
        Class::Bulk => 2,
    }
}

/// The class of a number in a journal.
pub(crate) fn class(number: u32) -> Option<Class> {
    Class::ALL.iter().copied().find(|class| self::number(*class) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each set of classes that wait without end, and from each moment of the round on.
    #[test]
    fn of_any_sixteen_slots_bulk_gets_one_and_normal_three() {
        for waiting in 1..8_u32 {
            let waits = |class: Class| waiting & (1 << number(class)) != 0;
            let mut turn = Turn::default();
            let given: Vec<Class> = (0..4 * ROUND).filter_map(|_| turn.next(waits)).collect();
            assert_eq!(given.len(), 4 * ROUND, "no slot is left empty");
            for any_sixteen in given.windows(ROUND) {
                let count = |class| any_sixteen.iter().filter(|given| **given == class).count();
                assert!(!waits(Class::Bulk) || count(Class::Bulk) >= 1, "{waiting}");
                assert!(!waits(Class::Normal) || count(Class::Normal) >= 3, "{waiting}");
                let most_urgent = Class::ALL.iter().copied().find(|class| waits(*class));
                assert!(most_urgent.is_some_and(|class| count(class) >= 12), "{waiting}");
            }
            let longest = |class: Class| given.split(|given| *given == class).map(<[Class]>::len).max();
            assert!(!waits(Class::Bulk) || longest(Class::Bulk) <= Some(15), "{waiting}");
            assert!(!waits(Class::Normal) || longest(Class::Normal) <= Some(5), "{waiting}");
        }
        assert_eq!(Turn::default().next(|_| false), None);
    }

    #[test]
    fn a_number_leads_back_to_its_class() {
        for one in Class::ALL {
            assert_eq!(class(number(*one)), Some(*one));
        }
        assert_eq!(class(3), None);
    }
}
