//! Calls to servers in this process, and to none.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::Span;

fn settings() -> Settings {
    let millis = |n| Span(Duration::from_millis(n));
    Settings { connect_timeout: millis(300), read_timeout: millis(300), ..Settings::default() }
}

fn outbound(settings: &Settings) -> Outbound {
    Outbound::open(settings, Path::new("."), &Arc::default()).unwrap()
}

fn get(url: &str) -> Call {
    Call {
        uri: url.parse().unwrap(),
        method: Method::GET,
        headers: HeaderMap::new(),
        set: HeaderMap::new(),
        body: Bytes::new(),
        identity: None,
        timeout: None,
        max_bytes: None,
    }
}

/// A server that reads a request's head and gives this answer; it keeps what it read.
async fn server(answer: &'static str) -> (u16, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = tell.send(String::from_utf8(head).unwrap()).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            });
        }
    });
    (port, told)
}

#[tokio::test]
async fn a_call_brings_an_answer_and_leaves_connection_fields_out() {
    let (port, mut told) =
        server("HTTP/1.1 201 Created\r\nX-A: b\r\nConnection: x-secret\r\nX-Secret: 1\r\nContent-Length: 2\r\n\r\nok").await;
    let mut call = get(&format!("http://127.0.0.1:{port}/a?b=c"));
    for (name, value) in
        [("x-keep", "1"), ("connection", "x-drop"), ("x-drop", "1"), ("accept-encoding", "gzip"), ("host", "evil")]
    {
        call.headers.append(name, value.parse().unwrap());
    }
    let answer = outbound(&settings()).call(call).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (201, &b"ok"[..]));
    assert!(answer.headers().contains_key("x-a") && !answer.headers().contains_key("x-secret"));
    let head = told.recv().await.unwrap();
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n") && head.contains(&format!("host: 127.0.0.1:{port}")), "{head}");
    assert!(head.contains("x-keep: 1") && !head.contains("x-drop") && !head.contains("gzip") && !head.contains("evil"), "{head}");
}

#[tokio::test]
async fn failures_have_their_codes() {
    let (silent, _told) = server("").await;
    let (large, _told) = server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789").await;
    let (broken, _told) = server("nonsense\r\n\r\n").await;
    // A listener whose backlog nobody empties answers the TCP handshake, but no TLS.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = mute.local_addr().map(|address| (address.port(), mute)).unwrap();
    let settings = Settings { response_bytes: crate::config::Bytes(5), ..settings() };
    for (url, code) in [
        ("http://no-such-host.invalid/".to_owned(), -1),
        ("ftp://127.0.0.1/".to_owned(), -2),
        ("/relative".to_owned(), -2),
        (format!("http://user@127.0.0.1:{large}/"), -2),
        (format!("https://127.0.0.1:{}/", mute.0), -3),
        (format!("http://127.0.0.1:{silent}/"), -4),
        (format!("http://127.0.0.1:{large}/"), -5),
        (format!("http://127.0.0.1:{broken}/"), -5),
        ("http://127.0.0.1:1/".to_owned(), -5),
    ] {
        let error = outbound(&settings).call(get(&url)).await.unwrap_err();
        assert_eq!(error.failed.code(), code, "{url}: {error}");
    }
}

#[test]
fn targets_can_be_narrowed() {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let targets = Targets::new(&Settings {
        allow: strings(&["api.example", "*.inner.example:8443", "10.0.0.1", "[::1]:80", "9.9.9.9"]),
        deny: strings(&["bad.inner.example"]),
        private_targets: false,
        ..Settings::default()
    })
    .unwrap();
    for (url, fine) in [
        ("https://api.example/", true),
        ("https://API.example./", true),
        ("https://api.example.evil/", false),
        ("https://a.inner.example:8443/", true),
        ("https://a.inner.example/", false),
        ("https://inner.example:8443/", false),
        ("https://bad.inner.example:8443/", false),
        ("http://10.0.0.1/", false),
        ("http://[::1]/", false),
        ("http://9.9.9.9/", true),
    ] {
        assert_eq!(targets.check(&url.parse().unwrap()).is_ok(), fine, "{url}");
    }
    for (address, private) in [
        ("127.0.0.1", true),
        ("169.254.169.254", true),
        ("100.64.0.1", true),
        ("192.168.1.1", true),
        ("::ffff:10.0.0.1", true),
        ("fd00::1", true),
        ("fe80::1", true),
        ("0.0.0.0", true),
        ("8.8.8.8", false),
        ("2606:4700::1111", false),
    ] {
        assert_eq!(policy::is_private(address.parse().unwrap()), private, "{address}");
    }
}
