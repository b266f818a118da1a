//! Steps of messages' ways as spans to an OpenTelemetry collector: OTLP, protobuf over HTTP. Off unless configured.
//!
//! The rooms make their own span ids, because a message's next step may follow hours later in another process; so what
//! is left to do is to gather what has ended and to POST it. A collector that is slow or away costs spans, counted as
//! dropped, never a message: what waits here is bounded, and nobody waits for it.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::{Client, StatusCode, Url, header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use viereck_observe::{Counters, Ended, SpanName};
use viereck_routing::Environment;

use super::metrics::TRACED;
use crate::config::Config;
use crate::failure::{Exit, Failure};

/// Spans that wait at most; a few MiB.
const WAITING: usize = 8192;
/// Spans in one request at most.
const TOGETHER: usize = 512;
/// How long spans are gathered for one request.
const GATHERED: Duration = Duration::from_secs(1);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a request is tried that may succeed later, with a pause between.
const TRIES: u32 = 3;

/// The sending of spans; it goes on until [`Sending::end`].
pub struct Sending {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The address that spans are posted to: the collector's, with the path that the standard gives it.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn address(collector: &str) -> Result<Url, String> {
    let mut url = Url::parse(collector).map_err(|error| format!("This is no URL: {error}."))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("The URL must begin with http:// or https:// and name a host.".to_owned());
    }
    if !url.path().ends_with("/v1/traces") {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

/// Begins to send spans, where the configuration names a collector.
pub fn start(config: &Config) -> Result<Option<Sending>, Failure> {
    let Some(collector) = &config.telemetry.otlp else {
        return Ok(None);
    };
    let address = address(collector).map_err(|error| Failure::new(Exit::Usage, "config-invalid", error))?;
    Sending::start(address, config.environment).map(Some)
}

impl Sending {
    /// Begins to send what ends in this process to `address`.
    fn start(address: Url, environment: Environment) -> Result<Self, Failure> {
        let client = Client::builder().timeout(PATIENCE).build().map_err(|error| {
            Failure::new(
                Exit::Unexpected,
                "otlp-failed",
                format!("No HTTP client for OTLP: {error}."),
            )
        })?;
        let (ended, waiting) = mpsc::channel(WAITING);
        let dropped = Counters::of(&TRACED, vec![]);
        viereck_observe::collect_with(move |step| {
            if ended.try_send(step).is_err() {
                dropped.count("dropped");
            }
        });
        let stop = CancellationToken::new();
        let sender = Sender {
            client,
            address,
            resource: resource(environment),
            told: Counters::of(&TRACED, vec![]),
            failing: false,
        };
        let task = tokio::spawn(sender.run(waiting, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Sends what has ended until now, then no more.
    pub async fn end(self) {
        self.stop.cancel();
        if tokio::time::timeout(PATIENCE, self.task).await.is_err() {
            tracing::warn!("the last spans were not sent");
        }
    }
}

struct Sender {
    client: Client,
    address: Url,
    resource: Resource,
    told: Counters,
    /// The last request failed: the first failure is news, the rest is not.
    failing: bool,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Ended>, stop: CancellationToken) {
        let mut spans = Vec::new();
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                more = gather(&mut waiting, &mut spans) => !more,
            };
            if stopping {
                while let Ok(ended) = waiting.try_recv() {
                    spans.push(span(ended));
                }
            }
            while !spans.is_empty() {
                let rest = spans.split_off(spans.len().min(TOGETHER));
                self.send(std::mem::replace(&mut spans, rest)).await;
            }
            if stopping {
                return;
            }
        }
    }

    async fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let sent = self.tried(self.request(spans)).await;
        match &sent {
            Ok(()) if self.failing => tracing::info!("spans are taken again"),
            Err(why) if !self.failing => tracing::warn!(why, "spans are not taken, and dropped"),
            _ => {}
        }
        self.failing = sent.is_err();
        self.told.add(if sent.is_ok() { "sent" } else { "dropped" }, count);
    }

    /// Posts it, and again where the standard says that a repeat may help.
    async fn tried(&self, body: Vec<u8>) -> Result<(), String> {
        let body = bytes::Bytes::from(body);
        let mut pause = Duration::from_millis(200);
        let mut tries = 1;
        loop {
            let request = self.client.post(self.address.clone());
            let request = request
                .header(header::CONTENT_TYPE, "application/x-protobuf")
                .body(body.clone());
            let (why, again) = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => (
                    format!("answer {}", answer.status().as_u16()),
                    may_pass(answer.status()),
                ),
                Err(error) => (error.without_url().to_string(), true),
            };
            if !again || tries == TRIES {
                return Err(why);
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    fn request(&self, spans: Vec<Span>) -> Vec<u8> {
        let scope = InstrumentationScope {
            name: "viereck".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans = ScopeSpans {
            scope: Some(scope),
            spans,
            ..ScopeSpans::default()
        };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![resource_spans],
        }
        .encode_to_vec()
    }
}

/// The answers to which OTLP says: later.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// Waits for the first, then a moment for more. False when nobody will send any more.
async fn gather(waiting: &mut mpsc::Receiver<Ended>, spans: &mut Vec<Span>) -> bool {
    let Some(first) = waiting.recv().await else {
        return false;
    };
    spans.push(span(first));
    let more = async {
        while spans.len() < TOGETHER
            && let Some(ended) = waiting.recv().await
        {
            spans.push(span(ended));
        }
    };
    // the time is up: what there is goes out
    let _ = tokio::time::timeout(GATHERED, more).await;
    true
}

fn resource(environment: Environment) -> Resource {
    Resource {
        attributes: vec![
            attribute("service.name", "viereck".to_owned()),
            attribute("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            attribute("service.instance.id", Uuid::new_v4().to_string()),
            attribute("deployment.environment.name", environment.to_string()),
        ],
        ..Resource::default()
    }
}

fn span(ended: Ended) -> Span {
    let mut attributes = vec![attribute("viereck.custodian", ended.custodian)];
    attributes.extend(ended.message_id.map(|id| attribute("viereck.message_id", id)));
    attributes.extend(
        ended
            .outcome
            .map(|outcome| attribute("viereck.outcome", outcome.to_owned())),
    );
    Span {
        trace_id: ended.trace.id().to_vec(),
        span_id: ended.trace.span().to_vec(),
        parent_span_id: ended.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        name: ended.name.as_str().to_owned(),
        kind: kind(ended.name).into(),
        start_time_unix_nano: nanoseconds(ended.began),
        end_time_unix_nano: nanoseconds(ended.ended),
        attributes,
        ..Span::default()
    }
}

fn kind(step: SpanName) -> SpanKind {
    match step {
        SpanName::Accept => SpanKind::Server,
        SpanName::Publish => SpanKind::Producer,
        SpanName::Relay | SpanName::Take => SpanKind::Consumer,
        SpanName::HandOver => SpanKind::Client,
        SpanName::Resolve | SpanName::Seal | SpanName::Promise => SpanKind::Internal,
    }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

fn nanoseconds(instant: SystemTime) -> u64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_where_no_collector_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("viereck.toml");
        let smallest = "environment = \"test\"\n[broker]\nkeys = \"keys\"\njournal = \"broker.sqlite\"\n";
        std::fs::write(&file, smallest).unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.telemetry.otlp, None);
        assert!(start(&config).unwrap().is_none());
    }

    #[test]
    fn the_address_gets_the_path_of_the_standard_once() {
        let of = |text: &str| address(text).map(|url| url.to_string());
        let usual = "http://collector:4318/v1/traces".to_owned();
        assert_eq!(of("http://collector:4318"), Ok(usual.clone()));
        assert_eq!(of("http://collector:4318/"), Ok(usual.clone()));
        assert_eq!(of("http://collector:4318/v1/traces"), Ok(usual));
        assert_eq!(of("https://x/otlp").as_deref(), Ok("https://x/otlp/v1/traces"));
        for bad in ["collector:4318", "ftp://x", "http://", ""] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
