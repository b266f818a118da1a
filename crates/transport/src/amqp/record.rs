//! The record of bindings: which keys of `viereck.route` may be bound, kept in a queue of RabbitMQ itself.
//!
//! It lies where the bindings lie, so it is never older or newer than they are, whichever process looks: a virtual host
//! restored, moved or made anew has a record that fits it, or none and no bindings. The queue `viereck.bindings` holds
//! one message; in between, or after a crash, several, of which every binding may exist. One process at a time reads and
//! replaces it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Consumer, ExchangeKind};

use crate::error::LinkError;

use super::session::{Session, close_channel, within_step};
use super::topology::{bind, declare_exchange, declare_queue, refused, reply_code};

const QUEUE: &str = "viereck.bindings";
const LOCK: &str = "viereck.reconciling";
const WORN: u32 = 10;

/// How long a predecessor's consumer may linger.
const PREDECESSOR: Duration = Duration::from_secs(5);

const RESOURCE_LOCKED: u16 = 405;

const HEAD: &str = "viereck.bindings 1";

/// Pairs of key and queue under a name of its own, so that a process knows the one it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    name: u64,
    bindings: BTreeSet<(String, String)>,
}

impl Record {
    pub(super) fn new(bindings: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            name: RandomState::new().hash_one(QUEUE),
            bindings: bindings.into_iter().collect(),
        }
    }

    pub(super) fn into_bindings(self) -> BTreeMap<String, String> {
        self.bindings.into_iter().collect()
    }

    fn to_text(&self) -> String {
        let mut text = format!("{HEAD} {:016x}\n", self.name);
        for (key, queue) in &self.bindings {
            text.push_str(key);
            text.push(' ');
            text.push_str(queue);
            text.push('\n');
        }
        text
    }

    /// `None` for anything that [`Record::to_text`] does not write.
    fn from_text(text: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(text).ok()?.strip_suffix('\n')?.split('\n');
        let name = lines.next()?.strip_prefix(HEAD)?.strip_prefix(' ')?;
        let name = u64::from_str_radix(name, 16).ok()?;
        let bindings = lines
            .map(|line| {
                line.split_once(' ')
                    .map(|(key, queue)| (key.to_owned(), queue.to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Self { name, bindings })
    }
}

/// The queue, and an exchange of the same name that leads nowhere else: so nobody needs a right to the default exchange,
/// through which every queue can be written.
pub(super) async fn declare(channel: &Channel) -> Result<(), LinkError> {
    declare_exchange(channel, QUEUE, ExchangeKind::Fanout, false).await?;
    declare_queue(channel, QUEUE).await?;
    bind(channel, QUEUE, QUEUE, "", false).await
}

/// Keeps every other process from reconciling, until [`Lock::release`] or the end of the connection.
///
/// An exclusive queue is the one thing in AMQP that two connections cannot both have.
pub(super) struct Lock(Channel);

impl Lock {
    pub(super) async fn take(session: &Session) -> Result<Self, LinkError> {
        // A channel of its own: whatever goes wrong on the other one, this one can release.
        let channel = session
            .channel()
            .await
            .map_err(|error| refused("open a channel", error))?;
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        match within_step(channel.queue_declare(LOCK.into(), options, FieldTable::default())).await {
            Ok(_) => Ok(Self(channel)),
            Err(error) if reply_code(&error) == Some(RESOURCE_LOCKED) => Err(LinkError::Reconciling),
            Err(error) => Err(refused("keep others from reconciling", error)),
        }
    }

    pub(super) async fn release(self) {
        // Where the connection is gone the queue is gone with it.
        let _ = within_step(self.0.queue_delete(LOCK.into(), QueueDeleteOptions::default())).await;
        close_channel(&self.0).await;
    }
}

/// The records, taken by this process. Closing the channel puts back those that were not replaced.
#[derive(Debug)]
pub(super) struct Open {
    consumer: Consumer,
    /// In the order of the queue, each with its tag.
    records: Vec<(u64, Record)>,
    /// One has come back to its queue so often that it is better written anew: RabbitMQ 4 drops at 20 where no policy
    /// says otherwise.
    worn: bool,
}

impl Open {
    /// Only for who holds the [`Lock`].
    pub(super) async fn take(channel: &Channel) -> Result<Self, LinkError> {
        let waiting = Self::waiting(channel).await?;
        let options = BasicConsumeOptions::default();
        let consume = channel.basic_consume(QUEUE.into(), ShortString::default(), options, FieldTable::default());
        let consumer = within_step(consume)
            .await
            .map_err(|error| refused("read the record of bindings", error))?;
        let mut open = Self {
            consumer,
            records: Vec::new(),
            worn: false,
        };
        for _ in 0..waiting {
            open.receive().await?;
        }
        Ok(open)
    }

    /// How many records there are. A predecessor's channel gives back what it held at the moment in which it is no
    /// consumer any more, a little after it was closed; before that, records would be missed.
    async fn waiting(channel: &Channel) -> Result<u32, LinkError> {
        let counted = async {
            loop {
                let options = QueueDeclareOptions {
                    passive: true,
                    ..QueueDeclareOptions::default()
                };
                let queue = channel
                    .queue_declare(QUEUE.into(), options, FieldTable::default())
                    .await?;
                if queue.consumer_count() == 0 {
                    return Ok(queue.message_count());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PREDECESSOR, counted).await {
            Ok(counted) => counted.map_err(|error| refused("read the record of bindings", error)),
            Err(_) => Err(LinkError::Reconciling),
        }
    }

    /// Everything that may be bound.
    pub(super) fn bindings(&self) -> BTreeSet<(String, String)> {
        self.records
            .iter()
            .flat_map(|(_, record)| record.bindings.iter().cloned())
            .collect()
    }

    /// Whether `own` is all there is, and may stay.
    pub(super) fn last_is(&self, own: &Record) -> bool {
        !self.worn && matches!(self.records.as_slice(), [(_, only)] if only == own)
    }

    pub(super) fn into_last(self) -> Option<Record> {
        self.records.into_iter().next_back().map(|(_, record)| record)
    }

    /// Adds a record and waits until it is safe.
    pub(super) async fn write(&mut self, channel: &Channel, record: Record) -> Result<(), LinkError> {
        let publish = async {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let text = record.to_text();
            let options = BasicPublishOptions::default();
            channel
                .basic_publish(QUEUE.into(), "".into(), options, text.as_bytes(), properties)
                .await?
                .await
        };
        match within_step(publish)
            .await
            .map_err(|error| refused("write the record of bindings", error))?
        {
            Confirmation::Ack(_) => self.receive().await,
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(LinkError::Full),
        }
    }

    /// Removes all records but the last.
    pub(super) async fn forget_older(&mut self, channel: &Channel) -> Result<(), LinkError> {
        let Some((last, older)) = self.records.split_last() else {
            return Ok(());
        };
        for (tag, _) in older {
            within_step(channel.basic_ack(*tag, BasicAckOptions::default()))
                .await
                .map_err(|error| refused("replace the record of bindings", error))?;
        }
        self.records = vec![last.clone()];
        Ok(())
    }

    async fn receive(&mut self) -> Result<(), LinkError> {
        let next = async { self.consumer.next().await.transpose() };
        let delivery = within_step(next)
            .await
            .map_err(|error| refused("read the record of bindings", error))?
            .ok_or(LinkError::Unreachable)?;
        let record = Record::from_text(&delivery.data).ok_or_else(|| LinkError::Refused {
            action: "go on from the record of bindings",
            source: format!("the queue {QUEUE} holds something that is no record of this version").into(),
        })?;
        self.worn |= super::consumer::attempt(&delivery) > WORN;
        self.records.push((delivery.delivery_tag, record));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let pairs = [
            ("wgb:010540880000", "gateway.gw-1"),
            ("wgb:010540880000.99107023037000", "gateway.gw-2"),
        ];
        let record = Record::new(pairs.map(|(key, queue)| (key.to_owned(), queue.to_owned())));
        assert_eq!(Record::from_text(record.to_text().as_bytes()), Some(record));
        let empty = Record::new([]);
        assert_eq!(Record::from_text(empty.to_text().as_bytes()), Some(empty));
    }

    #[test]
    fn anything_else_is_no_record() {
        let good = Record::new([("a".to_owned(), "b".to_owned())]).to_text();
        for bad in [
            "",
            "\n",
            "viereck.bindings 2 00\n",
            "viereck.bindings 1\n",
            "viereck.bindings 1 xyz\n",
            &good[..20],
        ] {
            assert_eq!(Record::from_text(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Record::from_text(format!("{good}no-queue\n").as_bytes()), None);
        assert_eq!(Record::from_text(good.trim_end().as_bytes()), None);
        assert_eq!(Record::from_text(&[0xff, b'\n']), None);
    }
}
