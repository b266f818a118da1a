//! What a link promises, tried on both: the same tests run against the embedded link and against RabbitMQ.
//!
//! What only AMQP can do wrong stands in `amqp` and `surprises`, what happens to a cluster in `cluster`.

mod amqp;
mod cluster;
pub(crate) mod fixture;
mod load;
mod surprises;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use viereck_transport::{Address, Link, LinkError, Origin, PUBLISH_WINDOW, Queue};

use self::fixture::*;

/// Each promise is a function of a fixture; this makes it a test for each link, under one deadline.
macro_rules! for_both_links {
    ($($promise:ident),+ $(,)?) => {
        mod embedded_link {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let promise = super::$promise(super::Fixture::embedded());
                tokio::time::timeout(super::DEADLINE, promise).await.expect("within the deadline");
            })+
        }
        mod amqp_link {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let promise = super::$promise(super::Fixture::amqp().await);
                tokio::time::timeout(super::DEADLINE, promise).await.expect("within the deadline");
            })+
        }
    };
}

for_both_links! {
    each_address_leads_to_its_queue,
    what_is_dropped_back_comes_again,
    a_crash_before_done_delivers_again,
    nothing_is_confirmed_and_gone,
    a_binding_moves_and_a_stale_one_goes,
    a_consumer_holds_no_more_than_its_prefetch,
    a_document_of_the_largest_size_arrives_whole,
    a_cancelled_consumer_gives_back_what_it_did_not_hand_out,
    many_messages_arrive_once_each_and_closing_remembers_what_is_done,
    closing_ends_consumers_and_refuses_more,
}

async fn each_address_leads_to_its_queue(fixture: Fixture) {
    let link = fixture.open_with(&topology(&[(key(1), 1), (exact_key(1), 2)])).await;
    let sent = [
        (submit(), Queue::Ingress, Some(Origin::Submit(gateway(1)))),
        (
            Address::Receipt(gateway(2)),
            Queue::Ingress,
            Some(Origin::Receipt(gateway(2))),
        ),
        (key(1).into(), Queue::Gateway(gateway(1)), None),
        (exact_key(1).into(), Queue::Gateway(gateway(2)), None),
        (
            Address::Receipts {
                from: gateway(9),
                to: gateway(3),
            },
            Queue::Receipts(gateway(3)),
            Some(Origin::Receipts {
                from: gateway(9),
                to: gateway(3),
            }),
        ),
    ];
    for (address, queue, origin) in &sent {
        let before = link.depth(queue).await.unwrap();
        assert_eq!(before, 0, "{queue}");
        link.publish(address, Bytes::from(address.key())).await.unwrap();
        depth_is(&link, queue, 1).await;
        let mut consumer = link.consume(queue, 1).await.unwrap();
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.bytes, address.key());
        assert_eq!(delivery.key, address.key());
        assert_eq!(delivery.attempt, 1);
        assert_eq!(&delivery.origin(), origin);
        delivery.done();
        consumer.cancel().await;
        depth_is(&link, queue, 0).await;
    }
    println!("sent {}, each found in its queue", sent.len());
    link.close().await;
}

async fn what_is_dropped_back_comes_again(fixture: Fixture) {
    let link = fixture.open_with(&topology(&[])).await;
    link.publish(&submit(), numbered(1)).await.unwrap();
    let mut consumer = link.consume(&Queue::Ingress, 4).await.unwrap();
    for attempt in 1..=4 {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.attempt, &delivery.bytes), (attempt, &numbered(1)));
        assert_eq!(delivery.origin(), Some(Origin::Submit(gateway(1))));
        match attempt {
            1 => delivery.drop_back(),
            4 => delivery.done(),
            _ => drop(delivery),
        }
    }
    link.close().await;
    let link = fixture.open().await;
    depth_is(&link, &Queue::Ingress, 0).await;
    println!("sent 1, delivered 4 times, done once");
    link.close().await;
}

