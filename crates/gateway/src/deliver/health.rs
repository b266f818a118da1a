//! How a Fachverfahren fares, and so how many messages it may be given at once.
//!
//! A circuit breaker with three states, and a slow start behind it:
//!
//! - closed: it works. One message at a time at first, one more with each that it takes, up to the configured number;
//!   each failure halves that. Three failures in a row, one that an operator has to mend, or a server that asks for a
//!   later time open the breaker.
//! - open: nothing is tried for a while, longer each time, and no two Fachverfahren in step.
//! - half-open: exactly one message is tried. Taken: closed, beginning with one at a time again. Failed: open, for
//!   longer. The rests grow on until it has once been back at its full number.
//!
//! So a long outage ends in a drain that speeds up only as fast as messages are taken, never in a storm. What was under
//! way when the breaker opened says nothing about it any more. Times are arguments: nothing here looks at a clock, and
//! all of it is about one instance; each instance has its own breaker and its own probe.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use viereck_custody::{doubled, still_to_come};

use super::outcome::{self, Outcome};

/// Failures in a row that open the breaker.
const FAILURES: u32 = 3;
/// The first rest after a failure, doubled with each further one.
const FIRST_REST: SignedDuration = SignedDuration::from_secs(1);
/// The first rest after a failure that an operator has to mend.
const FIRST_REST_FOR_OPERATOR: SignedDuration = SignedDuration::from_secs(30);
/// The longest rest of either kind, before the spread.
const LONGEST_REST: SignedDuration = SignedDuration::from_secs(300);

/// The longest time for which nothing is tried: a server may ask for more than a rest.
const LONGEST: SignedDuration = SignedDuration::from_secs(outcome::LONGEST_WAIT.as_secs() as i64);

/// The circuit breaker of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Breaker {
    /// It works.
    Closed,
    /// It rests: nothing is tried before this time.
    Open {
        /// When one message is tried.
        until: Timestamp,
    },
    /// One message is being tried.
    HalfOpen,
}

impl Breaker {
    /// The word in metrics and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Breaker::Closed => "closed",
            Breaker::Open { .. } => "open",
            Breaker::HalfOpen => "half-open",
        }
    }
}

/// What may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many, at least one.
    For(usize),
    /// Nothing before this time.
    At(Timestamp),
    /// Nothing before one of those under way has ended.
    Full,
}

/// Leave to try one message. Nothing else makes one, so what is under way is what was given out.
#[derive(Debug)]
pub(crate) struct Leave {
    /// How often the breaker had opened when it was given.
    opened: u32,
}

/// How the last attempts went.
#[derive(Debug)]
pub(crate) struct Health {
    breaker: Breaker,
    /// What is wrong, for as long as the breaker is not closed again.
    trouble: Option<Trouble>,
    /// Failures in a row, while closed.
    failures: u32,
    /// How often it opened since it was last at its full number: how long it rests next.
    rests: u32,
    /// How often it ever opened; an attempt of before then counts no more.
    opened: u32,
    /// How many may be under way at once, 1 to `most`.
    allowed: usize,
    most: usize,
    under_way: usize,
    /// The least time between two beginnings.
    spacing: Option<SignedDuration>,
    /// When the next may begin, where there is a least time.
    next: Timestamp,
}

/// What is wrong with a Fachverfahren.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It does not answer, or not as it should, or asked for a later time.
    Unavailable,
    /// An operator has to act; what is wrong.
    Misconfigured(String),
}

/// What an outcome changed that an operator wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It rests until then; `again` = for the same trouble as before.
    Opened {
        trouble: Trouble,
        until: Timestamp,
        again: bool,
    },
    /// It works again.
    Closed,
}

impl Health {
    /// Of a Fachverfahren that may be given `most` messages at once and `per_minute`, where that is bounded.
    pub(crate) fn new(most: usize, per_minute: Option<u32>) -> Self {
        Self {
            breaker: Breaker::Closed,
            trouble: None,
            failures: 0,
            rests: 0,
            opened: 0,
            allowed: 1,
            most,
            under_way: 0,
            spacing: per_minute
                .map(|most| SignedDuration::from_mins(1) / i32::try_from(most.max(1)).unwrap_or(i32::MAX)),
            next: Timestamp::UNIX_EPOCH,
        }
    }

