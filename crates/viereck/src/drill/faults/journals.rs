//! The PostgreSQL that holds every journal is killed, and started again.

use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::{Exit, Failure};

/// kill -9 of the server; nobody can write anything down for a while.
pub(super) async fn kill(stage: &Stage, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let Some(journals) = &stage.network.journals else {
        let sentence = "There is no PostgreSQL in this drill.";
        return Err(Failure::new(Exit::Unexpected, "drill-without-postgres", sentence));
    };
    let moment = Instant::now();
    journals.server.kill().await?;
    arranged.undo();
    sleep(BROKEN_FOR).await;
    journals.server.restart().await?;
    Ok(moment)
}
