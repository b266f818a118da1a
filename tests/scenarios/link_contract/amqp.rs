//! What lapin and RabbitMQ do that surprises: each of these was seen before the link stood against it.

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::process::repository;
use harness::rabbitmq::{self, Node};
use harness::wait::until;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use viereck_transport::{AmqpConfig, Link, LinkError, Origin, Queue, Tls};

use super::fixture::*;
use super::load::Load;

/// Built without a certificate store lapin would speak plaintext to this address, and say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_sent_to_a_tls_address_is_tls() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(
        &ca,
        rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .unwrap()
            .cert
            .pem(),
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = AmqpConfig::new(&format!("amqps://{}/%2f", listener.local_addr().unwrap()));
    config.tls = Some(Tls {
        ca,
        certificate: None,
        key: None,
        read_key: |_| unreachable!("no key is named"),
    });
    let link = Link::amqp(config).unwrap();
    let first = tokio::task::spawn_blocking(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut first = [0];
        socket.read_exact(&mut first).unwrap();
        first[0]
    });
    assert_eq!(first.await.unwrap(), 0x16, "a TLS handshake record");
    link.close().await;
}

/// An acknowledgement on a dead connection is no error in lapin, and must be none here: the message comes again.
#[tokio::test(flavor = "multi_thread")]
async fn done_on_a_dead_connection_is_no_error_and_the_message_comes_again() {
    within_deadline(async {
        const MESSAGES: u32 = 100;
        let url = rabbitmq::vhost().await;
        let link = Link::amqp(AmqpConfig::new(&url)).unwrap();
        link.reconcile(&topology(&[])).await.unwrap();
        publish_all(&link, (0..MESSAGES).map(|number| (submit(), numbered(number)))).await;
        let mut consumer = link.consume(&Queue::Ingress, 256).await.unwrap();
        let mut in_hand = Vec::new();
        for _ in 0..MESSAGES {
            in_hand.push(next(&mut consumer).await);
        }
        cut_connections(&url).await;
        in_hand.into_iter().for_each(viereck_transport::Delivery::done);
        // The same consumer goes on by itself.
        let again = receive(&mut consumer, MESSAGES as usize).await;
        consumer.cancel().await;
        depth_is(&link, &Queue::Ingress, 0).await;
        println!(
            "sent {MESSAGES}, done too late {MESSAGES}, delivered again {}",
            again.len()
        );
        link.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_confirmed_message_survives_kill_9_of_the_only_node() {
    within_deadline(async {
        let node = Node::start().await.unwrap();
        let link = Link::amqp(AmqpConfig {
            patience: Duration::from_secs(10),
            ..AmqpConfig::new(&node.vhost().await.unwrap())
        })
        .unwrap();
        link.reconcile(&topology(&[])).await.unwrap();
        let load = Load::start(&link);
        load.confirms(1_000).await;
        node.kill().await.unwrap();
        let killed = Instant::now();
        node.restart().await.unwrap();
        load.confirms(1).await;
        let back = killed.elapsed();
        load.confirms(1_000).await;
        let account = load.stop().await;
        assert_eq!(account.lost, 0);
        println!("{account}, publishing again after {back:.1?}");
        link.close().await;
    })
    .await;
}

/// To a frozen node a connection looks alive. It is cut, so that what it holds can go to others, and the link is back
/// once the node thaws.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_holds_nobody_for_ever() {
    within_deadline(async {
        let node = Node::start().await.unwrap();
        let url = node.vhost().await.unwrap();
        let config = AmqpConfig {
            heartbeat: Duration::from_secs(1),
            patience: Duration::from_secs(3),
            ..AmqpConfig::new(&url)
        };
        let link = Link::amqp(config.clone()).unwrap();
        link.reconcile(&topology(&[])).await.unwrap();
        link.publish(&submit(), numbered(1)).await.unwrap();
        let mut consumer = link.consume(&Queue::Ingress, 8).await.unwrap();
        let in_hand = next(&mut consumer).await;
        node.freeze().unwrap();
        let frozen = Instant::now();
        let answer = link.publish(&submit(), numbered(2)).await;
        assert!(
            matches!(answer, Err(LinkError::Unconfirmed | LinkError::Unreachable)),
            "{answer:?}"
        );
        let closing = Link::amqp(config).unwrap();
        closing.close().await;
        let answered = frozen.elapsed();
        assert!(answered < Duration::from_secs(20), "{answered:?}");
        until(DEADLINE, "the dead connection is given up", async || {
            matches!(link.depth(&Queue::Ingress).await, Err(LinkError::Unreachable)).then_some(())
        })
        .await;
        node.thaw().unwrap();
        in_hand.done();
        publish_until_confirmed(&link, &submit(), &numbered(3)).await;
        let received = receive(&mut consumer, 2).await;
        println!(
            "frozen for {:.1?}: answered after {answered:.1?}, delivered {} messages",
            frozen.elapsed(),
            received.len()
        );
        link.close().await;
    })
    .await;
}

/// Publishing to an exchange that is not there kills the channel; the link opens another one. A gateway may be up long
/// before the broker has declared anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_may_start_before_the_broker() {
    within_deadline(async {
        let url = rabbitmq::vhost().await;
        let gateway_side = Link::amqp(AmqpConfig::new(&url)).unwrap();
        let mut consumer = gateway_side.consume(&Queue::Gateway(gateway(1)), 4).await.unwrap();
        let early = gateway_side.publish(&submit(), numbered(1)).await;
        assert!(matches!(early, Err(LinkError::Unconfirmed)), "{early:?}");
        let depth = gateway_side.depth(&Queue::Ingress).await;
        assert!(matches!(depth, Err(LinkError::NoQueue(_))), "{depth:?}");
        let broker_side = Link::amqp(AmqpConfig::new(&url)).unwrap();
        broker_side.reconcile(&topology(&[(key(1), 1)])).await.unwrap();
        let attempts = publish_until_confirmed(&gateway_side, &submit(), &numbered(2)).await;
        broker_side.publish(&key(1).into(), numbered(3)).await.unwrap();
        assert_eq!(next(&mut consumer).await.bytes, numbered(3));
        println!("published before the topology was there: 1 refused, then confirmed at attempt {attempts}");
        gateway_side.close().await;
        broker_side.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_works_again_when_there_is_room() {
    within_deadline(async {
        let url = rabbitmq::vhost().await;
        set_policy(
            &url,
            "viereck\\.ingress",
            r#"{"max-length": 20, "overflow": "reject-publish"}"#,
        )
        .await;
        let link = Link::amqp(AmqpConfig::new(&url)).unwrap();
        link.reconcile(&topology(&[])).await.unwrap();
        let mut kept = 0;
        let refused = until(DEADLINE, "the queue is full", async || {
            match link.publish(&submit(), numbered(kept)).await {
                Ok(()) => {
                    kept += 1;
                    None
                }
                Err(error) => Some(error),
            }
        })
        .await;
        assert!(matches!(refused, LinkError::Full), "{refused:?}");
        assert!(kept >= 20, "{kept}");
        let mut consumer = link.consume(&Queue::Ingress, 8).await.unwrap();
        let received = receive(&mut consumer, kept as usize).await;
        publish_until_confirmed(&link, &submit(), &numbered(9_999)).await;
        next(&mut consumer).await.done();
        println!(
            "kept {kept}, then refused; delivered {}, then accepted again",
            received.len()
        );
        link.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_too_often_is_parked_and_still_tells_its_origin() {
    within_deadline(async {
        let url = rabbitmq::vhost().await;
        let policy = r#"{"delivery-limit": 2, "dead-letter-exchange": "viereck.parked",
            "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}"#;
        set_policy(&url, "viereck\\.ingress", policy).await;
        let link = Link::amqp(AmqpConfig::new(&url)).unwrap();
        link.reconcile(&topology(&[])).await.unwrap();
        link.publish(&submit(), numbered(1)).await.unwrap();
        let mut parked = link.consume(&Queue::Parked, 1).await.unwrap();
        let mut consumer = link.consume(&Queue::Ingress, 1).await.unwrap();
        let mut attempts = 0;
        let found = loop {
            tokio::select! {
                delivery = next(&mut consumer) => { attempts = delivery.attempt; delivery.drop_back() }
                found = next(&mut parked) => break found,
            }
        };
        assert_eq!(
            (attempts, &found.bytes, found.key.as_str()),
            (3, &numbered(1), "submit.gw-1")
        );
        assert_eq!(found.origin(), Some(Origin::Submit(gateway(1))));
        println!("delivered {attempts} times, then parked");
        link.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_reconcile_at_once() {
    within_deadline(async {
        let url = rabbitmq::vhost().await;
        let link = Link::amqp(AmqpConfig::new(&url)).unwrap();
        link.reconcile(&topology(&[(key(1), 1)])).await.unwrap();
        let other = lapin::Connection::connect(&url, lapin::ConnectionProperties::default())
            .await
            .unwrap();
        let channel = other.create_channel().await.unwrap();
        let moved = topology(&[(key(1), 2)]);
        // One that has begun, and one that holds the record and is not gone yet.
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare("viereck.reconciling".into(), exclusive, FieldTable::default())
            .await
            .unwrap();
        let answer = link.reconcile(&moved).await;
        assert!(matches!(answer, Err(LinkError::Reconciling)), "{answer:?}");
        channel
            .queue_delete("viereck.reconciling".into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        let options = BasicConsumeOptions::default();
        channel
            .basic_consume(
                "viereck.bindings".into(),
                "other".into(),
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let answer = link.reconcile(&moved).await;
        assert!(matches!(answer, Err(LinkError::Reconciling)), "{answer:?}");
        channel.close(200, "OK".into()).await.unwrap();
        other.close(200, "OK".into()).await.unwrap();
        link.reconcile(&moved).await.unwrap();
        link.publish(&key(1).into(), numbered(1)).await.unwrap();
        depth_is(&link, &Queue::Gateway(gateway(2)), 1).await;
        link.close().await;
    })
    .await;
}

/// An argument of a queue cannot be changed later, so each has just the one; everything else is a policy.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_differently_is_refused_by_name() {
    within_deadline(async {
        let url = rabbitmq::vhost().await;
        let other = lapin::Connection::connect(&url, lapin::ConnectionProperties::default())
            .await
            .unwrap();
        let channel = other.create_channel().await.unwrap();
        channel
            .queue_declare(
                "viereck.ingress".into(),
                QueueDeclareOptions::durable(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        let link = Link::amqp(AmqpConfig::new(&url)).unwrap();
        let answer = link.reconcile(&topology(&[])).await;
        let Err(
            error @ LinkError::Refused {
                action: "declare a queue",
                ..
            },
        ) = &answer
        else {
            panic!("{answer:?}")
        };
        assert!(!error.may_pass());
        assert!(
            std::error::Error::source(error)
                .unwrap()
                .to_string()
                .contains("x-queue-type")
        );
        link.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_script_sets_the_policies() {
    let node = rabbitmq::shared().await;
    let script = repository().join("deploy/rabbitmq/apply");
    let apply = async |arguments: &'static [&'static str]| {
        let mut command: Command = node.operator(&script);
        tokio::task::spawn_blocking(move || command.args(arguments).output().unwrap())
            .await
            .unwrap()
    };
    for _ in 0..2 {
        let output = apply(&["viereck-test"]).await;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{told}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for expected in ["viereck-queues", "viereck-last", "reject-publish", "at-least-once"] {
            assert!(told.contains(expected), "{expected} is missing: {told}");
        }
    }
    for wrong in [&[][..], &["a", "b"], &["/"], &["Viereck&"]] {
        assert_eq!(apply(wrong).await.status.code(), Some(2), "{wrong:?}");
    }
}

/// Overrides the policies of `deploy/rabbitmq` for one queue.
async fn set_policy(url: &str, pattern: &str, definition: &str) {
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    let (pattern, definition) = (format!("^{pattern}$"), definition.to_owned());
    let node = rabbitmq::shared().await;
    let set = [
        "set_policy",
        "--vhost",
        &vhost,
        "--priority",
        "20",
        "test",
        &pattern,
        &definition,
    ];
    node.ctl(&set).await.unwrap();
}
