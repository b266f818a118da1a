//! The faults, one family a file. Each is a story: it strikes what [`Arranged`] holds in place, lets messages go on, and
//! repairs what it broke.

mod certificate;
mod clocks;
mod disks;
mod fachverfahren;
mod journals;
mod keys;
mod lines;
mod pages;
mod poison;
mod processes;
mod rabbitmq;
mod tables;

use std::time::Duration;

use tokio::time::Instant;

use super::plan::{Change, Fault, Strike};
use super::stage::{Arranged, Stage};
use crate::failure::Failure;

/// How long something stays broken: long enough that whoever waits for it notices, short enough that a drill ends.
const BROKEN_FOR: Duration = Duration::from_secs(4);

impl Stage {
    /// What has to be there before the load begins, and may take a while.
    pub(super) async fn prepare(&self, strike: Strike) -> Result<(), Failure> {
        match strike.fault {
            Fault::Clock(role, _) => clocks::prepare(self, role).await,
            Fault::CorruptJournal(role) => pages::prepare(self, role).await,
            fault if fault.needs_repeats() => self.network.repeat_soon().await,
            _ => Ok(()),
        }
    }

    /// Strikes and repairs. Gives the moment of the strike.
    pub(super) async fn strike(&self, strike: Strike, arranged: Arranged<'_>) -> Result<Instant, Failure> {
        match strike.fault {
            Fault::Kill(role) => processes::kill(self, role, arranged).await,
            Fault::Freeze(role) => processes::freeze(self, role, arranged).await,
            Fault::Cut(role) => lines::cut(self, role, arranged).await,
            Fault::Slow(role) => lines::slow(self, role, arranged).await,
            Fault::FullDisk(role) => disks::full(self, role, arranged).await,
            Fault::FailingFsync(role) => disks::failing_fsync(self, role, arranged).await,
            Fault::Clock(role, jump) => clocks::jump(self, role, jump, arranged).await,
            Fault::CorruptJournal(role) => pages::overwrite(self, role, arranged).await,
            Fault::Node(fault) => rabbitmq::strike(self, fault, arranged).await,
            Fault::Fachverfahren(trouble) => fachverfahren::misbehave(self, trouble, arranged).await,
            Fault::Poison(poison) => poison::publish(self, poison, arranged).await,
            Fault::JournalServer => journals::kill(self, arranged).await,
            Fault::Keys(rotation) => keys::rotate(self, rotation, arranged).await,
            Fault::Certificate => certificate::renew(self, strike.step, arranged).await,
            Fault::Table(Change::Good) => tables::good(self, arranged).await,
            Fault::Table(Change::Broken) => tables::broken(self, arranged).await,
            Fault::Table(Change::Move) => tables::moved(self, arranged).await,
        }
    }

    /// What was made before the load began is taken back.
    pub(super) async fn clear(&self, strike: Strike) -> Result<(), Failure> {
        match strike.fault {
            Fault::Clock(role, _) => clocks::clear(self, role).await,
            _ => Ok(()),
        }
    }
}
