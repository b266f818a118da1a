//! What a gateway's queue does not take waits in the broker's journal, and goes on from here.
//!
//! A queue that is full refuses; its messages are put on disk and their deliveries are done, so that nobody's messages
//! stand in the ingress before somebody else's. [`keep`] publishes what is held: while a gateway refuses, one probe at a
//! time and with growing pauses, and everything at once when it takes again, in the order of the [`lanes`]. No gateway waits
//! for another one. What an operator has paused stays until it is resumed.
//!
//! Guarantees: what is held is verified and authorised again before it goes on, by the table then in force. The broker
//! holds no more octets than configured and what it has in hand beside: without room the intake rests, never the way out.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use viereck_custody::held::{Held, HeldFor};
use viereck_custody::lanes::{self, Turn};
use viereck_custody::{JOURNAL_PAUSE, JournalError, Room, authorise, doubled, still_to_come};
use viereck_envelope::{Reason, VerifiedEnvelope};
use viereck_observe::{Span, SpanName, Trace};
use viereck_routing::{Class, GatewayId};

use crate::relay::next_hop;
use crate::{Broker, Error, Hop};

/// The longest pause between two probes of a gateway that refuses.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// When something that cannot go on for a reason of ours is looked at again.
const LATER: SignedDuration = SignedDuration::from_secs(5);

/// Octets given out for one gateway at once, beyond the first message.
const OCTETS: usize = 16 << 20;

/// How long is slept at the most.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// How the broker publishes what it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Messages on their way to one gateway at once.
    pub(crate) window: usize,
    /// The first pause after a refusal.
    pub(crate) retry: SignedDuration,
}

/// Gateways whose queues refuse, and when each is tried again. In memory: after a restart each is tried at once.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<HashMap<GatewayId, Refusal>>>);

#[derive(Clone, Copy)]
struct Refusal {
    times: u32,
    until: Timestamp,
}

impl Refusals {
    fn all(&self) -> MutexGuard<'_, HashMap<GatewayId, Refusal>> {
        // whole after every statement, so a panic elsewhere does not spoil it
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this gateway refused the last time it was asked.
    pub(crate) fn refuses(&self, gateway: &GatewayId) -> bool {
        self.all().contains_key(gateway)
    }

    /// Until when a gateway that refuses is not asked. A time that a clock was ahead for has passed.
    fn until(&self, gateway: Option<&GatewayId>, now: Timestamp) -> Option<Timestamp> {
        let until = gateway.and_then(|gateway| self.all().get(gateway).map(|refusal| refusal.until))?;
        Some(if still_to_come(until, now, LONGEST_PAUSE) {
            until
        } else {
            now
        })
    }

    pub(crate) fn refused(&self, gateway: &GatewayId, retry: SignedDuration) {
        let mut all = self.all();
        let times = all.get(gateway).map_or(0, |refusal| refusal.times);
        if times == 0 {
            tracing::warn!(gateway = %gateway, alarm = "queue-full", "its queue takes nothing: messages are held");
        }
        let until = Timestamp::now() + doubled(retry, times, LONGEST_PAUSE);
        all.insert(
            gateway.clone(),
            Refusal {
                times: times + 1,
                until,
            },
        );
    }

    pub(crate) fn took(&self, gateway: &GatewayId) {
        if self.all().remove(gateway).is_some() {
            tracing::info!(gateway = %gateway, "its queue takes messages again");
        }
    }
}

/// The way to one gateway.
#[derive(Clone, Default)]
struct Way {
    /// Held messages that are on it at the moment.
    at_once: usize,
    /// Which lane is next.
    turn: Turn,
}

impl Way {
    fn begins(&mut self) {
        self.at_once += 1;
        self.turn.pass(1);
    }
}

