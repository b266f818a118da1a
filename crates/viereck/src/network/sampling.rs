//! What is looked at every few seconds, so that the page of metrics shows it: one task for each role.
//!
//! A look that fails is left out and told in the log; the values of the last one stay. What takes long is done less
//! often: sampling never takes more than a twentieth of a reader's time.

use std::time::Instant;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_custody::metrics::Detail;
use viereck_custody::{CurrentTables, Journal, deadlines, retention};
use viereck_gateway::Backlogs;
use viereck_routing::{Certificate, CustodianId, Tables};
use viereck_transport::Link;

use crate::telemetry::metrics::{CERTIFICATE, SAMPLED_EVERY, WRITABLE, keep_up};

/// How many times as long as a look takes is paused after it at least.
const REST: u32 = 20;

/// What one role's task looks at.
pub(super) struct Sampling {
    pub(super) journal: Journal,
    pub(super) tables: CurrentTables,
    pub(super) link: Link,
    pub(super) detail: Detail,
    /// Until when messages of a class are to be taken over.
    pub(super) targets: deadlines::Config,
    /// How long things are kept.
    pub(super) keep: retention::Config,
    /// What waits at a gateway; nothing at the broker.
    pub(super) backlogs: Option<Backlogs>,
}

impl Sampling {
    /// Looks until `shutdown`.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        loop {
            let began = Instant::now();
            self.look().await;
            let pause = SAMPLED_EVERY.max(began.elapsed() * REST);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look(&self) {
        let custodian = self.journal.custodian().clone();
        let tables = self.tables.borrow().clone();
        let writable = self.journal.is_writable().await;
        WRITABLE.gauge(&[label(&custodian)]).set(f64::from(u8::from(writable)));
        let gauges = self
            .journal
            .gauges(Timestamp::now(), self.detail, &self.targets, &self.keep);
        match gauges.await {
            Ok(gauges) => gauges.show(&custodian, |behoerde| tables.participant(behoerde).is_some()),
            Err(error) => tracing::warn!(%custodian, %error, "the journal was not looked at for the metrics"),
        }
        for (of, ends) in [
            ("signature", signature(&tables, &custodian)),
            ("encryption", encryption(&tables, &custodian)),
            ("link", of_link(&self.link).await),
        ] {
            if let Some(ends) = ends {
                let seconds = ends.as_second() as f64;
                CERTIFICATE.gauge(&[label(&custodian), of.into()]).set(seconds);
            }
        }
        if let Some(backlogs) = &self.backlogs
            && let Err(error) = viereck_gateway::metrics::show(backlogs).await
        {
            tracing::warn!(%custodian, %error, "what waits was not looked at for the metrics");
        }
        keep_up();
    }
}

fn label(custodian: &CustodianId) -> viereck_observe::SharedString {
    custodian.as_str().to_owned().into()
}

/// When the last certificate ends with which this custodian can sign.
fn signature(tables: &Tables, custodian: &CustodianId) -> Option<Timestamp> {
    tables
        .signing_certificates(custodian)
        .map(Certificate::valid_until)
        .max()
}

/// When it becomes impossible to encrypt for the first of those whose messages this gateway takes.
fn encryption(tables: &Tables, custodian: &CustodianId) -> Option<Timestamp> {
    let gateway = tables.gateway(custodian)?;
    let last = |behoerde| {
        tables
            .encryption_certificates(behoerde)
            .map(Certificate::valid_until)
            .max()
    };
    gateway.served().filter_map(last).min()
}

/// When the certificate ends with which this process connects to RabbitMQ.
pub(super) async fn of_link(link: &Link) -> Option<Timestamp> {
    let certificate = link.certificate().await?;
    Timestamp::try_from(certificate.until).ok()
}
