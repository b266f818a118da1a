//! Certificates that end: a word in the log at 60, 30, 14 and 7 days, and a metric always.
//!
//! Looked at is the last certificate of each holder and purpose that concerns this process, and the one with which its
//! link is made, whose metric is set where the link is sampled: a successor makes the warning go. Guarantees: each
//! threshold is told once in the life of a process, however often it looks.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use viereck_custody::CurrentTables;
use viereck_custody::metrics::Detail;
use viereck_routing::{CustodianId, Purpose, Tables};
use viereck_transport::Link;

use super::sampling::of_link;
use crate::telemetry::metrics::{CERTIFICATE_ENDS, SAMPLED_EVERY};

/// Days before the end, the nearest first.
const THRESHOLDS: [i64; 4] = [7, 14, 30, 60];

/// What ends when: holder, purpose, and the end of the last certificate.
type Ends<'a> = BTreeMap<(&'a str, &'static str), Timestamp>;

/// Watches the certificates of one process.
pub(super) struct Expiry {
    custodians: Vec<CustodianId>,
    detail: Detail,
    told: BTreeMap<(String, &'static str, Timestamp), i64>,
}

impl Expiry {
    pub(super) fn new(custodians: Vec<CustodianId>, detail: Detail) -> Self {
        Self {
            custodians,
            detail,
            told: BTreeMap::new(),
        }
    }

    /// Looks until `shutdown`.
    pub(super) async fn run(mut self, tables: CurrentTables, link: Link, shutdown: CancellationToken) {
        loop {
            let current = tables.borrow().clone();
            let of_link = of_link(&link).await;
            for (holder, purpose, days, end) in self.look(&current, of_link, Timestamp::now()) {
                tracing::warn!(
                    code = "certificate-ends-soon",
                    alarm = "certificate-ends",
                    holder,
                    purpose,
                    days,
                    %end,
                    "the last certificate ends soon"
                );
            }
            let sleep = SAMPLED_EVERY * 4;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(sleep.max(Duration::from_secs(1))) => {}
            }
        }
    }

    /// Sets the metrics, and gives what is to be told now: holder, purpose, whole days left, end.
    fn look(
        &mut self,
        tables: &Tables,
        of_link: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<(String, &'static str, i64, Timestamp)> {
        let mut due = Vec::new();
        let ends = ends(tables, &self.custodians);
        for ((holder, purpose), end) in &ends {
            if *purpose != Purpose::Encryption.as_str() || self.detail == Detail::PerBehoerde {
                let labels = [(*holder).to_owned().into(), (*purpose).into()];
                CERTIFICATE_ENDS.gauge(&labels).set(end.as_second() as f64);
            }
        }
        let of_link = of_link.map(|end| (("link", "tls"), end));
        for ((holder, purpose), end) in ends.into_iter().chain(of_link) {
            let days = end.duration_since(now).as_hours().div_euclid(24);
            let Some(threshold) = THRESHOLDS.into_iter().find(|threshold| days < *threshold) else {
                continue;
            };
            let told = self.told.entry((holder.to_owned(), purpose, end)).or_insert(i64::MAX);
            if threshold < *told {
                *told = threshold;
                due.push((holder.to_owned(), purpose, days, end));
            }
        }
        due
    }
}

/// The last end for each custodian of the table that signs, and each participant that gateways of this process read for.
fn ends<'a>(tables: &'a Tables, custodians: &[CustodianId]) -> Ends<'a> {
    let served: std::collections::BTreeSet<&str> = custodians
        .iter()
        .filter_map(|custodian| tables.gateway(custodian))
        .flat_map(|gateway| gateway.served())
        .map(|reader| reader.as_str())
        .collect();
    let mut ends = Ends::new();
    for pin in tables.pinned_certificates() {
        if pin.purpose == Purpose::Signing || served.contains(pin.holder) {
            let end = ends.entry((pin.holder, pin.purpose.as_str())).or_insert(pin.until);
            *end = (*end).max(pin.until);
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use viereck_routing::day_in_berlin;

    use super::*;
    use crate::demo::site::Site;

    #[test]
    fn each_threshold_is_told_once_and_a_successor_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::prepare(folder.path()).unwrap();
        let loaded = Tables::load(&site.table(), day_in_berlin(Timestamp::now()));
        let tables = loaded.unwrap_or_else(|findings| panic!("{findings}")).tables;
        let far: Timestamp = "4000-01-01T00:00:00Z".parse().unwrap();
        let gateway = tables.gateways().next().unwrap();
        let served = gateway.served().count();
        let signing = tables.gateways().count() + tables.brokers().count();
        let end = tables.pinned_certificates().next().unwrap().until;
        let mut expiry = Expiry::new(vec![gateway.id.clone()], Detail::PerBehoerde);
        let mut told = |days: i64| {
            let at = end - SignedDuration::from_hours(24 * days) + SignedDuration::from_hours(1);
            expiry.look(&tables, Some(far), at).len()
        };
        assert_eq!(told(61), 0);
        assert_eq!(told(60), served + signing);
        assert_eq!(told(31), 0);
        assert_eq!(
            [told(30), told(29), told(14), told(10), told(7), told(1)],
            [served + signing, 0, served + signing, 0, served + signing, 0]
        );
        let at = far - SignedDuration::from_hours(24 * 13);
        let told = expiry.look(&tables, Some(far), at);
        assert!(
            told.iter()
                .any(|(holder, purpose, days, _)| (&**holder, *purpose, *days) == ("link", "tls", 13))
        );
    }
}
