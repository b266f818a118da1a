//! A TCP connection with weather: what stands between two programs can be cut, stalled or slowed while they talk.
//!
//! It guarantees that no byte is changed, dropped or reordered on a connection that lives; a cut connection ends with a
//! reset, as a cable's end looks through a firewall that answers. The weather changes for connections that exist, too.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::NodeError;

/// What is read at once, and how much of it may be on its way on one connection, each way.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 64;

/// What the connections go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes at once.
    Clear,
    /// Existing connections are reset, new ones too.
    Cut,
    /// Connections are taken and stay open, and nothing passes. What was sent meanwhile passes once it is over.
    Stalled,
    /// The same one way only: what this side says does not arrive, what it is told does.
    StalledFrom(Side),
    /// Everything passes late.
    Slow {
        /// What each piece waits, each way.
        latency: Duration,
        /// How much passes, for each connection and way; 0 is taken as 1.
        bytes_per_second: u32,
    },
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who connected.
    Client,
    /// To whom.
    Server,
}

/// Listens on a free port of the loopback and passes everything on to one target. Ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    _end_when_dropped: DropGuard,
}

impl Proxy {
    /// Begins to listen, in clear weather. Has to be called within a tokio runtime.
    pub async fn start(target: SocketAddr) -> Result<Self, NodeError> {
        let system = || NodeError::system("listen on a free port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(system())?;
        let address = listener.local_addr().map_err(system())?;
        let (weather, seen) = watch::channel(Weather::Clear);
        let ended = CancellationToken::new();
        tokio::spawn(
            ended
                .clone()
                .run_until_cancelled_owned(listen(listener, target, seen, ended.clone())),
        );
        Ok(Self {
            address,
            weather,
            _end_when_dropped: ended.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather for all connections.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// The weather now.
    pub fn weather(&self) -> Weather {
        *self.weather.borrow()
    }
}

async fn listen(
    listener: TcpListener,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    ended: CancellationToken,
) {
    loop {
        let Ok((near, _)) = listener.accept().await else {
            // Out of descriptors, most likely; whoever asks again may find one.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (weather, ended) = (weather.clone(), ended.clone());
        tokio::spawn(ended.run_until_cancelled_owned(connect(near, target, weather)));
    }
}

/// One connection from its beginning to its end.
async fn connect(mut near: TcpStream, target: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let mut cut = weather.clone();
    let opened = tokio::select! {
        _ = cut.wait_for(|weather| *weather == Weather::Cut) => None,
        far = async {
            // To a stalled target nobody gets through, so nobody tries.
            weather.wait_for(|weather| *weather != Weather::Stalled).await.ok().map(drop)?;
            TcpStream::connect(target).await.ok()
        } => far,
    };
    let Some(mut far) = opened else {
        return reset(&near);
    };
    // Small pieces must not wait for each other twice.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let is_cut = {
        let ((near_reads, near_writes), (far_reads, far_writes)) = (near.split(), far.split());
        tokio::select! {
            ended = async {
                tokio::try_join!(
                    pass(Side::Client, near_reads, far_writes, weather.clone()),
                    pass(Side::Server, far_reads, near_writes, weather.clone())
                )
            } => ended.is_err(),
            _ = cut.wait_for(|weather| *weather == Weather::Cut) => true,
        }
    };
    if is_cut {
        reset(&near);
        reset(&far);
    }
}

/// The end that is not polite. It comes when the stream is dropped.
fn reset(stream: &TcpStream) {
    // A stream that is dead already needs none.
    let _ = stream.set_zero_linger();
}

/// What was read at one moment; empty at the end of the stream.
struct Piece {
    came: Instant,
    bytes: Vec<u8>,
}

/// Passes on what `side` says until its end.
async fn pass(side: Side, from: ReadHalf<'_>, to: WriteHalf<'_>, weather: watch::Receiver<Weather>) -> io::Result<()> {
    let (pieces, on_their_way) = mpsc::channel(PIECES);
    tokio::try_join!(take(from, pieces), give(side, on_their_way, to, weather)).map(drop)
}

async fn take(mut from: ReadHalf<'_>, pieces: mpsc::Sender<Piece>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = from.read(&mut buffer).await?;
        let bytes = buffer.get(..read).unwrap_or_default().to_vec();
        let came = Instant::now();
        if pieces.send(Piece { came, bytes }).await.is_err() || read == 0 {
            return Ok(());
        }
    }
}

async fn give(
    side: Side,
    mut pieces: mpsc::Receiver<Piece>,
    mut to: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut last = Instant::now();
    while let Some(Piece { came, bytes }) = pieces.recv().await {
        passable(side, &mut weather, came, last, bytes.len()).await;
        last = Instant::now();
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&bytes).await?;
    }
    Ok(())
}

/// Waits until a piece that came then, behind one that passed at `last`, may pass.
async fn passable(side: Side, weather: &mut watch::Receiver<Weather>, came: Instant, last: Instant, length: usize) {
    loop {
        let now = *weather.borrow_and_update();
        let due = match now {
            Weather::Clear => return,
            Weather::StalledFrom(stalled) if stalled != side => return,
            // Who cuts the connection ends this, too.
            Weather::Cut | Weather::Stalled | Weather::StalledFrom(_) => None,
            Weather::Slow {
                latency,
                bytes_per_second,
            } => {
                let length = f64::from(u32::try_from(length).unwrap_or(u32::MAX));
                let carried = last + Duration::from_secs_f64(length / f64::from(bytes_per_second.max(1)));
                Some(carried.max(came + latency))
            }
        };
        let carried = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = carried => return,
            changed = weather.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

#[cfg(test)]
mod tests;
