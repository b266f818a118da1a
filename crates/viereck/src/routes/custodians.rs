//! `viereck routes custodians`: who has a user at RabbitMQ, one a line with its role.
//!
//! The form is that of `deploy/rabbitmq/grant`, which gives the rights: `broker ID` or `gateway ID`. An identifier of the
//! table has only letters, digits and hyphens, so that no line can be read as anything else.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use viereck_routing::{CustodianId, Tables, day_in_berlin};

use crate::failure::Failure;
use crate::output;

/// `viereck routes custodians`.
#[derive(Debug, Args)]
pub struct Custodians {
    /// The routing table
    #[arg(value_name = "FOLDER", default_value = "routing-tables")]
    folder: PathBuf,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What a custodian is to the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Broker,
    Gateway,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Role::Broker => "broker",
            Role::Gateway => "gateway",
        }
    }
}

/// Everyone with a user, brokers first.
pub(crate) fn of(tables: &Tables) -> impl Iterator<Item = (Role, &CustodianId)> {
    let brokers = tables.brokers().map(|broker| (Role::Broker, &broker.id));
    brokers.chain(tables.gateways().map(|gateway| (Role::Gateway, &gateway.id)))
}

pub(super) fn run(args: &Custodians) -> Result<(), Failure> {
    let tables = super::load(&args.folder, day_in_berlin(Timestamp::now()))?.tables;
    if args.json {
        let all: Vec<_> = of(&tables)
            .map(|(role, id)| serde_json::json!({ "role": role, "id": id }))
            .collect();
        return output::json(&all);
    }
    let lines = of(&tables).map(|(role, id)| format!("{} {id}\n", role.as_str()));
    output::text(&lines.collect::<String>())
}
