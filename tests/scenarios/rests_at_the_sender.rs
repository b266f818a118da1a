//! What an operator lets rest waits at its author's gateway, and nobody else's messages wait behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use harness::custodians::{Custodians, id};
use harness::wait::until;
use tokio_util::sync::CancellationToken;
use viereck_custody::pause::Scope;
use viereck_custody::{Actor, Idempotency, Journal, Promise, outbox};
use viereck_envelope::SealedEnvelope;
use viereck_routing::{Digest, MessageId};
use viereck_transport::{Consumer, Link, Queue, Topology};

const DEADLINE: Duration = Duration::from_secs(15);

async fn promise(journal: &Journal, envelope: SealedEnvelope) -> Bytes {
    let bytes = envelope.bytes().clone();
    let key = envelope.header().message_id.to_string();
    let idempotency = Idempotency {
        owner: "client:test".to_owned(),
        fingerprint: Digest::of(key.as_bytes()),
        key,
    };
    let promise = Promise::new(envelope, idempotency, "{}".to_owned());
    journal.promise(promise).await.unwrap();
    bytes
}

async fn next(ingress: &mut Consumer) -> Bytes {
    let delivery = tokio::time::timeout(DEADLINE, ingress.next()).await;
    let delivery = delivery.expect("in time").expect("open");
    let bytes = delivery.bytes.clone();
    delivery.done();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_stands_before_nobody_and_goes_on_when_it_is_resumed() {
    let custodians = Custodians::prepare();
    let dir = tempfile::tempdir().unwrap();
    let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
    link.reconcile(&Topology::default()).await.unwrap();
    let journal = custodians.journal("gw-sh-1").await;
    let [rests, other] = ["gw-sh-2", "gw-nw-1"].map(|gateway| custodians.reader_at(gateway));
    let (anna, why) = (Actor::operator("anna").unwrap(), || "ticket 1".parse().unwrap());
    let both = [Scope::Behoerde(rests.clone()), Scope::Gateway(id("gw-sh-1"))];
    for scope in &both {
        journal.pause(scope.clone(), why(), anna.clone()).await.unwrap();
    }
    let mut resting = vec![];
    let mut ids = vec![];
    for _ in 0..30 {
        let message = MessageId::random();
        let envelope = custodians.sealed(message, |draft| draft.reader = rests.clone());
        resting.push(promise(&journal, envelope).await);
        ids.push(message);
    }
    let envelope = custodians.sealed(MessageId::random(), |draft| draft.reader = other);
    let behind = promise(&journal, envelope).await;

    let stop = CancellationToken::new();
    let config = outbox::Config {
        window: 1,
        ..outbox::Config::default()
    };
    let publishing = tokio::spawn(outbox::run(journal.clone(), link.clone(), config, stop.clone()));
    let mut ingress = link.consume(&Queue::Ingress, 8).await.unwrap();
    let [behoerde, gateway] = both;
    journal.resume(gateway, why(), anna.clone()).await.unwrap();
    assert_eq!(
        next(&mut ingress).await,
        behind,
        "the youngest, and before all that rest"
    );
    for message in &ids {
        until(DEADLINE, "it lies apart", async || {
            let view = journal.message(message).await.unwrap()?;
            (view.next_attempt_at.is_none() && view.flags.paused.is_some()).then_some(())
        })
        .await;
    }

    journal.resume(behoerde, why(), anna).await.unwrap();
    let mut arrived = BTreeSet::new();
    for _ in 0..resting.len() {
        arrived.insert(next(&mut ingress).await);
    }
    assert_eq!(arrived, resting.into_iter().collect());
    stop.cancel();
    publishing.await.unwrap().unwrap();
    ingress.cancel().await;
    link.close().await;
    println!("account: 31 promised, 1 published while 30 rested, 30 when they were resumed");
}
