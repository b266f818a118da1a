//! Corner 3's last step (and corner 2's for an answer): what was taken is handed over.
//!
//! [`run`] takes what is due out of the journal, oldest first, and gives each message to the [`lane`] of its Behörde and
//! Leistung; [`hand_over`] is the way of one message; the adapters are [`http`], [`directory`] and [`postfach`].
//!
//! Guarantees: no more messages are in hand than configured, and they are in nobody else's; a Fachverfahren that is slow
//! or down holds up no other one. Retry, waiting and backoff are rows of the journal: a restart forgets none of them.

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
use viereck_custody::JournalError;
use viereck_routing::{BehoerdeId, LeistungId};

use crate::config::{Delivery, For};
use crate::gateway::Gateway;
use endpoint::EndpointError;
use lane::Lane;

/// How long is slept at the most; a clock that jumps does no harm.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The lanes of one gateway.
pub(crate) struct Lanes(HashMap<(For<BehoerdeId>, For<LeistungId>), Arc<Lane>>);

impl Lanes {
    pub(crate) fn new(deliveries: &[Delivery]) -> Result<Self, EndpointError> {
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
                .collect::<Result<_, EndpointError>>()?,
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

/// Hands over until `shutdown`; what is under way then has the configured time to end. What does not end in time is on
/// disk as begun, and the next process tries it again under the same key.
pub(crate) async fn run(gateway: Arc<Gateway>, lanes: Lanes, shutdown: CancellationToken) -> Result<(), JournalError> {
    let wanted = gateway.journal.hand_over_wanted();
    let most = gateway.config.limits.hand_overs;
    let mut in_hand = JoinSet::new();
    loop {
        let free = most.saturating_sub(in_hand.len());
        let due = match free {
            0 => Vec::new(),
            _ => gateway.journal.due_hand_overs(Timestamp::now(), free).await?,
        };
        for due in due {
            let lane = lanes.find(&due.reader, &due.leistung);
            in_hand.spawn(hand_over::hand_over(Arc::clone(&gateway), lane, due).in_current_span());
        }
        let next = gateway.journal.next_hand_over().await?;
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = wanted.notified() => {}
            () = tokio::time::sleep(pause(next, in_hand.len() == most)) => {}
            Some(ended) = in_hand.join_next() => settled(ended)?,
        }
    }
    let time = Duration::from_secs(gateway.config.timeouts.stop_seconds);
    let ending = async {
        while let Some(ended) = in_hand.join_next().await {
            settled(ended)?;
        }
        Ok(())
    };
    tokio::time::timeout(time, ending).await.unwrap_or_else(|_| {
        tracing::warn!("hand-overs were still under way at the end; they are tried again at the next start");
        Ok(())
    })
}

fn settled(ended: Result<Result<(), JournalError>, JoinError>) -> Result<(), JournalError> {
    match ended {
        Ok(result) => result,
        // a message that breaks us is an error of ours; it stays in hand until the restart and blocks nothing
        Err(error) => {
            tracing::error!(%error, alarm = "internal", "a hand-over broke off");
            Ok(())
        }
    }
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
