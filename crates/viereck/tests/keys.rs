//! `viereck keys` as an operator uses it, and a process whose keys change while it runs.

#![expect(clippy::unwrap_used, reason = "a panic in a test's own steps is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use viereck::demo::site::Site as Prepared;

mod authority;
#[path = "keys/given_out.rs"]
mod given_out;
use authority::{Authority, instant};

const READER: &str = "wgb:010540880000";
const IN_FOLDER: &str = "wgb-010540880000";
/// Whom the sender gateway reads for.
const PORTAL: &str = "wgp:010000000000";
const INDEX: &str = "table/certificates/certificates.toml";
const DEADLINE: Duration = Duration::from_secs(30);

/// Table and keys in a folder.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Prepared::prepare(folder.path()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viereck"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("VIERECK_LOG");
        command
    }

    fn keys(&self, arguments: &[&str]) -> Output {
        let place = ["--table", "table", "--keys", "keys"];
        self.command(&[&["keys"], arguments, &place].concat()).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.keys(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn findings(&self, more: &[&str]) -> (i32, Vec<String>) {
        let output = self.keys(&[&["check", "--json"], more].concat());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let told = told["findings"].as_array().unwrap().clone();
        let codes = told.iter().map(|one| one["code"].as_str().unwrap().to_owned());
        (output.status.code().unwrap(), codes.collect())
    }

    /// The key that a command has made.
    fn key_of(&self, made: &Value) -> rcgen::KeyPair {
        let file = self.path("").join(made["keys"][0].as_str().unwrap());
        rcgen::KeyPair::from_pem(&fs::read_to_string(file).unwrap()).unwrap()
    }

    /// Sets when an entry of the table ends; the index as it was.
    fn end(&self, file: &str, end: jiff::Timestamp) -> String {
        self.amend(file, "until", end)
    }

    /// Sets an instant in an entry of the table; the index as it was.
    fn amend(&self, file: &str, key: &str, instant: jiff::Timestamp) -> String {
        let index = self.path(INDEX);
        let entries = fs::read_to_string(&index).unwrap();
        let entry = entries.split("\n\n").find(|entry| entry.contains(file)).unwrap();
        let (before, rest) = entry.split_once(&format!("{key} = ")).unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        let amended = format!("{before}{key} = {instant:.0}\n{after}");
        fs::write(&index, entries.replace(entry, &amended)).unwrap();
        entries
    }

    /// Gives a participant a second key that began 300 days ago and a third, in use, that began 200 days ago; the first,
    /// which is of yesterday, has ended.
    fn worn(&self, holder: &str) {
        for days in [300, 200] {
            self.begun(holder, days);
        }
        let first = format!("{}/encryption-1.pem", holder.replace(':', "-"));
        self.end(&first, ago(0) - jiff::SignedDuration::from_hours(1));
    }

    /// Gives a participant the next key, which began to count so many days ago.
    fn begun(&self, holder: &str, days: i64) {
        let made = self.json(&["csr", holder, "--purpose", "encryption"]);
        fs::write(self.path("issued.pem"), self.certified(&made, ago(days), ago(-400))).unwrap();
        let imported = self.json(&["import", "issued.pem"]);
        self.begin(imported["certificate"].as_str().unwrap(), ago(days));
    }

    /// A certificate for encryption that signs itself, for the key that a command has made.
    fn certified(&self, made: &Value, from: jiff::Timestamp, until: jiff::Timestamp) -> String {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = made["holder"].as_str().unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
        (params.not_before, params.not_after) = (instant(from), instant(until));
        params.self_signed(&self.key_of(made)).unwrap().pem()
    }

    /// Sets from when on an entry of the table counts.
    fn begin(&self, file: &str, from: jiff::Timestamp) {
        self.amend(file, "from", from);
    }

    /// An application for the reader, through the sender gateway that listens there.
    fn send(&self, address: &str) -> Output {
        fs::write(self.path("antrag.xml"), "<antrag/>").unwrap();
        let applicant = r#"{"applicant":{"kind":"person","level":4,"attributes":{"name":"Beispiel"}}}"#;
        fs::write(self.path("metadata.json"), applicant).unwrap();
        let url = format!("http://{address}");
        let what = [
            "send",
            "antrag.xml",
            "--leistung",
            "99107023037000",
            "--ars",
            "010545489088",
            "--schema",
            viereck::demo::samples::WOHNGELD,
            "--metadata",
            "metadata.json",
        ];
        let to = ["--url", &url, "--token-file", "keys/clients/antragsportal-sh.token"];
        self.command(&[&what[..], &to].concat()).output().unwrap()
    }

    /// What doctor finds from here: code and sentence.
    fn doctor(&self) -> Vec<(String, String)> {
        let doctor = ["doctor", "--config", "viereck.toml", "--json"];
        let output = self.command(&doctor).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let told = told["findings"].as_array().unwrap().iter();
        let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        told.map(|one| (text(one, "code"), text(one, "sentence"))).collect()
    }

    /// A configuration of the sender gateway and the broker; the link is a file.
    fn configuration(&self, more: &str) {
        let text = format!(
            "environment = \"test\"\ntable.folder = \"table\"\n{more}\n\
             [link]\nkind = \"embedded\"\nfile = \"var/link.sqlite\"\n\
             [broker]\nid = \"broker\"\nkeys = \"keys/broker\"\njournal = \"var/broker.sqlite\"\n\
             [[gateway]]\nid = \"gw-sh-1\"\nrole = \"sender\"\nkeys = \"keys/gw-sh-1\"\n\
             journal = \"var/gw-sh-1.sqlite\"\nlisten = \"127.0.0.1:0\"\n"
        );
        fs::write(self.path("viereck.toml"), text).unwrap();
    }
}

/// So many days ago; ahead, if there are less than none.
fn ago(days: i64) -> jiff::Timestamp {
    jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn assert_refused(output: &Output, exit: i32, code: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    assert!(
        text.contains(&format!("error[{code}]: ")) && text.contains("help: "),
        "{text}"
    );
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_there_is_is_listed_and_sound() {
    let site = Site::new();
    let listed = site.json(&["list"]);
    let rows = listed["keys"].as_array().unwrap();
    let of = |holder: &str, purpose: &str| {
        rows.iter()
            .find(|row| row["holder"] == holder && row["purpose"] == purpose)
            .unwrap()
    };
    let reader = of(READER, "encryption");
    assert_eq!(reader["number"], 1);
    assert_eq!(reader["algorithm"], "ec-p256");
    assert_eq!(reader["subject"], format!("CN={READER}"));
    assert_eq!((&reader["pinned"], &reader["inUse"]), (&true.into(), &true.into()));
    assert!(reader["daysLeft"].as_i64().unwrap() >= 363, "{reader}");
    assert_eq!(of("broker", "signing")["inUse"], true);
    assert_eq!(site.findings(&[]), (0, vec![]));
    let text = String::from_utf8(site.keys(&["list"]).stdout).unwrap();
    assert!(
        text.lines()
            .any(|line| line.contains(READER) && line.contains("in use")),
        "{text}"
    );
    assert_refused(
        &site
            .command(&["keys", "list", "--table", "table", "--keys", "nowhere"])
            .output()
            .unwrap(),
        3,
        "keys-missing",
    );
}

#[test]
fn wide_rights_stop_check_and_start() {
    let site = Site::new();
    site.configuration("");
    let check = || {
        site.command(&["config", "check", "--config", "viereck.toml"])
            .output()
            .unwrap()
    };
    assert_eq!(check().status.code(), Some(0), "{}", stderr(&check()));
    for key in ["signing-1.key.pem", "reply-token.key", "fingerprint.key"] {
        let key = site.path("keys/gw-sh-1").join(key);
        chmod(&key, 0o640);
        assert_refused(&check(), 6, "key-rights-too-wide");
        chmod(&key, 0o400);
        assert_eq!(check().status.code(), Some(0));
    }
    let broker = site.path("keys/broker/signing-1.key.pem");
    chmod(&broker, 0o604);
    assert_refused(&check(), 6, "key-rights-too-wide");
    let (code, codes) = site.findings(&[]);
    assert_eq!((code, &*codes), (4, &["key-rights-too-wide".to_owned()][..]));
}

#[test]
fn an_encrypted_key_needs_its_passphrase_from_a_file_or_a_credential() {
    let site = Site::new();
    fs::write(site.path("pass"), "geheim\n").unwrap();
    chmod(&site.path("pass"), 0o600);
    let rotated = site.json(&[
        "rotate",
        "gw-sh-1",
        "--purpose",
        "signing",
        "--from",
        "now",
        "--passphrase-file",
        "pass",
    ]);
    let key = PathBuf::from(rotated["keys"][0].as_str().unwrap());
    let text = fs::read_to_string(site.path("").join(&key)).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{text}");
    assert_eq!(mode(&site.path("").join(&key)), 0o600);

    let check = |more: &str, variable: Option<&Path>| {
        site.configuration(more);
        let mut command = site.command(&["config", "check", "--config", "viereck.toml"]);
        if let Some(folder) = variable {
            command.env("CREDENTIALS_DIRECTORY", folder);
        }
        command.output().unwrap()
    };
    assert_refused(&check("", None), 2, "key-passphrase-missing");
    let by_file = check("keys.passphrase_file = \"pass\"", None);
    assert_eq!(by_file.status.code(), Some(0), "{}", stderr(&by_file));
    let credential = "keys.passphrase_credential = \"pass\"";
    assert_refused(&check(credential, None), 3, "credential-missing");
    let by_credential = check(credential, Some(site.folder.path()));
    assert_eq!(by_credential.status.code(), Some(0), "{}", stderr(&by_credential));
    fs::write(site.path("pass"), "falsch\n").unwrap();
    assert_refused(&check(credential, Some(site.folder.path())), 4, "key-passphrase-wrong");
    chmod(&site.path("pass"), 0o644);
    assert_refused(
        &check("keys.passphrase_file = \"pass\"", None),
        6,
        "key-rights-too-wide",
    );
    assert_refused(
        &check("keys.passphrase_credential = \"../pass\"", None),
        2,
        "config-invalid",
    );
    let both = "keys.passphrase_file = \"pass\"\nkeys.passphrase_credential = \"pass\"";
    assert_refused(&check(both, None), 2, "config-invalid");
}

#[test]
fn rotating_makes_the_next_pair_and_deletes_nothing() {
    let site = Site::new();
    let before = site.json(&["list"]);
    let rotated = site.json(&["rotate", READER, "--purpose", "encryption", "--days", "30"]);
    assert_eq!(rotated["number"], 2);
    let keys = rotated["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let key = site.path("").join(key.as_str().unwrap());
        assert_eq!(mode(&key), 0o600);
        assert!(key.with_file_name("encryption-1.key.pem").exists());
    }
    let rows = site.json(&["list"]);
    assert_eq!(
        rows["keys"].as_array().unwrap().len(),
        before["keys"].as_array().unwrap().len() + 1
    );
    let of_reader: Vec<_> = rows["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["holder"] == READER && row["purpose"] == "encryption")
        .map(|row| (row["number"].as_u64().unwrap(), row["inUse"].as_bool().unwrap()))
        .collect();
    assert_eq!(of_reader, [(1, true), (2, false)], "the new one counts from tomorrow");
    let needed: jiff::Timestamp = rotated["previousNeededUntil"].as_str().unwrap().parse().unwrap();
    let from: jiff::Timestamp = rotated["from"].as_str().unwrap().parse().unwrap();
    assert_eq!(needed.duration_since(from).as_hours(), 24 * 120);

    let third = site.json(&["rotate", READER, "--purpose", "encryption", "--from", "now"]);
    assert_eq!(third["number"], 3);
    let rsa = [
        "rotate",
        "gw-sh-2",
        "--purpose",
        "signing",
        "--from",
        "now",
        "--algorithm",
        "rsa-3072",
    ];
    let rsa = site.json(&rsa);
    let rows = site.json(&["list"]);
    let mut rows = rows["keys"].as_array().unwrap().iter();
    let row = rows.find(|row| row["sha256"] == rsa["sha256"]).unwrap();
    assert_eq!((&row["algorithm"], &row["inUse"]), (&"rsa-3072".into(), &true.into()));
    assert_eq!(
        site.findings(&[]),
        (0, vec!["key-not-needed".to_owned()]),
        "a key that only signed"
    );
    assert_refused(
        &site.keys(&["rotate", "gw-xx-9", "--purpose", "signing"]),
        3,
        "holder-unknown",
    );
    assert_refused(
        &site.keys(&["rotate", "gw-sh-1", "--purpose", "encryption"]),
        3,
        "holder-unknown",
    );
}

#[test]
fn a_pair_of_profile_2_is_made_entered_and_missed_when_half_of_it_is_lost() {
    let site = Site::new();
    let pair = ["rotate", READER, "--purpose", "encryption", "--from", "now", "--ml-kem"];
    let rotated = site.json(&pair);
    let keys: Vec<PathBuf> = rotated["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| site.path("").join(key.as_str().unwrap()))
        .collect();
    let (beside, own): (Vec<_>, Vec<_>) = keys
        .iter()
        .partition(|key| key.to_str().unwrap().ends_with("encryption-2.ml-kem.key.pem"));
    assert!(!own.is_empty() && own.len() == beside.len(), "{keys:?}");
    assert!(keys.iter().all(|key| mode(key) == 0o600));

    let today = viereck_routing::day_in_berlin(jiff::Timestamp::now());
    let tables = viereck::routes::load(&site.path("table"), today).unwrap().tables;
    let reader = READER.parse().unwrap();
    let sealable = tables.sealable_key(&reader, &reader, jiff::Timestamp::now()).unwrap();
    assert_eq!(sealable.certificate().sha256().to_string(), rotated["sha256"]);
    assert_eq!(sealable.profile(), viereck_routing::Profile::P2);
    assert_eq!(site.findings(&[]), (0, vec![]));

    fs::rename(beside[0], site.path("elsewhere")).unwrap();
    assert_eq!(site.findings(&[]), (4, vec!["key-missing".to_owned()]));
    fs::rename(site.path("elsewhere"), beside[0]).unwrap();
    // the next key is an ordinary one again
    site.json(&["rotate", READER, "--purpose", "encryption", "--from", "now"]);
    assert_eq!(site.findings(&[]), (0, vec![]));

    for wrong in [
        [
            "rotate",
            "gw-sh-2",
            "--purpose",
            "signing",
            "--ml-kem",
            "--algorithm",
            "ec-p256",
        ],
        [
            "rotate",
            READER,
            "--purpose",
            "encryption",
            "--ml-kem",
            "--algorithm",
            "rsa-3072",
        ],
    ] {
        assert_refused(&site.keys(&wrong), 2, "ml-kem-needs-ec");
    }
}

#[test]
fn a_lost_key_and_a_certificate_that_ends_are_findings() {
    let site = Site::new();
    let key = site.path("keys/gw-sh-2").join(IN_FOLDER).join("encryption-1.key.pem");
    let text = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert_eq!(site.findings(&[]), (4, vec!["key-missing".to_owned()]));
    fs::write(&key, "no key").unwrap();
    chmod(&key, 0o600);
    assert_eq!(site.findings(&[]), (4, vec!["key-not-allowed".to_owned()]));
    fs::write(&key, text).unwrap();

    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 59);
    site.end("\"gw-sh-1\"", end);
    assert_eq!(site.findings(&[]), (4, vec!["certificate-ends-soon".to_owned()]));
    site.json(&["rotate", "gw-sh-1", "--purpose", "signing"]);
    assert_eq!(site.findings(&[]), (0, vec![]));
}

#[test]
fn a_key_is_needed_again_when_its_successor_has_ended_or_was_revoked() {
    let site = Site::new();
    site.worn(READER);
    let not_needed = (0, vec!["key-not-needed".to_owned()]);
    assert_eq!(site.findings(&[]), not_needed);
    let hour = jiff::SignedDuration::from_hours(1);
    let before = site.end("encryption-3.pem", jiff::Timestamp::now() - hour);
    assert_eq!(site.findings(&[]), (0, vec![]), "the second key is in use again");
    fs::write(site.path(INDEX), before).unwrap();

    let mut authority = Authority::new();
    authority.days_before = 400;
    let section = "[[trust.list]]\nissuer = \"anchors/root.pem\"\nfile = \"list.crl\"";
    let now = jiff::Timestamp::now();
    let list = site.path("table/certificates/list.crl");
    fs::write(&list, authority.list(now, &[])).unwrap();
    let serials = authority.take_over(&site.path("table"), &site.path("keys"), section);
    let lists = ["--revocation", "lists"];
    assert_eq!(site.findings(&lists), not_needed);
    // the entries of this holder in the order in which they were made
    let third = serials.iter().rfind(|(holder, ..)| holder == READER).unwrap().2;
    fs::write(&list, authority.list(now, &[third])).unwrap();
    assert_eq!(site.findings(&lists), (4, vec!["certificate-revoked".to_owned()]));
}

#[test]
fn doctor_calls_a_key_not_needed_only_when_every_journal_was_asked() {
    let site = Site::new();
    site.worn(PORTAL);
    site.configuration("");
    // what lies beside the own folder is another user's and cannot be listed
    let closed = site.path("keys/gw-sh-2").join(IN_FOLDER);
    fs::rename(&closed, site.path("elsewhere")).unwrap();
    fs::write(&closed, "").unwrap();
    let running = Running::start(&site);
    running.wait("gateway listens");
    drop(running);
    let codes = || site.doctor().into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    assert!(codes().contains(&"key-not-needed".to_owned()), "{:?}", codes());
    fs::rename(site.path("var/broker.sqlite"), site.path("away")).unwrap();
    let codes = codes();
    assert!(codes.contains(&"journal-missing".to_owned()), "{codes:?}");
    assert!(!codes.contains(&"key-not-needed".to_owned()), "{codes:?}");
}

#[test]
fn an_authority_that_was_just_entered_gets_its_first_certificate() {
    const NEW: &str = "wgb:010545439999";
    let site = Site::new();
    let gateway = "gateway = \"gw-sh-2\"";
    let entry = format!(
        "[\"{NEW}\"]\nname = \"Amt Neu (Beispiel)\"\n\
         [[\"{NEW}\".delivery]]\nleistungen = \"default\"\n{gateway}\n"
    );
    let file = "table/laender/01-schleswig-holstein/behoerden/neu.toml";
    fs::write(site.path(file), entry).unwrap();
    let today = viereck_routing::day_in_berlin(jiff::Timestamp::now());
    let refused = viereck::routes::load(&site.path("table"), today).unwrap_err();
    assert!(refused.sentence.contains("certificate-missing"), "{refused:?}");
    assert_eq!(site.findings(&[]), (4, vec!["certificate-none-valid".to_owned()]));

    let made = site.json(&["csr", NEW, "--purpose", "encryption"]);
    assert_eq!(made["number"], 1);
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, NEW);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
    let issued = Authority::new().certify(params, &site.key_of(&made), 1).pem();
    fs::write(site.path("issued.pem"), issued).unwrap();
    site.json(&["import", "issued.pem"]);
    assert!(viereck::routes::load(&site.path("table"), today).is_ok());
    assert_eq!(site.findings(&[]), (0, vec![]));

    // the index begins with the first certificate; a wrong one leaves none behind
    fs::rename(site.path("table/certificates"), site.path("certificates")).unwrap();
    let other = serde_json::json!({ "holder": "wgb:010600630000", "keys": made["keys"] });
    fs::write(site.path("wrong.pem"), site.certified(&other, ago(1), ago(-400))).unwrap();
    assert_refused(&site.keys(&["import", "wrong.pem"]), 4, "table-invalid");
    assert!(!site.path(INDEX).exists());
    site.json(&["import", "issued.pem"]);
    let index = fs::read_to_string(site.path(INDEX)).unwrap();
    assert!(
        index.starts_with("# Which certificates") && index.contains(NEW),
        "{index}"
    );
}

#[test]
fn a_request_is_made_certified_and_imported() {
    let site = Site::new();
    let authority = Authority::new();
    authority.take_over(&site.path("table"), &site.path("keys"), "");
    assert_refused(
        &site.keys(&["rotate", READER, "--purpose", "encryption"]),
        2,
        "anchors-configured",
    );

    let request = [
        "csr",
        READER,
        "--purpose",
        "encryption",
        "--ml-kem",
        "--out",
        "request.pem",
    ];
    let made = site.json(&request);
    assert_eq!(made["number"], 2);
    assert_refused(&site.keys(&request), 8, "file-exists");
    for left in ["encryption-3.key.pem", "encryption-3.ml-kem.key.pem"] {
        let left = site.path("keys/gw-sh-2").join(IN_FOLDER).join(left);
        assert!(!left.exists(), "a key without its request is taken back");
    }
    let request = fs::read_to_string(site.path("request.pem")).unwrap();
    let key = site.key_of(&made);
    asserts_request(&request, READER, &key);

    let import = |name: &str, pem: &str, more: &[&str]| {
        fs::write(site.path(name), pem).unwrap();
        site.keys(&[&["import", name], more].concat())
    };
    let named = |kind: rcgen::DnType, name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(kind, name);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
        params
    };
    let requested = || named(rcgen::DnType::CommonName, READER);
    let wrong = named(rcgen::DnType::CommonName, "wgb:010600630000");
    let wrong = authority.certify(wrong, &key, 900).pem();
    let index = fs::read(site.path("table/certificates/certificates.toml")).unwrap();
    let refused = import("wrong.pem", &wrong, &[]);
    assert_refused(&refused, 4, "table-invalid");
    assert!(
        stderr(&refused).contains("certificate-subject-differs"),
        "{}",
        stderr(&refused)
    );
    let stranger = Authority::new().certify(requested(), &key, 901).pem();
    let refused = import("stranger.pem", &stranger, &[]);
    assert!(
        stderr(&refused).contains("certificate-not-trusted"),
        "{}",
        stderr(&refused)
    );
    let unchanged = fs::read(site.path("table/certificates/certificates.toml")).unwrap();
    assert_eq!(unchanged, index, "what was refused has left no trace");
    let foreign = rcgen::KeyPair::generate().unwrap();
    let foreign = authority.certify(requested(), &foreign, 902).pem();
    assert_refused(&import("foreign.pem", &foreign, &[]), 3, "key-missing");
    assert_refused(&import("nonsense.pem", "x", &[]), 4, "certificate-wrong");

    let issued = authority.certify(requested(), &key, 903).pem();
    let imported = import("issued.pem", &issued, &["--json"]);
    assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(imported["certificate"], format!("{IN_FOLDER}/encryption-2.pem"));
    assert_refused(&import("issued.pem", &issued, &[]), 8, "certificate-exists");
    let today = viereck_routing::day_in_berlin(jiff::Timestamp::now());
    let tables = viereck::routes::load(&site.path("table"), today).unwrap().tables;
    let (reader, sha256) = (READER.parse().unwrap(), imported["sha256"].as_str().unwrap());
    assert!(
        tables.ml_kem_key(&reader, &sha256.parse().unwrap()).is_some(),
        "the key beside it is entered with it"
    );
    assert_eq!(site.findings(&[]), (0, vec![]));

    let other = site.json(&["csr", READER, "--purpose", "encryption"]);
    let mapped = named(rcgen::DnType::OrganizationName, "Stadt \"Niebüll\"");
    let mapped = authority.certify(mapped, &site.key_of(&other), 904).pem();
    let imported = import("mapped.pem", &mapped, &["--accept-subject"]);
    assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
}

/// A request is for this holder and key, and signed with it.
fn asserts_request(pem: &str, holder: &str, key: &rcgen::KeyPair) {
    use x509_parser::prelude::{FromDer, X509CertificationRequest};
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    assert_eq!(pem.label, "CERTIFICATE REQUEST");
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).unwrap();
    let info = &request.certification_request_info;
    assert_eq!(info.subject.to_string(), format!("CN={holder}"));
    assert_eq!(info.subject_pki.raw, rcgen::PublicKeyData::subject_public_key_info(key));
    let usages = request.requested_extensions().unwrap();
    assert!(
        usages.into_iter().any(|extension| matches!(
            extension,
            x509_parser::extensions::ParsedExtension::KeyUsage(usage) if usage.key_agreement()
        )),
        "it asks for the key usage that is needed"
    );
}

/// A running process and the lines that it logs.
struct Running {
    child: Child,
    lines: mpsc::Receiver<Value>,
}

impl Running {
    fn start(site: &Site) -> Self {
        let mut command = site.command(&["run", "--config", "viereck.toml"]);
        command.env("VIERECK__LOG__FORMAT", "json").stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str(&line) {
                    let _gone = sender.send(line);
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that says this.
    fn wait(&self, message: &str) -> Value {
        let until = std::time::Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no {message:?} in {seen:#?}"));
            if line.to_string().contains(message) {
                return line;
            }
            seen.push(line);
        }
    }

    fn hang_up(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn a_running_process_takes_new_keys_without_a_restart() {
    let site = Site::new();
    site.configuration("");
    let running = Running::start(&site);
    running.wait("gateway listens");
    // at a signal, when the table has another certificate that counts now
    let rotated = site.json(&["rotate", "gw-sh-1", "--purpose", "signing", "--from", "now"]);
    running.hang_up();
    let line = running.wait("keys in force");
    assert!(line.to_string().contains(rotated["sha256"].as_str().unwrap()), "{line}");
    running.wait("routing table reloaded");

    // a key that is open to others changes nothing, and is an alarm
    site.json(&["rotate", "gw-sh-1", "--purpose", "signing", "--from", "now"]);
    chmod(&site.path("keys/gw-sh-1/signing-3.key.pem"), 0o644);
    running.hang_up();
    let line = running.wait("own keys do not fit the table");
    assert!(line.to_string().contains("key-rights-too-wide"), "{line}");
    chmod(&site.path("keys/gw-sh-1/signing-3.key.pem"), 0o600);
    running.hang_up();
    running.wait("keys in force");
}

#[test]
fn a_certificate_that_begins_to_count_is_taken_at_that_instant() {
    let site = Site::new();
    site.configuration("");
    let rotated = site.json(&["rotate", "gw-sh-1", "--purpose", "signing", "--from", "now"]);
    // the same entry a few seconds later
    let index = site.path("table/certificates/certificates.toml");
    let entries = fs::read_to_string(&index).unwrap();
    let begin = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(6);
    let from = rotated["from"].as_str().unwrap();
    let from: jiff::Timestamp = from.parse().unwrap();
    assert_eq!(entries.matches(&format!("from = {from:.0}")).count(), 1);
    fs::write(
        &index,
        entries.replace(&format!("from = {from:.0}"), &format!("from = {begin:.0}")),
    )
    .unwrap();
    let running = Running::start(&site);
    running.wait("gateway listens");
    let line = running.wait("keys in force");
    assert!(line.to_string().contains(rotated["sha256"].as_str().unwrap()), "{line}");
    assert!(jiff::Timestamp::now() >= begin - jiff::SignedDuration::from_secs(1));
}

/// Where a gateway says that it listens.
fn address(line: &Value) -> String {
    let told = line["fields"]["address"].as_str().or(line["address"].as_str());
    told.unwrap().to_owned()
}

/// Serves a revocation list on this host; nothing while it is told to.
struct Lists {
    url: String,
    list: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Lists {
    fn serve(list: Vec<u8>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ca.crl", listener.local_addr().unwrap());
        let list = std::sync::Arc::new(std::sync::Mutex::new(list));
        let shared = std::sync::Arc::clone(&list);
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _request = stream.read(&mut [0; 4096]);
                let list = shared.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    list.len()
                );
                let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&list));
            }
        });
        Self { url, list }
    }
}

