//! What is made and entered: from when on it counts, how it is protected, where it lies, and what is told of it later.

use viereck_gateway::key_files::Passphrase;

use super::*;

#[test]
fn nothing_counts_from_a_moment_that_has_passed_and_nothing_is_entered_for_nothing() {
    let site = Site::new();
    let before = jiff::Timestamp::now();
    let made = site.json(&["csr", READER, "--purpose", "encryption"]);
    fs::write(site.path("old.pem"), site.certified(&made, ago(130), ago(-400))).unwrap();
    let imported = site.json(&["import", "old.pem"]);
    let from: jiff::Timestamp = imported["from"].as_str().unwrap().parse().unwrap();
    assert!(
        from.as_second() >= before.as_second() && from <= jiff::Timestamp::now(),
        "{from}: it was certified 130 days ago, but others have sealed for the key before until now"
    );
    assert_eq!(site.findings(&[]), (0, vec![]), "nobody is told to destroy a key");
    let rows = site.json(&["list"]);
    let mut rows = rows["keys"].as_array().unwrap().iter();
    let row = rows.find(|row| row["sha256"] == imported["sha256"]).unwrap();
    assert_eq!(row["inUse"], true, "it began before the one that counts from yesterday");

    let made = site.json(&["csr", READER, "--purpose", "encryption"]);
    fs::write(site.path("next.pem"), site.certified(&made, ago(130), ago(-400))).unwrap();
    fs::write(site.path("ended.pem"), site.certified(&made, ago(130), ago(1))).unwrap();
    let index = fs::read(site.path(INDEX)).unwrap();
    for (wrong, exit, code) in [
        (
            &["import", "next.pem", "--from", "2026-01-01T00:00:00Z"][..],
            2,
            "from-past",
        ),
        (
            &["import", "next.pem", "--from", "2099-01-01T00:00:00Z"],
            4,
            "certificate-never-in-use",
        ),
        (&["import", "ended.pem"], 4, "certificate-expired"),
        (
            &["rotate", READER, "--purpose", "encryption", "--from", "2026-01-01"],
            2,
            "from-past",
        ),
    ] {
        assert_refused(&site.keys(wrong), exit, code);
    }
    assert_eq!(fs::read(site.path(INDEX)).unwrap(), index);
    let left = site.path("keys/gw-sh-2").join(IN_FOLDER).join("encryption-4.key.pem");
    assert!(!left.exists());
}

#[test]
fn doctor_counts_what_was_sealed_for_a_key_however_late_it_came() {
    let site = Site::new();
    site.begun(READER, 300);
    let first = format!("{IN_FOLDER}/encryption-1.pem");
    site.end(&first, ago(0) - jiff::SignedDuration::from_hours(1));
    site.configuration("");
    let sender = fs::read_to_string(site.path("viereck.toml")).unwrap();
    let send = || {
        fs::write(site.path("viereck.toml"), &sender).unwrap();
        let running = Running::start(&site);
        let sent = site.send(&address(&running.wait("gateway listens")));
        assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    };
    let doctor = || {
        // of the receiver gateway's keys
        let receiver = "[[gateway]]\nid = \"gw-sh-2\"\nrole = \"receiver\"\nkeys = \"keys/gw-sh-2\"\n\
             journal = \"var/gw-sh-2.sqlite\"\nlisten = \"127.0.0.1:0\"\n\
             [[gateway.delivery]]\nbehoerde = \"default\"\nleistung = \"default\"\n\
             adapter = \"directory\"\nfolder = \"fach\"\n";
        fs::write(site.path("viereck.toml"), format!("{sender}{receiver}")).unwrap();
        let told = site.doctor().into_iter();
        told.filter(|(code, _)| code.starts_with("key-")).collect::<Vec<_>>()
    };
    send();
    let told = doctor();
    assert!(told.is_empty(), "no key has a successor: {told:?}");
    // whoever sent it had an old table
    site.begun(READER, 200);
    let needed = |told: &[(String, String)]| {
        let mut needed = told.iter().filter(|(code, _)| code == "key-still-needed");
        let one = needed
            .next()
            .map(|(_, sentence)| sentence.contains("; 1 messages in flight need it"));
        (
            one,
            needed.count(),
            told.iter().any(|(code, _)| code == "key-not-needed"),
        )
    };
    let told = doctor();
    assert_eq!(needed(&told), (Some(true), 0, false), "{told:?}");
    // what is sealed for the successor does not need it
    send();
    let told = doctor();
    assert_eq!(needed(&told), (Some(true), 0, false), "{told:?}");
}

