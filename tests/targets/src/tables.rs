//! Routing tables: a small copy of the sample in which one file is replaced.
//!
//! The first octet of an input chooses the file, the rest is its content.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jiff::civil::date;
use viereck_routing::Tables;

/// The files that are replaced.
const FILES: [&str; 7] = [
    "table.toml",
    "participants.toml",
    "stadtbezirke.csv",
    "bund/leistungen.toml",
    "bund/zustaendigkeiten/registerbehoerde.toml",
    "bund/behoerden/registerbehoerde.toml",
    "laender/01-schleswig-holstein/clients.toml",
];

struct Sample {
    folder: tempfile::TempDir,
    contents: Vec<Vec<u8>>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../routing-tables"));
    copy(from, folder.path());
    let contents = FILES.iter().map(|file| fs::read(folder.path().join(file)).unwrap());
    Sample {
        contents: contents.collect(),
        folder,
    }
});

/// Copies the federal part and one Land without its Behörden, so that a load takes no longer than it has to.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        // Of the other Land only its gateway is left, which the federal part names.
        if name == "certificates" || (from.ends_with("05-nordrhein-westfalen") && name != "gateways.toml") {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(&name));
        } else if name == "gemeinden.csv" || name == "stadtbezirke.csv" {
            let all = fs::read_to_string(&path).unwrap();
            let few: Vec<&str> = all
                .lines()
                .filter(|line| line.starts_with("01") || !line.starts_with(char::is_numeric))
                .collect();
            fs::write(to.join(&name), few.join("\n") + "\n").unwrap();
        } else if path.is_file() {
            fs::copy(&path, to.join(&name)).unwrap();
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let with_choice = |(number, content): (usize, &Vec<u8>)| [&[number as u8], content.as_slice()].concat();
    SAMPLE.contents.iter().enumerate().map(with_choice).collect()
}

/// Loads, or names findings that stand in files of the table.
pub(crate) fn tables(octets: &[u8]) -> &'static str {
    let Some((choice, content)) = octets.split_first() else {
        return "empty";
    };
    let choice = usize::from(*choice) % FILES.len();
    let path = SAMPLE.folder.path().join(FILES[choice]);
    fs::write(&path, content).unwrap();
    let loaded = Tables::load(SAMPLE.folder.path(), date(2026, 3, 2));
    fs::write(&path, &SAMPLE.contents[choice]).unwrap();
    match loaded {
        Ok(_) => "ok",
        Err(findings) => findings.iter().next().map_or("no-finding", |finding| finding.code),
    }
}
