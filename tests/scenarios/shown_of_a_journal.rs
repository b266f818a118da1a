//! What a journal shows: lists, looks by reference and key, the account, a month, what webhooks are to be told.

use harness::custodians::{Custodians, due, id};
use harness::receipts;
use jiff::{SignedDuration, Timestamp};
use viereck_custody::list::{Filter, Position};
use viereck_custody::webhooks::{Disabled, Entered, Limits, News, Outcome};
use viereck_custody::{Conclusion, Idempotency, Journal, Lookup, Promise};
use viereck_envelope::{Reason, SealedEnvelope, Stage};
use viereck_routing::{ClientId, Digest, MessageId};

const LIMITS: Limits = Limits {
    give_up: SignedDuration::from_hours(72),
    first_pause: SignedDuration::from_secs(5),
};

fn client() -> ClientId {
    "portal".parse().unwrap()
}

async fn promise(custodians: &Custodians, sender: &Journal, key: &str) -> SealedEnvelope {
    let sealed = custodians.application(MessageId::random(), b"{}");
    let idempotency = Idempotency {
        owner: format!("client:{}", client()),
        key: key.to_owned(),
        fingerprint: Digest::of(b"1"),
    };
    let promise = Promise {
        reference: Some(Digest::of(key.as_bytes())),
        ..Promise::new(sealed.clone(), idempotency, "{}".to_owned())
    };
    sender.promise(promise).await.unwrap();
    sealed
}

/// The reader's gateway says how it ended.
async fn told(custodians: &Custodians, sender: &Journal, sealed: &SealedEnvelope, stage: Stage, reasons: Vec<Reason>) {
    let event = receipts::event(sealed, stage, "gw-sh-2", reasons);
    let batch = receipts::batch(custodians, "gw-sh-2", 1, &event);
    sender.take_receipts(batch, custodians.tables.clone()).await.unwrap();
}

