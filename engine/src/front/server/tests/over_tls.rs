//! TLS: versions, certificates, protocols.

use super::*;
use crate::services::outbound::Anybody;
use rustls::ClientConfig;

type Tunnel = tokio_rustls::client::TlsStream<TcpStream>;

/// A connection over TLS 1.3 without any data yet.
pub(super) async fn handshake(address: SocketAddr, alpn: &[u8]) -> Tunnel {
    connect(address, &rustls::version::TLS13, alpn, None).await.unwrap()
}

async fn connect(
    address: SocketAddr,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[u8],
    client: Option<Identity>,
) -> std::io::Result<Tunnel> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let mut config = match client {
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("first.example").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Asks for `/t` over TLS: the answer's body and the served certificate.
async fn get(
    address: SocketAddr,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[u8],
    client: Option<Identity>,
) -> std::io::Result<(String, Vec<u8>)> {
    let stream = connect(address, version, alpn, client).await?;
    let served = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let request = http::Request::get("https://x/t").body(Full::<Bytes>::default()).unwrap();
    let response = if alpn == b"h2" {
        let (mut client, conn) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(conn);
        client.send_request(request).await
    } else {
        let (mut client, conn) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(conn);
        client.send_request(request).await
    };
    let body = response.map_err(std::io::Error::other)?.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    Ok((String::from_utf8_lossy(&body).into_owned(), served))
}

#[tokio::test]
async fn versions_protocols_and_client_certificates() {
    let started = start(limits(), &Tls::default());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for alpn in [&b"h2"[..], b"http/1.1"] {
            let (plain, _) = get(started.https, version, alpn, None).await.unwrap();
            assert!(plain.ends_with("/t 0 - true"), "{plain}");
            let (proven, _) = get(started.https, version, alpn, Some(identity("client.example"))).await.unwrap();
            assert!(proven.contains("CN=rcgen self signed cert"), "{proven}");
        }
    }
}

#[tokio::test]
async fn settings_narrow_what_is_spoken() {
    let settings = Tls {
        min_version: TlsVersion::V13,
        client_certificate: crate::services::config::ClientCertificate::Required,
        ..Tls::default()
    };
    let started = start(limits(), &settings);
    assert!(get(started.https, &rustls::version::TLS12, b"h2", Some(identity("c"))).await.is_err());
    assert!(get(started.https, &rustls::version::TLS13, b"h2", None).await.is_err());
    assert!(get(started.https, &rustls::version::TLS13, b"h2", Some(identity("c"))).await.is_ok());
}

#[tokio::test]
async fn the_certificate_can_be_exchanged_while_serving() {
    let started = start(limits(), &Tls::default());
    let (_, before) = get(started.https, &rustls::version::TLS13, b"http/1.1", None).await.unwrap();
    let other = identity("second.example");
    let expected = other.chain[0].to_vec();
    started.tls.replace(certified(other));
    let (_, after) = get(started.https, &rustls::version::TLS13, b"http/1.1", None).await.unwrap();
    assert_ne!(before, after);
    assert_eq!(after, expected);
}

#[tokio::test]
async fn plain_text_at_the_tls_port_does_no_harm() {
    let started = start(limits(), &Tls::default());
    let answer = raw(started.https, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1 200"));
    assert!(get(started.https, &rustls::version::TLS13, b"h2", None).await.is_ok());
}
