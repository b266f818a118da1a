//! SIGTERM to each role in turn while applications are being filed: each ends with exit 0, nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::account::Account;
use harness::corners::{Corners, READY, ended};
use harness::rabbitmq;
use viereck::demo::applications::{self, Client, Filed};
use viereck::demo::stand_ins::{Answer, Script};

const DEADLINE: Duration = Duration::from_secs(90);

/// Files one application after the other until `stop`; what is not answered with yes is filed again under its key.
async fn file_until(client: Client, stop: Arc<AtomicBool>, lane: u32) -> Vec<String> {
    let mut submissions = vec![];
    let mut tries = tokio::time::interval(Duration::from_millis(20));
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let region = [applications::HUSUM, applications::KOELN][number as usize % 2];
        let application = applications::wohngeld_json(lane * 10_000 + number, region);
        let key = format!("key-{lane}-{number}");
        loop {
            tries.tick().await;
            match client.file_as(&application, &key).await {
                Ok(Filed::Promised(receipt)) => break submissions.push(receipt.submission_id),
                Ok(Filed::Refused { code, .. }) => assert_eq!(code, "stopping", "only a stop may refuse"),
                Err(_) => {} // down for a moment
            }
        }
    }
    submissions
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_under_load_each_role_loses_nothing() {
    let amqp = rabbitmq::vhost().await;
    let slow: Script = Arc::new(|_, _| Answer::AcceptAfter(Duration::from_millis(50)));
    let corners = Corners::prepare("stopped-under-load", amqp, slow.clone(), slow).await;
    let (mut broker, mut receiver, mut sender) = (
        corners.start("broker").await,
        corners.start("receiver").await,
        corners.start("sender").await,
    );
    let client = corners.client();
    let stop = Arc::new(AtomicBool::new(false));
    let lanes: Vec<_> = (0..4)
        .map(|lane| tokio::spawn(file_until(client.clone(), stop.clone(), lane)))
        .collect();

    // progress between two stops, so that each of them meets a load
    let mut goal = 10;
    for role in ["receiver", "broker", "sender", "receiver"] {
        harness::wait::until(DEADLINE, "the load flows", async || {
            let (http, folder) = (corners.http.ledger().now(), corners.folder.ledger().now());
            (http.entries().len() + folder.entries().len() >= goal).then_some(())
        })
        .await;
        let process = match role {
            "receiver" => &mut receiver,
            "broker" => &mut broker,
            _ => &mut sender,
        };
        let status = process.terminate(READY);
        assert!(status.success(), "{role} ended with {status}: {}", process.describe());
        *process = corners.start(role).await;
        goal += 15;
    }
    stop.store(true, Ordering::Relaxed);
    let mut submissions = vec![];
    for lane in lanes {
        submissions.extend(lane.await.expect("a lane does not fail"));
    }
    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }
    let account = Account::of(&corners, &submissions, DEADLINE).await;
    println!("{account}");
    account.assert_exactly_once();
}
