//! One delivery of the configuration at work: its adapter, how its Fachverfahren fares, and how fast it takes.
//!
//! A Fachverfahren that is slow, down or wrongly set up holds up nobody but itself: each delivery has a [`Health`] of its
//! own. What is wrong is told when it begins and when it changes, not with every attempt.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use reqwest::Client;
use viereck_custody::hand_over::Pair;
use viereck_routing::{BehoerdeId, LeistungId};

use super::adapter::{Adapter, AdapterError};
use super::endpoint;
use super::health::{Breaker, Health, Leave, News, Room, Trouble};
use super::outcome::Outcome;
use super::rate::Rate;
use crate::config::{self, For};

/// A delivery that is ready.
pub(crate) struct Delivery {
    pub(crate) adapter: Adapter,
    /// How many it is given at once at most.
    pub(crate) concurrency: usize,
    /// Its place in the configuration, for the log.
    name: String,
    state: Mutex<State>,
}

struct State {
    health: Health,
    rates: HashMap<Pair, Rate>,
}

/// The deliveries of one gateway.
pub(crate) struct Deliveries {
    all: Vec<Arc<Delivery>>,
    places: HashMap<(For<BehoerdeId>, For<LeistungId>), usize>,
    /// Pairs without one that were told of.
    nowhere: Mutex<BTreeSet<Pair>>,
}

/// One message on its way through a delivery; its place is free again when this is dropped.
pub(crate) struct Attempt {
    delivery: Arc<Delivery>,
    leave: Leave,
    noted: bool,
}

impl Delivery {
    pub(crate) fn new(index: usize, config: &config::Delivery, client: &Client) -> Result<Self, AdapterError> {
        Ok(Self {
            adapter: Adapter::new(&config.adapter, client)?,
            concurrency: config.concurrency,
            name: format!("delivery[{index}] {}", config.behoerde),
            state: Mutex::new(State {
                health: Health::new(config.concurrency, config.per_minute),
                rates: HashMap::new(),
            }),
        })
    }

