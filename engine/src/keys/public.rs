//! Keys that verify: from a JWK (RFC 7517), from a certificate, or a shared secret.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Algorithm, Family, KeyError};
use crate::certificate::Certificate;

/// A key that verifies signatures.
#[derive(Clone)]
pub enum PublicKey {
    /// Modulus and exponent, big-endian, no leading zeros.
    Rsa(Vec<u8>, Vec<u8>),
    /// Uncompressed point on the curve.
    Ec(Family, Vec<u8>),
    /// The 32 bytes.
    Ed25519(Vec<u8>),
    /// A shared secret, which signs as well.
    Secret(Vec<u8>),
}

/// Never shows a secret.
impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key({})", self.family())
    }
}

impl PublicKey {
    /// Reads a JWK. Members beyond the key itself (`kid`, `use`, `alg`) are the caller's to look at.
    pub fn from_jwk(jwk: &Json) -> Result<PublicKey, KeyError> {
        let member = |name: &str| -> Result<Vec<u8>, KeyError> {
            let text = jwk.get(name).and_then(Json::as_str).ok_or_else(|| KeyError::new(format!("the JWK has no `{name}`")))?;
            URL_SAFE_NO_PAD
                .decode(text.trim_end_matches('='))
                .map_err(|_| KeyError::new(format!("`{name}` of the JWK is not base64url")))
        };
        match jwk.get("kty").and_then(Json::as_str) {
            Some("RSA") => Ok(PublicKey::Rsa(unpadded(&member("n")?), unpadded(&member("e")?))),
            Some("oct") => Ok(PublicKey::Secret(member("k")?)),
            Some("EC") => {
                let (family, size) = match jwk.get("crv").and_then(Json::as_str) {
                    Some("P-256") => (Family::P256, 32),
                    Some("P-384") => (Family::P384, 48),
                    Some("P-521") => (Family::P521, 66),
                    _ => return Err(KeyError::new("`crv` of the JWK is none of P-256, P-384, P-521")),
                };
                let (x, y) = (member("x")?, member("y")?);
                if x.len() != size || y.len() != size {
                    return Err(KeyError::new("`x` or `y` of the JWK has the wrong length"));
                }
                Ok(PublicKey::Ec(family, [&[4], &x[..], &y[..]].concat()))
            }
            Some("OKP") => match jwk.get("crv").and_then(Json::as_str) {
                Some("Ed25519") => Ok(PublicKey::Ed25519(member("x")?)),
                _ => Err(KeyError::new("`crv` of the JWK is not Ed25519")),
            },
            _ => Err(KeyError::new("`kty` of the JWK is none of RSA, EC, OKP, oct")),
        }
    }

    /// The key of a certificate.
    pub fn from_certificate(certificate: &Certificate) -> Result<PublicKey, KeyError> {
        let (_, parsed) =
            X509Certificate::from_der(certificate.der()).map_err(|_| KeyError::new("the certificate is not readable"))?;
        PublicKey::from_info(parsed.public_key())
    }

    /// Reads `-----BEGIN PUBLIC KEY-----`.
    pub fn from_pem(text: &str) -> Result<PublicKey, KeyError> {
        let (_, block) =
            x509_parser::pem::parse_x509_pem(text.as_bytes()).map_err(|_| KeyError::new("the key is not in PEM form"))?;
        let (_, info) =
            SubjectPublicKeyInfo::from_der(&block.contents).map_err(|_| KeyError::new("the PEM block is no public key"))?;
        PublicKey::from_info(&info)
    }

    fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, KeyError> {
        let bytes = info.subject_public_key.data.as_ref();
        match info.parsed() {
            Ok(Parsed::RSA(key)) => Ok(PublicKey::Rsa(unpadded(key.modulus), unpadded(key.exponent))),
            Ok(Parsed::EC(_)) => {
                let family = match bytes.len() {
                    65 => Family::P256,
                    97 => Family::P384,
                    133 => Family::P521,
                    _ => return Err(KeyError::new("the key is on no supported curve")),
                };
                Ok(PublicKey::Ec(family, bytes.to_vec()))
            }
            _ if bytes.len() == 32 => Ok(PublicKey::Ed25519(bytes.to_vec())),
            _ => Err(KeyError::new("the key is of no supported kind")),
        }
    }

    /// What kind of key it is.
    pub fn family(&self) -> Family {
        match self {
            PublicKey::Rsa(..) => Family::Rsa,
            PublicKey::Ec(family, _) => *family,
            PublicKey::Ed25519(_) => Family::Ed25519,
            PublicKey::Secret(_) => Family::Hmac,
        }
    }

    /// Whether `signature` is this key's over `message`. A key of another kind than the algorithm's verifies nothing: that is what
    /// keeps a public key from being taken for a shared secret (RFC 8725, section 2.1).
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if algorithm.family() != self.family() {
            return false;
        }
        match self {
            PublicKey::Rsa(n, e) => algorithm
                .rsa_verification()
                .is_some_and(|parameters| RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()),
            PublicKey::Ec(_, point) => algorithm
                .ec_verification()
                .is_some_and(|parameters| UnparsedPublicKey::new(parameters, point).verify(message, signature).is_ok()),
            PublicKey::Ed25519(bytes) => UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature).is_ok(),
            PublicKey::Secret(secret) => {
                algorithm.hmac().is_some_and(|digest| hmac::verify(&hmac::Key::new(digest, secret), message, signature).is_ok())
            }
        }
    }

    /// The members that make up the key, in the order of RFC 7638. None for a shared secret, which is not for publishing.
    pub fn jwk_members(&self) -> Option<Json> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Some(match self {
            PublicKey::Rsa(n, e) => json!({"e": text(e), "kty": "RSA", "n": text(n)}),
            PublicKey::Ec(family, point) => {
                let curve = match family {
                    Family::P256 => "P-256",
                    Family::P384 => "P-384",
                    _ => "P-521",
                };
                let (x, y) = point[1..].split_at(point.len() / 2);
                json!({"crv": curve, "kty": "EC", "x": text(x), "y": text(y)})
            }
            PublicKey::Ed25519(bytes) => json!({"crv": "Ed25519", "kty": "OKP", "x": text(bytes)}),
            PublicKey::Secret(_) => return None,
        })
    }

    /// The thumbprint of RFC 7638 with SHA-256.
    pub fn thumbprint(&self) -> String {
        let members = self.jwk_members().unwrap_or_default().to_string();
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes()))
    }
}

/// Signs with a shared secret. `None` unless the algorithm is one of HS256, HS384, HS512.
pub fn sign_with_secret(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = hmac::Key::new(algorithm.hmac()?, secret);
    Some(hmac::sign(&key, message).as_ref().to_vec())
}

/// Whether two texts are equal, in a time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}

/// DER integers have a leading zero where the first bit is set; JOSE and the crypto library have none.
pub(super) fn unpadded(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].to_vec()
}
