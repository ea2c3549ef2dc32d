//! Signature algorithms by their JOSE names (RFC 7518, section 3.1; RFC 8037).

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};

/// An algorithm that signs. `none` is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// What kind of key an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A shared secret.
    Hmac,
    /// RSA of 2048 bits or more.
    Rsa,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Edwards curve 25519.
    Ed25519,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Hmac => "shared secret",
            Family::Rsa => "RSA",
            Family::P256 => "EC P-256",
            Family::P384 => "EC P-384",
            Family::P521 => "EC P-521",
            Family::Ed25519 => "Ed25519",
        })
    }
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 13] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
    ];

    /// By its JOSE name, which is case-sensitive.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its JOSE name.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::ES512 => "ES512",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    /// The kind of key it needs. Checked on each use: a public key must never serve as a shared secret.
    pub fn family(self) -> Family {
        match self {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Family::Hmac,
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => Family::Rsa,
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => Family::Rsa,
            Algorithm::ES256 => Family::P256,
            Algorithm::ES384 => Family::P384,
            Algorithm::ES512 => Family::P521,
            Algorithm::EdDSA => Family::Ed25519,
        }
    }

    pub(super) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Algorithm::HS256 => Some(hmac::HMAC_SHA256),
            Algorithm::HS384 => Some(hmac::HMAC_SHA384),
            Algorithm::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    pub(super) fn rsa_signing(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Algorithm::RS256 => Some(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => Some(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => Some(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => Some(&RSA_PSS_SHA256),
            Algorithm::PS384 => Some(&RSA_PSS_SHA384),
            Algorithm::PS512 => Some(&RSA_PSS_SHA512),
            _ => None,
        }
    }

    /// Its name in the verifying crate; `None` for ES512, which it lacks.
    pub(super) fn jsonwebtoken(self) -> Option<jsonwebtoken::Algorithm> {
        use jsonwebtoken::Algorithm as Theirs;
        Some(match self {
            Algorithm::HS256 => Theirs::HS256,
            Algorithm::HS384 => Theirs::HS384,
            Algorithm::HS512 => Theirs::HS512,
            Algorithm::RS256 => Theirs::RS256,
            Algorithm::RS384 => Theirs::RS384,
            Algorithm::RS512 => Theirs::RS512,
            Algorithm::PS256 => Theirs::PS256,
            Algorithm::PS384 => Theirs::PS384,
            Algorithm::PS512 => Theirs::PS512,
            Algorithm::ES256 => Theirs::ES256,
            Algorithm::ES384 => Theirs::ES384,
            Algorithm::EdDSA => Theirs::EdDSA,
            Algorithm::ES512 => return None,
        })
    }
}
