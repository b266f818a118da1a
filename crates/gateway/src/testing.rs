//! A small network for tests: a routing table with certificates, the keys of two gateways, and servers to talk to.

mod ear;
mod scripted;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use viereck_custody::{CurrentTables, Journal, MessageKey, MessageView};
use viereck_envelope::{
    Content, Draft, File, MessageType, OpenedEnvelope, ReplyToken, Role, SealedEnvelope, Stage, new_ml_kem_key, open,
    seal, verify,
};
use viereck_routing::{CaseId, Digest, GatewayId, Kind, MessageId, Tables, day_in_berlin};

use crate::gateway::Gateway;
use crate::http::access::Access;
use crate::http::serve::Listening;
use crate::http::tls::TlsServer;
use crate::http::{router, serve};
use crate::{Config, Keys};

pub(crate) use ear::hear;
pub(crate) use scripted::{Answer, Asked, Scripted};

pub(crate) const SENDER: &str = "gw-s";
pub(crate) const RECEIVER: &str = "gw-r";
pub(crate) const PORTAL: &str = "wgp:010000000000";
pub(crate) const BEHOERDE: &str = "wgb:010010000000";
pub(crate) const WOHNGELD: &str = "99107023037000";
pub(crate) const EINBUERGERUNG: &str = "99099002067003";
pub(crate) const SCHEMA: &str = "urn:example:wohngeld:1";

/// The bearer token of a client or of the Fachverfahren, by its name.
pub(crate) fn token(name: &str) -> String {
    format!("token-of-{name}")
}

