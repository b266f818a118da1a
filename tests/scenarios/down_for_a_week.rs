//! An authority whose Fachverfahren is down for a week holds up no other one, and is then drained in good order.
//!
//! The full size, a hundred thousand waiting: see `tests/README.md`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use harness::custodians::{Custodians, id};
use harness::wait::until;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use viereck_custody::Journal;
use viereck_envelope::SealedEnvelope;
use viereck_gateway::{Backlogs, Breaker, Config, Inputs, Keys};
use viereck_routing::{BehoerdeId, MessageId};
use viereck_transport::{Link, Topology};

/// Messages that wait when nothing else is said.
const BACKLOG: usize = 2_000;
/// Messages of the other authority for each measurement.
const OTHERS: usize = 300;
/// How far apart they come at least.
const PACE: Duration = Duration::from_millis(5);
/// How many the authority that was down is given at once at most.
const CONCURRENCY: usize = 8;
/// What its Fachverfahren needs for each.
const WORK: Duration = Duration::from_millis(20);
const GATEWAY: &str = "gw-sh-2";

/// A Fachverfahren that can be down, and remembers how it was asked.
#[derive(Default)]
struct Fachverfahren {
    up: AtomicBool,
    work: Duration,
    under_way: AtomicUsize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// When a message first took effect, by its key.
    effects: HashMap<String, Instant>,
    /// Asked while it was down.
    in_vain: usize,
    /// How many were under way when one came, itself included, and how many had been taken since it is up.
    ramp: Vec<(usize, usize)>,
    taken: usize,
}

impl Fachverfahren {
    async fn start(up: bool, work: Duration) -> (Arc<Self>, String) {
        let here = Arc::new(Self {
            up: AtomicBool::new(up),
            work,
            ..Self::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&here));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (here, url)
    }

    fn effects(&self) -> usize {
        self.seen.lock().unwrap().effects.len()
    }
}

async fn answer(State(here): State<Arc<Fachverfahren>>, request: Request) -> StatusCode {
    if !here.up.load(Ordering::Relaxed) {
        here.seen.lock().unwrap().in_vain += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let came = Instant::now();
    let under_way = here.under_way.fetch_add(1, Ordering::Relaxed) + 1;
    {
        let mut seen = here.seen.lock().unwrap();
        let taken = seen.taken;
        seen.ramp.push((under_way, taken));
    }
    if !here.work.is_zero() {
        tokio::time::sleep(here.work).await;
    }
    let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
    let mut seen = here.seen.lock().unwrap();
    seen.effects.entry(key).or_insert(came);
    seen.taken += 1;
    here.under_way.fetch_sub(1, Ordering::Relaxed);
    StatusCode::OK
}

/// The receiver with two authorities: one that is down, and another one.
struct Receiver {
    custodians: Arc<Custodians>,
    journal: Journal,
    backlogs: Backlogs,
    down: BehoerdeId,
    other: BehoerdeId,
}

impl Receiver {
    fn sealed(&self, reader: &BehoerdeId) -> SealedEnvelope {
        let reader = reader.clone();
        self.custodians
            .sealed(MessageId::random(), |draft| draft.reader = reader)
    }

    async fn take(&self, envelope: &SealedEnvelope) {
        let bytes = envelope.bytes().clone();
        let (me, tables) = (id(GATEWAY), self.custodians.tables.clone());
        self.journal.take(bytes, &me, tables).await.unwrap();
    }

    /// What waits for the authority that is down, as the gateway says it.
    async fn backlog(&self) -> Option<viereck_gateway::Backlog> {
        let backlogs = self.backlogs.list().await.unwrap();
        backlogs.into_iter().find(|backlog| backlog.behoerde == self.down)
    }

    /// The other authority's messages, one after the other: p50 and p99 from taken to handed over, and p99 of taking.
    async fn measure(&self, fachverfahren: &Fachverfahren) -> Measured {
        let envelopes: Vec<_> = (0..OTHERS).map(|_| self.sealed(&self.other)).collect();
        let before = fachverfahren.effects();
        let (mut took, mut taken) = (vec![], HashMap::new());
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for envelope in &envelopes {
            pace.tick().await;
            let began = Instant::now();
            self.take(envelope).await;
            took.push(began.elapsed());
            taken.insert(envelope.digest().to_string(), Instant::now());
        }
        until(Duration::from_secs(60), "the other authority has all", async || {
            (fachverfahren.effects() == before + OTHERS).then_some(())
        })
        .await;
        let seen = fachverfahren.seen.lock().unwrap();
        let waited = taken
            .iter()
            .map(|(key, since)| seen.effects[key].duration_since(*since));
        Measured::of(waited.collect(), took)
    }
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    p50: Duration,
    p99: Duration,
    take_p99: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, take_p99 } = self;
        write!(
            f,
            "handed over after {p50:.1?} (p50), {p99:.1?} (p99); taken in {take_p99:.1?} (p99)"
        )
    }
}

