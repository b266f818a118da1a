//! What the facts about one message mean: its status, who holds it, what stands in its way, what happens next. Pure.
//!
//! A fold over statements that may arrive in any order and more than once: the result depends only on the set of them.
//! A stage counts only from the custodian entitled to state it: received, withdrawn (and expired of what was never
//! published) from the author's gateway, relayed and undeliverable from the broker, delivered, accepted, rejected,
//! expired and transferred from the reader's gateway. That the author's gateway expired it says no more than withdrawn.
//!
//! What each state says to people stands in [`told`] and nowhere else: API, command line and logs read it there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{CustodianId, GatewayId};

use crate::hand_over::Deferral;

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
    /// The gateway that has it, or that it was relayed to; `None` while nobody has said so.
    pub at: Option<GatewayId>,
}

/// Folds the facts. `None` when none of them counts.
pub fn fold(facts: &[Fact]) -> Option<Status> {
    let counting: Vec<&Fact> = facts.iter().filter(|fact| counts(fact, facts)).collect();
    let best = counting.iter().copied().max_by(|a, b| {
        // of two of the same rank the earlier stands, whatever order they came in
        rank(a, facts)
            .cmp(&rank(b, facts))
            .then_with(|| b.time.cmp(&a.time))
            .then_with(|| b.custodian.cmp(&a.custodian))
    })?;
    let of_reader = |fact: &&Fact| is_of_reader(fact.stage) && !is_authors_end(fact, facts);
    let reader_spoke = counting.iter().any(of_reader);
    let by_rank = |fact: &&Fact| (rank(fact, facts), std::cmp::Reverse(fact.time));
    let of_reader = counting.iter().copied().filter(of_reader).max_by_key(by_rank);
    let relayed = counting.iter().copied().filter(|fact| fact.stage == Stage::Relayed);
    let at = match of_reader {
        Some(fact) => Some(fact.custodian.clone()),
        None => relayed
            .max_by_key(|fact| fact.time)
            .and_then(|fact| fact.target.clone()),
    };
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
        at,
    })
}

/// Whether only the reader's gateway may state this.
pub fn is_of_reader(stage: Stage) -> bool {
    match stage {
        Stage::Delivered | Stage::Accepted | Stage::Rejected | Stage::Expired | Stage::Transferred => true,
        Stage::Received | Stage::Relayed | Stage::Undeliverable | Stage::Withdrawn => false,
    }
}

/// Whether it expired before it left its author's gateway: stated by who received it from its author and never took it for
/// its reader. One gateway may be both, and then it has said `delivered` before.
fn is_authors_end(fact: &Fact, all: &[Fact]) -> bool {
    let said = |stage: Stage| {
        all.iter()
            .any(|other| other.custodian == fact.custodian && other.stage == stage)
    };
    fact.stage == Stage::Expired && said(Stage::Received) && !said(Stage::Delivered)
}

/// The target of an entitled `relayed` speaks for the reader too: the Behörde may have moved since.
fn counts(fact: &Fact, all: &[Fact]) -> bool {
    fact.standing
        || is_of_reader(fact.stage)
            && all.iter().any(|other| {
                other.stage == Stage::Relayed && other.standing && other.target.as_ref() == Some(&fact.custodian)
            })
}

/// A later stage outranks an earlier one, and whatever the reader's gateway says outranks the others: the author's gateway
/// and the broker can only end what the reader's gateway never had.
fn rank(fact: &Fact, all: &[Fact]) -> u8 {
    match fact.stage {
        Stage::Received => 0,
        Stage::Relayed => 1,
        Stage::Withdrawn => 2,
        Stage::Expired if is_authors_end(fact, all) => 2,
        Stage::Undeliverable => 3,
        Stage::Delivered => 4,
        Stage::Expired => 5,
        Stage::Transferred => 6,
        Stage::Rejected => 7,
        Stage::Accepted => 8,
    }
}

/// What stands in a message's way beside its stage, as the journal knows it that is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Flags {
    /// Since when the reader's gateway has been silent for longer than it should be, although it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue: Option<Timestamp>,
    /// Taken out of the flow, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parked>,
    /// Since when an operator has been holding everything for its reader or gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Timestamp>,
    /// Until when the broker keeps it at least, because the next hop takes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Timestamp>,
    /// Why its hand-over waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferral: Option<Deferral>,
    /// Custodians have stated ends that exclude each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub conflict: bool,
}

/// Since when and why a message is out of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The reason.
    pub reason: Reason,
    /// Since when.
    pub since: Timestamp,
}

/// The one thing in a message's way that is to be dealt with first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// Ends that exclude each other were stated.
    Conflict,
    /// Out of the flow.
    Parked,
    /// An operator holds everything for its reader or gateway.
    Paused,
    /// The adapter to the Fachverfahren is not set up correctly.
    Misconfigured,
    /// The Fachverfahren does not answer, or asks for a later time.
    Unavailable,
    /// The next hop takes nothing at the moment.
    Held,
    /// The reader's gateway is silent.
    Overdue,
}