const FILES: &[(&str, &str)] = &[
    (
        "table.toml",
        "format = 1\nenvironment = \"test\"\nsequence = 1\ngebietsstand = 2026-04-30\n[owners]\n\
      \"laender/01-schleswig-holstein\" = { name = \"A\", contact = \"a@example\" }\n\
      \"laender/05-nordrhein-westfalen\" = { name = \"B\", contact = \"b@example\" }\n\
      [[broker]]\nid = \"broker\"\noperator = \"O\"\ncontact = \"o@example\"\n",
    ),
    (
        "gemeinden.csv",
        "ags,ars,name\n01001000,010010000000,Flensburg\n01002000,010020000000,Kiel\n\
      01003000,010030000000,Lübeck\n01004000,010040000000,Neumünster\n05111000,051110000000,Düsseldorf\n",
    ),
    (
        "participants.toml",
        "[\"wgp:010000000000\"]\nkind = \"portal\"\nname = \"Portal\"\ncontact = \"p@example\"\n\
      gateway = \"gw-s\"\nleistungen = [\"99107023037000\", \"99099002067003\"]\n\
          [\"wgp:020000000000\"]\nkind = \"portal\"\nname = \"Portal 2\"\ncontact = \"p@example\"\ngateway = \"gw-r\"\n",
    ),
    (
        "laender/01-schleswig-holstein/gateways.toml",
        "[\"gw-s\"]\noperator = \"S\"\ncontact = \"s@example\"\n\
      environment = \"test\"\n[\"gw-r\"]\noperator = \"R\"\ncontact = \"r@example\"\nenvironment = \"test\"\n",
    ),
    (
        "laender/01-schleswig-holstein/clients.toml",
        "[\"alles\"]\ngateway = \"gw-s\"\nauthors = [\"wgp:010000000000\"]\n\
      leistungen = [\"99107023037000\", \"99099002067003\"]\nlaender = [\"01\"]\nquota = { per_minute = 1000 }\n\
      [\"wenig\"]\ngateway = \"gw-s\"\nauthors = [\"wgp:010000000000\"]\nleistungen = [\"99107023037000\"]\n\
      laender = [\"01\"]\nquota = { per_minute = 2 }\n\
      [\"fremd\"]\ngateway = \"gw-r\"\nauthors = [\"wgp:020000000000\"]\nleistungen = [\"99107023037000\"]\n\
      laender = [\"01\"]\nquota = { per_minute = 2 }\n",
    ),
    (
        "laender/01-schleswig-holstein/leistungen.toml",
        "[wohngeld]\nleika = \"99107023037000\"\nname = \"Wohngeld\"\n\
      uses = \"wgb\"\nfallback = \"kreis\"\nlevel = 1\nclass = \"normal\"\nschemas = [\n\
      { urn = \"urn:example:wohngeld:1\", type = \"wohngeld.antrag\" },\n\
      { urn = \"urn:example:wohngeld:2\", type = \"wohngeld.antrag\" } ]\n\
      replies = [ { kind = \"bescheid\", urn = \"urn:example:bescheid:1\", type = \"wohngeld.bescheid\" },\n\
      { kind = \"question\", urn = \"urn:example:frage:1\", type = \"wohngeld.frage\" } ]\n\
      [einbuergerung]\nleika = \"99099002067003\"\nname = \"Einbürgerung\"\nuses = \"wgb\"\nfallback = \"kreis\"\n\
      level = 3\nclass = \"normal\"\nschemas = [ { urn = \"urn:example:einbuergerung:1\", type = \"e.antrag\" } ]\n\
      replies = [ { kind = \"bescheid\", urn = \"urn:example:bescheid:1\", type = \"e.bescheid\" } ]\n",
    ),
    (
        "laender/01-schleswig-holstein/zustaendigkeiten/wgb.toml",
        "[[competence]]\nregion = \"01001\"\nbehoerde = \"wgb:010010000000\"\n\
      [[competence]]\nregion = \"01002\"\nrefused = { reason = \"not-connected\", text = \"Noch nicht\", url = \"https://a.example\" }\n\
      [[competence]]\nregion = \"01003\"\nchoices = [ { behoerde = \"wgb:010010000000\", label = \"A\" }, { behoerde = \"wgb:010020000000\", label = \"B\" } ]\n",
    ),
    (
        "laender/01-schleswig-holstein/behoerden/a.toml",
        "[\"wgb:010010000000\"]\nname = \"Amt A\"\ncontact = \"a@amt.example\"\n\
      [[\"wgb:010010000000\".delivery]]\nleistungen = \"default\"\ngateway = \"gw-r\"\n\
      accepts = [\"urn:example:wohngeld:1\", \"urn:example:einbuergerung:1\"]\n\
      [\"wgb:010020000000\"]\nname = \"Amt B\"\n[[\"wgb:010020000000\".delivery]]\nleistungen = \"default\"\ngateway = \"gw-r\"\n\
      [\"ebb:010090000000\"]\nname = \"Amt D\"\n[[\"ebb:010090000000\".delivery]]\nleistungen = \"default\"\ngateway = \"gw-r\"\n",
    ),
    (
        "laender/05-nordrhein-westfalen/leistungen.toml",
        "[wohngeld]\nleika = \"99107023037000\"\nname = \"Wohngeld\"\n\
      uses = \"wgb\"\nfallback = \"kreis\"\nlevel = 1\nclass = \"normal\"\n\
      schemas = [ { urn = \"urn:example:wohngeld:1\", type = \"wohngeld.antrag\" } ]\nreplies = []\n",
    ),
    (
        "laender/05-nordrhein-westfalen/zustaendigkeiten/wgb.toml",
        "[[competence]]\nregion = \"05111\"\nbehoerde = \"wgb:051110000000\"\n",
    ),
    (
        "laender/05-nordrhein-westfalen/behoerden/a.toml",
        "[\"wgb:051110000000\"]\nname = \"Amt C\"\n\
      [[\"wgb:051110000000\".delivery]]\nleistungen = \"default\"\ngateway = \"gw-r\"\n",
    ),
];

/// A routing table and the keys of everyone in it.
pub(crate) struct Network {
    pub(crate) folder: TempDir,
    pub(crate) tables: Arc<Tables>,
    /// The one in force, which a test may replace.
    pub(crate) in_force: watch::Sender<Arc<Tables>>,
}

