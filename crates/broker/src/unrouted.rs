//! What nobody is bound to take comes back here: nothing is ever confirmed and gone.
//!
//! Taking such a message commits `returned`: custody is the broker's again, with the octets, and its `relayed` no longer
//! stands. It goes to the same Behörde once more ([`crate::held`]), at the gateway that serves it then, after pauses that
//! grow: a RabbitMQ that lost its disk has no queue until the topology is made anew, which may take long. What still comes
//! back after a quarter of an hour is undeliverable and its author learns so. A fact of the reader's gateway makes all of
//! this moot.

use jiff::{SignedDuration, Timestamp};
use viereck_custody::held::Returned;
use viereck_custody::{doubled, lanes};
use viereck_envelope::Reason;
use viereck_transport::Delivery;

use crate::{Broker, Error, Handled};

/// Returns after which the author is told that there is no way: by then a quarter of an hour has passed.
const RETURNS: u32 = 21;

/// Pause before the first try; it doubles: a Behörde that moves is unbound and bound within moments.
const PAUSE: SignedDuration = SignedDuration::from_millis(500);

/// The longest pause.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// Takes one message back into custody, from where it goes on, or ends it.
pub(crate) async fn take_back(broker: &Broker, delivery: &Delivery) -> Result<Handled, Error> {
    let now = Timestamp::now();
    let tables = broker.tables.borrow().clone();
    let verified = broker.verify(delivery.bytes.clone(), &tables, now).await;
    let envelope = match verified {
        Ok(envelope) => envelope,
        Err(refused) if refused.may_pass() => return Ok(Handled::NotNow),
        Err(refused) => {
            // receipts for a gateway that has no queue end here too: parked, never answered
            tracing::error!(
                code = refused.code(),
                alarm = "unrouted",
                "unroutable octets that are no envelope: parked"
            );
            broker
                .journal
                .keep_refused(delivery.bytes.clone(), Reason::NoDelivery, None)
                .await?;
            return Ok(Handled::Done);
        }
    };
    let class = lanes::class_of(envelope.header(), &tables);
    let due_at = move |times: u32| now + doubled(PAUSE, times.saturating_sub(1), LONGEST_PAUSE);
    let times = match broker
        .journal
        .returned(&envelope, class, due_at, delivery.trace)
        .await?
    {
        Returned::Over => return Ok(Handled::Done),
        Returned::Again(times) => times,
    };
    tracing::warn!(message_id = %envelope.header().message_id, times, alarm = "unrouted", "came back unrouted");
    if times >= RETURNS {
        broker
            .journal
            .undeliverable(&envelope, class, Reason::NoDelivery)
            .await?;
        return Ok(Handled::Done);
    }
    // the binding may be what is missing
    broker.topology_wanted.notify_one();
    Ok(Handled::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_takes_long_to_be_made_is_waited_for() {
        let pauses = (1..RETURNS).map(|times| doubled(PAUSE, times - 1, LONGEST_PAUSE));
        let waited = pauses.fold(SignedDuration::ZERO, |waited, pause| waited + pause);
        assert!(
            waited > SignedDuration::from_mins(14) && waited < SignedDuration::from_mins(16),
            "{waited}"
        );
    }
}
