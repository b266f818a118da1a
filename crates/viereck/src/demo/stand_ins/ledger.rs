//! What an authority's side saw: attempts and effects, counted apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::message::{Breach, HandedOver};
use super::{Answer, Script};

/// Where one key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Attempted, but neither taken over nor rejected.
    Open,
    /// Taken over: it took effect.
    Accepted,
    /// Rejected with this reason code.
    Rejected(String),
}

/// One key's attempts: the `Idempotency-Key` over HTTP, the folder's name in a folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was handed over.
    pub handed_over: HandedOver,
    /// How often it was offered.
    pub attempts: u32,
    /// When it was offered last.
    pub last_attempt: Instant,
    /// How often it took effect: more than once would be a failure of this stand-in.
    pub effects: u32,
    /// Where it stands.
    pub standing: Standing,
}

/// Everything one stand-in saw since it started.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    breaches: Vec<Breach>,
    bescheide: Vec<SentBescheid>,
}

/// A Bescheid that the gateway took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBescheid {
    /// The case it decides.
    pub case_id: String,
    /// The application it answers.
    pub in_reply_to: String,
    /// The id that the gateway gave it.
    pub message_id: String,
}

/// What the ledger says to one attempt, before anything takes effect.
pub(super) enum Verdict {
    /// Decided on an earlier attempt with the same key.
    Settled(Standing),
    /// To be decided now.
    Decide(Answer),
}

impl Ledger {
    /// The entries by key.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// Contracts broken by the gateway's side; empty where all is well.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// Bescheide that were written and that the gateway took.
    pub fn bescheide(&self) -> &[SentBescheid] {
        &self.bescheide
    }

    /// The entry of a message, where it was offered under one key or more: the first of them.
    pub fn of_message(&self, message_id: &str) -> Option<&Entry> {
        self.of(message_id).next()
    }

    /// How often a message was offered, under whatever keys.
    pub fn attempts(&self, message_id: &str) -> u32 {
        self.of(message_id).map(|entry| entry.attempts).sum()
    }

    /// How often a message took effect, under whatever keys: 2 means that a gateway changed the key.
    pub fn effects(&self, message_id: &str) -> u32 {
        self.of(message_id).map(|entry| entry.effects).sum()
    }

    fn of(&self, message_id: &str) -> impl Iterator<Item = &Entry> {
        self.entries
            .values()
            .filter(move |entry| entry.handed_over.message.message_id == message_id)
    }

    /// Counts an attempt and asks the script what to do, unless the key is settled.
    pub(super) fn attempt(&mut self, key: &str, handed_over: &HandedOver, script: &Script) -> Verdict {
        let entry = self.entries.entry(key.to_owned()).or_insert_with(|| Entry {
            handed_over: handed_over.clone(),
            attempts: 0,
            last_attempt: Instant::now(),
            effects: 0,
            standing: Standing::Open,
        });
        entry.attempts += 1;
        entry.last_attempt = Instant::now();
        match &entry.standing {
            Standing::Open => Verdict::Decide(script(handed_over, entry.attempts)),
            settled => Verdict::Settled(settled.clone()),
        }
    }

    /// Settles a key. False where another attempt settled it in the meantime: then nothing takes effect.
    pub(super) fn settle(&mut self, key: &str, standing: Standing) -> bool {
        let Some(entry) = self
            .entries
            .get_mut(key)
            .filter(|entry| entry.standing == Standing::Open)
        else {
            return false;
        };
        entry.effects += u32::from(standing == Standing::Accepted);
        entry.standing = standing;
        true
    }

    pub(super) fn breach(&mut self, breach: Breach) {
        self.breaches.push(breach);
    }

    pub(super) fn bescheid(&mut self, sent: SentBescheid) {
        self.bescheide.push(sent);
    }
}

/// A condition that did not come true before its deadline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited {0:?} in vain")]
pub struct NotInTime(Duration);

/// A stand-in's record, to be looked at and waited on while it runs.
pub struct Watch<T> {
    record: Arc<Mutex<T>>,
    changes: watch::Sender<()>,
}

impl<T> Clone for Watch<T> {
    fn clone(&self) -> Self {
        Watch {
            record: self.record.clone(),
            changes: self.changes.clone(),
        }
    }
}

impl<T: Default> Default for Watch<T> {
    fn default() -> Self {
        Watch {
            record: Arc::default(),
            changes: watch::Sender::new(()),
        }
    }
}

impl<T: Clone> Watch<T> {
    /// The record as it is now.
    pub fn now(&self) -> T {
        self.record().clone()
    }

    /// What `look` finds in the record as it is now, without a copy of it.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.record())
    }

    /// The record as soon as `condition` holds; an error when `deadline` passes first.
    pub async fn until(&self, deadline: Duration, mut condition: impl FnMut(&T) -> bool) -> Result<T, NotInTime> {
        let mut changes = self.changes.subscribe();
        let holds = async {
            loop {
                // The subscription is older than this look, so no change between the two is missed.
                let seen = Some(self.record())
                    .filter(|record| condition(record))
                    .map(|record| record.clone());
                match seen {
                    Some(record) => break record,
                    // Cannot fail: the sender lives in `self`.
                    None => drop(changes.changed().await),
                }
            }
        };
        tokio::time::timeout(deadline, holds)
            .await
            .map_err(|_| NotInTime(deadline))
    }

    /// Changes the record under its lock and wakes who waits.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.record());
        self.changes.send_replace(());
        result
    }

    fn record(&self) -> MutexGuard<'_, T> {
        // A script that panicked leaves a record that is as complete as before its attempt.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
