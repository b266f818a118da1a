//! The RabbitMQ of the tests: the fault suite's, started once for all of them.
//!
//! One node for whoever needs just a virtual host, and one cluster of three for whoever breaks a part of it. Each starts
//! when the first test asks, and ends with the test binary, however that ends.

use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell, OwnedMutexGuard};
pub use viereck::drill::nodes::rabbitmq::{Cluster, Node, Vhost};

/// The AMQP URL of a new virtual host on the one node that all tests of this binary share.
///
/// # Panics
/// When RabbitMQ is not installed or does not start.
pub async fn vhost() -> String {
    shared().await.vhost().await.expect("a virtual host")
}

/// The one node that all tests of this binary share. It must not be stopped, killed or frozen.
///
/// # Panics
/// When RabbitMQ is not installed or does not start.
pub async fn shared() -> &'static Node {
    static SHARED: OnceCell<Node> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            Node::start()
                .await
                .expect("RabbitMQ: tests/run --only prepare installs it")
        })
        .await
}

/// The one cluster of three that all tests of this binary share, for one of them at a time: its holder may break any
/// node, and leaves all of them running.
///
/// # Panics
/// When RabbitMQ is not installed or does not start.
pub async fn cluster() -> OwnedMutexGuard<Cluster> {
    static SHARED: OnceCell<Arc<Mutex<Cluster>>> = OnceCell::const_new();
    let cluster = SHARED
        .get_or_init(async || {
            let cluster = Cluster::start(3).await;
            Arc::new(Mutex::new(
                cluster.expect("RabbitMQ: tests/run --only prepare installs it"),
            ))
        })
        .await;
    Arc::clone(cluster).lock_owned().await
}