impl Network {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (table, keys) = (folder.path().join("table"), folder.path().join("keys"));
        for (file, text) in FILES {
            write(&table.join(file), text);
        }
        let today = day_in_berlin(Timestamp::now());
        let bare = Tables::load(&table, today).unwrap().tables;
        let mut index = String::new();
        for custodian in [SENDER, RECEIVER, "broker"] {
            let key = certificate(&table, &mut index, custodian, "signing");
            write(&keys.join(custodian).join("signing-1.key.pem"), &key);
            write(
                &keys.join(custodian).join("reply-token.key"),
                &Digest::of(custodian.as_bytes()).to_string(),
            );
            write(
                &keys.join(custodian).join("fingerprint.key"),
                &Digest::of(b"fingerprint").to_string(),
            );
        }
        for gateway in bare.gateways() {
            for reader in gateway.served() {
                let key = certificate(&table, &mut index, reader.as_str(), "encryption");
                let file = format!(
                    "{}/{}/encryption-1.key.pem",
                    gateway.id,
                    reader.as_str().replace(':', "-")
                );
                write(&keys.join(file), &key);
            }
        }
        for client in bare.clients() {
            let digest = Digest::of(token(client.id.as_str()).as_bytes());
            index.push_str(&format!(
                "[[token]]\nclient = \"{}\"\n{TERM}sha256 = \"{digest}\"\n",
                client.id
            ));
        }
        write(
            &table.join("certificates/certificates.toml"),
            &format!("environment = \"test\"\n{index}"),
        );
        let loaded = Tables::load(&table, today).unwrap_or_else(|findings| panic!("{findings}"));
        let tables = Arc::new(loaded.tables);
        Self {
            in_force: watch::channel(Arc::clone(&tables)).0,
            tables,
            folder,
        }
    }

    /// The same table with one text of a file replaced.
    pub(crate) fn changed(&self, file: &str, before: &str, after: &str) -> Arc<Tables> {
        let table = self.folder.path().join("table");
        let text = fs::read_to_string(table.join(file)).unwrap();
        assert!(text.contains(before), "{file} has no {before}");
        write(&table.join(file), &text.replace(before, after));
        let loaded = Tables::load(&table, day_in_berlin(Timestamp::now()));
        Arc::new(loaded.unwrap_or_else(|findings| panic!("{findings}")).tables)
    }

    /// The same table with another encryption certificate of `reader`, later than those before it, and its key at `gateway`.
    pub(crate) fn another_key(&self, gateway: &str, reader: &str) -> Arc<Tables> {
        self.later_key(gateway, reader, |_, _| String::new())
    }

    /// The same with an ML-KEM key beside the certificate: for profile 2.
    pub(crate) fn another_pair(&self, gateway: &str, reader: &str) -> Arc<Tables> {
        self.later_key(gateway, reader, |keys, number| {
            let (public, private) = new_ml_kem_key().unwrap();
            write(&keys.join(format!("encryption-{number}.ml-kem.key.pem")), &private);
            let file = format!("{}/encryption-{number}.ml-kem.pem", reader.replace(':', "-"));
            let path = self.folder.path().join("table/certificates").join(&file);
            write(&path, &public.to_pem());
            format!("ml_kem = \"{file}\"\nml_kem_sha256 = \"{}\"\n", public.sha256())
        })
    }

    fn later_key(&self, gateway: &str, reader: &str, beside: impl FnOnce(&Path, usize) -> String) -> Arc<Tables> {
        let (table, name) = (self.folder.path().join("table"), reader.replace(':', "-"));
        let keys = self.folder.path().join("keys").join(gateway).join(&name);
        let number = fs::read_dir(&keys).unwrap().count() + 1;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2099, 12, 31);
        named(&mut params, reader, "encryption");
        let certificate = params.self_signed(&key).unwrap();
        let file = format!("{name}/encryption-{number}.pem");
        write(&table.join("certificates").join(&file), &certificate.pem());
        write(&keys.join(format!("encryption-{number}.key.pem")), &key.serialize_pem());
        let index = "certificates/certificates.toml";
        let entry = format!(
            "[[certificate]]\nid = \"{reader}\"\npurpose = \"encryption\"\nfile = \"{file}\"\n\
             from = 20{:02}-01-01\nuntil = 2099-12-31\nsha256 = \"{}\"\n{}",
            19 + number,
            Digest::of(certificate.der()),
            beside(&keys, number),
        );
        let text = fs::read_to_string(table.join(index)).unwrap();
        write(&table.join(index), &format!("{text}{entry}"));
        let loaded = Tables::load(&table, day_in_berlin(Timestamp::now()));
        Arc::new(loaded.unwrap_or_else(|findings| panic!("{findings}")).tables)
    }

    pub(crate) fn keys(&self, gateway: &str) -> Keys {
        Keys::load(
            &self.folder.path().join("keys"),
            &gateway.parse().unwrap(),
            &self.tables,
        )
        .unwrap()
    }

    /// A gateway that nothing runs for yet.
    pub(crate) async fn gateway(&self, id: &str, more: &str) -> Arc<Gateway> {
        self.gateway_with(id, more, self.in_force.subscribe(), self.keys(id))
            .await
    }

    /// The same, with a routing table and keys that may be another network's.
    pub(crate) async fn gateway_with(&self, id: &str, more: &str, tables: CurrentTables, keys: Keys) -> Arc<Gateway> {
        let config = config(id, more);
        let journal = self.folder.path().join(format!("{id}.sqlite"));
        let journal = Journal::open(&journal, config.id.clone(), self.tables.environment())
            .await
            .unwrap();
        let access = Access::load(&config).unwrap();
        let gateway = Gateway::new(
            config,
            journal,
            keys.unchanging(),
            access,
            tables,
            CancellationToken::new(),
        )
        .unwrap();
        Arc::new(gateway)
    }

    /// An application, or what `change` makes of it, sealed by the sender's gateway.
    pub(crate) fn sealed(&self, change: impl FnOnce(&mut Draft)) -> SealedEnvelope {
        self.sealed_at(Timestamp::now(), change)
    }

    /// The same by a gateway whose clock shows `now`.
    pub(crate) fn sealed_at(&self, now: Timestamp, change: impl FnOnce(&mut Draft)) -> SealedEnvelope {
        self.sealed_with(&self.tables, now, change)
    }

    /// The same by a gateway that has this table.
    pub(crate) fn sealed_with(
        &self,
        tables: &Tables,
        now: Timestamp,
        change: impl FnOnce(&mut Draft),
    ) -> SealedEnvelope {
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap();
        let mut draft = Draft {
            environment: tables.environment(),
            message_id: MessageId::random(),
            replaces: None,
            kind: Kind::Application,
            filed_at: now,
            obsolete_after: now + SignedDuration::from_hours(24),
            gateway: SENDER.parse().unwrap(),
            author: PORTAL.parse().unwrap(),
            reader: BEHOERDE.parse().unwrap(),
            service: WOHNGELD.parse().unwrap(),
            region: Some("01001".parse().unwrap()),
            message_type: MessageType {
                name: "wohngeld.antrag".to_owned(),
                schema: SCHEMA.to_owned(),
            },
            process_ref: CaseId::random(),
            in_reply_to: None,
            routing_table: Some(tables.release()),
            content: Content {
                applicant: Some(r#"{"kind":"person","level":3}"#.to_owned()),
                files: vec![
                    file(Role::Payload, "antrag.xml", "application/xml", b"<antrag/>"),
                    file(Role::Attachment, "../../etc/passwd", "application/pdf", b"%PDF"),
                ],
                ..Content::default()
            },
        };
        change(&mut draft);
        let reader = tables.sealable_key(&draft.reader, &draft.reader, now).unwrap();
        let signer = self.keys(draft.gateway.as_str()).signer;
        seal(draft, &reader, &signer, now).unwrap()
    }

    /// An answer of the authority to `application` in case `case_id`.
    pub(crate) fn answer(
        &self,
        application: MessageId,
        case_id: CaseId,
        reply_token: Option<ReplyToken>,
    ) -> SealedEnvelope {
        self.sealed(|draft| {
            draft.kind = Kind::Bescheid;
            draft.gateway = RECEIVER.parse().unwrap();
            (draft.author, draft.reader) = (BEHOERDE.parse().unwrap(), PORTAL.parse().unwrap());
            draft.process_ref = case_id;
            draft.in_reply_to = Some(application);
            draft.content = Content {
                reply_token,
                files: vec![file(Role::Payload, "bescheid.pdf", "application/pdf", b"%PDF-Bescheid")],
                ..Content::default()
            };
        })
    }

    pub(crate) fn opened(&self, envelope: &SealedEnvelope, by: &str) -> OpenedEnvelope {
        let bytes = envelope.bytes().clone();
        let verified = verify(bytes, self.tables.as_ref(), self.tables.environment(), Timestamp::now()).unwrap();
        open(&verified, &self.keys(by).readers).unwrap()
    }
}

