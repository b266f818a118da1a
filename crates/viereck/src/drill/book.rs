//! What the drill promised itself to account for: one record for each application, from the first request to its end.
//!
//! The book knows what was asked, what the gateway said and when. What took effect is the stand-ins' to say; the
//! [`account`](super::account) compares the two. Nothing here is taken from Viereck's journals.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use viereck_routing::BehoerdeId;

use super::paper::Kind;

/// The number of an application: its place in the book, and what its payload says.
pub(super) type Number = u64;

/// One application that was promised.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The strike during which it was filed, by its place in the plan.
    pub(super) strike: usize,
    /// What it is.
    pub(super) kind: Kind,
    /// The name that the gateway gave it.
    pub(super) submission: String,
    /// The authorities that a table in force at that time names; more than one only while the table changes.
    pub(super) competent: Vec<BehoerdeId>,
    /// The authority that the gateway named.
    pub(super) behoerde: String,
    /// When the promise arrived.
    pub(super) promised: Instant,
    /// How it ended at its sender's side, and when that was seen.
    pub(super) end: Option<End>,
}

/// How an application ended, as its sender tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The terminal status.
    pub(super) status: String,
    /// The codes of its reasons.
    pub(super) reasons: Vec<String>,
    /// When it was seen.
    pub(super) seen: Instant,
}

/// All records, by number. A number that was drawn and not yet answered has none.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: Mutex<Pages>,
}

/// What lies open of a book.
#[derive(Debug, Default)]
pub(super) struct Pages {
    records: Vec<Option<Record>>,
    /// Repeats under the same key that were answered differently.
    contradictions: Vec<String>,
    /// Refusals that cannot be right: the code with which a valid application was turned away.
    refusals: Vec<String>,
}

impl Book {
    /// Draws the next number.
    pub(super) fn draw(&self) -> Number {
        let mut pages = self.pages();
        pages.records.push(None);
        pages.records.len() as Number - 1
    }

    /// Enters a promise.
    pub(super) fn promised(&self, number: Number, record: Record) {
        if let Some(page) = self.pages().page(number) {
            *page = Some(record);
        }
    }

    /// Enters an end.
    pub(super) fn ended(&self, number: Number, end: End) {
        if let Some(Some(record)) = self.pages().page(number) {
            record.end.get_or_insert(end);
        }
    }

    /// Notes that one key was answered in two ways.
    pub(super) fn contradiction(&self, first: &str, second: &str) {
        self.pages().contradictions.push(format!("{first} and {second}"));
    }

    /// Notes that a valid application was refused.
    pub(super) fn refused(&self, code: String) {
        self.pages().refusals.push(code);
    }

    /// The names of those drawn since `since` that go to the Fachverfahren over HTTP; `ended` tells which.
    pub(super) fn submissions_since(&self, since: usize, ended: bool) -> Vec<String> {
        let pages = self.pages();
        let all = pages.since(since).filter(|record| record.kind.is_for_http());
        all.filter(|record| record.end.is_some() == ended)
            .map(|record| record.submission.clone())
            .collect()
    }

    /// How many numbers were drawn.
    pub(super) fn drawn(&self) -> usize {
        self.pages().records.len()
    }

    /// How many of those drawn since `since` are promised.
    pub(super) fn promised_since(&self, since: usize) -> usize {
        self.pages().since(since).count()
    }

    /// How long after `moment` the first application that was promised later was known to be taken over. Only what goes
    /// to the Fachverfahren over HTTP counts: it is the one that is troubled.
    pub(super) fn service_after(&self, moment: Instant, since: usize) -> Option<Duration> {
        let pages = self.pages();
        let later = pages
            .since(since)
            .filter(|record| record.promised > moment && record.kind.is_for_http());
        let accepted = later.filter_map(|record| record.end.as_ref().filter(|end| end.status == "accepted"));
        accepted.map(|end| end.seen.duration_since(moment)).min()
    }

    /// Reads all of it.
    pub(super) fn read<R>(&self, read: impl FnOnce(&Pages) -> R) -> R {
        read(&self.pages())
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // plain values, whole after every statement
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Every promise with its number.
    pub(super) fn promises(&self) -> impl Iterator<Item = (Number, &Record)> {
        let all = self.records.iter().enumerate();
        all.filter_map(|(number, record)| Some((number as Number, record.as_ref()?)))
    }

    /// Keys that were answered in two ways.
    pub(super) fn contradictions(&self) -> &[String] {
        &self.contradictions
    }

    /// Codes of refusals of valid applications.
    pub(super) fn refusals(&self) -> &[String] {
        &self.refusals
    }

    /// How many numbers were drawn.
    pub(super) fn drawn(&self) -> Number {
        self.records.len() as Number
    }

    fn since(&self, since: usize) -> impl Iterator<Item = &Record> {
        self.records.iter().skip(since).flatten()
    }

    fn page(&mut self, number: Number) -> Option<&mut Option<Record>> {
        self.records.get_mut(usize::try_from(number).ok()?)
    }
}
