//! Which layer wins, what is refused and where an error points to.

use std::fs;
use std::path::PathBuf;

use super::layers::{DEFAULTS, Layers, Setting, Sources};
use super::{Config, Link, Part};
use crate::failure::{Exit, Failure};

const SMALL: &str = "\
environment = \"test\"

[[gateway]]
id = \"gw-sh-1\"
role = \"sender\"
keys = \"keys/gw-sh-1\"
journal = \"gw-sh-1.sqlite\"
listen = \"127.0.0.1:0\"
";

/// A folder with a configuration, gone when dropped.
struct Folder {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("viereck.toml");
        fs::write(&file, text).unwrap();
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };
        Self { folder, sources }
    }

    fn extra(self, name: &str, text: &str) -> Self {
        let conf_d = self.folder.path().join("conf.d");
        fs::create_dir_all(&conf_d).unwrap();
        fs::write(conf_d.join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.sources.flags.push(Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            origin: "--flag".to_owned(),
        });
        self
    }

    fn layers(&self) -> Layers {
        Layers::read(&self.sources).unwrap()
    }

    fn load(&self) -> Result<Config, Failure> {
        Config::from_layers(&Layers::read(&self.sources)?)
    }

    fn refused(&self) -> Failure {
        self.load().expect_err("should be refused")
    }
}

fn place(failure: &Failure) -> (String, usize, usize) {
    let position = failure.position.as_ref().expect("a position");
    let name = position.file.file_name().unwrap().to_string_lossy().into_owned();
    (name, position.line, position.column)
}

#[test]
fn a_later_layer_wins_and_every_value_tells_its_origin() {
    let with_table = |folder: &str| format!("{SMALL}\n[table]\nfolder = \"{folder}\"\n");
    let steps = [
        (Folder::with(SMALL), "routing-tables", "built in"),
        (Folder::with(&with_table("file")), "file", "viereck.toml"),
        (
            Folder::with(&with_table("file")).extra("a.toml", "table.folder = \"a\""),
            "a",
            "a.toml",
        ),
        (
            Folder::with(&with_table("file"))
                .extra("a.toml", "table.folder = \"a\"")
                .extra("b.toml", "table.folder = \"b\"")
                .extra("c.txt", "this is read by nobody"),
            "b",
            "b.toml",
        ),
        (
            Folder::with(&with_table("file"))
                .extra("a.toml", "table.folder = \"a\"")
                .variable("VIERECK__TABLE__FOLDER", "variable"),
            "variable",
            "VIERECK__TABLE__FOLDER",
        ),
        (
            Folder::with(&with_table("file"))
                .variable("VIERECK__TABLE__FOLDER", "variable")
                .flag("table.folder", "flag"),
            "flag",
            "--flag",
        ),
    ];
    for (folder, value, origin) in steps {
        assert_eq!(folder.load().unwrap().table, PathBuf::from(value));
        let layers = folder.layers();
        let told = layers.origin("table.folder").unwrap();
        assert!(told.ends_with(origin), "{told} should be {origin}");
    }
}

#[test]
fn one_key_of_one_gateway_can_be_set_by_a_variable() {
    let folder = Folder::with(SMALL)
        .variable("VIERECK__GATEWAY__0__LISTEN", "127.0.0.1:4711")
        .variable("VIERECK__GATEWAY__0__TIMEOUTS__STOP_SECONDS", "7")
        .variable("VIERECK_LOG", "no configuration key")
        .variable("HOME", "/root");
    let config = folder.load().unwrap();
    assert_eq!(config.gateways[0].settings.listen.port(), 4711);
    assert_eq!(config.gateways[0].settings.timeouts.stop_seconds, 7);
}

#[test]
fn plaintext_beyond_this_host_is_refused_unless_something_in_front_ends_tls() {
    const OPERATIONS: &str = "[operations]\nlisten = \"0.0.0.0:9000\"\n";
    let anywhere = SMALL.replace("127.0.0.1:0", "[::]:8443");
    let tls = "tls = { certificate = \"c.pem\", key = \"k.pem\" }\n";
    for refused in [
        Folder::with(&anywhere).refused(),
        Folder::with(&format!("{SMALL}{OPERATIONS}")).refused(),
    ] {
        assert_eq!((refused.exit, refused.code), (Exit::Usage, "config-invalid"));
        assert!(refused.sentence.contains("unencrypted"), "{}", refused.sentence);
        assert!(refused.position.is_some());
    }
    for more in ["tls_in_front = true\n", tls] {
        Folder::with(&format!("{anywhere}{more}{OPERATIONS}{more}"))
            .load()
            .unwrap();
    }
    Folder::with(&format!("{SMALL}tls_in_front = true\n{tls}")).refused();
}

