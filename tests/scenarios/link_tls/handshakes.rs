//! Who gets a connection: the server's side, and ours.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use harness::authority::{Authority, Issued, When};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::{
    AlertDescription, ClientConnection, NamedGroup, ProtocolVersion, ServerConfig, ServerConnection, StreamOwned,
};
use viereck_transport::{Address, AmqpConfig, Link, LinkError};

use super::fixture::*;

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const PATIENCE: Duration = Duration::from_secs(20);

/// The reason with which the other side ended a handshake.
fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// A handshake that our side has finished; what RabbitMQ thinks of the certificate comes after it.
fn shaken(
    secured: &Secured,
    issued: Option<&Issued>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
    let config = Arc::new(client(&secured.authority, issued));
    let mut socket = TcpStream::connect(("127.0.0.1", secured.node.port()))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut connection = ClientConnection::new(config, name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// Why RabbitMQ ends a handshake. Nothing is said after it: a connection that is closed with octets unread forgets its
/// alert.
fn refusal(secured: &Secured, issued: Option<&Issued>) -> Option<AlertDescription> {
    let answer = shaken(secured, issued).and_then(|mut stream| stream.read(&mut [0; 1]));
    alert(&answer.expect_err("it ends"))
}

/// A connection that has been greeted in AMQP over TLS, octet by octet: to say what no library would.
struct Greeted {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// The first method, which lists what one may log in with.
    start: Vec<u8>,
}

impl Greeted {
    fn open(secured: &Secured, issued: &Issued) -> Result<Self, std::io::Error> {
        let mut stream = shaken(secured, Some(issued))?;
        stream.write_all(HEADER)?;
        let start = method(&mut stream)?;
        assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        Ok(Self { stream, start })
    }

    /// Logs in; the method with which RabbitMQ answers, or nothing where it just closes.
    fn log_in(mut self, mechanism: &str, response: &str) -> Option<Vec<u8>> {
        // connection.start-ok without properties
        let mut said = vec![0, 10, 0, 11, 0, 0, 0, 0, u8::try_from(mechanism.len()).unwrap()];
        said.extend(mechanism.bytes());
        said.extend(u32::try_from(response.len()).unwrap().to_be_bytes());
        said.extend(response.bytes());
        said.extend(b"\x05en_US");
        let mut frame = vec![1, 0, 0];
        frame.extend(u32::try_from(said.len()).unwrap().to_be_bytes());
        frame.extend(said);
        frame.push(0xce);
        self.stream.write_all(&frame).unwrap();
        match method(&mut self.stream) {
            Ok(answer) => Some(answer),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
                None
            }
        }
    }
}

/// The next method: class, number, arguments.
fn method(stream: &mut impl Read) -> Result<Vec<u8>, std::io::Error> {
    let mut head = [0; 7];
    stream.read_exact(&mut head)?;
    let size = u32::from_be_bytes(head[3..].try_into().unwrap());
    assert!(head[0] == 1 && size < 10_000, "{head:?}");
    let mut rest = vec![0; size as usize + 1];
    stream.read_exact(&mut rest)?;
    Ok(rest)
}

fn has(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_of_the_links_own_authority_is_answered() {
    let secured = shared().await;
    let vhost = secured.vhost().await;
    let good = secured.authority.user("gw-1", When::Now);
    let answer = Greeted::open(secured, &good).unwrap().start;
    assert!(has(&answer, "EXTERNAL"));
    for other in ["PLAIN", "AMQPLAIN", "RABBIT-CR-DEMO"] {
        assert!(!has(&answer, other), "{other} is offered");
    }

    let of_another = Authority::new("link").user("gw-1", When::Now);
    let ended = secured.authority.user("gw-1", When::Ended);
    for (what, issued, expected) in [
        ("no certificate", None, AlertDescription::CertificateRequired),
        (
            "one of another authority of the same name",
            Some(&of_another),
            AlertDescription::UnknownCA,
        ),
        ("one that has ended", Some(&ended), AlertDescription::CertificateExpired),
    ] {
        assert_eq!(refusal(secured, issued), Some(expected), "{what}");
    }
    // ... and so our own link, whose files these are, gets no connection.
    for issued in [&of_another, &ended] {
        let user = secured.shows(&vhost, issued);
        not_connected(user.config.clone()).await;
    }
    assert!(secured.connected(&vhost).await.is_empty());
    println!("1 certificate answered, 3 refused in the handshake, 2 of them for our own link");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_good_certificate_a_password_still_opens_nothing() {
    const TUNE: &[u8] = &[0, 10, 0, 30];
    let secured = shared().await;
    let vhost = secured.vhost().await;
    let good = secured.authority.user("gw-1", When::Now);
    let log_in = |mechanism, response| Greeted::open(secured, &good).unwrap().log_in(mechanism, response);
    let let_in = log_in("EXTERNAL", "").unwrap();
    assert!(let_in.starts_with(TUNE), "the same by certificate: {let_in:?}");
    for guess in ["\0gw-1\0gw-1", "\0gw-1\0", "\0guest\0guest", "\0broker\0geheim"] {
        if let Some(answer) = log_in("PLAIN", guess) {
            assert!(!answer.starts_with(TUNE), "{guess:?} was let in");
        }
    }
    // Not even where a password counts: a user of ours has none.
    for guess in ["", "gw-1", "guest"] {
        let answer = secured.node.ctl(&["authenticate_user", "gw-1", guess]).await;
        assert!(answer.is_err(), "{guess:?} is the password");
    }
    println!("by certificate let in, by 4 guessed passwords not, in {vhost} nobody has a password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plaintext_client_is_not_answered_in_amqp() {
    let secured = shared().await;
    let vhost = secured.vhost().await;
    let mut socket = TcpStream::connect(("127.0.0.1", secured.node.port())).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(HEADER).unwrap();
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    // At most an alert of TLS; a method of AMQP would begin with 1, its header with A.
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");

    for login in ["guest:guest@", "gw-1:gw-1@", ""] {
        let url = format!("amqp://{login}127.0.0.1:{}/{vhost}", secured.node.port());
        not_connected(AmqpConfig {
            patience: Duration::from_secs(2),
            ..AmqpConfig::new(&url)
        })
        .await;
    }
    let listeners = secured
        .node
        .ctl(&[
            "eval",
            "[P || {listener,_,P,_,_,_,_} <- rabbit_networking:active_listeners()].",
        ])
        .await
        .unwrap();
    let mut protocols: Vec<&str> = listeners.trim().trim_matches(['[', ']']).split(',').collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["'amqp/ssl'", "clustering"], "what listens");
    println!("plaintext: 1 header and 3 links refused, nothing but TLS listens");
}

/// The first octets of AMQP that a link of ours, which trusts `trusted`, sends to a server that shows `shown`.
async fn sent_to(
    trusted: &Authority,
    shown: &Issued,
    version: &'static rustls::SupportedProtocolVersion,
) -> Option<[u8; 8]> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut user = shared().await.user("v", "gw-1");
    user.now_trusts(&[trusted]);
    user.config.nodes = vec![format!("amqps://{}/v", listener.local_addr().unwrap())];
    let link = Link::amqp(user.config.clone()).unwrap();
    let (chain, key) = der(shown);
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let met = tokio::task::spawn_blocking(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut first = [0; 8];
        let read = StreamOwned::new(connection, socket).read_exact(&mut first);
        match read {
            Ok(()) => Some(first),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "the link neither spoke nor ended");
                None
            }
        }
    });
    let met = met.await.unwrap();
    drop(link);
    met
}