const TERM: &str = "from = 2020-01-01\nuntil = 2099-12-31\n";

fn certificate(table: &Path, index: &mut String, id: &str, purpose: &str) -> String {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 12, 31);
    named(&mut params, id, purpose);
    let certificate = params.self_signed(&key).unwrap();
    let file = format!("{}/{purpose}-1.pem", id.replace(':', "-"));
    write(&table.join("certificates").join(&file), &certificate.pem());
    let digest = Digest::of(certificate.der());
    index.push_str(&format!(
        "[[certificate]]\nid = \"{id}\"\npurpose = \"{purpose}\"\nfile = \"{file}\"\n{TERM}sha256 = \"{digest}\"\n"
    ));
    key.serialize_pem()
}

/// The subject and the key usage that a certificate of `id` for `purpose` has to have.
fn named(params: &mut CertificateParams, id: &str, purpose: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, id);
    params.key_usages = vec![match purpose {
        "signing" => rcgen::KeyUsagePurpose::DigitalSignature,
        _ => rcgen::KeyUsagePurpose::KeyAgreement,
    }];
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    // private keys are only read when nobody else may
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn file(role: Role, name: &str, media_type: &str, octets: &'static [u8]) -> File {
    File {
        role,
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        octets: Bytes::from_static(octets),
    }
}

