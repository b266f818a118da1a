//! The adapter `directory`: markers, folders that are taken away, and every state that a crash can leave behind.

use std::fs;
use std::path::{Path, PathBuf};

use viereck_custody::MessageKey;
use viereck_envelope::Reason;

use crate::config::Acknowledge;
use crate::deliver::directory::{Directory, Seen};
use crate::deliver::message::HandOver;
use crate::deliver::outcome::Outcome;
use crate::testing::{Network, RECEIVER, key_of};

struct Fixture {
    directory: Directory,
    key: MessageKey,
    message: HandOver,
    root: PathBuf,
    place: PathBuf,
    _network: Network,
}

impl Fixture {
    fn new(acknowledge: Acknowledge) -> Self {
        let network = Network::new();
        let envelope = network.sealed(|_| {});
        let root = network.folder.path().join("in");
        fs::create_dir(&root).unwrap();
        let key = key_of(&envelope);
        Self {
            directory: Directory::new(root.clone(), acknowledge).unwrap(),
            message: HandOver::new(network.opened(&envelope, RECEIVER)).ok().unwrap(),
            place: root.join(key.message_id.to_string()),
            key,
            root,
            _network: network,
        }
    }

    fn look(&self) -> Seen {
        self.directory.look(&self.key).unwrap()
    }

    fn hand_over(&self) -> Outcome {
        self.directory.hand_over(&self.key, &self.message).unwrap()
    }

    fn inner(&self, name: &str) -> PathBuf {
        self.root
            .join(".viereck")
            .join(name)
            .join(self.key.message_id.to_string())
    }
}

fn waits(seen: &Seen) -> bool {
    matches!(seen, Seen::HandedOver(Outcome::Waiting) | Seen::Unclear(_))
}

#[test]
fn a_message_appears_whole_and_waits_for_its_marker() {
    let here = Fixture::new(Acknowledge::Marker);
    assert_eq!(here.look(), Seen::NotHandedOver);
    assert!(matches!(here.hand_over(), Outcome::Waiting));
    assert_eq!(fs::read(here.place.join("payload")).unwrap(), b"<antrag/>");
    assert_eq!(fs::read(here.place.join("attachment-01")).unwrap(), b"%PDF");
    assert_eq!(fs::read(here.place.join("message.json")).unwrap(), here.message.json);
    assert_eq!(fs::read_dir(&here.place).unwrap().count(), 3);
    assert_eq!(fs::read_dir(&here.root).unwrap().count(), 2);
    assert!(waits(&here.look()));
    fs::write(here.place.join("accepted"), "").unwrap();
    assert_eq!(here.look(), Seen::HandedOver(Outcome::Accepted));
    // what the Fachverfahren was given is its own
    here.directory.forget(&here.key);
    assert!(here.place.join("payload").exists());
    fs::remove_dir_all(&here.place).unwrap();
    here.directory.forget(&here.key);
    assert!(!here.inner("handed").exists());
}

#[test]
fn a_folder_that_is_taken_away_was_taken_over() {
    let here = Fixture::new(Acknowledge::Marker);
    here.hand_over();
    fs::rename(&here.place, here.root.join("elsewhere")).unwrap();
    assert_eq!(here.look(), Seen::HandedOver(Outcome::Accepted));
}

#[test]
fn only_a_known_reason_rejects() {
    let here = Fixture::new(Acknowledge::Marker);
    here.hand_over();
    for unknown in ["", "\n", "Erika", "S020 and more", &"x".repeat(100_000)] {
        fs::write(here.place.join("rejected"), unknown).unwrap();
        assert!(waits(&here.look()), "{unknown:.20}");
    }
    fs::write(here.place.join("rejected"), [0xff, 0xfe]).unwrap();
    assert!(waits(&here.look()));
    fs::write(here.place.join("rejected"), "S020\r\n").unwrap();
    assert_eq!(here.look(), Seen::HandedOver(Outcome::Rejected(Reason::S020)));
    fs::write(here.place.join("accepted"), "").unwrap();
    assert!(waits(&here.look()), "both markers say nothing");
}

