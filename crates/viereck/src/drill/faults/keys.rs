//! Keys are changed as planned, while messages flow: every process reads the table and its keys again, none is started
//! anew, and nobody waits. What stood at the step was signed or sealed with the keys before.
//!
//! The next pair begins to count some seconds after it was entered, as the guide says: by then every process knows it,
//! whichever reads the table first.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use viereck_routing::Purpose;

use super::BROKEN_FOR;
use crate::demo::site::{BROKER, RECEIVER_SH, SENDER};
use crate::drill::plan::Rotation;
use crate::drill::stage::{Arranged, Stage};
use crate::drill::table;
use crate::failure::Failure;
use crate::keys::{self, Algorithm, Next, Place};

/// Who signs on the way of most messages.
const SIGNERS: [&str; 3] = [SENDER, BROKER, RECEIVER_SH];
/// Who reads most messages: the Behörde that may move, and the portal to which Bescheide go.
const READERS: [&str; 2] = [table::MOVING_BEHOERDE, "wgp:010000000000"];
/// How long before it counts the next pair is entered.
const AHEAD: SignedDuration = SignedDuration::from_secs(5);
/// How long it is good for.
const LONG: SignedDuration = SignedDuration::from_hours(24 * 300);

/// Changes keys while messages stand at the step, and lets them go on when the new ones count.
pub(super) async fn rotate(stage: &Stage, rotation: Rotation, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let moment = Instant::now();
    match rotation {
        Rotation::Signing => next(stage, &SIGNERS, Purpose::Signing, false).await?,
        Rotation::Encryption => next(stage, &READERS, Purpose::Encryption, false).await?,
        Rotation::Profile => {
            next(stage, &READERS, Purpose::Encryption, true).await?;
            let from = Timestamp::now() + AHEAD;
            table::raise_profile(&stage.network.site.table(), Some(from))?;
            in_force(stage, from).await?;
        }
    }
    arranged.undo();
    sleep(BROKEN_FOR).await;
    if rotation == Rotation::Profile {
        // and back again, so that both ways are gone
        table::raise_profile(&stage.network.site.table(), None)?;
        next(stage, &READERS, Purpose::Encryption, false).await?;
        sleep(BROKEN_FOR).await;
    }
    Ok(moment)
}

/// Enters the next pair of each holder and waits until it counts.
async fn next(stage: &Stage, holders: &[&str], purpose: Purpose, ml_kem: bool) -> Result<(), Failure> {
    let site = &stage.network.site;
    let from = Timestamp::now() + AHEAD;
    for holder in holders {
        let now = Timestamp::now();
        let next = Next {
            holder,
            purpose,
            algorithm: Algorithm::default(),
            ml_kem,
            from,
            until: now + LONG,
        };
        keys::enter(&Place::of(site.table(), site.keys()).changing()?, &next)?;
    }
    in_force(stage, from).await
}

/// Tells everybody to read the table, and waits until the instant has passed.
async fn in_force(stage: &Stage, from: Timestamp) -> Result<(), Failure> {
    stage.network.versions.changed()?;
    stage.network.hang_up().await?;
    let left = from.duration_since(Timestamp::now());
    sleep(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1)).await;
    Ok(())
}
