//! A bounded load generator: a fixed number of connections, each sending its next request when the last is answered, for a fixed
//! time. It speaks HTTP/1.1 by hand, because at this rate a client library would dominate the measurement.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Decides what a connection sends: it gets the last answer (none at first) and returns the next request, or `false` to end.
pub trait Script: Send + 'static {
    /// The next request, written into the buffer; `false` ends the connection.
    fn next(&mut self, answer: Option<&Reply<'_>>, request: &mut Vec<u8>) -> bool;
}

impl<F: FnMut(Option<&Reply<'_>>, &mut Vec<u8>) -> bool + Send + 'static> Script for F {
    fn next(&mut self, answer: Option<&Reply<'_>>, request: &mut Vec<u8>) -> bool {
        self(answer, request)
    }
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Status.
    pub status: u16,
    /// Status line and header fields.
    pub head: &'a str,
    /// Body.
    pub body: &'a [u8],
}

impl Reply<'_> {
    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A member of a JSON body.
    pub fn member(&self, name: &str) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(self.body).ok()?;
        json.get(name)?.as_str().map(str::to_owned)
    }
}

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Good answers: 2xx or 3xx.
    pub good: u64,
    /// Other answers.
    pub bad: u64,
    /// Connections that broke.
    pub broken: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// The first bad answer.
    pub example: Option<String>,
}

impl Outcome {
    /// Good answers a second.
    pub fn rate(&self) -> f64 {
        self.good as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Where to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Address.
    pub address: SocketAddr,
    /// Over TLS.
    pub tls: bool,
}

/// Opens a connection per script, then runs them all until `time` is over or they end.
pub async fn run(target: Target, scripts: Vec<Box<dyn Script>>, time: Duration) -> Result<Outcome> {
    let connector = connector()?;
    let mut streams: Vec<Box<dyn Stream>> = Vec::with_capacity(scripts.len());
    for _ in 0..scripts.len() {
        streams.push(connect(target, &connector).await?);
    }
    let begun = Instant::now();
    let end = begun + time;
    let mut tasks = Vec::with_capacity(scripts.len());
    for (stream, script) in streams.into_iter().zip(scripts) {
        tasks.push(tokio::spawn(drive(stream, script, end)));
    }
    let mut total = Outcome::default();
    // A generator that sleeps has to be woken by the server, which costs the server more the faster it is, up to a fifth of a short answer.
    let awake = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    for task in tasks {
        let part = task.await?;
        total.good += part.good;
        total.bad += part.bad;
        total.broken += part.broken;
        total.example = total.example.or(part.example);
    }
    awake.abort();
    total.elapsed = begun.elapsed();
    Ok(total)
}

/// One request on its own connection.
pub async fn once(target: Target, request: &[u8]) -> Result<(u16, String, Vec<u8>)> {
    let mut stream = connect(target, &connector()?).await?;
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut buffer = Vec::new();
    let (head, length) = read_reply(&mut stream, &mut buffer).await?;
    let text = String::from_utf8_lossy(&buffer[..head]).into_owned();
    Ok((status(&text)?, text, buffer[head..head + length].to_vec()))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn connect(target: Target, connector: &TlsConnector) -> Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(target.address).await.with_context(|| format!("{}", target.address))?;
    stream.set_nodelay(true)?;
    if !target.tls {
        return Ok(Box::new(stream));
    }
    Ok(Box::new(connector.connect(ServerName::try_from("localhost")?, stream).await?))
}

async fn drive(mut stream: Box<dyn Stream>, mut script: Box<dyn Script>, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut request, mut buffer) = (Vec::with_capacity(1024), Vec::with_capacity(4096));
    let mut more = script.next(None, &mut request);
    while more && Instant::now() < end {
        let exchanged = async {
            stream.write_all(&request).await?;
            stream.flush().await?;
            read_reply(&mut stream, &mut buffer).await
        };
        let (head, length) = match exchanged.await {
            Ok(read) => read,
            Err(error) => {
                outcome.broken += 1;
                outcome.example = Some(format!("{error:#}"));
                return outcome;
            }
        };
        let text = std::str::from_utf8(&buffer[..head]).unwrap_or("");
        let reply = Reply { status: status(text).unwrap_or(0), head: text, body: &buffer[head..head + length] };
        if (200..400).contains(&reply.status) {
            outcome.good += 1;
        } else {
            outcome.bad += 1;
            outcome.example.get_or_insert_with(|| format!("{text}{}", String::from_utf8_lossy(reply.body)));
        }
        request.clear();
        more = script.next(Some(&reply), &mut request);
    }
    outcome
}

fn status(head: &str) -> Result<u16> {
    head.get(9..12).and_then(|status| status.parse().ok()).context("no status line")
}

/// Reads one answer into the emptied buffer; returns the lengths of head and body.
async fn read_reply(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>) -> Result<(usize, usize)> {
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection was closed");
        }
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
    };
    // RFC 9110, section 8.6: an answer without content has no such header.
    let empty = matches!(buffer.get(9..12), Some(b"204" | b"304"));
    let length = if empty { 0 } else { content_length(&buffer[..head]).context("no Content-Length")? };
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the connection was closed");
        }
    }
    Ok((head, length))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))? + NAME.len();
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&head[at..at + digits]).ok()?.parse().ok()
}

/// TLS 1.3. Loopback only, and only the speed matters, so the certificate is not verified.
fn connector() -> Result<TlsConnector> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
