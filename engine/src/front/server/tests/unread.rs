//! Peers that ask but do not read: the size and the time of unread answers are bounded.

use tokio::net::TcpSocket;

use super::over_tls::handshake;
use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// HTTP/2 by hand, to do what no client library would.
struct Peer {
    stream: TcpStream,
    /// Read but not yet parsed, because reading may stop within a frame.
    read: Vec<u8>,
}

impl Peer {
    /// Connects with this window for each stream.
    async fn connect(address: SocketAddr, window: u32) -> Peer {
        let mut peer = Peer { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() };
        peer.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        peer.send(SETTINGS, 0, 0, &settings).await.unwrap();
        // The connection's own window is not a limit here.
        peer.open(0, 1 << 30).await.unwrap();
        peer
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).await
    }

    async fn get(&mut self, stream: u32, path: &str) {
        let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
        block.extend(path.as_bytes());
        block.extend([0x01, 1, b'x']);
        self.send(HEADERS, 5, stream, &block).await.unwrap();
    }

    async fn open(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await
    }

    /// The next frame: kind, stream, length. None at the end of the connection.
    async fn next(&mut self) -> Option<(u8, u32, usize)> {
        loop {
            if let [a, b, c, kind, _, d, e, f, g, payload @ ..] = &self.read[..] {
                let (length, kind, stream) =
                    (u32::from_be_bytes([0, *a, *b, *c]) as usize, *kind, u32::from_be_bytes([*d, *e, *f, *g]));
                if payload.len() >= length {
                    self.read.drain(..9 + length);
                    return Some((kind, stream, length));
                }
            }
            if self.stream.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Whether the stream is reset, or the connection ends, while an action is repeated every few milliseconds.
    async fn ended(&mut self, stream: u32, trickle: u32) -> &'static str {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(8), "stream {stream} is still kept");
            let until = tokio::time::Instant::now() + Duration::from_millis(20);
            while let Ok(frame) = tokio::time::timeout_at(until, self.next()).await {
                match frame {
                    None => return "closed",
                    Some((RST_STREAM, reset, _)) if reset == stream => return "reset",
                    Some(_) => {}
                }
            }
            if trickle > 0 {
                let _ = self.open(stream, trickle).await;
                let _ = self.send(PING, 0, 0, b"12345678").await;
                let _ = self.send(SETTINGS, 0, 0, &[]).await;
            }
        }
    }

    /// Reads a stream's data to its end.
    async fn data(&mut self, stream: u32, length: usize) {
        let mut read = 0;
        while read < length {
            match self.next().await {
                Some((DATA, of, bytes)) if of == stream => read += bytes,
                Some((RST_STREAM | GOAWAY, _, _)) | None => panic!("{read} of {length}"),
                Some(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_reset_and_the_others_go_on() {
    let started = start(Limits { idle_timeout: Span(Duration::from_secs(20)), ..limits() }, &Tls::default());
    for path in ["/large", "/"] {
        let mut peer = Peer::connect(started.http, 0).await;
        peer.get(1, path).await;
        peer.get(3, "/large").await;
        peer.open(3, LARGE as u32).await.unwrap();
        peer.data(3, LARGE).await;
        assert_eq!(peer.ended(1, 0).await, "reset", "{path}");
        peer.get(5, "/large").await;
        peer.open(5, LARGE as u32).await.unwrap();
        peer.data(5, LARGE).await;
        assert_eq!(started.running.guards.unwritten(), 0);
    }
}

#[tokio::test]
async fn a_stream_that_trickles_is_ended() {
    let started = start(limits(), &Tls::default());
    for path in ["/large", "/huge", "/"] {
        for trickle in [1, 3] {
            let mut peer = Peer::connect(started.http, 0).await;
            peer.get(1, path).await;
            if path == "/" {
                // Short answers have been read completely by then.
                peer.open(1, 1).await.unwrap();
                peer.ended(1, 0).await;
            } else {
                peer.ended(1, trickle).await;
            }
            drop(peer);
            all_gone(&started.running, path).await;
            assert_eq!(started.running.guards.unwritten(), 0);
        }
    }
}

#[tokio::test]
async fn further_requests_wait_while_too_much_is_unread() {
    let patient = Span(Duration::from_secs(20));
    let limits = Limits {
        connection_answer_memory: Size(100_000),
        write_timeout: patient,
        idle_timeout: patient,
        request_timeout: patient,
        ..limits()
    };
    let started = start(limits, &Tls::default());
    let mut peer = Peer::connect(started.http, 0).await;
    for stream in 0..100 {
        peer.get(2 * stream + 1, "/large").await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let unwritten = started.running.guards.unwritten();
    assert!((100_000..100_000 + 2 * LARGE).contains(&unwritten), "{unwritten}");
    // Others are served meanwhile, and this one when it starts to read.
    assert!(raw(started.http, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    for stream in 0..100 {
        peer.open(2 * stream + 1, LARGE as u32).await.unwrap();
    }
    let mut read = 0;
    while read < 100 * LARGE {
        match tokio::time::timeout(Duration::from_secs(5), peer.next()).await.unwrap() {
            Some((DATA, _, bytes)) => read += bytes,
            Some((kind, ..)) => assert!(![RST_STREAM, GOAWAY].contains(&kind)),
            None => panic!("closed after {read}"),
        }
    }
}

#[tokio::test]
async fn the_greediest_connection_makes_room() {
    let patient = Span(Duration::from_secs(20));
    let limits = Limits { answer_memory: Size(200_000), write_timeout: patient, idle_timeout: patient, ..limits() };
    let started = start(limits, &Tls::default());
    let mut greedy = Peer::connect(started.http, 0).await;
    for stream in 0..5 {
        greedy.get(2 * stream + 1, "/large").await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(started.running.guards.unwritten(), 5 * LARGE);
    let mut modest = Peer::connect(started.http, 0).await;
    modest.get(1, "/large").await;
    modest.get(3, "/large").await;
    assert_eq!(greedy.ended(99, 0).await, "closed");
    modest.open(3, LARGE as u32).await.unwrap();
    modest.data(3, LARGE).await;
    assert_eq!(started.running.guards.unwritten(), LARGE);
}

#[tokio::test]
async fn a_peer_of_http1_that_does_not_read_is_cut() {
    let started = start(limits(), &Tls::default());
    let huge = b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    for (what, requests, pace) in [
        ("never reads", huge.clone(), None),
        ("never reads many", b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000), None),
        ("reads a little", huge, Some(100)),
    ] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(started.http).await.unwrap();
        let written = tokio::time::timeout(Duration::from_millis(100), stream.write_all(&requests)).await;
        assert!(written.is_ok() || what == "never reads many", "{what}");
        let began = Instant::now();
        while started.running.guards.len() > 0 {
            assert!(began.elapsed() < Duration::from_secs(8), "{what}");
            // Requests whose answers would only wait behind unread ones are not processed.
            assert!(started.running.guards.unwritten() <= (16 << 20), "{what}: {}", started.running.guards.unwritten());
            tokio::time::sleep(Duration::from_millis(20)).await;
            if let Some(bytes) = pace {
                let _ = stream.read(&mut vec![0; bytes]).await;
            }
        }
        assert_eq!(started.running.guards.unwritten(), 0);
    }
}

#[tokio::test]
async fn a_slow_reader_that_keeps_reading_gets_everything() {
    let started = start(limits(), &Tls::default());
    let mut stream = TcpStream::connect(started.http).await.unwrap();
    stream.write_all(b"GET /huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let (mut read, mut buffer) = (0, vec![0; 256 << 10]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            bytes => read += bytes,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(read > 16 << 20, "{read}");
}

#[tokio::test]
async fn over_tls_too() {
    let started = start(limits(), &Tls::default());
    let mut stream = handshake(started.https, b"http/1.1").await;
    stream.write_all(&b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)).await.unwrap();
    stream.flush().await.unwrap();
    all_gone(&started.running, "never reads").await;
    assert_eq!(started.running.guards.unwritten(), 0);
}
