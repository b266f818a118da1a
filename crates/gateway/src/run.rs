//! One gateway, from its start to its end.
//!
//! Everything that runs in the background lives inside [`run`] and has ended when it returns. It stops in steps: new work
//! is refused and nothing is fetched any more; what is being handed over ends; then what was promised and stated goes
//! out once more; the HTTP interface, which until then said 503, closes last. The link and the journal belong to the
//! caller, who closes them.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use viereck_custody::{CurrentTables, Journal, JournalError, inbox, outbox, receipts};
use viereck_transport::Link;

use crate::config::Severity;
use crate::deliver::endpoint::EndpointError;
use crate::deliver::{self, Lanes};
use crate::gateway::Gateway;
use crate::http::access::{Access, AccessError};
use crate::http::{router, serve};
use crate::{Config, Finding, Keys};

/// What a gateway is given.
pub struct Inputs {
    /// The routing table in force, and each later one.
    pub tables: CurrentTables,
    /// The way to the others.
    pub link: Link,
    /// Its journal.
    pub journal: Journal,
    /// Its private keys.
    pub keys: Keys,
    /// Where its HTTP interface listens; bound already, so that a port in use shows before anything starts.
    pub listener: TcpListener,
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
    /// An adapter.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The journal can no longer be trusted or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Runs a gateway until `shutdown`.
///
/// # Errors
/// At the start, of configuration and token files; later only of the journal. A link, a Fachverfahren or a client that
/// fails is no error of the gateway.
pub async fn run(config: Config, inputs: Inputs, shutdown: CancellationToken) -> Result<(), Error> {
    let Inputs {
        tables,
        link,
        journal,
        keys,
        listener,
    } = inputs;
    for finding in config.check() {
        match finding.severity {
            Severity::Error => return Err(Error::Config(finding)),
            Severity::Warning => {
                tracing::warn!(gateway = %config.id, code = finding.code, key = finding.key, "{}", finding.sentence)
            }
        }
    }
    let access = Access::load(&config.fachverfahren)?;
    let lanes = Lanes::new(&config.deliveries)?;
    let stages = Stages::of(&shutdown);
    let gateway = Gateway::new(
        config.clone(),
        journal.clone(),
        keys.clone(),
        access,
        tables.clone(),
        stages.taking.clone(),
    );
    let gateway = Arc::new(gateway);

    let mut taking = JoinSet::new();
    let me = config.id.clone();
    taking.spawn(inbox::run(
        journal.clone(),
        link.clone(),
        me.clone(),
        tables.clone(),
        inbox::Config::default(),
        stages.taking.clone(),
    ));
    taking.spawn(receipts::run_in(
        journal.clone(),
        link.clone(),
        me,
        tables,
        stages.taking.clone(),
    ));
    taking.spawn(deliver::run(Arc::clone(&gateway), lanes, stages.taking.clone()));

    let mut telling = JoinSet::new();
    telling.spawn(outbox::run(
        journal.clone(),
        link.clone(),
        outbox::Config::default(),
        stages.telling.clone(),
    ));
    telling.spawn(receipts::run_out(
        journal,
        link,
        keys.signer,
        receipts::Road::ThroughBroker,
        receipts::Config::default(),
        stages.telling.clone(),
    ));

    let serving = tokio::spawn({
        let (router, closed) = (router(gateway), stages.closed.clone());
        async move { serve::serve(listener, router, &config, closed).await }
    });

    // whichever ends first, by an error or because it was told to, ends the others in their order
    let mut first = tokio::select! {
        ended = taking.join_next() => outcome(ended),
        ended = telling.join_next() => outcome(ended),
        () = shutdown.cancelled() => Ok(()),
    };
    for (tasks, stage) in [(&mut taking, &stages.taking), (&mut telling, &stages.telling)] {
        stage.cancel();
        while let Some(ended) = tasks.join_next().await {
            first = first.and(outcome(Some(ended)));
        }
    }
    stages.closed.cancel();
    if let Err(error) = serving.await {
        tracing::error!(%error, alarm = "internal", "the HTTP interface broke off");
    }
    first
}

/// The steps of stopping, each told on its own.
struct Stages {
    /// Cancelled first: nothing new is taken.
    taking: CancellationToken,
    /// Then: nothing more will be said.
    telling: CancellationToken,
    /// Last: nobody is listened to.
    closed: CancellationToken,
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

fn outcome(ended: Option<Result<Result<(), JournalError>, tokio::task::JoinError>>) -> Result<(), Error> {
    match ended {
        None => Ok(()),
        Some(Ok(result)) => Ok(result?),
        Some(Err(stopped)) => std::panic::resume_unwind(stopped.into_panic()),
    }
}
