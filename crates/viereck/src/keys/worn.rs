//! Encryption keys that have a successor: which there are, and until when messages may need them.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use viereck_routing::{BehoerdeId, Purpose};

use super::check::not_needed_from;
use super::stock::Place;
use crate::config::Config;
use crate::failure::Failure;

/// A decryption key whose successor counts.
#[derive(Debug)]
pub(crate) struct Worn {
    pub(crate) file: PathBuf,
    pub(crate) reader: BehoerdeId,
    /// Since when others seal for the next one.
    pub(crate) superseded: Timestamp,
    /// From when on no message can need it.
    pub(crate) not_needed_from: Timestamp,
}

/// The keys of this configuration's gateways that have a successor. Blocks while it reads.
pub(crate) fn worn(config: &Config, now: Timestamp) -> Result<Vec<Worn>, Failure> {
    let mut worn = Vec::new();
    for gateway in &config.gateways {
        // the folder bears the gateway's name; above it lie those of all
        let keys = gateway
            .keys
            .parent()
            .filter(|parent| *parent != Path::new(""))
            .unwrap_or(Path::new("."));
        let place = Place {
            // which key is in use depends on what was revoked
            revocation: Some(config.revocation.folder.clone()),
            ..Place::of(config.table.clone(), keys.to_owned())
        };
        let stock = place.stock_with(config.passphrase()?, Some(&gateway.settings.id), now)?;
        let files = stock.files.iter();
        let own = files.filter(|file| file.purpose == Purpose::Encryption);
        for file in own {
            let superseded = stock.certificate_of(file).and_then(|pin| stock.superseded(&pin, now));
            if let (Some(superseded), Ok(reader)) = (superseded, file.holder.parse()) {
                worn.push(Worn {
                    file: file.path.clone(),
                    reader,
                    superseded,
                    not_needed_from: not_needed_from(Purpose::Encryption, superseded),
                });
            }
        }
    }
    Ok(worn)
}