    /// Its place in the configuration, for the log.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn breaker(&self) -> Breaker {
        self.state().health.breaker()
    }

    /// Whether nothing is tried now.
    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        self.state().health.rests(now)
    }

    /// How many may begin now.
    pub(crate) fn room(&self, now: Timestamp) -> Room {
        self.state().health.room(now)
    }

    /// Whether anything is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().health.is_idle()
    }

    /// One message begins. To be called only when there is room.
    pub(crate) fn begin(self: &Arc<Self>, now: Timestamp) -> Attempt {
        Attempt {
            leave: self.state().health.begin(now),
            delivery: Arc::clone(self),
            noted: false,
        }
    }

    /// Messages of this pair a minute, as far as they can be told.
    pub(crate) fn per_minute(&self, pair: &Pair, now: Timestamp) -> Option<f64> {
        self.state().rates.get(pair).and_then(|rate| rate.per_minute(now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // plain values, whole after every statement
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deliveries {
    pub(crate) fn new(configs: &[config::Delivery]) -> Result<Self, AdapterError> {
        let client = endpoint::client()?;
        let all = configs.iter().enumerate();
        let all = all.map(|(index, config)| Delivery::new(index, config, &client).map(Arc::new));
        let places = configs.iter().enumerate();
        let places = places.map(|(index, config)| ((config.behoerde.clone(), config.leistung.clone()), index));
        Ok(Self {
            all: all.collect::<Result<_, AdapterError>>()?,
            places: places.collect(),
            nowhere: Mutex::default(),
        })
    }

    /// Each, in the order of the configuration.
    pub(crate) fn all(&self) -> &[Arc<Delivery>] {
        &self.all
    }

    /// The place of the one for a pair: that of this very Behörde before the one of all, and for this very Leistung
    /// before the one for all.
    pub(crate) fn place(&self, pair: &Pair) -> Option<usize> {
        let of = [For::Only(pair.reader.clone()), For::Default];
        let mut keys = of.into_iter().flat_map(|of| {
            let kinds = [For::Only(pair.leistung.clone()), For::Default];
            kinds.map(|kind| (of.clone(), kind))
        });
        keys.find_map(|key| self.places.get(&key).copied())
    }

    /// The same, where something waits for it: if there is none, that is told, once for each pair.
    pub(crate) fn place_of_waiting(&self, pair: &Pair) -> Option<usize> {
        let place = self.place(pair);
        if place.is_none() && self.is_news(pair) {
            tracing::error!(behoerde = %pair.reader, leistung = %pair.leistung, alarm = "adapter-misconfigured",
                "no delivery is configured for it: its messages wait, and no answers are looked for");
        }
        place
    }

    /// Whether it was not told yet that there is none for a pair; from now on it was.
    fn is_news(&self, pair: &Pair) -> bool {
        // whole after every statement
        let mut nowhere = self.nowhere.lock().unwrap_or_else(PoisonError::into_inner);
        !nowhere.contains(pair) && nowhere.insert(pair.clone())
    }

    /// The one for a pair.
    pub(crate) fn find(&self, pair: &Pair) -> Option<&Arc<Delivery>> {
        self.place(pair).and_then(|place| self.all.get(place))
    }
}

impl Attempt {
    pub(crate) fn adapter(&self) -> &Adapter {
        &self.delivery.adapter
    }

    /// Notes what became of it. `spread` makes rests differ.
    pub(crate) fn note(&mut self, pair: &Pair, outcome: &Outcome, now: Timestamp, spread: u8) {
        self.noted = true;
        let mut state = self.delivery.state();
        if outcome.is_taken() {
            state.rates.entry(pair.clone()).or_default().count(now);
        }
        let news = state.health.note(&self.leave, outcome, now, spread);
        if let Some(News::Opened { .. }) = &news {
            state.rates.values_mut().for_each(|rate| rate.rest(now));
        }
        drop(state);
        if let Some(news) = news {
            news.tell(&self.delivery.name);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.delivery
            .state()
            .health
            .end(&self.leave, self.noted, Timestamp::now());
    }
}

impl News {
    fn tell(&self, delivery: &str) {
        match self {
            News::Closed => tracing::info!(delivery, "the Fachverfahren answers again"),
            News::Opened { until, again: true, .. } => {
                tracing::debug!(delivery, %until, "the Fachverfahren still fails")
            }
            News::Opened {
                trouble: Trouble::Unavailable,
                until,
                ..
            } => tracing::warn!(delivery, %until, "the Fachverfahren does not answer: it rests"),
            News::Opened {
                trouble: Trouble::Misconfigured(what),
                until,
                ..
            } => tracing::error!(delivery, %until, alarm = "adapter-misconfigured", "{what}: mend the adapter"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::testing::hear;

    fn delivery() -> Arc<Delivery> {
        let json = r#"{"behoerde":"wgb:010010000000","leistung":"default","adapter":"http","url":"http://127.0.0.1/","concurrency":2}"#;
        let delivery = Delivery::new(0, &serde_json::from_str(json).unwrap(), &Client::new());
        Arc::new(delivery.unwrap_or_else(|error| panic!("{error}")))
    }

    fn pair() -> Pair {
        Pair {
            reader: "wgb:010010000000".parse().unwrap(),
            leistung: "99107023037000".parse().unwrap(),
        }
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_when_it_changes() {
        let delivery = delivery();
        let levels = Arc::new(Mutex::new(vec![]));
        let _hearing = hear({
            let levels = Arc::clone(&levels);
            move |level, _| levels.lock().unwrap().push(level)
        });
        let told = |outcome: Outcome, second: i64| {
            let now = Timestamp::from_second(1_800_000_000 + second).unwrap();
            assert!(matches!(delivery.room(now), Room::For(_)));
            delivery.begin(now).note(&pair(), &outcome, now, 0);
            std::mem::take(&mut *levels.lock().unwrap())
        };
        let wrong = |what: &str| Outcome::Misconfigured(what.to_owned());
        assert_eq!(told(wrong("answer 401"), 0), [Level::ERROR]);
        assert_eq!(told(wrong("answer 401"), 100), [Level::DEBUG]);
        assert_eq!(told(wrong("answer 404"), 300), [Level::ERROR]);
        assert_eq!(told(Outcome::Unavailable(None), 1000), [Level::WARN]);
        assert_eq!(told(Outcome::Unavailable(None), 2000), [Level::DEBUG]);
        assert_eq!(told(Outcome::Accepted, 3000), [Level::INFO]);
        assert!(told(Outcome::Accepted, 3001).is_empty());
    }

    #[test]
    fn a_place_is_free_again_whatever_became_of_it() {
        let delivery = delivery();
        let now = Timestamp::now();
        let attempt = delivery.begin(now);
        assert_eq!(delivery.room(now), Room::Full);
        assert!(!delivery.is_idle());
        drop(attempt);
        assert_eq!(delivery.room(now), Room::For(1));
        assert!(delivery.is_idle());
    }
}
