//! A call that trusts only some certificates: a server is accepted if it shows one of them, or one that was issued below one of them.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::data::certificate::Certificate;

/// The listed certificates, and nothing else.
#[derive(Debug)]
pub(super) struct Listed {
    certificates: Vec<Arc<Certificate>>,
    /// Knows those that can vouch for others. `None` if none can.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Listed {
    pub(super) fn new(certificates: &[Arc<Certificate>], provider: Arc<CryptoProvider>) -> Result<Arc<Listed>, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())));
        let authorities = match roots.is_empty() {
            true => None,
            false => {
                let made = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
                Some(made.map_err(|error| Error::General(error.to_string()))?)
            }
        };
        Ok(Arc::new(Listed { certificates: certificates.to_vec(), authorities, provider }))
    }
}

impl ServerCertVerifier for Listed {
    /// A server that shows a listed certificate needs no issuer; its name and the certificate's time count all the same. That it has the
    /// private key is shown by the signatures below.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(own) = self.certificates.iter().find(|listed| listed.der() == end_entity.as_ref()) else {
            let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
            let authorities = self.authorities.as_ref().ok_or(unknown)?;
            return authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        };
        let millis = i64::try_from(now.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX);
        if millis < own.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if millis > own.not_after {
            return Err(CertificateError::Expired.into());
        }
        rustls::client::verify_server_name(&rustls::server::ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