impl Measured {
    fn of(mut waited: Vec<Duration>, mut took: Vec<Duration>) -> Self {
        waited.sort();
        took.sort();
        let at = |sorted: &[Duration], per_cent: usize| sorted[(sorted.len() - 1) * per_cent / 100];
        Self {
            p50: at(&waited, 50),
            p99: at(&waited, 99),
            take_p99: at(&took, 99),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_notice_nothing_and_the_drain_is_paced_and_foretold() {
    let backlog = std::env::var("VIERECK_BACKLOG").map_or(BACKLOG, |number| number.parse().unwrap());
    let custodians = Arc::new(Custodians::prepare());
    let (down, down_url) = Fachverfahren::start(false, WORK).await;
    let (other, other_url) = Fachverfahren::start(true, Duration::ZERO).await;
    let served = custodians.tables.gateway(&id(GATEWAY)).unwrap().served();
    let mut authorities = served.filter(|reader| reader.as_str().starts_with("wgb:"));
    let journal = custodians.journal(GATEWAY).await;
    let receiver = Arc::new(Receiver {
        journal: journal.clone(),
        backlogs: Backlogs::default(),
        down: authorities.next().unwrap().clone(),
        other: authorities.next().unwrap().clone(),
        custodians: Arc::clone(&custodians),
    });
    let config: Config = serde_json::from_value(json!({
        "id": GATEWAY, "listen": "127.0.0.1:0",
        "delivery": [
            { "behoerde": receiver.down, "leistung": "default", "adapter": "http", "url": down_url,
              "concurrency": CONCURRENCY },
            { "behoerde": receiver.other, "leistung": "default", "adapter": "http", "url": other_url },
        ],
    }))
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
    let mut topology = Topology::default();
    topology.gateways.insert(id(GATEWAY));
    link.reconcile(&topology).await.unwrap();
    let (_in_force, tables) = watch::channel(Arc::clone(&custodians.tables));
    let inputs = Inputs {
        keys: Keys::load(&custodians.site.keys(), &id(GATEWAY), &custodians.tables).unwrap(),
        listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        backlogs: receiver.backlogs.clone(),
        tables,
        link,
        journal,
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(viereck_gateway::run(config, inputs, stop.clone()));

    let alone = receiver.measure(&other).await;

    // the week
    let filling = Instant::now();
    stream::iter(0..backlog)
        .for_each_concurrent(16, |_| {
            let receiver = Arc::clone(&receiver);
            async move {
                let filled = tokio::spawn(async move {
                    let envelope = receiver.sealed(&receiver.down);
                    receiver.take(&envelope).await;
                });
                filled.await.unwrap();
            }
        })
        .await;
    let filling = filling.elapsed();
    let waiting = receiver.backlog().await.unwrap();
    assert_eq!(waiting.waiting as usize, backlog);
    assert!(matches!(
        waiting.breaker,
        Some(Breaker::Open { .. } | Breaker::HalfOpen)
    ));

    let behind = receiver.measure(&other).await;
    let in_vain = down.seen.lock().unwrap().in_vain;

    // up again: one is tried, and the others follow
    down.up.store(true, Ordering::Relaxed);
    let share = |per_cent: usize| backlog * (100 - per_cent) / 100;
    let reached = async |left: usize| {
        until(Duration::from_secs(3600), "the drain goes on", async || {
            receiver
                .backlog()
                .await
                .filter(|waiting| waiting.waiting as usize <= left)
        })
        .await
    };
    reached(backlog - 1).await;
    let drain = Instant::now();
    let mut foretold = vec![];
    for per_cent in [25, 50] {
        let waiting = reached(share(per_cent)).await;
        foretold.push((per_cent, Timestamp::now(), waiting));
    }
    until(Duration::from_secs(3600), "all is handed over", async || {
        receiver.backlog().await.is_none().then_some(())
    })
    .await;
    let (drain, end) = (drain.elapsed(), Timestamp::now());
    stop.cancel();
    running.await.unwrap().unwrap();

    let ledger = receiver.journal.ledger().await.unwrap().taken[&receiver.down];
    let seen = down.seen.lock().unwrap();
    let distinct: HashSet<&String> = seen.effects.keys().collect();
    println!("{backlog} waiting, taken in {filling:.1?}; asked in vain {in_vain} times");
    println!("the other authority without them: {alone}");
    println!("the other authority with them:    {behind}");
    println!(
        "drained in {drain:.1?}, at most {} at once",
        seen.ramp.iter().map(|(at_once, _)| at_once).max().unwrap()
    );
    for (per_cent, at, waiting) in &foretold {
        let (said, was) = (waiting.ready_at.unwrap().duration_since(*at), end.duration_since(*at));
        println!(
            "at {per_cent} % it said {said:.1?} more, and it was {was:.1?}: {:?} a minute",
            waiting.per_minute
        );
    }
    println!(
        "account: {} taken, {} ended, {} effects, {} attempts",
        ledger.received,
        ledger.ended,
        distinct.len(),
        seen.ramp.len() + seen.in_vain
    );

    assert_eq!(
        (ledger.received, ledger.ended, ledger.in_flight),
        (backlog as u64, backlog as u64, 0)
    );
    assert_eq!(
        (distinct.len(), seen.ramp.len()),
        (backlog, backlog),
        "each once, and none twice"
    );
    assert!(in_vain <= 40, "asked {in_vain} times while it was down");
    let slower = |with: Duration, without: Duration| with > without * 4 + Duration::from_millis(50);
    assert!(
        !slower(behind.p99, alone.p99),
        "others wait longer: {behind:?} instead of {alone:?}"
    );
    assert!(
        !slower(behind.take_p99, alone.take_p99),
        "taking is slower: {behind:?} instead of {alone:?}"
    );
    for (at_once, taken) in &seen.ramp {
        assert!(
            *at_once <= CONCURRENCY && *at_once <= taken + 1,
            "{at_once} at once after {taken}"
        );
    }
    for (per_cent, at, waiting) in &foretold {
        let said = waiting.ready_at.unwrap().duration_since(*at).as_secs_f64();
        let was = end.duration_since(*at).as_secs_f64();
        assert!(
            (said - was).abs() <= 0.2 * was,
            "at {per_cent} %: said {said} s, was {was} s"
        );
    }
}
