//! What outlives a generation of policies: the clock, connections, caches, keys, users.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::time::Clock;

/// The services that assertions reach through [`crate::ctx::Ctx::gateway`].
pub struct Gateway {
    /// The clock.
    pub clock: Clock,
    /// `${gateway.<name>}`: cluster properties and facts such as `cluster.hostname`, names in lower case.
    pub properties: BTreeMap<String, SmolStr>,
    /// `${secpass.<name>.plaintext}`: stored secrets, names in lower case.
    pub secrets: BTreeMap<String, SmolStr>,
}
