//! One gateway, from its start to its end.
//!
//! Everything that runs in the background lives inside [`run`] and has ended when it returns. It stops in steps: new work
//! is refused and nothing is fetched any more; what is being handed over ends; the HTTP interface, which until then said
//! 503, lets running requests end and closes; then what was promised and stated meanwhile goes out. The link and the
//! journal belong to the caller, who closes them.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use viereck_custody::{CurrentTables, Journal, JournalError, deadlines, inbox, ledger, outbox, receipts, retention};
use viereck_transport::Link;

use crate::config::Severity;
use crate::deliver::adapter::AdapterError;
use crate::deliver::backlog::Backlogs;
use crate::deliver::{self, Deliveries, markers};
use crate::gateway::Gateway;
use crate::http::access::{Access, AccessError};
use crate::http::serve::Listening;
use crate::http::tls::{TlsError, TlsServer};
use crate::http::{router, serve};
use crate::sealing_anew::{self, SealingAnew};
use crate::{Config, CurrentKeys, Finding, webhooks};

/// What a gateway is given.
pub struct Inputs {
    /// The routing table in force, and each later one.
    pub tables: CurrentTables,
    /// The way to the others.
    pub link: Link,
    /// Its journal.
    pub journal: Journal,
    /// Its private keys, and each later set.
    pub keys: CurrentKeys,
    /// Where its HTTP interface listens; bound already, so that a port in use shows before anything starts.
    pub listener: TcpListener,
    /// TLS of that interface, where the caller has read it already and may read it again.
    pub tls: Option<Arc<TlsServer>>,
    /// Filled by it with what waits for each authority.
    pub backlogs: Backlogs,
}

/// Why a gateway does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration contradicts itself.
    #[error("config-{}: {}: {}", .0.code, .0.key, .0.sentence)]
    Config(Finding),
    /// A token of a Fachverfahren.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// TLS of the HTTP interface.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An adapter.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The journal can no longer be trusted or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Reads what a configuration names besides its keys: files of tokens and keys, folders of adapters. Starting asks the same.
///
/// # Errors
/// The first that is missing or malformed.
pub fn readable(config: &Config) -> Result<(), Error> {
    Access::load(config)?;
    Deliveries::new(&config.deliveries)?;
    Ok(())
}

