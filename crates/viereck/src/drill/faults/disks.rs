//! The disk under a journal fails: no room, or an fsync that says so.
//!
//! A process may go on and refuse, or end with an alarm; then it is started again, as a service manager would.

use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::nodes::injection::Injection;
use crate::drill::plan::Role;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::Failure;

/// Every write fails.
pub(super) async fn full(stage: &Stage, role: Role, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    fail(stage, role, Injection::FullDisk, arranged).await
}

/// Every fsync fails.
pub(super) async fn failing_fsync(stage: &Stage, role: Role, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    fail(stage, role, Injection::FailFsync, arranged).await
}

async fn fail(stage: &Stage, role: Role, injection: Injection, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let members = stage.network.of(role);
    let mut injected = vec![];
    for member in &members {
        injected.extend(member.inject(injection).await?);
    }
    let moment = Instant::now();
    arranged.undo();
    sleep(BROKEN_FOR).await;
    for injected in injected {
        injected.end().await?;
    }
    for member in &members {
        member.ready().await?;
    }
    Ok(moment)
}
