//! Which entry of the routing table decided where a message goes, where that release is at hand.

use jiff::Timestamp;
use serde::Serialize;
use viereck_custody::MessageView;
use viereck_routing::{Digest, Outcome, Place, Tables, day_in_berlin};

/// What is known of the decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Decision {
    /// The release that decided; none for a message that was not routed by one.
    pub(super) release: Option<Digest>,
    /// Whether a table of that release was at hand.
    pub(super) at_hand: bool,
    /// Where the entry stands: file, line, column.
    pub(super) entry: Option<String>,
}

/// What the tables at hand say of the decision for `message`.
pub(super) fn decision(message: &MessageView, tables: &[Tables]) -> Decision {
    let release = message.release;
    let table = tables.iter().find(|table| Some(table.release()) == release);
    Decision {
        release,
        at_hand: table.is_some(),
        entry: table.and_then(|table| entry(message, table)),
    }
}

/// The place of the applicant does not travel in the clear; any place of the region is decided by the same entry, if the
/// answer for it names that region.
fn entry(message: &MessageView, tables: &Tables) -> Option<String> {
    let region = message.region?;
    let on = day_in_berlin(message.filed_at);
    let places = tables.municipalities().filter(|place| region.contains(&place.ars));
    places
        .filter_map(
            |place| match tables.resolve(&message.leistung, &Place::Ars(place.ars), on).outcome {
                Outcome::Route(route) if route.matched_region == region && route.behoerde == message.reader => {
                    Some(route.position.to_string())
                }
                _ => None,
            },
        )
        .next()
}

/// The tables that the configurations name, as far as they load.
pub(super) fn at_hand<'a>(folders: impl Iterator<Item = &'a std::path::Path>) -> Vec<Tables> {
    let today = day_in_berlin(Timestamp::now());
    let mut seen: Vec<&std::path::Path> = Vec::new();
    let mut tables = Vec::new();
    for folder in folders {
        if !seen.contains(&folder) {
            seen.push(folder);
            tables.extend(Tables::load(folder, today).map(|loaded| loaded.tables).ok());
        }
    }
    tables
}
