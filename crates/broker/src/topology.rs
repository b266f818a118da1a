//! Who is bound to what: the routing table as queues and bindings, made so whenever the table or the day changes.
//!
//! Only the broker declares anything on the link. A Behörde that moves is unbound first and then bound; what falls into
//! the gap comes back through `viereck.unrouted`. Does not: remove queues, because a queue may still hold messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;
use viereck_routing::{Tables, day_in_berlin};
use viereck_transport::{RouteKey, Topology};

use crate::{Broker, Error};

/// How often the day is looked at: bindings have days from which and until which they hold.
const DAY_CHECK: Duration = Duration::from_secs(60);

/// Keeps the link's topology equal to the table in force, until `stop`.
pub(crate) async fn keep(broker: Broker, stop: CancellationToken) -> Result<(), Error> {
    let mut tables = broker.tables.clone();
    let mut standing: Option<Topology> = None;
    let mut pause = Duration::from_millis(250);
    loop {
        let in_force = tables.borrow_and_update().clone();
        let wanted = of(&in_force, day_in_berlin(Timestamp::now()));
        let mut wait = DAY_CHECK;
        if standing.as_ref() != Some(&wanted) {
            match broker.link.reconcile(&wanted).await {
                Ok(()) => {
                    tracing::info!(gateways = wanted.gateways.len(), bindings = wanted.bindings.len(), release = %in_force.release(), "topology reconciled");
                    standing = Some(wanted);
                    pause = Duration::from_millis(250);
                }
                Err(error) => {
                    tracing::warn!(%error, ?pause, "topology not reconciled, again later");
                    wait = pause;
                    pause = (pause * 2).min(DAY_CHECK);
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // a closed channel means that no other version will come
            changed = tables.changed() => if changed.is_err() {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(wait) => {}
                }
            },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The topology that `tables` mean on this day.
pub(crate) fn of(tables: &Arc<Tables>, day: Date) -> Topology {
    let gateways: BTreeSet<_> = tables.gateways().map(|gateway| gateway.id.clone()).collect();
    let bindings: BTreeMap<_, _> = tables
        .bindings(day)
        .into_iter()
        .map(|binding| {
            (
                RouteKey {
                    reader: binding.behoerde,
                    leistung: binding.leistung,
                },
                binding.gateway,
            )
        })
        .collect();
    Topology { gateways, bindings }
}
