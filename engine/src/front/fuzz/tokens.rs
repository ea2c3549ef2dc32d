//! Tokens, keys and certificates.

use crate::data::certificate::Certificate;
use crate::data::value::Value;
use crate::services::jose::jwe::{Jwe, is_encrypted};
use crate::services::jose::jws::{Jws, sign};
use crate::services::jose::select::{Use, keys};
use crate::services::jose::{Header, date};
use crate::services::keys::{Algorithm, PublicKey, sign_with_secret};

/// A key verifies no token that it did not sign, and verifies those signed here.
pub(super) fn jws(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let key = PublicKey::secret(b"a secret that nobody has");
    if let Ok(token) = Jws::read(&text) {
        assert!(!token.verified_by([key.clone()].iter()));
        assert!(!token.header.contains_key("crit"));
    }
    let header = Header::from_iter([("alg".to_owned(), serde_json::Value::from("HS256"))]);
    let made = sign(&header, data, |signed| sign_with_secret(Algorithm::HS256, b"a secret that nobody has", signed).ok_or(()));
    let made = made.expect("HS256 signs");
    let read = Jws::read(&made).expect("what was made is a token");
    assert_eq!(read.payload, data);
    assert!(read.verified_by([key].iter()));
    if let Ok(json) = crate::data::json::read_unique(data) {
        assert!(date(&json).is_none_or(|seconds| (0.0..1e12).contains(&seconds)));
    }
}

/// A key decrypts only tokens that were encrypted for it.
pub(super) fn jwe(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(token) = Jwe::read(&text) {
        assert!(is_encrypted(&text));
        for length in [16, 32, 64] {
            assert!(token.open_shared(&vec![7; length]).is_none());
        }
    }
}

/// A public key stays the same when it is written and read again.
pub(super) fn jwk(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for key in keys(&Value::from(&*text), &Header::new(), Use::Verify).unwrap_or_default() {
        for algorithm in Algorithm::ALL {
            assert!(!key.verify(algorithm, b"message", "AAAA"));
        }
        if let Some(members) = key.jwk_members() {
            let again = PublicKey::from_jwk(&serde_json::Value::Object(members)).expect("what was written is a key");
            assert_eq!(again.thumbprint(), key.thumbprint());
        }
    }
}

/// A certificate stays the same when it is written and read again.
pub(super) fn certificate(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = PublicKey::from_pem(&text);
    for read in [Certificate::from_der(data), Certificate::from_text(&text)].into_iter().flatten() {
        let again = Certificate::from_text(read.pem()).expect("what was written is a certificate");
        assert_eq!((again.der(), &again.subject, &again.thumbprint_sha256), (read.der(), &read.subject, &read.thumbprint_sha256));
        let _ = PublicKey::from_certificate(&read);
    }
}
