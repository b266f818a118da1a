//! The account: for every application that was promised, what took effect, and whether its sender knows the truth.
//!
//! Two sides are compared that know nothing of each other: the book of the clients, and the ledgers of the stand-ins.
//! What the gateways and the broker think of it counts nowhere.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::Serialize;
use viereck_routing::{BehoerdeId, GatewayId};

use super::book::{Number, Record};
use super::network::{BESCHEIDE, Network};
use super::paper::{self, Paper, REJECTION};
use super::plan::Strike;
use super::report::Problem;
use super::seed::Seed;
use crate::demo::applications::WOHNGELD;
use crate::demo::samples;
use crate::demo::site::{RECEIVER_NW, RECEIVER_SH};
use crate::demo::stand_ins::{Ledger, Standing};

/// The ends that are no acceptance and tell the author so.
const NEGATIVE: [&str; 4] = ["rejected", "undeliverable", "expired", "withdrawn"];

/// How often things took effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Effects {
    /// As they should.
    pub(super) once: usize,
    /// More than once.
    pub(super) twice: usize,
    /// Not at all.
    pub(super) never: usize,
}

/// What one strike came to, or all of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sums {
    /// Applications that were promised.
    pub(super) sent: usize,
    /// How they ended, as their sender tells it; `open` for what did not end.
    pub(super) ended: BTreeMap<String, usize>,
    /// What took effect at the Fachverfahren.
    pub(super) effects: Effects,
    /// Attempts to hand them over.
    pub(super) attempts: u64,
    /// Bescheide that a gateway promised to deliver, and their effects at the Postfach.
    pub(super) bescheide: Bescheide,
    /// Promised, without effect, and their author was not told so; Bescheide that did not arrive among them.
    pub(super) lost: usize,
    /// Effects at an authority or gateway that the table does not name.
    pub(super) misrouted: usize,
    /// Effects with another content than what was filed.
    pub(super) mixed: usize,
    /// The sender tells another end than what the Fachverfahren did.
    pub(super) wrong_receipts: usize,
    /// Handed over once more although their sender knew their end already.
    pub(super) after_the_end: usize,
    /// Valid applications that Viereck itself turned away, though nothing was wrong with them.
    pub(super) refused: usize,
}

/// The way back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bescheide {
    /// Promised by a gateway.
    pub(super) sent: usize,
    /// What lies in the mailboxes.
    pub(super) effects: Effects,
}

/// What came to light at corner 4 about one application.
#[derive(Debug, Default)]
struct Seen {
    effects: Vec<Effect>,
    attempts: u64,
    last_attempt: Option<Instant>,
    rejected: bool,
}

#[derive(Debug)]
struct Effect {
    reader: String,
    gateway: &'static str,
    same: bool,
}

/// The whole comparison.
pub(super) struct Account {
    /// By strike, in the order of the plan.
    pub(super) rows: Vec<Sums>,
    /// Over all of them.
    pub(super) total: Sums,
    /// Everything that is wrong, by message.
    pub(super) problems: Vec<Problem>,
}

impl Account {
    /// Compares the two sides. `strikes` are the strikes that were made.
    pub(super) fn of(network: &Network, book: &super::book::Book, seed: Seed, strikes: &[Strike]) -> Self {
        let sides = Sides {
            network,
            seed,
            at_corner_4: at_corner_4(network, seed),
            mail: mail(network),
            bescheide: promised_bescheide(network),
        };
        let mut account = Self {
            rows: vec![Sums::default(); strikes.len()],
            total: Sums::default(),
            problems: vec![],
        };
        book.read(|pages| {
            for (number, record) in pages.promises() {
                let strike = strikes[record.strike];
                let (sums, wrong) = sides.judge(number, record);
                account.rows[record.strike].add(&sums);
                account.total.add(&sums);
                account.problems.extend(wrong.into_iter().map(|what| Problem {
                    message_id: record.submission.clone(),
                    strike: strike.to_string(),
                    what,
                }));
            }
            let unasked = sides.at_corner_4.iter().filter(|(_, seen)| !seen.effects.is_empty());
            // a client that never got an answer knows of no promise; a number that nobody drew is another matter
            for (number, _) in unasked.filter(|(number, _)| **number >= pages.drawn()) {
                account.total.mixed += 1;
                account.problems.push(Problem {
                    message_id: format!("application {number}"),
                    strike: String::new(),
                    what: "took effect, and nobody filed it",
                });
            }
        });
        account
    }
}

