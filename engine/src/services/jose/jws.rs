//! JWS in compact form (RFC 7515).

use super::{Header, MAX_TOKEN, Refusal, decode, encode, header, text};
use crate::services::keys::{Algorithm, PublicKey};

/// A parsed token, not yet verified.
pub struct Jws<'t> {
    /// Its header.
    pub header: Header,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its claimed algorithm.
    pub algorithm: Algorithm,
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Jws<'t> {
    /// Reads a token. An unknown algorithm is refused, above all `none`.
    pub fn read(token: &'t str) -> Result<Jws<'t>, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err("the token is too long");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("the token does not have three parts")?;
        let (head, payload) = signed.split_once('.').ok_or("the token does not have three parts")?;
        if payload.contains('.') {
            return Err("the token does not have three parts");
        }
        let header = header(head)?;
        let algorithm = text(&header, "alg").and_then(Algorithm::parse).ok_or("the token's algorithm is not one that signs")?;
        decode(signature)?;
        Ok(Jws { payload: decode(payload)?, algorithm, signed, signature, header })
    }

    /// Whether one of the keys made the signature. Keys of another kind than the algorithm's are skipped.
    pub fn verified_by<'k>(&self, mut keys: impl Iterator<Item = &'k PublicKey>) -> bool {
        keys.any(|key| key.verify(self.algorithm, self.signed.as_bytes(), self.signature))
    }
}

/// Makes a token; `sign` signs the given bytes.
pub fn sign<E>(header: &Header, payload: &[u8], sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<String, E> {
    let mut token = encode(serde_json::to_vec(header).unwrap_or_default());
    token.push('.');
    token.push_str(&encode(payload));
    let signature = sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&encode(signature));
    Ok(token)
}