impl Hindrance {
    /// Every hindrance, the one that is to be dealt with first at the front.
    pub const ALL: &[Hindrance] = &[
        Hindrance::Conflict,
        Hindrance::Parked,
        Hindrance::Paused,
        Hindrance::Misconfigured,
        Hindrance::Unavailable,
        Hindrance::Held,
        Hindrance::Overdue,
    ];
}

impl Flags {
    /// What is to be dealt with first.
    pub fn hindrance(&self) -> Option<Hindrance> {
        Hindrance::ALL.iter().copied().find(|hindrance| match hindrance {
            Hindrance::Conflict => self.conflict,
            Hindrance::Parked => self.parked.is_some(),
            Hindrance::Paused => self.paused.is_some(),
            Hindrance::Misconfigured => self.deferral == Some(Deferral::AdapterMisconfigured),
            Hindrance::Unavailable => self.deferral == Some(Deferral::FachverfahrenUnavailable),
            Hindrance::Held => self.held.is_some(),
            Hindrance::Overdue => self.overdue.is_some(),
        })
    }
}

/// The same sentence in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Words {
    /// For citizens and clerks.
    #[serde(rename = "de")]
    pub german: &'static str,
    /// For developers and operators.
    #[serde(rename = "en")]
    pub english: &'static str,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// Nobody's: it is over.
    Nobody,
    /// The holder's program, by itself.
    Holder,
    /// The people who operate the holder.
    OperatorOfHolder,
    /// The Fachverfahren, or the people who operate it.
    Fachverfahren,
    /// Whoever wrote it.
    Author,
}

/// What a state says to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Where the message is.
    pub sentence: Words,
    /// What happens next.
    pub next_step: Words,
    /// Who does it.
    pub turn: Turn,
}

macro_rules! told {
    ($turn:ident; $sentence_de:literal, $sentence_en:literal; $next_de:literal, $next_en:literal) => {
        Told {
            sentence: Words {
                german: $sentence_de,
                english: $sentence_en,
            },
            next_step: Words {
                german: $next_de,
                english: $next_en,
            },
            turn: Turn::$turn,
        }
    };
}

/// The sentence of a state, its next step and whose turn it is: one for each stage, and for each hindrance of a message
/// that has not ended. The last stage before an end is the one that a hindrance belongs to.
pub fn told(stage: Stage, hindrance: Option<Hindrance>) -> Told {
    match hindrance {
        Some(Hindrance::Conflict) => CONFLICT,
        Some(hindrance) if !stage.is_terminal() => hindered(hindrance),
        _ => unhindered(stage),
    }
}

const CONFLICT: Told = told!(OperatorOfHolder;
    "Die Angaben der Stellen widersprechen sich.",
    "Custodians state ends that exclude each other.";
    "Der Betrieb klärt, was gilt.",
    "Operators of the gateways concerned find out what is true.");

fn hindered(hindrance: Hindrance) -> Told {
    match hindrance {
        Hindrance::Conflict => CONFLICT,
        Hindrance::Parked => told!(OperatorOfHolder;
            "Die Nachricht ist angehalten und wird geprüft.",
            "It is parked: taken out of the flow.";
            "Der Betrieb sieht nach der Ursache und reiht sie wieder ein.",
            "An operator mends the cause and requeues or discards it."),
        Hindrance::Paused => told!(OperatorOfHolder;
            "Die Zustellung ist zurzeit angehalten.",
            "An operator has paused the way to its reader.";
            "Der Betrieb gibt die Zustellung wieder frei; bis dahin bleibt alles aufbewahrt.",
            "An operator resumes the way; until then it is kept."),
        Hindrance::Misconfigured => told!(OperatorOfHolder;
            "Die Übergabe an das Fachverfahren ist nicht richtig eingerichtet.",
            "The hand-over to the Fachverfahren is not set up correctly.";
            "Der Betrieb der Behörde berichtigt die Einrichtung; danach wird von selbst übergeben.",
            "The authority's operator mends the configuration; it is then handed over by itself."),
        Hindrance::Unavailable => told!(Fachverfahren;
            "Das Fachverfahren antwortet zurzeit nicht.",
            "The Fachverfahren does not answer at the moment.";
            "Die Übergabe wird von selbst wiederholt.",
            "The authority's gateway tries again by itself."),
        Hindrance::Held => told!(Holder;
            "Die Nachricht wartet, bis die nächste Stelle wieder annimmt.",
            "The broker keeps it, because the next hop takes nothing at the moment.";
            "Sie wird von selbst weitergeleitet.",
            "The broker passes it on by itself."),
        Hindrance::Overdue => told!(OperatorOfHolder;
            "Die Stelle der Behörde hat sich länger nicht gemeldet als vorgesehen.",
            "It is overdue: published, and the authority's gateway is silent.";
            "Die Nachricht wird von selbst erneut gesendet; der Betrieb sieht nach dem Weg.",
            "It is sent again by itself; operators look after the way to the authority's gateway."),
    }
}

