//! Whether there is room for the journals. A journal that cannot grow says no to everybody.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Chart, Severity};
use crate::config::{Config, Link};

/// Free octets below which a day of ordinary load may not fit.
const LITTLE: u64 = 5 << 30;

/// Free octets below which a journal may stop within minutes.
const HARDLY_ANY: u64 = 512 << 20;

pub(super) fn examine(config: &Config, chart: &mut Chart) {
    let embedded = match &config.link {
        Link::Embedded(file) => Some(file.as_path()),
        Link::Amqp(..) => None,
    };
    let files = config
        .journals()
        .into_iter()
        .filter_map(|(_, place)| crate::journals::file_of(place));
    let folders: BTreeSet<&Path> = files.chain(embedded).filter_map(Path::parent).collect();
    for folder in folders {
        let shown = match folder == Path::new("") {
            true => Path::new("."),
            false => folder,
        };
        let subject = format!("disk of {}", shown.display());
        chart.looked_at(subject.clone());
        // it is made at the first start
        let Ok(room) = rustix::fs::statvfs(shown) else { continue };
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let sentence = format!("{} MiB are free.", free >> 20);
        let next_step = "Make room, or move the journals to a larger disk while the process is stopped.";
        if free < HARDLY_ANY {
            chart.add(Severity::Error, "disk-full", subject, sentence, next_step);
        } else if free < LITTLE {
            chart.add(Severity::Warning, "disk-filling", subject, sentence, next_step);
        }
    }
}