/// The hop of a broker: take, pass on, crash before the taking is settled. Both links pass on twice.
async fn a_crash_before_done_delivers_again(fixture: Fixture) {
    const MESSAGES: u32 = 20;
    let link = fixture.open_with(&topology(&[(key(1), 1)])).await;
    publish_all(&link, (0..MESSAGES).map(|number| (submit(), numbered(number)))).await;
    let mut consumer = link.consume(&Queue::Ingress, 64).await.unwrap();
    let mut in_hand = Vec::new();
    for _ in 0..MESSAGES {
        let delivery = next(&mut consumer).await;
        publish_until_confirmed(&link, &key(1).into(), &delivery.bytes).await;
        in_hand.push(delivery);
    }
    let link = fixture.crash(link).await;
    drop(consumer);
    // Too late: nobody listens, and nothing must come of it.
    in_hand.into_iter().for_each(viereck_transport::Delivery::done);

    let mut consumer = link.consume(&Queue::Ingress, 64).await.unwrap();
    let mut again = BTreeSet::new();
    while again.len() < MESSAGES as usize {
        let delivery = next(&mut consumer).await;
        assert!(delivery.attempt > 1, "a second delivery counts as one");
        publish_until_confirmed(&link, &key(1).into(), &delivery.bytes).await;
        again.insert(delivery.bytes.clone());
        delivery.done();
    }
    consumer.cancel().await;
    depth_is(&link, &Queue::Ingress, 0).await;

    let mut reader = link.consume(&Queue::Gateway(gateway(1)), 64).await.unwrap();
    let mut passed_on = Received::new();
    while passed_on.len() < MESSAGES as usize || passed_on.values().any(|times| *times < 2) {
        let delivery = next(&mut reader).await;
        *passed_on.entry(delivery.bytes.clone()).or_default() += 1;
        delivery.done();
    }
    let times: u32 = passed_on.values().sum();
    println!("sent {MESSAGES}, passed on {times} times, none lost");
    link.close().await;
}

/// With `mandatory` and many publishes under way, returned messages were reported for the wrong ones: some that went
/// nowhere as kept, some that were kept as returned. Here every one is kept, in one place or the other.
async fn nothing_is_confirmed_and_gone(fixture: Fixture) {
    const MESSAGES: u32 = 3_000;
    let link = fixture.open_with(&topology(&[(key(1), 1)])).await;
    let address = |number: u32| Address::from(if number.is_multiple_of(2) { key(1) } else { key(404) });
    let confirmed = stream::iter(0..MESSAGES)
        .map(|number| {
            let link = &link;
            async move { link.publish(&address(number), numbered(number)).await.map(|()| number) }
        })
        .buffer_unordered(PUBLISH_WINDOW)
        .collect::<Vec<_>>()
        .await;
    let confirmed: BTreeSet<u32> = confirmed.into_iter().map(Result::unwrap).collect();
    assert_eq!(confirmed.len(), MESSAGES as usize);
    let (bound, unbound) = (Queue::Gateway(gateway(1)), Queue::Unrouted);
    for (queue, parity) in [(&bound, 0), (&unbound, 1)] {
        let mut consumer = link.consume(queue, 256).await.unwrap();
        let received = receive(&mut consumer, MESSAGES as usize / 2).await;
        let expected: BTreeSet<Bytes> = (0..MESSAGES)
            .filter(|number| number % 2 == parity)
            .map(numbered)
            .collect();
        assert_eq!(received.keys().cloned().collect::<BTreeSet<_>>(), expected, "{queue}");
        consumer.cancel().await;
        depth_is(&link, queue, 0).await;
    }
    // The key tells where it wanted to go.
    link.publish(&exact_key(404).into(), numbered(0)).await.unwrap();
    let mut consumer = link.consume(&Queue::Unrouted, 1).await.unwrap();
    assert_eq!(next(&mut consumer).await.key, exact_key(404).to_string());
    // A receipt for a gateway nobody knows is kept as well.
    let lost_receipt = Address::Receipts {
        from: gateway(1),
        to: gateway(404),
    };
    link.publish(&lost_receipt, numbered(1)).await.unwrap();
    println!("confirmed {}, found {MESSAGES}, half of them unrouted", confirmed.len());
    link.close().await;
}

