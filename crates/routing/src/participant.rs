//! Who takes part: authorities, portals and registers, what each may write, and where its messages are delivered.
//!
//! Competence and delivery are two things: a participant can be competent for one Leistung and receive it at another
//! gateway than the rest. A deputy takes messages in for an authority that cannot; the authority stays the reader.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::ids::{BehoerdeId, GatewayId, LeistungId};
use crate::leistung::closed_words;
use crate::position::Position;
use crate::tables::Binding;
use crate::window::Window;
use crate::words::{Kind, Profile};

closed_words!(
    /// What a participant is.
    ParticipantKind {
        /// Decides on applications.
        Authority = "authority",
        /// Writes applications for online services and receives the answers.
        Portal = "portal",
        /// Answers queries.
        Register = "register",
    }
);

impl ParticipantKind {
    /// What every participant of this kind may write without an entry that says so.
    pub fn usual_kinds(self) -> &'static [Kind] {
        match self {
            ParticipantKind::Authority => &[Kind::Question, Kind::Status, Kind::Bescheid, Kind::Transfer],
            ParticipantKind::Portal => &[Kind::Application, Kind::Supplement, Kind::Withdrawal],
            ParticipantKind::Register => &[],
        }
    }

    /// Whether an entry may grant this kind at all: a portal never decides, an authority never applies.
    pub fn may_be_granted(self, kind: Kind) -> bool {
        matches!(kind, Kind::Query | Kind::Answer) || self.usual_kinds().contains(&kind)
    }
}

/// The lowest profile that a participant takes, and of which messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowestProfile {
    pub(crate) profile: Profile,
    /// Messages created before it are taken in any profile, so that a change of the entry loses none that is under way.
    pub(crate) from: Option<Timestamp>,
}

impl LowestProfile {
    /// Any profile will do.
    pub const ANY: LowestProfile = LowestProfile {
        profile: Profile::P1,
        from: None,
    };

    /// The lowest profile of a message that was created at this instant.
    pub fn of_created_at(&self, created: Timestamp) -> Profile {
        match self.from {
            Some(from) if created < from => Profile::P1,
            _ => self.profile,
        }
    }
}

/// A participant of the network.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Its DVDV key.
    pub id: BehoerdeId,
    /// Its name, for people.
    pub name: String,
    /// Where it sits.
    pub seat: Option<String>,
    /// Whom to call.
    pub contact: Option<String>,
    /// What it is.
    pub kind: ParticipantKind,
    /// The lowest envelope profile it takes.
    pub lowest_profile: LowestProfile,
    /// Where it stands in the tables.
    pub position: Position,
    pub(crate) authors: BTreeSet<Kind>,
    /// The Leistungen a portal writes applications for; `None` = any.
    pub(crate) leistungen: Option<BTreeSet<LeistungId>>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) deputies: Vec<Deputy>,
}

/// Where a participant's messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The gateway that serves it.
    pub gateway: GatewayId,
    /// Whether this delivery is for named Leistungen; then the routing key names the Leistung too.
    pub exact: bool,
    /// The Leistungen it is for; empty unless `exact`.
    pub leistungen: Vec<LeistungId>,
    /// The payload schemas it takes; empty = every schema of the Leistung.
    pub accepts: Vec<String>,
    /// When it holds.
    pub window: Window,
    /// Whose delivery this really is, when a deputy takes the messages in. They are encrypted for the deputy's key.
    pub deputy: Option<BehoerdeId>,
    /// Where it stands in the tables.
    pub position: Position,
}

/// An authority that takes messages in for another one.
#[derive(Debug, Clone)]
pub(crate) struct Deputy {
    pub(crate) behoerde: BehoerdeId,
    /// Empty = every Leistung.
    pub(crate) leistungen: BTreeSet<LeistungId>,
    pub(crate) window: Window,
    pub(crate) position: Position,
    /// The deputy's deliveries as they count for the authority, filled in once all authorities are known.
    pub(crate) deliveries: Vec<Delivery>,
}

impl Participant {
    /// Whether it may write messages of this kind.
    pub fn may_author(&self, kind: Kind) -> bool {
        self.authors.contains(&kind)
    }

    /// Whether it writes applications for this Leistung.
    pub fn writes_for(&self, leistung: &LeistungId) -> bool {
        self.leistungen.as_ref().is_none_or(|all| all.contains(leistung))
    }

    /// Its deputy's delivery if one stands in on that day, else its own: the one for this very Leistung before the
    /// one for all.
    pub fn delivery(&self, leistung: &LeistungId, on: Date) -> Option<&Delivery> {
        let deliveries = match self.deputies.iter().find(|deputy| deputy.stands_in(leistung, on)) {
            Some(deputy) => &deputy.deliveries,
            None => &self.deliveries,
        };
        let holds = |delivery: &&Delivery| delivery.window.contains(on);
        let exact = |delivery: &&Delivery| delivery.exact && delivery.leistungen.contains(leistung);
        let mut in_force = deliveries.iter().filter(holds);
        in_force
            .clone()
            .find(exact)
            .or_else(|| in_force.find(|delivery| !delivery.exact))
    }

    /// What is bound for it on a day, following deputies.
    pub(crate) fn bindings(&self, on: Date, into: &mut Vec<Binding>) {
        let named = self.all_deliveries().flat_map(|delivery| &delivery.leistungen);
        let overridden = self.deputies.iter().flat_map(|deputy| &deputy.leistungen);
        for leistung in named.chain(overridden).collect::<BTreeSet<_>>() {
            if let Some(delivery) = self.delivery(leistung, on).filter(|delivery| delivery.exact) {
                into.push(self.binding(Some(leistung), delivery));
            }
        }
        let deputy = self
            .deputies
            .iter()
            .find(|deputy| deputy.leistungen.is_empty() && deputy.window.contains(on));
        let deliveries = deputy.map_or(&self.deliveries, |deputy| &deputy.deliveries);
        let for_all = deliveries.iter().find(|d| !d.exact && d.window.contains(on));
        into.extend(for_all.map(|delivery| self.binding(None, delivery)));
    }

    fn binding(&self, leistung: Option<&LeistungId>, delivery: &Delivery) -> Binding {
        Binding {
            behoerde: self.id.clone(),
            leistung: leistung.cloned(),
            gateway: delivery.gateway.clone(),
        }
    }

    /// Every delivery by which something for it may arrive, on any day, deputies' included.
    pub fn all_deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries
            .iter()
            .chain(self.deputies.iter().flat_map(|deputy| &deputy.deliveries))
    }
}

impl Delivery {
    /// Whether it takes payloads of this schema.
    pub fn takes(&self, schema: &str) -> bool {
        self.accepts.is_empty() || self.accepts.iter().any(|accepted| accepted == schema)
    }
}

impl Deputy {
    fn stands_in(&self, leistung: &LeistungId, on: Date) -> bool {
        self.window.contains(on) && (self.leistungen.is_empty() || self.leistungen.contains(leistung))
    }
}
