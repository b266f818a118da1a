//! Sender, broker and receiver in one process over one RabbitMQ, each as `viereck run` runs it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::custodians::{Custodians, id};
use harness::rabbitmq;
use harness::wait::until;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use viereck_custody::{Entry, Idempotency, Journal, Occurrence, Promise, Promised, Step};
use viereck_envelope::{SealedEnvelope, Stage};
use viereck_gateway::{Backlog, Backlogs, Config, Inputs, Keys};
use viereck_routing::{BehoerdeId, Digest, MessageId, Tables};
use viereck_transport::{AmqpConfig, Link, Queue};

const SENDER: &str = "gw-sh-1";
const BROKER: &str = "broker";
const RECEIVER: &str = "gw-sh-2";
/// How long receipts are gathered: short, so that what is measured is the way and not the gathering.
const GATHER_MS: u64 = 10;
/// How long a step of the way may take on the most loaded machine.
const READY: Duration = Duration::from_secs(120);

pub(super) struct Network {
    custodians: Custodians,
    pub(super) sender: Journal,
    pub(super) broker: Journal,
    pub(super) receiver: Journal,
    backlogs: Backlogs,
    followed: Arc<Followed>,
    /// The authority that is down.
    pub(super) down: BehoerdeId,
    /// The one that shall notice nothing of it.
    pub(super) other: BehoerdeId,
    link: Link,
    gateways: Running<viereck_gateway::Error>,
    relaying: Running<viereck_broker::Error>,
    _in_force: watch::Sender<Arc<Tables>>,
}

/// What runs, and how it is told to end.
struct Running<E> {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Result<(), E>>>,
}

impl<E> Default for Running<E> {
    fn default() -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: vec![],
        }
    }
}

impl<E: std::fmt::Debug> Running<E> {
    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap().unwrap();
        }
    }
}

impl Network {
    /// Starts it, with what `delivery` says of the way to the Fachverfahren of the two authorities.
    pub(super) async fn start(delivery: impl Fn(&BehoerdeId, &BehoerdeId) -> Value) -> Self {
        let custodians = Custodians::prepare();
        let [down, other] = custodians.readers_at(RECEIVER)[..2].to_vec().try_into().unwrap();
        let link = Link::amqp(AmqpConfig::new(&rabbitmq::vhost().await)).unwrap();
        let (in_force, tables) = watch::channel(Arc::clone(&custodians.tables));
        let broker = custodians.journal(BROKER).await;
        let mut relaying = Running::default();
        let inputs = viereck_broker::Inputs {
            tables: tables.clone(),
            link: link.clone(),
            journal: broker.clone(),
            signer: watch::channel(Arc::new(custodians.signer(BROKER))).1,
        };
        let config = json!({ "id": BROKER, "keys": ".", "receipt_gather_ms": GATHER_MS });
        let config = serde_json::from_value(config).unwrap();
        let relay = viereck_broker::run(config, inputs, relaying.stop.clone());
        relaying.tasks.push(tokio::spawn(relay));
        // the queues come with the first reconciliation
        until(READY, "the topology", async || {
            link.depth(&Queue::Receipts(id(SENDER))).await.ok()?;
            link.depth(&Queue::Gateway(id(RECEIVER))).await.ok()
        })
        .await;

        let (sender, receiver) = (custodians.journal(SENDER).await, custodians.journal(RECEIVER).await);
        let backlogs = Backlogs::default();
        let followed = Arc::new(Followed::default());
        tokio::spawn(Arc::clone(&followed).listen(sender.subscribe()));
        let mut gateways = Running::default();
        let roles = [
            (SENDER, &sender, json!([]), Backlogs::default()),
            (RECEIVER, &receiver, delivery(&down, &other), backlogs.clone()),
        ];
        for (gateway, journal, delivery, backlogs) in roles {
            let config: Config = serde_json::from_value(json!({
                "id": gateway, "listen": "127.0.0.1:0", "delivery": delivery, "receipts": { "gather_ms": GATHER_MS },
            }))
            .unwrap();
            let inputs = Inputs {
                keys: Keys::load(&custodians.site.keys(), &id(gateway), &custodians.tables)
                    .unwrap()
                    .unchanging(),
                listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
                backlogs,
                tables: tables.clone(),
                link: link.clone(),
                journal: journal.clone(),
                tls: None,
            };
            let run = viereck_gateway::run(config, inputs, gateways.stop.clone());
            gateways.tasks.push(tokio::spawn(run));
        }
        Self {
            custodians,
            sender,
            broker,
            receiver,
            backlogs,
            followed,
            down,
            other,
            link,
            gateways,
            relaying,
            _in_force: in_force,
        }
    }

