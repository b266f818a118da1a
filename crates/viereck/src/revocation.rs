//! Revocation lists: fetched on a schedule, kept on disk, and given to the routing table in force.
//!
//! Which issuers have lists, and where, says the table; what a list means for a certificate decides the routing crate.
//! Guarantees: a list that was had survives a restart, together with when it was fetched, so that the grace does not
//! begin anew; what does not verify replaces nothing; a list is bounded. One file for each issuer, named by the digest of
//! its key. Does not: judge anything by itself.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use viereck_custody::CurrentTables;
use viereck_routing::{Digest, ListSource, ListState, Tables};

use crate::config::Revocation;
use crate::failure::Failure;
use crate::http_client;
use crate::telemetry::metrics::REVOCATION_LIST;

/// For one fetch.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest list that is taken; the largest of public authorities have some MiB.
const LONGEST: usize = 32 << 20;
/// How soon a fetch that failed is tried again, at the latest.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// What is kept of one issuer's list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    /// Whose list it is, for people.
    issuer: String,
    /// Since when it is asked for.
    asked: Timestamp,
    /// When it was last fetched.
    fetched: Option<Timestamp>,
    /// The list, DER or PEM, in base64.
    list: Option<String>,
}

/// Gives the tables what was kept; changes nothing on disk. Lists that do not verify any more are left out, with a word.
pub(crate) fn restore(folder: &Path, tables: &Tables, now: Timestamp) {
    for source in tables.list_sources().iter().filter(|source| source.url.is_some()) {
        let kept = read(folder, &source.issuer);
        tables.await_list(&source.issuer, kept.as_ref().map_or(now, |kept| kept.asked.min(now)));
        let Some((list, fetched)) = kept.as_ref().and_then(Kept::octets) else {
            continue;
        };
        if let Err(error) = tables.take_kept_list(&source.issuer, &list, fetched, now) {
            tracing::warn!(
                code = error.code(),
                issuer = source.name,
                "a kept revocation list is not used: {error}"
            );
        }
    }
}

impl Kept {
    fn octets(&self) -> Option<(Vec<u8>, Timestamp)> {
        let list = base64_simd::STANDARD.decode_to_vec(self.list.as_ref()?).ok()?;
        Some((list, self.fetched?))
    }
}

fn place(folder: &Path, issuer: &Digest) -> PathBuf {
    folder.join(format!("{issuer}.json"))
}

fn read(folder: &Path, issuer: &Digest) -> Option<Kept> {
    let text = std::fs::read(place(folder, issuer)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Written beside its place and renamed, so that a crash leaves the old one.
fn write(folder: &Path, issuer: &Digest, kept: &Kept) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.as_file().sync_all()?;
    file.persist(place(folder, issuer))?;
    Ok(())
}

/// What keeps the lists of one process fresh.
pub(crate) struct Watch {
    settings: Revocation,
    tables: CurrentTables,
    http: reqwest::Client,
}

/// Why a list was not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("revocation-list-unreachable: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("revocation-list-too-long: it has more than {LONGEST} octets")]
    TooLong,
    #[error("{code}: {0}", code = .0.code())]
    Refused(#[from] viereck_routing::ListError),
}

impl FetchError {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            FetchError::Unreachable(_) => "revocation-list-unreachable",
            FetchError::TooLong => "revocation-list-too-long",
            FetchError::Refused(error) => error.code(),
        }
    }
}

impl Watch {
    /// # Errors
    /// When the host's TLS cannot be set up.
    pub(crate) fn new(settings: Revocation, tables: CurrentTables) -> Result<Self, Failure> {
        let http = http_client::new(None, PATIENCE)?;
        Ok(Self { settings, tables, http })
    }

