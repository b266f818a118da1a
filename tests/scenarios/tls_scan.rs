//! The interfaces are scanned by PyPI's `sslyze`, which finds nothing weak; a certificate is renewed without a restart.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::authority::Authority;
use harness::corners::{READY, free_port};
use harness::process::{Process, run};
use harness::tls_scan::{Scan, Sslyze, TlsConfiguration};
use harness::wait::until;
use reqwest::{Certificate, Client};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use viereck::demo::site::{CLIENT, Site, Surroundings};
use viereck_routing::Digest;

/// One process with a sender, a receiver and the operations interface, all reached by TLS.
struct Fixture {
    _dir: TempDir,
    site: Site,
    authority: Authority,
    ca: PathBuf,
    /// TLS 1.3 alone.
    sender: SocketAddr,
    /// TLS 1.2 too.
    receiver: SocketAddr,
    /// TLS 1.3 alone.
    operations: SocketAddr,
    process: Process,
}

impl Fixture {
    async fn start(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::prepare(dir.path()).unwrap();
        let folders = dir.path().join("folders");
        std::fs::create_dir_all(&folders).unwrap();
        let [sender, receiver, operations] = [free_port(), free_port(), free_port()];
        let configuration = site
            .configure(&Surroundings {
                amqp: None,
                listen: [sender, receiver, (Ipv4Addr::LOCALHOST, 0).into()],
                fachverfahren_url: "http://127.0.0.1:9/".to_owned(),
                fachverfahren_folder: folders,
                postfach_url: "http://127.0.0.1:9/".to_owned(),
            })
            .unwrap();
        let authority = Authority::new("Authority of the test");
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        issue(&authority, dir.path());
        let files = format!(
            "certificate = \"{folder}/server.pem\"\nkey = \"{folder}/server.key.pem\"\n",
            folder = dir.path().display()
        );
        let text = std::fs::read_to_string(&configuration).unwrap();
        // the sections of the first two gateways end where their deliveries begin
        let mut parts = text.split("[[gateway.delivery]]");
        let mut secured = parts.next().unwrap().to_owned();
        for (index, part) in parts.enumerate() {
            match index {
                0 => secured.push_str(&format!("[gateway.tls]\n{files}")),
                1 => secured.push_str(&format!("[gateway.tls]\ntls12 = true\n{files}")),
                _ => {}
            }
            secured.push_str("[[gateway.delivery]]");
            secured.push_str(part);
        }
        secured.push_str(&format!(
            "\n[operations]\nlisten = \"{operations}\"\n[operations.tls]\n{files}"
        ));
        std::fs::write(&configuration, secured).unwrap();
        let process = Process::start(name, &["run", "--config", configuration.to_str().unwrap()], &[]);
        let here = Self {
            _dir: dir,
            site,
            authority,
            ca,
            sender,
            receiver,
            operations,
            process,
        };
        let client = here.client();
        for address in [sender, receiver, operations] {
            let url = format!("{}/healthz/ready", url(address));
            until(READY, &here.process.describe(), async || {
                client
                    .get(&url)
                    .send()
                    .await
                    .ok()
                    .filter(|answer| answer.status().is_success())
            })
            .await;
        }
        here
    }

    fn client(&self) -> Client {
        let authority = Certificate::from_pem(&std::fs::read(&self.ca).unwrap()).unwrap();
        let builder = Client::builder().no_proxy().tls_certs_only([authority]);
        builder.pool_max_idle_per_host(0).build().unwrap()
    }

    /// What an ordinary client agrees on with a listener: the group, and the certificate it is shown.
    async fn agreed(&self, address: SocketAddr) -> (rustls::NamedGroup, Digest) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect("localhost".try_into().unwrap(), stream)
            .await
            .unwrap();
        let (_, session) = stream.get_ref();
        let group = session.negotiated_key_exchange_group().unwrap().name();
        (group, Digest::of(&session.peer_certificates().unwrap()[0]))
    }

    fn folder(&self) -> &Path {
        self.ca.parent().unwrap()
    }
}

fn url(address: SocketAddr) -> String {
    format!("https://localhost:{}", address.port())
}

/// Writes a fresh certificate with its key, and gives its digest.
fn issue(authority: &Authority, folder: &Path) -> Digest {
    let issued = authority.server(&["localhost"]);
    issued.write(&folder.join("server.pem"), &folder.join("server.key.pem"));
    Digest::of(&CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap())
}

const TLS13: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// Of TLS 1.2 those with a fresh key for each connection and with authenticated encryption, for a key on a curve.
const TLS12: [&str; 3] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

