//! The load: clients that file applications for as long as the drill lasts.
//!
//! Each behaves as a careful online service does: it repeats a request under the same key until it is answered, and
//! sometimes once more after that, which has to give the same answer. No more applications are under way than the
//! window allows, so that a fault builds no backlog that outlives it; beside the window a few a second go out whatever
//! happens, because somebody has to notice when service is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::book::{Book, End, Number, Record};
use super::desk::Desk;
use super::paper;
use super::seed::Seed;
use super::versions::Versions;
use crate::demo::applications::{Client, Filed, Receipt};

/// Clients that file at the same time.
const CLIENTS: usize = 24;
/// Applications under way at once: promised, and not known to have ended.
const WINDOW: usize = 256;
/// How often one goes out beside the window.
const TRICKLE: Duration = Duration::from_millis(200);
/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it waits before that.
const AGAIN: Duration = Duration::from_millis(100);
/// How often the end of an application is looked for, and how often without any sign that it may have come.
const LOOKS: (Duration, Duration) = (Duration::from_millis(150), Duration::from_secs(3));
/// One in so many is asked once more under its key after it was promised.
const REPEATED: u64 = 40;

/// The clients, at work until [`Load::stop`].
pub(super) struct Load {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

struct Shared {
    seed: Seed,
    book: Arc<Book>,
    desk: Arc<Desk>,
    versions: Arc<Versions>,
    /// One for each instance of the sender gateway.
    gateways: Vec<Client>,
    strike: AtomicUsize,
    posting: AtomicUsize,
    quota: Semaphore,
    window: Arc<Semaphore>,
    trickle: Semaphore,
    /// Nothing new is filed any more.
    stopping: CancellationToken,
    /// Nobody looks for an end any more.
    ended: CancellationToken,
}

impl Load {
    /// Starts the clients; they file nothing before [`Load::begin`].
    pub(super) fn start(
        seed: Seed,
        book: Arc<Book>,
        desk: Arc<Desk>,
        versions: Arc<Versions>,
        gateways: Vec<Client>,
    ) -> Self {
        let shared = Arc::new(Shared {
            seed,
            book,
            desk,
            versions,
            gateways,
            strike: AtomicUsize::new(0),
            posting: AtomicUsize::new(0),
            quota: Semaphore::new(0),
            window: Arc::new(Semaphore::new(WINDOW)),
            trickle: Semaphore::new(0),
            stopping: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        for client in 0..CLIENTS {
            tasks.spawn(Arc::clone(&shared).client(client, tasks.clone()));
        }
        tasks.spawn(Arc::clone(&shared).trickle());
        Self { shared, tasks }
    }

    /// From now on everything counts for strike `strike`, and `quota` applications are due.
    pub(super) fn begin(&self, strike: usize, quota: usize) {
        self.shared.strike.store(strike, Ordering::Relaxed);
        self.shared.quota.add_permits(quota);
    }

    /// So many more are due.
    pub(super) fn allow(&self, quota: usize) {
        self.shared.quota.add_permits(quota);
    }

    /// How many applications are due and not yet begun.
    pub(super) fn due(&self) -> usize {
        self.shared.quota.available_permits()
    }

    /// Takes back what is due and was not begun, and says how many that were.
    pub(super) fn forgo(&self) -> usize {
        self.shared.quota.forget_permits(usize::MAX)
    }

    /// How many requests have been sent and not answered.
    pub(super) fn posting(&self) -> usize {
        self.shared.posting.load(Ordering::Relaxed)
    }

    /// Files nothing new, and returns once every request that was sent is answered and every promise has ended, or when
    /// `deadline` has passed.
    pub(super) async fn stop(self, deadline: Duration) {
        self.shared.stopping.cancel();
        self.tasks.close();
        if timeout(deadline, self.tasks.wait()).await.is_err() {
            self.shared.ended.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Shared {
    /// Lets one go beside the window now and then.
    async fn trickle(self: Arc<Self>) {
        let mut ticks = interval(TRICKLE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            if self.trickle.available_permits() == 0 {
                self.trickle.add_permits(1);
            }
        }
    }

    async fn client(self: Arc<Self>, client: usize, tasks: TaskTracker) {
        while let Some(Some(seat)) = self.stopping.run_until_cancelled(self.turn()).await {
            if let Some((number, receipt)) = self.file(client).await {
                tasks.spawn(Arc::clone(&self).follow(client, number, receipt.submission_id, seat));
            }
        }
    }

    /// Waits until one may be filed; what it holds in the window, if it is counted there.
    async fn turn(&self) -> Option<Option<OwnedSemaphorePermit>> {
        tokio::select! {
            both = async { (self.quota.acquire().await, Arc::clone(&self.window).acquire_owned().await) } => {
                both.0.ok()?.forget();
                Some(both.1.ok())
            }
            beside = self.trickle.acquire() => {
                beside.ok()?.forget();
                Some(None)
            }
        }
    }

    /// Files one application until it is answered.
    async fn file(&self, client: usize) -> Option<(Number, Receipt)> {
        let number = self.book.draw();
        let strike = self.strike.load(Ordering::Relaxed);
        let application = paper::application(self.seed, number);
        let key = Uuid::from_u64_pair(!self.seed.number(), number).to_string();
        let asked = Instant::now();
        let receipt = loop {
            match self.post(client, number, &key).await? {
                Filed::Promised(receipt) => break receipt,
                Filed::Refused { may_pass: true, .. } => sleep(AGAIN).await,
                Filed::Refused { code, .. } => {
                    self.book.refused(code);
                    return None;
                }
            }
        };
        let kind = paper::kind(self.seed, number);
        let record = Record {
            strike,
            kind,
            submission: receipt.submission_id.clone(),
            competent: self.versions.competent(application.leistung, kind.region, asked),
            behoerde: receipt.behoerde.clone(),
            promised: Instant::now(),
            end: None,
        };
        self.book.promised(number, record);
        if self.seed.of(number, 200).is_multiple_of(REPEATED)
            && let Some(Filed::Promised(again)) = self.post(client, number, &key).await
            && again.submission_id != receipt.submission_id
        {
            self.book.contradiction(&receipt.submission_id, &again.submission_id);
        }
        Some((number, receipt))
    }

    /// Asks until somebody answers: a broken connection says nothing about what became of the request.
    async fn post(&self, client: usize, number: Number, key: &str) -> Option<Filed> {
        let application = paper::application(self.seed, number);
        let mut tries = client;
        loop {
            let gateway = &self.gateways[tries % self.gateways.len()];
            self.posting.fetch_add(1, Ordering::Relaxed);
            let answer = timeout(PATIENCE, gateway.file_as(&application, key)).await;
            self.posting.fetch_sub(1, Ordering::Relaxed);
            if let Ok(Ok(filed)) = answer {
                return Some(filed);
            }
            tries += 1;
            self.ended.run_until_cancelled(sleep(AGAIN)).await?;
        }
    }

    /// Looks for the end of an application until it is there.
    async fn follow(
        self: Arc<Self>,
        client: usize,
        number: Number,
        submission: String,
        seat: Option<OwnedSemaphorePermit>,
    ) {
        let following = async {
            let path = format!("/v1/submissions/{submission}");
            let mut looked = Instant::now();
            let mut tries = client;
            loop {
                sleep(LOOKS.0).await;
                if !self.desk.acted_on(number) && looked.elapsed() < LOOKS.1 {
                    continue;
                }
                looked = Instant::now();
                let gateway = &self.gateways[tries % self.gateways.len()];
                match timeout(PATIENCE, gateway.get(&path, 0)).await {
                    Ok(Ok(status)) if status["terminal"] == true => break end(&status),
                    Ok(Ok(_)) => {}
                    _ => tries += 1,
                }
            }
        };
        if let Some(end) = self.ended.run_until_cancelled(following).await {
            self.book.ended(number, end);
        }
        drop(seat);
    }
}

fn end(status: &serde_json::Value) -> End {
    let reasons = status["reasons"].as_array().into_iter().flatten();
    End {
        status: status["status"].as_str().unwrap_or_default().to_owned(),
        reasons: reasons
            .filter_map(|reason| Some(reason["code"].as_str()?.to_owned()))
            .collect(),
        seen: Instant::now(),
    }
}
