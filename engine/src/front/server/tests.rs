//! The server with a handler that reports what it saw: protocols, limits, shutdown. Time limits are short to keep the tests fast.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::services::config::units::{Bytes as Size, Span};
use crate::services::config::{Tls, TlsVersion};

mod framing;
mod over_tls;
mod silent;
mod unread;

/// Answers `method path body-length client-subject`; `/large` answers 33 KB, `/huge` 16 MiB, `/slow` takes 300 ms, `/never` an hour, `/panic` panics at once, `/break` later,
/// `/late` takes 200 ms and counts.
struct Echo;

const LARGE: usize = 33_000;

static LATE: AtomicUsize = AtomicUsize::new(0);

impl Handler for Echo {
    fn handle(&self, head: &mut request::Parts, body: Bytes, conn: &ConnInfo, _: &Correlation) -> Answering {
        let subject = conn.client_certificate.as_ref().map_or("-", |certificate| &certificate.subject);
        let text = format!("{} {} {} {subject} {}", head.method, head.uri.path(), body.len(), conn.secure);
        let response = http::Response::new(Bytes::from(text));
        match head.uri.path() {
            "/slow" => after(300, response),
            "/never" => after(3_600_000, response),
            "/large" => Answering::Now(http::Response::new(Bytes::from(vec![b'x'; LARGE]))),
            "/huge" => Answering::Now(http::Response::new(Bytes::from(vec![b'x'; 16 << 20]))),
            "/panic" => panic!("on purpose"),
            "/break" => Answering::later(after(10, response).into_future().map(|_| panic!("on purpose"))),
            "/late" => Answering::later(after(200, response).into_future().inspect(|_| {
                LATE.fetch_add(1, Ordering::SeqCst);
            })),
            _ => Answering::Now(response),
        }
    }
}

fn after(millis: u64, response: http::Response<Bytes>) -> Answering {
    Answering::later(async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        response
    })
}

fn limits() -> Limits {
    let millis = |n| Span(Duration::from_millis(n));
    Limits {
        header_bytes: Size(8192),
        body_bytes: Size(10_000),
        header_timeout: millis(200),
        body_timeout: millis(300),
        idle_timeout: millis(400),
        request_timeout: millis(800),
        write_timeout: millis(400),
        shutdown_timeout: millis(2000),
        ..Limits::default()
    }
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn identity(name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Identity { chain: vec![made.cert.der().clone()], key: key.into() }
}

fn certified(identity: Identity) -> Arc<CertifiedKey> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(CertifiedKey::from_der(identity.chain, identity.key, &provider).unwrap())
}

struct Started {
    http: SocketAddr,
    https: SocketAddr,
    tls: Arc<TlsServer>,
    running: Running,
}

fn start(limits: Limits, settings: &Tls) -> Started {
    let tls = Arc::new(TlsServer::new(settings, certified(identity("first.example"))).unwrap());
    let any = ListenAddress::At(([127, 0, 0, 1], 0).into());
    let server = Server::bind(&Listeners { https: any, http: any, ..Listeners::default() }, &tls, limits).unwrap();
    let (http, https) = (server.http_address().unwrap(), server.https_address().unwrap());
    Started { http, https, tls, running: server.start(Arc::new(Echo)) }
}

