//! The demonstration ends with every application answered, on the embedded link and over RabbitMQ alike.

use std::collections::BTreeSet;

use harness::process::run;
use harness::rabbitmq;
use serde_json::Value;

#[test]
fn the_demo_answers_every_application_on_the_embedded_link() {
    told_all("embedded", &["demo", "--once", "--json"]);
}

#[tokio::test]
async fn the_demo_answers_every_application_over_rabbitmq() {
    let url = rabbitmq::vhost().await;
    tokio::task::spawn_blocking(move || told_all("amqp", &["demo", "--once", "--json", "--amqp", &url]))
        .await
        .unwrap();
}

fn told_all(link: &str, args: &[&str]) {
    let output = run(args);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {talk}", output.status);
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["link"], link);
    let submissions = document["submissions"].as_array().unwrap();
    assert!(submissions.len() >= 6);
    let mut laender = BTreeSet::new();
    for submission in submissions {
        laender.insert(&submission["behoerde"].as_str().unwrap()[..6]);
        let rejected = submission["status"] == "rejected";
        let end = if rejected { "rejected" } else { "accepted" };
        assert_eq!(submission["status"], end, "{submission}");
        assert_eq!(
            submission["events"],
            serde_json::json!(["received", "relayed", "delivered", end]),
            "{submission}"
        );
        assert_eq!(submission["bescheid"], !rejected, "{submission}");
    }
    assert!(
        laender.contains("wgb:01") && laender.contains("wgb:05"),
        "two Länder: {laender:?}"
    );
    assert!(
        laender.iter().any(|behoerde| behoerde.starts_with("dbs:")),
        "and the Bund: {laender:?}"
    );
    let rejected: Vec<_> = submissions
        .iter()
        .filter(|submission| submission["status"] == "rejected")
        .collect();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0]["reasons"], serde_json::json!(["S011"]));
    assert_eq!(document["refused"].as_array().unwrap().len(), 1);
    assert_eq!(document["refused"][0]["code"], "not-connected");
    // every application, and a Bescheid for each but the rejected one
    let messages = submissions.len() * 2 - 1;
    assert_eq!(
        document["ledger"],
        serde_json::json!({"received": messages, "ended": messages, "inFlight": 0})
    );
    println!(
        "account ({link}): {} in {} s",
        document["ledger"], document["elapsedSeconds"]
    );
}
