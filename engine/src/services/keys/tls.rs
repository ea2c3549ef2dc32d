//! The key store for TLS: the listener's certificate, the trusted authorities, and whether a client's certificate is trusted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{KeyError, KeyStore, PrivateKey, unknown};
use crate::data::certificate::Certificate;

impl PrivateKey {
    /// Key and certificates for rustls, made once.
    pub fn certified(&self) -> Result<Arc<CertifiedKey>, KeyError> {
        if let Some(made) = self.certified.get() {
            return Ok(Arc::clone(made));
        }
        if self.chain.is_empty() {
            return Err(KeyError::new(format!("key `{}` has no certificate", self.alias)));
        }
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&self.der())
            .map_err(|error| KeyError::new(format!("key `{}` does not serve TLS: {error}", self.alias)))?;
        Ok(Arc::clone(self.certified.get_or_init(|| Arc::new(CertifiedKey::new(self.chain.clone(), key)))))
    }
}

impl KeyStore {
    /// The current key of an alias for rustls, for a listener or for a call with a client certificate.
    pub fn certified(&self, alias: &str) -> Result<Arc<CertifiedKey>, KeyError> {
        self.key(alias).ok_or_else(|| unknown(alias))?.certified()
    }

    /// The authorities that calls to other servers trust: the gateway's own and those in `keys/trusted/`.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let own = self.authority();
        for certificate in own.iter().chain(&self.trusted()) {
            // A trusted certificate that is not an authority is useful for policies, but not for TLS.
            let _ = roots.add(CertificateDer::from(certificate.der().to_vec()));
        }
        roots
    }
}

/// Why a client certificate is not accepted.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// It is not yet valid.
    #[error("the certificate is not yet valid")]
    Early,
    /// It has expired.
    #[error("the certificate has expired")]
    Late,
    /// It cannot be read.
    #[error("the certificate is not readable: {0}")]
    Unreadable(webpki::Error),
    /// No trusted authority issued it.
    #[error("the certificate is not trusted: {0}")]
    Unvouched(webpki::Error),
}

/// Whether a client certificate is one of `trusted` or was issued below one, is currently valid, and may be used by clients.
pub(super) fn verify_client(
    certificate: &Certificate,
    intermediates: &[CertificateDer<'_>],
    trusted: &[Arc<Certificate>],
    now_millis: i64,
) -> Result<(), Untrusted> {
    if now_millis < certificate.not_before {
        return Err(Untrusted::Early);
    }
    if now_millis > certificate.not_after {
        return Err(Untrusted::Late);
    }
    // Trusted directly, so it needs no issuer.
    if trusted.iter().any(|trusted| trusted.der() == certificate.der()) {
        return Ok(());
    }
    let der = CertificateDer::from(certificate.der());
    let leaf = EndEntityCert::try_from(&der).map_err(Untrusted::Unreadable)?;
    // An authority that has expired vouches for nobody.
    let authorities = trusted.iter().filter(|trusted| now_millis <= trusted.not_after);
    let authorities: Vec<CertificateDer<'_>> = authorities.map(|trusted| CertificateDer::from(trusted.der())).collect();
    let anchors: Vec<_> = authorities.iter().filter_map(|authority| anchor_from_trusted_cert(authority).ok()).collect();
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now_millis.max(0) as u64));
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, intermediates, now, KeyUsage::client_auth(), None, None)
        .map(|_| ())
        .map_err(Untrusted::Unvouched)
}

/// Most certificates that are remembered.
const REMEMBERED: usize = 1000;

/// Client certificates that were found to be trusted. A caller shows the same one with each request, and to verify a signature costs more than
/// the rest of a short request. Only what cannot have changed since counts.
#[derive(Default)]
pub struct Vouched(Mutex<HashMap<String, Since>>);

/// When a certificate was found to be trusted, and for how long that holds.
struct Since {
    /// Of what is trusted.
    version: u64,
    /// Milliseconds since the epoch.
    from: i64,
    /// The last moment at which the certificate and all authorities are valid that were.
    until: i64,
}

impl Vouched {
    /// The same as [`verify_client`] without intermediates. `version` must have been read before `trusted` is.
    pub fn verify(
        &self,
        certificate: &Certificate,
        version: u64,
        trusted: impl FnOnce() -> Vec<Arc<Certificate>>,
        now_millis: i64,
    ) -> Result<(), Untrusted> {
        let holds = |since: &Since| since.version == version && (since.from..=since.until).contains(&now_millis);
        if self.known().get(&certificate.thumbprint_sha256).is_some_and(holds) {
            return Ok(());
        }
        let trusted = trusted();
        verify_client(certificate, &[], &trusted, now_millis)?;
        let ends = trusted.iter().map(|trusted| trusted.not_after).filter(|end| now_millis <= *end);
        let since = Since { version, from: now_millis, until: ends.fold(certificate.not_after, i64::min) };
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(certificate.thumbprint_sha256.clone(), since);
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Since>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
