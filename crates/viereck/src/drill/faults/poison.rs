//! Octets that no gateway wrote, under a gateway's name in the ingress.
//!
//! Behind them everything has to go on, and none of them may take effect: their number is in nobody's book.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout};
use viereck_custody::{Journal, MessageKey, Place, PostgresUrl};
use viereck_envelope::{Content, Draft, File, MessageType, Role, Signer, seal};
use viereck_routing::{BehoerdeId, CaseId, Environment, InvalidId, Kind, MessageId, Tables};
use viereck_transport::{Address, AmqpConfig, Link};

use crate::demo::applications::WOHNGELD;
use crate::demo::samples::WOHNGELD_JSON;
use crate::demo::site::{RECEIVER_SH, SENDER};
use crate::drill::paper::Paper;
use crate::drill::plan::{Poison, Step};
use crate::drill::seed::Seed;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::{Exit, Failure};

/// How many are published.
const MANY: usize = 20;
/// Among how many of the latest applications those to be replayed are looked for.
const LATEST: usize = 400;
/// The portal that writes applications for Wohngeld.
const PORTAL: &str = "wgp:010000000000";
/// How long they may take to end before they are replayed.
const ENDED: Duration = Duration::from_secs(180);
/// How long publishing them may take.
const PUBLISHED: Duration = Duration::from_secs(30);

/// Publishes them between the others.
pub(super) async fn publish(stage: &Stage, poison: Poison, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let Some(rabbit) = &stage.network.rabbit else {
        let sentence = "There is no RabbitMQ in this drill.";
        return Err(Failure::new(Exit::Unexpected, "drill-without-rabbitmq", sentence));
    };
    let url = rabbit.vhost.urls.first().map(String::as_str).unwrap_or_default();
    let link = Link::amqp(AmqpConfig {
        name: "poison".to_owned(),
        ..AmqpConfig::new(url)
    })
    .map_err(|error| failed(&error))?;
    arranged.undo();
    let octets = match poison {
        Poison::Garbage => vec![Bytes::from(vec![b'<'; 2000]); MANY],
        Poison::BadSignature => (0..MANY)
            .map(|number| Ok(spoiled(&envelope(stage, number)?)))
            .collect::<Result<_, Failure>>()?,
        Poison::Replay => ended(stage).await?,
    };
    let address = Address::Submit(SENDER.parse().map_err(|error: InvalidId| failed(&error))?);
    let moment = Instant::now();
    for octets in octets {
        timeout(PUBLISHED, link.publish(&address, octets))
            .await
            .map_err(|late| failed(&late))?
            .map_err(|error| failed(&error))?;
    }
    link.close().await;
    Ok(moment)
}

/// Envelopes as the receiver took them, once their applications have ended.
async fn ended(stage: &Stage) -> Result<Vec<Bytes>, Failure> {
    let since = stage.book.drawn().saturating_sub(LATEST);
    // while the Fachverfahren holds them back they are surely in the receiver's journal
    let held = stage.arrange(Step::HandOver).await;
    let place = match &stage.network.journals {
        Some(journals) => Place::Postgres(PostgresUrl::parse(&journals.url).map_err(|error| failed(&error))?),
        None => Place::File(stage.network.site.journal(RECEIVER_SH).into()),
    };
    let receiver = RECEIVER_SH.parse().map_err(|error: InvalidId| failed(&error))?;
    let journal = Journal::open_to_look(place, receiver, Environment::Test).await;
    let journal = journal.map_err(|error| failed(&error))?;
    let mut taken = vec![];
    for submission in stage.book.submissions_since(since, false).into_iter().rev() {
        if taken.len() == MANY {
            break;
        }
        let key = MessageKey {
            author: PORTAL.parse().map_err(|error: InvalidId| failed(&error))?,
            message_id: submission.parse().map_err(|error: InvalidId| failed(&error))?,
        };
        // what has not arrived yet is no use
        if let Ok(octets) = journal.octets_taken(&key).await {
            taken.push((submission, octets));
        }
    }
    journal.close().await;
    held.undo();
    if taken.is_empty() {
        return Err(failed(&"nothing was at the receiver that could be replayed"));
    }
    stage
        .until("the envelopes to be replayed have ended", ENDED, || {
            let ended = stage.book.submissions_since(since, true);
            taken.iter().all(|(submission, _)| ended.contains(submission))
        })
        .await?;
    Ok(taken.into_iter().map(|(_, octets)| octets).collect())
}

/// A real envelope of the sender, for an application that nobody filed.
fn envelope(stage: &Stage, number: usize) -> Result<Bytes, Failure> {
    let site = &stage.network.site;
    let pem = site.keys().join(SENDER).join("signing-1.key.pem");
    let pem = std::fs::read_to_string(&pem).map_err(|error| Failure::of_file("read", &pem, &error))?;
    let made = stage.network.versions.now(|tables| sealed(tables, &pem, number));
    match made {
        Some(Ok(octets)) => Ok(octets),
        Some(Err(error)) => Err(failed(&error)),
        None => Err(failed(&"there is no table")),
    }
}

fn sealed(tables: &Tables, pem: &str, number: usize) -> Result<Bytes, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let now = Timestamp::now();
    let gateway = SENDER.parse().map_err(|error: InvalidId| text(&error))?;
    let reader: BehoerdeId = "wgb:010540880000".parse().map_err(|error: InvalidId| text(&error))?;
    let author = PORTAL.parse().map_err(|error: InvalidId| text(&error))?;
    let signing = tables
        .current_signing_certificate(&gateway, now)
        .ok_or("no certificate")?;
    let signer = Signer::new(signing.clone(), pem).map_err(|error| text(&error))?;
    let encryption = tables
        .sealable_key(&reader, &reader, now)
        .map_err(|why| format!("{why:?}"))?;
    let millisecond = Timestamp::from_millisecond(now.as_millisecond()).map_err(|error| text(&error))?;
    let draft = Draft {
        environment: Environment::Test,
        message_id: MessageId::random(),
        replaces: None,
        kind: Kind::Application,
        filed_at: millisecond,
        obsolete_after: millisecond + SignedDuration::from_hours(24),
        gateway,
        author,
        reader,
        service: WOHNGELD.parse().map_err(|error: InvalidId| text(&error))?,
        region: None,
        message_type: MessageType {
            name: "antrag".to_owned(),
            schema: WOHNGELD_JSON.to_owned(),
        },
        process_ref: CaseId::random(),
        in_reply_to: None,
        routing_table: Some(tables.release()),
        content: Content {
            client_reference: None,
            applicant: None,
            consents: None,
            payment: None,
            reply_token: None,
            files: vec![File {
                role: Role::Payload,
                name: "antrag.json".to_owned(),
                media_type: "application/json".to_owned(),
                octets: Paper::new(Seed::new(0), u64::MAX - number as u64).octets(),
            }],
        },
    };
    let sealed = seal(draft, &encryption, &signer, now).map_err(|error| text(&error))?;
    Ok(sealed.bytes().clone())
}

/// One digit of the signature is another one.
fn spoiled(octets: &Bytes) -> Bytes {
    let mut octets = octets.to_vec();
    let text = b"SignatureValue>";
    let found = octets.windows(text.len()).position(|window| window == text);
    if let Some(digit) = found.and_then(|at| octets.get_mut(at + text.len() + 8)) {
        *digit = if *digit == b'A' { b'B' } else { b'A' };
    }
    octets.into()
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    let sentence = format!("Poison could not be published: {error}");
    Failure::new(Exit::Unexpected, "poison-failed", sentence)
}
