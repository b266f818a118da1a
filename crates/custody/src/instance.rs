//! This process among those that share a journal.
//!
//! Several instances of one custodian share a journal on PostgreSQL. Each has a name of its own for as long as it runs,
//! gives a sign of life every [`BEAT`], and hears what the others commit, so that whoever waits here for something that
//! happens there need not ask. An instance that is silent for [`SILENCE`] counts as dead: what it had in hand is free.
//!
//! The signs of life belong to the open journal, as the writer thread does: they begin with it and end with it, so
//! that no component can forget them. Where only one process has the journal there are none.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;
use viereck_store::{Change, Signal, params};

use crate::journal::{Occurrence, Shared};
use crate::{Journal, JournalError};

/// How often an instance says that it lives.
pub(crate) const BEAT: Duration = Duration::from_secs(3);

/// After how long a silent instance counts as dead.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);

/// How long what another instance committed is left to that instance before we look for work in it.
const COURTESY: Duration = Duration::from_millis(250);

/// What an instance signals when it goes and leaves its work to the others.
const LEFT: &str = "left";

/// A name for this instance.
pub(crate) fn new_name() -> String {
    Uuid::new_v4().to_string()
}

pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A sign of life of `me`, as part of a change.
pub(crate) fn beat(tx: &Change<'_>, me: &str) -> Result<(), JournalError> {
    tx.run(
        "INSERT INTO instance (id, alive_until) VALUES (?, ?)
         ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until",
        params![me, tx.clock()? + milliseconds(SILENCE)],
    )?;
    Ok(())
}

/// Gives signs of life and listens to the others until the journal is gone.
pub(crate) async fn live(journal: Weak<Shared>, store: viereck_store::Store) {
    let mut signals = store.signals();
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut look_at = None;
    loop {
        let look = async {
            match look_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let heard = tokio::select! {
            heard = signals.recv() => Some(heard),
            _ = beats.tick() => None,
            () = look => {
                look_at = None;
                let Some(shared) = journal.upgrade() else { return };
                shared.wake_all();
                continue;
            }
        };
        let Some(shared) = journal.upgrade() else { return };
        let journal = Journal {
            store: store.clone(),
            shared,
        };
        let more = match heard {
            None => journal.sign_of_life().await,
            Some(Ok(Signal::Text(text))) => {
                if let Some(occurrence) = occurrence(&journal, &text) {
                    journal.shared.show(occurrence);
                }
                true
            }
            Some(Ok(Signal::Missed) | Err(RecvError::Lagged(_))) => true,
            Some(Err(RecvError::Closed)) => return,
        };
        if more {
            look_at.get_or_insert_with(|| tokio::time::Instant::now() + COURTESY);
        }
    }
}

impl Journal {
    /// Says that this instance lives, takes back marks of messages it has put down, and buries who has fallen silent. What
    /// was in hand without an end that is noted may be out. Whether this left work for us.
    async fn sign_of_life(&self) -> bool {
        let Some(me) = self.shared.instance.clone() else {
            return false;
        };
        let shared = Arc::clone(&self.shared);
        let beat = move |tx: &Change<'_>| {
            // at this moment and not at that of the asking: what was marked in between is in hand
            let in_hand = shared.claims.rows();
            beat(tx, &me)?;
            let mine = tx.all("SELECT seq FROM message WHERE claimed_by = ?", params![me], |row| {
                row.at::<i64>(0)
            })?;
            for seq in mine.into_iter().filter(|seq| !in_hand.contains(seq)) {
                tx.run(
                    "UPDATE message SET claimed_by = NULL, doubtful = 1 WHERE seq = ?",
                    params![seq],
                )?;
            }
            let buried = tx.run("DELETE FROM instance WHERE alive_until <= ?", params![tx.clock()?])?;
            let freed = tx.run(
                "UPDATE message SET claimed_by = NULL, doubtful = 1
                 WHERE claimed_by IS NOT NULL AND claimed_by NOT IN (SELECT id FROM instance)",
                &[],
            )?;
            Ok::<_, JournalError>((buried, freed))
        };
        match self.store.write(beat).await {
            Ok((0, 0)) => false,
            Ok((buried, freed)) => {
                tracing::warn!(journal = %self.custodian(), instances = buried, messages = freed, alarm = "instance-silent",
                    "another instance has fallen silent; its messages are free");
                true
            }
            Err(error) => {
                let error = JournalError::from(error);
                tracing::warn!(journal = %self.custodian(), %error, "no sign of life could be given");
                false
            }
        }
    }

    /// Leaves what this instance has to the others, at once.
    pub(crate) async fn leave(&self) {
        let Some(me) = self.shared.instance.clone() else {
            return;
        };
        let leave = move |tx: &Change<'_>| {
            tx.run(
                "UPDATE message SET claimed_by = NULL, doubtful = 1 WHERE claimed_by = ?",
                params![me],
            )?;
            tx.run("DELETE FROM duty WHERE instance = ?", params![me])?;
            tx.run("DELETE FROM instance WHERE id = ?", params![me])?;
            tx.signal(LEFT);
            Ok::<_, JournalError>(())
        };
        if let Err(error) = self.store.write(leave).await {
            let error = JournalError::from(error);
            tracing::warn!(journal = %self.custodian(), %error, "left without a word: the others wait a moment for us");
        }
    }

    /// Tells the other instances, once `tx` is committed.
    pub(crate) fn signal(&self, tx: &Change<'_>, occurrence: &Occurrence) {
        if self.shared.instance.is_some() {
            tx.signal(&format!(
                "{} {} {} {}",
                occurrence.message_id,
                occurrence.stage,
                occurrence.custodian,
                crate::rows::reasons_text(&occurrence.reasons)
            ));
        }
    }
}

/// What another instance says that it committed. `None` for anything else it may say.
fn occurrence(journal: &Journal, text: &str) -> Option<Occurrence> {
    let mut words = text.split_whitespace();
    Some(Occurrence {
        journal: journal.custodian().clone(),
        message_id: words.next()?.parse().ok()?,
        stage: words.next()?.parse().ok()?,
        custodian: words.next()?.parse().ok()?,
        reasons: words.map(str::parse).collect::<Result<_, _>>().ok()?,
        since_filing: None,
    })
}
