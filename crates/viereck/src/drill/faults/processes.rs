//! A process is killed, or stands still.

use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::plan::Role;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::Failure;

/// kill -9, and a new start at once, as a service manager would.
pub(super) async fn kill(stage: &Stage, role: Role, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let members = stage.network.struck(role);
    let moment = Instant::now();
    for member in &members {
        member.kill().await?;
    }
    arranged.undo();
    for member in &members {
        member.start().await?;
    }
    for member in &members {
        member.ready().await?;
    }
    Ok(moment)
}

/// SIGSTOP for a while. Its connections stay open, and whoever waits for it has to find out by itself.
pub(super) async fn freeze(stage: &Stage, role: Role, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let members = stage.network.struck(role);
    let moment = Instant::now();
    for member in &members {
        member.freeze().await?;
    }
    arranged.undo();
    // longer than what the link waits for a sign of life
    sleep(BROKEN_FOR * 3).await;
    for member in &members {
        member.thaw().await?;
    }
    Ok(moment)
}
