//! A receiver that keeps as much as it may takes nothing more, and goes on when there is room.

use std::time::Duration;

use harness::custodians::{Custodians, due, id};
use harness::wait::until;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use viereck_custody::{Conclusion, inbox};
use viereck_routing::MessageId;
use viereck_transport::{Address, Link, Queue, RouteKey, Topology};

const DEADLINE: Duration = Duration::from_secs(20);
const MESSAGES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_stays_in_the_queue() {
    let custodians = Custodians::prepare();
    let dir = tempfile::tempdir().unwrap();
    let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
    let sealed: Vec<_> = (0..MESSAGES)
        .map(|_| custodians.application(MessageId::random(), b"{}"))
        .collect();
    let reader = sealed[0].header().reader.clone();
    let mut topology = Topology::default();
    topology.gateways.insert(id("gw-sh-2"));
    let key = RouteKey {
        reader: reader.clone(),
        leistung: None,
    };
    topology.bindings.insert(key, id("gw-sh-2"));
    link.reconcile(&topology).await.unwrap();
    let address = Address::Route { reader, leistung: None };
    for envelope in &sealed {
        link.publish(&address, envelope.bytes().clone()).await.unwrap();
    }

    let receiver = custodians.journal("gw-sh-2").await;
    let size = sealed[0].bytes().len() as u64;
    let config = inbox::Config {
        prefetch: 2,
        waiting_octets: 3 * size,
    };
    let (_in_force, tables) = watch::channel(custodians.tables.clone());
    let stop = CancellationToken::new();
    let taking = inbox::run(
        receiver.clone(),
        link.clone(),
        id("gw-sh-2"),
        tables,
        config.clone(),
        stop.clone(),
    );
    let taking = tokio::spawn(taking);

    let mut ended = 0;
    let mut most = 0;
    while ended < MESSAGES {
        let given = until(DEADLINE, "something to hand over", async || {
            let given = due(&receiver, MESSAGES).await;
            (!given.is_empty()).then_some(given)
        })
        .await;
        most = most.max(receiver.waiting_octets().await.unwrap());
        for message in given {
            receiver.begin_hand_over(&message.key, None).await.unwrap();
            receiver.conclude(&message.key, Conclusion::Accepted).await.unwrap();
            ended += 1;
        }
    }
    let bound = config.waiting_octets + 2 * size + 2 * 1024;
    assert!(most <= bound, "{most} octets waited, {bound} may");
    until(DEADLINE, "the queue is empty", async || {
        (link.depth(&Queue::Gateway(id("gw-sh-2"))).await.unwrap() == 0).then_some(())
    })
    .await;
    stop.cancel();
    taking.await.unwrap().unwrap();
    link.close().await;
    let account = receiver.ledger().await.unwrap().total_taken();
    assert_eq!((account.received, account.ended), (MESSAGES as u64, MESSAGES as u64));
    println!("account: {MESSAGES} sent, {MESSAGES} accepted, at most {most} octets waiting");
}
