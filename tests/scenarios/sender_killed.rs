//! The sender is killed right after a 202, with other requests in the middle: whatever was promised ends, and a client
//! that files again under the same key, because it never got an answer, files nothing twice.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use harness::account::Account;
use harness::corners::{Corners, ended};
use harness::rabbitmq;
use viereck::demo::applications::{self, Application, Filed};
use viereck::demo::stand_ins::accept_all;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_killed_after_its_yes_keeps_its_word() {
    let amqp = rabbitmq::vhost().await;
    let corners = Corners::prepare("sender-killed", amqp, accept_all(), accept_all()).await;
    let _broker = corners.start("broker").await;
    let _receiver = corners.start("receiver").await;
    let sender = corners.start("sender").await;
    let client = corners.client();

    let applications: Vec<(String, Application)> = (0..24)
        .map(|number| {
            let region = [applications::HUSUM, applications::KOELN][number as usize % 2];
            let application = applications::wohngeld_json(number, region);
            (format!("key-{number}"), application)
        })
        .collect();

    let mut filing: FuturesUnordered<_> = applications
        .iter()
        .map(|(key, application)| client.file_as(application, key))
        .collect();
    let mut promised_before = vec![];
    while let Some(filed) = filing.next().await {
        if let Ok(Filed::Promised(receipt)) = filed {
            promised_before.push(receipt.submission_id);
        }
        if promised_before.len() == 5 {
            break;
        }
    }
    sender.kill();
    drop(filing);
    let _sender = corners.start("sender").await;

    let mut submissions = vec![];
    for (key, application) in &applications {
        match client.file_as(application, key).await.expect("the gateway answers") {
            Filed::Promised(receipt) => submissions.push(receipt.submission_id),
            Filed::Refused { code, detail, .. } => panic!("{key}: {code}: {detail}"),
        }
    }
    assert!(
        promised_before.iter().all(|id| submissions.contains(id)),
        "a repeat gets the first answer"
    );
    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }
    let account = Account::of(&corners, &submissions, DEADLINE).await;
    println!("{account}; {} promised before the kill", promised_before.len());
    account.assert_exactly_once();
}
