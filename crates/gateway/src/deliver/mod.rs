//! Corner 3's last step (and corner 2's for an answer): what was taken is handed over.
//!
//! [`run`] takes what is due out of the journal, oldest first, and gives each message to the [`lane`] of its Behörde and
//! Leistung; [`hand_over`] is the way of one message; the adapters are [`http`], [`directory`] and [`postfach`].
//!
//! Guarantees: no more messages are in hand than configured, and they are in nobody else's; a Fachverfahren that is slow
//! or down holds up no other one. Retry, waiting and backoff are rows of the journal: a restart forgets none of them. A
//! journal that cannot write for a while, e.g. on a full disk, ends nothing.

pub(crate) mod adapter;
mod case;
pub(crate) mod directory;
pub(crate) mod endpoint;
mod hand_over;
pub(crate) mod http;
pub(crate) mod lane;
pub(crate) mod message;
pub(crate) mod outcome;
pub(crate) mod postfach;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use viereck_custody::{JOURNAL_PAUSE, JournalError};
use viereck_routing::{BehoerdeId, LeistungId};

use crate::config::{Delivery, For};
use crate::gateway::Gateway;
use adapter::AdapterError;
use lane::Lane;

/// How long is slept at the most; a clock that jumps does no harm.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The lanes of one gateway.
pub(crate) struct Lanes(HashMap<(For<BehoerdeId>, For<LeistungId>), Arc<Lane>>);

impl Lanes {
    pub(crate) fn new(deliveries: &[Delivery]) -> Result<Self, AdapterError> {
        let client = endpoint::client()?;
        let lane = |(index, delivery): (usize, &Delivery)| {
            let lane = Arc::new(Lane::new(index, delivery, &client)?);
            Ok(((delivery.behoerde.clone(), delivery.leistung.clone()), lane))
        };
        Ok(Self(
            deliveries
                .iter()
                .enumerate()
                .map(lane)
                .collect::<Result<_, AdapterError>>()?,
        ))
    }

    /// The delivery of this very Behörde before the one of all, and for this very Leistung before the one for all.
    fn find(&self, reader: &BehoerdeId, leistung: &LeistungId) -> Option<Arc<Lane>> {
        let of = [For::Only(reader.clone()), For::Default];
        let mut keys = of.into_iter().flat_map(|of| {
            let kinds = [For::Only(leistung.clone()), For::Default];
            kinds.map(|kind| (of.clone(), kind))
        });
        keys.find_map(|key| self.0.get(&key).cloned())
    }
}

type Ended = Result<(), JournalError>;

/// Hands over until `shutdown`; what is under way then has the configured time to end. What does not end in time is on
/// disk as begun, and the next process tries it again under the same key.
pub(crate) async fn run(gateway: Arc<Gateway>, lanes: Lanes, shutdown: CancellationToken) -> Ended {
    let mut in_hand = JoinSet::new();
    let handing_over = async {
        loop {
            if let Err(error) = round(&gateway, &lanes, &mut in_hand).await {
                passes(error)?;
                tokio::time::sleep(JOURNAL_PAUSE).await;
                // what failed with it would only bring the same pause again
                while let Some(ended) = in_hand.try_join_next() {
                    settled(ended).or_else(passes)?;
                }
            }
        }
    };
    if let Some(failed) = shutdown.run_until_cancelled(handing_over).await {
        return failed;
    }
    let time = Duration::from_secs(gateway.config.timeouts.stop_seconds);
    let ending = async {
        while let Some(ended) = in_hand.join_next().await {
            settled(ended).or_else(passes)?;
        }
        Ok(())
    };
    tokio::time::timeout(time, ending).await.unwrap_or_else(|_| {
        tracing::warn!("hand-overs were still under way at the end; they are tried again at the next start");
        Ok(())
    })
}

/// Gives out what is due, then waits until there may be more to give out. It may be dropped at any moment.
async fn round(gateway: &Arc<Gateway>, lanes: &Lanes, in_hand: &mut JoinSet<Ended>) -> Ended {
    let most = gateway.config.limits.hand_overs;
    let free = most.saturating_sub(in_hand.len());
    let due = match free {
        0 => Vec::new(),
        _ => gateway.journal.due_hand_overs(Timestamp::now(), free).await?,
    };
    for due in due {
        let lane = lanes.find(&due.reader, &due.leistung);
        in_hand.spawn(hand_over::hand_over(Arc::clone(gateway), lane, due).in_current_span());
    }
    let next = gateway.journal.next_hand_over().await?;
    tokio::select! {
        () = gateway.journal.hand_over_wanted().notified_owned() => Ok(()),
        () = tokio::time::sleep(pause(next, in_hand.len() == most)) => Ok(()),
        Some(ended) = in_hand.join_next() => settled(ended),
    }
}

fn settled(ended: Result<Ended, JoinError>) -> Ended {
    match ended {
        Ok(result) => result,
        // a message that breaks us is an error of ours; it stays in hand until the restart and blocks nothing
        Err(error) => {
            tracing::error!(%error, alarm = "internal", "a hand-over broke off");
            Ok(())
        }
    }
}

/// Lets an error pass that may pass by itself: nothing is lost, the journal still holds the message.
fn passes(error: JournalError) -> Ended {
    if !error.may_pass() {
        return Err(error);
    }
    tracing::warn!(%error, "the journal cannot go on with a hand-over, again soon");
    Ok(())
}

fn pause(next: Option<Timestamp>, full: bool) -> Duration {
    match next {
        Some(next) if !full => {
            let until = next.duration_since(Timestamp::now());
            until
                .try_into()
                .map_or(Duration::ZERO, |pause: Duration| pause.min(LONGEST_SLEEP))
        }
        _ => LONGEST_SLEEP,
    }
}

#[cfg(test)]
mod tests {
    use viereck_transport::LinkError;

    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_ends_nothing() {
        assert!(passes(LinkError::Full.into()).is_ok());
        assert!(matches!(passes(JournalError::Unknown), Err(JournalError::Unknown)));
        assert!(settled(Ok(Err(JournalError::Unknown))).is_err());
    }
}