async fn a_binding_moves_and_a_stale_one_goes(fixture: Fixture) {
    let link = fixture
        .open_with(&topology(&[(key(1), 1), (key(2), 1), (key(3), 3)]))
        .await;
    let moved = topology(&[(key(1), 2), (key(3), 3)]);
    for _ in 0..2 {
        link.reconcile(&moved).await.unwrap();
    }
    let expected = |number: u32, queue: Queue| (Address::from(key(number)), numbered(number), queue);
    let leads_to = async |link: &Link, messages: &[(Address, Bytes, Queue)]| {
        for (address, bytes, queue) in messages {
            link.publish(address, bytes.clone()).await.unwrap();
            let mut consumer = link.consume(queue, 8).await.unwrap();
            let delivery = next(&mut consumer).await;
            assert_eq!(&delivery.bytes, bytes, "{queue}");
            delivery.done();
            consumer.cancel().await;
        }
        for queue in [
            Queue::Unrouted,
            Queue::Gateway(gateway(1)),
            Queue::Gateway(gateway(2)),
            Queue::Gateway(gateway(3)),
        ] {
            depth_is(link, &queue, 0).await;
        }
    };
    let now = [
        expected(1, Queue::Gateway(gateway(2))),
        expected(2, Queue::Unrouted),
        expected(3, Queue::Gateway(gateway(3))),
    ];
    leads_to(&link, &now).await;
    link.close().await;

    // Another process knows nothing of what this one has bound, and has to remove it all the same.
    let link = fixture.open_with(&topology(&[(key(2), 3)])).await;
    let now = [
        expected(1, Queue::Unrouted),
        expected(2, Queue::Gateway(gateway(3))),
        expected(3, Queue::Unrouted),
    ];
    leads_to(&link, &now).await;
    // Often enough that nothing kept about it may wear out.
    for _ in 0..30 {
        link.reconcile(&topology(&[(key(2), 3)])).await.unwrap();
    }
    leads_to(&link, &now).await;
    println!("4 topologies, every key led where the last one said");
    link.close().await;
}

async fn a_consumer_holds_no_more_than_its_prefetch(fixture: Fixture) {
    const MESSAGES: u32 = 50;
    const PREFETCH: u16 = 5;
    let link = fixture.open_with(&topology(&[])).await;
    publish_all(&link, (0..MESSAGES).map(|number| (submit(), numbered(number)))).await;
    let mut consumer = link.consume(&Queue::Ingress, PREFETCH).await.unwrap();
    let mut in_hand = Vec::new();
    for _ in 0..PREFETCH {
        in_hand.push(next(&mut consumer).await);
    }
    depth_is(&link, &Queue::Ingress, u64::from(MESSAGES) - u64::from(PREFETCH)).await;
    let more = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await;
    assert!(more.is_err(), "more than the prefetch: {more:?}");
    // Room for one more, and it need not be the first one in hand.
    in_hand.swap_remove(3).done();
    in_hand.push(next(&mut consumer).await);
    let different: BTreeSet<_> = in_hand.iter().map(|delivery| delivery.bytes.clone()).collect();
    assert_eq!(different.len(), usize::from(PREFETCH));
    println!("sent {MESSAGES}, in hand never more than {PREFETCH}");
    link.close().await;
}

async fn a_document_of_the_largest_size_arrives_whole(fixture: Fixture) {
    const LARGEST: usize = 8 * 1024 * 1024;
    let link = fixture.open_with(&topology(&[])).await;
    let octets: Vec<u8> = (0..LARGEST).map(|at| (at * 31 % 251) as u8).collect();
    let octets = Bytes::from(octets);
    let mut consumer = link.consume(&Queue::Ingress, 4).await.unwrap();
    for length in [0, 1, 131_072, LARGEST - 1, LARGEST] {
        let sent = octets.slice(..length);
        publish_until_confirmed(&link, &submit(), &sent).await;
        let delivery = next(&mut consumer).await;
        assert!(
            delivery.bytes == sent,
            "{length} bytes came as {} or changed",
            delivery.bytes.len()
        );
        delivery.done();
    }
    let over = link.publish(&submit(), Bytes::from(vec![0; LARGEST + 1])).await;
    assert!(matches!(over, Err(LinkError::TooLarge { .. })), "{over:?}");
    publish_until_confirmed(&link, &submit(), &numbered(1)).await;
    next(&mut consumer).await.done();
    println!("5 sizes up to {LARGEST} bytes arrived whole, one byte more was refused");
    link.close().await;
}

