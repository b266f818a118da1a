//! TLS of the listeners of one process: read before anything starts, read again when the operator says so, and watched.
//!
//! Guarantees: files that do not load leave in force what was; whoever has to renew a certificate is told weeks before its
//! end, in the log and on the page of metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use viereck_gateway::key_files::TlsKeyError;
use viereck_gateway::{Tls, TlsError, TlsServer};
use viereck_routing::GatewayId;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::telemetry::metrics::CERTIFICATE;

/// How often ends are looked at.
const EVERY: Duration = Duration::from_secs(3600);
/// How long before its end a certificate is told of, and is an alarm.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
const ALARMING: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Which listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listener {
    /// That of a gateway.
    Gateway(GatewayId),
    /// The operations interface.
    Operations,
}

/// TLS of those listeners that have it.
#[derive(Debug, Clone, Default)]
pub(super) struct Secured(BTreeMap<Listener, Arc<TlsServer>>);

impl Listener {
    fn as_str(&self) -> &str {
        match self {
            Listener::Gateway(id) => id.as_str(),
            Listener::Operations => "operations",
        }
    }
}

impl Secured {
    /// Reads the files that the configuration names.
    pub(super) fn load(config: &Config) -> Result<Self, Failure> {
        let gateways = config.gateways.iter().map(|gateway| {
            let settings = &gateway.settings;
            (Listener::Gateway(settings.id.clone()), settings.tls.as_ref())
        });
        let operations = config.operations.iter();
        let operations = operations.map(|operations| (Listener::Operations, operations.tls.as_ref()));
        let load = |(listener, tls): (Listener, Option<&Tls>)| {
            let server = TlsServer::load(tls?).map_err(|error| refused(&listener, &error));
            Some(server.map(|server| (listener, Arc::new(server))))
        };
        let all = gateways.chain(operations).filter_map(load);
        Ok(Self(all.collect::<Result<_, Failure>>()?))
    }

    pub(super) fn of(&self, listener: &Listener) -> Option<Arc<TlsServer>> {
        self.0.get(listener).cloned()
    }

    /// Reads all files again; each listener on its own keeps what it had when its files do not load. Blocks.
    pub(super) fn reload(&self) {
        for (listener, server) in &self.0 {
            let name = listener.as_str();
            match server.reload() {
                Ok(until) => tracing::info!(listener = name, %until, "TLS certificate read again"),
                Err(error) => {
                    tracing::error!(listener = name, %error, alarm = "tls-certificate", "TLS certificate kept");
                }
            }
        }
        self.show();
    }

    /// Looks at the ends until `shutdown`.
    pub(super) async fn watch(self, shutdown: CancellationToken) {
        loop {
            self.show();
            self.tell(Timestamp::now());
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    fn show(&self) {
        for (listener, server) in &self.0 {
            let labels = [listener.as_str().to_owned().into(), "tls".into()];
            CERTIFICATE.gauge(&labels).set(server.until().as_second() as f64);
        }
    }

    fn tell(&self, now: Timestamp) {
        for (listener, server) in &self.0 {
            let (name, until) = (listener.as_str(), server.until());
            match until.duration_since(now) {
                left if left < ALARMING => {
                    tracing::error!(listener = name, %until, alarm = "tls-certificate", "the TLS certificate ends soon");
                }
                left if left < SOON => tracing::warn!(listener = name, %until, "the TLS certificate ends soon"),
                _ => {}
            }
        }
    }
}

fn refused(listener: &Listener, error: &TlsError) -> Failure {
    let exit = match error {
        TlsError::Unreadable { .. } | TlsError::Key(TlsKeyError::Unreadable { .. }) => Exit::NotFound,
        TlsError::Key(TlsKeyError::Exposed { .. }) => Exit::NotPermitted,
        TlsError::Malformed { .. }
        | TlsError::Mismatch { .. }
        | TlsError::NotValid { .. }
        | TlsError::Refused { .. } => Exit::Findings,
    };
    let text = error.to_string();
    // the error's text begins with its code; here it stands in front already
    let sentence = text.split_once(": ").map_or(text.as_str(), |(_, sentence)| sentence);
    let sentence = format!("TLS of {}: {sentence}.", listener.as_str());
    Failure::new(exit, error.code(), sentence).help("Mend the files that the section tls names.")
}
