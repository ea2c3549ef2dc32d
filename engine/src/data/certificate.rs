//! An X.509 certificate as policies see it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A parsed certificate with the texts for selectors.
pub struct Certificate {
    der: Vec<u8>,
    pem: String,
    /// Subject in RFC 4514 order as printed by x509-parser, e.g. `CN=client, O=Example`.
    pub subject: String,
    /// Issuer, likewise.
    pub issuer: String,
    /// Serial number, decimal.
    pub serial: String,
    /// Start of validity, milliseconds since the epoch.
    pub not_before: i64,
    /// End of validity, milliseconds since the epoch.
    pub not_after: i64,
    /// Base64 of the SHA-1 of the DER form.
    pub thumbprint_sha1: String,
    /// Base64url of the SHA-256 of the DER form (RFC 8705, `x5t#S256`).
    pub thumbprint_sha256: String,
    /// Subject key identifier, base64, when the certificate has one.
    pub subject_key_identifier: Option<String>,
    /// Attributes of the subject, e.g. (`CN`, `client`), in order.
    pub subject_attributes: Vec<(String, String)>,
    /// DER of the subject public key info, base64.
    pub subject_public_key: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate({})", self.subject)
    }
}

/// Why bytes or a text are not a certificate.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// The DER form.
    #[error("not a certificate: {0}")]
    Der(String),
    /// The PEM form.
    #[error("not PEM: {0}")]
    Pem(String),
    /// Bare base64.
    #[error("neither PEM nor base64: {0}")]
    Base64(base64::DecodeError),
}

impl Certificate {
    /// Reads one from DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, cert) = X509Certificate::from_der(der).map_err(|error| CertificateError::Der(error.to_string()))?;
        if !rest.is_empty() {
            return Err(CertificateError::Der("bytes follow its end".to_owned()));
        }
        let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let registry = x509_parser::objects::oid_registry();
        let subject_attributes = cert
            .subject()
            .iter_attributes()
            .filter_map(|attribute| {
                let name = x509_parser::objects::oid2abbrev(attribute.attr_type(), registry).ok()?;
                Some((name.to_owned(), attribute.as_str().ok()?.to_owned()))
            })
            .collect();
        let subject_key_identifier = cert.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(STANDARD.encode(id.0)),
            _ => None,
        });
        Ok(Certificate {
            pem: pem(der),
            subject: cert.subject().to_string(),
            issuer: cert.issuer().to_string(),
            serial: cert.tbs_certificate.serial.to_string(),
            not_before: cert.validity().not_before.timestamp() * 1000,
            not_after: cert.validity().not_after.timestamp() * 1000,
            thumbprint_sha1: STANDARD.encode(sha1),
            thumbprint_sha256: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256),
            subject_key_identifier,
            subject_attributes,
            subject_public_key: STANDARD.encode(cert.public_key().raw),
            der: der.to_vec(),
        })
    }

    /// Reads one from PEM or from bare base64.
    pub fn from_text(text: &str) -> Result<Self, CertificateError> {
        if text.contains("-----BEGIN") {
            let (_, block) =
                x509_parser::pem::parse_x509_pem(text.as_bytes()).map_err(|error| CertificateError::Pem(error.to_string()))?;
            return Certificate::from_der(&block.contents);
        }
        let compact: String = text.split_whitespace().collect();
        let der = STANDARD.decode(compact).map_err(CertificateError::Base64)?;
        Certificate::from_der(&der)
    }

    /// The DER form.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::with_capacity(body.len() + 80);
    out.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| *byte as char));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}
