//! Reads the files of a folder into memory, bounded, and computes the digest that names this version.
//!
//! Guarantees: every file is read once, so what was checked is what was hashed; nothing outside the folder is read;
//! the order never depends on the file system. Names that begin with a dot are not part of the folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::Code;
use crate::digest::Digest;
use crate::merkle;
use crate::position::Position;
use crate::report::Report;

/// What a folder may hold at most. The whole country with 600 Leistungen needs about a tenth.
const FILE_OCTETS: u64 = 8 << 20;
const FOLDER_OCTETS: u64 = 512 << 20;
const FILES: usize = 100_000;
/// `laender/01-name/behoerden/x.toml` is the deepest path of the format.
const DEPTH: usize = 4;

/// The files by their path below the folder, with `/` between its parts.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    files: BTreeMap<Arc<str>, Vec<u8>>,
    octets: u64,
}

impl Folder {
    /// Reads everything below `root`; what cannot be read is reported and left out.
    pub(crate) fn read(root: &Path, report: &Report) -> Folder {
        let mut folder = Folder::default();
        match fs::canonicalize(root) {
            Ok(root) => folder.walk(&root, &root, "", report),
            Err(error) => report.add(Code::FolderUnreadable, &whole_folder(), &[&error.kind()]),
        }
        folder
    }

    /// The file at this path.
    pub(crate) fn get(&self, path: &str) -> Option<(&Arc<str>, &[u8])> {
        self.files
            .get_key_value(path)
            .map(|(path, octets)| (path, octets.as_slice()))
    }

    /// All files, sorted by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Arc<str>, &[u8])> {
        self.files.iter().map(|(path, octets)| (path, octets.as_slice()))
    }

    /// The files whose path begins with `prefix`, sorted by path.
    pub(crate) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a [u8])> {
        self.files
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(prefix))
            .map(|(path, octets)| (path, octets.as_slice()))
    }

    /// The RFC 9162 root over the files, sorted by path; a leaf is the path, a zero octet, and the file's digest.
    pub(crate) fn release(&self) -> Digest {
        let leaves = self.files.iter().map(|(path, octets)| {
            let digest = Digest::of(octets);
            merkle::leaf(&[path.as_bytes(), &[0], digest.octets()])
        });
        merkle::root(leaves.collect())
    }

    fn walk(&mut self, root: &Path, at: &Path, prefix: &str, report: &Report) {
        let entries = fs::read_dir(at).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                report.add(
                    Code::FileUnreadable,
                    &Position::start_of(&prefix.into()),
                    &[&error.kind()],
                );
                return;
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            let position = Position::start_of(&path.as_str().into());
            if name.contains(char::REPLACEMENT_CHARACTER) || name.chars().any(char::is_control) {
                report.add(Code::NameNotAllowed, &position, &[]);
                continue;
            }
            let Some(real) = within(root, &entry.path()) else {
                report.add(Code::LinkLeavesFolder, &position, &[]);
                continue;
            };
            if real.is_dir() {
                if path.matches('/').count() + 1 < DEPTH {
                    self.walk(root, &real, &format!("{path}/"), report);
                } else {
                    report.add(Code::FileUnexpected, &position, &[]);
                }
            } else if self.files.len() < FILES && self.octets <= FOLDER_OCTETS {
                self.take(&real, path.into(), report);
            } else {
                report.add(Code::FolderTooLarge, &whole_folder(), &[&FILES, &FOLDER_OCTETS]);
                return;
            }
        }
    }

    fn take(&mut self, real: &Path, path: Arc<str>, report: &Report) {
        let mut octets = Vec::new();
        // A pipe or a device would block or never end, so only regular files are opened.
        let read = match fs::metadata(real) {
            Ok(metadata) if !metadata.is_file() => Err(std::io::ErrorKind::InvalidInput.into()),
            Ok(_) => fs::File::open(real).and_then(|file| file.take(FILE_OCTETS + 1).read_to_end(&mut octets)),
            Err(error) => Err(error),
        };
        match read {
            Ok(length) if length as u64 > FILE_OCTETS => {
                report.add(Code::FileTooLarge, &Position::start_of(&path), &[&FILE_OCTETS]);
            }
            Ok(length) => {
                self.octets += length as u64;
                self.files.insert(path, octets);
            }
            Err(error) => report.add(Code::FileUnreadable, &Position::start_of(&path), &[&error.kind()]),
        }
    }
}

/// Where a path really leads, if that is inside `root`.
fn within(root: &Path, path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path)
        .ok()
        .filter(|real| real.starts_with(root) && real != root)
}

fn whole_folder() -> Position {
    Position::start_of(&".".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(report: Report) -> Vec<&'static str> {
        report.into_findings().iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn the_release_depends_on_names_and_contents_and_on_nothing_else() {
        let write = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let report = Report::default();
            let release = Folder::read(folder.path(), &report).release();
            assert!(codes(report).is_empty());
            release
        };
        let release = write(&[("a.toml", "1"), ("b/c.toml", "2")]);
        assert_eq!(release, write(&[("b/c.toml", "2"), ("a.toml", "1"), (".hidden", "x")]));
        assert_ne!(release, write(&[("a.toml", "1"), ("b/d.toml", "2")]));
        assert_ne!(release, write(&[("a.toml", "1"), ("b/c.toml", "3")]));
        assert_ne!(release, write(&[("a.toml", "1")]));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_folder_is_not_followed_and_one_inside_is() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("real.toml"), "a = 1").unwrap();
        symlink(folder.path().join("real.toml"), folder.path().join("inside.toml")).unwrap();
        symlink(outside.path().join("secret"), folder.path().join("outside.toml")).unwrap();
        symlink(outside.path(), folder.path().join("outside")).unwrap();
        symlink(folder.path(), folder.path().join("loop")).unwrap();
        let report = Report::default();
        let read = Folder::read(folder.path(), &report);
        let paths: Vec<_> = read.files().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["inside.toml", "real.toml"]);
        assert_eq!(codes(report), ["link-leaves-folder"; 3]);
    }

    #[test]
    fn limits_are_kept_and_a_missing_folder_is_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("big.toml"), vec![b' '; FILE_OCTETS as usize + 1]).unwrap();
        fs::create_dir_all(folder.path().join("a/b/c/d/e")).unwrap();
        let report = Report::default();
        assert_eq!(Folder::read(folder.path(), &report).files().count(), 0);
        assert_eq!(codes(report), ["file-unexpected", "file-too-large"]);
        let report = Report::default();
        Folder::read(&folder.path().join("none"), &report);
        assert_eq!(codes(report), ["folder-unreadable"]);
    }
}