    pub(crate) fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// How many may begin now.
    pub(crate) fn room(&self, now: Timestamp) -> Room {
        let most = match self.breaker {
            Breaker::Open { until } if self.rests(now) => return Room::At(until),
            Breaker::Open { .. } => 1,
            Breaker::HalfOpen => 0,
            Breaker::Closed => self.allowed.saturating_sub(self.under_way),
        };
        match (most, self.spacing) {
            (0, _) => Room::Full,
            (most, None) => Room::For(most),
            (_, Some(spacing)) if still_to_come(self.next, now, spacing) => Room::At(self.next),
            (_, Some(_)) => Room::For(1),
        }
    }

    /// Whether nothing is tried now.
    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        match self.breaker {
            Breaker::Open { until } => still_to_come(until, now, LONGEST),
            Breaker::HalfOpen | Breaker::Closed => false,
        }
    }

    /// One message is tried. To be called only when there is room.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Leave {
        if let Breaker::Open { .. } = self.breaker {
            self.breaker = Breaker::HalfOpen;
        }
        if let Some(spacing) = self.spacing {
            // a pause of the caller is not made up for afterwards, nor does a clock that was ahead keep it waiting
            let from = if still_to_come(self.next, now, spacing) {
                self.next
            } else {
                now
            };
            self.next = from + spacing;
        }
        self.under_way += 1;
        Leave { opened: self.opened }
    }

    /// What became of it. `spread` makes rests differ, from 0 to 255.
    pub(crate) fn note(&mut self, leave: &Leave, outcome: &Outcome, now: Timestamp, spread: u8) -> Option<News> {
        let (trouble, asked) = match outcome {
            Outcome::Accepted | Outcome::Rejected(_) | Outcome::Waiting => return self.went_well(leave),
            Outcome::Unavailable(asked) | Outcome::Unclear(asked) => (Trouble::Unavailable, *asked),
            Outcome::NotUnderstood(what) | Outcome::Misconfigured(what) => (Trouble::Misconfigured(what.clone()), None),
        };
        if leave.opened != self.opened {
            // it was under way when others failed: the same failure, but a time that was asked for counts
            if let (Breaker::Open { until }, Some(asked)) = (&mut self.breaker, asked) {
                *until = (*until).max(now + asked);
            }
            return None;
        }
        self.failures += 1;
        self.allowed = (self.allowed / 2).max(1);
        let opens = self.breaker == Breaker::HalfOpen
            || self.failures >= FAILURES
            || asked.is_some()
            || matches!(outcome, Outcome::Misconfigured(_));
        opens.then(|| self.open(trouble, asked.unwrap_or_default(), now, spread))
    }

    /// It is no longer under way, whatever became of it; `tried` = its outcome was noted.
    pub(crate) fn end(&mut self, leave: &Leave, tried: bool, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        if !tried && leave.opened == self.opened && self.breaker == Breaker::HalfOpen {
            // the probe never reached the Fachverfahren: the next one may go at once
            self.breaker = Breaker::Open { until: now };
        }
    }

    fn went_well(&mut self, leave: &Leave) -> Option<News> {
        if leave.opened != self.opened {
            return None;
        }
        self.failures = 0;
        match self.breaker {
            Breaker::HalfOpen => {
                self.breaker = Breaker::Closed;
                self.allowed = 1;
                Some(News::Closed)
            }
            Breaker::Closed | Breaker::Open { .. } => {
                self.allowed = (self.allowed + 1).min(self.most);
                if self.allowed == self.most {
                    self.rests = 0;
                    self.trouble = None;
                }
                None
            }
        }
    }

    fn open(&mut self, trouble: Trouble, asked: Duration, now: Timestamp, spread: u8) -> News {
        let rest = trouble.rest(self.rests);
        let until = (now + spread_out(rest, spread)).max(now + asked);
        let again = self.trouble.as_ref() == Some(&trouble);
        self.breaker = Breaker::Open { until };
        self.trouble = Some(trouble.clone());
        (self.failures, self.allowed) = (0, 1);
        self.rests = self.rests.saturating_add(1);
        self.opened = self.opened.wrapping_add(1);
        News::Opened { trouble, until, again }
    }
}

impl Trouble {
    /// The rest after this many before.
    fn rest(&self, before: u32) -> SignedDuration {
        let first = match self {
            Self::Unavailable => FIRST_REST,
            Self::Misconfigured(_) => FIRST_REST_FOR_OPERATOR,
        };
        doubled(first, before, LONGEST_REST)
    }
}

