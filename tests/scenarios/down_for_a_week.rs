//! An authority whose Fachverfahren is down for a week holds up no other one on any part of the way, and is then drained
//! in good order.
//!
//! The full size, a hundred thousand waiting: see `tests/README.md`.

mod fachverfahren;
mod measured;
mod network;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use harness::wait::until;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use viereck_custody::{Account, Journal};
use viereck_envelope::Stage;
use viereck_gateway::{Backlog, Breaker};

use self::fachverfahren::Fachverfahren;
use self::measured::Measured;
use self::network::Network;

/// Messages that wait when nothing else is said.
const BACKLOG: usize = 2_000;
/// How many of them are on their way at once while they come.
const FILLING: usize = 64;
/// How many the authority that was down is given at once at most.
const CONCURRENCY: usize = 8;
/// What its Fachverfahren needs for each.
const WORK: Duration = Duration::from_millis(20);
/// How long the longest part may take.
const LONGEST: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn the_others_notice_nothing_and_the_drain_is_paced_and_foretold() {
    let backlog = std::env::var("VIERECK_BACKLOG").map_or(BACKLOG, |number| number.parse().unwrap());
    let (down, down_url) = Fachverfahren::start(false, WORK).await;
    let (other, other_url) = Fachverfahren::start(true, Duration::ZERO).await;
    let network = Network::start(|down, other| {
        json!([
            { "behoerde": down, "leistung": "default", "adapter": "http", "url": down_url, "concurrency": CONCURRENCY },
            { "behoerde": other, "leistung": "default", "adapter": "http", "url": other_url },
        ])
    })
    .await;
    let network = Arc::new(network);
    // the first one meets gateways that are still starting
    network.carry(network.sealed(&network.other), Stage::Accepted).await;
    let before = Measured::of(&network, &other).await;

    // the week
    let filling = Instant::now();
    stream::iter(0..backlog)
        .for_each_concurrent(FILLING, |_| {
            let network = Arc::clone(&network);
            async move {
                let envelope = network.sealed(&network.down);
                let delivered = async move { network.carry(envelope, Stage::Delivered).await };
                tokio::spawn(delivered).await.unwrap();
            }
        })
        .await;
    let filling = filling.elapsed();
    let waiting = network.backlog().await.unwrap();
    assert_eq!(waiting.waiting as usize, backlog);
    let rests = matches!(waiting.breaker, Some(Breaker::Open { .. } | Breaker::HalfOpen));
    assert!(rests, "{:?}", waiting.breaker);

    let beside = Measured::of(&network, &other).await;
    let in_vain = down.seen.lock().unwrap().in_vain;
    assert_eq!(down.effects(), 0, "all of it waited all the time");

    // up again: one is tried, and the others follow
    down.up.store(true, Ordering::Relaxed);
    let (drain, foretold, end) = drained(&network, &down, backlog).await;
    let all_ended = async || {
        let mut accounts = vec![];
        for journal in [&network.sender, &network.broker, &network.receiver] {
            let account = account(journal).await;
            (account.received == account.ended).then(|| accounts.push(account))?;
        }
        Some(accounts)
    };
    let accounts = until(LONGEST, "all three know of every end", all_ended).await;
    let carried = (backlog + other.effects()) as u64;
    let after = Measured::of(&network, &other).await;
    let of_down = network.receiver.ledger().await.unwrap().taken[&network.down];
    Arc::into_inner(network).unwrap().end().await;

    let seen = down.seen.lock().unwrap();
    println!("{backlog} waiting, brought in {filling:.1?}; asked in vain {in_vain} times");
    println!("the other authority after its promise, p50 and p99 of each round and the medians of the rounds");
    println!("before:\n{before}beside:\n{beside}after:\n{after}");
    // the journals hold as much after as beside, only that nothing waits any more
    let multiples = [
        ("beside, as a multiple of before", beside.beside(&before)),
        ("after, as a multiple of before", after.beside(&before)),
        ("beside, as a multiple of after", beside.beside(&after)),
    ];
    for (name, parts) in multiples {
        println!(
            "{name}: {}",
            parts.map(|part| part.to_string()).collect::<Vec<_>>().join("; ")
        );
    }
    let most = seen.ramp.iter().map(|(at_once, _)| at_once).max().unwrap();
    println!("drained in {drain:.1?}, at most {most} at once");
    for (per_cent, at, waiting) in &foretold {
        let (said, was) = (waiting.ready_at.unwrap().duration_since(*at), end.duration_since(*at));
        println!(
            "at {per_cent} % it said {said:.1?} more, and it was {was:.1?}: {:?} a minute",
            waiting.per_minute
        );
    }
    println!(
        "account: {} taken, {} ended, {} effects, {} attempts; sent, relayed, taken in all: {accounts:?}",
        of_down.received,
        of_down.ended,
        seen.effects.len(),
        seen.ramp.len() + seen.in_vain
    );

    assert_eq!(
        (of_down.received, of_down.ended, of_down.in_flight),
        (backlog as u64, backlog as u64, 0)
    );
    assert_eq!(
        (seen.effects.len(), seen.ramp.len()),
        (backlog, backlog),
        "each once, and none twice"
    );
    for Account { received, ended, .. } in accounts {
        assert_eq!(
            (received, ended),
            (carried, carried),
            "sender, broker and receiver agree"
        );
    }
    assert!(in_vain <= 40, "asked {in_vain} times while it was down");
    for part in beside.beside(&before) {
        assert!(!part.is_far_slower(), "others wait longer: {part}");
    }
    for (at_once, taken) in &seen.ramp {
        assert!(
            *at_once <= CONCURRENCY && *at_once <= taken + 1,
            "{at_once} at once after {taken}"
        );
    }
    for (per_cent, at, waiting) in &foretold {
        let said = waiting.ready_at.unwrap().duration_since(*at).as_secs_f64();
        let was = end.duration_since(*at).as_secs_f64();
        // a drain of seconds beside other scenarios goes at their pace: there only a wrong reckoning is told apart
        let off = if backlog > BACKLOG { 0.2 } else { 1.0 };
        assert!(
            (said - was).abs() <= off * was,
            "at {per_cent} %: said {said} s, was {was} s"
        );
    }
}

/// How long the drain took, what was said of it on the way (at how many per cent, when, what), and when it was over. The
/// backlog is looked at only where it is wanted: the look costs as much as there are messages.
async fn drained(
    network: &Network,
    down: &Fachverfahren,
    backlog: usize,
) -> (Duration, Vec<(usize, Timestamp, Backlog)>, Timestamp) {
    let taken = async |number: usize| {
        until(LONGEST, "the drain goes on", async || {
            (down.effects() >= number).then_some(())
        })
        .await
    };
    taken(1).await;
    let drain = Instant::now();
    let mut foretold = vec![];
    for per_cent in [25, 50] {
        taken(backlog * per_cent / 100).await;
        let waiting = network.backlog().await.unwrap();
        foretold.push((per_cent, Timestamp::now(), waiting));
    }
    taken(backlog).await;
    (drain.elapsed(), foretold, Timestamp::now())
}

/// Everything that is in a journal.
async fn account(journal: &Journal) -> Account {
    let ledger = journal.ledger().await.unwrap();
    let mut all = ledger.total_sent();
    all += ledger.total_relayed();
    all += ledger.total_taken();
    all
}