#[test]
fn an_unknown_key_is_an_error_with_its_place() {
    let refused = Folder::with(&SMALL.replace("listen =", "listn =")).refused();
    assert_eq!((refused.exit, refused.code), (Exit::Usage, "config-invalid"));
    assert_eq!(place(&refused), ("viereck.toml".to_owned(), 8, 1));
    assert!(
        refused.sentence.starts_with("gateway[0].listn: "),
        "{}",
        refused.sentence
    );

    let refused = Folder::with(SMALL)
        .extra("x.toml", "[link]\nulr = \"amqp://h\"\n")
        .refused();
    assert_eq!(place(&refused), ("x.toml".to_owned(), 2, 1));

    let refused = Folder::with(&format!("colour = 1\n{SMALL}")).refused();
    assert_eq!(place(&refused), ("viereck.toml".to_owned(), 1, 1));

    let refused = Folder::with(SMALL).variable("VIERECK__LINK__ULR", "amqp://h").refused();
    assert!(refused.sentence.contains("VIERECK__LINK__ULR"), "{}", refused.sentence);
    assert!(refused.position.is_none());
}

#[test]
fn a_value_of_the_wrong_kind_and_a_missing_key_are_errors_with_their_place() {
    let refused = Folder::with(&SMALL.replace("127.0.0.1:0", "nowhere")).refused();
    assert_eq!(place(&refused), ("viereck.toml".to_owned(), 8, 1));

    let refused = Folder::with(&SMALL.replace("role = \"sender\"\n", "")).refused();
    assert!(refused.sentence.contains("role is missing"), "{}", refused.sentence);
    assert_eq!(place(&refused).1, 3);

    let refused = Folder::with(&SMALL.replace("environment = \"test\"", "")).refused();
    assert!(
        refused.sentence.contains("environment is missing"),
        "{}",
        refused.sentence
    );

    let refused = Folder::with(&SMALL.replace("\"test\"", "\"staging\"")).refused();
    assert_eq!(place(&refused).1, 1);
}

#[test]
fn what_is_not_toml_is_refused_with_its_place() {
    let refused = Folder::with("environment = \"test\"\n[link\nkind = 1\n").refused();
    assert_eq!(refused.exit, Exit::Usage);
    assert_eq!(place(&refused).1, 2);
}

#[test]
fn a_missing_file_is_not_found() {
    let sources = Sources {
        file: Some("no/such/file.toml".into()),
        ..Sources::default()
    };
    assert_eq!(Layers::read(&sources).unwrap_err().exit, Exit::NotFound);
}

#[test]
fn contradictions_are_refused() {
    let twice = format!(
        "{SMALL}\n{}",
        SMALL
            .replace("environment = \"test\"", "")
            .replace(".sqlite", "-2.sqlite")
    );
    assert!(Folder::with(&twice).refused().sentence.contains("used twice"));
    let second = SMALL
        .replace("environment = \"test\"", "")
        .replace("gw-sh-1\"", "gw-sh-2\"");
    assert!(
        Folder::with(&format!("{SMALL}\n{second}"))
            .refused()
            .sentence
            .contains("share one journal")
    );
    let folder = Folder::with(&SMALL.replace("keys/gw-sh-1", "keys"));
    assert!(folder.refused().sentence.contains("bears the gateway's name"));
    assert!(
        Folder::with("environment = \"test\"")
            .refused()
            .sentence
            .contains("no role")
    );
}

#[test]
fn production_and_files_of_tls_never_go_with_plaintext() {
    let tls = "[link.tls]\nca = \"ca.pem\"\n";
    let own = "certificate = \"link.pem\"\nkey = \"link.key.pem\"\n";
    let with = |environment: &str, url: &str, tls: &str| {
        let text = SMALL.replace("\"test\"", &format!("{environment:?}"));
        Folder::with(&format!("{text}\n[link]\nurl = \"{url}://h/v\"\n{tls}"))
    };
    for (folder, key) in [
        (with("production", "amqp", ""), "link.url"),
        (with("production", "amqps", ""), "link.tls"),
        (with("production", "amqps", tls), "link.tls"),
        (with("test", "amqp", tls), "link.tls"),
        (with("production", "amqp", &format!("{tls}{own}")), "link.tls"),
    ] {
        let refused = folder.refused();
        assert_eq!(refused.code, "config-invalid");
        assert!(refused.sentence.starts_with(key), "{refused}");
    }
    for environment in ["test", "production"] {
        with(environment, "amqps", &format!("{tls}{own}")).load().unwrap();
        with(environment, "amqp", "")
            .extra("x.toml", "[link]\nkind = \"embedded\"\n")
            .load()
            .unwrap();
    }
    with("test", "amqp", "").load().unwrap();
}

