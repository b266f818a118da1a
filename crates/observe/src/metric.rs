//! The declaration of a metric: its name, kind, unit, labels and meaning, in one place.
//!
//! Everything else is made from it: the series that are recorded, the help text beside them, the reference for
//! operators, and the check of alert rules and dashboards.

use metrics::{Counter, Gauge, Histogram, Key, Level, Metadata, SharedString};

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, as Prometheus shows it.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// In what it counts.
    pub unit: Unit,
    /// What tells its series apart, in this order.
    pub labels: &'static [Label],
    /// What it says, in a sentence or two.
    pub meaning: &'static str,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations counted by size; the upper bounds of the buckets.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word of Prometheus.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// In what a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Seconds since 1970-01-01T00:00Z.
    Instant,
    /// Octets.
    Octets,
    /// Nothing: 1 for yes and 0 for no, or a number for a state.
    State,
}

impl Unit {
    /// The word in the reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Seconds => "seconds",
            Unit::Instant => "Unix time in seconds",
            Unit::Octets => "octets",
            Unit::State => "state",
        }
    }
}

/// What tells series of one metric apart.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it can be.
    pub values: Values,
}

/// What a label can be.
#[derive(Debug)]
pub enum Values {
    /// One of a closed list of words.
    Words(fn() -> Vec<&'static str>),
    /// Whatever the operator's own files name, as this sentence says; never anything that came over a wire.
    Named(&'static str),
}

impl Values {
    /// The words, where there is a closed list of them.
    pub fn words(&self) -> Vec<&'static str> {
        match self {
            Values::Words(words) => words(),
            Values::Named(_) => Vec::new(),
        }
    }
}

impl Metric {
    /// The counter with these values of the labels, in the order of the declaration.
    pub fn counter(&self, values: &[SharedString]) -> Counter {
        let key = self.key(values);
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    /// The gauge with these values of the labels, in the order of the declaration.
    pub fn gauge(&self, values: &[SharedString]) -> Gauge {
        let key = self.key(values);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    /// The histogram with these values of the labels, in the order of the declaration.
    pub fn histogram(&self, values: &[SharedString]) -> Histogram {
        let key = self.key(values);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    fn key(&self, values: &[SharedString]) -> Key {
        let pair = |(label, value): (&Label, &SharedString)| metrics::Label::new(label.name, value.clone());
        Key::from_parts(self.name, self.labels.iter().zip(values).map(pair).collect::<Vec<_>>())
    }

    /// Tells the recorder what the metric means.
    pub fn describe(&self) {
        let (name, meaning) = (self.name.into(), self.meaning.trim().into());
        metrics::with_recorder(|recorder| match self.kind {
            Kind::Counter => recorder.describe_counter(name, None, meaning),
            Kind::Gauge => recorder.describe_gauge(name, None, meaning),
            Kind::Histogram(_) => recorder.describe_histogram(name, None, meaning),
        });
    }
}

/// A recorder may filter by it; ours does not.
static METADATA: Metadata<'static> = Metadata::new("viereck", Level::INFO, None);

/// Declares the metrics of a room, and `METRICS`, the list of them.
///
/// `NAME = kind, unit, "name", [labels];` with the meaning as its documentation.
#[macro_export]
macro_rules! declare {
    ($(
        $(#[doc = $line:literal])+
        $id:ident = $kind:expr, $unit:ident, $name:literal, [$($label:expr),* $(,)?];
    )+) => {
        $(
            $(#[doc = $line])+
            pub static $id: $crate::Metric = $crate::Metric {
                name: $name,
                kind: $kind,
                unit: $crate::Unit::$unit,
                labels: &[$($label),*],
                meaning: concat!($($line),+),
            };
        )+

        /// Every metric of this room.
        pub static METRICS: &[&$crate::Metric] = &[$(&$id),+];
    };
}
