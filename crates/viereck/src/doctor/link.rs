//! The link: whether it can be reached, as whom, and whether every queue is there that this process needs.
//!
//! AMQP tells neither which policy a queue has nor which rights a user has. What can be told without it is told; the rest
//! is asked of RabbitMQ itself, and the finding says how.

use std::sync::Arc;

use jiff::Timestamp;
use viereck_routing::Tables;
use viereck_transport::{Link, LinkCertificate, LinkError, Queue};

use super::{Chart, PATIENCE, Patient, Severity, keys};

/// Messages in a net from which on somebody should look; it is empty while the broker runs.
const IN_A_NET: u64 = 1;

/// Messages in a queue from which on its reader seems to be away.
const MANY: u64 = 10_000;

pub(super) async fn examine(patient: &Patient<'_>, tables: Option<Arc<Tables>>, chart: &mut Chart) {
    let Some(link) = &patient.link else { return };
    chart.looked_at("link");
    let mut queues: Vec<Queue> = Vec::new();
    for gateway in &patient.config.gateways {
        let id = &gateway.settings.id;
        queues.extend([Queue::Gateway(id.clone()), Queue::Receipts(id.clone())]);
    }
    if patient.config.broker.is_some() {
        queues.extend([Queue::Ingress, Queue::Unrouted, Queue::Parked]);
        // the broker declares those of everybody
        for gateway in tables.iter().flat_map(|tables| tables.gateways()) {
            let theirs = [Queue::Gateway(gateway.id.clone()), Queue::Receipts(gateway.id.clone())];
            queues.extend(
                theirs
                    .into_iter()
                    .filter(|queue| !queues.contains(queue))
                    .collect::<Vec<_>>(),
            );
        }
    }
    if let Some(certificate) = link.certificate().await {
        examine_certificate(&certificate, patient, chart);
    }
    for queue in &queues {
        if let Away::Yes = one(link, queue, chart).await {
            return;
        }
    }
    if let Link::Amqp(_) = link {
        chart.add(
            Severity::Note,
            "queue-policy-unseen",
            "link",
            "Whether the queues have their limits and every user its rights and no more cannot be seen from here.",
            "On a node of RabbitMQ: `apply` and `grant` of deploy/rabbitmq set them, may be repeated, and show them.",
        );
    }
}

fn examine_certificate(certificate: &LinkCertificate, patient: &Patient<'_>, chart: &mut Chart) {
    let subject = "certificate of the link";
    if let Ok(until) = Timestamp::try_from(certificate.until) {
        let next = "Replace the files that link.tls names; the next connection uses them, no restart is needed.";
        keys::ends_at(subject, until, Timestamp::now(), next, chart);
    }
    let custodians = patient.config.journals();
    if !custodians
        .iter()
        .any(|(custodian, _)| custodian.as_str() == certificate.name)
    {
        chart.add(
            Severity::Warning,
            "link-certificate-of-another",
            subject,
            format!(
                "It makes this process the user {}, which is none of its custodians.",
                certificate.name
            ),
            "With the rights that deploy/rabbitmq gives, each custodian needs a process and a certificate of its own.",
        );
    }
}

/// Whether the link is away, so that no further queue is asked for.
enum Away {
    Yes,
    No,
}

async fn one(link: &Link, queue: &Queue, chart: &mut Chart) -> Away {
    let subject = format!("queue {queue}");
    let depth = match tokio::time::timeout(PATIENCE, link.depth(queue)).await {
        Ok(depth) => depth,
        Err(_) => Err(LinkError::Unreachable),
    };
    match depth {
        Ok(depth) if matches!(queue, Queue::Unrouted | Queue::Parked) && depth >= IN_A_NET => chart.add(
            Severity::Warning,
            "net-not-empty",
            subject,
            format!("{depth} messages wait in a net; the broker takes what falls there."),
            "Is the broker running? Its log says why they came back.",
        ),
        Ok(depth) if depth >= MANY => chart.add(
            Severity::Warning,
            "queue-long",
            subject,
            format!("{depth} messages wait."),
            "Is the one who reads it running?",
        ),
        Ok(_) => {}
        Err(LinkError::NoQueue(_)) => chart.add(
            Severity::Error,
            "queue-missing",
            subject,
            "It is not declared.",
            "The broker declares queues by its table: is it running, and does its table name this gateway?",
        ),
        Err(error @ LinkError::Refused { .. }) => chart.add(
            Severity::Warning,
            "queue-refused",
            subject,
            format!("It may not be looked at: {error}."),
            "Look at the rights of this process's user; deploy/rabbitmq says which it needs.",
        ),
        Err(error) => {
            chart.add(
                Severity::Error,
                error.code(),
                "link",
                format!("{error}."),
                "Is RabbitMQ running and reachable? Gateways keep what is theirs until it is.",
            );
            return Away::Yes;
        }
    }
    Away::No
}
