//! The strict machine of one custodian: what may happen to a message that it holds, and what may not.
//!
//! The same five states hold at the author's gateway, the broker and the reader's gateway; what leads from one to
//! another differs by side and stands in one table, [`State::after`]. Whoever changes a row asks first: what is not in
//! the table is an error and changes nothing. The states are read out of a row, never kept beside it.
//!
//! What others state is no matter of this table alone: [`crate::status`] folds it, and what the fold says is an act here
//! ([`Act::Hear`]). Does not: write rows.

use std::fmt;

use viereck_envelope::Stage;

use crate::JournalError;
use crate::rows::{MessageRow, Side};

/// Where a message stands in the journal of one custodian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Here, and surely nowhere else: promised and never published, held by the broker, or taken and never tried.
    Waiting,
    /// Somebody else may have it: published, relayed, or an attempt at the hand-over has begun.
    Tried,
    /// Taken out of the flow while it was here.
    Parked,
    /// Taken out of the flow when somebody else may have had it.
    ParkedTried,
    /// Over.
    Ended,
}

/// What a custodian does with a message, or hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It goes out: confirmed by the link, or given to an adapter.
    Try,
    /// The broker keeps it until the next hop takes something again.
    Hold,
    /// It came back unrouted.
    Return,
    /// Its next try has to wait.
    Defer,
    /// It is taken out of the flow.
    Park,
    /// It is put back into the flow.
    Requeue,
    /// This custodian ends it.
    End(Stage),
    /// An operator ends at its author's gateway what its reader's gateway never spoke of and nobody may take over any more.
    GiveUp,
    /// What others state adds up to this.
    Hear(Heard),
}

/// What the facts of others add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Another custodian has it, or has had it; an end that was believed before is void.
    Living,
    /// It has ended.
    Ended,
}

/// A transition that the machine does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct NotAllowed {
    side: Side,
    state: State,
    act: Act,
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, state, act } = self;
        write!(f, "a message of the side {side:?} that is {state:?} cannot {act:?}")
    }
}

impl State {
    /// The state that a row says.
    pub(crate) fn of(row: &MessageRow) -> Self {
        let tried = match row.side {
            Side::Sent => row.attempts > 0 || row.doubtful,
            Side::Relayed => row.target.is_some(),
            Side::Taken => row.attempts > 0,
        };
        match (row.ended.is_some(), row.parked.is_some(), tried) {
            (true, _, _) => State::Ended,
            (false, true, true) => State::ParkedTried,
            (false, true, false) => State::Parked,
            (false, false, true) => State::Tried,
            (false, false, false) => State::Waiting,
        }
    }

    /// The state after `act`, where the machine of `side` has that transition.
    pub(crate) fn after(self, act: Act, side: Side) -> Result<Self, NotAllowed> {
        use State::{Ended, Parked, ParkedTried, Tried, Waiting};
        let next = match (act, side, self) {
            // nothing is begun with what is parked or over; a confirm may come after either
            (Act::Try, _, Waiting | Tried) => Some(Tried),
            (Act::Try, Side::Sent | Side::Relayed, Parked | ParkedTried) => Some(ParkedTried),
            // the broker alone holds for another, and takes back
            (Act::Hold, Side::Relayed, Waiting) => Some(Waiting),
            (Act::Return, Side::Relayed, Waiting | Tried) => Some(Waiting),
            (Act::Return, Side::Relayed, Parked | ParkedTried) => Some(Parked),
            (Act::Defer, _, Waiting | Tried) => Some(self),
            (Act::Park, _, Waiting) => Some(Parked),
            (Act::Park, _, Tried) => Some(ParkedTried),
            (Act::Requeue, _, Parked) => Some(Waiting),
            (Act::Requeue, _, ParkedTried) => Some(Tried),
            (Act::End(stage), _, Waiting | Tried | Parked | ParkedTried) => may_end(side, self, stage).then_some(Ended),
            (Act::GiveUp, Side::Sent, Tried | Parked | ParkedTried) => Some(Ended),
            // nobody speaks for the reader's gateway about what it took
            (Act::Hear(Heard::Living), Side::Sent | Side::Relayed, Waiting | Tried | Ended) => Some(Tried),
            (Act::Hear(Heard::Living), Side::Sent | Side::Relayed, Parked | ParkedTried) => Some(ParkedTried),
            (Act::Hear(Heard::Ended), Side::Sent | Side::Relayed, _) => Some(Ended),
            _ => None,
        };
        next.ok_or(NotAllowed { side, state: self, act })
    }
}

