//! What one instance does for all that share a journal.
//!
//! A duty is a lease in the journal, by the database's clock: whoever holds it goes on holding it for as long as it
//! asks, and when it stops asking another one gets it. Where only this process has the journal it is always on duty.
//!
//! Does not: make anything safe. An instance that stood still may believe for a moment that it is on duty although
//! another one is; so nothing may depend on it but the work that is saved.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use viereck_store::params;

use crate::{Journal, JournalError};

/// How long a duty stays with an instance that does not ask again.
const LEASE: Duration = Duration::from_secs(15);

/// How long an answer is good without asking the journal.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Work that one instance does for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Signing events into batches and sending them.
    Receipts,
    /// Deadlines, retention and what else goes through the whole journal.
    Sweep,
    /// Telling clients of a status.
    Webhooks,
}

impl Duty {
    /// The word in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Duty::Receipts => "receipts",
            Duty::Sweep => "sweep",
            Duty::Webhooks => "webhooks",
        }
    }
}

/// The duties this instance holds, and until when it need not ask.
#[derive(Default)]
pub(crate) struct Duties(Mutex<HashMap<Duty, Instant>>);

impl Duties {
    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<Duty, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Whether this instance does `duty` for all; it takes it on when nobody does. Ask before each piece of the work.
    ///
    /// # Errors
    /// Of the journal.
    pub async fn on_duty(&self, duty: Duty) -> Result<bool, JournalError> {
        let Some(me) = self.shared.instance.clone() else {
            return Ok(true);
        };
        let asked = Instant::now();
        if self.shared.duties.held().get(&duty).is_some_and(|until| *until > asked) {
            return Ok(true);
        }
        let taken = self.store.write(move |tx| {
            let now = tx.clock()?;
            let taken = tx.run(
                "INSERT INTO duty (name, instance, until) VALUES (?, ?, ?)
                 ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, until = excluded.until
                 WHERE duty.instance = excluded.instance OR duty.until <= ?",
                params![duty.as_str(), me, now + crate::instance::milliseconds(LEASE), now],
            )?;
            Ok::<_, JournalError>(taken == 1)
        });
        let taken = taken.await?;
        let mut held = self.shared.duties.held();
        match taken {
            true => held.insert(duty, asked + REMEMBERED),
            false => held.remove(&duty),
        };
        Ok(taken)
    }
}
