//! The wall clock of a role jumps while it works, and jumps back.
//!
//! The role runs under a clock of its own meanwhile, from before the load begins.

use jiff::SignedDuration;
use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::nodes::clock::Clock;
use crate::drill::plan::{Jump, Role};
use crate::drill::stage::{Arranged, Stage};
use crate::failure::Failure;

/// How far it jumps: half a minute more than verifiers tolerate. What was signed by a clock ahead is believed half a
/// minute later, not by anybody's repeat.
const JUMP: SignedDuration = SignedDuration::from_secs(5 * 60 + 30);

/// Starts the role under a clock of its own, which is right for now.
pub(super) async fn prepare(stage: &Stage, role: Role) -> Result<(), Failure> {
    for member in stage.network.of(role) {
        member.restart(Some(Clock::new()?)).await?;
    }
    Ok(())
}

/// The clock jumps, and jumps back.
pub(super) async fn jump(stage: &Stage, role: Role, jump: Jump, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let offset = match jump {
        Jump::Forward => JUMP,
        Jump::Back => -JUMP,
    };
    let members = stage.network.struck(role);
    let moment = Instant::now();
    for member in &members {
        member.shift_clock(offset).await?;
    }
    arranged.undo();
    sleep(BROKEN_FOR).await;
    for member in &members {
        member.shift_clock(SignedDuration::ZERO).await?;
    }
    Ok(moment)
}

/// Back under the clock of the host.
pub(super) async fn clear(stage: &Stage, role: Role) -> Result<(), Failure> {
    for member in stage.network.of(role) {
        member.restart(None).await?;
    }
    Ok(())
}
