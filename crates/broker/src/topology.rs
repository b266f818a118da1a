//! Who is bound to what: the routing table as queues and bindings, made so whenever the table or the day changes.
//!
//! Only the broker declares anything on the link. A Behörde that moves is unbound first and then bound; what falls into
//! the gap comes back through `viereck.unrouted`. Does not: remove queues, because a queue may still hold messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;
use viereck_routing::{Tables, day_in_berlin};
use viereck_transport::{RouteKey, Topology};

use crate::{Broker, Error};

/// The pause after the first failure; it doubles.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// How often the day is looked at: bindings have days from which and until which they hold.
const DAY_CHECK: Duration = Duration::from_secs(60);

/// Makes the link's topology equal to the table in force, trying until it is done or `stop` comes: nothing is to be
/// relayed before there is a way.
pub(crate) async fn establish(broker: &Broker, stop: &CancellationToken) -> Topology {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let tables = broker.tables.borrow().clone();
        let wanted = of(&tables, day_in_berlin(Timestamp::now()));
        let reconciled = tokio::select! {
            reconciled = broker.link.reconcile(&wanted) => reconciled,
            () = stop.cancelled() => return Topology::default(),
        };
        match reconciled {
            Ok(()) => {
                let (gateways, bindings) = (wanted.gateways.len(), wanted.bindings.len());
                tracing::info!(gateways, bindings, release = %tables.release(), "topology reconciled");
                return wanted;
            }
            Err(error) => tracing::warn!(%error, ?pause, "topology not reconciled, again later"),
        }
        tokio::select! {
            () = stop.cancelled() => return Topology::default(),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(DAY_CHECK),
        }
    }
}

/// Keeps it so from then on, as the table and the day change or something turns out to be missing, until `stop`. Nobody
/// else reconciles, so an older table never overtakes a newer one.
pub(crate) async fn keep(broker: Broker, mut standing: Topology, stop: CancellationToken) -> Result<(), Error> {
    let mut tables = broker.tables.clone();
    let mut changes = true;
    let mut renewals = broker.link.renewals();
    loop {
        let mut missing = false;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = broker.topology_wanted.notified() => missing = true,
            // a server that lost its disk comes back without any of it
            () = renewals.next() => missing = true,
            // a closed channel means that no other version will come
            changed = tables.changed(), if changes => changes = changed.is_ok(),
            () = tokio::time::sleep(DAY_CHECK) => {}
        }
        let wanted = of(&tables.borrow_and_update(), day_in_berlin(Timestamp::now()));
        if missing || standing != wanted {
            standing = establish(&broker, &stop).await;
        }
    }
}

/// The topology that `tables` mean on this day.
pub(crate) fn of(tables: &Tables, day: Date) -> Topology {
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