/// Runs a gateway until `shutdown`.
///
/// # Errors
/// At the start, of configuration, token files and folders; later only of the journal. A link, a Fachverfahren or a
/// client that fails is no error of the gateway.
pub async fn run(config: Config, inputs: Inputs, shutdown: CancellationToken) -> Result<(), Error> {
    let Inputs {
        tables,
        link,
        journal,
        keys,
        listener,
        tls,
        backlogs,
    } = inputs;
    let environment = tables.borrow().environment();
    for finding in config.check().into_iter().chain(config.webhooks.check_in(environment)) {
        match finding.severity {
            Severity::Error => return Err(Error::Config(finding)),
            Severity::Warning => {
                tracing::warn!(gateway = %config.id, code = finding.code, key = finding.key, "{}", finding.sentence)
            }
        }
    }
    // what is to be reached by TLS never speaks anything else
    let tls = match (tls, &config.tls) {
        (None, Some(settings)) => Some(Arc::new(TlsServer::load(settings)?)),
        (tls, _) => tls,
    };
    let access = Access::load(&config)?;
    let deliveries = Arc::new(Deliveries::new(&config.deliveries)?);
    backlogs.begin(journal.clone(), Arc::clone(&deliveries), config.id.clone());
    let stages = Stages::of(&shutdown);
    let gateway = Gateway::new(
        config.clone(),
        journal.clone(),
        keys.clone(),
        access,
        tables.clone(),
        stages.taking.clone(),
    )
    .map_err(AdapterError::from)?;
    let gateway = Arc::new(gateway);

    let span = tracing::info_span!("gateway", id = %config.id);
    let me = config.id.clone();
    let (inbox, outbox) = (config.inbox.config(), config.outbox.config());
    let (taking, telling) = (&stages.taking, &stages.telling);
    let mut fetchers = JoinSet::new();
    let take = inbox::run(
        journal.clone(),
        link.clone(),
        me.clone(),
        tables.clone(),
        inbox,
        taking.clone(),
    );
    fetchers.spawn(take.instrument(span.clone()));
    let hear = receipts::run_in(
        journal.clone(),
        link.clone(),
        me,
        tables.clone(),
        config.receipts.config(),
        taking.clone(),
    );
    fetchers.spawn(hear.instrument(span.clone()));
    let hand_over = deliver::run(Arc::clone(&gateway), Arc::clone(&deliveries), taking.clone());
    fetchers.spawn(hand_over.instrument(span.clone()));
    let watch = markers::run(Arc::clone(&gateway), deliveries, taking.clone());
    fetchers.spawn(watch.instrument(span.clone()));

    let (waiting, heard, stop) = (Arc::clone(&gateway), journal.clone(), taking.clone());
    let wake = async move { waiting.waiting.run(heard, stop).await };
    fetchers.spawn(wake.instrument(span.clone()));
    let (asking, stop) = (Arc::clone(&gateway), taking.clone());
    let know = async move {
        if let Some(oauth) = &asking.access.oauth {
            oauth.run(stop).await;
        } else {
            stop.cancelled().await;
        }
        Ok(())
    };
    fetchers.spawn(know.instrument(span.clone()));
    let call = webhooks::run(Arc::clone(&gateway), taking.clone());
    fetchers.spawn(call.instrument(span.clone()));
    let count = ledger::watch::run(journal.clone(), ledger::watch::Config::default(), taking.clone());
    fetchers.spawn(count.instrument(span.clone()));

    let sweep = deadlines::run(journal.clone(), config.deadlines.clone(), taking.clone());
    fetchers.spawn(sweep.instrument(span.clone()));
    let keep = retention::run(journal.clone(), config.retention.clone(), taking.clone());
    fetchers.spawn(keep.instrument(span.clone()));

    let anew = SealingAnew::new(&config, journal.clone(), keys.clone(), tables);
    let seal_anew = sealing_anew::run(anew, taking.clone());
    fetchers.spawn(seal_anew.instrument(span.clone()));

    let mut tellers = JoinSet::new();
    let publish = outbox::run(journal.clone(), link.clone(), outbox, telling.clone());
    tellers.spawn(publish.instrument(span.clone()));
    let (road, receipts) = (receipts::Road::ThroughBroker, config.receipts.config());
    let sign = move || Arc::clone(&keys.borrow().signer);
    let state = receipts::run_out(journal, link, sign, road, receipts, telling.clone());
    tellers.spawn(state.instrument(span.clone()));

    let (router, closed) = (router(gateway), stages.closed.clone());
    let bounds = serve::Bounds::of(&config);
    let listening = Listening {
        name: config.id.as_str().to_owned(),
        listener,
        tls,
    };
    let serving = tokio::spawn(serve::serve(listening, router, bounds, closed).instrument(span));

    // whichever ends first, by an error or because it was told to, ends the others in their order
    let mut result = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = fetchers.join_next() => early(ended, &shutdown),
        ended = tellers.join_next() => early(ended, &shutdown),
    };
    taking.cancel();
    result = result.and(all(&mut fetchers).await);
    stages.closed.cancel();
    if let Err(error) = serving.await {
        tracing::error!(%error, alarm = "internal", "the HTTP interface broke off");
    }
    telling.cancel();
    result.and(all(&mut tellers).await)
}

type Ended = Result<Result<(), JournalError>, JoinError>;

/// The end of a task that nobody asked for.
fn early(ended: Option<Ended>, shutdown: &CancellationToken) -> Result<(), Error> {
    let result = ended.map_or(Ok(()), outcome);
    if result.is_ok() && !shutdown.is_cancelled() {
        tracing::error!(
            alarm = "link-closed",
            "the link was closed while the gateway was running: it stops"
        );
    }
    result
}

async fn all(tasks: &mut JoinSet<Result<(), JournalError>>) -> Result<(), Error> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        result = result.and(outcome(ended));
    }
    result
}

fn outcome(ended: Ended) -> Result<(), Error> {
    match ended {
        Ok(result) => Ok(result?),
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // cancelled together with the whole runtime
            Err(_) => Ok(()),
        },
    }
}

/// The steps of stopping, each told on its own.
struct Stages {
    /// Cancelled first: nothing new is taken.
    taking: CancellationToken,
    /// Then: nobody is listened to any more.
    closed: CancellationToken,
    /// Last: nothing more will be promised or stated, what there is goes out.
    telling: CancellationToken,
}

impl Stages {
    fn of(shutdown: &CancellationToken) -> Self {
        Self {
            taking: shutdown.child_token(),
            telling: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }
}
