//! What outlives a generation of policies: the clock, connections, caches, keys, users.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::fault::{Blame, Fault};
use crate::store::{Connection, Connections};
use crate::time::Clock;

/// The services that assertions reach through [`crate::ctx::Ctx::gateway`].
pub struct Gateway {
    /// The clock.
    pub clock: Clock,
    /// Databases by name.
    pub connections: Connections,
    /// `${gateway.<name>}`: cluster properties and facts such as `cluster.hostname`, names in lower case.
    pub properties: BTreeMap<String, SmolStr>,
    /// `${secpass.<name>.plaintext}`: stored secrets, names in lower case.
    pub secrets: BTreeMap<String, SmolStr>,
}

impl Gateway {
    /// A database by its name in `gateway.yaml`.
    pub fn connection(&self, name: &str) -> Result<&Connection, Fault> {
        self.connections
            .get(name)
            .ok_or_else(|| Fault::new(Blame::Configuration, format!("there is no connection `{name}` in gateway.yaml")))
    }
}
