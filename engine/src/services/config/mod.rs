//! `gateway.yaml`: everything about an installation that is not a policy. Everything is optional; the documentation of each field
//! names its default. An unknown key is an error that names the nearest known one.
//!
//! Two files make one configuration: the shipped defaults (names that the shipped policies use) and, on top, the operator's.

mod error;
mod kits;
mod neighbours;
mod schema;
mod sections;
mod tasks;
pub mod units;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::data::time::Zone;

use crate::services::keys::KeyKind;

pub use error::{ConfigError, ConfigErrors};
pub use kits::{Kit, Names};
pub use neighbours::{Connection, FederatedUser, IdentityProvider, ProviderKind, Redis, SearchScope, Synchronous};
pub use sections::{
    Audience, AuditTarget, ClientCertificate, Cluster, Forwarded, ForwardedHeader, Limits, Listeners, LogFormat, Logging,
    Monitoring, Otlp, Outbound, Reload, Samples, Security, Tls, TlsVersion,
};
pub use tasks::{Nodes, Task};
pub use units::{ListenAddress, Span};
use values::Layer;
pub(in crate::services) use values::files as files_of_values;
#[cfg(test)]
pub use {tasks::Weekday, units::Moment};

/// Name of the operator's file in the home.
pub const FILE: &str = "gateway.yaml";

/// One installation's settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name by which clients know this gateway: `${gateway.cluster.hostname}`, and the subject of the first certificate.
    /// Default: `localhost`.
    #[serde(deserialize_with = "sections::host_name")]
    pub host_name: HostName,
    /// `standard` (default) or `strict`: whether policies allow what existing clients may need, or only what standards recommend.
    pub security: Security,
    /// Where it listens. The default addresses are reachable from this machine only.
    pub listeners: Listeners,
    /// Put before every service's path, so that several instances share a host: `-dev` serves `/-dev/…`. Default: nothing.
    pub instance_modifier: String,
    /// Certificate and protocol versions.
    pub tls: Tls,
    /// Limits for one client.
    pub limits: Limits,
    /// Databases by the name that policies use.
    #[schemars(with = "BTreeMap<String, schema::TextOr<Connection>>")]
    pub connections: BTreeMap<String, Connection>,
    /// The other gateways on the same databases.
    pub cluster: Cluster,
    /// Folders of migration scripts by connection, each with a folder per dialect (`sqlite`, `mysql`, `postgres`). They are
    /// applied when the gateway starts; with an empty name an administrator has to do that.
    pub schemas: BTreeMap<String, String>,
    /// Whether sample data are put into embedded databases. Default: in a checkout of the source tree only.
    pub sample_data: Option<bool>,
    /// The sample data. Set in the shipped defaults.
    pub samples: Samples,
    /// Private keys created at first start if missing: alias and kind (`rsa`, `ec`, `ed25519` …). The shipped defaults name those
    /// that the policies need.
    pub keys: BTreeMap<String, KeyKind>,
    /// Secrets (`${secpass.<name>.plaintext}`) created at random at first start if missing.
    pub secrets: Vec<String>,
    /// Where users come from, by the name that policies use.
    #[schemars(with = "BTreeMap<String, schema::TextOr<IdentityProvider>>")]
    pub identity_providers: BTreeMap<String, IdentityProvider>,
    /// Cluster properties: `${gateway.<name>}`.
    pub properties: BTreeMap<String, Property>,
    /// Names of the kits that this gateway serves: one, or a list. Default: all of them. `portcullis list services` shows which services
    /// that gives.
    #[schemars(with = "schema::TextOr<Vec<String>>")]
    pub kit: Names,
    /// The kits that there are. Set in the shipped defaults.
    pub kits: BTreeMap<String, Kit>,
    /// Names of services that ship disabled and shall be served.
    pub enable: Vec<String>,
    /// Names of services that shall not be served; their paths are answered with 404. Wins over `enable`.
    pub disable: Vec<String>,
    /// When tasks run, by their names, where that is not as the policies say.
    pub tasks: BTreeMap<String, Task>,
    /// The time zone in which times and days of tasks are read, by its name in the database of IANA (`Europe/Berlin`) or its distance from
    /// UTC (`+02:00`). All else is in UTC. Default: `UTC`.
    pub schedule_zone: Zone,
    /// Log and audit.
    pub logging: Logging,
    /// Calls to other servers.
    pub outbound: Outbound,
    /// `/health` and `/metrics`.
    pub monitoring: Monitoring,
    /// Traces and metrics for a collector of OpenTelemetry.
    pub otlp: Otlp,
    /// How changes of files take effect.
    pub reload: Reload,
}

