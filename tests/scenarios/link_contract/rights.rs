//! A gateway's user can do what a gateway does, and nothing else: the rights that `deploy/rabbitmq/README.md` gives it.

use bytes::Bytes;
use harness::rabbitmq;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use viereck_transport::{Address, AmqpConfig, Link, Queue};

use super::fixture::*;

const ACCESS_REFUSED: u16 = 403;

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_reaches_only_what_is_its_own() {
    let url = rabbitmq::vhost().await;
    let broker = Link::amqp(AmqpConfig::new(&url)).unwrap();
    broker.reconcile(&topology(&[(key(1), 1), (key(2), 2)])).await.unwrap();
    let as_gateway = give_rights(&url).await;

    let link = Link::amqp(AmqpConfig::new(&as_gateway)).unwrap();
    for address in [Address::Submit(gateway(1)), Address::Receipt(gateway(1))] {
        publish_until_confirmed(&link, &address, &numbered(1)).await;
    }
    broker.publish(&key(1).into(), numbered(2)).await.unwrap();
    broker
        .publish(
            &Address::Receipts {
                from: gateway(2),
                to: gateway(1),
            },
            numbered(3),
        )
        .await
        .unwrap();
    for (queue, expected) in [(Queue::Gateway(gateway(1)), 2), (Queue::Receipts(gateway(1)), 3)] {
        let mut consumer = link.consume(&queue, 4).await.unwrap();
        assert_eq!(next(&mut consumer).await.bytes, numbered(expected), "{queue}");
    }
    link.close().await;

    // Forbidden things end the channel they are tried on.
    let connection = Connection::connect(&as_gateway, ConnectionProperties::default())
        .await
        .unwrap();
    let foreign_keys = ["submit.gw-2", "receipt.gw-2", "submit.gw-1.x", "other.gw-1"];
    let elsewhere = [
        ("viereck.route", "wgb:00000002"),
        ("viereck.receipts", "gw-1.gw-2"),
        ("", "gateway.gw-2"),
    ];
    for (exchange, key) in foreign_keys
        .map(|key| ("viereck.ingress", key))
        .into_iter()
        .chain(elsewhere)
    {
        let channel = connection.create_channel().await.unwrap();
        refused(
            publish(&channel, exchange, key).await,
            &format!("publishing {key} to '{exchange}'"),
        );
    }
    let none = FieldTable::default;
    for queue in [
        "gateway.gw-2",
        "receipts.gw-2",
        "viereck.ingress",
        "viereck.unrouted",
        "viereck.bindings",
    ] {
        let channel = connection.create_channel().await.unwrap();
        let consume = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), none());
        refused(consume.await, queue);
        let channel = connection.create_channel().await.unwrap();
        refused(channel.basic_get(queue.into(), BasicGetOptions::default()).await, queue);
    }
    let channel = connection.create_channel().await.unwrap();
    let declare = channel.queue_declare("gateway.gw-3x".into(), QueueDeclareOptions::durable(), none());
    refused(declare.await, "declaring a queue");
    let channel = connection.create_channel().await.unwrap();
    let options = ExchangeDeclareOptions::default();
    refused(
        channel
            .exchange_declare("own".into(), ExchangeKind::Fanout, options, none())
            .await,
        "declaring an exchange",
    );
    let channel = connection.create_channel().await.unwrap();
    let bind = channel.queue_bind(
        "gateway.gw-1".into(),
        "viereck.route".into(),
        "wgb:00000002".into(),
        QueueBindOptions::default(),
        none(),
    );
    refused(bind.await, "binding a foreign key to its own queue");
    connection.close(200, "OK".into()).await.unwrap();

    depth_is(&broker, &Queue::Ingress, 2).await;
    for queue in [Queue::Gateway(gateway(2)), Queue::Receipts(gateway(2)), Queue::Unrouted] {
        depth_is(&broker, &queue, 0).await;
    }
    println!("allowed 4 things, refused 20, the ingress holds the 2 messages that were its own");
    broker.close().await;
}

/// Makes the user as the README says, but with a password, as there are no certificates here. Its URL.
async fn give_rights(url: &str) -> String {
    let (head, vhost) = url.rsplit_once('/').unwrap();
    let (_, host) = head.rsplit_once('@').unwrap();
    let as_gateway = format!("amqp://gw-1:example@{host}/{vhost}");
    let node = rabbitmq::shared().await;
    let own_queues = r"^(gateway|receipts)\.gw-1$";
    let own_keys = r"^(submit|receipt)\.gw-1$";
    let exchange = r"^viereck\.ingress$";
    for command in [
        &["add_user", "gw-1", "example"][..],
        &["set_permissions", "-p", vhost, "gw-1", "^$", exchange, own_queues],
        &[
            "set_topic_permissions",
            "-p",
            vhost,
            "gw-1",
            "viereck.ingress",
            own_keys,
            "^$",
        ],
    ] {
        node.ctl(command).await.unwrap();
    }
    as_gateway
}

async fn publish(channel: &Channel, exchange: &str, key: &str) -> Result<(), lapin::Error> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let bytes = Bytes::from_static(b"forged");
    channel
        .basic_publish(exchange.into(), key.into(), options, &bytes, properties)
        .await?
        .await
        .map(drop)
}

fn refused<T>(answer: Result<T, lapin::Error>, what: &str) {
    match answer {
        Ok(_) => panic!("allowed: {what}"),
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(refusal) => assert_eq!(refusal.get_id(), ACCESS_REFUSED, "{what}: {error}"),
            other => panic!("{what}: {other:?}"),
        },
    }
}
