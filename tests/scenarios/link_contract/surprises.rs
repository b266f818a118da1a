//! More of what lapin and RabbitMQ do that surprises: ends that hang, connections that will not die, gaps, dead channels.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::rabbitmq::{self, Node};
use harness::wait::until;
use viereck_transport::{AmqpConfig, Link, LinkError, Queue};

use super::cluster::over_all_nodes;
use super::fixture::*;
use super::load::Load;

/// What a service may be away when one of three nodes dies. lapin's own recovery took 16 s.
const SERVICE_IS_BACK: Duration = Duration::from_secs(10);

/// `Connection::close` waits for ever, or fails, when a channel was dropped just before.
#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_hang_after_channels_were_dropped() {
    const ROUNDS: u32 = 20;
    within_deadline(async {
        let url = rabbitmq::vhost().await;
        let mut longest = Duration::ZERO;
        for round in 0..ROUNDS {
            let link = named_link(&url, "closing");
            link.reconcile(&topology(&[])).await.unwrap();
            publish_until_confirmed(&link, &submit(), &numbered(round)).await;
            // Dropped with deliveries in hand, in the middle of being opened, and in the middle of a publish.
            let mut consumer = link.consume(&Queue::Ingress, 4).await.unwrap();
            let delivery = next(&mut consumer).await;
            drop(consumer);
            drop(link.consume(&Queue::Ingress, 4).await.unwrap());
            let address = submit();
            let unfinished = link.publish(&address, Bytes::from(vec![0; 2_000_000]));
            let _ = tokio::time::timeout(Duration::from_millis(u64::from(round % 4)), unfinished).await;
            drop(delivery);
            let begun = Instant::now();
            link.close().await;
            longest = longest.max(begun.elapsed());
        }
        assert!(longest < Duration::from_secs(4), "a close took {longest:?}");
        let node = rabbitmq::shared().await;
        until(DEADLINE, "every connection is gone", async || {
            connections(node, "closing").await.is_empty().then_some(())
        })
        .await;
        println!("closed {ROUNDS} links with something under way, the longest took {longest:.1?}");
    })
    .await;
}

/// A connection that was dropped while its node is frozen used to live on in lapin's thread, and to keep what was
/// prefetched from everybody else once the node thawed.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_dropped_while_its_node_is_frozen_keeps_nothing() {
    const MESSAGES: u32 = 50;
    within_deadline(async {
        let node = Node::start().await.unwrap();
        let url = node.vhost().await.unwrap();
        let link = named_link(&url, "dropped");
        link.reconcile(&topology(&[])).await.unwrap();
        publish_all(&link, (0..MESSAGES).map(|number| (submit(), numbered(number)))).await;
        let mut consumer = link.consume(&Queue::Ingress, 256).await.unwrap();
        let mut in_hand = Vec::new();
        for _ in 0..MESSAGES {
            in_hand.push(next(&mut consumer).await);
        }
        assert_eq!(open_sockets(node.port()), 2, "one to publish, one to consume");
        node.freeze().unwrap();
        drop((in_hand, consumer, link));
        // The node still says nothing, and nothing of the connection is left.
        until(DEADLINE, "every socket is given back", async || {
            (open_sockets(node.port()) == 0).then_some(())
        })
        .await;
        node.thaw().unwrap();
        let thawed = Instant::now();
        let another = named_link(&url, "another");
        let mut consumer = another.consume(&Queue::Ingress, 256).await.unwrap();
        let received = receive(&mut consumer, MESSAGES as usize).await;
        let freed = thawed.elapsed();
        assert!(freed < Duration::from_secs(20), "{freed:?}");
        assert!(connections(&node, "dropped").await.is_empty());
        println!(
            "in hand {MESSAGES} at the drop, {} delivered to another within {freed:.1?}",
            received.len()
        );
        another.close().await;
    })
    .await;
}

