//! One connection to one node, from its socket to its end.
//!
//! The socket is opened here and a second handle of it kept, for two reasons. A connection must be endable for real: to
//! a node that hangs, lapin's close waits for an answer for ever and its thread goes on holding what was prefetched.
//! And whether TLS is spoken must be decided by us: built without a certificate store lapin sends plaintext to an
//! `amqps://` address and says nothing.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::ConfirmSelectOptions;
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, Event};

use super::config::Settings;

/// How long a connection, a channel or a graceful end may take.
const STEP: Duration = Duration::from_secs(5);

/// The end of the reply to a close.
const NORMAL: u16 = 200;

pub(super) struct Session {
    connection: Connection,
    socket: Arc<OnceLock<TcpStream>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("connected", &self.is_alive())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Connects to `node`. Whatever goes wrong, no half-open connection is left behind.
    pub(super) async fn open(node: &AMQPUri, settings: &Settings, role: &str) -> Result<Self, lapin::Error> {
        let socket = Arc::new(OnceLock::new());
        let cut = CutWhenDropped(Some(Arc::clone(&socket)));
        let opened = tokio::time::timeout(STEP, connect(node, settings, role, Arc::clone(&socket))).await;
        let connection = opened.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        cut.keep();
        Ok(Self { connection, socket })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether RabbitMQ has said that it takes no messages for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Returns once the connection is gone, for whatever reason.
    pub(super) async fn ended(&self) {
        let mut events = std::pin::pin!(self.connection.events_listener());
        while self.is_alive() {
            // An error may be one channel's, which leaves the connection whole, so the status decides. The look once a
            // second is for an end that came before anybody listened.
            match tokio::time::timeout(Duration::from_secs(1), events.next()).await {
                Ok(None) => return,
                Ok(Some(Event::ConnectionBlocked(_))) => tracing::warn!("RabbitMQ blocks publishing: memory or disk"),
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }

    pub(super) async fn channel(&self) -> Result<Channel, lapin::Error> {
        within_step(self.connection.create_channel()).await
    }

    /// A channel on which every publish is confirmed.
    pub(super) async fn confirming_channel(&self) -> Result<Channel, lapin::Error> {
        let channel = self.channel().await?;
        within_step(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// Ends the connection now. Everything under way on it fails.
    pub(super) fn cut(&self) {
        cut(&self.socket);
    }

    /// Ends the connection politely, for as long as the other side plays along. All channels have to be closed before.
    pub(super) async fn close(&self) {
        if let Err(error) = within_step(self.connection.close(NORMAL, "OK".into())).await {
            tracing::debug!(%error, "an AMQP connection was cut instead of closed");
        }
        self.cut();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Closes a channel politely; a connection must not be closed while one is open.
pub(super) async fn close_channel(channel: &Channel) {
    if channel.status().connected()
        && let Err(error) = within_step(channel.close(NORMAL, "OK".into())).await
    {
        tracing::debug!(%error, "an AMQP channel was not closed in time");
    }
}

/// No answer of RabbitMQ is waited for without an end.
pub(super) async fn within_step<T>(answer: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, lapin::Error> {
    match tokio::time::timeout(STEP, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

async fn connect(
    node: &AMQPUri,
    settings: &Settings,
    role: &str,
    socket: Arc<OnceLock<TcpStream>>,
) -> Result<Connection, lapin::Error> {
    let authority = (node.authority.host.as_str(), node.authority.port);
    let addresses: Vec<_> = tokio::net::lookup_host(authority).await?.collect();
    let tls = match (&node.scheme, &settings.tls) {
        (AMQPScheme::AMQPS, Some(identity)) => Some(identity.connector().await),
        _ => None,
    };
    let properties = ConnectionProperties::default().with_connection_name(format!("{} {role}", settings.name).into());
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        node.clone(),
        runtime,
        async move |uri: AMQPUri, runtime| {
            // On lapin's own thread, which would otherwise stand as long as the system waits for a host that is silent.
            let stream = within_step(async {
                let stream = AsyncTcpStream::connect(&runtime, addresses.as_slice()).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    let handle = plain.get_ref().as_fd().try_clone_to_owned()?;
                    // One connection attempt, one socket: there is no retry inside lapin to fill it twice.
                    let _ = socket.set(TcpStream::from(handle));
                }
                match (&uri.scheme, &tls) {
                    (AMQPScheme::AMQP, _) => Ok(stream),
                    (AMQPScheme::AMQPS, Some(tls)) => Ok(stream.into_rustls(tls, &uri.authority.host).await?),
                    // Checked with the configuration; plaintext is never the way out.
                    (AMQPScheme::AMQPS, None) => Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into()),
                }
            });
            stream.await
        },
        properties,
    )
    .await
}

/// Cuts a connection that was not opened to the end: the attempt was given up or its future dropped.
struct CutWhenDropped(Option<Arc<OnceLock<TcpStream>>>);

impl CutWhenDropped {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CutWhenDropped {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            cut(socket);
        }
    }
}

fn cut(socket: &OnceLock<TcpStream>) {
    if let Some(socket) = socket.get() {
        // An error means that it is cut already.
        let _ = socket.shutdown(Shutdown::Both);
    }
}
