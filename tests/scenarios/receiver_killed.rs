//! The receiver is killed between delivery and hand-over, and in the middle of a hand-over: after a restart every
//! application ends, none takes effect twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::account::Account;
use harness::corners::{Corners, ended, promised};
use harness::rabbitmq;
use harness::wait::until;
use viereck::demo::applications;
use viereck::demo::stand_ins::{Answer, Script};

const DEADLINE: Duration = Duration::from_secs(60);

/// The first attempt at each message meets one of the troubles in turn; every later one is taken over.
fn troubled() -> Script {
    let troubles = [Answer::Unavailable, Answer::Ignore, Answer::AcceptSilently];
    let met: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    Arc::new(move |handed_over, attempt| {
        let mut met = met.lock().unwrap();
        let next = met.len();
        let trouble = *met.entry(handed_over.message.message_id.clone()).or_insert(next);
        if attempt == 1 {
            troubles[trouble % troubles.len()].clone()
        } else {
            Answer::Accept
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_killed_while_it_hands_over_makes_nothing_happen_twice() {
    let amqp = rabbitmq::vhost().await;
    let slow: Script = Arc::new(|_, _| Answer::AcceptAfter(Duration::from_millis(300)));
    let corners = Corners::prepare("receiver-killed", amqp, troubled(), slow).await;
    let _broker = corners.start("broker").await;
    let receiver = corners.start("receiver").await;
    let _sender = corners.start("sender").await;
    let client = corners.client();

    let mut submissions = vec![];
    for number in 0..12 {
        let region = [applications::HUSUM, applications::KOELN][number as usize % 2];
        let application = applications::wohngeld_json(number, region);
        submissions.push(promised(&client, &application).await.submission_id);
    }
    // each of the six over HTTP has met its trouble: taken and not handed over, or handed over and not known to be
    until(DEADLINE, "an attempt at each message", async || {
        (corners.http.ledger().now().entries().len() == 6).then_some(())
    })
    .await;
    receiver.kill();
    let _receiver = corners.start("receiver").await;

    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }
    let account = Account::of(&corners, &submissions, DEADLINE).await;
    println!("{account}");
    account.assert_exactly_once();
    assert!(account.attempts > account.sent as u32, "the troubles were met");
}