fn ids(messages: &[viereck_custody::MessageView]) -> Vec<MessageId> {
    messages.iter().map(|view| view.message_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_a_message_is_found_by_key_and_reference() {
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let mut filed = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        filed.push(promise(&custodians, &sender, key).await);
    }
    let mut newest_first: Vec<MessageId> = filed.iter().map(|sealed| sealed.header().message_id).collect();
    newest_first.reverse();
    for whose in [Some(client()), None] {
        let filter = Filter {
            client: whose,
            ..Filter::default()
        };
        let (mut seen, mut after): (Vec<MessageId>, Option<Position>) = (vec![], None);
        loop {
            let page = sender.list(filter.clone(), after, 2).await.unwrap();
            seen.extend(ids(&page.messages));
            match page.next {
                // as it travels in a cursor
                Some(next) => after = Some(next.to_string().parse().unwrap()),
                None => break,
            }
        }
        assert_eq!(seen, newest_first);
    }
    let found = async |lookup| ids(&sender.find(lookup).await.unwrap());
    let (key, client) = ("c".to_owned(), client());
    assert_eq!(
        found(Lookup::Key {
            client: client.clone(),
            key
        })
        .await,
        [newest_first[2]]
    );
    let key = "c".to_owned();
    let other = "other".parse().unwrap();
    assert_eq!(found(Lookup::Key { client: other, key }).await, []);
    assert_eq!(found(Lookup::Reference(Digest::of(b"d"))).await, [newest_first[1]]);
    assert_eq!(found(Lookup::Reference(Digest::of(b"D"))).await, []);
    assert_eq!(
        found(Lookup::Case(filed[0].header().process_ref)).await,
        [newest_first[4]]
    );

    told(&custodians, &sender, &filed[0], Stage::Rejected, vec![Reason::S999]).await;
    let only = async |filter| ids(&sender.list(filter, None, 10).await.unwrap().messages);
    let of = |status| Filter {
        status: Some(status),
        ..Filter::default()
    };
    assert_eq!(only(of(Stage::Rejected)).await, [newest_first[4]]);
    assert_eq!(only(of(Stage::Received)).await, newest_first[..4]);
    let living = Filter {
        in_flight: true,
        ..Filter::default()
    };
    assert_eq!(only(living).await.len(), 4);
    let soon = Filter {
        since: Some(Timestamp::now() + SignedDuration::from_hours(1)),
        ..Filter::default()
    };
    assert_eq!(only(soon).await, []);
    for parked in [true, false] {
        let filter = Filter {
            parked,
            overdue: !parked,
            ..Filter::default()
        };
        assert_eq!(only(filter).await, []);
    }
    println!("account: 5 filed, each found once");
}

#[tokio::test(flavor = "multi_thread")]
async fn account_rows_and_events_agree_and_a_month_counts_what_was_filed() {
    let custodians = Custodians::prepare();
    let (sender, receiver) = (custodians.journal("gw-sh-1").await, custodians.journal("gw-sh-2").await);
    for key in ["a", "b", "c"] {
        let sealed = promise(&custodians, &sender, key).await;
        receiver
            .take(sealed.bytes().clone(), &id("gw-sh-2"), custodians.tables.clone())
            .await
            .unwrap();
    }
    let given = due(&receiver, 2).await;
    for message in &given {
        receiver.begin_hand_over(&message.key, None).await.unwrap();
        receiver.conclude(&message.key, Conclusion::Accepted).await.unwrap();
    }
    let account = receiver.ledger().await.unwrap().total_taken();
    assert_eq!((account.received, account.ended, account.in_flight), (3, 2, 1));
    for journal in [&sender, &receiver] {
        let reconciled = journal.reconcile_ledger(SignedDuration::from_hours(1)).await.unwrap();
        assert!(reconciled.is_right(), "{reconciled:?}");
    }
    let (from, until) = (Timestamp::now() - SignedDuration::from_hours(1), Timestamp::now());
    let report = receiver.report(from, until).await.unwrap();
    let numbers: Vec<_> = report.groups.values().collect();
    assert_eq!(numbers.len(), 1);
    assert_eq!(
        (
            numbers[0].filed(),
            numbers[0].ended[&Stage::Accepted],
            numbers[0].in_flight
        ),
        (3, 2, 1)
    );
    assert_eq!(numbers[0].taken_over_after.len(), 2);
    assert!(receiver.report(until, until).await.unwrap().groups.is_empty());
    println!("account: 3 received, 2 ended, 1 in flight");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_for_a_webhook_wait_in_the_journal_until_they_are_taken_or_given_up() {
    let custodians = Custodians::prepare();
    let sender = custodians.journal("gw-sh-1").await;
    let url = || "https://a.example/".to_owned();
    let Entered::New(webhook) = sender.enter_webhook(&client(), url(), 1).await.unwrap() else {
        panic!("new")
    };
    assert_eq!(
        sender.enter_webhook(&client(), url(), 1).await.unwrap(),
        Entered::There(webhook.clone())
    );
    let other = "https://b.example/".to_owned();
    assert_eq!(sender.enter_webhook(&client(), other, 1).await.unwrap(), Entered::Full);
    let sealed = promise(&custodians, &sender, "a").await;
    let calls = async |at: Timestamp| sender.due_calls(at, 4, Default::default()).await.unwrap();
    let now = Timestamp::now;
    assert_eq!(calls(now()).await.len(), 0, "that it was received its client knows");
    told(&custodians, &sender, &sealed, Stage::Accepted, vec![]).await;
    let due = calls(now()).await;
    assert_eq!(due.len(), 1);
    let News::Status { submission, status, .. } = &due[0].event.news else {
        panic!("a status")
    };
    assert_eq!((*submission, *status), (sealed.header().message_id, Stage::Accepted));

    // not taken: later; never taken: given up, and the webhook with it
    assert_eq!(
        sender
            .called(&due[0], Outcome::Refused(500), LIMITS, 0.5)
            .await
            .unwrap(),
        None
    );
    assert_eq!(calls(now()).await.len(), 0);
    let next = sender.next_call(now()).await.unwrap().unwrap();
    assert!(next > now() && next < now() + SignedDuration::from_secs(10));
    let short = Limits {
        give_up: SignedDuration::ZERO,
        ..LIMITS
    };
    let given_up = sender.called(&due[0], Outcome::TimedOut, short, 0.5).await.unwrap();
    assert_eq!(given_up, Some(Disabled::GivenUp));
    assert_eq!(sender.next_call(now()).await.unwrap(), None);
    let log = sender.webhook_log(&webhook.id, None, 10).await.unwrap();
    assert_eq!((log.len(), log[0].attempts), (1, 2));
    assert_eq!(log[0].last.map(|(outcome, _)| outcome), Some(Outcome::TimedOut));

    // put back by its client
    let enabled = sender.enable_webhook(&client(), &webhook.id).await.unwrap().unwrap();
    assert_eq!(enabled.disabled, None);
    assert!(
        sender
            .redeliver(&client(), &webhook.id, &log[0].event.id)
            .await
            .unwrap()
    );
    let again = calls(now()).await;
    assert_eq!(again[0].event, due[0].event, "the same event under the same id");
    sender.called(&again[0], Outcome::Delivered, LIMITS, 0.5).await.unwrap();
    assert_eq!(calls(now() + SignedDuration::from_hours(24)).await.len(), 0);
    let rotated = sender.rotate_webhook(&client(), &webhook.id).await.unwrap().unwrap();
    assert_eq!((rotated.generation, rotated.rotated_at.is_some()), (2, true));
    assert!(
        !sender
            .shorten_webhook_log(now() + SignedDuration::from_hours(24 * 31))
            .await
            .unwrap()
    );
    assert_eq!(sender.webhook_log(&webhook.id, None, 10).await.unwrap().len(), 0);
    assert!(sender.remove_webhook(&client(), &webhook.id).await.unwrap());
    println!("account: 1 event, told once, after it was given up once");
}
