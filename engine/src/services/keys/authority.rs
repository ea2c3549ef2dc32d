//! The authority created at first start, and the certificates it signs. It is meant for trying things out and for traffic between
//! gateways of one installation. For other clients, an operator puts a certificate of a public authority under the same alias.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{DEFAULT_TLS_KEY, KeyError, KeyKind, PrivateKey, files};
use crate::data::certificate::Certificate;

const AUTHORITY_DAYS: i64 = 3650;
const CERTIFICATE_DAYS: i64 = 397;
const RENEW_DAYS: i64 = 30;

/// What a folder of keys lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// A key or certificate that a start needs.
    Something,
    /// An existing certificate of our own should be renewed.
    Renewal,
}

/// What [`ensure`] would create. The authority is only needed to issue certificates, not for a key whose certificate another
/// authority signed.
pub(super) fn lacks(folder: &Path, host_name: &str, now_millis: i64) -> Option<Lack> {
    let certificate = files::read_text(&files::certificate_path(folder, DEFAULT_TLS_KEY)).ok();
    let certificate = certificate.and_then(|text| Certificate::from_text(&text).ok());
    let Some(certificate) = certificate.filter(|_| files::key_path(folder, DEFAULT_TLS_KEY).exists()) else {
        return Some(Lack::Something);
    };
    let authority = files::read_text(&folder.join(files::AUTHORITY)).ok().and_then(|text| Certificate::from_text(&text).ok());
    let ours = authority.is_some_and(|authority| authority.subject == certificate.issuer);
    (ours && outdated(&certificate, &listener_names(host_name), now_millis)).then_some(Lack::Renewal)
}

/// Whether a certificate lacks a name or expires soon.
fn outdated(certificate: &Certificate, names: &[String], now_millis: i64) -> bool {
    let own = host_names(certificate);
    names.iter().any(|name| !own.contains(name)) || certificate.not_after - now_millis < RENEW_DAYS * 86_400_000
}

/// Creates what is missing: the authority, and the key and certificate of the HTTPS listener.
pub(super) fn ensure(folder: &Path, host_name: &str, now_millis: i64) -> Result<(), KeyError> {
    if !folder.join(files::AUTHORITY_KEY).exists() {
        make_authority(folder, host_name, now_millis)?;
    }
    let names = listener_names(host_name);
    if !files::key_path(folder, DEFAULT_TLS_KEY).exists() {
        return make(folder, DEFAULT_TLS_KEY, KeyKind::P256, &names, now_millis);
    }
    renew(folder, &names, now_millis)
}

/// The names that clients on this machine and elsewhere use.
fn listener_names(host_name: &str) -> Vec<String> {
    let mut names = vec![host_name.trim_matches(['[', ']']).to_owned()];
    for name in ["localhost", "127.0.0.1", "::1"] {
        if !names.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The certificate name of a key that does not belong to a host.
pub(super) fn names_of(alias: &str) -> Vec<String> {
    vec![alias.replace('_', "-")]
}

/// Renews the listener's certificate if it expires soon or lacks a name. One signed by another authority belongs to the operator
/// and is left alone.
fn renew(folder: &Path, names: &[String], now_millis: i64) -> Result<(), KeyError> {
    let path = files::certificate_path(folder, DEFAULT_TLS_KEY);
    let current = match files::read_text(&path) {
        Ok(text) => Certificate::from_text(&text).map_err(|error| KeyError::new(format!("{}: {error}", path.display())))?,
        Err(_) => return issue(folder, DEFAULT_TLS_KEY, names, now_millis),
    };
    let authority = files::read_text(&folder.join(files::AUTHORITY))?;
    let authority = Certificate::from_text(&authority).map_err(|error| KeyError::new(error.to_string()))?;
    if current.issuer == authority.subject && outdated(&current, names, now_millis) {
        issue(folder, DEFAULT_TLS_KEY, names, now_millis)
    } else {
        Ok(())
    }
}

/// Makes a key and its certificate.
pub(super) fn make(folder: &Path, alias: &str, kind: KeyKind, names: &[String], now_millis: i64) -> Result<(), KeyError> {
    let key = PrivateKey::generate(kind)?;
    let pem = pem("PRIVATE KEY", key.secret_pkcs8_der());
    // The certificate is written first: a key without a certificate would be found and kept, but a certificate without a key is
    // overwritten.
    issue_for(folder, alias, &pem, names, now_millis)?;
    files::write(&files::key_path(folder, alias), pem.as_bytes(), true)
}

fn issue(folder: &Path, alias: &str, names: &[String], now_millis: i64) -> Result<(), KeyError> {
    let pem = files::read_text(&files::key_path(folder, alias))?;
    issue_for(folder, alias, &pem, names, now_millis)
}

fn issue_for(folder: &Path, alias: &str, key_pem: &str, names: &[String], now_millis: i64) -> Result<(), KeyError> {
    // If the listener's certificate is from another authority, ours is created when a further key needs it.
    if !folder.join(files::AUTHORITY).exists() && !folder.join(files::AUTHORITY_KEY).exists() {
        make_authority(folder, names.first().map_or(alias, String::as_str), now_millis)?;
    }
    let authority_pem = files::read_text(&folder.join(files::AUTHORITY))?;
    let authority_der =
        CertificateDer::from_pem_slice(authority_pem.as_bytes()).map_err(|_| KeyError::new("ca.pem is not in PEM form"))?;
    let authority_key = KeyPair::from_pem(&files::read_text(&folder.join(files::AUTHORITY_KEY))?).map_err(refused)?;
    let issuer = Issuer::from_ca_cert_der(&authority_der, authority_key).map_err(refused)?;
    let key = KeyPair::from_pem(key_pem).map_err(refused)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, names.first().map_or(alias, String::as_str));
    params.distinguished_name.push(DnType::OrganizationName, "Portcullis");
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(refused)?),
        });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    // Gateways use the same certificate as clients of each other.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now_millis, CERTIFICATE_DAYS);
    let certificate = params.signed_by(&key, &issuer).map_err(refused)?;
    let chain = format!("{}{}", certificate.pem(), authority_pem);
    files::write(&files::certificate_path(folder, alias), chain.as_bytes(), false)
}

fn make_authority(folder: &Path, host_name: &str, now_millis: i64) -> Result<(), KeyError> {
    let key = KeyPair::generate().map_err(refused)?;
    let mut params = CertificateParams::default();
    // The key's identifier distinguishes the authorities of several gateways on one host.
    let id: String = key.subject_public_key_info().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("Portcullis CA {host_name} {id}"));
    params.distinguished_name.push(DnType::OrganizationName, "Portcullis");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now_millis, AUTHORITY_DAYS);
    let certificate = params.self_signed(&key).map_err(refused)?;
    files::write(&folder.join(files::AUTHORITY), certificate.pem().as_bytes(), false)?;
    files::write(&folder.join(files::AUTHORITY_KEY), key.serialize_pem().as_bytes(), true)
}

/// Valid from yesterday, because clients' clocks differ.
fn validity(params: &mut CertificateParams, now_millis: i64, days: i64) {
    let now = OffsetDateTime::from_unix_timestamp(now_millis.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days);
}

/// The names and addresses of a certificate.
pub(super) fn host_names(certificate: &Certificate) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate.der()) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn refused(error: rcgen::Error) -> KeyError {
    KeyError::new(format!("no certificate could be made: {error}"))
}