    /// Fetches until `shutdown`: at once, at every change of the table, and on the schedule; what failed a little sooner.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut open = true;
        let mut due: BTreeMap<Digest, tokio::time::Instant> = BTreeMap::new();
        loop {
            let tables = self.tables.borrow_and_update().clone();
            let sources: Vec<_> = tables.list_sources().to_vec();
            due.retain(|issuer, _| sources.iter().any(|source| source.issuer == *issuer));
            for source in sources.iter().filter(|source| source.url.is_some()) {
                let now = tokio::time::Instant::now();
                if due.get(&source.issuer).is_some_and(|due| *due > now) {
                    continue;
                }
                let Some(had) = shutdown
                    .run_until_cancelled(self.refresh(source, &tables, Timestamp::now()))
                    .await
                else {
                    return;
                };
                let every = self.settings.every();
                let pause = if had { every } else { every.min(AGAIN) };
                due.insert(source.issuer, tokio::time::Instant::now() + pause);
            }
            show(&tables, Timestamp::now());
            let next = due.values().min().copied();
            let wait = next.map_or(self.settings.every(), |next| {
                next.saturating_duration_since(tokio::time::Instant::now())
            });
            tokio::select! {
                () = shutdown.cancelled() => return,
                // a closed channel means that no other table will come
                changed = self.tables.changed(), if open => {
                    open = changed.is_ok();
                    due.clear();
                }
                () = tokio::time::sleep(wait.max(Duration::from_secs(1))) => {}
            }
        }
    }

    /// Fetches one list, gives it to the tables and keeps it. Whether it was had.
    pub(crate) async fn refresh(&self, source: &ListSource, tables: &Arc<Tables>, now: Timestamp) -> bool {
        let Some(url) = &source.url else { return true };
        let folder = &self.settings.folder;
        let earlier = read(folder, &source.issuer);
        let asked = earlier.as_ref().map_or(now, |kept| kept.asked.min(now));
        tables.await_list(&source.issuer, asked);
        let kept = match self.fetch(url, source, tables, now).await {
            Ok((list, state)) => {
                tracing::info!(issuer = source.name, next_update = %state.next_update, "revocation list taken");
                Kept {
                    issuer: source.name.clone(),
                    asked,
                    fetched: Some(now),
                    list: Some(base64_simd::STANDARD.encode_to_string(list)),
                }
            }
            Err(error) => {
                let code = error.code();
                match tables.list_is_reliable(&source.issuer, now) {
                    true => tracing::warn!(
                        code,
                        issuer = source.name,
                        "revocation list not had, again later: {error}"
                    ),
                    false => tracing::error!(
                        code,
                        issuer = source.name,
                        alarm = "revocation",
                        "nobody can say what this issuer has revoked: nothing is sealed for its keys: {error}"
                    ),
                }
                if earlier.is_some() {
                    return false;
                }
                Kept {
                    issuer: source.name.clone(),
                    asked,
                    fetched: None,
                    list: None,
                }
            }
        };
        let had = kept.fetched.is_some();
        if let Err(error) = write(folder, &source.issuer, &kept) {
            let folder = folder.display();
            tracing::error!(%folder, %error, alarm = "revocation", "a revocation list could not be kept");
        }
        had
    }

    async fn fetch(
        &self,
        url: &str,
        source: &ListSource,
        tables: &Tables,
        now: Timestamp,
    ) -> Result<(Vec<u8>, ListState), FetchError> {
        let answer = self.http.get(url).send().await?.error_for_status()?;
        let mut list = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if list.len() + piece.len() > LONGEST {
                return Err(FetchError::TooLong);
            }
            list.extend_from_slice(&piece);
        }
        let state = tables.take_list(&source.issuer, &list, now)?;
        Ok((list, state))
    }
}

/// Shows until when each list can be relied on, and alarms where that has passed for a list in the table's folder.
fn show(tables: &Tables, now: Timestamp) {
    for source in tables.list_sources() {
        let until = tables
            .list_state(&source.issuer)
            .map_or(0, |state| state.reliable_until.as_second());
        REVOCATION_LIST.gauge(&[source.name.clone().into()]).set(until as f64);
        if source.url.is_none() && !tables.list_is_reliable(&source.issuer, now) {
            tracing::error!(
                code = "revocation-list-stale",
                issuer = source.name,
                alarm = "revocation",
                "the list in the table's folder is too old: nothing is sealed for this issuer's keys"
            );
        }
    }
}

#[cfg(test)]
mod tests;