/// Waits until no connection is left.
async fn all_gone(running: &Running, what: &str) {
    let began = Instant::now();
    while running.guards.len() > 0 {
        assert!(began.elapsed() < Duration::from_secs(8), "{what}: {} connections are still there", running.guards.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends bytes and reads to the end of the connection.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn http1_and_http2_in_clear() {
    let started = start(limits(), &Tls::default());
    let answer = raw(started.http, b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\ndate: "), "{answer}");
    assert!(answer.ends_with("POST /a 3 - false"), "{answer}");

    let stream = TcpStream::connect(started.http).await.unwrap();
    let (mut client, conn) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(conn);
    let request = http::Request::get("http://x/b").body(Full::new(Bytes::from_static(b"hello"))).unwrap();
    let body = client.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "GET /b 5 - false");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let started = start(limits(), &Tls::default());
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let requests = format!("{}{}GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", one("/a"), one("/slow"));
    let answer = raw(started.http, requests.as_bytes()).await;
    let order: Vec<usize> = ["GET /a", "GET /slow", "GET /c"].iter().map(|part| answer.find(part).unwrap()).collect();
    assert!(order.is_sorted(), "{answer}");
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_refused() {
    let started = start(limits(), &Tls::default());
    let long = "x".repeat(9000);
    let chunk = format!("2000\r\n{}\r\n", "y".repeat(0x2000)).repeat(2);
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"), "431"),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), "431"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10001\r\n\r\n".to_owned(), "413"),
        (format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"), "413"),
        ("GET / HTTP/1.1\r\nHo st: x\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(), "400"),
        ("GET /panic HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "500"),
        ("GET /break HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "500"),
        ("GET /never HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "504"),
    ] {
        let answer = raw(started.http, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {:?} got {answer}",
            &request[..request.len().min(60)]
        );
    }
}

#[tokio::test]
async fn a_slow_client_loses_its_connection() {
    let started = start(limits(), &Tls::default());
    for (name, begin, drip) in [
        ("says nothing", "", ""),
        ("drips a header", "GET / HTTP/1.1\r\n", "A: b\r\n"),
        ("drips a second header", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", "A: b\r\n"),
        ("stays idle after an answer", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        ("drips a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", "y"),
    ] {
        for address in [started.http, started.https] {
            if address == started.https && name != "says nothing" {
                continue;
            }
            let began = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begin.as_bytes()).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            let dripping = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if !drip.is_empty() && write.write_all(drip.as_bytes()).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let mut answer = Vec::new();
            tokio::select! {
                _ = read.read_to_end(&mut answer) => {}
                _ = dripping => unreachable!("it never ends"),
            }
            assert!(began.elapsed() < Duration::from_millis(1500), "{name}: {:?}", began.elapsed());
        }
    }
    assert!(started.running.guards.len() <= 1);
}

#[tokio::test]
async fn shutdown_finishes_what_is_under_way() {
    let started = start(limits(), &Tls::default());
    let _idle = TcpStream::connect(started.http).await.unwrap();
    let address = started.http;
    let slow = tokio::spawn(async move { raw(address, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    assert_eq!(started.running.shutdown().await, 0);
    assert!(slow.await.unwrap().contains("GET /slow"));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn further_connections_wait_for_a_place() {
    let started = start(Limits { max_connections: 1, ..limits() }, &Tls::default());
    let first = TcpStream::connect(started.http).await.unwrap();
    let address = started.http;
    let second = tokio::spawn(async move { raw(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_began_ends_although_the_client_has_gone() {
    let started = start(limits(), &Tls::default());
    let mut stream = TcpStream::connect(started.http).await.unwrap();
    stream.write_all(b"POST /late HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    // A stopping gateway waits for it, too.
    assert_eq!(started.running.shutdown().await, 0);
    assert_eq!(LATE.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bodies_share_a_bounded_memory() {
    let started = start(Limits { body_memory: Size(15_000), ..limits() }, &Tls::default());
    let body = "y".repeat(9000);
    let begun = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9001\r\nConnection: close\r\n\r\n{body}");
    let mut first = TcpStream::connect(started.http).await.unwrap();
    first.write_all(begun.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = raw(started.http, begun.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after"), "{refused}");
    first.write_all(b"y").await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("POST / 9001"), "{answer}");
    assert!(raw(started.http, format!("{begun}y").as_bytes()).await.contains("POST / 9001"));
}

#[tokio::test]
async fn an_http2_connection_may_be_idle_for_as_long_as_others() {
    let started = start(limits(), &Tls::default());
    let io = TokioIo::new(TcpStream::connect(started.http).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = hyper::Request::get("http://x/").body(Full::new(Bytes::new())).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        // Longer than a header may take, less than a connection may be idle.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn one_address_does_not_take_every_place() {
    let started = start(Limits { connections_per_address: 1, ..limits() }, &Tls::default());
    let first = TcpStream::connect(started.http).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut second = TcpStream::connect(started.http).await.unwrap();
    let _ = second.write_all(request).await;
    let mut answer = Vec::new();
    let _ = second.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(raw(started.http, request).await.starts_with("HTTP/1.1 200"));
}
