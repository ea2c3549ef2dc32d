//! What outlives a generation of policies: the clock, connections, caches, keys, users.

use crate::fault::{Blame, Fault};
use crate::keys::KeyStore;
use crate::store::{Connection, Connections};
use crate::time::Clock;

/// The services that assertions reach through [`crate::ctx::Ctx::gateway`].
#[derive(Default)]
pub struct Gateway {
    /// The clock.
    pub clock: Clock,
    /// Databases by name.
    pub connections: Connections,
    /// Private keys, certificates, stored secrets.
    pub keys: KeyStore,
}

impl Gateway {
    /// A database by its name in `gateway.yaml`.
    pub fn connection(&self, name: &str) -> Result<&Connection, Fault> {
        self.connections
            .get(name)
            .ok_or_else(|| Fault::new(Blame::Configuration, format!("there is no connection `{name}` in gateway.yaml")))
    }
}
