//! Table, certificates, own keys: whether they load, fit together, and for how long.

use jiff::{SignedDuration, Timestamp};
use viereck_routing::{Certificate, CustodianId, Tables};

use super::{Chart, Severity};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::network::Prepared;

/// How long before its end a certificate is spoken of, and how long before it is an error not to have the next.
const SOON: [(SignedDuration, Severity); 2] = [
    (SignedDuration::from_hours(24 * 7), Severity::Error),
    (SignedDuration::from_hours(24 * 30), Severity::Warning),
];

/// The table that a start would load now.
pub(super) async fn examine(config: &Config, chart: &mut Chart) -> Option<Tables> {
    chart.looked_at("table, keys and certificates");
    let own = config.clone();
    let read = tokio::task::spawn_blocking(move || Prepared::new(own)).await;
    let failure = match read {
        Ok(Ok(prepared)) => {
            let tables = prepared.into_tables();
            certificates(config, &tables, chart);
            return Some(tables);
        }
        Ok(Err(failure)) => failure,
        Err(panicked) => Failure::new(
            Exit::Unexpected,
            "unexpected",
            format!("Reading them failed: {panicked}"),
        ),
    };
    chart.add_failure("configuration", &failure);
    None
}

fn certificates(config: &Config, tables: &Tables, chart: &mut Chart) {
    let now = Timestamp::now();
    for (custodian, _) in config.journals() {
        if let Some(certificate) = tables.current_signing_certificate(custodian, now) {
            ends(&format!("signing certificate of {custodian}"), certificate, now, chart);
        }
    }
    let served = config
        .gateways
        .iter()
        .filter_map(|gateway| tables.gateway(&gateway.settings.id))
        .flat_map(|gateway| gateway.served());
    for reader in served {
        if let Some(certificate) = tables.encryption_certificate(reader, now) {
            ends(&format!("encryption certificate of {reader}"), certificate, now, chart);
        }
    }
    others(config, tables, now, chart);
}

/// The other custodians' certificates: when one ends, nothing of theirs is believed here.
fn others(config: &Config, tables: &Tables, now: Timestamp, chart: &mut Chart) {
    let own: Vec<&CustodianId> = config.journals().into_iter().map(|(custodian, _)| custodian).collect();
    let gateways = tables.gateways().map(|gateway| &gateway.id);
    let custodians = gateways.chain(tables.brokers().map(|broker| &broker.id));
    for custodian in custodians.filter(|custodian| !own.contains(custodian)) {
        if tables.current_signing_certificate(custodian, now).is_none() {
            chart.add(
                Severity::Warning,
                "certificate-missing",
                format!("signing certificate of {custodian}"),
                "The table pins none that is valid now: nothing it signs is believed here.",
                "Ask its operator for the current certificate and enter it in the table.",
            );
        }
    }
}

fn ends(subject: &str, certificate: &Certificate, now: Timestamp, chart: &mut Chart) {
    let next = "Make a new key and request, have it certified, enter the new certificate in the table beside this one.";
    ends_at(subject, certificate.valid_until(), now, next, chart);
}

/// Speaks of an end that is near.
pub(super) fn ends_at(subject: &str, until: Timestamp, now: Timestamp, next: &str, chart: &mut Chart) {
    let left = until.duration_since(now);
    if let Some((_, severity)) = SOON.iter().find(|(before, _)| left < *before) {
        let days = left.as_hours() / 24;
        chart.add(
            *severity,
            "certificate-ends-soon",
            subject,
            format!("It ends in {days} days, at {until:.0}."),
            next,
        );
    }
}
