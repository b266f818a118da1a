//! What is measured of the middle beside its journal and its link.

use viereck_observe::{Kind, Label, Values};

viereck_observe::declare! {
    /// Messages that wait in a queue of the link, without those in hand. Of the gateways' queues together.
    DEPTH = Kind::Gauge, Count, "viereck_queue_depth",
        [Label { name: "queue", values: Values::Words(|| vec!["ingress", "unrouted", "parked", "gateways", "receipts"]) }];
    /// Messages in the fullest queue of any gateway.
    DEEPEST = Kind::Gauge, Count, "viereck_queue_deepest", [];
}
