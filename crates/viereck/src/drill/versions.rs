//! The routing tables that were in force during the drill, and who is competent under them.
//!
//! An application that is filed while the table changes may go to the old or to the new authority, whichever table its
//! gateway had; anybody else is a mistake. The answers come from the routing room itself, not from a gateway.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use viereck_routing::{BehoerdeId, GatewayId, Outcome, Place, Tables, day_in_berlin};

use crate::failure::Failure;
use crate::routes;

/// How long a gateway may go on with the table before after it was told of another.
const OVERLAP: Duration = Duration::from_secs(10);

/// The tables, oldest first.
pub(super) struct Versions {
    folder: PathBuf,
    all: Mutex<Vec<Version>>,
}

struct Version {
    tables: Tables,
    /// When another one took its place.
    until: Option<Instant>,
}

impl Versions {
    /// The table in `folder` as it is now.
    pub(super) fn new(folder: PathBuf) -> Result<Self, Failure> {
        let versions = Self {
            folder,
            all: Mutex::default(),
        };
        versions.changed()?;
        Ok(versions)
    }

    /// The table in the folder is another one now. To be called before anybody is told to read it.
    pub(super) fn changed(&self) -> Result<(), Failure> {
        let tables = routes::load(&self.folder, day_in_berlin(Timestamp::now()))?.tables;
        let mut all = self.all();
        if let Some(last) = all.last_mut() {
            last.until = Some(Instant::now());
        }
        all.push(Version { tables, until: None });
        Ok(())
    }

    /// Who was competent at some moment between `since` and now.
    pub(super) fn competent(&self, leistung: &str, region: &str, since: Instant) -> Vec<BehoerdeId> {
        let (Ok(leistung), Ok(ars)) = (leistung.parse(), region.parse()) else {
            return vec![];
        };
        let today = day_in_berlin(Timestamp::now());
        let all = self.all();
        let in_force = all
            .iter()
            .filter(|version| version.until.is_none_or(|until| until + OVERLAP > since));
        let named =
            in_force.filter_map(
                |version| match version.tables.resolve(&leistung, &Place::Ars(ars), today).outcome {
                    Outcome::Route(route) => Some(route.behoerde.clone()),
                    _ => None,
                },
            );
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether any of the tables sent messages for `behoerde` to `gateway`.
    pub(super) fn delivers(&self, behoerde: &BehoerdeId, leistung: &str, gateway: &GatewayId) -> bool {
        let Ok(leistung) = leistung.parse() else {
            return false;
        };
        let today = day_in_berlin(Timestamp::now());
        let all = self.all();
        all.iter().any(|version| {
            let delivery = version.tables.delivery(behoerde, &leistung, today);
            delivery.is_some_and(|delivery| delivery.gateway == *gateway)
        })
    }

    /// Uses the table in force.
    pub(super) fn now<R>(&self, with: impl FnOnce(&Tables) -> R) -> Option<R> {
        self.all().last().map(|version| with(&version.tables))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Version>> {
        // whole after every statement
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
