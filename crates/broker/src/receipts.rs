//! Receipts on their way from one gateway to another.
//!
//! The broker believes a batch only after its signature, and only from the gateway under whose name the link accepted
//! it. It folds what it carries into its own account, so that it knows when the reader's gateway has spoken, and passes
//! the same octets on. A batch that is refused is kept for an operator and never answered.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_envelope::{Reason, VerifiedBatch, verify_batch};
use viereck_routing::{GatewayId, Tables};
use viereck_transport::{Address, Delivery};

use crate::{Broker, Error, Handled};

/// Passes one batch on to the gateway it is for.
pub(crate) async fn pass_on(
    broker: &Broker,
    delivery: &Delivery,
    origin: GatewayId,
    stop: &CancellationToken,
) -> Result<Handled, Error> {
    let tables = broker.tables.borrow().clone();
    let batch = match believe(broker, delivery, &origin, &tables) {
        Ok(batch) => batch,
        Err(reason) => {
            tracing::error!(reason = reason.code(), origin = %origin, alarm = "refused", "receipts not passed on: parked");
            broker
                .journal
                .refuse_octets(delivery.bytes.clone(), reason, None)
                .await?;
            return Ok(Handled::Done);
        }
    };
    let address = Address::Receipts {
        from: origin,
        to: batch.head().destination.clone(),
    };
    // published before it is folded: a crash in between only sends it twice
    if broker.publish(&address, delivery.bytes.clone(), stop).await == Handled::NotNow {
        return Ok(Handled::NotNow);
    }
    broker.journal.fold_batch(batch, tables).await?;
    Ok(Handled::Done)
}

fn believe(broker: &Broker, delivery: &Delivery, origin: &GatewayId, tables: &Tables) -> Result<VerifiedBatch, Reason> {
    let batch = verify_batch(
        delivery.bytes.clone(),
        tables,
        broker.journal.environment(),
        Timestamp::now(),
    )
    .map_err(|refused| refused.reason())?;
    if batch.head().custodian != *origin {
        return Err(Reason::T070);
    }
    if tables.gateway(&batch.head().destination).is_none() {
        return Err(Reason::NoDelivery);
    }
    Ok(batch)
}
