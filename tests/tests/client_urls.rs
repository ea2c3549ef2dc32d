//! URLs that clients name: a client cannot make the gateway call this machine, private networks, or another server by a redirect, and what
//! it does call is small and soon. On real sockets, which count who came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start, add_client};
use portcullis_tests::{block_on, put};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

const OPEN: &str = "customize \"OTK Dynamic Registration Configuration\" {\n    set registration = \"open\"\n    \
                    set registrations_per_hour = 100000\n}\n";

/// An HTTPS server on every address of this machine. It counts connections and requests.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    certificate: String,
    _runtime: Runtime,
}

impl Server {
    fn start() -> Server {
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let certificate = CertificateParams::new(names).expect("names").self_signed(&key).expect("a certificate");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("TLS");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("[::]:0")).expect("a port");
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let port = listener.local_addr().expect("an address").port();
        let (count, asked, acceptor) = (Arc::clone(&connections), Arc::clone(&requests), TlsAcceptor::from(Arc::new(tls)));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (asked, acceptor) = (Arc::clone(&asked), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    let head = String::from_utf8_lossy(&head).into_owned();
                    answer(head.split(' ').nth(1).unwrap_or("/"), port, &mut stream).await;
                });
            }
        });
        Server { port, connections, requests, certificate: certificate.pem(), _runtime: runtime }
    }

    fn taken(&self) -> (usize, usize) {
        (self.connections.swap(0, Ordering::SeqCst), self.requests.swap(0, Ordering::SeqCst))
    }
}

/// What a document is, by its path. `good` is the sector of the client.
async fn answer<S: AsyncWriteExt + Unpin>(path: &str, port: u16, stream: &mut S) {
    const DOCUMENT: &str = "[\"https://app.example/cb\"]";
    let plain = |status: &str, more: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\n{more}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let text = match path {
        "/good" => plain("200 OK", "", DOCUMENT),
        "/redirect-home" => plain("302 Found", "Location: /good\r\n", ""),
        "/redirect-away" => plain("307 Temporary Redirect", &format!("Location: https://localhost:{port}/good\r\n"), DOCUMENT),
        "/redirect-plain" => plain("301 Moved", &format!("Location: http://127.0.0.1:{port}/good\r\n"), DOCUMENT),
        "/missing" => plain("404 Not Found", "", DOCUMENT),
        "/empty" => plain("204 No Content", "", ""),
        "/large" => plain("200 OK", "", &format!("{}{DOCUMENT}", " ".repeat(70_000))),
        "/text" => plain("200 OK", "", "https://app.example/cb"),
        "/slow" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await;
            // One byte a second, for longer than anybody should wait.
            for _ in 0..600 {
                if stream.write_all(b" ").await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            return;
        }
        "/endless" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"4\r\n    \r\n").await.is_ok() {}
            return;
        }
        "/broken" => "nonsense\r\n\r\n".to_owned(),
        _ => plain("200 OK", "", "{}"),
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn gateway(server: &Server, targets: &str) -> (Process, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "rp.pem", &server.certificate);
    put(home.path(), "gateway.yaml", &format!("outbound: {{ trusted: [rp.pem], client_targets: [{targets}] }}\n"));
    put(home.path(), "customizations/configuration/#otk-dynamic-registration-configuration.policy", OPEN);
    let process = Process::gateway(home.path(), &Start::default()).expect("a start");
    (process, home)
}

fn post(process: &Process, path: &str, kind: &str, body: &str) -> (u16, String) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let target = Target { address: process.https, tls: true };
    let (status, _, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Registers with a sector; whether that works.
fn sector(process: &Process, url: &str) -> bool {
    let body = json!({"redirect_uris": ["https://app.example/cb"], "sector_identifier_uri": url});
    let (status, body) = post(process, "/openid/connect/register", "application/json", &body.to_string());
    assert!(status == 201 || status == 400, "{url}: {status} {body}");
    status == 201
}

/// Makes the gateway ask for a client's keys.
fn keys(process: &Process, home: &std::path::Path, number: usize, url: &str) {
    let id = format!("keys{number}");
    let custom = json!({"openid_registration": {"response": {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": url}}});
    add_client(home, &id, &["--client_key_custom", &custom.to_string()]).expect("a client");
    let part = |value: Value| portcullis_tests::jwt::b64(value.to_string());
    let token = format!("{}.{}.AAAA", part(json!({"alg": "ES256", "kid": "a"})), part(json!({"iss": id, "sub": id})));
    let form = format!(
        "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion={token}"
    );
    let (status, body) = post(process, "/auth/oauth/v2/token", "application/x-www-form-urlencoded", &form);
    assert_eq!(status, 401, "{url}: {body}");
}

#[test]
fn private_addresses_are_not_called() {
    let server = Server::start();
    let (process, home) = gateway(&server, "");
    let port = server.port;
    let own = process.https.port();
    let hosts = [
        "localhost",
        "localhost.",
        "LOCALHOST",
        "a.localhost",
        "127.0.0.1",
        "127.1",
        "127.255.255.254",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[64:ff9b::7f00:1]",
        "[::127.0.0.1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "[2002:7f00:1::]",
        "224.0.0.1",
        "255.255.255.255",
        "ip6-localhost",
        "ip6-loopback",
    ];
    for (number, host) in hosts.iter().enumerate() {
        for port in [port, own] {
            let url = format!("https://{host}:{port}/good");
            assert!(!sector(&process, &url), "{url}");
        }
        keys(&process, home.path(), number, &format!("https://{host}:{port}/good"));
    }
    for url in [
        format!("http://127.0.0.1:{port}/good"),
        format!("https://rp.example@127.0.0.1:{port}/good"),
        format!("https://127.0.0.1:{port}\\@rp.example/good"),
        format!("ftp://127.0.0.1:{port}/good"),
        "file:///proc/self/environ".to_owned(),
        format!("//127.0.0.1:{port}/good"),
        format!("HTTPS://127.0.0.1:{port}/good"),
        format!("https://127.0.0.1:{port}#/good"),
        format!("https://１２７.0.0.1:{port}/good"),
    ] {
        assert!(!sector(&process, &url), "{url}");
    }
    assert_eq!(server.taken(), (0, 0), "somebody came");
}

#[test]
fn what_is_called_is_the_url_itself_and_small_and_soon() {
    let server = Server::start();
    // This address and port, and no other.
    let (process, _home) = gateway(&server, &format!("\"127.0.0.1:{}\"", server.port));
    let url = |path: &str| format!("https://127.0.0.1:{}{path}", server.port);
    assert!(sector(&process, &url("/good")), "{}", process.log());
    assert_eq!(server.taken(), (1, 1));
    for path in [
        "/redirect-home",
        "/redirect-away",
        "/redirect-plain",
        "/missing",
        "/empty",
        "/large",
        "/text",
        "/slow",
        "/endless",
        "/broken",
        "/other",
    ] {
        assert!(!sector(&process, &url(path)), "{path}");
        let (_, requests) = server.taken();
        assert_eq!(requests, 1, "{path}: it was asked once, and nothing else was");
    }
    assert!(!sector(&process, &format!("https://[::1]:{}/good", server.port)));
    assert_eq!(server.taken(), (0, 0));
}
