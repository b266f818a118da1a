//! Looking for the answers of Fachverfahren that read folders.
//!
//! A message in its folder is a row of the journal that nobody has in hand. What was handed over in the last seconds is
//! looked at twice a second, what is older less often, and everything at least every thirty seconds, or as often as a
//! tenth of one thread allows. A look costs no commit, no octets and no place among those in hand; only an answer is
//! claimed and written down. Instances that share a journal all look; one of them notes the answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use viereck_custody::hand_over::Unanswered;
use viereck_custody::{Conclusion, JOURNAL_PAUSE, JournalError, MessageKey};

use super::Deliveries;
use super::adapter::Adapter;
use super::directory::{Directory, Seen};
use super::outcome::Outcome;
use crate::gateway::Gateway;

/// How often is looked.
const TICK: Duration = Duration::from_millis(500);
/// What is looked at each how many ticks: what has been there for no longer than this. Everything on the last.
const AGES: [(u64, SignedDuration); 2] = [(1, SignedDuration::from_secs(10)), (10, SignedDuration::from_mins(5))];
/// Everything is looked at each so many ticks.
const EVERYTHING: u64 = 60;
/// Looking may take one part in so many of the time.
const SHARE: u32 = 10;
/// Messages in memory at once.
const PAGE: usize = 500;
/// Unclear markers that are told of; further ones only count.
const TOLD: usize = 1000;

/// Looks until `shutdown`.
///
/// # Errors
/// Only of the journal, and only what does not pass by itself.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    deliveries: Arc<Deliveries>,
    shutdown: CancellationToken,
) -> Result<(), JournalError> {
    let mut watch = Watch {
        gateway,
        deliveries,
        told: HashMap::new(),
        unusable: vec![],
    };
    for tick in 0_u64.. {
        let began = Instant::now();
        let pause = match watch.look(tick).await {
            Ok(()) => TICK.max(began.elapsed() * (SHARE - 1)),
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "the journal cannot note an answer, again soon");
                JOURNAL_PAUSE
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

struct Watch {
    gateway: Arc<Gateway>,
    deliveries: Arc<Deliveries>,
    /// Unclear markers that were told of, and in which round they were last seen.
    told: HashMap<MessageKey, u64>,
    /// Folders that could not be looked into, by the place of their delivery.
    unusable: Vec<usize>,
}

impl Watch {
    async fn look(&mut self, tick: u64) -> Result<(), JournalError> {
        let everything = tick.is_multiple_of(EVERYTHING);
        let age = AGES.iter().rev().find(|(each, _)| tick.is_multiple_of(*each));
        let since = match age {
            Some((_, age)) if !everything => Timestamp::now() - *age,
            _ => Timestamp::UNIX_EPOCH,
        };
        let mut failed = vec![];
        let mut after = None;
        loop {
            let page = self.gateway.journal.unanswered(since, after, PAGE).await?;
            after = page.last().map(Unanswered::bookmark);
            let full = page.len() == PAGE;
            self.look_at(page, tick, &mut failed).await?;
            if !full {
                break;
            }
        }
        if everything {
            self.told.retain(|_, seen| *seen == tick);
            self.unusable = failed;
        }
        Ok(())
    }

    async fn look_at(&mut self, page: Vec<Unanswered>, tick: u64, failed: &mut Vec<usize>) -> Result<(), JournalError> {
        let mut asked = vec![];
        for message in page {
            let Some(place) = self.deliveries.place_of_waiting(&message.pair) else {
                continue;
            };
            match self.deliveries.all().get(place).map(|delivery| &delivery.adapter) {
                Some(Adapter::Directory(directory)) => asked.push((place, directory.clone(), message)),
                // it goes another way by now: the same message, under the same key
                Some(Adapter::Http(_) | Adapter::Postfach(_)) => self.again(&message).await?,
                None => {}
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let looking = move || {
            let look = |(place, directory, message): (usize, Directory, Unanswered)| {
                // an empty folder in the place of a mount must not look as if nothing had been handed over
                let seen = directory.is_there().and_then(|()| directory.look(&message.key));
                (place, seen, directory, message)
            };
            asked.into_iter().map(look).collect::<Vec<_>>()
        };
        for (place, seen, directory, message) in self.gateway.aside(looking).await {
            match seen {
                Ok(Seen::HandedOver(Outcome::Accepted)) => self.end(&directory, &message, Conclusion::Accepted).await?,
                Ok(Seen::HandedOver(Outcome::Rejected(reason))) => {
                    self.end(&directory, &message, Conclusion::Rejected(vec![reason]))
                        .await?;
                }
                Ok(Seen::HandedOver(_)) => {}
                Ok(Seen::Unclear(what)) => self.tell(&message.key, what, tick),
                Ok(Seen::NotHandedOver) => self.again(&message).await?,
                Err(error) => {
                    if !failed.contains(&place) && !self.unusable.contains(&place) {
                        let delivery = self.deliveries.all().get(place).map(|delivery| delivery.name());
                        tracing::error!(delivery, %error, alarm = "adapter-misconfigured", "the folder cannot be looked into");
                        self.unusable.push(place);
                    }
                    if !failed.contains(&place) {
                        failed.push(place);
                    }
                }
            }
        }
        Ok(())
    }

    async fn end(&self, directory: &Directory, message: &Unanswered, end: Conclusion) -> Result<(), JournalError> {
        if self.gateway.journal.take_up(message).await?.is_none() {
            return Ok(());
        }
        match self.gateway.journal.conclude(&message.key, end).await {
            // ended meanwhile, e.g. by another instance: that end stands
            Err(JournalError::Unknown) => return Ok(()),
            ended => ended?,
        }
        directory.forget(&message.key);
        Ok(())
    }

    async fn again(&self, message: &Unanswered) -> Result<(), JournalError> {
        if self.gateway.journal.take_up(message).await?.is_none() {
            return Ok(());
        }
        match self.gateway.journal.hand_over_again(&message.key).await {
            Err(JournalError::Unknown) => Ok(()),
            other => other,
        }
    }

    fn tell(&mut self, key: &MessageKey, what: &str, tick: u64) {
        let told = self.told.contains_key(key);
        if told || self.told.len() < TOLD {
            self.told.insert(key.clone(), tick);
        }
        if !told && self.told.len() < TOLD {
            tracing::error!(message_id = %key.message_id, alarm = "marker-unclear", "{what}; it waits");
        }
    }
}
