//! Encryption keys that have a successor: which there are, and until when messages may need them.

use std::path::PathBuf;

use jiff::Timestamp;
use viereck_routing::{BehoerdeId, Digest, GatewayId, Purpose, Tables};

use super::check::not_needed_from;
use super::stock::Place;
use crate::config::Config;
use crate::failure::Failure;

/// A decryption key whose successor counts.
#[derive(Debug)]
pub(crate) struct Worn {
    pub(crate) file: PathBuf,
    /// The certificate that it belongs to.
    pub(crate) certificate: Digest,
    /// Whose messages are sealed for it: its holder's, and those of everyone whose deputy the holder is.
    pub(crate) readers: Vec<BehoerdeId>,
    /// Since when others seal for the next one.
    pub(crate) superseded: Timestamp,
    /// From when on no message can need it.
    pub(crate) not_needed_from: Timestamp,
}

/// The keys of this configuration's gateways that have a successor. Blocks while it reads.
pub(crate) fn worn(config: &Config, now: Timestamp) -> Result<Vec<Worn>, Failure> {
    let mut worn = Vec::new();
    for gateway in &config.gateways {
        let place = Place {
            // which key is in use depends on what was revoked
            revocation: Some(config.revocation.folder.clone()),
            ..Place::of(config.table.clone(), gateway.keys_of_all().to_owned())
        };
        let stock = place.stock_with(config.passphrase()?, Some(&gateway.settings.id), now)?;
        let files = stock.files.iter();
        let own = files.filter(|file| file.purpose == Purpose::Encryption);
        for file in own {
            let Some(pin) = stock.certificate_of(file) else {
                continue;
            };
            if let (Some(superseded), Ok(holder)) = (stock.superseded(&pin, now), file.holder.parse()) {
                worn.push(Worn {
                    file: file.path.clone(),
                    certificate: pin.certificate.sha256(),
                    readers: readers(&stock.tables, &gateway.settings.id, holder),
                    superseded,
                    not_needed_from: not_needed_from(Purpose::Encryption, superseded),
                });
            }
        }
    }
    Ok(worn)
}

/// Who reads with the keys of `holder` at this gateway.
fn readers(tables: &Tables, gateway: &GatewayId, holder: BehoerdeId) -> Vec<BehoerdeId> {
    let served = tables.gateway(gateway).into_iter().flat_map(|gateway| gateway.served());
    let stands_in = |reader: &&BehoerdeId| {
        let mut deliveries = tables
            .participant(reader)
            .into_iter()
            .flat_map(|reader| reader.all_deliveries());
        deliveries.any(|delivery| delivery.deputy.as_ref() == Some(&holder))
    };
    let others: Vec<BehoerdeId> = served.filter(stands_in).cloned().collect();
    let mut readers = vec![holder];
    readers.extend(others);
    readers
}
