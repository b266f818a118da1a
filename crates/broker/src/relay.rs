//! The way of a message through the broker: octets, verified, authorised, published and confirmed, `relayed`.
//!
//! Guarantees: `relayed` is committed only after the next hop's confirm, and the delivery is done only after that.
//! Whoever wrote a message that goes no further learns why. A repeat goes to the same gateway again or nowhere.
//! What the next hop does not take is held in the journal ([`crate::held`]), and its delivery is done. Does not: look
//! into the content, or hold one message up for another.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_custody::relay::{Known, Seen};
use viereck_custody::{authorise, lanes};
use viereck_envelope::{Reason, VerifiedEnvelope};
use viereck_observe::{Span, SpanName, Trace};
use viereck_routing::{GatewayId, Tables, day_in_berlin};
use viereck_transport::{Address, Delivery};

use crate::{Broker, Error, Handled, Hop};

/// Relays one message. `origin` is the gateway under whose key the link accepted it, where the link still knows; `last`
/// says that it will not come again if it does not verify now.
pub(crate) async fn message(
    broker: &Broker,
    delivery: &Delivery,
    origin: Option<GatewayId>,
    last: bool,
    stop: &CancellationToken,
) -> Result<Handled, Error> {
    let now = Timestamp::now();
    let mut span = Span::begin_if_traced(
        SpanName::Relay,
        delivery.trace.as_ref(),
        broker.journal.custodian().as_str(),
    );
    let trace = span.as_ref().map(Span::trace);
    let tables = broker.tables.borrow().clone();
    let verified = broker.verify(delivery.bytes.clone(), &tables, now).await;
    let envelope = match verified {
        Ok(envelope) => envelope,
        Err(refused) if refused.may_pass() && !last => {
            tracing::warn!(
                code = refused.code(),
                alarm = "refused",
                "an envelope does not verify yet"
            );
            return Ok(Handled::NotNow);
        }
        Err(refused) => {
            tracing::error!(
                code = refused.code(),
                origin = origin.as_ref().map(GatewayId::as_str),
                alarm = "refused",
                "an envelope does not verify: parked"
            );
            broker
                .journal
                .keep_refused(delivery.bytes.clone(), refused.reason(), origin)
                .await?;
            return Ok(Handled::Done);
        }
    };
    if let Some(origin) = origin.filter(|origin| *origin != envelope.header().gateway) {
        // somebody else's message under one's own name: nothing may be said of that message, only of these octets
        tracing::error!(origin = %origin, alarm = "foreign-gateway", "an envelope of another gateway: parked");
        broker
            .journal
            .keep_refused(delivery.bytes.clone(), Reason::T070, Some(origin))
            .await?;
        return Ok(Handled::Done);
    }
    if let Some(span) = &mut span {
        span.of_message(envelope.header().message_id);
    }
    let seen = broker.journal.known(&envelope).await?;
    match &seen.known {
        Known::Nothing => relay(broker, &tables, &envelope, &seen, trace, stop).await,
        Known::Held => Ok(Handled::Done),
        Known::Relayed(target) => again(broker, &tables, &envelope, target.clone(), seen.heard, trace, stop).await,
        Known::Answered => {
            broker.journal.answer_again(&envelope).await?;
            Ok(Handled::Done)
        }
        Known::Conflict => {
            tracing::error!(message_id = %envelope.header().message_id, alarm = "message-id-conflict",
                "an id used for two contents");
            broker
                .journal
                .refuse_message(&envelope, Reason::MessageIdConflict)
                .await?;
            Ok(Handled::Done)
        }
    }
}

async fn relay(
    broker: &Broker,
    tables: &Tables,
    envelope: &VerifiedEnvelope,
    seen: &Seen,
    trace: Option<Trace>,
    stop: &CancellationToken,
) -> Result<Handled, Error> {
    let header = envelope.header();
    let class = lanes::class_of(header, tables);
    let now = Timestamp::now();
    if let Err(reason) = authorise::at_broker(header, tables, now) {
        tracing::warn!(message_id = %header.message_id, gateway = %header.gateway, reason = reason.code(), "not authorised");
        broker.journal.refuse_message(envelope, reason).await?;
        return Ok(Handled::Done);
    }
    let Some((address, target)) = next_hop(tables, envelope, now) else {
        broker
            .journal
            .undeliverable(envelope, class, Reason::NoDelivery)
            .await?;
        return Ok(Handled::Done);
    };
    if seen.pauses.of(&header.reader, &target).is_some() {
        broker.hold(envelope, class, target, Reason::Paused, trace).await?;
        return Ok(Handled::Done);
    }
    if broker.refusals.refuses(&target) {
        broker.hold(envelope, class, target, Reason::QueueFull, trace).await?;
        return Ok(Handled::Done);
    }
    match broker.publish(trace, &address, envelope.bytes().clone(), stop).await {
        Hop::Taken => {
            broker.journal.relayed(envelope, class, target, seen.returns).await?;
        }
        Hop::Full => {
            broker.refusals.refused(&target, broker.retry);
            broker.hold(envelope, class, target, Reason::QueueFull, trace).await?;
        }
        Hop::NotNow => return Ok(Handled::NotNow),
    }
    Ok(Handled::Done)
}

/// Whoever asks again has heard of no end: the same octets to the gateway that the first copy went to, which answers with
/// what it said before: also when the Behörde has moved since, if that one has spoken. To another one it never goes; and
/// not into a queue that is full, because a copy is in it.
async fn again(
    broker: &Broker,
    tables: &Tables,
    envelope: &VerifiedEnvelope,
    target: GatewayId,
    heard: bool,
    trace: Option<Trace>,
    stop: &CancellationToken,
) -> Result<Handled, Error> {
    let stays = next_hop(tables, envelope, Timestamp::now()).is_some_and(|(_, now_at)| now_at == target);
    let address = Address::Gateway(target);
    if (stays || heard) && broker.publish(trace, &address, envelope.bytes().clone(), stop).await == Hop::NotNow {
        return Ok(Handled::NotNow);
    }
    broker.journal.answer_again(envelope).await?;
    Ok(Handled::Done)
}

/// Where the table in force sends it, and under which key.
pub(crate) fn next_hop(tables: &Tables, envelope: &VerifiedEnvelope, now: Timestamp) -> Option<(Address, GatewayId)> {
    let header = envelope.header();
    let delivery = tables.delivery(&header.reader, &header.service, day_in_berlin(now))?;
    let leistung = delivery.exact.then(|| header.service.clone());
    Some((
        Address::Route {
            reader: header.reader.clone(),
            leistung,
        },
        delivery.gateway.clone(),
    ))
}
