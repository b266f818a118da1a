//! Table, certificates, own keys: whether they load, fit together, and for how long.

use jiff::{SignedDuration, Timestamp};
use viereck_custody::{Journal, JournalError};
use viereck_routing::{Certificate, CustodianId, Tables};

use super::{Chart, Patient, Severity};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::keys::{self, Worn};
use crate::network::Prepared;

/// Messages in flight that are counted for one key.
const ENOUGH: usize = 1000;

/// How long before its end a certificate is spoken of, and how long before it is an error not to have the next.
const SOON: [(SignedDuration, Severity); 2] = [
    (SignedDuration::from_hours(24 * 7), Severity::Error),
    (SignedDuration::from_hours(24 * 60), Severity::Warning),
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

/// Keys whose successor counts: whether anything still needs them.
pub(super) async fn worn(patient: &Patient<'_>, chart: &mut Chart) {
    let config = patient.config.clone();
    // what cannot be read is told by the look at table and keys
    let Ok(Ok(worn)) = tokio::task::spawn_blocking(move || keys::worn(&config, Timestamp::now())).await else {
        return;
    };
    let journals = patient.config.journals().len();
    for key in worn {
        let mut in_flight = 0;
        let mut asked = 0;
        for journal in patient.journals.values() {
            if let Ok(count) = needing(journal, &key).await {
                asked += 1;
                in_flight += count;
            }
        }
        let subject = key.file.display().to_string();
        let since = key.superseded;
        match (in_flight, key.not_needed_from <= Timestamp::now()) {
            (0, false) => {}
            // one that could not be asked, which is told elsewhere, may have a message that only this key opens
            (0, true) if asked < journals => {}
            (0, true) => chart.add(
                Severity::Note,
                "key-not-needed",
                subject,
                format!("Its successor counts since {since:.0}; no message in {asked} journals here can need it."),
                "Destroy the file, here and in its copies; the certificate stays in the table.",
            ),
            (messages, _) => chart.add(
                Severity::Note,
                "key-still-needed",
                subject,
                format!("Its successor counts since {since:.0}; {messages} messages in flight need it."),
                "Keep it until they have ended.",
            ),
        }
    }
}

/// How many messages need a key, up to a bound that says enough.
async fn needing(journal: &Journal, key: &Worn) -> Result<usize, JournalError> {
    let mut found = 0;
    for reader in &key.readers {
        found += journal
            .needing_key(reader.clone(), key.certificate, key.superseded, ENOUGH)
            .await?;
    }
    Ok(found)
}

fn certificates(config: &Config, tables: &Tables, chart: &mut Chart) {
    let now = Timestamp::now();
    for (custodian, _) in config.journals() {
        let last = tables
            .signing_certificates(custodian)
            .max_by_key(|one| one.valid_until());
        if let Some(certificate) = last {
            ends(&format!("signing certificate of {custodian}"), certificate, now, chart);
        }
    }
    let served = config
        .gateways
        .iter()
        .filter_map(|gateway| tables.gateway(&gateway.settings.id))
        .flat_map(|gateway| gateway.served());
    for reader in served {
        let last = tables
            .encryption_certificates(reader)
            .max_by_key(|one| one.valid_until());
        if let Some(certificate) = last {
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
