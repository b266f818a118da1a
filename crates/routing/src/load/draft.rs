//! What has been read so far: the parts of the tables before it is known whether they fit together.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::Date;

use crate::catalogue::Code;
use crate::fields::{Document, printable};
use crate::folder::Folder;
use crate::gateway::{Broker, Client, Gateway};
use crate::ids::{BehoerdeId, ClientId, CustodianId, GatewayId, LeistungId};
use crate::participant::Participant;
use crate::pins::Pins;
use crate::places::Places;
use crate::position::Position;
use crate::region::Ars;
use crate::report::Report;
use crate::tables::Section;
use crate::words::Environment;

/// One load: the folder, the findings, and which files have been read.
pub(super) struct Reading<'a> {
    pub(super) folder: &'a Folder,
    pub(super) report: &'a Report,
    pub(super) today: Date,
    taken: RefCell<BTreeSet<Arc<str>>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(folder: &'a Folder, report: &'a Report, today: Date) -> Self {
        Self {
            folder,
            report,
            today,
            taken: RefCell::default(),
        }
    }

    /// A file that must be there.
    pub(super) fn required(&self, path: &str) -> Option<(&'a Arc<str>, &'a [u8])> {
        let file = self.optional(path);
        if file.is_none() {
            self.report
                .add(Code::FileMissing, &Position::start_of(&path.into()), &[]);
        }
        file
    }

    /// A file that may be absent.
    pub(super) fn optional(&self, path: &str) -> Option<(&'a Arc<str>, &'a [u8])> {
        let file = self.folder.get(path)?;
        self.taken.borrow_mut().insert(Arc::clone(file.0));
        Some(file)
    }

    /// A TOML file that may be absent.
    pub(super) fn document(&self, path: &str) -> Option<Document<'a>> {
        let (path, octets) = self.optional(path)?;
        Document::parse(path, octets, self.report)
    }

    /// The TOML files directly in a folder (its name ends with `/`), with their names without the ending. One that
    /// is not even text has no document.
    pub(super) fn documents(&self, folder: &str) -> Vec<(&'a str, Arc<str>, Option<Document<'a>>)> {
        let files: Vec<_> = self
            .folder
            .files()
            .filter_map(|(path, _)| {
                let name = path.strip_prefix(folder)?.strip_suffix(".toml")?;
                (!name.contains('/')).then_some((name, path))
            })
            .collect();
        files
            .into_iter()
            .map(|(name, path)| (name, Arc::clone(path), self.document(path)))
            .collect()
    }

    /// Files that nobody has read.
    pub(super) fn untouched(&self) -> Vec<&'a Arc<str>> {
        let taken = self.taken.borrow();
        self.folder
            .files()
            .map(|(path, _)| path)
            .filter(|path| !taken.contains(*path))
            .collect()
    }
}

/// Everything that was read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) environment: Option<Environment>,
    pub(super) sequence: u64,
    pub(super) gebietsstand: Option<Date>,
    /// The folders that have an owner, and where that stands.
    pub(super) owners: Vec<(String, Position)>,
    pub(super) brokers: BTreeMap<CustodianId, Broker>,
    pub(super) places: Places,
    /// The municipalities without the districts, sorted.
    pub(super) municipalities: Vec<Ars>,
    /// The prefixes of the DVDV, if the folder has the list.
    pub(super) prefixes: Option<HashSet<String>>,
    pub(super) sections: Vec<SectionDraft>,
    pub(super) participants: BTreeMap<BehoerdeId, Participant>,
    pub(super) gateways: BTreeMap<GatewayId, GatewayDraft>,
    pub(super) clients: BTreeMap<ClientId, Client>,
    pub(super) pins: Option<Pins>,
    pub(super) references: Vec<Reference>,
    /// Every name that has an entry, right or wrong: who refers to a wrong one is not at fault.
    entered: BTreeSet<(Sort, String)>,
}

/// The folder of a Land, or `bund/`.
pub(super) struct SectionDraft {
    /// The key of the Land; `None` for the Bund.
    pub(super) land: Option<String>,
    /// The path of the folder, ending with `/`.
    pub(super) folder: String,
    pub(super) section: Section,
    /// The lists that some Leistung names.
    pub(super) used: BTreeSet<String>,
}

/// A gateway, before it is known who delivers to it.
pub(super) struct GatewayDraft {
    pub(super) gateway: Gateway,
    /// `None` = everyone whose delivery names it.
    pub(super) serves: Option<BTreeSet<BehoerdeId>>,
    /// `None` = everyone it serves.
    pub(super) speaks_for: Option<BTreeSet<BehoerdeId>>,
}

/// A name that something else must define.
pub(super) struct Reference {
    pub(super) to: Named,
    pub(super) position: Position,
}

/// What has a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Participant,
    Gateway,
    Client,
    Leistung,
}

/// What is named.
pub(super) enum Named {
    Authority(BehoerdeId),
    Portal(BehoerdeId),
    Participant(BehoerdeId),
    Gateway(GatewayId),
    Leistung(LeistungId),
}

impl Draft {
    /// The name that an entry has as its key; reported when it does not have the shape of one.
    pub(super) fn enter<T: FromStr + Display>(
        &mut self,
        sort: Sort,
        key: &str,
        malformed: Code,
        position: &Position,
        report: &Report,
    ) -> Option<T> {
        let name: Option<T> = key.parse().ok();
        match &name {
            Some(name) => self.note(sort, name),
            None => report.add(malformed, position, &[&printable(key)]),
        }
        name
    }

    /// Notes that there is an entry with this name.
    pub(super) fn note(&mut self, sort: Sort, name: &dyn Display) {
        self.entered.insert((sort, name.to_string()));
    }

    /// Whether there is an entry with this name, right or wrong. After a wrong one nothing is loaded anyway.
    pub(super) fn is_entered(&self, sort: Sort, name: &dyn Display) -> bool {
        self.entered.contains(&(sort, name.to_string()))
    }

    pub(super) fn refer(&mut self, to: Named, position: Position) {
        self.references.push(Reference { to, position });
    }
}
