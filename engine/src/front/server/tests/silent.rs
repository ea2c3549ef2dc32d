//! Peers that do nothing, at every stage: their connection and its resources are gone in time.

use std::sync::Arc;

use super::over_tls::handshake;
use super::*;

const HALF_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00];
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// HEADERS of 20 bytes on stream 1, of which only three come.
const HALF_HEADERS: &[u8] = b"\x00\x00\x14\x01\x05\x00\x00\x00\x01\x82\x86\x84";
/// POST / without its body.
const NO_BODY: &[u8] = b"\x00\x00\x06\x01\x04\x00\x00\x00\x01\x83\x86\x84\x01\x01x";

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[tokio::test]
async fn a_silent_peer_is_gone_in_time() {
    let started = start(limits(), &Tls::default());
    let begun = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n";
    for (stage, secure, bytes) in [
        ("no byte", false, Vec::new()),
        ("no byte to TLS", true, Vec::new()),
        ("half a hello", true, HALF_HELLO.to_vec()),
        ("half a request line", false, b"GE".to_vec()),
        ("half a header", false, b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec()),
        ("no body", false, begun.to_vec()),
        ("half a body", false, joined(&[begun, b"12345"])),
        ("half a chunk", false, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".to_vec()),
        ("waiting for 100", false, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n".to_vec()),
        ("idle", false, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("answered and closing", false, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec()),
        ("answer not read", false, b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("no upgrade", false, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec()),
        ("no tunnel", false, b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n".to_vec()),
        ("half a preface", false, PREFACE[..10].to_vec()),
        ("preface", false, PREFACE.to_vec()),
        ("half of HTTP/2 headers", false, joined(&[PREFACE, HALF_HEADERS])),
        ("no HTTP/2 body", false, joined(&[PREFACE, NO_BODY])),
    ] {
        let mut stream = TcpStream::connect(if secure { started.https } else { started.http }).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        all_gone(&started.running, stage).await;
        drop(stream);
    }
}

#[tokio::test]
async fn a_silent_peer_over_tls_is_gone_in_time() {
    let started = start(limits(), &Tls::default());
    for (stage, alpn, bytes) in [
        ("nothing", &b"http/1.1"[..], Vec::new()),
        ("nothing in HTTP/2", b"h2", Vec::new()),
        ("half a header", b"http/1.1", b"GET / HTTP/1.1\r\n".to_vec()),
        ("idle", b"http/1.1", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("close_notify not answered", b"http/1.1", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec()),
        ("answer not read", b"http/1.1", b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("GOAWAY not answered", b"h2", PREFACE.to_vec()),
    ] {
        let mut stream = handshake(started.https, alpn).await;
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        all_gone(&started.running, stage).await;
        drop(stream);
    }
}

#[tokio::test]
async fn places_are_given_back() {
    let started = start(Limits { max_connections: 2, connections_per_address: 2, ..limits() }, &Tls::default());
    for _ in 0..3 {
        let mut silent = Vec::new();
        for request in [&b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n"[..], b""] {
            let mut stream = TcpStream::connect(started.http).await.unwrap();
            stream.write_all(request).await.unwrap();
            silent.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        all_gone(&started.running, "two silent ones").await;
    }
    let answer = raw(started.http, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn pings_are_no_use_of_a_connection() {
    let started = start(limits(), &Tls::default());
    let mut stream = TcpStream::connect(started.http).await.unwrap();
    // GET /, answered.
    stream.write_all(&joined(&[PREFACE, b"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x86\x84\x01\x01x"])).await.unwrap();
    let began = Instant::now();
    let mut answer = [0; 4096];
    // PING, WINDOW_UPDATE of the connection, SETTINGS, PRIORITY.
    let frames = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678\
        \x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01\
        \x00\x00\x00\x04\x00\x00\x00\x00\x00\
        \x00\x00\x05\x02\x00\x00\x00\x00\x03\x00\x00\x00\x00\x01";
    while stream.write_all(frames).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(8), "kept by pings");
        let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
    all_gone(&started.running, "pings").await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_the_silent() {
    let patient = |n| Span(Duration::from_secs(n));
    let limits = Limits {
        header_timeout: patient(60),
        idle_timeout: patient(60),
        write_timeout: patient(60),
        body_timeout: patient(60),
        shutdown_timeout: Span(Duration::from_millis(700)),
        ..limits()
    };
    let started = start(limits, &Tls::default());
    let running = Arc::new(started.running.counter());
    let mut peers = Vec::new();
    for bytes in [
        &b""[..],
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1",
        b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n",
        PREFACE,
        &joined(&[PREFACE, NO_BODY]),
    ] {
        let mut stream = TcpStream::connect(started.http).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        peers.push(stream);
    }
    let _silent = TcpStream::connect(started.https).await.unwrap();
    let _idle = handshake(started.https, b"h2").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    started.running.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let began = Instant::now();
    while running.connections() > 1 {
        // One run continues for its own time, but no connection does.
        assert!(began.elapsed() < Duration::from_secs(3), "{}", running.connections());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
