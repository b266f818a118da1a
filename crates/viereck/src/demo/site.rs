//! A network in a folder: sample table, generated keys, one configuration.
//!
//! The demonstration and the scenario tests begin here. Everything is made by what an operator would use (`keys new`,
//! a configuration file that is loaded like any other), only faster. The folder is the caller's; nothing outside it is
//! touched.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use jiff::Timestamp;

use crate::failure::Failure;
use crate::keys;

/// The sample tables as they stood when this binary was built, so that the demonstration runs anywhere.
static SAMPLE_TABLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../routing-tables");

/// The sender gateway of the sample tables.
pub const SENDER: &str = "gw-sh-1";
/// The receiver gateway of Schleswig-Holstein's authorities.
pub const RECEIVER_SH: &str = "gw-sh-2";
/// The receiver gateway of Nordrhein-Westfalen's authorities and of the Bund's register authority.
pub const RECEIVER_NW: &str = "gw-nw-1";
/// The broker of the sample tables.
pub const BROKER: &str = "broker";
/// The client of the sample tables that may post for every Leistung.
pub const CLIENT: &str = "antragsportal-sh";

/// A prepared folder.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
}

/// What stands around the network: where the gateways listen, and who is at corners 1 and 4.
#[derive(Debug)]
pub struct Surroundings {
    /// The link: a URL of RabbitMQ, or the embedded one.
    pub amqp: Option<String>,
    /// Where the three gateways listen, sender first; port 0 is any free one.
    pub listen: [SocketAddr; 3],
    /// Where Schleswig-Holstein's Fachverfahren takes messages.
    pub fachverfahren_url: String,
    /// Where the Fachverfahren behind the other receiver gateway looks for folders.
    pub fachverfahren_folder: PathBuf,
    /// Where the Postfach takes messages.
    pub postfach_url: String,
}

impl Site {
    /// Makes the table and the keys in `folder`, which must be empty.
    pub fn prepare(folder: &Path) -> Result<Self, Failure> {
        Self::prepare_changed(folder, |_| Ok(()))
    }

    /// The same with a sample table that `change` has changed before the keys are made for it.
    pub fn prepare_changed(folder: &Path, change: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<Self, Failure> {
        let site = Self {
            folder: folder.to_owned(),
        };
        let unwritten = |error: std::io::Error| Failure::of_file("write", &site.table(), &error);
        std::fs::create_dir_all(site.table()).map_err(unwritten)?;
        SAMPLE_TABLES.extract(site.table()).map_err(unwritten)?;
        change(&site.table())?;
        keys::new(&site.table(), &site.keys(), keys::Wanted::default(), Timestamp::now())?;
        Ok(site)
    }

    /// The folder of it all.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The routing table.
    pub fn table(&self) -> PathBuf {
        self.folder.join("table")
    }

    /// The private keys and tokens.
    pub fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// The configuration, once it is written.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("viereck.toml")
    }

    /// The bearer token of a client.
    pub fn client_token(&self, client: &str) -> Result<String, Failure> {
        read(&self.keys().join("clients").join(format!("{client}.token")))
    }

    /// The bearer token with which a Fachverfahren replies through `gateway`.
    pub fn fachverfahren_token(&self, gateway: &str) -> Result<String, Failure> {
        read(&self.keys().join(gateway).join("fachverfahren.token"))
    }

    /// Writes the configuration of all roles: every portal's Bescheide go to the Postfach, everything for
    /// Schleswig-Holstein to the Fachverfahren over HTTP, everything else to the one with folders.
    pub fn configure(&self, around: &Surroundings) -> Result<PathBuf, Failure> {
        let folder = self.folder.display();
        let link = match &around.amqp {
            Some(url) => format!("kind = \"amqp\"\nurl = {url:?}"),
            None => format!("kind = \"embedded\"\nfile = \"{folder}/var/link.sqlite\""),
        };
        let mut text = self.head(&link) + &self.broker(&self.journal(BROKER));
        let adapters = [
            adapter_of_postfach(&around.postfach_url),
            adapter_of_http(&around.fachverfahren_url),
            adapter_of_folder(&around.fachverfahren_folder),
        ];
        let gateways = [(SENDER, "sender"), (RECEIVER_SH, "receiver"), (RECEIVER_NW, "receiver")];
        for (((id, role), listen), adapter) in gateways.into_iter().zip(around.listen).zip(adapters) {
            text.push_str(&self.gateway(id, role, listen, &self.journal(id), &adapter));
        }
        self.write("viereck.toml", &text)
    }

    /// The beginning of every configuration: environment, table, and the link as `link` says.
    pub fn head(&self, link: &str) -> String {
        let folder = self.folder.display();
        format!(
            "environment = \"test\"\n[table]\nfolder = \"{folder}/table\"\n\
             [revocation]\nfolder = \"{folder}/var/revocation\"\n[link]\n{link}\n"
        )
    }

    /// The section of the broker.
    pub fn broker(&self, journal: &str) -> String {
        let folder = self.folder.display();
        format!("[broker]\nkeys = \"{folder}/keys/broker\"\njournal = {journal:?}\n")
    }

    /// The sections of one gateway, which hands everything to one adapter.
    pub fn gateway(&self, id: &str, role: &str, listen: SocketAddr, journal: &str, adapter: &str) -> String {
        let folder = self.folder.display();
        format!(
            "\n[[gateway]]\nid = \"{id}\"\nrole = \"{role}\"\nlisten = \"{listen}\"\n\
             keys = \"{folder}/keys/{id}\"\njournal = {journal:?}\n\
             [[gateway.delivery]]\nbehoerde = \"default\"\nleistung = \"default\"\n{adapter}\n\
             [[gateway.fachverfahren]]\nname = \"stand-in\"\nbehoerden = \"all\"\n\
             token_sha256_file = \"{folder}/keys/{id}/fachverfahren.token.sha256\"\n"
        )
    }

    /// The file of a custodian's journal.
    pub fn journal(&self, custodian: &str) -> String {
        format!("{}/var/{custodian}.sqlite", self.folder.display())
    }

    /// Writes a configuration.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let file = self.folder.join(name);
        std::fs::write(&file, text).map_err(|error| Failure::of_file("write", &file, &error))?;
        Ok(file)
    }
}

/// The adapter for a Postfach.
pub fn adapter_of_postfach(url: &str) -> String {
    format!("adapter = \"postfach\"\nurl = {url:?}")
}

/// The adapter for a Fachverfahren over HTTP; what takes longer than 5 s counts as not answered.
pub fn adapter_of_http(url: &str) -> String {
    format!("adapter = \"http\"\nurl = {url:?}\ntimeout_seconds = 5")
}

/// The adapter for a Fachverfahren that reads folders.
pub fn adapter_of_folder(folder: &Path) -> String {
    format!("adapter = \"directory\"\nfolder = {folder:?}")
}

fn read(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::of_file("read", file, &error))?;
    Ok(text.trim().to_owned())
}
