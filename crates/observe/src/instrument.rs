//! Families of series that are counted on the way of a message: looked up once, then nothing but an atomic addition.
//!
//! The last label of the metric is a closed list of words, the others are fixed for a family. All series of a family
//! appear at its first use, with 0, so that a rule over their growth sees the first event too. Where nobody records, as
//! in most tests, nothing is counted and nothing is kept.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Counter, Histogram, Recorder, SetRecorderError, SharedString};

use crate::metric::Metric;

/// Series made before anybody records would lead nowhere for ever.
static RECORDING: AtomicBool = AtomicBool::new(false);

/// Makes `recorder` the one of this process; everything is counted from now on.
///
/// # Errors
/// Gives it back when there is one already.
pub fn record_with<R: Recorder + Sync + 'static>(recorder: R) -> Result<(), SetRecorderError<R>> {
    metrics::set_global_recorder(recorder)?;
    RECORDING.store(true, Ordering::Release);
    Ok(())
}

/// The counters of one metric, told apart by the words of its last label.
#[derive(Debug)]
pub struct Counters(Family<Counter>);

impl Counters {
    /// The family of `metric` with these values of all labels but the last.
    pub fn of(metric: &'static Metric, fixed: Vec<SharedString>) -> Self {
        Self(Family::of(metric, fixed, Metric::counter))
    }

    /// Counts one.
    pub fn count(&self, word: &str) {
        self.add(word, 1);
    }

    /// Counts several.
    pub fn add(&self, word: &str, more: u64) {
        if let Some(counter) = self.0.series(word) {
            counter.increment(more);
        }
    }
}

/// The histograms of one metric, told apart by the words of its last label.
#[derive(Debug)]
pub struct Histograms(Family<Histogram>);

impl Histograms {
    /// The family of `metric` with these values of all labels but the last.
    pub fn of(metric: &'static Metric, fixed: Vec<SharedString>) -> Self {
        Self(Family::of(metric, fixed, Metric::histogram))
    }

    /// Notes one observation.
    pub fn observe(&self, word: &str, value: f64) {
        if let Some(histogram) = self.0.series(word) {
            histogram.record(value);
        }
    }

    /// Notes how long something took.
    pub fn took(&self, word: &str, time: Duration) {
        self.observe(word, time.as_secs_f64());
    }
}

type Make<S> = fn(&Metric, &[SharedString]) -> S;

struct Family<S> {
    metric: &'static Metric,
    fixed: Vec<SharedString>,
    make: Make<S>,
    series: OnceLock<Vec<(&'static str, S)>>,
}

impl<S> Family<S> {
    fn of(metric: &'static Metric, fixed: Vec<SharedString>, make: Make<S>) -> Self {
        Self {
            metric,
            fixed,
            make,
            series: OnceLock::new(),
        }
    }

    /// `None` where nobody records, and for a word that is not on the list.
    fn series(&self, word: &str) -> Option<&S> {
        if !RECORDING.load(Ordering::Acquire) {
            return None;
        }
        let series = self.series.get_or_init(|| {
            let words = self.metric.labels.last().map(|label| label.values.words());
            let one = |word: &'static str| {
                let values: Vec<_> = self.fixed.iter().cloned().chain([word.into()]).collect();
                (word, (self.make)(self.metric, &values))
            };
            words.unwrap_or_default().into_iter().map(one).collect()
        });
        // a few words at most: looking through them is quicker than any map
        series
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, series)| series)
    }
}

impl<S> std::fmt::Debug for Family<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family")
            .field("metric", &self.metric.name)
            .field("fixed", &self.fixed)
            .finish_non_exhaustive()
    }
}
