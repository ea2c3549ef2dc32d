//! A private key, parsed once and kept, because parsing an RSA key costs more than signing with it.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde_json::Value as Json;
use smol_str::SmolStr;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

use super::public::{Material, unpadded};
use super::{Algorithm, Family, KeyError, PublicKey};
use crate::data::certificate::Certificate;

/// Kinds of key that can be created here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 bits.
    Rsa,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Edwards curve 25519.
    Ed25519,
}

impl KeyKind {
    /// The words for all kinds, for messages.
    pub const WORDS: &str = "rsa, rsa3072, rsa4096, ec, p384, p521 or ed25519";

    /// By one of [`KeyKind::WORDS`].
    pub fn parse(word: &str) -> Option<KeyKind> {
        match word.to_ascii_lowercase().as_str() {
            "rsa" | "rsa2048" => Some(KeyKind::Rsa),
            "rsa3072" => Some(KeyKind::Rsa3072),
            "rsa4096" => Some(KeyKind::Rsa4096),
            "ec" | "p256" | "p-256" => Some(KeyKind::P256),
            "p384" | "p-384" => Some(KeyKind::P384),
            "p521" | "p-521" => Some(KeyKind::P521),
            "ed25519" => Some(KeyKind::Ed25519),
            _ => None,
        }
    }
}

/// A private key with its public half and certificates.
pub struct PrivateKey {
    /// The alias it belongs to.
    pub alias: SmolStr,
    /// Its identifier: the thumbprint of RFC 7638.
    pub kid: SmolStr,
    /// Its public half.
    pub public: PublicKey,
    /// Its certificate, if there is one.
    pub certificate: Option<Arc<Certificate>>,
    /// Certificate chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    pair: Pair,
    decrypting: Option<OaepPrivateDecryptingKey>,
    der: PrivateKeyDer<'static>,
    /// Key and certificates for rustls, once asked for.
    pub(super) certified: OnceLock<Arc<CertifiedKey>>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "private key({}, {})", self.alias, self.kid)
    }
}

