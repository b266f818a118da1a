//! One application is one trace, from the client's request to the Fachverfahren: over RabbitMQ, over a receiver that was
//! killed in between, and as a collector really gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use harness::corners::{Corners, ended};
use harness::rabbitmq;
use harness::wait::until;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use viereck::demo::applications::{HUSUM, wohngeld_json};
use viereck::demo::stand_ins::Answer;

const DEADLINE: Duration = Duration::from_secs(30);

/// What the client of this test is in the middle of.
const OF_CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Where spans arrive, each with the process that sent it.
type Collected = Arc<Mutex<Vec<(String, Span)>>>;

/// What the Fachverfahren saw as `traceparent`, and what it answers next.
type Seen = Arc<Mutex<Vec<Option<String>>>>;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn collect(State(collected): State<Collected>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers["content-type"] != "application/x-protobuf" {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    for of_process in request.resource_spans {
        let attributes = of_process.resource.unwrap().attributes;
        assert_eq!(text(&attributes, "service.name").as_deref(), Some("viereck"));
        let process = text(&attributes, "service.instance.id").unwrap();
        let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collected
            .lock()
            .unwrap()
            .extend(spans.map(|span| (process.clone(), span)));
    }
    StatusCode::OK
}

/// Not now, the first time; then taken over.
async fn take(State(seen): State<Seen>, headers: HeaderMap, _body: Bytes) -> StatusCode {
    let traceparent = headers
        .get("traceparent")
        .map(|value| value.to_str().unwrap().to_owned());
    let mut seen = seen.lock().unwrap();
    seen.push(traceparent);
    match seen.len() {
        1 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes
        .iter()
        .find(|attribute| attribute.key == key)?
        .value
        .as_ref()?;
    match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Files an application as a client that traces itself.
async fn file(corners: &Corners, traceparent: &str) -> String {
    let application = wohngeld_json(1, HUSUM);
    let metadata = json!({
        "leistung": application.leistung, "region": application.region, "payloadSchema": application.schema,
        "mediaType": application.payload.media_type,
        "applicant": { "kind": "person", "level": 4, "attributes": { "familienname": "Beispiel" } },
        "replyChannel": { "mailbox": application.mailbox, "level": 3 },
    });
    let json = |text: String| Part::text(text).mime_str("application/json").unwrap();
    let payload = Part::bytes(application.payload.octets.to_vec()).file_name("antrag.json");
    let form = Form::new()
        .part("metadata", json(metadata.to_string()))
        .part("payload", payload.mime_str(application.payload.media_type).unwrap());
    let answer = reqwest::Client::new()
        .post(format!("http://{}/v1/submissions", corners.listen[0]))
        .bearer_auth(corners.site.client_token(viereck::demo::site::CLIENT).unwrap())
        .header("Idempotency-Key", uuid::Uuid::new_v4().to_string())
        .header("traceparent", traceparent)
        .multipart(form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    let answer: Value = answer.json().await.unwrap();
    answer["submissionId"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_one_trace_across_processes_and_a_restart() {
    let (collected, seen) = (Collected::default(), Seen::default());
    let collector = serve(
        Router::new()
            .route("/v1/traces", post(collect))
            .with_state(Arc::clone(&collected)),
    )
    .await;
    let fachverfahren = serve(
        Router::new()
            .route("/antraege", post(take))
            .with_state(Arc::clone(&seen)),
    )
    .await;
    let amqp = rabbitmq::vhost().await;
    let unused = Arc::new(|_: &_, _| Answer::Accept);
    let corners = Corners::prepare("one-trace", amqp, unused.clone(), unused).await;
    let traced = [("VIERECK__TELEMETRY__OTLP", collector.as_str())];
    let url = format!("{fachverfahren}/antraege");
    let receiving = [traced[0], ("VIERECK__GATEWAY__1__DELIVERY__0__URL", url.as_str())];
    let _broker = corners.start_with("broker", &traced).await;
    let receiver = corners.start_with("receiver", &receiving).await;
    let _sender = corners.start_with("sender", &traced).await;

    let submission = file(&corners, OF_CLIENT).await;
    until(DEADLINE, "the first attempt", async || {
        (!seen.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    let spans = |name: &str| -> Vec<(String, Span)> {
        let all = collected.lock().unwrap();
        let of_message = all
            .iter()
            .filter(|(_, span)| span.name == name && hex(&span.trace_id) == TRACE);
        of_message.cloned().collect()
    };
    until(DEADLINE, "the span of the first attempt", async || {
        (spans("hand-over").len() == 1).then_some(())
    })
    .await;
    receiver.kill();
    let _receiver = corners.start_with("receiver", &receiving).await;
    assert_eq!(ended(&corners.client(), &submission, DEADLINE).await, "accepted");
    until(DEADLINE, "the span of the second attempt", async || {
        (spans("hand-over").len() == 2).then_some(())
    })
    .await;

    // each step once, in the trace of the client, and each under the one before it
    let ways = [
        ("accept", "00f067aa0ba902b7".to_owned()),
        ("resolve", "accept".to_owned()),
        ("seal", "accept".to_owned()),
        ("promise", "accept".to_owned()),
        ("publish", "accept".to_owned()),
        ("relay", "publish".to_owned()),
        ("take", "relay".to_owned()),
    ];
    let client = "00f067aa0ba902b7".to_owned();
    let mut ids = BTreeMap::from([(client.clone(), BTreeSet::from([client]))]);
    let mut processes = BTreeSet::new();
    for (name, under) in &ways {
        let outcome = |span: &Span| text(&span.attributes, "viereck.outcome");
        let found = until(DEADLINE, &format!("the span {name}"), async || {
            let found = spans(name);
            let done = |(_, span): &(String, Span)| outcome(span).as_deref() != Some("not-published");
            found.iter().any(done).then_some(found)
        })
        .await;
        let (mut own, mut tried) = (BTreeSet::new(), 0);
        for (process, span) in &found {
            let parent = hex(&span.parent_span_id);
            assert!(ids[under].contains(&parent), "{name} lies under {under}");
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
            tried += usize::from(outcome(span).as_deref() == Some("not-published"));
            own.insert(hex(&span.span_id));
            processes.insert(process.clone());
        }
        // a link that was slow to confirm is asked again, and what arrived twice is looked at twice
        assert!(found.len() <= ids[under].len() + tried, "{name}: {}", found.len());
        ids.insert((*name).to_owned(), own);
    }
    let attempts = spans("hand-over");
    for ((process, span), outcome) in attempts.iter().zip(["unavailable", "accepted"]) {
        assert!(ids["take"].contains(&hex(&span.parent_span_id)));
        assert_eq!(text(&span.attributes, "viereck.outcome").as_deref(), Some(outcome));
        assert_eq!(
            text(&span.attributes, "viereck.message_id").as_deref(),
            Some(submission.as_str())
        );
        processes.insert(process.clone());
    }
    assert_eq!(processes.len(), 4, "sender, broker, and two lives of the receiver");

    // the Fachverfahren was told the same, each attempt under its own span
    let told: Vec<_> = seen.lock().unwrap().iter().flatten().cloned().collect();
    let expected: Vec<_> = attempts
        .iter()
        .map(|(_, span)| format!("00-{TRACE}-{}-01", hex(&span.span_id)))
        .collect();
    assert_eq!(told, expected);

    // no span says anything but what it is
    for (_, span) in collected.lock().unwrap().iter() {
        for attribute in &span.attributes {
            assert!(["viereck.custodian", "viereck.message_id", "viereck.outcome"].contains(&attribute.key.as_str()));
        }
        assert!(span.events.is_empty() && span.trace_state.is_empty());
    }

    // what the client does not sample is not recorded, but travels; what is not well-formed is as if it were not there
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let quiet = file(&corners, unsampled).await;
    let strange = file(&corners, "00-0af7651916cd43dd8448eb211c80319C-b7ad6b7169203331-01").await;
    for submission in [&quiet, &strange] {
        assert_eq!(ended(&corners.client(), submission, DEADLINE).await, "accepted");
    }
    assert!(seen.lock().unwrap().iter().flatten().any(|told| told == unsampled));
    until(DEADLINE, "a trace of the gateway's own", async || {
        let all = collected.lock().unwrap();
        let own = |span: &Span| {
            span.name == "hand-over"
                && text(&span.attributes, "viereck.message_id").as_deref() == Some(strange.as_str())
        };
        all.iter().any(|(_, span)| own(span)).then_some(())
    })
    .await;
    let quietly = |span: &Span| {
        let of = text(&span.attributes, "viereck.message_id");
        hex(&span.trace_id).starts_with("0af765") || of.as_deref() == Some(quiet.as_str())
    };
    assert!(!collected.lock().unwrap().iter().any(|(_, span)| quietly(span)));
    println!(
        "{} spans of {} processes",
        collected.lock().unwrap().len(),
        processes.len()
    );
}