#[test]
fn the_next_key_is_protected_as_those_beside_it() {
    let site = Site::new();
    for (name, text) in [("pass", "geheim\n"), ("other", "falsch\n")] {
        fs::write(site.path(name), text).unwrap();
        chmod(&site.path(name), 0o600);
    }
    let passphrase = Passphrase::read(&site.path("pass")).unwrap();
    for name in ["signing-1.key.pem", "wgb-010540880000/encryption-1.key.pem"] {
        let file = site.path("keys/gw-sh-2").join(name);
        let key = fs::read_to_string(&file).unwrap();
        fs::write(&file, &*passphrase.encrypt(&key, [1; 16], [2; 16]).unwrap()).unwrap();
    }
    let own = site.path("keys/gw-sh-2");
    let ml_kem = &["rotate", READER, "--purpose", "encryption", "--ml-kem"][..];
    for command in [ml_kem, &["csr", "gw-sh-2", "--purpose", "signing"]] {
        assert_refused(&site.keys(command), 2, "key-passphrase-missing");
    }
    let other = [ml_kem, &["--passphrase-file", "other"]].concat();
    assert_refused(&site.keys(&other), 2, "key-passphrase-wrong");
    assert!(!own.join("signing-2.key.pem").exists());
    assert!(!own.join(IN_FOLDER).join("encryption-2.key.pem").exists());
    let right = ["rotate", "gw-sh-2", "--purpose", "signing", "--passphrase-file", "pass"];
    site.json(&right);
    let made = fs::read_to_string(own.join("signing-2.key.pem")).unwrap();
    assert!(made.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{made}");
}

#[test]
fn commands_at_the_same_moment_wait_for_each_other_and_lose_nothing() {
    let site = Site::new();
    let holders = [(READER, "encryption"), ("gw-sh-2", "signing"), ("broker", "signing")];
    let begun: Vec<Child> = (0..9)
        .map(|number| {
            let (holder, purpose) = holders[number % 3];
            let place = ["--table", "table", "--keys", "keys", "--json"];
            let mut command = site.command(&[&["keys", "rotate", holder, "--purpose", purpose], &place[..]].concat());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut entered = Vec::new();
    for child in begun {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        entered.push(told["sha256"].as_str().unwrap().to_owned());
    }
    let rows = site.json(&["list"]);
    let rows = rows["keys"].as_array().unwrap();
    for sha256 in &entered {
        let mut of = rows
            .iter()
            .filter(|row| row["sha256"] == **sha256 && row["pinned"] == true);
        assert!(
            of.next().is_some_and(|row| !row["keys"].as_array().unwrap().is_empty()),
            "{sha256}"
        );
    }
    for (holder, purpose) in holders {
        let of = rows
            .iter()
            .filter(|row| row["holder"] == holder && row["purpose"] == purpose);
        let mut numbers: Vec<_> = of.map(|row| row["number"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4], "{holder}");
    }
}

#[test]
fn check_looks_at_every_file_that_a_start_reads_and_at_every_pair_that_is_needed() {
    let site = Site::new();
    let only = |code: &str| (4, vec![code.to_owned()]);
    for name in ["reply-token.key", "fingerprint.key"] {
        let file = site.path("keys/gw-sh-1").join(name);
        chmod(&file, 0o644);
        assert_eq!(site.findings(&[]), only("key-rights-too-wide"), "{name}");
        chmod(&file, 0o600);
        let octets = fs::read(&file).unwrap();
        fs::write(&file, "not hexadecimal").unwrap();
        assert_eq!(site.findings(&[]), only("key-malformed"), "{name}");
        fs::remove_file(&file).unwrap();
        assert_eq!(site.findings(&[]), only("key-unreadable"), "{name}");
        fs::write(&file, octets).unwrap();
        chmod(&file, 0o600);
    }
    assert_eq!(site.findings(&[]), (0, vec![]));

    // what is on its way may still be sealed for a pair that has a successor
    let rotate = ["rotate", READER, "--purpose", "encryption", "--from", "now", "--ml-kem"];
    for _ in ["second", "third"] {
        site.json(&rotate);
    }
    let second = site
        .path("keys/gw-sh-2")
        .join(IN_FOLDER)
        .join("encryption-2.ml-kem.key.pem");
    assert_eq!(site.findings(&[]), (0, vec![]));
    chmod(&second, 0o666);
    assert_eq!(site.findings(&[]), only("key-rights-too-wide"));
    chmod(&second, 0o600);
    for lost in [second.clone(), second.with_file_name("encryption-1.key.pem")] {
        fs::rename(&lost, site.path("elsewhere")).unwrap();
        assert_eq!(site.findings(&[]), only("key-missing"), "{lost:?}");
        fs::rename(site.path("elsewhere"), &lost).unwrap();
    }
    // a pair that nothing can need any more may be gone
    let site = Site::new();
    site.worn(READER);
    let second = site.path("keys/gw-sh-2").join(IN_FOLDER).join("encryption-2.key.pem");
    fs::remove_file(&second).unwrap();
    assert_eq!(site.findings(&[]), (0, vec![]));
    fs::remove_file(second.with_file_name("encryption-1.key.pem")).unwrap();
    assert_eq!(
        site.findings(&[]),
        only("key-missing"),
        "that one was in use until an hour ago"
    );
}

#[test]
fn after_the_highest_number_there_is_none() {
    let site = Site::new();
    let own = site.path("keys/gw-sh-1");
    fs::copy(own.join("signing-1.key.pem"), own.join("signing-4294967295.key.pem")).unwrap();
    for command in ["rotate", "csr"] {
        let refused = site.keys(&[command, "gw-sh-1", "--purpose", "signing"]);
        assert_refused(&refused, 8, "key-number-exhausted");
    }
    assert!(!own.join("signing-0.key.pem").exists());
}

#[test]
fn private_keys_never_come_into_the_folder_that_is_given_out() {
    let site = Site::new();
    fs::rename(site.path("table/certificates"), site.path("certificates")).unwrap();
    fs::create_dir(site.path("beside")).unwrap();
    std::os::unix::fs::symlink(site.path("table"), site.path("beside/link")).unwrap();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(site.path("table"))
            .unwrap()
            .map(|one| one.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    for out in [
        "table/secret",
        "table/laender/secret",
        "beside/../table/secret",
        "new/../table/secret",
        "beside/link/secret",
        ".",
    ] {
        for what in ["new", "link"] {
            let refused = site
                .command(&["keys", what, "--table", "table", "--out", out])
                .output()
                .unwrap();
            assert_refused(&refused, 2, "keys-in-table");
        }
    }
    assert_eq!(names(), before);
    let made = site
        .command(&["keys", "new", "--table", "beside/link", "--out", "table-keys"])
        .output()
        .unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
}
