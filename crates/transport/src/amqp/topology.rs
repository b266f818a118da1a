//! Declaring exchanges and queues, and moving bindings.
//!
//! AMQP can bind and unbind, but not say what is bound. So the bindings that may exist stand in a record in RabbitMQ
//! itself (see `record`), written before any of them is made. Unbinding something that is not bound is no error.

use std::collections::BTreeMap;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use viereck_routing::GatewayId;

use crate::address::{Address, Exchange};
use crate::error::LinkError;
use crate::topology::{Queue, Topology};

use super::record::{self, Record};
use super::session::{Session, close_channel, within_step};

const UNROUTED: &str = "viereck.unrouted";
const PARKED: &str = "viereck.parked";

/// What this process found to be so when it last reconciled.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The record it wrote then. Another one in its place means that somebody else has reconciled since.
    record: Option<Record>,
    gateways: std::collections::BTreeSet<GatewayId>,
}

pub(super) async fn reconcile(session: &Session, topology: &Topology, known: &mut Known) -> Result<(), LinkError> {
    let lock = record::Lock::take(session).await?;
    let reconciled = async {
        let channel = session
            .confirming_channel()
            .await
            .map_err(|error| refused("open a channel", error))?;
        let reconciled = run(&channel, topology, std::mem::take(known)).await;
        close_channel(&channel).await;
        reconciled
    }
    .await;
    lock.release().await;
    *known = reconciled?;
    Ok(())
}

async fn run(channel: &Channel, topology: &Topology, before: Known) -> Result<Known, LinkError> {
    declare(channel, topology, &before).await?;

    let wanted: BTreeMap<String, String> = topology
        .bindings
        .iter()
        .map(|(key, gateway)| (key.to_string(), Queue::Gateway(gateway.clone()).to_string()))
        .collect();
    let mut records = record::Open::take(channel).await?;
    // Only if the last word is our own is what stands there certain; otherwise it is what may be.
    let certain = before
        .record
        .filter(|own| records.last_is(own))
        .map(Record::into_bindings)
        .unwrap_or_default();
    let possible = records.bindings();
    if possible.iter().all(|(key, queue)| wanted.get(key) == Some(queue)) && certain == wanted {
        let record = records.into_last();
        return Ok(Known {
            record,
            gateways: topology.gateways.clone(),
        });
    }

    // Written first: should this process end halfway, its successor knows of everything that may have been bound.
    records
        .write(channel, Record::new(possible.iter().cloned().chain(wanted.clone())))
        .await?;
    for (key, queue) in &possible {
        if wanted.get(key) != Some(queue) {
            let unbind = channel.queue_unbind(
                queue.as_str().into(),
                Exchange::Route.name().into(),
                key.as_str().into(),
                FieldTable::default(),
            );
            within_step(unbind)
                .await
                .map_err(|error| refused("unbind a key", error))?;
        }
    }
    for (key, queue) in &wanted {
        if certain.get(key) != Some(queue) {
            bind(channel, queue, Exchange::Route.name(), key, true).await?;
        }
    }
    // Bindings were sent without waiting for each; the answer to this question comes after the last of them.
    declare_exchange(channel, Exchange::Route.name(), ExchangeKind::Direct, true).await?;
    let record = Record::new(wanted);
    records.write(channel, record.clone()).await?;
    records.forget_older(channel).await?;
    Ok(Known {
        record: Some(record),
        gateways: topology.gateways.clone(),
    })
}

async fn declare(channel: &Channel, topology: &Topology, before: &Known) -> Result<(), LinkError> {
    if before.record.is_none() {
        // The nets first: from the moment another exchange exists, what finds no binding yet falls into one of them.
        for (net, queue) in [(UNROUTED, Queue::Unrouted), (PARKED, Queue::Parked)] {
            declare_exchange(channel, net, ExchangeKind::Fanout, false).await?;
            declare_queue(channel, &queue.to_string()).await?;
            bind(channel, &queue.to_string(), net, "", false).await?;
        }
        declare_queue(channel, &Queue::Ingress.to_string()).await?;
        for exchange in Exchange::ALL {
            let kind = match exchange {
                Exchange::Ingress | Exchange::Receipts => ExchangeKind::Topic,
                Exchange::Route => ExchangeKind::Direct,
            };
            declare_exchange(channel, exchange.name(), kind, true).await?;
        }
        for key in ["submit.*", "receipt.*"] {
            bind(
                channel,
                &Queue::Ingress.to_string(),
                Exchange::Ingress.name(),
                key,
                false,
            )
            .await?;
        }
        record::declare(channel).await?;
    }
    let new = topology.gateways.iter().chain(topology.bindings.values());
    for gateway in new.filter(|gateway| !before.gateways.contains(gateway)) {
        let own = Queue::Gateway(gateway.clone()).to_string();
        declare_queue(channel, &own).await?;
        let key = Address::Gateway(gateway.clone()).key();
        bind(channel, &own, Exchange::Route.name(), &key, false).await?;
        let receipts = Queue::Receipts(gateway.clone()).to_string();
        declare_queue(channel, &receipts).await?;
        bind(
            channel,
            &receipts,
            Exchange::Receipts.name(),
            &format!("*.{gateway}"),
            false,
        )
        .await?;
    }
    Ok(())
}

/// `routed`: what finds no binding goes to the alternate exchange. It is an argument of the exchange, not a policy: a
/// policy that was forgotten would confirm messages and lose them.
pub(super) async fn declare_exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    routed: bool,
) -> Result<(), LinkError> {
    let mut arguments = FieldTable::default();
    if routed {
        arguments.insert("alternate-exchange".into(), AMQPValue::LongString(UNROUTED.into()));
    }
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    within_step(channel.exchange_declare(name.into(), kind, options, arguments))
        .await
        .map_err(|error| refused("declare an exchange", error))
}

/// Its type is the only argument: arguments cannot be changed later, everything else is a policy's.
pub(super) async fn declare_queue(channel: &Channel, name: &str) -> Result<(), LinkError> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    within_step(channel.queue_declare(name.into(), options, arguments))
        .await
        .map(drop)
        .map_err(|error| refused("declare a queue", error))
}

pub(super) async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
    nowait: bool,
) -> Result<(), LinkError> {
    let options = QueueBindOptions { nowait };
    within_step(channel.queue_bind(
        queue.into(),
        exchange.into(),
        key.into(),
        options,
        FieldTable::default(),
    ))
    .await
    .map_err(|error| refused("bind a key", error))
}

/// How many messages wait in a queue.
pub(super) async fn depth(session: &Session, queue: &str) -> Result<u64, LinkError> {
    let channel = session
        .channel()
        .await
        .map_err(|error| refused("open a channel", error))?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let counted = within_step(channel.queue_declare(queue.into(), options, FieldTable::default())).await;
    close_channel(&channel).await;
    match counted {
        Ok(counted) => Ok(u64::from(counted.message_count())),
        Err(error) if reply_code(&error) == Some(NOT_FOUND) => Err(LinkError::NoQueue(queue.to_owned())),
        Err(error) => Err(refused("look at a queue", error)),
    }
}

const NOT_FOUND: u16 = 404;

/// The code with which RabbitMQ closed a channel or a connection.
pub(super) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// A refusal with a code is RabbitMQ's answer; everything else is a connection that broke.
pub(super) fn refused(action: &'static str, error: lapin::Error) -> LinkError {
    match reply_code(&error) {
        Some(_) => LinkError::Refused {
            action,
            source: Box::new(error),
        },
        None => {
            tracing::debug!(%error, action, "the connection broke");
            LinkError::Unreachable
        }
    }
}
