//! TLS of the HTTP interface: what is agreed on, what is ended, what is renewed, and who is known by a certificate.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use viereck_custody::JournalError;

use super::pki::{Authority, Issued};
use super::submissions::{answer, form, metadata};
use crate::config::{Adapter, Delivery};
use crate::deliver::endpoint::{self, Endpoint};
use crate::deliver::outcome::{Outcome, Verdict};
use crate::gateway::Gateway;
use crate::http::serve::{self, Listening};
use crate::testing::{Network, SENDER, Serving, token};
use crate::{Tls, TlsServer};

/// A gateway that is reached by TLS.
struct Fixture {
    network: Network,
    authority: Authority,
    gateway: Arc<Gateway>,
    serving: Serving,
    tls: Arc<TlsServer>,
}

impl Fixture {
    async fn new(more: Value) -> Self {
        Self::with(Network::new(), Authority::new("authority"), more, json!({})).await
    }

    /// With further keys of `[gateway.tls]` and of the gateway.
    async fn with(network: Network, authority: Authority, more: Value, gateway: Value) -> Self {
        let (certificate, key) = authority.server(&["localhost"]).write(network.folder.path(), "server");
        let ca = network.folder.path().join("ca.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        let mut tls = json!({ "certificate": certificate, "key": key });
        merge(&mut tls, more);
        if tls["client_ca"] == true {
            tls["client_ca"] = json!(ca);
        }
        let mut config = json!({ "tls": tls });
        merge(&mut config, gateway);
        let gateway = network.gateway(SENDER, &config.to_string()).await;
        let tls = Arc::new(TlsServer::load(gateway.config.tls.as_ref().unwrap()).unwrap());
        let serving = Serving::start_with(&gateway, Some(Arc::clone(&tls))).await;
        Self {
            network,
            authority,
            gateway,
            serving,
            tls,
        }
    }

    fn tls(&self) -> &Tls {
        self.gateway.config.tls.as_ref().unwrap()
    }

    async fn handshake(&self, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.serving.address).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(config));
        connector.connect("localhost".try_into().unwrap(), stream).await
    }

    /// A handshake and a whole conversation after it, so that a ticket which is sent beside the answer is read too.
    async fn conversation(&self, config: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
        let mut stream = self.handshake(config).await.unwrap();
        let request = b"GET /healthz/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert!(said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
        stream
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion], provider: CryptoProvider) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    async fn post(&self, client: &reqwest::Client, token: Option<String>) -> (u16, Value) {
        let mut request = client
            .post(format!("{}/v1/submissions", self.serving.base))
            .header("Idempotency-Key", uuid())
            .multipart(form(&metadata()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    /// Enters a certificate for a client of the routing table.
    fn pin(&self, client: &str, issued: &Issued) {
        let entry = format!(
            "environment = \"test\"\n[[client_certificate]]\nclient = \"{client}\"\nfrom = 2020-01-01\n\
             until = 2099-12-31\nsha256 = \"{}\"\n",
            issued.sha256
        );
        let tables = self
            .network
            .changed("certificates/certificates.toml", "environment = \"test\"\n", &entry);
        self.network.in_force.send_replace(tables);
    }
}

fn merge(value: &mut Value, more: Value) {
    for (key, more) in more.as_object().unwrap() {
        value[key] = more.clone();
    }
}

fn uuid() -> String {
    viereck_routing::MessageId::random().to_string()
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or("none"))
}

#[tokio::test]
async fn the_newest_version_and_the_hybrid_key_exchange_are_agreed_on_and_nothing_is_resumed() {
    let here = Fixture::new(json!({})).await;
    let alpn = |config: Arc<ClientConfig>, protocols: &[&str]| {
        let mut config = ClientConfig::clone(&config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    };
    // the client likes X25519 better and sends its share for that: the server insists
    let reluctant = CryptoProvider {
        kx_groups: vec![kx_group::X25519, kx_group::X25519MLKEM768],
        ..default_provider()
    };
    let client = alpn(here.client(&[&TLS13, &TLS12], reluctant), &["h2", "http/1.1"]);
    for _ in 0..2 {
        let stream = here.conversation(&client).await;
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        let group = session.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_ne!(session.handshake_kind(), Some(HandshakeKind::Resumed));
    }
    let hybrid = here.client(&[&TLS13], default_provider());
    for _ in 0..2 {
        let stream = here.conversation(&hybrid).await;
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
    let classical = CryptoProvider {
        kx_groups: vec![kx_group::SECP256R1],
        ..default_provider()
    };
    let classical = here.client(&[&TLS13], classical);
    for _ in 0..2 {
        let stream = here.conversation(&classical).await;
        let (_, session) = stream.get_ref();
        let group = session.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::secp256r1);
        assert_ne!(session.handshake_kind(), Some(HandshakeKind::Resumed));
    }
    // nothing older, and no other protocol inside
    assert!(
        here.handshake(&here.client(&[&TLS12], default_provider()))
            .await
            .is_err()
    );
    let h2 = alpn(here.client(&[&TLS13], default_provider()), &["h2"]);
    assert!(here.handshake(&h2).await.is_err());

    let here = Fixture::new(json!({ "tls12": true })).await;
    let older = here.client(&[&TLS12], default_provider());
    for _ in 0..2 {
        let stream = here.conversation(&older).await;
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_2));
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
    }
    let both = here.client(&[&TLS12, &TLS13], default_provider());
    let newer = here.handshake(&both).await.unwrap();
    assert_eq!(newer.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn what_is_no_handshake_is_ended_without_an_answer_and_nobody_keeps_a_place_by_silence() {
    let limits = json!({ "limits": { "connections": 1 }, "timeouts": { "header_seconds": 1 } });
    let here = Fixture::with(Network::new(), Authority::new("authority"), json!({}), limits).await;
    let mut plain = TcpStream::connect(here.serving.address).await.unwrap();
    plain
        .write_all(b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    // ended in order, or by a reset because nobody read what was sent
    let _ = plain.read_to_end(&mut said).await;
    assert!(said.is_empty(), "{said:?}");

    let client = here.authority.trusting(None);
    for opening in [&[][..], &[0x16], &[0x16, 3, 1, 2, 0, 1]] {
        let mut silent = TcpStream::connect(here.serving.address).await.unwrap();
        silent.write_all(opening).await.unwrap();
        // the only place is taken until the time is over
        let asked = client.get(format!("{}/healthz/live", here.serving.base)).send();
        let answered = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
        assert_eq!(answered.unwrap().status(), 200, "{opening:?}");
        drop(silent);
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_from_then_on_and_a_broken_one_never() {
    let here = Fixture::new(json!({})).await;
    let config = here.client(&[&TLS13], default_provider());
    let shown = async || {
        let stream = here.handshake(&config).await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        viereck_routing::Digest::of(&chain[0])
    };
    let folder = here.network.folder.path();
    let first = shown().await;
    let renewed = here.authority.server(&["localhost"]);
    renewed.write(folder, "server");
    assert_eq!(shown().await, first, "only when it is told to");
    here.tls.reload().unwrap();
    assert_eq!(shown().await, renewed.sha256);

    let (certificate, key) = (&here.tls().certificate, &here.tls().key);
    let refused = |what: &str| {
        let error = here.tls.reload().unwrap_err();
        assert_eq!(error.code(), what, "{error}");
        assert!(error.to_string().starts_with(&format!("{what}: ")), "{error}");
        assert_eq!(TlsServer::load(here.tls()).unwrap_err().code(), what);
    };
    let ended = here.authority.server_until(&["localhost"], 2024);
    ended.write(folder, "server");
    refused("tls-certificate-expired");
    renewed.write(folder, "server");
    std::fs::write(key, &ended.key).unwrap();
    refused("tls-key-mismatch");
    std::fs::write(key, "-----BEGIN PRIVATE KEY-----\nx\n").unwrap();
    refused("tls-file-malformed");
    renewed.write(folder, "server");
    for mode in [0o644, 0o660, 0o604] {
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
        refused("tls-key-exposed");
    }
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o640)).unwrap();
    here.tls.reload().unwrap();
    std::fs::write(certificate, "no certificate").unwrap();
    refused("tls-file-malformed");
    // a chain that was half written when it was read
    let half = &renewed.pem[..renewed.pem.len() / 2];
    std::fs::File::create(certificate)
        .unwrap()
        .write_all(half.as_bytes())
        .unwrap();
    refused("tls-file-malformed");
    std::fs::remove_file(certificate).unwrap();
    refused("tls-file-unreadable");
    assert_eq!(shown().await, renewed.sha256, "what loaded last is still shown");
}

#[tokio::test]
async fn a_client_is_known_by_the_certificate_that_is_pinned_for_it() -> Result<(), JournalError> {
    let here = Fixture::new(json!({ "client_ca": true })).await;
    let (alles, wenig) = (here.authority.client("alles"), here.authority.client("wenig"));
    let unknown = here.authority.client("alles");
    here.pin("alles", &alles);
    here.pin("wenig", &wenig);
    let by = |shown: &Issued| here.authority.trusting(Some(shown));
    // a certificate alone is enough, whatever name stands in it; so is a token alone
    assert_eq!(here.post(&by(&alles), None).await.0, 202);
    let without = here.authority.trusting(None);
    assert_eq!(here.post(&without, Some(token("alles"))).await.0, 202);
    assert_eq!(here.post(&by(&alles), Some(token("alles"))).await.0, 202);
    let accepted = here.gateway.journal.in_flight().await?.len();

    assert_eq!(code(&here.post(&without, None).await), (401, "unauthenticated"));
    assert_eq!(code(&here.post(&by(&unknown), None).await), (401, "unauthenticated"));
    // two things that are shown are of one client, and a token that does not count is not made up for
    let contradiction = here.post(&by(&wenig), Some(token("alles"))).await;
    assert_eq!(code(&contradiction), (401, "unauthenticated"));
    let wrong = here.post(&by(&alles), Some("wrong".to_owned())).await;
    assert_eq!(code(&wrong), (401, "unauthenticated"));
    // another authority's certificate does not get through the handshake, the pinned one included
    let stranger = Authority::new("stranger").client("alles");
    here.pin("alles", &stranger);
    let asked = by(&stranger).get(format!("{}/healthz/live", here.serving.base));
    assert!(asked.send().await.is_err());
    assert_eq!((accepted, here.gateway.journal.in_flight().await?.len()), (3, 3));

    // demanded by its entry, a certificate is what a token alone does not make up for
    let demanded = here.network.changed(
        "laender/01-schleswig-holstein/clients.toml",
        "[\"alles\"]\n",
        "[\"alles\"]\nrequire = \"certificate\"\n",
    );
    here.network.in_force.send_replace(demanded);
    let alone = here.post(&without, Some(token("alles"))).await;
    assert_eq!(code(&alone), (401, "certificate-required"));
    let unpinned = here.post(&by(&unknown), Some(token("alles"))).await;
    assert_eq!(code(&unpinned), (401, "certificate-required"));
    assert_eq!(here.post(&by(&alles), Some(token("alles"))).await.0, 202);
    assert_eq!(here.post(&by(&alles), None).await.0, 202);
    Ok(())
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_is_let_in_without_one() {
    let required = json!({ "client_ca": true, "client_certificate": "required" });
    let here = Fixture::new(required).await;
    let alles = here.authority.client("alles");
    let live = |client: reqwest::Client| client.get(format!("{}/healthz/live", here.serving.base)).send();
    assert!(live(here.authority.trusting(None)).await.is_err());
    let answer = live(here.authority.trusting(Some(&alles))).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_fachverfahren_shows_whatever_its_section_names() {
    let (network, authority) = (Network::new(), Authority::new("authority"));
    let (alone, both) = (authority.client("alone"), authority.client("both"));
    let systems = json!({ "fachverfahren": [
        { "name": "alone", "behoerden": "all", "certificate_sha256": alone.sha256.to_string() },
        { "name": "both", "behoerden": "all", "certificate_sha256": both.sha256.to_string(),
          "token_sha256": viereck_routing::Digest::of(b"secret").to_string() },
        { "name": "token", "behoerden": "all",
          "token_sha256": viereck_routing::Digest::of(b"another").to_string() },
    ] });
    let here = Fixture::with(network, authority, json!({ "client_ca": true }), systems).await;
    let reply = async |shown: Option<&Issued>, token: Option<&str>| {
        let client = here.authority.trusting(shown);
        let mut request = client
            .post(format!("{}/v1/cases/{}/replies", here.serving.base, uuid()))
            .header("Idempotency-Key", "k")
            .multipart(form(&json!({ "kind": "bescheid", "title": "x" })));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request).await.0
    };
    // known, but there is no such case
    assert_eq!(reply(Some(&alone), None).await, 404);
    assert_eq!(reply(Some(&both), Some("secret")).await, 404);
    assert_eq!(reply(None, Some("another")).await, 404);
    // a certificate that no section names says nothing
    let nobodys = here.authority.client("nobody");
    assert_eq!(reply(Some(&nobodys), Some("another")).await, 404);
    for (shown, token) in [
        (None, None),
        (None, Some("secret")),
        (Some(&both), None),
        (Some(&both), Some("wrong")),
        // two things that are shown are of one section
        (Some(&alone), Some("secret")),
        (Some(&alone), Some("wrong")),
        (Some(&alone), Some("another")),
        (Some(&both), Some("another")),
        (Some(&nobodys), None),
        (Some(&nobodys), Some("secret")),
    ] {
        let name = shown.map(|shown| shown.sha256);
        assert_eq!(reply(shown, token).await, 401, "{name:?} {token:?}");
    }
    // what is no bearer token is not left out of account
    let other = here.authority.trusting(Some(&alone));
    let other = other
        .post(format!("{}/v1/cases/{}/replies", here.serving.base, uuid()))
        .header("Idempotency-Key", "k")
        .basic_auth("alone", Some("secret"))
        .multipart(form(&json!({ "kind": "bescheid", "title": "x" })));
    assert_eq!(answer(other).await.0, 401);
}

#[tokio::test]
async fn an_endpoint_is_trusted_by_its_own_authority_and_shown_a_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("authority"));
    let (certificate, key) = authority.server(&["localhost"]).write(folder.path(), "server");
    let (own, own_key) = authority.client("gateway").write(folder.path(), "own");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let ca = write("ca.pem", &authority.pem);
    let other = write("other.pem", &Authority::new("other").pem);
    let no_key = write("no.key.pem", &authority.pem);
    std::fs::set_permissions(&no_key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let required = json!({ "certificate": certificate, "key": key, "client_ca": ca, "client_certificate": "required" });
    let tls = TlsServer::load(&serde_json::from_value(required).unwrap()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/in", listener.local_addr().unwrap().port());
    let listening = Listening {
        name: "fachverfahren".to_owned(),
        listener,
        tls: Some(Arc::new(tls)),
    };
    let bounds = serve::Bounds {
        connections: 16,
        per_address: 16,
        head: Duration::from_secs(10),
    };
    let router = axum::Router::new().fallback(async || "taken");
    let stop = CancellationToken::new();
    tokio::spawn(serve::serve(listening, router, bounds, stop.clone()));

    let endpoint = |more: &Value| {
        let mut keys = json!({ "behoerde": "default", "leistung": "default", "adapter": "http", "url": url });
        merge(&mut keys, more.clone());
        let Adapter::Http(config) = serde_json::from_value::<Delivery>(keys).unwrap().adapter else {
            unreachable!()
        };
        Endpoint::new(endpoint::client().unwrap(), config)
    };
    let taken = async |more: Value| {
        let endpoint = endpoint(&more).unwrap();
        let verdict = endpoint
            .post(viereck_routing::Digest::ZERO, None, reqwest::multipart::Form::new())
            .await;
        matches!(verdict, Verdict::Ended(Outcome::Accepted))
    };
    assert!(taken(json!({ "ca": ca, "certificate": own, "key": own_key })).await);
    assert!(!taken(json!({ "ca": ca })).await, "without a certificate");
    assert!(
        !taken(json!({ "certificate": own, "key": own_key })).await,
        "by the authorities of the host"
    );
    assert!(
        !taken(json!({ "ca": other, "certificate": own, "key": own_key })).await,
        "by another authority"
    );
    for (wrong, code) in [
        (json!({ "ca": own_key }), "tls-file-malformed: "),
        (json!({ "ca": folder.path().join("missing") }), "tls-file-unreadable: "),
        (json!({ "certificate": own, "key": no_key }), "tls-file-malformed: "),
    ] {
        let told = endpoint(&wrong).err().unwrap().to_string();
        assert!(told.starts_with(code), "{told}");
    }
    // everybody may read it: refused, though it fits
    for (mode, exposed) in [(0o644, true), (0o660, true), (0o640, false)] {
        std::fs::set_permissions(&own_key, std::fs::Permissions::from_mode(mode)).unwrap();
        let made = endpoint(&json!({ "ca": ca, "certificate": own, "key": own_key }));
        let told = made.err().map(|error| error.to_string());
        let refused = told.as_ref().is_some_and(|told| told.starts_with("tls-key-exposed: "));
        assert_eq!((refused, told.is_some()), (exposed, exposed), "{mode:o}: {told:?}");
    }
    for half in [
        json!({ "certificate": own }),
        json!({ "url": "http://x.example/", "ca": ca }),
    ] {
        let mut keys = json!({ "behoerde": "default", "leistung": "default", "adapter": "http", "url": url });
        merge(&mut keys, half);
        assert!(serde_json::from_value::<Delivery>(keys).is_err());
    }
    stop.cancel();
}

#[test]
fn keys_that_contradict_each_other_are_found_before_anything_starts() {
    let found = |more: Value| -> Vec<(&'static str, String)> {
        let config = crate::testing::config(SENDER, &more.to_string());
        config
            .check()
            .into_iter()
            .map(|finding| (finding.code, finding.key))
            .collect()
    };
    let tls = json!({ "certificate": "c.pem", "key": "k.pem" });
    let anywhere = "0.0.0.0:8443";
    assert_eq!(
        found(json!({ "listen": anywhere })),
        [("plaintext", "listen".to_owned())]
    );
    assert_eq!(found(json!({ "listen": anywhere, "tls_in_front": true })), []);
    assert_eq!(found(json!({ "listen": anywhere, "tls": tls })), []);
    assert_eq!(
        found(json!({ "tls": tls, "tls_in_front": true })),
        [("contradiction", "tls_in_front".to_owned())]
    );
    let mut required = tls.clone();
    required["client_certificate"] = json!("required");
    assert_eq!(
        found(json!({ "tls": required })),
        [("contradiction", "tls.client_certificate".to_owned())]
    );
    let system = json!([{ "name": "a", "behoerden": "all", "certificate_sha256": "00".repeat(32) }]);
    assert_eq!(
        found(json!({ "tls": tls, "fachverfahren": system })),
        [("certificate-unasked", "fachverfahren[0]".to_owned())]
    );
}