/// lapin's own recovery left a gap of many seconds; ours tries all nodes in turn.
#[tokio::test(flavor = "multi_thread")]
async fn service_is_back_within_seconds_after_the_death_of_the_node_in_use() {
    let cluster = rabbitmq::cluster().await;
    within_deadline(async {
        let vhost = cluster.vhost().await.unwrap();
        let link = over_all_nodes(&vhost);
        link.reconcile(&topology(&[])).await.unwrap();
        let load = Load::start(&link);
        load.confirms(200).await;
        let mut gaps = Vec::new();
        for _ in 0..2 {
            let used = node_in_use(&cluster, &vhost.name).await;
            let node = &cluster.nodes()[used];
            let gap = load.gap_during(async { node.kill().await.unwrap() }).await;
            assert_ne!(node_in_use(&cluster, &vhost.name).await, used);
            node.restart().await.unwrap();
            gaps.push(gap);
        }
        let account = load.stop().await;
        println!("{account}; the node in use killed twice, publishing silent for {gaps:.1?}");
        assert_eq!(account.lost, 0);
        assert!(gaps.iter().all(|gap| *gap < SERVICE_IS_BACK), "{gaps:?}");
        link.close().await;
    })
    .await;
}

/// Each of these ends the channel. It costs what was under way on it, never the connection, and never the next publish.
#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_kills_the_channel_is_an_error_and_the_next_one_works() {
    const SERVERS_LIMIT: usize = 100_000;
    within_deadline(async {
        let node = Node::start().await.unwrap();
        let url = node.vhost().await.unwrap();
        node.ctl(&[
            "eval",
            &format!("application:set_env(rabbit, max_message_size, {SERVERS_LIMIT})."),
        ])
        .await
        .unwrap();
        let link = named_link(&url, "channels");
        // Nobody has declared the exchange yet.
        let missing = link.publish(&submit(), numbered(1)).await;
        assert!(matches!(missing, Err(LinkError::Unconfirmed)), "{missing:?}");
        let before = connections(&node, "channels").await;
        link.reconcile(&topology(&[])).await.unwrap();
        let begun = Instant::now();
        publish_until_confirmed(&link, &submit(), &numbered(2)).await;
        for round in 0..5 {
            let too_large = link.publish(&submit(), Bytes::from(vec![0; SERVERS_LIMIT + 1])).await;
            assert!(matches!(too_large, Err(LinkError::Unconfirmed)), "{too_large:?}");
            publish_until_confirmed(&link, &submit(), &numbered(3 + round)).await;
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        let after = connections(&node, "channels").await;
        assert_eq!((before.len(), &before), (2, &after), "a connection was lost");
        depth_is(&link, &Queue::Ingress, 6).await;
        println!(
            "1 publish to nowhere and 5 too large refused, 6 others kept, in {took:.1?}, over the same connections"
        );
        link.close().await;
    })
    .await;
}

fn named_link(url: &str, name: &str) -> Link {
    Link::amqp(AmqpConfig {
        name: name.to_owned(),
        ..AmqpConfig::new(url)
    })
    .unwrap()
}

/// The connections of the links of this name that a server knows.
async fn connections(node: &Node, name: &str) -> BTreeSet<String> {
    let listed = node
        .ctl(&["list_connections", "--silent", "pid", "client_properties"])
        .await
        .unwrap();
    listed
        .lines()
        .filter(|line| line.contains(&format!("\"{name} ")))
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect()
}

/// The node that a link publishes through.
async fn node_in_use(cluster: &rabbitmq::Cluster, vhost: &str) -> usize {
    let used = async || {
        let asked = cluster.nodes().iter().find(|node| node.is_running())?;
        let columns = ["list_connections", "--silent", "port", "vhost", "client_properties"];
        let listed = asked.ctl(&columns).await.ok()?;
        let ours = listed
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .find(|columns| columns[1] == vhost && columns[2].contains("\"viereck publish\""))?;
        let port: u16 = ours[0].parse().ok()?;
        cluster.nodes().iter().position(|node| node.port() == port)
    };
    until(DEADLINE, "a connection to publish on", used).await
}

/// How many sockets to this port anybody still holds. One that was closed may linger in the kernel, owned by nobody.
fn open_sockets(port: u16) -> usize {
    let remote = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let held = table.lines().skip(1).filter(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns[2].ends_with(&remote) && columns[9] != "0"
    });
    held.count()
}
