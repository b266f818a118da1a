//! The sender's certificate runs out, and is renewed.
//!
//! The sender gets a certificate that is good for some seconds, works with it until it has run out, and then gets
//! another one. What was signed in time stays good; nothing can be promised in between; afterwards all goes on. The
//! clients' requests are answered with an error of the gateway's meanwhile and repeated.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use viereck_routing::Purpose;

use super::BROKEN_FOR;
use crate::demo::site::SENDER;
use crate::drill::plan::Step;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::Failure;
use crate::keys::{self, Algorithm, Next, Place};

/// How long the short one is good for.
const SHORT: SignedDuration = SignedDuration::from_secs(12);
/// How long before its end messages are held at the step.
const HELD: Duration = Duration::from_secs(3);
/// How long the next one is good for.
const LONG: SignedDuration = SignedDuration::from_hours(24 * 300);

/// Lets it run out while messages stand at `step`, and renews it.
pub(super) async fn renew(stage: &Stage, step: Step, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    arranged.undo();
    let until = Timestamp::now() + SHORT;
    put_in_force(stage, until).await?;
    let left = |to: Timestamp| Duration::try_from(to.duration_since(Timestamp::now())).unwrap_or_default();
    sleep(left(until).saturating_sub(HELD)).await;
    let arranged = stage.arrange(step).await;
    sleep(left(until)).await;
    let moment = Instant::now();
    arranged.undo();
    sleep(BROKEN_FOR).await;
    put_in_force(stage, Timestamp::now() + LONG).await?;
    Ok(moment)
}

/// Enters another certificate for the sender and makes everybody use it.
async fn put_in_force(stage: &Stage, until: Timestamp) -> Result<(), Failure> {
    let now = Timestamp::now();
    let site = &stage.network.site;
    let next = Next {
        holder: SENDER,
        purpose: Purpose::Signing,
        algorithm: Algorithm::default(),
        ml_kem: false,
        from: now,
        until,
    };
    keys::enter(&Place::of(site.table(), site.keys()).changing()?, &next)?;
    stage.network.versions.changed()?;
    // everybody, and with a moment to read it: whoever verifies knows it before long
    stage.network.hang_up().await?;
    sleep(Duration::from_secs(1)).await;
    Ok(())
}