#[test]
fn a_url_comes_from_one_place_only_and_its_password_is_never_shown() {
    let secret = "amqp://user:geheim@host:5672/%2f";
    let folder = Folder::with(SMALL);
    let file = folder.folder.path().join("url");
    fs::write(&file, format!("{secret}\n")).unwrap();
    let by_file = format!("{SMALL}\n[link]\nurl_file = {:?}\n", file.display().to_string());

    let config = Folder::with(&by_file).load().unwrap();
    let Link::Amqp(url, None) = &config.link else {
        panic!("not AMQP")
    };
    assert_eq!(url.with_password(), secret);
    assert_eq!(url.to_string(), "amqp://***@host:5672/%2f");
    assert!(!format!("{config:?}").contains("geheim"));

    let both = Folder::with(&by_file).variable("VIERECK__LINK__URL", secret).refused();
    assert!(both.sentence.contains("not both"));
    let wrong = Folder::with(SMALL)
        .variable("VIERECK__LINK__URL", "http://user:geheim@host")
        .refused();
    assert!(!wrong.report().contains("geheim"), "{}", wrong.report());
}

#[test]
fn further_nodes_are_reached_as_the_first_one_is() {
    let text = format!("{SMALL}\n[link]\nurl = \"amqp://user:geheim@one:5672/%2f\"\nfurther_nodes = [\"two:5673\"]\n");
    let config = Folder::with(&text).load().unwrap();
    let Link::Amqp(url, None) = &config.link else {
        panic!("not AMQP")
    };
    assert_eq!(
        url.nodes(),
        ["amqp://user:geheim@one:5672/%2f", "amqp://user:geheim@two:5673/%2f"]
    );
    assert!(!format!("{config:?}").contains("geheim"));
}

#[test]
fn a_part_that_the_file_does_not_have_is_not_found() {
    let config = Folder::with(SMALL).load().unwrap();
    assert_eq!(config.clone().only(Part::Sender).unwrap().gateways.len(), 1);
    assert_eq!(config.clone().only(Part::All).unwrap().gateways.len(), 1);
    for part in [Part::Broker, Part::Receiver] {
        let refused = config.clone().only(part).unwrap_err();
        assert_eq!((refused.exit, refused.code), (Exit::NotFound, "role-missing"));
    }
}

#[test]
fn a_journal_is_a_file_or_a_database_and_its_password_is_never_shown() {
    let with = |journal: &str| Folder::with(&SMALL.replace("journal = \"gw-sh-1.sqlite\"", journal));
    let shown = |folder: &Folder| folder.load().unwrap().gateways[0].journal.to_string();
    assert_eq!(shown(&Folder::with(SMALL)), "gw-sh-1.sqlite");
    let url = "postgres://gw:s3cret@db.example/journals";
    assert_eq!(
        shown(&with(&format!("journal = \"{url}\""))),
        "postgres://***@db.example:5432/journals"
    );
    let by_variable = Folder::with(SMALL).variable("VIERECK__GATEWAY__0__JOURNAL", url);
    assert_eq!(shown(&by_variable), "postgres://***@db.example:5432/journals");
    assert!(!format!("{:?}", by_variable.load().unwrap()).contains("s3cret"));

    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), format!("{url}\n")).unwrap();
    let file = format!("journal_url_file = {:?}", secret.path());
    assert_eq!(shown(&with(&file)), "postgres://***@db.example:5432/journals");
    fs::write(secret.path(), "var/gw.sqlite").unwrap();
    for (journal, sentence) in [
        (file.clone(), "must begin with postgres://"),
        (format!("journal = \"a\"\n{file}"), "not both"),
        (String::new(), "journal is missing"),
        (
            "journal = \"mysql://gw:s3cret@db.example/x\"".to_owned(),
            "must begin with postgres://",
        ),
        (
            "journal = \"postgres://gw:s3cret@db.example\"".to_owned(),
            "names no database",
        ),
        (
            "journal = \"postgres://gw:s3cret@db.example/x?sslmode=prefer\"".to_owned(),
            "falls back to plaintext",
        ),
    ] {
        let refused = with(&journal).refused();
        assert!(refused.sentence.contains(sentence), "{journal}: {}", refused.sentence);
        assert!(!refused.sentence.contains("s3cret"), "{}", refused.sentence);
    }

    // in one database each custodian has tables of its own
    let both = format!(
        "{}\n[broker]\nkeys = \"k\"\njournal = \"{url}\"\n",
        SMALL.replace("gw-sh-1.sqlite", url)
    );
    assert!(Folder::with(&both).load().is_ok());
}