/// [`Config::host_name`].
#[derive(Clone, Debug, PartialEq)]
pub struct HostName(pub String);

impl Default for HostName {
    fn default() -> Self {
        HostName("localhost".to_owned())
    }
}

/// A cluster property: any scalar, kept as the text that `${gateway.…}` prints.
#[derive(Clone, Debug, PartialEq)]
pub struct Property(pub String);

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        units::scalar_text(deserializer, "a text, a number or a boolean").map(Property)
    }
}

/// A service's error about an entry of its section.
pub(in crate::services) struct Misfit {
    /// The entry's name.
    pub(in crate::services) entry: String,
    /// The setting.
    pub(in crate::services) key: &'static str,
    /// What is wrong.
    pub(in crate::services) message: String,
}

impl Config {
    /// Reads the shipped defaults and, on top, the operator's file. Each is `(path as shown in errors, text)`, the lowest first.
    ///
    /// They merge by section: an entry of a map (`connections: Main`) completely replaces the shipped entry of that name; a list
    /// or single value replaces the shipped one.
    ///
    /// `services` are the errors that the services report about their settings. `root` is where the paths of `${file:…}` begin.
    pub(in crate::services) fn read_for<'a>(
        root: &Path,
        layers: impl IntoIterator<Item = (&'a str, &'a str)>,
        services: impl Fn(&Config) -> Vec<Misfit>,
    ) -> Result<Config, ConfigErrors> {
        let texts: Vec<_> = layers.into_iter().collect();
        // Each file is first read alone, so that errors name that file's lines.
        let found: Vec<ConfigError> = texts.iter().flat_map(|(path, text)| mistakes(root, path, text, &services)).collect();
        if !found.is_empty() {
            return Err(ConfigErrors(found));
        }
        let layers: Vec<Layer<'_>> =
            texts.into_iter().map(|(path, text)| Layer::read(root, path, text)).collect::<Result<_, _>>()?;
        let mut merged = serde_yaml::Mapping::new();
        for layer in &layers {
            merge(&mut merged, layer.parse::<Option<serde_yaml::Mapping>>()?.unwrap_or_default(), 1);
        }
        let config: Config = serde_yaml::from_value(serde_yaml::Value::Mapping(merged)).map_err(|error| {
            let last = layers.last();
            let error = ConfigError::new(last.map_or(FILE, |layer| layer.path), error.to_string());
            ConfigErrors::from(layers.iter().fold(error, |error, layer| layer.hide(error)))
        })?;
        // Which kits there are, only both files together say.
        match (config.unknown_kit(), layers.last()) {
            (Some(message), Some(layer)) => Err(ConfigError::at_key(layer.path, layer.text, "kit:", message).into()),
            (Some(message), None) => Err(ConfigError::new(FILE, message).into()),
            (None, _) => Ok(config),
        }
    }

    /// What types alone cannot say: the key, and what is wrong with it.
    fn check(&self, mut refuse: impl FnMut(&'static str, String)) {
        if self.limits.header_bytes.0 < 8192 {
            refuse("header_bytes", "`limits.header_bytes` must be 8 KiB or more".to_owned());
        }
        let counts = [
            ("max_connections", self.limits.max_connections),
            ("connections_per_address", self.limits.connections_per_address),
            ("http2_streams", self.limits.http2_streams as usize),
        ];
        for (key, _) in counts.into_iter().filter(|(_, count)| *count == 0) {
            refuse(key, format!("`limits.{key}` must be 1 or more"));
        }
        if self.limits.body_memory.0 < self.limits.body_bytes.0 {
            refuse("body_memory", "`limits.body_memory` must hold at least one body of `limits.body_bytes`".to_owned());
        }
        if !(0.0..=1.0).contains(&self.otlp.traces) {
            refuse("traces", "`otlp.traces` must be a share from 0 to 1".to_owned());
        }
        let name = &self.cluster.name;
        if name.is_empty()
            || name.len() > 64
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        {
            refuse("cluster", "`cluster.name` must be 1 to 64 letters, digits and `-_.`".to_owned());
        }
        for (name, task) in &self.tasks {
            for (key, why) in task.mistakes() {
                refuse(key, format!("`tasks`, `{name}`: `{key}` {why}"));
            }
        }
        let modifier = &self.instance_modifier;
        if !modifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')) {
            let message = format!("`instance_modifier` may contain only letters, digits and `-_.~`, not `{modifier}`");
            refuse("instance_modifier", message);
        }
        if matches!(self.listeners.https, ListenAddress::Off) && matches!(self.listeners.http, ListenAddress::Off) {
            refuse("listeners", "both listeners are off: nobody could reach this gateway".to_owned());
        }
    }

    /// Whether a service of this name and path is served. `off`: it is declared `disabled`.
    pub fn serves(&self, name: &str, path: &str, off: bool) -> bool {
        let named = |names: &[String]| names.iter().any(|own| own == name);
        !named(&self.disable) && (!off || named(&self.enable)) && self.kit_has(|kit| kit.has_path(path))
    }

    /// A warning if others can reach these listeners while the gateway still has the name that only works on this machine.
    pub fn nameless(&self, listeners: &Listeners) -> Option<String> {
        let public = [listeners.https, listeners.http].into_iter().find_map(|listener| match listener {
            ListenAddress::At(address) if !address.ip().to_canonical().is_loopback() => Some(address),
            _ => None,
        });
        let address = public.filter(|_| self.host_name == HostName::default())?;
        Some(format!(
            "others can reach this gateway at {address}, but its name is still `{}`: the certificate, and the issuer and \
             addresses that policies make of the name, are wrong for them; set `host_name` in {FILE}",
            self.host_name.0
        ))
    }

    /// The changed settings that only take effect at the next start.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let mut compare = |name, same: bool| {
            if !same {
                changed.push(name);
            }
        };
        compare("listeners", self.listeners == new.listeners);
        compare("tls", self.tls == new.tls);
        compare("limits.drain_delay", self.limits.drain_delay == new.limits.drain_delay);
        compare("limits.shutdown_timeout", self.limits.shutdown_timeout == new.limits.shutdown_timeout);
        compare("sample_data", (self.sample_data, &self.samples) == (new.sample_data, &new.samples));
        compare("logging.format", self.logging.format == new.logging.format);
        compare("monitoring", self.monitoring == new.monitoring);
        compare("otlp", self.otlp == new.otlp);
        compare("cluster", self.cluster == new.cluster);
        compare("reload", self.reload == new.reload);
        changed
    }
}

