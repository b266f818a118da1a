//! A receiver stands still in the middle of hand-overs for longer than its sign of life lasts; the other one takes over
//! what it had in hand. When it goes on, it disturbs nobody: nothing takes effect twice, and it works again.

use std::sync::Arc;
use std::time::Duration;

use harness::account::Account;
use harness::corners::{ended, promised};
use harness::instances::Instances;
use harness::wait::until;
use harness::{postgres, rabbitmq};
use viereck::demo::applications;
use viereck::demo::stand_ins::{Answer, Script};

const DEADLINE: Duration = Duration::from_secs(90);

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
