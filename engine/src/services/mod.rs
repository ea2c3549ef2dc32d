//! The services that outlive a generation of policies: the clock, connections, caches, keys, users.

pub mod cache;
pub mod cluster;
pub mod config;
pub mod identity;
pub mod jose;
pub mod keys;
pub mod outbound;
pub mod private;
pub mod rates;
pub mod report;
mod settings;
pub mod stamp;
pub mod store;
pub mod telemetry;
pub mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::data::fault::{Blame, Fault};
use crate::data::time::Clock;
use crate::services::cache::Caches;
use crate::services::cluster::Cluster;
use crate::services::config::Security;
use crate::services::identity::{AttemptLimiter, Passwords, Providers};
use crate::services::keys::KeyStore;
use crate::services::outbound::Outbound;
use crate::services::rates::Rates;
use crate::services::report::Report;
use crate::services::store::{Connection, Connections};
use crate::services::telemetry::{AuditLog, Metrics, Tracer};
use crate::services::turns::KeyedTurns;

/// The services that assertions use through `Ctx::services`. Cheap to clone: a reload that changes properties makes a new one
/// with the same parts.
#[derive(Clone, Default)]
pub struct Services {
    /// The clock.
    pub clock: Arc<Clock>,
    /// Databases by name.
    pub connections: Connections,
    /// Caches by name.
    pub caches: Arc<Caches>,
    /// The other gateways.
    pub cluster: Arc<Cluster>,
    /// Identity providers by name.
    pub identity: Arc<Providers>,
    /// Hashes and checks passwords.
    pub passwords: Arc<Passwords>,
    /// Slows down guessing.
    pub attempts: Arc<AttemptLimiter>,
    /// Private keys, certificates, and `${secpass.<name>.plaintext}`.
    pub keys: Arc<KeyStore>,
    /// `${gateway.<name>}`: cluster properties and facts such as `cluster.hostname`, names in lower case.
    pub properties: Arc<BTreeMap<String, SmolStr>>,
    /// The setting `security` of `gateway.yaml`; policies read it as `${gateway.security}`.
    pub security: Security,
    /// Calls to other servers.
    pub outbound: Arc<Outbound>,
    /// Rates per key.
    pub rates: Arc<Rates>,
    /// Messages that may come only once, apart from rates, so that no flood of these drops one of those.
    pub seen: Arc<Rates>,
    /// Turns per key.
    pub turns: Arc<KeyedTurns>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where audit details go.
    pub audit: AuditLog,
    /// Whether each answer records who gave it and the policies' log fields (`LogField`).
    pub told: bool,
    /// Whether each request gets a line in the log.
    pub access: bool,
    /// Where spans of traces go; none where nobody wants them.
    pub tracer: Option<Arc<Tracer>>,
    /// What the process says of itself.
    pub report: Arc<Report>,
}

impl Services {
    /// A database by its name in `gateway.yaml`.
    pub fn connection(&self, name: &str) -> Result<&Connection, Fault> {
        self.connections
            .get(name)
            .ok_or_else(|| Fault::new(Blame::Configuration, format!("there is no connection `{name}` in gateway.yaml")))
    }
}