fn assert_nothing_weak(scan: &Scan, tls12: &[&str]) {
    let offered = |version: &str, suites: &[&str]| assert_eq!(scan.suites(version), suites, "{version}");
    for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"] {
        offered(old, &[]);
    }
    offered("tls_1_2", tls12);
    offered("tls_1_3", &TLS13);
    assert_eq!(scan.weaknesses(), Vec::<String>::new());
    let strong = ["X25519", "secp256r1", "secp384r1"];
    let curves = scan.curves();
    assert!(
        !curves.is_empty() && curves.iter().all(|curve| strong.contains(&curve.as_str())),
        "{curves:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sslyze_finds_nothing_weak_at_any_interface() {
    let mut here = Fixture::start("tls-scan").await;
    let sslyze = Sslyze::find().unwrap();
    for (name, address, wanted, tls12) in [
        ("gateway, as it comes", here.sender, TlsConfiguration::Modern, &[][..]),
        (
            "gateway with tls12 = true",
            here.receiver,
            TlsConfiguration::Intermediate,
            &TLS12[..],
        ),
        ("operations", here.operations, TlsConfiguration::Modern, &[][..]),
    ] {
        let scan = sslyze.scan(address, &here.ca, wanted).unwrap();
        println!("{name}\n{}", scan.table());
        assert_nothing_weak(&scan, tls12);
        let (group, _) = here.agreed(address).await;
        println!("  key exchange with a client that knows it: {group:?}");
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    }
    assert!(here.process.terminate(READY).success(), "{}", here.process.describe());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_the_process_runs_and_a_broken_one_is_an_alarm() {
    let mut here = Fixture::start("tls-renewed").await;
    let everywhere = [here.sender, here.receiver, here.operations];
    let (_, first) = here.agreed(here.sender).await;
    let renewed = issue(&here.authority, here.folder());
    assert_ne!(first, renewed);
    here.process.hang_up();
    for address in everywhere {
        until(READY, &here.process.describe(), async || {
            (here.agreed(address).await.1 == renewed).then_some(())
        })
        .await;
    }
    // a key that belongs to another certificate
    let certificate = std::fs::read(here.folder().join("server.pem")).unwrap();
    issue(&here.authority, here.folder());
    std::fs::write(here.folder().join("server.pem"), certificate).unwrap();
    // the log goes on where that of an earlier run ended
    let kept = |process: &Process| process.log().matches("TLS certificate kept").count();
    let before = kept(&here.process);
    here.process.hang_up();
    until(READY, &here.process.describe(), async || {
        (kept(&here.process) == before + 3).then_some(())
    })
    .await;
    for address in everywhere {
        assert_eq!(here.agreed(address).await.1, renewed);
    }
    let page = here.client().get(format!("{}/metrics", url(here.operations)));
    let page = page.send().await.unwrap().text().await.unwrap();
    for series in [
        "viereck_certificate_expiry_timestamp_seconds{custodian=\"gw-sh-1\",use=\"tls\"}",
        "viereck_certificate_expiry_timestamp_seconds{custodian=\"operations\",use=\"tls\"}",
        "viereck_alarms_total{alarm=\"tls-certificate\"} 3",
        "viereck_tls_handshakes_total{listener=\"operations\",outcome=\"ok\"}",
    ] {
        assert!(page.contains(series), "{series} is not in:\n{page}");
    }

    // with the same files nothing would start
    let check = run(&[
        "config",
        "check",
        "--config",
        here.site.configuration().to_str().unwrap(),
    ]);
    let told = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(4), "{told}");
    assert!(told.contains("tls-key-mismatch"), "{told}");

    // an ordinary client of ours, over TLS: the authority has to be named
    let payload = here.folder().join("antrag.xml");
    std::fs::write(&payload, "<antrag/>").unwrap();
    let metadata = here.folder().join("metadata.json");
    std::fs::write(
        &metadata,
        r#"{"applicant":{"kind":"person","level":3,"attributes":{"familyName":"X"}}}"#,
    )
    .unwrap();
    let token = here.site.keys().join("clients").join(format!("{CLIENT}.token"));
    let (url, ca) = (url(here.sender), here.ca.to_str().unwrap());
    let send = |more: &[&str]| {
        let mut args = vec!["send", payload.to_str().unwrap(), "--leistung", "99107023037000"];
        args.extend([
            "--ars",
            "010540056056",
            "--url",
            &url,
            "--token-file",
            token.to_str().unwrap(),
        ]);
        args.extend(["--schema", "urn:viereck:example:wohngeld:1"]);
        args.extend(["--metadata", metadata.to_str().unwrap()]);
        args.extend(more);
        run(&args)
    };
    let stranger = send(&[]);
    assert_eq!(
        stranger.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&stranger.stderr)
    );
    let sent = send(&["--ca", ca]);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert!(here.process.terminate(READY).success(), "{}", here.process.describe());
}