/// A configuration with these further keys.
pub(crate) fn config(id: &str, more: &str) -> Config {
    serde_json::from_value(config_json(id, more)).unwrap()
}

pub(crate) fn config_json(id: &str, more: &str) -> serde_json::Value {
    let mut value = serde_json::json!({ "id": id, "listen": "127.0.0.1:0" });
    let more: serde_json::Value = serde_json::from_str(if more.is_empty() { "{}" } else { more }).unwrap();
    for (key, more) in more.as_object().unwrap() {
        value[key] = more.clone();
    }
    value
}

/// A gateway's HTTP interface on a port of its own.
pub(crate) struct Serving {
    pub(crate) base: String,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) http: reqwest::Client,
    closed: CancellationToken,
}

impl Serving {
    pub(crate) async fn start(gateway: &Arc<Gateway>) -> Self {
        let tls = gateway.config.tls.as_ref();
        Self::start_with(gateway, tls.map(|tls| Arc::new(TlsServer::load(tls).unwrap()))).await
    }

    /// The same with TLS that somebody else may change.
    pub(crate) async fn start_with(gateway: &Arc<Gateway>, tls: Option<Arc<TlsServer>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = match tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let closed = CancellationToken::new();
        let (asking, stop) = (Arc::clone(gateway), closed.clone());
        tokio::spawn(async move {
            if let Some(oauth) = &asking.access.oauth {
                oauth.run(stop).await;
            }
        });
        let (waiting, stop) = (Arc::clone(gateway), closed.clone());
        tokio::spawn(async move { waiting.waiting.run(waiting.journal.clone(), stop).await });
        let bounds = serve::Bounds::of(&gateway.config);
        let listening = Listening {
            name: gateway.config.id.as_str().to_owned(),
            listener,
            tls,
        };
        tokio::spawn(serve::serve(
            listening,
            router(Arc::clone(gateway)),
            bounds,
            closed.clone(),
        ));
        Self {
            base,
            address,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            closed,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// Waits until a message has reached `stage`; panics with what is known of it when that takes too long.
pub(crate) async fn until(journal: &Journal, id: MessageId, stage: Stage) -> MessageView {
    let mut news = journal.subscribe();
    let reached = async {
        loop {
            if let Some(view) = journal.message(&id).await.unwrap()
                && view.status == stage
            {
                return view;
            }
            let _ = news.recv().await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), reached).await {
        Ok(view) => view,
        Err(_) => panic!("not {stage}: {:?}", journal.message(&id).await),
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn key_of(envelope: &SealedEnvelope) -> MessageKey {
    MessageKey {
        author: envelope.header().author.clone(),
        message_id: envelope.header().message_id,
    }
}

/// Takes an envelope as if it had come over the link.
pub(crate) async fn take(gateway: &Gateway, envelope: &SealedEnvelope) {
    let me: GatewayId = gateway.config.id.clone();
    gateway
        .journal
        .take(envelope.bytes().clone(), &me, gateway.tables())
        .await
        .unwrap();
}
