//! What is urgent goes first at the broker too: of the messages that wait for one gateway, not the oldest of all.

use harness::custodians::id;
use harness::middle::{DEADLINE, Middle};
use harness::wait::until;
use jiff::{SignedDuration, Timestamp};
use viereck_custody::pause::Scope;
use viereck_custody::{Actor, deadlines};
use viereck_envelope::SealedEnvelope;
use viereck_routing::{Class, MessageId};

/// Messages that the broker has on their way to one gateway at once.
const WINDOW: usize = 16;

async fn is_held(middle: &Middle, envelope: &SealedEnvelope) {
    until(DEADLINE, "it is held", async || {
        let view = middle.journal.message(&envelope.header().message_id).await.unwrap()?;
        view.flags.held.map(|_| ())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_message_overtakes_the_bulk_that_is_held_before_it() {
    let mut middle = Middle::start().await;
    let [normal, urgent, bulk] = ["normal", "urgent", "bulk"].map(|class| format!("class    = \"{class}\""));
    let (here, there) = ("laender/01-schleswig-holstein", "laender/05-nordrhein-westfalen");
    let custodians = &middle.custodians;
    custodians.changed(&format!("{here}/leistungen.toml"), &normal, &urgent);
    let tables = custodians.changed(&format!("{there}/leistungen.toml"), &normal, &bulk);
    middle.tables.send_replace(tables);
    // the Land of the region decides; both go to the same gateway
    let sealed = |region: &str| {
        let region = region.parse().unwrap();
        custodians.sealed(MessageId::random(), |draft| draft.region = Some(region))
    };
    let bulk: Vec<_> = (0..3 * WINDOW).map(|_| sealed("05")).collect();
    let urgent = sealed("01");

    let scope = || Scope::Gateway(id("gw-sh-2"));
    let (anna, why) = (Actor::operator("anna").unwrap(), || "ticket 1".parse().unwrap());
    middle.journal.pause(scope(), why(), anna.clone()).await.unwrap();
    for envelope in &bulk {
        middle.submit("gw-sh-1", envelope.bytes()).await;
    }
    for envelope in &bulk {
        is_held(&middle, envelope).await;
    }
    middle.submit("gw-sh-1", urgent.bytes()).await;
    is_held(&middle, &urgent).await;

    // each is measured against the time of its class
    let soon = Timestamp::now() + SignedDuration::from_mins(20);
    let late = middle.journal.late(soon, &deadlines::Config::default()).await.unwrap();
    let late: Vec<_> = late.iter().map(|late| (late.class, late.past)).collect();
    assert_eq!(late, [(Class::Urgent, 1)]);

    middle.journal.resume(scope(), why(), anna).await.unwrap();
    let mut arrived = vec![];
    for _ in 0..=bulk.len() {
        arrived.push(middle.arrives().await);
    }
    let place = arrived.iter().position(|octets| octets == urgent.bytes());
    assert!(place.is_some_and(|place| place < WINDOW), "{place:?}");
    for envelope in &bulk {
        assert!(arrived.contains(envelope.bytes()));
    }
    println!(
        "account: {} bulk and 1 urgent held, all relayed, the urgent one among the first {WINDOW}",
        bulk.len()
    );
    middle.stop().await;
}
