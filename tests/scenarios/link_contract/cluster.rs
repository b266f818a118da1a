//! What happens to a cluster of three while messages flow through it: nothing confirmed is lost, everything arrives.
//!
//! All of it on one cluster, one test after the other, each in a virtual host of its own.

use std::time::Duration;

use harness::rabbitmq::{self, Cluster, Vhost};
use harness::wait::until;
use viereck_transport::{AmqpConfig, Link, Queue};

use super::fixture::*;
use super::load::Load;

/// A link over all nodes, and the queue under test with its leader.
struct Flow {
    vhost: Vhost,
    link: Link,
    load: Load,
    leader: usize,
}

impl Flow {
    async fn start(cluster: &Cluster) -> Self {
        let vhost = cluster.vhost().await.unwrap();
        let link = over_all_nodes(&vhost);
        link.reconcile(&topology(&[])).await.unwrap();
        let leader = leader(cluster, &vhost).await;
        let load = Load::start(&link);
        load.confirms(500).await;
        Self {
            vhost,
            link,
            load,
            leader,
        }
    }

    /// Everything is well again: the account of both sides.
    async fn end(self, cluster: &Cluster, what: &str, gap: Duration) {
        self.load.confirms(500).await;
        let account = self.load.stop().await;
        println!("{what}: {account}, longest silence {gap:.1?}");
        assert_eq!(account.lost, 0);
        leader(cluster, &self.vhost).await;
        self.link.close().await;
    }
}

async fn leader(cluster: &Cluster, vhost: &Vhost) -> usize {
    let queue = Queue::Ingress.to_string();
    cluster.await_leader(&vhost.name, &queue, DEADLINE).await.unwrap()
}

/// Impatient, so that a test need not wait long for what a frozen node does not answer.
pub(super) fn over_all_nodes(vhost: &Vhost) -> Link {
    let config = AmqpConfig {
        nodes: vhost.urls.clone(),
        heartbeat: Duration::from_secs(1),
        patience: Duration::from_secs(5),
        ..AmqpConfig::new("")
    };
    Link::amqp(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_loses_nothing() {
    let cluster = rabbitmq::cluster().await;
    within_deadline(async {
        let flow = Flow::start(&cluster).await;
        let node = &cluster.nodes()[flow.leader];
        let gap = flow.load.gap_during(async { node.kill().await.unwrap() }).await;
        assert_ne!(leader(&cluster, &flow.vhost).await, flow.leader);
        node.restart().await.unwrap();
        flow.end(&cluster, "leader killed", gap).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_follower_loses_nothing() {
    let cluster = rabbitmq::cluster().await;
    within_deadline(async {
        let flow = Flow::start(&cluster).await;
        let node = &cluster.nodes()[(flow.leader + 1) % 3];
        let gap = flow.load.gap_during(async { node.kill().await.unwrap() }).await;
        node.restart().await.unwrap();
        flow.end(&cluster, "follower killed", gap).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_leader_loses_nothing() {
    let cluster = rabbitmq::cluster().await;
    within_deadline(async {
        let flow = Flow::start(&cluster).await;
        let node = &cluster.nodes()[flow.leader];
        // The others elect a new leader, which takes them some seconds; only then it comes back and must give way.
        let gap = flow.load.gap_during(async { node.freeze().unwrap() }).await;
        node.thaw().unwrap();
        flow.end(&cluster, "leader frozen", gap).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_nothing() {
    let cluster = rabbitmq::cluster().await;
    within_deadline(async {
        let flow = Flow::start(&cluster).await;
        let mut longest = Duration::ZERO;
        for node in cluster.nodes() {
            let restart = async {
                node.stop().await.unwrap();
                node.restart().await.unwrap();
            };
            longest = longest.max(flow.load.gap_during(restart).await);
        }
        flow.end(&cluster, "rolling restart", longest).await;
    })
    .await;
}

/// Nothing that was in it comes back, which is what the journals are for. But everything works again, as soon as
/// whoever reconciles has been told.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_disk_is_declared_anew() {
    within_deadline(async {
        let server = Cluster::start(1).await.unwrap();
        let vhost = server.vhost().await.unwrap();
        let link = over_all_nodes(&vhost);
        let mut renewals = link.renewals();
        link.reconcile(&topology(&[(key(1), 1)])).await.unwrap();
        renewals.next().await;
        let mut consumer = link.consume(&Queue::Gateway(gateway(1)), 4).await.unwrap();
        publish_until_confirmed(&link, &key(1).into(), &numbered(1)).await;
        assert_eq!(next(&mut consumer).await.bytes, numbered(1));
        server.wipe_and_restart_all().await.unwrap();
        renewals.next().await;
        until(DEADLINE, "the topology stands again", async || {
            link.reconcile(&topology(&[(key(1), 1)])).await.ok()
        })
        .await;
        publish_until_confirmed(&link, &key(1).into(), &numbered(2)).await;
        assert_eq!(next(&mut consumer).await.bytes, numbered(2));
        println!("one message before and one after all was lost, each delivered");
        link.close().await;
    })
    .await;
}
