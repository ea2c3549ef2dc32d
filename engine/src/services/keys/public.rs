//! Keys for verification: from a JWK (RFC 7517), a certificate, or a shared secret.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Algorithm, Family, KeyError};
use crate::data::certificate::Certificate;

/// A key that verifies signatures. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Key>);

struct Key {
    material: Material,
    verifier: DecodingKey,
}

/// The contents of a key.
pub enum Material {
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

impl From<Material> for PublicKey {
    fn from(material: Material) -> PublicKey {
        let verifier = match &material {
            Material::Rsa(n, e) => DecodingKey::from_rsa_raw_components(n, e),
            Material::Ec(_, point) => DecodingKey::from_ec_der(point),
            Material::Ed25519(bytes) => DecodingKey::from_ed_der(bytes),
            Material::Secret(secret) => DecodingKey::from_secret(secret),
        };
        PublicKey(Arc::new(Key { material, verifier }))
    }
}

impl PublicKey {
    /// A shared secret.
    pub fn secret(secret: &[u8]) -> PublicKey {
        Material::Secret(secret.to_vec()).into()
    }

    /// Its contents.
    pub fn material(&self) -> &Material {
        &self.0.material
    }

    /// Reads a JWK. The caller checks members beyond the key itself (`kid`, `use`, `alg`).
    pub fn from_jwk(jwk: &Json) -> Result<PublicKey, KeyError> {
        let member = |name: &str, text: &str| {
            let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            decoded.map_err(|_| KeyError::new(format!("`{name}` of the JWK is not base64url")))
        };
        let material = match AlgorithmParameters::deserialize(jwk) {
            Ok(AlgorithmParameters::RSA(key)) => Material::Rsa(unpadded(&member("n", &key.n)?), unpadded(&member("e", &key.e)?)),
            Ok(AlgorithmParameters::OctetKey(key)) => Material::Secret(member("k", &key.value)?),
            Ok(AlgorithmParameters::EllipticCurve(key)) => {
                let (family, size) = match key.curve {
                    EllipticCurve::P256 => (Family::P256, 32),
                    EllipticCurve::P384 => (Family::P384, 48),
                    EllipticCurve::P521 => (Family::P521, 66),
                    _ => return Err(KeyError::new("`crv` of the JWK is not P-256, P-384 or P-521")),
                };
                let (x, y) = (member("x", &key.x)?, member("y", &key.y)?);
                if x.len() != size || y.len() != size {
                    return Err(KeyError::new("`x` or `y` of the JWK has the wrong length"));
                }
                Material::Ec(family, [&[4], &x[..], &y[..]].concat())
            }
            Ok(AlgorithmParameters::OctetKeyPair(key)) if key.curve == EllipticCurve::Ed25519 => ed25519(&member("x", &key.x)?)?,
            _ => {
                return Err(KeyError::new(
                    "the JWK is not an RSA key (`n`, `e`), EC key (`crv` P-256, P-384 or P-521, `x`, `y`), Ed25519 key (`kty` OKP, `x`) or \
                     secret (`kty` oct, `k`)",
                ));
            }
        };
        Ok(material.into())
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
        match SubjectPublicKeyInfo::from_der(&block.contents) {
            Ok(([], info)) => PublicKey::from_info(&info),
            _ => Err(KeyError::new("the PEM block is not a public key")),
        }
    }

    fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, KeyError> {
        let bytes = info.subject_public_key.data.as_ref();
        let material = match info.parsed() {
            Ok(Parsed::RSA(key)) => Material::Rsa(unpadded(key.modulus), unpadded(key.exponent)),
            Ok(Parsed::EC(_)) => {
                let family = match bytes.len() {
                    65 => Family::P256,
                    97 => Family::P384,
                    133 => Family::P521,
                    _ => return Err(KeyError::new("the key's curve is not supported")),
                };
                Material::Ec(family, bytes.to_vec())
            }
            _ if info.algorithm.algorithm == OID_SIG_ED25519 => ed25519(bytes)?,
            _ => return Err(KeyError::new("this kind of key is not supported")),
        };
        Ok(material.into())
    }

    /// What kind of key it is.
    pub fn family(&self) -> Family {
        match self.material() {
            Material::Rsa(..) => Family::Rsa,
            Material::Ec(family, _) => *family,
            Material::Ed25519(_) => Family::Ed25519,
            Material::Secret(_) => Family::Hmac,
        }
    }

    /// Whether `signature` (base64url) was made by this key for `message`. A key of another kind than the algorithm's verifies
    /// nothing, so that a public key never serves as a shared secret (RFC 8725, section 2.1).
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        if algorithm.family() != self.family() {
            return false;
        }
        match (algorithm.jsonwebtoken(), self.material()) {
            (Some(algorithm), _) => {
                jsonwebtoken::crypto::verify(signature, message, &self.0.verifier, algorithm).is_ok_and(|verified| verified)
            }
            // ES512, which jsonwebtoken does not know.
            (None, Material::Ec(_, point)) => URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| {
                UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point).verify(message, &signature).is_ok()
            }),
            (None, _) => false,
        }
    }

    /// The members that make up the key, in the order of RFC 7638. None for a shared secret, which must not be published.
    pub fn jwk_members(&self) -> Option<Map<String, Json>> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let members = match self.material() {
            Material::Rsa(n, e) => vec![("e", text(e)), ("kty", "RSA".to_owned()), ("n", text(n))],
            Material::Ec(family, point) => {
                let curve = match family {
                    Family::P256 => "P-256",
                    Family::P384 => "P-384",
                    _ => "P-521",
                };
                let (_, coordinates) = point.split_first()?;
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                vec![("crv", curve.to_owned()), ("kty", "EC".to_owned()), ("x", text(x)), ("y", text(y))]
            }
            Material::Ed25519(bytes) => vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", text(bytes))],
            Material::Secret(_) => return None,
        };
        Some(members.into_iter().map(|(name, value)| (name.to_owned(), Json::String(value))).collect())
    }

    /// The thumbprint of RFC 7638 with SHA-256.
    pub fn thumbprint(&self) -> String {
        let members = self.jwk_members().map_or(Json::Null, Json::Object).to_string();
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes()))
    }
}

/// Encodings of the points of small order, without the sign: anybody can make a signature "by" one of them without a private key.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// An Ed25519 key. One of another length, or of small order, is refused.
fn ed25519(bytes: &[u8]) -> Result<Material, KeyError> {
    let mut point = <[u8; 32]>::try_from(bytes).map_err(|_| KeyError::new("an Ed25519 key has 32 bytes"))?;
    point[31] &= 0x7f;
    if SMALL_ORDER.contains(&hex::encode(point).as_str()) {
        return Err(KeyError::new("the Ed25519 key is a point of small order: anybody can sign for it"));
    }
    Ok(Material::Ed25519(bytes.to_vec()))
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

/// DER integers have a leading zero if the first bit is set; JOSE and the crypto library do not.
pub(super) fn unpadded(bytes: &[u8]) -> Vec<u8> {
    let mut number = bytes;
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number.to_vec()
}
