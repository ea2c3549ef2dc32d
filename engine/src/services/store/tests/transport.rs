//! TLS to servers. The test server speaks just enough of PostgreSQL's protocol to agree on TLS.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::services::config::Span;

/// What a server has seen.
#[derive(Debug, PartialEq)]
enum Seen {
    /// Nothing after the request for TLS.
    Nothing,
    /// A login without TLS.
    Plain,
    /// A handshake that the client aborted.
    Refused,
    /// A login over TLS.
    Secured,
}

/// An authority, and a server's certificate of it for this name: the authority as PEM, the configuration of the server.
fn certified(name: &str) -> (String, Arc<ServerConfig>) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (pem, Arc::new(builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap()))
}

async fn server(address: IpAddr, tls: Option<Arc<ServerConfig>>) -> (u16, JoinHandle<Seen>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut begin = [0; 8];
        stream.read_exact(&mut begin).await.unwrap();
        if begin != [0, 0, 0, 8, 4, 210, 22, 47] {
            return Seen::Plain;
        }
        let Some(tls) = tls else {
            stream.write_all(b"N").await.unwrap();
            return if stream.read(&mut begin).await.unwrap_or(0) == 0 { Seen::Nothing } else { Seen::Plain };
        };
        stream.write_all(b"S").await.unwrap();
        let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await else { return Seen::Refused };
        if stream.read(&mut begin).await.unwrap_or(0) == 0 { Seen::Refused } else { Seen::Secured }
    });
    (port, seen)
}

/// What a server sees of a connection with these settings, and the error of the connection.
async fn ask(
    address: IpAddr,
    host: &str,
    tls: Option<Arc<ServerConfig>>,
    ca: Option<&str>,
    allow_plaintext: bool,
) -> (Seen, StoreError) {
    let (port, seen) = server(address, tls).await;
    let home = tempfile::tempdir().unwrap();
    if let Some(pem) = ca {
        std::fs::write(home.path().join("ca.pem"), pem).unwrap();
    }
    let config = Config {
        ca: ca.map(|_| "ca.pem".into()),
        allow_plaintext,
        wait_timeout: Some(Span(Duration::from_secs(10))),
        ..config(&format!("postgres://u:hunter2@{host}:{port}/d"))
    };
    let connections = Connections::open(&BTreeMap::from([("Test".to_owned(), config)]), home.path()).unwrap();
    let error = connections.get("Test").unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    (seen.await.unwrap(), error)
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test(flavor = "multi_thread")]
async fn authorities_that_are_named_are_asked() {
    let (ca, right) = certified("localhost");
    let (other_ca, _) = certified("localhost");
    let (wrong_ca, wrong_name) = certified("db.example");
    assert_eq!(ask(HERE, "localhost", Some(Arc::clone(&right)), Some(&ca), false).await.0, Seen::Secured);
    assert_eq!(ask(HERE, "localhost", Some(right), Some(&other_ca), false).await.0, Seen::Refused, "an unknown authority");
    assert_eq!(ask(HERE, "localhost", Some(wrong_name), Some(&wrong_ca), false).await.0, Seen::Refused, "another name");
    assert_eq!(ask(HERE, "localhost", None, Some(&ca), false).await.0, Seen::Nothing, "no TLS at all");
    assert_eq!(ask(HERE, "localhost", None, None, false).await.0, Seen::Plain, "this machine may do without");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_is_verified() {
    // An address of this machine other than loopback. Nothing is sent there.
    let outside = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        Ok(socket.local_addr()?.ip())
    });
    let Some(address) = outside.ok().filter(|address| !address.is_loopback()) else { return };
    let host = address.to_string();
    let (seen, error) = ask(address, &host, None, None, false).await;
    assert_eq!(seen, Seen::Nothing);
    assert!(error.to_string().contains("allow_plaintext") && !error.to_string().contains("hunter2"), "{error}");
    let (ca, right) = certified(&host);
    assert_eq!(ask(address, &host, Some(Arc::clone(&right)), None, false).await.0, Seen::Refused, "no authority known here");
    assert_eq!(ask(address, &host, Some(right), Some(&ca), false).await.0, Seen::Secured);
    assert_eq!(ask(address, &host, None, None, true).await.0, Seen::Plain, "the operator says so");
}
