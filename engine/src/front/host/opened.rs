//! What `gateway.yaml` leads to: databases, identity providers, other servers. A start, a reload and a check open it by the same code, so
//! that a check says what a start would; all that is wrong is told at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use crate::services::Services;
use crate::services::cluster::Cluster;
use crate::services::config::{Config, ProviderKind};
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
    let made = config.keys.iter().map(|(alias, kind)| keys.ensure_key(alias, *kind, now_millis).map(drop));
    let made = made.chain(config.secrets.iter().map(|name| keys.ensure_secret(name).map(drop)));
    let problems: Vec<String> = made.filter_map(|made| made.err().map(|error| error.to_string())).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
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
