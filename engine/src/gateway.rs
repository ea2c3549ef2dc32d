//! What outlives a generation of policies: the clock, connections, caches, keys, users.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::cache::Caches;
use crate::config::Security;
use crate::fault::{Blame, Fault};
use crate::identity::{AttemptLimiter, Passwords, Providers};
use crate::keys::KeyStore;
use crate::rates::Rates;
use crate::routing::Outbound;
use crate::store::{Connection, Connections};
use crate::telemetry::{AuditLog, Metrics};
use crate::time::Clock;
use crate::turns::KeyedTurns;

/// The services that assertions reach through [`crate::ctx::Ctx::gateway`]. Cheap to clone: a reload that changes properties makes another
/// one of the same parts.
#[derive(Clone, Default)]
pub struct Gateway {
    /// The clock.
    pub clock: Arc<Clock>,
    /// Databases by name.
    pub connections: Connections,
    /// Caches by name.
    pub caches: Arc<Caches>,
    /// Who vouches for users, by name.
    pub identity: Arc<Providers>,
    /// Hashes and checks passwords.
    pub passwords: Arc<Passwords>,
    /// Slows down guessing.
    pub attempts: Arc<AttemptLimiter>,
    /// Private keys, certificates, and `${secpass.<name>.plaintext}`.
    pub keys: Arc<KeyStore>,
    /// `${gateway.<name>}`: cluster properties and facts such as `cluster.hostname`, names in lower case.
    pub properties: Arc<BTreeMap<String, SmolStr>>,
    /// What `security` in `gateway.yaml` says; policies read it as `${gateway.security}`.
    pub security: Security,
    /// Calls to other servers.
    pub outbound: Arc<Outbound>,
    /// Rates per key.
    pub rates: Arc<Rates>,
    /// Turns per key.
    pub turns: Arc<KeyedTurns>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where audit details go.
    pub audit: AuditLog,
}

impl Gateway {
    /// A database by its name in `gateway.yaml`.
    pub fn connection(&self, name: &str) -> Result<&Connection, Fault> {
        self.connections
            .get(name)
            .ok_or_else(|| Fault::new(Blame::Configuration, format!("there is no connection `{name}` in gateway.yaml")))
    }
}
