//! A RabbitMQ as `deploy/rabbitmq` has it for production, and users as its commands make them.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use harness::authority::{Authority, Issued, When, replace};
use harness::process::repository;
use harness::rabbitmq::Node;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::{Connection, ConnectionProperties};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use viereck_gateway::key_files::read_tls_key;
use viereck_transport::{AmqpConfig, Tls};

/// Two gateways and the broker, as `viereck routes custodians` would print them.
pub(super) const EVERYONE: &str = "broker broker\ngateway gw-1\ngateway gw-2\ngateway gw-3\n";

/// A node, the authority of its link, and the folder with its files.
pub(super) struct Secured {
    pub(super) node: Node,
    pub(super) authority: Authority,
    pub(super) folder: TempDir,
    made: AtomicU32,
}

/// A user's files, and what a link is told of them.
pub(super) struct User {
    pub(super) folder: TempDir,
    pub(super) config: AmqpConfig,
}

/// The one that all tests of this module share. Its files and its node stay as they are.
pub(super) async fn shared() -> &'static Secured {
    static SHARED: OnceCell<Secured> = OnceCell::const_new();
    SHARED.get_or_init(Secured::start).await
}

impl Secured {
    pub(super) async fn start() -> Self {
        let authority = Authority::new("link");
        let folder = tempfile::tempdir().unwrap();
        replace(&folder.path().join("ca.pem"), &authority.pem);
        authority
            .server(&["127.0.0.1"])
            .write(&folder.path().join("node.pem"), &folder.path().join("node.key"));
        let node = Node::start_with_tls(folder.path())
            .await
            .expect("RabbitMQ: tests/run --only prepare installs it");
        node.ctl(&["delete_user", "guest"]).await.unwrap();
        Self {
            node,
            authority,
            folder,
            made: AtomicU32::new(0),
        }
    }

    /// A new virtual host with everyone's users, made by the operator's commands.
    pub(super) async fn vhost(&self) -> String {
        let vhost = format!("tls-{}", self.made.fetch_add(1, Ordering::Relaxed));
        succeeded(&self.operator("apply", &[&vhost], "").await);
        succeeded(&self.operator("grant", &[&vhost, "-"], EVERYONE).await);
        vhost
    }

    /// Runs a script of `deploy/rabbitmq` on this node.
    pub(super) async fn operator(&self, script: &str, arguments: &[&str], input: &str) -> Output {
        let mut command = self.node.operator(&repository().join("deploy/rabbitmq").join(script));
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            // A script that refuses its arguments reads nothing.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        })
        .await
        .unwrap()
    }

    /// A user with a good certificate.
    pub(super) fn user(&self, vhost: &str, name: &str) -> User {
        self.shows(vhost, &self.authority.user(name, When::Now))
    }

    /// Somebody who shows this certificate.
    pub(super) fn shows(&self, vhost: &str, issued: &Issued) -> User {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        replace(&path("ca.pem"), &self.authority.pem);
        let tls = Tls {
            ca: path("ca.pem"),
            certificate: Some(path("link.pem")),
            key: Some(path("link.key.pem")),
            read_key: |file| read_tls_key(file).map_err(|error| error.to_string()),
        };
        let config = AmqpConfig {
            tls: Some(tls),
            patience: Duration::from_secs(5),
            ..AmqpConfig::new(&self.url(vhost))
        };
        let user = User { folder, config };
        user.now_shows(issued);
        user
    }

    pub(super) fn url(&self, vhost: &str) -> String {
        format!("amqps://127.0.0.1:{}/{vhost}", self.node.port())
    }

    /// A bare connection of lapin as this user, to try what our link never does.
    pub(super) async fn connect(&self, vhost: &str, issued: &Issued) -> Result<Connection, lapin::Error> {
        let tls = RustlsConnector::from(client(&self.authority, Some(issued)));
        let url = format!("{}?auth_mechanism=external", self.url(vhost));
        let address = format!("127.0.0.1:{}", self.node.port()).parse::<SocketAddr>().unwrap();
        Connection::connector(
            url.parse().unwrap(),
            lapin::runtime::default_runtime()?,
            async move |_, runtime| {
                let plain = AsyncTcpStream::connect(&runtime, [address].as_slice()).await?;
                Ok(plain.into_rustls(&tls, "127.0.0.1").await?)
            },
            ConnectionProperties::default(),
        )
        .await
    }

    /// Ends all connections of a virtual host.
    pub(super) async fn cut(&self, vhost: &str) {
        self.node
            .ctl(&["close_all_connections", "--vhost", vhost, "a test cuts them"])
            .await
            .unwrap();
    }

    /// Users with connections to a virtual host.
    pub(super) async fn connected(&self, vhost: &str) -> Vec<String> {
        let listed = self
            .node
            .ctl(&["list_connections", "--silent", "user", "vhost", "ssl", "ssl_protocol"])
            .await
            .unwrap();
        let mut users: Vec<String> = listed
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter(|columns| columns[1] == vhost)
            .inspect(|columns| assert_eq!(columns[2..], ["true", "tlsv1.3"]))
            .map(|columns| columns[0].to_owned())
            .collect();
        users.sort();
        users
    }
}

impl User {
    /// Replaces certificate and key.
    pub(super) fn now_shows(&self, issued: &Issued) {
        issued.write(&self.path("link.pem"), &self.path("link.key.pem"));
    }

    /// Replaces the authorities that are trusted.
    pub(super) fn now_trusts(&self, authorities: &[&Authority]) {
        replace(&self.path("ca.pem"), &pem_of(authorities));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub(super) fn pem_of(authorities: &[&Authority]) -> String {
    authorities.iter().map(|authority| authority.pem.as_str()).collect()
}

/// What a script printed; it has to have succeeded.
pub(super) fn succeeded(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    told
}

/// A TLS client that is not ours: it trusts `authority` and shows `issued`.
pub(super) fn client(authority: &Authority, issued: Option<&Issued>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match issued {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let (chain, key) = der(issued);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}

pub(super) fn der(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    (
        vec![certificate],
        PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap(),
    )
}
