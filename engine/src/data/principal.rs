//! Who sends a request: credentials as they were gathered, users as they were authenticated.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::data::certificate::Certificate;
use crate::data::value::Value;

/// A text that must not be seen: `Debug` and `Display` print stars.
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

/// Something a client offers to prove who it is.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Name and password, from HTTP Basic or from variables.
    Password {
        /// Name.
        user: SmolStr,
        /// Password.
        password: Secret,
    },
    /// A TLS client certificate, possession of its key proven.
    Certificate(Arc<Certificate>),
}

/// A user, authenticated or looked up.
#[derive(Clone, Debug)]
pub struct User {
    /// Login name.
    pub name: SmolStr,
    /// Identifier at the provider, stable over renames.
    pub id: SmolStr,
    /// Name of the identity provider that vouches.
    pub provider: SmolStr,
    /// Whether the user may log in. Nobody is authenticated who may not.
    pub enabled: bool,
    /// Further attributes, e.g. `email`, `role`.
    pub attributes: BTreeMap<String, Value>,
}
