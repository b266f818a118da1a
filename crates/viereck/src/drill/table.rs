//! The routing table of the drill: the sample table, widened for a load, and the changes that are made to it.
//!
//! One Behörde is served by both receiver gateways from the beginning (one Leistung each way), so that both have its key
//! and may take for it; a move is then nothing but another delivery in the table, as with real authorities.

use std::path::Path;

use jiff::Timestamp;

use crate::demo::applications::EINBUERGERUNG;
use crate::demo::site::{RECEIVER_NW, RECEIVER_SH};
use crate::failure::{Exit, Failure};

/// Where the Behörde stands that moves.
const MOVING: &str = "laender/01-schleswig-holstein/behoerden/01054-nordfriesland.toml";
/// Its key.
pub(super) const MOVING_BEHOERDE: &str = "wgb:010540880000";
/// How its entry begins.
const ENTRY: &str = "[\"wgb:010540880000\"]\n";
/// The clients of the sender gateway.
const CLIENTS: &str = "laender/01-schleswig-holstein/clients.toml";
/// Who decides on Wohngeld.
const COMPETENCES: &str = "laender/01-schleswig-holstein/zustaendigkeiten/wohngeldbehoerden.toml";

/// The delivery of the Behörde that moves, as the sample has it.
const SAMPLE_DELIVERY: &str = "[[\"wgb:010540880000\".delivery]]\nleistungen = \"default\"\ngateway = \"gw-sh-2\"\n";
/// Kiel decides for Kiel, as the sample has it, and as it is changed.
const KIEL: [&str; 2] = [
    "region   = \"01002\"\nbehoerde = \"wgb:010020000000\"",
    "region   = \"01002\"\nbehoerde = \"wgb:010010000000\"",
];

/// Makes the sample fit for the drill, before keys are made for it.
pub(super) fn widen(table: &Path) -> Result<(), Failure> {
    replace(&table.join(CLIENTS), "per_minute = 6000", "per_minute = 60000")?;
    replace(
        &table.join(MOVING),
        SAMPLE_DELIVERY,
        &deliveries(RECEIVER_SH, RECEIVER_NW),
    )
}

/// Moves the Behörde from one receiver gateway to the other, or back.
pub(super) fn move_behoerde(table: &Path, back: bool) -> Result<(), Failure> {
    let ways = [
        deliveries(RECEIVER_SH, RECEIVER_NW),
        deliveries(RECEIVER_NW, RECEIVER_SH),
    ];
    let [from, to] = if back {
        [&ways[1], &ways[0]]
    } else {
        [&ways[0], &ways[1]]
    };
    replace(&table.join(MOVING), from, to)
}

/// Gives Kiel's applications to another Behörde, or back.
pub(super) fn change_competence(table: &Path, back: bool) -> Result<(), Failure> {
    let [from, to] = if back { [KIEL[1], KIEL[0]] } else { KIEL };
    replace(&table.join(COMPETENCES), from, to)
}

/// Says from when on the Behörde that moves takes profile 2 only, or takes that back.
pub(super) fn raise_profile(table: &Path, from: Option<Timestamp>) -> Result<(), Failure> {
    edit(&table.join(MOVING), |text| {
        let kept = text.lines().filter(|line| !line.starts_with("lowest_profile"));
        let text: String = kept.flat_map(|line| [line, "\n"]).collect();
        let raised = match from {
            Some(from) => format!("{ENTRY}lowest_profile = 2\nlowest_profile_from = {from:.0}\n"),
            None => ENTRY.to_owned(),
        };
        text.contains(ENTRY).then(|| text.replace(ENTRY, &raised))
    })
}

/// Breaks the table so that it does not load, or mends it.
pub(super) fn break_table(table: &Path, back: bool) -> Result<(), Failure> {
    const GARBAGE: &str = "[[competence]]\nregion = \"no region\"\n";
    let file = table.join(COMPETENCES);
    match back {
        true => replace(&file, GARBAGE, ""),
        false => edit(&file, |text| Some(format!("{text}{GARBAGE}"))),
    }
}

/// The deliveries of the Behörde that moves: everything at one gateway, one Leistung at the other.
fn deliveries(gateway: &str, other: &str) -> String {
    format!(
        "[[\"wgb:010540880000\".delivery]]\nleistungen = \"default\"\ngateway = \"{gateway}\"\n\
         [[\"wgb:010540880000\".delivery]]\nleistungen = [\"{EINBUERGERUNG}\"]\ngateway = \"{other}\"\n"
    )
}

fn replace(file: &Path, from: &str, to: &str) -> Result<(), Failure> {
    edit(file, |text| text.contains(from).then(|| text.replace(from, to)))
}

/// Writes a file anew, in one step: a process may be reading it.
fn edit(file: &Path, change: impl FnOnce(&str) -> Option<String>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::of_file("change", file, &error);
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let changed = change(&text).ok_or_else(|| {
        let sentence = format!("{} is not as the drill expects it.", file.display());
        Failure::new(Exit::Unexpected, "sample-table-changed", sentence)
    })?;
    let next = file.with_file_name(".next");
    std::fs::write(&next, changed).map_err(failed)?;
    std::fs::rename(&next, file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::site::Site;

    #[test]
    fn every_change_fits_the_sample_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::prepare_changed(folder.path(), widen).unwrap();
        let table = site.table();
        let today = viereck_routing::day_in_berlin(Timestamp::now());
        let loads = || crate::routes::load(&table, today).is_ok();
        for change in [move_behoerde, change_competence] {
            for back in [false, true] {
                change(&table, back).unwrap();
                assert!(loads());
            }
        }
        raise_profile(&table, Some(Timestamp::now())).unwrap();
        assert!(!loads(), "its key has no ML-KEM key beside it");
        raise_profile(&table, None).unwrap();
        assert!(loads());
        break_table(&table, false).unwrap();
        assert!(!loads());
        break_table(&table, true).unwrap();
        assert!(loads());
        assert!(move_behoerde(&table, true).is_err(), "it is back already");
    }
}
