//! The binary as an operator meets it: exit codes, stdout and stderr, keys, envelopes in files, start and stop.

#![expect(clippy::unwrap_used, reason = "a panic in a test's own steps is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use viereck_gateway::Keys;
use viereck_gateway::key_files::Passphrase;
use viereck_routing::{Tables, day_in_berlin};

/// A folder with a copy of the sample table; everything a test makes stands in it.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self::with_table("../../routing-tables")
    }

    fn with_table(table: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = Path::new(env!("CARGO_MANIFEST_DIR")).join(table);
        copy(&table, &folder.path().join("table"));
        Self(folder)
    }

    fn with_keys() -> Self {
        let site = Self::new();
        let made = site.viereck(&["keys", "new", "--table", "table", "--out", "keys", "--json"]);
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viereck"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("VIERECK_LOG");
        command
    }

    fn viereck(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn configuration(&self, listen: &str) {
        let text = format!(
            "environment = \"test\"\ntable.folder = \"table\"\n\
             [link]\nkind = \"embedded\"\nfile = \"var/link.sqlite\"\n\
             [broker]\nkeys = \"keys/broker\"\njournal = \"var/broker.sqlite\"\n\
             [[gateway]]\nid = \"gw-sh-1\"\nrole = \"sender\"\nkeys = \"keys/gw-sh-1\"\n\
             journal = \"var/gw-sh-1.sqlite\"\nlisten = \"{listen}\"\n"
        );
        fs::write(self.path("viereck.toml"), text).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "certificates" {
                copy(&entry.path(), &target);
            }
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An error is code, sentence and next step on stderr; stdout stays empty.
fn assert_refused(output: &Output, exit: i32, code_word: &str) {
    let text = stderr(output);
    assert_eq!(code(output), exit, "{text}");
    assert!(text.starts_with(&format!("error[{code_word}]: ")), "{text}");
    assert!(text.contains("\nhelp: "), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_mistake_on_the_command_line_is_usage_and_help_is_not() {
    let site = Site::new();
    for wrong in [
        &["no-such-command"][..],
        &["routes", "explain", "--leistung", "99107023037000"],
        &["routes", "explain", "--leistung", "99107023037000", "--ars", "1"],
        &[
            "routes",
            "explain",
            "--leistung",
            "99107023037000",
            "--ars",
            "010540880088",
            "--ags",
            "01054088",
        ],
        &["keys", "new"],
        &["run"],
    ] {
        let output = site.viereck(wrong);
        assert_eq!(code(&output), 2, "{wrong:?}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
    }
    assert_eq!(code(&site.viereck(&["--help"])), 0);
}

#[test]
fn routes_are_checked_and_explained() {
    let site = Site::new();
    let checked = site.viereck(&["routes", "check", "table", "--json"]);
    assert_eq!(code(&checked), 0, "{}", stderr(&checked));
    assert_eq!(json(&checked)["valid"], true);
    let warnings = json(&checked)["findings"].as_array().unwrap().clone();
    assert!(
        warnings.iter().any(|warning| warning["code"] == "certificates-absent"),
        "{warnings:?}"
    );

    let ask = |extra: &[&str]| {
        let base = [
            "routes",
            "explain",
            "--table",
            "table",
            "--leistung",
            "99107023037000",
            "--ars",
            "010545489088",
        ];
        site.viereck(&[&base, extra].concat())
    };
    let answer = json(&ask(&["--json"]));
    assert_eq!(answer["outcome"], "route", "{answer}");
    assert!(
        answer["steps"].is_array() && answer["line"].is_u64() && answer["matchedRegion"].is_string(),
        "{answer}"
    );
    let told = String::from_utf8(ask(&["--lang", "en"]).stdout).unwrap();
    assert!(told.contains(answer["behoerde"].as_str().unwrap()), "{told}");

    assert_refused(&site.viereck(&["routes", "check", "nowhere"]), 3, "table-missing");
    fs::write(site.path("table/table.toml"), "environment = \n").unwrap();
    let broken = site.viereck(&["routes", "check", "table", "--json"]);
    assert_eq!(json(&broken)["valid"], false);
    assert_refused(&broken, 4, "table-invalid");
    assert!(
        stderr(&broken).contains("--> table/table.toml:1:"),
        "{}",
        stderr(&broken)
    );
}

#[test]
fn certificates_of_the_link_are_made_for_everyone_in_private_and_never_overwritten() {
    let site = Site::new();
    let link = |more: &[&str]| {
        let arguments = ["keys", "link", "--table", "table", "--out", "link", "--json"];
        site.viereck(&[&arguments, more].concat())
    };
    for host in ["", "a b", "https://h", "h:5671", "ä"] {
        assert_refused(&link(&["--host", host]), 2, "host-invalid");
        assert!(!site.path("link").exists());
    }
    let made = link(&["--host", "rabbitmq.example", "--host", "::1"]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let custodians = json(&site.viereck(&["routes", "custodians", "table", "--json"]));
    let custodians: Vec<&str> = custodians
        .as_array()
        .unwrap()
        .iter()
        .map(|custodian| custodian["id"].as_str().unwrap())
        .collect();
    assert_eq!(json(&made)["custodians"], serde_json::json!(custodians));
    for (folder, files) in custodians
        .iter()
        .map(|id| (*id, ["ca.pem", "link.key.pem", "link.pem"]))
        .chain([("rabbitmq", ["ca.pem", "node.key", "node.pem"])])
    {
        let mut found: Vec<_> = fs::read_dir(site.path("link").join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        found.sort();
        assert_eq!(found, files, "{folder}");
    }
    assert_private(&site.path("link"));
    assert_refused(&link(&[]), 8, "keys-exist");
}

#[test]
fn new_keys_fit_the_table_for_every_gateway_and_are_never_overwritten() {
    let site = Site::with_keys();
    let today = day_in_berlin(jiff::Timestamp::now());
    let loaded = Tables::load(&site.path("table"), today).unwrap();
    assert!(loaded.tables.has_certificates());
    assert!(
        loaded
            .warnings
            .iter()
            .all(|warning| warning.code != "certificates-absent")
    );
    for gateway in loaded.tables.gateways() {
        let keys = Keys::load(&site.path("keys"), &gateway.id, &loaded.tables).unwrap();
        assert_eq!(
            keys.readers.readers().count(),
            gateway.served().count(),
            "{}",
            gateway.id
        );
        let token = fs::read(site.path("keys").join(gateway.id.as_str()).join("fachverfahren.token")).unwrap();
        let digest = viereck_routing::Digest::of(&token).to_string();
        let file = site
            .path("keys")
            .join(gateway.id.as_str())
            .join("fachverfahren.token.sha256");
        assert_eq!(fs::read_to_string(file).unwrap(), digest);
    }
    for client in loaded.tables.clients() {
        let token = fs::read_to_string(site.path("keys/clients").join(format!("{}.token", client.id))).unwrap();
        assert_eq!(
            loaded
                .tables
                .client_by_token_at(&token, jiff::Timestamp::now())
                .map(|found| &found.id),
            Some(&client.id)
        );
    }
    assert_private(&site.path("keys"));

    let before = fs::read(site.path("table/certificates/certificates.toml")).unwrap();
    for out in ["keys", "elsewhere"] {
        let again = site.viereck(&["keys", "new", "--table", "table", "--out", out]);
        assert_refused(&again, 8, "keys-exist");
    }
    assert!(!site.path("elsewhere").exists());
    assert_eq!(
        fs::read(site.path("table/certificates/certificates.toml")).unwrap(),
        before
    );
}

/// The kinds of keys other than the default: they fit the table too, and the envelopes sealed for them say so.
#[test]
fn new_keys_may_be_rsa_keys_or_have_an_ml_kem_key_beside_them() {
    for (options, algorithm, profile) in [
        (&["--algorithm", "rsa-3072"][..], "rsa-3072", "1"),
        (&["--ml-kem"], "ec-p256", "2"),
    ] {
        let site = Site::with_table("../routing/tests/small-tables");
        let made = site.viereck(&[&["keys", "new", "--table", "table", "--out", "keys"], options].concat());
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        assert_private(&site.path("keys"));
        let loaded = Tables::load(&site.path("table"), day_in_berlin(jiff::Timestamp::now())).unwrap();
        for gateway in loaded.tables.gateways() {
            Keys::load(&site.path("keys"), &gateway.id, &loaded.tables).unwrap();
            for reader in gateway.served() {
                let certificate = loaded
                    .tables
                    .encryption_certificate(reader, jiff::Timestamp::now())
                    .unwrap();
                assert_eq!(certificate.key().algorithm(), algorithm);
                let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
                let usage = parsed.key_usage().unwrap().unwrap().value;
                assert_eq!(usage.key_encipherment(), algorithm == "rsa-3072");
                assert_eq!(usage.key_agreement(), algorithm == "ec-p256");
            }
        }
        let folder = "table/certificates/wgb-010540880000";
        let (of_reader, ml_kem) = (
            format!("{folder}/encryption-1.pem"),
            format!("{folder}/encryption-1.ml-kem.pem"),
        );
        let of_this_table = SEAL.map(|argument| argument.replace("gw-sh-1", "gw-1"));
        let mut seal: Vec<&str> = of_this_table.iter().map(String::as_str).collect();
        seal.extend(["--reader-certificate", &of_reader]);
        if profile == "2" {
            seal.extend(["--reader-ml-kem", &ml_kem]);
        }
        fs::write(site.path("payload.xml"), "<antrag/>").unwrap();
        let sealed = site.viereck(&seal);
        assert_eq!(code(&sealed), 0, "{}", stderr(&sealed));
        fs::write(site.path("envelope.xml"), &sealed.stdout).unwrap();
        let claims = json(&site.viereck(&["envelope", "inspect", "envelope.xml", "--json"]));
        assert_eq!(claims["profile"], profile);
        let signing = "table/certificates/gw-1/signing-1.pem";
        let verified = site.viereck(&["envelope", "verify", "envelope.xml", "--certificate", signing]);
        assert_eq!(code(&verified), 0, "{}", stderr(&verified));
        let holds = |gateway: &&viereck_routing::Gateway| gateway.served().any(|served| served.as_str() == READER);
        let holder = loaded.tables.gateways().find(holds).unwrap();
        let private = format!("keys/{}/wgb-010540880000/encryption-1", holder.id);
        let (key, ml_kem_key) = (format!("{private}.key.pem"), format!("{private}.ml-kem.key.pem"));
        let mut open = vec![
            "envelope",
            "open",
            "envelope.xml",
            "--certificate",
            signing,
            "--out",
            "opened",
        ];
        open.extend(["--reader-certificate", of_reader.as_str(), "--key", &key]);
        if profile == "2" {
            assert_refused(&site.viereck(&open), 4, "undecipherable");
            open.extend(["--reader-ml-kem", &ml_kem, "--ml-kem-key", &ml_kem_key]);
        }
        let opened = site.viereck(&open);
        assert_eq!(code(&opened), 0, "{}", stderr(&opened));
        assert_eq!(fs::read(site.path("opened/payload")).unwrap(), b"<antrag/>");
        if profile == "1" {
            fs::write(site.path("no.pem"), "nonsense").unwrap();
            seal.extend(["--reader-ml-kem", "no.pem"]);
            assert_refused(&site.viereck(&seal), 4, "ml-kem-invalid");
        }
    }
    let site = Site::new();
    let both = [
        "keys",
        "new",
        "--table",
        "table",
        "--out",
        "keys",
        "--algorithm",
        "rsa-4096",
        "--ml-kem",
    ];
    assert_refused(&site.viereck(&both), 2, "ml-kem-needs-ec");
    assert!(!site.path("keys").exists());
}

/// What all envelopes of a test are sealed with.
const SEAL: [&str; 15] = [
    "envelope",
    "seal",
    "payload.xml",
    "--author",
    "wgp:010000000000",
    "--reader",
    "wgb:010540880000",
    "--leistung",
    "99107023037000",
    "--gateway",
    "gw-sh-1",
    "--key",
    "keys/gw-sh-1/signing-1.key.pem",
    "--certificate",
    "table/certificates/gw-sh-1/signing-1.pem",
];

fn assert_private(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    if path.is_dir() {
        assert_eq!(mode, 0o700, "{}", path.display());
        fs::read_dir(path)
            .unwrap()
            .for_each(|entry| assert_private(&entry.unwrap().path()));
    } else {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

const READER: &str = "wgb:010540880000";
const OF_READER: &str = "table/certificates/wgb-010540880000/encryption-1.pem";
const SIGNING: &str = "table/certificates/gw-sh-1/signing-1.pem";

/// Seals `payload.xml`, once more as an attachment, into `envelope.xml`.
fn seal(site: &Site) -> Vec<u8> {
    fs::write(site.path("payload.xml"), "<antrag/>").unwrap();
    let more = ["--reader-certificate", OF_READER, "--attachment", "payload.xml"];
    let sealed = site.viereck(&[&SEAL[..], &more].concat());
    assert_eq!(code(&sealed), 0, "{}", stderr(&sealed));
    fs::write(site.path("envelope.xml"), &sealed.stdout).unwrap();
    sealed.stdout
}

#[test]
fn an_envelope_is_sealed_verified_and_inspected() {
    let site = Site::with_keys();
    let sealed = seal(&site);
    let ask = |verb: &str, file: &str, certificate: &str| {
        site.viereck(&["envelope", verb, file, "--certificate", certificate, "--json"])
    };

    let verified = ask("verify", "envelope.xml", SIGNING);
    assert_eq!(
        (code(&verified), &json(&verified)["verdict"]),
        (0, &Value::from("valid"))
    );
    let claims = json(&site.viereck(&["envelope", "inspect", "envelope.xml", "--json"]));
    assert_eq!(
        (&claims["verified"], &claims["reader"], &claims["payloadSchema"]),
        (
            &Value::from(false),
            &Value::from(READER),
            &Value::from("urn:example:none")
        )
    );

    let mut changed = sealed;
    let at = changed.windows(5).position(|window| window == b"<Kind").unwrap() + 6;
    changed[at] ^= 1;
    fs::write(site.path("changed.xml"), changed).unwrap();
    for (file, certificate) in [
        ("changed.xml", SIGNING),
        ("envelope.xml", "table/certificates/broker/signing-1.pem"),
    ] {
        let refused = ask("verify", file, certificate);
        assert_eq!(code(&refused), 4, "{file}");
        assert!(stderr(&refused).contains("help: "));
        let verdict = json(&ask("verify", file, certificate));
        assert_eq!(verdict["verdict"], "refused");
        assert!(verdict["code"].is_string());
    }
    assert_eq!(
        code(&site.viereck(&["envelope", "inspect", "payload.xml"])),
        4,
        "no envelope at all"
    );
    assert_eq!(code(&ask("verify", "absent.xml", SIGNING)), 3);
    assert_eq!(code(&ask("verify", "envelope.xml", "payload.xml")), 4);
}

#[test]
fn an_envelope_is_opened_into_a_new_private_folder() {
    let site = Site::with_keys();
    let mut sealed = seal(&site);
    let key = |holder: &str| site.path("keys/gw-sh-2").join(holder).join("encryption-1.key.pem");
    let (key, other) = (key("wgb-010540880000"), key("wgb-010010000000"));
    let open = |file: &str, certificate: &str, key: &Path, out: &str| {
        let key = key.to_str().unwrap();
        site.viereck(&[
            "envelope",
            "open",
            file,
            "--certificate",
            SIGNING,
            "--reader-certificate",
            certificate,
            "--key",
            key,
            "--out",
            out,
            "--json",
        ])
    };

    let opened = open("envelope.xml", OF_READER, &key, "opened");
    assert_eq!(code(&opened), 0, "{}", stderr(&opened));
    let said = json(&opened);
    assert_eq!(said["verdict"], "opened");
    let names: Vec<&str> = said["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["file"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["message.json", "payload", "attachment-01"]);
    for name in ["payload", "attachment-01"] {
        assert_eq!(fs::read(site.path("opened").join(name)).unwrap(), b"<antrag/>");
    }
    let message: Value = serde_json::from_slice(&fs::read(site.path("opened/message.json")).unwrap()).unwrap();
    assert_eq!(message["reader"], READER);
    assert_eq!(message["files"][1]["name"], "payload.xml");
    assert_eq!(message["files"][1]["file"], "attachment-01");
    let mode = |path: &str| fs::metadata(site.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("opened"), mode("opened/payload")), (0o700, 0o600));

    // It never overwrites, and leaves nothing when it refuses.
    fs::write(site.path("opened/payload"), "mine").unwrap();
    assert_refused(&open("envelope.xml", OF_READER, &key, "opened"), 8, "file-exists");
    assert_eq!(fs::read(site.path("opened/payload")).unwrap(), b"mine");
    let other_certificate = "table/certificates/wgb-010010000000/encryption-1.pem";
    let foreign = open("envelope.xml", other_certificate, &other, "foreign");
    assert_refused(&foreign, 4, "no-key");
    assert_eq!(json(&foreign)["verdict"], "refused");
    assert_refused(
        &open("envelope.xml", OF_READER, &other, "foreign"),
        4,
        "key-not-of-certificate",
    );
    let at = sealed.windows(6).position(|window| window == b"<Kind>").unwrap() + 6;
    sealed[at] ^= 1;
    fs::write(site.path("changed.xml"), sealed).unwrap();
    let changed = open("changed.xml", OF_READER, &key, "foreign");
    assert_eq!(
        (code(&changed), json(&changed)["verdict"].as_str()),
        (4, Some("refused"))
    );
    assert!(!site.path("foreign").exists());
}

#[test]
fn an_encrypted_key_seals_and_opens_with_its_passphrase() {
    let site = Site::new();
    for (name, text) in [("pass", "geheim\n"), ("other", "falsch\n")] {
        fs::write(site.path(name), text).unwrap();
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let made = site.viereck(&["keys", "new", "--table", "table", "--out", "keys", "--ml-kem"]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let passphrase = Passphrase::read(&site.path("pass")).unwrap();
    let private = "keys/gw-sh-2/wgb-010540880000/encryption-1";
    let (key, ml_kem_key) = (format!("{private}.key.pem"), format!("{private}.ml-kem.key.pem"));
    for file in [SEAL[12], &key, &ml_kem_key] {
        let plain = fs::read_to_string(site.path(file)).unwrap();
        fs::write(site.path(file), &*passphrase.encrypt(&plain, [1; 16], [2; 16]).unwrap()).unwrap();
    }
    fs::write(site.path("payload.xml"), "<antrag/>").unwrap();
    let ml_kem = OF_READER.replace(".pem", ".ml-kem.pem");
    let seal = [
        &SEAL[..],
        &["--reader-certificate", OF_READER, "--reader-ml-kem", &ml_kem],
    ]
    .concat();
    let open = [
        &[
            "envelope",
            "open",
            "envelope.xml",
            "--certificate",
            SIGNING,
            "--out",
            "opened",
        ][..],
        &["--reader-certificate", OF_READER, "--key", &key],
        &["--reader-ml-kem", &ml_kem, "--ml-kem-key", &ml_kem_key],
    ]
    .concat();
    let with = |command: &[&str], file: &str| site.viereck(&[command, &["--passphrase-file", file]].concat());
    let sealed = with(&seal, "pass");
    assert_eq!(code(&sealed), 0, "{}", stderr(&sealed));
    fs::write(site.path("envelope.xml"), &sealed.stdout).unwrap();
    for command in [&seal, &open] {
        assert_refused(&site.viereck(command), 2, "key-passphrase-missing");
        assert_refused(&with(command, "other"), 4, "key-passphrase-wrong");
    }
    assert!(!site.path("opened").exists());
    let opened = with(&open, "pass");
    assert_eq!(code(&opened), 0, "{}", stderr(&opened));
    assert_eq!(fs::read(site.path("opened/payload")).unwrap(), b"<antrag/>");

    // rights as everywhere
    for (file, command) in [(SEAL[12], &seal), (key.as_str(), &open), (&ml_kem_key, &open)] {
        let mode = |mode| fs::set_permissions(site.path(file), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_refused(&with(command, "pass"), 6, "key-rights-too-wide");
        mode(0o600);
    }
}

#[test]
fn nothing_is_sealed_with_a_certificate_that_is_for_something_else() {
    let site = Site::with_keys();
    fs::write(site.path("payload.xml"), "<antrag/>").unwrap();
    let for_signing = [&SEAL[..], &["--reader-certificate", SIGNING]].concat();
    let mut by_reader = [&SEAL[..], &["--reader-certificate", OF_READER]].concat();
    by_reader[12] = "keys/gw-sh-2/wgb-010540880000/encryption-1.key.pem";
    by_reader[14] = OF_READER;
    for wrong in [for_signing, by_reader] {
        let refused = site.viereck(&wrong);
        assert_refused(&refused, 4, "certificate-key-usage");
        assert!(refused.stdout.is_empty());
    }
}

#[test]
fn a_pipe_is_no_file_and_holds_nobody() {
    let site = Site::with_keys();
    seal(&site);
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(site.path("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    let within = |arguments: &[&str]| {
        let mut command = Command::new("timeout");
        command.args(["30", env!("CARGO_BIN_EXE_viereck")]).args(arguments);
        command.current_dir(site.0.path()).output().unwrap()
    };
    let verify = ["envelope", "verify", "pipe", "--certificate", SIGNING];
    assert_refused(&within(&verify), 2, "file-not-regular");
    assert_refused(&within(&["envelope", "inspect", "pipe"]), 2, "file-not-regular");
    let import = ["keys", "import", "pipe", "--table", "table", "--keys", "keys"];
    assert_refused(&within(&import), 2, "file-not-regular");
    let mut seal = [&SEAL[..], &["--reader-certificate", OF_READER]].concat();
    seal[12] = "pipe";
    assert_refused(&within(&seal), 6, "key-unreadable");
}

#[test]
fn a_document_and_one_element_of_it_are_canonicalized() {
    let site = Site::new();
    let document = "<?xml version='1.0'?>\n<a xmlns='urn:a'\txmlns:p=\"urn:p\"><p:b Id='x'/>&#65;</a>\n";
    fs::write(site.path("a.xml"), document).unwrap();
    let ask = |arguments: &[&str]| site.viereck(&[&["envelope", "canonicalize"], arguments].concat());
    let whole = ask(&["a.xml"]);
    assert_eq!(
        (code(&whole), whole.stdout.as_slice()),
        (
            0,
            &b"<a xmlns=\"urn:a\"><p:b xmlns:p=\"urn:p\" Id=\"x\"></p:b>A</a>"[..]
        )
    );
    let one = ask(&["a.xml", "--id", "x"]);
    assert_eq!(
        (code(&one), one.stdout.as_slice()),
        (0, &b"<p:b xmlns:p=\"urn:p\" Id=\"x\"></p:b>"[..])
    );
    for (arguments, exit, word) in [
        (&["a.xml", "--id", "y"][..], 3, "no-such-id"),
        (&["absent.xml"], 3, "file-not-found"),
        (&["b.xml"], 4, "comment"),
    ] {
        fs::write(site.path("b.xml"), "<a><!-- no --></a>").unwrap();
        let refused = ask(arguments);
        assert_refused(&refused, exit, word);
        assert!(refused.stdout.is_empty());
    }
    assert_eq!(code(&ask(&[])), 2);
}

#[test]
fn the_configuration_is_checked_by_the_way_it_is_loaded() {
    let site = Site::with_keys();
    site.configuration("127.0.0.1:0");
    let checked = site.viereck(&["config", "check", "--config", "viereck.toml", "--json"]);
    assert_eq!(code(&checked), 0, "{}", stderr(&checked));
    assert_eq!(json(&checked)["roles"].as_array().unwrap().len(), 2);

    let shown = site
        .command(&["config", "show", "--config", "viereck.toml"])
        .env("VIERECK__LINK__URL", "amqp://user:geheim@host/%2f")
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        text.contains("amqp://***@host/%2f") && text.contains("# VIERECK__LINK__URL"),
        "{text}"
    );
    assert!(
        text.contains("# viereck.toml:1\n") && text.contains("# built in\n") && !text.contains("geheim"),
        "{text}"
    );

    fs::remove_file(site.path("keys/gw-sh-1/signing-1.key.pem")).unwrap();
    assert_refused(
        &site.viereck(&["config", "check", "--config", "viereck.toml"]),
        3,
        "key-missing",
    );
    let file_only = site.viereck(&["config", "check", "--config", "viereck.toml", "--file-only"]);
    assert_eq!(code(&file_only), 0);
    assert_refused(
        &site.viereck(&["receiver", "--config", "viereck.toml"]),
        3,
        "role-missing",
    );
    assert_refused(&site.viereck(&["run", "--config", "absent.toml"]), 3, "file-not-found");
}

/// The four configurations of a trial on one host belong together and to the sample table.
#[test]
fn the_local_deployment_runs_every_custodian_of_the_sample_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local");
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../routing-tables");
    let tables = Tables::load(&table, day_in_berlin(jiff::Timestamp::now()))
        .unwrap()
        .tables;
    let mut custodians = Vec::new();
    for name in ["broker", "sender", "receiver-sh", "receiver-nw"] {
        let config = viereck::config::Config::load(&folder.join(format!("{name}.toml"))).unwrap();
        custodians.extend(config.broker.map(|broker| broker.settings.id));
        custodians.extend(config.gateways.into_iter().map(|gateway| gateway.settings.id));
    }
    let mut expected: Vec<_> = tables.gateways().map(|gateway| gateway.id.clone()).collect();
    expected.extend(tables.brokers().map(|broker| broker.id.clone()));
    custodians.sort();
    expected.sort();
    assert_eq!(custodians, expected);
}

#[test]
fn a_port_in_use_is_a_conflict_and_starts_nothing() {
    let site = Site::with_keys();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    site.configuration(&taken.local_addr().unwrap().to_string());
    assert_refused_among_logs(&site.viereck(&["run", "--config", "viereck.toml"]), 8, "port-in-use");
    assert!(!site.path("var").exists());
}

#[test]
fn a_table_of_another_environment_is_refused() {
    let site = Site::with_keys();
    site.configuration("127.0.0.1:0");
    let text = fs::read_to_string(site.path("viereck.toml"))
        .unwrap()
        .replace("\"test\"", "\"production\"");
    fs::write(site.path("viereck.toml"), text).unwrap();
    assert_refused_among_logs(
        &site.viereck(&["run", "--config", "viereck.toml"]),
        4,
        "environment-mismatch",
    );
}

/// What runs roles has log lines on stderr as well.
fn assert_refused_among_logs(output: &Output, exit: i32, code_word: &str) {
    let text = stderr(output);
    assert_eq!(code(output), exit, "{text}");
    assert!(
        text.contains(&format!("error[{code_word}]: ")) && text.contains("\nhelp: "),
        "{text}"
    );
}

#[test]
fn a_running_process_keeps_its_table_when_the_new_one_is_broken_and_ends_with_0() {
    let site = Site::with_keys();
    site.configuration("127.0.0.1:0");
    let mut running = Running::start(&site);
    running.wait_for("gateway listens");

    let again = site.viereck(&["run", "--config", "viereck.toml"]);
    assert_refused_among_logs(&again, 8, "journal-in-use");
    let unknown = "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b";
    let traced = site.viereck(&["message", "trace", unknown, "--config", "viereck.toml"]);
    assert_refused(&traced, 3, "message-unknown");

    running.signal("HUP");
    running.wait_for("routing table reloaded");
    fs::write(site.path("table/table.toml"), "environment = \n").unwrap();
    running.signal("HUP");
    running.wait_for("routing table kept");
    running.signal("TERM");
    assert_eq!(running.end(), Some(0));
}

/// `viereck run` in the background, ended when dropped.
struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    fn start(site: &Site) -> Self {
        let mut child = site
            .command(&["run", "--config", "viereck.toml"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    fn wait_for(&self, message: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(message) => return,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line with {message:?} among {seen:#?}"),
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn end(&mut self) -> Option<i32> {
        // The log ends when the process does.
        while self.lines.recv_timeout(Duration::from_secs(30)).is_ok() {}
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