/// Most mistakes that are told of one file.
const MOST: usize = 50;

/// Every mistake of one file, in the order of its lines. A text that is no YAML has one.
fn mistakes(root: &Path, path: &str, text: &str, services: impl Fn(&Config) -> Vec<Misfit>) -> Vec<ConfigError> {
    if let Err(error) = serde_yaml::from_str::<serde_yaml::Value>(text) {
        return vec![ConfigError::from_yaml(path, text, &error)];
    }
    let (mut rest, mut found) = (text.to_owned(), Vec::new());
    while found.len() < MOST {
        let read = Layer::read(root, path, &rest).and_then(|layer| Ok((layer.parse::<Config>()?, layer)));
        let error = match read {
            Ok((config, layer)) => {
                config.check(|key, message| found.push(layer.hide(ConfigError::at_key(path, text, key, message))));
                let place = |misfit: Misfit| ConfigError::at_key_of(path, text, &misfit.entry, misfit.key, misfit.message);
                found.extend(services(&config).into_iter().map(|misfit| layer.hide(place(misfit))));
                break;
            }
            Err(error) => error,
        };
        // What is wrong is taken out, and the rest has its turn.
        let less = error.place.and_then(|(line, _)| error::without_part(&rest, line)).filter(|less| *less != rest);
        found.push(error);
        match less {
            Some(less) => rest = less,
            None => break,
        }
    }
    ConfigErrors::sorted(found).0
}

/// Puts `above` on top of `below`; mappings merge `depth` levels down and are replaced completely below that.
fn merge(below: &mut serde_yaml::Mapping, above: serde_yaml::Mapping, depth: usize) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(serde_yaml::Value::Mapping(old)), serde_yaml::Value::Mapping(new)) if depth > 0 => merge(old, new, depth - 1),
            // `section:` without contents means nothing.
            (Some(_), serde_yaml::Value::Null) => {}
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
