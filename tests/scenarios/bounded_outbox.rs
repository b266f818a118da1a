//! The outbox holds no more octets in memory than it may, and everything goes out all the same.

use std::time::Duration;

use bytes::Bytes;
use harness::custodians::{Custodians, id};
use tokio_util::sync::CancellationToken;
use viereck_custody::{Idempotency, Promise, outbox};
use viereck_routing::{Digest, MessageId};
use viereck_transport::{Link, Queue, Topology};

const DEADLINE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn messages_larger_than_the_bound_go_out_one_at_a_time() {
    let custodians = Custodians::prepare();
    let dir = tempfile::tempdir().unwrap();
    let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
    link.reconcile(&Topology::default()).await.unwrap();
    let journal = custodians.journal("gw-sh-1").await;
    let mut promised: Vec<Bytes> = vec![];
    for n in 0..6 {
        let envelope = custodians.application(MessageId::random(), b"{}");
        promised.push(envelope.bytes().clone());
        let key = format!("key-{n}");
        let idempotency = Idempotency {
            owner: "client:test".to_owned(),
            fingerprint: Digest::of(key.as_bytes()),
            key,
        };
        journal
            .promise(Promise::new(envelope, idempotency, "{}".to_owned()))
            .await
            .unwrap();
    }
    let stop = CancellationToken::new();
    let config = outbox::Config {
        octets: 1,
        ..outbox::Config::default()
    };
    let publishing = tokio::spawn(outbox::run(journal.clone(), link.clone(), config, stop.clone()));

    let mut ingress = link.consume(&Queue::Ingress, 8).await.unwrap();
    let mut arrived = vec![];
    while arrived.len() < promised.len() {
        let delivery = tokio::time::timeout(DEADLINE, ingress.next())
            .await
            .expect("in time")
            .expect("open");
        assert_eq!(
            delivery.origin(),
            Some(viereck_transport::Origin::Submit(id("gw-sh-1")))
        );
        arrived.push(delivery.bytes.clone());
        delivery.done();
    }
    assert_eq!(arrived, promised, "one at a time, so in the order of the promises");
    stop.cancel();
    publishing.await.unwrap().unwrap();
    ingress.cancel().await;
    link.close().await;
    println!(
        "account: {} promised, {} published, one at a time",
        promised.len(),
        arrived.len()
    );
}
