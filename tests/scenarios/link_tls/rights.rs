//! With the rights that `deploy/rabbitmq/grant` gives, a gateway's certificate opens what a gateway does and nothing
//! else, and the broker's everything a broker does and no queue of a gateway.

use bytes::Bytes;
use harness::authority::When;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeBindOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ErrorKind, ExchangeKind};
use viereck_transport::{Address, Link, Queue};

use super::fixture::*;
use crate::link_contract::fixture::{
    depth_is, exact_key, gateway, key, next, numbered, publish_until_confirmed, topology,
};

const ACCESS_REFUSED: u16 = 403;

/// Something that ends the channel it is tried on.
#[derive(Debug, Clone, Copy)]
enum Try {
    Publish(&'static str, &'static str),
    Consume(&'static str),
    Get(&'static str),
    Purge(&'static str),
    Delete(&'static str),
    DeleteExchange(&'static str),
    Declare(&'static str),
    DeclareExchange(&'static str),
    /// Queue, exchange, key.
    Bind(&'static str, &'static str, &'static str),
    Unbind(&'static str, &'static str, &'static str),
    /// Destination, source.
    BindExchange(&'static str, &'static str),
}

impl Try {
    async fn on(self, channel: &Channel) -> Result<(), lapin::Error> {
        let none = FieldTable::default;
        match self {
            Try::Publish(exchange, key) => {
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
                let bytes = Bytes::from_static(b"forged");
                let confirm = channel
                    .basic_publish(exchange.into(), key.into(), options, &bytes, properties)
                    .await?;
                confirm.await.map(drop)
            }
            Try::Consume(queue) => {
                let options = BasicConsumeOptions::default();
                let consumer = channel.basic_consume(queue.into(), "".into(), options, none());
                consumer.await.map(drop)
            }
            Try::Get(queue) => channel
                .basic_get(queue.into(), BasicGetOptions::default())
                .await
                .map(drop),
            Try::Purge(queue) => channel
                .queue_purge(queue.into(), QueuePurgeOptions::default())
                .await
                .map(drop),
            Try::Delete(queue) => channel
                .queue_delete(queue.into(), QueueDeleteOptions::default())
                .await
                .map(drop),
            Try::DeleteExchange(exchange) => {
                channel
                    .exchange_delete(exchange.into(), ExchangeDeleteOptions::default())
                    .await
            }
            Try::Declare(queue) => {
                let declared = channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none());
                declared.await.map(drop)
            }
            Try::DeclareExchange(exchange) => {
                let options = ExchangeDeclareOptions::default();
                channel
                    .exchange_declare(exchange.into(), ExchangeKind::Fanout, options, none())
                    .await
            }
            Try::Bind(queue, exchange, key) => {
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(queue.into(), exchange.into(), key.into(), options, none())
                    .await
            }
            Try::Unbind(queue, exchange, key) => {
                channel
                    .queue_unbind(queue.into(), exchange.into(), key.into(), none())
                    .await
            }
            Try::BindExchange(to, from) => {
                let options = ExchangeBindOptions::default();
                channel
                    .exchange_bind(to.into(), from.into(), "#".into(), options, none())
                    .await
            }
        }
    }
}

async fn all_refused(connection: &Connection, tries: &[Try]) {
    for what in tries {
        let channel = connection.create_channel().await.unwrap();
        match what.on(&channel).await {
            Ok(()) => panic!("allowed: {what:?}"),
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(refusal) => assert_eq!(refusal.get_id(), ACCESS_REFUSED, "{what:?}: {error}"),
                other => panic!("{what:?}: {other:?}"),
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_certificate_opens_only_what_is_its_own() {
    const FORBIDDEN: &[Try] = &[
        Try::Publish("viereck.ingress", "submit.gw-2"),
        Try::Publish("viereck.ingress", "receipt.gw-2"),
        Try::Publish("viereck.ingress", "submit.gw-1.x"),
        Try::Publish("viereck.ingress", "submit.gw-11"),
        Try::Publish("viereck.ingress", "other.gw-1"),
        Try::Publish("viereck.route", "wgb:00000002"),
        Try::Publish("viereck.receipts", "gw-1.gw-2"),
        Try::Publish("viereck.unrouted", ""),
        Try::Publish("viereck.parked", ""),
        Try::Publish("viereck.bindings", ""),
        Try::Publish("amq.direct", "x"),
        Try::Publish("amq.topic", "submit.gw-1"),
        Try::Publish("", "gateway.gw-2"),
        Try::Publish("", "gateway.gw-1"),
        Try::Publish("", "viereck.ingress"),
        Try::Consume("gateway.gw-2"),
        Try::Consume("receipts.gw-2"),
        Try::Consume("viereck.ingress"),
        Try::Consume("viereck.unrouted"),
        Try::Consume("viereck.parked"),
        Try::Consume("viereck.bindings"),
        Try::Get("gateway.gw-2"),
        Try::Get("viereck.ingress"),
        Try::Purge("gateway.gw-2"),
        Try::Purge("viereck.ingress"),
        Try::Delete("gateway.gw-2"),
        Try::Delete("gateway.gw-1"),
        Try::Delete("viereck.ingress"),
        Try::DeleteExchange("viereck.ingress"),
        Try::DeleteExchange("viereck.route"),
        Try::Declare("gateway.gw-3x"),
        Try::Declare("own"),
        Try::DeclareExchange("own"),
        Try::Bind("gateway.gw-1", "viereck.route", "wgb:00000002"),
        Try::Bind("gateway.gw-1", "viereck.receipts", "#"),
        Try::Bind("gateway.gw-1", "viereck.ingress", "#"),
        Try::Unbind("gateway.gw-2", "viereck.route", "wgb:00000002"),
        Try::Unbind("viereck.ingress", "viereck.ingress", "submit.*"),
        Try::BindExchange("viereck.ingress", "viereck.route"),
    ];
    let secured = shared().await;
    let vhost = secured.vhost().await;
    let broker = Link::amqp(secured.user(&vhost, "broker").config.clone()).unwrap();
    broker.reconcile(&topology(&[(key(1), 1), (key(2), 2)])).await.unwrap();

    let user = secured.user(&vhost, "gw-1");
    let link = Link::amqp(user.config.clone()).unwrap();
    for address in [Address::Submit(gateway(1)), Address::Receipt(gateway(1))] {
        publish_until_confirmed(&link, &address, &numbered(1)).await;
    }
    broker.publish(&key(1).into(), numbered(2)).await.unwrap();
    let (from, to) = (gateway(2), gateway(1));
    broker
        .publish(&Address::Receipts { from, to }, numbered(3))
        .await
        .unwrap();
    for (queue, expected) in [(Queue::Gateway(gateway(1)), 2), (Queue::Receipts(gateway(1)), 3)] {
        let mut consumer = link.consume(&queue, 4).await.unwrap();
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.bytes, numbered(expected), "{queue}");
        delivery.done();
        depth_is(&link, &queue, 0).await;
    }
    assert!(secured.connected(&vhost).await.contains(&"gw-1".to_owned()));
    link.close().await;

    let issued = secured.authority.user("gw-1", When::Now);
    let connection = secured.connect(&vhost, &issued).await.unwrap();
    all_refused(&connection, FORBIDDEN).await;
    // Who it is stands in its certificate, not in what it says.
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let forged = BasicProperties::default().with_user_id("gw-2".into());
    let options = BasicPublishOptions::default();
    let answer = channel
        .basic_publish(
            "viereck.ingress".into(),
            "submit.gw-1".into(),
            options,
            b"forged",
            forged,
        )
        .await
        .unwrap()
        .await;
    assert!(
        answer.is_err(),
        "a message of another user's name was taken: {answer:?}"
    );
    connection.close(200, "OK".into()).await.unwrap();

    depth_is(&broker, &Queue::Ingress, 2).await;
    for queue in [Queue::Gateway(gateway(2)), Queue::Receipts(gateway(2)), Queue::Unrouted] {
        depth_is(&broker, &queue, 0).await;
    }
    println!(
        "allowed 4 things, refused {}, the ingress holds the 2 messages that were its own",
        FORBIDDEN.len() + 1
    );
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_certificate_opens_the_middle_and_no_queue_of_a_gateway() {
    const FORBIDDEN: &[Try] = &[
        Try::Publish("", "gateway.gw-1"),
        Try::Publish("", "viereck.bindings"),
        Try::Publish("viereck.ingress", "submit.gw-1"),
        Try::Publish("amq.topic", "x"),
        Try::Consume("gateway.gw-1"),
        Try::Get("receipts.gw-1"),
        Try::Purge("gateway.gw-1"),
        Try::Bind("viereck.ingress", "viereck.ingress", "#"),
        Try::Bind("viereck.ingress", "amq.topic", "#"),
        Try::Declare("elsewhere"),
        Try::Declare("gateway.Not-An-Id"),
        Try::DeclareExchange("viereck.other"),
    ];
    let secured = shared().await;
    let vhost = secured.vhost().await;
    let user = secured.user(&vhost, "broker");
    // Twice, with moves in between: declared anew, bound, unbound, the record replaced, the lock taken and released.
    let link = Link::amqp(user.config.clone()).unwrap();
    link.reconcile(&topology(&[(key(1), 1), (exact_key(2), 2)]))
        .await
        .unwrap();
    link.reconcile(&topology(&[(key(1), 2)])).await.unwrap();
    link.close().await;
    let link = Link::amqp(user.config.clone()).unwrap();
    link.reconcile(&topology(&[(key(1), 2), (key(2), 1)])).await.unwrap();

    // Nothing bound: the alternate exchange, which was declared by this user, takes it.
    link.publish(&key(9).into(), numbered(9)).await.unwrap();
    let (from, to) = (gateway(1), gateway(7));
    link.publish(&Address::Receipts { from, to }, numbered(8))
        .await
        .unwrap();
    depth_is(&link, &Queue::Unrouted, 2).await;
    // Dropped back beyond the delivery limit: dead-lettered at least once by the policy, whoever the reader was.
    let limited = r#"{"delivery-limit":1,"dead-letter-exchange":"viereck.parked","dead-letter-strategy":"at-least-once","overflow":"reject-publish"}"#;
    secured
        .node
        .ctl(&[
            "set_policy",
            "-p",
            &vhost,
            "--priority",
            "20",
            "test",
            "^gateway[.]gw-2$",
            limited,
        ])
        .await
        .unwrap();
    link.publish(&key(1).into(), numbered(1)).await.unwrap();
    let reader = Link::amqp(secured.user(&vhost, "gw-2").config.clone()).unwrap();
    let mut consumer = reader.consume(&Queue::Gateway(gateway(2)), 1).await.unwrap();
    for _ in 0..2 {
        drop(next(&mut consumer).await);
    }
    depth_is(&link, &Queue::Parked, 1).await;
    for (queue, count) in [(Queue::Unrouted, 2), (Queue::Parked, 1)] {
        let mut consumer = link.consume(&queue, 4).await.unwrap();
        for _ in 0..count {
            next(&mut consumer).await.done();
        }
        depth_is(&link, &queue, 0).await;
    }
    publish_until_confirmed(&reader, &Address::Submit(gateway(2)), &numbered(5)).await;
    let mut consumer = link.consume(&Queue::Ingress, 4).await.unwrap();
    next(&mut consumer).await.done();
    reader.close().await;

    let issued = secured.authority.user("broker", When::Now);
    let connection = secured.connect(&vhost, &issued).await.unwrap();
    all_refused(&connection, FORBIDDEN).await;
    connection.close(200, "OK".into()).await.unwrap();
    println!(
        "reconciled 3 times, 2 unrouted, 1 dead-lettered and 1 submitted taken; refused {}",
        FORBIDDEN.len()
    );
    link.close().await;
}
