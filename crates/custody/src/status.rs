//! What the facts about one message mean: its status, who holds it, what happens next. Pure.
//!
//! A fold over statements that may arrive in any order and more than once: the result depends only on the set of them.
//! A stage counts only from the custodian entitled to state it: received, withdrawn (and expired of what was never
//! published) from the author's gateway, relayed and undeliverable from the broker, delivered, accepted, rejected,
//! expired and transferred from the reader's gateway. The sentence of each state stands here and nowhere else.

use jiff::Timestamp;
use viereck_envelope::{Reason, Stage};
use viereck_routing::{CustodianId, GatewayId};

/// One statement about one message, its envelope digest already compared.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What is stated.
    pub stage: Stage,
    /// When, by the clock of the custodian.
    pub time: Timestamp,
    /// Who states it.
    pub custodian: CustodianId,
    /// Relayed: where it went.
    pub target: Option<GatewayId>,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Whether the directory in force when it arrived entitled the custodian to state it.
    pub standing: bool,
}

/// What the facts add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The furthest stage that counts.
    pub stage: Stage,
    /// Who holds the message, or held it at its end.
    pub holder: CustodianId,
    /// When the stage was reached.
    pub since: Timestamp,
    /// Why it ended, where a reason is due.
    pub reasons: Vec<Reason>,
    /// Ends that exclude each other were stated, or an end beside a living message: an alarm for an operator.
    pub conflict: bool,
    /// Whether the reader's gateway has said anything that counts.
    pub reader_spoke: bool,
}

/// Folds the facts. `None` when none of them counts.
pub fn fold(facts: &[Fact]) -> Option<Status> {
    let counting: Vec<&Fact> = facts.iter().filter(|fact| counts(fact, facts)).collect();
    let best = counting.iter().copied().max_by(|a, b| {
        // of two of the same rank the earlier stands, whatever order they came in
        rank(a.stage)
            .cmp(&rank(b.stage))
            .then_with(|| b.time.cmp(&a.time))
            .then_with(|| b.custodian.cmp(&a.custodian))
    })?;
    let reader_spoke = counting.iter().any(|fact| is_of_reader(fact.stage));
    let another_end = counting
        .iter()
        .any(|fact| fact.stage.is_terminal() && fact.stage != best.stage);
    Some(Status {
        stage: best.stage,
        holder: best.custodian.clone(),
        since: best.time,
        reasons: best.reasons.clone(),
        conflict: another_end && (best.stage.is_terminal() || reader_spoke),
        reader_spoke,
    })
}

/// Whether only the reader's gateway may state this.
pub fn is_of_reader(stage: Stage) -> bool {
    match stage {
        Stage::Delivered | Stage::Accepted | Stage::Rejected | Stage::Expired | Stage::Transferred => true,
        Stage::Received | Stage::Relayed | Stage::Undeliverable | Stage::Withdrawn => false,
    }
}

/// The target of an entitled `relayed` speaks for the reader too: the Behörde may have moved since.
fn counts(fact: &Fact, all: &[Fact]) -> bool {
    fact.standing
        || is_of_reader(fact.stage)
            && all.iter().any(|other| {
                other.stage == Stage::Relayed && other.standing && other.target.as_ref() == Some(&fact.custodian)
            })
}

/// A later stage outranks an earlier one, and whatever the reader's gateway says outranks the others: the broker can
/// only end what the reader's gateway never had.
fn rank(stage: Stage) -> u8 {
    match stage {
        Stage::Received => 0,
        Stage::Relayed => 1,
        Stage::Undeliverable => 2,
        Stage::Delivered => 3,
        Stage::Withdrawn => 4,
        Stage::Expired => 5,
        Stage::Transferred => 6,
        Stage::Rejected => 7,
        Stage::Accepted => 8,
    }
}

/// What happens next, as the API, the command line and the logs say it.
pub fn next_step(stage: Stage) -> &'static str {
    match stage {
        Stage::Received => "The sender gateway hands it to the broker.",
        Stage::Relayed => "The authority's gateway fetches it.",
        Stage::Delivered => "The authority's gateway hands it over to the Fachverfahren.",
        Stage::Accepted => "The Fachverfahren has taken it over; no decision yet.",
        Stage::Rejected => "Refused for technical reasons: mend what the reasons say and file again.",
        Stage::Undeliverable => "It never reached the authority: choose the authority again or ask its contact.",
        Stage::Expired => "Its time ran out before it was taken over: it is back at its author's side.",
        Stage::Transferred => "Passed on to the authority that is competent: follow the new message of the case.",
        Stage::Withdrawn => "Taken back by the applicant; nothing follows.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(stage: Stage, second: i64, custodian: &str, standing: bool) -> Fact {
        Fact {
            stage,
            time: Timestamp::from_second(second).unwrap(),
            custodian: custodian.parse().unwrap(),
            target: (stage == Stage::Relayed).then(|| "gw-a".parse().unwrap()),
            reasons: vec![],
            standing,
        }
    }

    /// Every order of the same facts, and repeats of them, mean the same.
    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let facts = [
            fact(Stage::Received, 1, "gw-s", true),
            fact(Stage::Relayed, 2, "broker", true),
            fact(Stage::Delivered, 3, "gw-a", true),
            fact(Stage::Accepted, 4, "gw-a", true),
        ];
        let mut orders = vec![vec![]];
        for _ in 0..facts.len() {
            orders = orders
                .into_iter()
                .flat_map(|order: Vec<usize>| {
                    (0..facts.len())
                        .filter(|i| !order.contains(i))
                        .map(|i| [order.clone(), vec![i]].concat())
                        .collect::<Vec<_>>()
                })
                .collect();
        }
        assert_eq!(orders.len(), 24);
        let expected = fold(&facts);
        assert_eq!(expected.as_ref().map(|s| s.stage), Some(Stage::Accepted));
        for order in orders {
            let mut shuffled: Vec<Fact> = order.iter().map(|i| facts[*i].clone()).collect();
            shuffled.push(shuffled[0].clone());
            assert_eq!(fold(&shuffled), expected);
        }
    }

    #[test]
    fn a_stage_counts_only_from_who_may_state_it() {
        let stranger = fact(Stage::Accepted, 4, "gw-stranger", false);
        let received = fact(Stage::Received, 1, "gw-s", true);
        assert_eq!(
            fold(&[received.clone(), stranger.clone()]).map(|s| s.stage),
            Some(Stage::Received)
        );
        assert_eq!(fold(&[stranger]), None);
        // the gateway it was relayed to speaks for the reader, although the table of today names another one
        let moved = [
            received,
            fact(Stage::Accepted, 4, "gw-a", false),
            fact(Stage::Relayed, 2, "broker", true),
        ];
        assert_eq!(fold(&moved).map(|s| s.stage), Some(Stage::Accepted));
    }

    #[test]
    fn where_two_ends_meet_the_readers_wins_and_alarms() {
        let facts = [
            fact(Stage::Relayed, 2, "broker", true),
            fact(Stage::Undeliverable, 9, "broker", true),
            fact(Stage::Accepted, 4, "gw-a", true),
        ];
        let status = fold(&facts).unwrap();
        assert_eq!((status.stage, status.conflict), (Stage::Accepted, true));
        assert!(!fold(&facts[..2]).unwrap().conflict);
        let living = [
            fact(Stage::Delivered, 3, "gw-a", true),
            fact(Stage::Undeliverable, 9, "broker", true),
        ];
        let status = fold(&living).unwrap();
        assert_eq!(
            (status.stage, status.conflict),
            (Stage::Delivered, true),
            "an end that is void beside the reader's word"
        );
    }
}
