//! The connection of one role to RabbitMQ breaks, or becomes slow.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::nodes::proxy::Weather;
use crate::drill::plan::Role;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::Failure;

/// A bad mobile connection.
const BAD: Weather = Weather::Slow {
    latency: Duration::from_millis(400),
    bytes_per_second: 64 << 10,
};

/// Every connection is reset, and new ones too.
pub(super) async fn cut(stage: &Stage, role: Role, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    through(stage, role, Weather::Cut, arranged).await
}

/// Everything takes its time.
pub(super) async fn slow(stage: &Stage, role: Role, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    through(stage, role, BAD, arranged).await
}

async fn through(stage: &Stage, role: Role, weather: Weather, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let moment = Instant::now();
    // what stood in the way of one role is gone first, or it would end this weather with it
    let cut_first = weather == Weather::Cut;
    if cut_first {
        stage.network.weather(role, weather);
    }
    arranged.undo();
    stage.network.weather(role, weather);
    sleep(BROKEN_FOR).await;
    stage.network.weather(role, Weather::Clear);
    Ok(moment)
}