async fn a_cancelled_consumer_gives_back_what_it_did_not_hand_out(fixture: Fixture) {
    const MESSAGES: u32 = 10;
    let link = fixture.open_with(&topology(&[])).await;
    publish_all(&link, (0..MESSAGES).map(|number| (submit(), numbered(number)))).await;
    let mut consumer = link.consume(&Queue::Ingress, 8).await.unwrap();
    let first = next(&mut consumer).await;
    let second = next(&mut consumer).await;
    depth_is(&link, &Queue::Ingress, 2).await;
    consumer.cancel().await;
    // What is in hand can still be ended: a hand-over that was under way finishes.
    let done = first.bytes.clone();
    first.done();
    second.drop_back();
    depth_is(&link, &Queue::Ingress, u64::from(MESSAGES) - 1).await;
    let mut consumer = link.consume(&Queue::Ingress, 8).await.unwrap();
    let received = receive(&mut consumer, MESSAGES as usize - 1).await;
    assert!(!received.contains_key(&done));
    println!(
        "sent {MESSAGES}, 1 done after the cancel, {} came again",
        received.len()
    );
    link.close().await;
}

async fn many_messages_arrive_once_each_and_closing_remembers_what_is_done(fixture: Fixture) {
    const MESSAGES: u32 = 2_000;
    let link = fixture.open_with(&topology(&[])).await;
    publish_all(&link, (0..MESSAGES).map(|number| (submit(), numbered(number)))).await;
    let mut consumer = link.consume(&Queue::Ingress, 64).await.unwrap();
    let mut received = Received::new();
    let mut in_hand = Vec::new();
    while received.len() < MESSAGES as usize {
        let delivery = next(&mut consumer).await;
        *received.entry(delivery.bytes.clone()).or_default() += 1;
        in_hand.push(delivery);
        // Ended in another order than they came, the first of each batch last.
        if in_hand.len() == 40 || received.len() == MESSAGES as usize {
            in_hand.drain(..).rev().for_each(viereck_transport::Delivery::done);
        }
    }
    link.close().await;
    assert!(consumer.next().await.is_none());
    let twice = received.values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0, "delivered twice without a fault");
    let link = fixture.open().await;
    depth_is(&link, &Queue::Ingress, 0).await;
    println!("sent {MESSAGES}, delivered {}, twice {twice}, left 0", received.len());
    link.close().await;
}

async fn closing_ends_consumers_and_refuses_more(fixture: Fixture) {
    let link = fixture.open_with(&topology(&[])).await;
    link.publish(&submit(), numbered(1)).await.unwrap();
    let mut consumer = link.consume(&Queue::Ingress, 1).await.unwrap();
    let in_hand = next(&mut consumer).await;
    let other = link.clone();
    link.close().await;
    assert!(consumer.next().await.is_none());
    assert!(matches!(
        other.publish(&submit(), numbered(2)).await,
        Err(LinkError::Closed)
    ));
    assert!(matches!(
        other.consume(&Queue::Ingress, 1).await,
        Err(LinkError::Closed)
    ));
    assert!(matches!(other.depth(&Queue::Ingress).await, Err(LinkError::Closed)));
    assert!(matches!(other.reconcile(&topology(&[])).await, Err(LinkError::Closed)));
    in_hand.done();
    drop(other);
    let link = fixture.open().await;
    let mut consumer = link.consume(&Queue::Ingress, 1).await.unwrap();
    assert_eq!(
        next(&mut consumer).await.bytes,
        numbered(1),
        "done after the close was nobody's business"
    );
    println!("sent 1, in hand at the close, delivered again");
    link.close().await;
}
