//! JWE in compact form (RFC 7516): with a shared key (`dir`), or with a one-time key wrapped by RSA-OAEP.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents,
};
use serde_json::Value as Json;

use super::content::Encryption;
use super::{Header, MAX_TOKEN, Refusal, decode, encode, header, text};
use crate::services::keys::{Material, PrivateKey, PublicKey};

/// How the content's key reaches the recipient (`alg`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Management {
    /// Both sides have it.
    Direct,
    /// RSAES OAEP with SHA-1, its default.
    RsaOaep,
    /// RSAES OAEP with SHA-256.
    RsaOaep256,
}

impl Management {
    /// By its JOSE name.
    pub fn parse(name: &str) -> Option<Management> {
        Some(match name {
            "dir" => Management::Direct,
            "RSA-OAEP" => Management::RsaOaep,
            "RSA-OAEP-256" => Management::RsaOaep256,
            _ => return None,
        })
    }

    /// Its JOSE name.
    pub fn name(self) -> &'static str {
        match self {
            Management::Direct => "dir",
            Management::RsaOaep => "RSA-OAEP",
            Management::RsaOaep256 => "RSA-OAEP-256",
        }
    }
}

/// The recipient of a token.
pub enum Recipient<'k> {
    /// Whoever has the same key.
    Shared(&'k [u8]),
    /// Whoever has the private key of this RSA key.
    Rsa(&'k PublicKey),
}

/// A parsed token, not yet decrypted.
pub struct Jwe<'t> {
    /// Its header.
    pub header: Header,
    /// How its key is obtained.
    pub management: Management,
    encryption: Encryption,
    aad: &'t str,
    wrapped: Vec<u8>,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

/// Whether a token has the five parts of an encrypted one.
pub fn is_encrypted(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 4
}

impl<'t> Jwe<'t> {
    /// Reads a token.
    pub fn read(token: &'t str) -> Result<Jwe<'t>, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err("the token is too long");
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [head, wrapped, iv, ciphertext, tag] = parts[..] else { return Err("the token does not have five parts") };
        let header = header(head)?;
        if header.contains_key("zip") {
            return Err("the token's content is compressed");
        }
        let management = text(&header, "alg").and_then(Management::parse).ok_or("the token's key management is unknown")?;
        let encryption = text(&header, "enc").and_then(Encryption::parse).ok_or("the token's encryption is unknown")?;
        Ok(Jwe {
            header,
            management,
            encryption,
            aad: head,
            wrapped: decode(wrapped)?,
            iv: decode(iv)?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        })
    }

    /// Decrypts under a shared key.
    pub fn open_shared(&self, key: &[u8]) -> Option<Vec<u8>> {
        if self.management != Management::Direct || !self.wrapped.is_empty() {
            return None;
        }
        self.open(key)
    }

    /// Decrypts with a private RSA key.
    pub fn open_with(&self, key: &PrivateKey) -> Option<Vec<u8>> {
        if self.management == Management::Direct {
            return None;
        }
        let content_key = key.decrypt(self.management.name(), &self.wrapped)?;
        self.open(&content_key)
    }

    fn open(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.encryption.open(key, &self.iv, self.aad.as_bytes(), &self.ciphertext, &self.tag).ok()
    }
}

/// Makes a token. `alg` and `enc` of the header are set here.
pub fn seal(
    mut head: Header,
    content: &[u8],
    recipient: Recipient<'_>,
    management: Management,
    encryption: (Encryption, &str),
) -> Result<String, Refusal> {
    let (encryption, name) = encryption;
    head.insert("alg".to_owned(), Json::from(management.name()));
    head.insert("enc".to_owned(), Json::from(name));
    let mut made = Vec::new();
    let (key, wrapped) = match (management, recipient) {
        (Management::Direct, Recipient::Shared(key)) => (key, Vec::new()),
        (Management::RsaOaep | Management::RsaOaep256, Recipient::Rsa(public)) => {
            made.resize(encryption.key_len(), 0);
            rand::fill(&mut made).map_err(|_| "the system gives no random bytes")?;
            let wrapped = wrap(management, public, &made).map_err(|_| "the key does not encrypt: it must be RSA")?;
            (&made[..], wrapped)
        }
        _ => return Err("the key does not fit the key management"),
    };
    if key.len() != encryption.key_len() {
        return Err("the shared key does not have the length that the encryption needs");
    }
    let aad = encode(serde_json::to_vec(&head).unwrap_or_default());
    let sealed = encryption.seal(key, aad.as_bytes(), content).map_err(|_| "the content cannot be encrypted")?;
    Ok([aad, encode(wrapped), encode(sealed.iv), encode(sealed.ciphertext), encode(sealed.tag)].join("."))
}

fn wrap(management: Management, public: &PublicKey, key: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let Material::Rsa(n, e) = public.material() else { return Err(Unspecified) };
    let public: PublicEncryptingKey = PublicKeyComponents { n, e }.try_into()?;
    let public = OaepPublicEncryptingKey::new(public)?;
    let algorithm = if management == Management::RsaOaep { &OAEP_SHA1_MGF1SHA1 } else { &OAEP_SHA256_MGF1SHA256 };
    let mut wrapped = vec![0; public.ciphertext_size()];
    let length = public.encrypt(algorithm, key, &mut wrapped, None)?.len();
    wrapped.truncate(length);
    Ok(wrapped)
}