fn unhindered(stage: Stage) -> Told {
    match stage {
        Stage::Received => told!(Holder;
            "Die Nachricht ist eingereicht. Noch keine Entscheidung.",
            "The sender gateway holds it and has promised to carry it.";
            "Sie wird an den Vermittler weitergegeben.",
            "The sender gateway hands it to the broker."),
        Stage::Relayed => told!(Holder;
            "Die Nachricht ist weitergeleitet. Noch keine Entscheidung.",
            "The broker has passed it to the authority's gateway.";
            "Die Stelle der Behörde holt sie ab.",
            "The authority's gateway fetches it."),
        Stage::Delivered => told!(Holder;
            "Die Nachricht ist zugestellt. Noch keine Entscheidung.",
            "The authority's gateway holds it.";
            "Sie wird an das Fachverfahren übergeben.",
            "The authority's gateway hands it over to the Fachverfahren."),
        Stage::Accepted => told!(Nobody;
            "Das Fachverfahren hat die Nachricht übernommen. Noch keine Entscheidung.",
            "The Fachverfahren has taken it over; no decision yet.";
            "Die Behörde bearbeitet den Vorgang.",
            "The authority works on the case."),
        Stage::Rejected => told!(Author;
            "Die Nachricht ist aus technischen Gründen zurückgewiesen. Keine Entscheidung in der Sache.",
            "It was refused for technical reasons.";
            "Nach den genannten Gründen berichtigen und neu einreichen.",
            "Mend what the reasons say and file again."),
        Stage::Undeliverable => told!(Author;
            "Die Nachricht ist unzustellbar. Keine Entscheidung in der Sache.",
            "It never reached the authority.";
            "Die Behörde neu wählen oder bei der Stelle nachfragen.",
            "Choose the authority again or ask its contact."),
        Stage::Expired => told!(Author;
            "Die Nachricht ist abgelaufen. Keine Entscheidung in der Sache.",
            "Its time ran out before it was taken over.";
            "Sie liegt wieder bei der einreichenden Stelle; dort neu einreichen.",
            "It is back at its author's side, with its content: file it again there."),
        Stage::Transferred => told!(Nobody;
            "Die Nachricht ist an die zuständige Behörde abgegeben. Noch keine Entscheidung.",
            "It was passed on to the authority that is competent.";
            "Die neue Nachricht des Vorgangs verfolgen.",
            "Follow the new message of the case."),
        Stage::Withdrawn => told!(Nobody;
            "Die Nachricht ist zurückgenommen.",
            "It was taken back before it was published.";
            "Es folgt nichts mehr.",
            "Nothing follows."),
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

    /// Every state has sentences of its own, and only a message that is over is nobody's turn or its author's.
    #[test]
    fn every_state_says_what_it_is_and_whose_turn_it_is() {
        let mut sentences = std::collections::BTreeSet::new();
        let none = std::iter::once(None);
        let hindrances = none.chain(Hindrance::ALL.iter().copied().map(Some));
        for hindrance in hindrances {
            for stage in Stage::ALL {
                let told = told(*stage, hindrance);
                for words in [told.sentence, told.next_step] {
                    assert!(words.german.ends_with('.') && words.english.ends_with('.'), "{words:?}");
                }
                sentences.insert(told.sentence.english);
                let over = stage.is_terminal() && hindrance != Some(Hindrance::Conflict);
                let idle = matches!(told.turn, Turn::Nobody | Turn::Author);
                assert_eq!(idle, over, "{stage} {hindrance:?}");
            }
        }
        assert_eq!(sentences.len(), Stage::ALL.len() + Hindrance::ALL.len());
    }

    #[test]
    fn of_two_hindrances_the_graver_is_told() {
        let at = Timestamp::UNIX_EPOCH;
        let mut flags = Flags::default();
        assert_eq!(flags.hindrance(), None);
        flags.overdue = Some(at);
        assert_eq!(flags.hindrance(), Some(Hindrance::Overdue));
        flags.held = Some(at);
        flags.deferral = Some(Deferral::Waiting);
        assert_eq!(flags.hindrance(), Some(Hindrance::Held));
        flags.deferral = Some(Deferral::FachverfahrenUnavailable);
        assert_eq!(flags.hindrance(), Some(Hindrance::Unavailable));
        flags.parked = Some(Parked {
            reason: Reason::X001,
            since: at,
        });
        assert_eq!(flags.hindrance(), Some(Hindrance::Parked));
        flags.conflict = true;
        assert_eq!(flags.hindrance(), Some(Hindrance::Conflict));
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
        let came_back = [
            fact(Stage::Received, 1, "gw-s", true),
            fact(Stage::Expired, 9, "gw-s", true),
            fact(Stage::Delivered, 3, "gw-a", true),
        ];
        let status = fold(&came_back).unwrap();
        assert_eq!((status.stage, status.conflict), (Stage::Delivered, true));
        let status = fold(&came_back[..2]).unwrap();
        assert_eq!((status.stage, status.reader_spoke), (Stage::Expired, false));
        let both = [
            fact(Stage::Received, 1, "gw-a", true),
            fact(Stage::Expired, 9, "gw-a", true),
            fact(Stage::Delivered, 3, "gw-a", true),
        ];
        let status = fold(&both).unwrap();
        assert_eq!((status.stage, status.conflict), (Stage::Expired, false));
    }
}
