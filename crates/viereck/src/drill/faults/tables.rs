//! The routing table changes under load: well, badly, and by a move from one gateway to another.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::nodes::proxy::Weather;
use crate::drill::plan::Role;
use crate::drill::stage::{Arranged, Stage};
use crate::drill::table;
use crate::failure::Failure;

/// The broker's line while a Behörde moves: between two orders to RabbitMQ there is time for messages.
const SLOW: Weather = Weather::Slow {
    latency: Duration::from_millis(150),
    bytes_per_second: 4 << 20,
};

/// A municipality gets another Behörde, and the old one again.
pub(super) async fn good(stage: &Stage, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    arranged.undo();
    let moment = Instant::now();
    for back in [false, true] {
        table::change_competence(&stage.network.site.table(), back)?;
        in_force(stage).await?;
        sleep(BROKEN_FOR).await;
    }
    Ok(moment)
}

/// The files do not load: every process goes on with what it has.
pub(super) async fn broken(stage: &Stage, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    arranged.undo();
    let moment = Instant::now();
    table::break_table(&stage.network.site.table(), false)?;
    stage.network.hang_up().await?;
    sleep(BROKEN_FOR).await;
    table::break_table(&stage.network.site.table(), true)?;
    stage.network.hang_up().await?;
    Ok(moment)
}

/// A Behörde moves to the other receiver gateway and back, while the broker's line is slow.
pub(super) async fn moved(stage: &Stage, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    arranged.undo();
    stage.network.weather(Role::Broker, SLOW);
    let moment = Instant::now();
    for back in [false, true] {
        table::move_behoerde(&stage.network.site.table(), back)?;
        in_force(stage).await?;
        sleep(BROKEN_FOR).await;
    }
    stage.network.weather(Role::Broker, Weather::Clear);
    Ok(moment)
}

/// The table in the folder is put in force everywhere.
async fn in_force(stage: &Stage) -> Result<(), Failure> {
    stage.network.versions.changed()?;
    stage.network.hang_up().await
}
