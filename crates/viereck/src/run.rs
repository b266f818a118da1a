//! `viereck run`, `sender`, `broker` and `receiver`: a network until a signal ends it.
//!
//! SIGHUP reads the routing table, its certificates, the files of TLS and the log level again; whatever does not load
//! leaves the old in force. SIGTERM and SIGINT stop the network in order, and the process ends with 0.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::commands::Source;
use crate::config::{Config, Part};
use crate::failure::{Exit, Failure};
use crate::network::Network;
use crate::telemetry;

/// `viereck run` and its parts.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    source: Source,
}

/// Runs the roles of `part` until a signal.
pub async fn command(args: &Run, part: Part) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    telemetry::start(&config.log.level, config.log.format)?;
    let config = config.only(part)?;
    let spans = telemetry::otlp::start(&config)?;
    let shutdown = CancellationToken::new();
    let told = told_to_stop()?;
    let stop = shutdown.clone();
    tokio::spawn(async move {
        told.await;
        tracing::info!("told to stop");
        stop.cancel();
    });
    let ended = until(config, shutdown, Some(&args.source)).await;
    if let Some(spans) = spans {
        spans.end().await;
    }
    ended
}

/// Completes when SIGTERM or SIGINT comes; from this call on neither of them ends the process by itself.
pub fn told_to_stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Runs a network until `shutdown`, or until one of its roles fails.
///
/// With a `source`, SIGHUP reads the log level from it again; the table is always read again.
pub async fn until(config: Config, shutdown: CancellationToken, source: Option<&Source>) -> Result<(), Failure> {
    let mut hang_up = listen(SignalKind::hangup())?;
    let mut network = Network::start(config).await?;
    let failed = loop {
        tokio::select! {
            () = shutdown.cancelled() => break None,
            failure = network.ended() => break Some(failure),
            _ = hang_up.recv() => reload(&network, source).await,
        }
    };
    let stopped = network.stop().await;
    match failed {
        Some(failure) => Err(failure),
        None => stopped.inspect(|()| tracing::info!("stopped")),
    }
}

async fn reload(network: &Network, source: Option<&Source>) {
    match network.reload().await {
        Ok(release) => tracing::info!(%release, "routing table reloaded"),
        Err(failure) => {
            telemetry::metrics::refused();
            tracing::error!(
                code = failure.code,
                place = place(&failure),
                "routing table kept: {failure}"
            );
        }
    }
    network.reload_tls().await;
    let Some(source) = source else { return };
    let changed = source
        .load()
        .and_then(|(config, _)| telemetry::change_level(&config.log.level));
    if let Err(failure) = changed {
        tracing::error!(
            code = failure.code,
            place = place(&failure),
            "log level kept: {failure}"
        );
    }
}

fn place(failure: &Failure) -> String {
    failure.position.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::new(
            Exit::Unexpected,
            "signal-failed",
            format!("cannot listen to signals: {error}"),
        )
    })
}