    /// An application, not promised yet.
    pub(super) fn sealed(&self, reader: &BehoerdeId) -> SealedEnvelope {
        let reader = reader.clone();
        self.custodians
            .sealed(MessageId::random(), |draft| draft.reader = reader)
    }

    /// Promises it, and waits until the sender has heard of `stage`.
    pub(super) async fn carry(&self, envelope: SealedEnvelope, stage: Stage) -> Heard {
        let message = envelope.header().message_id;
        let heard = self.followed.follow(message, stage);
        let idempotency = Idempotency {
            owner: "client:test".to_owned(),
            key: message.to_string(),
            fingerprint: Digest::of(envelope.bytes()),
        };
        let promise = Promise::new(envelope, idempotency, "{}".to_owned());
        assert_eq!(self.sender.promise(promise).await.unwrap(), Promised::New);
        let heard = tokio::time::timeout(READY, heard).await;
        heard.expect("in time").expect("it is followed to its end")
    }

    /// What waits for the authority that is down, as the receiver says it.
    pub(super) async fn backlog(&self) -> Option<Backlog> {
        let backlogs = self.backlogs.list().await.unwrap();
        backlogs.into_iter().find(|backlog| backlog.behoerde == self.down)
    }

    /// The gateways end first: what they state last is still passed on.
    pub(super) async fn end(self) {
        self.gateways.end().await;
        self.relaying.end().await;
        self.link.close().await;
    }
}

/// Messages whose way is followed in the journal of their sender.
#[derive(Default)]
struct Followed(Mutex<HashMap<MessageId, Follow>>);

struct Follow {
    until: Stage,
    published: Option<Instant>,
    heard: oneshot::Sender<Heard>,
}

/// When the sender knew of what it was waiting for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// That the link had confirmed it.
    pub(super) published: Instant,
    /// The stage.
    pub(super) stage: Instant,
}

impl Followed {
    fn follow(&self, message: MessageId, until: Stage) -> oneshot::Receiver<Heard> {
        let (heard, hears) = oneshot::channel();
        let follow = Follow {
            until,
            published: None,
            heard,
        };
        self.0.lock().unwrap().insert(message, follow);
        hears
    }

    async fn listen(self: Arc<Self>, mut occurrences: broadcast::Receiver<Occurrence>) {
        loop {
            let Occurrence { message_id, stage, .. } = match occurrences.recv().await {
                Ok(occurrence) => occurrence,
                // what was missed shows by its deadline
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            let mut followed = self.0.lock().unwrap();
            let Some(follow) = followed.get_mut(&message_id) else {
                continue;
            };
            if stage == Entry::Step(Step::Published) {
                follow.published.get_or_insert(Instant::now());
            } else if stage == Entry::Stage(follow.until)
                && let Some(follow) = followed.remove(&message_id)
            {
                let stage = Instant::now();
                // a receipt may be faster than the confirm
                let published = follow.published.unwrap_or(stage);
                // whoever follows nothing any more has failed by itself
                let _ = follow.heard.send(Heard { published, stage });
            }
        }
    }
}
