//! What an operator has to look at is in the log as an alarm, with the word by which it is counted.

use harness::alarms::{listen, raised};
use harness::custodians::{Custodians, id};
use harness::receipts::{batch, event};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_custody::{Idempotency, Promise, deadlines};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{Digest, MessageId};

#[tokio::test(flavor = "multi_thread")]
async fn ends_that_exclude_each_other_and_receipts_that_do_not_follow_are_alarmed() {
    listen();
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let [doubted, expired] = std::array::from_fn(|_| custodians.application(MessageId::random(), b"{}"));
    for envelope in [&doubted, &expired] {
        let idempotency = Idempotency {
            owner: "client:test".to_owned(),
            key: envelope.header().message_id.to_string(),
            fingerprint: Digest::of(b"1"),
        };
        let promise = Promise::new(envelope.clone(), idempotency, "{}".to_owned());
        sender.promise(promise).await.unwrap();
    }
    // numbers that no other test of this binary uses
    let first = u64::from(std::process::id()) << 20;
    let said = [
        (1, event(&doubted, Stage::Accepted, "gw-sh-2", vec![])),
        (2, event(&doubted, Stage::Rejected, "gw-sh-2", vec![Reason::S999])),
        (2, event(&expired, Stage::Expired, "gw-sh-2", vec![Reason::Obsolete])),
    ];
    for (number, event) in &said {
        let batch = batch(&custodians, "gw-sh-2", first + number, event);
        sender.take_receipts(batch, custodians.tables.clone()).await.unwrap();
    }
    let of = |number: u64| format!("sequence={} ", first + number);
    let about = |message: MessageId| format!("message_id={message} ");
    raised("receipt-gap", &[of(1)]).await;
    raised("receipt-fork", &[of(2)]).await;
    raised("terminal-conflict", &[about(doubted.header().message_id)]).await;
    raised("expired", &[about(expired.header().message_id)]).await;
    println!("account: 3 batches, 4 alarms");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_is_alarmed_by_how_late_it_is_and_what_is_too_late_as_expired() {
    listen();
    let custodians = Custodians::prepare();
    let served = custodians.tables.gateway(&id("gw-sh-2")).unwrap().served();
    let readers: Vec<_> = served.filter(|reader| reader.as_str().starts_with("wgb:")).collect();
    let minutes = |minutes: i64| minutes * 60 * 1000;
    // a normal one is to be taken over in four hours, and ends after fourteen days
    let ages = [
        (Some(50), minutes(125)),
        (Some(80), minutes(200)),
        (Some(100), minutes(250)),
        (None, minutes(15 * 24 * 60)),
    ];
    let place = custodians.place("gw-sh-2").await;
    let receiver = place.open().await;
    let mut aged = String::new();
    for (reader, (_, age)) in readers.iter().zip(ages) {
        let message = MessageId::random();
        let sealed = custodians.sealed(message, |draft| draft.reader = (*reader).clone());
        let tables = custodians.tables.clone();
        receiver
            .take(sealed.bytes().clone(), &id("gw-sh-2"), tables)
            .await
            .unwrap();
        let entered = Timestamp::now().as_millisecond() - age;
        aged +=
            &format!("UPDATE message SET filed_at = {entered}, entered_at = {entered} WHERE message_id = '{message}';");
    }
    receiver.close().await;
    place.spoil(&aged).await;

    let receiver = place.open().await;
    let stop = CancellationToken::new();
    let going = deadlines::run(receiver.clone(), deadlines::Config::default(), stop.clone());
    let going = tokio::spawn(going);
    for (reader, (per_cent, _)) in readers.iter().zip(ages) {
        let whose = format!("behoerde={reader} ");
        match per_cent {
            Some(per_cent) => raised("late", &[whose, format!("per_cent={per_cent} ")]).await,
            None => raised("expired", &[whose, "messages=1 ".to_owned()]).await,
        }
    }
    stop.cancel();
    going.await.unwrap().unwrap();
    println!("account: 4 taken, 3 late, 1 expired, an alarm for each");
}
