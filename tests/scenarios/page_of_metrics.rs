//! What happened stands on the pages that Prometheus reads, as the declarations say it, and nothing of the applicant does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use harness::corners::{Corners, ended, free_port, promised};
use harness::rabbitmq;
use harness::wait::until;
use viereck::demo::applications::{HUSUM, wohngeld_json};
use viereck::demo::stand_ins::Answer;
use viereck::telemetry::metrics::declared;

const DEADLINE: Duration = Duration::from_secs(40);

/// The samples of a page by what they are called.
async fn page(address: &str) -> Option<BTreeMap<String, f64>> {
    let answer = reqwest::get(format!("http://{address}/metrics")).await.ok()?;
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text().await.ok()?;
    assert!(
        !text.contains("Beispiel") && !text.contains("antragsportal"),
        "something of a client stands there"
    );
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Some(samples.filter_map(sample).collect())
}

/// Waits until a sample of this beginning has the value.
async fn shows(address: &str, sample: &str, value: f64) {
    until(DEADLINE, &format!("{sample} {value} at {address}"), async || {
        let page = page(address).await?;
        let found: Vec<_> = page.iter().filter(|(name, _)| name.starts_with(sample)).collect();
        let reached = found.iter().map(|(_, value)| *value).sum::<f64>() == value;
        if !reached {
            println!("{found:?}");
        }
        reached.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_stands_on_the_pages() {
    let amqp = rabbitmq::vhost().await;
    let accept = Arc::new(|_: &_, _| Answer::Accept);
    let corners = Corners::prepare("page-of-metrics", amqp, accept.clone(), accept).await;
    let [sender_at, broker_at, receiver_at] = [(); 3].map(|()| free_port().to_string());
    let with = |address: &str| {
        [
            ("VIERECK__OPERATIONS__LISTEN", address.to_owned()),
            ("VIERECK__TELEMETRY__BEHOERDEN", "true".to_owned()),
        ]
    };
    let start = async |role: &str, address: &str| {
        let variables = with(address);
        let variables: Vec<_> = variables.iter().map(|(key, value)| (*key, value.as_str())).collect();
        corners.start_with(role, &variables).await
    };
    let _broker = start("broker", &broker_at).await;
    let _receiver = start("receiver", &receiver_at).await;
    let _sender = start("sender", &sender_at).await;
    let client = corners.client();
    for number in 0..3 {
        let receipt = promised(&client, &wohngeld_json(number, HUSUM)).await;
        assert_eq!(ended(&client, &receipt.submission_id, DEADLINE).await, "accepted");
    }
    let nobody = format!("http://{}/v1/submissions", corners.listen[0]);
    assert_eq!(reqwest::Client::new().post(&nobody).send().await.unwrap().status(), 401);

    let sent = "custodian=\"gw-sh-1\"";
    shows(
        &sender_at,
        &format!("viereck_events_total{{{sent},by=\"own\",event=\"received\"}}"),
        3.0,
    )
    .await;
    shows(
        &sender_at,
        &format!("viereck_events_total{{{sent},by=\"other\",event=\"accepted\"}}"),
        3.0,
    )
    .await;
    // the applications by the receiver's word, their Bescheide by its own
    shows(
        &sender_at,
        &format!("viereck_stage_seconds_count{{{sent},stage=\"accepted\"}}"),
        6.0,
    )
    .await;
    let submissions = format!("viereck_http_requests_total{{{sent},interface=\"submissions\",outcome=");
    shows(&sender_at, &format!("{submissions}\"ok\"}}"), 3.0).await;
    shows(&sender_at, &format!("{submissions}\"unauthenticated\"}}"), 1.0).await;
    shows(
        &sender_at,
        &format!("viereck_http_request_seconds_count{{{sent},interface=\"submissions\"}}"),
        3.0,
    )
    .await;
    shows(&sender_at, "viereck_link_connected", 2.0).await;
    shows(
        &sender_at,
        &format!("viereck_ledger{{{sent},side=\"sent\",count=\"received\"}}"),
        3.0,
    )
    .await;
    shows(&sender_at, &format!("viereck_ledger_difference{{{sent}"), 0.0).await;
    shows(&sender_at, &format!("viereck_journal_writable{{{sent}"), 1.0).await;
    shows(
        &broker_at,
        "viereck_events_total{custodian=\"broker\",by=\"own\",event=\"relayed\"}",
        6.0,
    )
    .await;
    shows(
        &broker_at,
        "viereck_link_publishes_total{purpose=\"route\",outcome=\"confirmed\"}",
        6.0,
    )
    .await;
    let taken = "custodian=\"gw-sh-2\"";
    shows(
        &receiver_at,
        &format!("viereck_taken_total{{{taken},outcome=\"new\"}}"),
        3.0,
    )
    .await;
    shows(
        &receiver_at,
        &format!("viereck_hand_overs_total{{{taken},outcome=\"accepted\"}}"),
        3.0,
    )
    .await;
    shows(&receiver_at, &format!("viereck_delivery_state{{{taken}"), 0.0).await;

    // nothing stands there that is not declared
    let names: Vec<&str> = declared().map(|metric| metric.name).collect();
    for address in [&sender_at, &broker_at, &receiver_at] {
        for sample in page(address).await.unwrap().keys() {
            let name = sample.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            let known = names.contains(&name) || base.is_some_and(|base| names.contains(&base));
            assert!(known, "{sample} is not declared");
        }
    }
}
