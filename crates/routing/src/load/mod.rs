//! Loads a folder of routing tables: reads every file, finds everything that is wrong at once, and gives tables only
//! if nothing is.
//!
//! The loader is the check: what loads is what `check` calls free of errors. It is total: any folder gives tables or
//! findings, never a panic. It judges days by the `today` it is given and reads no clock.

mod certificates;
mod check;
mod competences;
mod deputies;
mod draft;
mod head;
mod leistungen;
mod link;
mod participants;
mod places;
mod programs;
mod trust;

use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;

use crate::catalogue::Code;
use crate::finding::Findings;
use crate::folder::Folder;
use crate::position::Position;
use crate::report::Report;
use crate::tables::{Head, Loaded, Section, Tables};

use draft::{Draft, Reading, SectionDraft};

impl Tables {
    /// Reads the whole folder. `today` is the day by which terms are judged.
    ///
    /// # Errors
    /// All findings, warnings included, when at least one of them is an error.
    pub fn load(folder: &Path, today: Date) -> Result<Loaded, Findings> {
        Self::load_but(folder, today, None)
    }

    /// The same for whoever gives out certificates: somebody may still be without one, and nothing else may be wrong.
    /// Never to be put in force.
    ///
    /// # Errors
    /// All findings, when at least one of them is an error other than `certificate-missing`.
    pub fn load_awaiting(folder: &Path, today: Date) -> Result<Loaded, Findings> {
        Self::load_but(folder, today, Some(Code::CertificateMissing))
    }

    fn load_but(folder: &Path, today: Date, tolerated: Option<Code>) -> Result<Loaded, Findings> {
        let report = Report::default();
        let files = Folder::read(folder, &report);
        let draft = read(&Reading::new(&files, &report, today));
        let failed = report.has_errors_but(tolerated);
        let findings = Findings::new(report.into_findings());
        match (failed, draft.environment, draft.gebietsstand) {
            (false, Some(environment), Some(gebietsstand)) => {
                let head = Head {
                    environment,
                    sequence: draft.sequence,
                    gebietsstand,
                };
                Ok(Loaded {
                    tables: assemble(draft, head, files.release()),
                    warnings: findings.into_vec(),
                })
            }
            _ => Err(findings),
        }
    }
}

fn read(reading: &Reading<'_>) -> Draft {
    let mut draft = Draft::default();
    if reading.folder.files().next().is_none() && reading.report.has_errors() {
        // The folder itself cannot be read: complaints about each missing file would only hide that.
        return draft;
    }
    head::read(reading, &mut draft);
    places::read(reading, &mut draft);
    participants::read_participants(reading, &mut draft);
    for (land, folder) in sections(reading) {
        let mut section = SectionDraft {
            land,
            folder,
            section: Section::default(),
            used: Default::default(),
        };
        competences::read(reading, &mut section, &mut draft);
        leistungen::read(reading, &mut section, &mut draft);
        participants::read_authorities(reading, &section, &mut draft);
        programs::read(reading, &section, &mut draft);
        draft.sections.push(section);
    }
    head::check_owners(reading, &draft);
    deputies::fill_in(reading.report, &mut draft);
    link::link(reading.report, &mut draft);
    certificates::read(reading, &mut draft);
    check::check(reading, &draft);
    draft
}

/// `bund/` and the folders of the Länder that have files, in the order of their keys.
fn sections(reading: &Reading<'_>) -> Vec<(Option<String>, String)> {
    let mut sections = vec![(None, "bund/".to_owned())];
    let mut names: Vec<&str> = reading
        .folder
        .below("laender/")
        .filter_map(|(path, _)| path.strip_prefix("laender/")?.split_once('/'))
        .map(|(name, _)| name)
        .collect();
    names.dedup();
    for name in names {
        let folder = format!("laender/{name}/");
        let position = Position::start_of(&Arc::from(folder.trim_end_matches('/')));
        let key = name
            .split_once('-')
            .map(|(key, _)| key.to_owned())
            .filter(|key| is_land(key));
        match key {
            None => reading.report.add(Code::LandFolder, &position, &[]),
            Some(key) => match sections.iter().find(|(land, _)| land.as_ref() == Some(&key)) {
                Some((_, other)) => reading.report.add(Code::LandTwice, &position, &[&key, other]),
                None => sections.push((Some(key), folder)),
            },
        }
    }
    sections
}

/// Whether a text is the key of a Land, 01 to 16.
fn is_land(key: &str) -> bool {
    matches!(key.as_bytes(), [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'6'])
}

fn assemble(draft: Draft, head: Head, release: crate::digest::Digest) -> Tables {
    let mut tables = Tables {
        release,
        head,
        places: draft.places,
        country: Section::default(),
        laender: Default::default(),
        participants: draft.participants,
        gateways: draft
            .gateways
            .into_iter()
            .map(|(id, draft)| (id, draft.gateway))
            .collect(),
        brokers: draft.brokers,
        clients: draft.clients,
        pins: draft.pins,
    };
    for section in draft.sections {
        match section.land {
            None => tables.country = section.section,
            Some(land) => {
                tables.laender.insert(land, section.section);
            }
        }
    }
    tables
}
