//! The moment of a strike: messages are brought to one step of custody and kept there until something has broken.
//!
//! Where a step can be seen from outside it is waited for: requests that are open at the Fachverfahren, effects whose
//! acknowledgement cannot get through, promises that the link cannot confirm. Where it cannot be seen in time the strike
//! is made all the same, under the load, and the account says so.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::book::Book;
use super::desk::Conduct;
use super::load::Load;
use super::network::Network;
use super::nodes::proxy::{Side, Weather};
use super::plan::{Role, Step};
use crate::demo::stand_ins::Gate;
use crate::failure::{Exit, Failure};

/// How long a step is waited for. Longer, and the link would end its silent connections by itself.
const SEEN: Duration = Duration::from_secs(6);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);
/// How long what is under way may take to arrive, before a line is stalled.
const CALM: Duration = Duration::from_secs(3);
/// Applications that are filed while a line is stalled: fewer than a gateway fetches at once.
const BEHIND_THE_STALL: usize = 16;
/// The latency with which messages pile up at the broker.
const SLUGGISH: Weather = Weather::Slow {
    latency: Duration::from_millis(250),
    bytes_per_second: 4 << 20,
};

/// Everything a strike has to do with.
pub(super) struct Stage {
    pub(super) network: Network,
    pub(super) load: Load,
    pub(super) book: Arc<Book>,
}

/// Messages stand at a step; whoever holds this keeps them there.
pub(super) struct Arranged<'a> {
    stage: &'a Stage,
    /// Applications that are filed only afterwards.
    rest: usize,
    lines: Option<Role>,
    gate: Option<Gate>,
    /// Whether the step was seen from outside.
    pub(super) seen: bool,
}

impl Stage {
    /// Brings messages to `step`.
    pub(super) async fn arrange(&self, step: Step) -> Arranged<'_> {
        // what is fetched behind a stalled line must not be what was on its way before
        let rest = match step {
            Step::Take | Step::Evidence => self.calm().await,
            _ => 0,
        };
        let mark = self.book.drawn();
        let promised = || self.book.promised_since(mark);
        let acted = || self.network.desk.acted_since(mark as u64);
        let mut arranged = match step {
            Step::Promise => self.arranged(None, None, || self.load.posting() >= 3).await,
            Step::Publish => {
                let lines = self.set(Role::Sender, Weather::StalledFrom(Side::Server));
                self.arranged(lines, None, || promised() >= 3).await
            }
            Step::Relay => {
                let lines = self.set(Role::Broker, SLUGGISH);
                self.arranged(lines, None, || promised() >= 5 && promised() > acted() + 3)
                    .await
            }
            Step::Take => {
                let lines = self.set(Role::Receiver, Weather::StalledFrom(Side::Client));
                self.load.allow(rest.min(BEHIND_THE_STALL));
                self.arranged(lines, None, || acted() >= 2).await
            }
            Step::HandOver => {
                let gate = Gate::closed();
                self.network.desk.behave(Conduct::Held(gate.clone()));
                self.arranged(None, Some(gate.clone()), || gate.came() >= 2).await
            }
            Step::Evidence => {
                let lines = self.set(Role::Sender, Weather::StalledFrom(Side::Server));
                self.load.allow(rest.min(BEHIND_THE_STALL));
                self.arranged(lines, None, || acted() >= 2).await
            }
        };
        arranged.rest = rest.saturating_sub(BEHIND_THE_STALL);
        arranged
    }

    /// Holds the load back until hardly anything is on its way; says how much of it was held back.
    async fn calm(&self) -> usize {
        let rest = self.load.forgo();
        let begun = Instant::now();
        let on_its_way = || {
            self.book
                .promised_since(0)
                .saturating_sub(self.network.desk.acted_since(0))
        };
        while on_its_way() > 3 && begun.elapsed() < CALM {
            sleep(LOOK).await;
        }
        rest
    }

    async fn arranged(&self, lines: Option<Role>, gate: Option<Gate>, stands: impl Fn() -> bool) -> Arranged<'_> {
        let begun = Instant::now();
        let mut seen = stands();
        while !seen && begun.elapsed() < SEEN {
            sleep(LOOK).await;
            seen = stands();
        }
        Arranged {
            stage: self,
            rest: 0,
            lines,
            gate,
            seen,
        }
    }

    fn set(&self, role: Role, weather: Weather) -> Option<Role> {
        self.network.weather(role, weather);
        Some(role)
    }

    /// Waits until `holds`.
    ///
    /// # Errors
    /// `drill-stuck` when it does not within `deadline`.
    pub(super) async fn until(
        &self,
        what: &str,
        deadline: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        while !holds() {
            if begun.elapsed() > deadline {
                let sentence = format!("{} s were not enough for this: {what}.", deadline.as_secs());
                return Err(Failure::new(Exit::Unexpected, "drill-stuck", sentence));
            }
            sleep(LOOK * 4).await;
        }
        Ok(())
    }
}

impl Network {
    /// Changes the weather on every line of `role`.
    pub(super) fn weather(&self, role: Role, weather: Weather) {
        for member in self.of(role) {
            member.weather(weather);
        }
    }
}

impl Arranged<'_> {
    /// Lets messages go on.
    pub(super) fn undo(self) {
        drop(self);
    }
}

impl Drop for Arranged<'_> {
    fn drop(&mut self) {
        if let Some(role) = self.lines {
            self.stage.network.weather(role, Weather::Clear);
        }
        self.stage.load.allow(self.rest);
        if let Some(gate) = &self.gate {
            self.stage.network.desk.behave(Conduct::Good);
            gate.open();
        }
    }
}
