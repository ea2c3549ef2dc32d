//! The client side of a test: HTTP/1.1 by hand, because a test must be able to send what no client library would.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longer than anything in a test may take unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of an answer.
const MAX_ANSWER: usize = 64 << 20;

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Values of a header field.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A client of one gateway.
pub struct Client {
    https: SocketAddr,
    http: SocketAddr,
    roots: Arc<RootCertStore>,
    /// Issues the certificates of `cert=ca:NAME`: the gateway's own authority, and its key, in PEM.
    issuer: Option<(String, String)>,
    tls: HashMap<Option<String>, TlsConnector>,
    /// Idle connections by scheme and client certificate.
    idle: HashMap<(bool, Option<String>), Box<dyn Stream>>,
}

impl Client {
    /// A client that trusts this authority.
    pub fn new(https: SocketAddr, http: SocketAddr, authority: CertificateDer<'static>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        Ok(Client { https, http, roots: Arc::new(roots), issuer: None, tls: HashMap::new(), idle: HashMap::new() })
    }

    /// The same, and `cert=ca:NAME` is a certificate that this authority issued.
    pub fn issuing(mut self, certificate: String, key: String) -> Self {
        self.issuer = Some((certificate, key));
        self
    }

    /// Sends a whole request and reads the answer. Reuses a connection if HTTP allows it.
    pub async fn send(&mut self, secure: bool, certificate: Option<&str>, request: &[u8]) -> io::Result<Answer> {
        let head = request.starts_with(b"HEAD ");
        let key = (secure, certificate.map(str::to_owned));
        if let Some(mut stream) = self.idle.remove(&key) {
            // The server may have closed the connection meanwhile; then it has not seen the request.
            if let Ok((answer, reusable)) = exchange(&mut *stream, request, head).await {
                if reusable {
                    self.idle.insert(key, stream);
                }
                return Ok(answer);
            }
        }
        let mut stream = self.connect(secure, certificate).await?;
        let (answer, reusable) = exchange(&mut *stream, request, head).await?;
        if reusable {
            self.idle.insert(key, stream);
        }
        Ok(answer)
    }

    /// Sends requests in parallel, each on its own connection. All are open before the first request is sent.
    pub async fn send_all(&mut self, secure: bool, certificate: Option<&str>, requests: &[Vec<u8>]) -> io::Result<Vec<Answer>> {
        let mut streams = Vec::with_capacity(requests.len());
        for _ in requests {
            streams.push(self.connect(secure, certificate).await?);
        }
        let mut tasks = Vec::with_capacity(requests.len());
        for (mut stream, request) in streams.into_iter().zip(requests) {
            let request = request.clone();
            tasks.push(tokio::spawn(async move {
                let head = request.starts_with(b"HEAD ");
                exchange(&mut *stream, &request, head).await.map(|(answer, _)| answer)
            }));
        }
        let mut answers = Vec::with_capacity(tasks.len());
        for task in tasks {
            answers.push(task.await.map_err(io::Error::other)??);
        }
        Ok(answers)
    }

    async fn connect(&mut self, secure: bool, certificate: Option<&str>) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(if secure { self.https } else { self.http }).await?;
        stream.set_nodelay(true)?;
        if !secure {
            return Ok(Box::new(stream));
        }
        let connector = self.connector(certificate).map_err(io::Error::other)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    fn connector(&mut self, certificate: Option<&str>) -> Result<TlsConnector, Box<dyn std::error::Error + Send + Sync>> {
        let key = certificate.map(str::to_owned);
        if let Some(connector) = self.tls.get(&key) {
            return Ok(connector.clone());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots));
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let (chain, key) = self.certificate(name)?;
                builder.with_client_auth_cert(vec![chain], key)?
            }
        };
        let connector = TlsConnector::from(Arc::new(config));
        self.tls.insert(key, connector.clone());
        Ok(connector)
    }

    /// A client's certificate of this common name: signed by itself, or with `ca:` before the name by the gateway's authority.
    fn certificate(
        &self,
        name: &str,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Box<dyn std::error::Error + Send + Sync>> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(vec![])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name.strip_prefix("ca:").unwrap_or(name));
        let certificate = match (&self.issuer, name.starts_with("ca:")) {
            (Some((authority, own)), true) => {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
                params.signed_by(&key, &rcgen::Issuer::from_ca_cert_pem(authority, rcgen::KeyPair::from_pem(own)?)?)?
            }
            _ => params.self_signed(&key)?,
        };
        Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }
}

/// One request and its answer; also tells whether the connection can take another request.
async fn exchange<S: Stream + ?Sized>(stream: &mut S, request: &[u8], head: bool) -> io::Result<(Answer, bool)> {
    let both = async {
        // A server that refuses early may close before everything is sent; its answer still counts.
        let sent = stream.write_all(request).await;
        let flushed = stream.flush().await;
        match read_answer(stream, head).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => sent.and(flushed).and(Err(error)),
            answer => answer,
        }
    };
    tokio::time::timeout(PATIENCE, both)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer within a minute"))?
}

async fn read_answer<S: AsyncRead + Unpin + ?Sized>(stream: &mut S, head_only: bool) -> io::Result<(Answer, bool)> {
    let mut bytes = Vec::new();
    loop {
        let head = take_until(stream, &mut bytes, b"\r\n\r\n").await?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| invalid("the answer has no status line"))?;
        if (100..200).contains(&status) {
            continue;
        }
        let headers =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let mut answer = Answer { status, headers: headers.collect(), body: Vec::new() };
        let mut reusable = !answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if head_only || status == 204 || status == 304 {
            return Ok((answer, reusable && bytes.is_empty()));
        }
        if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            answer.body = read_chunks(stream, &mut bytes).await?;
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().map_err(|_| invalid("Content-Length is not a number"))?;
            while bytes.len() < length {
                more(stream, &mut bytes).await?;
            }
            answer.body = bytes.drain(..length).collect();
        } else {
            reusable = false;
            while more(stream, &mut bytes).await.is_ok() {}
            answer.body = std::mem::take(&mut bytes);
        }
        return Ok((answer, reusable && bytes.is_empty()));
    }
}

async fn read_chunks<S: AsyncRead + Unpin + ?Sized>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = take_until(stream, bytes, b"\r\n").await?;
        let size = line.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or_else(|| invalid("a chunk has no size"))?;
        while bytes.len() < size + 2 {
            more(stream, bytes).await?;
        }
        body.extend(bytes.drain(..size + 2).take(size));
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Reads up to and including `end`.
async fn take_until<S: AsyncRead + Unpin + ?Sized>(stream: &mut S, bytes: &mut Vec<u8>, end: &[u8]) -> io::Result<String> {
    loop {
        if let Some(at) = bytes.windows(end.len()).position(|window| window == end) {
            let taken: Vec<u8> = bytes.drain(..at + end.len()).collect();
            return Ok(String::from_utf8_lossy(&taken).into_owned());
        }
        more(stream, bytes).await?;
    }
}

async fn more<S: AsyncRead + Unpin + ?Sized>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.reserve(16 << 10);
    if stream.read_buf(bytes).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the gateway closed the connection without a complete answer"));
    }
    if bytes.len() > MAX_ANSWER { Err(invalid("the answer is larger than 64 MiB")) } else { Ok(()) }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
