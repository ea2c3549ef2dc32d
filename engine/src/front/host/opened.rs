//! What `gateway.yaml` leads to: databases, identity providers, other servers. A start, a reload and a check open it by the same code, so
//! that a check says what a start would; all that is wrong is told at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Refused, StartError};
use crate::front::home::Unreadable;
use crate::services::Services;
use crate::services::cluster::Cluster;
use crate::services::config::{Config, ListenAddress, ProviderKind};
use crate::services::identity::{Passwords, Providers};
use crate::services::keys::KeyStore;
use crate::services::outbound::Outbound;
use crate::services::store::{Connections, StoreError};
use crate::services::telemetry::Metrics;

/// What a reload takes the files for that settings name: passwords, authorities.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    /// As they were.
    AsBefore,
    /// Changed, perhaps.
    Anew,
}

/// What is opened.
pub(super) struct Opened {
    pub(super) connections: Connections,
    pub(super) identity: Arc<Providers>,
    pub(super) outbound: Arc<Outbound>,
}

/// What it is opened with.
pub(super) struct Beside<'a> {
    pub(super) home: &'a Path,
    pub(super) keys: &'a Arc<KeyStore>,
    pub(super) passwords: &'a Arc<Passwords>,
    pub(super) ports: &'a BTreeMap<&'static str, u16>,
    pub(super) metrics: &'a Arc<Metrics>,
}

impl Opened {
    /// Opens everything. The error is every problem, a sentence each.
    pub(super) fn open(config: &Config, beside: &Beside<'_>) -> Result<Opened, Vec<String>> {
        // Nothing is kept of what no gateway has.
        let mut none = config.clone();
        none.identity_providers.clear();
        none.host_name.0.clear();
        Opened::reopen(&Services::default(), &none, config, beside, Files::Anew)
    }

    /// Opens what other settings need, and keeps what these services have already.
    pub(super) fn reopen(
        services: &Services,
        old: &Config,
        new: &Config,
        beside: &Beside<'_>,
        files: Files,
    ) -> Result<Opened, Vec<String>> {
        let mut problems = Vec::new();
        let connections = services.connections.reopen(&new.connections, beside.home);
        let told = |errors: Vec<StoreError>| {
            errors.iter().map(|error| format!("connection `{}`: {}", error.connection, error.detail)).collect::<Vec<_>>()
        };
        let connections = kept(connections.map_err(told), &mut problems);
        // Only those of the gateway's own read no files when they are opened.
        let mut same = old.identity_providers.clone();
        if files == Files::Anew {
            same.retain(|_, provider| provider.kind == ProviderKind::Internal);
        }
        let identity = if same == new.identity_providers {
            Some(Arc::clone(&services.identity))
        } else {
            let providers = (&same, &new.identity_providers);
            let identity = services.identity.reopen(providers, beside.home, beside.keys, beside.passwords);
            kept(identity, &mut problems).map(Arc::new)
        };
        let reads = files == Files::Anew && !new.outbound.trusted.is_empty();
        let settled = (&old.outbound, &old.host_name) == (&new.outbound, &new.host_name) && !reads;
        let outbound = if settled {
            Some(Arc::clone(&services.outbound))
        } else {
            let opened = Outbound::open(&new.outbound, beside.home, beside.keys).map_err(|error| vec![error]);
            let ports = beside.ports.values().copied().collect();
            kept(opened, &mut problems).map(|opened| Arc::new(opened.beside(ports, &new.host_name.0).counting(beside.metrics)))
        };
        if let Some(connections) = &connections {
            let cluster = Cluster::open(&new.cluster, connections, beside.home, &services.caches, &services.clock);
            kept(cluster.map_err(|error| vec![error]), &mut problems);
        }
        match (connections, identity, outbound) {
            _ if !problems.is_empty() => Err(problems),
            (Some(connections), Some(identity), Some(outbound)) => Ok(Opened { connections, identity, outbound }),
            _ => Err(problems),
        }
    }
}

/// Makes the keys and secrets that settings name and that are not there.
pub(super) fn make_keys(config: &Config, keys: &KeyStore, now_millis: i64) -> Result<(), Vec<String>> {
    let made = keys.ensure_keys(config.keys.iter().map(|(alias, kind)| (alias.as_str(), *kind)), now_millis);
    let made = std::iter::once(made).chain(config.secrets.iter().map(|name| keys.ensure_secret(name).map(drop)));
    let problems: Vec<String> = made.filter_map(|made| made.err().map(|error| error.to_string())).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// [`make_keys`] on a thread of its own: an RSA key takes as long as all the rest of a first start.
pub(super) struct Making(std::thread::JoinHandle<Result<(), Vec<String>>>);

impl Making {
    /// Begins.
    pub(super) fn begin(config: &Config, keys: &Arc<KeyStore>, now_millis: i64) -> Making {
        let (config, keys) = (config.clone(), Arc::clone(keys));
        Making(std::thread::spawn(move || make_keys(&config, &keys, now_millis)))
    }

    /// Waits until all are there.
    pub(super) fn end(self) -> Result<(), Vec<String>> {
        self.0.join().unwrap_or_else(|_| Err(vec!["the thread that makes keys panicked".to_owned()]))
    }
}

/// Waits for the keys of a first start.
pub(super) fn made(making: Option<Making>) -> Result<(), StartError> {
    making.map_or(Ok(()), Making::end).map_err(|problems| StartError(problems.join("\n")))
}

/// By alias, which key signs.
pub(super) fn current_keys(keys: &KeyStore) -> BTreeMap<SmolStr, String> {
    keys.aliases().into_iter().filter_map(|alias| Some((alias.clone(), keys.key(&alias)?.kid.to_string()))).collect()
}

/// What cannot be read, as a refusal of a reload.
pub(super) fn unreadable(problems: &[Unreadable]) -> Refused {
    let lines: Vec<String> = problems.iter().map(Unreadable::to_string).collect();
    Refused { report: lines.join("\n"), errors: lines.len() }
}

/// Ports by property, as the settings have them.
pub(super) fn configured_ports(config: &Config) -> BTreeMap<&'static str, u16> {
    let listeners = [("https.port", config.listeners.https), ("http.port", config.listeners.http)];
    let port = |listener| if let ListenAddress::At(address) = listener { Some(address.port()) } else { None };
    listeners.into_iter().filter_map(|(name, listener)| Some((name, port(listener)?))).collect()
}

/// Cluster properties, and facts that policies read in the same way.
pub(super) fn properties(
    config: &Config,
    ports: &BTreeMap<&'static str, u16>,
    connections: &Connections,
) -> BTreeMap<String, SmolStr> {
    let mut properties = BTreeMap::from([("cluster.hostname".to_owned(), SmolStr::from(&*config.host_name.0))]);
    properties.extend(ports.iter().map(|(name, port)| ((*name).to_owned(), SmolStr::from(port.to_string()))));
    properties.extend(connections.iter().map(|connection| {
        let name = format!("connections.{}.dialect", connection.name().to_ascii_lowercase());
        (name, SmolStr::new_static(connection.dialect().word()))
    }));
    properties.extend(config.properties.iter().map(|(name, value)| (name.to_ascii_lowercase(), SmolStr::from(&*value.0))));
    properties
}

/// Logs the warnings of policies that load.
pub(super) fn warn(warnings: &str) {
    if !warnings.is_empty() {
        tracing::warn!("the policies load, with warnings:\n{warnings}");
    }
}

fn kept<T, E: Display>(result: Result<T, Vec<E>>, problems: &mut Vec<String>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(errors) => {
            problems.extend(errors.iter().map(ToString::to_string));
            None
        }
    }
}
