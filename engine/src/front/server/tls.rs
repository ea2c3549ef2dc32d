//! TLS of the HTTPS listener: versions, the served certificate (replaceable while running), and client certificates.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme, version};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::socket::Tcp;
use crate::data::certificate::Certificate;
use crate::services::config::{ClientCertificate, Tls, TlsVersion};

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("HTTPS cannot be served: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// The TLS side of a listener.
pub struct TlsServer {
    acceptor: TlsAcceptor,
    served: Arc<Served>,
}

impl TlsServer {
    /// Configures versions and client certificates, and serves `identity` (a matching key and certificate) until it is replaced.
    pub fn new(settings: &Tls, identity: Arc<CertifiedKey>) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = match settings.min_version {
            TlsVersion::V12 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V13 => &[&version::TLS13],
        };
        let clients: Arc<dyn ClientCertVerifier> = match settings.client_certificate {
            ClientCertificate::None => WebPkiClientVerifier::no_client_auth(),
            asked => Arc::new(AnyCertificate {
                algorithms: provider.signature_verification_algorithms,
                required: asked == ClientCertificate::Required,
            }),
        };
        let served = Arc::new(Served(ArcSwap::new(identity)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&served) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Tickets::begin();
        Ok(TlsServer { acceptor: TlsAcceptor::from(Arc::new(config)), served })
    }

    /// Serves another certificate from the next handshake on. Connections stay as they are.
    pub fn replace(&self, identity: Arc<CertifiedKey>) {
        self.served.0.store(identity);
    }

    pub(super) fn accept(&self, stream: Tcp) -> impl Future<Output = io::Result<TlsStream<Tcp>>> + Send + use<> {
        self.acceptor.accept(stream)
    }
}

/// Session tickets. Their key needs the random generator, whose first use measures the processor for a good while, so it is made beside
/// the start. A handshake that comes earlier waits for it.
#[derive(Debug, Default)]
struct Tickets(OnceLock<Option<Arc<dyn ProducesTickets>>>);

impl Tickets {
    fn begin() -> Arc<Tickets> {
        let tickets = Arc::new(Tickets::default());
        let made = Arc::clone(&tickets);
        if let Err(error) = std::thread::Builder::new().name("tickets".to_owned()).spawn(move || made.enabled()) {
            tracing::debug!(%error, "no thread for it: the first handshake makes the key of the session tickets");
        }
        tickets
    }

    fn made(&self) -> Option<&dyn ProducesTickets> {
        let make = || {
            let failed = |error| tracing::error!(%error, "no session tickets: every connection needs a full handshake");
            aws_lc_rs::Ticketer::new().map_err(failed).ok()
        };
        self.0.get_or_init(make).as_deref()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.made().is_some_and(ProducesTickets::enabled)
    }

    fn lifetime(&self) -> u32 {
        self.made().map_or(0, ProducesTickets::lifetime)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.made()?.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.made()?.decrypt(cipher)
    }
}

/// The certificate being served.
struct Served(ArcSwap<CertifiedKey>);

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Served")
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Accepts any certificate if the client proves that it has the key.
///
/// Policies decide whom to trust (a certificate may be known only by its thumbprint), so only possession of the key is verified
/// here. INVARIANT: a policy that sees a client certificate may rely only on the peer having its key.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
    required: bool,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The peer's certificate after a handshake.
pub(super) fn client_certificate(session: &ServerConnection) -> Option<Arc<Certificate>> {
    let der = session.peer_certificates()?.first()?;
    match Certificate::from_der(der) {
        Ok(certificate) => Some(Arc::new(certificate)),
        Err(error) => {
            tracing::warn!(%error, "a client's certificate cannot be read; its requests count as having none");
            None
        }
    }
}
