//! Which queues there are and which keys lead where.
//!
//! One queue per gateway, never one per Behörde: there are hundreds of the former and 11,000 of the latter, and a queue
//! is expensive where a binding is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use viereck_routing::GatewayId;

use crate::address::RouteKey;

/// How often a message may come back to its queue before it is moved to [`Queue::Parked`]. The policy in
/// `deploy/rabbitmq` says the same for RabbitMQ. High, because a consumer that dies counts as one return.
pub(crate) const DELIVERY_LIMIT: u32 = 100;

/// What the link has to know about the world: derived from the routing tables by the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Every gateway that has queues of its own.
    pub gateways: BTreeSet<GatewayId>,
    /// For every delivery, the gateway it goes to.
    pub bindings: BTreeMap<RouteKey, GatewayId>,
}

/// A queue that can be consumed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Queue {
    /// All that gateways write, for the broker.
    Ingress,
    /// Envelopes for the readers this gateway serves.
    Gateway(GatewayId),
    /// Verified receipts for this gateway, never behind a backlog of envelopes.
    Receipts(GatewayId),
    /// What no binding wanted: nothing is ever confirmed and gone.
    Unrouted,
    /// What came back too often.
    Parked,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingress => f.write_str("viereck.ingress"),
            Self::Gateway(gateway) => write!(f, "gateway.{gateway}"),
            Self::Receipts(gateway) => write!(f, "receipts.{gateway}"),
            Self::Unrouted => f.write_str("viereck.unrouted"),
            Self::Parked => f.write_str("viereck.parked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DELIVERY_LIMIT;

    #[test]
    fn the_policy_for_operators_has_the_same_delivery_limit() {
        let policy = include_str!("../../../deploy/rabbitmq/definitions.json");
        assert!(policy.contains(&format!("\"delivery-limit\": {DELIVERY_LIMIT},")));
    }
}