/// The pause before the next attempt of one message: longer each time, and no two messages in step.
pub(crate) fn backoff(attempts: u32, spread: u8) -> SignedDuration {
    spread_out(doubled(FIRST_REST, attempts, LONGEST_REST), spread)
}

/// Up to a quarter longer.
fn spread_out(pause: SignedDuration, spread: u8) -> SignedDuration {
    pause + pause / 4 * i32::from(spread) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn unavailable() -> Outcome {
        Outcome::Unavailable(None)
    }

    #[test]
    fn a_clock_that_was_ahead_holds_up_nothing_once_it_is_set_right() {
        let month = 30 * 24 * 3600;
        let mut health = Health::new(4, Some(60));
        let leave = health.begin(at(month));
        health.end(&leave, true, at(month));
        assert_eq!(health.room(at(0)), Room::For(1), "the pace");
        let leave = health.begin(at(0));
        health.end(&leave, true, at(0));
        assert!(matches!(health.room(at(0)), Room::At(next) if next == at(1)));
        health.note(&leave, &Outcome::Misconfigured("answer 401".to_owned()), at(month), 0);
        assert!(health.rests(at(month)) && !health.rests(at(2)));
        assert_eq!(health.room(at(2)), Room::For(1), "the breaker");
    }

    /// One message, begun and ended.
    fn tried(health: &mut Health, outcome: &Outcome, now: Timestamp) -> Option<News> {
        let leave = health.begin(now);
        let news = health.note(&leave, outcome, now, 0);
        health.end(&leave, true, now);
        news
    }

    fn open(health: &mut Health, second: i64) {
        let mut failures = 0;
        while health.breaker() == Breaker::Closed {
            tried(health, &unavailable(), at(second));
            failures += 1;
        }
        assert!(failures <= FAILURES);
    }

    #[test]
    fn it_speeds_up_as_fast_as_messages_are_taken_and_no_faster() {
        let mut health = Health::new(4, None);
        for expected in [1, 2, 3, 4, 4] {
            assert_eq!(health.room(at(0)), Room::For(expected));
            assert_eq!(tried(&mut health, &Outcome::Accepted, at(0)), None);
        }
        let under_way: Vec<_> = (0..4).map(|_| health.begin(at(0))).collect();
        assert_eq!(health.room(at(0)), Room::Full);
        assert_eq!(
            health.note(&under_way[0], &unavailable(), at(0), 0),
            None,
            "one failure is none"
        );
        health.end(&under_way[0], true, at(0));
        assert_eq!(
            health.room(at(0)),
            Room::Full,
            "two at once from now on, and three are under way"
        );
    }

    #[test]
    fn failures_in_a_row_open_it_and_exactly_one_is_tried_afterwards() {
        let mut health = Health::new(4, None);
        (0..3).for_each(|_| drop(tried(&mut health, &Outcome::Accepted, at(0))));
        let under_way: Vec<_> = (0..4).map(|_| health.begin(at(0))).collect();
        let news: Vec<_> = under_way
            .iter()
            .map(|leave| {
                let news = health.note(leave, &unavailable(), at(0), 0);
                health.end(leave, true, at(0));
                news
            })
            .collect();
        let (trouble, until) = (Trouble::Unavailable, at(1));
        let opened = News::Opened {
            trouble: trouble.clone(),
            until,
            again: false,
        };
        assert_eq!(
            news,
            [None, None, Some(opened), None],
            "what fails together is one failure"
        );
        assert_eq!(health.room(at(0)), Room::At(at(1)));
        assert_eq!(health.room(at(1)), Room::For(1));
        let probe = health.begin(at(1));
        assert_eq!((health.breaker(), health.room(at(9))), (Breaker::HalfOpen, Room::Full));
        // longer, and told as what is known
        let opened = News::Opened {
            trouble,
            until: at(4),
            again: true,
        };
        assert_eq!(health.note(&probe, &unavailable(), at(2), 0), Some(opened));
        health.end(&probe, true, at(2));
        assert_eq!(tried(&mut health, &Outcome::Accepted, at(4)), Some(News::Closed));
        assert_eq!(health.room(at(4)), Room::For(1), "it begins with one again");
    }

    #[test]
    fn who_was_under_way_when_it_opened_says_nothing_about_it() {
        let mut health = Health::new(8, None);
        (0..7).for_each(|_| drop(tried(&mut health, &Outcome::Accepted, at(0))));
        let (early, asking) = (health.begin(at(0)), health.begin(at(0)));
        open(&mut health, 0);
        assert_eq!(health.note(&early, &Outcome::Accepted, at(0), 0), None);
        assert_eq!(health.breaker(), Breaker::Open { until: at(1) });
        let asked = Some(Duration::from_secs(60));
        assert_eq!(health.note(&asking, &Outcome::Unavailable(asked), at(0), 0), None);
        assert_eq!(
            health.breaker(),
            Breaker::Open { until: at(60) },
            "a time asked for counts"
        );
        let probe = health.begin(at(60));
        assert_eq!(health.note(&early, &unavailable(), at(60), 0), None);
        assert_eq!(health.breaker(), Breaker::HalfOpen);
        assert_eq!(health.note(&probe, &Outcome::Accepted, at(61), 0), Some(News::Closed));
    }

    #[test]
    fn a_probe_that_never_reached_the_fachverfahren_is_none() {
        let mut health = Health::new(1, None);
        open(&mut health, 0);
        let probe = health.begin(at(1));
        health.end(&probe, false, at(2));
        assert_eq!(health.room(at(2)), Room::For(1));
    }

    #[test]
    fn what_an_operator_has_to_mend_and_what_a_server_asks_for_open_it_at_once() {
        let mut health = Health::new(1, None);
        let wrong = Outcome::Misconfigured("answer 401".to_owned());
        assert!(tried(&mut health, &wrong, at(0)).is_some());
        assert_eq!(health.room(at(0)), Room::At(at(30)));
        let mut health = Health::new(1, None);
        let one = Outcome::NotUnderstood("answer 400".to_owned());
        assert_eq!(
            tried(&mut health, &one, at(0)),
            None,
            "of one message nothing follows for the others"
        );
        assert_eq!(tried(&mut health, &Outcome::Accepted, at(0)), None);
        let opened = (0..FAILURES).filter_map(|_| tried(&mut health, &one, at(0))).count();
        assert_eq!(
            (opened, health.room(at(0))),
            (1, Room::At(at(30))),
            "said of all of them it is the adapter"
        );
        let mut health = Health::new(1, None);
        let asked = Outcome::Unavailable(Some(Duration::from_secs(90)));
        assert!(tried(&mut health, &asked, at(0)).is_some());
        assert_eq!(health.room(at(0)), Room::At(at(90)));
    }

    #[test]
    fn rests_grow_until_it_has_been_back_at_its_full_number() {
        let mut health = Health::new(2, None);
        let mut second = 0;
        let mut rests = vec![];
        for _ in 0..3 {
            open(&mut health, second);
            let Room::At(until) = health.room(at(second)) else {
                panic!()
            };
            rests.push(until.duration_since(at(second)).as_secs());
            second = until.duration_since(at(0)).as_secs();
            // one taken, then it fails again: still the same outage
            assert_eq!(tried(&mut health, &Outcome::Accepted, at(second)), Some(News::Closed));
        }
        assert_eq!(rests, [1, 2, 4]);
        tried(&mut health, &Outcome::Accepted, at(second));
        assert_eq!(health.room(at(second)), Room::For(2));
        open(&mut health, second);
        assert_eq!(health.room(at(second)), Room::At(at(second + 1)));
        for _ in 0..20 {
            let Room::At(until) = health.room(at(second)) else {
                panic!()
            };
            assert!(until.duration_since(at(second)) <= LONGEST_REST);
            second = until.duration_since(at(0)).as_secs();
            tried(&mut health, &unavailable(), at(second));
        }
    }

    #[test]
    fn a_bounded_rate_spaces_beginnings_and_makes_up_for_nothing() {
        let mut health = Health::new(4, Some(30));
        assert_eq!(health.room(at(0)), Room::For(1));
        tried(&mut health, &Outcome::Accepted, at(0));
        assert_eq!(health.room(at(0)), Room::At(at(2)));
        tried(&mut health, &Outcome::Accepted, at(100));
        assert_eq!(health.room(at(100)), Room::At(at(102)));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        assert_eq!(backoff(0, 0), FIRST_REST);
        assert_eq!(backoff(3, 0), FIRST_REST * 8);
        assert_eq!(backoff(u32::MAX, 0), LONGEST_REST);
        assert!(backoff(3, 255) > backoff(3, 100));
        assert!(backoff(u32::MAX, 255) <= LONGEST_REST * 5 / 4);
    }
}
