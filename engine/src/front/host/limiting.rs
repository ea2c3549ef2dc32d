//! Limits of a serving gateway: live ones, and the answers where one is reached.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tests::{Place, options, place, put};
use super::*;

const SERVICES: &str = r#"
service "Sized" at "/sized" methods POST errors "Worded" (code: ${error.code}) { declare error.code; Respond(body: "${request.size}") }
assertion "Worded" (in code) {
    Respond(status: 500, type: "application/json", headers: json { "x-why": ${request.refused.status} }, body: json { "why": ${request.refused.reason} })
}
"#;

async fn serve(place: &Place, settings: &str) -> Serving {
    put(place.dir.path(), "gateway.yaml", settings);
    put(place.dir.path(), "services/sized.policy", SERVICES);
    Host::serve(place.home.clone(), options()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Begins to post a body of this length, and sends this much of it.
async fn begin(serving: &Serving, length: usize, sent: usize) -> TcpStream {
    begin_on(TcpStream::connect(serving.http.unwrap()).await.unwrap(), length, sent).await
}

/// A connection that the gateway has certainly accepted, because it answered a request on it.
async fn accepted(serving: &Serving) -> TcpStream {
    let mut stream = TcpStream::connect(serving.http.unwrap()).await.unwrap();
    stream.write_all(b"POST /sized HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n1") {
        answer.push(stream.read_u8().await.unwrap());
    }
    stream
}

async fn begin_on(mut stream: TcpStream, length: usize, sent: usize) -> TcpStream {
    let head = format!("POST /sized HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; sent]).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_live() {
    let place = place();
    let serving = serve(&place, "limits: { body_bytes: 100 }\n").await;
    assert!(answer(begin(&serving, 101, 101).await).await.starts_with("HTTP/1.1 413 "));
    // A connection that is open keeps what it was opened with.
    let open = begin_on(accepted(&serving).await, 100, 50).await;
    let settings =
        "limits: { body_bytes: 200, body_timeout: 200ms, header_bytes: 9000, max_connections: 1000, task_timeout: 1m }\n";
    put(place.dir.path(), "gateway.yaml", settings);
    serving.host().reload().unwrap();
    assert!(serving.host().status().pending_restart.is_empty(), "{:?}", serving.host().status().pending_restart);
    assert!(answer(begin(&serving, 150, 150).await).await.ends_with("\r\n\r\n150"));
    assert!(answer(begin(&serving, 201, 201).await).await.starts_with("HTTP/1.1 413 "));
    // The new time limit, which is shorter.
    let slow = answer(begin(&serving, 150, 50).await).await;
    assert!(slow.starts_with("HTTP/1.1 408 "), "{slow}");
    let mut open = open;
    open.write_all(&[b'x'; 50]).await.unwrap();
    assert!(answer(open).await.ends_with("\r\n\r\n100"));
    // These bound the end of the process, and are known before it begins to end.
    put(place.dir.path(), "gateway.yaml", "limits: { body_bytes: 200, drain_delay: 1s, shutdown_timeout: 3s }\n");
    serving.host().reload().unwrap();
    assert_eq!(serving.host().status().pending_restart, ["limits.drain_delay", "limits.shutdown_timeout"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_connections_are_enforced_when_places_become_free() {
    let place = place();
    let serving = serve(&place, "limits: { max_connections: 3 }\n").await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(begin_on(accepted(&serving).await, 10, 5).await);
    }
    put(place.dir.path(), "gateway.yaml", "limits: { max_connections: 1 }\n");
    serving.host().reload().unwrap();
    let mut waits = tokio::spawn(answer(begin(&serving, 1, 1).await));
    // Two places go with their connections, and only the third one's is free again.
    for stream in open.drain(1..) {
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut waits).await.is_err());
        drop(stream);
    }
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut waits).await.is_err());
    drop(open);
    assert!(tokio::time::timeout(Duration::from_secs(10), waits).await.unwrap().unwrap().ends_with("\r\n\r\n1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_for_which_there_is_no_memory_is_refused_in_the_words_of_its_service() {
    let place = place();
    let serving = serve(&place, "limits: { body_bytes: 60 KiB, body_memory: 60 KiB }\n").await;
    let began = std::time::Instant::now();
    let refused = loop {
        let first = begin(&serving, 60_000, 50_000).await;
        let second = answer(begin(&serving, 40_000, 40_000).await).await;
        drop(first);
        // The first one's bytes may have been on their way, or have come last.
        if second.starts_with("HTTP/1.1 503 ") || began.elapsed() > Duration::from_secs(30) {
            break second;
        }
    };
    for part in [
        "HTTP/1.1 503 ",
        "\r\nx-why: 503\r\n",
        "\r\nretry-after: 1\r\n",
        "\r\ncache-control: no-store\r\n",
        "\r\npragma: no-cache\r\n",
        "{\"why\":\"too many requests are being read; try again\"}",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}