impl PrivateKey {
    /// Reads a key (PKCS#8, PKCS#1 or SEC 1) and its certificates from PEM.
    pub fn from_pem(alias: &str, key: &str, certificates: Option<&str>) -> Result<PrivateKey, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| KeyError::new(format!("key `{alias}` is not a private key in PEM form")))?;
        let chain = match certificates {
            Some(pem) => CertificateDer::pem_slice_iter(pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| KeyError::new(format!("the certificate of key `{alias}` is not in PEM form")))?,
            None => Vec::new(),
        };
        PrivateKey::new(alias, der, chain)
    }

    pub(super) fn new(
        alias: &str,
        der: PrivateKeyDer<'static>,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<PrivateKey, KeyError> {
        let unusable =
            || KeyError::new(format!("key `{alias}` is not RSA (2048 bits or more), EC P-256, P-384, P-521 or Ed25519"));
        let (pair, public) = parse(&der).ok_or_else(unusable)?;
        let certificate = match chain.first() {
            Some(leaf) => {
                let certificate = Certificate::from_der(leaf).map_err(|error| KeyError::new(error.to_string()))?;
                if PublicKey::from_certificate(&certificate)?.jwk_members() != public.jwk_members() {
                    return Err(KeyError::new(format!("the certificate of key `{alias}` belongs to another key")));
                }
                Some(Arc::new(certificate))
            }
            None => None,
        };
        let decrypting = match &pair {
            Pair::Rsa(pair) => {
                let pkcs8 = pair.as_der().map_err(|_| unusable())?;
                let key = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| unusable())?;
                Some(OaepPrivateDecryptingKey::new(key).map_err(|_| unusable())?)
            }
            _ => None,
        };
        let (alias, kid, certified) = (alias.into(), public.thumbprint().into(), OnceLock::new());
        Ok(PrivateKey { alias, kid, public, certificate, chain, pair, decrypting, der, certified })
    }

    /// A new key in PKCS#8 form.
    pub(super) fn generate(kind: KeyKind) -> Result<PrivatePkcs8KeyDer<'static>, KeyError> {
        let failed = |_| KeyError::new("no key could be created: the random generator failed");
        let rsa = |size| RsaKeyPair::generate(size).and_then(|pair| Ok(pair.as_der()?.as_ref().to_vec()));
        let ec = |curve| EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).map(|document| document.as_ref().to_vec());
        let bytes = match kind {
            KeyKind::Rsa => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyKind::P256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            KeyKind::P384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            KeyKind::P521 => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
            KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map(|document| document.as_ref().to_vec()),
        };
        bytes.map(PrivatePkcs8KeyDer::from).map_err(failed)
    }

    /// Signs. An algorithm for another kind of key is an error.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        if algorithm.family() != self.public.family() {
            let (name, need, have) = (algorithm.name(), algorithm.family(), self.public.family());
            return Err(KeyError::new(format!("{name} needs a key of kind {need}, `{}` is of kind {have}", self.alias)));
        }
        let failed = |_| KeyError::new(format!("key `{}` could not sign", self.alias));
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding = algorithm.rsa_signing().ok_or_else(|| failed(aws_lc_rs::error::Unspecified))?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Ec(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec()).map_err(failed)
            }
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(failed),
        }
    }

    /// Decrypts what was encrypted for this key with RSA-OAEP (`RSA-OAEP` or `RSA-OAEP-256`, RFC 7518, section 4.3). `None` if
    /// that is impossible, whatever the reason: distinguishing reasons would help an attacker.
    pub fn decrypt(&self, algorithm: &str, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let key = self.decrypting.as_ref()?;
        let algorithm = match algorithm {
            "RSA-OAEP" => &OAEP_SHA1_MGF1SHA1,
            "RSA-OAEP-256" => &OAEP_SHA256_MGF1SHA256,
            _ => return None,
        };
        let mut plaintext = vec![0; key.min_output_size()];
        key.decrypt(algorithm, ciphertext, &mut plaintext, None).ok().map(|text| text.to_vec())
    }

    /// The kind of key to make in its place: never a weaker one.
    pub(super) fn kind(&self) -> KeyKind {
        match (&self.pair, self.public.family()) {
            (Pair::Rsa(pair), _) if pair.public_modulus_len() > 384 => KeyKind::Rsa4096,
            (Pair::Rsa(pair), _) if pair.public_modulus_len() > 256 => KeyKind::Rsa3072,
            (Pair::Rsa(_), _) => KeyKind::Rsa,
            (Pair::Ed25519(_), _) => KeyKind::Ed25519,
            (Pair::Ec(_), Family::P384) => KeyKind::P384,
            (Pair::Ec(_), Family::P521) => KeyKind::P521,
            (Pair::Ec(_), _) => KeyKind::P256,
        }
    }

    /// The public half as a JWK with `kid` and `use`.
    pub fn jwk(&self) -> Json {
        Json::Object(self.jwk_object())
    }

    /// The same with its certificate, if there is one.
    pub fn jwk_with_certificate(&self) -> Json {
        let mut jwk = self.jwk_object();
        if let Some(certificate) = &self.certificate {
            use base64::Engine;
            let encode = |der: &CertificateDer<'_>| Json::from(base64::engine::general_purpose::STANDARD.encode(der));
            jwk.insert("x5t#S256".to_owned(), Json::from(certificate.thumbprint_sha256.as_str()));
            jwk.insert("x5c".to_owned(), self.chain.iter().map(encode).collect());
        }
        Json::Object(jwk)
    }

    fn jwk_object(&self) -> serde_json::Map<String, Json> {
        let mut jwk = self.public.jwk_members().unwrap_or_default();
        jwk.insert("kid".to_owned(), Json::from(self.kid.as_str()));
        jwk.insert("use".to_owned(), Json::from("sig"));
        jwk
    }

    /// The private key itself, for TLS.
    pub(super) fn der(&self) -> PrivateKeyDer<'static> {
        self.der.clone_key()
    }
}

fn parse(der: &PrivateKeyDer<'_>) -> Option<(Pair, PublicKey)> {
    let bytes = der.secret_der();
    let curves = [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, Family::P256),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, Family::P384),
        (&ECDSA_P521_SHA512_FIXED_SIGNING, Family::P521),
    ];
    let rsa = match der {
        PrivateKeyDer::Pkcs8(_) => RsaKeyPair::from_pkcs8(bytes).ok(),
        PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(bytes).ok(),
        _ => None,
    };
    if let Some(pair) = rsa.filter(|pair| pair.public_modulus_len() >= 256) {
        let public = {
            let (_, key) = RSAPublicKey::from_der(pair.public_key().as_ref()).ok()?;
            Material::Rsa(unpadded(key.modulus), unpadded(key.exponent))
        };
        return Some((Pair::Rsa(pair), public.into()));
    }
    for (algorithm, family) in curves {
        let pair = match der {
            PrivateKeyDer::Pkcs8(_) => EcdsaKeyPair::from_pkcs8(algorithm, bytes).ok(),
            PrivateKeyDer::Sec1(_) => EcdsaKeyPair::from_private_key_der(algorithm, bytes).ok(),
            _ => None,
        };
        if let Some(pair) = pair {
            let public = Material::Ec(family, pair.public_key().as_ref().to_vec());
            return Some((Pair::Ec(pair), public.into()));
        }
    }
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).ok()?;
    let public = Material::Ed25519(pair.public_key().as_ref().to_vec());
    Some((Pair::Ed25519(pair), public.into()))
}
