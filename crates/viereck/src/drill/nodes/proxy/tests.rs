//! What the proxy promises of bytes and connections in each weather, tried over real TCP on the loopback.

use super::*;

/// More than any test here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Long enough that what passes would have passed.
const NOTHING: Duration = Duration::from_millis(200);

/// A target that sends back whatever it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                let _ = tokio::io::copy(&mut reads, &mut writes).await;
            });
        }
    });
    address
}

async fn proxied() -> (Proxy, TcpStream) {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    (proxy, stream)
}

/// Sends and gets back; how long it took.
async fn there_and_back(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Duration> {
    let begun = Instant::now();
    let mut back = vec![0; bytes.len()];
    let (mut reads, mut writes) = stream.split();
    let both = async { tokio::try_join!(writes.write_all(bytes), reads.read_exact(&mut back)) };
    tokio::time::timeout(DEADLINE, both).await.expect("in time")?;
    assert!(back == bytes, "changed on the way");
    Ok(begun.elapsed())
}

#[tokio::test]
async fn in_clear_weather_everything_passes_unchanged_and_an_end_too() {
    let (_proxy, mut stream) = proxied().await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at * 31 % 251) as u8).collect();
    there_and_back(&mut stream, &large).await.unwrap();
    stream.write_all(b"last").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest, b"last");
}

#[tokio::test]
async fn a_cut_resets_what_is_there_and_what_comes_until_it_is_over() {
    let (proxy, mut stream) = proxied().await;
    there_and_back(&mut stream, b"before").await.unwrap();
    proxy.set(Weather::Cut);
    let reset = |error: io::Error| assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    let ended = tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap();
    reset(ended.unwrap_err());
    let mut another = TcpStream::connect(proxy.address()).await.unwrap();
    let ended = tokio::time::timeout(DEADLINE, another.read_u8()).await.unwrap();
    reset(ended.unwrap_err());
    proxy.set(Weather::Clear);
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    there_and_back(&mut again, b"after").await.unwrap();
}

#[tokio::test]
async fn what_stalls_passes_when_it_is_over() {
    let (proxy, mut stream) = proxied().await;
    there_and_back(&mut stream, b"before").await.unwrap();
    proxy.set(Weather::Stalled);
    stream.write_all(b"meanwhile").await.unwrap();
    let mut another = TcpStream::connect(proxy.address()).await.unwrap();
    another.write_all(b"new").await.unwrap();
    for stream in [&mut stream, &mut another] {
        assert!(tokio::time::timeout(NOTHING, stream.read_u8()).await.is_err());
    }
    proxy.set(Weather::Clear);
    for (stream, expected) in [(&mut stream, &b"meanwhile"[..]), (&mut another, b"new")] {
        let mut back = vec![0; expected.len()];
        tokio::time::timeout(DEADLINE, stream.read_exact(&mut back))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(back, expected);
    }
}

#[tokio::test]
async fn a_stalled_connection_can_be_cut() {
    let (proxy, mut stream) = proxied().await;
    proxy.set(Weather::Stalled);
    stream.write_all(b"never").await.unwrap();
    proxy.set(Weather::Cut);
    assert!(tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().is_err());
}

#[tokio::test]
async fn a_slow_way_takes_its_time_and_loses_nothing() {
    let (proxy, mut stream) = proxied().await;
    proxy.set(Weather::Slow {
        latency: Duration::from_millis(100),
        bytes_per_second: 1_000_000,
    });
    let short = there_and_back(&mut stream, b"x").await.unwrap();
    assert!(short >= Duration::from_millis(200), "twice the latency, not {short:?}");
    let long = there_and_back(&mut stream, &vec![7; 400_000]).await.unwrap();
    assert!(long >= Duration::from_millis(400), "not faster than allowed: {long:?}");
    proxy.set(Weather::Clear);
    let clear = there_and_back(&mut stream, &vec![7; 400_000]).await.unwrap();
    assert!(clear < Duration::from_millis(400), "{clear:?}");
}

#[tokio::test]
async fn a_dropped_proxy_lets_nobody_through() {
    let (proxy, mut stream) = proxied().await;
    there_and_back(&mut stream, b"before").await.unwrap();
    let address = proxy.address();
    drop(proxy);
    assert!(tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().is_err());
    tokio::time::timeout(DEADLINE, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nobody listens");
}

#[tokio::test]
async fn a_target_that_is_not_there_is_a_reset() {
    let [port] = super::super::free_ports().unwrap();
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().is_err());
}
