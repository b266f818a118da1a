//! A Fachverfahren misbehaves, and is repaired.

use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::desk::Conduct;
use crate::drill::plan::Trouble;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::Failure;

/// It misbehaves for a while.
pub(super) async fn misbehave(stage: &Stage, trouble: Trouble, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let moment = Instant::now();
    arranged.undo();
    stage.network.desk.behave(Conduct::Troubled(trouble));
    // longer than the gateway waits for an answer
    sleep(BROKEN_FOR * 2).await;
    stage.network.desk.behave(Conduct::Good);
    Ok(moment)
}
