//! What an operator lets rest waits at the broker, goes on when it may, or ends in time; what has ended stays ended.

use harness::custodians::id;
use harness::middle::{DEADLINE, Middle};
use harness::wait::until;
use jiff::{SignedDuration, Timestamp};
use viereck_custody::pause::Scope;
use viereck_custody::{Actor, deadlines};
use viereck_envelope::{Reason, SealedEnvelope, Stage};
use viereck_routing::MessageId;
use viereck_transport::Queue;

async fn rests(middle: &Middle, envelope: &SealedEnvelope) {
    until(DEADLINE, "it is held, with the reason", async || {
        let view = middle.journal.message(&envelope.header().message_id).await.unwrap()?;
        let held = view.events.iter().find(|event| event.stage.as_str() == "held")?;
        (held.reasons == [Reason::Paused]).then_some(())
    })
    .await;
    until(DEADLINE, "nobody looks at it any more", async || {
        let view = middle.journal.message(&envelope.header().message_id).await.unwrap()?;
        let rests = view.next_attempt_at.is_none() && view.flags.paused.is_some();
        rests.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_goes_on_when_it_is_resumed_and_ends_when_its_time_is_over() {
    let mut middle = Middle::start().await;
    let [too_late, in_time, after] = std::array::from_fn(|_| middle.custodians.application(MessageId::random(), b"{}"));
    let scope = || Scope::Behoerde(in_time.header().reader.clone());
    let (anna, why) = (Actor::operator("anna").unwrap(), || "ticket 1".parse().unwrap());
    middle.journal.pause(scope(), why(), anna.clone()).await.unwrap();

    middle.submit("gw-sh-1", too_late.bytes()).await;
    rests(&middle, &too_late).await;
    let in_days = Timestamp::now() + SignedDuration::from_hours(24 * 15);
    let config = deadlines::Config::default();
    let swept = middle.journal.sweep_deadlines(in_days, &config).await.unwrap();
    assert_eq!(swept.ended.values().sum::<u64>(), 1);
    let told = middle.told().await;
    let ended = (Stage::Undeliverable, vec![Reason::Obsolete]);
    assert_eq!((told[0].stage, told[0].reasons.clone()), ended, "its author learns it");

    middle.submit("gw-sh-1", in_time.bytes()).await;
    rests(&middle, &in_time).await;
    let queue = Queue::Gateway(id("gw-sh-2"));
    assert_eq!(middle.link.depth(&queue).await.unwrap(), 0);
    middle.journal.resume(scope(), why(), anna).await.unwrap();
    assert_eq!(middle.arrives().await, *in_time.bytes());
    assert_eq!(middle.told().await[0].stage, Stage::Relayed);

    // who asks for what has ended here is told the same, and nobody else hears of it
    middle.submit("gw-sh-1", too_late.bytes()).await;
    let told = middle.told().await;
    assert_eq!((told[0].stage, told[0].reasons.clone()), ended);
    middle.submit("gw-sh-1", after.bytes()).await;
    assert_eq!(middle.arrives().await, *after.bytes(), "and nothing before it");
    let account = middle.journal.ledger().await.unwrap();
    println!("account: 3 handed in, 2 relayed, 1 undeliverable: {account:?}");
    middle.stop().await;
}