/// Both sides, and what is right.
struct Sides<'a> {
    network: &'a Network,
    seed: Seed,
    at_corner_4: HashMap<Number, Seen>,
    mail: HashMap<uuid::Uuid, Vec<bool>>,
    bescheide: HashMap<String, usize>,
}

impl Sides<'_> {
    fn judge(&self, number: Number, record: &Record) -> (Sums, Vec<&'static str>) {
        let nothing = Seen::default();
        let seen = self.at_corner_4.get(&number).unwrap_or(&nothing);
        let status = record.end.as_ref().map_or("open", |end| end.status.as_str());
        let told_no = NEGATIVE.contains(&status);
        let mut sums = Sums {
            sent: 1,
            ended: BTreeMap::from([(status.to_owned(), 1)]),
            effects: Effects::of(seen.effects.len()),
            attempts: seen.attempts,
            ..Sums::default()
        };
        let mut wrong = vec![];
        if seen.effects.len() > 1 {
            wrong.push("took effect twice");
        }
        let mut note = |count: &mut usize, what: &'static str| {
            *count += 1;
            wrong.push(what);
        };
        if seen.effects.is_empty() && !seen.rejected && !told_no {
            note(&mut sums.lost, "was lost");
        }
        let truth = match (seen.effects.is_empty(), seen.rejected) {
            (false, _) => status == "accepted",
            (true, true) => status == "rejected",
            (true, false) => status != "accepted" && !Self::says_it_was_rejected_there(record),
        };
        if !truth {
            note(
                &mut sums.wrong_receipts,
                "its sender tells another end than what the Fachverfahren did",
            );
        }
        if told_no && !seen.rejected && seen.effects.is_empty() {
            note(&mut sums.refused, "was turned away though nothing was wrong with it");
        }
        let end = record.end.as_ref().map(|end| end.seen.into_std());
        if let (Some(end), Some(last)) = (end, seen.last_attempt)
            && end < last
        {
            note(&mut sums.after_the_end, "was handed over once more after its end");
        }
        for effect in &seen.effects {
            if !self.is_right(record, effect) {
                note(&mut sums.misrouted, "took effect where the table does not send it");
            }
            if !effect.same {
                note(&mut sums.mixed, "took effect with another content");
            }
        }
        self.judge_bescheid(number, record, &mut sums, &mut wrong);
        (sums, wrong)
    }

    fn says_it_was_rejected_there(record: &Record) -> bool {
        let end = record.end.as_ref();
        end.is_some_and(|end| end.status == "rejected" && end.reasons.iter().any(|reason| reason == REJECTION))
    }

    fn is_right(&self, record: &Record, effect: &Effect) -> bool {
        let reader: Option<BehoerdeId> = effect.reader.parse().ok();
        let gateway: Option<GatewayId> = effect.gateway.parse().ok();
        let (Some(reader), Some(gateway)) = (reader, gateway) else {
            return false;
        };
        effect.reader == record.behoerde
            && record.competent.contains(&reader)
            && self.network.versions.delivers(&reader, WOHNGELD, &gateway)
    }

    fn judge_bescheid(&self, number: Number, record: &Record, sums: &mut Sums, wrong: &mut Vec<&'static str>) {
        let promised = self.bescheide.contains_key(&record.submission);
        let mailbox = paper::mailbox(self.seed, number);
        let mail = self.mail.get(&mailbox).map_or(&[][..], Vec::as_slice);
        if !promised && mail.is_empty() {
            return;
        }
        sums.bescheide = Bescheide {
            sent: usize::from(promised),
            effects: Effects::of(mail.len()),
        };
        if mail.is_empty() {
            sums.lost += 1;
            wrong.push("its Bescheid was lost");
        }
        if mail.len() > 1 {
            wrong.push("its Bescheid arrived twice");
        }
        if mail.iter().any(|same| !same) {
            sums.mixed += 1;
            wrong.push("its Bescheid has another content");
        }
    }
}