#[test]
fn whatever_a_crash_left_is_told_apart() {
    let here = Fixture::new(Acknowledge::Marker);
    // while it was being written
    fs::create_dir_all(here.inner("staged")).unwrap();
    fs::write(here.inner("staged").join("payload"), "half").unwrap();
    assert_eq!(here.look(), Seen::NotHandedOver);
    // just before the rename
    fs::create_dir_all(here.inner("handed").parent().unwrap()).unwrap();
    fs::write(here.inner("handed"), here.key.author.as_str()).unwrap();
    assert_eq!(here.look(), Seen::NotHandedOver);
    assert!(matches!(here.hand_over(), Outcome::Waiting));
    assert_eq!(fs::read(here.place.join("payload")).unwrap(), b"<antrag/>");
    // after the rename, before anybody wrote that down
    assert!(waits(&here.look()));
    assert!(!here.inner("staged").exists() && here.inner("handed").exists());
}

#[test]
fn another_message_of_the_same_id_is_a_conflict() {
    let here = Fixture::new(Acknowledge::Marker);
    here.hand_over();
    let other = MessageKey {
        author: "wgp:020000000000".parse().unwrap(),
        message_id: here.key.message_id,
    };
    let conflict = Seen::HandedOver(Outcome::Rejected(Reason::MessageIdConflict));
    assert_eq!(here.directory.look(&other).unwrap(), conflict);
    fs::remove_file(here.inner("handed")).unwrap();
    assert_eq!(here.look(), conflict);
}

#[test]
fn another_message_of_the_same_id_forgets_only_itself() {
    let here = Fixture::new(Acknowledge::Marker);
    here.hand_over();
    fs::remove_dir_all(&here.place).unwrap();
    let other = MessageKey {
        author: "wgp:020000000000".parse().unwrap(),
        message_id: here.key.message_id,
    };
    // the other one ends as a conflict before anybody has written down that this one was taken over
    here.directory.forget(&other);
    assert_eq!(here.look(), Seen::HandedOver(Outcome::Accepted));
    here.directory.forget(&here.key);
    assert!(!here.inner("handed").exists());
}

#[test]
fn acknowledged_by_rename_means_at_once() {
    let here = Fixture::new(Acknowledge::Rename);
    assert_eq!(here.hand_over(), Outcome::Accepted);
    assert_eq!(here.look(), Seen::HandedOver(Outcome::Accepted));
}

#[test]
fn a_folder_that_is_missing_is_not_made() {
    let here = Fixture::new(Acknowledge::Marker);
    fs::remove_dir_all(&here.root).unwrap();
    assert_eq!(here.look(), Seen::NotHandedOver);
    let error = here.directory.hand_over(&here.key, &here.message).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(!here.root.exists());
}

/// Nothing but a plain file says yes or no, and one spoiled folder is no fault of the adapter.
#[test]
fn what_is_no_plain_marker_waits() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    for spoil in [
        (|place: &Path| symlink("message.json", place.join("accepted")).unwrap()) as fn(&Path),
        |place| fs::create_dir(place.join("rejected")).unwrap(),
        |place| {
            fs::remove_dir_all(place).unwrap();
            fs::write(place, "").unwrap();
        },
        |place| {
            fs::rename(place, place.with_extension("away")).unwrap();
            symlink(place.with_extension("away"), place).unwrap();
        },
    ] {
        let here = Fixture::new(Acknowledge::Marker);
        here.directory.hand_over(&here.key, &here.message).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o007;
        assert_eq!(
            (mode(&here.place), mode(&here.place.join("payload"))),
            (0, 0),
            "nobody else reads it"
        );
        spoil(&here.place);
        let seen = here.directory.look(&here.key).unwrap();
        assert!(matches!(seen, Seen::Unclear(_)), "{seen:?}");
    }
}