#[tokio::test(flavor = "multi_thread")]
async fn our_link_greets_only_the_server_it_is_told_of() {
    let (ours, foreign) = (Authority::new("link"), Authority::new("link"));
    let v13 = &rustls::version::TLS13;
    let good = ours.server(&["127.0.0.1"]);
    let greeted = sent_to(&ours, &good, v13).await;
    assert_eq!(greeted.as_ref().map(<[u8; 8]>::as_slice), Some(HEADER));
    // Each of these differs in one thing from what was greeted.
    for (what, shown, version) in [
        (
            "another authority of the same name",
            foreign.server(&["127.0.0.1"]),
            v13,
        ),
        ("another name", ours.server(&["rabbitmq.example", "127.0.0.2"]), v13),
        ("a user, no server", ours.user("gw-2", When::Now), v13),
        ("TLS 1.2", good, &rustls::version::TLS12),
    ] {
        assert_eq!(sent_to(&ours, &shown, version).await, None, "{what}");
    }
    println!("1 server greeted; 4 refused: another authority, another name, no server's certificate, TLS 1.2");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_link_offers_the_post_quantum_group_first_and_tls_1_3_only() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let secured = shared().await;
    let mut user = secured.user("v", "gw-1");
    user.config.nodes = vec![format!("amqps://{}/v", listener.local_addr().unwrap())];
    let link = Link::amqp(user.config.clone()).unwrap();
    let groups = tokio::task::spawn_blocking(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut acceptor = Acceptor::default();
        loop {
            acceptor.read_tls(&mut socket).unwrap();
            if let Some(accepted) = acceptor.accept().unwrap() {
                break accepted.client_hello().named_groups().unwrap().to_vec();
            }
        }
    });
    let groups = groups.await.unwrap();
    assert_eq!(groups[0], NamedGroup::X25519MLKEM768);
    assert!(
        groups.contains(&NamedGroup::X25519),
        "for servers that do not have it yet"
    );
    drop(link);
    println!("offered: {groups:?}");
}

/// A link with this configuration has no connection and gets none.
async fn not_connected(config: AmqpConfig) {
    let link = Link::amqp(config).unwrap();
    let to = Address::Submit("gw-1".parse().unwrap());
    let answer = link.publish(&to, bytes::Bytes::from_static(b"x")).await;
    assert!(matches!(answer, Err(LinkError::Unreachable)), "{answer:?}");
    link.close().await;
}
