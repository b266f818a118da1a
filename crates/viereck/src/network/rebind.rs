//! Keys that change while the process runs.
//!
//! The keys of every role are read anew with each routing table that is put in force, and at each instant at which a
//! certificate of the table in force, whosever it is, begins or ends to count. Guarantees: such an instant is not missed
//! when it passes while the process starts or the clock jumps ahead; a set that does not fit is an alarm and replaces
//! nothing; work that has begun ends with the keys it began with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use viereck_custody::CurrentTables;
use viereck_envelope::Signer;
use viereck_gateway::Keys;
use viereck_routing::{CustodianId, GatewayId, Tables};

use super::prepared::Sources;

/// The longest sleep: a clock that jumps is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The keys in force of every role of this process. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct InForce {
    pub(super) gateways: BTreeMap<GatewayId, watch::Sender<Keys>>,
    pub(super) broker: Option<(CustodianId, watch::Sender<Arc<Signer>>)>,
}

impl InForce {
    /// Reads all keys anew and puts in force what fits the tables. Blocks while it reads.
    pub(super) fn rebind(&self, sources: &Sources, tables: &Tables) {
        for (id, sender) in &self.gateways {
            match sources.gateway(id, tables) {
                Ok(fresh) => {
                    let signs_with = fresh.signer.certificate().sha256();
                    sender.send_modify(|keys| *keys = keys.renewed(fresh));
                    tracing::info!(gateway = %id, %signs_with, "keys in force");
                }
                Err(failure) => {
                    let code = failure.code;
                    tracing::error!(gateway = %id, code, alarm = "certificate", "own keys do not fit the table: {failure}");
                }
            }
        }
        if let Some((id, sender)) = &self.broker {
            match sources.broker(tables) {
                Ok(Some(signer)) => {
                    sender.send_replace(signer);
                }
                Ok(None) => {}
                Err(failure) => {
                    let code = failure.code;
                    tracing::error!(broker = %id, code, alarm = "certificate", "own keys do not fit the table: {failure}");
                }
            }
        }
    }

    /// Reads the keys anew whenever a certificate begins or ends to count, until `shutdown`. What is in force now was
    /// read at `since`.
    pub(super) async fn follow(
        self,
        sources: Sources,
        mut current: CurrentTables,
        since: Timestamp,
        shutdown: CancellationToken,
    ) {
        let mut open = true;
        let mut seen = since;
        loop {
            let tables = current.borrow_and_update().clone();
            let now = Timestamp::now();
            // a change that lies between two looks has come, however the clock got past it
            if tables
                .pinned_certificates()
                .any(|pin| [pin.from, pin.until].iter().any(|at| seen < *at && *at <= now))
            {
                let (keys, sources, tables) = (self.clone(), sources.clone(), Arc::clone(&tables));
                let reading = tokio::task::spawn_blocking(move || keys.rebind(&sources, &tables));
                if let Err(error) = reading.await {
                    tracing::error!(%error, alarm = "internal", "reading the keys broke off");
                }
            }
            seen = now;
            let next = tables
                .pinned_certificates()
                .flat_map(|pin| [pin.from, pin.until])
                .filter(|at| *at > now)
                .min();
            let until_next = next
                .map(|at| at.duration_since(now))
                .and_then(|left| Duration::try_from(left).ok());
            let sleep = until_next.map_or(LONGEST_SLEEP, |left| left.min(LONGEST_SLEEP));
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = current.changed(), if open => open = changed.is_ok(),
                () = tokio::time::sleep(sleep.max(Duration::from_millis(50))) => {}
            }
        }
    }
}