#[test]
fn what_a_broker_is_told_of_deadlines_and_retention_is_read_and_checked_as_at_a_gateway() {
    let with = |more: &str| {
        Folder::with(&format!(
            "environment = \"test\"\n[broker]\nkeys = \"k\"\njournal = \"j\"\n{more}\n"
        ))
    };
    let read = with("[broker.deadlines]\nurgent_minutes = 30\n[broker.retention]\ncase_days = 365")
        .load()
        .unwrap();
    let settings = read.broker.unwrap().settings;
    assert_eq!(
        (settings.deadlines.urgent_minutes, settings.deadlines.expire_days),
        (30, 14)
    );
    assert_eq!((settings.retention.case_days, settings.retention.taken_days), (365, 7));
    for (wrong, key, sentence) in [
        (
            "[broker.deadlines]\nexpire_days = 9",
            "broker.deadlines.warn_days",
            "ascending",
        ),
        (
            "[broker.deadlines]\nbulk_minutes = 0",
            "broker.deadlines.bulk_minutes",
            "from 1 to",
        ),
        (
            "[broker.retention]\ncase_days = 0",
            "broker.retention.case_days",
            "from 1 to",
        ),
        (
            "[revocation]\nrefresh_minutes = 0",
            "revocation.refresh_minutes",
            "from 1 to",
        ),
        (
            "[revocation]\nrefresh_minutes = 601",
            "revocation.refresh_minutes",
            "from 1 to 600",
        ),
        ("[keys]\npassphrase = \"x\"", "keys", "passphrase"),
        ("[broker.deadlines]\nexpire = 9", "broker.deadlines", "expire"),
    ] {
        let refused = with(wrong).refused();
        assert_eq!(refused.code, "config-invalid");
        let told = format!("{refused:?}");
        assert!(told.contains(key) && told.contains(sentence), "{told}");
    }
}

#[test]
fn a_password_in_the_query_of_an_url_is_masked_too() {
    let masked = |url| super::without_password(url);
    assert_eq!(masked("postgres://gw@db/x?password=s3cret"), "postgres://***@db/x?***");
    assert_eq!(
        masked("postgres://db/x?sslmode=disable"),
        "postgres://db/x?sslmode=disable"
    );
    assert_eq!(masked("amqp://u:p@host:5672/%2f"), "amqp://***@host:5672/%2f");
    assert_eq!(masked("a file?password=no"), "a file?password=no");
}

/// The reference is true: with every commented key put in force it is a configuration that loads, and the defaults that
/// it shows for commented keys are what the crates really take.
#[test]
fn every_key_of_the_reference_is_known() {
    let in_force: String = DEFAULTS
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first == '[' || first.is_ascii_lowercase()) => key,
            _ => line,
        })
        .filter(|line| !line.starts_with("url_file") && !line.starts_with("journal_url_file"))
        .filter(|line| !line.starts_with("passphrase_credential"))
        .flat_map(|line| [line, "\n"])
        .collect();
    // with the files of TLS in force the address has to be one of TLS
    let in_force = in_force.replace("\"amqp://", "\"amqps://");
    let full = Folder::with(&in_force).load().unwrap();
    let plain = Folder::with(&format!("{SMALL}\n[broker]\nkeys = \"k\"\njournal = \"j\"\n"))
        .load()
        .unwrap();
    let (shown, real) = (&full.gateways[0].settings, &plain.gateways[0].settings);
    assert_eq!(format!("{:?}", shown.limits), format!("{:?}", real.limits));
    assert_eq!(format!("{:?}", shown.timeouts), format!("{:?}", real.timeouts));
    assert_eq!(shown.obsolete_after_days, real.obsolete_after_days);
    let (shown, real) = (full.broker.unwrap().settings, plain.broker.unwrap().settings);
    assert_eq!(
        (shown.prefetch, shown.receipt_gather_ms),
        (real.prefetch, real.receipt_gather_ms)
    );
    assert_eq!((shown.deadlines, shown.retention), (real.deadlines, real.retention));
}
