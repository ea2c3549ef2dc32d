//! Signs tokens that a decent library would not make: any header, any bytes, any key.

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use aws_lc_rs::{encoding::AsDer, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// The kinds of key.
pub const KINDS: [&str; 5] = ["RSA", "P-256", "P-384", "P-521", "Ed25519"];

/// All algorithms that sign with a private key, with the kind of key that each needs.
pub const ALGORITHMS: [(&str, &str); 10] = [
    ("RS256", "RSA"),
    ("RS384", "RSA"),
    ("RS512", "RSA"),
    ("PS256", "RSA"),
    ("PS384", "RSA"),
    ("PS512", "RSA"),
    ("ES256", "P-256"),
    ("ES384", "P-384"),
    ("ES512", "P-521"),
    ("EdDSA", "Ed25519"),
];

/// Seconds since 1970, for a gateway that runs as a process of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "no policy sees this: the token is made outside, and the process has the system's clock"
)]
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair.
pub enum Key {
    /// RSA.
    Rsa(Box<RsaKeyPair>),
    /// EC, with its kind.
    Ec(&'static str, Box<EcdsaKeyPair>),
    /// Ed25519.
    Ed(Box<Ed25519KeyPair>),
}

fn curve(kind: &str) -> &'static EcdsaSigningAlgorithm {
    match kind {
        "P-256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
        "P-384" => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

impl Key {
    /// A new key of one of the [`KINDS`].
    pub fn new(kind: &'static str) -> Result<Key> {
        let refused = |_| anyhow!("no key of kind {kind}");
        Ok(match kind {
            "RSA" => Key::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(refused)?)),
            "Ed25519" => Key::Ed(Box::new(Ed25519KeyPair::generate().map_err(refused)?)),
            _ => Key::Ec(kind, Box::new(EcdsaKeyPair::generate(curve(kind)).map_err(refused)?)),
        })
    }

    /// A key of one of the [`KINDS`], from PKCS #8 in PEM.
    pub fn read(kind: &'static str, pem: &str) -> Result<Key> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| anyhow!("{kind}: {error}"))?;
        let (der, refused) = (der.secret_pkcs8_der(), |error| anyhow!("{kind}: {error}"));
        Ok(match kind {
            "RSA" => Key::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(refused)?)),
            "Ed25519" => Key::Ed(Box::new(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(refused)?)),
            _ => Key::Ec(kind, Box::new(EcdsaKeyPair::from_pkcs8(curve(kind), der).map_err(refused)?)),
        })
    }

    /// Its public half as a JWK.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Key::Rsa(pair) => {
                let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": b64(parts.n), "e": b64(parts.e), "kid": kid})
            }
            Key::Ec(kind, pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": kind, "x": b64(x), "y": b64(y), "kid": kid})
            }
            Key::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key()), "kid": kid}),
        }
    }

    /// Its public half in DER, and the same in PEM: what a careless verifier takes for a secret.
    pub fn spki(&self) -> Result<(Vec<u8>, String)> {
        let wrong = |_| anyhow!("no DER");
        let der = match self {
            Key::Rsa(pair) => pair.public_key().as_der().map_err(wrong)?.as_ref().to_vec(),
            Key::Ec(_, pair) => pair.public_key().as_der().map_err(wrong)?.as_ref().to_vec(),
            Key::Ed(pair) => pair.public_key().as_der().map_err(wrong)?.as_ref().to_vec(),
        };
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
        Ok((der, pem))
    }

    /// Signs with an algorithm of its kind; with another name it signs in its usual way.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        Ok(match self {
            Key::Rsa(pair) => {
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut made).map_err(|_| anyhow!("not signed"))?;
                made
            }
            Key::Ec(_, pair) => pair.sign(&random, message).map_err(|_| anyhow!("not signed"))?.as_ref().to_vec(),
            Key::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }

    /// Signs as ECDSA in ASN.1, which is not the form of a JWS.
    pub fn sign_asn1(&self, message: &[u8]) -> Result<Vec<u8>> {
        let Key::Ec("P-256", pair) = self else { return Err(anyhow!("only for P-256")) };
        let private = pair.to_pkcs8v1().map_err(|_| anyhow!("no PKCS #8"))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, private.as_ref()).map_err(|_| anyhow!("no key"))?;
        Ok(pair.sign(&SystemRandom::new(), message).map_err(|_| anyhow!("not signed"))?.as_ref().to_vec())
    }
}

/// A token of a header and a payload as they are, signed by a function.
pub fn raw(header: &str, payload: impl AsRef<[u8]>, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>>) -> Result<String> {
    let signed = format!("{}.{}", b64(header), b64(payload));
    let signature = sign(signed.as_bytes()).context("the signature")?;
    Ok(format!("{signed}.{}", b64(signature)))
}

/// A token signed with a private key.
pub fn signed(header: &Value, payload: &Value, key: &Key) -> Result<String> {
    let algorithm = header["alg"].as_str().unwrap_or_default().to_owned();
    raw(&header.to_string(), payload.to_string(), |message| key.sign(&algorithm, message))
}

/// HMAC, with the hash that the algorithm's name ends in.
pub fn mac(algorithm: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
}
