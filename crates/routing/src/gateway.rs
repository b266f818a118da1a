//! Gateways, brokers and clients: the programs of the network and what each is entitled to.

use std::collections::BTreeSet;

use crate::ids::{BehoerdeId, ClientId, CustodianId, GatewayId, LeistungId};
use crate::position::Position;

/// A gateway and the participants it works for.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Its name.
    pub id: GatewayId,
    /// Who runs it.
    pub operator: String,
    /// Whom to call.
    pub contact: String,
    /// Where it stands in the tables.
    pub position: Position,
    pub(crate) serves: BTreeSet<BehoerdeId>,
    pub(crate) speaks_for: BTreeSet<BehoerdeId>,
}

impl Gateway {
    /// Whether it may sign messages of this author.
    ///
    /// A right taken from a delivery ends when the entry is removed, not when its last day passes: the gateway still
    /// answers for the cases it holds.
    pub fn speaks_for(&self, author: &BehoerdeId) -> bool {
        self.speaks_for.contains(author)
    }

    /// Whether it may take messages in for this reader.
    pub fn serves(&self, reader: &BehoerdeId) -> bool {
        self.serves.contains(reader)
    }

    /// Everyone it serves, sorted.
    pub fn served(&self) -> impl Iterator<Item = &BehoerdeId> {
        self.serves.iter()
    }
}

/// A broker: the middle, named as custodian in receipts.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its name, shared by its workers.
    pub id: CustodianId,
    /// Who runs it.
    pub operator: String,
    /// Whom to call.
    pub contact: String,
    /// Where it stands in the tables.
    pub position: Position,
}

/// An online service that may post applications, and its bounds.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its name.
    pub id: ClientId,
    /// The gateway it posts to.
    pub gateway: GatewayId,
    /// The portals it may write as.
    pub authors: Vec<BehoerdeId>,
    /// The Leistungen it may post for.
    pub leistungen: BTreeSet<LeistungId>,
    /// The keys of the Länder it may reach; `00` stands for authorities of the Bund.
    pub laender: BTreeSet<String>,
    /// How much it may post.
    pub quota: Quota,
    /// How the authorisation server names it in its access tokens, if it gets any.
    pub oauth_client: Option<String>,
    /// With what it has to show who it is.
    pub proof: Proof,
    /// Where it stands in the tables.
    pub position: Position,
}

/// With what a client has to show who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A token or a certificate of its own, whichever it has.
    Any,
    /// Its certificate, with or without a token; a token alone is not enough.
    Certificate,
}

/// How much a client may post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Submissions a minute.
    pub per_minute: u32,
}

impl Client {
    /// Whether it may post for this Leistung.
    pub fn may_post(&self, leistung: &LeistungId) -> bool {
        self.leistungen.contains(leistung)
    }

    /// Whether it may reach authorities of this Land; `None` = of the Bund.
    pub fn may_reach(&self, land: Option<&str>) -> bool {
        self.laender.contains(land.unwrap_or("00"))
    }
}
