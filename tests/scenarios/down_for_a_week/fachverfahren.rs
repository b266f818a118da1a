//! A Fachverfahren that can be down, and remembers how it was asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Fachverfahren {
    pub(super) up: AtomicBool,
    work: Duration,
    under_way: AtomicUsize,
    pub(super) seen: Mutex<Seen>,
}

#[derive(Default)]
pub(super) struct Seen {
    /// When a message first took effect, by its key.
    pub(super) effects: HashMap<String, Instant>,
    /// Asked while it was down.
    pub(super) in_vain: usize,
    /// How many were under way when one came, itself included, and how many had been taken since it is up.
    pub(super) ramp: Vec<(usize, usize)>,
    taken: usize,
}

impl Fachverfahren {
    /// One that needs `work` for each message, and where it is to be asked.
    pub(super) async fn start(up: bool, work: Duration) -> (Arc<Self>, String) {
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

    pub(super) fn effects(&self) -> usize {
        self.seen.lock().unwrap().effects.len()
    }

    /// When the message of this key took effect.
    pub(super) fn effect(&self, key: &str) -> Instant {
        self.seen.lock().unwrap().effects[key]
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