impl Broker {
    /// Keeps a message that its next hop does not take. Its delivery is done then.
    pub(crate) async fn hold(
        &self,
        envelope: &VerifiedEnvelope,
        class: Class,
        gateway: GatewayId,
        reason: Reason,
        trace: Option<Trace>,
    ) -> Result<(), JournalError> {
        self.journal
            .hold(envelope, class, gateway, Some(reason), Timestamp::now(), trace)
            .await?;
        self.room.more(envelope.bytes().len());
        Ok(())
    }
}

/// Publishes what is held, until `stop`; what is on its way then is finished.
pub(crate) async fn keep(broker: Broker, pace: Pace, stop: CancellationToken) -> Result<(), Error> {
    let wanted = broker.journal.relay_wanted();
    let mut ways: HashMap<Option<GatewayId>, Way> = HashMap::new();
    let mut releasing = FuturesUnordered::new();
    let count_wanted = Notify::new();
    // beside the giving out, which does not wait for it
    let mut counting = pin!(keep_counting(&broker, &count_wanted));
    loop {
        let mut pause = LONGEST_SLEEP;
        match give_out(&broker, pace, &ways).await {
            Ok((given, next)) => {
                for (gateway, held) in given {
                    ways.entry(gateway.clone()).or_default().begins();
                    releasing.push(async {
                        let released = release(&broker, pace, held, &stop).await;
                        (gateway, released)
                    });
                }
                pause = next.unwrap_or(pause).min(pause);
            }
            Err(error) if error.may_pass() => {
                tracing::error!(%error, alarm = "journal-unavailable", "what is held waits");
                pause = JOURNAL_PAUSE;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = wanted.notified() => {}
            () = tokio::time::sleep(pause) => {}
            failed = &mut counting => return Err(failed),
            Some(ended) = releasing.next() => {
                // all that have ended before the journal is looked at again: confirms come many at a time
                let mut ended = Some(ended);
                while let Some((gateway, released)) = ended {
                    if let Some(way) = ways.get_mut(&gateway) {
                        way.at_once -= 1;
                    }
                    passes(released)?;
                    ended = releasing.next().now_or_never().flatten();
                }
                if releasing.is_empty() {
                    count_wanted.notify_one();
                }
            }
        }
    }
    while let Some((_, released)) = releasing.next().await {
        passes(released)?;
    }
    Ok(())
}

/// Counts how much is held, so that the intake stops and goes on in time, and says how long that may be left at.
pub(crate) async fn count(broker: &Broker) -> Result<Duration, Error> {
    match broker.room.count(broker.journal.held_octets()).await {
        Err(error) if error.may_pass() => {
            tracing::warn!(%error, "what is held cannot be counted");
            Ok(Room::COUNT)
        }
        counted => Ok(counted?),
    }
}

/// Counts again and again and whenever it is `wanted`, until that fails for good.
async fn keep_counting(broker: &Broker, wanted: &Notify) -> Error {
    loop {
        let pause = match count(broker).await {
            Ok(pause) => pause,
            Err(error) => return error,
        };
        tokio::select! {
            () = broker.room.rest(pause) => {}
            () = wanted.notified() => {}
        }
    }
}

fn passes(released: Result<(), JournalError>) -> Result<(), Error> {
    match released {
        Err(error) if error.may_pass() => {
            tracing::error!(%error, alarm = "journal-unavailable", "what is held goes on later");
            Ok(())
        }
        released => Ok(released?),
    }
}

type GivenOut = (Vec<(Option<GatewayId>, Held)>, Option<Duration>);

/// What may go on now, and how long until more may.
async fn give_out(
    broker: &Broker,
    pace: Pace,
    ways: &HashMap<Option<GatewayId>, Way>,
) -> Result<GivenOut, JournalError> {
    let now = Timestamp::now();
    let mut given = vec![];
    let mut next: Option<Timestamp> = None;
    for HeldFor { gateway, due_at } in broker.journal.held_for().await? {
        let refused_until = broker.refusals.until(gateway.as_ref(), now);
        let window = if refused_until.is_some() { 1 } else { pace.window };
        let Way { at_once, turn } = ways.get(&gateway).cloned().unwrap_or_default();
        let free = window.saturating_sub(at_once);
        let from = refused_until.map_or(due_at, |until| until.max(due_at));
        if from > now {
            next = next.into_iter().chain([from]).min();
        } else if free > 0 {
            let due = broker
                .journal
                .due_held(gateway.clone(), now, turn, free, OCTETS)
                .await?;
            given.extend(due.into_iter().map(|held| (gateway.clone(), held)));
        }
    }
    let pause = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
    Ok((given, pause))
}

/// One held message goes on, ends here, is parked, or waits longer. It is in nobody's hands afterwards.
async fn release(broker: &Broker, pace: Pace, held: Held, stop: &CancellationToken) -> Result<(), JournalError> {
    let key = held.key.clone();
    let released = onward(broker, pace, held, stop).await;
    broker.journal.put_down_held(&key);
    released
}

async fn onward(broker: &Broker, pace: Pace, held: Held, stop: &CancellationToken) -> Result<(), JournalError> {
    let journal = &broker.journal;
    let Some(bytes) = held.bytes else {
        tracing::error!(message_id = %held.key.message_id, alarm = "journal-corrupt", "its octets are not what was taken: parked");
        return journal.park_held(&held.key, Reason::OctetsCorrupt).await;
    };
    let now = Timestamp::now();
    let tables = broker.tables.borrow().clone();
    let envelope = match broker.verify(bytes, &tables, now).await {
        Ok(envelope) => envelope,
        Err(refused) if refused.may_pass() => return journal.hold_longer(&held.key, None, now + LATER).await,
        Err(refused) => {
            tracing::error!(message_id = %held.key.message_id, code = refused.code(), alarm = "refused", "it no longer verifies: parked");
            return journal.park_held(&held.key, refused.reason()).await;
        }
    };
    let class = lanes::class_of(envelope.header(), &tables);
    if let Err(reason) = authorise::at_broker(envelope.header(), &tables, now) {
        return journal.undeliverable(&envelope, class, reason).await;
    }
    let Some((address, target)) = next_hop(&tables, &envelope, now) else {
        return journal.undeliverable(&envelope, class, Reason::NoDelivery).await;
    };
    let mut span = Span::begin_if_traced(SpanName::Relay, held.trace.as_ref(), journal.custodian().as_str());
    if let Some(span) = &mut span {
        span.of_message(held.key.message_id);
    }
    match broker
        .publish(span.as_ref().map(Span::trace), &address, envelope.bytes().clone(), stop)
        .await
    {
        Hop::Taken => {
            broker.refusals.took(&target);
            journal.relayed(&envelope, class, target, held.returns).await
        }
        Hop::Full => {
            broker.refusals.refused(&target, pace.retry);
            journal.hold_longer(&held.key, Some(target), now).await
        }
        Hop::NotNow => journal.hold_longer(&held.key, None, now + LATER).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_refuses_is_probed_at_growing_intervals_and_alone() {
        let refusals = Refusals::default();
        let [full, other]: [GatewayId; 2] = ["gw-full", "gw-other"].map(|id| id.parse().unwrap());
        let retry = SignedDuration::from_millis(100);
        let mut last = SignedDuration::ZERO;
        for _ in 0..20 {
            refusals.refused(&full, retry);
            let now = Timestamp::now();
            let pause = refusals.until(Some(&full), now).unwrap().duration_since(now);
            assert!(
                pause <= LONGEST_PAUSE && pause + SignedDuration::from_millis(50) >= last,
                "{pause}"
            );
            last = pause;
        }
        assert!(refusals.refuses(&full) && !refusals.refuses(&other));
        refusals.took(&full);
        assert!(!refusals.refuses(&full));
        assert_eq!(refusals.until(None, Timestamp::now()), None);
    }
}