/// Only the present custodian ends a message: the author's gateway and the broker what is surely here, the reader's
/// gateway what it took. `accepted` needs an attempt, or the word of a folder about one that was forgotten.
fn may_end(side: Side, state: State, stage: Stage) -> bool {
    let here = matches!(state, State::Waiting | State::Parked);
    match side {
        Side::Sent => here && matches!(stage, Stage::Withdrawn | Stage::Expired),
        Side::Relayed => here && stage == Stage::Undeliverable,
        Side::Taken => match stage {
            Stage::Accepted => state != State::Parked,
            Stage::Rejected | Stage::Expired | Stage::Transferred => true,
            Stage::Received | Stage::Relayed | Stage::Delivered | Stage::Undeliverable | Stage::Withdrawn => false,
        },
    }
}

/// Asks whether `act` may happen to the message of `row`.
///
/// # Errors
/// [`JournalError::NotAllowed`].
pub(crate) fn allow(row: &MessageRow, act: Act) -> Result<State, JournalError> {
    Ok(State::of(row).after(act, row.side)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 5] = [
        State::Waiting,
        State::Tried,
        State::Parked,
        State::ParkedTried,
        State::Ended,
    ];

    fn letter(state: State) -> char {
        match state {
            State::Waiting => 'w',
            State::Tried => 't',
            State::Parked => 'p',
            State::ParkedTried => 'q',
            State::Ended => 'e',
        }
    }

    /// Every state and every act of every side. Columns: waiting, tried, parked, parked when tried, ended; `-` = refused.
    const TABLE: &[(Act, &str, &str, &str)] = &[
        //                                       sent     relayed  taken
        (Act::Try, "ttqq-", "ttqq-", "tt---"),
        (Act::Hold, "-----", "w----", "-----"),
        (Act::Return, "-----", "wwpp-", "-----"),
        (Act::Defer, "wt---", "wt---", "wt---"),
        (Act::Park, "pq---", "pq---", "pq---"),
        (Act::Requeue, "--wt-", "--wt-", "--wt-"),
        (Act::End(Stage::Received), "-----", "-----", "-----"),
        (Act::End(Stage::Relayed), "-----", "-----", "-----"),
        (Act::End(Stage::Delivered), "-----", "-----", "-----"),
        (Act::End(Stage::Accepted), "-----", "-----", "ee-e-"),
        (Act::End(Stage::Rejected), "-----", "-----", "eeee-"),
        (Act::End(Stage::Undeliverable), "-----", "e-e--", "-----"),
        (Act::End(Stage::Expired), "e-e--", "-----", "eeee-"),
        (Act::End(Stage::Transferred), "-----", "-----", "eeee-"),
        (Act::End(Stage::Withdrawn), "e-e--", "-----", "-----"),
        (Act::GiveUp, "-eee-", "-----", "-----"),
        (Act::Hear(Heard::Living), "ttqqt", "ttqqt", "-----"),
        (Act::Hear(Heard::Ended), "eeeee", "eeeee", "-----"),
    ];

    #[test]
    fn the_machine_is_exactly_this_table() {
        for (act, sent, relayed, taken) in TABLE {
            for (side, expected) in [(Side::Sent, sent), (Side::Relayed, relayed), (Side::Taken, taken)] {
                let found: String = STATES
                    .iter()
                    .map(|state| state.after(*act, side).map_or('-', letter))
                    .collect();
                assert_eq!(found, **expected, "{act:?} at {side:?}");
            }
        }
        let ends = TABLE.iter().filter(|(act, ..)| matches!(act, Act::End(_))).count();
        assert_eq!(ends, Stage::ALL.len(), "every stage is in the table");
        assert_eq!(TABLE.len() - ends, 9, "every other act is in the table");
    }

    #[test]
    fn what_is_over_stays_over_for_whoever_held_it() {
        for side in [Side::Sent, Side::Relayed, Side::Taken] {
            for (act, ..) in TABLE.iter().filter(|(act, ..)| !matches!(act, Act::Hear(_))) {
                let refused = State::Ended.after(*act, side);
                assert!(refused.is_err(), "{act:?} at {side:?}");
            }
        }
    }
}