impl Effects {
    fn of(many: usize) -> Self {
        let mut effects = Self::default();
        match many {
            0 => effects.never = 1,
            1 => effects.once = 1,
            _ => effects.twice = 1,
        }
        effects
    }

    fn add(&mut self, other: Self) {
        self.once += other.once;
        self.twice += other.twice;
        self.never += other.never;
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        for (status, many) in &other.ended {
            *self.ended.entry(status.clone()).or_default() += many;
        }
        self.effects.add(other.effects);
        self.attempts += other.attempts;
        self.bescheide.sent += other.bescheide.sent;
        self.bescheide.effects.add(other.bescheide.effects);
        self.lost += other.lost;
        self.misrouted += other.misrouted;
        self.mixed += other.mixed;
        self.wrong_receipts += other.wrong_receipts;
        self.after_the_end += other.after_the_end;
        self.refused += other.refused;
    }

    /// Effects that were one too many, the Postfach included.
    pub(super) fn twice(&self) -> usize {
        self.effects.twice + self.bescheide.effects.twice
    }

    /// Whether nothing is wrong.
    pub(super) fn is_right(&self) -> bool {
        self.lost + self.twice() + self.misrouted + self.mixed + self.wrong_receipts + self.after_the_end + self.refused
            == 0
    }
}

/// What both Fachverfahren saw, by application.
fn at_corner_4(network: &Network, seed: Seed) -> HashMap<Number, Seen> {
    let mut seen: HashMap<Number, Seen> = HashMap::new();
    let mut read = |ledger: &Ledger, gateway: &'static str| {
        for entry in ledger.entries().values() {
            let octets = entry.handed_over.payload();
            let Some(paper) = octets.and_then(|octets| Paper::read(octets)) else {
                continue;
            };
            let seen = seen.entry(paper.nummer).or_default();
            seen.attempts += u64::from(entry.attempts);
            seen.last_attempt = seen.last_attempt.max(Some(entry.last_attempt));
            seen.rejected |= matches!(entry.standing, Standing::Rejected(_));
            for _ in 0..entry.effects {
                seen.effects.push(Effect {
                    reader: entry.handed_over.message.reader.clone(),
                    gateway,
                    same: octets == Some(&Paper::new(seed, paper.nummer).octets()),
                });
            }
        }
    };
    network.desk.http.ledger().look(|ledger| read(ledger, RECEIVER_SH));
    network.desk.folder.ledger().look(|ledger| read(ledger, RECEIVER_NW));
    seen
}

/// What lies in the mailboxes, and whether it is what was sent.
fn mail(network: &Network) -> HashMap<uuid::Uuid, Vec<bool>> {
    let mut found: HashMap<uuid::Uuid, Vec<bool>> = HashMap::new();
    network.desk.postfach.mailboxes().look(|mailboxes| {
        for mail in mailboxes.mail() {
            let Ok(mailbox) = mail.description.mailbox_uuid.parse() else {
                continue;
            };
            let written = samples::bescheid(&mail.description.application_id).octets;
            found
                .entry(mailbox)
                .or_default()
                .push(mail.attachments.as_slice() == [written]);
        }
    });
    found
}

/// The applications whose Bescheid a gateway took.
fn promised_bescheide(network: &Network) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let mut read = |ledger: &Ledger| {
        for sent in ledger.bescheide() {
            *found.entry(sent.in_reply_to.clone()).or_default() += 1;
        }
    };
    network.desk.http.ledger().look(&mut read);
    network.desk.folder.ledger().look(&mut read);
    found
}

/// Whether every Bescheid that is due was promised by a gateway and lies in its mailbox.
pub(super) fn bescheide_are_there(network: &Network) -> bool {
    let due = |ledger: &Ledger| {
        let effective = ledger.entries().values().filter(|entry| entry.effects > 0);
        effective
            .filter(|entry| BESCHEIDE.contains(&entry.handed_over.message.message_id))
            .count()
    };
    let due = network.desk.http.ledger().look(due) + network.desk.folder.ledger().look(due);
    network
        .desk
        .postfach
        .mailboxes()
        .look(|mailboxes| mailboxes.mail().count() >= due)
}
