//! Prometheus metrics: who records them, the page that shows them, and the reference made from their declarations.
//!
//! Every room declares its own metrics; [`declared`] is all of them. The recorder is the process's: it is started once,
//! and two networks in one process count in the same place, told apart by the label `custodian`. Nothing listens here:
//! the operations interface shows [`page`].

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::header;
use axum::response::IntoResponse;
use jiff::Timestamp;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use viereck_observe::{Kind, Label, Metric, Values};
use viereck_routing::Digest;

use super::alarms;

/// How often gauges are sampled.
pub const SAMPLED_EVERY: Duration = Duration::from_secs(15);

/// The media type of the page: Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whose numbers they are.
pub const CUSTODIAN: Label = Label {
    name: "custodian",
    values: Values::Named("the gateway or broker, as the configuration names it"),
};

/// Whose certificate it is.
const HOLDER: Label = Label {
    name: "custodian",
    values: Values::Named("the gateway or broker, as the configuration names it, or operations"),
};

viereck_observe::declare! {
    /// Alarms that were logged: each asks for an operator.
    ALARMED = Kind::Counter, Count, "viereck_alarms_total", [Label { name: "alarm", values: Values::Words(alarms::words) }];
    /// 1; the version stands in the label.
    BUILD = Kind::Gauge, State, "viereck_build_info",
        [Label { name: "version", values: Values::Named("the version of this program") }];
    /// 1 for the routing table in force, 0 for one that was in force since the process started.
    RELEASE = Kind::Gauge, State, "viereck_routing_release_info",
        [Label { name: "release", values: Values::Named("the digest of the routing table") }];
    /// When the routing table in force was loaded.
    RELEASE_LOADED = Kind::Gauge, Instant, "viereck_routing_release_loaded_timestamp_seconds", [];
    /// Routing tables that did not load, so that the one before stayed in force.
    RELEASES_REFUSED = Kind::Counter, Count, "viereck_routing_releases_refused_total", [];
    /// When the last certificate ends with which a custodian of this process signs, or with which what it reads is
    /// encrypted, with several readers the one that ends first; or that it shows when it connects to RabbitMQ (link) or to
    /// those who connect to it (tls).
    CERTIFICATE = Kind::Gauge, Instant, "viereck_certificate_expiry_timestamp_seconds",
        [HOLDER, Label { name: "use", values: Values::Words(|| vec!["signature", "encryption", "link", "tls"]) }];
    /// When the last certificate of a holder ends: of every custodian that signs and, with telemetry.behoerden, of every
    /// participant that gateways of this process read for.
    CERTIFICATE_ENDS = Kind::Gauge, Instant, "viereck_certificate_ends_timestamp_seconds",
        [Label { name: "holder", values: Values::Named("the gateway, broker or participant") },
         Label { name: "purpose", values: Values::Words(|| vec!["signing", "encryption"]) }];
    /// Until when the revocation list of an issuer is relied on: past it nothing is sealed for its keys. 0 without a list.
    REVOCATION_LIST = Kind::Gauge, Instant, "viereck_revocation_list_reliable_until_timestamp_seconds",
        [Label { name: "issuer", values: Values::Named("the issuer's distinguished name") }];
    /// 1 while the journal can be written, 0 while it cannot.
    WRITABLE = Kind::Gauge, State, "viereck_journal_writable", [CUSTODIAN];
    /// Steps of messages' ways that were handed to the OTLP collector, or could not be.
    TRACED = Kind::Counter, Count, "viereck_spans_total",
        [Label { name: "outcome", values: Values::Words(|| vec!["sent", "dropped"]) }];
}

static PAGE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to record; a second call in the same process changes nothing.
pub fn record() {
    if PAGE.get().is_some() {
        return;
    }
    let recorder = match recorder() {
        Ok(recorder) => recorder,
        Err(error) => return tracing::error!(%error, "no metrics are recorded"),
    };
    let handle = recorder.handle();
    // somebody else may have been quicker, or records for this process by other means
    if viereck_observe::record_with(recorder).is_ok() && PAGE.set(handle).is_ok() {
        declared().for_each(Metric::describe);
        BUILD.gauge(&[env!("CARGO_PKG_VERSION").into()]).set(1.0);
        RELEASES_REFUSED.counter(&[]).absolute(0);
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in declared() {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    Ok(builder.build_recorder())
}

/// Shows that this routing table is in force from now on, instead of the one `before`.
pub fn in_force(release: Digest, before: Option<Digest>) {
    for (release, value) in before.map(|before| (before, 0.0)).into_iter().chain([(release, 1.0)]) {
        RELEASE.gauge(&[release.to_string().into()]).set(value);
    }
    RELEASE_LOADED.gauge(&[]).set(Timestamp::now().as_second() as f64);
}

/// Counts a routing table that did not load.
pub fn refused() {
    RELEASES_REFUSED.counter(&[]).increment(1);
}

/// The page that Prometheus reads.
pub fn page() -> String {
    PAGE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Answers `GET /metrics`.
pub async fn handler() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, TEXT)], page())
}

/// Bounds what histograms keep between two looks at the page; to be called every few seconds.
pub fn keep_up() {
    if let Some(page) = PAGE.get() {
        page.run_upkeep();
    }
}

/// The metrics of every room, with the crate that declares them.
pub fn rooms() -> [(&'static str, &'static [&'static Metric]); 6] {
    [
        ("viereck", METRICS),
        ("gateway", viereck_gateway::metrics::METRICS),
        ("broker", viereck_broker::metrics::METRICS),
        ("custody", viereck_custody::metrics::METRICS),
        ("transport", viereck_transport::metrics::METRICS),
        ("store", viereck_store::metrics::METRICS),
    ]
}

/// Every metric.
pub fn declared() -> impl Iterator<Item = &'static Metric> {
    rooms().into_iter().flat_map(|(_, metrics)| metrics.iter().copied())
}
