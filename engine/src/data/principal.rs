//! Who sends a request: gathered credentials and authenticated users.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::data::certificate::Certificate;
use crate::data::value::Value;

/// A secret text: `Debug` and `Display` print stars.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(SmolStr);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<SmolStr>) -> Self {
        Secret(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Something with which a client proves who it is.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Name and password, from HTTP Basic or from variables.
    Password {
        /// Name.
        user: SmolStr,
        /// Password.
        password: Secret,
    },
    /// A TLS client certificate; the client has proven that it has the key.
    Certificate(Arc<Certificate>),
}

/// A user, authenticated or looked up.
#[derive(Clone, Debug)]
pub struct User {
    /// Login name.
    pub name: SmolStr,
    /// Identifier at the provider, which survives renames.
    pub id: SmolStr,
    /// Name of the identity provider.
    pub provider: SmolStr,
    /// Whether the user may log in. Others are never authenticated.
    pub enabled: bool,
    /// Further attributes, e.g. `email`, `role`.
    pub attributes: BTreeMap<String, Value>,
}