#[test]
fn nothing_is_sealed_for_a_revoked_key_and_nothing_is_promised() {
    let site = Site::new();
    let authority = Authority::new();
    let now = jiff::Timestamp::now();
    let lists = Lists::serve(authority.list(now, &[]));
    let section = format!("[[trust.list]]\nissuer = \"anchors/root.pem\"\nurl = \"{}\"", lists.url);
    let serials = authority.take_over(&site.path("table"), &site.path("keys"), &section);
    site.configuration("");
    let running = Running::start(&site);
    let line = running.wait("gateway listens");
    let address = address(&line);
    running.wait("revocation list taken");
    let send = || site.send(&address);
    let sent = send();
    assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    let told = String::from_utf8(sent.stdout).unwrap();
    let behoerde = told
        .lines()
        .find_map(|line| line.strip_prefix("behoerde"))
        .unwrap()
        .trim()
        .to_owned();

    let serial = |holder: &str| serials.iter().find(|(id, ..)| id == holder).unwrap().2;
    *lists.list.lock().unwrap() = authority.list(now, &[serial(&behoerde)]);
    running.hang_up();
    running.wait("revocation list taken");
    let refused = send();
    assert_refused(&refused, 4, "gateway-refused");
    assert!(
        stderr(&refused).contains("not-connected: reader-certificate-revoked"),
        "{}",
        stderr(&refused)
    );
    running.wait("nothing can be sealed for this reader");

    // the own signing key: nobody would believe what it signs
    *lists.list.lock().unwrap() = authority.list(now, &[serial("gw-sh-1")]);
    running.hang_up();
    running.wait("revocation list taken");
    let refused = send();
    assert_refused(&refused, 7, "gateway-refused");
    let line = running.wait("nothing can be sealed");
    assert!(line.to_string().contains("signing-certificate-revoked"), "{line}");

    let listed = site
        .command(&["message", "list", "--config", "viereck.toml", "--json"])
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_else(|_| panic!("{}", stderr(&listed)));
    let ids: std::collections::BTreeSet<String> = listed["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["messageId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "what was refused was never promised: {listed}");
    let told = site.findings(&["--revocation", "var/revocation"]);
    assert_eq!(told.0, 4);
    assert!(told.1.contains(&"certificate-revoked".to_owned()), "{told:?}");
}
