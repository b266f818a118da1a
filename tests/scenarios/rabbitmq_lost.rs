//! The whole RabbitMQ is lost with its disk, under load: every application that was promised ends, once.
//!
//! What stood in its queues, envelopes and receipts alike, is nowhere then but in the journals of those who sent it; they
//! ask again after silence, and whoever has acted answers with the old receipts.

use std::time::Duration;

use harness::account::Account;
use harness::corners::{Corners, ended, promised, stages};
use harness::rabbitmq::Cluster;
use harness::wait::until;
use viereck::demo::applications::{self, Application};
use viereck::demo::stand_ins::accept_all;

const DEADLINE: Duration = Duration::from_secs(90);

/// Silence is short here: the sender asks after a second, the receivers, which write the Bescheide, as well.
const SHORT: &[(&str, &str)] = &[
    ("VIERECK__GATEWAY__0__OUTBOX__SILENCE_SECONDS", "1"),
    ("VIERECK__GATEWAY__0__OUTBOX__LONGEST_SILENCE_SECONDS", "2"),
    ("VIERECK__GATEWAY__0__RECEIPTS__GAP_SECONDS", "1"),
    ("VIERECK__GATEWAY__1__OUTBOX__SILENCE_SECONDS", "1"),
    ("VIERECK__GATEWAY__1__OUTBOX__LONGEST_SILENCE_SECONDS", "2"),
    ("VIERECK__GATEWAY__2__OUTBOX__SILENCE_SECONDS", "1"),
    ("VIERECK__GATEWAY__2__OUTBOX__LONGEST_SILENCE_SECONDS", "2"),
];

fn application(number: u32) -> Application {
    applications::wohngeld_json(number, [applications::HUSUM, applications::KOELN][number as usize % 2])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_lost_with_its_disk_loses_no_application() {
    let cluster = Cluster::start(1).await.unwrap();
    let amqp = cluster.vhost().await.unwrap().urls.remove(0);
    let corners = Corners::prepare("rabbitmq-lost", amqp, accept_all(), accept_all()).await;
    let _sender = corners.start_with("sender", SHORT).await;
    let _broker = corners.start_with("broker", SHORT).await;
    let receiver = corners.start_with("receiver", SHORT).await;
    let client = corners.client();

    // some have ended, some are on their way, and some stand in the queues of gateways that are down
    let mut submissions = vec![];
    for number in 0..8 {
        submissions.push(promised(&client, &application(number)).await.submission_id);
    }
    assert_eq!(ended(&client, &submissions[0], DEADLINE).await, "accepted");
    receiver.kill();
    for number in 8..20 {
        submissions.push(promised(&client, &application(number)).await.submission_id);
    }
    until(DEADLINE, "the last is relayed", async || {
        let stages = stages(&client, &submissions[19]).await;
        stages.iter().any(|stage| stage == "relayed").then_some(())
    })
    .await;

    let (lost, filed) = tokio::join!(cluster.wipe_and_restart_all(), async {
        let mut filed = vec![];
        for number in 20..32 {
            filed.push(promised(&client, &application(number)).await.submission_id);
        }
        filed
    });
    lost.unwrap();
    submissions.extend(filed);
    let _receiver = corners.start_with("receiver", SHORT).await;

    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted", "{submission}");
    }
    let account = Account::of(&corners, &submissions, DEADLINE).await;
    println!("{account}; RabbitMQ lost with its disk");
    account.assert_exactly_once();
}
