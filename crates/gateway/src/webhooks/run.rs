//! Calling what is due, until the gateway stops.
//!
//! One instance of a gateway calls for all. At most so many calls are under way for one client and so many for all
//! clients together; what does not fit waits in the journal. A call that is under way when the gateway stops is not
//! waited for: it is due again, under the same id.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use viereck_custody::webhooks::{Call, Outcome};
use viereck_custody::{Duty, Entry, JOURNAL_PAUSE, JournalError, Occurrence};
use viereck_envelope::Stage;
use viereck_routing::ClientId;

use crate::gateway::Gateway;

/// Calls under way at one moment, over all clients.
const TOGETHER: usize = 256;
/// How long is slept at the most: another instance may have been told something, or have gone off duty.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);
/// How long news are gathered before the journal is looked at.
const GATHER: Duration = Duration::from_millis(50);
/// How often the log is shortened.
const SHORTEN: Duration = Duration::from_secs(3600);

/// Calls webhooks until `shutdown`.
///
/// # Errors
/// Of the journal, and only what does not pass by itself.
pub(crate) async fn run(gateway: Arc<Gateway>, shutdown: CancellationToken) -> Result<(), JournalError> {
    let mut news = gateway.journal.subscribe();
    let mut busy: HashMap<i64, ClientId> = HashMap::new();
    let mut under_way = FuturesUnordered::new();
    let mut shortened = Instant::now();
    loop {
        let pause = match begin(&gateway, &mut busy, &mut shortened).await {
            Ok((calls, pause)) => {
                under_way.extend(calls.into_iter().map(|call| one(&gateway, call)));
                pause
            }
            Err(error) if error.may_pass() => {
                tracing::error!(%error, alarm = "journal-unavailable", "webhooks wait");
                JOURNAL_PAUSE
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some((seq, noted)) = under_way.next() => {
                busy.remove(&seq);
                noted?;
            }
            () = gateway.webhooks.wanted.notified() => {}
            () = changed(&mut news) => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What can be begun now, marked as busy, and how long nothing else will be due. Shortens the log when it is time.
async fn begin(
    gateway: &Gateway,
    busy: &mut HashMap<i64, ClientId>,
    shortened: &mut Instant,
) -> Result<(Vec<Call>, Duration), JournalError> {
    let (now, each) = (Timestamp::now(), gateway.config.webhooks.concurrency);
    if !gateway.journal.on_duty(Duty::Webhooks).await? {
        return Ok((Vec::new(), LONGEST_SLEEP));
    }
    if shortened.elapsed() > SHORTEN && !gateway.journal.shorten_webhook_log(now).await? {
        *shortened = Instant::now();
    }
    let due = gateway
        .journal
        .due_calls(now, each, busy.keys().copied().collect())
        .await?;
    let tables = gateway.tables();
    let is_client = |client: &ClientId| {
        tables
            .client(client)
            .is_some_and(|client| client.gateway == gateway.config.id)
    };
    let (mut calls, strangers): (Vec<Call>, Vec<Call>) =
        due.into_iter().partition(|call| is_client(&call.webhook.client));
    for call in strangers {
        // told nothing, and given up in the end like a server that does not answer: it may be a client again tomorrow
        note(gateway, &call, Outcome::NoClient).await?;
    }
    calls.retain(|call| {
        let client = &call.webhook.client;
        let free = busy.len() < TOGETHER && busy.values().filter(|other| *other == client).count() < each;
        if free {
            busy.insert(call.seq, client.clone());
        }
        free
    });
    let next = gateway.journal.next_call(now).await?;
    let pause = next.map_or(LONGEST_SLEEP, |next| {
        Duration::try_from(next.duration_since(now)).map_or(LONGEST_SLEEP, |pause| pause.min(LONGEST_SLEEP))
    });
    Ok((calls, pause))
}

async fn one(gateway: &Gateway, call: Call) -> (i64, Result<(), JournalError>) {
    let secrets = gateway.webhooks.secrets(&call.webhook, Timestamp::now());
    let outcome = gateway
        .webhooks
        .caller
        .call(&call.webhook.url, &call.event, &secrets)
        .await;
    if outcome != Outcome::Delivered {
        tracing::warn!(webhook = call.webhook.id, client = %call.webhook.client, event = call.event.id, %outcome,
            "a webhook did not take an event");
    }
    let noted = loop {
        match note(gateway, &call, outcome).await {
            // else the same event would go out again at once
            Err(error) if error.may_pass() => tokio::time::sleep(JOURNAL_PAUSE).await,
            noted => break noted,
        }
    };
    (call.seq, noted)
}

async fn note(gateway: &Gateway, call: &Call, outcome: Outcome) -> Result<(), JournalError> {
    let limits = gateway.config.webhooks.limits();
    if let Some(disabled) = gateway.journal.called(call, outcome, limits, jitter()).await? {
        tracing::error!(webhook = call.webhook.id, client = %call.webhook.client, why = disabled.as_str(),
            alarm = "webhook-disabled", "a webhook is not called any more");
    }
    Ok(())
}

/// Waits until something happened that webhooks are told of.
async fn changed(news: &mut Receiver<Occurrence>) {
    loop {
        match news.recv().await {
            Ok(Occurrence {
                stage: Entry::Stage(stage),
                ..
            }) if stage != Stage::Received => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Spreads attempts, so that what failed together does not come back together.
fn jitter() -> f64 {
    let mut octet = [0];
    // without randomness they come back together: no more than that
    let _ = aws_lc_rs::rand::fill(&mut octet);
    f64::from(octet[0]) / 255.0
}
