//! Receipts on their way from one gateway to another.
//!
//! The broker believes a batch only after its signature, and only from the gateway under whose name the link accepted
//! it. It folds what it carries into its own account, so that it knows when the reader's gateway has spoken, and passes
//! the same octets on. A batch that is refused is kept for an operator and never answered.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_custody::aside;
use viereck_envelope::{Reason, VerifiedBatch, verify_batch};
use viereck_routing::{GatewayId, Tables};
use viereck_transport::{Address, Delivery};

use crate::{Broker, Error, Handled, Hop};

/// Passes one batch on to the gateway it is for. `last` says that it will not come again if it does not verify now.
pub(crate) async fn pass_on(
    broker: &Broker,
    delivery: &Delivery,
    origin: GatewayId,
    last: bool,
    stop: &CancellationToken,
) -> Result<Handled, Error> {
    let tables = broker.tables.borrow().clone();
    let batch = match believe(broker, delivery, &origin, &tables).await {
        Ok(batch) => batch,
        Err(Unbelieved { may_pass: true, .. }) if !last => return Ok(Handled::NotNow),
        Err(Unbelieved { reason, .. }) => {
            tracing::error!(reason = reason.code(), origin = %origin, alarm = "refused", "receipts not passed on: parked");
            broker
                .journal
                .keep_refused(delivery.bytes.clone(), reason, None)
                .await?;
            return Ok(Handled::Done);
        }
    };
    let address = Address::Receipts {
        from: origin,
        to: batch.head().destination.clone(),
    };
    // published before it is folded: a crash in between only sends it twice
    match broker
        .publish(delivery.trace, &address, delivery.bytes.clone(), stop)
        .await
    {
        Hop::Taken => {}
        // its gateway asks again for every message of whose end it has not heard; nobody else waits for it meanwhile
        Hop::Full => tracing::warn!(destination = %batch.head().destination, alarm = "receipts-dropped",
            "its queue takes no receipts: they are asked for again"),
        Hop::NotNow => return Ok(Handled::NotNow),
    }
    broker.journal.fold_batch(batch, tables).await?;
    Ok(Handled::Done)
}

/// Why a batch is not passed on.
struct Unbelieved {
    reason: Reason,
    may_pass: bool,
}

async fn believe(
    broker: &Broker,
    delivery: &Delivery,
    origin: &GatewayId,
    tables: &Arc<Tables>,
) -> Result<VerifiedBatch, Unbelieved> {
    let (octets, pins, environment) = (delivery.bytes.clone(), tables.clone(), broker.journal.environment());
    let verify = move || verify_batch(octets, pins.as_ref(), environment, Timestamp::now());
    let verified = aside(delivery.bytes.len(), verify).await;
    let batch = verified.map_err(|refused| Unbelieved {
        reason: refused.reason(),
        may_pass: refused.may_pass(),
    })?;
    let never = |reason| Unbelieved {
        reason,
        may_pass: false,
    };
    if batch.head().custodian != *origin {
        return Err(never(Reason::T070));
    }
    if tables.gateway(&batch.head().destination).is_none() {
        return Err(never(Reason::NoDelivery));
    }
    Ok(batch)
}
