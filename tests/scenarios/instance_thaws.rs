//! A receiver stands still in the middle of hand-overs for longer than its sign of life lasts; the other one takes over
//! what it had in hand. When it goes on, it disturbs nobody: nothing takes effect twice, and it works again.

use std::sync::Arc;
use std::time::Duration;

use harness::account::Account;
use harness::corners::{ended, promised};
use harness::custodians::{Custodians, due, id};
use harness::instances::Instances;
use harness::wait::until;
use harness::{postgres, rabbitmq};
use jiff::Timestamp;
use tokio_postgres::NoTls;
use viereck::demo::applications;
use viereck::demo::stand_ins::{Answer, Script};
use viereck_custody::hand_over::{Acted, Begun};
use viereck_custody::inbox::Taken;
use viereck_custody::{Conclusion, Deferral, Journal, JournalError, Place, PostgresUrl};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{Environment, MessageId};

const DEADLINE: Duration = Duration::from_secs(90);
/// A sign of life that no clock outlasts, in milliseconds.
const FOR_EVER: i64 = i64::MAX;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_instance_had_in_hand_is_done_by_the_other_and_stays_done() {
    let (amqp, journals) = (rabbitmq::vhost().await, postgres::url("instance_thaws").await);
    let slow: Script = Arc::new(|_, _| Answer::AcceptAfter(Duration::from_millis(1500)));
    let mut instances = Instances::prepare("instance-thaws", amqp, journals, slow.clone(), slow).await;
    instances.start("broker", 0).await;
    instances.start("receiver", 0).await;
    instances.start("sender", 0).await;
    let client = instances.client(0);
    let mut submissions = vec![];
    for number in 0..8 {
        let region = [applications::HUSUM, applications::KOELN][number as usize % 2];
        let application = applications::wohngeld_json(number, region);
        submissions.push(promised(&client, &application).await.submission_id);
    }
    until(DEADLINE, "a hand-over is under way", async || {
        (!instances.corners.http.ledger().now().entries().is_empty()).then_some(())
    })
    .await;
    instances.process("receiver", 0).freeze();
    instances.start("receiver", 1).await;
    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }
    instances.process("receiver", 0).thaw();

    // the one that was frozen does the work again, alone
    instances.kill("receiver", 1);
    for number in 8..12 {
        let region = [applications::HUSUM, applications::KOELN][number as usize % 2];
        let application = applications::wohngeld_json(number, region);
        submissions.push(promised(&client, &application).await.submission_id);
    }
    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }
    let account = Account::of(&instances.corners, &submissions, DEADLINE).await;
    println!("{account}; 1 instance frozen until the other had done its work, then thawed");
    account.assert_exactly_once();
    assert!(
        account.attempts > account.sent as u32,
        "something was in hand when it froze, and the other did it again under the same key"
    );
}

/// What an instance may still say of a message that another one has in hand by now.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_given_up_for_dead_may_only_say_that_it_was_accepted() {
    let custodians = Custodians::prepare();
    let text = postgres::url("given_up").await;
    let place = Place::Postgres(PostgresUrl::parse(&text).unwrap());
    let journal = Journal::open(place, id("gw-sh-2"), Environment::Test).await.unwrap();
    let envelope = custodians.application(MessageId::random(), b"{}");
    let behoerde = id("gw-sh-2");
    let taken = journal.take(envelope.bytes().clone(), &behoerde, custodians.tables.clone());
    assert_eq!(taken.await.unwrap(), Taken::New);
    let message = due(&journal, 1).await.pop().unwrap().key;
    assert_eq!(journal.begin_hand_over(&message, None).await.unwrap(), Begun::Yes);

    // another one has buried it and has the message now
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.unwrap();
    let talking = tokio::spawn(connection);
    let (schema, other) = ("\"viereck_gw-sh-2\"", "00000000-0000-4000-8000-000000000002");
    let stolen = format!(
        "INSERT INTO {schema}.instance (id, alive_until) VALUES ('{other}', {FOR_EVER});
         UPDATE {schema}.message SET claimed_by = '{other}'"
    );
    client.batch_execute(&stolen).await.unwrap();
    let in_vain = [
        journal
            .conclude(&message, Conclusion::Rejected(vec![Reason::NotOurCase]))
            .await,
        journal.conclude(&message, Conclusion::Expired).await,
        journal.park(&message, Reason::AdapterMisconfigured).await,
        journal
            .defer(
                &message,
                Timestamp::now(),
                Deferral::FachverfahrenUnavailable,
                Acted::No,
            )
            .await,
        journal.handed_over(&message).await,
        journal.hand_over_again(&message).await,
    ];
    for answer in in_vain {
        assert!(matches!(answer, Err(JournalError::Unknown)), "{answer:?}");
    }
    let view = async || journal.message(&message.message_id).await.unwrap().unwrap();
    assert_eq!(view().await.status, Stage::Delivered);
    journal.conclude(&message, Conclusion::Accepted).await.unwrap();
    assert_eq!(view().await.status, Stage::Accepted);
    talking.abort();
    journal.close().await;
    println!("account: 6 words too late, 1 that counts");
}
