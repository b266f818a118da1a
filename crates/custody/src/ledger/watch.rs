//! Keeping an eye on the account, for as long as a custodian runs.
//!
//! At the start the whole journal is gone through: whatever was lost while nobody looked is found then. After that the
//! accounts are compared every minute with what is in flight, and the whole journal is gone through when they differ and
//! once a day: a message that had ended may be missing until then. Every difference is an alarm with the message's id,
//! once for each finding.

use std::collections::HashSet;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::reconcile::{Difference, Reconciled};
use crate::{Journal, JournalError};

/// Between two looks at what is in flight.
const EVERY: Duration = Duration::from_secs(60);
/// Between two looks at everything.
const DAILY: Duration = Duration::from_secs(24 * 3600);
/// A look that takes long is repeated more seldom: it shall not take more than this part of the time.
const SHARE: u32 = 20;

/// How a ledger is watched.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Between two looks at what is in flight.
    pub every: Duration,
    /// How long the reader's gateway may be silent after a message was relayed.
    pub silence: SignedDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            every: EVERY,
            silence: SignedDuration::from_mins(10),
        }
    }
}

/// Watches until `shutdown`.
///
/// # Errors
/// None: a journal that cannot be read is alarmed and tried again, and nothing else depends on the watching.
pub async fn run(journal: Journal, config: Config, shutdown: CancellationToken) -> Result<(), JournalError> {
    let mut told = HashSet::new();
    let mut complete: Option<Instant> = None;
    loop {
        let begun = Instant::now();
        let looked = tokio::select! {
            looked = look(&journal, &config, complete) => looked,
            () = shutdown.cancelled() => return Ok(()),
        };
        match looked {
            Ok(Some(reconciled)) => {
                complete = Some(begun);
                tell(&reconciled, &mut told);
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, alarm = "journal-unavailable", "the ledger was not looked at"),
        }
        let pause = config.every.max(begun.elapsed() * SHARE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

/// Looks at what is in flight, and at everything where that is due or the accounts do not add up.
pub(super) async fn look(
    journal: &Journal,
    config: &Config,
    complete: Option<Instant>,
) -> Result<Option<Reconciled>, JournalError> {
    let is_due = complete.is_none_or(|at| at.elapsed() > DAILY);
    if is_due || !journal.ledger().await?.adds_up() {
        return journal.reconcile_ledger(config.silence).await.map(Some);
    }
    Ok(None)
}

fn tell(reconciled: &Reconciled, told: &mut HashSet<String>) {
    let key = |Difference {
                   kind,
                   side,
                   participant,
                   author,
                   message_id,
                   ..
               }: &Difference| { format!("{kind:?} {side} {participant:?} {author:?} {message_id:?}") };
    told.retain(|before| {
        reconciled
            .differences
            .iter()
            .any(|difference| key(difference) == *before)
    });
    for difference in &reconciled.differences {
        if !told.insert(key(difference)) {
            continue;
        }
        let name = |name: Option<String>| name.unwrap_or_default();
        tracing::error!(
            journal = %reconciled.custodian,
            kind = ?difference.kind,
            side = difference.side,
            participant = name(difference.participant.as_ref().map(ToString::to_string)),
            message_id = name(difference.message_id.as_ref().map(ToString::to_string)),
            alarm = "ledger-difference",
            "the ledger does not add up"
        );
    }
}
