//! Content encryption of JWE (RFC 7518, section 5): AES in CBC mode with an HMAC, and AES-GCM.

use aws_lc_rs::aead::{self, AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand;

use crate::services::keys::constant_time_eq;

/// How content is encrypted (`enc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    A128CbcHs256,
    A256CbcHs512,
    A128Gcm,
    A256Gcm,
}

/// The result of encryption.
pub struct Sealed {
    /// Initialization vector.
    pub iv: Vec<u8>,
    /// The encrypted content.
    pub ciphertext: Vec<u8>,
    /// The authentication tag.
    pub tag: Vec<u8>,
}

impl Encryption {
    /// The names in the order of RFC 7518, section 5.1.
    pub const NAMES: &[&str] = &["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"];

    /// By its JOSE name.
    pub fn parse(name: &str) -> Option<Encryption> {
        Some(match name {
            "A128CBC-HS256" => Encryption::A128CbcHs256,
            "A256CBC-HS512" => Encryption::A256CbcHs512,
            "A128GCM" => Encryption::A128Gcm,
            "A256GCM" => Encryption::A256Gcm,
            _ => return None,
        })
    }

    /// Bytes of its key.
    pub fn key_len(self) -> usize {
        match self {
            Encryption::A128CbcHs256 | Encryption::A256Gcm => 32,
            Encryption::A256CbcHs512 => 64,
            Encryption::A128Gcm => 16,
        }
    }

    /// Encrypts with a key of the right length; `aad` is authenticated together with the content.
    pub fn seal(self, key: &[u8], aad: &[u8], content: &[u8]) -> Result<Sealed, Unspecified> {
        let mut iv = vec![0; if self.is_gcm() { aead::NONCE_LEN } else { 16 }];
        rand::fill(&mut iv)?;
        self.seal_with(key, iv, aad, content)
    }

    pub(super) fn seal_with(self, key: &[u8], iv: Vec<u8>, aad: &[u8], content: &[u8]) -> Result<Sealed, Unspecified> {
        let mut ciphertext = content.to_vec();
        if let Some(key) = self.gcm(key)? {
            let nonce = Nonce::try_assume_unique_for_key(&iv)?;
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut ciphertext)?;
            return Ok(Sealed { iv, ciphertext, tag: tag.as_ref().to_vec() });
        }
        let halves = self.halves(key)?;
        let context = EncryptionContext::Iv128(FixedLength::try_from(&iv[..])?);
        PaddedBlockEncryptingKey::cbc_pkcs7(halves.cipher)?.less_safe_encrypt(&mut ciphertext, context)?;
        let tag = halves.mac.tag(aad, &iv, &ciphertext);
        Ok(Sealed { iv, ciphertext, tag })
    }

    /// Decrypts. There is only one error for all problems.
    pub fn open(self, key: &[u8], iv: &[u8], aad: &[u8], ciphertext: &[u8], tag: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut content = ciphertext.to_vec();
        if let Some(key) = self.gcm(key)? {
            if tag.len() != 16 {
                return Err(Unspecified);
            }
            content.extend_from_slice(tag);
            let nonce = Nonce::try_assume_unique_for_key(iv)?;
            let length = key.open_in_place(nonce, Aad::from(aad), &mut content)?.len();
            content.truncate(length);
            return Ok(content);
        }
        let halves = self.halves(key)?;
        // RFC 7518, section 5.2.2.2: the tag is checked first, so that the padding of a forged token is never examined.
        if !constant_time_eq(&halves.mac.tag(aad, iv, ciphertext), tag) {
            return Err(Unspecified);
        }
        let context = DecryptionContext::Iv128(FixedLength::try_from(iv)?);
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(halves.cipher)?.decrypt(&mut content, context)?.len();
        content.truncate(length);
        Ok(content)
    }

    fn is_gcm(self) -> bool {
        matches!(self, Encryption::A128Gcm | Encryption::A256Gcm)
    }

    fn gcm(self, key: &[u8]) -> Result<Option<LessSafeKey>, Unspecified> {
        let algorithm = match self {
            Encryption::A128Gcm => &AES_128_GCM,
            Encryption::A256Gcm => &AES_256_GCM,
            Encryption::A128CbcHs256 | Encryption::A256CbcHs512 => return Ok(None),
        };
        UnboundKey::new(algorithm, key).map(|key| Some(LessSafeKey::new(key)))
    }

    fn halves(self, key: &[u8]) -> Result<Halves, Unspecified> {
        if key.len() != self.key_len() {
            return Err(Unspecified);
        }
        let (mac, cipher) = key.split_at(key.len() / 2);
        let (hash, algorithm) = match self {
            Encryption::A256CbcHs512 => (hmac::HMAC_SHA512, &AES_256),
            _ => (hmac::HMAC_SHA256, &AES_128),
        };
        let mac = Mac { key: hmac::Key::new(hash, mac), keep: mac.len() };
        Ok(Halves { mac, cipher: UnboundCipherKey::new(algorithm, cipher)? })
    }
}

/// The two keys in a CBC mode key.
struct Halves {
    mac: Mac,
    cipher: UnboundCipherKey,
}

struct Mac {
    key: hmac::Key,
    /// Half of the hash is the tag.
    keep: usize,
}

impl Mac {
    fn tag(&self, aad: &[u8], iv: &[u8], ciphertext: &[u8]) -> Vec<u8> {
        let mut mac = hmac::Context::with_key(&self.key);
        mac.update(aad);
        mac.update(iv);
        mac.update(ciphertext);
        mac.update(&(aad.len() as u64 * 8).to_be_bytes());
        mac.sign().as_ref().iter().copied().take(self.keep).collect()
    }
}
